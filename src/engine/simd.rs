//! The few loops that want the processor's widest vectors, chosen when the program runs.
//!
//! The binary is built for any x86-64; what the processor at hand can do more is asked once. Every path gives the
//! same bits: comparisons are exact, and arithmetic is neither fused nor reordered.
//!
//! This and what it holds (`x86`) alone have `unsafe` in them: calls of functions compiled for features that were detected,
//! and vector loads from arrays of the vector's length.
// The two reasons are stated above; each use says why it holds.
#![allow(unsafe_code)]

#[cfg(test)]
mod tests;
#[cfg(target_arch = "x86_64")]
mod x86;

/// How wide the vectors are that loops use. Whoever has one knows that the processor has them, since it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Width(Vectors);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Vectors {
    /// What every processor has.
    Plain,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Width {
    /// The widest that the processor has.
    #[inline]
    #[must_use]
    pub fn widest() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            let bits = is_x86_feature_detected!("bmi1") && is_x86_feature_detected!("popcnt");
            if bits && is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vl") {
                return Self(Vectors::Avx512);
            }
            if bits && is_x86_feature_detected!("avx2") {
                return Self(Vectors::Avx2);
            }
        }
        Self(Vectors::Plain)
    }

    /// All that the processor has, the widest first.
    #[must_use]
    pub fn all() -> Vec<Self> {
        #[cfg(target_arch = "x86_64")]
        let vectors = [Vectors::Avx512, Vectors::Avx2, Vectors::Plain];
        #[cfg(not(target_arch = "x86_64"))]
        let vectors = [Vectors::Plain];
        // Who has AVX-512 has AVX2.
        let from = vectors.iter().position(|v| *v == Self::widest().0).unwrap_or(0);
        vectors[from..].iter().copied().map(Self).collect()
    }

    /// As benches and tests call it: `plain`, `avx2`, `avx512`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self.0 {
            Vectors::Plain => "plain",
            #[cfg(target_arch = "x86_64")]
            Vectors::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Vectors::Avx512 => "avx512",
        }
    }

    /// Runs `work` compiled for these vectors.
    #[inline]
    pub(super) fn run<W: Wide>(self, work: W) -> W::Output {
        match self.0 {
            Vectors::Plain => work.run(),
            // SAFETY: the processor was asked for it.
            #[cfg(target_arch = "x86_64")]
            Vectors::Avx2 => unsafe { x86::with_256(work) },
            // SAFETY: the processor was asked for it.
            #[cfg(target_arch = "x86_64")]
            Vectors::Avx512 => unsafe { x86::with_512(work) },
        }
    }
}

/// A comparison of two values; false where either is NaN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Predicate {
    Above,
    Below,
    /// Neither is NaN.
    Ordered,
}

/// What values are compared with.
#[derive(Clone, Copy, Debug)]
pub(super) enum Right<'a> {
    Values(&'a [f64]),
    Constant(f64),
}

/// Compares `a` with `b` value for value: bit k of word w is the result at 64 w + k; bits past the end are zero.
///
/// # Panics
/// If the lengths do not belong together.
pub(super) fn compare(width: Width, predicate: Predicate, a: &[f64], b: Right<'_>, out: &mut [u64]) {
    assert_eq!(out.len(), a.len().div_ceil(64), "a bit for each value");
    if let Right::Values(b) = b {
        assert_eq!(a.len(), b.len(), "a value to compare with each value");
    }
    match width.0 {
        Vectors::Plain => compare_words(predicate, a, b, out),
        // SAFETY: the processor has AVX2.
        #[cfg(target_arch = "x86_64")]
        Vectors::Avx2 => unsafe { x86::compare_256(predicate, a, b, out) },
        // SAFETY: the processor has AVX-512F.
        #[cfg(target_arch = "x86_64")]
        Vectors::Avx512 => unsafe { x86::compare_512(predicate, a, b, out) },
    }
}

/// Where `a` is above and where it is below `b`, in one pass; otherwise as [`compare`].
///
/// # Panics
/// If the lengths do not belong together.
pub(super) fn above_and_below(width: Width, a: &[f64], b: Right<'_>, above: &mut [u64], below: &mut [u64]) {
    #[cfg(target_arch = "x86_64")]
    if let Right::Values(b) = b
        && width.0 == Vectors::Avx512
    {
        assert_eq!((above.len(), below.len()), (a.len().div_ceil(64), a.len().div_ceil(64)), "a bit for each value");
        assert_eq!(a.len(), b.len(), "a value to compare with each value");
        // SAFETY: the processor has AVX-512F.
        return unsafe { x86::above_and_below_512(a, b, above, below) };
    }
    compare(width, Predicate::Above, a, b, above);
    compare(width, Predicate::Below, a, b, below);
}

/// A number that is lower than that of every value far enough above `value`, and higher than those far enough below it; the
/// same for what is equal, and for neighbours of about seven digits. Of two of them the difference is a number, too.
#[inline(always)]
pub(super) fn rank(value: f64) -> i32 {
    // Neither rounding changes the order; zero has one sign.
    let bits = (value as f32 + 0.0).to_bits().cast_signed();
    (bits ^ (bits >> 31 & i32::MAX)) >> 1
}

/// What ranks are compared with.
#[derive(Clone, Copy, Debug)]
pub(super) enum RightRanks<'a> {
    Values(&'a [i32]),
    Constant(i32),
}

/// Where `a` is above and where it is below `b`, a bit for each rank that `defined` names. Returns whether each of these is
/// one of both.
///
/// # Panics
/// If there are not 64 ranks for each word.
pub(super) fn order(
    width: Width,
    a: &[i32],
    b: RightRanks<'_>,
    defined: &[u64],
    above: &mut [u64],
    below: &mut [u64],
) -> bool {
    let (a, rest) = a.as_chunks::<64>();
    let words = a.len();
    // One after the other: arrays that are compared pass through memory, and wait for it.
    let fits = defined.len() == words && above.len() == words && below.len() == words;
    assert!(rest.is_empty() && fits, "64 ranks for each word");
    if let RightRanks::Values(b) = b {
        assert!(b.len() == 64 * words, "a rank to compare with each");
    }
    match width.0 {
        Vectors::Plain => order_plain(a, b, defined, above, below),
        // SAFETY: the processor has AVX2.
        #[cfg(target_arch = "x86_64")]
        Vectors::Avx2 => unsafe { x86::order_256(a, b, defined, above, below) },
        // SAFETY: the processor has AVX-512F.
        #[cfg(target_arch = "x86_64")]
        Vectors::Avx512 => unsafe { x86::order_512(a, b, defined, above, below) },
    }
}

fn order_plain(a: &[[i32; 64]], b: RightRanks<'_>, defined: &[u64], above: &mut [u64], below: &mut [u64]) -> bool {
    let mut unsure = 0;
    for (w, a) in a.iter().enumerate() {
        (above[w], below[w]) = (0, 0);
        for (k, a) in a.iter().enumerate() {
            let b = match b {
                RightRanks::Values(b) => b[64 * w + k],
                RightRanks::Constant(b) => b,
            };
            above[w] |= u64::from(*a > b) << k;
            below[w] |= u64::from(*a < b) << k;
        }
        unsure |= defined[w] & !(above[w] | below[w]);
        above[w] &= defined[w];
        below[w] &= defined[w];
    }
    unsure == 0
}

/// Candles in a block of a [`Reach`].
pub(super) const BLOCK: usize = 16;

/// Where prices reach: lows and highs of candles, and the lowest low and the highest high of each [`BLOCK`] of them; of
/// blocks there are as many as eight divides, those past the end out of all reach.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reach<'a> {
    pub width: Width,
    pub lows: &'a [f64],
    pub highs: &'a [f64],
    pub block_lows: &'a [f64],
    pub block_highs: &'a [f64],
}

impl Reach<'_> {
    /// First candle in `[from, to)` whose low is at or below `floor` or whose high is at or above `ceiling`; `to`
    /// where there is none.
    ///
    /// # Panics
    /// If `to` is past the last candle, or the parts do not belong together.
    #[inline(always)]
    pub(super) fn first_touch(self, from: usize, to: usize, floor: f64, ceiling: f64) -> usize {
        assert!(to <= self.lows.len() && self.highs.len() == self.lows.len(), "a high for each low");
        let blocks = self.lows.len().div_ceil(BLOCK).next_multiple_of(8);
        assert!(self.block_lows.len() == blocks && self.block_highs.len() == blocks, "a block for each sixteen");
        if from >= to {
            return to;
        }
        match self.width.0 {
            // SAFETY: the processor has AVX-512F; the lengths were just compared.
            #[cfg(target_arch = "x86_64")]
            Vectors::Avx512 => unsafe { x86::first_touch_512(self, from, to, floor, ceiling) },
            // SAFETY: the processor has AVX2; the lengths were just compared.
            #[cfg(target_arch = "x86_64")]
            Vectors::Avx2 if self.lows.len() >= BLOCK => unsafe {
                x86::first_touch_256(self, from, to, floor, ceiling)
            },
            _ => self.first_touch_plain(from, to, floor, ceiling),
        }
    }

    /// As [`Reach::first_touch`], on any processor.
    fn first_touch_plain(self, from: usize, to: usize, floor: f64, ceiling: f64) -> usize {
        let first = |lows: &[f64], highs: &[f64]| {
            lows.iter().zip(highs).position(|(low, high)| *low <= floor || *high >= ceiling)
        };
        let candles = |from: usize, to: usize| Some(from + first(&self.lows[from..to], &self.highs[from..to])?);
        let border = from.next_multiple_of(BLOCK).min(to);
        if let Some(touch) = candles(from, border) {
            return touch;
        }
        let (begin, end) = (border / BLOCK, to.div_ceil(BLOCK));
        if border >= to {
            return to;
        }
        // Only the last block reaches past `to`, and may be touched there.
        let block = first(&self.block_lows[begin..end], &self.block_highs[begin..end]);
        block.and_then(|block| candles((begin + block) * BLOCK, to.min((begin + block + 1) * BLOCK))).unwrap_or(to)
    }
}

/// Asks for the cache line that a value begins on, soon to be looked at. Changes nothing but the time it takes.
#[inline(always)]
pub(super) fn prefetch<T>(value: &T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every x86-64 has SSE; a prefetch reads nothing that can be seen.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(std::ptr::from_ref(value).cast());
    }
}

/// Writes rows of lanes out lane by lane: value `row` of lane `k` goes to `out[k * stride + row]`.
#[inline(always)]
pub(super) fn spread<const N: usize>(width: Width, rows: &[[i32; N]], lanes: usize, out: &mut [i32], stride: usize) {
    #[cfg(target_arch = "x86_64")]
    if N.is_multiple_of(8) && rows.len().is_multiple_of(8) && width.0 != Vectors::Plain {
        // SAFETY: the processor has AVX2.
        return unsafe { x86::spread_256(rows, lanes, out, stride) };
    }
    for k in 0..lanes {
        for (out, row) in out[k * stride..][..rows.len()].iter_mut().zip(rows) {
            *out = row[k];
        }
    }
}

/// The comparison in plain words: any processor, and the tails of the vector versions.
fn compare_words(predicate: Predicate, a: &[f64], b: Right<'_>, out: &mut [u64]) {
    let holds = |a: f64, b: f64| match predicate {
        Predicate::Above => a > b,
        Predicate::Below => a < b,
        Predicate::Ordered => !a.is_nan() && !b.is_nan(),
    };
    for (w, out) in out.iter_mut().enumerate() {
        let range = 64 * w..a.len().min(64 * w + 64);
        let bit = |k: usize| match b {
            Right::Values(b) => holds(a[k], b[k]),
            Right::Constant(b) => holds(a[k], b),
        };
        *out = range.clone().fold(0, |word, k| word | u64::from(bit(k)) << (k - range.start));
    }
}

/// Work worth the widest vectors. Not a closure: whether one inlines, and so is compiled for them, is the compiler's
/// guess.
pub trait Wide {
    /// What it gives.
    type Output;

    /// Does it; `#[inline(always)]`, with all that it calls in its loops.
    fn run(self) -> Self::Output;
}

/// Runs `work` compiled for the widest vectors that the processor has.
#[inline]
pub fn widest<W: Wide>(work: W) -> W::Output {
    Width::widest().run(work)
}
