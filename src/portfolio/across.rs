//! Operators over the values of all members at one candle. NaN is undefined; fewer than two defined values give none.

use crate::{field::LANES, rolling::finite};
use engine::indicator::rolling::Eight;
use engine::{Wide, widest};
use genome::Across;

/// Values up to which each is compared with each; more are sorted.
pub(crate) const MOST_COMPARED: usize = 128;

/// Puts the operator's value in the place of each member's; undefined for those whose own value is.
pub(crate) fn apply(operator: Across, values: &mut [f64]) {
    let count = values.iter().filter(|v| !v.is_nan()).count();
    if count < 2 {
        values.fill(f64::NAN);
        return;
    }
    if operator == Across::Rank {
        ranks(values, count);
        return;
    }
    let defined = || values.iter().copied().filter(|v| !v.is_nan());
    let mean = mean_of(defined, count);
    match operator {
        Across::Rank => {}
        Across::Demean => values.iter_mut().for_each(|v| *v = finite(*v - mean)),
        Across::ZScore => {
            let squares: f64 = defined().map(|v| (v - mean) * (v - mean)).sum();
            let deviation = (squares / count as f64).sqrt();
            values.iter_mut().for_each(|v| *v = finite((*v - mean) / deviation));
        }
        Across::Relative => values.iter_mut().for_each(|v| *v = finite(*v / mean)),
    }
}

/// Mean of at least one value; that of equal values is that value to the bit.
fn mean_of<I: Iterator<Item = f64>>(values: impl Fn() -> I, count: usize) -> f64 {
    let first = values().next().unwrap_or(f64::NAN);
    first + values().map(|v| v - first).sum::<f64>() / count as f64
}

/// Mean of at least one value; that of equal values is that value to the bit.
pub(crate) fn mean(values: &[f64]) -> f64 {
    mean_of(|| values.iter().copied(), values.len())
}

/// Slope of y on x: covariance over variance; `None` where x does not vary.
pub(crate) fn slope(x: &[f64], y: &[f64]) -> Option<f64> {
    let count = x.len() as f64;
    let (mean_x, mean_y) = (x.iter().sum::<f64>() / count, y.iter().sum::<f64>() / count);
    let square: f64 = x.iter().map(|x| (x - mean_x) * (x - mean_x)).sum();
    let product: f64 = x.iter().zip(y).map(|(x, y)| (x - mean_x) * (y - mean_y)).sum();
    (square > 0.0).then(|| product / square)
}

/// (average rank - 1) / (n - 1) among the `count` defined values, of which there are at least two.
fn ranks(values: &mut [f64], count: usize) {
    let last = (count - 1) as f64;
    if values.len() <= MOST_COMPARED {
        let (mut rows, mut sums) = ([Eight::UNDEFINED; MOST_COMPARED / LANES], [[0; LANES]; MOST_COMPARED / LANES]);
        let rows = &mut rows[..values.len().div_ceil(LANES)];
        for (row, values) in rows.iter_mut().zip(values.chunks(LANES)) {
            row.0[..values.len()].copy_from_slice(values);
        }
        widest(Compared { values, rows, sums: &mut sums });
        for (values, sums) in values.chunks_mut(LANES).zip(&sums) {
            for (value, &sum) in values.iter_mut().zip(sums) {
                // Those below twice and those equal once, itself one of them.
                *value = if value.is_nan() { f64::NAN } else { 0.5 * (sum - 1) as f64 / last };
            }
        }
        return;
    }
    let mut sorted: Vec<f64> = values.iter().copied().filter(|v| !v.is_nan()).collect();
    sorted.sort_unstable_by(f64::total_cmp);
    for value in values.iter_mut().filter(|v| !v.is_nan()) {
        let below = sorted.partition_point(|s| s < value);
        let equal = sorted[below..].partition_point(|s| s <= value);
        *value = (below as f64 + 0.5 * (equal - 1) as f64) / last;
    }
}

/// By value its place in descending order, equal ones in the order in which they stand; nothing where they are too many.
/// All are defined.
pub(crate) fn places<'p>(values: &[f64], places: &'p mut [u32; MOST_COMPARED]) -> Option<&'p [u32]> {
    let places = places.get_mut(..values.len())?;
    let (mut rows, mut greater) = ([Eight::UNDEFINED; MOST_COMPARED / LANES], [[0; LANES]; MOST_COMPARED / LANES]);
    let mut equal = [[0; LANES]; MOST_COMPARED / LANES];
    let rows = &mut rows[..values.len().div_ceil(LANES)];
    for (row, values) in rows.iter_mut().zip(values.chunks(LANES)) {
        row.0[..values.len()].copy_from_slice(values);
    }
    widest(Above { values, rows, greater: &mut greater, equal: &mut equal });
    let counts = greater.as_flattened().iter().zip(equal.as_flattened());
    for (at, (place, (greater, equal))) in places.iter_mut().zip(counts).enumerate() {
        *place = *greater as u32;
        if *equal > 1 {
            *place += values[..at].iter().filter(|v| **v == values[at]).count() as u32;
        }
    }
    Some(places)
}

/// How many of the values are above each, and how many equal it.
struct Above<'a> {
    values: &'a [f64],
    /// The same values, eight a row.
    rows: &'a [Eight],
    greater: &'a mut [[i64; LANES]],
    equal: &'a mut [[i64; LANES]],
}

impl Wide for Above<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        for (row, (greater, equal)) in self.rows.iter().zip(self.greater.iter_mut().zip(self.equal)) {
            let (mut above, mut same) = ([0_i64; LANES], [0_i64; LANES]);
            for &value in self.values {
                for lane in 0..LANES {
                    above[lane] += i64::from(value > row.0[lane]);
                    same[lane] += i64::from(value == row.0[lane]);
                }
            }
            (*greater, *equal) = (above, same);
        }
    }
}

/// How many of the values are below each, and how many are not above it, added up.
struct Compared<'a> {
    values: &'a [f64],
    /// The same values, eight a row.
    rows: &'a [Eight],
    sums: &'a mut [[i64; LANES]],
}

impl Wide for Compared<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        for (row, sums) in self.rows.iter().zip(self.sums) {
            let mut counts = [0_i64; LANES];
            for &value in self.values {
                for (count, x) in counts.iter_mut().zip(row.0) {
                    *count += i64::from(value < x);
                    *count += i64::from(value <= x);
                }
            }
            *sums = counts;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NAN: f64 = f64::NAN;

    fn of(operator: Across, values: &[f64]) -> Vec<f64> {
        let mut values = values.to_vec();
        apply(operator, &mut values);
        values
    }

    fn same(found: &[f64], expected: &[f64]) {
        for (f, e) in found.iter().zip(expected) {
            assert!((f.is_nan() && e.is_nan()) || (f - e).abs() < 1e-12, "{found:?} instead of {expected:?}");
        }
    }

    #[test]
    fn undefined_values_are_left_out() {
        let x = [3.0, NAN, 1.0, 3.0, 5.0];
        same(&of(Across::Rank, &x), &[0.5, NAN, 0.0, 0.5, 1.0]);
        same(&of(Across::Demean, &x), &[0.0, NAN, -2.0, 0.0, 2.0]);
        same(&of(Across::Relative, &x), &[1.0, NAN, 1.0 / 3.0, 1.0, 5.0 / 3.0]);
        let deviation = 2.0_f64.sqrt();
        same(&of(Across::ZScore, &x), &[0.0, NAN, -2.0 / deviation, 0.0, 2.0 / deviation]);
    }

    #[test]
    fn fewer_than_two_values_give_none() {
        for operator in [Across::Rank, Across::Demean, Across::Relative, Across::ZScore] {
            assert!(of(operator, &[1.0, NAN]).iter().all(|v| v.is_nan()));
        }
    }

    #[test]
    fn equal_values_have_no_standard_score() {
        assert!(of(Across::ZScore, &[0.1; 7]).iter().all(|v| v.is_nan()));
        same(&of(Across::Rank, &[0.1; 7]), &[0.5; 7]);
        same(&of(Across::Demean, &[0.1; 7]), &[0.0; 7]);
    }

    proptest! {
        #[test]
        fn places_are_those_of_a_stable_sort(
            values in proptest::collection::vec(prop_oneof![-1e3..1e3_f64, (-2..3).prop_map(f64::from), Just(-0.0)], 0..140)
        ) {
            let mut order: Vec<usize> = (0..values.len()).collect();
            order.sort_by(|a, b| values[*b].partial_cmp(&values[*a]).unwrap_or(std::cmp::Ordering::Equal));
            let mut room = [0; MOST_COMPARED];
            match places(&values, &mut room) {
                None => prop_assert!(values.len() > MOST_COMPARED),
                Some(places) => {
                    for (place, i) in order.iter().enumerate() {
                        prop_assert_eq!(places[*i] as usize, place);
                    }
                }
            }
        }
    }
}
