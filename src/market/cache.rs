//! Candles and funding payments on disk: a Parquet file per market, symbol, interval and month.
//!
//! Layout: `MARKET/SYMBOL/INTERVAL/YYYY-MM.parquet`, beside it `YYYY-MM.json` with the month's history, and
//! `um/SYMBOL/PART/YYYY-MM.parquet` of `funding`, `premium` and `metrics`. Months are UTC, by open time; the monthly interval is spelled `1mo` as in
//! Binance's dumps, since `1M` and `1m` are one name on some file systems. Writes are atomic, and one writer at a time
//! works on a symbol and interval, across processes. Never fetches anything, never invents a candle, never reads a
//! clock.

mod evict;
mod file;
mod funding;
mod held;
mod manifest;
mod read;
mod reading_table;
mod readings;
mod room;
mod sources;
mod storage;
mod superseded;
mod values;

pub use evict::Evicted;
pub use funding::funding_sha256;
pub use held::Held;
pub use manifest::{Archive, Coverage, Facts, Manifest, Provenance, content_sha256, holes};
pub use reading_table::{METRICS_COLUMNS, PREMIUM_COLUMNS, ReadingRow, ReadingTable, columns, readings_sha256};
pub use readings::METRICS_DELAY_MS;
pub use sources::{MergeReport, SourceDisagreement, SourceKind};
pub use storage::bucket;
pub use superseded::Superseded;
pub use values::{MonthValues, ValuesCoverage, ValuesMonth};

use super::MarketConfig;
use super::dumps::name::DumpName;
use bytes::Bytes;
use candles::{CandleSeries, Interval, MarketKind, Symbol, Ticker, interval};
use chrono::DateTime;
use manifest::{History, HistoryLine};
use sources::Merging;
use std::path::{Path, PathBuf};
use storage::Storage;

/// Long enough for the footer of a month with hundreds of gaps; a longer one is asked for again.
const TAIL_BYTES: u64 = 32 * 1024;
/// 10000-01-01: later times are no months, and bounds beyond it mean unbounded.
const YEAR_10000_MS: i64 = 253_402_300_800_000;

/// Why the cache could not do what was asked.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum CacheError {
    #[error("the candle directory {path} cannot be opened: {source}", path = path.display())]
    Open { path: PathBuf, source: std::io::Error },
    #[error("the bucket {url}: {what}")]
    Bucket { url: String, what: String },
    #[error("{path}: {source}")]
    Store { path: String, source: object_store::Error },
    #[error("there is no room for {path} where candles are cached ({what}): make room on that disk, then try again")]
    Full { path: String, what: String },
    #[error("the lock {path} cannot be taken: {source}", path = path.display())]
    Lock { path: PathBuf, source: std::io::Error },
    #[error("{path} is damaged: {what}; import or download that month again, which sets the damaged file aside")]
    Damaged { path: String, what: String },
    #[error("{open_time_ms} is no time of a calendar month")]
    Time { open_time_ms: i64 },
    #[error("a background task failed: {0}")]
    Task(String),
}

/// The candle cache. Cheap to clone; clones share everything.
#[derive(Clone, Debug)]
pub struct CandleCache {
    storage: Storage,
}

impl CandleCache {
    /// Opens the cache in a directory, which is made when it is not there.
    ///
    /// # Errors
    /// When the directory cannot be made or entered.
    pub fn open(dir: &Path) -> Result<Self, CacheError> {
        Ok(Self { storage: Storage::open(dir)? })
    }

    /// Opens the cache where the settings say: in the bucket of `cache_url`, or in `dir`, which keeps the locks of
    /// both.
    ///
    /// # Errors
    /// When the directory cannot be made or entered, or the bucket's settings make no sense.
    pub fn open_configured(dir: &Path, config: &MarketConfig) -> Result<Self, CacheError> {
        match &config.cache_url {
            Some(url) => Ok(Self { storage: Storage::open_s3(dir, url, config)? }),
            None => Self::open(dir),
        }
    }

    /// [`open_configured`](Self::open_configured) for who only reads: a directory that is not there is not made, and
    /// holds nothing.
    ///
    /// # Errors
    /// When the directory is there and cannot be entered, or the bucket's settings make no sense.
    pub fn open_to_read(dir: &Path, config: &MarketConfig) -> Result<Self, CacheError> {
        match config.cache_url.is_some() || dir.exists() {
            true => Self::open_configured(dir, config),
            false => Ok(Self { storage: Storage::nothing(dir) }),
        }
    }

    /// Why nothing can be cached, where that was so lately for want of room; what is cached is read all the same.
    #[must_use]
    pub fn lacks_room(&self) -> Option<&'static str> {
        self.storage.lacks_room().then_some("new candles cannot be cached: the disk that they are cached on is full")
    }

    /// The directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.storage.root()
    }

    /// Adds candles; where one is stored for the same time, the new one takes its place, unless what is stored comes
    /// from a source that outranks it ([`SourceKind`]): then it is not taken, and told. Nothing is written when
    /// nothing changes. Safe against other writers, in this process and others, and against being killed or dropped
    /// at any moment: each month is the old one or the new one.
    ///
    /// # Errors
    /// When a month cannot be written; months before it may have been.
    pub async fn merge(
        &self,
        ticker: &Ticker,
        series: &CandleSeries,
        provenance: &Provenance,
    ) -> Result<MergeReport, CacheError> {
        let origin = Origin { provenance: provenance.clone(), archive_sha256: None, fetched: false };
        self.merge_from(ticker, series, origin).await
    }

    /// [`merge`](Self::merge) of candles that their host can give again, which lets them be evicted. Of a dump archive
    /// the SHA-256 (hex) is kept with the month: so that it need not be fetched again, and is seen to have changed.
    ///
    /// # Errors
    /// As for [`merge`](Self::merge).
    pub async fn merge_fetched(
        &self,
        ticker: &Ticker,
        series: &CandleSeries,
        provenance: &Provenance,
        archive_sha256: Option<&str>,
    ) -> Result<MergeReport, CacheError> {
        let archive_sha256 = archive_sha256.map(str::to_owned);
        let origin = Origin { provenance: provenance.clone(), archive_sha256, fetched: true };
        self.merge_from(ticker, series, origin).await
    }

    async fn merge_from(
        &self,
        ticker: &Ticker,
        series: &CandleSeries,
        origin: Origin,
    ) -> Result<MergeReport, CacheError> {
        let months = split_by_month(series)?;
        let (cache, ticker) = (self.clone(), ticker.clone());
        let interval = series.interval();
        // A task of its own: a caller that goes away must not free the lock while a write is under way.
        let merging = tokio::spawn(async move {
            let dir = candle_dir(&ticker, interval);
            let _lock = cache.storage.lock(&dir).await?;
            let mut total = MergeReport::default();
            for (month, part) in months {
                total += cache.merge_month(&ticker, &month, part, &origin).await?;
            }
            Ok(total)
        });
        merging.await.map_err(|e| CacheError::Task(e.to_string()))?
    }

    async fn merge_month(
        &self,
        ticker: &Ticker,
        month: &str,
        new: CandleSeries,
        origin: &Origin,
    ) -> Result<MergeReport, CacheError> {
        let interval = new.interval();
        let dir = candle_dir(ticker, interval);
        let path = format!("{dir}/{month}.parquet");
        let mut damaged = 0;
        let old = match self.storage.get(&path).await? {
            None => CandleSeries::new(interval),
            Some(bytes) => match decode(path.clone(), bytes, interval).await {
                Ok(series) => series,
                Err(CacheError::Damaged { .. }) => {
                    self.storage.rename(&path, &format!("{path}.damaged")).await?;
                    damaged = 1;
                    CandleSeries::new(interval)
                }
                Err(e) => return Err(e),
            },
        };
        let history_path = format!("{dir}/{month}.json");
        let mut history = self.history(&history_path).await?;
        let kind = origin.kind();
        let merging = Merging { old: &old, spans: &history.sources, new: &new, kind };
        let merged = merging.run().map_err(|what| damage(&path, what))?;
        let is_noted = history.note_sources(&merged, kind);
        let (merged, mut report) = (merged.series, merged.report);
        report.damaged = damaged;
        let is_known = |sha256: &String| history.archives().iter().any(|known| known.sha256 == *sha256);
        let changed = report.added + report.replaced > 0;
        let is_new_archive = origin.archive_sha256.as_ref().is_some_and(|sha256| !is_known(sha256));
        if !changed && !is_new_archive && !is_noted {
            return Ok(report);
        }
        let Some(facts) = Facts::of(ticker, month, &merged) else { return Ok(report) };
        if changed {
            history.fetched = origin.fetched && (history.fetched || old.is_empty());
        }
        if changed || is_new_archive {
            history.push(HistoryLine {
                content_sha256: facts.content_sha256.clone(),
                provenance: origin.provenance.clone(),
                archive_sha256: origin.archive_sha256.clone(),
                added: report.added,
                replaced: report.replaced,
            });
        }
        let text = serde_json::to_vec_pretty(&history).map_err(|e| damage(&history_path, e))?;
        if !changed {
            // The same candles, known from another source now.
            self.storage.put(&history_path, text).await?;
            return Ok(report);
        }
        if report.replaced > 0 {
            self.keep_superseded(&dir, month, &path, &old).await?;
        }
        let bytes = blocking(move || file::encode(&merged, &facts)).await?.map_err(|e| damage(&path, e))?;
        self.storage.put(&history_path, text).await?;
        self.storage.put(&path, bytes).await?;
        Ok(report)
    }

    /// A history that does not parse is begun anew: it only tells where candles came from.
    async fn history(&self, path: &str) -> Result<History, CacheError> {
        let bytes = self.storage.get(path).await?;
        Ok(bytes.and_then(|b| serde_json::from_slice(&b).ok()).unwrap_or_default())
    }

    /// What is stored, sorted by market, symbol and interval. No candle is decoded.
    ///
    /// # Errors
    /// When the directory cannot be read. A single unreadable month is part of the answer instead.
    pub async fn coverage(&self) -> Result<Vec<Coverage>, CacheError> {
        let mut all = Vec::new();
        for market in [MarketKind::Spot, MarketKind::Um] {
            for symbol in self.storage.list(&market.to_string()).await?.0 {
                let Ok(symbol) = symbol.parse::<Symbol>() else { continue };
                let ticker = Ticker { market, symbol };
                for interval in self.stored_intervals(&ticker).await? {
                    all.extend(self.coverage_of(&ticker, interval).await?);
                }
            }
        }
        Ok(all)
    }

    /// What is stored of one symbol and interval; `None` when nothing is.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub async fn coverage_of(&self, ticker: &Ticker, interval: Interval) -> Result<Option<Coverage>, CacheError> {
        let dir = candle_dir(ticker, interval);
        let (mut months, mut damaged) = (Vec::new(), Vec::new());
        for month in self.months_in(&dir, i64::MIN, i64::MAX).await? {
            match self.facts(&dir, &month).await {
                Ok(Some(facts)) => {
                    let history = self.history(&format!("{dir}/{month}.json")).await?;
                    let provenance = history.provenance_of(&facts.content_sha256);
                    let (archives, disagreements) = (history.archives(), history.disagreements);
                    months.push(Manifest { facts, provenance, archives, disagreements });
                }
                Ok(None) => {}
                Err(e @ CacheError::Damaged { .. }) => damaged.push(e.to_string()),
                Err(e) => return Err(e),
            }
        }
        Ok(Coverage::of(ticker, interval, months, damaged))
    }

    /// Facts about each readable stored month of a symbol and interval, in time order; a damaged month counts as not
    /// stored.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub async fn stored_months(&self, ticker: &Ticker, interval: Interval) -> Result<Vec<Facts>, CacheError> {
        let dir = candle_dir(ticker, interval);
        let mut all = Vec::new();
        for month in self.months_in(&dir, i64::MIN, i64::MAX).await? {
            match self.facts(&dir, &month).await {
                Ok(facts) => all.extend(facts),
                Err(CacheError::Damaged { .. }) => {}
                Err(e) => return Err(e),
            }
        }
        Ok(all)
    }

    /// Close time of the newest stored candle, UTC ms.
    ///
    /// # Errors
    /// When the newest month cannot be read.
    pub async fn newest_close_ms(&self, ticker: &Ticker, interval: Interval) -> Result<Option<i64>, CacheError> {
        let dir = candle_dir(ticker, interval);
        let Some(month) = self.months_in(&dir, i64::MIN, i64::MAX).await?.pop() else { return Ok(None) };
        let facts = self.facts(&dir, &month).await?;
        Ok(facts.map(|f| interval::close_time_ms(interval, f.last_open_ms)))
    }

    /// Symbols of a market of which something is stored, in order of their names.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub async fn symbols(&self, market: MarketKind) -> Result<Vec<Symbol>, CacheError> {
        let (names, _) = self.storage.list(&market.to_string()).await?;
        Ok(names.iter().filter_map(|name| name.parse::<Symbol>().ok().filter(|s| s.as_str() == name)).collect())
    }

    /// Intervals of which something is stored, from short to long.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub async fn stored_intervals(&self, ticker: &Ticker) -> Result<Vec<Interval>, CacheError> {
        let (dirs, _) = self.storage.list(&format!("{}/{}", ticker.market, ticker.symbol)).await?;
        let mut intervals: Vec<Interval> = dirs.iter().filter_map(|name| name.parse().ok()).collect();
        intervals.sort();
        Ok(intervals)
    }

    async fn facts(&self, dir: &str, month: &str) -> Result<Option<Facts>, CacheError> {
        self.footer(&format!("{dir}/{month}.parquet"), file::candle_facts).await
    }

    /// What the footer of a stored month says; `None` when there is none.
    async fn footer<F>(&self, path: &str, read: file::ReadFacts<F>) -> Result<Option<F>, CacheError> {
        let mut want = TAIL_BYTES;
        loop {
            let Some((tail, size)) = self.storage.tail(path, want).await? else { return Ok(None) };
            match read(tail, size) {
                Ok(facts) => return Ok(Some(facts)),
                Err((_, Some(longer))) if longer > want => want = longer,
                Err((e, _)) => return Err(damage(path, e)),
            }
        }
    }

    /// Stored months of `dir` that may hold something in `[from_ms, to_ms)`, in time order.
    async fn months_in(&self, dir: &str, from_ms: i64, to_ms: i64) -> Result<Vec<String>, CacheError> {
        // Out of the calendar's range means unbounded.
        let from = month_of(from_ms).unwrap_or_default();
        let to = month_of(to_ms.saturating_sub(1)).unwrap_or_else(|| "9999-99".to_owned());
        let (_, files) = self.storage.list(dir).await?;
        let months = files.iter().filter_map(|name| name.strip_suffix(".parquet"));
        Ok(months.filter(|m| is_month(m) && **m >= *from && **m <= *to).map(str::to_owned).collect())
    }
}

/// Where merged candles come from.
struct Origin {
    provenance: Provenance,
    archive_sha256: Option<String>,
    /// Whether their host can give them again.
    fetched: bool,
}

impl Origin {
    /// What is read by its dump's name is an archive; what the exchange gave otherwise is its answer.
    fn kind(&self) -> SourceKind {
        match DumpName::parse(&self.provenance.source) {
            Some(name) if name.daily => SourceKind::Daily,
            Some(_) => SourceKind::Monthly,
            None if self.fetched => SourceKind::Exchange,
            None => SourceKind::Other,
        }
    }
}

async fn decode(path: String, bytes: Bytes, interval: Interval) -> Result<CandleSeries, CacheError> {
    // A panic of the Parquet reader on a damaged file is damage like any other.
    match tokio::task::spawn_blocking(move || file::decode(bytes, interval)).await {
        Ok(decoded) => decoded.map_err(|e| damage(&path, e)),
        Err(e) if e.is_panic() => Err(damage(&path, "its structure is broken")),
        Err(e) => Err(CacheError::Task(e.to_string())),
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, CacheError> {
    tokio::task::spawn_blocking(work).await.map_err(|e| CacheError::Task(e.to_string()))
}

fn damage(path: &str, what: impl std::fmt::Display) -> CacheError {
    CacheError::Damaged { path: path.to_owned(), what: what.to_string() }
}

/// The series cut at month boundaries, in time order.
fn split_by_month(series: &CandleSeries) -> Result<Vec<(String, CandleSeries)>, CacheError> {
    let times = series.open_times_ms();
    let mut months = Vec::new();
    let mut start = 0;
    while start < times.len() {
        let open_time_ms = times[start];
        let month = month_of(open_time_ms).ok_or(CacheError::Time { open_time_ms })?;
        let next_ms = next_month_ms(open_time_ms);
        months.push((month, series.slice(open_time_ms, next_ms)));
        start = times.partition_point(|&t| t < next_ms);
    }
    Ok(months)
}

/// When the month after the one of a time begins, UTC ms.
fn next_month_ms(time_ms: i64) -> i64 {
    interval::next_open_time_ms(Interval::Mo1, interval::open_time_ms(Interval::Mo1, time_ms))
}

/// `YYYY-MM` of a time; `None` outside the years 1970 to 9999.
fn month_of(time_ms: i64) -> Option<String> {
    let time = DateTime::from_timestamp_millis(time_ms).filter(|_| (0..YEAR_10000_MS).contains(&time_ms))?;
    Some(time.format("%Y-%m").to_string())
}

fn is_month(name: &str) -> bool {
    let bytes = name.as_bytes();
    bytes.len() == 7 && bytes.iter().enumerate().all(|(i, b)| if i == 4 { *b == b'-' } else { b.is_ascii_digit() })
}

fn candle_dir(ticker: &Ticker, interval: Interval) -> String {
    let name = if interval == Interval::Mo1 { "1mo" } else { interval.name() };
    format!("{}/{}/{name}", ticker.market, ticker.symbol)
}
