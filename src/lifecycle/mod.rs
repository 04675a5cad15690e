//! (state, evidence, policy) -> decision with reasons. Pure: never runs a backtest, never writes, no clock.

mod allocation;
#[cfg(test)]
mod allocation_tests;
mod decision;
mod drift;
mod state;
mod staying;
#[cfg(test)]
mod tests;
mod threshold_gate;
mod thresholds;

pub use allocation::{
    AllocationPlan, AllocationPolicy, DeploymentFacts, DeploymentStatus, Phase, PlannedDeployment, RiskLimits, plan,
};
pub use decision::{Check, Decision, Gate, GateEvidence, RecentTrades, ShadowEvidence, Verdict};
pub use drift::{
    DriftAction, DriftConfig, DriftKind, DriftReading, DriftSeverity, Expectation, Observation,
    readings as drift_readings,
};
pub use state::{DisableReason, IllegalTransition, State, Transition};
pub use staying::{DetectorReading, StayingConfig, StayingDetectors, StayingLevel, StayingVerdict, staying};
pub use threshold_gate::ThresholdGate;
pub use thresholds::{ThresholdError, Thresholds};
