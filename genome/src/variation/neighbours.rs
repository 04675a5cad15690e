//! Strategies one parameter step away: for local refinement and for asking whether a result is a lucky peak.

use super::parameters::{DISTANCE_STEP, Parameter, Place, constants, parameters, with_parameters};
use super::{condition_mut, rule_mut};
use crate::{Indicator, Ranking, Series, Source, Strategy, bounds};

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

/// All valid strategies that differ from `ranking` in one parameter of one indicator of its score, moved as
/// [`neighbours`] moves it. In the order of the score; each result once, never the strategy itself.
#[must_use]
pub fn score_neighbours(ranking: &Ranking, step: f64) -> Vec<Ranking> {
    let Ok(origin) = ranking.clone().canonical() else { return Vec::new() };
    let mut found: Vec<Ranking> = Vec::new();
    for (at, series) in origin.score.series().into_iter().enumerate() {
        for near in near_series(series, step) {
            let draft = Ranking { score: origin.score.with_series(at, near), ..origin.clone() };
            if let Ok(valid) = draft.canonical()
                && valid != origin
                && !found.contains(&valid)
            {
                found.push(valid);
            }
        }
    }
    found
}

/// The series with one parameter of its indicator moved; none of a price.
fn near_series(series: Series, step: f64) -> Vec<Series> {
    let Source::Indicator(indicator) = series.source else { return Vec::new() };
    let mut out = Vec::new();
    for (i, spec) in indicator.kind().spec().params.iter().enumerate() {
        let value = indicator.params()[i].get();
        for moved in around(value, value.abs() * step, spec.step) {
            let mut params = indicator.params().to_vec();
            params[i] = spec.nearest(moved);
            if let Ok(indicator) = Indicator::new(indicator.kind(), &params) {
                out.push(Series { source: Source::Indicator(indicator), ..series });
            }
        }
    }
    out
}

/// `value` less and plus `distance`, which is put on a grid and is one step of it at least.
pub(super) fn around(value: f64, distance: f64, grid: f64) -> [f64; 2] {
    let distance = (distance / grid).round().max(1.0) * grid;
    [value - distance, value + distance]
}

/// The parameter's value a step down and a step up; `None` for one that stays.
fn moves(origin: &Strategy, parameter: &Parameter, step: f64) -> Option<[f64; 2]> {
    let value = parameter.value;
    let by = |scale: f64, grid: f64| around(value, scale * step, grid);
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
