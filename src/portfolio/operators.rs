//! Operators on single values, and what an expression's changes are. NaN is undefined.

use crate::rolling;
use genome::{Binary, Expression, Unary, Unit};

/// Whether changes of the expression are relative: those of a price or an amount.
pub(crate) fn has_unit(x: &Expression) -> bool {
    x.unit().is_ok_and(|unit| matches!(unit, Unit::Of { .. }) && unit != Unit::PLAIN)
}

/// x / x before - 1 of what has a unit, else x - x before.
pub(crate) fn changes(x: &[f64], has_unit: bool) -> Vec<f64> {
    let change = |pair: &[f64]| rolling::finite(if has_unit { pair[1] / pair[0] - 1.0 } else { pair[1] - pair[0] });
    std::iter::once(f64::NAN).chain(x.windows(2).map(change)).take(x.len()).collect()
}

/// An operator on one value; NaN is undefined.
#[inline(always)]
pub(crate) fn unary(operator: Unary, x: f64) -> f64 {
    rolling::finite(match operator {
        Unary::Negate => -x,
        Unary::Abs => x.abs(),
        Unary::Log => x.ln(),
        // The sign of 0 is 0, of either.
        Unary::Sign if x == 0.0 => 0.0,
        Unary::Sign if x.is_nan() => x,
        Unary::Sign => x.signum(),
    })
}

/// An operator on two values; NaN is undefined.
pub(crate) fn binary(operator: Binary, x: f64, y: f64) -> f64 {
    if x.is_nan() || y.is_nan() {
        return f64::NAN;
    }
    rolling::finite(match operator {
        Binary::Add => x + y,
        Binary::Subtract => x - y,
        Binary::Multiply => x * y,
        Binary::Divide => x / y,
        Binary::Min => x.min(y),
        Binary::Max => x.max(y),
    })
}
