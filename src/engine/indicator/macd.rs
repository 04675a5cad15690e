//! Moving average convergence and divergence (Gerald Appel, 1979).
//!
//! - `macd(fast, slow)` = EMA(fast) - EMA(slow) of closes. Both are seeded at index slow - 1: the fast one with the
//!   mean of the `fast` closes up to there, as TA-Lib does, so that they start at one candle. Defined from slow - 1
//!   (TA-Lib holds the line back until its signal is defined).
//! - `macd_signal(fast, slow, signal)` = EMA(signal) of the line, seeded with the mean of its first `signal` values.
//!   Defined from slow + signal - 2.
//! - `macd_histogram(fast, slow, signal)` = line - signal. Defined from slow + signal - 2.

use super::{Column, ema, undefined};

pub(super) fn line(closes: &[f64], fast: usize, slow: usize) -> Column {
    let mut out = undefined(closes.len());
    line_into(closes, fast, slow, &mut out);
    Column::new(out)
}

pub(super) fn signal(closes: &[f64], fast: usize, slow: usize, signal: usize) -> Column {
    Column::new(line_and_signal(closes, fast, slow, signal).1)
}

pub(super) fn histogram(closes: &[f64], fast: usize, slow: usize, signal: usize) -> Column {
    let (mut line, signal) = line_and_signal(closes, fast, slow, signal);
    for (line, signal) in line.iter_mut().zip(&signal) {
        *line -= signal;
    }
    Column::new(line)
}

fn line_and_signal(closes: &[f64], fast: usize, slow: usize, signal: usize) -> (Vec<f64>, Vec<f64>) {
    let mut line = undefined(closes.len());
    line_into(closes, fast, slow, &mut line);
    let mut out = undefined(closes.len());
    let warm = (slow - 1).min(closes.len());
    ema::ema_into(&line[warm..], signal, &mut out[warm..]);
    (line, out)
}

/// Needs fast < slow, which an indicator's parameters always are.
fn line_into(closes: &[f64], fast: usize, slow: usize, out: &mut [f64]) {
    if closes.len() < slow {
        return;
    }
    let mut quick = ema::seed(&closes[slow - fast..slow]);
    let mut calm = ema::seed(&closes[..slow]);
    let (quick_alpha, calm_alpha) = (ema::alpha(fast), ema::alpha(slow));
    out[slow - 1] = quick - calm;
    for (out, &close) in out[slow..].iter_mut().zip(&closes[slow..]) {
        quick = ema::step(quick, close, quick_alpha);
        calm = ema::step(calm, close, calm_alpha);
        *out = quick - calm;
    }
}
