//! The whole market from the cache: every symbol's candles up to a time, with what was published beside them.
//!
//! Fetches nothing, chooses no universe, and never looks beyond the time asked for.

use candles::readings::MarketReadings;
use candles::{CandleSeries, FundingRate, Interval, MarketKind, Symbol, Ticker, interval};
use futures::{StreamExt, TryStreamExt, stream};
use market::CandleCache;
use market::cache::CacheError;
use market::version::SymbolData;

/// What the cache holds of one symbol.
#[derive(Clone, Debug)]
pub struct MarketSymbol {
    /// Which symbol.
    pub symbol: Symbol,
    /// All its candles that have closed by the time asked for; at least one.
    pub candles: CandleSeries,
    /// Funding payments up to that time, itself included, in time order; none on spot.
    pub funding: Vec<FundingRate>,
    /// What its perpetual published, as far as it was known by that time; empty where nobody asked for it.
    pub readings: MarketReadings,
}

impl MarketSymbol {
    /// What of it can be looked at, for the name of the data.
    pub(crate) fn data(&self) -> SymbolData<'_> {
        let Self { symbol, candles, funding, readings } = self;
        SymbolData { symbol, candles, funding, readings }
    }
}

/// Loads all symbols of a market that have a candle of `interval`, stored or built from stored finer ones, that closed by
/// `to_ms`; in order of their names. There is no first time: all cached candles warm up. `with_readings` says whether
/// what the perpetual of each symbol published is wanted, on spot too: the ticker is the same.
///
/// # Errors
/// When the cache cannot be read.
pub async fn load_market(
    cache: &CandleCache,
    market: MarketKind,
    interval: Interval,
    to_ms: i64,
    with_readings: bool,
) -> Result<Vec<MarketSymbol>, CacheError> {
    // Each decodes on a thread of its own.
    let at_once = std::thread::available_parallelism().map_or(1, usize::from) * 2;
    let end_ms = interval::open_time_ms(interval, to_ms);
    let each = cache.symbols(market).await?.into_iter().map(|symbol| async move {
        let candles = cache.load(&Ticker::of(market, &symbol), interval, i64::MIN, end_ms).await?;
        if candles.is_empty() {
            return Ok(None);
        }
        let funding = match market {
            MarketKind::Um => cache.load_funding(&symbol, i64::MIN, to_ms.saturating_add(1)).await?,
            MarketKind::Spot => Vec::new(),
        };
        let readings = match with_readings {
            true => cache.load_market_readings(&symbol, interval, to_ms).await?,
            false => MarketReadings::default(),
        };
        Ok(Some(MarketSymbol { symbol, candles, funding, readings }))
    });
    stream::iter(each.collect::<Vec<_>>())
        .buffered(at_once)
        .try_filter_map(|found| async move { Ok(found) })
        .try_collect()
        .await
}
