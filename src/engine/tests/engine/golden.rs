//! One whole strategy against trades worked out by `tests/golden/cross_with_trend.py`, which shares no code with the
//! engine.

use crate::support::{Walk, candle, compare, indicator, number, percent, price, random_walk, symbol_window, window};
use candles::CandleSeries;
use engine::{Costs, Engine, Slippage, Terms, Wanted};
use genome::{
    Comparison::{Above, Below, CrossesAbove, CrossesBelow},
    Distance, Filters, IndicatorKind, Operand, PriceField, RiskPlan, Rule, Series, SideRules, Size, Strategy,
    Timeframe,
};

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
        universe: None,
    }
}

fn rows(text: &str) -> Vec<csv::StringRecord> {
    csv::Reader::from_reader(text.as_bytes()).records().map(Result::unwrap).collect()
}

fn check(candles: CandleSeries, trades: &str) {
    let costs = Costs { fee_fraction: 0.0004, slippage: Slippage::Fixed { bps: 5.0 }, ..Costs::default() };
    let terms = Terms { initial_capital: 10_000.0, costs, ..Terms::default() };
    let w = window(vec![symbol_window("BTCUSDT", candles)]);
    let wanted = Wanted { ledger: true, ..Wanted::default() };
    let outcome = Engine::default().evaluate(&[strategy()], &w, &terms, wanted).remove(0).unwrap();
    let ours = outcome.ledger.unwrap().trades;
    let expected = rows(trades);
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
    for row in rows(include_str!("../golden/small_candles.csv")) {
        let v = |i: usize| row[i].parse::<f64>().unwrap();
        series.push(&candle(Timeframe::M15, row[0].parse().unwrap(), [v(1), v(2), v(3), v(4)], 1.0)).unwrap();
    }
    // The walk that is made here is the one that was made there.
    assert_eq!(series, random_walk(1_200, &Walk { seed: 7, price: 100.0, step: 0.003, wild: false }));
    check(series, include_str!("../golden/small_trades.csv"));
}

/// 91 days at the price of Bitcoin, with leaps between candles; every reason to leave but a liquidation.
#[test]
fn a_quarter_of_a_year() {
    let walk = Walk { seed: 16, price: 65_000.0, step: 0.002, wild: true };
    check(random_walk(8_736, &walk), include_str!("../golden/quarter_trades.csv"));
}
