//! Customary trading ideas with random parts: where a search does better to begin than at pure noise.

use super::{VariationConfig, chance, condition, constant, draw, pick, pick_weighted, plan, side_rules};
use crate::{
    Comparison as C, IndicatorKind as K, ModelSeries, Operand, PriceField, Rule, Scale, Series, Source, Strategy,
    Timeframe,
};
use rand::{Rng, RngExt};

/// Entry and exit of the long side.
type Idea = (Rule, Option<Rule>);

/// A draft: an idea for one side or both, sometimes with filters, and a risk plan.
pub(super) fn strategy(config: &VariationConfig, rng: &mut impl Rng) -> Strategy {
    let timeframe = pick(&config.timeframes, rng).copied().unwrap_or(Timeframe::M15);
    let maker = Maker { config, base: timeframe };
    let (mut entry, exit) = maker.idea(rng);
    for probability in [0.55, 0.25] {
        if chance(probability, rng)
            && let Some(filter) = maker.filter(rng)
        {
            entry = Rule::And(vec![entry, filter]);
        }
    }
    let exit = exit.filter(|_| chance(0.75, rng));
    let (mirror_entry, mirror_exit) = (entry.mirrored(), exit.as_ref().map(Rule::mirrored));
    let sides = if config.allow_short { pick_weighted(&[0.4, 0.25, 0.35], rng).unwrap_or(0) } else { 0 };
    let long = (sides != 1).then(|| side_rules(entry, exit));
    let short = (sides != 0).then(|| side_rules(mirror_entry, mirror_exit));
    let risk = plan::random(config, rng);
    Strategy { timeframe, long, short, risk, filters: plan::filters(rng), universe: None }
}

/// A valid strategy whatever the settings: the fallback when nothing else fits them.
pub(super) fn simplest(config: &VariationConfig) -> Strategy {
    let timeframe = config.timeframes.first().copied().unwrap_or(Timeframe::M15);
    let field = |field| draw::price(field);
    let entry = condition(field(PriceField::Close), C::Above, Operand::Series(field(PriceField::Open)));
    let risk = crate::RiskPlan {
        stop_loss: Some(crate::Distance::Percent(config.stop_percent.middle())),
        time_exit_bars: Some(config.time_exit_bars.0.clamp(1, 100_000)),
        ..crate::RiskPlan::default()
    };
    let long = Some(side_rules(entry, None));
    Strategy { timeframe, long, short: None, risk, filters: crate::Filters::default(), universe: None }
}

pub(super) struct Maker<'a> {
    pub(super) config: &'a VariationConfig,
    pub(super) base: Timeframe,
}

impl Maker<'_> {
    fn idea(&self, rng: &mut impl Rng) -> Idea {
        for _ in 0..4 {
            if chance(self.config.free_probability, rng) {
                break;
            }
            // Where models may be asked, a third of all ideas ask one.
            let of_models = if self.config.models_on(self.base).is_empty() { 0.0 } else { 6.5 };
            let idea = match pick_weighted(&[2.0, 2.0, 2.5, 3.0, 2.0, 1.0, 1.0, of_models], rng) {
                Some(0) => self.average_cross(rng),
                Some(1) => self.momentum(rng),
                Some(2) => self.break_out(rng),
                Some(3) => self.reversion(rng),
                Some(4) => self.trend(rng),
                Some(5) => self.pattern(rng),
                Some(7) => self.forecast(rng),
                _ => self.volume(rng),
            };
            if let Some(idea) = idea {
                return idea;
            }
        }
        let exit = chance(0.6, rng).then(|| self.free(2, rng));
        (self.free(3, rng), exit)
    }

    /// A series of one of the kinds that are allowed.
    fn any(&self, kinds: &[K], rng: &mut impl Rng) -> Option<Series> {
        let allowed: Vec<K> = kinds.iter().copied().filter(|k| self.config.allows(*k)).collect();
        let kind = pick(&allowed, rng)?;
        Some(draw::series(self.config, *kind, self.base, rng))
    }

    /// A fast average crosses a slow one; out when it crosses back.
    fn average_cross(&self, rng: &mut impl Rng) -> Option<Idea> {
        const AVERAGES: [K; 5] = [K::Ema, K::Sma, K::Wma, K::Hma, K::Vwap];
        let (mut fast, mut slow) = (self.any(&AVERAGES, rng)?, self.any(&AVERAGES, rng)?);
        let period = |s: &Series| match s.source {
            crate::Source::Indicator(i) => i.params().first().map_or(0.0, |p| p.get()),
            crate::Source::Price(_) | crate::Source::Model(_) => 0.0,
        };
        if period(&fast) > period(&slow) {
            std::mem::swap(&mut fast, &mut slow);
        }
        if chance(0.25, rng) {
            fast = draw::price(PriceField::Close);
        }
        Some(there_and_back(fast, Operand::Series(slow)))
    }

    /// Something that swings around a middle crosses it upward; out when it crosses back.
    fn momentum(&self, rng: &mut impl Rng) -> Option<Idea> {
        let kinds = [
            K::Macd,
            K::MacdHistogram,
            K::MacdSignal,
            K::Roc,
            K::Rsi,
            K::Cci,
            K::LinregSlope,
            K::StochasticK,
            K::PlusDi,
            K::SupertrendDirection,
            K::Mfi,
        ];
        let left = self.any(&kinds, rng)?;
        let crate::Source::Indicator(indicator) = left.source else { return None };
        Some(match indicator.kind() {
            K::Macd if self.config.allows(K::MacdSignal) && chance(0.5, rng) => {
                let mut params = indicator.params().to_vec();
                params.push(K::MacdSignal.spec().params[2].nearest(9.0));
                let signal = crate::Indicator::new(K::MacdSignal, &params).ok()?;
                let signal = Series { source: crate::Source::Indicator(signal), timeframe: None, across: None };
                there_and_back(left, Operand::Series(signal))
            }
            K::PlusDi => {
                let minus = crate::Indicator::new(K::MinusDi, indicator.params()).ok()?;
                let minus = Series { source: crate::Source::Indicator(minus), timeframe: None, across: None };
                there_and_back(left, Operand::Series(minus))
            }
            K::Rsi | K::StochasticK | K::Mfi => {
                let level = f64::from(rng.random_range(50..=70_u32));
                let out = f64::from(rng.random_range(35..=50_u32));
                (condition(left, C::CrossesAbove, constant(level)), Some(condition(left, C::Below, constant(out))))
            }
            K::Cci => {
                let level = 10.0 * f64::from(rng.random_range(0..=15_u32));
                (condition(left, C::CrossesAbove, constant(level)), Some(condition(left, C::Below, constant(0.0))))
            }
            _ => there_and_back(left, constant(0.0)),
        })
    }

    /// The close breaks out of a channel or over a level; out when it falls back under another line.
    fn break_out(&self, rng: &mut impl Rng) -> Option<Idea> {
        let kinds = [
            K::DonchianUpper,
            K::DonchianUpper,
            K::BollingerUpper,
            K::KeltnerUpper,
            K::SwingResistance,
            K::BearishOrderBlockHigh,
            K::IchimokuSpanA,
            K::IchimokuSpanB,
            K::Supertrend,
        ];
        let close = draw::price(PriceField::Close);
        let line = self.any(&kinds, rng)?;
        let compared = if chance(0.7, rng) { C::CrossesAbove } else { C::Above };
        let entry = condition(close, compared, Operand::Series(line));
        let outs =
            [K::DonchianMiddle, K::DonchianLower, K::Ema, K::Sma, K::Supertrend, K::SwingSupport, K::ParabolicSar];
        let out = self.any(&outs, rng).filter(|out| *out != close);
        Some((entry, out.map(|out| condition(close, C::CrossesBelow, Operand::Series(out)))))
    }

    /// Stretched too far: bought on weakness, sold at the middle.
    fn reversion(&self, rng: &mut impl Rng) -> Option<Idea> {
        let kinds = [
            K::Rsi,
            K::Rsi,
            K::StochasticK,
            K::WilliamsR,
            K::Cci,
            K::Mfi,
            K::BollingerPercentB,
            K::BollingerLower,
            K::BollingerLower,
            K::KeltnerLower,
            K::SwingSupport,
            K::Roc,
        ];
        let left = self.any(&kinds, rng)?;
        let crate::Source::Indicator(indicator) = left.source else { return None };
        let low = match indicator.kind() {
            K::Rsi | K::StochasticK | K::Mfi => f64::from(rng.random_range(10..=40_u32)),
            K::WilliamsR => -f64::from(rng.random_range(75..=95_u32)),
            K::Cci => -10.0 * f64::from(rng.random_range(8..=25_u32)),
            K::BollingerPercentB => 0.05 * (f64::from(rng.random_range(0..=8_u32)) - 4.0),
            K::Roc => -0.1 * f64::from(rng.random_range(5..=60_u32)),
            _ => {
                // A line under the price: the close falls through it, or comes back over it.
                let close = draw::price(PriceField::Close);
                let compared = pick(&[C::Below, C::CrossesBelow, C::CrossesAbove], rng).copied()?;
                let entry = condition(close, compared, Operand::Series(left));
                let out = self.any(&[K::BollingerMiddle, K::Ema, K::Sma, K::KeltnerMiddle, K::Vwap], rng);
                return Some((entry, out.map(|out| condition(close, C::Above, Operand::Series(out)))));
            }
        };
        let range = indicator.kind().spec().constants?;
        let low = Operand::Constant(range.nearest(low));
        let middle = match indicator.kind() {
            K::WilliamsR => -50.0,
            K::Cci | K::Roc => 0.0,
            K::BollingerPercentB => 0.5,
            _ => f64::from(rng.random_range(45..=65_u32)),
        };
        let compared = pick(&[C::Below, C::CrossesBelow, C::CrossesAbove], rng).copied()?;
        let exit = condition(left, C::Above, Operand::Constant(range.nearest(middle)));
        Some((condition(left, compared, low), Some(exit)))
    }

    /// With the trend: two averages stand in order (or the line is up) and a short setback ends.
    fn trend(&self, rng: &mut impl Rng) -> Option<Idea> {
        let close = draw::price(PriceField::Close);
        let lines = [K::Ema, K::Sma, K::Supertrend, K::IchimokuBase, K::ParabolicSar, K::Hma, K::SessionVwap];
        let line = self.any(&lines, rng)?;
        let up = condition(close, C::Above, Operand::Series(self.raised(line, rng)));
        let trigger = self.any(&[K::Rsi, K::StochasticK, K::Cci, K::Ema, K::IchimokuConversion], rng)?;
        let trigger = match trigger.source.scale() {
            Scale::Percent => condition(trigger, C::CrossesAbove, constant(f64::from(rng.random_range(25..=55_u32)))),
            Scale::Signed => {
                condition(trigger, C::CrossesAbove, constant(-10.0 * f64::from(rng.random_range(0..=12_u32))))
            }
            _ => condition(close, C::CrossesAbove, Operand::Series(trigger)),
        };
        let exit = condition(close, C::Below, Operand::Series(line));
        Some((Rule::And(vec![up, trigger]), Some(exit)))
    }

    fn pattern(&self, rng: &mut impl Rng) -> Option<Idea> {
        let series = self.any(&[K::WyckoffSpring, K::BullishOrderBlockHigh, K::SwingResistance], rng)?;
        let close = draw::price(PriceField::Close);
        let entry = match series.source.scale() {
            Scale::Flag => condition(series, C::Above, constant(0.0)),
            _ => condition(draw::price(PriceField::Low), C::CrossesBelow, Operand::Series(series)),
        };
        let out = self.any(&[K::SwingResistance, K::DonchianUpper, K::Ema], rng);
        Some((entry, out.map(|out| condition(close, C::CrossesAbove, Operand::Series(out)))))
    }

    /// Unusual volume in the direction of the candle.
    fn volume(&self, rng: &mut impl Rng) -> Option<Idea> {
        let volume = self.any(&[K::VolumeZscore, K::VolumeSma], rng)?;
        let busy = match volume.source.scale() {
            Scale::Volume => condition(draw::price(PriceField::Volume), C::Above, Operand::Series(volume)),
            _ => condition(volume, C::Above, constant(0.25 * f64::from(rng.random_range(2..=16_u32)))),
        };
        let close = draw::price(PriceField::Close);
        let way = if chance(0.6, rng) { C::Above } else { C::Below };
        let line = self.any(&[K::Vwap, K::SessionVwap, K::Sma, K::DonchianMiddle], rng);
        let line = line.unwrap_or_else(|| draw::price(PriceField::Open));
        let entry = Rule::And(vec![busy, condition(close, way, Operand::Series(line))]);
        Some((entry, None))
    }

    /// What models expect, where they are sure enough; out when they no longer expect it.
    fn forecast(&self, rng: &mut impl Rng) -> Option<Idea> {
        let offered = self.config.models_on(self.base);
        let is_confidence = |s: &Series| {
            matches!(s.source, Source::Model(ModelSeries::Confidence(_) | ModelSeries::EnsembleConfidence))
        };
        let (sure, expected): (Vec<Series>, Vec<Series>) = offered.into_iter().partition(is_confidence);
        let left = *pick(&expected, rng)?;
        if left.source.scale() == Scale::Flag {
            let entry = condition(left, C::Above, constant(0.0));
            let how_sure = sure.iter().find(|s| s.source.model() == Some(ModelSeries::EnsembleConfidence)).copied()?;
            let entry = Rule::And(vec![entry, condition(how_sure, C::Above, self.sure(rng))]);
            return Some((entry, Some(condition(left, C::Below, constant(0.0)))));
        }
        let hundredths = f64::from(rng.random_range(50..=58_u32));
        let compared = if chance(0.8, rng) { C::Above } else { C::CrossesAbove };
        let out = 0.5 - 0.01 * f64::from(rng.random_range(0..=4_u32));
        let entry = condition(left, compared, constant(hundredths / 100.0));
        Some((entry, Some(condition(left, C::Below, constant((out * 100.0).round() / 100.0)))))
    }

    /// A confidence that few forecasts have.
    fn sure(&self, rng: &mut impl Rng) -> Operand {
        constant(0.02 * f64::from(rng.random_range(0..=8_u32)))
    }

    /// A condition on what a model expects.
    fn of_model(&self, rng: &mut impl Rng) -> Option<Rule> {
        let left = *pick(&self.config.models_on(self.base), rng)?;
        let compared = if chance(0.7, rng) { C::Above } else { C::Below };
        Some(condition(left, compared, draw::level(left.source.constants()?, rng)))
    }

    /// A condition that narrows an idea: trend above, volatility, volume, strength, time.
    pub(super) fn filter(&self, rng: &mut impl Rng) -> Option<Rule> {
        if !self.config.models_on(self.base).is_empty() && chance(0.2, rng) {
            return self.of_model(rng);
        }
        if chance(self.config.higher_timeframe_probability, rng) {
            let line = self.any(&[K::Ema, K::Sma, K::Supertrend, K::DonchianMiddle, K::IchimokuBase], rng)?;
            let close = draw::price(PriceField::Close);
            return Some(condition(close, C::Above, Operand::Series(self.raised(line, rng))));
        }
        let kinds = [
            K::Adx,
            K::Choppiness,
            K::Natr,
            K::BollingerWidth,
            K::RealizedVolatility,
            K::VolatilityPercentile,
            K::VolumeZscore,
            K::Regime,
            K::HourOfDay,
            K::DayOfWeek,
            K::Rsi,
            K::Ema,
            K::SupertrendDirection,
        ];
        let left = self.any(&kinds, rng)?;
        let crate::Source::Indicator(indicator) = left.source else { return None };
        let compared = if chance(0.5, rng) { C::Above } else { C::Below };
        match draw::constant(indicator.kind(), rng) {
            Some(level) => Some(condition(left, compared, level)),
            None => Some(condition(draw::price(PriceField::Close), compared, Operand::Series(left))),
        }
    }

    /// The series on a higher timeframe, where one fits its look-back.
    fn raised(&self, series: Series, rng: &mut impl Rng) -> Series {
        let Some(timeframe) = draw::higher(self.config, self.base, rng) else { return series };
        let crate::Source::Indicator(indicator) = series.source else { return series };
        if indicator.params().is_empty() {
            // A running total or a session's average says the same on every timeframe.
            return series;
        }
        let bars = draw::bars(self.config, timeframe);
        let indicator = draw::indicator(indicator.kind(), bars, rng);
        Series { source: crate::Source::Indicator(indicator), timeframe: Some(timeframe), across: None }
    }

    /// A random condition: a series against a constant of its range, or against another of its scale.
    pub(super) fn condition(&self, rng: &mut impl Rng) -> Option<Rule> {
        if !self.config.models_on(self.base).is_empty() && chance(0.15, rng) {
            return self.of_model(rng);
        }
        let kinds: Vec<K> = K::bred().iter().map(|s| s.kind).filter(|k| self.config.allows(*k)).collect();
        let kind = *pick(&kinds, rng)?;
        let mut left = draw::series(self.config, kind, self.base, rng);
        if chance(self.config.higher_timeframe_probability / 2.0, rng) {
            left = self.raised(left, rng);
        }
        let compared = [C::Below, C::Above, C::Below, C::Above, C::CrossesBelow, C::CrossesAbove];
        let compared = *pick(&compared, rng)?;
        let level = draw::constant(kind, rng);
        match level {
            Some(level) if chance(0.8, rng) => Some(condition(left, compared, level)),
            _ => {
                let right = draw::of_scale(self.config, kind.spec().scale, self.base, rng)?;
                (right != left).then(|| condition(left, compared, Operand::Series(right)))
            }
        }
    }

    /// A random tree of at most `depth` levels.
    pub(super) fn free(&self, depth: usize, rng: &mut impl Rng) -> Rule {
        if depth > 1 && chance(0.5, rng) {
            let parts = (0..rng.random_range(2..=3)).map(|_| self.free(depth - 1, rng)).collect();
            return if chance(0.75, rng) { Rule::And(parts) } else { Rule::Or(parts) };
        }
        let found = (0..8).find_map(|_| self.condition(rng)).unwrap_or_else(|| {
            condition(draw::price(PriceField::Close), C::Above, Operand::Series(draw::price(PriceField::Open)))
        });
        if chance(0.05, rng) { Rule::Not(Box::new(found)) } else { found }
    }
}

/// In when `left` crosses above `right`, out when it crosses back.
fn there_and_back(left: Series, right: Operand) -> Idea {
    (condition(left, C::CrossesAbove, right), Some(condition(left, C::CrossesBelow, right)))
}
