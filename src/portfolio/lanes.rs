//! Operators on columns of eight instruments: the values, to the bit, that [`rolling`] gives for each alone.
//!
//! Where a column has holes or its lanes begin at different rows, each lane is computed by itself.

use crate::{
    field::{Column, Group, LANES},
    operators, ordered,
    rolling::{self, finite},
};
use engine::indicator::rolling::Eight;
use engine::{Wide, widest};
use genome::{Binary, Rolling, Unary};

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
    out: &'a mut [Eight],
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

// Loops over slices: what extends a vector is not compiled with the loop around it, and so not for its vectors.
#[inline(always)]
fn each(x: Side<'_>, y: Side<'_>, out: &mut [Eight], function: impl Fn(f64, f64) -> f64) {
    match (x, y) {
        (Side::Column(x), Side::Column(y)) => {
            for ((out, x), y) in out.iter_mut().zip(&x.rows).zip(&y.rows) {
                *out = x.zip(*y, &function);
            }
        }
        (Side::Column(x), Side::Fixed(y)) => map(&x.rows, out, |x| function(x, y)),
        (Side::Fixed(x), Side::Column(y)) => map(&y.rows, out, |y| function(x, y)),
        (Side::Fixed(_), Side::Fixed(_)) => {}
    }
}

#[inline(always)]
fn map(x: &[Eight], out: &mut [Eight], function: impl Fn(f64) -> f64) {
    for (out, x) in out.iter_mut().zip(x) {
        *out = x.map(&function);
    }
}

/// An operator on two values of each candle; at least one side is a column. All operators write into rows of the group with
/// anything in them.
pub(crate) fn binary(operator: Binary, x: Side<'_>, y: Side<'_>, group: &Group, mut out: Vec<Eight>) -> Column {
    widest(Each { operator, x, y, out: &mut out });
    Column::new(out, group)
}

struct EachOne<'a> {
    operator: Unary,
    x: &'a [Eight],
    out: &'a mut [Eight],
}

impl Wide for EachOne<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { x, out, .. } = self;
        match self.operator {
            Unary::Negate => map(x, out, |x| operators::unary(Unary::Negate, x)),
            Unary::Abs => map(x, out, |x| operators::unary(Unary::Abs, x)),
            Unary::Log => map(x, out, |x| operators::unary(Unary::Log, x)),
            Unary::Sign => map(x, out, |x| operators::unary(Unary::Sign, x)),
        }
    }
}

/// An operator on one value of each candle.
pub(crate) fn unary(operator: Unary, x: &Column, group: &Group, mut out: Vec<Eight>) -> Column {
    widest(EachOne { operator, x: &x.rows, out: &mut out });
    Column::new(out, group)
}

/// x / x before - 1, or x - x before, of values so many candles apart.
struct Changes<'a> {
    x: &'a [Eight],
    n: usize,
    relative: bool,
    out: &'a mut [Eight],
}

impl Wide for Changes<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let (head, out) = self.out.split_at_mut(self.n.min(self.out.len()));
        head.fill(Eight::UNDEFINED);
        let pairs = out.iter_mut().zip(self.x.iter().skip(self.n).zip(self.x));
        if self.relative {
            for (out, (x, before)) in pairs {
                *out = x.zip(*before, |x, before| finite(x / before - 1.0));
            }
        } else {
            for (out, (x, before)) in pairs {
                *out = x.zip(*before, |x, before| finite(x - before));
            }
        }
    }
}

/// x / x before - 1, or x - x before.
pub(crate) fn changes(x: &Column, relative: bool, group: &Group, mut out: Vec<Eight>) -> Column {
    widest(Changes { x: &x.rows, n: 1, relative, out: &mut out });
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

/// Newest values that are looked at together: what they all look back at is read once, and no sum waits for another.
const TOGETHER: usize = 4;

impl Wide for Counted<'_> {
    type Output = ();

    /// How many of a window are below and how many equal its newest value.
    #[inline(always)]
    fn run(self) {
        let (values, n, last) = (self.values, self.n, (self.n - 1) as f64);
        let rank = |count: Eight| count.map(|count| 0.5 * (count - 1.0) / last);
        let nothing = Eight([0.0; LANES]);
        let mut at = n - 1;
        while n >= TOGETHER && at + TOGETHER <= values.len() {
            let (n0, n1, n2, n3) = (values[at], values[at + 1], values[at + 2], values[at + 3]);
            let (mut c0, mut c1, mut c2, mut c3) = (nothing, nothing, nothing, nothing);
            for &value in &values[at + TOGETHER - n..=at] {
                c0 = count(c0, value, n0);
                c1 = count(c1, value, n1);
                c2 = count(c2, value, n2);
                c3 = count(c3, value, n3);
            }
            for (k, (mut counts, newest)) in [(c0, n0), (c1, n1), (c2, n2), (c3, n3)].into_iter().enumerate() {
                for &value in &values[at + k + 1 - n..at + TOGETHER - n] {
                    counts = count(counts, value, newest);
                }
                for &value in &values[at + 1..=at + k] {
                    counts = count(counts, value, newest);
                }
                self.out[at + k] = rank(counts);
            }
            at += TOGETHER;
        }
        for at in at..values.len() {
            let mut counts = nothing;
            for &value in &values[at + 1 - n..=at] {
                counts = count(counts, value, values[at]);
            }
            self.out[at] = rank(counts);
        }
    }
}

/// What is below counts twice, what is equal once. In floats, whose sums no compiler reorders: of whole numbers it would
/// gather one lane of many rows into a vector.
#[inline(always)]
fn count(counts: Eight, value: Eight, newest: Eight) -> Eight {
    let weight = |x: f64, newest: f64| {
        if x < newest {
            2.0
        } else if x == newest {
            1.0
        } else {
            0.0
        }
    };
    counts + value.zip(newest, weight)
}

/// An operator over the last `n` values.
pub(crate) fn window(operator: Rolling, x: &Column, n: usize, group: &Group, mut out: Vec<Eight>) -> Column {
    let len = group.rows();
    match operator {
        Rolling::Delay => {
            let n = n.min(len);
            out[..n].fill(Eight::UNDEFINED);
            out[n..].copy_from_slice(&x.rows[..len - n]);
            return match x.from {
                Some(from) => Column::defined_from(out, group, (from + n).min(len)),
                None => Column::new(out, group),
            };
        }
        Rolling::Delta => {
            widest(Changes { x: &x.rows, n, relative: false, out: &mut out });
            return Column::new(out, group);
        }
        _ => {}
    }
    let Some(from) = x.from.filter(|_| operator != Rolling::TsRank || n < ordered::LEAST) else {
        let lanes = std::array::from_fn(|lane| rolling::apply(operator, &x.lane(lane, group), n));
        return Column::of_lanes_in(out, lanes, group);
    };
    let first = (from + n.max(1) - 1).min(len);
    out[..first].fill(Eight::UNDEFINED);
    let (values, into) = (&x.rows[from..], &mut out[from..]);
    match operator {
        _ if n > values.len() => {}
        Rolling::TsRank => widest(Counted { values, n, out: into }),
        _ => widest(Window { operator, values, n, out: into }),
    }
    Column::new(out, group)
}

struct Roots<'a> {
    sums: &'a mut [Eight],
    n: f64,
}

impl Wide for Roots<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        for row in self.sums {
            *row = row.map(|sum| (sum / self.n).sqrt());
        }
    }
}

/// Root of the mean of the last `n` squares.
pub(crate) fn volatility(squares: &Column, n: usize, group: &Group, out: Vec<Eight>) -> Column {
    let mut sums = window(Rolling::Sum, squares, n, group, out);
    widest(Roots { sums: &mut sums.rows, n: n as f64 });
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

fn pairs(kind: Pair, x: &Column, y: &Column, n: usize, group: &Group, mut out: Vec<Eight>) -> Column {
    let (Some(a), Some(b)) = (x.from, y.from) else {
        let function = match kind {
            Pair::Correlation => rolling::correlation,
            Pair::Slope => rolling::slope,
        };
        let lane = |lane| function(&x.lane(lane, group), &y.lane(lane, group), n);
        return Column::of_lanes_in(out, std::array::from_fn(lane), group);
    };
    let from = a.max(b);
    let first = (from + n.max(1) - 1).min(out.len());
    out[..first].fill(Eight::UNDEFINED);
    widest(Pairs { kind, x: &x.rows[from..], y: &y.rows[from..], n, out: &mut out[from..] });
    Column::new(out, group)
}

/// Pearson's correlation of the last `n` pairs.
pub(crate) fn correlation(x: &Column, y: &Column, n: usize, group: &Group, out: Vec<Eight>) -> Column {
    pairs(Pair::Correlation, x, y, n, group, out)
}

/// Slope of the last `n` values of `y` on those of `x`.
pub(crate) fn slope(x: &Column, y: &Column, n: usize, group: &Group, out: Vec<Eight>) -> Column {
    pairs(Pair::Slope, x, y, n, group, out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Values of a lane: odd ones, ties, and holes.
    fn values() -> impl Strategy<Value = Vec<f64>> {
        let odd = [0.0, -0.0, f64::MIN_POSITIVE, 1e308, -1e308];
        let one = prop_oneof![
            8 => -1e3..1e3_f64,
            8 => (-2..3).prop_map(f64::from),
            1 => proptest::sample::select(odd.to_vec()),
        ];
        (proptest::collection::vec(one, 1..90), 0..3_usize, 0..90_usize).prop_map(|(mut all, head, hole)| {
            all.iter_mut().take(head).for_each(|x| *x = f64::NAN);
            if hole % 5 == 0 {
                let at = hole % all.len();
                all[at] = f64::NAN;
            }
            all
        })
    }

    type PlainOne<'a> = dyn Fn(&[f64], &[f64]) -> Vec<f64> + 'a;

    fn group(lens: [usize; LANES]) -> Group {
        Group { instruments: [0; LANES], lens }
    }

    fn same(found: &Column, expected: &[Vec<f64>], group: &Group) -> bool {
        let bits = |x: f64| if x.is_nan() { f64::NAN.to_bits() } else { x.to_bits() };
        let of = |values: &[f64]| values.iter().copied().map(bits).collect::<Vec<_>>();
        let shaped =
            |lane: &[f64]| found.from.is_none_or(|from| (0..).zip(lane).all(|(i, x)| x.is_nan() == (i < from)));
        (0..LANES).all(|l| of(&found.lane(l, group)) == of(&expected[l]) && shaped(&expected[l]))
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]
        #[test]
        fn eight_side_by_side_are_what_each_is_alone(
            first in values(), second in values(), n in 1..40_usize, alike in any::<bool>(), stale in -9.0..9.0_f64
        ) {
            // Lanes of one length, or one that is shorter.
            let short = if alike { first.len() } else { second.len() };
            let lens = std::array::from_fn(|lane| if lane == 3 { short } else { first.len() });
            let group = &group(lens);
            let turned = |all: &[f64], lane: usize| {
                let mut all: Vec<f64> = all.iter().cycle().take(lens[lane]).copied().collect();
                // Undefined at the head alike, other values in another order.
                let head = all.iter().take_while(|x| x.is_nan()).count();
                let len = all.len() - head;
                if len > 0 { all[head..].rotate_left(lane % len); }
                all
            };
            let x: Vec<Vec<f64>> = (0..LANES).map(|lane| turned(&first, lane)).collect();
            let y: Vec<Vec<f64>> = (0..LANES).map(|lane| turned(&second, lane)).collect();
            let column = |lanes: &[Vec<f64>]| Column::of_lanes(std::array::from_fn(|l| lanes[l].clone()), group);
            let (a, b) = (column(&x), column(&y));
            // What rows held before must not show.
            let rows = || vec![Eight([stale; LANES]); group.rows()];
            let each = |f: &PlainOne<'_>| x.iter().zip(&y).map(|(x, y)| f(x, y)).collect::<Vec<_>>();
            for operator in [
                Rolling::Delay, Rolling::Delta, Rolling::Mean, Rolling::Sum, Rolling::Deviation, Rolling::Highest,
                Rolling::Lowest, Rolling::TsRank, Rolling::Decay,
            ] {
                if operator == Rolling::TsRank && n == 1 {
                    continue;
                }
                let found = window(operator, &a, n, group, rows());
                prop_assert!(same(&found, &each(&|x, _| rolling::apply(operator, x, n)), group), "{operator:?} over {n}");
            }
            for operator in [Binary::Add, Binary::Subtract, Binary::Multiply, Binary::Divide, Binary::Min, Binary::Max] {
                let plain = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| operators::binary(operator, *x, *y)).collect();
                let found = binary(operator, Side::Column(&a), Side::Column(&b), group, rows());
                prop_assert!(same(&found, &each(&plain), group), "{operator:?}");
                let found = binary(operator, Side::Column(&a), Side::Fixed(2.5), group, rows());
                let plain = |x: &[f64], _: &[f64]| x.iter().map(|x| operators::binary(operator, *x, 2.5)).collect();
                prop_assert!(same(&found, &each(&plain), group), "{operator:?} with a number");
            }
            for operator in [Unary::Negate, Unary::Abs, Unary::Log, Unary::Sign] {
                let plain = |x: &[f64], _: &[f64]| x.iter().map(|x| operators::unary(operator, *x)).collect();
                prop_assert!(same(&unary(operator, &a, group, rows()), &each(&plain), group), "{operator:?}");
            }
            for relative in [false, true] {
                let found = changes(&a, relative, group, rows());
                prop_assert!(same(&found, &each(&|x, _| operators::changes(x, relative)), group), "changes {relative}");
            }
            let n = n + 1;
            let found = correlation(&a, &b, n, group, rows());
            prop_assert!(same(&found, &each(&|x, y| rolling::correlation(x, y, n)), group), "correlation over {n}");
            let found = slope(&a, &b, n, group, rows());
            prop_assert!(same(&found, &each(&|x, y| rolling::slope(x, y, n)), group), "slope over {n}");
        }
    }
}
