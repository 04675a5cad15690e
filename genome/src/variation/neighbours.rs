//! Strategies one parameter step away: for local refinement and for asking whether a result is a lucky peak.

use super::parameters::{DISTANCE_STEP, Parameter, Place, constants, parameters, with_parameters};
use super::{condition_mut, rule_mut};
use crate::{Strategy, bounds};

/// All valid strategies that differ from `strategy` in one number, moved by `step` of its value (0.1 is a
/// tenth) up or down, and by at least one step of its grid. Rules in order, then the risk plan; each result
/// once, never the strategy itself. Nothing is random. Sizes, leverage, periods of ATRs and filters stay.
#[must_use]
pub fn neighbours(strategy: &Strategy, step: f64) -> Vec<Strategy> {
    let Ok(origin) = strategy.clone().canonical() else { return Vec::new() };
    let mut found: Vec<Strategy> = Vec::new();
    for parameter in parameters(&origin) {
        for value in moves(&origin, &parameter, step).into_iter().flatten() {
            if let Ok(valid) = with_parameters(&origin, &[(&parameter, value)])
                && valid != origin
                && !found.contains(&valid)
            {
                found.push(valid);
            }
        }
    }
    found
}

/// The parameter's value a step down and a step up; `None` for one that stays.
fn moves(origin: &Strategy, parameter: &Parameter, step: f64) -> Option<[f64; 2]> {
    let value = parameter.value;
    let by = |scale: f64, grid: f64| {
        let distance = (scale * step / grid).round().max(1.0) * grid;
        [value - distance, value + distance]
    };
    match parameter.place {
        Place::Indicator { .. } => {
            let grid = parameter.grid.unwrap_or(parameter.step);
            let nearest = |v: f64| crate::series::nearest_on_grid(v, parameter.least, parameter.most, grid).get();
            Some(by(value.abs(), grid).map(nearest))
        }
        Place::Constant { slot, condition } => {
            let condition = condition_mut(rule_mut(&mut origin.clone(), slot)?, condition).copied()?;
            let range = constants(condition.left)?;
            // A tenth of the range, where the value itself is small against it.
            let scale = value.abs().max((range.max - range.min) / 2.0);
            Some(by(scale, range.step).map(|v| range.nearest(v).get()))
        }
        Place::Distance(_) => Some(by(value.abs(), DISTANCE_STEP).map(|v| (v * 100.0).round() / 100.0)),
        Place::TimeExit => {
            let (least, most) = bounds::TIME_EXIT_BARS;
            Some(by(value, 1.0).map(|v| v.clamp(f64::from(least), f64::from(most))))
        }
        _ => None,
    }
}
