//! Moving averages of closes over a window: simple, weighted, Hull.
//!
//! - `sma(n)` = mean of the last n closes. Defined from index n - 1. As TA-Lib's SMA.
//! - `wma(n)` = sum of k x close, k = 1 for the oldest of the last n closes to n for the newest, / (n (n + 1) / 2).
//!   Defined from index n - 1. As TA-Lib's WMA.
//! - `hma(n)` = WMA over floor(sqrt(n)) of 2 WMA(floor(n / 2)) - WMA(n) (Alan Hull, 2005).
//!   Defined from index n + floor(sqrt(n)) - 2.
//!
//! Over equal closes all three are that close to the bit.

use super::{Column, rolling, undefined};

pub(super) fn sma(closes: &[f64], n: usize) -> Column {
    let mut out = undefined(closes.len());
    rolling::mean(closes, n, |i, mean| out[i] = mean);
    Column::new(out)
}

pub(super) fn wma(closes: &[f64], n: usize) -> Column {
    let mut out = undefined(closes.len());
    wma_into(closes, n, &mut out);
    Column::new(out)
}

pub(super) fn hma(closes: &[f64], n: usize) -> Column {
    let mut fast = undefined(closes.len());
    wma_into(closes, n / 2, &mut fast);
    let mut slow = undefined(closes.len());
    wma_into(closes, n, &mut slow);
    for (slow, fast) in slow.iter_mut().zip(&fast) {
        *slow = fast + (fast - *slow);
    }
    let warm = (n - 1).min(closes.len());
    let mut out = fast;
    out.fill(f64::NAN);
    wma_into(&slow[warm..], n.isqrt(), &mut out[warm..]);
    Column::new(out)
}

fn wma_into(values: &[f64], n: usize, out: &mut [f64]) {
    let divisor = (n * (n + 1) / 2) as f64;
    rolling::weighted(values, n, |i, w| out[i] = w.reference + w.weighted / divisor);
}
