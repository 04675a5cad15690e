//! Drift alerts: a deployment that does not do what was expected of it. Opened, escalated, acknowledged, closed; judges
//! nothing itself.

use crate::{LeaseToken, Page, Store, StoreError, Tx, audit, clean, row::Named as _, transaction::Params};
use chrono::{DateTime, Utc};
use lifecycle::{DriftAction, DriftKind, DriftSeverity};
use serde::Serialize;
use serde_json::{Value, json};
use tokio_postgres::Row;
use uuid::Uuid;

/// A reading that is worth an alert.
#[derive(Clone, Debug, PartialEq)]
pub struct DriftReading {
    /// Whose.
    pub deployment_id: Uuid,
    /// Of which strategy.
    pub strategy_id: Uuid,
    /// What drifted.
    pub drift: DriftKind,
    /// From backtest and shadow.
    pub expected: f64,
    /// Live.
    pub observed: f64,
    /// Shortfall from which it is a warning.
    pub warning_at: f64,
    /// Shortfall from which it is critical; above `warning_at`.
    pub critical_at: f64,
    /// What ought to be done.
    pub recommended_action: DriftAction,
    /// What else it rests on, an object.
    pub detail: Value,
    /// Market time, UTC ms.
    pub at_market_ms: i64,
}

/// A stored alert.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct DriftAlert {
    pub id: i64,
    pub deployment_id: Uuid,
    pub strategy_id: Uuid,
    #[serde(rename = "type")]
    pub drift: DriftKind,
    pub severity: DriftSeverity,
    pub expected: f64,
    pub observed: f64,
    /// Observed - expected.
    pub delta: f64,
    /// The difference in percent of what was expected: 100 x delta / |expected|; `None` where nothing was expected.
    pub delta_pct: Option<f64>,
    pub warning_at: f64,
    pub critical_at: f64,
    pub recommended_action: DriftAction,
    pub detail: Value,
    pub opened_at: DateTime<Utc>,
    pub at_market_ms: i64,
    pub escalated_at: Option<DateTime<Utc>>,
    pub acknowledged_by: Option<String>,
    pub acknowledged_at: Option<DateTime<Utc>>,
    pub action_taken: Option<String>,
    pub closed_at: Option<DateTime<Utc>>,
}

/// What a reading did to the alerts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlertOutcome {
    /// There is a new alert with this id.
    Opened(i64),
    /// The open one became critical.
    Escalated(i64),
    /// The open one has newer numbers.
    Updated(i64),
    /// The shortfall is below a warning, and the alert that was open is closed.
    Closed(i64),
    /// The shortfall is below a warning, and nothing was open.
    Calm,
}

const COLUMNS: &str = "id, deployment_id, strategy_id, type, severity, expected::double precision, \
     observed::double precision, delta::double precision, delta_pct::double precision, warning_at::double precision, \
     critical_at::double precision, recommended_action, detail, opened_at, at_market_ms, escalated_at, \
     acknowledged_by, acknowledged_at, action_taken, closed_at";

fn read(row: &Row) -> Result<DriftAlert, StoreError> {
    Ok(DriftAlert {
        id: row.try_get("id")?,
        deployment_id: row.try_get("deployment_id")?,
        strategy_id: row.try_get("strategy_id")?,
        drift: row.parse("type")?,
        severity: row.parse("severity")?,
        expected: row.try_get("expected")?,
        observed: row.try_get("observed")?,
        delta: row.try_get("delta")?,
        delta_pct: row.try_get("delta_pct")?,
        warning_at: row.try_get("warning_at")?,
        critical_at: row.try_get("critical_at")?,
        recommended_action: row.parse("recommended_action")?,
        detail: row.try_get("detail")?,
        opened_at: row.try_get("opened_at")?,
        at_market_ms: row.try_get("at_market_ms")?,
        escalated_at: row.try_get("escalated_at")?,
        acknowledged_by: row.try_get("acknowledged_by")?,
        acknowledged_at: row.try_get("acknowledged_at")?,
        action_taken: row.try_get("action_taken")?,
        closed_at: row.try_get("closed_at")?,
    })
}

/// Takes a reading in: opens an alert, escalates, updates or closes the open one. A critical alert stays critical until
/// it closes: what came down to a warning is told by its numbers' being left as they were at their worst.
async fn take(tx: &Tx, reading: &DriftReading) -> Result<AlertOutcome, StoreError> {
    let shortfall = reading.drift.shortfall(reading.expected, reading.observed);
    let severity = if shortfall >= reading.critical_at { DriftSeverity::Critical } else { DriftSeverity::Warning };
    let sql = "select id, severity from drift_alerts
        where deployment_id = $1 and type = $2 and closed_at is null for update";
    let open = tx.row_opt(sql, &[&reading.deployment_id, &reading.drift.name()]).await?;
    let open: Option<(i64, DriftSeverity)> =
        open.map(|row| Ok::<_, StoreError>((row.try_get("id")?, row.parse("severity")?))).transpose()?;
    if shortfall < reading.warning_at {
        let Some((id, _)) = open else { return Ok(AlertOutcome::Calm) };
        let sql = "update drift_alerts set closed_at = now(), at_market_ms = $2 where id = $1";
        tx.execute(sql, &[&id, &reading.at_market_ms]).await?;
        return Ok(AlertOutcome::Closed(id));
    }
    let Some((id, before)) = open else {
        let sql =
            "insert into drift_alerts (deployment_id, strategy_id, type, severity, expected, observed, warning_at,
                critical_at, recommended_action, detail, at_market_ms)
            values ($1, $2, $3, $4, $5::double precision, $6::double precision, $7::double precision,
                $8::double precision, $9, $10, $11)
            returning id";
        let params: Params<'_> = &[
            &reading.deployment_id,
            &reading.strategy_id,
            &reading.drift.name(),
            &severity.name(),
            &reading.expected,
            &reading.observed,
            &reading.warning_at,
            &reading.critical_at,
            &reading.recommended_action.name(),
            &reading.detail,
            &reading.at_market_ms,
        ];
        return Ok(AlertOutcome::Opened(tx.row(sql, params).await?.try_get("id")?));
    };
    if before == DriftSeverity::Critical && severity == DriftSeverity::Warning {
        return Ok(AlertOutcome::Updated(id));
    }
    let sql = "update drift_alerts set severity = $2, expected = $3::double precision, observed = $4::double precision,
            warning_at = $5::double precision, critical_at = $6::double precision, recommended_action = $7, detail = $8,
            at_market_ms = $9, escalated_at = case when severity <> $2 then now() else escalated_at end
        where id = $1";
    let params: Params<'_> = &[
        &id,
        &severity.name(),
        &reading.expected,
        &reading.observed,
        &reading.warning_at,
        &reading.critical_at,
        &reading.recommended_action.name(),
        &reading.detail,
        &reading.at_market_ms,
    ];
    tx.execute(sql, params).await?;
    Ok(if before == severity { AlertOutcome::Updated(id) } else { AlertOutcome::Escalated(id) })
}

impl Store {
    /// Takes readings in: what each did to the alerts.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`], [`StoreError::Constraint`] for readings that cannot be.
    pub async fn record_drift(
        &self,
        lease: Option<&LeaseToken>,
        readings: &[DriftReading],
    ) -> Result<Vec<AlertOutcome>, StoreError> {
        self.transaction("record_drift", |tx| async move {
            if let Some(lease) = lease {
                lease.verify(&tx).await?;
            }
            let mut outcomes = Vec::with_capacity(readings.len());
            for reading in readings {
                outcomes.push(take(&tx, reading).await?);
            }
            Ok(outcomes)
        })
        .await
    }

    /// Notes that a person has seen an alert and what was done about it, with one audit entry; saying the same again
    /// changes nothing. `ip_hash` is of the address that it was asked from, over HTTP.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; [`StoreError::Conflict`] when the alert is closed.
    pub async fn acknowledge_alert(
        &self,
        id: i64,
        by: &str,
        action: Option<&str>,
        ip_hash: Option<&str>,
    ) -> Result<(), StoreError> {
        let (by, action) = (&clean(by), &action.map(clean));
        self.transaction("acknowledge_alert", |tx| async move {
            let tx = &tx;
            let sql = "select closed_at is null as is_open, acknowledged_by is not distinct from $2::text
                    and coalesce($3::text, action_taken) is not distinct from action_taken as is_known
                from drift_alerts where id = $1 for update";
            let row = tx.row_opt(sql, &[&id, by, action]).await?;
            let row = row.ok_or_else(|| StoreError::not_found("drift alert", id))?;
            if !row.try_get::<_, bool>("is_open")? {
                return Err(StoreError::Conflict(format!("drift alert {id} is closed")));
            }
            if row.try_get("is_known")? {
                return Ok(());
            }
            let sql = "update drift_alerts set acknowledged_by = $2, acknowledged_at = now(),
                action_taken = coalesce($3, action_taken) where id = $1";
            tx.execute(sql, &[&id, &by, &action]).await?;
            let entry = audit::AuditEntry {
                event: "operator_action",
                entity_type: "drift_alert",
                entity_id: &id.to_string(),
                actor: by,
                before: None,
                after: Some(json!({ "acknowledged_by": by, "action_taken": action })),
                metadata: json!({ "action": "acknowledge", "why": action }),
                correlation_id: None,
            };
            audit::append_from(tx, &self.inner.audit_key, &entry, ip_hash).await
        })
        .await
    }

    /// Notes what was done about an alert that is still open.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`]; when the database does not answer.
    pub async fn note_alert_action(&self, lease: &LeaseToken, id: i64, action: &str) -> Result<(), StoreError> {
        self.transaction("note_alert_action", |tx| async move {
            lease.verify(&tx).await?;
            let sql = "update drift_alerts set action_taken = $2 where id = $1 and closed_at is null";
            tx.execute(sql, &[&id, &action]).await.map(drop)
        })
        .await
    }

    /// Closes the open alerts of a deployment: it has ended. How many there were.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`]; when the database does not answer.
    pub async fn close_alerts(&self, lease: &LeaseToken, deployment_id: Uuid, action: &str) -> Result<u64, StoreError> {
        self.transaction("close_alerts", |tx| async move {
            lease.verify(&tx).await?;
            let sql = "update drift_alerts set closed_at = now(), action_taken = coalesce(action_taken, $2)
                where deployment_id = $1 and closed_at is null";
            tx.execute(sql, &[&deployment_id, &action]).await
        })
        .await
    }

    /// Alerts of all deployments, newest first; only those that are open, if so asked.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn drift_alerts(&self, only_open: bool, page: Page) -> Result<Vec<DriftAlert>, StoreError> {
        self.transaction("drift_alerts", |tx| async move {
            let tx = &tx;
            let sql = format!(
                "select {COLUMNS} from drift_alerts where not $1 or closed_at is null
                 order by opened_at desc, id desc limit $2 offset $3"
            );
            tx.rows(&sql, &[&only_open, &page.limit(), &page.offset()]).await?.iter().map(read).collect()
        })
        .await
    }

    /// Alerts of a strategy, newest first.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn drift_alerts_of(&self, strategy_id: Uuid) -> Result<Vec<DriftAlert>, StoreError> {
        self.transaction("drift_alerts_of", |tx| async move {
            let tx = &tx;
            let sql =
                format!("select {COLUMNS} from drift_alerts where strategy_id = $1 order by opened_at desc, id desc");
            tx.rows(&sql, &[&strategy_id]).await?.iter().map(read).collect()
        })
        .await
    }
}
