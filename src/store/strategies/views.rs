//! What is read of many tables at once: proven strategies, and the materialised views that the daemon refreshes.

use crate::{Page, Store, StoreError, row::Named as _};
use chrono::{DateTime, NaiveDate, Utc};
use lifecycle::State;
use serde::Serialize;
use tokio_postgres::Row;
use uuid::Uuid;

/// A strategy that was promoted.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct ProvenStrategy {
    pub strategy_id: Uuid,
    pub name: String,
    pub genome_hash: String,
    /// What the figures were measured on: the nearest to reality that has trades.
    pub source: Option<String>,
    pub sharpe_ratio: Option<f64>,
    pub win_rate: Option<f64>,
    pub max_drawdown: Option<f64>,
    pub total_return: Option<f64>,
    pub num_trades: Option<i32>,
    /// Hours.
    pub avg_trade_duration: Option<f64>,
    /// `active` with a deployment that trades, `retired` when disabled, `promoted` otherwise.
    pub status: String,
    /// When it last went live, wall time.
    pub promoted_at: DateTime<Utc>,
    /// By what: `own proof`, or as a member of a book that was live, `book 1`; joined by ` and `.
    pub proven_by: String,
}

/// Where a strategy stands, as of the last refresh.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct StrategySummary {
    pub strategy_id: Uuid,
    pub name: String,
    pub state: State,
    pub score: Option<f64>,
    pub grade: Option<String>,
    pub percentile: Option<f64>,
    pub backtest_sharpe_ratio: Option<f64>,
    pub backtest_profit_factor: Option<f64>,
    pub holdout_sharpe_ratio: Option<f64>,
    pub holdout_profit_factor: Option<f64>,
    pub shadow_sharpe_ratio: Option<f64>,
    pub shadow_profit_factor: Option<f64>,
    pub shadow_trades: Option<i32>,
    pub live_sharpe_ratio: Option<f64>,
    pub live_profit_factor: Option<f64>,
    pub live_total_return: Option<f64>,
    pub live_max_drawdown: Option<f64>,
    pub live_trades: Option<i32>,
}

/// All deployments on a day, each by its allocation, as of the last refresh.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct PortfolioDay {
    pub day: NaiveDate,
    pub deployments: i32,
    /// Percent of capital that was at work.
    pub allocation_pct: f64,
    /// Of the whole capital.
    pub daily_return: f64,
    pub cumulative_return: f64,
    pub benchmark_return: Option<f64>,
    pub worst_drawdown: f64,
    pub trades: i64,
}

/// The materialised views.
pub const MATERIALIZED_VIEWS: [&str; 2] = ["strategy_performance_summary", "portfolio_daily_performance"];

fn read_summary(row: &Row) -> Result<StrategySummary, StoreError> {
    Ok(StrategySummary {
        strategy_id: row.try_get("strategy_id")?,
        name: row.try_get("name")?,
        state: row.parse("state")?,
        score: row.try_get("score")?,
        grade: row.try_get("grade")?,
        percentile: row.try_get("percentile")?,
        backtest_sharpe_ratio: row.try_get("backtest_sharpe_ratio")?,
        backtest_profit_factor: row.try_get("backtest_profit_factor")?,
        holdout_sharpe_ratio: row.try_get("holdout_sharpe_ratio")?,
        holdout_profit_factor: row.try_get("holdout_profit_factor")?,
        shadow_sharpe_ratio: row.try_get("shadow_sharpe_ratio")?,
        shadow_profit_factor: row.try_get("shadow_profit_factor")?,
        shadow_trades: row.try_get("shadow_trades")?,
        live_sharpe_ratio: row.try_get("live_sharpe_ratio")?,
        live_profit_factor: row.try_get("live_profit_factor")?,
        live_total_return: row.try_get("live_total_return")?,
        live_max_drawdown: row.try_get("live_max_drawdown")?,
        live_trades: row.try_get("live_trades")?,
    })
}

impl Store {
    /// Brings the materialised views up to date. Readers go on meanwhile.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn refresh_views(&self) -> Result<(), StoreError> {
        for view in MATERIALIZED_VIEWS {
            // One transaction each: what is locked is locked for as short as can be.
            self.transaction("refresh_views", |tx| async move {
                tx.execute("set local statement_timeout = '10min'", &[]).await?;
                tx.execute("select refresh_view($1)", &[&view]).await.map(drop)
            })
            .await?;
        }
        Ok(())
    }

    /// What was promoted, newest first.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn proven_strategies(&self, page: Page) -> Result<Vec<ProvenStrategy>, StoreError> {
        self.transaction("proven_strategies", |tx| async move {
            let tx = &tx;
            let sql =
                "select strategy_id, name, genome_hash, source, sharpe_ratio, win_rate, max_drawdown, total_return,
                    num_trades, avg_trade_duration, status, promoted_at, proven_by
                from proven_strategies order by promoted_at desc, strategy_id limit $1 offset $2";
            tx.rows(sql, &[&page.limit(), &page.offset()])
                .await?
                .iter()
                .map(|row| {
                    Ok(ProvenStrategy {
                        strategy_id: row.try_get("strategy_id")?,
                        name: row.try_get("name")?,
                        genome_hash: row.try_get("genome_hash")?,
                        source: row.try_get("source")?,
                        sharpe_ratio: row.try_get("sharpe_ratio")?,
                        win_rate: row.try_get("win_rate")?,
                        max_drawdown: row.try_get("max_drawdown")?,
                        total_return: row.try_get("total_return")?,
                        num_trades: row.try_get("num_trades")?,
                        avg_trade_duration: row.try_get("avg_trade_duration")?,
                        status: row.try_get("status")?,
                        promoted_at: row.try_get("promoted_at")?,
                        proven_by: row.try_get("proven_by")?,
                    })
                })
                .collect()
        })
        .await
    }

    /// Where strategies in these states stand (any when empty), as of the last refresh, best score first.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn strategy_summaries(&self, states: &[State], page: Page) -> Result<Vec<StrategySummary>, StoreError> {
        let states = &states.iter().map(|state| state.name()).collect::<Vec<_>>();
        self.transaction("strategy_summaries", |tx| async move {
            let tx = &tx;
            let sql = "select strategy_id, name, state, score, grade, percentile, backtest_sharpe_ratio,
                    backtest_profit_factor, holdout_sharpe_ratio, holdout_profit_factor, shadow_sharpe_ratio,
                    shadow_profit_factor, shadow_trades, live_sharpe_ratio, live_profit_factor, live_total_return,
                    live_max_drawdown, live_trades
                from strategy_performance_summary where cardinality($1::text[]) = 0 or state = any($1)
                order by score desc nulls last, strategy_id limit $2 offset $3";
            tx.rows(sql, &[states, &page.limit(), &page.offset()]).await?.iter().map(read_summary).collect()
        })
        .await
    }

    /// The portfolio's days, newest first, as of the last refresh.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn portfolio_days(&self, page: Page) -> Result<Vec<PortfolioDay>, StoreError> {
        self.transaction("portfolio_days", |tx| async move {
            let tx = &tx;
            let sql = "select day, deployments, allocation_pct, daily_return, cumulative_return, benchmark_return,
                    worst_drawdown, trades
                from portfolio_daily_performance order by day desc limit $1 offset $2";
            tx.rows(sql, &[&page.limit(), &page.offset()])
                .await?
                .iter()
                .map(|row| {
                    Ok(PortfolioDay {
                        day: row.try_get("day")?,
                        deployments: row.try_get("deployments")?,
                        allocation_pct: row.try_get("allocation_pct")?,
                        daily_return: row.try_get("daily_return")?,
                        cumulative_return: row.try_get("cumulative_return")?,
                        benchmark_return: row.try_get("benchmark_return")?,
                        worst_drawdown: row.try_get("worst_drawdown")?,
                        trades: row.try_get("trades")?,
                    })
                })
                .collect()
        })
        .await
    }
}
