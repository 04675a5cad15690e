//! Backtest results: one row a strategy and window, in the form that other systems read. Judges nothing.

use super::{Store, StoreError};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use tokio_postgres::Row;
use uuid::Uuid;

/// A stored backtest.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct BacktestRow {
    pub id: i32,
    pub strategy_id: Uuid,
    /// `SESSION:SOURCE` for those of a search.
    pub backtest_id: Option<String>,
    /// A performance, as JSON.
    pub metrics: Value,
    /// Costs, capital, symbols, ...: what a replay needs.
    pub parameters: Value,
    pub period_start: Option<DateTime<Utc>>,
    pub period_end: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
}

fn read(row: &Row) -> Result<BacktestRow, StoreError> {
    Ok(BacktestRow {
        id: row.try_get(0)?,
        strategy_id: row.try_get(1)?,
        backtest_id: row.try_get(2)?,
        metrics: row.try_get(3)?,
        parameters: row.try_get(4)?,
        period_start: row.try_get(5)?,
        period_end: row.try_get(6)?,
        created_at: row.try_get(7)?,
    })
}

impl Store {
    /// Backtests of a strategy, oldest first.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn backtest_results(&self, strategy_id: Uuid) -> Result<Vec<BacktestRow>, StoreError> {
        self.transaction("backtest_results", |tx| async move {
            let tx = &tx;
            let sql = "select id, strategy_id, backtest_id, metrics, parameters, period_start, period_end, created_at
                from backtest_results where strategy_id = $1 order by id";
            tx.rows(sql, &[&strategy_id]).await?.iter().map(read).collect()
        })
        .await
    }
}
