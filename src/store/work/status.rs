//! How work stands: how much waits and for how long, who does it, and at what rate. Reads only.

use crate::{Store, StoreError, row::Named as _};
use chrono::{DateTime, Utc};
use serde::Serialize;
use std::time::Duration;

/// A process that does work.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct WorkWorker {
    pub name: String,
    pub code_version: String,
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
    /// Who does work.
    pub workers: Vec<WorkWorker>,
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
                        as done_per_second
                from work_items";
            let row = tx.row(sql, &[]).await?;
            let sql = "select name, code_version, slots, done, started_at, seen_at,
                    seen_at > now() - $1 * interval '1 second' as is_there,
                    (select count(*) from work_items i where i.worker = w.name and i.state = 'taken') as has
                from work_workers w order by name";
            let workers = tx.rows(sql, &[&lease.as_secs_f64()]).await?;
            let worker = |row: &tokio_postgres::Row| {
                Ok::<_, StoreError>(WorkWorker {
                    name: row.try_get("name")?,
                    code_version: row.try_get("code_version")?,
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
                workers: workers.iter().map(worker).collect::<Result<_, _>>()?,
            })
        })
        .await
    }

    /// Slots of other workers of this build that were heard of within the time of a lease.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn work_slots(&self, code_version: &str, lease: Duration) -> Result<u64, StoreError> {
        self.transaction("work_slots", |tx| async move {
            let sql = "select coalesce(sum(slots), 0)::bigint as slots from work_workers
                where code_version = $1 and seen_at > now() - $2 * interval '1 second'";
            tx.row(sql, &[&code_version, &lease.as_secs_f64()]).await?.count("slots")
        })
        .await
    }
}
