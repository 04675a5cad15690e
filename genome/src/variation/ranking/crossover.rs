//! A ranking strategy from two.

use super::config::RankingVariation;
use super::ideas::boxed;
use super::tree::{nodes, with_node};
use super::{ATTEMPTS, finish, mutate_ranking, on_timeframe};
use crate::variation::{chance, pick};
use crate::{Across, Binary, Expression, Ranking, Unit};
use rand::{Rng, RngExt};

/// A child of two strategies: it takes after `a`, and has a part of `b`'s score in the place of one that measures the
/// same, or both scores joined by rank; weights, universe and clock from either. Equals neither parent whenever
/// possible; falls back to a mutation of `a`.
#[must_use]
pub fn crossover_ranking(a: &Ranking, b: &Ranking, config: &RankingVariation, rng: &mut impl Rng) -> Ranking {
    let parents = [a.clone().canonical().ok(), b.clone().canonical().ok()];
    // Look-backs stay what they are in days.
    let b = on_timeframe(b, a.timeframe);
    for _ in 0..ATTEMPTS {
        let mut child = a.clone();
        let score = match rng.random_range(0..10) {
            0..=4 => exchanged(&a.score, &b.score, rng),
            5..=7 if a.score != b.score => Some(joined(&a.score, &b.score, rng)),
            8 => Some(b.score.clone()),
            _ => None,
        };
        let only_beside = score.is_none();
        if let Some(score) = score {
            child.score = score;
        }
        let beside = if only_beside { 0.7 } else { 0.3 };
        if chance(beside, rng) {
            child.weights = b.weights;
        }
        if chance(beside, rng) {
            child.universe = b.universe;
        }
        if chance(beside, rng) {
            child.rebalance = b.rebalance;
        }
        if let Some(child) = finish(child, config).filter(|c| !parents.iter().flatten().any(|p| p == c)) {
            return child;
        }
    }
    mutate_ranking(a, config, rng)
}

/// A part of `b` in the place of a part of `a` that measures the same; `None` where nothing fits.
fn exchanged(a: &Expression, b: &Expression, rng: &mut impl Rng) -> Option<Expression> {
    let given: Vec<(Unit, &Expression)> = nodes(b).into_iter().filter_map(of_unit).collect();
    let places: Vec<(usize, Unit)> = nodes(a)
        .into_iter()
        .enumerate()
        .filter_map(|(at, part)| of_unit(part).map(|(unit, _)| (at, unit)))
        .filter(|(_, unit)| given.iter().any(|(other, _)| other == unit))
        .collect();
    let (at, unit) = *pick(&places, rng)?;
    let fitting: Vec<&Expression> = given.into_iter().filter(|(other, _)| *other == unit).map(|(_, x)| x).collect();
    pick(&fitting, rng).map(|new| with_node(a, at, new))
}

/// A part with its unit, but for lone numbers.
fn of_unit(part: &Expression) -> Option<(Unit, &Expression)> {
    if matches!(part, Expression::Constant(_)) { None } else { part.unit().ok().map(|unit| (unit, part)) }
}

/// Both by rank, added or one less the other.
fn joined(a: &Expression, b: &Expression, rng: &mut impl Rng) -> Expression {
    let ranked = |x: &Expression| Expression::Across(Across::Rank, Box::new(x.clone()));
    let op = if chance(0.8, rng) { Binary::Add } else { Binary::Subtract };
    boxed(op, ranked(a), ranked(b))
}
