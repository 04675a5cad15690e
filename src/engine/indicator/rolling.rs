//! Sliding windows at O(1) a candle that neither drift nor cancel.
//!
//! Time is cut into blocks of the window's length, counted from the first value. A window is then the end of one
//! block and the beginning of the next: its total is a suffix total of the former joined with a prefix total of the
//! latter (van Herk 1992, Gil and Werman 1993). Nothing is ever subtracted, so an outlier leaves no trace once it is
//! out of the window, a window of zeros totals zero, and a value depends on nothing that comes later.
//!
//! Never yields a window that is not full. All but [`fold`] take one column ([`f64`]) or eight beside each other ([`Eight`]),
//! which give the same bits.

use std::ops::{Add, Div, Mul, Sub};

/// A value of a column, or one of each of several columns.
pub trait Values: Copy + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self> + Div<Output = Self> {
    /// This number in every column.
    fn of(number: f64) -> Self;
    /// The other where it is greater, else this.
    #[must_use]
    fn greater(self, other: Self) -> Self;
    /// The other where it is less, else this.
    #[must_use]
    fn lesser(self, other: Self) -> Self;
}

impl Values for f64 {
    #[inline(always)]
    fn of(number: f64) -> Self {
        number
    }
    #[inline(always)]
    fn greater(self, other: Self) -> Self {
        if other > self { other } else { self }
    }
    #[inline(always)]
    fn lesser(self, other: Self) -> Self {
        if other < self { other } else { self }
    }
}

/// A value of each of eight columns: a vector, or two, of the processor.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(align(64))]
pub struct Eight(pub [f64; 8]);

impl Eight {
    /// All undefined.
    pub const UNDEFINED: Self = Self([f64::NAN; 8]);

    /// A function of each value.
    #[inline(always)]
    #[must_use]
    pub fn map(self, function: impl Fn(f64) -> f64) -> Self {
        let mut out = self.0;
        for x in &mut out {
            *x = function(*x);
        }
        Self(out)
    }

    /// A function of each value and the other's in its place.
    #[inline(always)]
    #[must_use]
    pub fn zip(self, other: Self, function: impl Fn(f64, f64) -> f64) -> Self {
        let mut out = self.0;
        for (x, y) in out.iter_mut().zip(other.0) {
            *x = function(*x, y);
        }
        Self(out)
    }
}

macro_rules! by_lane {
    ($($operator:ident $name:ident),*) => {
        $(impl $operator for Eight {
            type Output = Self;
            #[inline(always)]
            fn $name(self, other: Self) -> Self {
                self.zip(other, $operator::$name)
            }
        })*
    };
}
by_lane!(Add add, Sub sub, Mul mul, Div div);

impl Values for Eight {
    #[inline(always)]
    fn of(number: f64) -> Self {
        Self([number; 8])
    }
    #[inline(always)]
    fn greater(self, other: Self) -> Self {
        self.zip(other, Values::greater)
    }
    #[inline(always)]
    fn lesser(self, other: Self) -> Self {
        self.zip(other, Values::lesser)
    }
}

/// Calls `put(i, total)` for each window of `n` elements that ends at element `i`. `join` must be associative.
#[inline(always)]
pub fn fold<T: Copy>(
    len: usize,
    n: usize,
    element: impl Fn(usize) -> T,
    join: impl Fn(T, T) -> T,
    mut put: impl FnMut(usize, T),
) {
    if n == 0 || len < n {
        return;
    }
    // suffixes[k]: total of the previous block from its element k on.
    let mut suffixes: Vec<T> = vec![element(0); n];
    for start in (0..len).step_by(n) {
        let end = (start + n).min(len);
        let mut prefix = element(start);
        for i in start..end {
            if i > start {
                prefix = join(prefix, element(i));
            }
            let inside = i - start + 1;
            if inside == n {
                put(i, prefix);
            } else if start > 0 {
                put(i, join(suffixes[inside], prefix));
            }
        }
        if end - start == n {
            let mut suffix = element(end - 1);
            suffixes[n - 1] = suffix;
            for k in (1..n - 1).rev() {
                suffix = join(element(start + k), suffix);
                suffixes[k] = suffix;
            }
        }
    }
}

/// Sums of the last `n` values.
#[inline(always)]
pub fn sum<T: Values>(values: &[T], n: usize, put: impl FnMut(usize, T)) {
    fold(values.len(), n, |i| values[i], |a, b| a + b, put);
}

/// Greatest of the last `n` values.
#[inline(always)]
pub fn max<T: Values>(values: &[T], n: usize, put: impl FnMut(usize, T)) {
    fold(values.len(), n, |i| values[i], T::greater, put);
}

/// Least of the last `n` values.
#[inline(always)]
pub fn min<T: Values>(values: &[T], n: usize, put: impl FnMut(usize, T)) {
    fold(values.len(), n, |i| values[i], T::lesser, put);
}

/// Means of the last `n` values. The mean of equal values is that value to the bit.
#[inline(always)]
pub fn mean<T: Values>(values: &[T], n: usize, mut put: impl FnMut(usize, T)) {
    let divisor = T::of(n as f64);
    weighted(values, n, |i, w| put(i, w.reference + w.sum / divisor));
}

/// Plain and weighted sums over one window, as differences from `reference`, which is a value near the window.
#[derive(Clone, Copy, Debug)]
pub struct Weighted<T> {
    /// What all sums are relative to.
    pub reference: T,
    /// Sum of x - reference.
    pub sum: T,
    /// Sum of k (x - reference), k = 1 for the oldest value to n for the newest.
    pub weighted: T,
}

/// Plain and linearly weighted sums of the last `n` values.
///
/// Prefixes are relative to their block's first value and suffixes to their block's last, so differences are small
/// and those of equal values vanish.
#[inline(always)]
pub fn weighted<T: Values>(values: &[T], n: usize, mut put: impl FnMut(usize, Weighted<T>)) {
    if n == 0 || values.len() < n {
        return;
    }
    let zero = T::of(0.0);
    let mut suffixes = vec![(zero, zero); n];
    let mut last = zero;
    for (number, block) in values.chunks(n).enumerate() {
        let start = number * n;
        let reference = block[0];
        let step = last - reference;
        let (mut sum, mut weighted) = (zero, zero);
        for (k, &x) in block.iter().enumerate() {
            sum = sum + (x - reference);
            weighted = weighted + T::of((k + 1) as f64) * (x - reference);
            if k + 1 == n {
                put(start + k, Weighted { reference, sum, weighted });
            } else if number > 0 {
                let (old_sum, old_weighted) = suffixes[k + 1];
                let before = (n - k - 1) as f64;
                let sums = (old_sum + T::of(before) * step) + sum;
                let old_weighted = old_weighted + T::of(0.5 * before * (before + 1.0)) * step;
                let weighted = old_weighted + (weighted + T::of(before) * sum);
                put(start + k, Weighted { reference, sum: sums, weighted });
            }
        }
        if block.len() == n {
            last = block[n - 1];
            let (mut sum, mut weighted) = (zero, zero);
            for k in (1..n).rev() {
                // Everything newer moves up by one weight, and this value takes weight 1.
                sum = sum + (block[k] - last);
                weighted = weighted + sum;
                suffixes[k] = (sum, weighted);
            }
        }
    }
}

/// Sums of squared deviations from the mean of the last `n` values: never negative, zero when all are equal.
///
/// Blocks are joined by the pairwise update of Chan, Golub and LeVeque (1983).
#[inline(always)]
pub fn squared_deviations<T: Values>(values: &[T], n: usize, mut put: impl FnMut(usize, T)) {
    #[derive(Clone, Copy)]
    struct Moments<T> {
        count: f64,
        mean: T,
        squares: T,
    }
    let join = |a: Moments<T>, b: Moments<T>| {
        let count = a.count + b.count;
        let share = T::of(b.count / count);
        let distance = b.mean - a.mean;
        Moments {
            count,
            mean: a.mean + distance * share,
            squares: a.squares + b.squares + distance * distance * T::of(a.count) * share,
        }
    };
    let element = |i: usize| Moments { count: 1.0, mean: values[i], squares: T::of(0.0) };
    fold(values.len(), n, element, join, |i, m| put(i, m.squares));
}
