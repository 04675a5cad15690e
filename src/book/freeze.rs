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

/// The book of a block, frozen. `seed` is the walk's: its null markets last from block to block.
///
/// # Errors
/// When nothing can be evaluated on the candles, or their null market would have prices that are none.
pub fn freeze(
    pipeline: Pipeline<'_>,
    seed: Seed,
    mut heritage: Heritage,
    searchable: &SearchablePanel,
) -> Result<Chosen, BookError> {
    let Pipeline { search: settings, book, terms } = pipeline;
    let (seen, (from_ms, to_ms)) = (searchable.seen_until(), searchable.window_ms());
    let days = u32::try_from((to_ms - from_ms).div_euclid(DAY_MS)).unwrap_or(0);
    if days < book.least_days {
        return Ok(Chosen::cash(Cash::ShortHistory { days, needed: book.least_days }, heritage, seen));
    }
    let block_seed = seed.child("block", to_ms.cast_unsigned());
    let market = MarketEvaluator::new(searchable.panel().clone(), (from_ms, to_ms), terms)?;
    let (state, all) = evolve(pipeline, block_seed, std::mem::take(&mut heritage.warm), &market);
    let mut nulls = Vec::new();
    heritage.null_warm.resize(book.null_searches as usize, Vec::new());
    for (number, warm) in (0..book.null_searches).zip(&mut heritage.null_warm) {
        let null = null_market(searchable, terms, &settings.ranking, seed, (number, true))?;
        let seed = block_seed.child("null", u64::from(number));
        let (state, all) = evolve(pipeline, seed, std::mem::take(warm), &null);
        nulls.extend(NullSample::of(&all.iter().map(|seen| seen.t + seen.cost).collect::<Vec<_>>()));
        // The real search begins with its members, too, which are champions but for their likeness.
        *warm = champions(&state, CHAMPIONS + book.most_members as usize);
    }
    let champions = champions(&state, CHAMPIONS);
    let gross: Vec<f64> = all.iter().map(|seen| seen.t + seen.cost).collect();
    let prior = Prior::of(&gross, &nulls);
    let Some(prior) = prior else {
        heritage.warm = champions;
        return Ok(Chosen::cash(Cash::NothingMeasured, heritage, seen));
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
    Ok(Chosen {
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

/// One search from its beginning to its end, and every distinct strategy that it evaluated.
fn evolve(
    pipeline: Pipeline<'_>,
    seed: Seed,
    warm: Vec<AnyStrategy>,
    market: &dyn Evaluator,
) -> (SearchState, Vec<Seen>) {
    let config = pipeline.search;
    let recorder = Recorder::new(market, &pipeline.terms, config.min_trades);
    let mut state = search::start(config, seed, warm, None);
    while !state.is_finished(config) {
        // Nothing stops it but the signal that ends the program.
        let Ok((next, _)) = search::advance(config, state.clone(), &recorder, &|_| false) else { break };
        state = next;
    }
    (state, recorder.into_seen())
}

/// The best of a search.
fn champions(state: &SearchState, count: usize) -> Vec<AnyStrategy> {
    search::champions(state, count).into_iter().map(|i| i.strategy).collect()
}
