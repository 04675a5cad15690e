//! A byte budget: months that can be fetched again go, oldest first, until the rest fits.
//!
//! Never evicts what was imported from files (nobody could bring it back), what opens at or after a time that the
//! caller protects, or anything that is not a month of candles.

use super::{CacheError, CandleCache, candle_dir};
use crate::market::MarketKind;
use serde::Serialize;

/// A stored month and what it takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Evicted {
    /// Where it is, below the cache's root.
    pub path: String,
    /// Its size.
    pub bytes: u64,
}

impl CandleCache {
    /// Bytes that everything in the cache takes, snapshots and former contents included.
    ///
    /// # Errors
    /// When the storage cannot be read.
    pub async fn size_bytes(&self) -> Result<u64, CacheError> {
        Ok(self.storage.sizes("").await?.into_iter().map(|(_, bytes)| bytes).sum())
    }

    /// Removes months that can be fetched again and end before `protect_from_ms`, the oldest first, until the cache
    /// takes at most `budget_bytes` or none is left. With `dry_run` they are only named.
    ///
    /// # Errors
    /// When the storage cannot be read or written.
    pub async fn evict(
        &self,
        budget_bytes: u64,
        protect_from_ms: i64,
        dry_run: bool,
    ) -> Result<Vec<Evicted>, CacheError> {
        let mut size = self.size_bytes().await?;
        if size <= budget_bytes {
            return Ok(Vec::new());
        }
        let mut candidates = Vec::new();
        for market in [MarketKind::Spot, MarketKind::Um] {
            for coverage in self.coverage().await?.into_iter().filter(|c| c.market == market) {
                let dir = candle_dir(market, &coverage.symbol, coverage.interval);
                let sizes: std::collections::BTreeMap<String, u64> =
                    self.storage.sizes(&dir).await?.into_iter().collect();
                for month in coverage.months {
                    let facts = month.facts;
                    let path = format!("{dir}/{}.parquet", facts.month);
                    let history = self.history(&format!("{dir}/{}.json", facts.month)).await?;
                    let Some(&bytes) = sizes.get(&path) else { continue };
                    if history.can_be_fetched() && facts.last_open_ms < protect_from_ms {
                        candidates.push((facts.month, dir.clone(), Evicted { path, bytes }));
                    }
                }
            }
        }
        candidates.sort_by(|a, b| (&a.0, &a.1).cmp(&(&b.0, &b.1)));
        let mut evicted = Vec::new();
        for (month, dir, victim) in candidates {
            if size <= budget_bytes {
                break;
            }
            if !dry_run {
                let _lock = self.storage.lock(&dir).await?;
                self.storage.delete(&victim.path).await?;
                // Its history goes with it: it tells which archives need not be fetched.
                self.storage.delete(&format!("{dir}/{month}.json")).await?;
            }
            size = size.saturating_sub(victim.bytes);
            evicted.push(victim);
        }
        Ok(evicted)
    }
}
