//! The whole cached market as a panel, for strategies that rank it. Fetches nothing, decides nothing.

use super::whole_market::{MarketSymbol, Which, load_market};
use anyhow::Context as _;
use candles::{InstrumentTable, Interval, MarketKind, Symbol};
use engine::{SymbolWindow, Window};
use genome::{Strategy, Universe};
use market::CandleCache;
use market::version::market_sha256;
use portfolio::{Panel, PanelError, Ticker, across_readings};
use std::sync::Arc;

/// Which candles a panel is made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MarketSpan {
    /// Which market.
    pub(crate) market: MarketKind,
    /// Interval of the cached candles.
    pub(crate) interval: Interval,
    /// End: candles that close by then, UTC ms. There is no begin: all warm up.
    pub(crate) to_ms: i64,
}

/// The whole cached market, and the name of what it was made of.
pub(crate) struct WholeMarket {
    /// Its instruments at the timeframe asked for.
    pub(crate) panel: Panel,
    /// Names all that a run over the panel can look at, the table included: [`market_sha256`].
    pub(crate) data_version: String,
}

/// All cached symbols at a timeframe, cut by the table.
///
/// # Errors
/// When the cache cannot be read or has nothing of that.
pub(crate) async fn load_panel(
    cache: &CandleCache,
    span: MarketSpan,
    timeframe: Interval,
    table: InstrumentTable,
) -> anyhow::Result<WholeMarket> {
    load_panel_of(cache, span, &Which::All, timeframe, table).await
}

/// The same of the symbols named.
///
/// # Errors
/// When the cache cannot be read or has nothing of that.
pub(crate) async fn load_panel_of(
    cache: &CandleCache,
    span: MarketSpan,
    which: &Which,
    timeframe: Interval,
    table: InstrumentTable,
) -> anyhow::Result<WholeMarket> {
    let interval = span.interval.min(timeframe);
    let symbols = load_market(cache, span.market, interval, span.to_ms, which, true).await.context("candle cache")?;
    if let Which::Named { symbols: named, .. } = which {
        let is_there = |name: &&Symbol| symbols.binary_search_by(|s| s.symbol.cmp(name)).is_ok();
        for name in named.iter().filter(|name| !is_there(name)) {
            // One that ended before the first candle looked at, or was listed after the last, is missing nowhere.
            let any = cache.newest_close_ms(&candles::Ticker::of(span.market, name), interval).await?;
            anyhow::ensure!(
                any.is_some(),
                "the cache in {} lacks {interval} candles of {} {name}",
                cache.dir().display(),
                span.market
            );
        }
    }
    let made = tokio::task::spawn_blocking(move || {
        let data_version =
            market_sha256(span.market, &symbols.iter().map(MarketSymbol::data).collect::<Vec<_>>(), &table);
        let ticker =
            |s: MarketSymbol| Ticker { symbol: s.symbol, candles: s.candles, funding: s.funding, readings: s.readings };
        let panel = Panel::new(span.market, timeframe, symbols.into_iter().map(ticker).collect(), &table)?;
        Ok::<_, PanelError>(WholeMarket { panel, data_version })
    });
    let made = made.await.context("the market could not be put together")?;
    made.with_context(|| format!("the cache in {}, {} market", cache.dir().display(), span.market))
}

/// The window with the values of the strategy's series that compare a symbol with the members of its universe.
///
/// # Errors
/// When a series cannot be computed on the panel's timeframe, or the parts do not make a window.
pub(crate) fn beside_the_market(
    window: &Window,
    panel: &Panel,
    universe: Universe,
    strategy: &Strategy,
) -> anyhow::Result<Window> {
    let mut across = across_readings(panel, universe, strategy.across_series())?;
    let beside =
        |s: &SymbolWindow| SymbolWindow { across: Arc::new(across.remove(&s.symbol).unwrap_or_default()), ..s.clone() };
    let symbols = window.symbols().iter().map(beside).collect();
    Ok(Window::new(window.from_ms(), window.to_ms(), symbols)?)
}

/// The window with what the futures market published of its symbols, where a rule of the strategy looks at that.
///
/// # Errors
/// When the cache cannot be read.
pub(crate) async fn beside_the_readings(
    cache: &CandleCache,
    window: Window,
    strategy: &Strategy,
    to_ms: i64,
) -> anyhow::Result<Window> {
    if !strategy.looks_beside_its_candles() {
        return Ok(window);
    }
    let mut symbols = Vec::with_capacity(window.symbols().len());
    for s in window.symbols() {
        let readings = cache.load_market_readings(&s.symbol, window.interval(), to_ms).await.context("candle cache")?;
        symbols.push(SymbolWindow { readings: Arc::new(readings), ..s.clone() });
    }
    Ok(Window::new(window.from_ms(), window.to_ms(), symbols)?)
}
