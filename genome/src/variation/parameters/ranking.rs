//! The numbers of a strategy that ranks the market, by name.
//!
//! `score.2.rsi.period` is the period of the RSI that is the second part of the score with a number of its own, counted from
//! left to right where each begins: in `mean(rsi(14), 20)` the mean is the first and the RSI the second.

use super::{Parameter, Place};
use crate::{Expression, Form, Indicator, InvalidStrategy, Number, Ranking, Series, Source, Universe, Weights, bounds};
use std::collections::BTreeMap;

/// Where a number of a ranking stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::variation) enum RankingPlace {
    /// Number `index` of part `part` of the score, counted from 1.
    Score {
        part: usize,
        index: usize,
    },
    UniverseTop,
    VolumeDays,
    ListedDays,
    Top,
    Bottom,
    InverseVolatility,
    Cap,
    BetaNeutral,
    Smooth,
    Band,
    Gross,
}

/// Every number of a valid ranking, in the order of its canonical text: universe, score, weights, gross. Empty for one that
/// is not valid. Without the names of timeframes, which are no numbers.
#[must_use]
pub fn ranking_parameters(ranking: &Ranking) -> Vec<Parameter> {
    let Ok(origin) = ranking.clone().canonical() else { return Vec::new() };
    let mut found = Vec::new();
    let Universe { top, volume_days, listed_days } = origin.universe;
    let days = bounds::UNIVERSE_DAYS;
    found.push(counted("universe.top", top, bounds::UNIVERSE_TOP, 5.0, RankingPlace::UniverseTop));
    found.push(counted("universe.volume_days", volume_days, days, 1.0, RankingPlace::VolumeDays));
    found.push(counted("universe.listed_days", listed_days, (0, days.1), 1.0, RankingPlace::ListedDays));
    of_score(&origin.score, &mut 0, &mut found);
    of_weights(&origin.weights, &mut found);
    found.push(above_zero("gross", origin.gross, bounds::GROSS, 0.25, RankingPlace::Gross));
    found
}

/// The ranking with these values in place of its own, canonical. Names are those of [`ranking_parameters`] of the same
/// ranking.
///
/// # Errors
/// When what the values come to together is no valid strategy.
pub fn with_ranking_parameters(ranking: &Ranking, values: &[(&Parameter, f64)]) -> Result<Ranking, InvalidStrategy> {
    let mut draft = ranking.clone().canonical()?;
    let known = ranking_parameters(&draft);
    let mut of_score = BTreeMap::new();
    for (parameter, value) in values {
        let wrong = |problem: String| InvalidStrategy { field: parameter.name.clone(), problem };
        let gone = || wrong("the strategy has no such number".to_owned());
        let number = Number::new(*value).ok_or_else(|| wrong("must be a finite number".to_owned()))?;
        parameter.check(*value).map_err(wrong)?;
        let there = known.iter().any(|p| (&p.name, p.place) == (&parameter.name, parameter.place));
        match parameter.place {
            Place::Ranking(RankingPlace::Score { part, index }) if there => {
                of_score.insert((part, index), number);
            }
            Place::Ranking(place) if there => put(&mut draft, place, number).ok_or_else(gone)?,
            _ => return Err(gone()),
        }
    }
    // All at once, so that `fast` and `slow` of one indicator may both move.
    draft.score = rebuilt(&draft.score, &mut 0, &of_score)?;
    draft.canonical()
}

fn parameter(
    name: &str,
    value: f64,
    (least, most, above_least): (f64, f64, bool),
    (grid, step): (Option<f64>, f64),
    place: RankingPlace,
) -> Parameter {
    let place = Place::Ranking(place);
    Parameter { name: name.to_owned(), value, least, above_least, most, grid, step, place }
}

fn counted(name: &str, value: u32, (least, most): (u32, u32), step: f64, place: RankingPlace) -> Parameter {
    parameter(name, f64::from(value), (f64::from(least), f64::from(most), false), (Some(1.0), step), place)
}

fn above_zero(name: &str, value: Number, most: f64, step: f64, place: RankingPlace) -> Parameter {
    parameter(name, value.get(), (0.0, most, true), (None, step), place)
}

fn of_score(score: &Expression, part: &mut usize, found: &mut Vec<Parameter>) {
    let own = own_numbers(score);
    if !own.is_empty() {
        *part += 1;
    }
    let at = *part;
    let mut operator = |operator: &str, what: &str, least: u32, n: u32| {
        let (name, place) = (format!("score.{at}.{operator}.{what}"), RankingPlace::Score { part: at, index: 0 });
        found.push(counted(&name, n, (least, Expression::MAX_CANDLES), 1.0, place));
    };
    match score {
        Expression::Constant(value) => {
            let bound = (-bounds::NUMBER, bounds::NUMBER, false);
            let step = (value.get().abs() / 20.0).max(1e-6);
            let place = RankingPlace::Score { part: at, index: 0 };
            found.push(parameter(&format!("score.{at}.value"), value.get(), bound, (None, step), place));
        }
        Expression::Series(Series { source: Source::Indicator(indicator), .. }) => {
            let spec = indicator.kind().spec();
            for (index, (bound, value)) in spec.params.iter().zip(indicator.params()).enumerate() {
                let name = format!("score.{at}.{}.{}", spec.name, bound.name);
                let place = RankingPlace::Score { part: at, index };
                let bounds = (bound.min, bound.max, false);
                found.push(parameter(&name, value.get(), bounds, (Some(bound.step), bound.step), place));
            }
        }
        Expression::Volatility { returns } => operator("realized_volatility", "returns", 1, *returns),
        Expression::Rolling(op, _, n) => operator(op.name(), "candles", op.least(), *n),
        Expression::Correlation(_, _, n) => operator("correlation", "candles", 2, *n),
        Expression::Beta(_, n) => operator("beta", "candles", 2, *n),
        Expression::Series(_) | Expression::Unary(..) | Expression::Binary(..) | Expression::Across(..) => {}
    }
    score.parts().into_iter().for_each(|inner| of_score(inner, part, found));
}

/// Numbers that a part has itself, without those of the parts inside it.
fn own_numbers(score: &Expression) -> Vec<Number> {
    let count = |n: u32| vec![i32::try_from(n).map_or(Number::ZERO, Number::int)];
    match score {
        Expression::Constant(value) => vec![*value],
        Expression::Series(Series { source: Source::Indicator(indicator), .. }) => indicator.params().to_vec(),
        Expression::Volatility { returns: n }
        | Expression::Rolling(_, _, n)
        | Expression::Correlation(_, _, n)
        | Expression::Beta(_, n) => count(*n),
        Expression::Series(_) | Expression::Unary(..) | Expression::Binary(..) | Expression::Across(..) => Vec::new(),
    }
}

/// The score with other numbers, by part and place in it.
fn rebuilt(
    score: &Expression,
    part: &mut usize,
    values: &BTreeMap<(usize, usize), Number>,
) -> Result<Expression, InvalidStrategy> {
    let own = own_numbers(score);
    if !own.is_empty() {
        *part += 1;
    }
    let at = *part;
    let numbers: Vec<Number> =
        own.iter().enumerate().map(|(i, own)| values.get(&(at, i)).copied().unwrap_or(*own)).collect();
    let count = numbers.first().map_or(0, |n| n.get() as u32);
    let mut inner = |x: &Expression| rebuilt(x, part, values).map(Box::new);
    Ok(match score {
        Expression::Constant(value) => Expression::Constant(numbers.first().copied().unwrap_or(*value)),
        Expression::Series(series) => match series.source {
            Source::Indicator(indicator) => {
                let indicator = Indicator::new(indicator.kind(), &numbers)
                    .map_err(|problem| InvalidStrategy { field: format!("score.{at}"), problem })?;
                Expression::Series(Series { source: Source::Indicator(indicator), ..*series })
            }
            Source::Price(_) | Source::Model(_) => Expression::Series(*series),
        },
        Expression::Volatility { .. } => Expression::Volatility { returns: count },
        Expression::Unary(op, x) => Expression::Unary(*op, inner(x)?),
        Expression::Binary(op, x, y) => Expression::Binary(*op, inner(x)?, inner(y)?),
        Expression::Rolling(op, x, _) => Expression::Rolling(*op, inner(x)?, count),
        Expression::Correlation(x, y, _) => Expression::Correlation(inner(x)?, inner(y)?, count),
        Expression::Across(op, x) => Expression::Across(*op, inner(x)?),
        Expression::Beta(x, _) => Expression::Beta(inner(x)?, count),
    })
}

fn of_weights(weights: &Weights, found: &mut Vec<Parameter>) {
    if let Form::TopBottom { top_pct, bottom_pct } = weights.form {
        found.push(above_zero("weights.top", top_pct, 100.0, 5.0, RankingPlace::Top));
        found.extend(bottom_pct.map(|share| above_zero("weights.bottom", share, 100.0, 5.0, RankingPlace::Bottom)));
    }
    let returns = bounds::WEIGHT_RETURNS;
    found.extend(
        weights
            .inverse_volatility
            .map(|n| counted("weights.inverse_volatility", n, returns, 1.0, RankingPlace::InverseVolatility)),
    );
    found.extend(weights.cap.map(|x| above_zero("weights.cap", x, bounds::WEIGHT_CAP, 0.05, RankingPlace::Cap)));
    found.extend(
        weights.beta_neutral.map(|n| counted("weights.beta_neutral", n, returns, 1.0, RankingPlace::BetaNeutral)),
    );
    found.push(counted("weights.smooth", weights.smooth, bounds::SMOOTH, 1.0, RankingPlace::Smooth));
    found.extend(weights.band.map(|x| above_zero("weights.band", x, bounds::WEIGHT_BAND, 0.005, RankingPlace::Band)));
}

/// Puts a number that is none of the score. `None` where the ranking has no such place.
fn put(ranking: &mut Ranking, place: RankingPlace, number: Number) -> Option<()> {
    let count = number.get() as u32;
    let Ranking { universe, weights, gross, .. } = ranking;
    match place {
        RankingPlace::Score { .. } => return None,
        RankingPlace::UniverseTop => universe.top = count,
        RankingPlace::VolumeDays => universe.volume_days = count,
        RankingPlace::ListedDays => universe.listed_days = count,
        RankingPlace::Top => match &mut weights.form {
            Form::TopBottom { top_pct, .. } => *top_pct = number,
            Form::Linear => return None,
        },
        RankingPlace::Bottom => match &mut weights.form {
            Form::TopBottom { bottom_pct: Some(share), .. } => *share = number,
            _ => return None,
        },
        RankingPlace::InverseVolatility => *weights.inverse_volatility.as_mut()? = count,
        RankingPlace::Cap => *weights.cap.as_mut()? = number,
        RankingPlace::BetaNeutral => *weights.beta_neutral.as_mut()? = count,
        RankingPlace::Smooth => weights.smooth = count,
        RankingPlace::Band => *weights.band.as_mut()? = number,
        RankingPlace::Gross => *gross = number,
    }
    Some(())
}
