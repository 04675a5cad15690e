//! Readings of perpetual futures in the cache, month by month like candles: premium index, open interest, ratios.
//!
//! Each is stored with the time when it was known, so that nobody who asks for what was known can see it earlier. What a
//! source left empty stays empty: it is in no answer, and never a number.

use super::manifest::{History, HistoryLine, ReadingFacts};
use super::{CacheError, CandleCache, MergeReport, Origin, Provenance, blocking, damage, file, month_of};
use candles::readings::{MarketReadings, Readings};
use candles::stored::Part;
use candles::time::MINUTE_MS;
use candles::{Interval, MarketKind, Symbol, interval};
use sha2::{Digest, Sha256};

/// How long after its stamp a row of metrics counts as known. The exchange stamps rows with the end of their five
/// minutes and says nothing of when it publishes them; one interval later is never too early by more than its own
/// length, and costs a rule on candles of an hour or more nothing.
pub const METRICS_DELAY_MS: i64 = 5 * MINUTE_MS;

/// Columns of the premium index: the close of its candle, a fraction of the index price.
pub const PREMIUM_COLUMNS: [&str; 1] = ["premium"];
/// Columns of metrics, in the order of the exchange's files: open interest in contracts of the base asset and in the
/// quote asset, then ratios of long to short, and of the volumes in which takers bought and sold.
pub const METRICS_COLUMNS: [&str; 6] = [
    "open_interest",
    "open_interest_value",
    "top_trader_account_ratio",
    "top_trader_position_ratio",
    "account_ratio",
    "taker_volume_ratio",
];

/// Readings of one symbol as columns, by the time when they were known, ascending.
#[derive(Clone, Debug)]
pub struct ReadingTable {
    part: Part,
    times_ms: Vec<i64>,
    /// One a name of [`columns`], each as long as the times. What is empty is NaN: in here alone.
    columns: Vec<Vec<f64>>,
}

/// The names of a part's columns; none where it has no readings.
#[must_use]
pub fn columns(part: Part) -> &'static [&'static str] {
    match part {
        Part::Premium => &PREMIUM_COLUMNS,
        Part::Metrics => &METRICS_COLUMNS,
        Part::Candles(_) | Part::Funding => &[],
    }
}

/// One row of a table: the time when it was known, UTC ms, and a value a column, where there is one.
pub type ReadingRow = (i64, Vec<Option<f64>>);

impl ReadingTable {
    /// A table without rows.
    #[must_use]
    pub fn new(part: Part) -> Self {
        Self { part, times_ms: Vec::new(), columns: vec![Vec::new(); columns(part).len()] }
    }

    /// A table of rows in any order; of rows of one time the last one counts. Values that are not finite are empty.
    #[must_use]
    pub fn from_rows(part: Part, mut rows: Vec<ReadingRow>) -> Self {
        rows.sort_by_key(|(time_ms, _)| *time_ms);
        let mut table = Self::new(part);
        for (time_ms, values) in rows {
            if table.times_ms.last() == Some(&time_ms) {
                table.times_ms.pop();
                table.columns.iter_mut().for_each(|column| column.truncate(table.times_ms.len()));
            }
            table.times_ms.push(time_ms);
            for (i, column) in table.columns.iter_mut().enumerate() {
                column.push(values.get(i).copied().flatten().filter(|v| v.is_finite()).unwrap_or(f64::NAN));
            }
        }
        table
    }

    pub(super) fn from_columns(part: Part, times_ms: Vec<i64>, values: Vec<Vec<f64>>) -> Self {
        Self { part, times_ms, columns: values }
    }

    /// What it holds.
    #[must_use]
    pub fn part(&self) -> Part {
        self.part
    }

    /// When each row was known, UTC ms, ascending.
    #[must_use]
    pub fn times_ms(&self) -> &[i64] {
        &self.times_ms
    }

    /// How many rows there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.times_ms.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.times_ms.is_empty()
    }

    /// The values of a column with the times when they were known, UTC ms, ascending; what is empty is left out.
    /// Nothing where there is no such column.
    #[must_use]
    pub fn column(&self, name: &str) -> (Vec<i64>, Vec<f64>) {
        let Some(at) = columns(self.part).iter().position(|n| *n == name) else { return Default::default() };
        let values = self.times_ms.iter().zip(&self.columns[at]);
        values.filter(|(_, v)| v.is_finite()).map(|(t, v)| (*t, *v)).unzip()
    }

    /// Row `i`.
    #[must_use]
    pub fn row(&self, i: usize) -> ReadingRow {
        (self.times_ms[i], self.columns.iter().map(|c| Some(c[i]).filter(|v| v.is_finite())).collect())
    }

    /// The rows known in `[from_ms, to_ms)`.
    #[must_use]
    pub fn slice(&self, from_ms: i64, to_ms: i64) -> Self {
        let a = self.times_ms.partition_point(|&t| t < from_ms);
        let b = self.times_ms.partition_point(|&t| t < to_ms).max(a);
        let columns = self.columns.iter().map(|c| c[a..b].to_vec()).collect();
        Self { part: self.part, times_ms: self.times_ms[a..b].to_vec(), columns }
    }

    /// Of the rows that became known within a candle of `interval`, its end included, the newest; a column that is empty
    /// in it has the newest value of the candle.
    fn newest_of_each(&self, interval: Interval) -> Self {
        let mut out = Self::new(self.part);
        let mut current = None;
        for (i, &time_ms) in self.times_ms.iter().enumerate() {
            // What is known at a close belongs to the candle that closes.
            let candle_ms = interval::open_time_ms(interval, time_ms - 1);
            if current == Some(candle_ms) {
                if let Some(last) = out.times_ms.last_mut() {
                    *last = time_ms;
                }
            } else {
                current = Some(candle_ms);
                out.times_ms.push(time_ms);
                out.columns.iter_mut().for_each(|column| column.push(f64::NAN));
            }
            for (to, from) in out.columns.iter_mut().zip(&self.columns) {
                if let Some(last) = to.last_mut().filter(|_| from[i].is_finite()) {
                    *last = from[i];
                }
            }
        }
        out
    }

    pub(super) fn values(&self) -> &[Vec<f64>] {
        &self.columns
    }

    /// Adds rows that come later than those that are there.
    fn append(&mut self, later: &Self) {
        self.times_ms.extend_from_slice(&later.times_ms);
        self.columns.iter_mut().zip(&later.columns).for_each(|(to, from)| to.extend_from_slice(from));
    }

    fn is_same_row(&self, i: usize, other: &Self, j: usize) -> bool {
        self.columns.iter().zip(&other.columns).all(|(a, b)| a[i].to_bits() == b[j].to_bits())
    }

    /// Both as one; where both have a row of a time, the new one counts.
    fn merged(&self, new: &Self, report: &mut MergeReport) -> Self {
        let mut out = Self::new(self.part);
        let (mut i, mut j) = (0, 0);
        while i < self.len() || j < new.len() {
            let (a, b) = (self.times_ms.get(i), new.times_ms.get(j));
            let takes_old = b.is_none_or(|b| a.is_some_and(|a| a < b));
            let (from, k) = if takes_old { (self, i) } else { (new, j) };
            out.times_ms.push(from.times_ms[k]);
            out.columns.iter_mut().zip(&from.columns).for_each(|(to, from)| to.push(from[k]));
            if takes_old {
                i += 1;
                continue;
            }
            if a == b {
                let same = self.is_same_row(i, new, j);
                report.unchanged += u64::from(same);
                report.replaced += u64::from(!same);
                i += 1;
            } else {
                report.added += 1;
            }
            j += 1;
        }
        out
    }
}

/// Equal to the bit, with what is empty equal to what is empty.
impl PartialEq for ReadingTable {
    fn eq(&self, other: &Self) -> bool {
        self.part == other.part
            && self.times_ms == other.times_ms
            && (0..self.len()).all(|i| self.is_same_row(i, other, i))
    }
}

/// SHA-256, as hex, of exactly these readings: the part's name, then each row's time and values as little-endian 64-bit
/// values.
#[must_use]
pub fn readings_sha256(table: &ReadingTable) -> String {
    let mut hash = Sha256::new();
    hash.update(table.part.to_string());
    for (i, time_ms) in table.times_ms.iter().enumerate() {
        hash.update(time_ms.to_le_bytes());
        table.columns.iter().for_each(|column| hash.update(column[i].to_le_bytes()));
    }
    hex::encode(hash.finalize())
}

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
            let time_ms = table.times_ms[start];
            let month = month_of(time_ms).ok_or(CacheError::Time { open_time_ms: time_ms })?;
            let next_ms = super::next_month_ms(time_ms);
            months.push((month, table.slice(time_ms, next_ms)));
            start = table.times_ms.partition_point(|&t| t < next_ms);
        }
        let origin = Origin {
            provenance: provenance.clone(),
            archive_sha256: archive_sha256.map(str::to_owned),
            fetched: archive_sha256.is_some(),
        };
        let (cache, symbol, part) = (self.clone(), symbol.clone(), table.part);
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
        let part = new.part;
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
            Readings::new(times_ms.into_iter().zip(values)).map_err(|e| damage(&reading_dir(symbol, table.part), e))
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
        Ok(first.times_ms.first().copied().zip(last.times_ms.last().copied()))
    }
}

/// Where a part of a `um` symbol that is no candles lies.
pub(super) fn reading_dir(symbol: &Symbol, part: Part) -> String {
    format!("{}/{symbol}/{part}", MarketKind::Um)
}
