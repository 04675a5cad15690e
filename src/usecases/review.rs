//! The daily review: once a day of market time a batch of new strategies is generated and tested, every shadow and
//! live strategy is looked at, views are refreshed, retention is enforced and the day is summed up.
//!
//! Each step is noted when it is done, so that a review that was killed goes on with the next one, and a day is
//! reviewed once however often the daemon starts. Decides about no strategy: gates do that on their own grid.

use super::candle_source::CandleSource;
use super::parts::{Did, Process, Turn};
use super::session::SessionRunner;
use crate::config::ReviewConfig;
use anyhow::Context as _;
use candles::time::DAY_MS;
use chrono::{DateTime, Days, NaiveDate};
use clock::Clock;
use lifecycle::State;
use notify::enqueue_daily_summary;
use object_store::ObjectStore;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use store::{DailyReview, LeaseToken, Page, RetentionConfig};

/// Name of the runner, and of the island whose sessions its batches are.
pub(crate) const REVIEW: &str = "review";
/// The steps, in order.
const STEPS: [&str; 6] = ["batch", "learnt", "strategies", "views", "retention", "summary"];
/// Building blocks of each kind that the record of a day names.
const SUREST: usize = 3;
/// How long a step waits for candles, or for paper trading that is behind, wall time: the summary is not to wait for a
/// part that is broken.
const PATIENCE_MS: i64 = 30 * 60_000;
const LOOK: Duration = Duration::from_secs(5);

/// Reviews each day once.
pub(crate) struct ReviewRunner {
    candles: CandleSource,
    process: Process,
    config: ReviewConfig,
    clock: Arc<dyn Clock>,
    batch: Option<SessionRunner>,
    kept: Kept,
    turn: Turn,
}

/// For how long rows are kept, and where they go then.
pub(crate) struct Kept {
    pub(crate) archive: Arc<dyn ObjectStore>,
    pub(crate) retention: RetentionConfig,
}

impl ReviewRunner {
    /// Without `batch` none is generated.
    pub(crate) fn new(
        candles: CandleSource,
        process: Process,
        config: ReviewConfig,
        (batch, kept): (Option<SessionRunner>, Kept),
        clock: Arc<dyn Clock>,
    ) -> Self {
        let turn = Turn::new(&process.store, "daily review");
        Self { candles, process, config, clock, batch, kept, turn }
    }

    /// Reviews the newest day that is due, if it was not before.
    pub(crate) async fn activate(&mut self) -> anyhow::Result<Did> {
        if !self.turn.hold().await? {
            return Ok(Did::StoodBy);
        }
        let token = self.turn.token()?;
        let due_ms = due_ms(self.market_now_ms().await?, self.config.hour_utc);
        let day = date(due_ms)?;
        let Some(review) = self.process.store.open_review(&token, day).await? else { return Ok(Did::Nothing) };
        if review.status != "running" {
            return Ok(Did::Nothing);
        }
        for step in STEPS {
            if review.steps.contains_key(step) {
                continue;
            }
            if self.process.stop.is_cancelled() {
                return Ok(Did::Stopped);
            }
            let found = match step {
                "batch" => self.batch(due_ms).await?,
                "learnt" => Some(self.learnt().await?),
                "strategies" => self.strategies(due_ms).await?,
                "views" => self.views().await?,
                "retention" => self.retention().await?,
                _ => self.summary(&token, day).await?,
            };
            // Nothing found is told to stop: the step is done again at the next start.
            let Some(found) = found else { return Ok(Did::Stopped) };
            let is_last = Some(&step) == STEPS.last();
            self.process.store.note_review_step(&token, day, step, &found, is_last).await?;
            tracing::info!(%day, step, found = %found, "daily review");
        }
        Ok(Did::Work)
    }

    /// The exchange's time; where it does not answer, what it would say by the wall clock since it last did. A review
    /// must come all the more when the exchange is away.
    async fn market_now_ms(&self) -> anyhow::Result<i64> {
        if let Ok(now_ms) = self.candles.feed.exchange().server_time_ms(self.candles.market).await {
            return Ok(now_ms);
        }
        Ok(self.process.store.market_now_ms(self.clock.now_ms()).await?)
    }

    /// One search session of one generation on the newest candles, judged like any other.
    async fn batch(&mut self, due_ms: i64) -> anyhow::Result<Option<Value>> {
        let Some(batch) = &mut self.batch else { return Ok(Some(json!({ "generated": 0 }))) };
        let began_ms = self.clock.now_ms();
        loop {
            // A session that reaches beyond the day's hour is the day's, whoever began it.
            let last = self.process.store.last_finished_session(REVIEW).await?;
            let last = last.filter(|session| session.spec.window_to_ms >= due_ms);
            if let Some(session) = last {
                let report = session.report;
                return Ok(Some(json!({
                    "session_id": session.id,
                    "generated": self.config.batch_size,
                    "stored": report.as_ref().map(|r| r.stored),
                    "to_shadow": report.as_ref().map(|r| r.to_shadow),
                })));
            }
            match batch.activate().await? {
                Did::Work => {}
                Did::Stopped => return Ok(None),
                // Another process has the island, or the candles do not reach the hour yet: soon they will.
                Did::Nothing | Did::StoodBy => {
                    if self.clock.now_ms() - began_ms >= PATIENCE_MS {
                        return Ok(Some(json!({ "generated": 0, "why": "no candles came" })));
                    }
                    if self.process.wait(LOOK).await {
                        return Ok(None);
                    }
                }
            }
        }
    }

    /// What the day's batch was taught: the building blocks that are most surely worth something, and those that cost.
    async fn learnt(&self) -> anyhow::Result<Value> {
        let Some((session, lessons)) = self.process.store.newest_lessons(Some(REVIEW)).await? else {
            return Ok(json!({ "strategies": 0 }));
        };
        let surest = lessons.learnt.as_ref().map(|learnt| learnt.surest(SUREST));
        let named = |found: &[(&str, learner::Belief)]| {
            found.iter().map(|(name, b)| json!({ "what": name, "sharpe": b.mean, "sd": b.sd })).collect::<Vec<_>>()
        };
        let [keep, cost] = surest.as_ref().map_or([Vec::new(), Vec::new()], |[good, bad]| [named(good), named(bad)]);
        Ok(json!({ "session_id": session.id, "strategies": lessons.strategies, "worth": keep, "costs": cost }))
    }

    /// Every shadow and live strategy as it stood at the review's time, once paper trading has come so far.
    async fn strategies(&self, due_ms: i64) -> anyhow::Result<Option<Value>> {
        let began_ms = self.clock.now_ms();
        let runs = loop {
            let runs = self.process.store.paper_runs(&[State::Shadow, State::Live]).await?;
            let waits = runs.iter().any(|r| r.run.from_ms < due_ms && r.run.to_ms < due_ms);
            if !waits || self.clock.now_ms() - began_ms >= PATIENCE_MS {
                break runs;
            }
            if self.process.wait(LOOK).await {
                return Ok(None);
            }
        };
        let alerts = self.process.store.drift_alerts(true, Page::first(10_000)).await?;
        let line = |r: &store::ActivePaperRun| {
            let p = r.run.performance.as_ref();
            json!({
                "strategy_id": r.strategy.id,
                "name": r.strategy.name,
                "state": r.strategy.state,
                "days": (r.run.to_ms - r.run.from_ms) as f64 / DAY_MS as f64,
                "closed_trades": r.run.closed_trades,
                "profit_factor": p.and_then(|p| p.profit_factor),
                "total_return": p.and_then(|p| p.total_return),
                "max_drawdown": p.and_then(|p| p.max_drawdown),
                "open_drift_alerts": alerts.iter().filter(|a| a.strategy_id == r.strategy.id).count(),
                "behind": r.run.from_ms < due_ms && r.run.to_ms < due_ms,
            })
        };
        let of = |state: State| runs.iter().filter(|r| r.strategy.state == state).count();
        Ok(Some(json!({
            "shadow": of(State::Shadow),
            "live": of(State::Live),
            "behind": runs.iter().filter(|r| r.run.from_ms < due_ms && r.run.to_ms < due_ms).count(),
            "reviewed": runs.iter().map(line).collect::<Vec<_>>(),
        })))
    }

    async fn views(&self) -> anyhow::Result<Option<Value>> {
        self.process.store.refresh_views().await?;
        Ok(Some(json!({ "refreshed": store::MATERIALIZED_VIEWS })))
    }

    /// What is old goes to the archive, by the wall clock, which rows are stamped with.
    async fn retention(&self) -> anyhow::Result<Option<Value>> {
        let now = DateTime::from_timestamp_millis(self.clock.now_ms()).context("the clock is outside the calendar")?;
        let Kept { archive, retention } = &self.kept;
        let moved = self.process.store.archive_old(archive.as_ref(), retention, now, "daily review").await?;
        let rows: u64 = moved.iter().map(|file| file.rows).sum();
        let removed = self.process.store.remove_unused_of_clients(retention.clients_days, "daily review").await?;
        Ok(Some(json!({ "files": moved.len(), "rows": rows, "removed_of_clients": removed })))
    }

    async fn summary(&self, token: &LeaseToken, day: NaiveDate) -> anyhow::Result<Option<Value>> {
        let now_ms = self.clock.now_ms();
        let now = DateTime::from_timestamp_millis(now_ms).context("the clock is outside the calendar")?;
        let about = day.checked_sub_days(Days::new(1)).context("no day is before the first")?;
        let review = self.process.store.open_review(token, day).await?;
        let lines = review.as_ref().map(lines).unwrap_or_default();
        let new = enqueue_daily_summary(&self.process.store, &self.process.channels, about, now, lines).await?;
        Ok(Some(json!({ "about": about, "channels": self.process.channels.len(), "new": new })))
    }
}

/// What the steps before the summary found, for people.
fn lines(review: &DailyReview) -> Vec<String> {
    let number = |step: &str, key: &str| review.steps.get(step).and_then(|s| s.get(key)).and_then(Value::as_u64);
    let mut lines = Vec::new();
    if let (Some(generated), Some(stored)) = (number("batch", "generated"), number("batch", "stored")) {
        let passed = number("batch", "to_shadow").unwrap_or(0);
        lines.push(format!("{generated} generated and tested, {stored} stored, {passed} to shadow"));
    }
    if let (Some(shadow), Some(live)) = (number("strategies", "shadow"), number("strategies", "live")) {
        let behind = number("strategies", "behind").filter(|n| *n > 0);
        let behind = behind.map(|n| format!(", {n} of them behind")).unwrap_or_default();
        lines.push(format!("{shadow} shadow and {live} live strategies reviewed{behind}"));
    }
    lines
}

/// The newest time at or before `now_ms` at which a review was due.
fn due_ms(now_ms: i64, hour_utc: u32) -> i64 {
    let hour_ms = i64::from(hour_utc) * 3_600_000;
    (now_ms - hour_ms).div_euclid(DAY_MS) * DAY_MS + hour_ms
}

fn date(time_ms: i64) -> anyhow::Result<NaiveDate> {
    Ok(DateTime::from_timestamp_millis(time_ms).context("the market's time is outside the calendar")?.date_naive())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_review_is_due_from_its_hour_on() {
        let at = |text: &str| DateTime::parse_from_rfc3339(text).unwrap().timestamp_millis();
        for (now, hour, due) in [
            ("2025-12-01T02:59:59Z", 3, "2025-11-30T03:00:00Z"),
            ("2025-12-01T03:00:00Z", 3, "2025-12-01T03:00:00Z"),
            ("2025-12-01T23:59:59Z", 3, "2025-12-01T03:00:00Z"),
            ("2025-12-01T00:00:00Z", 0, "2025-12-01T00:00:00Z"),
        ] {
            assert_eq!(due_ms(at(now), hour), at(due), "{now}");
        }
    }

    #[test]
    fn what_was_found_is_told_in_words() {
        let steps = json!({
            "batch": { "generated": 500, "stored": 7, "to_shadow": 1 },
            "strategies": { "shadow": 12, "live": 3, "behind": 0 },
            "views": {},
        });
        let review = DailyReview {
            day: date(0).unwrap(),
            status: "running".into(),
            steps: steps.as_object().cloned().unwrap(),
            started_at: DateTime::UNIX_EPOCH,
            finished_at: None,
        };
        let expected = ["500 generated and tested, 7 stored, 1 to shadow", "12 shadow and 3 live strategies reviewed"];
        assert_eq!(lines(&review), expected);
    }
}
