//! The few loops that want the processor's widest vectors, chosen when the program runs.
//!
//! The binary is built for any x86-64; what the processor at hand can do more is asked once. Every path gives the
//! same bits: comparisons are exact, and arithmetic is neither fused nor reordered.
//!
//! This is the only file of the crate with `unsafe` in it: calls of functions compiled for features that were just
//! detected, and vector loads from arrays of the vector's length.
// The two reasons are stated above; each use says why it holds.
#![allow(unsafe_code)]

/// A comparison of two values; false where either is NaN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Predicate {
    Above,
    Below,
    AtLeast,
    AtMost,
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
pub(super) fn compare(predicate: Predicate, a: &[f64], b: Right<'_>, out: &mut [u64]) {
    assert_eq!(out.len(), a.len().div_ceil(64), "a bit for each value");
    if let Right::Values(b) = b {
        assert_eq!(a.len(), b.len(), "a value to compare with each value");
    }
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f") {
            // SAFETY: the processor has AVX-512F.
            return unsafe { x86::compare_512(predicate, a, b, out) };
        }
        if is_x86_feature_detected!("avx2") {
            // SAFETY: the processor has AVX2.
            return unsafe { x86::compare_256(predicate, a, b, out) };
        }
    }
    compare_words(predicate, a, b, out);
}

/// Where `a` is above and where it is below `b`, in one pass; otherwise as [`compare`].
///
/// # Panics
/// If the lengths do not belong together.
pub(super) fn above_and_below(a: &[f64], b: Right<'_>, above: &mut [u64], below: &mut [u64]) {
    #[cfg(target_arch = "x86_64")]
    if let Right::Values(b) = b
        && is_x86_feature_detected!("avx512f")
    {
        assert_eq!((above.len(), below.len()), (a.len().div_ceil(64), a.len().div_ceil(64)), "a bit for each value");
        assert_eq!(a.len(), b.len(), "a value to compare with each value");
        // SAFETY: the processor has AVX-512F.
        return unsafe { x86::above_and_below_512(a, b, above, below) };
    }
    compare(Predicate::Above, a, b, above);
    compare(Predicate::Below, a, b, below);
}

/// Candles in a block of a [`Reach`].
pub(super) const BLOCK: usize = 16;

/// Where prices reach: lows and highs of candles, and the lowest low and the highest high of each [`BLOCK`] of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reach<'a> {
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
        let blocks = self.lows.len().div_ceil(BLOCK);
        assert!(self.block_lows.len() == blocks && self.block_highs.len() == blocks, "a block for each sixteen");
        if from >= to {
            return to;
        }
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx512f") {
            // SAFETY: the processor has AVX-512F; the lengths were just compared.
            return unsafe { x86::first_touch_512(self, from, to, floor, ceiling) };
        }
        self.first_touch_plain(from, to, floor, ceiling)
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
pub(super) fn spread<const N: usize>(rows: &[[f64; N]], lanes: usize, out: &mut [f64], stride: usize) {
    #[cfg(target_arch = "x86_64")]
    if N.is_multiple_of(8) && rows.len().is_multiple_of(8) && is_x86_feature_detected!("avx512f") {
        // SAFETY: the processor has AVX-512F.
        return unsafe { x86::spread_512(rows, lanes, out, stride) };
    }
    spread_lanes(rows, 0..lanes, out, stride);
}

#[inline(always)]
fn spread_lanes<const N: usize>(rows: &[[f64; N]], lanes: std::ops::Range<usize>, out: &mut [f64], stride: usize) {
    for k in lanes {
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
        Predicate::AtLeast => a >= b,
        Predicate::AtMost => a <= b,
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
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vl") {
            // SAFETY: the processor has these features.
            return unsafe { x86::with_512(work) };
        }
        if is_x86_feature_detected!("avx2") {
            // SAFETY: the processor has AVX2.
            return unsafe { x86::with_256(work) };
        }
    }
    work.run()
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{BLOCK, Predicate, Reach, Right, Wide, compare_words, spread_lanes};
    use std::arch::x86_64::{
        __m512d, _CMP_GE_OQ, _CMP_GT_OQ, _CMP_LE_OQ, _CMP_LT_OQ, _CMP_ORD_Q, _mm256_cmp_pd, _mm256_loadu_pd,
        _mm256_movemask_pd, _mm256_set1_pd, _mm512_cmp_pd_mask, _mm512_loadu_pd, _mm512_mask_cmp_pd_mask,
        _mm512_maskz_loadu_pd, _mm512_set1_pd, _mm512_setzero_pd, _mm512_shuffle_f64x2, _mm512_storeu_pd,
        _mm512_unpackhi_pd, _mm512_unpacklo_pd,
    };

    #[target_feature(enable = "avx512f,avx512vl")]
    pub(super) fn with_512<W: Wide>(work: W) -> W::Output {
        work.run()
    }

    #[target_feature(enable = "avx2")]
    pub(super) fn with_256<W: Wide>(work: W) -> W::Output {
        work.run()
    }

    /// As [`Reach::first_touch`], of parts that belong together, `from` below `to` and `to` not past the last candle.
    ///
    /// # Safety
    /// All of that, and the processor has AVX-512F.
    #[target_feature(enable = "avx512f")]
    #[inline]
    pub(super) unsafe fn first_touch_512(reach: Reach<'_>, from: usize, to: usize, floor: f64, ceiling: f64) -> usize {
        let (floor, ceiling) = (_mm512_set1_pd(floor), _mm512_set1_pd(ceiling));
        // Which of eight neighbours from number `at` on are outside, of those that `among` names.
        let outside = |lows: &[f64], highs: &[f64], at: usize, among: u8| {
            // SAFETY: only values that `among` names are loaded, and these are there.
            let (lows, highs) = unsafe {
                let (lows, highs) = (lows.as_ptr().wrapping_add(at), highs.as_ptr().wrapping_add(at));
                (_mm512_maskz_loadu_pd(among, lows), _mm512_maskz_loadu_pd(among, highs))
            };
            let below = _mm512_mask_cmp_pd_mask::<_CMP_LE_OQ>(among, lows, floor);
            below | _mm512_mask_cmp_pd_mask::<_CMP_GE_OQ>(among, highs, ceiling)
        };
        // Of the 16 candles of a block those from `from` on and before `to`.
        let in_block = |start: usize| {
            let after = u32::MAX << from.saturating_sub(start).min(BLOCK);
            let wanted = after & ((1_u32 << (to - start).min(BLOCK)) - 1);
            let low_half = outside(reach.lows, reach.highs, start, wanted as u8);
            let high_half = outside(reach.lows, reach.highs, start + 8, (wanted >> 8) as u8);
            u32::from(low_half) | u32::from(high_half) << 8
        };
        // Two blocks at once: many touches are near, and a branch that cannot be guessed costs more than a look.
        let start = from / BLOCK * BLOCK;
        let mut touched = in_block(start);
        if start + BLOCK < to {
            touched |= in_block(start + BLOCK) << BLOCK;
        }
        if touched != 0 {
            return start + touched.trailing_zeros() as usize;
        }
        let (mut block, end) = (start / BLOCK + 2, to.div_ceil(BLOCK));
        while block < end {
            let among = u8::MAX >> (8 - (end - block).min(8));
            let blocks = outside(reach.block_lows, reach.block_highs, block, among);
            if blocks != 0 {
                // Only the last block reaches past `to`, and may be touched there.
                let start = BLOCK * (block + blocks.trailing_zeros() as usize);
                let touched = in_block(start);
                return if touched == 0 { to } else { start + touched.trailing_zeros() as usize };
            }
            block += 8;
        }
        to
    }

    /// As [`super::spread`], for a number of rows and of lanes a row that eight divides.
    #[target_feature(enable = "avx512f")]
    pub(super) fn spread_512<const N: usize>(rows: &[[f64; N]], lanes: usize, out: &mut [f64], stride: usize) {
        let eights = lanes / 8;
        for (r, rows) in rows.as_chunks::<8>().0.iter().enumerate() {
            for k in 0..eights {
                let mut square = [_mm512_setzero_pd(); 8];
                for (vector, row) in square.iter_mut().zip(rows) {
                    // SAFETY: the slice is eight values long.
                    *vector = unsafe { _mm512_loadu_pd(row[8 * k..][..8].as_ptr()) };
                }
                for (lane, vector) in transposed(square).into_iter().enumerate() {
                    let out = &mut out[(8 * k + lane) * stride + 8 * r..][..8];
                    // SAFETY: the slice is eight values long.
                    unsafe { _mm512_storeu_pd(out.as_mut_ptr(), vector) };
                }
            }
        }
        spread_lanes(rows, 8 * eights..lanes, out, stride);
    }

    /// Rows to columns. Written out: closures that do not inline would pass the vectors through memory.
    #[target_feature(enable = "avx512f")]
    #[inline]
    fn transposed(r: [__m512d; 8]) -> [__m512d; 8] {
        let (l01, h01) = (_mm512_unpacklo_pd(r[0], r[1]), _mm512_unpackhi_pd(r[0], r[1]));
        let (l23, h23) = (_mm512_unpacklo_pd(r[2], r[3]), _mm512_unpackhi_pd(r[2], r[3]));
        let (l45, h45) = (_mm512_unpacklo_pd(r[4], r[5]), _mm512_unpackhi_pd(r[4], r[5]));
        let (l67, h67) = (_mm512_unpacklo_pd(r[6], r[7]), _mm512_unpackhi_pd(r[6], r[7]));
        // Columns 0 and 4, and 2 and 6, of the upper and of the lower four rows; then the odd ones.
        let (u04, u26) = (_mm512_shuffle_f64x2::<0x88>(l01, l23), _mm512_shuffle_f64x2::<0xDD>(l01, l23));
        let (d04, d26) = (_mm512_shuffle_f64x2::<0x88>(l45, l67), _mm512_shuffle_f64x2::<0xDD>(l45, l67));
        let (u15, u37) = (_mm512_shuffle_f64x2::<0x88>(h01, h23), _mm512_shuffle_f64x2::<0xDD>(h01, h23));
        let (d15, d37) = (_mm512_shuffle_f64x2::<0x88>(h45, h67), _mm512_shuffle_f64x2::<0xDD>(h45, h67));
        [
            _mm512_shuffle_f64x2::<0x88>(u04, d04),
            _mm512_shuffle_f64x2::<0x88>(u15, d15),
            _mm512_shuffle_f64x2::<0x88>(u26, d26),
            _mm512_shuffle_f64x2::<0x88>(u37, d37),
            _mm512_shuffle_f64x2::<0xDD>(u04, d04),
            _mm512_shuffle_f64x2::<0xDD>(u15, d15),
            _mm512_shuffle_f64x2::<0xDD>(u26, d26),
            _mm512_shuffle_f64x2::<0xDD>(u37, d37),
        ]
    }

    #[target_feature(enable = "avx512f")]
    pub(super) fn compare_512(predicate: Predicate, a: &[f64], b: Right<'_>, out: &mut [u64]) {
        match predicate {
            Predicate::Above => words_512::<_CMP_GT_OQ>(a, b, out),
            Predicate::Below => words_512::<_CMP_LT_OQ>(a, b, out),
            Predicate::AtLeast => words_512::<_CMP_GE_OQ>(a, b, out),
            Predicate::AtMost => words_512::<_CMP_LE_OQ>(a, b, out),
            Predicate::Ordered => words_512::<_CMP_ORD_Q>(a, b, out),
        }
        let whole = a.len() / 64;
        tail(predicate, a, b, out, whole);
    }

    #[target_feature(enable = "avx512f")]
    fn words_512<const OP: i32>(a: &[f64], b: Right<'_>, out: &mut [u64]) {
        let (a, _) = a.as_chunks::<64>();
        match b {
            Right::Constant(b) => {
                let b = _mm512_set1_pd(b);
                for (out, a) in out.iter_mut().zip(a) {
                    let mut word = 0;
                    for a in a.as_chunks::<8>().0.iter().rev() {
                        // SAFETY: eight values are there to load.
                        let a = unsafe { _mm512_loadu_pd(a.as_ptr()) };
                        word = word << 8 | u64::from(_mm512_cmp_pd_mask::<OP>(a, b));
                    }
                    *out = word;
                }
            }
            Right::Values(b) => {
                for ((out, a), b) in out.iter_mut().zip(a).zip(b.as_chunks::<64>().0) {
                    let mut word = 0;
                    for (a, b) in a.as_chunks::<8>().0.iter().zip(b.as_chunks::<8>().0).rev() {
                        // SAFETY: eight values are there to load, twice.
                        let (a, b) = unsafe { (_mm512_loadu_pd(a.as_ptr()), _mm512_loadu_pd(b.as_ptr())) };
                        word = word << 8 | u64::from(_mm512_cmp_pd_mask::<OP>(a, b));
                    }
                    *out = word;
                }
            }
        }
    }

    #[target_feature(enable = "avx512f")]
    pub(super) fn above_and_below_512(a: &[f64], b: &[f64], above: &mut [u64], below: &mut [u64]) {
        let sides = a.as_chunks::<64>().0.iter().zip(b.as_chunks::<64>().0);
        for ((above, below), (a, b)) in above.iter_mut().zip(below.iter_mut()).zip(sides) {
            let (mut greater, mut less) = (0, 0);
            for (a, b) in a.as_chunks::<8>().0.iter().zip(b.as_chunks::<8>().0).rev() {
                // SAFETY: eight values are there to load, twice.
                let (a, b) = unsafe { (_mm512_loadu_pd(a.as_ptr()), _mm512_loadu_pd(b.as_ptr())) };
                greater = greater << 8 | u64::from(_mm512_cmp_pd_mask::<_CMP_GT_OQ>(a, b));
                less = less << 8 | u64::from(_mm512_cmp_pd_mask::<_CMP_LT_OQ>(a, b));
            }
            (*above, *below) = (greater, less);
        }
        let whole = a.len() / 64;
        tail(Predicate::Above, a, Right::Values(b), above, whole);
        tail(Predicate::Below, a, Right::Values(b), below, whole);
    }

    #[target_feature(enable = "avx2")]
    pub(super) fn compare_256(predicate: Predicate, a: &[f64], b: Right<'_>, out: &mut [u64]) {
        match predicate {
            Predicate::Above => words_256::<_CMP_GT_OQ>(a, b, out),
            Predicate::Below => words_256::<_CMP_LT_OQ>(a, b, out),
            Predicate::AtLeast => words_256::<_CMP_GE_OQ>(a, b, out),
            Predicate::AtMost => words_256::<_CMP_LE_OQ>(a, b, out),
            Predicate::Ordered => words_256::<_CMP_ORD_Q>(a, b, out),
        }
        let whole = a.len() / 64;
        tail(predicate, a, b, out, whole);
    }

    #[target_feature(enable = "avx2")]
    fn words_256<const OP: i32>(a: &[f64], b: Right<'_>, out: &mut [u64]) {
        let (a, _) = a.as_chunks::<64>();
        for (w, (out, a)) in out.iter_mut().zip(a).enumerate() {
            let mut word = 0;
            for (k, a) in a.as_chunks::<4>().0.iter().enumerate() {
                // SAFETY: four values are there to load.
                let left = unsafe { _mm256_loadu_pd(a.as_ptr()) };
                let right = match b {
                    Right::Constant(b) => _mm256_set1_pd(b),
                    // SAFETY: the slice is four values long.
                    Right::Values(b) => unsafe { _mm256_loadu_pd(b[64 * w + 4 * k..][..4].as_ptr()) },
                };
                let bits = _mm256_movemask_pd(_mm256_cmp_pd::<OP>(left, right));
                word |= u64::from(bits.cast_unsigned()) << (4 * k);
            }
            *out = word;
        }
    }

    fn tail(predicate: Predicate, a: &[f64], b: Right<'_>, out: &mut [u64], whole: usize) {
        let b = match b {
            Right::Values(b) => Right::Values(&b[64 * whole..]),
            constant @ Right::Constant(_) => constant,
        };
        compare_words(predicate, &a[64 * whole..], b, &mut out[whole..]);
    }

    #[cfg(test)]
    mod tests {
        use super::*;
        use crate::simd::{above_and_below, spread};

        #[test]
        fn the_first_touch_is_found() {
            let value = |k: usize| (k.wrapping_mul(2_654_435_761) >> 7) % 97;
            for n in [1, 15, 16, 17, 32, 33, 100, 300] {
                let lows: Vec<f64> = (0..n).map(|k| 100.0 - value(k) as f64).collect();
                let highs: Vec<f64> = (0..n).map(|k| 200.0 + value(k + 7) as f64).collect();
                let lowest = |c: &[f64]| c.iter().copied().fold(f64::INFINITY, f64::min);
                let highest = |c: &[f64]| c.iter().copied().fold(0.0, f64::max);
                let block_lows: Vec<f64> = lows.chunks(BLOCK).map(lowest).collect();
                let block_highs: Vec<f64> = highs.chunks(BLOCK).map(highest).collect();
                let reach = Reach { lows: &lows, highs: &highs, block_lows: &block_lows, block_highs: &block_highs };
                for from in 0..=n {
                    for to in from..=n {
                        for (floor, ceiling) in
                            [(4.0, 296.0), (10.0, f64::INFINITY), (f64::NEG_INFINITY, 270.0), (1.0, 299.0)]
                        {
                            let candle = (from..to).find(|&k| lows[k] <= floor || highs[k] >= ceiling);
                            let expected = candle.unwrap_or(to);
                            assert_eq!(reach.first_touch(from, to, floor, ceiling), expected, "{from} to {to} of {n}");
                            assert_eq!(reach.first_touch_plain(from, to, floor, ceiling), expected);
                        }
                    }
                }
            }
        }

        #[test]
        fn rows_become_columns() {
            let rows: Vec<[f64; 32]> = (0..24).map(|r| std::array::from_fn(|k| (100 * r + k) as f64)).collect();
            for (n, lanes) in [(0, 3), (5, 32), (8, 32), (16, 9), (24, 31)] {
                let mut out = vec![-1.0; 32 * 24];
                spread(&rows[..n], lanes, &mut out, 24);
                for (k, column) in out.chunks(24).enumerate() {
                    for (r, &value) in column.iter().enumerate() {
                        let expected = if k < lanes && r < n { (100 * r + k) as f64 } else { -1.0 };
                        assert_eq!(value, expected, "row {r} of lane {k}");
                    }
                }
            }
        }

        #[test]
        fn every_width_gives_the_same_bits() {
            let value = |k: usize| [1.0, 2.0, f64::NAN, -0.0, 0.0, 3.0, 2.0][(k * k + k / 3) % 7];
            for n in [0, 1, 63, 64, 65, 130, 256, 257] {
                let a: Vec<f64> = (0..n).map(value).collect();
                let b: Vec<f64> = (0..n).map(|k| value(k + 5)).collect();
                let (mut above, mut below) = (vec![0; n.div_ceil(64)], vec![0; n.div_ceil(64)]);
                above_and_below(&a, Right::Values(&b), &mut above, &mut below);
                let (mut plain_above, mut plain_below) = (above.clone(), below.clone());
                compare_words(Predicate::Above, &a, Right::Values(&b), &mut plain_above);
                compare_words(Predicate::Below, &a, Right::Values(&b), &mut plain_below);
                assert_eq!((above, below), (plain_above, plain_below));
                for right in [Right::Values(&b), Right::Constant(2.0), Right::Constant(0.0)] {
                    for predicate in
                        [Predicate::Above, Predicate::Below, Predicate::AtLeast, Predicate::AtMost, Predicate::Ordered]
                    {
                        let mut plain = vec![0; n.div_ceil(64)];
                        compare_words(predicate, &a, right, &mut plain);
                        let mut wide = vec![u64::MAX; plain.len()];
                        if is_x86_feature_detected!("avx512f") {
                            // SAFETY: the processor has AVX-512F.
                            unsafe { compare_512(predicate, &a, right, &mut wide) };
                            assert_eq!(wide, plain);
                        }
                        if is_x86_feature_detected!("avx2") {
                            // SAFETY: the processor has AVX2.
                            unsafe { compare_256(predicate, &a, right, &mut wide) };
                            assert_eq!(wide, plain);
                        }
                    }
                }
            }
        }
    }
}
