//! Wilder's average true range (New Concepts in Technical Trading Systems, 1978).
//!
//! True range of a candle = max(high, previous close) - min(low, previous close); the first candle has none.
//! - `atr(n)`: seeded at index n with the mean of the first n true ranges, then (atr x (n - 1) + range) / n.
//! - `natr(n)` = 100 x atr / close, in percent.
//!
//! Both are defined from index n. As TA-Lib's ATR and NATR.

use super::{
    Column,
    rsi::wilder_step,
    ticks::{PER_UNIT, Ticks},
    undefined,
};
use candles::CandleSeries;

/// ATR values in ticks, NaN before index `n`.
pub(super) fn atr_ticks(ticks: &Ticks, n: usize) -> Vec<f64> {
    let mut out = undefined(ticks.len());
    if n == 0 || ticks.len() <= n {
        return out;
    }
    let period = n as f64;
    let mut average = (1..=n).fold(0.0, |sum, i| sum + ticks.true_range(i)) / period;
    out[n] = average;
    for (i, out) in out.iter_mut().enumerate().skip(n + 1) {
        average = wilder_step(average, ticks.true_range(i), period);
        *out = average;
    }
    out
}

/// ATR values, NaN before index `n`.
pub(super) fn atr_values(candles: &CandleSeries, n: usize) -> Vec<f64> {
    let mut out = atr_ticks(&Ticks::of(candles), n);
    out.iter_mut().for_each(|value| *value /= PER_UNIT);
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
