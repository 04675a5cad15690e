//! Scores of the members at one candle.
//!
//! Members whose score cannot be defined are left out before an operator across the market sees any. Where such an
//! operator stands inside one that looks back, it sees at each candle the members of then (see `columns`).

use crate::{
    across,
    operators::{binary, unary},
};
use genome::{Across, Binary, Expression, Unary};
use std::{ops::Range, sync::Arc};

/// An expression, taken apart where it looks across the market at the candle itself.
#[derive(Clone, Debug)]
pub(crate) enum Score {
    /// Number of a part that looks at one instrument alone, or back.
    Part(usize),
    Unary(Unary, Box<Score>),
    Binary(Binary, Box<Score>, Box<Score>),
    Across(Across, Box<Score>),
}

impl Score {
    /// Takes an expression apart; `part` numbers its parts.
    pub(crate) fn new(expression: &Expression, part: &mut impl FnMut(&Expression) -> usize) -> Self {
        if !looks_across(expression) {
            return Self::Part(part(expression));
        }
        match expression {
            Expression::Unary(operator, x) => Self::Unary(*operator, Box::new(Self::new(x, part))),
            Expression::Binary(operator, x, y) => {
                let x = Box::new(Self::new(x, part));
                Self::Binary(*operator, x, Box::new(Self::new(y, part)))
            }
            Expression::Across(operator, x) => Self::Across(*operator, Box::new(Self::new(x, part))),
            _ => Self::Part(part(expression)),
        }
    }

    /// Values of the places, in order.
    fn values(&self, parts: &[Arc<Vec<f64>>], places: &[usize]) -> Vec<f64> {
        match self {
            Self::Part(part) => {
                let values = &parts[*part];
                places.iter().map(|place| values[*place]).collect()
            }
            Self::Unary(operator, x) => {
                let mut values = x.values(parts, places);
                values.iter_mut().for_each(|x| *x = unary(*operator, *x));
                values
            }
            Self::Binary(operator, x, y) => {
                let (mut values, y) = (x.values(parts, places), y.values(parts, places));
                values.iter_mut().zip(y).for_each(|(x, y)| *x = binary(*operator, *x, y));
                values
            }
            Self::Across(operator, x) => {
                let mut values = x.values(parts, places);
                across::apply(*operator, &mut values);
                values
            }
        }
    }
}

/// A score with the values of its parts, one a seat of the strategy's members.
#[derive(Clone, Debug)]
pub(crate) struct Scores {
    pub(crate) score: Score,
    pub(crate) parts: Vec<Arc<Vec<f64>>>,
    /// Realised volatilities, where weights are divided by them.
    pub(crate) volatility: Option<Arc<Vec<f64>>>,
}

impl Scores {
    /// Which of these places have a score, and the scores.
    pub(crate) fn at(&self, places: Range<usize>) -> (Vec<usize>, Vec<f64>) {
        let may = |place: &usize| {
            self.volatility.as_ref().is_none_or(|v| v[*place] > 0.0) && self.parts.iter().all(|v| !v[*place].is_nan())
        };
        let mut left: Vec<usize> = places.filter(may).collect();
        let mut scores = self.score.values(&self.parts, &left);
        if scores.iter().any(|score| score.is_nan()) {
            (left, scores) = left.into_iter().zip(scores).filter(|(_, score)| !score.is_nan()).unzip();
        }
        (left, scores)
    }
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
