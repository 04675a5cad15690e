//! The one form of an expression: what is changed changes no bit of any value.
//!
//! The sides of `+`, `*`, `min` and `max` have one order, numbers alone are worked out, signs that cancel are left out.
//! Nothing is regrouped: (a + b) + c and a + (b + c) round differently.

use super::{Binary, Expression, Unary};
use crate::canonical::canonical_series;
use crate::{IndicatorKind, Number, PriceField, Series, Source, Timeframe, bounds};

impl Expression {
    /// The canonical form of this expression in a strategy on timeframe `base`.
    ///
    /// # Errors
    /// Says why the expression is not valid there: too large, a count of candles out of bounds, units that do not fit
    /// each other, a series that `base` cannot give.
    pub fn canonical(&self, base: Timeframe) -> Result<Self, String> {
        let canonical = self.normal(base)?;
        let (size, depth) = (canonical.size(), canonical.depth());
        if size > Self::MAX_PARTS {
            return Err(format!("the expression has {size} parts; at most {} are allowed", Self::MAX_PARTS));
        }
        if depth > Self::MAX_DEPTH {
            return Err(format!("the expression is {depth} levels deep; at most {} are allowed", Self::MAX_DEPTH));
        }
        canonical.unit()?;
        Ok(canonical)
    }

    fn normal(&self, base: Timeframe) -> Result<Self, String> {
        let inner = |x: &Self| x.normal(base).map(Box::new);
        self.check_candles()?;
        Ok(match self {
            Self::Constant(number) if !bounds::is_number(*number) => {
                return Err(format!("{}, not {number}", bounds::NUMBER_TEXT));
            }
            Self::Constant(_) | Self::Volatility { .. } => self.clone(),
            Self::Series(series) => own(canonical_series(*series, base)?)?,
            Self::Unary(op, x) => unary(*op, x.normal(base)?),
            Self::Binary(op, x, y) => binary(*op, x.normal(base)?, y.normal(base)?),
            Self::Rolling(op, x, n) => Self::Rolling(*op, inner(x)?, *n),
            Self::Correlation(x, y, n) => Self::Correlation(inner(x)?, inner(y)?, *n),
            Self::Across(op, x) => Self::Across(*op, inner(x)?),
            Self::Beta(x, n) => Self::Beta(inner(x)?, *n),
        })
    }

    /// Checks the count of candles of this operator alone.
    pub(crate) fn check_candles(&self) -> Result<(), String> {
        let (name, least, n) = match self {
            Self::Rolling(op, _, n) => (op.name(), op.least(), *n),
            Self::Correlation(_, _, n) => ("correlation", 2, *n),
            Self::Beta(_, n) => ("beta", 2, *n),
            Self::Volatility { returns } => ("realized_volatility", 1, *returns),
            _ => return Ok(()),
        };
        let most = Self::MAX_CANDLES;
        if (least..=most).contains(&n) {
            return Ok(());
        }
        Err(format!("the candles of {name} must be {least} to {most}, not {n}"))
    }
}

/// The series as an expression: realised volatility has its own form.
pub(crate) fn own(series: Series) -> Result<Expression, String> {
    if series.across.is_some() {
        return Err(format!("{series} is a function of an expression, not a series of it"));
    }
    match series.source {
        Source::Indicator(indicator) if indicator.kind() == IndicatorKind::RealizedVolatility => {
            if let Some(timeframe) = series.timeframe {
                return Err(format!(
                    "realized_volatility of a score is of the strategy's own candles; leave out `@{timeframe}`"
                ));
            }
            // The table's own grid makes it a whole number.
            let returns = indicator.params()[0].get() as u32;
            Ok(Expression::Volatility { returns })
        }
        _ => Ok(Expression::Series(series)),
    }
}

fn unary(op: Unary, x: Expression) -> Expression {
    match (op, x) {
        (Unary::Negate, x) => negated(x),
        (Unary::Abs, Expression::Constant(number)) => constant(number.get().abs()),
        (Unary::Abs, Expression::Unary(Unary::Abs | Unary::Negate, x)) => unary(Unary::Abs, *x),
        (Unary::Sign, Expression::Constant(number)) => {
            let value = number.get();
            constant(if value == 0.0 { 0.0 } else { value.signum() })
        }
        (op, x) => Expression::Unary(op, Box::new(x)),
    }
}

/// A number that stays within bounds by what it was made of.
fn constant(value: f64) -> Expression {
    Expression::Constant(Number::new(value).unwrap_or(Number::ZERO))
}

fn negated(x: Expression) -> Expression {
    match x {
        Expression::Constant(number) => constant(-number.get()),
        Expression::Unary(Unary::Negate, x) => *x,
        x => Expression::Unary(Unary::Negate, Box::new(x)),
    }
}

fn binary(op: Binary, x: Expression, y: Expression) -> Expression {
    if let (Expression::Constant(a), Expression::Constant(b)) = (&x, &y)
        && let Some(number) = worked_out(op, a.get(), b.get())
    {
        return Expression::Constant(number);
    }
    match op {
        Binary::Add => sum(x, y),
        Binary::Subtract => difference(x, y),
        Binary::Multiply | Binary::Divide => match (x, y) {
            (Expression::Unary(Unary::Negate, x), y) => negated(binary(op, *x, y)),
            (x, Expression::Unary(Unary::Negate, y)) => negated(binary(op, x, *y)),
            (x, y) if op == Binary::Multiply => ordered(op, x, y),
            (x, y) => Expression::Binary(op, Box::new(x), Box::new(y)),
        },
        Binary::Min | Binary::Max => ordered(op, x, y),
    }
}

/// What two numbers give, where that can be written.
fn worked_out(op: Binary, a: f64, b: f64) -> Option<Number> {
    let value = match op {
        Binary::Add => a + b,
        Binary::Subtract => a - b,
        Binary::Multiply => a * b,
        Binary::Divide => a / b,
        Binary::Min => a.min(b),
        Binary::Max => a.max(b),
    };
    Number::new(value).filter(|number| bounds::is_number(*number))
}

fn sum(x: Expression, y: Expression) -> Expression {
    match ordered(Binary::Add, x, y) {
        Expression::Binary(op, x, y) => match (*x, *y) {
            (Expression::Unary(Unary::Negate, x), y) => difference(y, *x),
            (x, Expression::Unary(Unary::Negate, y)) => difference(x, *y),
            (x, Expression::Constant(number)) if number.get() < 0.0 => {
                Expression::Binary(Binary::Subtract, Box::new(x), Box::new(constant(-number.get())))
            }
            (x, y) => Expression::Binary(op, Box::new(x), Box::new(y)),
        },
        other => other,
    }
}

fn difference(x: Expression, y: Expression) -> Expression {
    match y {
        Expression::Unary(Unary::Negate, y) => sum(x, *y),
        Expression::Constant(number) if number.get() < 0.0 => sum(x, constant(-number.get())),
        y => Expression::Binary(Binary::Subtract, Box::new(x), Box::new(y)),
    }
}

/// Both sides in reading order: what goes on at the same level first, then the close, numbers last.
fn ordered(op: Binary, x: Expression, y: Expression) -> Expression {
    let key = |x: &Expression| {
        let number = matches!(x, Expression::Constant(_));
        let goes_on = matches!(
            (op, x),
            (Binary::Add, Expression::Binary(Binary::Add | Binary::Subtract, ..))
                | (Binary::Multiply, Expression::Binary(Binary::Multiply | Binary::Divide, ..))
        );
        let close = matches!(x, Expression::Series(series) if series.source == Source::Price(PriceField::Close));
        (number, !goes_on, !close)
    };
    let swapped = key(&y).cmp(&key(&x)).then_with(|| y.cmp(&x)).is_lt();
    let (x, y) = if swapped { (y, x) } else { (x, y) };
    Expression::Binary(op, Box::new(x), Box::new(y))
}
