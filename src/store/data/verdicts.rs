//! What is known of the candles that results rest on: verdicts about windows. Judges nothing itself.

use crate::{LeaseToken, Page, Store, StoreError, row::Named as _};
use candles::DataVerdict;
use chrono::{DateTime, Utc};
use serde::Serialize;
use tokio_postgres::{Row, types::Json};

/// A stored verdict.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct DataVerdictRow {
    pub id: i64,
    /// Names the candles that were judged.
    pub data_version: String,
    pub verdict: DataVerdict,
    pub checked_at: DateTime<Utc>,
}

fn read(row: &Row) -> Result<DataVerdictRow, StoreError> {
    Ok(DataVerdictRow {
        id: row.try_get("id")?,
        data_version: row.try_get("data_version")?,
        verdict: row.json("detail")?,
        checked_at: row.try_get("checked_at")?,
    })
}

impl Store {
    /// Stores what was judged about a window of the candles that `data_version` names; a later verdict about the same
    /// (under other limits) replaces the earlier one. Returns its number.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`]; when the database does not answer or refuses the row.
    pub async fn record_data_verdict(
        &self,
        lease: &LeaseToken,
        data_version: &str,
        verdict: &DataVerdict,
    ) -> Result<i64, StoreError> {
        let symbols = &verdict.symbols.iter().map(|s| s.symbol.as_str()).collect::<Vec<_>>();
        let (market, interval) = (&verdict.market.to_string(), &verdict.interval.to_string());
        self.transaction("record_data_verdict", |tx| async move {
            let tx = &tx;
            lease.verify(tx).await?;
            let sql = "insert into data_verdicts
                    (data_version, market, symbols, interval, window_from_ms, window_to_ms, fit, reason, detail)
                values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
                on conflict (data_version, window_from_ms, window_to_ms) do update set fit = excluded.fit,
                    reason = excluded.reason, detail = excluded.detail, checked_at = now()
                returning id";
            let params: crate::transaction::Params<'_> = &[
                &data_version,
                market,
                symbols,
                interval,
                &verdict.from_ms,
                &verdict.to_ms,
                &verdict.fit,
                &verdict.reason,
                &Json(verdict),
            ];
            Ok(tx.row(sql, params).await?.try_get("id")?)
        })
        .await
    }

    /// Verdicts, newest first; only those that say no with `only_unfit`.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn data_verdicts(&self, only_unfit: bool, page: Page) -> Result<Vec<DataVerdictRow>, StoreError> {
        self.transaction("data_verdicts", |tx| async move {
            let tx = &tx;
            let sql = "select id, data_version, detail, checked_at from data_verdicts
                where not fit or not $1 order by checked_at desc, id desc limit $2 offset $3";
            tx.rows(sql, &[&only_unfit, &page.limit(), &page.offset()]).await?.iter().map(read).collect()
        })
        .await
    }

    /// Verdicts about exactly these candles, in order of their windows.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn data_verdicts_of(&self, data_version: &str) -> Result<Vec<DataVerdictRow>, StoreError> {
        self.transaction("data_verdicts_of", |tx| async move {
            let tx = &tx;
            let sql = "select id, data_version, detail, checked_at from data_verdicts
                where data_version = $1 order by window_from_ms, window_to_ms";
            tx.rows(sql, &[&data_version]).await?.iter().map(read).collect()
        })
        .await
    }
}
