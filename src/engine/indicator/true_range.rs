//! Wilder's average true range (New Concepts in Technical Trading Systems, 1978).
//!
//! True range of a candle = max(high, previous close) - min(low, previous close); the first candle has none.
//! - `atr(n)`: seeded at index n with the mean of the first n true ranges, then (atr x (n - 1) + range) / n.
//! - `natr(n)` = 100 x atr / close, in percent.
//!
//! Both are defined from index n. As TA-Lib's ATR and NATR.

use super::{Column, rsi::wilder_step, undefined};
use candles::CandleSeries;

/// True range of candle `i`, which must not be the first.
#[inline]
pub(super) fn true_range(candles: &CandleSeries, i: usize) -> f64 {
    let previous = candles.closes()[i - 1];
    candles.highs()[i].max(previous) - candles.lows()[i].min(previous)
}

/// ATR values, NaN before index `n`.
pub(super) fn atr_values(candles: &CandleSeries, n: usize) -> Vec<f64> {
    let mut out = undefined(candles.len());
    if n == 0 || candles.len() <= n {
        return out;
    }
    let period = n as f64;
    let mut average = (1..=n).fold(0.0, |sum, i| sum + true_range(candles, i)) / period;
    out[n] = average;
    for (i, out) in out.iter_mut().enumerate().skip(n + 1) {
        average = wilder_step(average, true_range(candles, i), period);
        *out = average;
    }
    out
}

pub(super) fn atr(candles: &CandleSeries, n: usize) -> Column {
    Column::new(atr_values(candles, n))
}

pub(super) fn natr(candles: &CandleSeries, n: usize) -> Column {
    let mut out = atr_values(candles, n);
    for (out, close) in out.iter_mut().zip(candles.closes()) {
        *out = 100.0 * *out / close;
    }
    Column::new(out)
}
