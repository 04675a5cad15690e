//! How work stands: how much waits and for how long, who does it, and at what rate. Reads only.

use crate::{Store, StoreError, row::Named as _};
use chrono::{DateTime, Utc};
use serde::Serialize;
use std::{collections::BTreeMap, time::Duration};
use tokio_postgres::Row;

/// Failures that are told at most, the newest.
const TOLD_FAILURES: i64 = 20;

/// A process that does work.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct WorkWorker {
    pub name: String,
    pub code_version: String,
    /// The machine that it runs on, where that has a name.
    pub host: Option<String>,
    /// Items that it does at once.
    pub slots: u32,
    /// Items that it has now, and that it has done.
    pub has: u64,
    pub done: u64,
    pub started_at: DateTime<Utc>,
    pub seen_at: DateTime<Utc>,
    /// Whether it was heard of lately.
    pub is_there: bool,
}

/// Items of one kind in each state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[allow(missing_docs)]
pub struct WorkCounts {
    pub waiting: u64,
    pub taken: u64,
    pub done: u64,
    pub failed: u64,
    pub cancelled: u64,
}

/// An item at which somebody failed, and that is not done yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WorkFailure {
    /// Number of the item.
    pub id: i64,
    /// Kind of work.
    pub kind: String,
    /// Who failed last.
    pub worker: Option<String>,
    /// How often it was taken.
    pub attempts: u64,
    /// Workers try it no more.
    pub is_final: bool,
    /// Why it failed last.
    pub error: String,
}

/// How work stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct WorkStatus {
    /// Items that wait, that somebody has, whose lease has ended, that failed for good.
    pub waiting: u64,
    /// Items that somebody has.
    pub taken: u64,
    /// Of those taken, whose lease has ended.
    pub overdue: u64,
    /// Items that failed for good.
    pub failed: u64,
    /// Items whose result is stored.
    pub done: u64,
    /// Of the last 30 days: times that whoever had an item was not heard of any more.
    pub lost: u64,
    /// Of the last 30 days: results that were not those stored.
    pub disagreements: u64,
    /// How long the oldest item waits, seconds; `None` where none does.
    pub oldest_s: Option<f64>,
    /// Items finished in the last five minutes, one a second on average.
    pub done_per_second: f64,
    /// Items whose result was stored in the last hour, one a minute on average.
    pub done_per_minute: f64,
    /// By kind.
    pub kinds: BTreeMap<String, WorkCounts>,
    /// The newest items at which somebody failed: a bounded number of them.
    pub failures: Vec<WorkFailure>,
    /// Who does work.
    pub workers: Vec<WorkWorker>,
}

fn counts(row: &Row) -> Result<(String, WorkCounts), StoreError> {
    let counts = WorkCounts {
        waiting: row.count("waiting")?,
        taken: row.count("taken")?,
        done: row.count("done")?,
        failed: row.count("failed")?,
        cancelled: row.count("cancelled")?,
    };
    Ok((row.try_get("kind")?, counts))
}

fn failure(row: &Row) -> Result<WorkFailure, StoreError> {
    Ok(WorkFailure {
        id: row.try_get("id")?,
        kind: row.try_get("kind")?,
        worker: row.try_get("worker")?,
        attempts: row.count("attempts")?,
        is_final: row.try_get("is_final")?,
        error: row.try_get("error")?,
    })
}

impl Store {
    /// How work stands. Who was not heard of for the time of a lease is not there.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn work_status(&self, lease: Duration) -> Result<WorkStatus, StoreError> {
        self.transaction("work_status", |tx| async move {
            let sql = "select count(*) filter (where state = 'waiting') as waiting,
                    count(*) filter (where state = 'taken') as taken,
                    count(*) filter (where state = 'taken' and leased_until < now()) as overdue,
                    count(*) filter (where state = 'failed') as failed,
                    count(*) filter (where state = 'done') as done,
                    coalesce(sum(lost), 0)::bigint as lost,
                    coalesce(sum(disagreements), 0)::bigint as disagreements,
                    extract(epoch from now() - min(created_at) filter (where state = 'waiting'))::double precision as oldest_s,
                    (count(*) filter (where state = 'done' and finished_at > now() - interval '5 minutes') / 300.0)::double precision
                        as done_per_second,
                    (count(*) filter (where state = 'done' and finished_at > now() - interval '1 hour') / 60.0)::double precision
                        as done_per_minute
                from work_items";
            let row = tx.row(sql, &[]).await?;
            let sql = "select kind, count(*) filter (where state = 'waiting') as waiting,
                    count(*) filter (where state = 'taken') as taken, count(*) filter (where state = 'done') as done,
                    count(*) filter (where state = 'failed') as failed, count(*) filter (where state = 'cancelled') as cancelled
                from work_items group by kind";
            let kinds = tx.rows(sql, &[]).await?;
            let sql = "select id, kind, worker, attempts::bigint as attempts, state = 'failed' as is_final, error from work_items
                where error is not null and state in ('waiting', 'taken', 'failed') order by id desc limit $1";
            let failures = tx.rows(sql, &[&TOLD_FAILURES]).await?;
            let sql = "select name, code_version, host, slots, done, started_at, seen_at,
                    seen_at > now() - $1 * interval '1 second' as is_there,
                    (select count(*) from work_items i where i.worker = w.name and i.state = 'taken') as has
                from work_workers w order by name";
            let workers = tx.rows(sql, &[&lease.as_secs_f64()]).await?;
            let worker = |row: &Row| {
                Ok::<_, StoreError>(WorkWorker {
                    name: row.try_get("name")?,
                    code_version: row.try_get("code_version")?,
                    host: row.try_get("host")?,
                    slots: row.small("slots")?,
                    has: row.count("has")?,
                    done: row.count("done")?,
                    started_at: row.try_get("started_at")?,
                    seen_at: row.try_get("seen_at")?,
                    is_there: row.try_get("is_there")?,
                })
            };
            Ok(WorkStatus {
                waiting: row.count("waiting")?,
                taken: row.count("taken")?,
                overdue: row.count("overdue")?,
                failed: row.count("failed")?,
                done: row.count("done")?,
                lost: row.count("lost")?,
                disagreements: row.count("disagreements")?,
                oldest_s: row.try_get("oldest_s")?,
                done_per_second: row.try_get("done_per_second")?,
                done_per_minute: row.try_get("done_per_minute")?,
                kinds: kinds.iter().map(counts).collect::<Result<_, _>>()?,
                failures: failures.iter().map(failure).collect::<Result<_, _>>()?,
                workers: workers.iter().map(worker).collect::<Result<_, _>>()?,
            })
        })
        .await
    }

    /// Slots of workers of this build other than `own` that were heard of within the time of a lease.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn work_slots(&self, (code_version, own): (&str, &str), lease: Duration) -> Result<u64, StoreError> {
        self.transaction("work_slots", |tx| async move {
            let sql = "select coalesce(sum(slots), 0)::bigint as slots from work_workers
                where code_version = $1 and name <> $3 and seen_at > now() - $2 * interval '1 second'";
            tx.row(sql, &[&code_version, &lease.as_secs_f64(), &own]).await?.count("slots")
        })
        .await
    }
}
