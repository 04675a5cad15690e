//! What is told to people: notices as data, stored in the outbox and rendered when they are sent.

use super::Channel;
use lifecycle::{Check, DisableReason, State, Transition};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use store::{NewEvent, TransitionRecord};

/// Something worth telling.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "notice", rename_all = "snake_case", deny_unknown_fields)]
pub enum Notice {
    /// A strategy went live.
    Promotion(Moved),
    /// A live strategy went back to shadow.
    Demotion(Moved),
    /// A shadow or live strategy was disabled.
    Disabled(Moved),
    /// Something keeps failing.
    SystemError(Trouble),
    /// A live strategy does not do what was expected of it.
    Drift(Drifted),
    /// A model began to fail or to drift, or no longer does.
    Model(ModelTold),
    /// What a day brought.
    DailySummary(Day),
}

/// A strategy that changed its state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Moved {
    /// Id of the strategy.
    pub strategy_id: String,
    /// Its name.
    pub name: String,
    /// Its rules in text form.
    pub text: String,
    /// The state before.
    pub from: State,
    /// The state after.
    pub to: State,
    /// Why it was disabled.
    pub reason: Option<DisableReason>,
    /// The decision in a sentence.
    pub summary: String,
    /// What was required and what there was.
    pub checks: Vec<Check>,
    /// Market time of the decision, UTC ms.
    pub market_time_ms: i64,
}

/// A part of the daemon that keeps failing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trouble {
    /// Name of the loop.
    pub step: String,
    /// The chain of causes.
    pub error: String,
    /// Failures in a row.
    pub failures: u32,
    /// Wall time, UTC ms.
    pub at_ms: i64,
}

/// A drift alert that was opened, or that has become critical.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Drifted {
    /// Id of the strategy.
    pub strategy_id: String,
    /// Its name.
    pub name: String,
    /// Number of the alert, for `sg-ai drift acknowledge`.
    pub alert: i64,
    /// `sharpe`, `return`, `drawdown`, `winrate` or `volatility`.
    pub figure: String,
    /// `warning` or `critical`.
    pub severity: String,
    /// What backtest and shadow let expect.
    pub expected: f64,
    /// What there was.
    pub observed: f64,
    /// `monitor`, `reduce_allocation` or `deactivate`.
    pub action: String,
    /// Market time of the reading, UTC ms.
    pub market_time_ms: i64,
}

/// A model that changed its state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelTold {
    /// Its name.
    pub model: String,
    /// `ok`, `young`, `drifting`, `failing` or `gone`.
    pub state: String,
    /// The same before; `None` where it was not there.
    pub was: Option<String>,
    /// Why it fails, or what has drifted.
    pub reason: Option<String>,
    /// Names of the strategies that ask it.
    pub strategies: Vec<String>,
    /// Market time of the look, UTC ms.
    pub market_time_ms: i64,
}

/// A day in numbers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Day {
    /// The day that ended, UTC, `2025-11-29`.
    pub date: String,
    /// Strategies now in each state.
    pub strategies: BTreeMap<State, u64>,
    /// Transitions of the last 24 hours, by kind.
    pub transitions: BTreeMap<String, u64>,
    /// Best fitness of the latest generation of any island.
    pub best_fitness: Option<f64>,
    /// Generations ever.
    pub generations: u64,
    /// Strategies evaluated ever.
    pub evaluations: u64,
    /// Dead letters that nobody dealt with.
    pub open_dead_letters: u64,
    /// Open drift alerts.
    #[serde(default)]
    pub open_drift_alerts: u64,
    /// Percent of the capital that live strategies have.
    #[serde(default)]
    pub allocated_pct: f64,
    /// What the daily review found, a line each.
    #[serde(default)]
    pub review: Vec<String>,
    /// The newest book, in a line.
    #[serde(default)]
    pub book: Option<String>,
    /// Number and hash of the newest audit entry: a copy outside the database, against which a cut-off tail shows.
    pub audit_head: Option<String>,
}

impl Notice {
    /// The notice of a transition, if it is one that people are told of: going live, demotion, and the disabling of
    /// what had been in shadow or live. Candidates are rejected by the dozen and are not.
    #[must_use]
    pub fn of_transition(record: &TransitionRecord, name: &str, text: &str) -> Option<Self> {
        let (from, to) = (record.transition.from(), record.transition.to());
        let reason = match record.transition {
            Transition::Disable { reason, .. } => Some(reason),
            _ => None,
        };
        let moved = Moved {
            strategy_id: record.strategy_id.to_string(),
            name: name.to_owned(),
            text: text.to_owned(),
            from,
            to,
            reason,
            summary: record.summary.clone(),
            checks: record.decision.as_ref().map(|decision| decision.checks.clone()).unwrap_or_default(),
            market_time_ms: record.at_market_ms,
        };
        match record.transition {
            Transition::GoLive => Some(Self::Promotion(moved)),
            Transition::Demote => Some(Self::Demotion(moved)),
            Transition::Disable { from: State::Shadow | State::Live, .. } => Some(Self::Disabled(moved)),
            Transition::Disable { .. } | Transition::EnterShadow | Transition::Revive => None,
        }
    }

    /// Its kind in the outbox.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Promotion(_) => "promotion",
            Self::Demotion(_) => "demotion",
            Self::Disabled(_) => "disabled",
            Self::SystemError(_) => "system_error",
            Self::Drift(_) => "drift",
            Self::Model(_) => "model",
            Self::DailySummary(_) => "daily_summary",
        }
    }

    /// One event for each channel. Events of one key are stored once however often they are made.
    #[must_use]
    pub fn events(&self, key: &str, channels: &[Channel]) -> Vec<NewEvent> {
        // Plain data with text keys: it always serialises.
        let payload = serde_json::to_value(self).unwrap_or_default();
        let event = |channel: &Channel| NewEvent {
            key: key.to_owned(),
            kind: self.kind().to_owned(),
            channel: channel.name().to_owned(),
            payload: payload.clone(),
        };
        channels.iter().map(event).collect()
    }
}

impl Trouble {
    /// One key an hour and step: what fails all night is told of each hour, not each minute.
    #[must_use]
    pub fn key(&self) -> String {
        format!("system_error:{}:{}", self.step, self.at_ms.div_euclid(3_600_000))
    }
}

impl Day {
    /// One key a day.
    #[must_use]
    pub fn key(&self) -> String {
        format!("daily_summary:{}", self.date)
    }
}
