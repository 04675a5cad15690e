//! Springs and upthrusts (after Richard Wyckoff, 1931): a break of the range that fails at once, on volume.
//!
//! The range of a candle reaches from the lowest low to the highest high of the n candles before it.
//! - `wyckoff_spring(n)` = 1 where the low is below the range, the close back above the range's low, and the volume
//!   above the mean of those n candles; else 0.
//! - `wyckoff_upthrust(n)` = 1 where the high is above the range, the close back below the range's high, and the
//!   volume above the mean of those n candles; else 0.
//!
//! Both are defined from index n. One candle decides, so they are known at its close.

use super::{Column, rolling, ticks, undefined};
use candles::CandleSeries;

pub(super) fn spring(candles: &CandleSeries, n: usize) -> Column {
    let (lows, closes) = (candles.lows(), candles.closes());
    let mut out = after_mean_volume(candles, n);
    rolling::min(lows, n, |i, floor| {
        if let (Some(out), Some(&low)) = (out.get_mut(i + 1), lows.get(i + 1)) {
            *out = flag(low < floor && closes[i + 1] > floor && ticks::ticks(candles.volumes()[i + 1]) > *out);
        }
    });
    Column::new(out)
}

pub(super) fn upthrust(candles: &CandleSeries, n: usize) -> Column {
    let (highs, closes) = (candles.highs(), candles.closes());
    let mut out = after_mean_volume(candles, n);
    rolling::max(highs, n, |i, ceiling| {
        if let (Some(out), Some(&high)) = (out.get_mut(i + 1), highs.get(i + 1)) {
            *out = flag(high > ceiling && closes[i + 1] < ceiling && ticks::ticks(candles.volumes()[i + 1]) > *out);
        }
    });
    Column::new(out)
}

/// Mean volume of the `n` candles before each, in 1e-8.
fn after_mean_volume(candles: &CandleSeries, n: usize) -> Vec<f64> {
    let mut out = undefined(candles.len());
    rolling::mean(&ticks::all(candles.volumes()), n, |i, mean| {
        if let Some(out) = out.get_mut(i + 1) {
            *out = mean;
        }
    });
    out
}

fn flag(holds: bool) -> f64 {
    f64::from(u8::from(holds))
}
