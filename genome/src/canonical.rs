//! The one form in which a strategy is compared, hashed and evaluated, and the check that it can be.
//!
//! `and` and `or` are flat, sorted and free of repetition; `not` stands only before conditions; of the
//! two ways to write a comparison of two series one is taken; the base timeframe is never named in a
//! series. What a strategy says is not changed, candles where a series is undefined included.

use crate::{
    AcrossSeries, Comparison, Condition, Distance, Expression, Number, Operand, PartialTakeProfit, PriceField,
    Recovery, RiskPlan, Rule, Series, SideRules, Size, Source, Strategy, Timeframe, bounds,
};
use std::{cmp::Ordering, collections::BTreeSet};

/// Why a strategy is not valid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct InvalidStrategy {
    /// Path of the field, as in the JSON form: `risk.leverage`, `long.entry`.
    pub field: String,
    /// What is wrong with it and what would be right.
    pub problem: String,
}

pub(crate) fn invalid<T>(field: &str, problem: impl Into<String>) -> Result<T, InvalidStrategy> {
    Err(InvalidStrategy { field: field.to_owned(), problem: problem.into() })
}

impl Strategy {
    /// The canonical form of this strategy; one strategy, however written, has one.
    ///
    /// # Errors
    /// What makes the strategy invalid: a number out of its [`bounds`], a rule that is too large, refers to
    /// a timeframe that its base cannot give, compares a series with itself or can never hold.
    pub fn canonical(mut self) -> Result<Self, InvalidStrategy> {
        if self.long.is_none() && self.short.is_none() {
            return invalid("long", "a strategy needs a long or a short side");
        }
        for (name, side) in [("long", &mut self.long), ("short", &mut self.short)] {
            if let Some(side) = side {
                canonical_side(name, side, self.timeframe)?;
            }
        }
        check_risk(&self.risk)?;
        check_universe(&self)?;
        if let Some(confidence) = self.filters.min_confidence {
            let c = confidence.get();
            if !(0.0..=1.0).contains(&c) || !bounds::is_number(confidence) {
                return invalid("filters.min_confidence", format!("must be 0 to 1, not {c}"));
            }
            if c == 0.0 {
                self.filters.min_confidence = None;
            }
        }
        Ok(self)
    }

    /// Series that rules compare with the members of the universe, each once, in order. Whoever evaluates the strategy needs
    /// the whole market's values of them.
    #[must_use]
    pub fn across_series(&self) -> BTreeSet<Series> {
        self.series().into_iter().filter(|series| series.across.is_some()).collect()
    }

    /// Whether a condition compares the instrument with the members of the universe.
    #[must_use]
    pub fn looks_across(&self) -> bool {
        !self.across_series().is_empty()
    }

    /// Whether a rule looks at more than the candles of its own symbol: at other instruments, or at what the futures market
    /// publishes beside them. Whoever evaluates such a strategy has to bring that along (and what models predict, which is asked
    /// elsewhere: [`crate::AnyStrategy::model_series`]).
    #[must_use]
    pub fn looks_beside_its_candles(&self) -> bool {
        self.series().iter().any(|series| series.across.is_some() || series.source.is_of_market())
    }

    /// Whether the strategy is valid and in canonical form.
    #[must_use]
    pub fn is_canonical(&self) -> bool {
        self.clone().canonical().as_ref() == Ok(self)
    }

    /// Checks the strategy without changing it.
    ///
    /// # Errors
    /// As [`Strategy::canonical`].
    pub fn validate(&self) -> Result<(), InvalidStrategy> {
        self.clone().canonical().map(|_| ())
    }
}

/// A universe is there if, and only if, a condition compares with its members.
fn check_universe(strategy: &Strategy) -> Result<(), InvalidStrategy> {
    match (strategy.universe, strategy.across_series().first()) {
        (None, Some(series)) => {
            let problem = format!(
                "{series} compares with other instruments; say which, such as \
                 `universe top 30 by quote_volume(30d), listed 60d`"
            );
            invalid("universe", problem)
        }
        (Some(_), None) => {
            invalid("universe", "no condition looks at the universe; leave it out or use `cs_rank(...)`")
        }
        (Some(universe), Some(_)) => universe.check(),
        (None, None) => Ok(()),
    }
}

fn canonical_side(name: &str, side: &mut SideRules, base: Timeframe) -> Result<(), InvalidStrategy> {
    let named = |part: &str, problem| InvalidStrategy { field: format!("{name}.{part}"), problem };
    side.entry = side.entry.canonical(base).map_err(|p| named("entry", p))?;
    if let Some(exit) = &side.exit {
        side.exit = Some(exit.canonical(base).map_err(|p| named("exit", p))?);
    }
    Ok(())
}

impl Rule {
    /// The canonical form of this rule in a strategy on timeframe `base`.
    ///
    /// # Errors
    /// Says why the rule is not valid there.
    pub fn canonical(&self, base: Timeframe) -> Result<Self, String> {
        let rule = normal(self, false, base)?;
        let (conditions, depth) = (rule.conditions(), rule.depth());
        if conditions > Self::MAX_CONDITIONS {
            return Err(format!("the rule has {conditions} conditions; at most {} are allowed", Self::MAX_CONDITIONS));
        }
        if depth > Self::MAX_DEPTH {
            return Err(format!("the rule is {depth} levels deep; at most {} are allowed", Self::MAX_DEPTH));
        }
        Ok(rule)
    }
}

/// Negation normal form, flat, sorted, each part once.
fn normal(rule: &Rule, negated: bool, base: Timeframe) -> Result<Rule, String> {
    let (parts, is_and) = match rule {
        Rule::Condition(condition) => {
            let rule = Rule::Condition(canonical_condition(condition, base)?);
            return Ok(if negated { Rule::Not(Box::new(rule)) } else { rule });
        }
        Rule::Not(rule) => return normal(rule, !negated, base),
        Rule::And(parts) => (parts, !negated),
        Rule::Or(parts) => (parts, negated),
    };
    let mut flat = Vec::with_capacity(parts.len());
    for part in parts {
        match (normal(part, negated, base)?, is_and) {
            (Rule::And(inner), true) | (Rule::Or(inner), false) => flat.extend(inner),
            (other, _) => flat.push(other),
        }
    }
    flat.sort_by(order);
    flat.dedup();
    match flat.len() {
        0 => Err("`and` and `or` need conditions to join".to_owned()),
        1 => Ok(flat.remove(0)),
        _ if is_and => never_together(&flat).map_or(Ok(Rule::And(flat)), Err),
        _ => Ok(Rule::Or(flat)),
    }
}

fn canonical_condition(condition: &Condition, base: Timeframe) -> Result<Condition, String> {
    let left = canonical_series(condition.left, base)?;
    match condition.right {
        Operand::Constant(number) if !bounds::is_number(number) => {
            Err(format!("{}, not {number}", bounds::NUMBER_TEXT))
        }
        Operand::Constant(_) => Ok(Condition { left, ..*condition }),
        Operand::Series(right) => {
            let right = canonical_series(right, base)?;
            match reading_order(left).cmp(&reading_order(right)) {
                Ordering::Equal => Err(format!("{left} is compared with itself")),
                Ordering::Less => Ok(Condition { left, right: Operand::Series(right), ..*condition }),
                Ordering::Greater => {
                    let comparison = condition.comparison.flipped();
                    Ok(Condition { left: right, comparison, right: Operand::Series(left) })
                }
            }
        }
    }
}

/// The close comes first, as people write it: `close > open`.
fn reading_order(series: Series) -> (bool, Series) {
    (series.source != Source::Price(PriceField::Close), series)
}

pub(crate) fn canonical_series(series: Series, base: Timeframe) -> Result<Series, String> {
    if series.across.is_some() {
        let series = Series { timeframe: series.timeframe.filter(|t| *t != base), ..series };
        return series.check_across().map(|()| series);
    }
    match series.timeframe {
        None => Ok(series),
        Some(timeframe) if timeframe == base => Ok(Series { timeframe: None, ..series }),
        Some(timeframe) if base.is_multiple(timeframe) => Ok(series),
        Some(timeframe) if timeframe < base => {
            Err(format!("{series} is on a lower timeframe than the strategy's {base}; only higher ones can be used"))
        }
        Some(timeframe) => Err(format!("{series}: {timeframe} candles are not made of whole {base} candles")),
    }
}

impl Series {
    /// The expression that is worth the same: what is said across the market as an operator on the series itself.
    #[must_use]
    pub fn expression(self) -> Expression {
        let plain = Box::new(Expression::Series(Self { across: None, ..self }));
        match self.across {
            None => *plain,
            Some(AcrossSeries::Compared(op)) => Expression::Across(op, plain),
            Some(AcrossSeries::Beta { candles }) => Expression::Beta(plain, candles),
        }
    }

    /// Checks what is said of this series across the market.
    pub(crate) fn check_across(self) -> Result<(), String> {
        if self.across.is_none() {
            return Ok(());
        }
        if self.timeframe.is_some() {
            return Err(format!("{self}: what is compared across the market is of the strategy's own candles"));
        }
        let whole = self.expression();
        whole.check_candles()?;
        whole.unit().map(|_| ())
    }
}

/// Order of parts: states before events, conditions before groups, then by what they say.
fn order(a: &Rule, b: &Rule) -> Ordering {
    let key = |rule: &Rule| match rule {
        Rule::Condition(condition) => (u8::from(condition.comparison.is_cross()), Some(*condition), false),
        Rule::Not(inner) => match **inner {
            Rule::Condition(condition) => (u8::from(condition.comparison.is_cross()), Some(condition), true),
            _ => (4, None, true),
        },
        Rule::And(_) => (2, None, false),
        Rule::Or(_) => (3, None, false),
    };
    key(a).cmp(&key(b)).then_with(|| match (a, b) {
        (Rule::And(a), Rule::And(b)) | (Rule::Or(a), Rule::Or(b)) => {
            let differing = a.iter().zip(b).map(|(a, b)| order(a, b)).find(|o| o.is_ne());
            differing.unwrap_or_else(|| a.len().cmp(&b.len()))
        }
        _ => Ordering::Equal,
    })
}

/// Values that a condition lets its left side have, given its right side: (below, equal, above), and
/// the constant, if it is one.
fn allowed(rule: &Rule) -> Option<(Condition, [bool; 3])> {
    let (condition, negated) = match rule {
        Rule::Condition(condition) => (*condition, false),
        Rule::Not(inner) => match **inner {
            Rule::Condition(condition) => (condition, true),
            _ => return None,
        },
        _ => return None,
    };
    match (condition.comparison, negated) {
        (Comparison::Below, false) | (Comparison::CrossesBelow, false) => Some((condition, [true, false, false])),
        (Comparison::Above, false) | (Comparison::CrossesAbove, false) => Some((condition, [false, false, true])),
        (Comparison::Below, true) => Some((condition, [false, true, true])),
        (Comparison::Above, true) => Some((condition, [true, true, false])),
        _ => None,
    }
}

/// Says which two of these conditions exclude each other. Parts are few ([`Rule::MAX_CONDITIONS`]).
fn never_together(parts: &[Rule]) -> Option<String> {
    let known: Vec<_> = parts.iter().take(2 * Rule::MAX_CONDITIONS).map(allowed).collect();
    for (i, first) in known.iter().enumerate() {
        let Some((a, a_allows)) = first else { continue };
        for (j, second) in known.iter().enumerate().skip(i + 1) {
            let Some((b, b_allows)) = second else { continue };
            if a.left != b.left {
                continue;
            }
            let excluded = match (a.right, b.right) {
                (a_right, b_right) if a_right == b_right => !a_allows.iter().zip(b_allows).any(|(a, b)| *a && *b),
                (Operand::Constant(low), Operand::Constant(high)) => {
                    let (low_allows, high_allows) =
                        if low < high { (a_allows, b_allows) } else { (b_allows, a_allows) };
                    !low_allows[2] && !high_allows[0]
                }
                _ => false,
            };
            if excluded {
                return Some(format!("`{}` and `{}` can never hold together", parts[i], parts[j]));
            }
        }
    }
    // A condition and its own negation, for crossings.
    let negation = |rule: &Rule| matches!(rule, Rule::Not(inner) if parts.contains(inner));
    parts.iter().find(|r| negation(r)).map(|r| format!("`{r}` contradicts another condition"))
}

fn check_risk(risk: &RiskPlan) -> Result<(), InvalidStrategy> {
    let leverage = risk.leverage.get();
    let (least, most) = bounds::LEVERAGE;
    if !(least..=most).contains(&leverage) {
        return invalid("risk.leverage", format!("must be {least} to {most}, not {leverage}"));
    }
    match risk.size {
        Size::Fraction(fraction) if !within(fraction, leverage) => {
            let why = "must be above 0 and at most the leverage";
            return invalid("risk.size_fraction", format!("{why} ({leverage}), not {fraction}"));
        }
        Size::Risk(fraction) if !within(fraction, bounds::RISK_SIZE) => {
            let why = format!("must be above 0 and at most {}, not {fraction}", bounds::RISK_SIZE);
            return invalid("risk.size_risk", why);
        }
        Size::Risk(_) if risk.stop_loss.is_none() => {
            return invalid("risk.size_risk", "sizing by risk needs a stop-loss");
        }
        Size::Fraction(_) | Size::Risk(_) => {}
    }
    check_distance("risk.stop_loss", risk.stop_loss)?;
    check_distance("risk.take_profit", risk.take_profit)?;
    check_distance("risk.trailing_stop", risk.trailing_stop)?;
    check_distance("risk.break_even", risk.break_even)?;
    if let Some(bars) = risk.time_exit_bars {
        check_count("risk.time_exit_bars", bars, bounds::TIME_EXIT_BARS)?;
    }
    if let Some(PartialTakeProfit { at, fraction }) = risk.partial_take_profit {
        check_distance("risk.partial_take_profit.at", Some(at))?;
        if !within(fraction, 1.0) || fraction.get() == 1.0 {
            let field = "risk.partial_take_profit.fraction";
            return invalid(field, format!("must be above 0 and below 1, not {fraction}"));
        }
    }
    if let Some(Recovery { multiplier, max_steps }) = risk.recovery {
        if !within(multiplier, bounds::RECOVERY_MULTIPLIER) || multiplier.get() <= 1.0 {
            let most = bounds::RECOVERY_MULTIPLIER;
            let why = format!("must be above 1 and at most {most}, not {multiplier}");
            return invalid("risk.recovery.multiplier", why);
        }
        check_count("risk.recovery.max_steps", max_steps, bounds::RECOVERY_STEPS)?;
    }
    Ok(())
}

/// Whether a number lies in (0, most].
pub(crate) fn within(number: Number, most: f64) -> bool {
    number.get() > 0.0 && number.get() <= most && bounds::is_number(number)
}

pub(crate) fn check_count(field: &str, count: u32, (least, most): (u32, u32)) -> Result<(), InvalidStrategy> {
    if (least..=most).contains(&count) {
        return Ok(());
    }
    invalid(field, format!("must be {least} to {most}, not {count}"))
}

fn check_distance(field: &str, distance: Option<Distance>) -> Result<(), InvalidStrategy> {
    match distance {
        Some(Distance::Percent(percent)) if !within(percent, bounds::PERCENT_DISTANCE) => {
            let most = bounds::PERCENT_DISTANCE;
            invalid(field, format!("must be above 0% and at most {most}%, not {percent}%"))
        }
        Some(Distance::Atr { multiple, period }) => {
            if !within(multiple, bounds::ATR_MULTIPLE) {
                let most = bounds::ATR_MULTIPLE;
                return invalid(field, format!("an ATR multiple must be above 0 and at most {most}, not {multiple}"));
            }
            let (least, most) = bounds::ATR_PERIOD;
            if !(least..=most).contains(&period) {
                return invalid(field, format!("an ATR period must be {least} to {most}, not {period}"));
            }
            Ok(())
        }
        _ => Ok(()),
    }
}
