//! Windows of closed cached candles. Fetches nothing, and never decides what to do with them.

use super::predictions::OfSymbol;
use super::whole_market::Cached;
use anyhow::Context as _;
use candles::quality::{Finding, FindingKind, QualityPolicy, Severity};
use candles::{
    CandleSeries, Coverage, DataVerdict, FundingRate, Interval, Judged, MarketKind, MarketReadings, Symbol,
    SymbolCoverage, Ticker, fit_for_evidence, interval,
};
use engine::{ModelsUsed, SymbolWindow, Window, WindowError};
use market::CandleCache;
use market::cache::CacheError;
use protocol::Split;
use std::sync::Arc;

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
    /// Models whose predictions go with them.
    pub(crate) models: ModelsUsed,
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
    /// Finer candles as far as they cover candles, the finest first: they decide the order of stop and target.
    pub(crate) finer: Vec<CandleSeries>,
    /// Funding payments in time order; none on spot.
    pub(crate) funding: Vec<FundingRate>,
    /// What models predict of it.
    pub(crate) models: OfSymbol,
}

/// Loads what the cache holds of a symbol: candles that open from `from_ms` on and close before `to_ms`.
///
/// # Errors
/// When the cache cannot be read.
pub(crate) async fn load_symbol(
    cache: &CandleCache,
    ticker: &Ticker,
    candles: Interval,
    (from_ms, to_ms): (i64, i64),
) -> Result<LoadedSymbol, CacheError> {
    let load =
        async |interval| Ok::<_, CacheError>(whole_until(cache.load(ticker, interval, from_ms, to_ms).await?, to_ms));
    let stored = cache.stored_intervals(ticker).await?;
    let coarse = load(candles).await?;
    let mut finer = Vec::new();
    for interval in stored.into_iter().filter(|&finer| finer < candles) {
        finer.push(covering(&load(interval).await?, &coarse));
    }
    finer.retain(|candles| !candles.is_empty());
    let funding = match ticker.market {
        MarketKind::Um => cache.load_funding(&ticker.symbol, from_ms, to_ms).await?,
        MarketKind::Spot => Vec::new(),
    };
    let models = OfSymbol::new();
    Ok(LoadedSymbol { symbol: ticker.symbol.clone(), candles: coarse, finer, funding, models })
}

/// Those of `finer` that cover a whole candle of `coarse`, so that what is stored of other times changes nothing.
fn covering(finer: &CandleSeries, coarse: &CandleSeries) -> CandleSeries {
    let mut kept = CandleSeries::new(finer.interval());
    for i in 0..coarse.len() {
        let inside = finer.covering(coarse.open_times_ms()[i], coarse.close_time_ms(i));
        // They are in order already, so none is refused.
        inside.into_iter().flatten().for_each(|k| drop(kept.push(&finer.candle(k))));
    }
    kept
}

/// What finer candles there are of a range.
pub(crate) fn finer_within<'a>(
    finer: impl Iterator<Item = &'a CandleSeries>,
    from_ms: i64,
    to_ms: i64,
) -> Vec<Arc<CandleSeries>> {
    finer.map(|candles| Arc::new(candles.slice(from_ms, to_ms))).filter(|candles| !candles.is_empty()).collect()
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
    /// When the cache cannot be read, a symbol has no candle there at all, or a model is no longer what it was.
    pub(crate) async fn read(cached: Cached<'_>, spec: WindowSpec) -> anyhow::Result<Self> {
        let mut symbols = Vec::with_capacity(spec.symbols.len());
        for symbol in &spec.symbols {
            let span = (spec.warmup_from_ms, spec.to_ms);
            let loaded = load_symbol(&cached.candles, &Ticker::of(spec.market, symbol), spec.interval, span).await;
            symbols.push(
                loaded.with_context(|| format!("cannot load {} {symbol} {} candles", spec.market, spec.interval))?,
            );
        }
        let chosen = cached.used(&spec.models)?;
        let mut said = cached.said_of(&chosen, &spec.symbols, (spec.warmup_from_ms, spec.to_ms)).await?;
        for loaded in &mut symbols {
            loaded.models = said.remove(&loaded.symbol).unwrap_or_default();
        }
        Ok(Self { spec, symbols })
    }

    /// Close time of the newest candle that all symbols have, UTC ms; `None` where one has none.
    pub(crate) fn newest_close_ms(&self) -> Option<i64> {
        self.symbols.iter().map(|s| s.candles.last_close_time_ms()).min().flatten()
    }

    /// By symbol, how many candles there are of `[from_ms, to_ms)` and of the warm-up before it, and how many are
    /// missing.
    pub(crate) fn coverage(&self, from_ms: i64, to_ms: i64) -> Vec<SymbolCoverage> {
        let first_ms = self.spec.warmup_from_ms;
        let of = |s: &LoadedSymbol| SymbolCoverage {
            symbol: s.symbol.clone(),
            coverage: Coverage::of(&s.candles, first_ms, from_ms, to_ms),
        };
        self.symbols.iter().map(of).collect()
    }

    /// Open time of the first symbol's first candle from `from_ms` on, UTC ms.
    pub(crate) fn first_open_ms(&self, from_ms: i64) -> Option<i64> {
        self.symbols.first()?.candles.open_times_ms().iter().copied().find(|open_ms| *open_ms >= from_ms)
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
            finer: finer_within(s.finer.iter(), first_ms, to_ms),
            funding: s.funding.iter().copied().filter(|f| f.time_ms < to_ms).collect(),
            readings: Arc::new(MarketReadings {
                models: s.models.iter().map(|(series, of)| (*series, of.until(to_ms))).collect(),
                ..MarketReadings::default()
            }),
            across: Arc::default(),
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

    /// Open time of the first candle from which on every symbol has some, UTC ms; `None` where one has none.
    pub(crate) fn since_ms(&self) -> Option<i64> {
        let firsts = self.symbols.iter().map(|s| s.candles.open_times_ms().first().copied());
        firsts.collect::<Option<Vec<i64>>>()?.into_iter().max()
    }

    /// Whether every symbol has candles from `from_ms` on.
    pub(crate) fn reaches_back_to(&self, from_ms: i64) -> bool {
        self.symbols.iter().all(|s| s.candles.open_times_ms().first().is_some_and(|first| *first <= from_ms))
    }

    /// Whether the candles of `[from_ms, to_ms)` may count as evidence, and why not. Of the warm-up before them it is
    /// asked that it is there: without it indicators begin later than in the run that it is compared with.
    pub(crate) fn fit_for_evidence(&self, from_ms: i64, to_ms: i64, policy: &QualityPolicy) -> DataVerdict {
        let judged =
            self.symbols.iter().map(|s| Judged { symbol: &s.symbol, candles: &s.candles, finer: s.finer.first() });
        let mut verdict = fit_for_evidence(self.spec.market, self.spec.interval, (from_ms, to_ms), judged, policy);
        for (found, loaded) in verdict.symbols.iter_mut().zip(&self.symbols) {
            let warm_up = Coverage::of(&loaded.candles, self.spec.warmup_from_ms, from_ms, to_ms);
            let expected = warm_up.warm_up_candles + warm_up.missing_warm_up_candles;
            let missing = warm_up.missing_warm_up_candles;
            if missing as f64 <= policy.max_missing_fraction * expected as f64 {
                continue;
            }
            let detail =
                format!("{missing} of {expected} candles before the window, which warm indicators up, are missing");
            if verdict.fit {
                verdict.reason = format!("{} {} {}: {detail}", self.spec.market, found.symbol, self.spec.interval);
            }
            (verdict.fit, found.fit) = (false, false);
            found.errors += 1;
            found.findings.push(Finding {
                kind: FindingKind::Incomplete,
                severity: Severity::Error,
                from_ms: self.spec.warmup_from_ms,
                to_ms: from_ms,
                candles: missing,
                detail,
            });
        }
        verdict
    }
}
