//! What operators ask for over HTTP: commands that the daemon obeys, and runners that rest. Obeys nothing itself.

use crate::{Store, StoreError, Tx, audit, clean, names::names, row::Named as _};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio_postgres::Row;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CommandKind {
    /// Disable a strategy.
    Disable,
    /// Make a disabled strategy a candidate again.
    Revive,
    /// Let a strategy go one state further without the gate.
    Approve,
    /// Run the failed backtest of a dead letter again.
    Retry,
}
names!(CommandKind, "kind of command", Disable = "disable", Revive = "revive", Approve = "approve", Retry = "retry");

/// Who asks, from where, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// For the record.
    pub actor: String,
    /// A keyed hash of the address.
    pub ip_hash: Option<String>,
    /// For the record.
    pub why: String,
}

/// What an operator's action is about, for the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct About<'a> {
    /// `strategy`, `drift_alert`, ...
    pub kind: &'static str,
    /// Which of them.
    pub id: &'a str,
}

/// A stored command.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct Command {
    pub id: i64,
    pub kind: CommandKind,
    /// Id of a strategy, number of a dead letter.
    pub target: String,
    pub why: String,
    pub actor: String,
    /// What became of it: true for done; `None` while it waits.
    pub done: Option<bool>,
    /// The same in a line.
    pub outcome: Option<String>,
    pub requested_at: DateTime<Utc>,
}

/// A runner that rests.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct Pause {
    pub runner: String,
    pub actor: String,
    pub why: String,
    pub since: DateTime<Utc>,
}

const COLUMNS: &str = "id, kind, target, why, actor, status, outcome, requested_at";

fn read(row: &Row) -> Result<Command, StoreError> {
    let status: &str = row.try_get("status")?;
    Ok(Command {
        id: row.try_get("id")?,
        kind: row.parse("kind")?,
        target: row.try_get("target")?,
        why: row.try_get("why")?,
        actor: row.try_get("actor")?,
        done: (status != "pending").then_some(status == "done"),
        outcome: row.try_get("outcome")?,
        requested_at: row.try_get("requested_at")?,
    })
}

impl Store {
    async fn noted(&self, tx: &Tx, what: &str, about: About<'_>, by: &Request) -> Result<(), StoreError> {
        let entry = audit::AuditEntry {
            event: "operator_action",
            entity_type: about.kind,
            entity_id: about.id,
            actor: &clean(&by.actor),
            before: None,
            after: None,
            metadata: json!({ "action": what, "why": clean(&by.why) }),
            correlation_id: None,
        };
        audit::append_from(tx, &self.inner.audit_key, &entry, by.ip_hash.as_deref()).await
    }

    /// Leaves a command for the daemon, with its audit entry; its number.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn leave_command(&self, kind: CommandKind, target: &str, by: &Request) -> Result<i64, StoreError> {
        let (why, actor) = (&clean(&by.why), &clean(&by.actor));
        self.transaction("leave_command", |tx| async move {
            let tx = &tx;
            let sql = "insert into operator_commands (kind, target, why, actor) values ($1, $2, $3, $4) returning id";
            let id = tx.row(sql, &[&kind.name(), &target, why, actor]).await?.try_get("id")?;
            let what = if kind == CommandKind::Retry { "dead_letter" } else { "strategy" };
            self.noted(tx, kind.name(), About { kind: what, id: target }, by).await?;
            Ok(id)
        })
        .await
    }

    /// A command and what became of it.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn command(&self, id: i64) -> Result<Command, StoreError> {
        self.transaction("command", |tx| async move {
            let sql = format!("select {COLUMNS} from operator_commands where id = $1");
            read(&tx.row_opt(&sql, &[&id]).await?.ok_or_else(|| StoreError::not_found("command", id))?)
        })
        .await
    }

    /// Commands that wait, oldest first.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn pending_commands(&self) -> Result<Vec<Command>, StoreError> {
        self.transaction("pending_commands", |tx| async move {
            let sql = format!("select {COLUMNS} from operator_commands where status = 'pending' order by id limit 100");
            tx.rows(&sql, &[]).await?.iter().map(read).collect()
        })
        .await
    }

    /// Notes what became of a command; the first note stands.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn finish_command(&self, id: i64, done: bool, outcome: &str) -> Result<(), StoreError> {
        let (status, outcome) = (if done { "done" } else { "failed" }, &clean(outcome));
        self.transaction("finish_command", |tx| async move {
            let sql = "update operator_commands set status = $2, outcome = $3, finished_at = now()
                where id = $1 and status = 'pending'";
            tx.execute(sql, &[&id, &status, outcome]).await.map(drop)
        })
        .await
    }

    /// Notes in the audit trail that an operator does something over HTTP.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn note_action(&self, what: &str, about: About<'_>, by: &Request) -> Result<(), StoreError> {
        self.transaction("note_action", |tx| async move { self.noted(&tx, what, about, by).await }).await
    }

    /// Lets a runner rest, or go on, with an audit entry.
    ///
    /// # Errors
    /// When the database does not answer or there is no such runner.
    pub async fn pause_runner(&self, runner: &str, paused: bool, by: &Request) -> Result<(), StoreError> {
        let (why, actor) = (&clean(&by.why), &clean(&by.actor));
        self.transaction("pause_runner", |tx| async move {
            let tx = &tx;
            if paused {
                let sql = "insert into runner_pauses (runner, actor, why) values ($1, $2, $3) on conflict do nothing";
                tx.execute(sql, &[&runner, actor, why]).await?;
            } else {
                tx.execute("delete from runner_pauses where runner = $1", &[&runner]).await?;
            }
            let about = About { kind: "runner", id: runner };
            self.noted(tx, if paused { "pause" } else { "resume" }, about, by).await
        })
        .await
    }

    /// Runners that rest.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn pauses(&self) -> Result<Vec<Pause>, StoreError> {
        self.transaction("pauses", |tx| async move {
            let rows = tx.rows("select runner, actor, why, since from runner_pauses order by runner", &[]).await?;
            rows.iter()
                .map(|row| {
                    let (runner, actor) = (row.try_get("runner")?, row.try_get("actor")?);
                    Ok(Pause { runner, actor, why: row.try_get("why")?, since: row.try_get("since")? })
                })
                .collect()
        })
        .await
    }
}
