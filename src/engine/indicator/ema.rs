//! Exponential moving average of closes.
//!
//! `ema(n)`: seeded at index n - 1 with the mean of the first n closes; then e + 2 / (n + 1) x (close - e).
//! Defined from index n - 1. As TA-Lib's EMA.

use super::{Column, undefined};

/// Weight of the newest value in an average of period `n`.
#[inline]
pub(super) fn alpha(n: usize) -> f64 {
    2.0 / (n + 1) as f64
}

/// The average after one more value.
#[inline(always)]
pub(super) fn step(average: f64, value: f64, alpha: f64) -> f64 {
    average + alpha * (value - average)
}

/// The average's first value: the plain mean, added up from the oldest value on.
#[inline]
pub(super) fn seed(first: &[f64]) -> f64 {
    first.iter().fold(0.0, |sum, x| sum + x) / first.len() as f64
}

/// The average of all `values`, which start at their first defined one.
pub(super) fn ema_into(values: &[f64], n: usize, out: &mut [f64]) {
    if n == 0 || values.len() < n {
        return;
    }
    let alpha = alpha(n);
    let mut average = seed(&values[..n]);
    out[n - 1] = average;
    for (out, &value) in out[n..].iter_mut().zip(&values[n..]) {
        average = step(average, value, alpha);
        *out = average;
    }
}

pub(super) fn ema(closes: &[f64], n: usize) -> Column {
    let mut out = undefined(closes.len());
    ema_into(closes, n, &mut out);
    Column::new(out)
}
