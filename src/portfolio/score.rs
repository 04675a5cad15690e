//! Scores of the members at one candle.
//!
//! Members whose score cannot be defined are left out before an operator across the market sees any. Where such an
//! operator stands inside one that looks back, it sees at each candle the members of then (see `columns`).

use crate::{
    Seat, across,
    columns::{ColumnError, Columns, Sheet, binary, unary},
};
use genome::{Across, Binary, Expression, Unary};

/// An expression, taken apart where it looks across the market at the candle itself.
pub(crate) enum Score {
    /// What looks at one instrument alone, or back.
    Sheet(Sheet),
    Unary(Unary, Box<Score>),
    Binary(Binary, Box<Score>, Box<Score>),
    Across(Across, Box<Score>),
}

impl Score {
    pub(crate) fn new(expression: &Expression, columns: &mut Columns<'_>) -> Result<Self, ColumnError> {
        if !looks_across(expression) {
            return Ok(Self::Sheet(columns.sheet(expression)?));
        }
        let mut part = |x: &Expression| Self::new(x, columns).map(Box::new);
        Ok(match expression {
            Expression::Unary(operator, x) => Self::Unary(*operator, part(x)?),
            Expression::Binary(operator, x, y) => Self::Binary(*operator, part(x)?, part(y)?),
            Expression::Across(operator, x) => Self::Across(*operator, part(x)?),
            _ => Self::Sheet(columns.sheet(expression)?),
        })
    }

    /// The scores of those of `seats` that have one, and which they are. `may` says who may be ranked at all.
    pub(crate) fn at(&self, seats: &[Seat], may: impl Fn(&Seat) -> bool) -> (Vec<Seat>, Vec<f64>) {
        let left: Vec<Seat> = seats.iter().filter(|seat| may(seat) && self.can_be_defined(seat)).copied().collect();
        let scored = left.iter().copied().zip(self.values(&left));
        scored.filter(|(_, score)| !score.is_nan()).unzip()
    }

    /// Whether all that looks at this instrument alone is defined.
    fn can_be_defined(&self, seat: &Seat) -> bool {
        match self {
            Self::Sheet(sheet) => !value(sheet, seat).is_nan(),
            Self::Unary(_, x) | Self::Across(_, x) => x.can_be_defined(seat),
            Self::Binary(_, x, y) => x.can_be_defined(seat) && y.can_be_defined(seat),
        }
    }

    fn values(&self, seats: &[Seat]) -> Vec<f64> {
        match self {
            Self::Sheet(sheet) => seats.iter().map(|seat| value(sheet, seat)).collect(),
            Self::Unary(operator, x) => x.values(seats).into_iter().map(|x| unary(*operator, x)).collect(),
            Self::Binary(operator, x, y) => {
                x.values(seats).into_iter().zip(y.values(seats)).map(|(x, y)| binary(*operator, x, y)).collect()
            }
            Self::Across(operator, x) => across::apply(*operator, &x.values(seats)),
        }
    }
}

/// A member's value in a sheet.
pub(crate) fn value(sheet: &Sheet, seat: &Seat) -> f64 {
    sheet[seat.instrument as usize][seat.candle as usize]
}

/// Whether the expression looks across the market at the candle itself, outside of what looks back.
fn looks_across(expression: &Expression) -> bool {
    match expression {
        Expression::Across(..) => true,
        Expression::Unary(_, x) => looks_across(x),
        Expression::Binary(_, x, y) => looks_across(x) || looks_across(y),
        _ => false,
    }
}
