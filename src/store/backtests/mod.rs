//! Backtests as they were run: runs with their trades, results as other systems read them, those of the service, and
//! optimisations. Runs nothing.

pub(crate) mod optimizations;
pub(crate) mod results;
pub(crate) mod runs;
pub(crate) mod service;

pub use optimizations::{NewOptimization, NewPoint, Optimization, OptimizationLine, OptimizationPoint};
pub use results::{BacktestRow, NewResult, Parameters};
pub use runs::{BacktestRun, NewRun, NewWindow, OptimizationRun, RunStatus, RunTrade, Segment, WalkForwardWindow};
pub use service::{
    NewServiceBacktest, PortfolioBacktest, RemovedOfClients, SERVICE_KIND, ServiceBacktest, ServiceBacktestLine,
};
