//! Every width of vectors that the processor has gives the same bits as the plain backtest, where values are hard to tell
//! apart, too: markets that stand still, that move by less than ranks tell, on ticks, and by leaps.

use crate::{
    agreement::{assert_agrees, strategy},
    support::{START_MS, candle, compare, indicator, long_only, number, percent, price, symbol_window, window},
};
use candles::{CandleSeries, interval};
use engine::{Engine, Terms, Wanted, Width};
use genome::{Comparison, IndicatorKind, Operand, PriceField, Rule, Series, Strategy, Timeframe, random::Seed};
use rand::{Rng, RngExt};

/// How far a market of some kind moves in a candle, as a fraction.
fn step(kind: usize, k: usize, rng: &mut impl Rng) -> f64 {
    let random = rng.random::<f64>() - 0.5;
    match kind {
        // Stands still, for long or always.
        0 => 0.0,
        1 if k % 400 < 300 => 0.0,
        // Less than seven digits.
        2 => 2e-8 * random,
        3 => 3e-7 * random,
        // Leaps now and then.
        4 if k.is_multiple_of(97) => 3.0 * random,
        _ => 0.01 * random,
    }
}

fn market(kind: usize, n: usize, rng: &mut impl Rng) -> CandleSeries {
    let mut series = CandleSeries::new(Timeframe::M15);
    let (mut price, mut time_ms) = (100.0_f64, START_MS);
    for k in 0..n {
        let mut path = [price; 4];
        for i in 1..4 {
            path[i] = (path[i - 1] * (1.0 + step(kind, k, rng)).max(0.1)).clamp(1e-3, 1e7);
            path[i] = if kind == 5 { (path[i] * 10.0).round() / 10.0 } else { path[i] };
        }
        let high = path.iter().copied().fold(0.0, f64::max);
        let low = path.iter().copied().fold(f64::INFINITY, f64::min);
        series.push(&candle(Timeframe::M15, time_ms, [path[0], high, low, path[3]], 1.0)).unwrap();
        (price, time_ms) = (path[3], interval::next_open_time_ms(Timeframe::M15, time_ms));
    }
    series
}

fn average(rng: &mut impl Rng) -> Series {
    // Neighbours now and then, and equal ones.
    indicator(IndicatorKind::Ema, &[f64::from(rng.random_range(2..60_u32))])
}

/// A test of averages, prices and constants that may be equal.
fn test(rng: &mut impl Rng) -> Rule {
    let comparisons =
        [Comparison::Above, Comparison::Below, Comparison::CrossesAbove, Comparison::CrossesBelow, Comparison::Above];
    let comparison = comparisons[rng.random_range(0..comparisons.len())];
    let strength = indicator(IndicatorKind::Rsi, &[f64::from(rng.random_range(2..40_u32))]);
    let constants = [50.0, 0.0, 100.0, -3.0, 47.3];
    let constant = Operand::Constant(number(constants[rng.random_range(0..constants.len())]));
    let macd = indicator(IndicatorKind::Macd, &[12.0, 26.0]);
    let sma = indicator(IndicatorKind::Sma, &[f64::from(rng.random_range(2..50_u32))]);
    let rule = match rng.random_range(0..8_u32) {
        0..=2 => compare(average(rng), comparison, Operand::Series(average(rng))),
        3 => compare(price(PriceField::Close), comparison, Operand::Series(average(rng))),
        4 => compare(average(rng), comparison, Operand::Series(sma)),
        5 => compare(average(rng), comparison, Operand::Constant(number(100.0))),
        6 => compare(macd, comparison, Operand::Series(average(rng))),
        _ => compare(strength, comparison, constant),
    };
    if rng.random::<f64>() < 0.3 { Rule::Not(Box::new(rule)) } else { rule }
}

fn random(rng: &mut impl Rng) -> Strategy {
    if rng.random::<f64>() < 0.2 {
        return strategy(rng);
    }
    let entry = match rng.random_range(0..3_u32) {
        0 => test(rng),
        1 => Rule::And(vec![test(rng), test(rng)]),
        _ => Rule::Or(vec![test(rng), test(rng)]),
    };
    let exit = Some(test(rng));
    let mut strategy = long_only(Timeframe::M15, entry, exit);
    strategy.risk.stop_loss = percent(rng.random_range(0.1..3.0));
    strategy.risk.take_profit = percent(rng.random_range(0.1..3.0));
    strategy
}

#[test]
fn every_width_agrees_with_the_plain_backtest() {
    let wanted = Wanted { ledger: true, per_symbol: true, summary_only: false };
    let mut trades = 0;
    for (case, n) in [130, 1_100, 2_300, 64, 1_024, 1_500, 700].into_iter().cycle().take(28).enumerate() {
        let rng = &mut Seed(31).stream("widths", case as u64);
        let symbols = ["BTCUSDT", "ETHUSDT"].map(|name| symbol_window(name, market(case % 7, n, rng)));
        let window = window(symbols.into());
        let population: Vec<Strategy> = (0..24).map(|_| random(rng)).collect();
        let terms = Terms::default();
        let of = |width: Width| Engine::new(1).of_width(width).evaluate(&population, &window, &terms, wanted);
        let widths = Width::all();
        let outcomes = of(widths[0]);
        for (strategy, outcome) in population.iter().zip(&outcomes) {
            let outcome = outcome.as_ref().unwrap();
            assert_agrees(outcome, strategy, &window, &terms);
            trades += outcome.performance.total_trades;
        }
        for &width in &widths[1..] {
            assert_eq!(format!("{outcomes:?}"), format!("{:?}", of(width)), "{}, case {case}", width.name());
        }
    }
    assert!(trades > 1_000, "too few trades to mean anything: {trades}");
}
