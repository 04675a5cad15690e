//! The reference workload: trade counts exactly, returns to 1e-9, as a plain program in Python has them
//! (`tests/golden/README.md`).
//!
//! Its plain definition and the engine differ nowhere on it. Both close what is open at the last close, let no entry
//! on the last candle fill, and, with one side only, enter never at an open at which a rule has ended a position. The
//! engine's further rules (slippage, shorts, sizes, regimes) are off. Arithmetic differs in the last bits: the
//! engine keeps cash and units, the definition multiplies equity.

use crate::support::{Walk, compare, indicator, long_only, number, percent, random_walk, symbol_window, window};
use engine::{Costs, Engine, Terms, Wanted, Width};
use genome::{Comparison, IndicatorKind, Operand, Rule, Timeframe};

fn strategy(row: &csv::StringRecord) -> genome::Strategy {
    let value = |i: usize| row[i].parse::<f64>().unwrap();
    let (fast, slow) = (indicator(IndicatorKind::Ema, &[value(0)]), indicator(IndicatorKind::Ema, &[value(1)]));
    let calm =
        compare(indicator(IndicatorKind::Rsi, &[value(2)]), Comparison::Below, Operand::Constant(number(value(3))));
    let entry = Rule::And(vec![compare(fast, Comparison::CrossesAbove, Operand::Series(slow)), calm]);
    let mut strategy =
        long_only(Timeframe::M15, entry, Some(compare(fast, Comparison::CrossesBelow, Operand::Series(slow))));
    strategy.risk.stop_loss = percent(value(4));
    strategy.risk.take_profit = percent(value(5));
    strategy
}

#[test]
fn results_equal_the_reference() {
    let walk = |seed, price, step| random_walk(8_640, &Walk { seed, price, step, wild: true });
    let symbols = [
        ("BTCUSDT", walk(1, 65_000.0, 0.0012)),
        ("ETHUSDT", walk(2, 3_200.0, 0.0016)),
        ("SOLUSDT", walk(3, 150.0, 0.002)),
    ];
    let window = window(symbols.map(|(name, candles)| symbol_window(name, candles)).into());
    let reference = include_str!("../golden/reference.csv");
    let rows: Vec<_> = csv::Reader::from_reader(reference.as_bytes()).records().map(Result::unwrap).collect();
    let population: Vec<_> = rows.iter().map(strategy).collect();
    assert_eq!(population.len(), 100);
    let terms = Terms { costs: Costs { fee_fraction: 0.0004, ..Costs::default() }, ..Terms::default() };
    let wanted = Wanted { per_symbol: true, ..Wanted::default() };
    let widths = Width::all();
    let of = |width: Width| Engine::default().of_width(width).evaluate(&population, &window, &terms, wanted);
    let outcomes = of(widths[0]);
    for &width in &widths[1..] {
        assert_eq!(format!("{outcomes:?}"), format!("{:?}", of(width)), "{}", width.name());
    }
    let mut compared = 0;
    for (set, (outcome, row)) in outcomes.iter().zip(&rows).enumerate() {
        for (s, performance) in outcome.as_ref().unwrap().per_symbol.iter().enumerate() {
            let (trades, total_return): (u32, f64) = (row[6 + 2 * s].parse().unwrap(), row[7 + 2 * s].parse().unwrap());
            assert_eq!(performance.total_trades, trades, "set {set} on symbol {s}");
            let difference = performance.total_return.unwrap() - total_return;
            assert!(difference.abs() < 1e-9, "set {set} on symbol {s}: off by {difference}");
            compared += 1;
        }
    }
    assert_eq!(compared, 300);
}
