//! (state, evidence, policy) -> decision with reasons. Pure: never runs a backtest, never writes, no clock.

mod allocation;
mod allocation_policy;
#[cfg(test)]
mod allocation_tests;
mod checks;
mod decision;
mod drift;
mod edge_decay;
mod gate_evidence;
#[cfg(test)]
mod golden_tests;
mod progress;
mod protocol_checks;
mod protocol_gate;
mod state;
mod summaries;
#[cfg(test)]
mod tests;
mod threshold_gate;
mod thresholds;
mod version;
mod words;

pub use allocation::{AllocationPlan, DeploymentFacts, PlannedDeployment, plan};
pub use allocation_policy::{AllocationPolicy, DeploymentStatus, Phase, RiskLimits};
pub use decision::{Check, Decision, Gate, Verdict};
pub use drift::{
    DriftAction, DriftConfig, DriftKind, DriftReading, DriftSeverity, Expectation, Observation,
    readings as drift_readings,
};
pub use edge_decay::{
    DetectorReading, EdgeDecayConfig, EdgeDecayDetectors, EdgeDecayLevel, EdgeDecayVerdict, results_in_risk, staying,
};
pub use gate_evidence::{
    CandidateEvidence, EValues, GateEvidence, LiveEvidence, PaperEvidence, ProtocolEvidence, RecentTrades,
    ShadowEvidence, Tested,
};
pub use progress::{Expected, Progress};
pub use protocol_checks::{backtest_misses, needed_of_shadow, promotion_level};
pub use protocol_gate::ProtocolGate;
pub use state::{DisableReason, IllegalTransition, State, Transition};
pub use threshold_gate::ThresholdGate;
pub use thresholds::{Policy, ThresholdError, Thresholds};
pub use version::{ParseVersionError, Version, VersionStep};
pub use words::{figure, needed, requirement};

use std::sync::Arc;

/// The gate that `thresholds.policy` names.
///
/// # Errors
/// The first limit that makes no sense.
pub fn gate(thresholds: &Thresholds) -> Result<Arc<dyn Gate>, ThresholdError> {
    Ok(match thresholds.policy {
        Policy::Protocol => Arc::new(ProtocolGate::new(thresholds.clone())?),
        Policy::Thresholds => Arc::new(ThresholdGate::new(thresholds.clone())?),
    })
}
