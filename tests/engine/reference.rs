//! The reference workload: trade counts exactly, returns to 1e-9.
//!
//! Its plain definition and the engine differ nowhere on it. Both close what is open at the last close, let no entry
//! on the last candle fill, and, with one side only, enter never at an open at which a rule has ended a position. The
//! engine's further rules (slippage, shorts, sizes, regimes) are off. Arithmetic differs in the last bits: the
//! engine keeps cash and units, the definition multiplies equity.

use crate::support::{compare, indicator, long_only, number, percent, read_zip, shared, symbol_window, window};
use engine::{Engine, Terms, Wanted};
use genome::{Comparison, IndicatorKind, Operand, Rule, Timeframe};
use std::{collections::BTreeMap, path::Path};

pub(crate) fn strategy(row: &csv::StringRecord) -> genome::Strategy {
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

fn rows(path: &Path) -> Vec<csv::StringRecord> {
    csv::Reader::from_path(path).unwrap().records().map(Result::unwrap).collect()
}

#[test]
fn results_equal_the_reference() {
    let Some(bench) = shared("bench") else { return };
    let names = ["BTCUSDT", "ETHUSDT", "SOLUSDT"];
    let symbols = names.map(|s| symbol_window(s, read_zip(&bench.join(format!("{s}-15m-small.zip")), Timeframe::M15)));
    let window = window(symbols.into());
    let population: Vec<_> = rows(&bench.join("params.csv")).iter().take(100).map(strategy).collect();
    let outcomes = Engine::default().evaluate(
        &population,
        &window,
        &Terms::default(),
        Wanted { per_symbol: true, ..Wanted::default() },
    );
    let expected: BTreeMap<(usize, String), (u32, f64)> = rows(&bench.join("reference_small_100.csv"))
        .iter()
        .map(|r| ((r[0].parse().unwrap(), r[1].to_owned()), (r[2].parse().unwrap(), r[3].parse().unwrap())))
        .collect();
    assert_eq!(expected.len(), 300);
    for (set, outcome) in outcomes.iter().enumerate() {
        for (symbol, performance) in names.iter().zip(&outcome.as_ref().unwrap().per_symbol) {
            let (trades, total_return) = expected[&(set, (*symbol).to_owned())];
            assert_eq!(performance.total_trades, trades, "set {set} on {symbol}");
            let difference = performance.total_return.unwrap() - total_return;
            assert!(difference.abs() < 1e-9, "set {set} on {symbol}: off by {difference}");
        }
    }
}
