//! Strategies one parameter step away: for local refinement and for asking whether a result is a lucky peak.

use super::{Slot, condition_mut, rule, rule_mut};
use crate::{Condition, Distance, Indicator, Number, Operand, Ranking, Series, Source, Strategy, bounds};

/// All valid strategies that differ from `strategy` in one number, moved by `step` of its value (0.1 is a
/// tenth) up or down, and by at least one step of its grid. Rules in order, then the risk plan; each result
/// once, never the strategy itself. Nothing is random.
#[must_use]
pub fn neighbours(strategy: &Strategy, step: f64) -> Vec<Strategy> {
    let Ok(origin) = strategy.clone().canonical() else { return Vec::new() };
    let mut found = Neighbours { origin: &origin, step, found: Vec::new() };
    for slot in Slot::ALL {
        let count = rule(&origin, slot).map_or(0, crate::Rule::conditions);
        for index in 0..count {
            found.condition(slot, index);
        }
    }
    found.plan();
    found.found
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

/// `value` a step down and a step up, on a grid of `grid` around it.
fn moves(value: f64, step: f64, grid: f64) -> [f64; 2] {
    let distance = (value.abs() * step / grid).round().max(1.0) * grid;
    [value - distance, value + distance]
}

/// The series with one parameter of its indicator moved; none of a price.
fn near_series(series: Series, step: f64) -> Vec<Series> {
    let Source::Indicator(indicator) = series.source else { return Vec::new() };
    let mut out = Vec::new();
    for (i, spec) in indicator.kind().spec().params.iter().enumerate() {
        for moved in moves(indicator.params()[i].get(), step, spec.step) {
            let mut params = indicator.params().to_vec();
            params[i] = spec.nearest(moved);
            if let Ok(indicator) = Indicator::new(indicator.kind(), &params) {
                out.push(Series { source: Source::Indicator(indicator), ..series });
            }
        }
    }
    out
}

struct Neighbours<'a> {
    origin: &'a Strategy,
    step: f64,
    found: Vec<Strategy>,
}

impl Neighbours<'_> {
    fn add(&mut self, edit: impl FnOnce(&mut Strategy)) {
        let mut draft = self.origin.clone();
        edit(&mut draft);
        if let Ok(valid) = draft.canonical()
            && valid != *self.origin
            && !self.found.contains(&valid)
        {
            self.found.push(valid);
        }
    }

    fn moves(&self, value: f64, grid: f64) -> [f64; 2] {
        moves(value, self.step, grid)
    }

    fn condition(&mut self, slot: Slot, index: usize) {
        let mut draft = self.origin.clone();
        let Some(condition) = rule_mut(&mut draft, slot).and_then(|r| condition_mut(r, index)).copied() else { return };
        let put = |strategy: &mut Strategy, new: Condition| {
            if let Some(place) = rule_mut(strategy, slot).and_then(|r| condition_mut(r, index)) {
                *place = new;
            }
        };
        for left in near_series(condition.left, self.step) {
            self.add(|s| put(s, Condition { left, ..condition }));
        }
        match condition.right {
            Operand::Series(right) => {
                for right in near_series(right, self.step) {
                    self.add(|s| put(s, Condition { right: Operand::Series(right), ..condition }));
                }
            }
            Operand::Constant(value) => {
                let Source::Indicator(indicator) = condition.left.source else { return };
                let Some(range) = indicator.kind().spec().constants else { return };
                // A tenth of the range, where the value itself is small against it.
                let scale = value.get().abs().max((range.max - range.min) / 2.0);
                let distance = (scale * self.step / range.step).round().max(1.0) * range.step;
                for moved in [value.get() - distance, value.get() + distance] {
                    let right = Operand::Constant(range.nearest(moved));
                    self.add(|s| put(s, Condition { right, ..condition }));
                }
            }
        }
    }

    fn distances(&self, distance: Option<Distance>) -> Vec<Distance> {
        let number = |value: f64| Number::new((value * 100.0).round() / 100.0);
        let moved = |value: Number| self.moves(value.get(), 0.05).into_iter().filter_map(number).collect::<Vec<_>>();
        match distance {
            None => Vec::new(),
            Some(Distance::Percent(percent)) => moved(percent).into_iter().map(Distance::Percent).collect(),
            Some(Distance::Atr { multiple, period }) => {
                moved(multiple).into_iter().map(|multiple| Distance::Atr { multiple, period }).collect()
            }
        }
    }

    fn plan(&mut self) {
        let risk = self.origin.risk;
        for distance in self.distances(risk.stop_loss) {
            self.add(|s| s.risk.stop_loss = Some(distance));
        }
        for distance in self.distances(risk.take_profit) {
            self.add(|s| s.risk.take_profit = Some(distance));
        }
        for distance in self.distances(risk.trailing_stop) {
            self.add(|s| s.risk.trailing_stop = Some(distance));
        }
        for distance in self.distances(risk.break_even) {
            self.add(|s| s.risk.break_even = Some(distance));
        }
        if let Some(bars) = risk.time_exit_bars {
            let (least, most) = bounds::TIME_EXIT_BARS;
            for moved in self.moves(f64::from(bars), 1.0) {
                let bars = moved.clamp(f64::from(least), f64::from(most)) as u32;
                self.add(|s| s.risk.time_exit_bars = Some(bars));
            }
        }
        if let Some(partial) = risk.partial_take_profit {
            for at in self.distances(Some(partial.at)) {
                self.add(|s| s.risk.partial_take_profit = Some(crate::PartialTakeProfit { at, ..partial }));
            }
        }
    }
}
