//! Candles like real ones, of a simulated market: random strategies agree with the plain backtest on several symbols of
//! far different prices, one of which has an outage and one of which is listed late.

use crate::{
    agreement::{assert_agrees, strategy},
    support::START_MS,
};
use candles::{CandleSeries, MarketKind, time::DAY_MS};
use engine::{Costs, Engine, Slippage, SymbolWindow, Terms, Wanted, Window};
use genome::{Strategy, Timeframe, random::Seed};
use simulated::{MarketSpec, SimulatedMarket};
use std::sync::Arc;

/// Strategies tried.
const CASES: usize = 150;
/// 2024-04-10 and 2024-05-10.
const FROM_MS: i64 = 1_712_707_200_000;
const TO_MS: i64 = 1_715_299_200_000;
/// A day without candles.
const OUTAGE_MS: i64 = FROM_MS + 7 * DAY_MS;
/// The first candle of the youngest symbol.
const LISTED_MS: i64 = FROM_MS + 10 * DAY_MS;

#[test]
fn the_engine_agrees_with_the_plain_backtest_on_a_simulated_market() {
    let names = ["BTCUSDT", "ETHUSDT", "SOLUSDT", "ARBUSDT"].map(|name| name.parse().unwrap());
    let market = SimulatedMarket::new(MarketSpec::noise(Seed(17), START_MS, &names)).unwrap();
    let candles = |symbol| {
        let whole = market.candles(symbol, Timeframe::M15, START_MS, TO_MS).unwrap();
        let kept = whole.candles().filter(|c| match symbol.as_str() {
            "SOLUSDT" => !(OUTAGE_MS..OUTAGE_MS + DAY_MS).contains(&c.open_time_ms),
            "ARBUSDT" => c.open_time_ms >= LISTED_MS,
            _ => true,
        });
        CandleSeries::from_candles(Timeframe::M15, &kept.collect::<Vec<_>>()).unwrap()
    };
    let symbols: Vec<SymbolWindow> = names
        .iter()
        .map(|symbol| SymbolWindow {
            market: MarketKind::Spot,
            symbol: symbol.clone(),
            candles: Arc::new(candles(symbol)),
            finer: Vec::new(),
            funding: Arc::new([]),
            readings: Arc::default(),
            across: Arc::default(),
        })
        .collect();
    let window = Window::new(FROM_MS, TO_MS, symbols).unwrap();
    let engine = Engine::default();
    let wanted = Wanted { ledger: true, per_symbol: true, summary_only: false };
    let rng = &mut Seed(17).stream("real", 0);
    let population: Vec<Strategy> = (0..CASES).map(|_| strategy(rng)).collect();
    let mut trades = 0;
    for slippage in [Slippage::Fixed { bps: 2.0 }, Slippage::SquareRoot { coefficient: 0.1 }] {
        let costs = Costs { slippage, ..Costs::default() };
        let terms = Terms { initial_capital: 10_000.0, costs, ..Terms::default() };
        for (strategy, outcome) in population.iter().zip(engine.evaluate(&population, &window, &terms, wanted)) {
            let outcome = outcome.unwrap();
            assert_agrees(&outcome, strategy, &window, &terms);
            trades += outcome.performance.total_trades;
        }
    }
    assert!(trades > 1_000, "{trades} trades");
}
