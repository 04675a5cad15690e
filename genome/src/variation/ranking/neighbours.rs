//! Ranking strategies one step away in one number: for refinement, and for asking whether a result is a lucky peak.

use super::tree::{candles, nodes, with_node, with_own_candles};
use crate::variation::neighbours::{around, score_neighbours};
use crate::{Expression, Form, Number, Ranking, Weights, bounds};

/// All valid strategies that differ from `ranking` in one number, moved by `step` of its value (0.1 is a tenth) down or
/// up, and by at least one step of its grid: look-backs of the score in reading order, parameters of its indicators,
/// numbers of the weights. Each result once, never the strategy itself. Nothing is random. Single candles, numbers of the
/// score, universe, clock and gross stay.
#[must_use]
pub fn ranking_neighbours(ranking: &Ranking, step: f64) -> Vec<Ranking> {
    let Ok(origin) = ranking.clone().canonical() else { return Vec::new() };
    let mut drafts = Vec::new();
    for (at, part) in nodes(&origin.score).into_iter().enumerate() {
        let Some(n) = candles(part).filter(|n| *n > 1) else { continue };
        for moved in counts(n, step, (2, Expression::MAX_CANDLES)) {
            let score = with_node(&origin.score, at, &with_own_candles(part, moved));
            drafts.push(Ranking { score, ..origin.clone() });
        }
    }
    drafts.extend(score_neighbours(&origin, step));
    drafts.extend(weights(&origin.weights, step).into_iter().map(|weights| Ranking { weights, ..origin.clone() }));
    let mut found: Vec<Ranking> = Vec::new();
    for draft in drafts {
        if let Ok(valid) = draft.canonical()
            && valid != origin
            && !found.contains(&valid)
        {
            found.push(valid);
        }
    }
    found
}

/// A count a step down and a step up, within bounds.
fn counts(n: u32, step: f64, (least, most): (u32, u32)) -> [u32; 2] {
    let n = f64::from(n);
    around(n, n * step, 1.0).map(|moved| moved.clamp(f64::from(least), f64::from(most)) as u32)
}

/// A share a step down and a step up on a grid, above 0 and at most `most`.
fn shares(share: Number, step: f64, grid: f64, most: f64) -> [Number; 2] {
    let per_one = (1.0 / grid).round();
    around(share.get(), share.get() * step, grid).map(|moved| {
        // Steps over a whole number, so that 0.3 is written so.
        let steps = (moved * per_one).round().clamp(1.0, (most * per_one).round());
        Number::new(steps / per_one).unwrap_or(share)
    })
}

fn weights(origin: &Weights, step: f64) -> Vec<Weights> {
    let mut found = Vec::new();
    if let Form::TopBottom { top_pct, bottom_pct } = origin.form {
        for moved in shares(top_pct, step, 1.0, 100.0) {
            found.push(Weights { form: Form::TopBottom { top_pct: moved, bottom_pct }, ..*origin });
        }
        for moved in bottom_pct.into_iter().flat_map(|share| shares(share, step, 1.0, 100.0)) {
            found.push(Weights { form: Form::TopBottom { top_pct, bottom_pct: Some(moved) }, ..*origin });
        }
    }
    let returns = |n: Option<u32>| n.into_iter().flat_map(|n| counts(n, step, bounds::WEIGHT_RETURNS));
    let fraction = |x: Option<Number>, most| x.into_iter().flat_map(move |x| shares(x, step, 0.001, most));
    found.extend(returns(origin.inverse_volatility).map(|n| Weights { inverse_volatility: Some(n), ..*origin }));
    found.extend(fraction(origin.cap, bounds::WEIGHT_CAP).map(|x| Weights { cap: Some(x), ..*origin }));
    found.extend(returns(origin.beta_neutral).map(|n| Weights { beta_neutral: Some(n), ..*origin }));
    found.extend(counts(origin.smooth, step, bounds::SMOOTH).map(|smooth| Weights { smooth, ..*origin }));
    found.extend(fraction(origin.band, bounds::WEIGHT_BAND).map(|x| Weights { band: Some(x), ..*origin }));
    found
}
