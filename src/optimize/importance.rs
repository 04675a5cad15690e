//! How much of what differs between points goes with each parameter: the variance of the objective that it explains alone.
//!
//! Epsilon squared of a one-way analysis of variance (Kelley 1935): (SSB - (k - 1) MSW) / SST, k the values of the axis,
//! at least 0. Unlike SSB / SST it does not grow by itself with k. An axis of more than ten values is looked at in ten parts
//! of equal length. What parameters do together is in none of them: their sum falls short of 1 by that and by noise. After the
//! genetic method the points are where it went, and the shares are of those.

use super::{Objective, Run};
use serde::{Deserialize, Serialize};

/// Parts of a long axis.
const PARTS: usize = 10;

/// The share of one axis.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Importance {
    /// Names of its parameters.
    pub parameter: String,
    /// Share of the variance explained, 0 to 1; `None` where too few points have a value, or all have the same.
    pub explained: Option<f64>,
}

/// The share of each axis, in their order.
#[must_use]
pub fn importance(run: &Run, objective: Objective) -> Vec<Importance> {
    let valued: Vec<(&[u16], f64)> = run
        .evaluated()
        .iter()
        .enumerate()
        .filter_map(|(i, e)| Some((e.point.as_slice(), run.value(i, objective)?)))
        .collect();
    let axes = run.settings().space.axes().iter().enumerate();
    axes.map(|(place, axis)| {
        let parts = axis.values.len().min(PARTS);
        let part = |point: &[u16]| usize::from(point[place]) * parts / axis.values.len();
        Importance { parameter: axis.label(), explained: explained(&valued, parts, part) }
    })
    .collect()
}

fn explained(valued: &[(&[u16], f64)], parts: usize, part: impl Fn(&[u16]) -> usize) -> Option<f64> {
    let n = valued.len() as f64;
    let mean = valued.iter().map(|(_, v)| v).sum::<f64>() / n;
    let total: f64 = valued.iter().map(|(_, v)| (v - mean).powi(2)).sum();
    let mut groups = vec![(0.0, 0.0); parts];
    for (point, value) in valued {
        let group = &mut groups[part(point)];
        group.0 += 1.0;
        group.1 += value;
    }
    groups.retain(|(count, _)| *count > 0.0);
    let k = groups.len() as f64;
    if n <= k || total <= 0.0 {
        return None;
    }
    let between: f64 = groups.iter().map(|(count, sum)| count * (sum / count - mean).powi(2)).sum();
    let within = (total - between).max(0.0) / (n - k);
    Some(((between - (k - 1.0) * within) / total).clamp(0.0, 1.0))
}
