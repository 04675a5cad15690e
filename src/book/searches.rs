//! The searches of a block: its own, and null searches. Each is a function of what it is told, so that whoever makes it, wherever and in
//! whatever order, comes to the same bits.
//!
//! Knows no queue, and nothing of what a book is made of them.

use crate::{BookError, Heritage, NullSample, Pipeline, weighing::deviation};
use candles::{packed::PackedError, time::DAY_MS};
use engine::{EvaluationError, Outcome, performance};
use genome::{AnyStrategy, random::Seed};
use portfolio::PortfolioTerms;
use protocol::{MarketEvaluator, SearchablePanel, null_market, pack_ranking};
use search::{Evaluator, SearchConfig, SearchState, Step};
use serde::{Deserialize, Serialize};
use std::{
    collections::HashSet,
    sync::{Mutex, PoisonError},
};

/// The best of a search that the next one begins with, beside the members.
pub(crate) const CHAMPIONS: usize = 40;

/// What the null searches of a block are told, all of them; each has its number beside it, and the candles.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlockNulls {
    /// How each is searched.
    search: SearchConfig,
    /// Of the walk: null markets last from block to block.
    seed: Seed,
    /// Its best that the next block begins with (count).
    champions: usize,
    /// Of each null search, what it begins with.
    warm: Vec<Vec<AnyStrategy>>,
}

/// What a null search of a block came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlockNullFound {
    /// t before costs of what it evaluated; `None` where that was less than two.
    pub(crate) sample: Option<NullSample>,
    /// What that of the next block begins with.
    pub(crate) warm: Vec<AnyStrategy>,
}

/// What the search of a block's own came to.
#[derive(Clone, Debug)]
pub struct Searched {
    pub(crate) state: SearchState,
    pub(crate) all: Vec<Seen>,
}

/// All that the searches of a block look at.
#[derive(Clone, Debug)]
pub struct BlockSearch {
    searchable: SearchablePanel,
    terms: PortfolioTerms,
    warm: Vec<AnyStrategy>,
    nulls: BlockNulls,
}

/// Days of a market that may be searched.
pub(crate) fn days_of(searchable: &SearchablePanel) -> u32 {
    let (from_ms, to_ms) = searchable.window_ms();
    u32::try_from((to_ms - from_ms).div_euclid(DAY_MS)).unwrap_or(0)
}

fn block_seed(seed: Seed, searchable: &SearchablePanel) -> Seed {
    seed.child("block", searchable.window_ms().1.cast_unsigned())
}

impl BlockNulls {
    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u32 {
        u32::try_from(self.warm.len()).unwrap_or(u32::MAX)
    }

    /// Makes null search `number` on these candles from its beginning to its end; `None` where `stop` says so before.
    ///
    /// # Errors
    /// When there is no such number, or the candles have no null market.
    pub fn run(
        &self,
        searchable: &SearchablePanel,
        terms: PortfolioTerms,
        number: u32,
        stop: &dyn Fn(Step) -> bool,
    ) -> Result<Option<BlockNullFound>, BookError> {
        let warm = self.warm.get(number as usize).ok_or(BookError::NoSuchNull { number, count: self.count() })?;
        let null = null_market(searchable, terms, &self.search.ranking, self.seed, (number, true))?;
        let seed = block_seed(self.seed, searchable).child("null", u64::from(number));
        let made = evolve((&self.search, &terms), seed, warm.clone(), &null, stop);
        Ok(made.map(|Searched { state, all }| BlockNullFound {
            sample: NullSample::of(&all.iter().map(|seen| seen.t + seen.cost).collect::<Vec<_>>()),
            // The real search begins with its members, too, which are champions but for their likeness.
            warm: champions(&state, self.champions),
        }))
    }
}

impl BlockSearch {
    /// What a block is searched by; `None` where there are too few days. `seed` is the walk's.
    #[must_use]
    pub fn of(pipeline: Pipeline<'_>, seed: Seed, heritage: &Heritage, searchable: &SearchablePanel) -> Option<Self> {
        let Pipeline { search, book, terms } = pipeline;
        if days_of(searchable) < book.least_days {
            return None;
        }
        let mut warm = heritage.null_warm.clone();
        warm.resize(book.null_searches as usize, Vec::new());
        let champions = CHAMPIONS + book.most_members as usize;
        let nulls = BlockNulls { search: search.clone(), seed, champions, warm };
        Some(Self { searchable: searchable.clone(), terms, warm: heritage.warm.clone(), nulls })
    }

    /// What null searches are told.
    #[must_use]
    pub const fn nulls(&self) -> &BlockNulls {
        &self.nulls
    }

    /// What null searches look at, as bytes for another machine: [`protocol::PackedGround`].
    ///
    /// # Errors
    /// Where there is something that cannot be packed.
    pub fn packed(&self) -> Result<Vec<u8>, PackedError> {
        pack_ranking(&self.searchable, self.terms, &self.nulls.search.ranking)
    }

    /// Makes the search of the block's own; `None` where `stop` says so before its end.
    ///
    /// # Errors
    /// When nothing can be evaluated on the candles.
    pub fn own(&self, stop: &dyn Fn(Step) -> bool) -> Result<Option<Searched>, BookError> {
        let panel = self.searchable.panel().clone();
        let market = MarketEvaluator::new(panel, self.searchable.window_ms(), self.terms)?;
        let seed = block_seed(self.nulls.seed, &self.searchable);
        Ok(evolve((&self.nulls.search, &self.terms), seed, self.warm.clone(), &market, stop))
    }

    /// Makes a null search.
    ///
    /// # Errors
    /// Those of [`BlockNulls::run`].
    pub fn null(&self, number: u32, stop: &dyn Fn(Step) -> bool) -> Result<Option<BlockNullFound>, BookError> {
        self.nulls.run(&self.searchable, self.terms, number, stop)
    }

    /// Makes all of them, one after the other; `None` where `stop` says so before their end.
    ///
    /// # Errors
    /// Where one of them cannot be made.
    pub(crate) fn all(
        &self,
        stop: &dyn Fn(Step) -> bool,
    ) -> Result<Option<(Searched, Vec<BlockNullFound>)>, BookError> {
        let Some(own) = self.own(stop)? else { return Ok(None) };
        let nulls = (0..self.nulls.count()).map(|number| self.null(number, stop));
        let nulls = nulls.collect::<Result<Option<Vec<_>>, _>>()?;
        Ok(nulls.map(|nulls| (own, nulls)))
    }
}

/// A strategy that was evaluated.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) strategy: AnyStrategy,
    pub(crate) returns: Vec<f64>,
    pub(crate) t: f64,
    /// Mean daily costs over deviation times the root of days: what they take of t.
    pub(crate) cost: f64,
    pub(crate) turnover_per_day: Option<f64>,
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

/// One search from its beginning to its end, and every distinct strategy that it evaluated; `None` where it was stopped.
fn evolve(
    (config, terms): (&SearchConfig, &PortfolioTerms),
    seed: Seed,
    warm: Vec<AnyStrategy>,
    market: &dyn Evaluator,
    stop: &dyn Fn(Step) -> bool,
) -> Option<Searched> {
    let recorder = Recorder::new(market, terms, config.min_trades);
    let mut state = search::start(config, seed, warm, None);
    while !state.is_finished(config) {
        state = search::advance(config, state, &recorder, stop).ok()?.0;
    }
    Some(Searched { state, all: recorder.into_seen() })
}

/// The best of a search.
pub(crate) fn champions(state: &SearchState, count: usize) -> Vec<AnyStrategy> {
    search::champions(state, count).into_iter().map(|i| i.strategy).collect()
}
