//! The whole market from the cache: every symbol's candles up to a time, with what was published beside them.
//!
//! Fetches nothing, chooses no universe, and never looks beyond the time asked for.

use super::models::Models;
use candles::readings::MarketReadings;
use candles::{CandleSeries, FundingRate, Interval, MarketKind, Symbol, Ticker, interval};
use futures::{StreamExt, TryStreamExt, stream};
use market::CandleCache;
use market::cache::CacheError;
use market::version::SymbolData;

/// Where candles are, what divides them into instruments, and the models that look at them.
pub(crate) type Cached<'a> = &'a Models;

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

/// Which symbols of the cached market.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Which {
    /// All of them, with all their candles.
    All,
    /// Those that there were when something began, and those that were listed since: what comes into the cache later, of
    /// other symbols or from before the first candle, changes nothing.
    Named {
        /// Those that there were, in order of their names.
        symbols: Vec<Symbol>,
        /// Others count that end in this quote asset and whose first candle opens at this time or later, UTC ms.
        listed_since: Option<(i64, String)>,
        /// The first candle looked at, UTC ms.
        from_ms: i64,
    },
}

impl Which {
    /// The first candle looked at, UTC ms.
    pub(crate) const fn first_ms(&self) -> i64 {
        match self {
            Self::All => i64::MIN,
            Self::Named { from_ms, .. } => *from_ms,
        }
    }

    fn names(&self, symbol: &Symbol) -> bool {
        match self {
            Self::All => true,
            Self::Named { symbols, .. } => symbols.binary_search(symbol).is_ok(),
        }
    }

    /// From when on a symbol that is not named may have its first candle, UTC ms; `None`: it does not count.
    fn listed_since(&self, symbol: &Symbol) -> Option<i64> {
        let Self::Named { listed_since: Some((since_ms, quote)), .. } = self else { return None };
        symbol.as_str().ends_with(quote.as_str()).then_some(*since_ms)
    }
}

/// Loads the symbols of a market that have a candle of `interval`, stored or built from stored finer ones, that closed by
/// `to_ms`; in order of their names. All cached candles from the first that `which` looks at warm up. `with_readings` says
/// whether what the perpetual of each symbol published is wanted, on spot too: the ticker is the same.
///
/// # Errors
/// When the cache cannot be read.
pub async fn load_market(
    cache: &CandleCache,
    market: MarketKind,
    interval: Interval,
    to_ms: i64,
    which: &Which,
    with_readings: bool,
) -> Result<Vec<MarketSymbol>, CacheError> {
    // Each decodes on a thread of its own.
    let at_once = std::thread::available_parallelism().map_or(1, usize::from) * 2;
    let (from_ms, end_ms) = (which.first_ms(), interval::open_time_ms(interval, to_ms));
    let each = cache.symbols(market).await?.into_iter().map(|symbol| async move {
        let ticker = Ticker::of(market, &symbol);
        if !which.names(&symbol) {
            let Some(since_ms) = which.listed_since(&symbol) else { return Ok(None) };
            // One with candles from before is no new listing, whenever it came into the cache.
            if !cache.load(&ticker, interval, i64::MIN, since_ms).await?.is_empty() {
                return Ok(None);
            }
        }
        let candles = cache.load(&ticker, interval, from_ms, end_ms).await?;
        if candles.is_empty() {
            return Ok(None);
        }
        let funding = match market {
            MarketKind::Um => cache.load_funding(&symbol, from_ms, to_ms.saturating_add(1)).await?,
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
