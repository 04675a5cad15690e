//! A block's book, from what was known at its beginning: expectation, admission, weights, of what its searches found.
//!
//! Is handed a [`SearchablePanel`], which ends there, and nothing of the block itself.

use crate::{
    BlockNullFound, BookConfig, Candidate, Kept, Member, NullSample, Prior, Searched,
    admission::{admit, rank},
    expectation::Luck,
    searches::{CHAMPIONS, Seen, champions, days_of},
    weighing::deviation,
};
use genome::AnyStrategy;
use portfolio::PortfolioTerms;
use protocol::{SearchablePanel, SeenUntil};
use search::SearchConfig;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Candidates whose promises are compared with what came.
const CONSIDERED: usize = 40;
const DAYS_A_YEAR: f64 = 365.0;

/// What does not change from block to block.
#[derive(Clone, Copy, Debug)]
pub struct Pipeline<'a> {
    /// How each block is searched: [`BookConfig::search`].
    pub search: &'a SearchConfig,
    /// How members are admitted.
    pub book: &'a BookConfig,
    /// Capital, costs and execution, of searches as of the book.
    pub terms: PortfolioTerms,
}

/// What a block has from those before it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Heritage {
    /// Strategies that the search begins with.
    pub warm: Vec<AnyStrategy>,
    /// Of each null market, in order, strategies that its search begins with.
    pub null_warm: Vec<Vec<AnyStrategy>>,
    /// What promises were worth.
    pub kept: Kept,
}

/// Why a book holds cash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "why")]
pub enum Cash {
    /// The candles before the block are too few to search.
    ShortHistory {
        /// Days that there are.
        days: u32,
        /// Days that are needed.
        needed: u32,
    },
    /// No strategy that was evaluated made enough trades, or no null search did.
    NothingMeasured,
    /// Nothing is expected to earn enough.
    NothingExpected {
        /// Strategies that were looked at.
        candidates: u32,
    },
}

impl fmt::Display for Cash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ShortHistory { days, needed } => {
                write!(f, "{days} days of candles with members are before the block, and a search needs {needed}")
            }
            Self::NothingMeasured => f.write_str("no strategy made enough trades to be judged"),
            Self::NothingExpected { candidates } => {
                write!(f, "none of {candidates} strategies is expected to earn enough after costs")
            }
        }
    }
}

/// What was chosen for a block.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Chosen {
    /// Who trades.
    pub members: Vec<Member>,
    /// Why nobody does.
    pub cash: Option<Cash>,
    /// What luck did in null searches.
    pub luck: Option<Luck>,
    /// Strategies that the search evaluated.
    pub evaluated: u64,
    /// Of them, those that traded enough and unlike each other.
    pub distinct: u32,
    /// Strategies and the daily mean over deviation that each promises; with its deviation.
    pub(crate) considered: Vec<(AnyStrategy, f64, f64)>,
    /// What the next block has from this one; what promises were worth is known once the block is over.
    pub(crate) heritage: Heritage,
    /// What shaped it.
    pub(crate) seen: SeenUntil,
}

impl Chosen {
    pub(crate) const fn cash(cash: Cash, heritage: Heritage, seen: SeenUntil) -> Self {
        Self {
            members: Vec::new(),
            cash: Some(cash),
            luck: None,
            evaluated: 0,
            distinct: 0,
            considered: Vec::new(),
            heritage,
            seen,
        }
    }
}

/// The book of a block, frozen, by the search of its own and null searches that were made of what [`BlockSearch::of`] told.
/// `None` for both where there are too few days to search.
pub(crate) fn frozen(
    pipeline: Pipeline<'_>,
    mut heritage: Heritage,
    searchable: &SearchablePanel,
    made: Option<(Searched, Vec<BlockNullFound>)>,
) -> Chosen {
    let (book, seen) = (pipeline.book, searchable.seen_until());
    let Some((Searched { state, all }, made)) = made else {
        let cash = Cash::ShortHistory { days: days_of(searchable), needed: book.least_days };
        return Chosen::cash(cash, heritage, seen);
    };
    let (samples, warm): (Vec<_>, Vec<_>) = made.into_iter().map(|null| (null.sample, null.warm)).unzip();
    let nulls: Vec<NullSample> = samples.into_iter().flatten().collect();
    heritage.null_warm = warm;
    let champions = champions(&state, CHAMPIONS);
    let gross: Vec<f64> = all.iter().map(|seen| seen.t + seen.cost).collect();
    let prior = Prior::of(&gross, &nulls);
    let Some(prior) = prior else {
        heritage.warm = champions;
        return Chosen::cash(Cash::NothingMeasured, heritage, seen);
    };
    let (distinct, kept) = (all.len() as u32, heritage.kept.fraction());
    let per_year = |t: f64, days: usize| t * (DAYS_A_YEAR / days as f64).sqrt();
    let candidate = |seen: Seen| {
        let expected = prior.expected(seen.t + seen.cost);
        let days = seen.returns.len();
        Candidate {
            hash: seen.strategy.hash(),
            expected_sharpe: per_year(kept * expected.t - seen.cost, days),
            false_discovery: expected.false_discovery,
            turnover_per_day: seen.turnover_per_day,
            strategy: seen.strategy,
            t: seen.t,
            returns: seen.returns,
        }
    };
    let mut ranked: Vec<Candidate> = all.into_iter().map(candidate).collect();
    rank(&mut ranked);
    let members = admit(&ranked, book);
    let considered = ranked.iter().take(CONSIDERED).map(|c| {
        let promised = c.expected_sharpe / DAYS_A_YEAR.sqrt();
        (c.strategy.clone(), promised, deviation(&c.returns))
    });
    let considered = considered.collect();
    heritage.warm = members.iter().map(|m| m.strategy.clone()).chain(champions).collect();
    Chosen {
        cash: members.is_empty().then_some(Cash::NothingExpected { candidates: distinct }),
        members,
        considered,
        luck: Some(prior.luck()),
        evaluated: state.counters.evaluations,
        distinct,
        heritage,
        seen,
    }
}
