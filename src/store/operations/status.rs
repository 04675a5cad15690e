//! Where feeds and runners stand, for health and stats. Overwritten, never a history.

use crate::{Store, StoreError, clean, count, operations::lease::holder, row::Named as _};
use chrono::{DateTime, Utc};
use genome::Timeframe;
use serde::Serialize;
use serde_json::Value;

use candles::{MarketKind, Symbol};

/// The newest candle of one feed.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct FeedStatus {
    pub market: MarketKind,
    pub symbol: Symbol,
    pub interval: Timeframe,
    /// Close time of the newest closed candle, UTC ms.
    pub newest_close_ms: Option<i64>,
    /// The exchange's time at the last refresh, UTC ms: the newest close is late against this, not the wall clock.
    pub exchange_time_ms: Option<i64>,
    /// Missing candles known of.
    pub gaps: u64,
    /// What went wrong at the last refresh, if it failed.
    pub error: Option<String>,
    /// Wall time of the last refresh that succeeded (of the first attempt until one does); set by the store.
    pub refreshed_at: DateTime<Utc>,
}

/// A runner's last doings.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct RunnerStatus {
    /// `continuous`, `shadow`, `manager`, `outbox`, ...
    pub name: String,
    /// Host and process.
    pub holder: String,
    pub last_started_at: Option<DateTime<Utc>>,
    pub last_finished_at: Option<DateTime<Utc>>,
    pub last_succeeded_at: Option<DateTime<Utc>>,
    /// The newest error, `None` after a success.
    pub last_error: Option<String>,
    pub last_error_at: Option<DateTime<Utc>>,
    pub consecutive_failures: u32,
    /// Whatever the runner wants to tell.
    pub detail: Value,
    /// Last sign of life.
    pub heartbeat_at: DateTime<Utc>,
}

impl Store {
    /// Notes where a feed stands (`refreshed_at` is set to now, unless it failed). The newest close never goes back.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn record_feed(&self, feed: &FeedStatus) -> Result<(), StoreError> {
        let error = &feed.error.as_deref().map(clean);
        self.transaction("record_feed", |tx| async move {
            let tx = &tx;
            let sql = "insert into feed_status as f (market, symbol, interval, newest_close_ms, exchange_time_ms, gaps, error)
                values ($1, $2, $3, $4, $5, $6, $7)
                on conflict (market, symbol, interval) do update set
                    newest_close_ms = greatest(f.newest_close_ms, excluded.newest_close_ms),
                    exchange_time_ms = coalesce(excluded.exchange_time_ms, f.exchange_time_ms), gaps = excluded.gaps,
                    error = excluded.error,
                    refreshed_at = case when excluded.error is null then now() else f.refreshed_at end";
            let (market, interval) = (feed.market.to_string(), feed.interval.to_string());
            let params: crate::transaction::Params<'_> =
                &[&market, &feed.symbol.as_str(), &interval, &feed.newest_close_ms, &feed.exchange_time_ms, &count(feed.gaps), error];
            tx.execute(sql, params).await.map(drop)
        })
        .await
    }

    /// All feeds.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn feeds(&self) -> Result<Vec<FeedStatus>, StoreError> {
        self.transaction("feeds", |tx| async move {
            let tx = &tx;
            let sql = "select market, symbol, interval, newest_close_ms, exchange_time_ms, gaps, error,
                refreshed_at
                from feed_status order by market, symbol, interval";
            tx.rows(sql, &[])
                .await?
                .iter()
                .map(|row| {
                    Ok(FeedStatus {
                        market: row.parse("market")?,
                        symbol: row.parse("symbol")?,
                        interval: row.parse("interval")?,
                        newest_close_ms: row.try_get("newest_close_ms")?,
                        exchange_time_ms: row.try_get("exchange_time_ms")?,
                        gaps: row.count("gaps")?,
                        error: row.try_get("error")?,
                        refreshed_at: row.try_get("refreshed_at")?,
                    })
                })
                .collect()
        })
        .await
    }

    /// Notes that a runner begins an activation.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn runner_started(&self, name: &str) -> Result<(), StoreError> {
        let holder = &holder();
        self.transaction("runner_started", |tx| async move {
            let tx = &tx;
            let sql = "insert into runner_status (name, holder, last_started_at) values ($1, $2, now())
                on conflict (name) do update set holder = excluded.holder, last_started_at = now(), heartbeat_at = now()";
            tx.execute(sql, &[&name, holder]).await.map(drop)
        })
        .await
    }

    /// Notes how a runner's activation ended; `detail` replaces what it told before.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn runner_finished(&self, name: &str, error: Option<&str>, detail: &Value) -> Result<(), StoreError> {
        let (holder, error) = (&holder(), &error.map(clean));
        self.transaction("runner_finished", |tx| async move {
            let tx = &tx;
            let sql = "insert into runner_status as r (name, holder, last_finished_at, last_succeeded_at, last_error,
                    last_error_at, consecutive_failures, detail)
                values ($1, $2, now(), case when $3::text is null then now() end, $3,
                    case when $3::text is not null then now() end, case when $3::text is null then 0 else 1 end, $4)
                on conflict (name) do update set holder = excluded.holder, last_finished_at = now(),
                    heartbeat_at = now(), detail = excluded.detail, last_error = excluded.last_error,
                    last_succeeded_at = coalesce(excluded.last_succeeded_at, r.last_succeeded_at),
                    last_error_at = coalesce(excluded.last_error_at, r.last_error_at),
                    consecutive_failures = case when excluded.last_error is null then 0
                        else r.consecutive_failures + 1 end";
            tx.execute(sql, &[&name, holder, error, detail]).await.map(drop)
        })
        .await
    }

    /// A sign of life in the middle of an activation; `detail` replaces what it told before, if given.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn runner_heartbeat(&self, name: &str, detail: Option<&Value>) -> Result<(), StoreError> {
        let holder = &holder();
        self.transaction("runner_heartbeat", |tx| async move {
            let tx = &tx;
            let sql = "insert into runner_status as r (name, holder, detail)
                values ($1, $2, coalesce($3::jsonb, '{}'::jsonb))
                on conflict (name) do update set holder = excluded.holder, heartbeat_at = now(),
                    detail = coalesce($3::jsonb, r.detail)";
            tx.execute(sql, &[&name, holder, &detail]).await.map(drop)
        })
        .await
    }

    /// All runners that ever ran.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn runners(&self) -> Result<Vec<RunnerStatus>, StoreError> {
        self.transaction("runners", |tx| async move {
            let tx = &tx;
            let sql = "select name, holder, last_started_at, last_finished_at, last_succeeded_at, last_error,
                last_error_at, consecutive_failures, detail, heartbeat_at from runner_status order by name";
            tx.rows(sql, &[])
                .await?
                .iter()
                .map(|row| {
                    Ok(RunnerStatus {
                        name: row.try_get("name")?,
                        holder: row.try_get("holder")?,
                        last_started_at: row.try_get("last_started_at")?,
                        last_finished_at: row.try_get("last_finished_at")?,
                        last_succeeded_at: row.try_get("last_succeeded_at")?,
                        last_error: row.try_get("last_error")?,
                        last_error_at: row.try_get("last_error_at")?,
                        consecutive_failures: row.small("consecutive_failures")?,
                        detail: row.try_get("detail")?,
                        heartbeat_at: row.try_get("heartbeat_at")?,
                    })
                })
                .collect()
        })
        .await
    }
}
