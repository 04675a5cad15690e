//! Listings, delistings and an edge of the cross-section over HTTP, as the real exchange would show them.

use crate::support::symbol;
use candles::time::DAY_MS;
use candles::{Candle, Interval, MarketKind, Symbol, Ticker};
use clock::ManualClock;
use genome::random::Seed;
use market::simulator::{ExchangeConfig, InProcessExchange, SimulatedExchange};
use market::{Binance, Exchange, ExchangeError, MarketConfig};
use simulated::MarketSpec;
use std::sync::Arc;

/// 2024-01-01; the clock starts 60 days later.
const START_MS: i64 = 1_704_067_200_000;
const NOW_MS: i64 = START_MS + 60 * DAY_MS;
const HOUR_MS: i64 = 3_600_000;

/// Six coins that reverse, from the start but for two: `C02USDT` is listed two days and three hours after now, `C03USDT` is
/// delisted a day and five hours before now, `C04USDT` a day after.
fn spec() -> MarketSpec {
    let mut spec = MarketSpec::coins(Seed(9), START_MS, 6, 100).unwrap();
    for coin in &mut spec.symbols {
        (coin.listed_ms, coin.delisted_ms, coin.fades_ms) = (None, None, None);
    }
    spec.symbols[1].listed_ms = Some(NOW_MS + 2 * DAY_MS + 3 * HOUR_MS);
    spec.symbols[2].delisted_ms = Some(NOW_MS - DAY_MS - 5 * HOUR_MS);
    spec.symbols[3].delisted_ms = Some(NOW_MS + DAY_MS);
    spec.edges = vec!["rank_reversal:all:4".parse().unwrap()];
    spec
}

struct Served {
    exchange: SimulatedExchange,
    client: Binance,
}

impl Served {
    async fn start() -> Self {
        // Fails only when a provider is installed already, by another test.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let config = ExchangeConfig { speed: 0.0, ..ExchangeConfig::new(spec(), NOW_MS) };
        let exchange = SimulatedExchange::start_at(config, Arc::new(ManualClock::at(0))).await.unwrap();
        let source = exchange.base_url().try_into().unwrap();
        let client = Binance::new(&MarketConfig { source, ..MarketConfig::default() }).unwrap();
        Self { exchange, client }
    }

    /// Names and statuses of what is listed.
    async fn statuses(&self, market: MarketKind) -> Vec<String> {
        let info = self.client.exchange_info(market).await.unwrap();
        info.symbols.iter().map(|s| format!("{} {}", s.symbol, s.status)).collect()
    }

    async fn klines(&self, name: &str, from_ms: i64) -> Result<Vec<Candle>, ExchangeError> {
        let ticker = Ticker::of(MarketKind::Spot, &symbol(name));
        self.client.klines(&ticker, Interval::H4, from_ms, i64::MAX, 1_000).await
    }
}

#[tokio::test]
async fn listings_and_delistings_are_seen_where_the_exchange_shows_them() {
    let e = Served::start().await;
    let before = ["C01USDT TRADING", "C03USDT BREAK", "C04USDT TRADING", "C05USDT TRADING", "C06USDT TRADING"];
    assert_eq!(e.statuses(MarketKind::Spot).await, before);
    assert_eq!(e.statuses(MarketKind::Um).await, before.map(|s| s.replace("BREAK", "SETTLING")));
    // What is not listed yet has no name; what is delisted keeps its candles and gets no more.
    let unknown = e.klines("C02USDT", START_MS).await.unwrap_err();
    assert!(matches!(unknown, ExchangeError::UnknownSymbol { .. }), "{unknown}");
    let old = e.klines("C03USDT", START_MS).await.unwrap();
    let end_ms = NOW_MS - DAY_MS - 5 * HOUR_MS;
    let last = old.last().unwrap();
    assert!(last.open_time_ms < end_ms && end_ms <= last.close_time_ms + 1, "{last:?}");
    let newest = Ticker::of(MarketKind::Spot, &symbol("C03USDT"));
    assert_eq!(e.client.klines(&newest, Interval::H4, NOW_MS - DAY_MS, i64::MAX, 10).await.unwrap(), []);
    let paid = e.client.funding_rates(&symbol("C03USDT"), NOW_MS - 3 * DAY_MS, NOW_MS).await.unwrap();
    assert!(!paid.is_empty() && paid.iter().all(|f| f.time_ms < end_ms), "{paid:?}");
    let volumes = |all: Vec<(Result<Symbol, String>, f64)>| -> Vec<String> {
        let mut names: Vec<String> = all.into_iter().filter_map(|(name, _)| Some(name.ok()?.to_string())).collect();
        names.sort();
        names
    };
    let traded = volumes(e.client.quote_volumes(MarketKind::Spot).await.unwrap());
    assert_eq!(traded, ["C01USDT", "C04USDT", "C05USDT", "C06USDT"]);

    e.exchange.clock().advance(3 * DAY_MS);
    let after = ["C01USDT TRADING", "C02USDT TRADING", "C03USDT BREAK", "C04USDT BREAK"];
    assert_eq!(e.statuses(MarketKind::Spot).await[..4], after);
    let listed_ms = NOW_MS + 2 * DAY_MS + 3 * HOUR_MS;
    let info = e.client.exchange_info(MarketKind::Um).await.unwrap();
    assert_eq!(info.symbol(&symbol("C02USDT")).unwrap().listed_ms, Some(listed_ms));
    // Its first candle of four hours has one hour of it.
    let new = e.klines("C02USDT", START_MS).await.unwrap();
    assert_eq!((new[0].open_time_ms, new.len()), (listed_ms - 3 * HOUR_MS, 6), "{new:?}");
    assert_eq!(e.klines("C04USDT", START_MS).await.unwrap().last().unwrap().close_time_ms + 1, NOW_MS + DAY_MS);
}

#[tokio::test]
async fn candles_with_an_edge_among_symbols_are_those_of_the_market() {
    let e = Served::start().await;
    let market = Arc::clone(e.exchange.market());
    let here = InProcessExchange::new(Arc::clone(&market), || NOW_MS);
    for (number, spec) in market.spec().symbols.iter().enumerate().filter(|(number, _)| *number != 1) {
        let served = e.klines(spec.symbol.as_str(), START_MS).await.unwrap();
        let series = market.candles(&spec.symbol, Interval::H4, START_MS, NOW_MS).unwrap();
        let closed: Vec<Candle> = served.into_iter().filter(|c| c.open_time_ms < NOW_MS).collect();
        assert!(closed == series.candles().collect::<Vec<_>>(), "{number}");
        let ticker = Ticker::of(MarketKind::Spot, &spec.symbol);
        let same = here.klines(&ticker, Interval::H4, START_MS, NOW_MS - 1, 1_000).await.unwrap();
        assert!(closed == same, "{number}");
    }
    let of = |info: market::ExchangeInfo| -> Vec<String> {
        info.symbols.into_iter().map(|s| format!("{} {} {:?}", s.symbol, s.status, s.tick_size)).collect()
    };
    let served = of(e.client.exchange_info(MarketKind::Um).await.unwrap());
    assert_eq!(served, of(here.exchange_info(MarketKind::Um).await.unwrap()));
}
