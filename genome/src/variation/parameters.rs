//! The numbers of a strategy by name, with what the language allows of each: for whoever varies them on purpose.
//!
//! A name says where the number stands in the canonical text: `entry.long.1.rsi.period` is the period of the RSI that is on
//! the left side of the first condition of the long entry, counted from left to right. One strategy has the same names
//! whoever reads it. Never decides which value is good.

use super::{Slot, condition_mut, rule, rule_mut};
use crate::{
    AnyStrategy, Condition, Distance, Indicator, InvalidStrategy, Number, Operand, Series, Size, Source, Strategy,
    bounds,
};

mod ranking;

use ranking::RankingPlace;
pub use ranking::{ranking_parameters, with_ranking_parameters};

/// A number of a strategy.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// What it is now.
    pub value: f64,
    /// Least value that the language allows.
    pub least: f64,
    /// Whether it must be above the least one.
    pub above_least: bool,
    /// Greatest value that the language allows.
    pub most: f64,
    /// Values are whole multiples of this; `None` where any number will do.
    pub grid: Option<f64>,
    /// The customary step from one value to the next.
    pub step: f64,
    pub(super) place: Place,
}

/// Where a number stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Parameter number `index` of an indicator.
    Indicator {
        slot: Slot,
        condition: usize,
        right: bool,
        index: usize,
    },
    /// The constant that a series is compared with.
    Constant {
        slot: Slot,
        condition: usize,
    },
    Size,
    Leverage,
    Distance(Way),
    AtrPeriod(Way),
    TimeExit,
    PartialFraction,
    RecoveryMultiplier,
    RecoverySteps,
    MinConfidence,
    /// Of a strategy that ranks the market.
    Ranking(RankingPlace),
}

/// Which distance of the risk plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    StopLoss,
    TakeProfit,
    TrailingStop,
    BreakEven,
    PartialTakeProfit,
}

impl Way {
    const ALL: [(Self, &str); 5] = [
        (Self::StopLoss, "risk.stop_loss"),
        (Self::TakeProfit, "risk.take_profit"),
        (Self::TrailingStop, "risk.trailing_stop"),
        (Self::BreakEven, "risk.break_even"),
        (Self::PartialTakeProfit, "risk.partial_take_profit.at"),
    ];

    fn of(self, strategy: &Strategy) -> Option<Distance> {
        let risk = &strategy.risk;
        match self {
            Self::StopLoss => risk.stop_loss,
            Self::TakeProfit => risk.take_profit,
            Self::TrailingStop => risk.trailing_stop,
            Self::BreakEven => risk.break_even,
            Self::PartialTakeProfit => risk.partial_take_profit.map(|partial| partial.at),
        }
    }

    fn of_mut(self, strategy: &mut Strategy) -> Option<&mut Distance> {
        let risk = &mut strategy.risk;
        match self {
            Self::StopLoss => risk.stop_loss.as_mut(),
            Self::TakeProfit => risk.take_profit.as_mut(),
            Self::TrailingStop => risk.trailing_stop.as_mut(),
            Self::BreakEven => risk.break_even.as_mut(),
            Self::PartialTakeProfit => risk.partial_take_profit.as_mut().map(|partial| &mut partial.at),
        }
    }
}

/// Step of distances: a twentieth of a percent, or of an ATR.
pub(super) const DISTANCE_STEP: f64 = 0.05;

impl Parameter {
    /// Whether the language allows this value here, by itself: what values together come to, [`with_parameters`] tells.
    ///
    /// # Errors
    /// Says which bound it breaks.
    pub fn check(&self, value: f64) -> Result<(), String> {
        let (least, most) = (self.least, self.most);
        let low = if self.above_least { value <= least } else { value < least };
        if !value.is_finite() || low || value > most {
            let from = if self.above_least { "above" } else { "at least" };
            return Err(format!("{} must be {from} {least} and at most {most}, not {value}", self.name));
        }
        let off = |grid: f64| ((value / grid) - (value / grid).round()).abs() > 1e-9;
        match self.grid {
            Some(grid) if off(grid) => Err(format!("{} must be a multiple of {grid}, not {value}", self.name)),
            _ => Ok(()),
        }
    }
}

/// Every number of a valid strategy of either form: [`parameters`] or [`ranking_parameters`].
#[must_use]
pub fn any_parameters(strategy: &AnyStrategy) -> Vec<Parameter> {
    match strategy {
        AnyStrategy::Rules(strategy) => parameters(strategy),
        AnyStrategy::Ranking(ranking) => ranking_parameters(ranking),
    }
}

/// The strategy with these values in place of its own: [`with_parameters`] or [`with_ranking_parameters`].
///
/// # Errors
/// When what the values come to together is no valid strategy.
pub fn with_any_parameters(
    strategy: &AnyStrategy,
    values: &[(&Parameter, f64)],
) -> Result<AnyStrategy, InvalidStrategy> {
    Ok(match strategy {
        AnyStrategy::Rules(strategy) => with_parameters(strategy, values)?.into(),
        AnyStrategy::Ranking(ranking) => with_ranking_parameters(ranking, values)?.into(),
    })
}

/// Every number of a valid strategy of rules, in the order of its canonical text: rules, then the risk plan, then filters. Empty for
/// one that is not valid.
#[must_use]
pub fn parameters(strategy: &Strategy) -> Vec<Parameter> {
    let Ok(origin) = strategy.clone().canonical() else { return Vec::new() };
    let mut found = Vec::new();
    for slot in Slot::ALL {
        let Some(rule) = rule(&origin, slot) else { continue };
        let mut condition = 0;
        rule.for_each_condition(&mut |c| {
            of_condition(slot, condition, c, &mut found);
            condition += 1;
        });
    }
    of_plan(&origin, &mut found);
    found
}

/// The strategy with these values in place of its own, canonical. Names are those of [`parameters`] of the same strategy.
///
/// # Errors
/// When what the values come to together is no valid strategy, such as a fast average that is slower than the slow one.
pub fn with_parameters(strategy: &Strategy, values: &[(&Parameter, f64)]) -> Result<Strategy, InvalidStrategy> {
    let mut draft = strategy.clone().canonical()?;
    // An indicator is checked as a whole, so that `fast` and `slow` may both move.
    let mut moved: Vec<(Slot, usize, bool, Series, Vec<Number>)> = Vec::new();
    for (parameter, value) in values {
        let wrong = |problem: String| InvalidStrategy { field: parameter.name.clone(), problem };
        let gone = || wrong("the strategy has no such number".to_owned());
        let number = Number::new(*value).ok_or_else(|| wrong("must be a finite number".to_owned()))?;
        parameter.check(*value).map_err(wrong)?;
        match parameter.place {
            Place::Indicator { slot, condition, right, index } => {
                let at = moved.iter().position(|m| (m.0, m.1, m.2) == (slot, condition, right));
                let at = if let Some(at) = at {
                    at
                } else {
                    let series = side(&mut draft, slot, condition, right).map(|s| *s).ok_or_else(gone)?;
                    let Source::Indicator(indicator) = series.source else { return Err(gone()) };
                    moved.push((slot, condition, right, series, indicator.params().to_vec()));
                    moved.len() - 1
                };
                *moved[at].4.get_mut(index).ok_or_else(gone)? = number;
            }
            place => put(&mut draft, place, number).ok_or_else(gone)?,
        }
    }
    for (slot, condition, right, series, params) in moved {
        let Source::Indicator(indicator) = series.source else { continue };
        let field = field(slot, condition);
        let indicator = Indicator::new(indicator.kind(), &params)
            .map_err(|problem| InvalidStrategy { field: field.clone(), problem })?;
        if let Some(place) = side(&mut draft, slot, condition, right) {
            *place = Series { source: Source::Indicator(indicator), ..series };
        }
    }
    draft.canonical()
}

fn side(strategy: &mut Strategy, slot: Slot, condition: usize, right: bool) -> Option<&mut Series> {
    let condition = condition_mut(rule_mut(strategy, slot)?, condition)?;
    match &mut condition.right {
        Operand::Series(series) if right => Some(series),
        _ if right => None,
        _ => Some(&mut condition.left),
    }
}

/// Puts a number that is no parameter of an indicator. `None` where the strategy has no such place.
fn put(strategy: &mut Strategy, place: Place, number: Number) -> Option<()> {
    let count = number.get() as u32;
    match place {
        Place::Indicator { .. } | Place::Ranking(_) => return None,
        Place::Constant { slot, condition } => {
            condition_mut(rule_mut(strategy, slot)?, condition)?.right = Operand::Constant(number);
        }
        Place::Size => {
            strategy.risk.size = match strategy.risk.size {
                Size::Fraction(_) => Size::Fraction(number),
                Size::Risk(_) => Size::Risk(number),
            }
        }
        Place::Leverage => strategy.risk.leverage = number,
        Place::Distance(way) => match way.of_mut(strategy)? {
            Distance::Percent(value) | Distance::Atr { multiple: value, .. } => *value = number,
        },
        Place::AtrPeriod(way) => match way.of_mut(strategy)? {
            Distance::Atr { period, .. } => *period = count,
            Distance::Percent(_) => return None,
        },
        Place::TimeExit => *strategy.risk.time_exit_bars.as_mut()? = count,
        Place::PartialFraction => strategy.risk.partial_take_profit.as_mut()?.fraction = number,
        Place::RecoveryMultiplier => strategy.risk.recovery.as_mut()?.multiplier = number,
        Place::RecoverySteps => strategy.risk.recovery.as_mut()?.max_steps = count,
        Place::MinConfidence => *strategy.filters.min_confidence.as_mut()? = number,
    }
    Some(())
}

/// `entry.long.1`
fn field(slot: Slot, condition: usize) -> String {
    let rule = match slot {
        Slot::LongEntry => "entry.long",
        Slot::LongExit => "exit.long",
        Slot::ShortEntry => "entry.short",
        Slot::ShortExit => "exit.short",
    };
    format!("{rule}.{}", condition + 1)
}

fn of_condition(slot: Slot, condition: usize, c: &Condition, found: &mut Vec<Parameter>) {
    let field = field(slot, condition);
    let mut series = |series: Series, right: bool| {
        let Source::Indicator(indicator) = series.source else { return };
        let spec = indicator.kind().spec();
        for (index, (bound, value)) in spec.params.iter().zip(indicator.params()).enumerate() {
            let side = if right { ".right" } else { "" };
            found.push(Parameter {
                name: format!("{field}{side}.{}.{}", spec.name, bound.name),
                value: value.get(),
                least: bound.min,
                above_least: false,
                most: bound.max,
                grid: Some(bound.step),
                step: bound.step,
                place: Place::Indicator { slot, condition, right, index },
            });
        }
    };
    series(c.left, false);
    match c.right {
        Operand::Series(right) => series(right, true),
        Operand::Constant(value) => {
            let range = constants(c.left);
            found.push(Parameter {
                name: format!("{field}.value"),
                value: value.get(),
                least: -bounds::NUMBER,
                above_least: false,
                most: bounds::NUMBER,
                grid: None,
                step: range.map_or_else(|| (value.get().abs() / 20.0).max(1e-6), |r| r.step),
                place: Place::Constant { slot, condition },
            });
        }
    }
}

/// What a series is usefully compared with.
pub(super) fn constants(series: Series) -> Option<crate::ConstantRange> {
    series.source.constants()
}

fn of_plan(strategy: &Strategy, found: &mut Vec<Parameter>) {
    let risk = &strategy.risk;
    let mut add = |name: &str, value: f64, (least, most, above): (f64, f64, bool), step: f64, whole: bool, place| {
        let grid = whole.then_some(1.0);
        found.push(Parameter { name: name.to_owned(), value, least, above_least: above, most, grid, step, place });
    };
    let counted = |(least, most): (u32, u32)| (f64::from(least), f64::from(most), false);
    match risk.size {
        Size::Fraction(size) => {
            add("risk.size_fraction", size.get(), (0.0, bounds::LEVERAGE.1, true), 0.05, false, Place::Size);
        }
        Size::Risk(size) => {
            add("risk.size_risk", size.get(), (0.0, bounds::RISK_SIZE, true), 0.0025, false, Place::Size);
        }
    }
    let (least, most) = bounds::LEVERAGE;
    add("risk.leverage", risk.leverage.get(), (least, most, false), 1.0, false, Place::Leverage);
    for (way, name) in Way::ALL {
        match way.of(strategy) {
            None => {}
            Some(Distance::Percent(percent)) => {
                let bounds = (0.0, bounds::PERCENT_DISTANCE, true);
                add(name, percent.get(), bounds, DISTANCE_STEP, false, Place::Distance(way));
            }
            Some(Distance::Atr { multiple, period }) => {
                let bounds = (0.0, bounds::ATR_MULTIPLE, true);
                add(name, multiple.get(), bounds, DISTANCE_STEP, false, Place::Distance(way));
                let name = format!("{name}.atr_period");
                add(&name, f64::from(period), counted(bounds::ATR_PERIOD), 1.0, true, Place::AtrPeriod(way));
            }
        }
        if way == Way::BreakEven
            && let Some(bars) = risk.time_exit_bars
        {
            let bounds = counted(bounds::TIME_EXIT_BARS);
            add("risk.time_exit_bars", f64::from(bars), bounds, 1.0, true, Place::TimeExit);
        }
    }
    if let Some(partial) = risk.partial_take_profit {
        // One less than all: 1 would be the whole position.
        let (name, bounds) = ("risk.partial_take_profit.fraction", (0.0, 1.0 - f64::EPSILON, true));
        add(name, partial.fraction.get(), bounds, 0.05, false, Place::PartialFraction);
    }
    if let Some(recovery) = risk.recovery {
        let bounds = (1.0, bounds::RECOVERY_MULTIPLIER, true);
        let name = "risk.recovery.multiplier";
        add(name, recovery.multiplier.get(), bounds, 0.05, false, Place::RecoveryMultiplier);
        let (name, bounds) = ("risk.recovery.max_steps", counted(bounds::RECOVERY_STEPS));
        add(name, f64::from(recovery.max_steps), bounds, 1.0, true, Place::RecoverySteps);
    }
    if let Some(confidence) = strategy.filters.min_confidence {
        add("filters.min_confidence", confidence.get(), (0.0, 1.0, false), 0.1, false, Place::MinConfidence);
    }
}
