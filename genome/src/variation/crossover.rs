//! A strategy from two.

use super::mutate::random_part;
use super::{ATTEMPTS, Slot, VariationConfig, chance, finish, pick, random_slot, rule, rule_mut};
use crate::{Rule, Strategy};
use rand::{Rng, RngExt};

/// A child of two strategies: it takes after `a`, and has a rule, a side, the risk plan or a part of a rule
/// from `b`. Equals neither parent whenever possible; falls back to `a`'s canonical form, then to chance.
#[must_use]
pub fn crossover(a: &Strategy, b: &Strategy, config: &VariationConfig, rng: &mut impl Rng) -> Strategy {
    let parents = [a.clone().canonical().ok(), b.clone().canonical().ok()];
    for _ in 0..ATTEMPTS {
        let mut child = a.clone();
        match rng.random_range(0..10) {
            0..=2 => exchange_rule(&mut child, b, rng),
            3..=5 => exchange_part(&mut child, b, rng),
            6 | 7 => exchange_risk(&mut child, b, rng),
            8 => {
                if chance(0.5, rng) {
                    child.long.clone_from(&b.long);
                } else {
                    child.short.clone_from(&b.short);
                }
            }
            _ => {
                child.timeframe = b.timeframe;
                child.filters = b.filters;
            }
        }
        if chance(0.3, rng) {
            exchange_risk(&mut child, b, rng);
        }
        if let Some(child) = finish(child, config).filter(|c| !parents.iter().flatten().any(|p| p == c)) {
            return child;
        }
    }
    finish(a.clone(), config).unwrap_or_else(|| super::random(config, rng))
}

/// A whole rule of `b` takes the place of the rule of the same kind, mirrored where the side differs.
fn exchange_rule(child: &mut Strategy, b: &Strategy, rng: &mut impl Rng) {
    let slot = random_slot(child, rng);
    let other_side = match slot {
        Slot::LongEntry => Slot::ShortEntry,
        Slot::LongExit => Slot::ShortExit,
        Slot::ShortEntry => Slot::LongEntry,
        Slot::ShortExit => Slot::LongExit,
    };
    let given = rule(b, slot).cloned().or_else(|| rule(b, other_side).map(Rule::mirrored));
    if let (Some(given), Some(place)) = (given, rule_mut(child, slot)) {
        *place = given;
    }
}

/// A part of a rule of `b` takes the place of a part of a rule, or joins it.
fn exchange_part(child: &mut Strategy, b: &Strategy, rng: &mut impl Rng) {
    let Some(part) = random_part(b, rng) else { return };
    let slot = random_slot(child, rng);
    let join = chance(0.4, rng);
    let Some(place) = rule_mut(child, slot) else { return };
    match place {
        Rule::And(parts) | Rule::Or(parts) if join => parts.push(part),
        Rule::And(parts) | Rule::Or(parts) => {
            let places: Vec<usize> = (0..parts.len()).collect();
            if let Some(i) = pick(&places, rng) {
                parts[*i] = part;
            }
        }
        whole if join => *whole = Rule::And(vec![whole.clone(), part]),
        whole => *whole = part,
    }
}

/// Each part of the risk plan comes from one parent or the other.
fn exchange_risk(child: &mut Strategy, b: &Strategy, rng: &mut impl Rng) {
    let (mine, theirs) = (&mut child.risk, &b.risk);
    let mut take = || chance(0.5, rng);
    if take() {
        (mine.stop_loss, mine.size, mine.leverage) = (theirs.stop_loss, theirs.size, theirs.leverage);
    }
    if take() {
        mine.take_profit = theirs.take_profit;
    }
    if take() {
        (mine.trailing_stop, mine.break_even) = (theirs.trailing_stop, theirs.break_even);
    }
    if take() {
        mine.time_exit_bars = theirs.time_exit_bars;
    }
    if take() {
        (mine.partial_take_profit, mine.recovery) = (theirs.partial_take_profit, theirs.recovery);
    }
}
