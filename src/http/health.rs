//! Whether the daemon does its work: a pure judgement of a snapshot, and its wire form.
//!
//! Judges progress, not profit. Reads nothing itself.

use super::health_of_models::models;
use super::health_of_work::work;
use super::snapshot::{CONTINUOUS_RUNNER, Runner, SHADOW_RUNNER, Snapshot, age_s};
use candles::time::rfc3339;
use serde::Serialize;

/// How one thing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Status {
    /// As it should be.
    Healthy,
    /// Cannot be told, because something else is broken.
    Unknown,
    /// Late or partly failing; goes on.
    Degraded,
    /// Does not do its work.
    Unhealthy,
}

/// How one thing is, and why.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Check {
    /// How it is.
    pub(crate) status: Status,
    /// Why, for people.
    pub(crate) detail: String,
    /// How old its newest sign of progress is, seconds; null where there is none.
    pub(crate) age_s: Option<f64>,
}

/// Every check, by name.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs)]
pub(crate) struct Checks {
    pub(crate) process: Check,
    pub(crate) database: Check,
    pub(crate) candles: Check,
    pub(crate) generations: Check,
    pub(crate) shadow: Check,
    pub(crate) promotions: Check,
    pub(crate) stream: Check,
    /// Absent where no work is shared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) work: Option<Check>,
    /// Absent where there is no model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) models: Option<Check>,
}

/// The whole answer of `GET /sg-ai/health`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Health {
    /// The worst of the checks.
    pub(crate) status: Status,
    /// When the newest generation was stored, `2025-11-29T20:45:00Z`; null before the first.
    pub(crate) last_generation: Option<String>,
    /// Version of the program.
    pub(crate) version: &'static str,
    /// Time since the process started, seconds.
    pub(crate) uptime_s: f64,
    /// What the status rests on.
    pub(crate) checks: Checks,
}

/// How long progress may take before it counts as late.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Between two search sessions, seconds.
    pub generation_interval_s: u64,
    /// Between two extensions of paper trading, which also refresh the candles, seconds. Where paper trading never ran
    /// the search refreshes them, once in its own interval.
    pub shadow_interval_s: u64,
    /// How long whoever takes shared work has it without being heard of, seconds; `None` where no work is shared.
    pub work_lease_s: Option<u64>,
}

/// Nothing is late before this, however short its period, seconds: a busy machine is not a broken one.
pub(super) const LEAST_PATIENCE_S: f64 = 60.0;

/// Judges what was read; `Err` says why nothing could be read.
#[must_use]
pub(crate) fn assess(read: &Result<Snapshot, String>, limits: Limits, started_ms: i64, now_ms: i64) -> Health {
    let uptime_s = age_s(now_ms, started_ms);
    let process = Check { status: Status::Healthy, detail: format!("up for {}", span(uptime_s)), age_s: None };
    let checks = match read {
        Err(why) => {
            let unknown =
                || Check { status: Status::Unknown, detail: "the database did not answer".into(), age_s: None };
            let database = Check { status: Status::Unhealthy, detail: why.clone(), age_s: None };
            let (candles, generations, shadow, promotions) = (unknown(), unknown(), unknown(), unknown());
            Checks {
                process,
                database,
                candles,
                generations,
                shadow,
                promotions,
                stream: unknown(),
                work: None,
                models: None,
            }
        }
        Ok(snapshot) => Checks {
            process,
            database: database(snapshot),
            candles: candles(snapshot, limits, uptime_s, now_ms),
            generations: generations(snapshot, limits, uptime_s, now_ms),
            shadow: shadow(snapshot, limits, uptime_s, now_ms),
            promotions: promotions(snapshot),
            stream: stream(snapshot, limits, uptime_s, now_ms),
            work: work(snapshot, limits),
            models: models(snapshot, now_ms),
        },
    };
    let all = [&checks.process, &checks.database, &checks.candles, &checks.generations, &checks.shadow];
    let status = all
        .into_iter()
        .chain([&checks.promotions, &checks.stream])
        .chain(&checks.work)
        .chain(&checks.models)
        .map(|check| check.status)
        .max()
        .unwrap_or(Status::Unknown);
    let last_generation = read.as_ref().ok().and_then(|snapshot| snapshot.last_generation_ms).and_then(rfc3339);
    Health { status, last_generation, version: env!("CARGO_PKG_VERSION"), uptime_s, checks }
}

/// A database that answers and can store nothing is none to work with.
fn database(snapshot: &Snapshot) -> Check {
    let (status, detail) = match &snapshot.lacks_room {
        None => (Status::Healthy, "answers".to_owned()),
        Some(why) => (Status::Unhealthy, format!("answers, but {why}")),
    };
    Check { status, detail, age_s: None }
}

/// Late after two periods, not working after four. A process that just started is given that time, too.
fn lateness(age_s: Option<f64>, period_s: f64, uptime_s: f64) -> Status {
    let waited_s = age_s.unwrap_or(f64::INFINITY).min(uptime_s);
    if waited_s > (4.0 * period_s).max(2.0 * LEAST_PATIENCE_S) {
        Status::Unhealthy
    } else if waited_s > (2.0 * period_s).max(LEAST_PATIENCE_S) {
        Status::Degraded
    } else {
        Status::Healthy
    }
}

fn candles(snapshot: &Snapshot, limits: Limits, uptime_s: f64, now_ms: i64) -> Check {
    let by_shadow = runner(snapshot, SHADOW_RUNNER).is_some();
    let period_s = if by_shadow { limits.shadow_interval_s } else { limits.generation_interval_s } as f64;
    let mut worst = Check { status: Status::Healthy, detail: String::new(), age_s: None };
    for feed in &snapshot.feeds {
        let (behind_s, refresh_age_s) = (feed.behind_s(), feed.refresh_age_s(now_ms));
        let interval_s = feed.interval_ms as f64 / 1000.0;
        let at_refresh = match (&feed.error, behind_s) {
            (None, Some(behind_s)) if behind_s > 8.0 * interval_s => Status::Unhealthy,
            (None, Some(behind_s)) if behind_s > 2.0 * interval_s => Status::Degraded,
            (None, _) => Status::Healthy,
            (Some(_), _) => Status::Degraded,
        };
        let status = lateness(Some(refresh_age_s), period_s, uptime_s).max(at_refresh);
        let age_s = behind_s.unwrap_or(0.0) + refresh_age_s;
        if status > worst.status {
            let behind = behind_s.map(|s| format!("{} behind the exchange, ", span(s))).unwrap_or_default();
            let error = feed.error.as_ref().map(|error| format!(": {error}")).unwrap_or_default();
            let refreshed = span(refresh_age_s);
            let (name, interval) = (&feed.name, &feed.interval);
            worst.detail = format!("{name} {interval}: {behind}last refreshed {refreshed} ago{error}");
            worst.status = status;
        }
        worst.age_s = Some(worst.age_s.map_or(age_s, |oldest: f64| oldest.max(age_s)));
    }
    if snapshot.feeds.is_empty() {
        worst.status = lateness(None, period_s, uptime_s);
        worst.detail = "no candles were fetched yet".into();
    } else if worst.detail.is_empty() {
        worst.detail = format!("{} feeds are fresh", snapshot.feeds.len());
    }
    // What is cached goes on, and what is new is lost until there is room.
    if let Some(why) = &snapshot.cache_lacks_room {
        worst.status = Status::Unhealthy;
        worst.detail = why.clone();
    }
    worst
}

fn generations(snapshot: &Snapshot, limits: Limits, uptime_s: f64, now_ms: i64) -> Check {
    let age = snapshot.last_generation_ms.map(|at| age_s(now_ms, at));
    let status = lateness(age, limits.generation_interval_s as f64, uptime_s);
    let detail = match age {
        Some(age_s) => format!("the newest generation is {} old", span(age_s)),
        None => "no generation was finished yet".into(),
    };
    with_runner(Check { status, detail, age_s: age }, snapshot, CONTINUOUS_RUNNER)
}

fn shadow(snapshot: &Snapshot, limits: Limits, uptime_s: f64, now_ms: i64) -> Check {
    let last = runner(snapshot, SHADOW_RUNNER).and_then(|runner| runner.last_success_ms);
    let age = last.map(|at| age_s(now_ms, at));
    let status = lateness(age, limits.shadow_interval_s as f64, uptime_s);
    let detail = match age {
        Some(age_s) => format!("paper trading was extended {} ago", span(age_s)),
        None => "paper trading was never extended yet".into(),
    };
    with_runner(Check { status, detail, age_s: age }, snapshot, SHADOW_RUNNER)
}

/// Frozen promotions are for a person to look at: the daemon does its work, and its work says that there is nothing.
fn promotions(snapshot: &Snapshot) -> Check {
    let (real, placebo) = (snapshot.protocol.real, snapshot.protocol.placebo);
    let counts = format!(
        "{} of {} real and {} of {} placebo sessions entered shadow",
        real.entered, real.sessions, placebo.entered, placebo.sessions
    );
    if snapshot.protocol.frozen {
        let detail = format!("frozen: real and placebo sessions do not differ significantly ({counts})");
        Check { status: Status::Degraded, detail, age_s: None }
    } else {
        Check { status: Status::Healthy, detail: format!("open ({counts})"), age_s: None }
    }
}

/// The tail is an extra: polling goes on without it, so its trouble never makes the daemon unhealthy.
fn stream(snapshot: &Snapshot, limits: Limits, uptime_s: f64, now_ms: i64) -> Check {
    let Some(tail) = &snapshot.stream else {
        return Check { status: Status::Healthy, detail: "off: candles are polled".into(), age_s: None };
    };
    let age = tail.last_connected_ms.map(|at| age_s(now_ms, at));
    let status = lateness(age, limits.shadow_interval_s as f64, uptime_s).min(Status::Degraded);
    let told = tail.last_candle_ms.and_then(rfc3339).map(|at| format!(", the newest candle closed {at}"));
    let (told, reconnects) = (told.unwrap_or_default(), tail.reconnects);
    let detail = if tail.connected && status == Status::Healthy {
        format!("connected{told}, {reconnects} reconnects")
    } else {
        let error = tail.error.as_deref().unwrap_or("no sign of life");
        format!("not connected: {error}; candles are polled{told}, {reconnects} reconnects")
    };
    Check { status, detail, age_s: age }
}

/// A runner that fails makes its check degraded at least, and its error says why.
fn with_runner(mut check: Check, snapshot: &Snapshot, name: &str) -> Check {
    if let Some(Runner { consecutive_failures: failures @ 1.., last_error, .. }) = runner(snapshot, name) {
        check.status = check.status.max(Status::Degraded);
        let error = last_error.as_deref().unwrap_or("unknown error");
        check.detail.push_str(&format!("; {failures} failures in a row: {error}"));
    }
    check
}

fn runner<'a>(snapshot: &'a Snapshot, name: &str) -> Option<&'a Runner> {
    snapshot.runners.iter().find(|runner| runner.name == name)
}

/// A length of time for people: `42 s`, `3 min`, `5.1 h`, `2.0 d`.
pub(super) fn span(seconds: f64) -> String {
    match seconds {
        s if s < 120.0 => format!("{s:.0} s"),
        s if s < 7200.0 => format!("{:.0} min", s / 60.0),
        s if s < 172_800.0 => format!("{:.1} h", s / 3600.0),
        s => format!("{:.1} d", s / 86400.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::Feed;

    const NOW: i64 = 1_764_449_100_000;
    const LIMITS: Limits = Limits { generation_interval_s: 3600, shadow_interval_s: 900, work_lease_s: Some(30) };
    const LONG_AGO: i64 = NOW - 30 * 86_400_000;

    fn feed() -> Feed {
        Feed {
            name: "BTCUSDT".into(),
            interval: "15m".into(),
            interval_ms: 900_000,
            newest_close_ms: Some(NOW - 400_001),
            exchange_time_ms: Some(NOW - 100_000),
            refreshed_ms: NOW - 100_000,
            gaps: 0,
            error: None,
        }
    }

    fn runner(name: &str, success_s_ago: i64) -> Runner {
        let at = NOW - success_s_ago * 1000;
        let name = name.into();
        Runner { name, last_success_ms: Some(at), last_error: None, consecutive_failures: 0, heartbeat_ms: at }
    }

    fn good() -> Snapshot {
        Snapshot {
            lacks_room: None,
            cache_lacks_room: None,
            last_generation_ms: Some(NOW - 60_000),
            feeds: vec![feed()],
            runners: vec![runner("continuous", 60), runner("shadow", 100)],
            ..Snapshot::default()
        }
    }

    fn judge(change: impl FnOnce(&mut Snapshot)) -> Health {
        let mut snapshot = good();
        change(&mut snapshot);
        assess(&Ok(snapshot), LIMITS, LONG_AGO, NOW)
    }

    #[test]
    fn all_is_well() {
        let health = judge(|_| ());
        assert_eq!(health.status, Status::Healthy, "{health:?}");
        assert_eq!(health.last_generation.as_deref(), Some("2025-11-29T20:44:00Z"));
        assert_eq!(health.checks.candles.age_s, Some(400.001));
        let json = serde_json::to_value(&health).unwrap();
        assert_eq!(json["status"], "healthy");
        assert_eq!(json["checks"]["shadow"]["status"], "healthy");
    }

    #[test]
    fn without_a_database_it_is_unhealthy_and_the_rest_unknown() {
        let health = assess(&Err("no answer within 1500 ms".into()), LIMITS, LONG_AGO, NOW);
        assert_eq!(health.status, Status::Unhealthy);
        assert_eq!(health.checks.database.detail, "no answer within 1500 ms");
        assert_eq!(health.checks.shadow.status, Status::Unknown);
        assert_eq!((health.checks.process.status, health.last_generation), (Status::Healthy, None));
    }

    #[test]
    fn candles_that_cannot_be_kept_are_unhealthy_with_the_reason() {
        let health = judge(|s| s.cache_lacks_room = Some("the disk is full".into()));
        assert_eq!((health.status, health.checks.candles.status), (Status::Unhealthy, Status::Unhealthy));
        assert_eq!(health.checks.candles.detail, "the disk is full");
        assert_eq!(health.checks.database.status, Status::Healthy);
    }

    #[test]
    fn a_database_that_can_store_nothing_is_unhealthy_though_it_answers() {
        let health = judge(|s| s.lacks_room = Some("it can store nothing".into()));
        assert_eq!((health.status, health.checks.database.status), (Status::Unhealthy, Status::Unhealthy));
        assert_eq!(health.checks.database.detail, "answers, but it can store nothing");
        assert_eq!(health.checks.shadow.status, Status::Healthy, "what can be read is told all the same");
    }

    #[test]
    fn generations_are_late_after_two_intervals_and_stuck_after_four() {
        for (age_s, expected) in [(7_199, Status::Healthy), (7_201, Status::Degraded), (14_401, Status::Unhealthy)] {
            let health = judge(|s| s.last_generation_ms = Some(NOW - age_s * 1000));
            assert_eq!((health.status, health.checks.generations.status), (expected, expected), "{age_s}");
        }
        assert_eq!(judge(|s| s.last_generation_ms = None).checks.generations.status, Status::Unhealthy);
    }

    #[test]
    fn a_fresh_start_is_given_time() {
        let empty = Ok(Snapshot::default());
        assert_eq!(assess(&empty, LIMITS, NOW - 10_000, NOW).status, Status::Healthy);
        let old = Ok(Snapshot { last_generation_ms: Some(LONG_AGO), ..good() });
        let health = assess(&old, LIMITS, NOW - 10_000, NOW);
        assert_eq!((health.status, health.checks.generations.age_s), (Status::Healthy, Some(2_592_000.0)));
        assert_eq!(assess(&empty, LIMITS, NOW - 7_300_000, NOW).checks.candles.status, Status::Degraded);
        let with_shadow = Ok(Snapshot { runners: vec![runner("shadow", 100)], ..Snapshot::default() });
        assert_eq!(assess(&with_shadow, LIMITS, NOW - 1_900_000, NOW).checks.candles.status, Status::Degraded);
    }

    #[test]
    fn a_stale_a_stuck_and_a_failing_feed_are_told_apart() {
        let stale = judge(|s| s.feeds[0].refreshed_ms = NOW - 1_801_000);
        assert_eq!(stale.checks.candles.status, Status::Degraded);
        let stuck = judge(|s| s.feeds[0].newest_close_ms = Some(NOW - 100_000 - 8 * 900_000 - 1));
        assert_eq!(stuck.checks.candles.status, Status::Unhealthy);
        assert!(stuck.checks.candles.detail.contains("BTCUSDT 15m: 2.0 h behind the exchange"), "{stuck:?}");
        let failing = judge(|s| s.feeds[0].error = Some("HTTP 418".into()));
        assert_eq!(failing.status, Status::Degraded);
        assert!(failing.checks.candles.detail.ends_with(": HTTP 418"), "{failing:?}");
        let unknown_lag = judge(|s| s.feeds[0].exchange_time_ms = None);
        assert_eq!(unknown_lag.checks.candles.status, Status::Healthy);
    }

    #[test]
    fn without_a_shadow_runner_the_search_refreshes_the_candles() {
        let refreshed = |s_ago: i64| {
            judge(|s| {
                s.runners.remove(1);
                s.feeds[0].refreshed_ms = NOW - s_ago * 1000;
            })
            .checks
            .candles
            .status
        };
        let found = [7_100, 7_300, 14_500].map(refreshed);
        assert_eq!(found, [Status::Healthy, Status::Degraded, Status::Unhealthy]);
    }

    #[test]
    fn a_failing_runner_degrades_its_check_and_says_why() {
        let health = judge(|s| {
            s.runners[1].consecutive_failures = 3;
            s.runners[1].last_error = Some("connection refused".into());
        });
        assert_eq!(health.checks.shadow.status, Status::Degraded);
        assert!(health.checks.shadow.detail.ends_with("3 failures in a row: connection refused"));
        assert_eq!(judge(|s| s.runners.clear()).checks.shadow.status, Status::Unhealthy);
    }

    #[test]
    fn a_tail_that_is_off_or_torn_off_stops_nothing() {
        use crate::snapshot::Stream;
        let told = |connected: bool, s_ago: i64| {
            judge(|s| {
                s.stream = Some(Stream {
                    connected,
                    last_candle_ms: Some(NOW - 60_001),
                    reconnects: 3,
                    error: (!connected).then(|| "refused".to_owned()),
                    last_connected_ms: Some(NOW - s_ago * 1000),
                    heartbeat_ms: NOW,
                });
            })
        };
        assert_eq!(judge(|_| ()).checks.stream.detail, "off: candles are polled");
        let well = told(true, 2).checks.stream;
        assert_eq!(well.detail, "connected, the newest candle closed 2025-11-29T20:43:59Z, 3 reconnects");
        assert_eq!(told(false, 60).status, Status::Healthy, "it is given time to come back");
        let torn = told(false, 1_900);
        assert_eq!((torn.status, torn.checks.stream.status), (Status::Degraded, Status::Degraded));
        assert!(torn.checks.stream.detail.starts_with("not connected: refused; candles are polled"), "{torn:?}");
        assert_eq!(told(false, 90_000).status, Status::Degraded, "never unhealthy");
    }

    #[test]
    fn short_periods_are_judged_with_patience() {
        let limits = Limits { generation_interval_s: 1, shadow_interval_s: 1, work_lease_s: None };
        let ran = |ago_s: i64| Ok(Snapshot { last_generation_ms: Some(NOW - ago_s * 1000), ..good() });
        assert_eq!(assess(&ran(59), limits, LONG_AGO, NOW).checks.generations.status, Status::Healthy);
        assert_eq!(assess(&ran(61), limits, LONG_AGO, NOW).checks.generations.status, Status::Degraded);
    }
}
