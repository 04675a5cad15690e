//! Work that any machine of the same build may do: posted, taken for a while, and its result stored once.
//!
//! A row is both the job and its result, so nothing lies between a queue and what it was for. Whoever takes an item has it
//! until its lease ends; it renews the leases of what it has. Done twice (a lease ended too soon, a commit of which nobody
//! heard), it is stored once, and the second result is compared with the first. Computes nothing itself.

mod status;

pub use status::{WorkCounts, WorkFailure, WorkStatus, WorkWorker};

use crate::{Store, StoreError, Tx, clean, names::names, row::Named as _};
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::time::Duration;
use tokio_postgres::Row;
use uuid::Uuid;

/// Failures after which an item is tried no more by workers.
const MAX_FAILURES: i32 = 5;
/// Days for which finished items are kept.
const KEPT_DAYS: i32 = 30;
/// The same of slices of optimisations, whose results are long: as long as what they looked at.
const KEPT_SLICE_DAYS: i32 = 3;

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkKind {
    /// A null search of a session.
    NullSearch,
    /// A null search of a book's block.
    BookNullSearch,
    /// A market of a calibration.
    CalibrationMarket,
    /// Some points of an optimisation.
    OptimizationSlice,
    /// A session that is bred again.
    SessionReplay,
    /// A market of a calibration of books.
    BookMarket,
    /// Some lives of a calibration.
    Lives,
}
names!(
    WorkKind,
    "kind of work",
    NullSearch = "null_search",
    BookNullSearch = "book_null_search",
    CalibrationMarket = "calibration_market",
    OptimizationSlice = "optimization_slice",
    SessionReplay = "session_replay",
    BookMarket = "book_market",
    Lives = "lives"
);

/// Something to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewWork {
    /// What.
    pub kind: WorkKind,
    /// What it is told, JSON.
    pub input: String,
    /// In which order it is wanted.
    pub place: u32,
}

/// What was posted, and what has become of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Posted {
    /// Its number.
    pub id: i64,
    /// In which order it is wanted.
    pub place: u32,
    /// What it came to, once it is done.
    pub output: Option<String>,
    /// Nobody could do it, and workers try no more.
    pub failed: bool,
}

/// Something that is ours to do until its lease ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TakenWork {
    /// Its number.
    pub id: i64,
    /// What.
    pub kind: WorkKind,
    /// What it is told, JSON.
    pub input: String,
    /// In which order it is wanted.
    pub place: u32,
    /// Whoever had it before was not heard of any more.
    pub was_lost: bool,
}

/// SHA-256, in hex, of what is told or of what it came to.
#[must_use]
pub fn work_digest(text: &str) -> String {
    hex::encode(Sha256::digest(text.as_bytes()))
}

fn taken(row: &Row) -> Result<TakenWork, StoreError> {
    let (input, digest): (String, String) = (row.try_get("input")?, row.try_get("input_digest")?);
    if work_digest(&input) != digest {
        return Err(StoreError::decode(format!(
            "the input of work item {} is not what was posted",
            row.try_get::<_, i64>("id")?
        )));
    }
    Ok(TakenWork {
        id: row.try_get("id")?,
        kind: row.parse("kind")?,
        input,
        place: row.small("place")?,
        was_lost: row.try_get("was_lost")?,
    })
}

fn posted(row: &Row) -> Result<Posted, StoreError> {
    let (output, digest): (Option<String>, Option<String>) = (row.try_get("output")?, row.try_get("output_digest")?);
    if output.as_deref().map(work_digest) != digest {
        return Err(StoreError::decode(format!(
            "the result of work item {} is not what was stored",
            row.try_get::<_, i64>("id")?
        )));
    }
    Ok(Posted { id: row.try_get("id")?, place: row.small("place")?, output, failed: row.try_get("failed")? })
}

async fn take(
    tx: &Tx,
    (code_version, worker): (&str, &str),
    batch: Option<Uuid>,
    lease: Duration,
    count: u32,
) -> Result<Vec<TakenWork>, StoreError> {
    // Oldest first, so that whoever waits longest is served; skipped is what another takes at this moment.
    let sql = "with free as (
            select id, state = 'taken' as was_lost from work_items
            where code_version = $1 and ($3::uuid is null or batch = $3)
              and ((state = 'waiting' and not_before <= now()) or (state = 'taken' and leased_until < now()))
            order by id limit $5 for update skip locked)
        update work_items w set state = 'taken', worker = $2, attempts = attempts + 1,
            lost = lost + free.was_lost::integer, taken_at = now(), leased_until = now() + $4 * interval '1 second'
        from free where w.id = free.id
        returning w.id, w.kind, w.input, w.input_digest, w.place, free.was_lost";
    let (lease_s, count) = (lease.as_secs_f64(), i64::from(count));
    let rows = tx.rows(sql, &[&code_version, &worker, &batch, &lease_s, &count]).await?;
    let mut found = rows.iter().map(taken).collect::<Result<Vec<_>, _>>()?;
    found.sort_by_key(|one| one.id);
    Ok(found)
}

/// Renews the leases of those of `ids` that a worker still has.
async fn renew(tx: &Tx, worker: &str, ids: &[i64], lease: Duration) -> Result<Vec<i64>, StoreError> {
    let sql = "update work_items set leased_until = now() + $3 * interval '1 second'
        where id = any($1) and state = 'taken' and worker = $2 returning id";
    let rows = tx.rows(sql, &[&ids, &worker, &lease.as_secs_f64()]).await?;
    rows.iter().map(|row| Ok(row.try_get("id")?)).collect()
}

impl Store {
    /// Posts work, once however often it is posted, and says what became of it, in the order of `items`. What was cancelled
    /// waits again.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn post_work(
        &self,
        code_version: &str,
        batch: Uuid,
        items: &[NewWork],
    ) -> Result<Vec<Posted>, StoreError> {
        let digests: Vec<String> = items.iter().map(|item| work_digest(&item.input)).collect();
        let kinds: Vec<&str> = items.iter().map(|item| item.kind.name()).collect();
        let inputs: Vec<&str> = items.iter().map(|item| item.input.as_str()).collect();
        let places: Vec<i32> = items.iter().map(|item| i32::try_from(item.place).unwrap_or(i32::MAX)).collect();
        let (digests, kinds, inputs, places) = (&digests, &kinds, &inputs, &places);
        self.transaction("post_work", |tx| async move {
            // In one order, so that two who post the same do not wait for each other in a circle.
            let sql = "insert into work_items as w (kind, code_version, input_digest, input, batch, place)
                select kind, $1, digest, input, $2, place from (
                    select distinct on (kind, digest) * from unnest($3::text[], $4::text[], $5::text[], $6::integer[])
                        as t (kind, digest, input, place) order by kind, digest, place) t
                order by place, digest
                on conflict on constraint work_items_once do update set state = 'waiting', worker = null, attempts = 0,
                    not_before = '-infinity', finished_at = null, batch = excluded.batch, place = excluded.place
                where w.state = 'cancelled'";
            tx.execute(sql, &[&code_version, &batch, kinds, digests, inputs, places]).await?;
            let sql = "select w.id, t.place::integer as place, w.output, w.output_digest, w.state = 'failed' as failed
                from unnest($2::text[], $3::text[], $4::integer[]) with ordinality as t (kind, digest, place, number)
                join work_items w on w.kind = t.kind and w.code_version = $1 and w.input_digest = t.digest
                order by t.number";
            tx.rows(sql, &[&code_version, kinds, digests, places]).await?.iter().map(posted).collect()
        })
        .await
    }

    /// Takes up to `count` items of this build that nobody has (of one batch, where it is named) until the lease ends.
    ///
    /// # Errors
    /// When the database does not answer, or an item is not what was posted.
    pub async fn take_work(
        &self,
        (code_version, worker): (&str, &str),
        batch: Option<Uuid>,
        lease: Duration,
        count: u32,
    ) -> Result<Vec<TakenWork>, StoreError> {
        let worker = &clean(worker);
        self.transaction("take_work", |tx| async move { take(&tx, (code_version, worker), batch, lease, count).await })
            .await
    }

    /// Renews the leases of what a worker on a host has, and notes that it was heard of; those of `ids` that it still has.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn keep_work(
        &self,
        (code_version, worker, host): (&str, &str, Option<&str>),
        slots: u32,
        ids: &[i64],
        lease: Duration,
    ) -> Result<Vec<i64>, StoreError> {
        let (worker, slots) = (&clean(worker), i32::try_from(slots).unwrap_or(i32::MAX));
        let host = &host.map(clean).filter(|host| !host.is_empty());
        self.transaction("keep_work", |tx| async move {
            let sql = "insert into work_workers as w (name, code_version, slots, host) values ($1, $2, $3, $4)
                on conflict (name) do update set seen_at = now(), code_version = $2, slots = $3, host = $4,
                    started_at = case when w.code_version = $2 then w.started_at else now() end";
            tx.execute(sql, &[worker, &code_version, &slots, host]).await?;
            renew(&tx, worker, ids, lease).await
        })
        .await
    }

    /// Renews the leases of what a process has that takes its own work alone: it is no worker, and not listed among them.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn renew_work(&self, worker: &str, ids: &[i64], lease: Duration) -> Result<Vec<i64>, StoreError> {
        let worker = &clean(worker);
        self.transaction("renew_work", |tx| async move { renew(&tx, worker, ids, lease).await }).await
    }

    /// Stores what an item came to, unless that is stored already, whoever has it by now. False where another result was
    /// stored first: two machines computed differently.
    ///
    /// # Errors
    /// When the database does not answer or there is no such item.
    pub async fn finish_work(&self, id: i64, worker: &str, output: &str) -> Result<bool, StoreError> {
        let (worker, digest) = (&clean(worker), &work_digest(output));
        self.transaction("finish_work", |tx| async move {
            let sql = "update work_items set state = 'done', output = $2, output_digest = $3, worker = $4, finished_at = now(),
                    leased_until = null, error = null
                where id = $1 and output is null";
            if tx.execute(sql, &[&id, &output, digest, worker]).await? == 1 {
                tx.execute("update work_workers set done = done + 1 where name = $1", &[worker]).await?;
                return Ok(true);
            }
            let row = tx.row_opt("select output_digest from work_items where id = $1", &[&id]).await?;
            let row = row.ok_or_else(|| StoreError::not_found("work item", id))?;
            let same = row.try_get::<_, Option<String>>("output_digest")?.as_ref() == Some(digest);
            if !same {
                tx.execute("update work_items set disagreements = disagreements + 1 where id = $1", &[&id]).await?;
            }
            Ok(same)
        })
        .await
    }

    /// Notes that an item failed: it is tried again later, by whoever takes it, but not for ever.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn fail_work(&self, id: i64, worker: &str, error: &str) -> Result<(), StoreError> {
        let (worker, error) = (&clean(worker), &clean(error));
        self.transaction("fail_work", |tx| async move {
            let sql = "update work_items set state = case when attempts - lost >= $4 then 'failed' else 'waiting' end,
                    finished_at = case when attempts - lost >= $4 then now() end, leased_until = null, error = $3,
                    not_before = now() + least(60, power(2, attempts)) * interval '1 second'
                where id = $1 and worker = $2 and state = 'taken'";
            tx.execute(sql, &[&id, worker, error, &MAX_FAILURES]).await.map(drop)
        })
        .await
    }

    /// Gives back what a worker has and will not do; others take it at once.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn give_back_work(&self, ids: &[i64], worker: &str) -> Result<(), StoreError> {
        let worker = &clean(worker);
        self.transaction("give_back_work", |tx| async move {
            let sql = "update work_items set state = 'waiting', leased_until = null, worker = null,
                    attempts = greatest(attempts - 1, 0)
                where id = any($1) and worker = $2 and state = 'taken'";
            tx.execute(sql, &[&ids, worker]).await.map(drop)
        })
        .await
    }

    /// A worker that ends is no more looked for.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn end_worker(&self, worker: &str) -> Result<(), StoreError> {
        let worker = &clean(worker);
        self.transaction("end_worker", |tx| async move {
            tx.execute("delete from work_workers where name = $1", &[worker]).await.map(drop)
        })
        .await
    }

    /// Ends a batch: what was not needed is cancelled, and what ended long ago is removed.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn end_batch(&self, batch: Uuid) -> Result<u64, StoreError> {
        self.transaction("end_batch", |tx| async move {
            let sql = "update work_items set state = 'cancelled', leased_until = null, finished_at = now()
                where batch = $1 and state in ('waiting', 'taken', 'failed')";
            let cancelled = tx.execute(sql, &[&batch]).await?;
            let sql = "delete from work_items where finished_at < now() - interval '1 day'
                * case kind when $2 then $3::double precision else $1::double precision end";
            let slice = WorkKind::OptimizationSlice.name();
            tx.execute(sql, &[&f64::from(KEPT_DAYS), &slice, &f64::from(KEPT_SLICE_DAYS)]).await?;
            tx.execute("delete from work_workers where seen_at < now() - interval '7 days'", &[]).await?;
            Ok(cancelled)
        })
        .await
    }
}
