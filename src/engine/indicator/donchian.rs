//! Donchian channel (Richard Donchian) of the candles before this one, so that a candle can break out of it.
//!
//! - `donchian_upper(n)` = highest high of the n candles before this one
//! - `donchian_lower(n)` = lowest low of the n candles before this one
//! - `donchian_middle(n)` = (upper + lower) / 2
//!
//! Defined from index n. TA-Lib's MAX and MIN, one candle later.

use super::{Column, middle, rolling, undefined};
use candles::CandleSeries;

pub(super) fn upper(candles: &CandleSeries, n: usize) -> Column {
    Column::new(highest(before_last(candles.highs()), n, candles.len()))
}

pub(super) fn lower(candles: &CandleSeries, n: usize) -> Column {
    Column::new(lowest(before_last(candles.lows()), n, candles.len()))
}

pub(super) fn channel_middle(candles: &CandleSeries, n: usize) -> Column {
    let mut out = highest(before_last(candles.highs()), n, candles.len());
    let lower = lowest(before_last(candles.lows()), n, candles.len());
    for (out, lower) in out.iter_mut().zip(&lower) {
        *out = middle(*out, *lower);
    }
    Column::new(out)
}

/// The last candle is in no candle's past.
fn before_last(values: &[f64]) -> &[f64] {
    &values[..values.len().saturating_sub(1)]
}

fn highest(values: &[f64], n: usize, len: usize) -> Vec<f64> {
    let mut out = undefined(len);
    rolling::max(values, n, |i, high| out[i + 1] = high);
    out
}

fn lowest(values: &[f64], n: usize, len: usize) -> Vec<f64> {
    let mut out = undefined(len);
    rolling::min(values, n, |i, low| out[i + 1] = low);
    out
}
