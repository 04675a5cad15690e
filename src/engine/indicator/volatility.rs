//! How much the close moves, and how unusual that is.
//!
//! - `realized_volatility(n)` = square root of the mean of r^2 over the last n candles, r = ln(close / close before):
//!   a fraction a candle, not annualised, about zero and not about the mean. Defined from index n.
//! - `volatility_percentile(n, l)` = (values below + half of the values equal) / l among the last l realised
//!   volatilities, this one included: 0 to 1, never of the future. Those within 1e-12 of each other are equal:
//!   the same moves in another order, or up where they went down, differ by rounding. Defined from index n + l - 1.
//!   Costs O(log of the number of candles) a candle.

use super::{Column, rolling, ticks, undefined};

/// `realized_volatility(n)` of closes, for any `n` of at least 1.
#[must_use]
pub fn realized_volatility(closes: &[f64], n: usize) -> Column {
    Column::new(volatilities(closes, n))
}

pub(super) fn percentile(closes: &[f64], n: usize, lookback: usize) -> Column {
    let values = volatilities(closes, n);
    let mut out = undefined(closes.len());
    let warm = n.min(closes.len());
    mid_ranks(&values[warm..], lookback, &mut out[warm..]);
    Column::new(out)
}

/// Squares of ln(close / close before), from the second close on: realised volatility is the root of a mean of them.
#[must_use]
pub fn squared_moves(closes: &[f64]) -> Vec<f64> {
    // The ratio of prices a tick apart has few digits left of the move; their difference in ticks has all.
    let ticks = ticks::all(closes);
    ticks.windows(2).map(|pair| ((pair[1] - pair[0]) / pair[0]).ln_1p().powi(2)).collect()
}

fn volatilities(closes: &[f64], n: usize) -> Vec<f64> {
    let squares = squared_moves(closes);
    let mut out = undefined(closes.len());
    rolling::sum(&squares, n, |i, sum| out[i + 1] = (sum / n as f64).sqrt());
    out
}

/// Volatilities that differ by no more than this share of themselves are equal. Rounding does less, and moves that are
/// others make more of a difference.
const TIE: f64 = 1e-12;

/// The mid-rank of each value among the last `n`, as a fraction. Counts only, so the bits of a rank depend on the
/// order of the values in its window and on nothing else.
fn mid_ranks(values: &[f64], n: usize, out: &mut [f64]) {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted.dedup();
    let places: Vec<usize> = values.iter().map(|v| sorted.partition_point(|s| s.total_cmp(v).is_lt())).collect();
    let mut counts = Counts::new(sorted.len());
    for (i, &place) in places.iter().enumerate() {
        counts.add(place, 1);
        if i >= n {
            counts.add(places[i - n], -1);
        }
        if i + 1 >= n && values[i].is_finite() {
            let (least, most) = (values[i] * (1.0 - TIE), values[i] * (1.0 + TIE));
            let below = counts.before(sorted.partition_point(|s| *s < least));
            let equal = counts.before(sorted.partition_point(|s| *s <= most)) - below;
            out[i] = (f64::from(below) + 0.5 * f64::from(equal)) / n as f64;
        }
    }
}

/// How many values of the window lie at each place, with running totals in a binary indexed tree (Fenwick, 1994).
struct Counts {
    tree: Vec<i32>,
}

impl Counts {
    fn new(places: usize) -> Self {
        Self { tree: vec![0; places + 1] }
    }

    fn add(&mut self, place: usize, change: i32) {
        let mut node = place + 1;
        while node < self.tree.len() {
            self.tree[node] += change;
            node += node & node.wrapping_neg();
        }
    }

    /// How many lie at the first `places`.
    fn before(&self, places: usize) -> i32 {
        let mut node = places;
        let mut total = 0;
        while node > 0 {
            total += self.tree[node];
            node &= node - 1;
        }
        total
    }
}
