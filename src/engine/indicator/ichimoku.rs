//! Ichimoku kinko hyo (Goichi Hosoda, 1969), each line as it stands over the candle at hand: nothing is drawn from
//! the right of it.
//!
//! With mid(n) = (highest high + lowest low of the last n candles, this one included) / 2:
//! - `ichimoku_conversion(n)`, `ichimoku_base(n)` = mid(n). Defined from index n - 1.
//! - `ichimoku_span_a(c, b, d)` = (mid(c) + mid(b)) / 2 of the candle d candles ago. From max(c, b) - 1 + d.
//! - `ichimoku_span_b(n, d)` = mid(n) of the candle d candles ago. From n - 1 + d.
//! - `ichimoku_lagging(d)` = the close d candles ago, which the lagging span is drawn over. From d.

use super::{Column, middle, rolling, undefined};
use candles::CandleSeries;

pub(super) fn range_middle(candles: &CandleSeries, n: usize) -> Column {
    Column::new(range_middles(candles, n))
}

pub(super) fn span_a(candles: &CandleSeries, conversion: usize, base: usize, displacement: usize) -> Column {
    let mut out = range_middles(candles, conversion);
    for (out, base) in out.iter_mut().zip(range_middles(candles, base)) {
        *out = middle(*out, base);
    }
    Column::new(displaced(&out, displacement))
}

pub(super) fn span_b(candles: &CandleSeries, n: usize, displacement: usize) -> Column {
    Column::new(displaced(&range_middles(candles, n), displacement))
}

pub(super) fn lagging(candles: &CandleSeries, displacement: usize) -> Column {
    Column::new(displaced(candles.closes(), displacement))
}

fn range_middles(candles: &CandleSeries, n: usize) -> Vec<f64> {
    let mut out = undefined(candles.len());
    rolling::max(candles.highs(), n, |i, high| out[i] = high);
    rolling::min(candles.lows(), n, |i, low| out[i] = middle(out[i], low));
    out
}

fn displaced(values: &[f64], displacement: usize) -> Vec<f64> {
    let mut out = undefined(values.len());
    for (out, value) in out.iter_mut().skip(displacement).zip(values) {
        *out = *value;
    }
    out
}
