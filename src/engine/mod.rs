//! Candles and strategies in, ledgers and performance out. Pure: no I/O, no clock, no randomness.
//!
//! Never decides whether a result is good. `rayon` is used only by [`Engine::evaluate`].

pub mod columns;
mod costs;
mod execution;
pub mod indicator;
mod ledger;
pub mod performance;
mod position;
mod signal;
mod window;

pub use costs::{Costs, MAX_SLIPPAGE_FRACTION, Slippage};
pub use ledger::{DailyEquity, ExitReason, Ledger, Side, Trade};
pub use performance::{MonthlyReturn, Performance};
pub use window::{FundingRate, SymbolWindow, Window, WindowError};

use crate::market::{CandleSeries, resample};
use execution::Market;
use genome::Strategy;
use ledger::{Curve, Digest};
use rayon::prelude::*;
use std::{
    borrow::Cow,
    panic::{AssertUnwindSafe, catch_unwind},
};

/// What to return beside the total performance.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted {
    /// Every trade and the daily equity.
    pub ledger: bool,
    /// Performance of each symbol's sleeve alone.
    pub per_symbol: bool,
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
    #[error("evaluation panicked: {0}; this is a bug, and the strategy that shows it is worth keeping")]
    Panicked(String),
}

/// Settings of the engine.
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
        Self { cache_mb: 256, initial_capital: 10_000.0 }
    }
}

/// Evaluates populations. Shared by reference between threads; results do not depend on their number.
#[derive(Debug)]
pub struct Engine {
    config: EngineConfig,
}

impl Engine {
    /// An engine with an empty cache.
    #[must_use]
    pub fn new(config: EngineConfig) -> Self {
        Self { config }
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
        costs: &Costs,
        wanted: Wanted,
    ) -> Vec<Result<Outcome, EvaluationError>> {
        population.par_iter().map(|strategy| guarded(|| self.outcome(strategy, window, costs, wanted))).collect()
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
        costs: &Costs,
    ) -> Result<SymbolRun, EvaluationError> {
        guarded(|| {
            let run = self.run_symbol(strategy, window, symbol, costs)?;
            let equity = run.curve.steps.iter().map(|&(time_ms, equity)| DailyEquity { time_ms, equity }).collect();
            Ok(SymbolRun { trades: run.trades, equity })
        })
    }

    fn outcome(
        &self,
        strategy: &Strategy,
        window: &Window,
        costs: &Costs,
        wanted: Wanted,
    ) -> Result<Outcome, EvaluationError> {
        let symbols = window.symbols().len();
        let runs: Vec<SleeveRun> =
            (0..symbols).map(|s| self.run_symbol(strategy, window, s, costs)).collect::<Result<_, _>>()?;
        let performance_of = |curve: &Curve, trades: &[&Trade], candles: usize| {
            Performance::of(&performance::Account { curve, to_ms: window.to_ms(), trades, candles })
        };
        let mut digest = Digest::new();
        for run in &runs {
            digest.symbol(&window.symbols()[run.symbol].symbol);
            for t in &run.trades {
                digest.trade(t.side, [t.entry_time_ms, t.exit_time_ms], [t.entry_price, t.exit_price]);
            }
        }
        let per_symbol = if wanted.per_symbol {
            let one = |run: &SleeveRun| {
                performance_of(&run.curve, &run.trades.iter().collect::<Vec<_>>(), run.curve.steps.len()).0
            };
            runs.iter().map(one).collect()
        } else {
            Vec::new()
        };
        let candles = runs.iter().map(|run| run.curve.steps.len()).sum();
        let curves: Vec<&Curve> = runs.iter().map(|run| &run.curve).collect();
        let total = Curve::sum(window.from_ms(), &curves);
        // Symbols are in the window's order, and the sort is stable.
        let mut trades: Vec<&Trade> = runs.iter().flat_map(|run| &run.trades).collect();
        trades.sort_by_key(|t| t.entry_time_ms);
        let (performance, daily_returns, daily_equity) = performance_of(&total, &trades, candles);
        let ledger = wanted.ledger.then(|| Ledger { trades: trades.into_iter().cloned().collect(), daily_equity });
        Ok(Outcome { performance, per_symbol, daily_returns, trades_digest: digest.value(), ledger })
    }

    fn run_symbol(
        &self,
        strategy: &Strategy,
        window: &Window,
        symbol: usize,
        costs: &Costs,
    ) -> Result<SleeveRun, EvaluationError> {
        let symbols = window.symbols();
        let data = symbols
            .get(symbol)
            .ok_or_else(|| EvaluationError::Invalid(format!("the window has no symbol number {symbol}")))?;
        if strategy.timeframe < window.interval() {
            return Err(EvaluationError::TimeframeTooFine { strategy: strategy.timeframe, window: window.interval() });
        }
        let base: Cow<'_, CandleSeries> = if strategy.timeframe == window.interval() {
            Cow::Borrowed(&data.candles)
        } else {
            Cow::Owned(resample::resample(&data.candles, strategy.timeframe)?)
        };
        let finer = [data.finer.as_ref(), Some(&data.candles)]
            .into_iter()
            .flatten()
            .map(AsRef::as_ref)
            .find(|candles| candles.interval() < strategy.timeframe);
        let first = base.open_times_ms().partition_point(|&t| t < window.from_ms());
        let market = Market { symbol: &data.symbol, candles: &base, first, finer, funding: &data.funding };
        let capital = self.config.initial_capital / symbols.len() as f64;
        let mut columns = signal::Columns::new(&base, &data.candles);
        let atrs = signal::Atrs::new(strategy, &costs.slippage, &mut columns)?;
        let signals = signal::Signals::new(strategy, first, &atrs, &mut columns)?;
        let run = execution::simulate(&strategy.risk, costs, market, &signals, &atrs, capital);
        let closes_ms = (first..base.len()).map(|i| base.close_time_ms(i) + 1);
        let curve = Curve { start: (window.from_ms(), capital), steps: closes_ms.zip(run.equity).collect() };
        Ok(SleeveRun { symbol, trades: run.trades, curve })
    }
}

/// One sleeve's trades and equity.
struct SleeveRun {
    symbol: usize,
    trades: Vec<Trade>,
    curve: Curve,
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
