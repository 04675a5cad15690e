//! Deployments of live strategies and their days. How large one is and when it grows is decided elsewhere.

use crate::{
    LeaseToken, Store, StoreError, Tx, audit, books::total_of_books, partitions::ensure_partition, row::Named as _,
    transaction::Params,
};
use chrono::{DateTime, Datelike, NaiveDate, NaiveTime, Utc};
use lifecycle::{DeploymentStatus, Phase, RiskLimits};
use serde::Serialize;
use serde_json::json;
use std::collections::BTreeSet;
use tokio_postgres::{Row, types::Json};
use uuid::Uuid;

/// A live strategy's deployment.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct Deployment {
    pub id: Uuid,
    pub strategy_id: Uuid,
    pub phase: Phase,
    /// When that phase began, market time, UTC ms.
    pub phase_market_ms: i64,
    pub status: DeploymentStatus,
    /// Percent of capital.
    pub allocation_pct: f64,
    pub risk_limits: RiskLimits,
    /// Overall score when it was promoted.
    pub promotion_score: Option<f64>,
    /// Capital that the allocation is a share of, quote units.
    pub total_capital: f64,
    pub promoted_by: String,
    pub started_market_ms: i64,
    pub ended_market_ms: Option<i64>,
    pub started_at: DateTime<Utc>,
    pub ended_at: Option<DateTime<Utc>>,
    pub paused_until: Option<DateTime<Utc>>,
    pub reason: Option<String>,
}

impl Deployment {
    /// Percent of capital that is at work now: nothing while it is paused or has ended.
    #[must_use]
    pub fn at_work_pct(&self) -> f64 {
        if self.status == DeploymentStatus::Active { self.allocation_pct } else { 0.0 }
    }
}

/// What a deployment that goes on becomes.
#[derive(Clone, Debug, PartialEq)]
pub struct DeploymentChange {
    /// The same or the next one.
    pub phase: Phase,
    /// 0.01 to 100 percent of capital.
    pub allocation_pct: f64,
    /// Paused, until then if that is known; `None` while it trades.
    pub paused: Option<Option<DateTime<Utc>>>,
    /// Its limits.
    pub risk_limits: RiskLimits,
    /// Why, for people.
    pub reason: String,
    /// Who decided.
    pub actor: String,
    /// Market time at which it was decided, UTC ms: where the phase is another one, it begins then.
    pub at_market_ms: i64,
    /// What all active deployments together may have, percent of capital.
    pub max_total_pct: f64,
}

/// A deployment's day. Returns are fractions.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PerformanceDay {
    /// UTC, market time.
    pub day: NaiveDate,
    /// Allocation on that day, percent.
    pub allocation_pct: f64,
    /// Of the day.
    pub daily_return: f64,
    /// Since the deployment began: (1 + that of the day before) x (1 + daily return) - 1.
    pub cumulative_return: f64,
    /// Of the last 30 days, annualised by sqrt(365).
    pub rolling_sharpe_30d: Option<f64>,
    /// Equity at the day's end / running peak - 1: 0 or negative.
    pub drawdown: f64,
    /// Winning trades / trades.
    pub win_rate: Option<f64>,
    /// Closed since the deployment began.
    pub trades: u32,
    /// Standard deviation of the last 30 daily returns, annualised by sqrt(365).
    pub volatility: Option<f64>,
    /// Daily return of holding the strategy's symbols in equal parts.
    pub benchmark_return: Option<f64>,
}

/// What a live strategy has made on paper since it went live.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct LiveRow {
    pub number: i64,
    pub name: String,
    pub since_ms: i64,
    pub to_ms: i64,
    pub total_return: Option<f64>,
    pub max_drawdown: Option<f64>,
    pub trades: Option<i32>,
    /// Fees, slippage and funding of the run, quote units.
    pub costs: Option<f64>,
    /// Of the newest deployment.
    pub phase: Option<String>,
    pub status: Option<String>,
    pub allocation_pct: Option<f64>,
    /// Why it has this phase, status and share.
    pub reason: Option<String>,
    /// Until when it is paused, where that is known.
    pub paused_until: Option<DateTime<Utc>>,
}

/// A day of all live strategies together. Returns are fractions; market time.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LiveDay {
    /// UTC.
    pub day: NaiveDate,
    /// By allocation.
    pub weighted_return: Option<f64>,
    /// Every live strategy with the same share.
    pub equal_return: f64,
    /// Of holding the symbols of all live strategies, in equal parts; `None` where no one of them trades by symbol.
    pub benchmark_return: Option<f64>,
    /// Live strategies on that day.
    pub strategies: u32,
}

const COLUMNS: &str = "id, strategy_id, phase, status, allocation_pct::double precision, risk_limits, \
     promotion_score::double precision, total_capital::double precision, promoted_by, started_market_ms, \
     ended_market_ms, started_at, ended_at, paused_until, reason, \
     coalesce(phase_market_ms, started_market_ms) as phase_market_ms";

fn read(row: &Row) -> Result<Deployment, StoreError> {
    Ok(Deployment {
        id: row.try_get("id")?,
        strategy_id: row.try_get("strategy_id")?,
        phase: row.parse("phase")?,
        phase_market_ms: row.try_get("phase_market_ms")?,
        status: row.parse("status")?,
        allocation_pct: row.try_get("allocation_pct")?,
        risk_limits: row.json("risk_limits")?,
        promotion_score: row.try_get("promotion_score")?,
        total_capital: row.try_get("total_capital")?,
        promoted_by: row.try_get("promoted_by")?,
        started_market_ms: row.try_get("started_market_ms")?,
        ended_market_ms: row.try_get("ended_market_ms")?,
        started_at: row.try_get("started_at")?,
        ended_at: row.try_get("ended_at")?,
        paused_until: row.try_get("paused_until")?,
        reason: row.try_get("reason")?,
    })
}

pub(crate) async fn of_strategy(tx: &Tx, id: Uuid) -> Result<Vec<Deployment>, StoreError> {
    let sql = format!("select {COLUMNS} from deployments where strategy_id = $1 order by started_at, id");
    tx.rows(&sql, &[&id]).await?.iter().map(read).collect()
}

/// What the active ones of these have together, percent of capital.
#[must_use]
pub fn total_pct(deployments: &[Deployment]) -> f64 {
    deployments.iter().map(Deployment::at_work_pct).sum()
}

impl Store {
    /// Deployments that have not ended, oldest first.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn open_deployments(&self) -> Result<Vec<Deployment>, StoreError> {
        self.transaction("open_deployments", |tx| async move {
            let tx = &tx;
            let sql =
                format!("select {COLUMNS} from deployments where status <> 'deactivated' order by started_at, id");
            tx.rows(&sql, &[]).await?.iter().map(read).collect()
        })
        .await
    }

    /// Changes a deployment that goes on, with an audit entry; whether anything was different.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::LeaseLost`], [`StoreError::Conflict`] when it has ended or the total
    /// would be passed, [`StoreError::Constraint`] when a phase is left out or a number is out of range.
    pub async fn change_deployment(
        &self,
        lease: Option<&LeaseToken>,
        id: Uuid,
        change: &DeploymentChange,
    ) -> Result<bool, StoreError> {
        self.transaction("change_deployment", |tx| async move {
            let tx = &tx;
            if let Some(lease) = lease {
                lease.verify(tx).await?;
            }
            // All that go on, in one order: what they have together cannot change meanwhile.
            let sql = format!(
                "select {COLUMNS} from deployments where status <> 'deactivated' or id = $1 order by id for update"
            );
            let open = tx.rows(&sql, &[&id]).await?.iter().map(read).collect::<Result<Vec<_>, _>>()?;
            let (before, others): (Vec<_>, Vec<_>) = open.into_iter().partition(|d| d.id == id);
            let before = before.into_iter().next().ok_or_else(|| StoreError::not_found("deployment", id))?;
            if before.status == DeploymentStatus::Deactivated {
                return Err(StoreError::Conflict(format!("deployment {id} has ended")));
            }
            let status = if change.paused.is_some() { DeploymentStatus::Paused } else { DeploymentStatus::Active };
            let until = change.paused.flatten();
            let sql = format!(
                "update deployments set phase = $2, allocation_pct = $3::double precision::numeric(5, 2), status = $4,
                     paused_until = $5, risk_limits = $6, reason = $7,
                     phase_market_ms = case when phase = $2 then phase_market_ms else $8 end
                 where id = $1 and (phase, allocation_pct, status, paused_until, risk_limits) is distinct from
                     ($2, $3::double precision::numeric(5, 2), $4, $5::timestamptz, $6::jsonb)
                 returning {COLUMNS}"
            );
            let (allocation, limits) = (change.allocation_pct, Json(change.risk_limits));
            let params: Params<'_> = &[
                &id,
                &change.phase.name(),
                &allocation,
                &status.name(),
                &until,
                &limits,
                &change.reason,
                &change.at_market_ms,
            ];
            let Some(row) = tx.row_opt(&sql, params).await? else { return Ok(false) };
            let after = read(&row)?;
            let others = total_pct(&others) + total_of_books(tx).await?;
            let (had, has) = (before.at_work_pct(), after.at_work_pct());
            // Less is always welcome: a limit that was lowered is reached step by step.
            if has > had && others + has > change.max_total_pct + 1e-6 {
                return Err(StoreError::Conflict(format!(
                    "with {has:.2} % for it active deployments would have {:.2} % of the capital, {} % is the limit",
                    others + has,
                    change.max_total_pct
                )));
            }
            let state = |d: &Deployment| {
                json!({ "phase": d.phase, "status": d.status, "allocation_pct": d.allocation_pct,
                    "paused_until": d.paused_until, "risk_limits": d.risk_limits })
            };
            let entry = audit::AuditEntry {
                event: "deployment_changed",
                entity_type: "deployment",
                entity_id: &id.to_string(),
                actor: &change.actor,
                before: Some(state(&before)),
                after: Some(state(&after)),
                metadata: json!({ "reason": change.reason, "strategy_id": after.strategy_id }),
                correlation_id: Some(after.strategy_id),
            };
            audit::append(tx, &self.inner.audit_key, &entry).await?;
            Ok(true)
        })
        .await
    }

    /// Stores days of a deployment, over what is stored of the same days.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`], [`StoreError::Constraint`] when a cumulative return does not follow from the daily ones.
    pub async fn record_performance_days(
        &self,
        lease: Option<&LeaseToken>,
        deployment_id: Uuid,
        days: &[PerformanceDay],
    ) -> Result<(), StoreError> {
        self.transaction("record_performance_days", |tx| async move {
            let tx = &tx;
            if let Some(lease) = lease {
                lease.verify(tx).await?;
            }
            // Before the first row: a table with triggers that wait is given no partition.
            let months: BTreeSet<_> = days.iter().filter_map(|d| d.day.with_day(1)).collect();
            for month in months {
                ensure_partition(tx, "performance_metrics", month.and_time(NaiveTime::MIN).and_utc()).await?;
            }
            for d in days {
                let sql = "insert into performance_metrics (deployment_id, day, allocation_pct, daily_return,
                        cumulative_return, rolling_sharpe_30d, drawdown, win_rate, trades, volatility, benchmark_return)
                    values ($1, $2, $3::double precision::numeric(5, 2), $4::double precision, $5::double precision,
                        $6::double precision, $7::double precision, $8::double precision, $9, $10::double precision,
                        $11::double precision)
                    on conflict (deployment_id, day) do update set allocation_pct = excluded.allocation_pct,
                        daily_return = excluded.daily_return, cumulative_return = excluded.cumulative_return,
                        rolling_sharpe_30d = excluded.rolling_sharpe_30d, drawdown = excluded.drawdown,
                        win_rate = excluded.win_rate, trades = excluded.trades, volatility = excluded.volatility,
                        benchmark_return = excluded.benchmark_return";
                let params: Params<'_> = &[
                    &deployment_id,
                    &d.day,
                    &d.allocation_pct,
                    &d.daily_return,
                    &d.cumulative_return,
                    &d.rolling_sharpe_30d,
                    &d.drawdown,
                    &d.win_rate,
                    &i32::try_from(d.trades).unwrap_or(i32::MAX),
                    &d.volatility,
                    &d.benchmark_return,
                ];
                tx.execute(sql, params).await?;
            }
            Ok(())
        })
        .await
    }

    /// Days of a deployment, oldest first.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn performance_days(&self, deployment_id: Uuid) -> Result<Vec<PerformanceDay>, StoreError> {
        self.transaction("performance_days", |tx| async move {
            let tx = &tx;
            let sql = "select day, allocation_pct::double precision, daily_return::double precision,
                    cumulative_return::double precision, rolling_sharpe_30d::double precision,
                    drawdown::double precision, win_rate::double precision, trades, volatility::double precision,
                    benchmark_return::double precision
                from performance_metrics where deployment_id = $1 order by day";
            tx.rows(sql, &[&deployment_id])
                .await?
                .iter()
                .map(|row| {
                    Ok(PerformanceDay {
                        day: row.try_get("day")?,
                        allocation_pct: row.try_get("allocation_pct")?,
                        daily_return: row.try_get("daily_return")?,
                        cumulative_return: row.try_get("cumulative_return")?,
                        rolling_sharpe_30d: row.try_get("rolling_sharpe_30d")?,
                        drawdown: row.try_get("drawdown")?,
                        win_rate: row.try_get("win_rate")?,
                        trades: row.small("trades")?,
                        volatility: row.try_get("volatility")?,
                        benchmark_return: row.try_get("benchmark_return")?,
                    })
                })
                .collect()
        })
        .await
    }

    /// Live strategies with what they made on paper since they went live, and their deployments.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn live_strategies(&self) -> Result<Vec<LiveRow>, StoreError> {
        self.transaction("live_strategies", |tx| async move {
            let sql = "select s.number, s.name, r.from_ms, r.to_ms,
                    (r.performance ->> 'total_return')::double precision as total_return,
                    (r.performance ->> 'max_drawdown')::double precision as max_drawdown,
                    (r.performance ->> 'total_trades')::integer as total_trades,
                    (r.performance ->> 'fees')::double precision + (r.performance ->> 'slippage')::double precision
                        + (r.performance ->> 'funding')::double precision as costs,
                    d.phase, d.status, d.allocation_pct::double precision, d.reason, d.paused_until
                from strategies s join paper_runs r on r.strategy_id = s.id and r.ended_at is null and r.phase = 'live'
                left join lateral (select * from deployments d where d.strategy_id = s.id
                    order by d.started_at desc limit 1) d on true
                where s.state = 'live' order by s.number";
            let read = |row: &Row| {
                Ok(LiveRow {
                    number: row.try_get("number")?,
                    name: row.try_get("name")?,
                    since_ms: row.try_get("from_ms")?,
                    to_ms: row.try_get("to_ms")?,
                    total_return: row.try_get("total_return")?,
                    max_drawdown: row.try_get("max_drawdown")?,
                    trades: row.try_get("total_trades")?,
                    phase: row.try_get("phase")?,
                    status: row.try_get("status")?,
                    allocation_pct: row.try_get("allocation_pct")?,
                    costs: row.try_get("costs")?,
                    reason: row.try_get("reason")?,
                    paused_until: row.try_get("paused_until")?,
                })
            };
            tx.rows(sql, &[]).await?.iter().map(read).collect()
        })
        .await
    }

    /// The newest days of all live strategies together, oldest first, at most `limit`.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn live_days(&self, limit: u32) -> Result<Vec<LiveDay>, StoreError> {
        self.transaction("live_days", |tx| async move {
            let sql =
                "select day, (sum(allocation_pct * daily_return) / nullif(sum(allocation_pct), 0))::double precision
                        as weighted_return,
                    avg(daily_return)::double precision as equal_return,
                    avg(benchmark_return)::double precision as benchmark_return, count(*)::integer as strategies
                from performance_metrics group by day order by day desc limit $1";
            let read = |row: &Row| -> Result<LiveDay, StoreError> {
                Ok(LiveDay {
                    day: row.try_get("day")?,
                    weighted_return: row.try_get("weighted_return")?,
                    equal_return: row.try_get("equal_return")?,
                    benchmark_return: row.try_get("benchmark_return")?,
                    strategies: row.small("strategies")?,
                })
            };
            let mut days = tx.rows(sql, &[&i64::from(limit)]).await?.iter().map(read).collect::<Result<Vec<_>, _>>()?;
            days.reverse();
            Ok(days)
        })
        .await
    }
}
