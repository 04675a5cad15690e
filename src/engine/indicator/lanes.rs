//! EMA and RSI of many periods at once, a period a vector lane: a recurrence cannot use a vector along time, but
//! thirty-two of them can share one. Bit for bit what [`super::compute`] gives for each alone.

use super::{Column, ema, rsi};
use crate::engine::simd::widest;

/// Periods computed together; enough vectors in flight to hide the latency of a step.
pub(in crate::engine) const LANES: usize = 32;
/// Candles whose values are kept lane by lane before they are written out column by column.
const BLOCK: usize = 32;

type Row = [f64; LANES];

/// EMA of `closes` for at most [`LANES`] periods.
pub(in crate::engine) fn ema(closes: &[f64], periods: &[usize]) -> Vec<Column> {
    // Until the longest period has its seed, each lane runs alone.
    let start = periods.iter().copied().max().unwrap_or(0).min(closes.len());
    let mut columns: Vec<Vec<f64>> = periods.iter().map(|_| begun(start, closes.len())).collect();
    let (mut average, mut alpha) = ([0.0; LANES], [0.0; LANES]);
    for (lane, &n) in periods.iter().enumerate() {
        ema::ema_into(&closes[..start], n, &mut columns[lane]);
        alpha[lane] = ema::alpha(n);
        average[lane] = start.checked_sub(1).map_or(0.0, |last| columns[lane][last]);
    }
    widest(|| {
        run(&closes[start..], &mut columns, |close, row: &mut Row| {
            for k in 0..LANES {
                average[k] = ema::step(average[k], close, alpha[k]);
            }
            *row = average;
        });
    });
    widest(|| columns.into_iter().map(Column::new).collect())
}

/// RSI of `closes` for at most [`LANES`] periods.
pub(in crate::engine) fn rsi(closes: &[f64], periods: &[usize]) -> Vec<Column> {
    let start = (periods.iter().copied().max().unwrap_or(0) + 1).min(closes.len());
    let mut columns: Vec<Vec<f64>> = periods.iter().map(|_| begun(start, closes.len())).collect();
    let (mut gain, mut loss, mut period) = ([0.0; LANES], [0.0; LANES], [1.0; LANES]);
    for (lane, &n) in periods.iter().enumerate() {
        (gain[lane], loss[lane]) = rsi::rsi_into(&closes[..start], n, &mut columns[lane]);
        period[lane] = n as f64;
    }
    let mut previous = start.checked_sub(1).map_or(0.0, |last| closes[last]);
    widest(|| {
        run(&closes[start..], &mut columns, |close, row: &mut Row| {
            let change = close - previous;
            previous = close;
            let (rise, fall) = (change.max(0.0), (-change).max(0.0));
            for k in 0..LANES {
                gain[k] = rsi::wilder_step(gain[k], rise, period[k]);
                loss[k] = rsi::wilder_step(loss[k], fall, period[k]);
                row[k] = rsi::strength(gain[k], loss[k]);
            }
        });
    });
    widest(|| columns.into_iter().map(Column::new).collect())
}

/// A column of which the first `start` values are there, undefined as yet, and `len` will be.
fn begun(start: usize, len: usize) -> Vec<f64> {
    let mut column = Vec::with_capacity(len);
    column.resize(start, f64::NAN);
    column
}

/// Steps all lanes through `values` and appends what they give to the columns.
#[inline(always)]
fn run(values: &[f64], columns: &mut [Vec<f64>], mut step: impl FnMut(f64, &mut Row)) {
    let mut block = [[0.0; LANES]; BLOCK];
    for values in values.chunks(BLOCK) {
        for (row, &value) in block.iter_mut().zip(values) {
            step(value, row);
        }
        for (lane, column) in columns.iter_mut().enumerate() {
            column.extend(block[..values.len()].iter().map(|row| row[lane]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_equal_single_columns_to_the_bit() {
        let mut price = 100.0_f64;
        let closes: Vec<f64> = (0..400_u32)
            .map(|k| {
                price *= 1.0 + 0.01 * f64::from((k.wrapping_mul(2_654_435_761) >> 16) & 0xFF) / 255.0 - 0.005;
                price
            })
            .collect();
        let bits = |c: &Column| c.values().iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        for n in [0, 1, 2, 31, 64, 400] {
            let closes = &closes[..n];
            let periods: Vec<usize> = (0..LANES).map(|k| 2 + 7 * k).collect();
            for (column, &period) in ema(closes, &periods).iter().zip(&periods) {
                assert_eq!(bits(column), bits(&ema::ema(closes, period)), "ema({period}) of {n}");
            }
            for (column, &period) in rsi(closes, &periods[..9]).iter().zip(&periods) {
                assert_eq!(bits(column), bits(&rsi::rsi(closes, period)), "rsi({period}) of {n}");
            }
        }
    }
}
