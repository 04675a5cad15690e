//! Keeps the candle cache within its byte budget, and says what of it is in use.
//!
//! What stored results were computed from stays (but for what strangers asked for), what the next sessions and paper passes look at stays, and so does what
//! is followed as far as it goes. Decides nothing about single months: `market::budget` does.

use super::candle_source::CandleSource;
use super::candle_source::is_paid_in;
use super::parts::{Did, Turn};
use crate::config::DaemonConfig;
use candles::stored::CandleRange;
use candles::time::DAY_MS;
use candles::{MarketKind, Ticker};
use market::CandleCache;
use market::budget::{Freed, InUse, keep_within};
use market::cache::CacheError;
use store::Store;
use telemetry::metrics;

/// Windows may begin so long before what the newest candle says: a session that is gone on with, a late daemon.
const SLACK_MS: i64 = 31 * DAY_MS;

/// What may not go: what results were computed from, and what is looked at next.
///
/// # Errors
/// When the store does not answer or the cache cannot be read.
pub(crate) async fn in_use(
    cache: &CandleCache,
    store: &Store,
    market: MarketKind,
    settings: &DaemonConfig,
) -> anyhow::Result<InUse> {
    let mut held = store.candles_in_use().await?;
    held.extend(followed(cache, market, settings).await?);
    Ok(InUse { held, dealt_with: store.contents_dealt_with().await? })
}

/// What sessions and paper passes look at next.
async fn followed(
    cache: &CandleCache,
    market: MarketKind,
    settings: &DaemonConfig,
) -> Result<Vec<CandleRange>, CacheError> {
    let days = settings.backtest_days + settings.holdout_days + settings.warmup_days.max(settings.shadow_lookback_days);
    let span_ms = i64::from(days) * DAY_MS + SLACK_MS;
    let mut held = Vec::new();
    for (quote, interval) in settings.ranked() {
        // A session may look at all of a market that is young.
        for symbol in cache.symbols(market).await?.into_iter().filter(|s| is_paid_in(s, quote)) {
            held.push(CandleRange { market, symbol, interval, from_ms: i64::MIN, to_ms: i64::MAX });
        }
    }
    for symbol in settings.symbols.iter().chain(&settings.shadow_symbols) {
        let ticker = Ticker::of(market, symbol);
        // Where nothing is stored of the interval itself, it is built from a finer one.
        for interval in cache.stored_intervals(&ticker).await? {
            if interval > settings.interval {
                continue;
            }
            let Some(newest_ms) = cache.newest_close_ms(&ticker, interval).await? else { continue };
            held.push(CandleRange {
                market,
                symbol: symbol.clone(),
                interval,
                from_ms: newest_ms - span_ms,
                to_ms: i64::MAX,
            });
        }
    }
    Ok(held)
}

/// Keeps the cache within its budget.
pub(crate) struct CacheBudget {
    candles: CandleSource,
    store: Store,
    settings: DaemonConfig,
    budget_bytes: u64,
    turn: Turn,
}

impl CacheBudget {
    pub(crate) fn new(candles: CandleSource, store: Store, settings: DaemonConfig, budget_bytes: u64) -> Self {
        let turn = Turn::new(&store, "candle cache");
        Self { candles, store, settings, budget_bytes, turn }
    }

    /// Brings the cache back to its budget, if it is over it.
    ///
    /// # Errors
    /// When the store does not answer or the cache cannot be read.
    pub(crate) async fn activate(&mut self) -> anyhow::Result<Did> {
        let CandleSource { cache, market, .. } = &self.candles;
        let size = cache.size_bytes().await?;
        metrics::CANDLE_CACHE_BYTES.set(None, size as f64);
        if size <= self.budget_bytes {
            return Ok(Did::Nothing);
        }
        if !self.turn.hold().await? {
            return Ok(Did::StoodBy);
        }
        let mut in_use = in_use(cache, &self.store, *market, &self.settings).await?;
        // Last, and until it is done: whoever begins to work with candles meanwhile waits for it.
        let eviction = self.candles.holds.evict().await;
        in_use.held.extend(eviction.held());
        let freed = keep_within(cache, self.budget_bytes, &in_use, false).await?;
        drop(eviction);
        metrics::CANDLE_CACHE_BYTES.set(None, freed.left_bytes() as f64);
        metrics::CANDLE_CACHE_EVICTIONS_TOTAL.add((freed.evicted.len() + freed.contents.len()) as u64);
        told(&freed, self.budget_bytes);
        let did_something = !freed.evicted.is_empty() || !freed.contents.is_empty();
        Ok(if did_something { Did::Work } else { Did::Nothing })
    }
}

fn told(freed: &Freed, budget_bytes: u64) {
    let (months, contents) = (freed.evicted.len(), freed.contents.len());
    let (freed_bytes, left_bytes) = (freed.freed_bytes, freed.left_bytes());
    if months + contents > 0 {
        tracing::info!(months, contents, freed_bytes, left_bytes, "the candle cache was brought back to its budget");
    }
    if left_bytes > budget_bytes {
        tracing::warn!(
            left_bytes,
            budget_bytes,
            "the candle cache is over its budget: what is left is in use or was imported"
        );
    }
}
