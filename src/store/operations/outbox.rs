//! The outbox: events are written in the transaction they are about, and delivered later. Sends nothing itself.

use super::dead_letters;
use crate::{DeadLetterKind, NewDeadLetter, Store, StoreError, Tx, clean, row::Named as _, seal};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use tokio_postgres::Row;

/// An event for one channel.
#[derive(Clone, Debug, PartialEq)]
pub struct NewEvent {
    /// Names the event for ever: a second one with this key and channel is not stored.
    pub key: String,
    /// `promotion`, `demotion`, `disabled`, `system_error`, `daily_summary`, ...
    pub kind: String,
    /// `discord`, `slack`, ...
    pub channel: String,
    /// What the message is made from.
    pub payload: Value,
}

/// An event that this caller may deliver until its claim ends.
#[derive(Clone, Debug, PartialEq)]
pub struct ClaimedEvent {
    /// Row.
    pub id: i64,
    /// As given.
    pub event: NewEvent,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// When it was stored.
    pub created_at: DateTime<Utc>,
}

/// What to do with an event that could not be delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// Try again after so many seconds.
    RetryIn(u64),
    /// It was not tried: the same attempt again after so many seconds.
    Defer(u64),
    /// Never again; it stays in the table as dead.
    GiveUp,
}

/// How much waits in the outbox.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct OutboxDepth {
    /// Not delivered yet.
    pub pending: u64,
    /// Given up.
    pub dead: u64,
    /// When the oldest pending one was stored.
    pub oldest_pending_at: Option<DateTime<Utc>>,
}

/// Stores an event inside the caller's transaction; whether it is new. What the message is made from may hold rules, so
/// it is sealed like them.
pub(crate) async fn enqueue(tx: &Tx, event: &NewEvent) -> Result<bool, StoreError> {
    let payload = tx.keys().seal_json(&event.payload, &seal::message_of(&event.key, &event.channel))?;
    let sql = "insert into outbox (event_key, channel, kind, payload) values ($1, $2, $3, $4)
        on conflict (event_key, channel) do nothing";
    Ok(tx.execute(sql, &[&event.key, &event.channel, &event.kind, &payload]).await? == 1)
}

/// A claimed row as it was given.
fn opened(tx: &Tx, row: &Row) -> Result<ClaimedEvent, StoreError> {
    let (key, channel): (String, String) = (row.try_get("event_key")?, row.try_get("channel")?);
    let payload = tx.keys().open_json(row.try_get("payload")?, &seal::message_of(&key, &channel))?;
    Ok(ClaimedEvent {
        id: row.try_get("id")?,
        event: NewEvent { key, channel, kind: row.try_get("kind")?, payload },
        attempt: row.small("attempts")?,
        created_at: row.try_get("created_at")?,
    })
}

/// Seconds until a message is looked at again whose key is not configured.
const KEY_WAIT_S: f64 = 300.0;

/// Puts a row that cannot be opened out of the way of the others.
async fn set_aside(tx: &Tx, row: &Row, error: &StoreError) -> Result<(), StoreError> {
    let (id, why): (i64, String) = (row.try_get("id")?, clean(&error.to_string()));
    let (key, channel): (String, String) = (row.try_get("event_key")?, row.try_get("channel")?);
    if matches!(error, StoreError::Config(_)) {
        tracing::error!(channel, key, error = why, "a message waits for its key");
        let sql = "update outbox set attempts = attempts - 1, claimed_until = null, last_error = $2,
            next_attempt_at = now() + make_interval(secs => $3) where id = $1";
        return tx.execute(sql, &[&id, &why, &KEY_WAIT_S]).await.map(drop);
    }
    tracing::error!(channel, key, error = why, "a message that cannot be opened is given up");
    let letter = NewDeadLetter {
        kind: DeadLetterKind::Notification,
        subject: format!("{channel}:{key}"),
        error: why.clone(),
        genome: None,
        context: json!({ "kind": row.try_get::<_, String>("kind")?, "outbox_id": id }),
    };
    dead_letters::add(tx, &letter).await?;
    let sql = "update outbox set status = 'dead', claimed_until = null, last_error = $2 where id = $1";
    tx.execute(sql, &[&id, &why]).await.map(drop)
}

impl Store {
    /// Stores an event by itself; whether it is new.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn enqueue_event(&self, event: &NewEvent) -> Result<bool, StoreError> {
        self.transaction("enqueue_event", |tx| async move { enqueue(&tx, event).await }).await
    }

    /// Claims up to `limit` due events for `claim_s` seconds. No two callers hold the same one. One that cannot be opened
    /// is given up, with a dead letter that says why; one whose key is not configured waits for it.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn claim_outbox(&self, limit: u32, claim_s: u32) -> Result<Vec<ClaimedEvent>, StoreError> {
        let mut events = self
            .transaction("claim_outbox", |tx| async move {
                let tx = &tx;
                let rows = tx
                    .rows(
                        "update outbox set attempts = attempts + 1,
                             claimed_until = now() + make_interval(secs => $2::double precision)
                         where id in (
                             select id from outbox
                             where status = 'pending' and next_attempt_at <= now()
                                 and (claimed_until is null or claimed_until <= now())
                             order by next_attempt_at, id limit $1 for update skip locked
                         )
                         returning id, event_key, channel, kind, payload, attempts, created_at",
                        &[&i64::from(limit), &f64::from(claim_s)],
                    )
                    .await?;
                let mut events = Vec::with_capacity(rows.len());
                for row in &rows {
                    match opened(tx, row) {
                        Ok(event) => events.push(event),
                        // It holds back none of the others.
                        Err(error) => set_aside(tx, row, &error).await?,
                    }
                }
                Ok(events)
            })
            .await?;
        events.sort_by_key(|event| event.id);
        Ok(events)
    }

    /// Notes that an event arrived.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn mark_delivered(&self, id: i64) -> Result<(), StoreError> {
        self.transaction("mark_delivered", |tx| async move {
            let tx = &tx;
            let sql = "update outbox set status = 'delivered', delivered_at = now(), claimed_until = null,
                last_error = null where id = $1 and status <> 'delivered'";
            tx.execute(sql, &[&id]).await.map(drop)
        })
        .await
    }

    /// Notes that an attempt failed. Does nothing when somebody else claimed or delivered the event meanwhile.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn mark_failed(&self, event: &ClaimedEvent, error: &str, then: Delivery) -> Result<(), StoreError> {
        let error = &clean(error);
        let (status, wait_s, attempts) = match then {
            Delivery::RetryIn(seconds) => ("pending", seconds, event.attempt),
            Delivery::Defer(seconds) => ("pending", seconds, event.attempt.saturating_sub(1)),
            Delivery::GiveUp => ("dead", 0, event.attempt),
        };
        let attempts = i32::try_from(attempts).unwrap_or(i32::MAX);
        let attempt = i32::try_from(event.attempt).unwrap_or(i32::MAX);
        self.transaction("mark_failed", |tx| async move {
            let tx = &tx;
            let sql = "update outbox set status = $3, last_error = $4, claimed_until = null, attempts = $6,
                next_attempt_at = now() + make_interval(secs => $5::double precision)
                where id = $1 and attempts = $2 and status = 'pending'";
            tx.execute(sql, &[&event.id, &attempt, &status, error, &(wait_s as f64), &attempts]).await.map(drop)
        })
        .await
    }

    /// How much waits.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn outbox_depth(&self) -> Result<OutboxDepth, StoreError> {
        self.transaction("outbox_depth", |tx| async move { depth(&tx).await }).await
    }
}

pub(crate) async fn depth(tx: &Tx) -> Result<OutboxDepth, StoreError> {
    let sql =
        "select count(*) filter (where status = 'pending') as pending, count(*) filter (where status = 'dead') as dead,
        min(created_at) filter (where status = 'pending') as oldest_pending_at from outbox where status <> 'delivered'";
    let row = tx.row(sql, &[]).await?;
    Ok(OutboxDepth {
        pending: row.count("pending")?,
        dead: row.count("dead")?,
        oldest_pending_at: row.try_get("oldest_pending_at")?,
    })
}
