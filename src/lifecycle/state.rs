//! States and the transitions between them. The table is the type: nothing else can be built.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// Where a strategy is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum State {
    Candidate,
    Shadow,
    Live,
    Disabled,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 4] = [Self::Candidate, Self::Shadow, Self::Live, Self::Disabled];

    /// The name in Postgres, metrics and JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Candidate => "candidate",
            Self::Shadow => "shadow",
            Self::Live => "live",
            Self::Disabled => "disabled",
        }
    }

    /// Whether a strategy in it is followed on paper.
    #[must_use]
    pub const fn trades_on_paper(self) -> bool {
        matches!(self, Self::Shadow | Self::Live)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
impl FromStr for State {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|s| s.name() == text)
            .ok_or_else(|| format!("unknown state {text:?}; expected candidate, shadow, live or disabled"))
    }
}

/// Why a strategy is disabled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DisableReason {
    /// Failed for good in shadow.
    Failed,
    /// Never passed the candidate gate.
    Rejected,
    /// Was live and broke a limit.
    Deactivated,
    /// Replaced by something better.
    Deprecated,
    /// An operator said so.
    Operator,
}

impl DisableReason {
    /// Every reason.
    pub const ALL: [Self; 5] = [Self::Failed, Self::Rejected, Self::Deactivated, Self::Deprecated, Self::Operator];

    /// The name in Postgres and JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Rejected => "rejected",
            Self::Deactivated => "deactivated",
            Self::Deprecated => "deprecated",
            Self::Operator => "operator",
        }
    }
}

/// A legal move from one state to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Transition {
    /// candidate -> shadow.
    EnterShadow,
    /// shadow -> live.
    GoLive,
    /// live -> shadow, on probation.
    Demote,
    /// candidate, shadow or live -> disabled.
    Disable {
        /// The state it leaves: never `Disabled`.
        from: State,
        /// Why.
        reason: DisableReason,
    },
    /// disabled -> candidate, by an operator.
    Revive,
}

/// A move that the table does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a strategy cannot go from {from} to {to}")]
#[allow(missing_docs)]
pub struct IllegalTransition {
    pub from: State,
    pub to: State,
}

impl Transition {
    /// The move from one state to another. `reason` is needed to disable and ignored otherwise.
    ///
    /// # Errors
    /// When the table has no such move.
    pub fn between(from: State, to: State, reason: DisableReason) -> Result<Self, IllegalTransition> {
        Ok(match (from, to) {
            (State::Candidate, State::Shadow) => Self::EnterShadow,
            (State::Shadow, State::Live) => Self::GoLive,
            (State::Live, State::Shadow) => Self::Demote,
            (State::Candidate | State::Shadow | State::Live, State::Disabled) => Self::Disable { from, reason },
            (State::Disabled, State::Candidate) => Self::Revive,
            _ => return Err(IllegalTransition { from, to }),
        })
    }

    /// The state before.
    #[must_use]
    pub const fn from(self) -> State {
        match self {
            Self::EnterShadow => State::Candidate,
            Self::GoLive => State::Shadow,
            Self::Demote => State::Live,
            Self::Disable { from, .. } => from,
            Self::Revive => State::Disabled,
        }
    }

    /// The state after.
    #[must_use]
    pub const fn to(self) -> State {
        match self {
            Self::EnterShadow | Self::Demote => State::Shadow,
            Self::GoLive => State::Live,
            Self::Disable { .. } => State::Disabled,
            Self::Revive => State::Candidate,
        }
    }
}
