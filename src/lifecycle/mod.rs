//! (state, evidence, policy) -> decision with reasons. Pure: never runs a backtest, never writes, no clock.

mod decision;
mod state;
mod staying;
#[cfg(test)]
mod tests;
mod threshold_gate;
mod thresholds;

pub use decision::{Check, Decision, Gate, GateEvidence, RecentTrades, ShadowEvidence, Verdict};
pub use state::{DisableReason, IllegalTransition, State, Transition};
pub use staying::{DetectorReading, StayingConfig, StayingDetectors, StayingLevel, StayingVerdict, staying};
pub use threshold_gate::ThresholdGate;
pub use thresholds::{ThresholdError, Thresholds};
