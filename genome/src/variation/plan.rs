//! Random risk plans and filters, and small changes of them.

use super::{Span, VariationConfig, chance, draw, pick};
use crate::{Distance, Filters, Number, PartialTakeProfit, Recovery, RiskPlan, Size, TrendRegimeFilter};
use rand::{Rng, RngExt};

const ATR_PERIODS: [u32; 4] = [7, 14, 21, 28];

/// A plan with a stop and usually a target or a trailing stop.
pub(super) fn random(config: &VariationConfig, rng: &mut impl Rng) -> RiskPlan {
    let stop = chance(0.9, rng) || config.stop_required;
    let mut plan = RiskPlan {
        stop_loss: stop.then(|| distance(config, &config.stop_percent, rng)),
        take_profit: chance(0.65, rng).then(|| distance(config, &config.target_percent, rng)),
        trailing_stop: chance(0.25, rng).then(|| distance(config, &config.stop_percent, rng)),
        break_even: chance(0.12, rng).then(|| distance(config, &config.stop_percent, rng)),
        time_exit_bars: chance(0.4, rng).then(|| time_exit(config, rng)),
        partial_take_profit: chance(0.08, rng).then(|| partial(config, rng)),
        recovery: chance(config.recovery_probability, rng).then(|| recovery(rng)),
        leverage: leverage(config, rng),
        ..RiskPlan::default()
    };
    plan.size = size(&plan, rng);
    if plan.take_profit.is_none() && plan.trailing_stop.is_none() && plan.time_exit_bars.is_none() {
        plan.time_exit_bars = Some(time_exit(config, rng));
    }
    plan
}

/// Mostly none.
pub(super) fn filters(rng: &mut impl Rng) -> Filters {
    let regimes = [TrendRegimeFilter::Trending, TrendRegimeFilter::Ranging, TrendRegimeFilter::Choppy];
    let regime =
        if chance(0.12, rng) { pick(&regimes, rng).copied().unwrap_or_default() } else { TrendRegimeFilter::Any };
    Filters { regime, min_confidence: None }
}

/// Changes one part of the plan.
pub(super) fn mutate(plan: &mut RiskPlan, config: &VariationConfig, rng: &mut impl Rng) {
    match rng.random_range(0..12) {
        0..=2 => change(&mut plan.stop_loss, config, &config.stop_percent, !config.stop_required, rng),
        3..=5 => change(&mut plan.take_profit, config, &config.target_percent, true, rng),
        6 => change(&mut plan.trailing_stop, config, &config.stop_percent, true, rng),
        7 => change(&mut plan.break_even, config, &config.stop_percent, true, rng),
        8 | 9 => {
            plan.time_exit_bars = match plan.time_exit_bars {
                Some(_) if chance(0.25, rng) => None,
                Some(bars) => {
                    let (from, to) = config.time_exit_bars;
                    let grid = Span { min: f64::from(from), max: f64::from(to), step: 1.0 };
                    let moved = draw::nudge(Number::int(bars as i32), 1.0, rng, |v| grid.nearest(v));
                    Some(moved.get() as u32)
                }
                None => Some(time_exit(config, rng)),
            };
        }
        10 => {
            let off = plan.partial_take_profit.is_some() && chance(0.5, rng);
            plan.partial_take_profit = if off { None } else { Some(partial(config, rng)) };
            let grow = chance(config.recovery_probability, rng);
            plan.recovery = if grow { Some(recovery(rng)) } else { plan.recovery.filter(|_| chance(0.5, rng)) };
        }
        _ => {
            plan.leverage = leverage(config, rng);
            plan.size = size(plan, rng);
        }
    }
    if plan.stop_loss.is_none() && matches!(plan.size, Size::Risk(_)) {
        plan.size = half();
    }
}

fn change(slot: &mut Option<Distance>, config: &VariationConfig, percent: &Span, may_go: bool, rng: &mut impl Rng) {
    let go = chance(0.2, rng) && may_go;
    let anew = chance(0.2, rng);
    *slot = match *slot {
        Some(_) if go => None,
        Some(Distance::Percent(p)) if !anew => {
            Some(Distance::Percent(draw::nudge(p, percent.step, rng, |v| percent.nearest(v))))
        }
        Some(Distance::Atr { multiple, period }) if !anew => {
            let grid = config.atr_multiple;
            Some(Distance::Atr { multiple: draw::nudge(multiple, grid.step, rng, |v| grid.nearest(v)), period })
        }
        _ => Some(distance(config, percent, rng)),
    };
}

fn distance(config: &VariationConfig, percent: &Span, rng: &mut impl Rng) -> Distance {
    if chance(config.atr_probability, rng) {
        let period = pick(&ATR_PERIODS, rng).copied().unwrap_or(14);
        Distance::Atr { multiple: log_uniform(&config.atr_multiple, rng), period }
    } else {
        Distance::Percent(log_uniform(percent, rng))
    }
}

fn log_uniform(span: &Span, rng: &mut impl Rng) -> Number {
    span.nearest(span.min * (span.max / span.min).powf(rng.random::<f64>()))
}

fn time_exit(config: &VariationConfig, rng: &mut impl Rng) -> u32 {
    let (from, to) = config.time_exit_bars;
    let span = Span { min: f64::from(from), max: f64::from(to), step: 1.0 };
    log_uniform(&span, rng).get() as u32
}

fn partial(config: &VariationConfig, rng: &mut impl Rng) -> PartialTakeProfit {
    let fractions = [Number::literal(0.25), Number::literal(0.5), Number::literal(0.75)];
    let fraction = pick(&fractions, rng).copied().unwrap_or(fractions[1]);
    PartialTakeProfit { at: distance(config, &config.target_percent, rng), fraction }
}

fn recovery(rng: &mut impl Rng) -> Recovery {
    let multipliers = [Number::literal(1.25), Number::literal(1.5), Number::literal(2.0)];
    let multiplier = pick(&multipliers, rng).copied().unwrap_or(multipliers[0]);
    Recovery { multiplier, max_steps: rng.random_range(1..=3) }
}

fn leverage(config: &VariationConfig, rng: &mut impl Rng) -> Number {
    let most = config.max_leverage.floor().max(1.0);
    // One draw in three is above 1, where that is allowed at all.
    let above = chance(1.0 / 3.0, rng);
    let value = 1.0 + ((most - 1.0) * rng.random::<f64>()).round();
    Number::new(if above { value } else { 1.0 }).unwrap_or(Number::literal(1.0))
}

/// What is at stake decides nothing about an edge, and all of the capital falls by more than limits on drawdown allow, even
/// with a good one.
fn half() -> Size {
    Size::Fraction(Number::literal(0.5))
}

fn size(plan: &RiskPlan, rng: &mut impl Rng) -> Size {
    let by_risk = chance(0.25, rng) && plan.stop_loss.is_some();
    let risk = 0.005 * f64::from(rng.random_range(1..=6_u32));
    match Number::new((risk * 1000.0).round() / 1000.0) {
        Some(risk) if by_risk => Size::Risk(risk),
        _ => half(),
    }
}
