//! Against kand, an independent library, over several thousand candles.

use super::candles::{Flavour, indicator, random_candles, series};
use candles::{CandleSeries, Interval};
use engine::indicator::compute;
use genome::IndicatorKind as Kind;
use kand::ohlcv;

const LEN: usize = 5_000;

/// Prices are whole numbers: other libraries compare sums of decimals, whose ties are none in binary.
fn walk() -> CandleSeries {
    let mut candles = random_candles(11, LEN, Flavour::Walk, Interval::M15);
    for c in &mut candles {
        for price in [&mut c.open, &mut c.high, &mut c.low, &mut c.close] {
            *price = (*price * 100.0).round();
        }
    }
    series(&candles, Interval::M15)
}

fn assert_agrees(kind: Kind, params: &[f64], candles: &CandleSeries, theirs: &[f64], from: usize) {
    let ours = compute(&indicator(kind, params), candles);
    for (i, theirs) in theirs.iter().enumerate().skip(from) {
        let ours = ours.get(i).unwrap_or(f64::NAN);
        let close = (ours - theirs).abs() <= 1e-8 * theirs.abs().max(1.0);
        assert!(close, "{kind:?} {params:?} at {i}: {ours}, kand says {theirs}");
    }
}

#[test]
fn averages_agree() {
    let candles = walk();
    let mut theirs = vec![0.0; LEN];
    for n in [2, 13, 200] {
        ohlcv::sma::sma(candles.closes(), n, &mut theirs).unwrap();
        assert_agrees(Kind::Sma, &[n as f64], &candles, &theirs, n - 1);
        ohlcv::wma::wma(candles.closes(), n, &mut theirs).unwrap();
        assert_agrees(Kind::Wma, &[n as f64], &candles, &theirs, n - 1);
        ohlcv::ema::ema(candles.closes(), n, None, &mut theirs).unwrap();
        assert_agrees(Kind::Ema, &[n as f64], &candles, &theirs, n - 1);
    }
}

#[test]
fn oscillators_agree() {
    let candles = walk();
    let (high, low, close, volume) = (candles.highs(), candles.lows(), candles.closes(), candles.volumes());
    let [mut theirs, mut a, mut b, mut c, mut d] = std::array::from_fn(|_| vec![0.0; LEN]);
    for n in [3, 20, 100] {
        ohlcv::cci::cci(high, low, close, n, &mut theirs, &mut a, &mut b, &mut c).unwrap();
        assert_agrees(Kind::Cci, &[n as f64], &candles, &theirs, n - 1);
        ohlcv::mfi::mfi(high, low, close, volume, n, &mut theirs, &mut a, &mut b, &mut c, &mut d).unwrap();
        assert_agrees(Kind::Mfi, &[n as f64], &candles, &theirs, n);
        ohlcv::willr::willr(high, low, close, n, &mut theirs, &mut a, &mut b).unwrap();
        assert_agrees(Kind::WilliamsR, &[n as f64], &candles, &theirs, n - 1);
    }
}

#[test]
fn supertrend_agrees_from_its_first_turn_on() {
    let candles = walk();
    let [mut line, mut atr, mut upper, mut lower] = std::array::from_fn(|_| vec![0.0; LEN]);
    let mut trend = vec![0; LEN];
    ohlcv::supertrend::supertrend(
        candles.highs(),
        candles.lows(),
        candles.closes(),
        10,
        3.0,
        &mut trend,
        &mut line,
        &mut atr,
        &mut upper,
        &mut lower,
    )
    .unwrap();
    // kand always starts up; one turn down later both are in the same state.
    let turn = trend.iter().skip(10).position(|t| *t < 0).unwrap() + 10;
    assert!(turn < 500, "the first turn is at {turn}");
    assert_agrees(Kind::Supertrend, &[10.0, 3.0], &candles, &line, turn);
    let trend: Vec<f64> = trend.iter().map(|t| t.signum() as f64).collect();
    assert_agrees(Kind::SupertrendDirection, &[10.0, 3.0], &candles, &trend, turn);
}
