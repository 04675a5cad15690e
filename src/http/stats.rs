//! `GET /sg-ai/stats`: the snapshot in numbers, in its own wire form.

use super::snapshot::{Passed, Snapshot};
use candles::time::rfc3339;
use lifecycle::State;
use serde::Serialize;
use std::collections::BTreeMap;

/// The whole answer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Stats {
    /// Strategies now in each state, by name.
    pub strategies: BTreeMap<&'static str, u64>,
    /// Strategies that ever reached each state, by name.
    pub reached: BTreeMap<&'static str, u64>,
    /// Transitions ever, by kind.
    pub transitions: BTreeMap<String, u64>,
    /// Disabled strategies, by reason.
    pub disabled: BTreeMap<String, u64>,
    /// Search sessions ever.
    pub sessions: u64,
    /// Generations ever.
    pub generations: u64,
    /// Strategies evaluated ever.
    pub evaluations: u64,
    /// Backtests that failed, ever.
    pub failed_backtests: u64,
    /// When the newest generation was stored.
    pub last_generation: Option<String>,
    /// The latest generation of each island.
    pub islands: Vec<IslandStats>,
    /// Median profit factor in shadow; null while undefined.
    pub shadow_profit_factor: Option<f64>,
    /// Real sessions beside those of the placebo island.
    pub protocol: ProtocolStats,
    /// Dead letters that nobody dealt with.
    pub open_dead_letters: u64,
    /// Notifications waiting and given up.
    pub outbox: OutboxStats,
    /// Where each feed of candles stands.
    pub feeds: Vec<FeedStats>,
    /// Where the live tail stands; null where `market.stream` is off.
    pub stream: Option<StreamStats>,
    /// Where each runner stands.
    pub runners: Vec<RunnerStats>,
}

/// The latest generation of an island.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct IslandStats {
    pub island: String,
    pub session: u64,
    pub generation: u32,
    pub best_fitness: Option<f64>,
    pub stored_at: Option<String>,
}

/// Real sessions beside sessions on null markets, through the same code and gates.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct ProtocolStats {
    pub real: PassedStats,
    pub placebo: PassedStats,
    pub null_searches: u64,
    pub null_evaluations: u64,
    /// Small when real sessions get through more often than placebo ones; null while nothing got through.
    pub p_value: Option<f64>,
    pub promotions_frozen: bool,
}

/// How far sessions of one kind got.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct PassedStats {
    pub sessions: u64,
    pub beat_null_searches: u64,
    pub entered_shadow: u64,
    pub promoted: u64,
}

impl From<Passed> for PassedStats {
    fn from(p: Passed) -> Self {
        Self { sessions: p.sessions, beat_null_searches: p.selected, entered_shadow: p.entered, promoted: p.promoted }
    }
}

/// Notifications.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct OutboxStats {
    pub pending: u64,
    pub dead: u64,
}

/// A feed of candles.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct FeedStats {
    pub symbol: String,
    pub interval: String,
    pub newest_close: Option<String>,
    pub behind_s: Option<f64>,
    pub refreshed_at: Option<String>,
    pub gaps: u64,
    pub error: Option<String>,
}

/// The live tail of candles.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct StreamStats {
    pub connected: bool,
    /// Close time of the newest candle that it told.
    pub last_candle: Option<String>,
    pub reconnects: u64,
    pub last_connected: Option<String>,
    pub heartbeat: Option<String>,
    pub error: Option<String>,
}

/// A runner.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct RunnerStats {
    pub name: String,
    pub last_success: Option<String>,
    pub heartbeat: Option<String>,
    pub consecutive_failures: u32,
    pub last_error: Option<String>,
}

impl From<Snapshot> for Stats {
    fn from(s: Snapshot) -> Self {
        let by_name = |counts: &BTreeMap<State, u64>| {
            State::ALL.into_iter().map(|state| (state.name(), counts.get(&state).copied().unwrap_or(0))).collect()
        };
        let islands = s.islands.into_iter().map(|i| IslandStats {
            island: i.name,
            session: i.session,
            generation: i.generation,
            best_fitness: i.best_fitness,
            stored_at: rfc3339(i.stored_ms),
        });
        let feeds = s.feeds.into_iter().map(|f| FeedStats {
            behind_s: f.behind_s(),
            symbol: f.name,
            interval: f.interval,
            newest_close: f.newest_close_ms.and_then(rfc3339),
            refreshed_at: rfc3339(f.refreshed_ms),
            gaps: f.gaps,
            error: f.error,
        });
        let runners = s.runners.into_iter().map(|r| RunnerStats {
            name: r.name,
            last_success: r.last_success_ms.and_then(rfc3339),
            heartbeat: rfc3339(r.heartbeat_ms),
            consecutive_failures: r.consecutive_failures,
            last_error: r.last_error,
        });
        Self {
            strategies: by_name(&s.strategies),
            reached: by_name(&s.reached),
            transitions: s.transitions,
            disabled: s.disabled,
            sessions: s.trials.sessions,
            generations: s.trials.generations,
            evaluations: s.trials.evaluations,
            failed_backtests: s.trials.failures,
            last_generation: s.last_generation_ms.and_then(rfc3339),
            islands: islands.collect(),
            shadow_profit_factor: s.shadow_profit_factor,
            protocol: ProtocolStats {
                real: s.protocol.real.into(),
                placebo: s.protocol.placebo.into(),
                null_searches: s.protocol.null_searches,
                null_evaluations: s.protocol.null_evaluations,
                p_value: s.protocol.p_value,
                promotions_frozen: s.protocol.frozen,
            },
            open_dead_letters: s.open_dead_letters,
            outbox: OutboxStats { pending: s.outbox_pending, dead: s.outbox_dead },
            feeds: feeds.collect(),
            stream: s.stream.map(|t| StreamStats {
                connected: t.connected,
                last_candle: t.last_candle_ms.and_then(rfc3339),
                reconnects: t.reconnects,
                last_connected: t.last_connected_ms.and_then(rfc3339),
                heartbeat: rfc3339(t.heartbeat_ms),
                error: t.error,
            }),
            runners: runners.collect(),
        }
    }
}
