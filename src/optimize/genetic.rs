//! The genetic method: children of the best points so far, and who of both comes into the next generation.
//!
//! NSGA-II on indexes: fronts and crowding over the objectives (one objective: its order), binary tournaments, uniform
//! crossover, steps of a few values. Points with too few trades come after all that have enough, those with more trades
//! first. No point is evaluated twice. Source: Deb et al. (2002), with the constrained domination of its section VI.

use super::{Axis, Point, Space};
use rand::{Rng, RngExt};
use search::pareto::{crowding, fronts};
use std::collections::HashSet;

/// Attempts at a child that was not evaluated yet, before a random point is taken.
const ATTEMPTS: usize = 16;
/// Chance that a changed value is drawn anew instead of moved.
const REDRAWN: f64 = 0.1;

/// A child of two of `parents`, which stand best first, whose number is not among the `seen` ones and is then; `None` where
/// none was found.
pub(super) fn child(parents: &[&Point], space: &Space, seen: &mut HashSet<u128>, rng: &mut impl Rng) -> Option<Point> {
    (0..ATTEMPTS).find_map(|_| {
        let (mother, father) = (tournament(parents, rng), tournament(parents, rng));
        let child = cross(mother, father, space.axes(), rng);
        seen.insert(space.rank(&child)).then_some(child)
    })
}

/// The better of two parents.
fn tournament<'a>(parents: &[&'a Point], rng: &mut impl Rng) -> &'a Point {
    let mut drawn = || rng.random_range(0..parents.len());
    let place = drawn().min(drawn());
    parents[place]
}

fn cross(mother: &Point, father: &Point, axes: &[Axis], rng: &mut impl Rng) -> Point {
    let mut child: Point = mother.iter().zip(father).map(|(&a, &b)| if rng.random_bool(0.5) { a } else { b }).collect();
    let chance = 1.0 / axes.len() as f64;
    for (index, axis) in child.iter_mut().zip(axes) {
        if !rng.random_bool(chance) {
            continue;
        }
        let most = axis.values.len() as i64 - 1;
        *index = if rng.random_bool(REDRAWN) {
            rng.random_range(0..=most) as u16
        } else {
            // Steps of one mostly, sometimes of several, up to a quarter of the axis.
            let mut step = 1;
            while step < (most / 4).max(1) && rng.random_bool(0.5) {
                step += 1;
            }
            let step = if rng.random_bool(0.5) { step } else { -step };
            (i64::from(*index) + step).clamp(0, most) as u16
        };
    }
    child
}

/// One that may come into the next generation.
pub(super) struct Contender {
    /// Its number.
    pub(super) number: u32,
    /// Its values of the objectives; `None` where one is undefined or it has too few trades.
    pub(super) aims: Option<Vec<f64>>,
    /// Its trades; `None` where it could not be evaluated.
    pub(super) trades: Option<u32>,
}

/// Numbers of those that come into the next generation, `count` at most, best first.
pub(super) fn survivors(pool: &[Contender], count: usize) -> Vec<u32> {
    let sound: Vec<(u32, &Vec<f64>)> = pool.iter().filter_map(|c| Some((c.number, c.aims.as_ref()?))).collect();
    let points: Vec<Vec<f64>> = sound.iter().map(|(_, aims)| (*aims).clone()).collect();
    let front = fronts(&points);
    let crowded = crowding(&points, &front);
    let mut order: Vec<usize> = (0..sound.len()).collect();
    order.sort_by(|&a, &b| {
        let apart = match (crowded[a], crowded[b]) {
            _ if points[a].len() == 1 => points[b][0].total_cmp(&points[a][0]),
            (Some(x), Some(y)) => y.total_cmp(&x),
            (x, y) => y.is_none().cmp(&x.is_none()),
        };
        front[a].cmp(&front[b]).then(apart).then(sound[a].0.cmp(&sound[b].0))
    });
    let mut kept: Vec<u32> = order.into_iter().map(|place| sound[place].0).collect();
    let mut unsound: Vec<&Contender> = pool.iter().filter(|c| c.aims.is_none()).collect();
    unsound.sort_by(|a, b| b.trades.cmp(&a.trades).then(a.number.cmp(&b.number)));
    kept.extend(unsound.into_iter().map(|c| c.number));
    kept.truncate(count);
    kept
}
