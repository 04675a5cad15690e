//! The live tail against a simulated exchange: closed candles only, refusals, gaps.

use crate::support::symbol;
use candles::tail::TailState;
use candles::{Interval, MarketKind, Ticker};
use genome::random::Seed;
use market::cache::CandleCache;
use market::simulator::{ExchangeConfig, FaultKind, FaultSpec, SimulatedExchange};
use market::stream::{Follow, Tail, read_event};
use market::{Binance, Feed, MarketConfig};
use simulated::MarketSpec;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const M15: Interval = Interval::M15;
const QUARTER_MS: i64 = 900_000;
const START_MS: i64 = 1_732_060_800_000;
const NOW_MS: i64 = START_MS + 2 * 86_400_000 + 450_000;

#[test]
fn an_event_is_read_as_documented() {
    let text = r#"{"stream":"bnbbtc@kline_1m","data":{"e":"kline","E":1672515782136,"s":"BNBBTC","k":{"t":1672515780000,
        "T":1672515839999,"s":"BNBBTC","i":"1m","f":100,"L":200,"o":"0.0010","c":"0.0020","h":"0.0025","l":"0.0015",
        "v":"1000","n":100,"x":true,"q":"1.0000","V":"500","Q":"0.500","B":"123456"}}}"#;
    let told = read_event(text).unwrap();
    assert_eq!((told.symbol.as_str(), told.interval, told.is_closed), ("BNBBTC", Interval::M1, true));
    assert_eq!((told.candle.open_time_ms, told.candle.close_time_ms), (1_672_515_780_000, 1_672_515_839_999));
    assert_eq!((told.candle.high, told.candle.trade_count, told.candle.taker_buy_volume), (0.0025, 100, 500.0));
    for other in
        ["", "{}", r#"{"result":null,"id":1}"#, &text.replace("\"0.0010\"", "\"x\""), &text.replace("1m", "7m")]
    {
        assert_eq!(read_event(other), None, "{other}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closed_candles_arrive_refusals_are_survived_and_gaps_are_filled() {
    let mut market = MarketSpec::noise(Seed(11), START_MS, &[symbol("BTCUSDT"), symbol("ETHUSDT")]);
    market.steps_per_candle = 2;
    let config = ExchangeConfig { speed: 0.0, ..ExchangeConfig::new(market, NOW_MS) };
    let exchange = SimulatedExchange::start(config).await.unwrap();
    let refused =
        FaultSpec { endpoint: Some("stream".into()), times: Some(2), ..FaultSpec::always(FaultKind::Status503) };
    exchange.add_fault(refused);
    let config = MarketConfig { source: exchange.base_url().try_into().unwrap(), ..MarketConfig::default() };
    let dir = tempfile::tempdir().unwrap();
    let cache = CandleCache::open(dir.path()).unwrap();
    let feed = Arc::new(Feed::new(Arc::new(Binance::new(&config).unwrap()), cache.clone(), &config));
    let symbols = vec![symbol("BTCUSDT"), symbol("ETHUSDT")];
    feed.refresh(MarketKind::Spot, &symbols, M15, START_MS).await;

    let follow = Follow { market: MarketKind::Spot, symbols: symbols.clone(), interval: M15 };
    let tail = Tail::new(&config, follow, feed);
    let state = tail.state();
    assert_eq!(state.now(), TailState::default());
    let stop = CancellationToken::new();
    let until = stop.clone();
    // Closed while nobody listens: REST fills them.
    exchange.clock().advance(3 * QUARTER_MS);
    let following = tokio::spawn(async move { tail.run(&until).await });
    let caught_up = async |what: &str| {
        let end_ms = candles::interval::open_time_ms(M15, exchange.clock().now_ms());
        let complete = async {
            loop {
                let mut newest = i64::MAX;
                for symbol in &symbols {
                    newest = newest
                        .min(cache.newest_close_ms(&Ticker::of(MarketKind::Spot, symbol), M15).await.unwrap().unwrap());
                }
                if newest + 1 == end_ms {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), complete).await.expect(what);
        for symbol in &symbols {
            let stored = cache.load_stored(&Ticker::of(MarketKind::Spot, symbol), M15, 0, i64::MAX).await.unwrap();
            let truth = exchange.market().candles(symbol, M15, START_MS, end_ms).unwrap();
            assert_eq!(stored, truth, "{what}: exactly the closed candles");
        }
    };
    caught_up("the gap before the connection").await;
    let asked = exchange.requests();
    for _ in 0..3 {
        exchange.clock().advance(QUARTER_MS);
        caught_up("a candle that closed").await;
    }
    assert_eq!(exchange.requests(), asked, "told by the stream, not asked for");
    // A candle is stored first and told of then.
    let counted = async {
        while state.now().candles < 6 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), counted).await.expect("six candles told");
    let told = state.now();
    let end_ms = candles::interval::open_time_ms(M15, exchange.clock().now_ms());
    assert_eq!((told.connected, told.reconnects, told.candles), (true, 2, 6), "{told:?}");
    assert_eq!((told.last_candle_ms, told.error), (Some(end_ms - 1), None));
    stop.cancel();
    tokio::time::timeout(Duration::from_secs(30), following).await.unwrap().unwrap();
}
