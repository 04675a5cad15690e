//! (state, evidence, policy) -> decision with reasons. Pure: never runs a backtest, never writes, no clock.

mod decision;
mod state;

pub use decision::{Check, Decision, Gate, GateEvidence, ShadowEvidence, Verdict};
pub use state::{DisableReason, IllegalTransition, State, Transition};
