//! A block's book, from what was known at its beginning: search, null searches, expectation, admission, weights.
//!
//! Is handed a [`SearchablePanel`], which ends there, and nothing of the block itself.

use crate::{
    BookConfig, BookError, Candidate, Kept, Member, NullSample, Prior,
    admission::{admit, rank},
    expectation::Luck,
    weighing::deviation,
};
use candles::time::DAY_MS;
use engine::{EvaluationError, Outcome, performance};
use genome::{AnyStrategy, random::Seed};
use portfolio::PortfolioTerms;
use protocol::{MarketEvaluator, SearchablePanel, SeenUntil, null_market};
use search::{Evaluator, SearchConfig, SearchState};
use serde::{Deserialize, Serialize};
use std::{
    collections::HashSet,
    fmt,
    sync::{Mutex, PoisonError},
};

/// The best of a search that the next one begins with, beside the members.
const CHAMPIONS: usize = 40;
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
    /// Null searches, the newest last.
    pub nulls: Vec<NullSample>,
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

/// A block's book, before any of the block is looked at.
#[derive(Clone, Debug, PartialEq)]
pub struct Frozen {
    pub(crate) members: Vec<Member>,
    /// Why there are none.
    pub(crate) cash: Option<Cash>,
    /// Strategies and the daily mean over deviation that each promises; with its deviation.
    pub(crate) considered: Vec<(AnyStrategy, f64, f64)>,
    pub(crate) luck: Option<Luck>,
    pub(crate) evaluated: u64,
    pub(crate) distinct: u32,
    /// What the next block has from this one; what promises were worth is known once the block is over.
    pub(crate) heritage: Heritage,
    /// What shaped it.
    pub(crate) seen: SeenUntil,
}

impl Frozen {
    /// Its members.
    #[must_use]
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// Why there are none.
    #[must_use]
    pub const fn cash(&self) -> Option<Cash> {
        self.cash
    }

    fn of_cash(cash: Cash, heritage: Heritage, seen: SeenUntil) -> Self {
        Self {
            members: Vec::new(),
            cash: Some(cash),
            considered: Vec::new(),
            luck: None,
            evaluated: 0,
            distinct: 0,
            heritage,
            seen,
        }
    }
}

/// A strategy that was evaluated.
struct Seen {
    strategy: AnyStrategy,
    returns: Vec<f64>,
    t: f64,
    /// Mean daily costs over deviation times the root of days: what they take of t.
    cost: f64,
    turnover_per_day: Option<f64>,
}

/// Notes what every distinct strategy came to that a search evaluates, in order.
struct Recorder<'a> {
    market: &'a dyn Evaluator,
    terms: &'a PortfolioTerms,
    least_trades: u32,
    seen: Mutex<(HashSet<u64>, Vec<Seen>)>,
}

impl<'a> Recorder<'a> {
    fn new(market: &'a dyn Evaluator, terms: &'a PortfolioTerms, least_trades: u32) -> Self {
        Self { market, terms, least_trades, seen: Mutex::default() }
    }

    fn note(&self, strategy: &AnyStrategy, outcome: &Outcome) -> Option<Seen> {
        let (p, returns) = (&outcome.performance, &outcome.daily_returns);
        let (t, deviation) = (performance::t_statistic(returns)?, deviation(returns));
        let capital = self.terms.initial_capital;
        // Costs are paid of an equity that grows: of its mean, as near as the first and the last tell it.
        let equity = capital * (1.0 + (p.total_return? / 2.0).max(-0.45));
        let days = returns.len() as f64;
        let cost = (p.fees + p.slippage) / equity / days;
        let fee = self.terms.costs.fee_fraction;
        (p.total_trades >= self.least_trades && deviation > 0.0).then(|| Seen {
            strategy: strategy.clone(),
            returns: returns.clone(),

            t,
            cost: cost / deviation * days.sqrt(),
            turnover_per_day: (fee > 0.0).then(|| p.fees / fee / equity / days),
        })
    }

    fn into_seen(self) -> Vec<Seen> {
        self.seen.into_inner().unwrap_or_else(PoisonError::into_inner).1
    }
}

impl Evaluator for Recorder<'_> {
    fn evaluate(&self, population: &[AnyStrategy]) -> Vec<Result<Outcome, EvaluationError>> {
        let outcomes = self.market.evaluate(population);
        // What was noted is whole even if somebody panicked beside it.
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let (digests, noted) = &mut *seen;
        for (strategy, outcome) in population.iter().zip(&outcomes) {
            let Ok(outcome) = outcome else { continue };
            // Strategies that traded alike are one.
            if let Some(one) = self.note(strategy, outcome).filter(|_| digests.insert(outcome.trades_digest)) {
                noted.push(one);
            }
        }
        drop(seen);
        outcomes
    }
}

/// The book of a block, frozen.
///
/// # Errors
/// When nothing can be evaluated on the candles, or their null market would have prices that are none.
pub fn freeze(
    pipeline: Pipeline<'_>,
    seed: Seed,
    mut heritage: Heritage,
    searchable: &SearchablePanel,
) -> Result<Frozen, BookError> {
    let Pipeline { search: settings, book, terms } = pipeline;
    let (seen, (from_ms, to_ms)) = (searchable.seen_until(), searchable.window_ms());
    let days = u32::try_from((to_ms - from_ms).div_euclid(DAY_MS)).unwrap_or(0);
    if days < book.least_days {
        return Ok(Frozen::of_cash(Cash::ShortHistory { days, needed: book.least_days }, heritage, seen));
    }
    let market = MarketEvaluator::new(searchable.panel().clone(), (from_ms, to_ms), terms)?;
    let recorder = Recorder::new(&market, &terms, settings.min_trades);
    let state = evolve(settings, seed, std::mem::take(&mut heritage.warm), &recorder);
    let all = recorder.into_seen();
    // Both kinds of null market take turns over the blocks.
    let first = u64::try_from(to_ms.div_euclid(28 * DAY_MS)).unwrap_or(0) * u64::from(book.null_searches);
    for number in (first..).take(book.null_searches as usize) {
        let number = u32::try_from(number).unwrap_or(u32::MAX);
        let null = null_market(searchable, terms, &settings.ranking, seed, number)?;
        let recorder = Recorder::new(&null, &terms, settings.min_trades);
        evolve(settings, seed.child("null", u64::from(number)), Vec::new(), &recorder);
        let ts: Vec<f64> = recorder.into_seen().iter().map(|seen| seen.t + seen.cost).collect();
        heritage.nulls.extend(NullSample::of(to_ms, &ts));
    }
    let old = heritage.nulls.len().saturating_sub(book.null_memory as usize);
    heritage.nulls.drain(..old);
    let champions = search::champions(&state, CHAMPIONS).into_iter().map(|i| i.strategy);
    let gross: Vec<f64> = all.iter().map(|seen| seen.t + seen.cost).collect();
    let prior = Prior::of(&gross, &heritage.nulls);
    let Some(prior) = prior else {
        heritage.warm = champions.collect();
        return Ok(Frozen::of_cash(Cash::NothingMeasured, heritage, seen));
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
    Ok(Frozen {
        cash: members.is_empty().then_some(Cash::NothingExpected { candidates: distinct }),
        members,
        considered,
        luck: Some(prior.luck()),
        evaluated: state.counters.evaluations,
        distinct,
        heritage,
        seen,
    })
}

/// One search from its beginning to its end.
fn evolve(config: &SearchConfig, seed: Seed, warm: Vec<AnyStrategy>, market: &dyn Evaluator) -> SearchState {
    let mut state = search::start(config, seed, warm, None);
    while !state.is_finished(config) {
        // Nothing stops it but the signal that ends the program.
        let Ok((next, _)) = search::advance(config, state.clone(), market, &|_| false) else { break };
        state = next;
    }
    state
}
