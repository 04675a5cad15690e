//! The loops of [`super`] for AVX2 and AVX-512. Whoever calls them has asked the processor, and says so.
//!
//! Lengths are the caller's affair.

use super::{BLOCK, Predicate, Reach, Right, RightRanks, Wide, compare_words};
use std::arch::x86_64::{
    __m256i, __m512i, _CMP_GE_OQ, _CMP_GT_OQ, _CMP_LE_OQ, _CMP_LT_OQ, _CMP_ORD_Q, _mm_loadu_ps, _mm256_castps128_ps256,
    _mm256_cmp_pd, _mm256_cmpgt_epi8, _mm256_insertf128_ps, _mm256_loadu_pd, _mm256_loadu_si256, _mm256_movemask_epi8,
    _mm256_movemask_pd, _mm256_or_pd, _mm256_packs_epi16, _mm256_packs_epi32, _mm256_permutevar8x32_epi32,
    _mm256_set1_epi32, _mm256_set1_pd, _mm256_setr_epi32, _mm256_setzero_si256, _mm256_shuffle_ps, _mm256_storeu_ps,
    _mm256_sub_epi32, _mm256_unpackhi_ps, _mm256_unpacklo_ps, _mm512_cmp_pd_mask, _mm512_cmpgt_epi32_mask,
    _mm512_cmplt_epi32_mask, _mm512_loadu_pd, _mm512_loadu_si512, _mm512_mask_cmp_pd_mask, _mm512_maskz_loadu_pd,
    _mm512_set1_epi32, _mm512_set1_pd,
};

#[target_feature(enable = "avx512f,avx512vl,bmi1,popcnt")]
pub(super) fn with_512<W: Wide>(work: W) -> W::Output {
    work.run()
}

#[target_feature(enable = "avx2,bmi1,popcnt")]
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

/// As [`Reach::first_touch`], of parts that belong together and hold a block at the least, `from` below `to` and
/// `to` not past the last candle.
///
/// # Safety
/// All of that, and the processor has AVX2.
#[target_feature(enable = "avx2,bmi1")]
#[inline]
pub(super) unsafe fn first_touch_256(reach: Reach<'_>, from: usize, to: usize, floor: f64, ceiling: f64) -> usize {
    let last = reach.lows.len() - BLOCK;
    let (floor, ceiling) = (_mm256_set1_pd(floor), _mm256_set1_pd(ceiling));
    // Which of four neighbours from number `at` on are outside.
    let outside = |lows: &[f64], highs: &[f64], at: usize| {
        // SAFETY: what is asked for are blocks, or a block of candles that is there as a whole.
        let (lows, highs) = unsafe {
            (_mm256_loadu_pd(lows.as_ptr().wrapping_add(at)), _mm256_loadu_pd(highs.as_ptr().wrapping_add(at)))
        };
        let (below, above) = (_mm256_cmp_pd::<_CMP_LE_OQ>(lows, floor), _mm256_cmp_pd::<_CMP_GE_OQ>(highs, ceiling));
        _mm256_movemask_pd(_mm256_or_pd(below, above)).cast_unsigned()
    };
    // Of the 16 candles of a block those from `from` on and before `to`. The last block may lack some: then the last
    // sixteen are looked at, of which it is the end.
    let in_block = |start: usize| {
        let at = start.min(last);
        let (lows, highs) = (reach.lows, reach.highs);
        let pairs = outside(lows, highs, at) | outside(lows, highs, at + 4) << 4;
        let touched = pairs | outside(lows, highs, at + 8) << 8 | outside(lows, highs, at + 12) << 12;
        let after = u32::MAX << from.saturating_sub(start).min(BLOCK);
        touched >> (start - at) & after & ((1_u32 << (to - start).min(BLOCK)) - 1)
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
        // Not past the end of the blocks, of which there are as many as eight divides.
        let at = block & !3;
        let (lows, highs) = (reach.block_lows, reach.block_highs);
        let blocks = outside(lows, highs, at) & (u32::MAX << (block - at));
        if blocks != 0 {
            let block = at + blocks.trailing_zeros() as usize;
            // Only the last block reaches past `to`, and may be touched there; those after it do not count.
            let touched = if block < end { in_block(BLOCK * block) } else { 0 };
            return if touched == 0 { to } else { BLOCK * block + touched.trailing_zeros() as usize };
        }
        block = at + 4;
    }
    to
}

/// As [`super::spread`], for a number of rows and of lanes a row that eight divides.
#[target_feature(enable = "avx2")]
#[inline]
pub(super) fn spread_256<const N: usize>(rows: &[[i32; N]], lanes: usize, out: &mut [i32], stride: usize) {
    // Four values of a row below those of the row four after it.
    let pair = |rows: &[[i32; N]; 8], r: usize, k: usize| {
        let (low, high) = (rows[r][k..][..4].as_ptr().cast(), rows[r + 4][k..][..4].as_ptr().cast());
        // SAFETY: the slices are four values long.
        let (low, high) = unsafe { (_mm_loadu_ps(low), _mm_loadu_ps(high)) };
        _mm256_insertf128_ps::<1>(_mm256_castps128_ps256(low), high)
    };
    // All rows of four lanes first: a cache line is whole when it is left.
    for k in (0..lanes).step_by(4) {
        for (r, rows) in rows.as_chunks::<8>().0.iter().enumerate() {
            let [a, b, c, d] = [pair(rows, 0, k), pair(rows, 1, k), pair(rows, 2, k), pair(rows, 3, k)];
            let (low_ab, high_ab) = (_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
            let (low_cd, high_cd) = (_mm256_unpacklo_ps(c, d), _mm256_unpackhi_ps(c, d));
            let columns = [
                _mm256_shuffle_ps::<0x44>(low_ab, low_cd),
                _mm256_shuffle_ps::<0xEE>(low_ab, low_cd),
                _mm256_shuffle_ps::<0x44>(high_ab, high_cd),
                _mm256_shuffle_ps::<0xEE>(high_ab, high_cd),
            ];
            for (lane, column) in (k..lanes).zip(columns) {
                let out = &mut out[lane * stride + 8 * r..][..8];
                // SAFETY: the slice is eight values long.
                unsafe { _mm256_storeu_ps(out.as_mut_ptr().cast(), column) };
            }
        }
    }
}

/// As [`super::order`], of as many words on each side.
#[target_feature(enable = "avx2")]
pub(super) fn order_256(
    a: &[[i32; 64]],
    b: RightRanks<'_>,
    defined: &[u64],
    above: &mut [u64],
    below: &mut [u64],
) -> bool {
    let words = a.iter().zip(defined).zip(above.iter_mut().zip(below));
    let mut unsure = 0;
    let mut tell = |sides: [u64; 2], defined: u64, above: &mut u64, below: &mut u64| {
        unsure |= defined & !(sides[0] | sides[1]);
        (*above, *below) = (sides[0] & defined, sides[1] & defined);
    };
    match b {
        RightRanks::Values(b) => {
            for (((a, defined), (above, below)), b) in words.zip(b.as_chunks::<64>().0) {
                let [first, last] = [sides_256(half(a, 0), half(b, 0)), sides_256(half(a, 32), half(b, 32))];
                tell([first[0] | last[0] << 32, first[1] | last[1] << 32], *defined, above, below);
            }
        }
        RightRanks::Constant(b) => {
            let b = [_mm256_set1_epi32(b); 4];
            for ((a, defined), (above, below)) in words {
                let [first, last] = [sides_256(half(a, 0), b), sides_256(half(a, 32), b)];
                tell([first[0] | last[0] << 32, first[1] | last[1] << 32], *defined, above, below);
            }
        }
    }
    unsure == 0
}

/// 32 ranks from `at` on.
#[target_feature(enable = "avx2")]
#[inline]
fn half(ranks: &[i32; 64], at: usize) -> [__m256i; 4] {
    let ranks = ranks[at..][..32].as_ptr().cast::<__m256i>();
    // SAFETY: four times eight ranks are there to load.
    unsafe {
        [
            _mm256_loadu_si256(ranks),
            _mm256_loadu_si256(ranks.add(1)),
            _mm256_loadu_si256(ranks.add(2)),
            _mm256_loadu_si256(ranks.add(3)),
        ]
    }
}

/// Bits of where `a` is above and where it is below `b`: differences packed to bytes, which keep their signs.
#[target_feature(enable = "avx2")]
#[inline]
fn sides_256(a: [__m256i; 4], b: [__m256i; 4]) -> [u64; 2] {
    let low = _mm256_packs_epi32(_mm256_sub_epi32(a[0], b[0]), _mm256_sub_epi32(a[1], b[1]));
    let high = _mm256_packs_epi32(_mm256_sub_epi32(a[2], b[2]), _mm256_sub_epi32(a[3], b[3]));
    // Packed, eight differences are four bytes here and four there: put side by side again.
    let order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    let bytes = _mm256_permutevar8x32_epi32(_mm256_packs_epi16(low, high), order);
    let above = _mm256_cmpgt_epi8(bytes, _mm256_setzero_si256());
    [above, bytes].map(|signs| u64::from(_mm256_movemask_epi8(signs).cast_unsigned()))
}

/// As [`super::order`], of as many words on each side.
#[target_feature(enable = "avx512f")]
pub(super) fn order_512(
    a: &[[i32; 64]],
    b: RightRanks<'_>,
    defined: &[u64],
    above: &mut [u64],
    below: &mut [u64],
) -> bool {
    let words = a.iter().zip(defined).zip(above.iter_mut().zip(below));
    let mut unsure = 0;
    let mut tell = |sides: [u64; 2], defined: u64, above: &mut u64, below: &mut u64| {
        unsure |= defined & !(sides[0] | sides[1]);
        (*above, *below) = (sides[0] & defined, sides[1] & defined);
    };
    match b {
        RightRanks::Values(b) => {
            for (((a, defined), (above, below)), b) in words.zip(b.as_chunks::<64>().0) {
                tell(sides_512(sixteens(a), sixteens(b)), *defined, above, below);
            }
        }
        RightRanks::Constant(b) => {
            let b = [_mm512_set1_epi32(b); 4];
            for ((a, defined), (above, below)) in words {
                tell(sides_512(sixteens(a), b), *defined, above, below);
            }
        }
    }
    unsure == 0
}

#[target_feature(enable = "avx512f")]
#[inline]
fn sixteens(ranks: &[i32; 64]) -> [__m512i; 4] {
    let ranks = ranks.as_ptr().cast::<__m512i>();
    // SAFETY: four times sixteen ranks are there to load.
    unsafe {
        [
            _mm512_loadu_si512(ranks),
            _mm512_loadu_si512(ranks.add(1)),
            _mm512_loadu_si512(ranks.add(2)),
            _mm512_loadu_si512(ranks.add(3)),
        ]
    }
}

/// Bits of where `a` is above and where it is below `b`.
#[target_feature(enable = "avx512f")]
#[inline]
fn sides_512(a: [__m512i; 4], b: [__m512i; 4]) -> [u64; 2] {
    let (mut above, mut below) = (0, 0);
    for k in 0..4 {
        above |= u64::from(_mm512_cmpgt_epi32_mask(a[k], b[k])) << (16 * k);
        below |= u64::from(_mm512_cmplt_epi32_mask(a[k], b[k])) << (16 * k);
    }
    [above, below]
}

#[target_feature(enable = "avx512f")]
pub(super) fn compare_512(predicate: Predicate, a: &[f64], b: Right<'_>, out: &mut [u64]) {
    match predicate {
        Predicate::Above => words_512::<_CMP_GT_OQ>(a, b, out),
        Predicate::Below => words_512::<_CMP_LT_OQ>(a, b, out),
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
