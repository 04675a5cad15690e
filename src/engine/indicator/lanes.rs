//! EMA and RSI of many periods at once, a period a vector lane: a recurrence cannot use a vector along time, but
//! thirty-two of them can share one. Bit for bit what [`super::compute`] gives for each alone.
//!
//! They go through the candles a stretch at a time, so that no column need ever be in memory as a whole.

use super::{ema, rsi};
use crate::simd::{Wide, spread, widest};

/// Periods computed together; enough vectors in flight to hide the latency of a step.
pub(crate) const LANES: usize = 32;
/// Candles whose values are kept lane by lane before they are written out column by column.
const BLOCK: usize = 32;

type Row = [f64; LANES];

/// At most [`LANES`] averages of one kind on their way through the closes.
#[derive(Debug)]
pub(crate) struct Stream {
    periods: Vec<usize>,
    /// Candles seen.
    seen: usize,
    state: State,
}

// A handful of them live at a time, for as long as a population is looked at.
#[allow(clippy::large_enum_variant)]
#[derive(Debug)]
enum State {
    /// While an average has no seed yet it holds the sum of the values so far.
    Ema { average: Row, alpha: Row },
    /// Averages of rises and falls, before their seeds the sums.
    Rsi { gain: Row, loss: Row, period: Row },
}

impl Stream {
    /// EMA of at most [`LANES`] periods, all at least 1.
    pub(crate) fn ema(periods: &[usize]) -> Self {
        let mut alpha = [0.0; LANES];
        for (alpha, &n) in alpha.iter_mut().zip(periods) {
            *alpha = ema::alpha(n);
        }
        Self { periods: periods.to_vec(), seen: 0, state: State::Ema { average: [0.0; LANES], alpha } }
    }

    /// RSI of at most [`LANES`] periods, all at least 1.
    pub(crate) fn rsi(periods: &[usize]) -> Self {
        let mut period = [1.0; LANES];
        for (period, &n) in period.iter_mut().zip(periods) {
            *period = n as f64;
        }
        let state = State::Rsi { gain: [0.0; LANES], loss: [0.0; LANES], period };
        Self { periods: periods.to_vec(), seen: 0, state }
    }

    /// Number of lanes.
    pub(crate) fn len(&self) -> usize {
        self.periods.len()
    }

    /// The candle from which on the values of a lane are defined; `None` where only looking at them tells.
    pub(crate) fn defined_from(&self, lane: usize) -> Option<usize> {
        match &self.state {
            // A sum that overflowed stays so.
            State::Ema { average, .. } => average[lane].is_finite().then(|| self.periods[lane] - 1),
            State::Rsi { .. } => Some(self.periods[lane]),
        }
    }

    /// Goes on through `closes` (all of them) up to candle `until`, exclusive. Values of lane k at the candles gone
    /// through are written to `out` from `k * stride` on, NaN where undefined.
    pub(crate) fn advance(&mut self, closes: &[f64], until: usize, out: &mut [f64], stride: usize) {
        let first = self.seen;
        let longest = self.periods.iter().copied().max().unwrap_or(0);
        // Until the longest period has its seed, lane by lane and candle by candle.
        let warm_until = until.min(first.max(longest + 1));
        for i in first..warm_until {
            for k in 0..self.periods.len() {
                out[k * stride + i - first] = self.warm(closes, i, k);
            }
        }
        let rest = &closes[warm_until..until];
        let out_from = warm_until - first;
        let to = Columns { out, from: out_from, lanes: self.periods.len(), stride };
        match &mut self.state {
            State::Ema { average, alpha } => widest(EmaRun { values: rest, average, alpha, to }),
            State::Rsi { gain, loss, period } => {
                let previous = if warm_until > 0 { closes[warm_until - 1] } else { 0.0 };
                widest(RsiRun { values: rest, previous, gain, loss, period, to });
            }
        }
        self.seen = until;
        for k in (0..self.periods.len()).filter(|&k| self.defined_from(k).is_none()) {
            for value in &mut out[k * stride..][..until - first] {
                *value = if value.is_finite() { *value } else { f64::NAN };
            }
        }
    }

    /// One lane at one candle, wherever its seed lies.
    fn warm(&mut self, closes: &[f64], i: usize, lane: usize) -> f64 {
        let n = self.periods[lane];
        match &mut self.state {
            State::Ema { average, alpha } => {
                let average = &mut average[lane];
                if i >= n {
                    *average = ema::step(*average, closes[i], alpha[lane]);
                    return *average;
                }
                *average += closes[i];
                if i + 1 < n {
                    return f64::NAN;
                }
                *average /= n as f64;
                *average
            }
            State::Rsi { gain, loss, period } => {
                let Some(before) = i.checked_sub(1) else { return f64::NAN };
                let (gain, loss, period) = (&mut gain[lane], &mut loss[lane], period[lane]);
                let change = closes[i] - closes[before];
                let (rise, fall) = (change.max(0.0), (-change).max(0.0));
                if i > n {
                    (*gain, *loss) = (rsi::wilder_step(*gain, rise, period), rsi::wilder_step(*loss, fall, period));
                    return rsi::strength(*gain, *loss);
                }
                (*gain, *loss) = (*gain + rise, *loss + fall);
                if i < n {
                    return f64::NAN;
                }
                (*gain, *loss) = (*gain / period, *loss / period);
                rsi::strength(*gain, *loss)
            }
        }
    }
}

/// Where values go, column by column.
struct Columns<'a> {
    out: &'a mut [f64],
    from: usize,
    lanes: usize,
    stride: usize,
}

impl Columns<'_> {
    /// Writes block number `block`, lane by lane.
    #[inline(always)]
    fn write(&mut self, block: usize, rows: &[Row]) {
        spread(rows, self.lanes, &mut self.out[self.from + block * BLOCK..], self.stride);
    }
}

struct EmaRun<'a> {
    values: &'a [f64],
    average: &'a mut Row,
    alpha: &'a Row,
    to: Columns<'a>,
}

impl Wide for EmaRun<'_> {
    type Output = ();

    #[inline(always)]
    fn run(mut self) {
        let (mut now, alpha) = (*self.average, *self.alpha);
        let mut rows = [[0.0; LANES]; BLOCK];
        for (b, values) in self.values.chunks(BLOCK).enumerate() {
            for (row, &value) in rows.iter_mut().zip(values) {
                for k in 0..LANES {
                    now[k] = ema::step(now[k], value, alpha[k]);
                }
                *row = now;
            }
            self.to.write(b, &rows[..values.len()]);
        }
        *self.average = now;
    }
}

struct RsiRun<'a> {
    values: &'a [f64],
    /// The value before them.
    previous: f64,
    gain: &'a mut Row,
    loss: &'a mut Row,
    period: &'a Row,
    to: Columns<'a>,
}

impl Wide for RsiRun<'_> {
    type Output = ();

    #[inline(always)]
    fn run(mut self) {
        let (mut gains, mut losses, period) = (*self.gain, *self.loss, *self.period);
        let mut previous = self.previous;
        let mut rows = [[0.0; LANES]; BLOCK];
        for (b, values) in self.values.chunks(BLOCK).enumerate() {
            for (row, &value) in rows.iter_mut().zip(values) {
                let change = value - previous;
                previous = value;
                let (rise, fall) = (change.max(0.0), (-change).max(0.0));
                for k in 0..LANES {
                    gains[k] = rsi::wilder_step(gains[k], rise, period[k]);
                    losses[k] = rsi::wilder_step(losses[k], fall, period[k]);
                    row[k] = rsi::strength(gains[k], losses[k]);
                }
            }
            self.to.write(b, &rows[..values.len()]);
        }
        (*self.gain, *self.loss) = (gains, losses);
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
        let mut overflowing = closes.clone();
        overflowing[40..80].fill(1e308);
        let bits = |v: &[f64]| v.iter().map(|v| if v.is_nan() { u64::MAX } else { v.to_bits() }).collect::<Vec<_>>();
        let periods: Vec<usize> = (0..LANES).map(|k| 1 + 7 * k).collect();
        for closes in [&closes, &overflowing] {
            for (n, stretch) in [(0, 1), (1, 1), (2, 2), (31, 7), (64, 64), (300, 37), (400, 64), (400, 400)] {
                for lanes in [1, 9, LANES] {
                    let periods = &periods[..lanes];
                    let mut streams = [Stream::ema(periods), Stream::rsi(periods)];
                    let mut columns = [vec![Vec::new(); lanes], vec![Vec::new(); lanes]];
                    for from in (0..n).step_by(stretch) {
                        let until = n.min(from + stretch);
                        for (stream, columns) in streams.iter_mut().zip(&mut columns) {
                            let mut out = vec![7.0; lanes * stretch];
                            stream.advance(&closes[..n], until, &mut out, stretch);
                            for (k, column) in columns.iter_mut().enumerate() {
                                column.extend_from_slice(&out[k * stretch..][..until - from]);
                            }
                        }
                    }
                    for (k, &period) in periods.iter().enumerate() {
                        let single = [ema::ema(&closes[..n], period), rsi::rsi(&closes[..n], period)];
                        for (columns, single) in columns.iter().zip(&single) {
                            assert_eq!(bits(&columns[k]), bits(single.values()), "period {period} of {n}");
                        }
                    }
                    for (stream, column) in streams.iter().zip(0..) {
                        let first = if column == 0 { periods[0] - 1 } else { periods[0] };
                        let known = stream.defined_from(0);
                        assert!(known == Some(first) || (known.is_none() && closes == &overflowing));
                    }
                }
            }
        }
    }
}
