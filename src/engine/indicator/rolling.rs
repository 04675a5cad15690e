//! Sliding windows at O(1) a candle that neither drift nor cancel.
//!
//! Time is cut into blocks of the window's length, counted from the first value. A window is then the end of one
//! block and the beginning of the next: its total is a suffix total of the former joined with a prefix total of the
//! latter (van Herk 1992, Gil and Werman 1993). Nothing is ever subtracted, so an outlier leaves no trace once it is
//! out of the window, a window of zeros totals zero, and a value depends on nothing that comes later.
//!
//! Never yields a window that is not full.

/// Calls `put(i, total)` for each window of `n` elements that ends at element `i`. `join` must be associative.
#[inline]
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
#[inline]
pub fn sum(values: &[f64], n: usize, put: impl FnMut(usize, f64)) {
    fold(values.len(), n, |i| values[i], |a, b| a + b, put);
}

/// Greatest of the last `n` values.
#[inline]
pub fn max(values: &[f64], n: usize, put: impl FnMut(usize, f64)) {
    fold(values.len(), n, |i| values[i], |a, b| if b > a { b } else { a }, put);
}

/// Least of the last `n` values.
#[inline]
pub fn min(values: &[f64], n: usize, put: impl FnMut(usize, f64)) {
    fold(values.len(), n, |i| values[i], |a, b| if b < a { b } else { a }, put);
}

/// Means of the last `n` values. The mean of equal values is that value to the bit.
#[inline]
pub fn mean(values: &[f64], n: usize, mut put: impl FnMut(usize, f64)) {
    let divisor = n as f64;
    weighted(values, n, |i, w| put(i, w.reference + w.sum / divisor));
}

/// Plain and weighted sums over one window, as differences from `reference`, which is a value near the window.
#[derive(Clone, Copy, Debug)]
pub struct Weighted {
    /// What all sums are relative to.
    pub reference: f64,
    /// Sum of x - reference.
    pub sum: f64,
    /// Sum of k (x - reference), k = 1 for the oldest value to n for the newest.
    pub weighted: f64,
}

/// Plain and linearly weighted sums of the last `n` values.
///
/// Prefixes are relative to their block's first value and suffixes to their block's last, so differences are small
/// and those of equal values vanish.
#[inline]
pub fn weighted(values: &[f64], n: usize, mut put: impl FnMut(usize, Weighted)) {
    if n == 0 || values.len() < n {
        return;
    }
    let mut suffixes = vec![(0.0, 0.0); n];
    let mut last = 0.0;
    for (number, block) in values.chunks(n).enumerate() {
        let start = number * n;
        let reference = block[0];
        let step = last - reference;
        let (mut sum, mut weighted) = (0.0, 0.0);
        for (k, &x) in block.iter().enumerate() {
            let inside = (k + 1) as f64;
            sum += x - reference;
            weighted += inside * (x - reference);
            if k + 1 == n {
                put(start + k, Weighted { reference, sum, weighted });
            } else if number > 0 {
                let (old_sum, old_weighted) = suffixes[k + 1];
                let before = (n - k - 1) as f64;
                put(
                    start + k,
                    Weighted {
                        reference,
                        sum: (old_sum + before * step) + sum,
                        weighted: (old_weighted + 0.5 * before * (before + 1.0) * step) + (weighted + before * sum),
                    },
                );
            }
        }
        if block.len() == n {
            last = block[n - 1];
            let (mut sum, mut weighted) = (0.0, 0.0);
            for k in (1..n).rev() {
                // Everything newer moves up by one weight, and this value takes weight 1.
                sum += block[k] - last;
                weighted += sum;
                suffixes[k] = (sum, weighted);
            }
        }
    }
}

/// Sums of squared deviations from the mean of the last `n` values: never negative, zero when all are equal.
///
/// Blocks are joined by the pairwise update of Chan, Golub and LeVeque (1983).
#[inline]
pub fn squared_deviations(values: &[f64], n: usize, mut put: impl FnMut(usize, f64)) {
    #[derive(Clone, Copy)]
    struct Moments {
        count: f64,
        mean: f64,
        squares: f64,
    }
    let join = |a: Moments, b: Moments| {
        let count = a.count + b.count;
        let share = b.count / count;
        let distance = b.mean - a.mean;
        Moments {
            count,
            mean: a.mean + distance * share,
            squares: a.squares + b.squares + distance * distance * a.count * share,
        }
    };
    let element = |i: usize| Moments { count: 1.0, mean: values[i], squares: 0.0 };
    fold(values.len(), n, element, join, |i, m| put(i, m.squares));
}
