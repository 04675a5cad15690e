//! Rules and strategies as text that reads back as the same value.

use super::percent;
use crate::{
    AcrossSeries, Comparison, Condition, Distance, Indicator, Operand, PartialTakeProfit, Recovery, RiskPlan, Rule,
    Series, SideRules, Size, Source, Strategy, TrendRegimeFilter,
};
use std::fmt::{self, Display, Formatter};

impl Display for Indicator {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind().spec().name)?;
        for (i, param) in self.params().iter().enumerate() {
            write!(f, "{}{param}", if i == 0 { "(" } else { ", " })?;
        }
        if self.params().is_empty() { Ok(()) } else { f.write_str(")") }
    }
}

impl Display for Source {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Price(field) => f.write_str(field.name()),
            Self::Indicator(indicator) => indicator.fmt(f),
            Self::Model(model) => model.fmt(f),
        }
    }
}

impl Display for Series {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.across {
            None => self.source.fmt(f)?,
            Some(AcrossSeries::Compared(op)) => write!(f, "{}({})", op.name(), self.source)?,
            Some(AcrossSeries::Beta { candles }) => write!(f, "beta({}, {candles})", self.source)?,
        }
        self.timeframe.map_or(Ok(()), |t| write!(f, "@{}", t.name()))
    }
}

impl Display for Operand {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Constant(number) => number.fmt(f),
            Self::Series(series) => series.fmt(f),
        }
    }
}

impl Display for Comparison {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Below => "<",
            Self::Above => ">",
            Self::CrossesBelow => "crosses below",
            Self::CrossesAbove => "crosses above",
        })
    }
}

impl Display for Condition {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.left, self.comparison, self.right)
    }
}

impl Display for Rule {
    /// As written, with parentheses around every `and` and `or` that is part of something larger.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let join = |f: &mut Formatter<'_>, rules: &[Self], word: &str| {
            for (i, rule) in rules.iter().enumerate() {
                if i > 0 {
                    write!(f, " {word} ")?;
                }
                part(rule, f)?;
            }
            Ok(())
        };
        match self {
            Self::Condition(condition) => condition.fmt(f),
            Self::And(rules) => join(f, rules, "and"),
            Self::Or(rules) => join(f, rules, "or"),
            Self::Not(rule) => match **rule {
                Self::Condition(Condition { left, comparison: Comparison::Below, right }) => {
                    write!(f, "{left} >= {right}")
                }
                Self::Condition(Condition { left, comparison: Comparison::Above, right }) => {
                    write!(f, "{left} <= {right}")
                }
                _ => {
                    f.write_str("not ")?;
                    part(rule, f)
                }
            },
        }
    }
}

/// A rule inside another one.
fn part(rule: &Rule, f: &mut Formatter<'_>) -> fmt::Result {
    if matches!(rule, Rule::And(_) | Rule::Or(_)) { write!(f, "({rule})") } else { rule.fmt(f) }
}

impl Display for Distance {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Percent(percent) => write!(f, "{percent}%"),
            Self::Atr { multiple, period } => write!(f, "{multiple} atr({period})"),
        }
    }
}

impl Display for TrendRegimeFilter {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl Display for Strategy {
    /// All clauses on one line; what is off is left out.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(self.timeframe.name())?;
        if let Some(universe) = self.universe {
            write!(f, "; universe {universe}")?;
        }
        for (name, side) in [("long", &self.long), ("short", &self.short)] {
            if let Some(SideRules { entry, exit }) = side {
                write!(f, "; {name} when {entry}")?;
                if let Some(exit) = exit {
                    write!(f, " exit when {exit}")?;
                }
            }
        }
        risk(&self.risk, f)?;
        if self.filters.regime != TrendRegimeFilter::Any {
            write!(f, "; regime {}", self.filters.regime)?;
        }
        self.filters.min_confidence.map_or(Ok(()), |c| write!(f, "; confidence {c}"))
    }
}

fn risk(plan: &RiskPlan, f: &mut Formatter<'_>) -> fmt::Result {
    let distances = [
        ("stop", plan.stop_loss),
        ("target", plan.take_profit),
        ("trail", plan.trailing_stop),
        ("break-even", plan.break_even),
    ];
    for (name, distance) in distances {
        if let Some(distance) = distance {
            write!(f, "; {name} {distance}")?;
        }
    }
    if let Some(bars) = plan.time_exit_bars {
        write!(f, "; time-exit {bars}")?;
    }
    if let Some(PartialTakeProfit { at, fraction }) = plan.partial_take_profit {
        write!(f, "; partial {}% at {at}", percent::from_fraction(fraction))?;
    }
    if let Some(Recovery { multiplier, max_steps }) = plan.recovery {
        write!(f, "; recovery {multiplier}x up to {max_steps}")?;
    }
    let usual = RiskPlan::default();
    match plan.size {
        size if size == usual.size => {}
        Size::Fraction(fraction) => write!(f, "; size {}%", percent::from_fraction(fraction))?,
        Size::Risk(fraction) => write!(f, "; risk {}%", percent::from_fraction(fraction))?,
    }
    if plan.leverage == usual.leverage { Ok(()) } else { write!(f, "; leverage {}", plan.leverage) }
}
