//! Dead letters: what failed, kept with its error until somebody looks. Retries nothing itself.

use crate::stored::{known_genome, to_json};
use crate::{Page, Store, StoreError, Stored, Tx, audit, clean, names::names, row::Named as _, seal};
use chrono::{DateTime, Utc};
use genome::AnyStrategy;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// What failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum DeadLetterKind {
    Backtest,
    Step,
    Notification,
}

/// Where a dead letter stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeadLetterStatus {
    /// Nobody did anything about it.
    Open,
    /// It was tried again; it is open again if it fails again.
    Retried,
    /// Done with.
    Resolved,
}

names!(DeadLetterKind, "kind of dead letter", Backtest = "backtest", Step = "step", Notification = "notification");
names!(DeadLetterStatus, "status of a dead letter", Open = "open", Retried = "retried", Resolved = "resolved");

/// What to store.
#[derive(Clone, Debug, PartialEq)]
pub struct NewDeadLetter {
    /// What failed.
    pub kind: DeadLetterKind,
    /// A genome hash, a step's name: what makes the same failure the same row.
    pub subject: String,
    /// What went wrong.
    pub error: String,
    /// What was tested, for backtests; where nothing is said, what is stored of it stays.
    pub genome: Option<AnyStrategy>,
    /// Whatever a retry needs.
    pub context: Value,
}

/// A stored dead letter.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct DeadLetter {
    pub id: i64,
    pub kind: DeadLetterKind,
    pub subject: String,
    /// The newest error.
    pub error: String,
    pub genome: Option<Stored<AnyStrategy>>,
    pub context: Value,
    /// How often it failed.
    pub occurrences: u64,
    /// How often it was tried again.
    pub retries: u32,
    pub status: DeadLetterStatus,
    pub first_seen_at: DateTime<Utc>,
    pub last_seen_at: DateTime<Utc>,
}

const COLUMNS: &str =
    "id, kind, subject, error, genome, context, occurrences, retries, status, first_seen_at, last_seen_at";

fn read(tx: &Tx, row: &tokio_postgres::Row) -> Result<DeadLetter, StoreError> {
    let id: i64 = row.try_get("id")?;
    let subject: String = row.try_get("subject")?;
    let genome: Option<Value> = row.try_get("genome")?;
    let genome = genome.map(|genome| tx.keys().open_json(genome, &seal::letter_of(&subject))).transpose()?;
    let kind: DeadLetterKind = row.parse("kind")?;
    let hash = (kind == DeadLetterKind::Backtest).then_some(subject.as_str());
    let genome = genome.map(|genome| known_genome(genome, hash, None, format_args!("dead letter {id}")));
    Ok(DeadLetter {
        id,
        kind,
        subject,
        error: row.try_get("error")?,
        genome,
        context: row.try_get("context")?,
        occurrences: row.count("occurrences")?,
        retries: row.small("retries")?,
        status: row.parse("status")?,
        first_seen_at: row.try_get("first_seen_at")?,
        last_seen_at: row.try_get("last_seen_at")?,
    })
}

/// Stores a failure inside the caller's transaction; the row's id.
pub(crate) async fn add(tx: &Tx, letter: &NewDeadLetter) -> Result<i64, StoreError> {
    let sql = "insert into dead_letters as d (kind, subject, error, genome, context) values ($1, $2, $3, $4, $5)
        on conflict (kind, subject) do update set error = excluded.error,
            genome = coalesce(excluded.genome, d.genome), context = excluded.context,
            occurrences = d.occurrences + 1, status = 'open', last_seen_at = now()
        returning id";
    let (subject, error) = (clean(&letter.subject), clean(&letter.error));
    let seal = |genome| tx.keys().seal_json(&to_json(genome)?, &seal::letter_of(&subject));
    let genome = letter.genome.as_ref().map(seal).transpose()?;
    let row = tx.row(sql, &[&letter.kind.name(), &subject, &error, &genome, &letter.context]).await?;
    Ok(row.try_get("id")?)
}

impl Store {
    /// Stores a failure, or counts it once more; the row's id. (If the connection breaks at the commit,
    /// one failure may be counted twice.)
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn add_dead_letter(&self, letter: &NewDeadLetter) -> Result<i64, StoreError> {
        self.transaction("add_dead_letter", |tx| async move { add(&tx, letter).await }).await
    }

    /// Dead letters of a status (all when `None`), newest first.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn dead_letters(
        &self,
        status: Option<DeadLetterStatus>,
        page: Page,
    ) -> Result<Vec<DeadLetter>, StoreError> {
        let status = status.map(DeadLetterStatus::name);
        self.transaction("dead_letters", |tx| async move {
            let tx = &tx;
            let sql = format!(
                "select {COLUMNS} from dead_letters where $1::text is null or status = $1
             order by last_seen_at desc, id desc limit $2 offset $3"
            );
            tx.rows(&sql, &[&status, &page.limit(), &page.offset()]).await?.iter().map(|row| read(tx, row)).collect()
        })
        .await
    }

    /// One dead letter.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is none with this id.
    pub async fn dead_letter(&self, id: i64) -> Result<DeadLetter, StoreError> {
        self.transaction("dead_letter", |tx| async move {
            let tx = &tx;
            let sql = format!("select {COLUMNS} from dead_letters where id = $1");
            let row = tx.row_opt(&sql, &[&id]).await?;
            read(tx, &row.ok_or_else(|| StoreError::not_found("dead letter", id))?)
        })
        .await
    }

    /// Sets the status of a dead letter, with an audit entry; marking it retried counts the retry.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is none with this id.
    pub async fn mark_dead_letter(&self, id: i64, status: DeadLetterStatus, actor: &str) -> Result<(), StoreError> {
        self.transaction("mark_dead_letter", |tx| async move {
            let tx = &tx;
            let row = tx.row_opt("select status from dead_letters where id = $1 for update", &[&id]).await?;
            let before: String = row.ok_or_else(|| StoreError::not_found("dead letter", id))?.try_get("status")?;
            if before == status.name() && status != DeadLetterStatus::Retried {
                return Ok(());
            }
            let retried = i32::from(status == DeadLetterStatus::Retried);
            let sql = "update dead_letters set status = $2, retries = retries + $3 where id = $1";
            tx.execute(sql, &[&id, &status.name(), &retried]).await?;
            let entry = audit::AuditEntry {
                event: "dead_letter_changed",
                entity_type: "dead_letter",
                entity_id: &id.to_string(),
                actor,
                before: Some(json!({ "status": before })),
                after: Some(json!({ "status": status })),
                metadata: json!({}),
                correlation_id: None,
            };
            audit::append(tx, &self.inner.audit_key, &entry).await
        })
        .await
    }
}
