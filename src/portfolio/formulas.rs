//! Expressions of many scores as one graph, in which what several of them contain stands once. Computes no column.

use crate::operators::{binary, has_unit, unary};
use genome::{Across, Binary, Expression, Rolling, Series, Unary, Universe};
use std::collections::HashMap;

/// Number of a formula.
pub(crate) type Id = u32;

/// Who is seen across the market: members of a universe that have a positive volatility over so many returns.
pub(crate) type Sight = (Universe, Option<u32>);

/// One operator over formulas that stand before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Formula {
    /// Bits of a number; NaN where undefined.
    Constant(u64),
    Series(Series),
    /// Squares of logarithmic returns of the close.
    Squares,
    /// Root of the mean of the last squares.
    Volatility(Id, u32),
    Unary(Unary, Id),
    Binary(Binary, Id, Id),
    Rolling(Rolling, Id, u32),
    Correlation(Id, Id, u32),
    /// Changes from candle to candle; relative ones of what has a unit.
    Changes(Id, bool),
    /// Slope of the last values of the second on the first.
    Slope(Id, Id, u32),
    /// An operator over the members of each slot; the number of the sight.
    Across(Across, Id, u32),
    /// Mean change of the members of each slot: changes, values, whether these have a unit, the number of the sight.
    Market(Id, Id, bool, u32),
}

impl Formula {
    /// The formulas that it is written in.
    pub(crate) const fn parts(self) -> [Option<Id>; 2] {
        match self {
            Self::Constant(_) | Self::Series(_) | Self::Squares => [None, None],
            Self::Volatility(x, _)
            | Self::Unary(_, x)
            | Self::Rolling(_, x, _)
            | Self::Changes(x, _)
            | Self::Across(_, x, _) => [Some(x), None],
            Self::Binary(_, x, y) | Self::Correlation(x, y, _) | Self::Slope(x, y, _) | Self::Market(x, y, _, _) => {
                [Some(x), Some(y)]
            }
        }
    }

    /// Whether it takes more time to compute than to read again.
    pub(crate) const fn is_costly(self) -> bool {
        !matches!(self, Self::Constant(_) | Self::Binary(..))
    }

    /// The sight of what looks across the market at every slot.
    pub(crate) const fn sight(self) -> Option<u32> {
        match self {
            Self::Across(_, _, sight) | Self::Market(_, _, _, sight) => Some(sight),
            _ => None,
        }
    }
}

/// The graph.
#[derive(Clone, Debug, Default)]
pub(crate) struct Formulas {
    formulas: Vec<Formula>,
    /// How many looks across the market must be over before a formula can be computed.
    stages: Vec<u32>,
    known: HashMap<Formula, Id>,
    pub(crate) sights: Vec<Sight>,
}

impl Formulas {
    /// How many there are.
    pub(crate) const fn len(&self) -> usize {
        self.formulas.len()
    }

    pub(crate) fn get(&self, id: Id) -> Formula {
        self.formulas[id as usize]
    }

    pub(crate) fn stage(&self, id: Id) -> u32 {
        self.stages[id as usize]
    }

    /// The number of an expression, which is seen so where it looks across the market.
    pub(crate) fn add(&mut self, expression: &Expression, sight: Sight) -> Id {
        let formula = match expression {
            Expression::Constant(value) => Formula::Constant(value.get().to_bits()),
            Expression::Series(series) => Formula::Series(*series),
            Expression::Volatility { returns } => return self.volatility(*returns),
            Expression::Unary(operator, x) => {
                let x = self.add(x, sight);
                match self.get(x) {
                    Formula::Constant(x) => Formula::Constant(unary(*operator, f64::from_bits(x)).to_bits()),
                    _ => Formula::Unary(*operator, x),
                }
            }
            Expression::Binary(operator, x, y) => {
                let (x, y) = (self.add(x, sight), self.add(y, sight));
                match (self.get(x), self.get(y)) {
                    (Formula::Constant(x), Formula::Constant(y)) => {
                        Formula::Constant(binary(*operator, f64::from_bits(x), f64::from_bits(y)).to_bits())
                    }
                    _ => Formula::Binary(*operator, x, y),
                }
            }
            Expression::Rolling(operator, x, n) => Formula::Rolling(*operator, self.add(x, sight), *n),
            Expression::Correlation(x, y, n) => Formula::Correlation(self.add(x, sight), self.add(y, sight), *n),
            Expression::Across(operator, x) => {
                let x = self.add(x, sight);
                let sight = self.sight(sight);
                Formula::Across(*operator, x, sight)
            }
            Expression::Beta(x, n) => {
                let has_unit = has_unit(x);
                let x = self.add(x, sight);
                let changes = self.put(Formula::Changes(x, has_unit));
                let sight = self.sight(sight);
                let market = self.put(Formula::Market(changes, x, has_unit, sight));
                Formula::Slope(market, changes, *n)
            }
        };
        self.put(formula)
    }

    /// The number of a realised volatility.
    pub(crate) fn volatility(&mut self, returns: u32) -> Id {
        let squares = self.put(Formula::Squares);
        self.put(Formula::Volatility(squares, returns))
    }

    fn sight(&mut self, sight: Sight) -> u32 {
        if let Some(returns) = sight.1 {
            self.volatility(returns);
        }
        let known = self.sights.iter().position(|s| *s == sight);
        known.unwrap_or_else(|| {
            self.sights.push(sight);
            self.sights.len() - 1
        }) as u32
    }

    /// What must be known of all instruments before a formula that looks across the market.
    pub(crate) fn needed(&self, id: Id) -> Vec<Id> {
        let formula = self.get(id);
        let volatility = formula.sight().and_then(|sight| {
            let returns = self.sights[sight as usize].1?;
            let squares = self.known.get(&Formula::Squares)?;
            self.known.get(&Formula::Volatility(*squares, returns)).copied()
        });
        formula.parts().into_iter().flatten().chain(volatility).collect()
    }

    fn put(&mut self, formula: Formula) -> Id {
        if let Some(id) = self.known.get(&formula) {
            return *id;
        }
        let before = formula.parts().into_iter().flatten().map(|id| self.stage(id)).max().unwrap_or(0);
        let id = self.formulas.len() as Id;
        self.formulas.push(formula);
        self.stages.push(before + u32::from(formula.sight().is_some()));
        self.known.insert(formula, id);
        id
    }
}
