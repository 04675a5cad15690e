//! Ranks in time over long windows, of values that are all defined.
//!
//! Each value is replaced by its place in the order of a stretch of the column. Places are small whole numbers, of which the
//! processor compares many at once: so a window costs a fraction of what it costs to compare its values, and the order
//! is made once for all windows of the stretch.

use engine::{Wide, widest};
use genome::Expression;
use std::cmp::Ordering;

/// Candles of a window from which on this is faster than comparing the values of eight columns side by side: with AVX-512; where
/// vectors are narrower, from half as many on.
pub(crate) const LEAST: usize = 180;
/// Values of a stretch: their places fit an `i16`. It holds any window, and mostly far more than one.
const STRETCH: usize = 32_000;
const _: () = assert!(2 * Expression::MAX_CANDLES as usize <= STRETCH);
/// Values whose upper halves are alike up to which they are put in order by insertion.
const FEW: usize = 24;
const DIGIT_BITS: u32 = 11;
const DIGITS: usize = 1 << DIGIT_BITS;

/// (average rank - 1) / (n - 1) of the newest of the last `n` values, where there are as many; `n` is from 2 to
/// [`Expression::MAX_CANDLES`].
pub(crate) fn ranks(values: &[f64], n: usize, out: &mut [f64]) {
    let mut order = Order::default();
    let mut from = 0;
    // Stretches overlap by what a window looks back.
    while from + n <= values.len() {
        let end = values.len().min(from + STRETCH);
        order.make(&values[from..end]);
        widest(Counted { order: &order, n, out: &mut out[from..end] });
        from = end + 1 - n;
    }
}

/// The order of a stretch of values.
#[derive(Default)]
struct Order {
    /// Upper half of a value's bits in an order of whole numbers, then its number.
    keys: Vec<u64>,
    spare: Vec<u64>,
    /// By value its place in ascending order; equal ones in the order in which they stand.
    place: Vec<i16>,
    /// By value the first place of those equal to it, and one past the last; empty where no two are equal.
    equal: Vec<(i16, i16)>,
}

impl Order {
    fn make(&mut self, values: &[f64]) {
        self.keys.clear();
        self.keys.extend((0..).zip(values).map(|(number, value)| u64::from(upper(*value)) << 32 | number));
        self.spare.resize(values.len(), 0);
        self.place.resize(values.len(), 0);
        self.equal.clear();
        let mut counts = [[0_u32; DIGITS]; 3];
        for key in &self.keys {
            for (counts, at) in counts.iter_mut().zip(0..) {
                counts[digit(*key, at)] += 1;
            }
        }
        for (counts, at) in counts.iter_mut().zip(0..) {
            if counts[digit(self.keys[0], at)] as usize != values.len() {
                put_in_order(&self.keys, &mut self.spare, counts, at);
                std::mem::swap(&mut self.keys, &mut self.spare);
            }
        }
        let mut at = 0;
        while at < self.keys.len() {
            let upper = self.keys[at] >> 32;
            let mut end = at + 1;
            while end < self.keys.len() && self.keys[end] >> 32 == upper {
                end += 1;
            }
            if end == at + 1 {
                self.place[number(self.keys[at])] = at as i16;
            } else {
                self.place_alike(values, at, end);
            }
            at = end;
        }
    }

    /// Values whose upper halves are alike.
    fn place_alike(&mut self, values: &[f64], at: usize, end: usize) {
        let group = &mut self.keys[at..end];
        let value = |key: u64| values[number(key)];
        if group.len() > FEW {
            // Stable: equal ones stay as they stand.
            group.sort_by(|a, b| value(*a).partial_cmp(&value(*b)).unwrap_or(Ordering::Equal));
        } else {
            for i in 1..group.len() {
                let mut k = i;
                while k > 0 && value(group[k]) < value(group[k - 1]) {
                    group.swap(k, k - 1);
                    k -= 1;
                }
            }
        }
        let mut start = 0;
        while start < group.len() {
            let equal = 1 + group[start + 1..].iter().take_while(|key| value(**key) == value(group[start])).count();
            let first = (at + start) as i16;
            if equal > 1 && self.equal.is_empty() {
                self.equal.resize(values.len(), NO_OTHER);
            }
            for (place, key) in (first..).zip(&group[start..start + equal]) {
                self.place[number(*key)] = place;
                if equal > 1 {
                    self.equal[number(*key)] = (first, first + equal as i16);
                }
            }
            start += equal;
        }
    }
}

/// In place of where equal ones are: there is none.
const NO_OTHER: (i16, i16) = (0, 0);

/// The number of a key's value.
#[inline(always)]
fn number(key: u64) -> usize {
    (key & u64::from(u32::MAX)) as usize
}

#[inline(always)]
fn digit(key: u64, at: u32) -> usize {
    (key >> (32 + at * DIGIT_BITS)) as usize % DIGITS
}

/// The upper half of the bits of a value as a whole number in the order of the values; 0 and -0 are one.
#[inline(always)]
fn upper(value: f64) -> u32 {
    let bits = (value + 0.0).to_bits();
    let flipped = if bits >> 63 == 1 { !bits } else { bits | 1 << 63 };
    (flipped >> 32) as u32
}

/// Puts keys in the order of a digit, of which `counts` says how often each is there; equal ones as they stand.
fn put_in_order(keys: &[u64], into: &mut [u64], counts: &mut [u32; DIGITS], at: u32) {
    let mut sum = 0;
    for count in counts.iter_mut() {
        sum += std::mem::replace(count, sum);
    }
    for key in keys {
        let next = &mut counts[digit(*key, at)];
        into[*next as usize] = *key;
        *next += 1;
    }
}

struct Counted<'a> {
    order: &'a Order,
    n: usize,
    out: &'a mut [f64],
}

impl Wide for Counted<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let last = (self.n - 1) as f64;
        let Order { place, equal, .. } = self.order;
        let newest = place[self.n - 1..].iter().zip(place.windows(self.n)).zip(&mut self.out[self.n - 1..]);
        if equal.is_empty() {
            newest.for_each(|((newest, window), out)| *out = f64::from(before(window, *newest)) / last);
            return;
        }
        for (((newest, window), out), equal) in newest.zip(&equal[self.n - 1..]) {
            // Half of those below and half of those not above, itself left out.
            let twice = if *equal == NO_OTHER {
                2 * before(window, *newest)
            } else {
                before(window, equal.0) + before(window, equal.1) - 1
            };
            *out = 0.5 * f64::from(twice) / last;
        }
    }
}

/// How many places are before one. Counted in 16 bits, as the places are, so that a vector holds as many counts.
#[inline(always)]
fn before(places: &[i16], end: i16) -> i32 {
    i32::from(places.iter().map(|place| i16::from(*place < end)).sum::<i16>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// By looking at each window anew.
    fn by_hand(values: &[f64], n: usize) -> Vec<f64> {
        let of = |window: &[f64]| {
            let newest = window[n - 1];
            let below = window.iter().filter(|x| **x < newest).count() as f64;
            let equal = window.iter().filter(|x| **x == newest).count() as f64;
            // Ranks below + 1 to below + equal share their mean.
            let average = below + (equal + 1.0) / 2.0;
            (average - 1.0) / (n - 1) as f64
        };
        std::iter::repeat_n(f64::NAN, n - 1).chain(values.windows(n).map(of)).take(values.len()).collect()
    }

    fn same(values: &[f64], n: usize) {
        let mut found = vec![f64::NAN; values.len()];
        ranks(values, n, &mut found);
        for (at, (found, expected)) in found.iter().zip(by_hand(values, n)).enumerate() {
            assert!(found.to_bits() == expected.to_bits(), "at {at} of {}, n {n}: {found}, {expected}", values.len());
        }
    }

    fn value() -> impl Strategy<Value = f64> {
        let odd = [0.0, -0.0, f64::MIN_POSITIVE, -f64::MIN_POSITIVE, 5e-324, -5e-324, f64::MAX, f64::MIN];
        prop_oneof![
            8 => -1e3..1e3_f64,
            8 => (-9..9).prop_map(f64::from),
            // Alike in the upper half of their bits.
            8 => (-99..99_i64).prop_map(|k| f64::from_bits(1.5_f64.to_bits().wrapping_add_signed(k))),
            2 => (-99..99_i64).prop_map(|k| -f64::from_bits(1.5_f64.to_bits().wrapping_add_signed(k))),
            2 => proptest::sample::select(odd.to_vec()),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]
        #[test]
        fn ranks_are_those_of_each_window(values in proptest::collection::vec(value(), 0..400), n in 2..200_usize) {
            same(&values, n);
        }
    }

    #[test]
    fn long_columns_are_ranked_a_stretch_at_a_time() {
        let mut state = 7_u64;
        let mut next = move |many: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % many
        };
        for many in [1, 3, 1_000, 1 << 31] {
            let values: Vec<f64> = (0..70_001).map(|_| next(many) as f64 / 7.0).collect();
            same(&values, 73);
        }
        // Windows as long as they may be, of values that are all equal and of such that only rise.
        let most = Expression::MAX_CANDLES as usize;
        same(&vec![0.25; STRETCH + 5], most);
        same(&(0..STRETCH + 5).map(|i| i as f64).collect::<Vec<_>>(), most);
    }
}
