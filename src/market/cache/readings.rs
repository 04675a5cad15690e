//! Readings of perpetual futures in the cache, month by month like candles: premium index, open interest, ratios.
//!
//! Each is stored with the time when it was known, so that nobody who asks for what was known can see it earlier. What a
//! source left empty stays empty: it is in no answer, and never a number.

use super::manifest::{History, HistoryLine, ReadingFacts};
use super::reading_table::{ReadingTable, readings_sha256};
use super::{CacheError, CandleCache, MergeReport, Origin, Provenance, blocking, damage, file, month_of};
use candles::readings::{MarketReadings, Readings};
use candles::stored::Part;
use candles::time::MINUTE_MS;
use candles::{Interval, MarketKind, Symbol};
use std::collections::BTreeMap;

/// How long after its stamp a row of metrics counts as known. The exchange stamps rows with the end of their five
/// minutes and says nothing of when it publishes them; one interval later is never too early by more than its own
/// length, and costs a rule on candles of an hour or more nothing.
pub const METRICS_DELAY_MS: i64 = 5 * MINUTE_MS;

impl CandleCache {
    /// Adds readings of a `um` symbol, as [`merge`](Self::merge) does candles. Of an archive its SHA-256 (hex) is kept.
    ///
    /// # Errors
    /// When a month cannot be read or written.
    pub async fn merge_readings(
        &self,
        symbol: &Symbol,
        table: &ReadingTable,
        provenance: &Provenance,
        archive_sha256: Option<&str>,
    ) -> Result<MergeReport, CacheError> {
        let mut months: Vec<(String, ReadingTable)> = Vec::new();
        let mut start = 0;
        while start < table.len() {
            let time_ms = table.times_ms()[start];
            let month = month_of(time_ms).ok_or(CacheError::Time { open_time_ms: time_ms })?;
            let next_ms = super::next_month_ms(time_ms);
            months.push((month, table.slice(time_ms, next_ms)));
            start = table.times_ms().partition_point(|&t| t < next_ms);
        }
        let origin = Origin {
            provenance: provenance.clone(),
            archive_sha256: archive_sha256.map(str::to_owned),
            fetched: archive_sha256.is_some(),
        };
        let (cache, symbol, part) = (self.clone(), symbol.clone(), table.part());
        // A task of its own: a caller that goes away must not free the lock while a write is under way.
        let merging = tokio::spawn(async move {
            let dir = reading_dir(&symbol, part);
            let _lock = cache.storage.lock(&dir).await?;
            let mut total = MergeReport::default();
            for (month, new) in months {
                total += cache.merge_reading_month(&symbol, &dir, &month, new, &origin).await?;
            }
            Ok(total)
        });
        merging.await.map_err(|e| CacheError::Task(e.to_string()))?
    }

    async fn merge_reading_month(
        &self,
        symbol: &Symbol,
        dir: &str,
        month: &str,
        new: ReadingTable,
        origin: &Origin,
    ) -> Result<MergeReport, CacheError> {
        let path = format!("{dir}/{month}.parquet");
        let part = new.part();
        let mut report = MergeReport::default();
        let old = match self.reading_month(symbol, part, month).await {
            Ok(old) => old,
            Err(CacheError::Damaged { .. }) => {
                self.storage.rename(&path, &format!("{path}.damaged")).await?;
                report.damaged = 1;
                ReadingTable::new(part)
            }
            Err(e) => return Err(e),
        };
        let merged = old.merged(&new, &mut report);
        let changed = report.added + report.replaced > 0;
        if changed && report.replaced > 0 {
            self.keep_superseded_readings(dir, month, &path, &old).await?;
        }
        let sha256 = readings_sha256(&merged);
        self.note_merge(&format!("{dir}/{month}.json"), &sha256, &report, origin).await?;
        if changed && let Some(facts) = ReadingFacts::of(symbol, month, &merged, sha256) {
            let bytes = blocking(move || file::encode_readings(&merged, &facts)).await?;
            self.storage.put(&path, bytes.map_err(|e| damage(&path, e))?).await?;
        }
        Ok(report)
    }

    /// Notes in a month's history what was merged, where that is news.
    pub(super) async fn note_merge(
        &self,
        path: &str,
        content_sha256: &str,
        report: &MergeReport,
        origin: &Origin,
    ) -> Result<(), CacheError> {
        let mut history: History = self.history(path).await?;
        let known = |sha256: &String| history.archives().iter().any(|archive| archive.sha256 == *sha256);
        let is_new_archive = origin.archive_sha256.as_ref().is_some_and(|sha256| !known(sha256));
        if report.added + report.replaced == 0 && !is_new_archive {
            return Ok(());
        }
        history.push(HistoryLine {
            content_sha256: content_sha256.to_owned(),
            provenance: origin.provenance.clone(),
            archive_sha256: origin.archive_sha256.clone(),
            added: report.added,
            replaced: report.replaced,
        });
        self.storage.put(path, serde_json::to_vec_pretty(&history).map_err(|e| damage(path, e))?).await
    }

    /// Archives that went into funding or readings of a symbol, as far as their history reaches back: name, SHA-256.
    ///
    /// # Errors
    /// When the storage cannot be read.
    pub async fn merged_archives(&self, symbol: &Symbol, part: Part) -> Result<Vec<(String, String)>, CacheError> {
        let dir = reading_dir(symbol, part);
        let mut all = Vec::new();
        for month in self.months_in(&dir, i64::MIN, i64::MAX).await? {
            let history = self.history(&format!("{dir}/{month}.json")).await?;
            all.extend(history.archives().into_iter().map(|a| (a.name, a.sha256)));
        }
        Ok(all)
    }

    /// The readings that a stored month has now; none when it is not stored.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn reading_month(&self, symbol: &Symbol, part: Part, month: &str) -> Result<ReadingTable, CacheError> {
        let path = format!("{}/{month}.parquet", reading_dir(symbol, part));
        let Some(bytes) = self.storage.get(&path).await? else { return Ok(ReadingTable::new(part)) };
        file::decode_readings(bytes, part).map_err(|e| damage(&path, e))
    }

    /// Readings of a `um` symbol that were known in `[from_ms, to_ms)`, in time order.
    ///
    /// # Errors
    /// When a month cannot be read.
    pub async fn load_readings(
        &self,
        symbol: &Symbol,
        part: Part,
        from_ms: i64,
        to_ms: i64,
    ) -> Result<ReadingTable, CacheError> {
        let mut all = ReadingTable::new(part);
        for month in self.months_in(&reading_dir(symbol, part), from_ms, to_ms).await? {
            all.append(&self.reading_month(symbol, part, &month).await?);
        }
        Ok(all.slice(from_ms, to_ms))
    }

    /// What the `um` market of a symbol published, as far as it is stored and was known by `to_ms`. Of metrics the
    /// newest of each candle of `interval` is taken, with the time when it was known: rules ask for their newest value at a
    /// close and see no other, and five minutes of years of a market would fill the memory.
    ///
    /// # Errors
    /// When a month cannot be read.
    pub async fn load_market_readings(
        &self,
        symbol: &Symbol,
        interval: Interval,
        to_ms: i64,
    ) -> Result<MarketReadings, CacheError> {
        let end_ms = to_ms.saturating_add(1);
        let funding = self.load_funding(symbol, i64::MIN, end_ms).await?;
        let premium = self.load_readings(symbol, Part::Premium, i64::MIN, end_ms).await?;
        let metrics = self.load_readings(symbol, Part::Metrics, i64::MIN, end_ms).await?.newest_of_each(interval);
        let column = |table: &ReadingTable, name: &str| {
            let (times_ms, values) = table.column(name);
            Readings::new(times_ms.into_iter().zip(values)).map_err(|e| damage(&reading_dir(symbol, table.part()), e))
        };
        Ok(MarketReadings {
            funding: Readings::new(funding.iter().map(|f| (f.time_ms, f.rate)))
                .map_err(|e| damage(&reading_dir(symbol, Part::Funding), e))?,
            premium: column(&premium, "premium")?,
            open_interest: column(&metrics, "open_interest")?,
            open_interest_value: column(&metrics, "open_interest_value")?,
            long_short_ratio: column(&metrics, "account_ratio")?,
            top_long_short_ratio: column(&metrics, "top_trader_position_ratio")?,
            taker_long_short_ratio: column(&metrics, "taker_volume_ratio")?,
            models: BTreeMap::new(),
        })
    }

    /// Times of the oldest and the newest stored reading, UTC ms.
    ///
    /// # Errors
    /// When a month cannot be read.
    pub async fn readings_range_ms(&self, symbol: &Symbol, part: Part) -> Result<Option<(i64, i64)>, CacheError> {
        let months = self.months_in(&reading_dir(symbol, part), i64::MIN, i64::MAX).await?;
        let (Some(first), Some(last)) = (months.first(), months.last()) else { return Ok(None) };
        let first = self.reading_month(symbol, part, first).await?;
        let last = self.reading_month(symbol, part, last).await?;
        Ok(first.times_ms().first().copied().zip(last.times_ms().last().copied()))
    }
}

/// Where a part of a `um` symbol that is no candles lies.
pub(super) fn reading_dir(symbol: &Symbol, part: Part) -> String {
    format!("{}/{symbol}/{part}", MarketKind::Um)
}
