//! What an expression measures: a plain number, a price, an amount; and which of them may be added or compared.
//!
//! A unit is a power of money (the quote asset) times a power of coins (the base asset): a price is money per coin.
//! Coins of two instruments are different things, so that what holds coins cannot be compared across the market.

use super::{Across, Binary, Expression, Rolling, Unary};
use crate::{Scale, Series};
use std::fmt;

/// What the values of an expression measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unit {
    /// The number 0, which fits everywhere.
    Zero,
    /// money^`quote` x coins^`base`; both 0: a plain number.
    Of {
        /// Power of money.
        quote: i32,
        /// Power of coins.
        base: i32,
    },
    /// The logarithm of such a thing: only a difference of two of one kind is a plain number.
    LogOf {
        /// Power of money.
        quote: i32,
        /// Power of coins.
        base: i32,
    },
}

impl Unit {
    /// A ratio, a count, a flag.
    pub const PLAIN: Self = Self::Of { quote: 0, base: 0 };
    /// Money per coin.
    pub const PRICE: Self = Self::Of { quote: 1, base: -1 };
    /// Coins.
    pub const COINS: Self = Self::Of { quote: 0, base: 1 };
    /// Money.
    pub const MONEY: Self = Self::Of { quote: 1, base: 0 };

    /// Whether it means the same for every coin.
    const fn is_common(self) -> bool {
        matches!(self, Self::Zero | Self::Of { base: 0, .. } | Self::LogOf { base: 0, .. })
    }

    /// The unit of a series.
    #[must_use]
    pub fn of_series(series: &Series) -> Self {
        match series.source.scale() {
            Scale::Price | Scale::PriceDifference | Scale::Range => Self::PRICE,
            Scale::Volume | Scale::Cumulative => Self::COINS,
            Scale::Percent
            | Scale::NegativePercent
            | Scale::PercentOfPrice
            | Scale::Fraction
            | Scale::UnitRange
            | Scale::Signed
            | Scale::Flag
            | Scale::Hour
            | Scale::Weekday
            | Scale::Count
            | Scale::Rate
            | Scale::Ratio => Self::PLAIN,
            Scale::Money => Self::MONEY,
            Scale::PerMoney => Self::Of { quote: -1, base: 0 },
        }
    }
}

impl fmt::Display for Unit {
    /// `a price`, `an amount of coins`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Zero | Self::PLAIN => f.write_str("a plain number"),
            Self::PRICE => f.write_str("a price"),
            Self::COINS => f.write_str("an amount of coins"),
            Self::MONEY => f.write_str("an amount of money"),
            Self::Of { quote, base } => {
                f.write_str("a quantity in ")?;
                let powers = [("money", quote), ("coins", base)].into_iter().filter(|(_, power)| *power != 0);
                for (i, (name, power)) in powers.enumerate() {
                    let joint = if i == 0 { "" } else { " x " };
                    let power = if power == 1 { String::new() } else { format!("^{power}") };
                    write!(f, "{joint}{name}{power}")?;
                }
                Ok(())
            }
            Self::LogOf { quote, base } => write!(f, "the logarithm of {}", Self::Of { quote, base }),
        }
    }
}

/// An expression inside a message: its beginning where it is long.
fn shown(expression: &Expression) -> String {
    const MOST: usize = 40;
    let text = expression.to_string();
    if text.len() <= MOST { format!("`{text}`") } else { format!("`{}...`", &text[..MOST]) }
}

impl Expression {
    /// What the values of this expression measure.
    ///
    /// # Errors
    /// Says in words what is put together with what, and what would be right.
    pub fn unit(&self) -> Result<Unit, String> {
        let parts = self.parts().into_iter().map(Self::unit).collect::<Result<Vec<_>, _>>()?;
        self.unit_over(&parts)
    }

    /// The unit of this expression, given the units of its [`Self::parts`].
    pub(crate) fn unit_over(&self, parts: &[Unit]) -> Result<Unit, String> {
        match (self, parts) {
            (Self::Constant(number), _) => Ok(if number.get() == 0.0 { Unit::Zero } else { Unit::PLAIN }),
            (Self::Series(series), _) => Ok(Unit::of_series(series)),
            (Self::Unary(op, x), &[unit]) => unary(*op, x, unit),
            (Self::Binary(op, x, y), &[left, right]) => binary(*op, (x, left), (y, right)),
            (Self::Rolling(op, x, _), &[unit]) => {
                needs_series(op.name(), x)?;
                rolling(*op, x, unit)
            }
            (Self::Correlation(x, y, _), _) => {
                needs_series("correlation", x)?;
                needs_series("correlation", y)?;
                Ok(Unit::PLAIN)
            }
            (Self::Across(op, x), &[unit]) => {
                needs_series(op.name(), x)?;
                across(*op, x, unit)
            }
            (Self::Beta(x, _), _) => {
                needs_series("beta", x)?;
                Ok(Unit::PLAIN)
            }
            // A volatility, and what has other parts than its own, which `parts` rules out.
            _ => Ok(Unit::PLAIN),
        }
    }

    /// Whether there is no series in it: the same value at every candle of every instrument.
    fn is_fixed(&self) -> bool {
        match self {
            Self::Constant(_) => true,
            Self::Series(_) | Self::Volatility { .. } => false,
            _ => self.parts().into_iter().all(Self::is_fixed),
        }
    }

    /// Checks that members can be ranked by this expression.
    ///
    /// # Errors
    /// As [`Self::unit`], and where it is a fixed number or means something else for every coin.
    pub(crate) fn check_score(&self) -> Result<(), String> {
        let unit = self.unit()?;
        if self.is_fixed() {
            return Err(format!("the score {} is a fixed number; it needs a series", shown(self)));
        }
        if unit.is_common() { Ok(()) } else { Err(not_common("the score ranks coins", self, unit)) }
    }
}

fn needs_series(name: &str, x: &Expression) -> Result<(), String> {
    if x.is_fixed() { Err(format!("{name} needs a series, not the fixed number {}", shown(x))) } else { Ok(()) }
}

/// Checks that a series can be compared from coin to coin by `name`.
pub(crate) fn check_across(name: &str, x: &Expression, unit: Unit) -> Result<(), String> {
    if unit.is_common() { Ok(()) } else { Err(not_common(&format!("{name} compares coins"), x, unit)) }
}

fn not_common(who: &str, x: &Expression, unit: Unit) -> String {
    let instead = match unit {
        Unit::PRICE => "a ratio of two prices is needed, such as `close / delay(close, 42)`",
        Unit::COINS => {
            "a ratio, or an amount of money, is needed, such as `volume / mean(volume, 42)` or `quote_volume`"
        }
        Unit::LogOf { .. } => {
            "a difference of two such logarithms is needed, such as `log(close) - log(delay(close, 42))`"
        }
        _ => "a quantity without coins in it is needed, such as a ratio or an amount of money",
    };
    format!("{who} by {}, {unit}, which means something else for every coin; {instead}", shown(x))
}

fn unary(op: Unary, x: &Expression, unit: Unit) -> Result<Unit, String> {
    match (op, unit) {
        (Unary::Negate, Unit::LogOf { quote, base }) => Ok(Unit::LogOf { quote: -quote, base: -base }),
        (Unary::Log, Unit::Zero) => Err("log of 0 is undefined; what is above 0 has a logarithm".to_owned()),
        (Unary::Log, _) if matches!(x, Expression::Constant(number) if number.get() <= 0.0) => {
            Err(format!("log of {} is undefined; what is above 0 has a logarithm", shown(x)))
        }
        (Unary::Log, Unit::PLAIN) | (Unary::Sign, Unit::Of { .. }) => Ok(Unit::PLAIN),
        (Unary::Log, Unit::Of { quote, base }) => Ok(Unit::LogOf { quote, base }),
        (Unary::Abs | Unary::Log | Unary::Sign, Unit::LogOf { .. }) => Err(of_logarithm(op.name(), x, unit)),
        (Unary::Negate | Unary::Abs | Unary::Sign, unit) => Ok(unit),
    }
}

fn of_logarithm(name: &str, x: &Expression, unit: Unit) -> String {
    format!(
        "{name} of {}, {unit}, depends on the unit; take the difference of two such logarithms first, such as \
         `log(close) - log(delay(close, 42))`",
        shown(x)
    )
}

fn binary(op: Binary, (x, left): (&Expression, Unit), (y, right): (&Expression, Unit)) -> Result<Unit, String> {
    match op {
        Binary::Multiply | Binary::Divide => {
            let divides = op == Binary::Divide;
            if divides && right == Unit::Zero {
                return Err(format!("{} is divided by 0", shown(x)));
            }
            let verb = if divides { "a quotient" } else { "a product" };
            match (left, right) {
                (log @ Unit::LogOf { .. }, _) => Err(of_logarithm(verb, x, log)),
                (_, log @ Unit::LogOf { .. }) => Err(of_logarithm(verb, y, log)),
                (left, right) => {
                    let power = |unit| match unit {
                        Unit::Of { quote, base } => (quote, base),
                        _ => (0, 0),
                    };
                    let ((a, b), (c, d)) = (power(left), power(right));
                    let sign = if divides { -1 } else { 1 };
                    Ok(Unit::Of { quote: a + sign * c, base: b + sign * d })
                }
            }
        }
        Binary::Add | Binary::Subtract | Binary::Min | Binary::Max => match (left, right) {
            (Unit::LogOf { quote: a, base: b }, Unit::LogOf { quote: c, base: d })
                if (op == Binary::Add && (a, b) == (-c, -d)) || (op == Binary::Subtract && (a, b) == (c, d)) =>
            {
                Ok(Unit::PLAIN)
            }
            (Unit::LogOf { .. }, Unit::LogOf { .. }) if op == Binary::Add && left == right => Err(format!(
                "{} and {} are each {left}; they can be subtracted from each other but not added",
                shown(x),
                shown(y)
            )),
            (Unit::Zero, unit) | (unit, Unit::Zero) => Ok(unit),
            (left, right) if left == right => Ok(left),
            (left, right) => Err(format!(
                "{} is {left} and {} is {right}; `{}` needs two of one kind, such as two prices or two ratios",
                shown(x),
                shown(y),
                op.name()
            )),
        },
    }
}

fn rolling(op: Rolling, x: &Expression, unit: Unit) -> Result<Unit, String> {
    match (op, unit) {
        (Rolling::TsRank, _) | (Rolling::Delta | Rolling::Deviation, Unit::LogOf { .. }) => Ok(Unit::PLAIN),
        (Rolling::Sum, Unit::LogOf { .. }) => Err(of_logarithm(op.name(), x, unit)),
        (_, unit) => Ok(unit),
    }
}

fn across(op: Across, x: &Expression, unit: Unit) -> Result<Unit, String> {
    check_across(op.name(), x, unit)?;
    match (op, unit) {
        (Across::Relative, Unit::LogOf { .. }) => Err(of_logarithm(op.name(), x, unit)),
        (Across::Demean, Unit::Of { .. }) => Ok(unit),
        _ => Ok(Unit::PLAIN),
    }
}
