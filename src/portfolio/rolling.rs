//! Operators over the last n values of a column: NaN is undefined, and a window with an undefined value has none.
//!
//! Columns are cut into runs of defined values, so that what is computed over one run knows nothing of another. Values
//! depend on nothing that comes later.

use crate::ordered;
pub(crate) use engine::indicator::rolling::sum;
use engine::indicator::rolling::{self, Eight, Values};
use genome::Rolling;
use std::ops::Range;

/// The runs of defined values.
fn runs(len: usize, defined: impl Fn(usize) -> bool) -> impl Iterator<Item = Range<usize>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = (at..len).find(|&i| defined(i))?;
        let end = (start..len).find(|&i| !defined(i)).unwrap_or(len);
        at = end;
        Some(start..end)
    })
}

fn undefined(len: usize) -> Vec<f64> {
    vec![f64::NAN; len]
}

/// What is no finite number is undefined.
#[inline(always)]
pub(crate) fn finite(value: f64) -> f64 {
    if value.is_finite() { value } else { f64::NAN }
}

/// Functions of values that are not arithmetic, for one column and for eight.
pub(crate) trait ByLane: Values {
    /// A function of each value.
    fn each(self, function: impl Fn(f64) -> f64) -> Self;
    /// A function of each value and of the others in its place.
    fn each_of(self, y: Self, z: Self, function: impl Fn(f64, f64, f64) -> f64) -> Self;
}

impl ByLane for f64 {
    #[inline(always)]
    fn each(self, function: impl Fn(f64) -> f64) -> Self {
        function(self)
    }
    #[inline(always)]
    fn each_of(self, y: Self, z: Self, function: impl Fn(f64, f64, f64) -> f64) -> Self {
        function(self, y, z)
    }
}

impl ByLane for Eight {
    #[inline(always)]
    fn each(self, function: impl Fn(f64) -> f64) -> Self {
        self.map(function)
    }
    #[inline(always)]
    fn each_of(self, y: Self, z: Self, function: impl Fn(f64, f64, f64) -> f64) -> Self {
        let mut out = self.0;
        for (lane, x) in out.iter_mut().enumerate() {
            *x = function(*x, y.0[lane], z.0[lane]);
        }
        Self(out)
    }
}

/// An operator at each candle.
pub(crate) fn apply(operator: Rolling, values: &[f64], n: usize) -> Vec<f64> {
    let mut out = undefined(values.len());
    match operator {
        Rolling::Delay if n < values.len() => out[n..].copy_from_slice(&values[..values.len() - n]),
        Rolling::Delta => {
            for i in n..values.len() {
                out[i] = finite(values[i] - values[i - n]);
            }
        }
        Rolling::Delay => {}
        _ => {
            for run in runs(values.len(), |i| !values[i].is_nan()) {
                match operator {
                    Rolling::TsRank => ordered::ranks(&values[run.clone()], n, &mut out[run]),
                    _ => windowed(operator, &values[run.clone()], n, &mut out[run]),
                }
            }
        }
    }
    out
}

/// Over values that are all defined: every operator whose work on eight columns is that on one.
#[inline(always)]
pub(crate) fn windowed<T: ByLane>(operator: Rolling, values: &[T], n: usize, out: &mut [T]) {
    let count = n as f64;
    match operator {
        Rolling::Mean => rolling::mean(values, n, |i, mean| out[i] = mean.each(finite)),
        Rolling::Sum => rolling::sum(values, n, |i, sum| out[i] = sum.each(finite)),
        Rolling::Highest => rolling::max(values, n, |i, max| out[i] = max),
        Rolling::Lowest => rolling::min(values, n, |i, min| out[i] = min),
        Rolling::Deviation => rolling::squared_deviations(values, n, |i, squares| {
            out[i] = squares.each(|squares| finite((squares / count).sqrt()));
        }),
        Rolling::Decay => {
            let weights = T::of(0.5 * count * (count + 1.0));
            rolling::weighted(values, n, |i, w| out[i] = (w.reference + w.weighted / weights).each(finite));
        }
        Rolling::Delay | Rolling::Delta | Rolling::TsRank => {}
    }
}

/// Moments of pairs, joined as Chan, Golub and LeVeque (1983) join them.
#[derive(Clone, Copy)]
struct Pairs<T> {
    count: f64,
    x: T,
    y: T,
    xx: T,
    yy: T,
    xy: T,
}

impl<T: Values> Pairs<T> {
    #[inline(always)]
    fn of(x: T, y: T) -> Self {
        let zero = T::of(0.0);
        Self { count: 1.0, x, y, xx: zero, yy: zero, xy: zero }
    }

    #[inline(always)]
    fn join(self, other: Self) -> Self {
        let count = self.count + other.count;
        let share = other.count / count;
        let (dx, dy) = (other.x - self.x, other.y - self.y);
        let weight = T::of(self.count * share);
        let share = T::of(share);
        Self {
            count,
            x: self.x + dx * share,
            y: self.y + dy * share,
            xx: self.xx + other.xx + dx * dx * weight,
            yy: self.yy + other.yy + dy * dy * weight,
            xy: self.xy + other.xy + dx * dy * weight,
        }
    }
}

#[inline(always)]
fn paired<T: ByLane>(x: &[T], y: &[T], n: usize, put: impl FnMut(usize, Pairs<T>)) {
    rolling::fold(x.len(), n, |i| Pairs::of(x[i], y[i]), Pairs::join, put);
}

/// Pearson's correlation of the last n pairs, all defined.
#[inline(always)]
pub(crate) fn correlations<T: ByLane>(x: &[T], y: &[T], n: usize, out: &mut [T]) {
    let of = |xy: f64, xx: f64, yy: f64| {
        if xx > 0.0 && yy > 0.0 { finite((xy / (xx.sqrt() * yy.sqrt())).clamp(-1.0, 1.0)) } else { f64::NAN }
    };
    paired(x, y, n, |i, p| out[i] = p.xy.each_of(p.xx, p.yy, of));
}

/// Slope of the last n values of y on those of x, all defined.
#[inline(always)]
pub(crate) fn slopes<T: ByLane>(x: &[T], y: &[T], n: usize, out: &mut [T]) {
    let of = |xy: f64, xx: f64, _| if xx > 0.0 { finite(xy / xx) } else { f64::NAN };
    paired(x, y, n, |i, p| out[i] = p.xy.each_of(p.xx, p.yy, of));
}

fn of_runs(x: &[f64], y: &[f64], each: impl Fn(&[f64], &[f64], &mut [f64])) -> Vec<f64> {
    let mut out = undefined(x.len());
    for run in runs(x.len(), |i| !x[i].is_nan() && !y[i].is_nan()) {
        each(&x[run.clone()], &y[run.clone()], &mut out[run]);
    }
    out
}

/// Pearson's correlation of the last n pairs, in [-1, 1]; undefined where one side does not vary.
pub(crate) fn correlation(x: &[f64], y: &[f64], n: usize) -> Vec<f64> {
    of_runs(x, y, |x, y, out| correlations(x, y, n, out))
}

/// Slope of the last n values of y on those of x; undefined where x does not vary.
pub(crate) fn slope(x: &[f64], y: &[f64], n: usize) -> Vec<f64> {
    of_runs(x, y, |x, y, out| slopes(x, y, n, out))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAN: f64 = f64::NAN;

    fn same(found: &[f64], expected: &[f64]) {
        assert_eq!(found.len(), expected.len());
        for (f, e) in found.iter().zip(expected) {
            assert!((f.is_nan() && e.is_nan()) || (f - e).abs() < 1e-12, "{found:?} instead of {expected:?}");
        }
    }

    #[test]
    fn a_window_with_an_undefined_value_has_none() {
        let x = [1.0, 3.0, NAN, 2.0, 6.0, 4.0];
        same(&apply(Rolling::Mean, &x, 2), &[NAN, 2.0, NAN, NAN, 4.0, 5.0]);
        same(&apply(Rolling::Sum, &x, 3), &[NAN, NAN, NAN, NAN, NAN, 12.0]);
        same(&apply(Rolling::Highest, &x, 2), &[NAN, 3.0, NAN, NAN, 6.0, 6.0]);
        same(&apply(Rolling::Lowest, &x, 2), &[NAN, 1.0, NAN, NAN, 2.0, 4.0]);
        same(&apply(Rolling::Deviation, &x, 2), &[NAN, 1.0, NAN, NAN, 2.0, 1.0]);
        same(&apply(Rolling::Decay, &x, 2), &[NAN, 7.0 / 3.0, NAN, NAN, 14.0 / 3.0, 14.0 / 3.0]);
        same(&apply(Rolling::Delay, &x, 1), &[NAN, 1.0, 3.0, NAN, 2.0, 6.0]);
        same(&apply(Rolling::Delta, &x, 1), &[NAN, 2.0, NAN, NAN, 4.0, -2.0]);
        same(&apply(Rolling::Delay, &x, 9), &[NAN; 6]);
    }

    #[test]
    fn ranks_in_time_share_ties() {
        let x = [5.0, 5.0, 7.0, 1.0, 1.0];
        same(&apply(Rolling::TsRank, &x, 3), &[NAN, NAN, 1.0, 0.0, 0.25]);
    }

    #[test]
    fn slopes_and_correlations() {
        let (x, y) = ([0.0, 1.0, 2.0, 2.0, 2.0], [1.0, 3.0, 5.0, 0.0, 1.0]);
        same(&slope(&x, &y, 3), &[NAN, NAN, 2.0, -0.5, NAN]);
        same(&correlation(&x, &y, 3)[..3], &[NAN, NAN, 1.0]);
        assert!(correlation(&x, &y, 3)[4].is_nan(), "what does not vary has no correlation");
    }
}
