//! Wilder's relative strength index (J. Welles Wilder, New Concepts in Technical Trading Systems, 1978).
//!
//! `rsi(n)` = 100 x gain / (gain + loss), where gain and loss are Wilder averages of rises and falls of the close:
//! seeded with the mean of the first n changes, then (average x (n - 1) + change) / n. Defined from index n.
//! As TA-Lib's RSI, but 50 (neither side stronger) where no close ever moved.

use super::{Column, undefined};

/// Wilder's average after one more value.
#[inline(always)]
pub(super) fn wilder_step(average: f64, value: f64, n: f64) -> f64 {
    (average * (n - 1.0) + value) / n
}

/// The index for average gain and loss. The bound takes off what rounding can add to 100.
#[inline(always)]
pub(super) fn strength(gain: f64, loss: f64) -> f64 {
    if gain + loss > 0.0 { (100.0 * gain / (gain + loss)).min(100.0) } else { 50.0 }
}

/// Writes the index of all `closes` and returns the average gain and loss after the last.
pub(super) fn rsi_into(closes: &[f64], n: usize, out: &mut [f64]) -> (f64, f64) {
    let (mut gain, mut loss) = (0.0, 0.0);
    if n == 0 || closes.len() <= n {
        return (gain, loss);
    }
    let period = n as f64;
    for pair in closes[..=n].windows(2) {
        let change = pair[1] - pair[0];
        gain += change.max(0.0);
        loss += (-change).max(0.0);
    }
    (gain, loss) = (gain / period, loss / period);
    out[n] = strength(gain, loss);
    for (out, pair) in out[n + 1..].iter_mut().zip(closes[n..].windows(2)) {
        let change = pair[1] - pair[0];
        gain = wilder_step(gain, change.max(0.0), period);
        loss = wilder_step(loss, (-change).max(0.0), period);
        *out = strength(gain, loss);
    }
    (gain, loss)
}

pub(super) fn rsi(closes: &[f64], n: usize) -> Column {
    let mut out = undefined(closes.len());
    rsi_into(closes, n, &mut out);
    Column::new(out)
}
