//! `GET /sg-ai/stats`: the snapshot in numbers, in its own wire form.

use super::snapshot::{Passed, Snapshot};
use candles::time::rfc3339;
use lifecycle::State;
use serde::Serialize;
use std::collections::BTreeMap;

/// The whole answer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Stats {
    /// Whether the market is simulated: nothing here says anything about real money then.
    pub(crate) simulated: bool,
    /// Strategies now in each state, by name.
    pub(crate) strategies: BTreeMap<&'static str, u64>,
    /// Strategies that ever reached each state, by name.
    pub(crate) reached: BTreeMap<&'static str, u64>,
    /// Transitions ever, by kind.
    pub(crate) transitions: BTreeMap<String, u64>,
    /// Strategies that went live in the last 30 days of market time.
    pub(crate) promoted_lately: u64,
    /// Strategies that were demoted in these.
    pub(crate) demoted_lately: u64,
    /// Disabled strategies, by reason.
    pub(crate) disabled: BTreeMap<String, u64>,
    /// Search sessions ever.
    pub(crate) sessions: u64,
    /// Generations ever.
    pub(crate) generations: u64,
    /// Strategies evaluated ever.
    pub(crate) evaluations: u64,
    /// Backtests that failed, ever.
    pub(crate) failed_backtests: u64,
    /// When the newest generation was stored.
    pub(crate) last_generation: Option<String>,
    /// The latest generation of each island.
    pub(crate) islands: Vec<IslandStats>,
    /// Median profit factor in shadow; null while undefined.
    pub(crate) shadow_profit_factor: Option<f64>,
    /// Real sessions beside those of the placebo island.
    pub(crate) protocol: ProtocolStats,
    /// Dead letters that nobody dealt with.
    pub(crate) open_dead_letters: u64,
    /// Notifications waiting and given up.
    pub(crate) outbox: OutboxStats,
    /// Where each feed of candles stands.
    pub(crate) feeds: Vec<FeedStats>,
    /// Where the live tail stands; null where `market.stream` is off.
    pub(crate) stream: Option<StreamStats>,
    /// Where each runner stands.
    pub(crate) runners: Vec<RunnerStats>,
}

/// The latest generation of an island.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs)]
pub(crate) struct IslandStats {
    pub(crate) island: String,
    pub(crate) session: u64,
    pub(crate) generation: u32,
    pub(crate) best_fitness: Option<f64>,
    pub(crate) mean_fitness: Option<f64>,
    pub(crate) stored_at: Option<String>,
}

/// Real sessions beside sessions on null markets, through the same code and gates.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs)]
pub(crate) struct ProtocolStats {
    pub(crate) real: PassedStats,
    pub(crate) placebo: PassedStats,
    pub(crate) null_searches: u64,
    pub(crate) null_evaluations: u64,
    /// Small when real sessions get through more often than placebo ones; null while nothing got through.
    pub(crate) p_value: Option<f64>,
    pub(crate) promotions_frozen: bool,
    /// The account that tests of candidates are bought from; null before the first session.
    pub(crate) tests: Option<TestStats>,
}

/// What tests of candidates cost now, and what was spent.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs)]
pub(crate) struct TestStats {
    /// E-value of hold-out and shadow together at which a candidate goes live whose test is bought now; null while none is
    /// sold.
    pub(crate) promotion_threshold: Option<f64>,
    /// The same with a full account: the least that is ever asked.
    pub(crate) least_threshold: f64,
    /// What is there, spent and allowed, in expected false promotions.
    pub(crate) balance: f64,
    pub(crate) spent_last_year: f64,
    pub(crate) allowed_per_year: f64,
    pub(crate) bought_last_year: u64,
    /// When tests are sold again, in market time; null while they are.
    pub(crate) sells: Option<String>,
    /// When the account is full, in market time; null while it is.
    pub(crate) full: Option<String>,
}

/// How far sessions of one kind got.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[allow(missing_docs)]
pub(crate) struct PassedStats {
    pub(crate) sessions: u64,
    pub(crate) beat_null_searches: u64,
    pub(crate) entered_shadow: u64,
    pub(crate) promoted: u64,
}

impl From<Passed> for PassedStats {
    fn from(p: Passed) -> Self {
        Self { sessions: p.sessions, beat_null_searches: p.selected, entered_shadow: p.entered, promoted: p.promoted }
    }
}

/// Notifications.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs)]
pub(crate) struct OutboxStats {
    pub(crate) pending: u64,
    pub(crate) dead: u64,
}

/// A feed of candles.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs)]
pub(crate) struct FeedStats {
    pub(crate) symbol: String,
    pub(crate) interval: String,
    pub(crate) newest_close: Option<String>,
    pub(crate) behind_s: Option<f64>,
    pub(crate) refreshed_at: Option<String>,
    pub(crate) gaps: u64,
    pub(crate) error: Option<String>,
}

/// The live tail of candles.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs)]
pub(crate) struct StreamStats {
    pub(crate) connected: bool,
    /// Close time of the newest candle that it told.
    pub(crate) last_candle: Option<String>,
    pub(crate) reconnects: u64,
    pub(crate) last_connected: Option<String>,
    pub(crate) heartbeat: Option<String>,
    pub(crate) error: Option<String>,
}

/// A runner.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs)]
pub(crate) struct RunnerStats {
    pub(crate) name: String,
    pub(crate) last_success: Option<String>,
    pub(crate) heartbeat: Option<String>,
    pub(crate) consecutive_failures: u32,
    pub(crate) last_error: Option<String>,
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
            mean_fitness: i.mean_fitness,
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
            simulated: s.simulated,
            strategies: by_name(&s.strategies),
            reached: by_name(&s.reached),
            transitions: s.transitions,
            promoted_lately: s.moved_lately[0],
            demoted_lately: s.moved_lately[1],
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
                tests: s.protocol.tests.map(|t| TestStats {
                    promotion_threshold: t.promotion_threshold,
                    least_threshold: t.least_threshold,
                    balance: t.balance,
                    spent_last_year: t.spent_last_year,
                    allowed_per_year: t.allowed_per_year,
                    bought_last_year: t.bought_last_year,
                    sells: t.sells_ms.and_then(rfc3339),
                    full: t.full_ms.and_then(rfc3339),
                }),
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
