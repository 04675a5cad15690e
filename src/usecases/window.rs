//! Windows of closed candles for the runners: refreshed where the exchange answers, cached where it does not.
//!
//! Never decides what to do with them.

use super::core::Core;
use anyhow::Context as _;
use candles::quality::QualityPolicy;
use candles::{
    CandleSeries, DataVerdict, FundingRate, Interval, Judged, MarketKind, Symbol, fit_for_evidence, interval,
};
use chrono::DateTime;
use engine::{SymbolWindow, Window, WindowError};
use market::CandleCache;
use market::cache::CacheError;
use protocol::Split;
use std::sync::Arc;
use store::FeedStatus;

/// Which candles a window is made of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct WindowSpec {
    pub(crate) market: MarketKind,
    pub(crate) symbols: Vec<Symbol>,
    pub(crate) interval: Interval,
    /// First candle loaded; indicators warm up from here.
    pub(crate) warmup_from_ms: i64,
    /// End, exclusive.
    pub(crate) to_ms: i64,
}

/// Candles loaded once, from which windows of several ranges are cut.
#[derive(Clone, Debug)]
pub(crate) struct Loaded {
    spec: WindowSpec,
    symbols: Vec<LoadedSymbol>,
}

/// What the cache holds of one symbol in a stretch of time.
#[derive(Clone, Debug)]
pub(crate) struct LoadedSymbol {
    /// Which symbol.
    pub(crate) symbol: Symbol,
    /// Its candles that close in time.
    pub(crate) candles: CandleSeries,
    /// Finer candles, where some are stored: they decide the order of stop and target inside a candle.
    pub(crate) finer: Option<CandleSeries>,
    /// Funding payments in time order; none on spot.
    pub(crate) funding: Vec<FundingRate>,
}

/// Loads what the cache holds of a symbol: candles that open from `from_ms` on and close before `to_ms`.
///
/// # Errors
/// When the cache cannot be read.
pub(crate) async fn load_symbol(
    cache: &CandleCache,
    market: MarketKind,
    symbol: &Symbol,
    candles: Interval,
    (from_ms, to_ms): (i64, i64),
) -> Result<LoadedSymbol, CacheError> {
    let load = async |interval| {
        Ok::<_, CacheError>(whole_until(cache.load(market, symbol, interval, from_ms, to_ms).await?, to_ms))
    };
    let stored = cache.stored_intervals(market, symbol).await?;
    let finer = match stored.into_iter().find(|&finer| finer < candles) {
        Some(finer) => Some(load(finer).await?).filter(|candles| !candles.is_empty()),
        None => None,
    };
    let funding = match market {
        MarketKind::Um => cache.load_funding(symbol, from_ms, to_ms).await?,
        MarketKind::Spot => Vec::new(),
    };
    Ok(LoadedSymbol { symbol: symbol.clone(), candles: load(candles).await?, finer, funding })
}

/// The candles that close before `to_ms`.
fn whole_until(candles: CandleSeries, to_ms: i64) -> CandleSeries {
    match candles.last_close_time_ms() {
        Some(close_ms) if close_ms >= to_ms => {
            candles.slice(i64::MIN, interval::open_time_ms(candles.interval(), to_ms))
        }
        _ => candles,
    }
}

impl Loaded {
    /// Reads the spec's candles from the cache.
    ///
    /// # Errors
    /// When the cache cannot be read or a symbol has no candle there at all.
    pub(crate) async fn read(cache: &CandleCache, spec: WindowSpec) -> anyhow::Result<Self> {
        let mut symbols = Vec::with_capacity(spec.symbols.len());
        for symbol in &spec.symbols {
            let span = (spec.warmup_from_ms, spec.to_ms);
            let loaded = load_symbol(cache, spec.market, symbol, spec.interval, span).await;
            symbols.push(
                loaded.with_context(|| format!("cannot load {} {symbol} {} candles", spec.market, spec.interval))?,
            );
        }
        Ok(Self { spec, symbols })
    }

    /// Close time of the newest candle that all symbols have, UTC ms; `None` where one has none.
    pub(crate) fn newest_close_ms(&self) -> Option<i64> {
        self.symbols.iter().map(|s| s.candles.last_close_time_ms()).min().flatten()
    }

    /// The window of candles that open in `[from_ms, to_ms)`, with everything before as warm-up.
    ///
    /// # Errors
    /// When a symbol has no candle in that range.
    pub(crate) fn window(&self, from_ms: i64, to_ms: i64) -> Result<Window, WindowError> {
        let first_ms = self.spec.warmup_from_ms;
        let cut = |s: &LoadedSymbol| SymbolWindow {
            market: self.spec.market,
            symbol: s.symbol.clone(),
            candles: Arc::new(s.candles.slice(first_ms, to_ms)),
            finer: s.finer.as_ref().map(|finer| Arc::new(finer.slice(first_ms, to_ms))).filter(|f| !f.is_empty()),
            funding: s.funding.iter().copied().filter(|f| f.time_ms < to_ms).collect(),
        };
        Window::new(from_ms, to_ms, self.symbols.iter().map(cut).collect())
    }

    /// The candles of a session in two: what its search may look at, and what it may not.
    ///
    /// # Errors
    /// When a symbol has no candle in either.
    pub(crate) fn split(&self, from_ms: i64, split_ms: i64, to_ms: i64) -> Result<Split, WindowError> {
        Split::cut(|from, to| self.window(from, to), from_ms, split_ms, to_ms)
    }

    /// Whether every symbol has candles from `from_ms` on.
    pub(crate) fn reaches_back_to(&self, from_ms: i64) -> bool {
        self.symbols.iter().all(|s| s.candles.open_times_ms().first().is_some_and(|first| *first <= from_ms))
    }

    /// Whether the candles of `[from_ms, to_ms)` may count as evidence, and why not. Warm-up is not judged.
    pub(crate) fn fit_for_evidence(&self, from_ms: i64, to_ms: i64, policy: &QualityPolicy) -> DataVerdict {
        let judged =
            self.symbols.iter().map(|s| Judged { symbol: &s.symbol, candles: &s.candles, finer: s.finer.as_ref() });
        fit_for_evidence(self.spec.market, self.spec.interval, (from_ms, to_ms), judged, policy)
    }
}

/// The exchange's time, UTC ms; where it does not answer, the newest candle in the cache stands for it.
///
/// # Errors
/// When the exchange does not answer and nothing is cached either.
pub(crate) async fn market_now_ms(
    core: &Core,
    market: MarketKind,
    symbols: &[Symbol],
    candles: Interval,
) -> anyhow::Result<i64> {
    let error = match core.feed.exchange().server_time_ms(market).await {
        Ok(now_ms) => return Ok(now_ms),
        Err(error) => error,
    };
    let mut newest_ms = None;
    for symbol in symbols {
        newest_ms = newest_ms.max(core.cache.newest_close_ms(market, symbol, candles).await?);
    }
    newest_ms.with_context(|| format!("the exchange does not tell its time ({error}) and there are no cached candles"))
}

/// Brings the cache up to the newest closed candle of each symbol and returns the newest time that all of them
/// have reached: the end of the candle up to which everything is known, on the interval's grid.
///
/// A symbol that the exchange does not answer for counts as far as its cached candles go.
///
/// # Errors
/// When a symbol has no candle at all: there is nothing to work on.
pub(crate) async fn refresh(
    core: &Core,
    market: MarketKind,
    symbols: &[Symbol],
    candles: Interval,
    from_ms: i64,
) -> anyhow::Result<i64> {
    core.downloader.bring_bulk(market, symbols, candles, from_ms).await;
    let report = core.feed.refresh(market, symbols, candles, from_ms).await;
    if market == MarketKind::Um {
        for row in core.feed.refresh_funding(symbols, from_ms, false).await {
            if let Some(error) = &row.error {
                tracing::warn!(symbol = %row.symbol, error, "no fresh funding rates; going on with cached ones");
            }
        }
    }
    let mut newest_ms = i64::MAX;
    for row in &report {
        let status = FeedStatus {
            market,
            symbol: row.symbol.clone(),
            interval: candles,
            newest_close_ms: row.newest_close_ms,
            exchange_time_ms: row.exchange_time_ms,
            gaps: row.gaps.len() as u64,
            error: row.error.clone(),
            // The store sets it.
            refreshed_at: DateTime::UNIX_EPOCH,
        };
        core.store.record_feed(&status).await?;
        if let Some(error) = &row.error {
            tracing::warn!(symbol = %row.symbol, error, "no fresh candles; going on with cached ones");
        }
        let close_ms = row.newest_close_ms.with_context(|| {
            let why = row.error.as_deref().unwrap_or("the exchange has none");
            format!("there are no {candles} candles of {} to work on: {why}", row.symbol)
        })?;
        newest_ms = newest_ms.min(close_ms + 1);
    }
    Ok(interval::open_time_ms(candles, newest_ms))
}
