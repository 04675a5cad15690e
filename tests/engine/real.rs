//! Real candles, where they are beside the project: random strategies agree with the plain backtest on several
//! symbols, with finer candles and what gaps there are.

use crate::{
    agreement::{assert_agrees, strategy},
    support::{read_zip, shared},
};
use candles::{CandleSeries, MarketKind};
use engine::{Costs, Engine, Slippage, SymbolWindow, Terms, Wanted, Window};
use genome::{Strategy, Timeframe, random::Seed};
use std::sync::Arc;

/// Strategies tried.
const CASES: usize = 150;
/// 2024-04-10 and 2024-05-10.
const FROM_MS: i64 = 1_712_707_200_000;
const TO_MS: i64 = 1_715_299_200_000;

#[test]
fn the_engine_agrees_with_the_plain_backtest_on_real_candles() {
    let Some(folder) = shared("market/spot/15m") else { return };
    let candles = |symbol: &str| {
        let mut series = CandleSeries::new(Timeframe::M15);
        for month in ["04", "05"] {
            let path = folder.join(symbol).join(format!("{symbol}-15m-2024-{month}.zip"));
            path.exists().then(|| {
                for candle in read_zip(&path, Timeframe::M15).candles().filter(|c| c.close_time_ms < TO_MS) {
                    series.push(&candle).unwrap();
                }
            });
        }
        series
    };
    let symbols: Vec<SymbolWindow> = ["BTCUSDT", "ETHUSDT", "SOLUSDT", "ARBUSDT"]
        .into_iter()
        .map(|symbol| SymbolWindow {
            market: MarketKind::Spot,
            symbol: symbol.parse().unwrap(),
            candles: Arc::new(candles(symbol)),
            finer: None,
            funding: Arc::new([]),
        })
        .filter(|s| !s.candles.is_empty())
        .collect();
    let window = Window::new(FROM_MS, TO_MS, symbols).unwrap();
    let engine = Engine::default();
    let wanted = Wanted { ledger: true, per_symbol: true, summary_only: false };
    let rng = &mut Seed(17).stream("real", 0);
    let population: Vec<Strategy> = (0..CASES).map(|_| strategy(rng)).collect();
    let mut trades = 0;
    for slippage in [Slippage::Fixed { bps: 2.0 }, Slippage::SquareRoot { coefficient: 0.1 }] {
        let costs = Costs { slippage, ..Costs::default() };
        let terms = Terms { initial_capital: 10_000.0, costs };
        for (strategy, outcome) in population.iter().zip(engine.evaluate(&population, &window, &terms, wanted)) {
            let outcome = outcome.unwrap();
            assert_agrees(&outcome, strategy, &window, &costs);
            trades += outcome.performance.total_trades;
        }
    }
    assert!(trades > 1_000, "{trades} trades");
}
