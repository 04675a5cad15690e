//! What operators ask for over HTTP: commands that the daemon obeys, and runners that rest. Obeys nothing itself.
//!
//! A command says which state it is meant for and which transition it becomes, so that it moves a strategy once and by
//! one state, however often it is sent or tried. It is carried out and noted as done in one transaction.

use crate::{
    LeaseToken, Store, StoreError, TransitionRecord, Tx, audit, clean,
    names::names,
    row::Named as _,
    strategies::{naming, transitions},
};
use chrono::{DateTime, Utc};
use lifecycle::State;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio_postgres::Row;
use uuid::Uuid;

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

/// A command to leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewCommand<'a> {
    /// What is asked for.
    pub kind: CommandKind,
    /// Id of a strategy, number of a dead letter.
    pub target: &'a str,
    /// State in which whoever asks has seen the strategy; without it the state of now is meant.
    pub expected_state: Option<State>,
    /// The client's name for this request: sent twice, it is one command.
    pub key: Option<&'a str>,
    /// Of a revival: end of the candles that the strategy has seen, as stated, UTC ms; `None`: all up to then.
    pub seen_until_ms: Option<i64>,
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
    /// State of the strategy for which it is meant; `None` for other targets.
    pub expected_state: Option<State>,
    /// The transition that it becomes: carried out twice, it moves once.
    pub transition_id: Option<Uuid>,
    /// Of a revival: end of the candles that the strategy has seen, as stated, UTC ms; `None`: all up to then.
    pub seen_until_ms: Option<i64>,
    /// Whether it has waited for too long to be obeyed still.
    pub is_expired: bool,
}

/// What a command that waited for too long is answered.
pub const EXPIRED: &str =
    "it expired: nobody obeyed it within an hour, and what was right then may be wrong now; look again, and ask again";

/// A runner that rests.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct Pause {
    pub runner: String,
    pub actor: String,
    pub why: String,
    pub since: DateTime<Utc>,
}

const COLUMNS: &str = "id, kind, target, why, actor, status, outcome, requested_at, expected_state, transition_id, seen_until_ms, \
     status = 'pending' and requested_at < now() - interval '1 hour' as is_expired";

/// Whoever leaves a command does so after all others: "sg-ai com" as bytes.
const LEAVING: i64 = 0x7367_2d61_6920_636f;

fn read(row: &Row) -> Result<Command, StoreError> {
    let status: &str = row.try_get("status")?;
    let expected: Option<&str> = row.try_get("expected_state")?;
    Ok(Command {
        id: row.try_get("id")?,
        kind: row.parse("kind")?,
        target: row.try_get("target")?,
        why: row.try_get("why")?,
        actor: row.try_get("actor")?,
        done: (status != "pending").then_some(status == "done"),
        outcome: row.try_get("outcome")?,
        requested_at: row.try_get("requested_at")?,
        expected_state: expected.map(|_| row.parse("expected_state")).transpose()?,
        transition_id: row.try_get("transition_id")?,
        seen_until_ms: row.try_get("seen_until_ms")?,
        is_expired: row.try_get("is_expired")?,
    })
}

/// Notes what became of a command; the first note stands.
async fn finish(tx: &Tx, id: i64, done: bool, outcome: &str) -> Result<(), StoreError> {
    let (status, outcome) = (if done { "done" } else { "failed" }, clean(outcome));
    let sql = "update operator_commands set status = $2, outcome = $3, finished_at = now()
        where id = $1 and status = 'pending'";
    tx.execute(sql, &[&id, &status, &outcome]).await.map(drop)
}

/// The state of a strategy.
async fn state_of(tx: &Tx, id: &str) -> Result<State, StoreError> {
    let none = || StoreError::not_found("strategy", id);
    let id = Uuid::parse_str(id).map_err(|_| none())?;
    let row = tx.row_opt("select state from strategies where id = $1", &[&id]).await?;
    row.ok_or_else(none)?.parse("state")
}

/// The state that a command about a strategy is meant for.
async fn meant_for(tx: &Tx, new: &NewCommand<'_>) -> Result<State, StoreError> {
    let state = state_of(tx, new.target).await?;
    if let Some(expected) = new.expected_state
        && expected != state
    {
        return Err(StoreError::Conflict(format!("the strategy is {state} now, not {expected}: look again")));
    }
    Ok(state)
}

/// The earlier command that `new` repeats or must wait for; one that can be neither is a conflict.
async fn earlier(tx: &Tx, new: &NewCommand<'_>, key: &str, by: &Request) -> Result<Option<Command>, StoreError> {
    let sql = format!("select {COLUMNS} from operator_commands where client_key = $1");
    if let Some(row) = tx.row_opt(&sql, &[&key]).await? {
        let first = read(&row)?;
        let (one, other) = ((first.kind, first.target.as_str()), (new.kind, new.target));
        return if one == other && first.seen_until_ms == new.seen_until_ms {
            Ok(Some(first))
        } else {
            let text = format!("the key {key:?} is that of command {}, which is another one", first.id);
            Err(StoreError::Conflict(text))
        };
    }
    let sql = format!(
        "select {COLUMNS}, requested_at > now() - interval '1 hour' as is_recent
         from operator_commands where target = $1 order by id desc limit 1"
    );
    let Some(row) = tx.row_opt(&sql, &[&new.target]).await? else { return Ok(None) };
    let newest = read(&row)?;
    if newest.is_expired {
        finish(tx, newest.id, false, EXPIRED).await?;
        return Ok(None);
    }
    if newest.done.is_none() {
        return match (newest.kind == new.kind, new.kind) {
            (true, _) if newest.seen_until_ms != new.seen_until_ms => {
                let text =
                    format!("command {} waits still, which states another time up to which it has seen", newest.id);
                Err(StoreError::Conflict(text))
            }
            (true, _) => Ok(Some(newest)),
            // Whoever wants it out of the way does not wait for what else was asked of it.
            (false, CommandKind::Disable) => {
                finish(tx, newest.id, false, "a command to disable the strategy took its place").await?;
                Ok(None)
            }
            (false, _) => {
                let (id, kind) = (newest.id, newest.kind.name());
                Err(StoreError::Conflict(format!("command {id} ({kind}) waits still: one at a time")))
            }
        };
    }
    // A request that was sent twice, the second time after the first was obeyed, would go one state further. It is told
    // by being the very same, unless a key tells it.
    let says_nothing_else = new.key.is_none() && new.expected_state.is_none();
    let is_same = newest.kind == new.kind && newest.why == clean(&by.why) && newest.actor == clean(&by.actor);
    if new.kind == CommandKind::Approve && says_nothing_else && is_same && row.try_get("is_recent")? {
        let led_to = newest.expected_state.and_then(|from| newest.kind.leads_to(from));
        if newest.done == Some(true) && led_to == Some(state_of(tx, new.target).await?) {
            return Ok(Some(newest));
        }
    }
    Ok(None)
}

impl CommandKind {
    /// Where the command leads a strategy of a state; `None` where it leads nowhere.
    #[must_use]
    pub fn leads_to(self, from: State) -> Option<State> {
        match self {
            Self::Disable => (from != State::Disabled).then_some(State::Disabled),
            Self::Revive => (from == State::Disabled).then_some(State::Candidate),
            Self::Approve => match from {
                State::Candidate => Some(State::Shadow),
                State::Shadow => Some(State::Live),
                State::Live | State::Disabled => None,
            },
            Self::Retry => None,
        }
    }
}

impl Store {
    async fn noted(
        &self,
        tx: &Tx,
        what: &str,
        (kind, id): (&'static str, &str),
        by: &Request,
    ) -> Result<(), StoreError> {
        let entry = audit::AuditEntry {
            event: "operator_action",
            entity_type: kind,
            entity_id: id,
            actor: &clean(&by.actor),
            before: None,
            after: None,
            metadata: json!({ "action": what, "why": clean(&by.why) }),
            correlation_id: None,
        };
        audit::append_from(tx, &self.inner.audit_key, &entry, by.ip_hash.as_deref()).await
    }

    /// Leaves a command for the daemon, with its audit entry. What was left before (by its key, or because a command of
    /// the same kind waits for the same target) is handed back as it stands, and nothing is left.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is no such target; [`StoreError::Conflict`] when the strategy is not in
    /// the state that was seen, or another command for it waits.
    pub async fn leave_command(&self, new: &NewCommand<'_>, by: &Request) -> Result<Command, StoreError> {
        // Made once: a try of which nobody knows whether it took is found again by the next one.
        let key = &new.key.map_or_else(|| format!("sg-ai:{}", Uuid::now_v7()), clean);
        let transition_id = &Uuid::now_v7();
        self.transaction("leave_command", |tx| async move {
            let tx = &tx;
            tx.execute("select pg_advisory_xact_lock($1)", &[&LEAVING]).await?;
            if let Some(first) = earlier(tx, new, key, by).await? {
                return Ok(first);
            }
            let about = if new.kind == CommandKind::Retry { "dead_letter" } else { "strategy" };
            let expected = match new.kind {
                CommandKind::Retry => {
                    let sql = "select 1 from dead_letters where id::text = $1";
                    let row = tx.row_opt(sql, &[&new.target]).await?;
                    row.ok_or_else(|| StoreError::not_found("dead letter", new.target))?;
                    None
                }
                _ => Some(meant_for(tx, new).await?.name()),
            };
            let sql = format!(
                "insert into operator_commands (kind, target, why, actor, client_key, expected_state, transition_id,
                     seen_until_ms)
                 values ($1, $2, $3, $4, $5, $6, $7, $8) returning {COLUMNS}"
            );
            let (why, actor) = (&clean(&by.why), &clean(&by.actor));
            let params: crate::transaction::Params<'_> =
                &[&new.kind.name(), &new.target, why, actor, key, &expected, transition_id, &new.seen_until_ms];
            let command = read(&tx.row(&sql, params).await?)?;
            self.noted(tx, new.kind.name(), (about, new.target), by).await?;
            Ok(command)
        })
        .await
    }

    /// Moves a strategy as a command asks, and notes that it is done: both or neither. A command that is done with, or
    /// that waited for too long, moves nothing; what is handed back says so.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`]; [`StoreError::Conflict`] when the strategy is not in the state that the command is
    /// meant for: it waits still, and whoever obeys it answers it.
    pub async fn carry_out(
        &self,
        id: i64,
        record: &TransitionRecord,
        outcome: &str,
        lease: &LeaseToken,
    ) -> Result<Command, StoreError> {
        self.transaction("carry_out", |tx| async move {
            let tx = &tx;
            lease.verify(tx).await?;
            let sql = format!("select {COLUMNS} from operator_commands where id = $1");
            let row = tx.row_opt(&format!("{sql} for update"), &[&id]).await?;
            let command = read(&row.ok_or_else(|| StoreError::not_found("command", id))?)?;
            if command.done.is_some() {
                return Ok(command);
            }
            if command.is_expired {
                finish(tx, id, false, EXPIRED).await?;
            } else {
                let (target, from) = (record.strategy_id.to_string(), record.transition.from());
                if command.transition_id != Some(record.id)
                    || command.target != target
                    || command.kind.leads_to(from) != Some(record.transition.to())
                {
                    return Err(StoreError::Invalid(format!("this transition is not that of command {id}")));
                }
                // Whoever disables a strategy means it in whatever state it is.
                if command.kind != CommandKind::Disable && command.expected_state != Some(from) {
                    return Err(StoreError::Conflict(format!(
                        "the command is not meant for a strategy that is {from}"
                    )));
                }
                let before = naming::name_of(tx, record.strategy_id).await?;
                transitions::apply(tx, &self.inner.audit_key, record).await?;
                let now = naming::name_of(tx, record.strategy_id).await?;
                let renamed = (now != before)
                    .then(|| format!("{outcome}, under the name {now}: another strategy has the name {before}"));
                finish(tx, id, true, renamed.as_deref().unwrap_or(outcome)).await?;
            }
            read(&tx.row(&sql, &[&id]).await?)
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

    /// Notes what became of a command that moved nothing; the first note stands.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`].
    pub async fn finish_command(
        &self,
        id: i64,
        done: bool,
        outcome: &str,
        lease: &LeaseToken,
    ) -> Result<(), StoreError> {
        self.transaction("finish_command", |tx| async move {
            lease.verify(&tx).await?;
            finish(&tx, id, done, outcome).await
        })
        .await
    }

    /// Lets a runner rest, or go on, with an audit entry where that changes something.
    ///
    /// # Errors
    /// When the database does not answer or there is no such runner.
    pub async fn pause_runner(&self, runner: &str, paused: bool, by: &Request) -> Result<(), StoreError> {
        let (why, actor) = (&clean(&by.why), &clean(&by.actor));
        self.transaction("pause_runner", |tx| async move {
            let tx = &tx;
            let changed = if paused {
                let sql = "insert into runner_pauses (runner, actor, why) values ($1, $2, $3) on conflict do nothing";
                tx.execute(sql, &[&runner, actor, why]).await?
            } else {
                tx.execute("delete from runner_pauses where runner = $1", &[&runner]).await?
            };
            if changed == 0 {
                return Ok(());
            }
            self.noted(tx, if paused { "pause" } else { "resume" }, ("runner", runner), by).await
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
