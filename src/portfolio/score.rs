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
    fn values(&self, parts: &[Arc<Vec<f64>>], among: &Among<'_>, spare: &mut Vec<Vec<f64>>) -> Vec<f64> {
        match self {
            Self::Part(part) => {
                let (values, mut out) = (&parts[*part], spare.pop().unwrap_or_default());
                out.clear();
                match among {
                    Among::All(places) => out.extend_from_slice(&values[places.clone()]),
                    Among::Some(places) => out.extend(places.iter().map(|place| values[*place])),
                }
                out
            }
            Self::Unary(operator, x) => {
                let mut values = x.values(parts, among, spare);
                values.iter_mut().for_each(|x| *x = unary(*operator, *x));
                values
            }
            Self::Binary(operator, x, y) => {
                let (mut values, y) = (x.values(parts, among, spare), y.values(parts, among, spare));
                values.iter_mut().zip(&y).for_each(|(x, y)| *x = binary(*operator, *x, *y));
                spare.push(y);
                values
            }
            Self::Across(operator, x) => {
                let mut values = x.values(parts, among, spare);
                across::apply(*operator, &mut values);
                values
            }
        }
    }
}

/// Places whose values are wanted.
enum Among<'a> {
    All(Range<usize>),
    Some(&'a [usize]),
}

/// Members that have a score at one candle, and room for the next.
#[derive(Debug, Default)]
pub(crate) struct Left {
    whole: bool,
    places: Vec<usize>,
    scores: Vec<f64>,
    spare: Vec<Vec<f64>>,
}

impl Left {
    /// Whether all members have one; their places are then not told.
    pub(crate) const fn is_whole(&self) -> bool {
        self.whole
    }

    /// Places of those that have one, where not all do.
    pub(crate) fn places(&self) -> &[usize] {
        &self.places
    }

    pub(crate) fn scores(&self) -> &[f64] {
        &self.scores
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
    pub(crate) fn at(&self, places: Range<usize>, out: &mut Left) {
        let Left { whole, places: left, scores, spare } = out;
        left.clear();
        // Without a branch a place: at most candles all of them are defined.
        let defined = |values: &[f64]| values.iter().fold(true, |all, x| all & !x.is_nan());
        *whole = self.parts.iter().all(|part| defined(&part[places.clone()]))
            && self.volatility.iter().all(|v| v[places.clone()].iter().fold(true, |all, x| all & (*x > 0.0)));
        let among = if *whole {
            Among::All(places.clone())
        } else {
            let may = |place: &usize| {
                self.volatility.as_ref().is_none_or(|v| v[*place] > 0.0)
                    && self.parts.iter().all(|v| !v[*place].is_nan())
            };
            left.extend(places.clone().filter(may));
            Among::Some(left)
        };
        let found = self.score.values(&self.parts, &among, spare);
        spare.push(std::mem::replace(scores, found));
        if !defined(scores) {
            if *whole {
                left.extend(places);
                *whole = false;
            }
            let mut of_left = scores.iter();
            left.retain(|_| of_left.next().is_some_and(|score| !score.is_nan()));
            scores.retain(|score| !score.is_nan());
        }
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
