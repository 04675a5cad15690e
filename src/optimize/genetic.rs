//! The genetic method: children of the best points so far, and who of both comes into the next generation.
//!
//! NSGA-II on indexes: fronts and crowding over the objectives (one objective: its order), binary tournaments, uniform
//! crossover, steps of a few values. Points with too few trades come after all that have enough, those with more trades
//! first. No point is evaluated twice. Source: Deb et al. (2002), with the constrained domination of its section VI.

use super::run::{Batch, Run, Seen};
use super::{Axis, Point};
use rand::{Rng, RngExt};
use search::pareto::{crowding, fronts};
use std::cmp::Ordering;

/// Attempts at a child that was not evaluated yet, before a random point is taken.
const ATTEMPTS: usize = 16;
/// Chance that a changed value is drawn anew instead of moved.
const REDRAWN: f64 = 0.1;

/// Adds children of the run's parents to a batch.
pub(super) fn children(run: &Run, count: usize, seen: &mut Seen, batch: &mut Batch) {
    let space = &run.settings.space;
    let seed = run.settings.seed.child("generation", u64::from(run.generation));
    for slot in 0..count {
        let mut rng = seed.stream("child", slot as u64);
        let child = (0..ATTEMPTS).find_map(|_| {
            let (mother, father) = (tournament(run, &mut rng), tournament(run, &mut rng));
            let child = cross(mother, father, space.axes(), &mut rng);
            seen.insert(space.rank(&child)).then_some(child)
        });
        match child {
            Some(child) => batch.points.push(child),
            None => run.draw(1, seen, batch),
        }
    }
}

/// The better of two parents: they stand best first.
fn tournament<'a>(run: &'a Run, rng: &mut impl Rng) -> &'a Point {
    let mut drawn = || rng.random_range(0..run.parents.len());
    let place = drawn().min(drawn());
    &run.evaluated[run.parents[place] as usize].point
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

/// Who comes into the next generation: the best of the parents and of the points from number `first` on, best first.
pub(super) fn survivors(run: &Run, first: usize) -> Vec<u32> {
    let pool: Vec<usize> = run.parents.iter().map(|&i| i as usize).chain(first..run.evaluated.len()).collect();
    let aims = |i: usize| -> Option<Vec<f64>> {
        run.settings.objectives.iter().map(|&objective| run.value(i, objective)).collect()
    };
    let sound: Vec<(usize, Vec<f64>)> = pool.iter().filter_map(|&i| Some((i, aims(i)?))).collect();
    let points: Vec<Vec<f64>> = sound.iter().map(|(_, aims)| aims.clone()).collect();
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
    let mut kept: Vec<usize> = order.into_iter().map(|place| sound[place].0).collect();
    let mut unsound: Vec<usize> = pool.into_iter().filter(|i| aims(*i).is_none()).collect();
    let trades = |i: usize| run.evaluated[i].figures.as_ref().map(|f| f.total_trades);
    unsound.sort_by(|&a, &b| match trades(b).cmp(&trades(a)) {
        Ordering::Equal => a.cmp(&b),
        other => other,
    });
    kept.extend(unsound);
    kept.truncate(run.settings.population as usize);
    kept.into_iter().map(|i| i as u32).collect()
}
