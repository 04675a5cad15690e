//! Bollinger bands (John Bollinger, Bollinger on Bollinger Bands, 2001) and the deviation they are made of.
//!
//! With m = SMA(n) of closes and s = their population standard deviation over the same n closes:
//! - `standard_deviation(n)` = s
//! - `bollinger_upper(n, k)` = m + k s, `bollinger_middle(n, k)` = m, `bollinger_lower(n, k)` = m - k s
//! - `bollinger_width(n, k)` = (upper - lower) / m, a fraction
//! - `bollinger_percent_b(n, k)` = (close - lower) / (upper - lower); 0.5 (in the middle) where the bands coincide
//!
//! All are defined from index n - 1. As TA-Lib's BBANDS and STDDEV.

use super::{Column, rolling, undefined};

/// Which line.
#[derive(Clone, Copy, Debug)]
pub(super) enum Line {
    Upper,
    Lower,
    Width,
    PercentB,
}

pub(super) fn bollinger(closes: &[f64], n: usize, multiple: f64, line: Line) -> Column {
    let mut out = deviations(closes, n);
    rolling::mean(closes, n, |i, middle| {
        let half = multiple * out[i];
        out[i] = match line {
            Line::Upper => middle + half,
            Line::Lower => middle - half,
            Line::Width => 2.0 * half / middle,
            Line::PercentB if half > 0.0 => (closes[i] - (middle - half)) / (2.0 * half),
            Line::PercentB => 0.5,
        };
    });
    Column::new(out)
}

pub(super) fn standard_deviation(closes: &[f64], n: usize) -> Column {
    Column::new(deviations(closes, n))
}

/// Population standard deviation of the last `n` values, NaN before index n - 1.
pub(super) fn deviations(values: &[f64], n: usize) -> Vec<f64> {
    let mut out = undefined(values.len());
    let divisor = n as f64;
    rolling::squared_deviations(values, n, |i, squares| out[i] = (squares / divisor).sqrt());
    out
}
