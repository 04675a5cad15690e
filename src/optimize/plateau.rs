//! Plateau or peak: what the points around a point came to, beside its own value.
//!
//! Neighbours are the evaluated points that are on every axis within a tenth of its length, one step at the least. An edge
//! rests on a plateau, where a number that is a little off costs little; a lone peak is what luck puts up.

use super::{Objective, Run};
use serde::{Deserialize, Serialize};

/// A point beside its neighbours.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plateau {
    /// Number of the point.
    pub point: usize,
    /// Its value of the objective.
    pub own: f64,
    /// Evaluated neighbours, the point itself left out.
    pub neighbours: usize,
    /// Their mean value. An undefined one counts as the worst of the others.
    pub mean: Option<f64>,
    /// The worst.
    pub worst: Option<f64>,
    /// Mean over own, where the latter is above 0: near 1 on a plateau.
    pub kept: Option<f64>,
}

/// Points that may be the top of a plateau: the best by the objective, so many.
const CANDIDATES: usize = 1_000;
/// Neighbours below which a plateau is not believed.
const LEAST_NEIGHBOURS: usize = 3;

/// A point's surroundings. `None` where it has no value.
#[must_use]
pub fn plateau(run: &Run, point: usize, objective: Objective) -> Option<Plateau> {
    let own = run.value(point, objective)?;
    let reach = reach(run);
    let centre = &run.evaluated()[point].point;
    let near = |other: &[u16]| {
        let pairs = other.iter().zip(centre).zip(&reach);
        pairs.clone().all(|((a, b), reach)| a.abs_diff(*b) <= *reach)
    };
    let mut neighbours = 0;
    let (mut sum, mut worst, mut valued) = (0.0, None::<f64>, 0.0);
    for (number, evaluated) in run.evaluated().iter().enumerate() {
        if number == point || evaluated.figures.is_none() || !near(&evaluated.point) {
            continue;
        }
        neighbours += 1;
        if let Some(value) = run.value(number, objective) {
            sum += value;
            valued += 1.0;
            worst = Some(worst.map_or(value, |w| w.min(value)));
        }
    }
    // Those without a value could not even be judged.
    let mean = worst.map(|worst| (sum + worst * (f64::from(neighbours) - valued)) / f64::from(neighbours));
    let kept = mean.filter(|_| own > 0.0).map(|mean| mean / own);
    Some(Plateau { point, own, neighbours: neighbours as usize, mean, worst, kept })
}

/// Steps on each axis within which a point is a neighbour.
fn reach(run: &Run) -> Vec<u16> {
    let axes = run.settings().space.axes();
    axes.iter().map(|axis| (((axis.values.len() - 1) as f64 / 10.0).round() as u16).max(1)).collect()
}

/// The point whose surroundings, itself included, are the best on average among the best points. `None` where none of these
/// has enough neighbours.
#[must_use]
pub(super) fn best_plateau(run: &Run, objective: Objective) -> Option<Plateau> {
    let mut order: Vec<(usize, f64)> =
        (0..run.evaluated().len()).filter_map(|i| Some((i, run.value(i, objective)?))).collect();
    order.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    let around = |p: &Plateau| {
        let n = p.neighbours as f64;
        p.mean.map(|mean| (p.own + n * mean) / (n + 1.0))
    };
    let candidates = order.iter().take(CANDIDATES).filter_map(|&(i, _)| plateau(run, i, objective));
    let believed = candidates.filter(|p| p.neighbours >= LEAST_NEIGHBOURS).filter_map(|p| Some((around(&p)?, p)));
    Some(believed.reduce(|a, b| if b.0 > a.0 { b } else { a })?.1)
}
