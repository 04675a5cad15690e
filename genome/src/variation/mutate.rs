//! Small random changes of a strategy.

use super::ideas::Maker;
use super::{
    ATTEMPTS, VariationConfig, chance, condition_mut, draw, finish, pick, pick_weighted, plan, random, random_slot,
    rule, rule_mut,
};
use crate::{
    Comparison, Condition, Indicator, Number, Operand, Rule, Series, SideRules, Source, Strategy, TrendRegimeFilter,
};
use rand::{Rng, RngExt};

/// A strategy that differs from `strategy` in one small way, rarely in two; another one whenever possible.
#[must_use]
pub fn mutate(strategy: &Strategy, config: &VariationConfig, rng: &mut impl Rng) -> Strategy {
    let original = strategy.clone().canonical().ok();
    for _ in 0..ATTEMPTS {
        let mut draft = strategy.clone();
        let twice = chance(0.2, rng);
        change(&mut draft, config, rng);
        if twice {
            change(&mut draft, config, rng);
        }
        if let Some(changed) = finish(draft, config).filter(|s| Some(s) != original.as_ref()) {
            return changed;
        }
    }
    random(config, rng)
}

fn change(draft: &mut Strategy, config: &VariationConfig, rng: &mut impl Rng) {
    let maker = Maker { config, base: draft.timeframe };
    match pick_weighted(&config.mutation.list(), rng) {
        Some(0) => parameter(draft, rng),
        Some(1) => constant(draft, rng),
        Some(2) => series(draft, config, rng),
        Some(3) => {
            let added = if chance(0.5, rng) { maker.filter(rng) } else { maker.condition(rng) };
            add(draft, added, rng);
        }
        Some(4) => drop_part(draft, rng),
        Some(5) => comparison(draft, rng),
        Some(6) => logic(draft, rng),
        Some(7) => plan::mutate(&mut draft.risk, config, rng),
        Some(8) => filters(draft, rng),
        Some(9) => timeframe(draft, config, rng),
        _ => side(draft, config, &maker, rng),
    }
}

/// Calls `edit` with a random condition of a random rule.
fn at_random(draft: &mut Strategy, rng: &mut impl Rng, edit: impl FnOnce(&mut Condition)) {
    let slot = random_slot(draft, rng);
    let Some(rule) = rule_mut(draft, slot) else { return };
    let count = rule.conditions();
    if count == 0 {
        return;
    }
    if let Some(condition) = condition_mut(rule, rng.random_range(0..count)) {
        edit(condition);
    }
}

fn with_param(indicator: &Indicator, index: usize, value: Number) -> Option<Indicator> {
    let mut params = indicator.params().to_vec();
    *params.get_mut(index)? = value;
    Indicator::new(indicator.kind(), &params).ok()
}

/// One parameter of one indicator moves; the same indicator moves wherever else the strategy uses it, half
/// of the time, so that a rule and the exit that belongs to it stay together.
fn parameter(draft: &mut Strategy, rng: &mut impl Rng) {
    let mut found: Vec<Series> = Vec::new();
    super::for_each_rule(draft, &mut |_, rule| {
        rule.for_each_condition(&mut |c| {
            found.push(c.left);
            if let Operand::Series(right) = c.right {
                found.push(right);
            }
        });
    });
    found.retain(|s| matches!(s.source, Source::Indicator(i) if !i.params().is_empty()));
    let Some(chosen) = pick(&found, rng).copied() else { return };
    let Source::Indicator(indicator) = chosen.source else { return };
    let index = rng.random_range(0..indicator.params().len());
    let value = draw::nudged(&indicator.kind().spec().params[index], indicator.params()[index], rng);
    let Some(moved) = with_param(&indicator, index, value) else { return };
    let everywhere = chance(0.5, rng);
    let mut done = false;
    for slot in super::Slot::ALL {
        let Some(rule) = rule_mut(draft, slot) else { continue };
        rule.for_each_condition_mut(&mut |c| {
            let mut swap = |series: &mut Series| {
                if *series == chosen && (everywhere || !done) {
                    series.source = Source::Indicator(moved);
                    done = true;
                }
            };
            swap(&mut c.left);
            if let Operand::Series(right) = &mut c.right {
                swap(right);
            }
        });
    }
}

fn constant(draft: &mut Strategy, rng: &mut impl Rng) {
    let slot = random_slot(draft, rng);
    let Some(rule) = rule_mut(draft, slot) else { return };
    let mut with_constant = Vec::new();
    let mut index = 0;
    rule.for_each_condition(&mut |c| {
        if matches!(c.right, Operand::Constant(_)) {
            with_constant.push(index);
        }
        index += 1;
    });
    let Some(index) = pick(&with_constant, rng).copied() else { return };
    let Some(condition) = condition_mut(rule, index) else { return };
    let Operand::Constant(value) = condition.right else { return };
    if let Some(range) = condition.left.source.constants() {
        condition.right = Operand::Constant(draw::nudged_constant(&range, value, rng));
    }
}

/// Another series of the same scale takes the place of one.
fn series(draft: &mut Strategy, config: &VariationConfig, rng: &mut impl Rng) {
    let base = draft.timeframe;
    let right_side = chance(0.5, rng);
    let slot = random_slot(draft, rng);
    let Some(rule) = rule_mut(draft, slot) else { return };
    let index = rng.random_range(0..rule.conditions().max(1));
    let Some(condition) = condition_mut(rule, index) else { return };
    let Some(new) = draw::of_scale(config, condition.left.source.scale(), base, rng) else { return };
    match &mut condition.right {
        Operand::Series(right) if right_side => *right = new,
        Operand::Series(_) => condition.left = new,
        Operand::Constant(level) => {
            // The level means something else for another series: it goes to the same place of its range.
            let Some(range) = new.source.constants() else { return };
            *level = range.nearest(level.get());
            condition.left = new;
        }
    }
}

fn add(draft: &mut Strategy, added: Option<Rule>, rng: &mut impl Rng) {
    let Some(added) = added else { return };
    let slot = random_slot(draft, rng);
    let narrow = chance(0.8, rng);
    if let Some(rule) = rule_mut(draft, slot) {
        let parts = vec![rule.clone(), added];
        *rule = if narrow { Rule::And(parts) } else { Rule::Or(parts) };
    }
}

/// Drops one part of a rule that has several, or an exit rule.
fn drop_part(draft: &mut Strategy, rng: &mut impl Rng) {
    let slot = random_slot(draft, rng);
    let Some(rule) = rule_mut(draft, slot) else { return };
    match rule {
        Rule::And(parts) | Rule::Or(parts) if parts.len() > 1 => {
            let index = rng.random_range(0..parts.len());
            parts.remove(index);
        }
        _ => match slot {
            super::Slot::LongExit => draft.long.iter_mut().for_each(|s| s.exit = None),
            super::Slot::ShortExit => draft.short.iter_mut().for_each(|s| s.exit = None),
            super::Slot::LongEntry | super::Slot::ShortEntry => {}
        },
    }
}

fn comparison(draft: &mut Strategy, rng: &mut impl Rng) {
    let turn = chance(0.4, rng);
    at_random(draft, rng, |condition| {
        condition.comparison = match (condition.comparison, turn) {
            (comparison, true) => comparison.flipped(),
            (Comparison::Below, false) => Comparison::CrossesBelow,
            (Comparison::Above, false) => Comparison::CrossesAbove,
            (Comparison::CrossesBelow, false) => Comparison::Below,
            (Comparison::CrossesAbove, false) => Comparison::Above,
        };
    });
}

fn logic(draft: &mut Strategy, rng: &mut impl Rng) {
    let slot = random_slot(draft, rng);
    if let Some(rule) = rule_mut(draft, slot) {
        *rule = match std::mem::replace(rule, Rule::And(Vec::new())) {
            Rule::And(parts) => Rule::Or(parts),
            Rule::Or(parts) => Rule::And(parts),
            other => other,
        };
    }
}

fn filters(draft: &mut Strategy, rng: &mut impl Rng) {
    if chance(0.8, rng) {
        draft.filters.regime = pick(&TrendRegimeFilter::ALL, rng).copied().unwrap_or_default();
    } else {
        let tenths = rng.random_range(0..=8_u32);
        draft.filters.min_confidence = (tenths >= 4).then(|| Number::literal(f64::from(tenths) / 10.0));
    }
}

/// The base timeframe moves to another allowed one, or one series moves to a higher timeframe and back.
fn timeframe(draft: &mut Strategy, config: &VariationConfig, rng: &mut impl Rng) {
    if chance(0.4, rng) {
        if let Some(timeframe) = pick(&config.timeframes, rng) {
            draft.timeframe = *timeframe;
        }
        return;
    }
    let raise = chance(config.higher_timeframe_probability.max(0.1), rng);
    let higher = draw::higher(config, draft.timeframe, rng).filter(|_| raise);
    let bars = higher.map_or(f64::INFINITY, |t| draw::bars(config, t));
    at_random(draft, rng, |condition| {
        let series = match &mut condition.right {
            Operand::Series(right) => right,
            Operand::Constant(_) => &mut condition.left,
        };
        let Source::Indicator(indicator) = series.source else { return };
        let specs = indicator.kind().spec().params;
        let fits = specs.iter().zip(indicator.params()).all(|(spec, p)| spec.step < 1.0 || p.get() <= bars);
        if fits {
            series.timeframe = higher;
        }
    });
}

fn side(draft: &mut Strategy, config: &VariationConfig, maker: &Maker<'_>, rng: &mut impl Rng) {
    let mirrored =
        |side: &SideRules| SideRules { entry: side.entry.mirrored(), exit: side.exit.as_ref().map(Rule::mirrored) };
    match (rng.random_range(0..4), &draft.long, &draft.short) {
        (0, Some(long), _) if config.allow_short => draft.short = Some(mirrored(long)),
        (0, _, Some(short)) | (1, None, Some(short)) => draft.long = Some(mirrored(short)),
        (1 | 2, Some(_), Some(_)) => {
            if chance(0.5, rng) {
                draft.long = None;
            } else {
                draft.short = None;
            }
        }
        _ => {
            let rule = chance(0.7, rng).then(|| maker.free(2, rng));
            let long = chance(0.5, rng);
            let side = if long { draft.long.as_mut() } else { draft.short.as_mut() };
            if let Some(side) = side {
                side.exit = rule;
            }
        }
    }
}

/// A random rule's part, with the rule's slot; used to exchange parts.
pub(super) fn random_part(strategy: &Strategy, rng: &mut impl Rng) -> Option<Rule> {
    let slot = random_slot(strategy, rng);
    match rule(strategy, slot)? {
        Rule::And(parts) | Rule::Or(parts) => pick(parts, rng).cloned(),
        whole => Some(whole.clone()),
    }
}
