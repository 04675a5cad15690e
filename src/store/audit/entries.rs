//! Entries of the audit trail about given things. Reads; the chain itself is kept and verified elsewhere.

use crate::{Page, Store, StoreError, row::Named as _};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use tokio_postgres::Row;
use uuid::Uuid;

/// An entry of the audit trail.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct AuditRow {
    /// Number in the chain, from 1.
    pub id: u64,
    pub at: DateTime<Utc>,
    /// `strategy_transition`, `deployment_changed`, ...
    pub event: String,
    /// `strategy`, `deployment`, ...
    pub entity_type: String,
    pub entity_id: String,
    pub actor: String,
    pub before: Option<Value>,
    pub after: Option<Value>,
    pub metadata: Value,
    pub ip_hash: Option<String>,
    /// SHA-256 (or HMAC) of the entry, hex.
    pub hash: String,
}

const COLUMNS: &str = "id, created_at, event_type::text, entity_type, entity_id, actor, before_state, after_state, \
     metadata, ip_hash, hash";

fn read(row: &Row) -> Result<AuditRow, StoreError> {
    Ok(AuditRow {
        id: row.count("id")?,
        at: row.try_get("created_at")?,
        event: row.try_get("event_type")?,
        entity_type: row.try_get("entity_type")?,
        entity_id: row.try_get("entity_id")?,
        actor: row.try_get("actor")?,
        before: row.try_get("before_state")?,
        after: row.try_get("after_state")?,
        metadata: row.try_get("metadata")?,
        ip_hash: row.try_get("ip_hash")?,
        hash: hex::encode(row.try_get::<_, &[u8]>("hash")?),
    })
}

impl Store {
    /// The newest entries about a strategy and whatever belongs to it (its deployments, its alerts), oldest first.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn audit_of_strategy(&self, strategy_id: Uuid, limit: u32) -> Result<Vec<AuditRow>, StoreError> {
        self.transaction("audit_of_strategy", |tx| async move {
            let tx = &tx;
            let sql = format!(
                "select {COLUMNS} from audit_logs where (entity_type, entity_id) in (
                     select 'strategy', $1::uuid::text
                     union all select 'deployment', d.id::text from deployments d where d.strategy_id = $1
                     union all select 'drift_alert', a.id::text from drift_alerts a where a.strategy_id = $1)
                 order by id desc limit $2"
            );
            let found = tx.rows(&sql, &[&strategy_id, &i64::from(limit)]).await?;
            found.iter().rev().map(read).collect()
        })
        .await
    }

    /// Entries of the audit trail, newest first; of one thing where its id is given.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn audit_entries(&self, entity_id: Option<&str>, page: Page) -> Result<Vec<AuditRow>, StoreError> {
        self.transaction("audit_entries", |tx| async move {
            let sql = format!(
                "select {COLUMNS} from audit_logs where $1::text is null or entity_id = $1
                 order by id desc limit $2 offset $3"
            );
            tx.rows(&sql, &[&entity_id, &page.limit(), &page.offset()]).await?.iter().map(read).collect()
        })
        .await
    }
}
