//! Where the close stands in the range of the last candles: stochastic (George Lane) and Williams %R (Larry Williams).
//!
//! With H and L the highest high and lowest low of the last n candles, this one included:
//! - fast %K = 100 x (close - L) / (H - L); 50 (neither end) where H = L
//! - `stochastic_k(n, smooth)` = SMA(smooth) of fast %K. Defined from index n + smooth - 2.
//! - `stochastic_d(n, smooth, signal)` = SMA(signal) of that. Defined from index n + smooth + signal - 3.
//! - `williams_r(n)` = fast %K - 100. Defined from index n - 1.
//!
//! As TA-Lib's STOCH (which holds %K back until %D is defined) and WILLR; TA-Lib gives 0 where H = L.

use super::{Column, rolling, ticks::Ticks, undefined};
use candles::CandleSeries;

pub(super) fn k(candles: &CandleSeries, n: usize, smooth: usize) -> Column {
    Column::new(k_values(candles, n, smooth))
}

pub(super) fn d(candles: &CandleSeries, n: usize, smooth: usize, signal: usize) -> Column {
    let k = k_values(candles, n, smooth);
    Column::new(averages_from(&k, n + smooth - 2, signal))
}

pub(super) fn williams_r(candles: &CandleSeries, n: usize) -> Column {
    let mut out = fast_k(candles, n);
    for out in &mut out {
        *out -= 100.0;
    }
    Column::new(out)
}

fn k_values(candles: &CandleSeries, n: usize, smooth: usize) -> Vec<f64> {
    averages_from(&fast_k(candles, n), n - 1, smooth)
}

/// Means of the last `n` values, of which the first defined one is at index `warm`.
fn averages_from(values: &[f64], warm: usize, n: usize) -> Vec<f64> {
    let mut out = undefined(values.len());
    let warm = warm.min(values.len());
    // Rounding must not carry a mean of percentages outside of 0 to 100.
    rolling::mean(&values[warm..], n, |i, mean| out[warm + i] = mean.clamp(0.0, 100.0));
    out
}

fn fast_k(candles: &CandleSeries, n: usize) -> Vec<f64> {
    let Ticks { highs, lows, closes } = Ticks::of(candles);
    let mut out = undefined(candles.len());
    rolling::max(&highs, n, |i, high| out[i] = high);
    rolling::min(&lows, n, |i, low| {
        let range = out[i] - low;
        out[i] = if range > 0.0 { 100.0 * (closes[i] - low) / range } else { 50.0 };
    });
    out
}
