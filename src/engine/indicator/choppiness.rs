//! Choppiness index (E. W. Dreiss): how much of its movement a market spends without getting anywhere.
//!
//! `choppiness(n)` = 100 x log10(sum of the last n true ranges / (highest high - lowest low of the last n candles))
//! / log10(n), kept within 0 (a straight line) to 100. Undefined where no candle of the n has a range. Defined from
//! index n.

use super::{Column, rolling, ticks::Ticks, undefined};
use candles::CandleSeries;

pub(super) fn choppiness(candles: &CandleSeries, n: usize) -> Column {
    Column::new(choppiness_values(candles, n))
}

/// Choppiness values, NaN before index `n`.
pub(super) fn choppiness_values(candles: &CandleSeries, n: usize) -> Vec<f64> {
    let ticks = Ticks::of(candles);
    let mut out = undefined(candles.len());
    rolling::max(&ticks.highs, n, |i, high| out[i] = high);
    rolling::min(&ticks.lows, n, |i, low| out[i] -= low);
    // The first candle has no true range, so its window has no value.
    if let Some(first) = out.get_mut(n - 1) {
        *first = f64::NAN;
    }
    let scale = (n as f64).log10();
    let ranges = candles.len().saturating_sub(1);
    rolling::fold(
        ranges,
        n,
        |i| ticks.true_range(i + 1),
        |a, b| a + b,
        |i, walked| {
            let reached = out[i + 1];
            out[i + 1] =
                if reached > 0.0 { (100.0 * (walked / reached).log10() / scale).clamp(0.0, 100.0) } else { f64::NAN };
        },
    );
    out
}
