//! Evidence in, a decision with its reasons out: the seam behind which gates are exchanged.

use super::{State, Transition};
use crate::engine::Performance;
use serde::{Deserialize, Serialize};

/// What a strategy did on paper since it entered shadow (or went live).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ShadowEvidence {
    /// Over the candles since `from_ms`, which no search has seen.
    pub performance: Performance,
    /// First candle counted, UTC ms.
    pub from_ms: i64,
    /// End of the last candle counted, UTC ms (exclusive).
    pub to_ms: i64,
    /// Trades closed by the strategy itself (not by the window's end).
    pub closed_trades: u32,
}

/// Everything a gate may look at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GateEvidence {
    /// In sample: the window the search saw.
    pub backtest: Option<Performance>,
    /// The hold-out part that the search never saw.
    pub holdout: Option<Performance>,
    /// Since shadow began.
    pub shadow: Option<ShadowEvidence>,
    /// Since it went live.
    pub live: Option<ShadowEvidence>,
    /// How often it was demoted from live before.
    pub demotions: u32,
}

/// One requirement: what it needed, what there was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// Name, such as `holdout.profit_factor`.
    pub name: String,
    /// Requirement in words, such as `>= 1.5`.
    pub needed: String,
    /// What there was; `None` when undefined.
    pub had: Option<f64>,
    /// Whether it holds.
    pub passed: bool,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Stay in this state.
    Hold,
    /// Move.
    Move(Transition),
}

/// A verdict with its reasons as data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// What to do.
    pub verdict: Verdict,
    /// One sentence for people.
    pub summary: String,
    /// Every requirement looked at, in order.
    pub checks: Vec<Check>,
}

/// A policy: from state and evidence to a decision. Implementations are pure.
pub trait Gate: Send + Sync {
    /// Name and version of the policy, stored with each decision.
    fn name(&self) -> &str;
    /// Decides.
    fn decide(&self, state: State, evidence: &GateEvidence) -> Decision;
}
