//! A decision with its reasons: the seam behind which gates are exchanged.

use super::{DisableReason, GateEvidence, State, Transition, figure, needed, requirement};
use serde::{Deserialize, Serialize};
use std::fmt;

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

impl fmt::Display for Check {
    /// One line: `ok  Hold-out profit factor: 1.42, needed >= 1.3`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = if self.passed { "ok " } else { "no " };
        // Few digits for people; the stored value keeps every bit.
        let had = self.had.map_or_else(|| "undefined".to_owned(), figure);
        write!(f, "{mark} {}: {had}, needed {}", requirement(&self.name), needed(&self.needed))
    }
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

impl Decision {
    /// To stay.
    pub(super) fn hold(summary: impl Into<String>, checks: Vec<Check>) -> Self {
        Self { verdict: Verdict::Hold, summary: summary.into(), checks }
    }

    /// To move.
    pub(super) fn go(transition: Transition, summary: impl Into<String>, checks: Vec<Check>) -> Self {
        Self { verdict: Verdict::Move(transition), summary: summary.into(), checks }
    }

    /// To wait for those of the named measurements that are not there yet.
    pub(super) fn wait(summary: &str, measured: &[(&str, bool)]) -> Self {
        let missing = measured.iter().filter(|(_, is_there)| !is_there).map(|(name, _)| Check {
            name: (*name).into(),
            needed: "measured".into(),
            had: None,
            passed: false,
        });
        Self::hold(summary, missing.collect())
    }

    /// Of a candidate that was measured: to shadow where every check holds, or else to nowhere.
    pub(super) fn of_candidate((passed, missed): (String, String), checks: Vec<Check>) -> Self {
        let failed = checks.iter().filter(|c| !c.passed).count();
        if failed == 0 {
            return Self::go(Transition::EnterShadow, passed, checks);
        }
        let reject = Transition::Disable { from: State::Candidate, reason: DisableReason::Rejected };
        Self::go(reject, format!("Rejected: misses {failed} of {} requirements: {missed}", checks.len()), checks)
    }

    /// Whatever the evidence.
    pub(super) fn stays_disabled() -> Self {
        Self::hold("stays disabled until an operator revives it", Vec::new())
    }
}

/// A policy: from evidence, which says the state, to a decision. Implementations are pure.
pub trait Gate: Send + Sync {
    /// Name and version of the policy, stored with each decision.
    fn name(&self) -> &str;
    /// Decides.
    fn decide(&self, evidence: &GateEvidence) -> Decision;
}
