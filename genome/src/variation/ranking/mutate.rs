//! Small random changes of a ranking strategy; what a part measures stays.

use super::config::RankingVariation;
use super::draw::{Maker, price};
use super::grow::{Measure, Room};
use super::ideas::{boxed, rolling, unary};
use super::tree::{candles, indicator, nodes, with_node, with_own_candles};
use super::{ATTEMPTS, finish, on_timeframe, random_ranking};
use crate::variation::{chance, draw::nudged, pick, pick_weighted};
use crate::{
    Across, Binary, Expression, Indicator, Number, PriceField as Field, Ranking, Rolling, Series, Source, Unary, Unit,
};
use rand::{Rng, RngExt};

const ROLLING: [Rolling; 9] = [
    Rolling::Delay,
    Rolling::Delta,
    Rolling::Mean,
    Rolling::Deviation,
    Rolling::Sum,
    Rolling::Highest,
    Rolling::Lowest,
    Rolling::TsRank,
    Rolling::Decay,
];
const ACROSS: [Across; 4] = [Across::Rank, Across::ZScore, Across::Demean, Across::Relative];
const BINARY: [Binary; 6] = [Binary::Add, Binary::Subtract, Binary::Min, Binary::Max, Binary::Multiply, Binary::Divide];
const UNARY: [Unary; 3] = [Unary::Negate, Unary::Abs, Unary::Sign];

/// A strategy that differs from `ranking` in one small way, rarely in two; another one whenever possible.
#[must_use]
pub fn mutate_ranking(ranking: &Ranking, config: &RankingVariation, rng: &mut impl Rng) -> Ranking {
    let original = ranking.clone().canonical().ok();
    for _ in 0..ATTEMPTS {
        let mut draft = ranking.clone();
        let twice = chance(0.2, rng);
        change(&mut draft, config, rng);
        if twice {
            change(&mut draft, config, rng);
        }
        if let Some(changed) = finish(draft, config).filter(|r| Some(r) != original.as_ref()) {
            return changed;
        }
    }
    random_ranking(config, rng)
}

fn change(draft: &mut Ranking, config: &RankingVariation, rng: &mut impl Rng) {
    let maker = Maker { config, base: draft.timeframe };
    let timeframes = if config.timeframes.len() > 1 { 0.3 } else { 0.0 };
    let kinds = [5.0, 1.5, 1.5, 1.5, 1.5, 1.5, 0.5, 0.3, 3.0, 0.5, 0.5, timeframes];
    let changed = match pick_weighted(&kinds, rng) {
        Some(0) => return look_back(draft, &maker, rng),
        Some(1) => operator(&draft.score, rng),
        Some(2) => leaf(&draft.score, &maker, rng),
        Some(3) => replaced(&draft.score, &maker, rng),
        Some(4) => inserted(&draft.score, &maker, rng),
        Some(5) => deleted(&draft.score, rng),
        Some(6) => number(&draft.score, rng),
        Some(7) => Some(unary(Unary::Negate, draft.score.clone())),
        Some(8) => return maker.change_weights(&mut draft.weights, rng),
        Some(9) => {
            draft.universe = maker.universe(rng);
            None
        }
        Some(10) => {
            draft.rebalance = maker.clock(rng);
            None
        }
        _ => {
            if let Some(timeframe) = pick(&config.timeframes, rng) {
                *draft = on_timeframe(draft, *timeframe);
            }
            None
        }
    };
    if let Some(score) = changed {
        draft.score = score;
    }
}

/// The unit of a part; `None` for one that cannot stand by itself, which a valid score has none of.
fn unit(part: &Expression) -> Option<Unit> {
    part.unit().ok()
}

/// A part for which `edit` knows another, drawn by chance, changed.
fn at_random<R: Rng>(
    score: &Expression,
    rng: &mut R,
    fits: impl Fn(&Expression) -> bool,
    edit: impl FnOnce(&Expression, &mut R) -> Option<Expression>,
) -> Option<Expression> {
    let parts = nodes(score);
    let fitting: Vec<usize> = (0..parts.len()).filter(|i| fits(parts[*i])).collect();
    let at = *pick(&fitting, rng)?;
    let new = edit(parts[at], rng)?;
    Some(with_node(score, at, &new))
}

/// A count of candles moves on a logarithmic scale: by a tenth or so, now and then to half or double.
fn step(n: u32, maker: &Maker<'_>, rng: &mut impl Rng) -> u32 {
    let far = if chance(0.25, rng) { 0.9 } else { 0.3 };
    let moved = (f64::from(n) * (far * (2.0 * rng.random::<f64>() - 1.0)).exp()).round() as u32;
    let moved = if moved == n { if chance(0.5, rng) { n + 1 } else { n.saturating_sub(1) } } else { moved };
    // What is in whole days stays so: it is shared with more strategies and means the same on any timeframe.
    let day = maker.day();
    let whole = (moved + day / 2) / day * day;
    maker.fit(if n.is_multiple_of(day) && whole != n && whole > 0 { whole } else { moved })
}

/// One look-back moves: of an operator, of an indicator, of the weights.
fn look_back(draft: &mut Ranking, maker: &Maker<'_>, rng: &mut impl Rng) {
    let movable = |part: &Expression| {
        candles(part).is_some_and(|n| n > 1) || indicator(part).is_some_and(|i| !i.params().is_empty())
    };
    let in_score = nodes(&draft.score).into_iter().filter(|part| movable(part)).count();
    let weights = &mut draft.weights;
    let in_weights: Vec<&mut u32> =
        [weights.inverse_volatility.as_mut(), weights.beta_neutral.as_mut()].into_iter().flatten().collect();
    let all = in_score + in_weights.len();
    if all == 0 {
        return;
    }
    let at = rng.random_range(0..all);
    if at >= in_score {
        if let Some(n) = in_weights.into_iter().nth(at - in_score) {
            *n = step(*n, maker, rng);
        }
        return;
    }
    let moved = at_random(&draft.score, rng, movable, |part, rng| match (candles(part), part) {
        (Some(n), part) => Some(with_own_candles(part, step(n, maker, rng))),
        (None, Expression::Series(series)) => nudged_series(*series, rng).map(Expression::Series),
        _ => None,
    });
    if let Some(score) = moved {
        draft.score = score;
    }
}

fn nudged_series(series: Series, rng: &mut impl Rng) -> Option<Series> {
    let Source::Indicator(indicator) = series.source else { return None };
    let mut params = indicator.params().to_vec();
    let at = rng.random_range(0..params.len().max(1));
    let spec = indicator.kind().spec().params.get(at)?;
    let param = params.get_mut(at)?;
    *param = nudged(spec, *param, rng);
    let source = Source::Indicator(Indicator::new(indicator.kind(), &params).ok()?);
    Some(Series { source, ..series })
}

/// An operator becomes another one that measures the same.
fn operator(score: &Expression, rng: &mut impl Rng) -> Option<Expression> {
    let is_operator = |part: &Expression| {
        matches!(
            part,
            Expression::Unary(..) | Expression::Binary(..) | Expression::Rolling(..) | Expression::Across(..)
        )
    };
    at_random(score, rng, is_operator, |part, rng| {
        let others: Vec<Expression> = match part {
            Expression::Unary(_, x) => UNARY.map(|op| Expression::Unary(op, x.clone())).to_vec(),
            Expression::Binary(_, x, y) => BINARY.map(|op| boxed(op, (**x).clone(), (**y).clone())).to_vec(),
            Expression::Rolling(_, x, n) => ROLLING.map(|op| rolling(op, (**x).clone(), *n)).to_vec(),
            Expression::Across(_, x) => ACROSS.map(|op| Expression::Across(op, x.clone())).to_vec(),
            _ => Vec::new(),
        };
        let own = unit(part);
        let fitting: Vec<Expression> = others.into_iter().filter(|other| other != part && unit(other) == own).collect();
        pick(&fitting, rng).cloned()
    })
}

/// A lone series becomes another one of its unit.
fn leaf(score: &Expression, maker: &Maker<'_>, rng: &mut impl Rng) -> Option<Expression> {
    let is_leaf = |part: &Expression| matches!(part, Expression::Series(_) | Expression::Volatility { .. });
    at_random(score, rng, is_leaf, |part, rng| Some(maker.leaf(Measure::of(unit(part)?)?, rng)))
}

/// A part becomes a new one that measures the same.
fn replaced(score: &Expression, maker: &Maker<'_>, rng: &mut impl Rng) -> Option<Expression> {
    let whole = Room { size: maker.config.max_size, depth: maker.config.max_depth };
    let replaceable =
        |part: &Expression| !matches!(part, Expression::Constant(_)) && unit(part).and_then(Measure::of).is_some();
    let size = score.size();
    at_random(score, rng, replaceable, |part, rng| {
        let measure = Measure::of(unit(part)?)?;
        // Not much larger than what it replaces, and never than the whole may be.
        let room = (whole.size + part.size()).saturating_sub(size).clamp(1, part.size() + 6);
        let depth = whole.depth.saturating_sub(score.depth() - part.depth()).max(1);
        Some(maker.grown(measure, Room { size: room, depth }, rng))
    })
}

/// A part is wrapped in an operator, or joined with a new one.
fn inserted(score: &Expression, maker: &Maker<'_>, rng: &mut impl Rng) -> Option<Expression> {
    let free = maker.config.max_size.saturating_sub(score.size());
    if free == 0 {
        return None;
    }
    let any = |part: &Expression| !matches!(part, Expression::Constant(_));
    at_random(score, rng, any, |part, rng| {
        let own = unit(part)?;
        let x = part.clone();
        if free >= 4 && chance(0.4, rng) {
            let joint = pick(&[Binary::Add, Binary::Add, Binary::Subtract, Binary::Multiply], rng).copied();
            let joint = joint.unwrap_or(Binary::Add);
            let measure = Measure::of(own)?;
            let joint = if measure == Measure::Plain || joint != Binary::Multiply { joint } else { Binary::Add };
            let room = Room { size: (free - 1).min(6), depth: 4 };
            return Some(boxed(joint, x, maker.grown(measure, room, rng)));
        }
        let n = maker.window(rng);
        let mut around: Vec<Expression> = ROLLING.map(|op| rolling(op, x.clone(), n)).to_vec();
        around.extend(ACROSS.map(|op| Expression::Across(op, Box::new(x.clone()))));
        around.extend(UNARY.map(|op| unary(op, x.clone())));
        if own == Unit::PLAIN {
            around.push(boxed(Binary::Subtract, x.clone(), Expression::Constant(Number::int(1))));
            around.push(boxed(Binary::Divide, x.clone(), Expression::Volatility { returns: n }));
        }
        if own == Unit::PRICE {
            around.push(boxed(Binary::Subtract, x.clone(), price(Field::Close)));
        }
        let fitting: Vec<Expression> = around.into_iter().filter(|new| unit(new) == Some(own)).collect();
        pick(&fitting, rng).cloned()
    })
}

/// An operator is left out: one of its values that measures the same stays.
fn deleted(score: &Expression, rng: &mut impl Rng) -> Option<Expression> {
    let kept = |part: &Expression| -> Vec<Expression> {
        let own = unit(part);
        let varies = |x: &&Expression| !matches!(x, Expression::Constant(_));
        part.parts().into_iter().filter(varies).filter(|x| unit(x) == own).cloned().collect()
    };
    at_random(score, rng, |part| !kept(part).is_empty(), |part, rng| pick(&kept(part), rng).cloned())
}

/// A number is replaced by one that people use.
fn number(score: &Expression, rng: &mut impl Rng) -> Option<Expression> {
    let is_number = |part: &Expression| matches!(part, Expression::Constant(number) if number.get() != 0.0);
    at_random(score, rng, is_number, |_, rng| {
        let value = pick(&[0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0], rng).copied()?;
        Number::new(value).map(Expression::Constant)
    })
}
