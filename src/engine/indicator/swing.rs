//! Swing levels: the last high or low that the market turned away from (fractals, Bill Williams, 1995, of any width).
//!
//! Candle j is a swing high when its high is above the highs of the s candles before it and of the s candles after
//! it, swing lows alike. That is known at the close of candle j + s, and not before.
//! - `swing_resistance(s)` = high of the last swing high known
//! - `swing_support(s)` = low of the last swing low known
//!
//! Undefined until the first swing is known, at index 2 s at the earliest. A level stands until a newer one is known,
//! even when the price goes past it, so that a rule can see it being crossed.

use super::{Column, rolling, undefined};
use candles::CandleSeries;

pub(super) fn resistance(candles: &CandleSeries, strength: usize) -> Column {
    let mut highest = undefined(candles.len());
    rolling::max(candles.highs(), strength, |i, high| highest[i] = high);
    levels(candles.highs(), &highest, strength, |high, neighbours| high > neighbours)
}

pub(super) fn support(candles: &CandleSeries, strength: usize) -> Column {
    let mut lowest = undefined(candles.len());
    rolling::min(candles.lows(), strength, |i, low| lowest[i] = low);
    levels(candles.lows(), &lowest, strength, |low, neighbours| low < neighbours)
}

/// `extremes[i]` is that of the `strength` values up to i.
fn levels(values: &[f64], extremes: &[f64], strength: usize, stands_out: impl Fn(f64, f64) -> bool) -> Column {
    let mut out = undefined(values.len());
    let mut level = f64::NAN;
    for (i, out) in out.iter_mut().enumerate().skip(2 * strength) {
        let swing = i - strength;
        if stands_out(values[swing], extremes[swing - 1]) && stands_out(values[swing], extremes[i]) {
            level = values[swing];
        }
        *out = level;
    }
    Column::new(out)
}
