//! Where candles come from: refreshed where the exchange answers, cached where it does not.
//!
//! Never decides what to do with them.

use super::holds::Holds;
use super::models::{Chosen, Models};
use super::whole_market::Cached;
use anyhow::Context as _;
use candles::quality::QualityPolicy;
use candles::stored::Part;
use candles::{Interval, MarketKind, Symbol, Ticker, interval, time::DAY_MS};
use chrono::DateTime;
use genome::ModelName;
use market::download::Downloader;
use market::{CandleCache, Feed, SymbolFreshness, SymbolInfo};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use store::{FeedStatus, Store};

/// What reads candles.
#[derive(Clone)]
pub(crate) struct CandleSource {
    pub(crate) market: MarketKind,
    pub(crate) cache: CandleCache,
    pub(crate) feed: Arc<Feed>,
    /// Brings by archives what is missing in bulk.
    pub(crate) downloader: Arc<Downloader>,
    /// What is worked with, and stays meanwhile.
    pub(crate) holds: Holds,
    /// When candles are good enough to be evidence.
    pub(crate) quality: QualityPolicy,
    /// Models that look at them, and the cuts and exclusions in force.
    pub(crate) models: Models,
    /// Where it is noted how fresh they are.
    pub(crate) store: Store,
    /// Open time of the candle for which the premium index was brought last, UTC ms; `None` where the search does not look at
    /// it.
    pub(crate) premium_ms: Option<Arc<AtomicI64>>,
    /// For each model from when to when its candles were brought, UTC ms.
    pub(crate) brought: Arc<Mutex<BTreeMap<ModelName, (i64, i64)>>>,
}

/// Days of the premium index that are brought of a symbol without any: what is older comes by `sg-ai data download --with`.
const PREMIUM_DAYS: i64 = 30;

impl CandleSource {
    /// The cache, what divides its candles into instruments, and models.
    pub(crate) const fn cached(&self) -> Cached<'_> {
        &self.models
    }

    /// The exchange's time, UTC ms; where it does not answer, the newest cached candle of these symbols (of any, where none is
    /// named) stands for it.
    ///
    /// # Errors
    /// When the exchange does not answer and nothing is cached either.
    pub(crate) async fn market_now_ms(
        &self,
        market: MarketKind,
        symbols: &[Symbol],
        candles: Interval,
    ) -> anyhow::Result<i64> {
        let error = match self.feed.exchange().server_time_ms(market).await {
            Ok(now_ms) => return Ok(now_ms),
            Err(error) => error,
        };
        let all = if symbols.is_empty() { self.cache.symbols(market).await? } else { symbols.to_vec() };
        let mut newest_ms = None;
        for symbol in &all {
            newest_ms = newest_ms.max(self.cache.newest_close_ms(&Ticker::of(market, symbol), candles).await?);
        }
        newest_ms
            .with_context(|| format!("the exchange does not tell its time ({error}) and there are no cached candles"))
    }

    /// Brings the cache up to the newest closed candle of each symbol and returns the newest time that all of them
    /// have reached: the end of the candle up to which everything is known, on the interval's grid.
    ///
    /// A symbol that the exchange does not answer for counts as far as its cached candles go.
    ///
    /// # Errors
    /// When a symbol has no candle at all: there is nothing to work on.
    pub(crate) async fn refresh(
        &self,
        market: MarketKind,
        symbols: &[Symbol],
        candles: Interval,
        from_ms: i64,
    ) -> anyhow::Result<i64> {
        let report = self.bring(market, symbols, candles, from_ms).await;
        let mut newest_ms = i64::MAX;
        for row in &report {
            self.store.record_feed(&status(market, candles, row)).await?;
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

    /// Brings candles, and on futures funding and the premium index, as far as the exchange has them.
    async fn bring(
        &self,
        market: MarketKind,
        symbols: &[Symbol],
        candles: Interval,
        from_ms: i64,
    ) -> Vec<SymbolFreshness> {
        self.downloader.bring_bulk(market, symbols, candles, from_ms).await;
        let report = self.feed.refresh(market, symbols, candles, from_ms).await;
        if market == MarketKind::Um {
            for row in self.feed.refresh_funding(symbols, from_ms, false).await {
                if let Some(error) = &row.error {
                    tracing::warn!(symbol = %row.symbol, error, "no fresh funding rates; going on with cached ones");
                }
            }
            self.bring_premium(symbols, candles).await;
        }
        report
    }

    /// Brings the candles that models look at, once for each that closes, and from where they begin to learn for what begins at
    /// `from_ms`. Returns the time up to which everything is known that they predict from: `newest_ms`, or less where a candle
    /// of theirs is still to come, so that nobody decides before it what it would decide otherwise after it.
    ///
    /// # Errors
    /// When the cache cannot be read.
    pub(crate) async fn refresh_models(
        &self,
        chosen: &Chosen,
        candles: Interval,
        (from_ms, newest_ms): (i64, i64),
    ) -> anyhow::Result<i64> {
        let mut known_ms = newest_ms;
        for model in &chosen.models {
            let file = &model.file;
            let learns_ms = chosen.first_ms(file, from_ms);
            // What closes next, as far as it matters.
            let due_ms = interval::open_time_ms(file.timeframe, newest_ms);
            let brought = self.brought.lock().unwrap_or_else(PoisonError::into_inner).get(&file.name).copied();
            if brought.is_some_and(|(first_ms, reached_ms)| first_ms <= learns_ms && reached_ms >= due_ms) {
                continue;
            }
            let symbols = self.models.symbols(file).await?;
            let report = self.bring(file.market, &symbols, file.timeframe, learns_ms).await;
            let failed: Vec<&SymbolFreshness> = report.iter().filter(|row| row.error.is_some()).collect();
            if let Some(first) = failed.first() {
                let (name, error) = (file.name, first.error.as_deref());
                tracing::warn!(model = %name, symbols = failed.len(), first = %first.symbol, error, "no fresh candles of a model");
            }
            let closes = report.iter().filter_map(|row| row.newest_close_ms);
            let Some(last_ms) = closes.clone().max() else { continue };
            // One that has ceased to trade holds up nobody.
            let reached_ms = closes.filter(|close_ms| *close_ms > last_ms - DAY_MS).min().unwrap_or(last_ms) + 1;
            self.brought.lock().unwrap_or_else(PoisonError::into_inner).insert(file.name, (learns_ms, reached_ms));
            let next_ms =
                interval::next_open_time_ms(file.timeframe, interval::open_time_ms(file.timeframe, reached_ms));
            known_ms = known_ms.min(interval::open_time_ms(candles, next_ms - 1));
        }
        Ok(known_ms)
    }

    /// Brings the premium index, once for each closed candle: from where the cache ends, of a symbol without any of the last
    /// month. Nothing of it holds anybody up: what is missing is undefined to who looks at it. Metrics take the exchange's
    /// thousand requests of five minutes for two hundred symbols: they come by `sg-ai data download --with metrics`.
    async fn bring_premium(&self, symbols: &[Symbol], candles: Interval) {
        let Some(last_ms) = &self.premium_ms else { return };
        let Ok(now_ms) = self.feed.exchange().server_time_ms(MarketKind::Um).await else { return };
        let candle_ms = interval::open_time_ms(candles, now_ms);
        if last_ms.swap(candle_ms, Ordering::Relaxed) == candle_ms {
            return;
        }
        let mut failed = Vec::new();
        for symbol in symbols {
            let cached = self.cache.readings_range_ms(symbol, Part::Premium).await.ok().flatten();
            let from_ms = cached.map_or(now_ms - PREMIUM_DAYS * DAY_MS, |(_, newest_ms)| newest_ms);
            let rows = self.feed.refresh_premium(std::slice::from_ref(symbol), candles, from_ms, false).await;
            failed.extend(rows.into_iter().filter_map(|row| Some((row.symbol, row.error?))));
        }
        if let Some((symbol, error)) = failed.first() {
            tracing::warn!(symbols = failed.len(), first = %symbol, error, "no fresh premium index; going on with the cached one");
        }
    }

    /// Close time of the newest cached candle of any symbol that is paid in `quote`, UTC ms.
    ///
    /// # Errors
    /// When the cache cannot be read.
    pub(crate) async fn newest_of_market(
        cache: &CandleCache,
        market: MarketKind,
        quote: &str,
        candles: Interval,
    ) -> anyhow::Result<Option<i64>> {
        let mut newest_ms = None;
        for symbol in cache.symbols(market).await?.iter().filter(|s| is_paid_in(s, quote)) {
            newest_ms = newest_ms.max(cache.newest_close_ms(&Ticker::of(market, symbol), candles).await?);
        }
        Ok(newest_ms)
    }

    /// The same for all symbols that are paid in `quote`: those that the exchange lists, traded still or not, and those in the
    /// cache: what has ceased to be was a part of the market. Returns the time up to which the market is known, on the interval's grid, and its symbols
    /// in order.
    ///
    /// A symbol that the exchange trades but gives no candle of for a day holds up nobody. Where the exchange does not
    /// answer, the cached candles go as far as most of them do.
    ///
    /// # Errors
    /// When there is no candle at all.
    pub(crate) async fn refresh_market(
        &self,
        market: MarketKind,
        quote: &str,
        candles: Interval,
        from_ms: i64,
    ) -> anyhow::Result<(i64, Vec<Symbol>)> {
        let listed = match self.feed.exchange().exchange_info(market).await {
            Ok(info) => {
                let is_of = |s: &SymbolInfo| s.quote_asset.eq_ignore_ascii_case(quote);
                Some(info.symbols.into_iter().filter(is_of).collect::<Vec<SymbolInfo>>())
            }
            Err(error) => {
                tracing::warn!(%error, "the exchange does not say what it lists; going on with cached symbols");
                None
            }
        };
        let names = |listed: &[SymbolInfo], of: fn(&SymbolInfo) -> bool| {
            listed.iter().filter(|s| of(s)).map(|s| s.symbol.clone()).collect::<BTreeSet<Symbol>>()
        };
        let mut symbols = listed.as_deref().map(|listed| names(listed, |_| true)).unwrap_or_default();
        let traded = listed.as_deref().map(|listed| names(listed, |s| s.status == "TRADING"));
        for symbol in self.cache.symbols(market).await? {
            // Of a symbol that was cached for something else there may be no such candles.
            if is_paid_in(&symbol, quote)
                && self.cache.newest_close_ms(&Ticker::of(market, &symbol), candles).await?.is_some()
            {
                symbols.insert(symbol);
            }
        }
        let symbols: Vec<Symbol> = symbols.into_iter().collect();
        let report = self.bring(market, &symbols, candles, from_ms).await;
        let failed: Vec<&SymbolFreshness> = report.iter().filter(|row| row.error.is_some()).collect();
        if let Some(first) = failed.first() {
            let error = first.error.as_deref();
            tracing::warn!(symbols = failed.len(), first = %first.symbol, error, "no fresh candles; going on with cached ones");
        }
        for row in &report {
            // One that has ceased to trade is not late.
            if traded.as_ref().is_none_or(|traded| traded.contains(&row.symbol)) {
                self.store.record_feed(&status(market, candles, row)).await?;
            }
        }
        let known: Vec<&SymbolFreshness> = report.iter().filter(|row| row.newest_close_ms.is_some()).collect();
        let newest_ms = known.iter().filter_map(|row| row.newest_close_ms).max();
        let newest_ms = newest_ms.with_context(|| {
            format!("there are no {candles} candles of any {market} symbol that is paid in {quote} to work on")
        })?;
        let counts = |row: &&&SymbolFreshness| traded.as_ref().is_none_or(|traded| traded.contains(&row.symbol));
        let reached = known.iter().filter(counts).filter_map(|row| row.newest_close_ms);
        let to_ms = reached.filter(|close_ms| *close_ms > newest_ms - DAY_MS).min().unwrap_or(newest_ms) + 1;
        let symbols = known.iter().map(|row| row.symbol.clone()).collect();
        Ok((interval::open_time_ms(candles, to_ms), symbols))
    }
}

/// Whether a symbol's name ends in a quote asset.
pub(crate) fn is_paid_in(symbol: &Symbol, quote: &str) -> bool {
    symbol.as_str().len() > quote.len() && symbol.as_str().ends_with(quote)
}

fn status(market: MarketKind, candles: Interval, row: &SymbolFreshness) -> FeedStatus {
    FeedStatus {
        market,
        symbol: row.symbol.clone(),
        interval: candles,
        newest_close_ms: row.newest_close_ms,
        exchange_time_ms: row.exchange_time_ms,
        gaps: row.gaps.len() as u64,
        error: row.error.clone(),
        // The store sets it.
        refreshed_at: DateTime::UNIX_EPOCH,
    }
}
