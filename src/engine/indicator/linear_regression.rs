//! Slope of the least-squares line through the last closes.
//!
//! `linreg_slope(n)` = sum of (k - mean k) x close / sum of (k - mean k)^2, k = 1 to n from the oldest to the newest of
//! the last n closes: price units a candle. Defined from index n - 1. As TA-Lib's LINEARREG_SLOPE.

use super::{Column, rolling, undefined};

pub(super) fn slope(closes: &[f64], n: usize) -> Column {
    let mut out = undefined(closes.len());
    let count = n as f64;
    let mean_k = (count + 1.0) / 2.0;
    let squares = count * (count * count - 1.0) / 12.0;
    rolling::weighted(closes, n, |i, w| out[i] = (w.weighted - mean_k * w.sum) / squares);
    Column::new(out)
}
