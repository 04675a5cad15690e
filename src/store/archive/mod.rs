//! Retention: rows that are old go to Parquet files through an object store, are read back and compared, and only then
//! leave the database; a command brings them back.
//!
//! What is kept for how long is configuration; which rows belong to a month, and that no others are dropped, the schema
//! says (`archived_rows`, `drop_archived`). Killed anywhere, the next pass goes on: a file without its row in `archives`
//! is written again, to the same bytes and name.

mod export;
mod file;

pub use export::{EXPORTED, Pseudonyms};

use super::{RetentionConfig, Store, StoreError, Tx, audit, count, partitions::ensure_partition, row::Named as _};
use bytes::Bytes;
use chrono::{DateTime, Datelike, Months, NaiveDate, NaiveTime, TimeDelta, Utc};
use file::{Cells, Column, ContentHash, Kind, Reader, Writer};
use futures::{SinkExt, TryStreamExt};
use object_store::{ObjectStore, ObjectStoreExt, path::Path};
use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio_postgres::Row;
use uuid::Uuid;

/// Rows in a group of a file.
const GROUP_ROWS: usize = 20_000;
/// For so long what was restored is left alone.
const RESTORED_REST: TimeDelta = TimeDelta::days(30);

/// A table that does not keep its rows for ever.
struct Kept {
    table: &'static str,
    /// When a row is from.
    time: &'static str,
    order: &'static str,
    days: fn(&RetentionConfig) -> u32,
}

/// In an order in which nothing is left without what it refers to; restored the other way round.
const TABLES: [Kept; 9] = [
    Kept { table: "backtest_trades", time: "created_at", order: "run_id, seq", days: |r| r.backtests_days },
    Kept {
        table: "walk_forward_windows",
        time: "(select created_at from backtest_runs r where r.id = run_id)",
        order: "run_id, index",
        days: |r| r.backtests_days,
    },
    Kept { table: "backtest_runs", time: "created_at", order: "id", days: |r| r.backtests_days },
    Kept { table: "backtest_results", time: "created_at", order: "id", days: |r| r.backtests_days },
    Kept {
        table: "performance_metrics",
        time: "day::timestamp at time zone 'UTC'",
        order: "day, deployment_id",
        days: |r| r.metrics_days,
    },
    Kept { table: "strategy_scores", time: "calculated_at", order: "id", days: |r| r.scores_days },
    Kept { table: "drift_alerts", time: "opened_at", order: "id", days: |r| r.drift_alerts_days },
    Kept { table: "market_regimes", time: "created_at", order: "id", days: |r| r.regimes_days },
    Kept { table: "audit_logs", time: "created_at", order: "id", days: |r| r.audit_days },
];

/// A file of rows that left the database, or are about to.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct Archive {
    pub id: Uuid,
    pub table: String,
    /// Rows of `[from, to)`: a month.
    pub from: DateTime<Utc>,
    pub to: DateTime<Utc>,
    pub rows: u64,
    /// In the object store.
    pub path: String,
    pub bytes: u64,
    pub sha256: String,
    pub written_at: DateTime<Utc>,
    /// When the rows left the database; `None` while they are in it.
    pub dropped_at: Option<DateTime<Utc>>,
    pub restored_at: Option<DateTime<Utc>>,
}

/// A file before its row is stored.
struct Written {
    table: &'static str,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
    rows: u64,
    path: String,
    bytes: u64,
    sha256: String,
    detail: Value,
}

const COLUMNS: &str = "id, table_name, from_at, to_at, rows, path, bytes, sha256, written_at, dropped_at, restored_at";

fn read(row: &Row) -> Result<Archive, StoreError> {
    Ok(Archive {
        id: row.try_get("id")?,
        table: row.try_get("table_name")?,
        from: row.try_get("from_at")?,
        to: row.try_get("to_at")?,
        rows: row.count("rows")?,
        path: row.try_get("path")?,
        bytes: row.count("bytes")?,
        sha256: row.try_get("sha256")?,
        written_at: row.try_get("written_at")?,
        dropped_at: row.try_get("dropped_at")?,
        restored_at: row.try_get("restored_at")?,
    })
}

fn lost(error: &object_store::Error) -> StoreError {
    StoreError::Archive(error.to_string())
}

/// The first moment of a month, UTC.
fn month_of(at: DateTime<Utc>) -> DateTime<Utc> {
    let first = NaiveDate::from_ymd_opt(at.year(), at.month(), 1).unwrap_or_default();
    first.and_time(NaiveTime::MIN).and_utc()
}

impl Store {
    /// Moves what is older than it is kept to the archive, month by month: what was moved. Running it again does
    /// nothing more, and two that do so at once take turns month by month. Makes partitions of the time to come, too.
    ///
    /// # Errors
    /// [`StoreError::Archive`] when a file cannot be written or is not what was written; the rows are then still there.
    pub async fn archive_old(
        &self,
        objects: &dyn ObjectStore,
        retention: &RetentionConfig,
        now: DateTime<Utc>,
        actor: &str,
    ) -> Result<Vec<Archive>, StoreError> {
        self.make_partitions(now).await?;
        let mut moved = Vec::new();
        for kept in &TABLES {
            let end = month_of(now - TimeDelta::days(i64::from((kept.days)(retention))));
            let Some(oldest) = self.oldest(kept).await? else { continue };
            let mut from = month_of(oldest);
            while from < end {
                let Some(to) = from.checked_add_months(Months::new(1)) else { break };
                if let Some(written) = self.write_month(objects, kept, from, to, now).await? {
                    moved.push(self.drop_month(&written, actor).await?);
                }
                from = to;
            }
        }
        Ok(moved)
    }

    async fn oldest(&self, kept: &Kept) -> Result<Option<DateTime<Utc>>, StoreError> {
        let sql = &format!("select min({}) as oldest from {}", kept.time, kept.table);
        self.transaction("oldest_row", |tx| async move { Ok(tx.row(sql, &[]).await?.try_get("oldest")?) }).await
    }

    /// Writes the rows of a month, reads them back and compares; `None` when there are none, or when they were
    /// restored and are to rest.
    async fn write_month(
        &self,
        objects: &dyn ObjectStore,
        kept: &Kept,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result<Option<Written>, StoreError> {
        let table = kept.table;
        let read =
            self.transaction("read_month", |tx| async move { read_month(&tx, kept, from, to, now).await }).await?;
        let Some(Month { file: bytes, rows, content, detail }) = read else { return Ok(None) };
        let sha256 = hex::encode(Sha256::digest(&bytes));
        let path = format!("{table}/{}-{}.parquet", from.format("%Y-%m"), &sha256[..12]);
        let size = bytes.len() as u64;
        objects.put(&Path::from(path.as_str()), bytes.into()).await.map_err(|error| lost(&error))?;
        let back = fetch(objects, &path, &sha256).await?;
        let found = content_of(&Reader::new(back)?)?;
        if found != (rows, content) {
            return Err(StoreError::Archive(format!("{path} does not hold the rows that were written to it")));
        }
        Ok(Some(Written { table, from, to, rows, path, bytes: size, sha256, detail }))
    }

    /// Notes a verified file and drops its rows, in one transaction with the audit entry.
    async fn drop_month(&self, written: &Written, actor: &str) -> Result<Archive, StoreError> {
        let id = Uuid::now_v7();
        self.transaction("drop_month", |tx| async move {
            let tx = &tx;
            tx.execute("set local statement_timeout = 0", &[]).await?;
            // Whoever appends to the trail holds its head first, too: nobody waits for anybody in a circle.
            tx.execute("select from audit_head for update", &[]).await?;
            let sql = "insert into archives (id, table_name, from_at, to_at, rows, path, bytes, sha256, detail)
                values ($1, $2, $3, $4, $5, $6, $7, $8, $9) on conflict (path) do nothing";
            let w = written;
            let params: super::transaction::Params<'_> =
                &[&id, &w.table, &w.from, &w.to, &count(w.rows), &w.path, &count(w.bytes), &w.sha256, &w.detail];
            tx.execute(sql, params).await?;
            let row = tx
                .row("select id, dropped_at is not null as is_dropped from archives where path = $1", &[&w.path])
                .await?;
            let id: Uuid = row.try_get("id")?;
            if row.try_get("is_dropped")? {
                // Another process did it at the same moment.
                return one(tx, id).await;
            }
            tx.execute("select drop_archived($1)", &[&id]).await?;
            let archive = one(tx, id).await?;
            self.audit_archive(tx, &archive, &w.detail, "archived", actor).await?;
            Ok(archive)
        })
        .await
    }

    async fn audit_archive(
        &self,
        tx: &Tx,
        archive: &Archive,
        detail: &Value,
        what: &str,
        actor: &str,
    ) -> Result<(), StoreError> {
        let mut metadata = json!({
            "what": what, "table": archive.table, "from": archive.from, "to": archive.to, "rows": archive.rows,
            "path": archive.path, "sha256": archive.sha256,
        });
        // What the verification of the trail looks for.
        if let (Some(map), Some(id), Some(hash)) =
            (metadata.as_object_mut(), detail.get("last_id"), detail.get("last_hash"))
        {
            map.insert("audit_last_id".to_owned(), id.clone());
            map.insert("audit_last_hash".to_owned(), hash.clone());
        }
        let entry = audit::AuditEntry {
            event: "data_changed",
            entity_type: "archive",
            entity_id: &archive.id.to_string(),
            actor,
            before: None,
            after: None,
            metadata,
            correlation_id: Some(archive.id),
        };
        audit::append(tx, &self.inner.audit_key, &entry).await
    }

    /// All archives, by table and time.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn archives(&self) -> Result<Vec<Archive>, StoreError> {
        self.transaction("archives", |tx| async move {
            let sql = format!("select {COLUMNS} from archives order by table_name, from_at, written_at");
            tx.rows(&sql, &[]).await?.iter().map(read).collect()
        })
        .await
    }

    /// Reads an archive's file and says whether it is what was written.
    ///
    /// # Errors
    /// [`StoreError::Archive`] with what is wrong; [`StoreError::NotFound`].
    pub async fn verify_archive(&self, objects: &dyn ObjectStore, id: Uuid) -> Result<Archive, StoreError> {
        let archive = self.transaction("archive", |tx| async move { one(&tx, id).await }).await?;
        let (rows, _) = content_of(&Reader::new(fetch(objects, &archive.path, &archive.sha256).await?)?)?;
        if rows == archive.rows {
            return Ok(archive);
        }
        Err(StoreError::Archive(format!("{} has {rows} rows, not {}", archive.path, archive.rows)))
    }

    /// Brings the rows of an archive back. They stay for 30 days, then retention moves them again.
    ///
    /// # Errors
    /// [`StoreError::Archive`] when the file is not what was written; [`StoreError::Conflict`] when the rows are here;
    /// [`StoreError::Constraint`] when what they refer to is itself in an archive that must be restored first.
    pub async fn restore_archive(
        &self,
        objects: &dyn ObjectStore,
        id: Uuid,
        actor: &str,
    ) -> Result<Archive, StoreError> {
        let archive = &self.transaction("archive", |tx| async move { one(&tx, id).await }).await?;
        if archive.dropped_at.is_none() {
            return Err(StoreError::Conflict(format!("the rows of archive {id} are in the database")));
        }
        let reader = &Reader::new(fetch(objects, &archive.path, &archive.sha256).await?)?;
        let names = &reader.columns.iter().map(|c| format!("\"{}\"", c.name)).collect::<Vec<_>>().join(", ");
        self.transaction("restore_archive", |tx| async move {
            let tx = &tx;
            tx.execute("set local statement_timeout = 0", &[]).await?;
            tx.execute("select from audit_head for update", &[]).await?;
            match archive.table.as_str() {
                "audit_logs" => tx.execute("select ensure_audit_partition($1)", &[&archive.from]).await?,
                "backtest_trades" => {
                    tx.execute("select ensure_month_partition('backtest_trades', $1)", &[&archive.from]).await?
                }
                "performance_metrics" => {
                    ensure_partition(tx, "performance_metrics", archive.from).await?;
                    0
                }
                _ => 0,
            };
            let sql = format!("copy {} ({names}) from stdin", archive.table);
            let mut sink = Box::pin(tx.copy_text_in(&sql).await?);
            for at in 0..reader.groups() {
                let group = reader.group(at)?;
                let mut text = Vec::new();
                for row in 0..group.first().map_or(0, Cells::len) {
                    for (i, cells) in group.iter().enumerate() {
                        if i > 0 {
                            text.push(b'\t');
                        }
                        cells.write_copy(row, &mut text);
                    }
                    text.push(b'\n');
                }
                sink.send(Bytes::from(text)).await?;
            }
            sink.as_mut().finish().await?;
            if archive.table == "market_regimes" {
                // They are archived by when they were stored, and partitioned by market time.
                tx.execute("select settle_partitions()", &[]).await?;
            }
            tx.execute("select note_restored($1)", &[&id]).await?;
            let archive = one(tx, id).await?;
            self.audit_archive(tx, &archive, &json!({}), "restored", actor).await?;
            Ok(archive)
        })
        .await
    }
}

async fn one(tx: &Tx, id: Uuid) -> Result<Archive, StoreError> {
    let row = tx.row_opt(&format!("select {COLUMNS} from archives where id = $1"), &[&id]).await?;
    read(&row.ok_or_else(|| StoreError::not_found("archive", id))?)
}

/// An object, if it is what it was.
async fn fetch(objects: &dyn ObjectStore, path: &str, sha256: &str) -> Result<Bytes, StoreError> {
    let found = objects.get(&Path::from(path)).await.map_err(|error| lost(&error))?;
    let bytes = found.bytes().await.map_err(|error| lost(&error))?;
    if hex::encode(Sha256::digest(&bytes)) == sha256 {
        return Ok(bytes);
    }
    Err(StoreError::Archive(format!("{path} was changed since it was written: it has another SHA-256")))
}

fn content_of(reader: &Reader) -> Result<(u64, [u8; 32]), StoreError> {
    let (mut hash, mut rows) = (ContentHash::new(), 0);
    for at in 0..reader.groups() {
        let group = reader.group(at)?;
        rows += group.first().map_or(0, Cells::len) as u64;
        hash.add(&group);
    }
    Ok((rows, hash.finish()))
}

/// The rows of a month.
struct Month {
    /// As a file.
    file: Vec<u8>,
    /// How many they are.
    rows: u64,
    /// The hash of their content.
    content: [u8; 32],
    /// What else must be remembered.
    detail: Value,
}

/// Reads the rows of a month; `None` when there are none, or when they rest.
async fn read_month(
    tx: &Tx,
    kept: &Kept,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<Option<Month>, StoreError> {
    tx.execute("set transaction isolation level repeatable read, read only", &[]).await?;
    tx.execute("set local statement_timeout = 0", &[]).await?;
    let table = kept.table;
    let sql = "select exists (select from archives where table_name = $1 and from_at = $2 and restored_at > $3)
        as is_resting";
    if tx.row(sql, &[&table, &from, &(now - RESTORED_REST)]).await?.try_get("is_resting")? {
        return Ok(None);
    }
    let condition: String = tx.row("select archived_rows($1) as rows", &[&table]).await?.try_get("rows")?;
    let columns = columns_of(tx, table).await?;
    let cell = |column: &Column| match column.kind {
        Kind::Integer => format!("\"{}\"::bigint", column.name),
        Kind::Double => format!("\"{}\"::double precision", column.name),
        Kind::Text => format!("\"{}\"::text", column.name),
    };
    let cells = columns.iter().map(cell).collect::<Vec<_>>().join(", ");
    let sql = format!("select {cells} from {table} where {condition} order by {}", kept.order);
    let mut rows = Box::pin(tx.stream(&sql, &[&from, &to]).await?);
    let fresh = || columns.iter().map(|column| Cells::new(column.kind)).collect::<Vec<_>>();
    let (mut writer, mut hash, mut total, mut group) = (Writer::new(&columns)?, ContentHash::new(), 0_u64, fresh());
    while let Some(row) = rows.try_next().await? {
        // The one place where columns have no names of ours: the row and the group are made of the same list.
        for (i, cells) in group.iter_mut().enumerate() {
            match cells {
                Cells::Integer(values) => values.push(row.try_get(i)?),
                Cells::Double(values) => values.push(row.try_get(i)?),
                Cells::Text(values) => values.push(row.try_get(i)?),
            }
        }
        total += 1;
        if group[0].len() == GROUP_ROWS {
            hash.add(&group);
            writer.group(&std::mem::replace(&mut group, fresh()))?;
        }
    }
    if total == 0 {
        return Ok(None);
    }
    if group[0].len() > 0 {
        hash.add(&group);
        writer.group(&group)?;
    }
    let mut detail = json!({});
    if table == "audit_logs" {
        let sql = format!(
            "select min(id) - 1 as before_id, (array_agg(encode(prev_hash, 'hex') order by id))[1] as before_hash,
                 max(id) as last_id, (array_agg(encode(hash, 'hex') order by id desc))[1] as last_hash
             from audit_logs where {condition}"
        );
        let row = tx.row(&sql, &[&from, &to]).await?;
        detail = json!({
            "before_id": row.try_get::<_, i64>("before_id")?, "before_hash": row.try_get::<_, String>("before_hash")?,
            "last_id": row.try_get::<_, i64>("last_id")?, "last_hash": row.try_get::<_, String>("last_hash")?,
        });
    }
    Ok(Some(Month { file: writer.finish()?, rows: total, content: hash.finish(), detail }))
}

/// Columns that hold something of their own: not those that are computed from others.
async fn columns_of(tx: &Tx, table: &str) -> Result<Vec<Column>, StoreError> {
    let sql = "select a.attname::text as name,
            case when t.typtype = 'd' then t.typbasetype else t.oid end::regtype::text as type
        from pg_attribute a join pg_type t on t.oid = a.atttypid
        where a.attrelid = $1::text::regclass and a.attnum > 0 and not a.attisdropped and a.attgenerated = ''
        order by a.attnum";
    tx.rows(sql, &[&table])
        .await?
        .iter()
        .map(|row| {
            let kind = match row.try_get("type")? {
                "smallint" | "integer" | "bigint" => Kind::Integer,
                "double precision" | "real" => Kind::Double,
                _ => Kind::Text,
            };
            Ok(Column { name: row.try_get("name")?, kind })
        })
        .collect()
}
