//! Each loop in every width that the processor has, against plain words.

use super::*;
use genome::random::Seed;
use rand::RngExt;

#[test]
fn the_first_touch_is_found() {
    let value = |k: usize| (k.wrapping_mul(2_654_435_761) >> 7) % 97;
    for n in [1, 15, 16, 17, 32, 33, 100, 300] {
        let lows: Vec<f64> = (0..n).map(|k| 100.0 - value(k) as f64).collect();
        let highs: Vec<f64> = (0..n).map(|k| 200.0 + value(k + 7) as f64).collect();
        let lowest = |c: &[f64]| c.iter().copied().fold(f64::INFINITY, f64::min);
        let highest = |c: &[f64]| c.iter().copied().fold(0.0, f64::max);
        let mut block_lows: Vec<f64> = lows.chunks(BLOCK).map(lowest).collect();
        let mut block_highs: Vec<f64> = highs.chunks(BLOCK).map(highest).collect();
        block_lows.resize(block_lows.len().next_multiple_of(8), f64::INFINITY);
        block_highs.resize(block_highs.len().next_multiple_of(8), f64::NEG_INFINITY);
        let reach =
            |width| Reach { width, lows: &lows, highs: &highs, block_lows: &block_lows, block_highs: &block_highs };
        for from in 0..=n {
            for to in from..=n {
                for (floor, ceiling) in [(4.0, 296.0), (10.0, f64::INFINITY), (f64::NEG_INFINITY, 270.0), (1.0, 299.0)]
                {
                    let candle = (from..to).find(|&k| lows[k] <= floor || highs[k] >= ceiling);
                    let expected = candle.unwrap_or(to);
                    for width in Width::all() {
                        let found = reach(width).first_touch(from, to, floor, ceiling);
                        assert_eq!(found, expected, "{from} to {to} of {n}, {}", width.name());
                    }
                }
            }
        }
    }
}

#[test]
fn rows_become_columns() {
    let rows: Vec<[i32; 32]> = (0..24).map(|r| std::array::from_fn(|k| 100 * r + k as i32)).collect();
    for width in Width::all() {
        for (n, lanes) in [(0, 3), (5, 32), (8, 32), (16, 9), (24, 31), (24, 2)] {
            let mut out = vec![-1; 32 * 24];
            spread(width, &rows[..n], lanes, &mut out, 24);
            for (k, column) in out.chunks(24).enumerate() {
                for (r, &value) in column.iter().enumerate() {
                    let expected = if k < lanes && r < n { 100 * r as i32 + k as i32 } else { -1 };
                    assert_eq!(value, expected, "row {r} of lane {k}, {}", width.name());
                }
            }
        }
    }
}

/// Values that are hard to tell apart: zeros of both signs, neighbours, huge and tiny ones.
fn hard(rng: &mut impl RngExt) -> f64 {
    let signed = |magnitude: f64, negative: bool| if negative { -magnitude } else { magnitude };
    let negative = rng.random::<bool>();
    match rng.random_range(0..8_u32) {
        0 => signed(0.0, negative),
        1 => signed(f64::from_bits(rng.random_range(0..9)), negative),
        2 => signed(1.0 + f64::EPSILON * f64::from(rng.random_range(0..4_u32)), negative),
        3 => signed(f64::from(rng.random_range(0..50_u32)), negative),
        4 => signed(f64::from_bits(rng.random_range(0..=f64::MAX.to_bits())), negative),
        5 => signed(f64::from(f32::MAX) * rng.random_range(0.5..2.0), negative),
        6 => f64::MAX,
        _ => rng.random_range(0.0..100.0),
    }
}

#[test]
fn ranks_never_change_the_order() {
    let rng = &mut Seed(21).stream("ranks", 0);
    for _ in 0..200_000 {
        let (a, b) = (hard(rng), hard(rng));
        let (higher, lower) = (rank(a) > rank(b), rank(a) < rank(b));
        assert!(!higher || a > b, "{a:e} is not above {b:e}");
        assert!(!lower || a < b, "{a:e} is not below {b:e}");
        assert!(a != b || rank(a) == rank(b), "{a:e} is {b:e}");
        assert!(rank(a).checked_sub(rank(b)).is_some());
    }
    assert_ne!(rank(100.0), rank(100.000_1));
}

#[test]
fn every_width_orders_ranks_alike() {
    let rng = &mut Seed(22).stream("order", 0);
    for case in 0..300 {
        let words = case % 17;
        let mut ranks = || (0..64 * words).map(|_| rank(hard(rng))).collect::<Vec<_>>();
        let (a, b) = (ranks(), ranks());
        let constant = rank(hard(rng));
        let defined: Vec<u64> = (0..words).map(|_| if case % 3 == 0 { u64::MAX } else { rng.random() }).collect();
        for right in [RightRanks::Values(&b), RightRanks::Values(&a), RightRanks::Constant(constant)] {
            let of = |k: usize| match right {
                RightRanks::Values(b) => b[k],
                RightRanks::Constant(b) => b,
            };
            let bits = |holds: &dyn Fn(usize) -> bool| -> Vec<u64> {
                let word = |w: usize| (0..64).fold(0, |bits, k| bits | u64::from(holds(64 * w + k)) << k);
                (0..words).map(|w| word(w) & defined[w]).collect()
            };
            let (expected_above, expected_below) = (bits(&|k| a[k] > of(k)), bits(&|k| a[k] < of(k)));
            let sure = bits(&|k| a[k] != of(k)) == defined;
            for width in Width::all() {
                let (mut above, mut below) = (vec![7; words], vec![7; words]);
                assert_eq!(order(width, &a, right, &defined, &mut above, &mut below), sure, "{}", width.name());
                assert_eq!((&above, &below), (&expected_above, &expected_below), "{}", width.name());
            }
        }
    }
}

#[test]
fn every_width_compares_alike() {
    let value = |k: usize| [1.0, 2.0, f64::NAN, -0.0, 0.0, 3.0, 2.0][(k * k + k / 3) % 7];
    for n in [0, 1, 63, 64, 65, 130, 256, 257] {
        let a: Vec<f64> = (0..n).map(value).collect();
        let b: Vec<f64> = (0..n).map(|k| value(k + 5)).collect();
        for right in [Right::Values(&b), Right::Constant(2.0), Right::Constant(0.0)] {
            let plain = |predicate| {
                let mut words = vec![0; n.div_ceil(64)];
                compare_words(predicate, &a, right, &mut words);
                words
            };
            for width in Width::all() {
                for predicate in [Predicate::Above, Predicate::Below, Predicate::Ordered] {
                    let mut wide = vec![u64::MAX; n.div_ceil(64)];
                    compare(width, predicate, &a, right, &mut wide);
                    assert_eq!(wide, plain(predicate), "{}", width.name());
                }
                let (mut above, mut below) = (vec![7; n.div_ceil(64)], vec![7; n.div_ceil(64)]);
                above_and_below(width, &a, right, &mut above, &mut below);
                assert_eq!((above, below), (plain(Predicate::Above), plain(Predicate::Below)), "{}", width.name());
            }
        }
    }
}
