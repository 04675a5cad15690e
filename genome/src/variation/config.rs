//! What variation may produce.

use crate::{IndicatorKind, Number, OfferedModel, Rule, Series, Timeframe, bounds};
use serde::{Deserialize, Serialize};

/// An inclusive range of a number and the grid on which it is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct Span {
    pub min: f64,
    pub max: f64,
    pub step: f64,
}

impl Span {
    const fn new(min: f64, max: f64, step: f64) -> Self {
        Self { min, max, step }
    }

    /// The grid's value nearest to `value`, inside the range.
    pub(super) fn nearest(&self, value: f64) -> Number {
        let grid = crate::ConstantRange { min: self.min, max: self.max, step: self.step };
        grid.nearest(value)
    }

    pub(super) fn middle(&self) -> Number {
        self.nearest(f64::midpoint(self.min, self.max))
    }

    fn check(&self, name: &str, most: f64) -> Result<(), String> {
        let Self { min, max, step } = *self;
        if step > 0.0 && step <= min && min <= max && max <= most {
            return Ok(());
        }
        Err(format!("{name}: needs 0 < step <= min <= max <= {most}, not step {step}, min {min}, max {max}"))
    }
}

/// How often each kind of mutation is drawn, relative to the others.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MutationWeights {
    /// A parameter of an indicator moves by a small step.
    pub parameter: f64,
    /// A constant moves by a small step.
    pub constant: f64,
    /// A series is replaced by another one of its scale.
    pub series: f64,
    /// A condition is added.
    pub add: f64,
    /// A condition is dropped.
    pub drop: f64,
    /// A comparison changes: direction, or state to crossing and back.
    pub comparison: f64,
    /// `and` becomes `or`, or the other way.
    pub logic: f64,
    /// Something in the risk plan changes.
    pub risk: f64,
    /// A filter changes.
    pub filters: f64,
    /// The base timeframe, or that of one series, changes.
    pub timeframe: f64,
    /// One side becomes the mirror image of the other, or a side comes or goes.
    pub side: f64,
}

impl Default for MutationWeights {
    fn default() -> Self {
        Self {
            parameter: 6.0,
            constant: 3.0,
            series: 1.5,
            add: 1.0,
            drop: 1.0,
            comparison: 0.7,
            logic: 0.3,
            risk: 4.0,
            filters: 0.3,
            timeframe: 0.5,
            side: 0.7,
        }
    }
}

impl MutationWeights {
    pub(super) fn list(&self) -> [f64; 11] {
        let Self { parameter, constant, series, add, drop, comparison, logic, risk, filters, timeframe, side } = *self;
        [parameter, constant, series, add, drop, comparison, logic, risk, filters, timeframe, side]
    }
}

/// What [`super::random`], [`super::mutate`] and [`super::crossover`] may produce.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct VariationConfig {
    /// Base timeframes; at least one.
    pub timeframes: Vec<Timeframe>,
    /// Probability that a filter looks at a higher timeframe, 0 to 1.
    pub higher_timeframe_probability: f64,
    /// Longest look-back of one series, in days: no `ema(200)@1d` where candles for it are missing.
    pub max_lookback_days: u32,
    /// Most conditions in one rule, 1 to [`Rule::MAX_CONDITIONS`].
    pub max_conditions: usize,
    /// Whether strategies may sell short.
    pub allow_short: bool,
    /// Indicators that may be used, of those of [`IndicatorKind::bred`]; all of them when empty.
    pub indicators: Vec<IndicatorKind>,
    /// What may be asked of models. Set by whoever begins the search, which has to bring their predictions.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<OfferedModel>,
    /// Whether every strategy has a stop-loss.
    pub stop_required: bool,
    /// Stop distances in percent.
    pub stop_percent: Span,
    /// Target distances in percent.
    pub target_percent: Span,
    /// Distances in ATRs, stops and targets.
    pub atr_multiple: Span,
    /// Probability that a distance is in ATRs, 0 to 1.
    pub atr_probability: f64,
    /// Time exits in candles.
    pub time_exit_bars: (u32, u32),
    /// Greatest leverage.
    pub max_leverage: f64,
    /// Probability of a recovery multiplier, 0 to 1; off by default: it hides risk until it is due.
    pub recovery_probability: f64,
    /// Share of random strategies that are free trees of conditions and no customary idea, 0 to 1.
    pub free_probability: f64,
    /// How often each kind of mutation is drawn.
    pub mutation: MutationWeights,
}

impl Default for VariationConfig {
    fn default() -> Self {
        Self {
            timeframes: vec![Timeframe::M15, Timeframe::M30, Timeframe::H1],
            higher_timeframe_probability: 0.3,
            max_lookback_days: 30,
            max_conditions: 5,
            allow_short: true,
            indicators: Vec::new(),
            models: Vec::new(),
            stop_required: true,
            stop_percent: Span::new(0.5, 6.0, 0.05),
            target_percent: Span::new(0.5, 12.0, 0.05),
            atr_multiple: Span::new(0.5, 8.0, 0.1),
            atr_probability: 0.5,
            time_exit_bars: (4, 480),
            max_leverage: 1.0,
            recovery_probability: 0.0,
            free_probability: 0.2,
            mutation: MutationWeights::default(),
        }
    }
}

impl VariationConfig {
    /// Checks the settings.
    ///
    /// # Errors
    /// Names the setting that is out of bounds.
    pub fn validate(&self) -> Result<(), String> {
        if self.timeframes.is_empty() {
            return Err("timeframes: needs at least one".to_owned());
        }
        for (name, p) in [
            ("higher_timeframe_probability", self.higher_timeframe_probability),
            ("atr_probability", self.atr_probability),
            ("recovery_probability", self.recovery_probability),
            ("free_probability", self.free_probability),
        ] {
            if !(0.0..=1.0).contains(&p) {
                return Err(format!("{name}: must be 0 to 1, not {p}"));
            }
        }
        let is_bred = |kind: IndicatorKind| IndicatorKind::bred().iter().any(|spec| spec.kind == kind);
        if let Some(kind) = self.indicators.iter().copied().find(|kind| !is_bred(*kind)) {
            return Err(format!("indicators: the search makes no rules of {kind}; it is for people's own strategies"));
        }
        if !(1..=Rule::MAX_CONDITIONS).contains(&self.max_conditions) {
            return Err(format!("max_conditions: must be 1 to {}, not {}", Rule::MAX_CONDITIONS, self.max_conditions));
        }
        if self.max_lookback_days == 0 {
            return Err("max_lookback_days: must be at least 1".to_owned());
        }
        self.stop_percent.check("stop_percent", bounds::PERCENT_DISTANCE)?;
        self.target_percent.check("target_percent", bounds::PERCENT_DISTANCE)?;
        self.atr_multiple.check("atr_multiple", bounds::ATR_MULTIPLE)?;
        let ((least, most), (from, to)) = (bounds::TIME_EXIT_BARS, self.time_exit_bars);
        if from < least || from > to || to > most {
            return Err(format!("time_exit_bars: must lie in {least} to {most}, smaller first, not {from} and {to}"));
        }
        let (least, most) = bounds::LEVERAGE;
        if !(least..=most).contains(&self.max_leverage) {
            return Err(format!("max_leverage: must be {least} to {most}, not {}", self.max_leverage));
        }
        let weights = self.mutation.list();
        if weights.iter().any(|w| !w.is_finite() || *w < 0.0) || weights.iter().sum::<f64>() <= 0.0 {
            return Err("mutation: weights must be 0 or more, and one above 0".to_owned());
        }
        Ok(())
    }

    /// What a strategy on candles of `base` may ask of models.
    pub(super) fn models_on(&self, base: Timeframe) -> Vec<Series> {
        self.models.iter().filter_map(|offered| offered.on(base)).collect()
    }

    pub(super) fn allows(&self, kind: IndicatorKind) -> bool {
        self.indicators.is_empty() || self.indicators.contains(&kind)
    }
}
