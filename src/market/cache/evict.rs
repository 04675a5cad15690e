//! Eviction: months that can be fetched again go, oldest first, until the rest fits.
//!
//! Never evicts what was imported from files (nobody could bring it back), what the caller keeps, or anything that is
//! not a month of candles. What must be kept and why is `budget`'s to say.

use super::{CacheError, CandleCache, Coverage, Facts, candle_dir};
use serde::Serialize;
use std::collections::BTreeMap;

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

    /// Removes months that can be fetched again and that `keep` does not name, the oldest first, until the cache takes
    /// at most `budget_bytes` or none is left. With `dry_run` they are only named.
    ///
    /// # Errors
    /// When the storage cannot be read or written.
    pub async fn evict(
        &self,
        budget_bytes: u64,
        keep: impl Fn(&Coverage, &Facts) -> bool,
        dry_run: bool,
    ) -> Result<Vec<Evicted>, CacheError> {
        let sizes: BTreeMap<String, u64> = self.storage.sizes("").await?.into_iter().collect();
        let mut size: u64 = sizes.values().sum();
        if size <= budget_bytes {
            return Ok(Vec::new());
        }
        let mut candidates = Vec::new();
        for coverage in self.coverage().await? {
            let dir = candle_dir(&coverage.ticker, coverage.interval);
            for month in coverage.months.iter().filter(|m| !keep(&coverage, &m.facts)) {
                let path = format!("{dir}/{}.parquet", month.facts.month);
                let Some(&bytes) = sizes.get(&path) else { continue };
                candidates.push((month.facts.clone(), dir.clone(), Evicted { path, bytes }));
            }
        }
        candidates.sort_by(|a, b| (&a.0.month, &a.1).cmp(&(&b.0.month, &b.1)));
        let mut evicted = Vec::new();
        for (facts, dir, victim) in candidates {
            if size <= budget_bytes {
                break;
            }
            // Under the lock the month is still what was looked at: another writer may have imported into it meanwhile.
            let _lock = self.storage.lock(&dir).await?;
            let history_path = format!("{dir}/{}.json", facts.month);
            let now = self.facts(&dir, &facts.month).await?;
            if !self.history(&history_path).await?.can_be_fetched() || now.as_ref() != Some(&facts) {
                continue;
            }
            if !dry_run {
                self.storage.delete(&victim.path).await?;
                // Its history goes with it: it tells which archives need not be fetched.
                self.storage.delete(&history_path).await?;
            }
            size = size.saturating_sub(victim.bytes);
            evicted.push(victim);
        }
        Ok(evicted)
    }
}
