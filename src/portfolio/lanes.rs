//! Operators on columns of eight instruments: the values, to the bit, that [`rolling`] gives for each alone.
//!
//! Where a column has holes or its lanes begin at different rows, each lane is computed by itself.

use crate::{
    field::{Column, Group, LANES},
    rolling::{self, finite},
};
use engine::indicator::rolling::Eight;
use engine::{Wide, widest};
use genome::{Binary, Rolling, Unary};

/// Above this many candles ranks in time are kept in order lane by lane instead of being counted anew.
const MOST_COUNTED: usize = 2_000;

/// A side of an operator.
#[derive(Clone, Copy)]
pub(crate) enum Side<'a> {
    Column(&'a Column),
    /// The same number everywhere.
    Fixed(f64),
}

struct Each<'a> {
    operator: Binary,
    x: Side<'a>,
    y: Side<'a>,
    out: &'a mut Vec<Eight>,
}

impl Wide for Each<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { x, y, out, .. } = self;
        match self.operator {
            Binary::Add => each(x, y, out, |x, y| finite(x + y)),
            Binary::Subtract => each(x, y, out, |x, y| finite(x - y)),
            Binary::Multiply => each(x, y, out, |x, y| finite(x * y)),
            Binary::Divide => each(x, y, out, |x, y| finite(x / y)),
            Binary::Min => each(x, y, out, |x, y| if x.is_nan() || y.is_nan() { f64::NAN } else { x.min(y) }),
            Binary::Max => each(x, y, out, |x, y| if x.is_nan() || y.is_nan() { f64::NAN } else { x.max(y) }),
        }
    }
}

#[inline(always)]
fn each(x: Side<'_>, y: Side<'_>, out: &mut Vec<Eight>, function: impl Fn(f64, f64) -> f64) {
    match (x, y) {
        (Side::Column(x), Side::Column(y)) => {
            out.extend(x.rows.iter().zip(&y.rows).map(|(x, y)| x.zip(*y, &function)));
        }
        (Side::Column(x), Side::Fixed(y)) => out.extend(x.rows.iter().map(|x| x.map(|x| function(x, y)))),
        (Side::Fixed(x), Side::Column(y)) => out.extend(y.rows.iter().map(|y| y.map(|y| function(x, y)))),
        (Side::Fixed(_), Side::Fixed(_)) => {}
    }
}

/// An operator on two values of each candle; at least one side is a column.
pub(crate) fn binary(operator: Binary, x: Side<'_>, y: Side<'_>, group: &Group) -> Column {
    let mut out = Vec::with_capacity(group.rows());
    widest(Each { operator, x, y, out: &mut out });
    Column::new(out, group)
}

/// An operator on one value of each candle.
pub(crate) fn unary(operator: Unary, x: &Column, group: &Group) -> Column {
    let rows = x.rows.iter().map(|row| row.map(|x| crate::operators::unary(operator, x))).collect();
    Column::new(rows, group)
}

struct Changes<'a> {
    rows: &'a [Eight],
    relative: bool,
    out: &'a mut Vec<Eight>,
}

impl Wide for Changes<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let pairs = self.rows.iter().zip(&self.rows[1..]);
        if self.relative {
            self.out.extend(pairs.map(|(before, x)| x.zip(*before, |x, before| finite(x / before - 1.0))));
        } else {
            self.out.extend(pairs.map(|(before, x)| x.zip(*before, |x, before| finite(x - before))));
        }
    }
}

/// x / x before - 1, or x - x before.
pub(crate) fn changes(x: &Column, relative: bool, group: &Group) -> Column {
    let mut out = Vec::with_capacity(group.rows());
    out.push(Eight::UNDEFINED);
    widest(Changes { rows: &x.rows, relative, out: &mut out });
    Column::new(out, group)
}

struct Window<'a> {
    operator: Rolling,
    values: &'a [Eight],
    n: usize,
    out: &'a mut [Eight],
}

impl Wide for Window<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        rolling::windowed(self.operator, self.values, self.n, self.out);
    }
}

struct Counted<'a> {
    values: &'a [Eight],
    n: usize,
    out: &'a mut [Eight],
}

impl Wide for Counted<'_> {
    type Output = ();

    /// How many of a window are below and how many equal its newest value.
    #[inline(always)]
    fn run(self) {
        let last = (self.n - 1) as f64;
        for (window, out) in self.values.windows(self.n).zip(&mut self.out[self.n - 1..]) {
            let newest = window[self.n - 1];
            let (mut below, mut equal) = (Eight([0.0; LANES]), Eight([0.0; LANES]));
            for value in window {
                below = below + value.zip(newest, |x, newest| if x < newest { 1.0 } else { 0.0 });
                equal = equal + value.zip(newest, |x, newest| if x == newest { 1.0 } else { 0.0 });
            }
            *out = below.zip(equal, |below, equal| (below + 0.5 * (equal - 1.0)) / last);
        }
    }
}

/// An operator over the last `n` values.
pub(crate) fn window(operator: Rolling, x: &Column, n: usize, group: &Group) -> Column {
    let len = group.rows();
    let mut out = vec![Eight::UNDEFINED; len];
    match operator {
        Rolling::Delay => {
            if n < len {
                out[n..].copy_from_slice(&x.rows[..len - n]);
            }
            return match x.from {
                Some(from) => Column::defined_from(out, group, (from + n).min(len)),
                None => Column::new(out, group),
            };
        }
        Rolling::Delta => {
            for (out, (x, before)) in out.iter_mut().skip(n).zip(x.rows.iter().skip(n).zip(&x.rows)) {
                *out = x.zip(*before, |x, before| finite(x - before));
            }
            return Column::new(out, group);
        }
        _ => {}
    }
    let Some(from) = x.from else {
        return Column::of_lanes(std::array::from_fn(|lane| rolling::apply(operator, &x.lane(lane, group), n)), group);
    };
    let (values, into) = (&x.rows[from..], &mut out[from..]);
    match operator {
        Rolling::TsRank if n > MOST_COUNTED => {
            return Column::of_lanes(
                std::array::from_fn(|lane| rolling::apply(operator, &x.lane(lane, group), n)),
                group,
            );
        }
        Rolling::TsRank if n <= values.len() => widest(Counted { values, n, out: into }),
        Rolling::TsRank => {}
        _ => widest(Window { operator, values, n, out: into }),
    }
    Column::new(out, group)
}

/// Root of the mean of the last `n` squares.
pub(crate) fn volatility(squares: &Column, n: usize, group: &Group) -> Column {
    let mut sums = window(Rolling::Sum, squares, n, group);
    for row in &mut sums.rows {
        *row = row.map(|sum| (sum / n as f64).sqrt());
    }
    sums
}

enum Pair {
    Correlation,
    /// Of the second on the first.
    Slope,
}

struct Pairs<'a> {
    kind: Pair,
    x: &'a [Eight],
    y: &'a [Eight],
    n: usize,
    out: &'a mut [Eight],
}

impl Wide for Pairs<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        match self.kind {
            Pair::Correlation => rolling::correlations(self.x, self.y, self.n, self.out),
            Pair::Slope => rolling::slopes(self.x, self.y, self.n, self.out),
        }
    }
}

fn pairs(kind: Pair, x: &Column, y: &Column, n: usize, group: &Group) -> Column {
    let (Some(a), Some(b)) = (x.from, y.from) else {
        let function = match kind {
            Pair::Correlation => rolling::correlation,
            Pair::Slope => rolling::slope,
        };
        let lane = |lane| function(&x.lane(lane, group), &y.lane(lane, group), n);
        return Column::of_lanes(std::array::from_fn(lane), group);
    };
    let from = a.max(b);
    let mut out = vec![Eight::UNDEFINED; group.rows()];
    widest(Pairs { kind, x: &x.rows[from..], y: &y.rows[from..], n, out: &mut out[from..] });
    Column::new(out, group)
}

/// Pearson's correlation of the last `n` pairs.
pub(crate) fn correlation(x: &Column, y: &Column, n: usize, group: &Group) -> Column {
    pairs(Pair::Correlation, x, y, n, group)
}

/// Slope of the last `n` values of `y` on those of `x`.
pub(crate) fn slope(x: &Column, y: &Column, n: usize, group: &Group) -> Column {
    pairs(Pair::Slope, x, y, n, group)
}
