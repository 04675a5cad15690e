//! Parts of an expression by their place in reading order, the whole being number 0.

use crate::{Expression, Indicator, IndicatorKind, Series, Source};

/// Every part, the whole first.
pub(super) fn nodes(expression: &Expression) -> Vec<&Expression> {
    let mut found = vec![expression];
    for part in expression.parts() {
        found.extend(nodes(part));
    }
    found
}

/// The expression with `new` in the place of part number `at`; itself where there is no such part.
pub(super) fn with_node(expression: &Expression, at: usize, new: &Expression) -> Expression {
    if at == 0 {
        return new.clone();
    }
    let mut first = 1;
    let mut parts = Vec::new();
    for part in expression.parts() {
        let inside = (first..first + part.size()).contains(&at);
        parts.push(if inside { with_node(part, at - first, new) } else { part.clone() });
        first += part.size();
    }
    with_parts(expression, parts)
}

/// The same operator on other values; as many as it has, the others are left out.
pub(super) fn with_parts(expression: &Expression, parts: Vec<Expression>) -> Expression {
    let mut parts = parts.into_iter().map(Box::new);
    let (first, second) = (parts.next(), parts.next());
    match (expression, first, second) {
        (Expression::Unary(op, _), Some(x), _) => Expression::Unary(*op, x),
        (Expression::Binary(op, ..), Some(x), Some(y)) => Expression::Binary(*op, x, y),
        (Expression::Rolling(op, _, n), Some(x), _) => Expression::Rolling(*op, x, *n),
        (Expression::Correlation(_, _, n), Some(x), Some(y)) => Expression::Correlation(x, y, *n),
        (Expression::Across(op, _), Some(x), _) => Expression::Across(*op, x),
        (Expression::Beta(_, n), Some(x), _) => Expression::Beta(x, *n),
        (leaf, ..) => leaf.clone(),
    }
}

/// How many candles the outermost operator looks back over.
pub(super) const fn candles(expression: &Expression) -> Option<u32> {
    match expression {
        Expression::Volatility { returns: n }
        | Expression::Rolling(_, _, n)
        | Expression::Correlation(_, _, n)
        | Expression::Beta(_, n) => Some(*n),
        _ => None,
    }
}

/// The outermost operator with another number of candles.
pub(super) fn with_own_candles(expression: &Expression, n: u32) -> Expression {
    let mut changed = expression.clone();
    match &mut changed {
        Expression::Volatility { returns: old }
        | Expression::Rolling(_, _, old)
        | Expression::Correlation(_, _, old)
        | Expression::Beta(_, old) => *old = n,
        _ => {}
    }
    changed
}

/// The indicator of a part that is a series of one.
pub(super) const fn indicator(expression: &Expression) -> Option<&Indicator> {
    match expression {
        Expression::Series(Series { source: Source::Indicator(indicator), .. }) => Some(indicator),
        _ => None,
    }
}

/// The indicator as a part on the strategy's own candles; `None` where the parameters are out of bounds.
pub(super) fn of_indicator(kind: IndicatorKind, params: &[f64]) -> Option<Expression> {
    let specs = kind.spec().params;
    let params: Vec<_> = specs.iter().zip(params).map(|(spec, value)| spec.nearest(*value)).collect();
    let source = Source::Indicator(Indicator::new(kind, &params).ok()?);
    Some(Expression::Series(Series { source, timeframe: None, across: None }))
}
