//! Market regimes by asset, in market time. Measures nothing.

use crate::{Page, Store, StoreError, partitions::ensure_partition, row::Named as _, transaction::Params};
use candles::{MarketKind, Symbol};
use chrono::{DateTime, Utc};
use evidence::volatility_regime::VolatilityRegime;
use serde::Serialize;
use tokio_postgres::Row;

/// A reading to store.
#[derive(Clone, Debug, PartialEq)]
pub struct NewVolatilityRegime {
    /// Of which market.
    pub market: MarketKind,
    /// Of what.
    pub asset: Symbol,
    /// 0 to 100.
    pub volatility_percentile: f64,
    /// Annualised by sqrt(365).
    pub realised_volatility: f64,
    /// Market time from which it holds, UTC ms.
    pub effective_from_ms: i64,
}

/// A stored regime.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct VolatilityRegimeRow {
    pub market: MarketKind,
    pub asset: Symbol,
    pub regime: VolatilityRegime,
    pub volatility_percentile: f64,
    pub realised_volatility: f64,
    pub previous_regime: Option<VolatilityRegime>,
    pub effective_from_ms: i64,
    /// `None` for the newest one.
    pub effective_until_ms: Option<i64>,
    pub created_at: DateTime<Utc>,
}

/// That a market turned from one regime to another.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RegimeChange {
    /// Of which market.
    pub market: MarketKind,
    /// Of what.
    pub asset: Symbol,
    /// What it was before.
    pub from: VolatilityRegime,
    /// What it is since.
    pub to: VolatilityRegime,
    /// Market time, UTC ms.
    pub changed_ms: i64,
    /// For how long the former regime held, ms; `None` where not all of that is in the database.
    pub lasted_ms: Option<i64>,
}

const COLUMNS: &str = "market, asset, regime, volatility_percentile::double precision, \
     realised_volatility::double precision, previous_regime, effective_from_ms, effective_until_ms, created_at";

fn read(row: &Row) -> Result<VolatilityRegimeRow, StoreError> {
    Ok(VolatilityRegimeRow {
        market: row.parse("market")?,
        asset: row.parse("asset")?,
        regime: row.parse("regime")?,
        volatility_percentile: row.try_get("volatility_percentile")?,
        realised_volatility: row.try_get("realised_volatility")?,
        previous_regime: row.parse_opt("previous_regime")?,
        effective_from_ms: row.try_get("effective_from_ms")?,
        effective_until_ms: row.try_get("effective_until_ms")?,
        created_at: row.try_get("created_at")?,
    })
}

impl Store {
    /// Stores a regime: the one before ends where this one begins. Whether it is new: one from the same time or from
    /// before the newest one changes nothing.
    ///
    /// # Errors
    /// [`StoreError::Constraint`] for numbers that cannot be.
    pub async fn record_regime(&self, new: &NewVolatilityRegime) -> Result<bool, StoreError> {
        self.transaction("record_regime", |tx| async move {
            let tx = &tx;
            if let Some(at) = DateTime::from_timestamp_millis(new.effective_from_ms) {
                ensure_partition(tx, "market_regimes", at).await?;
            }
            let sql = "insert into market_regimes
                    (market, asset, regime, volatility_percentile, realised_volatility, effective_from_ms)
                select $1, $2, $3, $4::double precision, $5::double precision, $6
                where not exists (select from market_regimes
                    where market = $1 and asset = $2 and effective_from_ms >= $6)";
            let regime = VolatilityRegime::of(new.volatility_percentile).name();
            let (market, asset) = (new.market.to_string(), new.asset.as_str());
            let params: Params<'_> = &[
                &market,
                &asset,
                &regime,
                &new.volatility_percentile,
                &new.realised_volatility,
                &new.effective_from_ms,
            ];
            Ok(tx.execute(sql, params).await? == 1)
        })
        .await
    }

    /// The newest regime of each asset.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn current_regimes(&self) -> Result<Vec<VolatilityRegimeRow>, StoreError> {
        self.transaction("current_regimes", |tx| async move {
            let sql =
                format!("select {COLUMNS} from market_regimes where effective_until_ms is null order by market, asset");
            tx.rows(&sql, &[]).await?.iter().map(read).collect()
        })
        .await
    }

    /// Changes of regimes of all assets, or of one, newest first.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn regime_changes(&self, asset: Option<&str>, page: Page) -> Result<Vec<RegimeChange>, StoreError> {
        self.transaction("regime_changes", |tx| async move {
            let sql = "select market, asset, from_regime, to_regime, changed_ms, lasted_ms from regime_changes
                where $1::text is null or asset = $1
                order by changed_ms desc, market, asset limit $2 offset $3";
            let read = |row: &Row| {
                Ok(RegimeChange {
                    market: row.parse("market")?,
                    asset: row.parse("asset")?,
                    from: row.parse("from_regime")?,
                    to: row.parse("to_regime")?,
                    changed_ms: row.try_get("changed_ms")?,
                    lasted_ms: row.try_get("lasted_ms")?,
                })
            };
            tx.rows(sql, &[&asset, &page.limit(), &page.offset()]).await?.iter().map(read).collect()
        })
        .await
    }

    /// Regimes of an asset, newest first.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn regimes_of(
        &self,
        market: MarketKind,
        asset: &Symbol,
        limit: u32,
    ) -> Result<Vec<VolatilityRegimeRow>, StoreError> {
        self.transaction("regimes_of", |tx| async move {
            let tx = &tx;
            let sql = format!(
                "select {COLUMNS} from market_regimes where market = $1 and asset = $2
                 order by effective_from_ms desc limit $3"
            );
            tx.rows(&sql, &[&market.to_string(), &asset.as_str(), &i64::from(limit)]).await?.iter().map(read).collect()
        })
        .await
    }
}
