//! New strategies from chance and from other strategies: random ideas, mutation, crossover, neighbours,
//! named numbers.
//!
//! Every result is valid, canonical and within the configured size; only series of one scale are compared,
//! and constants come from the series' own range. The same stream of randomness gives the same results.
//! Never evaluates anything and never knows which idea is good.

use crate::{Comparison, Condition, Number, Operand, Rule, Series, SideRules, Strategy, Timeframe};
use rand::{Rng, RngExt};

mod config;
mod crossover;
mod draw;
mod ideas;
mod mirror;
mod mutate;
mod neighbours;
mod parameters;
mod plan;
mod ranking;

pub use config::{MutationWeights, Span, VariationConfig};
pub use crossover::crossover;
pub use mutate::mutate;
pub use neighbours::{neighbours, score_neighbours};
pub use parameters::{
    Parameter, any_parameters, parameters, ranking_parameters, with_any_parameters, with_parameters,
    with_ranking_parameters,
};
pub(crate) use ranking::has_readings;
pub use ranking::{
    RankingVariation, crossover_ranking, mutate_ranking, random_ranking, ranking_complexity, ranking_neighbours,
    simplify,
};

/// Attempts at a random change before a simpler one is taken.
const ATTEMPTS: usize = 16;

/// A new random strategy: mostly one of the customary kinds of idea (momentum, break-out, mean reversion,
/// trend, volume, pattern) with random parameters and filters, sometimes a free tree of conditions.
#[must_use]
pub fn random(config: &VariationConfig, rng: &mut impl Rng) -> Strategy {
    for _ in 0..ATTEMPTS {
        if let Some(strategy) = finish(ideas::strategy(config, rng), config) {
            return strategy;
        }
    }
    ideas::simplest(config)
}

/// How much there is to a strategy: each condition counts 2, 1 more where it compares two series, 1 more
/// for each series on a higher timeframe; each part of the risk plan beside size and stop-loss, and each
/// filter, counts 1. Between strategies that do equally well, less is better.
#[must_use]
pub fn complexity(strategy: &Strategy) -> u32 {
    let mut sum = 0;
    for_each_rule(strategy, &mut |_, rule| {
        rule.for_each_condition(&mut |condition| {
            sum += 2 + u32::from(condition.left.timeframe.is_some());
            if let Operand::Series(right) = condition.right {
                sum += 1 + u32::from(right.timeframe.is_some());
            }
        });
    });
    let (risk, filters) = (&strategy.risk, &strategy.filters);
    let parts = [
        risk.take_profit.is_some(),
        risk.trailing_stop.is_some(),
        risk.break_even.is_some(),
        risk.time_exit_bars.is_some(),
        risk.partial_take_profit.is_some(),
        risk.recovery.is_some(),
        filters.regime != crate::TrendRegimeFilter::Any,
        filters.min_confidence.is_some(),
    ];
    sum + parts.into_iter().map(u32::from).sum::<u32>()
}

/// Which rule of a strategy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Slot {
    LongEntry,
    LongExit,
    ShortEntry,
    ShortExit,
}

impl Slot {
    pub(crate) const ALL: [Self; 4] = [Self::LongEntry, Self::LongExit, Self::ShortEntry, Self::ShortExit];
}

pub(crate) fn rule(strategy: &Strategy, slot: Slot) -> Option<&Rule> {
    match slot {
        Slot::LongEntry => strategy.long.as_ref().map(|s| &s.entry),
        Slot::LongExit => strategy.long.as_ref()?.exit.as_ref(),
        Slot::ShortEntry => strategy.short.as_ref().map(|s| &s.entry),
        Slot::ShortExit => strategy.short.as_ref()?.exit.as_ref(),
    }
}

fn rule_mut(strategy: &mut Strategy, slot: Slot) -> Option<&mut Rule> {
    match slot {
        Slot::LongEntry => strategy.long.as_mut().map(|s| &mut s.entry),
        Slot::LongExit => strategy.long.as_mut()?.exit.as_mut(),
        Slot::ShortEntry => strategy.short.as_mut().map(|s| &mut s.entry),
        Slot::ShortExit => strategy.short.as_mut()?.exit.as_mut(),
    }
}

pub(crate) fn for_each_rule<'a>(strategy: &'a Strategy, visit: &mut impl FnMut(Slot, &'a Rule)) {
    for slot in Slot::ALL {
        if let Some(rule) = rule(strategy, slot) {
            visit(slot, rule);
        }
    }
}

/// A random rule of the strategy that is there.
fn random_slot(strategy: &Strategy, rng: &mut impl Rng) -> Slot {
    let there: Vec<Slot> = Slot::ALL.into_iter().filter(|s| rule(strategy, *s).is_some()).collect();
    pick(&there, rng).copied().unwrap_or(Slot::LongEntry)
}

/// Condition number `index`, left to right.
fn condition_mut(rule: &mut Rule, index: usize) -> Option<&mut Condition> {
    fn walk<'a>(rule: &'a mut Rule, left: &mut usize) -> Option<&'a mut Condition> {
        match rule {
            Rule::Condition(condition) if *left == 0 => Some(condition),
            Rule::Condition(_) => {
                *left -= 1;
                None
            }
            Rule::And(rules) | Rule::Or(rules) => rules.iter_mut().find_map(|rule| walk(rule, left)),
            Rule::Not(rule) => walk(rule, left),
        }
    }
    let mut left = index;
    walk(rule, &mut left)
}

/// Makes a draft fit: timeframes, size, form. `None` where it cannot be made valid.
fn finish(mut strategy: Strategy, config: &VariationConfig) -> Option<Strategy> {
    let base = strategy.timeframe;
    for slot in Slot::ALL {
        if let Some(rule) = rule_mut(&mut strategy, slot) {
            rebase(rule, base);
            on_own_candles(rule, base, config)?;
            prune(rule, &mut config.max_conditions.clamp(1, Rule::MAX_CONDITIONS).clone());
        }
    }
    if !config.allow_short {
        strategy.short = None;
    }
    if config.stop_required && strategy.risk.stop_loss.is_none() {
        strategy.risk.stop_loss = Some(crate::Distance::Percent(config.stop_percent.middle()));
    }
    // A change may take away the last condition that looked at the universe.
    if strategy.universe.is_some() && !strategy.looks_across() {
        strategy.universe = None;
    }
    strategy.canonical().ok()
}

/// Gives every series a timeframe that the base can give: the base's own where a higher one is not possible.
fn rebase(rule: &mut Rule, base: Timeframe) {
    rule.for_each_condition_mut(&mut |condition| {
        let fit = |series: &mut Series| {
            series.timeframe = series.timeframe.filter(|t| *t > base && base.is_multiple(*t));
        };
        fit(&mut condition.left);
        if let Operand::Series(right) = &mut condition.right {
            fit(right);
        }
    });
}

/// Asks each model on the candles that it predicts on; `None` where those of `base` cannot, or nobody offered it.
fn on_own_candles(rule: &mut Rule, base: Timeframe, config: &VariationConfig) -> Option<()> {
    let mut all = Some(());
    rule.for_each_condition_mut(&mut |condition| {
        let mut fit = |series: &mut Series| {
            let Some(model) = series.source.model() else { return };
            let offered = config.models.iter().find(|offered| offered.series == model);
            match offered.and_then(|offered| offered.on(base)) {
                Some(own) => series.timeframe = own.timeframe,
                None => all = None,
            }
        };
        fit(&mut condition.left);
        if let Operand::Series(right) = &mut condition.right {
            fit(right);
        }
    });
    all
}

/// Keeps the first conditions, as many as `left` allows.
fn prune(rule: &mut Rule, left: &mut usize) {
    match rule {
        Rule::Condition(_) => *left = left.saturating_sub(1),
        Rule::Not(rule) => prune(rule, left),
        Rule::And(rules) | Rule::Or(rules) => rules.retain_mut(|rule| {
            let keep = *left > 0;
            if keep {
                prune(rule, left);
            }
            keep
        }),
    }
}

fn pick<'a, T>(from: &'a [T], rng: &mut impl Rng) -> Option<&'a T> {
    if from.is_empty() { None } else { from.get(rng.random_range(0..from.len())) }
}

/// An index drawn by weight; `None` if all are zero.
fn pick_weighted(weights: &[f64], rng: &mut impl Rng) -> Option<usize> {
    let sum: f64 = weights.iter().sum();
    if sum <= 0.0 {
        return None;
    }
    let mut at = rng.random::<f64>() * sum;
    for (i, weight) in weights.iter().enumerate() {
        if at < *weight {
            return Some(i);
        }
        at -= weight;
    }
    weights.iter().rposition(|w| *w > 0.0)
}

fn chance(probability: f64, rng: &mut impl Rng) -> bool {
    // Always one draw, so that streams stay aligned whatever the probability.
    rng.random::<f64>() < probability
}

fn condition(left: Series, comparison: Comparison, right: Operand) -> Rule {
    Rule::Condition(Condition { left, comparison, right })
}

fn constant(value: f64) -> Operand {
    Operand::Constant(Number::new(value).unwrap_or(Number::ZERO))
}

fn side_rules(entry: Rule, exit: Option<Rule>) -> SideRules {
    SideRules { entry, exit }
}
