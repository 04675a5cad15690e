//! How far from a fill the levels of a plan stand: a share of its price, or so many ATRs.
//!
//! Knows no candles and no position.

use genome::{Distance, RiskPlan};

/// ATRs at the signal candle's close, one for each distance of the plan that asks for one (NaN for the rest).
#[derive(Clone, Copy, Debug)]
pub(super) struct PlanAtrs {
    pub stop_loss: f64,
    pub take_profit: f64,
    pub trailing_stop: f64,
    pub break_even: f64,
    pub partial_take_profit: f64,
}

impl PlanAtrs {
    /// Of a plan that asks for none.
    pub(super) const NONE: Self = Self {
        stop_loss: f64::NAN,
        take_profit: f64::NAN,
        trailing_stop: f64::NAN,
        break_even: f64::NAN,
        partial_take_profit: f64::NAN,
    };
}

/// A distance from the fill, prepared.
#[derive(Clone, Copy, Debug)]
pub(super) enum Away {
    Fraction(f64),
    Atrs(f64),
}

impl Away {
    fn new(distance: Distance) -> Self {
        match distance {
            Distance::Percent(percent) => Self::Fraction(percent.get() / 100.0),
            Distance::Atr { multiple, .. } => Self::Atrs(multiple.get()),
        }
    }

    /// The price this far from `fill`, upwards for `direction` 1 and downwards for -1.
    #[inline(always)]
    pub(super) fn level(self, fill: f64, direction: f64, atr: f64) -> f64 {
        match self {
            Self::Fraction(fraction) => fill * (1.0 + direction * fraction),
            Self::Atrs(multiple) => fill + direction * (multiple * atr),
        }
    }
}

/// The distances of a plan, prepared.
#[derive(Clone, Copy, Debug)]
pub(super) struct Distances {
    pub stop_loss: Option<Away>,
    pub take_profit: Option<Away>,
    pub trailing_stop: Option<Away>,
    pub break_even: Option<Away>,
    pub partial_take_profit: Option<Away>,
}

impl Distances {
    pub(super) fn new(plan: &RiskPlan) -> Self {
        Self {
            stop_loss: plan.stop_loss.map(Away::new),
            take_profit: plan.take_profit.map(Away::new),
            trailing_stop: plan.trailing_stop.map(Away::new),
            break_even: plan.break_even.map(Away::new),
            partial_take_profit: plan.partial_take_profit.map(|p| Away::new(p.at)),
        }
    }

    /// Those of levels that stand from the fill to the end.
    #[inline(always)]
    pub(super) fn that_stand(self) -> Self {
        Self { trailing_stop: None, break_even: None, partial_take_profit: None, ..self }
    }
}
