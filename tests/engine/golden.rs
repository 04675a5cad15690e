//! One whole strategy against trades worked out by `tests/golden/cross_with_trend.py`, which shares no code with
//! the engine.

use crate::support::{candle, compare, indicator, number, percent, price, read_zip, shared, symbol_window, window};
use candles::CandleSeries;
use engine::{Costs, Engine, Slippage, Terms, Wanted};
use genome::{
    Comparison::{Above, Below, CrossesAbove, CrossesBelow},
    Distance, Filters, IndicatorKind, Operand, PriceField, RiskPlan, Rule, Series, SideRules, Size, Strategy,
    Timeframe,
};
use std::path::PathBuf;

fn strategy() -> Strategy {
    let ema = |n: f64| indicator(IndicatorKind::Ema, &[n]);
    let trend = Series { timeframe: Some(Timeframe::H1), ..ema(20.0) };
    let side = |cross, close, exit, limit| SideRules {
        entry: Rule::And(vec![
            compare(ema(12.0), cross, Operand::Series(ema(26.0))),
            compare(price(PriceField::Close), close, Operand::Series(trend)),
        ]),
        exit: Some(compare(indicator(IndicatorKind::Rsi, &[14.0]), exit, Operand::Constant(number(limit)))),
    };
    Strategy {
        timeframe: Timeframe::M15,
        long: Some(side(CrossesAbove, Above, Above, 70.0)),
        short: Some(side(CrossesBelow, Below, Below, 30.0)),
        risk: RiskPlan {
            size: Size::Fraction(number(0.9)),
            stop_loss: percent(1.2),
            take_profit: Some(Distance::Atr { multiple: number(3.0), period: 14 }),
            break_even: percent(1.0),
            time_exit_bars: Some(48),
            ..RiskPlan::default()
        },
        filters: Filters::default(),
    }
}

fn golden(name: &str) -> Vec<csv::StringRecord> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    csv::Reader::from_path(path).unwrap().records().map(Result::unwrap).collect()
}

fn check(candles: CandleSeries, trades: &str) {
    let costs = Costs { slippage: Slippage::Fixed { bps: 5.0 }, ..Costs::default() };
    let terms = Terms { initial_capital: 10_000.0, costs };
    let w = window(vec![symbol_window("BTCUSDT", candles)]);
    let wanted = Wanted { ledger: true, ..Wanted::default() };
    let outcome = Engine::default().evaluate(&[strategy()], &w, &terms, wanted).remove(0).unwrap();
    let ours = outcome.ledger.unwrap().trades;
    let expected = golden(trades);
    assert_eq!(ours.len(), expected.len());
    for (k, (t, row)) in ours.iter().zip(&expected).enumerate() {
        let word = |value: serde_json::Value| value.as_str().unwrap().to_owned();
        assert_eq!(word(serde_json::to_value(t.side).unwrap()), row[0], "trade {k}");
        assert_eq!([t.entry_time_ms.to_string(), t.exit_time_ms.to_string()], [&row[1], &row[3]], "trade {k}");
        assert_eq!(word(serde_json::to_value(t.exit_reason).unwrap()), row[7], "trade {k}");
        for (value, column) in [(t.entry_price, 2), (t.exit_price, 4), (t.quantity, 5), (t.profit, 6)] {
            let expected: f64 = row[column].parse().unwrap();
            let tolerance = 1e-9 * expected.abs().max(1.0);
            assert!((value - expected).abs() <= tolerance, "trade {k}, column {column}: {value} is not {expected}");
        }
    }
}

#[test]
fn small_candle_set() {
    let mut series = CandleSeries::new(Timeframe::M15);
    for row in golden("small_candles.csv") {
        let v = |i: usize| row[i].parse::<f64>().unwrap();
        series.push(&candle(Timeframe::M15, row[0].parse().unwrap(), [v(1), v(2), v(3), v(4)], 1.0)).unwrap();
    }
    check(series, "small_trades.csv");
}

#[test]
fn a_quarter_of_bitcoin() {
    let Some(folder) = shared("market/spot/15m/BTCUSDT") else { return };
    let mut series = CandleSeries::new(Timeframe::M15);
    for month in ["04", "05", "06"] {
        for candle in read_zip(&folder.join(format!("BTCUSDT-15m-2024-{month}.zip")), Timeframe::M15).candles() {
            series.push(&candle).unwrap();
        }
    }
    check(series, "btc_trades.csv");
}
