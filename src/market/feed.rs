//! Keeps the cache as new as the exchange: asks only for what is missing, keeps only what has closed.
//!
//! What is new is decided by the exchange's clock alone. One symbol's failure stops no other, and what is cached stays
//! usable when the exchange is away: the error is told beside it. Never invents a candle, never decides what to trade.

mod metrics;
mod premium;

use super::cache::{CacheError, CandleCache, Facts, MergeReport, Provenance, holes};
use super::{Exchange, ExchangeError, MarketConfig};
use candles::quality::{self, Gap};
use candles::{CandleSeries, Interval, MarketKind, Symbol, Ticker, interval};
use futures::{StreamExt, stream};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Rows kept in memory before they are merged: a month of minutes.
const FLUSH_ROWS: usize = 45_000;
/// Holes this near to the newest candle are asked for each time: their candles may only be late.
const LATE_CANDLES: i64 = 200;
/// Known empty ranges remembered for one symbol and interval; beyond that they are forgotten and asked for again.
const MAX_EMPTY_RANGES: usize = 1_000;
/// Funding is read again from this long before the newest known payment.
const FUNDING_REREAD_MS: i64 = 86_400_000;

/// How fresh one symbol's candles are after a refresh.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SymbolFreshness {
    /// Which symbol.
    pub symbol: Symbol,
    /// Close time of the newest cached candle, UTC ms.
    pub newest_close_ms: Option<i64>,
    /// Candles that were not there before.
    pub added: u64,
    /// Candles that the exchange has revised.
    pub replaced: u64,
    /// Holes from the asked start on.
    pub gaps: Vec<Gap>,
    /// The exchange's time at this refresh, UTC ms; `None` when it did not tell.
    pub exchange_time_ms: Option<i64>,
    /// What went wrong, if something did. The cached candles are usable nevertheless.
    pub error: Option<String>,
    /// Whether that was only that single candles were refused: asked again, the exchange says the same.
    pub refused: bool,
    /// Whether that was that there is no room to keep candles: the exchange has given them.
    pub no_room: bool,
}

/// How fresh one symbol's funding payments are.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FundingFreshness {
    /// Which symbol.
    pub symbol: Symbol,
    /// Newest cached payment, UTC ms.
    pub newest_ms: Option<i64>,
    /// Payments that were not there before.
    pub added: u64,
    /// Payments that the exchange has revised.
    pub replaced: u64,
    /// What went wrong, if something did.
    pub error: Option<String>,
}

/// Why a symbol could not be refreshed.
#[derive(Debug, thiserror::Error)]
enum FeedError {
    #[error(transparent)]
    Exchange(#[from] ExchangeError),
    #[error(transparent)]
    Cache(#[from] CacheError),
    #[error("{count} candles of the exchange were refused, the first: {first}")]
    Refused { count: u64, first: String },
}

type Key = (Ticker, Interval);

/// Fills the cache from an exchange.
pub struct Feed {
    exchange: Arc<dyn Exchange>,
    cache: CandleCache,
    source: String,
    reread_candles: i64,
    at_once: usize,
    /// Ranges that the exchange had nothing for, so that they are not asked for each time.
    empty: Mutex<BTreeMap<Key, Vec<(i64, i64)>>>,
}

/// Open times `[from_ms, to_ms]` to ask for, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Range {
    from_ms: i64,
    to_ms: i64,
}

impl Feed {
    /// A feed from `exchange`, whose name is recorded as the source of what it brings.
    #[must_use]
    pub fn new(exchange: Arc<dyn Exchange>, cache: CandleCache, config: &MarketConfig) -> Self {
        Self {
            exchange,
            cache,
            source: String::from(config.source.clone()),
            reread_candles: i64::from(config.reread_candles),
            at_once: config.requests_at_once.max(1),
            empty: Mutex::default(),
        }
    }

    /// The cache it fills.
    #[must_use]
    pub fn cache(&self) -> &CandleCache {
        &self.cache
    }

    /// The exchange it asks.
    #[must_use]
    pub fn exchange(&self) -> &Arc<dyn Exchange> {
        &self.exchange
    }

    /// The name under which what it brings is recorded.
    pub(crate) fn source(&self) -> &str {
        &self.source
    }

    /// Brings the candles of `symbols` that open from `from_ms` on up to the newest one that has closed by the
    /// exchange's clock. The answer has the symbols in the order given.
    pub async fn refresh(
        &self,
        market: MarketKind,
        symbols: &[Symbol],
        interval: Interval,
        from_ms: i64,
    ) -> Vec<SymbolFreshness> {
        self.refresh_until(market, symbols, interval, from_ms, i64::MAX).await
    }

    /// [`refresh`](Self::refresh), but only of candles that open before `to_ms`.
    pub async fn refresh_until(
        &self,
        market: MarketKind,
        symbols: &[Symbol],
        interval: Interval,
        from_ms: i64,
        to_ms: i64,
    ) -> Vec<SymbolFreshness> {
        let now = self.exchange.server_time_ms(market).await;
        let each = symbols.iter().map(|symbol| {
            let (now, ticker) = (now.clone(), Ticker::of(market, symbol));
            let told_ms = now.as_ref().ok().copied();
            async move {
                let done = match now {
                    Ok(now_ms) => self.refresh_symbol(&ticker, interval, from_ms, to_ms, now_ms).await,
                    Err(e) => (MergeReport::default(), Some(e.into())),
                };
                let fresh = self.freshness(&ticker, interval, from_ms, done).await;
                SymbolFreshness { exchange_time_ms: told_ms, ..fresh }
            }
        });
        stream::iter(each.collect::<Vec<_>>()).buffered(self.at_once).collect().await
    }

    async fn freshness(
        &self,
        ticker: &Ticker,
        interval: Interval,
        from_ms: i64,
        (merged, mut error): (MergeReport, Option<FeedError>),
    ) -> SymbolFreshness {
        let months = match self.cache.stored_months(ticker, interval).await {
            Ok(months) => months,
            Err(e) => {
                error = error.or(Some(e.into()));
                Vec::new()
            }
        };
        let mut gaps = holes(interval, &months);
        gaps.retain(|gap| gap.to_ms > from_ms);
        SymbolFreshness {
            symbol: ticker.symbol.clone(),
            newest_close_ms: months.last().map(|m| interval::close_time_ms(interval, m.last_open_ms)),
            added: merged.added,
            replaced: merged.replaced,
            gaps,
            exchange_time_ms: None,
            refused: matches!(error, Some(FeedError::Refused { .. })),
            no_room: matches!(error, Some(FeedError::Cache(CacheError::Full { .. }))),
            error: error.map(|e| e.to_string()),
        }
    }

    async fn refresh_symbol(
        &self,
        ticker: &Ticker,
        interval: Interval,
        from_ms: i64,
        to_ms: i64,
        now_ms: i64,
    ) -> (MergeReport, Option<FeedError>) {
        let mut merged = MergeReport::default();
        let months = match self.cache.stored_months(ticker, interval).await {
            Ok(months) => months,
            Err(e) => return (merged, Some(e.into())),
        };
        // The candle that holds the last moment before the current candle is the newest closed one.
        let newest_ms = interval::open_time_ms(interval, interval::open_time_ms(interval, now_ms) - 1);
        let last_ms = newest_ms.min(to_ms.saturating_sub(1));
        let key = (ticker.clone(), interval);
        let mut error = None;
        for range in self.missing(interval, &months, from_ms.max(0), last_ms) {
            let is_late = range.to_ms >= back(interval, newest_ms, LATE_CANDLES);
            if !is_late && self.is_empty(&key, range) {
                continue;
            }
            match self.fetch(&key, range, now_ms, &mut merged).await {
                Ok(0) if !is_late => self.remember_empty(&key, range),
                Ok(_) => {}
                Err(e @ FeedError::Refused { .. }) => error = Some(e),
                // What fails for one range fails for the next: leave the exchange in peace.
                Err(e) => return (merged, Some(e)),
            }
        }
        (merged, error)
    }

    /// What to ask for: what lies before the first stored candle, the holes, and the end with a few candles again.
    fn missing(&self, interval: Interval, months: &[Facts], from_ms: i64, last_ms: i64) -> Vec<Range> {
        let mut ranges = Vec::new();
        let mut add = |from: i64, to: i64| {
            let range = Range { from_ms: from.max(from_ms), to_ms: to.min(last_ms) };
            if range.from_ms <= range.to_ms {
                ranges.push(range);
            }
        };
        match (months.first(), months.last()) {
            (Some(first), Some(last)) => {
                let end_ms = back(interval, last.last_open_ms, self.reread_candles - 1).max(first.first_open_ms);
                add(i64::MIN, first.first_open_ms - 1);
                for gap in holes(interval, months).iter().filter(|gap| gap.from_ms < end_ms) {
                    add(gap.from_ms, gap.to_ms - 1);
                }
                add(end_ms, i64::MAX);
            }
            _ => add(i64::MIN, i64::MAX),
        }
        ranges
    }

    /// Reads a range page by page and merges it; returns how many candles the exchange had.
    async fn fetch(&self, key: &Key, range: Range, now_ms: i64, merged: &mut MergeReport) -> Result<u64, FeedError> {
        let (ticker, interval) = key;
        let mut series = CandleSeries::new(*interval);
        let mut from_ms = range.from_ms;
        let (mut found, mut refused, mut first_refused) = (0, 0, String::new());
        let mut outcome = Ok(());
        while from_ms <= range.to_ms {
            // A small limit costs less on futures.
            let wanted = quality::count_between(*interval, from_ms, range.to_ms).saturating_add(2);
            let limit = self.exchange.max_klines(ticker.market).min(u32::try_from(wanted).unwrap_or(u32::MAX));
            let page = self.exchange.klines(ticker, *interval, from_ms, range.to_ms, limit).await;
            let mut rows = match page {
                Ok(rows) => rows,
                Err(e) => {
                    outcome = Err(e);
                    break;
                }
            };
            // Not asked for, or still open: by the calendar, whatever close time the row claims.
            rows.retain(|c| {
                (from_ms..=range.to_ms).contains(&c.open_time_ms)
                    && interval::close_time_ms(*interval, c.open_time_ms) < now_ms
            });
            let Some(newest_ms) = rows.iter().map(|c| c.open_time_ms).max() else { break };
            for row in &rows {
                match series.push(row) {
                    Ok(()) => found += 1,
                    Err(e) => {
                        refused += 1;
                        if first_refused.is_empty() {
                            first_refused = e.to_string();
                        }
                    }
                }
            }
            from_ms = interval::next_open_time_ms(*interval, interval::open_time_ms(*interval, newest_ms));
            if series.len() >= FLUSH_ROWS {
                self.flush(key, &mut series, now_ms, merged).await?;
            }
        }
        // What came before a failure is worth keeping.
        self.flush(key, &mut series, now_ms, merged).await?;
        outcome?;
        if refused > 0 { Err(FeedError::Refused { count: refused, first: first_refused }) } else { Ok(found) }
    }

    async fn flush(
        &self,
        (ticker, interval): &Key,
        series: &mut CandleSeries,
        now_ms: i64,
        merged: &mut MergeReport,
    ) -> Result<(), CacheError> {
        let full = std::mem::replace(series, CandleSeries::new(*interval));
        if !full.is_empty() {
            let provenance = Provenance { source: self.source.clone(), fetched_at_ms: now_ms };
            *merged += self.cache.merge_fetched(ticker, &full, &provenance, None).await?;
        }
        Ok(())
    }

    fn is_empty(&self, key: &Key, range: Range) -> bool {
        let empty = self.empty.lock().unwrap_or_else(PoisonError::into_inner);
        let covers = |&(from, to): &(i64, i64)| from <= range.from_ms && range.to_ms <= to;
        empty.get(key).is_some_and(|ranges| ranges.iter().any(covers))
    }

    fn remember_empty(&self, key: &Key, range: Range) {
        let mut empty = self.empty.lock().unwrap_or_else(PoisonError::into_inner);
        let ranges = empty.entry(key.clone()).or_default();
        if ranges.len() >= MAX_EMPTY_RANGES {
            ranges.clear();
        }
        ranges.push((range.from_ms, range.to_ms));
    }

    /// Brings the funding payments of `um` symbols from `from_ms` on up to now; with `again` those that are cached are
    /// read again, too, so that a revised one is noticed.
    pub async fn refresh_funding(&self, symbols: &[Symbol], from_ms: i64, again: bool) -> Vec<FundingFreshness> {
        let now = self.exchange.server_time_ms(MarketKind::Um).await;
        let mut all = Vec::with_capacity(symbols.len());
        for symbol in symbols {
            let done = match now.clone() {
                Ok(now_ms) => self.refresh_funding_of(symbol, from_ms, now_ms, again).await,
                Err(e) => Err(e.into()),
            };
            let newest_ms = self.cache.newest_funding_ms(symbol).await.ok().flatten();
            let (merged, error) = done.map_or_else(|e| (MergeReport::default(), Some(e.to_string())), |m| (m, None));
            let MergeReport { added, replaced, .. } = merged;
            all.push(FundingFreshness { symbol: symbol.clone(), newest_ms, added, replaced, error });
        }
        all
    }

    async fn refresh_funding_of(
        &self,
        symbol: &Symbol,
        from_ms: i64,
        now_ms: i64,
        again: bool,
    ) -> Result<MergeReport, FeedError> {
        let newest_ms = self.cache.newest_funding_ms(symbol).await?;
        let oldest_ms = self.cache.oldest_funding_ms(symbol).await?;
        let mut next_ms = match (oldest_ms, newest_ms) {
            // One day's tolerance: the first payment after the start need not be at it.
            (Some(oldest), Some(newest)) if !again && oldest <= from_ms + FUNDING_REREAD_MS => {
                from_ms.max(newest - FUNDING_REREAD_MS)
            }
            _ => from_ms,
        };
        let mut merged = MergeReport::default();
        while next_ms <= now_ms {
            let mut rates = self.exchange.funding_rates(symbol, next_ms, now_ms).await?;
            rates.retain(|r| (next_ms..=now_ms).contains(&r.time_ms) && r.rate.is_finite());
            rates.sort_by_key(|r| r.time_ms);
            let Some(last) = rates.last() else { break };
            next_ms = last.time_ms + 1;
            let provenance = Provenance { source: self.source.clone(), fetched_at_ms: now_ms };
            merged += self.cache.merge_funding(symbol, &rates, &provenance, None).await?;
        }
        Ok(merged)
    }
}

/// Open time of the candle `n` before the one that opens at `open_ms` (approximate for months; never later).
fn back(interval: Interval, open_ms: i64, n: i64) -> i64 {
    const LONGEST_MONTH_MS: i64 = 31 * 86_400_000;
    let len = interval.fixed_ms().unwrap_or(LONGEST_MONTH_MS);
    interval::open_time_ms(interval, open_ms.saturating_sub(n.max(0).saturating_mul(len)))
}
