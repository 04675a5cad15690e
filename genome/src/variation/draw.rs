//! Random series, parameters and constants, each within its bounds and look-back.

use super::{VariationConfig, chance, pick};
use crate::{
    ConstantRange, Indicator, IndicatorKind, Number, Operand, ParamSpec, PriceField, Scale, Series, Source, Timeframe,
};
use rand::{Rng, RngExt};

/// An indicator with random parameters around the customary ones.
pub(super) fn indicator(kind: IndicatorKind, bars: f64, rng: &mut impl Rng) -> Indicator {
    let specs = kind.spec().params;
    for _ in 0..4 {
        let params: Vec<Number> = specs.iter().map(|spec| param(spec, bars, rng)).collect();
        if let Ok(indicator) = Indicator::new(kind, &params) {
            return indicator;
        }
    }
    customary(kind)
}

/// The indicator with its customary parameters.
pub(super) fn customary(kind: IndicatorKind) -> Indicator {
    Indicator::new(kind, &[]).expect("the table's customary parameters are within their own bounds (tested)")
}

/// Log-uniform around the customary value, within bounds and look-back: counts of candles from a third of it
/// to five times it, multiples and the like (a band six deviations wide is never touched) from half to twice.
fn param(spec: &ParamSpec, bars: f64, rng: &mut impl Rng) -> Number {
    let (down, up) = if spec.step >= 1.0 { (3.0, 5.0) } else { (2.0, 2.0) };
    let least = (spec.default / down).max(spec.min);
    let most = (spec.default * up).min(spec.max).min(limit(spec, bars)).max(least);
    let value = least * (most / least).powf(rng.random::<f64>());
    spec.nearest(value)
}

/// Counts of candles are limited by the look-back; other parameters are not.
fn limit(spec: &ParamSpec, bars: f64) -> f64 {
    if spec.step >= 1.0 { bars } else { f64::INFINITY }
}

/// A parameter moved by a small step: at least one of its grid, at most about a fifth of its value.
pub(super) fn nudged(spec: &ParamSpec, value: Number, rng: &mut impl Rng) -> Number {
    nudge(value, spec.step, rng, |v| spec.nearest(v))
}

/// A constant moved by a small step of its range.
pub(super) fn nudged_constant(range: &ConstantRange, value: Number, rng: &mut impl Rng) -> Number {
    let width = ((range.max - range.min) / 10.0).max(range.step);
    let steps = rng.random_range(1..=(width / range.step).round().clamp(1.0, 1e6) as u32);
    let sign = if chance(0.5, rng) { 1.0 } else { -1.0 };
    range.nearest(value.get() + sign * f64::from(steps) * range.step)
}

/// `value` moved up or down by one to about a fifth of it in grid steps, and put back on the grid.
pub(super) fn nudge(value: Number, step: f64, rng: &mut impl Rng, grid: impl Fn(f64) -> Number) -> Number {
    let most = (value.get().abs() / 5.0 / step).round().clamp(1.0, 1e6) as u32;
    let steps = f64::from(rng.random_range(1..=most));
    let sign = if chance(0.5, rng) { 1.0 } else { -1.0 };
    grid(value.get() + sign * steps * step)
}

/// A constant worth comparing the indicator with, where there is one.
pub(super) fn constant(kind: IndicatorKind, rng: &mut impl Rng) -> Option<Operand> {
    Some(level(kind.spec().constants?, rng))
}

/// A level anywhere in a range.
pub(super) fn level(range: ConstantRange, rng: &mut impl Rng) -> Operand {
    let value = range.min + (range.max - range.min) * rng.random::<f64>();
    Operand::Constant(range.nearest(value))
}

/// How many candles of `timeframe` the longest look-back holds.
pub(super) fn bars(config: &VariationConfig, timeframe: Timeframe) -> f64 {
    const DAY_MS: f64 = 86_400_000.0;
    let length = timeframe.fixed_ms().map_or(30.0 * DAY_MS, |ms| ms as f64);
    f64::from(config.max_lookback_days) * DAY_MS / length
}

/// A timeframe above the base with room for at least 20 candles in the look-back, at most 16 times as long.
pub(super) fn higher(config: &VariationConfig, base: Timeframe, rng: &mut impl Rng) -> Option<Timeframe> {
    let base_ms = base.fixed_ms()?;
    let fits = |t: &Timeframe| {
        *t > base
            && base.is_multiple(*t)
            && bars(config, *t) >= 20.0
            && t.fixed_ms().is_some_and(|ms| (3..=16).contains(&(ms / base_ms)))
    };
    let fitting: Vec<Timeframe> = Timeframe::ALL.into_iter().filter(fits).collect();
    pick(&fitting, rng).copied()
}

/// A series of the kind on the base timeframe.
pub(super) fn series(config: &VariationConfig, kind: IndicatorKind, base: Timeframe, rng: &mut impl Rng) -> Series {
    let source = Source::Indicator(indicator(kind, bars(config, base), rng));
    Series { source, timeframe: None, across: None }
}

/// Another source of the scale; price fields count as one choice among the indicators.
pub(super) fn of_scale(config: &VariationConfig, scale: Scale, base: Timeframe, rng: &mut impl Rng) -> Option<Series> {
    let mut models = config.models_on(base);
    models.retain(|series| series.source.scale() == scale);
    if !models.is_empty() && chance(0.5, rng) {
        return pick(&models, rng).copied();
    }
    let mut kinds: Vec<Option<IndicatorKind>> = IndicatorKind::bred()
        .iter()
        .filter(|s| s.scale == scale && config.allows(s.kind))
        .map(|s| Some(s.kind))
        .collect();
    if matches!(scale, Scale::Price | Scale::Volume) {
        kinds.push(None);
    }
    match pick(&kinds, rng)? {
        Some(kind) => Some(series(config, *kind, base, rng)),
        None if scale == Scale::Volume => Some(price(PriceField::Volume)),
        None => {
            let fields = [PriceField::Close, PriceField::Close, PriceField::High, PriceField::Low, PriceField::Open];
            pick(&fields, rng).map(|field| price(*field))
        }
    }
}

pub(super) const fn price(field: PriceField) -> Series {
    Series { source: Source::Price(field), timeframe: None, across: None }
}
