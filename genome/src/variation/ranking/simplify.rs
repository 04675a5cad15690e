//! Operators that do nothing, left out: only where no value, or no member's place, changes in any bit.
//!
//! What would be the same in exact arithmetic alone stays: x * 2 can overflow, x - 1 can make two values one.

use super::tree::{nodes, with_parts};
use crate::{Across, Binary, Expression, Ranking, Rolling, Series, Source, Unary};

/// The same strategy without operators that do nothing: the same members, in the same places, at every candle. Never
/// larger. One that is not valid stays as it is.
#[must_use]
pub fn simplify(ranking: &Ranking) -> Ranking {
    let Ok(mut simple) = ranking.clone().canonical() else { return ranking.clone() };
    // Each round that changes something leaves fewer parts, so that this ends.
    loop {
        let next = Ranking { score: top(values(&simple.score)), ..simple.clone() };
        match next.canonical() {
            Ok(next) if next != simple => simple = next,
            _ => return simple,
        }
    }
}

/// What the members' order does not depend on: a rank of the whole. `cs_rank` is strictly increasing, keeps ties, and
/// is defined where its value is; with fewer than two members all weights are 0 either way.
fn top(score: Expression) -> Expression {
    match score {
        Expression::Across(Across::Rank, x) => top(*x),
        other => other,
    }
}

/// The same values from fewer operators.
fn values(expression: &Expression) -> Expression {
    let parts: Vec<Expression> = expression.parts().into_iter().map(values).collect();
    lean(with_parts(expression, parts))
}

fn is(x: &Expression, value: f64) -> bool {
    matches!(x, Expression::Constant(number) if number.get() == value)
}

/// Whether every defined value is 0 or above.
fn is_never_negative(x: &Expression) -> bool {
    match x {
        Expression::Volatility { .. }
        | Expression::Unary(Unary::Abs, _)
        | Expression::Rolling(Rolling::Deviation | Rolling::TsRank, ..)
        | Expression::Across(Across::Rank, _) => true,
        // Prices, volumes and counts of trades.
        Expression::Series(Series { source: Source::Price(_), .. }) => true,
        Expression::Constant(number) => number.get() >= 0.0,
        Expression::Rolling(Rolling::Delay | Rolling::Highest | Rolling::Lowest, x, _) => is_never_negative(x),
        Expression::Binary(op, x, y) if *op != Binary::Subtract => is_never_negative(x) && is_never_negative(y),
        _ => false,
    }
}

/// The outermost operator left out, or two of them made one, where they do nothing.
fn lean(expression: Expression) -> Expression {
    match expression {
        Expression::Unary(Unary::Abs, x) if is_never_negative(&x) => *x,
        Expression::Unary(Unary::Sign, x) if matches!(*x, Expression::Unary(Unary::Sign, _)) => *x,
        Expression::Binary(Binary::Multiply | Binary::Divide, x, y) if is(&y, 1.0) => *x,
        Expression::Binary(Binary::Multiply | Binary::Divide, x, y) if is(&y, -1.0) => {
            Expression::Unary(Unary::Negate, x)
        }
        Expression::Binary(Binary::Multiply, x, y) if is(&x, 1.0) => *y,
        Expression::Binary(Binary::Add | Binary::Subtract, x, y) if is(&y, 0.0) => *x,
        Expression::Binary(Binary::Add, x, y) if is(&x, 0.0) => *y,
        Expression::Binary(Binary::Subtract, x, y) if is(&x, 0.0) => Expression::Unary(Unary::Negate, y),
        Expression::Binary(Binary::Min | Binary::Max, x, y) if x == y => *x,
        // Of one value. Sums and means of one are left to whoever computes them.
        Expression::Rolling(Rolling::Highest | Rolling::Lowest, x, 1) => *x,
        Expression::Rolling(op @ (Rolling::Highest | Rolling::Lowest | Rolling::Delay), x, n) => joined(op, *x, n),
        // Ranks of ranks are the same ranks.
        Expression::Across(Across::Rank, x) if matches!(*x, Expression::Across(Across::Rank, _)) => *x,
        other => other,
    }
}

/// The greatest of greatest values is that of all candles together; a delay of a delay is their sum.
fn joined(op: Rolling, x: Expression, n: u32) -> Expression {
    match x {
        Expression::Rolling(inner, x, m) if inner == op => {
            let both = if op == Rolling::Delay { n + m } else { n + m - 1 };
            if both <= Expression::MAX_CANDLES {
                Expression::Rolling(op, x, both)
            } else {
                let inside = Expression::Rolling(inner, x, m);
                Expression::Rolling(op, Box::new(inside), n)
            }
        }
        x => Expression::Rolling(op, Box::new(x), n),
    }
}

/// How much there is to a ranking strategy: its score's operators, series and numbers, and 1 for each part of the
/// weights beside their form. Between strategies that do equally well, less is better.
#[must_use]
pub fn ranking_complexity(ranking: &Ranking) -> u32 {
    let weights = &ranking.weights;
    let parts = [
        weights.inverse_volatility.is_some(),
        weights.beta_neutral.is_some(),
        weights.cap.is_some(),
        weights.band.is_some(),
        weights.smooth > 1,
    ];
    let parts: u32 = parts.into_iter().map(u32::from).sum();
    parts + u32::try_from(nodes(&ranking.score).len()).unwrap_or(u32::MAX - 8)
}
