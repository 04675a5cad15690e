//! Conditions joined by and / or / not. Values only: what holds at a candle is the engine's affair.

use crate::{Number, Series};

/// How a condition compares its two sides.
///
/// "Crosses above" at candle `i`: `a[i] > b[i]` and `a[i-1] <= b[i-1]`; "crosses below" the mirror.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)]
pub enum Comparison {
    Below,
    Above,
    CrossesBelow,
    CrossesAbove,
}

impl Comparison {
    /// The comparison that says the same with the two sides exchanged.
    #[must_use]
    pub const fn flipped(self) -> Self {
        match self {
            Self::Below => Self::Above,
            Self::Above => Self::Below,
            Self::CrossesBelow => Self::CrossesAbove,
            Self::CrossesAbove => Self::CrossesBelow,
        }
    }

    /// Whether it looks at the candle before, too.
    #[must_use]
    pub(crate) const fn is_cross(self) -> bool {
        matches!(self, Self::CrossesBelow | Self::CrossesAbove)
    }
}

/// The right side of a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operand {
    /// A fixed number.
    Constant(Number),
    /// Another series.
    Series(Series),
}

/// One comparison. False at a candle where either side is undefined, even under `not`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)]
pub struct Condition {
    pub left: Series,
    pub comparison: Comparison,
    pub right: Operand,
}

/// A tree of conditions.
///
/// `Not` is pushed down to the conditions before it is evaluated (De Morgan), and a negated
/// condition is false, too, where a side is undefined: nothing trades on a value that is not there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)]
pub enum Rule {
    Condition(Condition),
    And(Vec<Rule>),
    Or(Vec<Rule>),
    Not(Box<Rule>),
}

impl Rule {
    /// Most conditions that one rule may hold.
    pub(crate) const MAX_CONDITIONS: usize = 16;
    /// Deepest nesting of and / or / not that one rule may have (a lone condition has depth 1).
    pub const MAX_DEPTH: usize = 6;

    /// Calls `visit` on every condition, left to right.
    pub fn for_each_condition<'a>(&'a self, visit: &mut impl FnMut(&'a Condition)) {
        match self {
            Self::Condition(condition) => visit(condition),
            Self::And(rules) | Self::Or(rules) => {
                for rule in rules {
                    rule.for_each_condition(visit);
                }
            }
            Self::Not(rule) => rule.for_each_condition(visit),
        }
    }

    /// Calls `visit` on every condition, left to right.
    pub(crate) fn for_each_condition_mut(&mut self, visit: &mut impl FnMut(&mut Condition)) {
        match self {
            Self::Condition(condition) => visit(condition),
            Self::And(rules) | Self::Or(rules) => {
                for rule in rules {
                    rule.for_each_condition_mut(visit);
                }
            }
            Self::Not(rule) => rule.for_each_condition_mut(visit),
        }
    }

    /// Number of conditions.
    #[must_use]
    pub fn conditions(&self) -> usize {
        let mut count = 0;
        self.for_each_condition(&mut |_| count += 1);
        count
    }

    /// Depth of the tree; a lone condition has depth 1.
    #[must_use]
    pub fn depth(&self) -> usize {
        match self {
            Self::Condition(_) => 1,
            Self::And(rules) | Self::Or(rules) => 1 + rules.iter().map(Self::depth).max().unwrap_or(0),
            Self::Not(rule) => 1 + rule.depth(),
        }
    }
}
