//! What points are evaluated on, carried as bytes: the same results to the bit on the other side, and nothing but them read.

// Helpers outside test functions may fail a test.
#![allow(clippy::unwrap_used)]

use candles::{FundingRate, InstrumentTable, Interval, MarketKind, MarketReadings, Readings, Symbol, time::DAY_MS};
use engine::{Engine, SymbolWindow, Terms, Window};
use genome::{AnyStrategy, Series, random::Seed};
use optimize::{Ground, MarketGround, SymbolsGround, unpacked};
use portfolio::{Market, Panel, PortfolioTerms, Ticker};
use simulated::{MarketSpec, SimulatedMarket};
use std::{collections::BTreeMap, sync::Arc};

const START_MS: i64 = 1_704_067_200_000;
const DAYS: i64 = 30;

fn symbols() -> Vec<Symbol> {
    ["BTCUSDT", "ETHUSDT", "SOLUSDT"].map(|name| name.parse().unwrap()).to_vec()
}

fn market() -> SimulatedMarket {
    SimulatedMarket::new(MarketSpec::noise(Seed(4), START_MS, &symbols())).unwrap()
}

fn readings() -> MarketReadings {
    let series: Series = "model(trend)".parse().unwrap();
    let day = |n: i64| START_MS + n * DAY_MS;
    let models = Readings::new((0..DAYS).map(|n| (day(n), 0.3 + (n % 5) as f64 / 10.0))).unwrap();
    MarketReadings { models: BTreeMap::from([(series.source.model().unwrap(), models)]), ..MarketReadings::default() }
}

fn of_symbols() -> SymbolsGround {
    let (market, to_ms) = (market(), START_MS + DAYS * DAY_MS);
    let window = |symbol: Symbol| SymbolWindow {
        market: MarketKind::Um,
        candles: Arc::new(market.candles(&symbol, Interval::M30, START_MS, to_ms).unwrap()),
        finer: vec![Arc::new(market.candles(&symbol, Interval::M15, to_ms - 9 * DAY_MS, to_ms).unwrap())],
        funding: vec![FundingRate { time_ms: START_MS + 9 * DAY_MS, rate: 0.001 }].into(),
        readings: Arc::new(readings()),
        across: Arc::default(),
        symbol,
    };
    let window = Window::new(START_MS + 5 * DAY_MS, to_ms, symbols().into_iter().map(window).collect()).unwrap();
    SymbolsGround { engine: Arc::default(), window, terms: Terms::default() }
}

fn of_market() -> MarketGround {
    let (market, to_ms) = (market(), START_MS + DAYS * DAY_MS);
    let candles = |symbol: Symbol| Ticker {
        candles: market.candles(&symbol, Interval::H4, START_MS, to_ms).unwrap(),
        symbol,
        funding: Vec::new(),
        readings: readings(),
    };
    let all = symbols().into_iter().map(candles).collect();
    let panel = Panel::new(MarketKind::Spot, Interval::H4, all, &InstrumentTable::default()).unwrap();
    let market = Market::new(Arc::new(panel), START_MS + 8 * DAY_MS, to_ms, PortfolioTerms::default());
    MarketGround { market: market.unwrap() }
}

fn same_elsewhere(ground: &dyn Ground, strategies: &[&str]) {
    let strategies: Vec<AnyStrategy> = strategies.iter().map(|text| text.parse().unwrap()).collect();
    let here = ground.measure(&strategies);
    assert!(here.iter().all(|one| one.as_ref().is_ok_and(|one| one.figures.total_trades > 0)), "{here:?}");
    let bytes = ground.packed().unwrap();
    let there = unpacked(&bytes, Arc::new(Engine::default())).unwrap();
    assert_eq!(there.measure(&strategies), here);
    assert!(there.packed().unwrap() == bytes, "what is read is what was packed");
    for wrong in [&bytes[..bytes.len() - 1], &[&bytes[..], &[0]].concat(), &[&[9], &bytes[1..]].concat(), b"", b"no"] {
        assert!(unpacked(wrong, Arc::default()).is_err());
    }
}

#[test]
fn points_are_worth_the_same_elsewhere() {
    let rules = [
        "30m; long when ema(5) crosses above ema(30) exit when ema(5) crosses below ema(30); stop 1%",
        "30m; long when model(trend) > 0.5 exit when model(trend) < 0.45; stop 2%",
    ];
    same_elsewhere(&of_symbols(), &rules);
    let rankings = [
        "4h; universe top 3 by quote_volume(3d); score close / delay(close, 6) - 1; rebalance 1d; weights linear; gross 1",
        "4h; universe top 3 by quote_volume(3d); score model(trend) * ts_rank(close, 9); rebalance 1d; weights linear; gross 1",
    ];
    same_elsewhere(&of_market(), &rankings);
}

#[test]
fn values_across_the_market_are_not_packed() {
    let ground = of_symbols();
    let mut all: Vec<SymbolWindow> = ground.window.symbols().to_vec();
    let series: Series = "cs_rank(roc(42))".parse().unwrap();
    all[0].across = Arc::new(BTreeMap::from([(series, Readings::default())]));
    let window = Window::new(ground.window.from_ms(), ground.window.to_ms(), all).unwrap();
    let error = SymbolsGround { window, ..ground }.packed().unwrap_err().to_string();
    assert!(error.contains("BTCUSDT") && error.contains("across"), "{error}");
}
