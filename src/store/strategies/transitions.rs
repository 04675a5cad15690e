//! Transitions: the one way in which a strategy's state changes, with everything that belongs to it.
//!
//! State, transition row, paper run, deployment, audit entry and notifications are one transaction.
//! Whether a transition is right is not asked here.

use crate::{
    LeaseToken, NewEvent, Page, Store, StoreError, Tx, audit,
    operations::outbox,
    paper,
    row::Named as _,
    strategies,
    strategies::{naming, seen},
};
use chrono::{DateTime, Utc};
use engine::RunConfig;
use lifecycle::{Decision, DisableReason, State, Transition, Verdict};
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use tokio_postgres::{Row, types::Json};
use uuid::Uuid;

/// The paper run that begins with a transition into shadow or live.
#[derive(Clone, Debug, PartialEq)]
pub struct NewPaperRun {
    /// First candle that indicators warm up on, UTC ms; at most the transition's market time.
    pub warmup_from_ms: i64,
    /// What a replay needs: costs, capital, ...
    pub config: RunConfig,
}

/// A transition to apply.
#[derive(Clone, Debug, PartialEq)]
pub struct TransitionRecord {
    /// UUID v7, made by the caller: applying the same one twice changes nothing.
    pub id: Uuid,
    /// Whose.
    pub strategy_id: Uuid,
    /// From where to where.
    pub transition: Transition,
    /// One sentence for people.
    pub summary: String,
    /// The gate's decision; `None` for an operator's.
    pub decision: Option<Decision>,
    /// What it rests on, as JSON.
    pub evidence: Value,
    /// Name of the policy; `None` for an operator's decision.
    pub policy: Option<String>,
    /// `gate`, `manager`, `operator NAME`, ...
    pub actor: String,
    /// Market time of the decision, UTC ms: a paper run that begins counts candles from here on.
    pub at_market_ms: i64,
    /// Needed when it enters shadow or live, refused otherwise.
    pub run: Option<NewPaperRun>,
    /// Of a revival: end of the candles that the strategy has seen, as stated, UTC ms; `None`: all up to then.
    pub seen_until_ms: Option<i64>,
    /// To be notified of it.
    pub events: Vec<NewEvent>,
}

impl TransitionRecord {
    /// The record of a gate's decision to move; `None` when it holds.
    #[must_use]
    pub fn from_decision(
        strategy_id: Uuid,
        policy: &str,
        decision: Decision,
        evidence: Value,
        actor: &str,
        at_market_ms: i64,
    ) -> Option<Self> {
        let Verdict::Move(transition) = decision.verdict else { return None };
        Some(Self {
            id: Uuid::now_v7(),
            strategy_id,
            transition,
            summary: decision.summary.clone(),
            decision: Some(decision),
            evidence,
            policy: Some(policy.to_owned()),
            actor: actor.to_owned(),
            at_market_ms,
            run: None,
            seen_until_ms: None,
            events: Vec::new(),
        })
    }
}

/// What applying did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransitionOutcome {
    /// The strategy moved.
    Applied,
    /// This very transition was applied before.
    AlreadyApplied,
}

/// A stored transition.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct TransitionRow {
    pub id: Uuid,
    /// In the order in which they happened.
    pub seq: i64,
    pub strategy_id: Uuid,
    pub strategy_name: String,
    pub from: State,
    pub to: State,
    /// `enter_shadow`, `go_live`, `demote`, `disable`, `revive`.
    pub kind: String,
    pub reason: Option<DisableReason>,
    pub summary: String,
    pub decision: Option<Decision>,
    pub evidence: Option<Value>,
    pub policy: Option<String>,
    pub actor: String,
    pub at_market_ms: i64,
    pub created_at: DateTime<Utc>,
}

/// What [`kind`] gives.
const KINDS: [&str; 5] = ["enter_shadow", "go_live", "demote", "disable", "revive"];

/// Name of a transition in Postgres, metrics and JSON.
const fn kind(transition: Transition) -> &'static str {
    match transition {
        Transition::EnterShadow => "enter_shadow",
        Transition::GoLive => "go_live",
        Transition::Demote => "demote",
        Transition::Disable { .. } => "disable",
        Transition::Revive => "revive",
    }
}

/// Applies a transition inside the caller's transaction.
pub(crate) async fn apply(
    tx: &Tx,
    key: &audit::ChainKey,
    record: &TransitionRecord,
) -> Result<TransitionOutcome, StoreError> {
    let (from, to) = (record.transition.from(), record.transition.to());
    if to.trades_on_paper() != record.run.is_some() {
        return Err(StoreError::Invalid(format!(
            "a transition to {to} {} a new paper run",
            if record.run.is_some() { "cannot have" } else { "needs" }
        )));
    }
    let sql = "select state from strategies where id = $1 for update";
    let current: State = match tx.row_opt(sql, &[&record.strategy_id]).await? {
        Some(row) => row.parse("state")?,
        None => return Err(StoreError::not_found("strategy", record.strategy_id)),
    };
    // Asked under the row's lock: a retry sees what its first try committed.
    if tx.row_opt("select 1 from transitions where id = $1", &[&record.id]).await?.is_some() {
        return Ok(TransitionOutcome::AlreadyApplied);
    }
    if current != from {
        return Err(StoreError::Conflict(format!(
            "strategy {} is {current}, not {from}: its state changed meanwhile",
            record.strategy_id
        )));
    }
    if record.seen_until_ms.is_some() && record.transition != Transition::Revive {
        return Err(StoreError::Invalid("only a revival states what a strategy has seen".to_owned()));
    }
    let seen_ms = match record.transition {
        Transition::Revive => Some(seen::on_revival(tx, record).await?),
        _ => None,
    };
    let reason = match record.transition {
        Transition::Disable { reason, .. } => Some(reason.name()),
        _ => None,
    };
    // Its name may have been given to another one meanwhile.
    let new_name = match record.transition {
        Transition::Revive => naming::name_on_revival(tx, record.strategy_id).await?,
        _ => None,
    };
    tx.execute(
        "update strategies set state = $2, disable_reason = $3, state_changed_at = now(), name = coalesce($4, name)
         where id = $1",
        &[&record.strategy_id, &to.name(), &reason, &new_name],
    )
    .await?;
    tx.execute(
        "insert into transitions (id, strategy_id, from_state, to_state, kind, reason, summary, decision, evidence,
             policy, actor, at_market_ms)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        &[
            &record.id,
            &record.strategy_id,
            &from.name(),
            &to.name(),
            &kind(record.transition),
            &reason,
            &record.summary,
            &record.decision.as_ref().map(Json),
            &record.evidence,
            &record.policy,
            &record.actor,
            &record.at_market_ms,
        ],
    )
    .await?;
    paper::switch_run(tx, record).await?;
    switch_deployment(tx, record).await?;
    for event in &record.events {
        outbox::enqueue(tx, event).await?;
    }
    let mut after = json!({ "state": to, "disable_reason": reason });
    if let Some(seen_ms) = seen_ms {
        after["seen_until_ms"] = seen_ms.into();
    }
    if let Some(name) = new_name {
        after["name"] = name.into();
    }
    let entry = audit::AuditEntry {
        event: "strategy_transition",
        entity_type: "strategy",
        entity_id: &record.strategy_id.to_string(),
        actor: &record.actor,
        before: Some(json!({ "state": from })),
        after: Some(after),
        metadata: json!({
            "transition_id": record.id,
            "summary": record.summary,
            "policy": record.policy,
            "at_market_ms": record.at_market_ms,
            "decision": record.decision,
            "seen_until_stated": record.seen_until_ms.is_some(),
        }),
        correlation_id: Some(record.id),
    };
    audit::append(tx, key, &entry).await?;
    Ok(TransitionOutcome::Applied)
}

/// Ends the deployment of what leaves live, begins that of what goes live.
async fn switch_deployment(tx: &Tx, record: &TransitionRecord) -> Result<(), StoreError> {
    if record.transition.from() == State::Live {
        let sql = "update deployments set status = 'deactivated', ended_at = now(), paused_until = null,
                ended_market_ms = greatest($2, started_market_ms), reason = $3
            where strategy_id = $1 and status <> 'deactivated'";
        tx.execute(sql, &[&record.strategy_id, &record.at_market_ms, &record.summary]).await?;
    }
    if record.transition.to() == State::Live {
        // Nothing is at work before the deployment manager has given it a share: the total is to hold at any time.
        let sql = "insert into deployments
                (id, strategy_id, promoted_by, started_market_ms, promotion_score, total_capital, status, paused_until,
                 reason)
            values ($1, $2, $3, $4, (select overall from strategy_scores where strategy_id = $2 and is_latest),
                coalesce(($5::jsonb ->> 'initial_capital')::numeric, 10000), 'paused',
                to_timestamp($4::bigint / 1000.0), 'waits for its first share of the capital')";
        let config = record.run.as_ref().map(|run| Json(&run.config));
        tx.execute(sql, &[&Uuid::now_v7(), &record.strategy_id, &record.actor, &record.at_market_ms, &config]).await?;
    }
    Ok(())
}

const COLUMNS: &str = "t.id, t.seq, t.strategy_id, s.name as strategy_name, t.from_state, t.to_state, t.kind, t.reason, \
     t.summary, t.decision, t.evidence, t.policy, t.actor, t.at_market_ms, t.created_at";

fn read(row: &Row) -> Result<TransitionRow, StoreError> {
    Ok(TransitionRow {
        id: row.try_get("id")?,
        seq: row.try_get("seq")?,
        strategy_id: row.try_get("strategy_id")?,
        strategy_name: row.try_get("strategy_name")?,
        from: row.parse("from_state")?,
        to: row.parse("to_state")?,
        kind: row.try_get("kind")?,
        reason: row.try_get::<_, Option<&str>>("reason")?.map(strategies::reason).transpose()?,
        summary: row.try_get("summary")?,
        decision: row.json_opt("decision")?,
        evidence: row.try_get("evidence")?,
        policy: row.try_get("policy")?,
        actor: row.try_get("actor")?,
        at_market_ms: row.try_get("at_market_ms")?,
        created_at: row.try_get("created_at")?,
    })
}

pub(crate) async fn of_strategy(tx: &Tx, id: Uuid) -> Result<Vec<TransitionRow>, StoreError> {
    let sql = format!(
        "select {COLUMNS} from transitions t join strategies s on s.id = t.strategy_id
         where t.strategy_id = $1 order by t.seq"
    );
    tx.rows(&sql, &[&id]).await?.iter().map(read).collect()
}

impl Store {
    /// Moves a strategy, with all that belongs to it, or not at all. Runners show their lease; operators have none.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the strategy is no longer in the state that it should leave,
    /// [`StoreError::LeaseLost`], [`StoreError::NotFound`].
    pub async fn apply_transition(
        &self,
        record: &TransitionRecord,
        lease: Option<&LeaseToken>,
    ) -> Result<TransitionOutcome, StoreError> {
        self.transaction("apply_transition", |tx| async move {
            let tx = &tx;
            if let Some(lease) = lease {
                lease.verify(tx).await?;
            }
            apply(tx, &self.inner.audit_key, record).await
        })
        .await
    }

    /// Transitions of all strategies, newest first.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn recent_transitions(&self, page: Page) -> Result<Vec<TransitionRow>, StoreError> {
        self.transaction("recent_transitions", |tx| async move {
            let tx = &tx;
            let sql = format!(
                "select {COLUMNS} from transitions t join strategies s on s.id = t.strategy_id
             order by t.seq desc limit $1 offset $2"
            );
            tx.rows(&sql, &[&page.limit(), &page.offset()]).await?.iter().map(read).collect()
        })
        .await
    }

    /// How many transitions there were since a time, by kind; kinds without one are left out.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn transitions_since(&self, since: DateTime<Utc>) -> Result<BTreeMap<String, u64>, StoreError> {
        self.transaction("transitions_since", |tx| async move {
            let tx = &tx;
            // Kind by kind, so that each is a range of its index.
            let sql = "select k.kind, n.n from unnest($1::text[]) k (kind) cross join lateral (
                    select count(*) as n from transitions t where t.kind = k.kind and t.created_at >= $2) n
                where n.n > 0";
            let rows = tx.rows(sql, &[&KINDS.as_slice(), &since]).await?;
            rows.iter().map(|row| Ok((row.try_get("kind")?, row.try_get::<_, i64>("n")?.unsigned_abs()))).collect()
        })
        .await
    }

    /// Transitions after `seq`, oldest first: to follow what happens.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn transitions_after(&self, seq: i64, limit: u32) -> Result<Vec<TransitionRow>, StoreError> {
        self.transaction("transitions_after", |tx| async move {
            let tx = &tx;
            let sql = format!(
                "select {COLUMNS} from transitions t join strategies s on s.id = t.strategy_id
             where t.seq > $1 order by t.seq limit $2"
            );
            tx.rows(&sql, &[&seq, &i64::from(limit)]).await?.iter().map(read).collect()
        })
        .await
    }
}
