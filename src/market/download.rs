//! Downloads: archives of whole months and days from their host, checked against their checksums, the rest from REST.
//!
//! What is fetched is decided by `plan`, which is pure. One archive's or symbol's failure stops no other; whatever was
//! merged stays, and the same download goes on where it stopped. Never invents a candle, never trusts an archive
//! whose checksum differs.

mod compare;
mod plan;
mod values;

pub use plan::{Cost, SeriesPlan, Wanted, plan};
pub use values::{ValuesReport, ValuesWanted, plan_values};

use plan::missing_in;

use super::cache::{CacheError, CandleCache, Manifest, MergeReport, Provenance};
use super::dumps::{DumpError, DumpName, read_archive, verify_checksum};
use super::{Binance, Exchange, ExchangeError, Feed, MarketConfig};
use candles::quality::Gap;
use candles::{Interval, MarketKind, Symbol, Ticker, interval};
use futures::{StreamExt, stream};
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::sync::Arc;
use std::time::Duration;

/// A month whose archive is not there is looked for day by day when it ended less than this long ago.
const DAILY_FOR_MS: i64 = 45 * 86_400_000;
/// From so many missing candles on archives are worth asking for on the way to a refresh.
const BULK: u64 = 5_000;
/// REST brings long ranges in pieces of so many candles, so that progress is seen.
const REST_PIECE: u64 = 20_000;

/// What happens while a download runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Progress {
    /// Which of the plans.
    pub series: usize,
    /// Candles of that plan that are settled by now: fetched, or found not to exist.
    pub settled: u64,
    /// What was just done, for people.
    pub what: String,
}

/// What a download brought of one symbol and interval.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SeriesReport {
    /// Which symbol.
    pub symbol: Symbol,
    /// Which interval.
    pub interval: Interval,
    /// Archives merged.
    pub archives: u64,
    /// Their bytes.
    pub archive_bytes: u64,
    /// Archives that had changed since they were merged before.
    pub reissued: Vec<String>,
    /// What was changed in the cache.
    #[serde(flatten)]
    pub merge: MergeReport,
    /// Close time of the newest cached candle, UTC ms.
    pub newest_close_ms: Option<i64>,
    /// Candles of the range that nobody has.
    pub missing: u64,
    /// Holes from the asked start on.
    pub gaps: Vec<Gap>,
    /// What went wrong with single archives or rows; the rest went on.
    pub problems: Vec<String>,
    /// Why the series is incomplete, if it is for a failure.
    pub error: Option<String>,
}

impl SeriesReport {
    fn empty(wanted: &Wanted) -> Self {
        Self {
            symbol: wanted.symbol.clone(),
            interval: wanted.interval,
            archives: 0,
            archive_bytes: 0,
            reissued: Vec::new(),
            merge: MergeReport::default(),
            newest_close_ms: None,
            missing: 0,
            gaps: Vec::new(),
            problems: Vec::new(),
            error: None,
        }
    }
}

/// Fetches what plans say.
pub struct Downloader {
    client: Binance,
    feed: Feed,
    attempts: u32,
    retry_delay: Duration,
}

/// What became of an archive.
enum Fetched {
    /// There is none.
    Absent,
    /// It is merged.
    Merged { report: MergeReport, bytes: u64, refused: u64 },
}

/// Why an archive was not merged.
enum Trouble {
    /// It or its host; the next one may fare better.
    Archive(String),
    /// The cache; the next one will not.
    Cache(CacheError),
}

impl From<ExchangeError> for Trouble {
    fn from(e: ExchangeError) -> Self {
        Self::Archive(e.to_string())
    }
}

impl Downloader {
    /// A downloader of `client` into `cache`.
    #[must_use]
    pub fn new(client: Binance, cache: CandleCache, config: &MarketConfig) -> Self {
        let exchange: Arc<dyn Exchange> = Arc::new(client.clone());
        Self {
            client,
            feed: Feed::new(exchange, cache, config),
            attempts: config.retries + 1,
            retry_delay: Duration::from_millis(config.retry_delay_ms),
        }
    }

    /// The feed that brings what archives do not have.
    #[must_use]
    pub fn feed(&self) -> &Feed {
        &self.feed
    }

    /// Plans what is wanted against what is stored.
    ///
    /// # Errors
    /// When the exchange does not tell its time, or the cache cannot be read.
    pub async fn plan(&self, market: MarketKind, wanted: &[Wanted]) -> anyhow::Result<Vec<SeriesPlan>> {
        let now_ms = self.client.server_time_ms(market).await?;
        let mut plans = Vec::with_capacity(wanted.len());
        for wanted in wanted {
            let stored = self.stored(&Ticker::of(market, &wanted.symbol), wanted.interval).await?;
            plans.push(plan(wanted, &stored, now_ms));
        }
        Ok(plans)
    }

    async fn stored(&self, ticker: &Ticker, interval: Interval) -> Result<Vec<Manifest>, CacheError> {
        Ok(self.feed.cache().coverage_of(ticker, interval).await?.map(|c| c.months).unwrap_or_default())
    }

    /// Open time of the first candle that the exchange has, UTC ms; `None` when it has none.
    ///
    /// # Errors
    /// When the exchange does not answer, or does not know the symbol.
    pub async fn first_open_ms(&self, ticker: &Ticker, interval: Interval) -> Result<Option<i64>, ExchangeError> {
        let rows = self.client.klines(ticker, interval, 0, i64::MAX / 2, 1).await?;
        Ok(rows.first().map(|c| c.open_time_ms))
    }

    /// Does what the plans say, `parallel` series at a time; the reports come in the order of the plans.
    pub async fn run(
        &self,
        market: MarketKind,
        plans: &[SeriesPlan],
        parallel: usize,
        recheck: bool,
        on: &(dyn Fn(Progress) + Sync),
    ) -> Vec<SeriesReport> {
        let each = plans.iter().enumerate().map(|(i, plan)| self.run_series(market, i, plan, recheck, on));
        stream::iter(each).buffered(parallel.max(1)).collect().await
    }

    /// Brings by archives what is missing in bulk of the candles that open from `from_ms` on: for whoever asks REST
    /// next. Small gaps are left to that; what fails is only logged.
    pub async fn bring_bulk(&self, market: MarketKind, symbols: &[Symbol], interval: Interval, from_ms: i64) {
        let of = |symbol: &Symbol| Wanted { symbol: symbol.clone(), interval, from_ms, to_ms: i64::MAX };
        let wanted: Vec<Wanted> = symbols.iter().map(of).collect();
        let Ok(mut plans) = self.plan(market, &wanted).await else { return };
        plans.retain(|plan| plan.missing.saturating_sub(plan.from_rest) >= BULK);
        for (i, plan) in plans.iter().enumerate() {
            let mut report = SeriesReport::empty(&plan.wanted);
            let outcome = self.archives_of(market, i, plan, false, &|_| {}, &mut report).await;
            for problem in outcome.err().map(|e| e.to_string()).into_iter().chain(report.problems) {
                tracing::warn!(symbol = %plan.wanted.symbol, problem, "an archive was not taken; REST goes on");
            }
        }
    }

    /// Holds archives that were merged against their checksums of now, and merges again those that were reissued. What
    /// fails is only logged; the next look finds it.
    pub async fn recheck(&self, market: MarketKind, symbols: &[Symbol], interval: Interval) {
        let of = |symbol: &Symbol| Wanted { symbol: symbol.clone(), interval, from_ms: 0, to_ms: i64::MAX };
        let mut wanted: Vec<Wanted> = symbols.iter().map(of).collect();
        for wanted in &mut wanted {
            let stored = self.stored(&Ticker::of(market, &wanted.symbol), interval).await.unwrap_or_default();
            wanted.from_ms = stored.first().map_or(i64::MAX, |m| m.facts.first_open_ms);
        }
        wanted.retain(|w| w.from_ms < i64::MAX);
        let Ok(plans) = self.plan(market, &wanted).await else { return };
        for (i, plan) in plans.into_iter().enumerate().filter(|(_, plan)| !plan.known.is_empty()) {
            let plan = SeriesPlan { archives: Vec::new(), ..plan };
            let mut report = SeriesReport::empty(&plan.wanted);
            let outcome = self.archives_of(market, i, &plan, true, &|_| {}, &mut report).await;
            for name in &report.reissued {
                tracing::warn!(archive = name, replaced = report.merge.replaced, "an archive was reissued");
            }
            for problem in outcome.err().map(|e| e.to_string()).into_iter().chain(report.problems) {
                tracing::warn!(symbol = %plan.wanted.symbol, problem, "an archive could not be looked at again");
            }
        }
    }

    async fn run_series(
        &self,
        market: MarketKind,
        series: usize,
        plan: &SeriesPlan,
        recheck: bool,
        on: &(dyn Fn(Progress) + Sync),
    ) -> SeriesReport {
        let Wanted { symbol, interval, from_ms, to_ms } = &plan.wanted;
        let mut report = SeriesReport::empty(&plan.wanted);
        let outcome = self.archives_of(market, series, plan, recheck, on, &mut report).await;
        if let Err(e) = outcome {
            report.error = Some(e.to_string());
        } else {
            self.rest_of(market, series, plan, on, &mut report).await;
        }
        match self.stored(&Ticker::of(market, symbol), *interval).await {
            Ok(stored) => {
                report.missing = missing_in(*interval, &stored, *from_ms, *to_ms);
                report.gaps = super::cache::holes(*interval, stored.iter().map(|m| &m.facts));
                report.gaps.retain(|gap| gap.to_ms > *from_ms && gap.from_ms < *to_ms);
                let last = stored.last().map(|m| m.facts.last_open_ms);
                report.newest_close_ms = last.map(|ms| interval::close_time_ms(*interval, ms));
            }
            Err(e) => report.error = report.error.or_else(|| Some(e.to_string())),
        }
        report
    }

    async fn archives_of(
        &self,
        market: MarketKind,
        series: usize,
        plan: &SeriesPlan,
        recheck: bool,
        on: &(dyn Fn(Progress) + Sync),
        report: &mut SeriesReport,
    ) -> Result<(), CacheError> {
        let Wanted { symbol, interval, .. } = &plan.wanted;
        let ticker = Ticker::of(market, symbol);
        // Asked once: archives of one series arrive within seconds of each other.
        let now_ms = self.client.server_time_ms(market).await.unwrap_or(plan.wanted.to_ms);
        let mut answers = true;
        if recheck {
            let stored = self.stored(&ticker, *interval).await?;
            for name in &plan.known {
                match self.has_changed(&path_of(market, name), plan::merged_sha256(name, &stored)).await {
                    Ok(false) => {}
                    Ok(true) => {
                        report.reissued.push(name.file_name());
                        self.archive(market, name, now_ms, report).await?;
                    }
                    Err(e) => report.problems.push(format!("{}: {e}", name.file_name())),
                }
                answers = answers && self.compare(market, name, now_ms, report).await?;
                on(Progress { series, settled: 0, what: format!("{} looked at again", name.file_name()) });
            }
        }
        let mut queue: std::collections::VecDeque<DumpName> = plan.archives.iter().cloned().collect();
        while let Some(name) = queue.pop_front() {
            let lacking = self.lacking(market, plan, &name).await?;
            let absent = self.archive(market, &name, now_ms, report).await?;
            let mut what = name.file_name();
            if !absent && !name.daily {
                answers = answers && self.compare(market, &name, now_ms, report).await?;
            }
            if absent {
                what.push_str(" does not exist");
                let (from_ms, to_ms) = name.range_ms();
                // An exchange that has candles there has not published them yet; otherwise there are none to fetch.
                let rows = self.client.klines(&ticker, *interval, from_ms, to_ms - 1, 1).await;
                let has_rows = rows.is_ok_and(|rows| rows.iter().any(|c| (from_ms..to_ms).contains(&c.open_time_ms)));
                let newest_ms = plan.wanted.to_ms;
                if has_rows && !name.daily && *interval < Interval::D1 && to_ms + DAILY_FOR_MS > newest_ms {
                    for day in plan::daily(&name).into_iter().rev().filter(|day| day.range_ms().1 <= newest_ms) {
                        queue.push_front(day);
                    }
                    continue;
                }
            }
            on(Progress { series, settled: lacking, what });
        }
        Ok(())
    }

    /// Candles that an archive may bring.
    async fn lacking(&self, market: MarketKind, plan: &SeriesPlan, name: &DumpName) -> Result<u64, CacheError> {
        let Wanted { symbol, interval, from_ms, to_ms } = &plan.wanted;
        let (a, b) = name.range_ms();
        let stored = self.stored(&Ticker::of(market, symbol), *interval).await?;
        Ok(missing_in(*interval, &stored, a.max(*from_ms), b.min(*to_ms)))
    }

    /// Fetches and merges one archive; true when there is none.
    async fn archive(
        &self,
        market: MarketKind,
        name: &DumpName,
        now_ms: i64,
        report: &mut SeriesReport,
    ) -> Result<bool, CacheError> {
        match self.fetch(market, name, now_ms).await {
            Ok(Fetched::Absent) => return Ok(true),
            Ok(Fetched::Merged { report: merged, bytes, refused }) => {
                report.archives += 1;
                report.archive_bytes += bytes;
                if let Some(what) = merged.disagreement() {
                    report.problems.push(format!("{}: {what}", name.file_name()));
                }
                report.merge += merged;
                if refused > 0 {
                    report.problems.push(format!("{}: {refused} rows refused", name.file_name()));
                }
            }
            Err(Trouble::Archive(why)) => report.problems.push(format!("{}: {why}", name.file_name())),
            Err(Trouble::Cache(e)) => return Err(e),
        }
        Ok(false)
    }

    async fn has_changed(&self, path: &str, known: Option<&str>) -> Result<bool, ExchangeError> {
        let checksum = self.client.dump_file(&format!("{path}.CHECKSUM")).await?;
        let text = checksum.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
        let stated = text.split_whitespace().next().filter(|sha| sha.len() == 64).map(str::to_ascii_lowercase);
        Ok(stated.is_some() && stated.as_deref() != known)
    }

    /// Fetches an archive until it is what its checksum says, and merges it.
    async fn fetch(&self, market: MarketKind, name: &DumpName, now_ms: i64) -> Result<Fetched, Trouble> {
        let read_as = name.clone();
        let read = move |bytes: &[u8]| read_archive(bytes, &read_as);
        let Some((bytes, rows)) = self.fetch_archive(&path_of(market, name), read).await? else {
            return Ok(Fetched::Absent);
        };
        let sha256 = hex::encode(Sha256::digest(&bytes));
        let provenance = Provenance { source: name.file_name(), fetched_at_ms: now_ms };
        let ticker = Ticker::of(market, &name.symbol);
        let merged = self.feed.cache().merge_fetched(&ticker, &rows.series, &provenance, Some(&sha256)).await;
        let report = merged.map_err(Trouble::Cache)?;
        Ok(Fetched::Merged { report, bytes: bytes.len() as u64, refused: rows.refused_count })
    }

    /// An archive that is what its checksum says, and what `read` makes of it; `None` when there is none.
    async fn fetch_archive<T: Send + 'static>(
        &self,
        path: &str,
        read: impl Fn(&[u8]) -> Result<T, DumpError> + Clone + Send + 'static,
    ) -> Result<Option<(Vec<u8>, T)>, Trouble> {
        let mut delay = self.retry_delay;
        let mut attempt = 1;
        loop {
            match self.fetch_once(path, read.clone()).await {
                // Damaged on the way, or replaced between the two requests: the next try may see it whole.
                Err(Trouble::Archive(why)) if attempt < self.attempts => {
                    tracing::debug!(path, why, "archive is fetched again");
                    tokio::time::sleep(delay).await;
                    delay *= 2;
                    attempt += 1;
                }
                outcome => return outcome,
            }
        }
    }

    async fn fetch_once<T: Send + 'static>(
        &self,
        path: &str,
        read: impl Fn(&[u8]) -> Result<T, DumpError> + Send + 'static,
    ) -> Result<Option<(Vec<u8>, T)>, Trouble> {
        let Some(bytes) = self.client.dump_file(path).await? else { return Ok(None) };
        let Some(checksum) = self.client.dump_file(&format!("{path}.CHECKSUM")).await? else {
            return Err(Trouble::Archive("it has no CHECKSUM file beside it; not taken".to_owned()));
        };
        let read = tokio::task::spawn_blocking(move || -> Result<_, DumpError> {
            verify_checksum(&bytes, &checksum)?;
            let rows = read(&bytes)?;
            Ok((bytes, rows))
        });
        let read = read.await.map_err(|e| Trouble::Archive(e.to_string()))?;
        read.map(Some).map_err(|e| Trouble::Archive(e.to_string()))
    }

    /// Brings what archives did not have, in pieces.
    async fn rest_of(
        &self,
        market: MarketKind,
        series: usize,
        plan: &SeriesPlan,
        on: &(dyn Fn(Progress) + Sync),
        report: &mut SeriesReport,
    ) {
        let Wanted { symbol, interval, from_ms, to_ms } = &plan.wanted;
        let stored = match self.stored(&Ticker::of(market, symbol), *interval).await {
            Ok(stored) => stored,
            Err(e) => {
                report.error = Some(e.to_string());
                return;
            }
        };
        let piece_ms = interval.fixed_ms().unwrap_or(i64::MAX / 4).saturating_mul(REST_PIECE as i64);
        let mut start_ms = *from_ms;
        while start_ms < *to_ms {
            let end_ms = start_ms.saturating_add(piece_ms).min(*to_ms);
            let lacking = missing_in(*interval, &stored, start_ms, end_ms);
            if lacking > 0 {
                let one = std::slice::from_ref(symbol);
                let brought = self.feed.refresh_until(market, one, *interval, start_ms, end_ms).await;
                for fresh in brought {
                    report.merge.added += fresh.added;
                    report.merge.replaced += fresh.replaced;
                    match fresh.error {
                        Some(what) if fresh.refused => report.problems.push(what),
                        error => report.error = report.error.take().or(error),
                    }
                }
                on(Progress { series, settled: lacking, what: format!("{symbol} {interval} by REST") });
            }
            if report.error.is_some() {
                return;
            }
            start_ms = end_ms;
        }
    }
}

/// Where an archive lies below the dumps' address.
fn path_of(market: MarketKind, name: &DumpName) -> String {
    let root = match market {
        MarketKind::Spot => "spot",
        MarketKind::Um => "futures/um",
    };
    let period = if name.daily { "daily" } else { "monthly" };
    let interval = if name.interval == Interval::Mo1 { "1mo" } else { name.interval.name() };
    format!("data/{root}/{period}/klines/{}/{interval}/{}", name.symbol, name.file_name())
}
