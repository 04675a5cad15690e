//! Backtest results: one row a strategy and window, in the form that other systems read. Judges nothing.

use crate::{Store, StoreError, Stored, Tx};
use chrono::{DateTime, Utc};
use engine::Recipe;
use serde::Serialize;
use serde_json::{Map, Value};
use tokio_postgres::{
    Row,
    types::{Json, Type},
};
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
    /// What a replay needs.
    pub parameters: Stored<Recipe>,
    pub period_start: Option<DateTime<Utc>>,
    pub period_end: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
}

/// How a backtest was set up, as it is stored: one object.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Parameters {
    /// What a replay needs.
    #[serde(flatten)]
    pub recipe: Recipe,
    /// What else is worth keeping with it, such as its fitness.
    #[serde(flatten)]
    pub notes: Map<String, Value>,
}

impl From<Recipe> for Parameters {
    fn from(recipe: Recipe) -> Self {
        Self { recipe, notes: Map::new() }
    }
}

/// A backtest to store.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub struct NewResult {
    pub strategy_id: Uuid,
    /// At most 100 characters.
    pub backtest_id: Option<String>,
    /// A performance, as JSON.
    pub metrics: Value,
    pub parameters: Parameters,
    pub period_start: Option<DateTime<Utc>>,
    pub period_end: Option<DateTime<Utc>>,
}

/// Stores results, all in one statement.
pub(crate) async fn copy(tx: &Tx, results: &[NewResult]) -> Result<(), StoreError> {
    if results.is_empty() {
        return Ok(());
    }
    let sql = "copy backtest_results (strategy_id, backtest_id, metrics, parameters, period_start, period_end)
        from stdin binary";
    let types = [Type::UUID, Type::VARCHAR, Type::JSONB, Type::JSONB, Type::TIMESTAMPTZ, Type::TIMESTAMPTZ];
    let mut copy = tx.copy_in(sql, &types).await?;
    for r in results {
        let row: crate::transaction::Params<'_> =
            &[&r.strategy_id, &r.backtest_id, &r.metrics, &Json(&r.parameters), &r.period_start, &r.period_end];
        copy.as_mut().write(row).await?;
    }
    copy.as_mut().finish().await?;
    Ok(())
}

const COLUMNS: &str = "id, strategy_id, backtest_id, metrics, parameters, period_start, period_end, created_at";

fn read(row: &Row) -> Result<BacktestRow, StoreError> {
    let id: i32 = row.try_get("id")?;
    Ok(BacktestRow {
        id,
        strategy_id: row.try_get("strategy_id")?,
        backtest_id: row.try_get("backtest_id")?,
        metrics: row.try_get("metrics")?,
        parameters: Stored::new(row.try_get("parameters")?, "parameters", format_args!("backtest result {id}")),
        period_start: row.try_get("period_start")?,
        period_end: row.try_get("period_end")?,
        created_at: row.try_get("created_at")?,
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
            let sql = format!("select {COLUMNS} from backtest_results where strategy_id = $1 order by id");
            tx.rows(&sql, &[&strategy_id]).await?.iter().map(read).collect()
        })
        .await
    }

    /// The newest backtests of all strategies, newest first: what there is to learn from.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn recent_results(&self, limit: u32) -> Result<Vec<BacktestRow>, StoreError> {
        self.transaction("recent_results", |tx| async move {
            let sql = format!("select {COLUMNS} from backtest_results order by created_at desc limit $1");
            tx.rows(&sql, &[&i64::from(limit)]).await?.iter().map(read).collect()
        })
        .await
    }

    /// Stores backtests of strategies that are stored, any number at once.
    ///
    /// # Errors
    /// [`StoreError::Constraint`] when a strategy is not stored.
    pub async fn record_results(&self, results: &[NewResult]) -> Result<(), StoreError> {
        self.transaction("record_results", |tx| async move { copy(&tx, results).await }).await
    }
}
