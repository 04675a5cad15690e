//! The deepest drawdown of a curve of equity that is known between bounds, chunk by chunk of steps.
//!
//! Few chunks can hold the deepest fall or the peak before it, and only these are looked at step by step: the chunk
//! that may fall deepest first, until no other can fall as deep. The result is that of going step by step, to the
//! bit: every operation keeps the order of what it is given, rounding included. Never judges anything.

use super::timeline::{CHUNK, LANES, Lanes};

/// A curve that can be looked at closely.
pub(super) trait Curve {
    /// The equity at each step of a chunk; where a last chunk lacks steps, its last equity.
    fn closely(&self, chunk: usize) -> [f64; CHUNK];

    /// Whether the curve reaches what it is known to be worth at most in a chunk.
    fn reaches(&self, chunk: usize) -> bool;
}

/// What is known of a curve: the least and the most that it is worth in each chunk, in whole vectors. Chunks that
/// fill the last vector up change nothing if they are worth zero at most and infinity at least.
#[derive(Debug, Default)]
pub(super) struct Bounds {
    pub least: Vec<Lanes>,
    pub most: Vec<Lanes>,
}

/// Memory for the search.
#[derive(Debug, Default)]
pub(super) struct DrawdownBuffers {
    /// By chunk: the highest peak by its end; the deepest fall that it can hold.
    peaks: Vec<Lanes>,
    falls: Vec<Lanes>,
    /// Chunks whose most was looked at closely.
    seen: Vec<bool>,
}

/// Most negative equity / running peak - 1, if not above zero; `first` is a peak. Uses the bounds up.
#[inline(always)]
pub(super) fn deepest(first: f64, bounds: &mut Bounds, buffers: &mut DrawdownBuffers, curve: &impl Curve) -> f64 {
    let vectors = bounds.least.len();
    buffers.peaks.resize(vectors, [0.0; LANES]);
    buffers.falls.resize(vectors, [0.0; LANES]);
    buffers.seen.clear();
    buffers.seen.resize(vectors * LANES, false);
    let mut worst = 0.0_f64;
    buffers.mark(first, bounds, 0);
    loop {
        let (deepest, chunk) = lowest(&buffers.falls);
        // Not "not below": where there is no peak to fall from, there is no fall.
        let falls_deeper = deepest < worst;
        if !falls_deeper {
            return worst;
        }
        // Whether the peak before it is reached, or may be lower.
        let mut peak = first;
        if let Some(before) = chunk.checked_sub(1) {
            peak = buffers.peaks.as_flattened()[before];
            if peak > first
                && let Some(highest) = bounds.most.as_flattened().iter().position(|most| *most == peak)
                && !buffers.seen[highest]
            {
                buffers.seen[highest] = true;
                if !curve.reaches(highest) {
                    (_, bounds.most.as_flattened_mut()[highest]) = range(&curve.closely(highest));
                    buffers.mark(first, bounds, highest / LANES);
                    continue;
                }
            }
        }
        worst = worst.min(fall(peak, &curve.closely(chunk)));
        bounds.least.as_flattened_mut()[chunk] = f64::INFINITY;
        buffers.falls.as_flattened_mut()[chunk] = 0.0;
    }
}

impl DrawdownBuffers {
    /// Marks peaks and falls from a vector of chunks on.
    #[inline(always)]
    fn mark(&mut self, first: f64, bounds: &Bounds, vector: usize) {
        let mut peak = vector.checked_sub(1).map_or(first, |before| self.peaks[before][LANES - 1]);
        for (peaks, most) in self.peaks[vector..].iter_mut().zip(&bounds.most[vector..]) {
            let highest = so_far(first, most);
            for k in 0..LANES {
                peaks[k] = if highest[k] > peak { highest[k] } else { peak };
            }
            peak = peaks[LANES - 1];
        }
        let marks = self.falls[vector..].iter_mut().zip(&self.peaks[vector..]);
        for ((falls, peaks), least) in marks.zip(&bounds.least[vector..]) {
            for k in 0..LANES {
                falls[k] = least[k] / peaks[k] - 1.0;
            }
        }
    }
}

/// By lane: the highest value by then, `first` included. In three steps for all lanes, so that only from vector to vector
/// one value waits for another.
#[inline(always)]
fn so_far(first: f64, values: &Lanes) -> Lanes {
    let mut highest = *values;
    for value in &mut highest {
        *value = if *value > first { *value } else { first };
    }
    for step in [1, 2, 4] {
        let before = highest;
        for k in step..LANES {
            highest[k] = if before[k - step] > before[k] { before[k - step] } else { before[k] };
        }
    }
    highest
}

/// The lowest value, and where one is.
#[inline(always)]
fn lowest(values: &[Lanes]) -> (f64, usize) {
    let (mut low, mut at) = ([f64::INFINITY; LANES], [0_u64; LANES]);
    for (vector, values) in (0_u64..).zip(values) {
        for k in 0..LANES {
            let lower = values[k] < low[k];
            low[k] = if lower { values[k] } else { low[k] };
            at[k] = if lower { vector } else { at[k] };
        }
    }
    let mut best = 0;
    for k in 1..LANES {
        best = if low[k] < low[best] { k } else { best };
    }
    (low[best], at[best] as usize * LANES + best)
}

/// The least and the most of a chunk.
#[inline(always)]
fn range(equity: &[f64; CHUNK]) -> (f64, f64) {
    let (mut low, mut high) = ([f64::INFINITY; LANES], [0.0_f64; LANES]);
    for part in equity.as_chunks::<LANES>().0 {
        for k in 0..LANES {
            low[k] = if part[k] < low[k] { part[k] } else { low[k] };
            high[k] = if part[k] > high[k] { part[k] } else { high[k] };
        }
    }
    let mut range = (low[0], high[0]);
    for k in 1..LANES {
        range.0 = if low[k] < range.0 { low[k] } else { range.0 };
        range.1 = if high[k] > range.1 { high[k] } else { range.1 };
    }
    range
}

/// The deepest fall within a chunk, the highest peak before it given.
#[inline(always)]
fn fall(peak: f64, equity: &[f64; CHUNK]) -> f64 {
    let (low, high) = range(equity);
    if high <= peak {
        // No new peak: the lowest equity falls deepest, since division and rounding keep the order.
        return 0.0_f64.min(low / peak - 1.0);
    }
    let (mut peaks, mut peak) = ([0.0; CHUNK], peak);
    for (highest, equity) in peaks.iter_mut().zip(equity) {
        peak = if *equity > peak { *equity } else { peak };
        *highest = peak;
    }
    let mut deepest = [0.0_f64; LANES];
    for (equity, peaks) in equity.as_chunks::<LANES>().0.iter().zip(peaks.as_chunks::<LANES>().0) {
        for k in 0..LANES {
            let fall = equity[k] / peaks[k] - 1.0;
            deepest[k] = if fall < deepest[k] { fall } else { deepest[k] };
        }
    }
    deepest.into_iter().fold(0.0, f64::min)
}

#[cfg(test)]
mod tests {
    use super::{super::performance::max_drawdown, *};
    use genome::random::Seed;
    use rand::RngExt;

    /// A curve written down.
    struct Written(Vec<f64>);

    impl Curve for Written {
        fn closely(&self, chunk: usize) -> [f64; CHUNK] {
            let last = self.0[self.0.len() - 1];
            std::array::from_fn(|k| self.0.get(chunk * CHUNK + k).copied().unwrap_or(last))
        }

        fn reaches(&self, _: usize) -> bool {
            false
        }
    }

    #[test]
    fn the_deepest_fall_is_that_of_going_step_by_step() {
        let (rng, mut buffers) = (&mut Seed(5).stream("drawdown", 0), DrawdownBuffers::default());
        for case in 0..400 {
            let steps = rng.random_range(1..20 * CHUNK);
            // Falling, rising and neither; loose bounds and exact ones; now and then everything is lost.
            let (trend, loose) = (0.002 * (f64::from(case % 5) - 2.0), f64::from(case % 3) * 0.02);
            let mut equity = 100.0;
            let mut step = || {
                equity *= 1.0 + trend + 0.02 * (rng.random::<f64>() - 0.5);
                equity = if rng.random::<f64>() < 2e-5 { 0.0 } else { equity };
                equity
            };
            let curve = Written((0..steps).map(|_| step()).collect());
            let vectors = steps.div_ceil(CHUNK).div_ceil(LANES);
            let mut bounds = Bounds { least: vec![[f64::INFINITY; LANES]; vectors], most: vec![[0.0; LANES]; vectors] };
            for (chunk, equity) in curve.0.chunks(CHUNK).enumerate() {
                let (low, high) = equity.iter().fold((f64::INFINITY, 0.0_f64), |(l, h), e| (l.min(*e), h.max(*e)));
                bounds.least.as_flattened_mut()[chunk] = low * (1.0 - loose);
                bounds.most.as_flattened_mut()[chunk] = high * (1.0 + loose);
            }
            let expected = max_drawdown(100.0, curve.0.iter().copied()).unwrap();
            let found = deepest(100.0, &mut bounds, &mut buffers, &curve);
            assert_eq!(found.to_bits(), expected.to_bits(), "case {case}: {found} is not {expected}");
        }
    }
}
