//! Paper trading: runs, deployments with their days, drift, and the regimes of markets. Trades nothing.

mod days;
pub(crate) mod deployments;
mod drift;
mod regimes;
mod runs;

pub use days::PaperDays;
pub use deployments::{Deployment, DeploymentChange, LiveDay, LiveRow, PerformanceDay, total_pct};
pub use drift::{AlertOutcome, DriftAlert, DriftReading};
pub use regimes::{NewVolatilityRegime, RegimeChange, VolatilityRegimeRow};
pub use runs::{ActivePaperRun, PaperPass, PaperRun, PassOutcome, ProvingDays};
pub(crate) use runs::{TradeColumns, correct_pass, from_word, of_strategy, switch_run, word};
