//! What live books have at work, their members by hash, and what their newest block is made of. Decides no share.

use super::{BookDeployment, LiveMember};
use crate::{LeaseToken, Store, StoreError, Tx, audit, row::Named as _, transaction::Params};
use serde_json::{Value, json};
use tokio_postgres::{Row, types::Json};
use uuid::Uuid;

const COLUMNS: &str = "book_id, phase, phase_market_ms, status, allocation_pct::double precision as allocation_pct, held, \
     reasons, started_market_ms, ended_market_ms";

fn read(row: &Row) -> Result<BookDeployment, StoreError> {
    Ok(BookDeployment {
        book_id: row.try_get("book_id")?,
        phase: row.parse("phase")?,
        phase_market_ms: row.try_get("phase_market_ms")?,
        status: row.parse("status")?,
        allocation_pct: row.try_get("allocation_pct")?,
        held: row.try_get("held")?,
        reasons: row.json("reasons")?,
        started_market_ms: row.try_get("started_market_ms")?,
        ended_market_ms: row.try_get("ended_market_ms")?,
    })
}

async fn find(tx: &Tx, id: Uuid) -> Result<Option<BookDeployment>, StoreError> {
    let sql = format!("select {COLUMNS} from book_deployments where book_id = $1 for update");
    tx.row_opt(&sql, &[&id]).await?.as_ref().map(read).transpose()
}

/// Ends what a book has at work, where it has something.
pub(super) async fn end(tx: &Tx, id: Uuid, at_market_ms: i64) -> Result<(), StoreError> {
    let sql = "update book_deployments set status = 'deactivated', held = false,
            ended_market_ms = greatest($2, started_market_ms), changed_at = now()
        where book_id = $1 and status <> 'deactivated'";
    tx.execute(sql, &[&id, &at_market_ms]).await.map(drop)
}

/// What live books have at work, percent of capital.
pub(crate) async fn total_of_books(tx: &Tx) -> Result<f64, StoreError> {
    let sql = "select coalesce(sum(allocation_pct), 0)::double precision as pct from book_deployments
        where status = 'active'";
    Ok(tx.row(sql, &[]).await?.try_get("pct")?)
}

impl Store {
    /// What a book has at work; `None` for one that never was live.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn book_deployment(&self, id: Uuid) -> Result<Option<BookDeployment>, StoreError> {
        self.transaction("book_deployment", |tx| async move {
            let sql = format!("select {COLUMNS} from book_deployments where book_id = $1");
            tx.row_opt(&sql, &[&id]).await?.as_ref().map(read).transpose()
        })
        .await
    }

    /// What live books have at work together, percent of capital.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn books_at_work_pct(&self) -> Result<f64, StoreError> {
        self.transaction("books_at_work", |tx| async move { total_of_books(&tx).await }).await
    }

    /// Sets what a live book has at work, with an audit entry; whether anything was different. Runners show their lease and
    /// leave one alone that an operator holds; operators have none.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] where the book is not live, [`StoreError::LeaseLost`].
    pub async fn set_book_deployment(
        &self,
        wanted: &BookDeployment,
        actor: &str,
        lease: Option<&LeaseToken>,
    ) -> Result<bool, StoreError> {
        self.transaction("set_book_deployment", |tx| async move {
            let tx = &tx;
            if let Some(lease) = lease {
                lease.verify(tx).await?;
            }
            let id = wanted.book_id;
            let row = tx.row_opt("select state, number from books where id = $1 for update", &[&id]).await?;
            let row = row.ok_or_else(|| StoreError::not_found("book", id))?;
            let (state, number): (String, u32) = (row.try_get("state")?, row.small("number")?);
            if state != "live" {
                return Err(StoreError::Conflict(format!("book {number} is {state}: only a live one has capital")));
            }
            let before = find(tx, id).await?;
            if lease.is_some() && before.as_ref().is_some_and(|d| d.held) || before.as_ref() == Some(wanted) {
                return Ok(false);
            }
            let sql = "insert into book_deployments (book_id, phase, phase_market_ms, status, allocation_pct, held,
                    reasons, started_market_ms)
                values ($1, $2, $3, $4, $5::double precision, $6, $7, $8)
                on conflict (book_id) do update set phase = excluded.phase, phase_market_ms = excluded.phase_market_ms,
                    status = excluded.status, allocation_pct = excluded.allocation_pct, held = excluded.held,
                    reasons = excluded.reasons, changed_at = now()";
            let params: Params<'_> = &[
                &id,
                &wanted.phase.name(),
                &wanted.phase_market_ms,
                &wanted.status.name(),
                &wanted.allocation_pct,
                &wanted.held,
                &Json(&wanted.reasons),
                &wanted.started_market_ms,
            ];
            tx.execute(sql, params).await?;
            let told = |d: &BookDeployment| {
                json!({ "phase": d.phase, "status": d.status, "allocation_pct": d.allocation_pct, "held": d.held })
            };
            let (was, is) = (before.as_ref().map(told), told(wanted));
            // Reasons that are worded anew are no decision.
            if was.as_ref() != Some(&is) {
                let entry = audit::AuditEntry {
                    event: "deployment_changed",
                    entity_type: "book",
                    entity_id: &id.to_string(),
                    actor,
                    before: was,
                    after: Some(is),
                    metadata: json!({ "number": number, "reasons": wanted.reasons }),
                    correlation_id: None,
                };
                audit::append(tx, &self.inner.audit_key, &entry).await?;
            }
            Ok(true)
        })
        .await
    }

    /// What the newest block of a book is made of; an empty object where that was never computed.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn book_insight(&self, id: Uuid) -> Result<Value, StoreError> {
        self.transaction("book_insight", |tx| async move {
            let row = tx.row_opt("select insight from books where id = $1", &[&id]).await?;
            Ok(row.ok_or_else(|| StoreError::not_found("book", id))?.try_get("insight")?)
        })
        .await
    }

    /// Members that trade now for a live book, in order of place.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn live_book_members(&self) -> Result<Vec<LiveMember>, StoreError> {
        self.transaction("live_book_members", |tx| async move {
            let sql = "select book, weight::double precision as weight, genome_hash, niche, strategy_id, strategy
                from live_book_members order by book, place";
            let read = |row: &Row| {
                Ok(LiveMember {
                    book: row.small("book")?,
                    weight: row.try_get("weight")?,
                    genome_hash: row.try_get("genome_hash")?,
                    niche: row.try_get("niche")?,
                    strategy_id: row.try_get("strategy_id")?,
                    strategy: row.try_get("strategy")?,
                })
            };
            tx.rows(sql, &[]).await?.iter().map(read).collect()
        })
        .await
    }
}
