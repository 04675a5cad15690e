//! Stored results that were computed again, because candles were revised or the engine's meaning changed: what came of
//! it, and who is still to be looked at. Computes nothing itself.

use crate::{
    LeaseToken, PaperPass, StatSource, Store, StoreError, TransitionRecord, Tx, audit, paper, search::protocol,
    strategies, strategies::transitions, uncount,
};
use ::protocol::Standing;
use chrono::DateTime;
use engine::{Performance, Recipe};
use lifecycle::EValues;
use serde_json::{Value, json};
use tokio_postgres::types::Json;
use uuid::Uuid;

/// A result computed again.
#[derive(Clone, Debug, PartialEq)]
pub struct Rescored {
    /// What it was measured on.
    pub source: StatSource,
    /// First candle traded, UTC ms.
    pub from_ms: i64,
    /// End, exclusive, UTC ms.
    pub to_ms: i64,
    /// Names the candles that it rested on.
    pub old_data_version: Option<String>,
    /// Names those that it rests on now.
    pub new_data_version: Option<String>,
    /// As it was stored.
    pub old: Option<Performance>,
    /// As it came out now; `None` where it could not be computed.
    pub new: Option<Performance>,
    /// What a replay needs. Of backtests and hold-outs only.
    pub parameters: Option<Recipe>,
}

/// Everything that scoring a strategy again came to: stored together or not at all.
#[derive(Clone, Debug)]
pub struct Rescore {
    /// Whose.
    pub strategy_id: Uuid,
    /// The revisions that caused it; none where something else did.
    pub revision_ids: Vec<i64>,
    /// The meaning of the engine that caused it, where one did.
    pub engine_meaning: Option<u32>,
    /// The cause in words.
    pub cause: String,
    /// Every result that it concerns.
    pub results: Vec<Rescored>,
    /// The open paper run, computed again up to where it was.
    pub pass: Option<PaperPass>,
    /// What its hold-out proved, and where it stands now, where that is not the same.
    pub standing: Option<(EValues, Standing)>,
    /// Of a strategy that ranks the market: results of its hold-out now, deviations.
    pub holdout_results: Option<Vec<f64>>,
    /// What the gate said, where it was asked.
    pub decision: Option<String>,
    /// The move that follows from it, if one does.
    pub transition: Option<TransitionRecord>,
}

impl Store {
    /// Stores what scoring a strategy again came to, with the cause in the audit trail; `false` when that was done
    /// before for all of the revisions, or for the meaning, that caused it.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`]; those of [`apply_transition`](Self::apply_transition).
    pub async fn record_rescore(&self, lease: &LeaseToken, rescore: &Rescore) -> Result<bool, StoreError> {
        let columns = &rescore.pass.as_ref().map(|pass| paper::TradeColumns::new(&pass.trades)).transpose()?;
        self.transaction("record_rescore", |tx| async move {
            let tx = &tx;
            lease.verify(tx).await?;
            if !is_new(tx, rescore).await? {
                return Ok(false);
            }
            let deployment = "select id from deployments where strategy_id = $1 and status <> 'deactivated'";
            let deployment = tx.row_opt(deployment, &[&rescore.strategy_id]).await?;
            let deployment: Option<Uuid> = deployment.map(|row| row.try_get("id")).transpose()?;
            for result in &rescore.results {
                put_result(tx, rescore, result, deployment).await?;
            }
            if let (Some(pass), Some(columns)) = (&rescore.pass, columns) {
                paper::correct_pass(tx, pass, columns).await?;
            }
            if let Some((_, standing)) = &rescore.standing {
                let results = rescore.holdout_results.as_deref();
                protocol::revise_standing(tx, rescore.strategy_id, (standing, results)).await?;
            }
            let figures = |performance: &Option<Performance>| {
                json!(performance.as_ref().map(|p| json!({
                    "profit_factor": p.profit_factor, "sharpe_ratio": p.sharpe_ratio, "total_trades": p.total_trades,
                    "total_return": p.total_return,
                })))
            };
            let side = |pick: fn(&Rescored) -> &Option<Performance>, version: fn(&Rescored) -> &Option<String>| {
                let each = rescore.results.iter().map(|r| {
                    json!({ "source": r.source.name(), "from_ms": r.from_ms, "to_ms": r.to_ms,
                        "data_version": version(r), "figures": figures(pick(r)) })
                });
                Some(Value::Array(each.collect()))
            };
            let entry = audit::AuditEntry {
                event: "data_changed",
                entity_type: "strategy",
                entity_id: &rescore.strategy_id.to_string(),
                actor: if rescore.engine_meaning.is_some() { "engine" } else { "market" },
                before: side(|r| &r.old, |r| &r.old_data_version),
                after: side(|r| &r.new, |r| &r.new_data_version),
                metadata: json!({
                    "cause": rescore.cause, "revision_ids": rescore.revision_ids,
                    "engine_meaning": rescore.engine_meaning, "decision": rescore.decision,
                    "transition_id": rescore.transition.as_ref().map(|t| t.id),
                    "holdout": rescore.standing.as_ref().map(|(before, now)| json!({
                        "before": before, "after": now.holdout,
                    })),
                }),
                correlation_id: rescore.transition.as_ref().map(|t| t.id),
            };
            audit::append(tx, &self.inner.audit_key, &entry).await?;
            if let Some(transition) = &rescore.transition {
                transitions::apply(tx, &self.inner.audit_key, transition).await?;
            }
            Ok(true)
        })
        .await
    }

    /// Strategies that have a result of an engine's meaning below this one and were not held against it yet, those that
    /// trade on paper first; at most `limit`. Of what clients asked for, nothing.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn strategies_before_meaning(&self, meaning: u32, limit: u32) -> Result<Vec<Uuid>, StoreError> {
        self.transaction("strategies_before_meaning", |tx| async move {
            let older = |column: &str| {
                format!(
                    "case when jsonb_typeof({column} -> 'engine_meaning') = 'number'
                        then ({column} ->> 'engine_meaning')::numeric else 1 end < $1::bigint"
                )
            };
            let sql = format!(
                "select s.id from strategies s
                 where not exists (select from engine_meanings m where m.strategy_id = s.id and m.meaning >= $1::bigint)
                     and (exists (select from paper_runs r where r.strategy_id = s.id and {})
                         or exists (select from backtest_results b where b.strategy_id = s.id
                             and coalesce(b.backtest_id, '') not like 'service:%' and {}))
                 order by s.state in ('live', 'shadow') desc, s.id limit $2",
                older("r.config"),
                older("b.parameters"),
            );
            let rows = tx.rows(&sql, &[&i64::from(meaning), &i64::from(limit)]).await?;
            rows.iter().map(|row| Ok(row.try_get("id")?)).collect()
        })
        .await
    }

    /// Notes that nothing of a strategy is to be computed again for a meaning of the engine.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`]; when the database does not answer.
    pub async fn meaning_concerns_nothing(
        &self,
        lease: &LeaseToken,
        strategy_id: Uuid,
        meaning: u32,
    ) -> Result<(), StoreError> {
        self.transaction("meaning_concerns_nothing", |tx| async move {
            let tx = &tx;
            lease.verify(tx).await?;
            let sql = "insert into engine_meanings (strategy_id, meaning) values ($1, $2::bigint)
                on conflict do nothing";
            tx.execute(sql, &[&strategy_id, &i64::from(meaning)]).await.map(drop)
        })
        .await
    }
}

/// Whether something is left to store for a cause; notes the meaning that caused it.
async fn is_new(tx: &Tx, rescore: &Rescore) -> Result<bool, StoreError> {
    if let Some(meaning) = rescore.engine_meaning {
        let results: Vec<Value> = rescore.results.iter().map(before_and_after).collect();
        let sql = "insert into engine_meanings (strategy_id, meaning, cause, results, decision)
            values ($1, $2::bigint, $3, $4, $5) on conflict do nothing";
        let params: crate::transaction::Params<'_> =
            &[&rescore.strategy_id, &i64::from(meaning), &rescore.cause, &Value::Array(results), &rescore.decision];
        return Ok(tx.execute(sql, params).await? > 0);
    }
    if rescore.revision_ids.is_empty() {
        return Ok(true);
    }
    let sql = "select count(distinct revision_id) as done from data_revision_uses
        where strategy_id = $1 and revision_id = any($2)";
    let done: i64 = tx.row(sql, &[&rescore.strategy_id, &rescore.revision_ids]).await?.try_get("done")?;
    Ok(uncount(done) < rescore.revision_ids.len() as u64)
}

fn before_and_after(result: &Rescored) -> Value {
    json!({
        "source": result.source.name(), "from_ms": result.from_ms, "to_ms": result.to_ms,
        "old_data_version": result.old_data_version, "new_data_version": result.new_data_version,
        "old_performance": result.old, "new_performance": result.new,
    })
}

async fn put_result(tx: &Tx, rescore: &Rescore, result: &Rescored, deployment: Option<Uuid>) -> Result<(), StoreError> {
    let Rescored { source, from_ms, to_ms, old_data_version, new_data_version, old, new, parameters } = result;
    let (id, name) = (&rescore.strategy_id, &source.name());
    let deployment = deployment.filter(|_| *source == StatSource::Live);
    for revision in &rescore.revision_ids {
        let sql = "insert into data_revision_uses (revision_id, strategy_id, source, window_from_ms, window_to_ms,
                deployment_id, old_data_version, new_data_version, old_performance, new_performance, decision)
            values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) on conflict do nothing";
        let params: crate::transaction::Params<'_> = &[
            revision,
            id,
            name,
            from_ms,
            to_ms,
            &deployment,
            old_data_version,
            new_data_version,
            &old.as_ref().map(Json),
            &new.as_ref().map(Json),
            &rescore.decision,
        ];
        tx.execute(sql, params).await?;
    }
    let Some(performance) = new else { return Ok(()) };
    strategies::put_stat(tx, *id, *source, (*from_ms, *to_ms), new_data_version.as_deref(), performance).await?;
    if let Some(parameters) = parameters {
        let sql =
            "insert into backtest_results (strategy_id, backtest_id, metrics, parameters, period_start, period_end)
            values ($1, $2, $3, $4, $5, $6)";
        let newest = rescore.revision_ids.iter().max().map(|newest| format!("revision-{newest}"));
        let meaning = rescore.engine_meaning.map(|meaning| format!("meaning-{meaning}"));
        let backtest_id = format!("{}:{name}", newest.or(meaning).unwrap_or_else(|| "again".to_owned()));
        let (start, end) = (DateTime::from_timestamp_millis(*from_ms), DateTime::from_timestamp_millis(*to_ms));
        tx.execute(sql, &[id, &backtest_id, &Json(performance), &Json(parameters), &start, &end]).await?;
    }
    Ok(())
}
