//! EMA and RSI of many periods at once, a period a vector lane: a recurrence cannot use a vector along time, but
//! thirty-two of them can share one. Bit for bit what [`super::compute`] gives for each alone.
//!
//! They go through the candles a stretch at a time, so that no column need ever be in memory as a whole. What they write
//! are ranks of their values, which halves what comparisons read: only where two ranks are equal the exact values matter,
//! and these are computed again for the word of candles at hand.

use super::{ema, rsi};
use crate::simd::{Wide, Width, rank, spread};

/// Periods computed together; enough vectors in flight to hide the latency of a step.
pub(crate) const LANES: usize = 32;
/// Candles of a word of bits.
pub(crate) const WORD: usize = 64;
/// Candles whose values are kept lane by lane before they are written out column by column.
const BLOCK: usize = 32;

type Row = [f64; LANES];

/// At most [`LANES`] averages of one kind on their way through the closes.
#[derive(Debug)]
pub(crate) struct Stream {
    kind: Kind,
    periods: Vec<usize>,
    longest: usize,
    /// By lane, what a step needs of the period.
    factors: Row,
    /// Candles seen, and where the stretch last gone through begins.
    seen: usize,
    stretch: usize,
    now: Averages,
    /// Before each word of that stretch.
    before: Vec<Averages>,
    rows: Rows,
}

/// Values of a block, candle by candle.
type Rows = Box<[[i32; LANES]; BLOCK]>;

#[derive(Clone, Copy, Debug)]
enum Kind {
    Ema,
    Rsi,
}

/// By lane: the average (EMA), or that of rises and that of falls (RSI). What has no seed yet holds the sum of the values
/// so far.
#[derive(Clone, Copy, Debug)]
struct Averages {
    first: Row,
    second: Row,
}

impl Stream {
    /// EMA of at most [`LANES`] periods, all at least 1.
    pub(crate) fn ema(periods: &[usize]) -> Self {
        Self::new(Kind::Ema, periods, ema::alpha)
    }

    /// RSI of at most [`LANES`] periods, all at least 1.
    pub(crate) fn rsi(periods: &[usize]) -> Self {
        Self::new(Kind::Rsi, periods, |n| n as f64)
    }

    fn new(kind: Kind, periods: &[usize], factor: fn(usize) -> f64) -> Self {
        let mut factors = [1.0; LANES];
        factors.iter_mut().zip(periods).for_each(|(place, &n)| *place = factor(n));
        let now = Averages { first: [0.0; LANES], second: [0.0; LANES] };
        let longest = periods.iter().copied().max().unwrap_or(0);
        let (periods, rows) = (periods.to_vec(), Box::new([[0; LANES]; BLOCK]));
        Self { kind, periods, longest, factors, seen: 0, stretch: 0, now, before: Vec::new(), rows }
    }

    /// Number of lanes.
    pub(crate) fn len(&self) -> usize {
        self.periods.len()
    }

    /// The candle from which on the values of a lane are defined; `None` where only looking at them tells.
    pub(crate) fn defined_from(&self, lane: usize) -> Option<usize> {
        match self.kind {
            // A sum that overflowed stays so.
            Kind::Ema => self.now.first[lane].is_finite().then(|| self.periods[lane] - 1),
            Kind::Rsi => Some(self.periods[lane]),
        }
    }

    /// Goes on through `closes` (all of them) up to candle `until`, exclusive. Values of lane k at the candles gone
    /// through are written to `out` from `k * stride` on, as ranks that mean nothing where there is no value yet.
    pub(crate) fn advance(&mut self, width: Width, closes: &[f64], until: usize, out: &mut [i32], stride: usize) {
        self.stretch = self.seen;
        self.before.clear();
        // Until the longest period has its seed, lane by lane and candle by candle; and to the end of a word.
        let warm_until = until.min((self.longest + 1).next_multiple_of(WORD));
        while self.seen < warm_until {
            self.before.push(self.now);
            for i in self.seen..warm_until.min(self.seen + WORD) {
                for k in 0..self.len() {
                    out[k * stride + i - self.stretch] = rank(self.step(closes, i, k));
                }
            }
            self.seen = warm_until.min(self.seen + WORD);
        }
        if self.seen == until {
            return;
        }
        let (lanes, values) = (self.len(), &closes[self.seen..until]);
        let to = Columns { width, out, from: self.seen - self.stretch, lanes, stride };
        let Self { now, factors, before, rows, .. } = self;
        match self.kind {
            Kind::Ema => width.run(EmaRun { values, now, before, factors, rows, to }),
            Kind::Rsi => {
                let previous = closes[self.seen - 1];
                width.run(RsiRun { values, previous, now, before, factors, rows, to });
            }
        }
        self.seen = until;
    }

    /// The exact values of a lane at the candles of a word of the stretch last gone through, NaN where undefined; what is
    /// past its end is left as it is.
    pub(crate) fn exact(&self, closes: &[f64], word: usize, lane: usize, out: &mut [f64; WORD]) {
        let from = self.stretch + word * WORD;
        let Averages { first, second } = &self.before[word];
        let mut averages = (first[lane], second[lane]);
        for (i, out) in (from..self.seen.min(from + WORD)).zip(out) {
            let value = self.kind.step(&mut averages, closes, i, self.periods[lane], self.factors[lane]);
            *out = if value.is_finite() { value } else { f64::NAN };
        }
    }

    /// One lane at one candle, wherever its seed lies.
    fn step(&mut self, closes: &[f64], i: usize, lane: usize) -> f64 {
        let mut averages = (self.now.first[lane], self.now.second[lane]);
        let value = self.kind.step(&mut averages, closes, i, self.periods[lane], self.factors[lane]);
        (self.now.first[lane], self.now.second[lane]) = averages;
        value
    }
}

impl Kind {
    /// The value at candle `i`, NaN before the seed.
    fn step(self, averages: &mut (f64, f64), closes: &[f64], i: usize, n: usize, factor: f64) -> f64 {
        let (first, second) = (&mut averages.0, &mut averages.1);
        match self {
            Self::Ema => {
                if i >= n {
                    *first = ema::step(*first, closes[i], factor);
                    return *first;
                }
                *first += closes[i];
                if i + 1 < n {
                    return f64::NAN;
                }
                *first /= n as f64;
                *first
            }
            Self::Rsi => {
                let Some(before) = i.checked_sub(1) else { return f64::NAN };
                let change = closes[i] - closes[before];
                let (rise, fall) = (change.max(0.0), (-change).max(0.0));
                if i > n {
                    (*first, *second) =
                        (rsi::wilder_step(*first, rise, factor), rsi::wilder_step(*second, fall, factor));
                    return rsi::strength(*first, *second);
                }
                (*first, *second) = (*first + rise, *second + fall);
                if i < n {
                    return f64::NAN;
                }
                (*first, *second) = (*first / factor, *second / factor);
                rsi::strength(*first, *second)
            }
        }
    }
}

/// Where values go, column by column.
struct Columns<'a> {
    width: Width,
    out: &'a mut [i32],
    from: usize,
    lanes: usize,
    stride: usize,
}

impl Columns<'_> {
    /// Writes block number `block`, lane by lane.
    #[inline(always)]
    fn write(&mut self, block: usize, rows: &[[i32; LANES]]) {
        spread(self.width, rows, self.lanes, &mut self.out[self.from + block * BLOCK..], self.stride);
    }
}

struct EmaRun<'a> {
    values: &'a [f64],
    now: &'a mut Averages,
    /// Gets what they are before each word.
    before: &'a mut Vec<Averages>,
    factors: &'a Row,
    rows: &'a mut Rows,
    to: Columns<'a>,
}

impl Wide for EmaRun<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        match self.to.lanes {
            0..=8 => self.lanes::<8>(),
            9..=16 => self.lanes::<16>(),
            _ => self.lanes::<LANES>(),
        }
    }
}

impl EmaRun<'_> {
    /// Of no more than `N` lanes.
    #[inline(always)]
    fn lanes<const N: usize>(mut self) {
        let (mut now, alpha): ([f64; N], [f64; N]) = (first(&self.now.first), first(self.factors));
        for (b, values) in self.values.chunks(BLOCK).enumerate() {
            if b % (WORD / BLOCK) == 0 {
                self.now.first[..N].copy_from_slice(&now);
                self.before.push(*self.now);
            }
            for (row, &value) in self.rows.iter_mut().zip(values) {
                for k in 0..N {
                    now[k] = ema::step(now[k], value, alpha[k]);
                    row[k] = rank(now[k]);
                }
            }
            self.to.write(b, &self.rows[..values.len()]);
        }
        self.now.first[..N].copy_from_slice(&now);
    }
}

struct RsiRun<'a> {
    values: &'a [f64],
    /// The value before them.
    previous: f64,
    now: &'a mut Averages,
    /// As of an EMA.
    before: &'a mut Vec<Averages>,
    factors: &'a Row,
    rows: &'a mut Rows,
    to: Columns<'a>,
}

impl Wide for RsiRun<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        match self.to.lanes {
            0..=8 => self.lanes::<8>(),
            9..=16 => self.lanes::<16>(),
            17..=24 => self.lanes::<24>(),
            25..=28 => self.lanes::<28>(),
            _ => self.lanes::<LANES>(),
        }
    }
}

impl RsiRun<'_> {
    /// Of no more than `N` lanes: each costs three divisions.
    #[inline(always)]
    fn lanes<const N: usize>(mut self) {
        let (mut gains, mut losses): ([f64; N], [f64; N]) = (first(&self.now.first), first(&self.now.second));
        let (period, mut previous): ([f64; N], f64) = (first(self.factors), self.previous);
        for (b, values) in self.values.chunks(BLOCK).enumerate() {
            if b % (WORD / BLOCK) == 0 {
                self.now.first[..N].copy_from_slice(&gains);
                self.now.second[..N].copy_from_slice(&losses);
                self.before.push(*self.now);
            }
            for (row, &value) in self.rows.iter_mut().zip(values) {
                let change = value - previous;
                previous = value;
                let (rise, fall) = (change.max(0.0), (-change).max(0.0));
                for k in 0..N {
                    gains[k] = rsi::wilder_step(gains[k], rise, period[k]);
                    losses[k] = rsi::wilder_step(losses[k], fall, period[k]);
                    row[k] = rank(rsi::strength(gains[k], losses[k]));
                }
            }
            self.to.write(b, &self.rows[..values.len()]);
        }
        self.now.first[..N].copy_from_slice(&gains);
        self.now.second[..N].copy_from_slice(&losses);
    }
}

/// The first values of a row.
#[inline(always)]
fn first<const N: usize>(row: &Row) -> [f64; N] {
    std::array::from_fn(|k| row[k])
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
        let widths = Width::all();
        for (closes, width) in [&closes, &overflowing].into_iter().flat_map(|c| widths.iter().map(move |w| (c, *w))) {
            for (n, stretch) in [(0, 64), (1, 64), (63, 64), (64, 64), (300, 128), (400, 64), (400, 448)] {
                for lanes in [1, 9, LANES] {
                    let periods = &periods[..lanes];
                    let mut streams = [Stream::ema(periods), Stream::rsi(periods)];
                    let mut columns = [vec![Vec::new(); lanes], vec![Vec::new(); lanes]];
                    let mut ranks = [vec![Vec::new(); lanes], vec![Vec::new(); lanes]];
                    for from in (0..n).step_by(stretch) {
                        let until = n.min(from + stretch);
                        for (s, stream) in streams.iter_mut().enumerate() {
                            let mut out = vec![7; lanes * stretch];
                            stream.advance(width, &closes[..n], until, &mut out, stretch);
                            for k in 0..lanes {
                                ranks[s][k].extend_from_slice(&out[k * stretch..][..until - from]);
                                for word in 0..(until - from).div_ceil(WORD) {
                                    let mut exact = [7.0; WORD];
                                    stream.exact(&closes[..n], word, k, &mut exact);
                                    columns[s][k].extend_from_slice(&exact[..WORD.min(until - from - WORD * word)]);
                                }
                            }
                        }
                    }
                    for (k, &period) in periods.iter().enumerate() {
                        let single = [ema::ema(&closes[..n], period), rsi::rsi(&closes[..n], period)];
                        for (s, single) in single.iter().enumerate() {
                            assert_eq!(bits(&columns[s][k]), bits(single.values()), "period {period} of {n}");
                            if streams[s].defined_from(k).is_some() {
                                let first = single.first_defined();
                                let expected: Vec<i32> = single.values().iter().map(|v| rank(*v)).collect();
                                assert_eq!(ranks[s][k][first..], expected[first..]);
                            }
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
