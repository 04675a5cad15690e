//! Candles and strategies in, ledgers and performance out. Pure: no I/O, no clock, no randomness.
//!
//! How a population is evaluated, phase by phase: strategies are compiled to plans over numbered tests (`plan`); tests
//! that no earlier population has left in the cache become lists of candles or bit sets (`events`), symbol by symbol
//! (`conditions`); then each strategy's signals are filters of the lists and word operations on the bits (`signal`),
//! its trades are found by going from event to event (`execution`) and added up as they close (`tally`), and its equity
//! is read off what it held (`timeline`, `equity`, `drawdown`, `performance`).
//!
//! Never decides whether a result is good. `rayon` is used only under [`Engine::evaluate`].

mod cache;
pub mod columns;
mod computed;
mod conditions;
mod costs;
mod distance;
mod drawdown;
mod equity;
mod events;
mod execution;
mod frame;
pub mod indicator;
mod ledger;
mod meaning;
mod orders;
mod packed;
pub mod performance;
mod pieces;
mod plan;
mod population;
mod position;
mod readings;
mod recipe;
mod signal;
mod simd;
mod sources;
mod stake;
mod tally;
mod terms;
mod timeline;
mod way;
mod window;

pub use costs::{Costs, MAX_SLIPPAGE_BPS, MAX_SLIPPAGE_FRACTION, Slippage, VenueCosts};
pub use ledger::{DailyEquity, Digest as TradesDigest, ExitReason, Holding, Ledger, Side, Trade};
pub use meaning::{MEANING, MeaningChange};
pub use orders::{Execution, RankedMarket};
pub use performance::{CalendarMonth, MonthlyReturn, Performance};
pub use recipe::{ModelsUsed, Recipe, RunConfig};
pub use simd::{Wide, Width, widest};
pub use stake::Stake;
pub use terms::{FillOn, Terms};
pub use window::{FundingRate, SymbolWindow, Window, WindowError};

use candles::resample;
use genome::Strategy;
use population::{Memory, Prepared, ScratchBuffers};
use rayon::prelude::*;
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Mutex,
};

/// Strategies whose sleeves on one symbol are simulated one after another, before those on the next symbol.
const STRATEGIES_TOGETHER: usize = 12;

/// What to return beside the total performance.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted {
    /// Every trade and the daily equity.
    pub ledger: bool,
    /// Performance of each symbol's sleeve alone.
    pub per_symbol: bool,
    /// Total return and trade counts alone: every other statistic, the daily returns and the
    /// stake too, is left out.
    pub summary_only: bool,
}

/// What one strategy did in one window.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// Of the sum of all sleeves.
    pub performance: Performance,
    /// Of each sleeve, in the window's order; empty unless asked for.
    pub per_symbol: Vec<Performance>,
    /// Daily net returns of total equity, day by day (definitions, section 3); days without trades included.
    pub daily_returns: Vec<f64>,
    /// What the trades put at stake; `None` without trades.
    pub stake: Option<Stake>,
    /// Digest of all trades (symbol, side, times, prices): two strategies with one digest traded alike.
    pub trades_digest: u64,
    /// Trades and daily equity, if asked for.
    pub ledger: Option<Ledger>,
}

/// What one strategy did on one symbol, for charts and checks.
#[derive(Clone, Debug, PartialEq)]
pub struct SymbolRun {
    /// Closed trades in order.
    pub trades: Vec<Trade>,
    /// Equity of the sleeve at the end of each candle of the base timeframe; at the last one after everything is closed.
    pub equity: Vec<DailyEquity>,
}

/// Why a strategy could not be evaluated. The others of its population are not harmed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[allow(missing_docs)]
pub enum EvaluationError {
    #[error(
        "the strategy trades {strategy} candles but the window holds {window} ones; give candles of {strategy} or finer"
    )]
    TimeframeTooFine { strategy: genome::Timeframe, window: genome::Timeframe },
    #[error(transparent)]
    Timeframe(#[from] resample::ResampleError),
    #[error("the strategy is not valid: {0}")]
    Invalid(String),
    #[error("{0} compares the symbol with the others of a universe, and this window has no values of it")]
    NoMarket(genome::Series),
    #[error(
        "{0} is predicted by models, and this evaluation was given no predictions; see docs/MODELS.md for what takes them"
    )]
    NoModel(genome::Series),
    #[error("the strategy ranks a market, and these candles are of single symbols; strategies of rules run on them")]
    Ranks,
    #[error("the strategy trades symbols by rules, and this is evaluated over a whole market")]
    Rules,
    #[error("evaluation panicked: {0}; this is a bug, and the strategy that shows it is worth keeping")]
    Panicked(String),
}

/// Settings of an engine and of what it is asked for.
#[derive(Clone, Debug, PartialEq, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EngineConfig {
    /// Byte limit of the cache of columns and condition results, in MiB.
    pub cache_mb: usize,
    /// Capital at the start of a window, in quote units, split evenly over the symbols.
    pub initial_capital: f64,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self { cache_mb: 256, initial_capital: Terms::default().initial_capital }
    }
}

/// What the engine's cache of columns and condition results holds, and how often that was of use since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheUse {
    /// Bytes held.
    pub bytes: usize,
    /// Look-ups that found something.
    pub hits: u64,
    /// Look-ups that found nothing.
    pub misses: u64,
}

/// Evaluates populations. Shared by reference between threads; results do not depend on their number.
#[derive(Debug)]
pub struct Engine {
    memory: Mutex<Memory>,
    cache_mb: usize,
    /// Most memory that a population takes while it is evaluated, where that is limited.
    work_bytes: Option<usize>,
    width: Width,
}

impl Default for Engine {
    fn default() -> Self {
        Self::new(EngineConfig::default().cache_mb)
    }
}

impl Engine {
    /// An engine with an empty cache of at most this many MiB.
    #[must_use]
    pub fn new(cache_mb: usize) -> Self {
        Self { memory: Mutex::new(Memory::new(cache_mb)), cache_mb, work_bytes: None, width: Width::widest() }
    }

    /// An engine with an empty cache that takes about `work_mb` MiB at most for what is under way: a larger population is
    /// evaluated a piece after the other, which changes no result.
    #[must_use]
    pub fn within(cache_mb: usize, work_mb: usize) -> Self {
        Self { work_bytes: Some(work_mb << 20), ..Self::new(cache_mb) }
    }

    /// The same engine with vectors of this width, which changes no result: for benches, and for tests that compare all.
    #[must_use]
    pub fn of_width(self, width: Width) -> Self {
        Self { width, ..self }
    }

    /// Empties the cache, so that its memory is free for something else. What it held is computed anew when it is asked for.
    pub fn forget(&self) {
        let mut memory = population::lock(&self.memory);
        let lookups = memory.in_use();
        *memory = Memory::after(self.cache_mb, lookups);
    }

    /// What the cache holds now. Waits for a population that is being planned.
    #[must_use]
    pub fn cache_use(&self) -> CacheUse {
        population::lock(&self.memory).in_use()
    }

    /// Backtests each strategy over the window, in parallel on the current rayon pool.
    ///
    /// One result a strategy, in order. The same inputs give the same bits at any thread count. A strategy that
    /// cannot be evaluated, or whose evaluation panics, does not harm the others.
    #[must_use]
    pub fn evaluate(
        &self,
        population: &[Strategy],
        window: &Window,
        terms: &Terms,
        wanted: Wanted,
    ) -> Vec<Result<Outcome, EvaluationError>> {
        let Some(most_bytes) = self.work_bytes else { return self.evaluate_at_once(population, window, terms, wanted) };
        let pieces = pieces::pieces(population, window, most_bytes).into_iter();
        pieces.flat_map(|piece| self.evaluate_at_once(piece, window, terms, wanted)).collect()
    }

    fn evaluate_at_once(
        &self,
        population: &[Strategy],
        window: &Window,
        terms: &Terms,
        wanted: Wanted,
    ) -> Vec<Result<Outcome, EvaluationError>> {
        let prepared = Prepared::new(self.width, population, window, terms, &self.memory);
        let timelines = prepared.timelines();
        let together = (population.len() / (8 * rayon::current_num_threads())).clamp(1, STRATEGIES_TOGETHER);
        let mut outcomes: Vec<Option<Result<Outcome, EvaluationError>>> = Vec::new();
        outcomes.resize_with(population.len(), || None);
        outcomes.par_chunks_mut(together).enumerate().for_each_init(
            ScratchBuffers::default,
            |scratch, (part, outcomes)| {
                let strategies = part * together..part * together + outcomes.len();
                prepared.outcomes(strategies, &timelines, wanted, scratch, |j, outcome| outcomes[j] = Some(outcome));
            },
        );
        outcomes.into_iter().map(|outcome| outcome.expect("each part writes an outcome for each strategy")).collect()
    }

    /// Trades and equity, candle by candle, of one strategy's sleeve on the window's symbol number `symbol`.
    ///
    /// # Errors
    /// As [`Engine::evaluate`]; and when the window has no such symbol.
    pub fn simulate_symbol(
        &self,
        strategy: &Strategy,
        window: &Window,
        symbol: usize,
        terms: &Terms,
    ) -> Result<SymbolRun, EvaluationError> {
        if symbol >= window.symbols().len() {
            return Err(EvaluationError::Invalid(format!("the window has no symbol number {symbol}")));
        }
        let prepared = Prepared::new(self.width, std::slice::from_ref(strategy), window, terms, &self.memory);
        guarded(|| prepared.symbol_run(0, symbol))
    }
}

/// Turns a panic into an error of the strategy that caused it.
fn guarded<T>(evaluate: impl FnOnce() -> Result<T, EvaluationError>) -> Result<T, EvaluationError> {
    // Nothing outlives a panic but shared columns, which are complete before they are shared.
    catch_unwind(AssertUnwindSafe(evaluate)).unwrap_or_else(|payload| {
        let text = payload.downcast_ref::<&str>().map(ToString::to_string);
        let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
        Err(EvaluationError::Panicked(text.unwrap_or_else(|| "without a message".to_owned())))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error_of_one_strategy() {
        let result: Result<(), _> = guarded(|| panic!("column {} is missing", 3));
        assert_eq!(result, Err(EvaluationError::Panicked("column 3 is missing".to_owned())));
    }
}
