//! Commodity channel index (Donald Lambert, 1980).
//!
//! `cci(n)` = (t - m) / (0.015 x d), t the typical price (high + low + close) / 3, m its mean over the last n candles,
//! d the mean absolute deviation from m over them; 0 where all n are equal. Defined from index n - 1. As TA-Lib's CCI.
//!
//! Costs O(n) a candle, n <= 200: deviations from a mean that moves have no running sum, and a straight pass over so
//! short a window is faster than any tree.

use super::{Column, rolling, ticks::Ticks, undefined};
use candles::CandleSeries;

pub(super) fn cci(candles: &CandleSeries, n: usize) -> Column {
    // In ticks and times three: the index has no unit.
    let typical = Ticks::of(candles).typical_sums();
    let mut out = undefined(candles.len());
    rolling::mean(&typical, n, |i, mean| {
        let deviation = absolute_deviations(&typical[i + 1 - n..=i], mean) / n as f64;
        out[i] = if deviation > 0.0 { (typical[i] - mean) / (0.015 * deviation) } else { 0.0 };
    });
    Column::new(out)
}

/// Sum of |x - mean|, in a fixed order over eight lanes that the processor adds side by side.
fn absolute_deviations(window: &[f64], mean: f64) -> f64 {
    let mut lanes = [0.0; 8];
    let chunks = window.chunks_exact(8);
    let rest = chunks.remainder().iter().fold(0.0, |sum, x| sum + (x - mean).abs());
    for chunk in chunks {
        for (lane, x) in lanes.iter_mut().zip(chunk) {
            *lane += (x - mean).abs();
        }
    }
    lanes.iter().fold(rest, |sum, lane| sum + lane)
}
