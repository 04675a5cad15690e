//! Figures of strategies by what they were measured on. Computes none.

use crate::{Store, StoreError, Tx, names::names, row::Named as _};
use chrono::{DateTime, Utc};
use engine::Performance;
use serde::{Deserialize, Serialize};
use tokio_postgres::{Row, types::Json};
use uuid::Uuid;

/// What a performance was measured on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum StatSource {
    Backtest,
    Holdout,
    Shadow,
    Live,
}
names!(
    StatSource,
    "source of statistics",
    Backtest = "backtest",
    Holdout = "holdout",
    Shadow = "shadow",
    Live = "live"
);

/// Performance of a strategy by one source.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct StatRow {
    pub strategy_id: Uuid,
    pub source: StatSource,
    pub window_from_ms: i64,
    pub window_to_ms: i64,
    pub data_version: Option<String>,
    pub performance: Performance,
    pub calculated_at: DateTime<Utc>,
}

/// Stores a performance; a row of the same source and window start is replaced, unless it reaches further.
pub(crate) async fn put_stat(
    tx: &Tx,
    strategy_id: Uuid,
    source: StatSource,
    (from_ms, to_ms): (i64, i64),
    data_version: Option<&str>,
    performance: &Performance,
) -> Result<(), StoreError> {
    let sql = "insert into strategy_stats as s
            (strategy_id, source, window_from_ms, window_to_ms, data_version, performance)
        values ($1, $2, $3, $4, $5, $6)
        on conflict (strategy_id, source, window_from_ms) do update set window_to_ms = excluded.window_to_ms,
            data_version = excluded.data_version, performance = excluded.performance, calculated_at = now()
        where excluded.window_to_ms >= s.window_to_ms";
    let params: crate::transaction::Params<'_> =
        &[&strategy_id, &source.name(), &from_ms, &to_ms, &data_version, &Json(performance)];
    tx.execute(sql, params).await.map(drop)
}

fn read(row: &Row) -> Result<StatRow, StoreError> {
    Ok(StatRow {
        strategy_id: row.try_get("strategy_id")?,
        source: row.parse("source")?,
        window_from_ms: row.try_get("window_from_ms")?,
        window_to_ms: row.try_get("window_to_ms")?,
        data_version: row.try_get("data_version")?,
        performance: row.json("performance")?,
        calculated_at: row.try_get("calculated_at")?,
    })
}

/// Those of a strategy, in order of their windows.
pub(super) async fn of_strategy(tx: &Tx, id: Uuid) -> Result<Vec<StatRow>, StoreError> {
    let sql = "select strategy_id, source, window_from_ms, window_to_ms, data_version, performance, calculated_at
        from strategy_stats where strategy_id = $1 order by window_from_ms, id";
    tx.rows(sql, &[&id]).await?.iter().map(read).collect()
}

impl Store {
    /// Newest performance by source of each of these strategies.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn latest_stats(&self, ids: &[Uuid]) -> Result<Vec<StatRow>, StoreError> {
        self.transaction("latest_stats", |tx| async move {
            let tx = &tx;
            let sql = "select distinct on (strategy_id, source) strategy_id, source, window_from_ms, window_to_ms,
                    data_version, performance, calculated_at
                from strategy_stats where strategy_id = any($1) order by strategy_id, source, window_from_ms desc";
            tx.rows(sql, &[&ids]).await?.iter().map(read).collect()
        })
        .await
    }
}
