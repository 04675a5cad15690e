//! Funding payments in the cache, month by month like candles.

use super::manifest::FundingFacts;
use super::readings::reading_dir;
use super::{CacheError, CandleCache, MergeReport, Origin, Provenance, damage, file, month_of};
use candles::stored::Part;
use candles::time::MINUTE_MS;
use candles::{FundingRate, Symbol};
use sha2::{Digest, Sha256};

/// Payments closer than this are one: sources stamp it some milliseconds apart, and it is paid once.
const SAME_PAYMENT_MS: i64 = MINUTE_MS;

impl CandleCache {
    /// Adds funding payments of a `um` symbol, as [`merge`](Self::merge) does candles. Payments less than a minute apart
    /// are one. Of an archive its SHA-256 (hex) is kept.
    ///
    /// # Errors
    /// When a month cannot be read or written.
    pub async fn merge_funding(
        &self,
        symbol: &Symbol,
        rates: &[FundingRate],
        provenance: &Provenance,
        archive_sha256: Option<&str>,
    ) -> Result<MergeReport, CacheError> {
        let mut months: Vec<(String, Vec<FundingRate>)> = Vec::new();
        for rate in rates {
            let month = month_of(rate.time_ms).ok_or(CacheError::Time { open_time_ms: rate.time_ms })?;
            match months.last_mut() {
                Some((last, part)) if *last == month => part.push(*rate),
                _ => months.push((month, vec![*rate])),
            }
        }
        let origin = Origin {
            provenance: provenance.clone(),
            archive_sha256: archive_sha256.map(str::to_owned),
            fetched: archive_sha256.is_some(),
        };
        let (cache, symbol) = (self.clone(), symbol.clone());
        let merging = tokio::spawn(async move {
            let dir = funding_dir(&symbol);
            let _lock = cache.storage.lock(&dir).await?;
            let mut total = MergeReport::default();
            for (month, new) in months {
                total += cache.merge_funding_month(&symbol, &dir, &month, &new, &origin).await?;
            }
            Ok(total)
        });
        merging.await.map_err(|e| CacheError::Task(e.to_string()))?
    }

    async fn merge_funding_month(
        &self,
        symbol: &Symbol,
        dir: &str,
        month: &str,
        new: &[FundingRate],
        origin: &Origin,
    ) -> Result<MergeReport, CacheError> {
        let path = format!("{dir}/{month}.parquet");
        let mut report = MergeReport::default();
        let mut rates = match self.storage.get(&path).await? {
            None => Vec::new(),
            Some(bytes) => match file::decode_funding(bytes) {
                Ok(rates) => rates,
                Err(_) => {
                    self.storage.rename(&path, &format!("{path}.damaged")).await?;
                    report.damaged = 1;
                    Vec::new()
                }
            },
        };
        let old = rates.clone();
        for rate in new {
            let i = rates.partition_point(|r| r.time_ms <= rate.time_ms - SAME_PAYMENT_MS);
            match rates.get_mut(i).filter(|r| r.time_ms < rate.time_ms + SAME_PAYMENT_MS) {
                // The stamp stays: it moves by what source was asked, not because anything was revised.
                Some(stored) if stored.rate == rate.rate => report.unchanged += 1,
                Some(stored) => {
                    stored.rate = rate.rate;
                    report.replaced += 1;
                }
                None => {
                    rates.insert(i, *rate);
                    report.added += 1;
                }
            }
        }
        let sha256 = funding_sha256(&rates);
        self.note_merge(&format!("{dir}/{month}.json"), &sha256, &report, origin).await?;
        if report.added + report.replaced > 0
            && let Some(facts) = FundingFacts::of(symbol, month, &rates)
        {
            if report.replaced > 0 {
                self.keep_superseded_funding(dir, month, &path, &old).await?;
            }
            let bytes = file::encode_funding(&rates, &facts).map_err(|e| damage(&path, e))?;
            self.storage.put(&path, bytes).await?;
        }
        Ok(report)
    }

    /// Time of the newest stored payment, UTC ms.
    ///
    /// # Errors
    /// When the newest month cannot be read.
    pub async fn newest_funding_ms(&self, symbol: &Symbol) -> Result<Option<i64>, CacheError> {
        let months = self.months_in(&funding_dir(symbol), i64::MIN, i64::MAX).await?;
        Ok(self.funding_month(symbol, months.last()).await?.last().map(|r| r.time_ms))
    }

    /// Time of the oldest stored payment, UTC ms.
    ///
    /// # Errors
    /// When the oldest month cannot be read.
    pub async fn oldest_funding_ms(&self, symbol: &Symbol) -> Result<Option<i64>, CacheError> {
        let months = self.months_in(&funding_dir(symbol), i64::MIN, i64::MAX).await?;
        Ok(self.funding_month(symbol, months.first()).await?.first().map(|r| r.time_ms))
    }

    /// The payments that a stored month has now; none when it is not stored.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn load_funding_month(&self, symbol: &Symbol, month: &str) -> Result<Vec<FundingRate>, CacheError> {
        self.funding_month(symbol, Some(&month.to_owned())).await
    }

    async fn funding_month(&self, symbol: &Symbol, month: Option<&String>) -> Result<Vec<FundingRate>, CacheError> {
        let Some(month) = month else { return Ok(Vec::new()) };
        let path = format!("{}/{month}.parquet", funding_dir(symbol));
        let Some(bytes) = self.storage.get(&path).await? else { return Ok(Vec::new()) };
        file::decode_funding(bytes).map_err(|e| damage(&path, e))
    }

    /// Funding payments of a `um` symbol in `[from_ms, to_ms)`, in time order.
    ///
    /// # Errors
    /// When a month cannot be read.
    pub async fn load_funding(
        &self,
        symbol: &Symbol,
        from_ms: i64,
        to_ms: i64,
    ) -> Result<Vec<FundingRate>, CacheError> {
        let dir = funding_dir(symbol);
        let mut all = Vec::new();
        for month in self.months_in(&dir, from_ms, to_ms).await? {
            all.extend(self.funding_month(symbol, Some(&month)).await?);
        }
        all.retain(|r| (from_ms..to_ms).contains(&r.time_ms));
        Ok(all)
    }
}

fn funding_dir(symbol: &Symbol) -> String {
    reading_dir(symbol, Part::Funding)
}

/// SHA-256, as hex, of exactly these payments: `funding`, then each one's time and rate as little-endian 64-bit values.
#[must_use]
pub fn funding_sha256(rates: &[FundingRate]) -> String {
    let mut hash = Sha256::new();
    hash.update(Part::Funding.to_string());
    for rate in rates {
        hash.update(rate.time_ms.to_le_bytes());
        hash.update(rate.rate.to_le_bytes());
    }
    hex::encode(hash.finalize())
}
