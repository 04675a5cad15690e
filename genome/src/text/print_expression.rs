//! Expressions as text that reads back as the same tree: parentheses only where the tree needs them.

use crate::{Binary, Expression, Unary};
use std::fmt::{self, Display, Formatter};

/// How tightly the outermost operator binds.
fn binding(expression: &Expression) -> u8 {
    match expression {
        Expression::Binary(Binary::Add | Binary::Subtract, ..) => 1,
        Expression::Binary(Binary::Multiply | Binary::Divide, ..) => 2,
        Expression::Unary(Unary::Negate, _) => 3,
        _ => 4,
    }
}

/// The expression inside an operator that asks for at least this binding.
fn inside(expression: &Expression, least: u8, f: &mut Formatter<'_>) -> fmt::Result {
    if binding(expression) < least { write!(f, "({expression})") } else { expression.fmt(f) }
}

impl Display for Expression {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Constant(number) => number.fmt(f),
            Self::Series(series) => series.fmt(f),
            Self::Volatility { returns } => write!(f, "realized_volatility({returns})"),
            // `-5` is a number; the negative of the number 5 keeps its parentheses.
            Self::Unary(Unary::Negate, x) => match **x {
                Self::Constant(number) if number.get() >= 0.0 => write!(f, "-({number})"),
                _ => {
                    f.write_str("-")?;
                    inside(x, 3, f)
                }
            },
            Self::Unary(op, x) => write!(f, "{}({x})", op.name()),
            Self::Binary(op @ (Binary::Min | Binary::Max), x, y) => write!(f, "{}({x}, {y})", op.name()),
            Self::Binary(op, x, y) => {
                let least = binding(self);
                inside(x, least, f)?;
                write!(f, " {} ", op.name())?;
                // Operators of one level are read from the left: what stands on the right keeps its parentheses.
                inside(y, least + 1, f)
            }
            Self::Rolling(op, x, n) => write!(f, "{}({x}, {n})", op.name()),
            Self::Correlation(x, y, n) => write!(f, "correlation({x}, {y}, {n})"),
            Self::Across(op, x) => write!(f, "{}({x})", op.name()),
            Self::Beta(x, n) => write!(f, "beta({x}, {n})"),
        }
    }
}
