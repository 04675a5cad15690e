//! What variation of ranking strategies may produce.

use crate::{Expression, OfferedModel, Series, Timeframe, Universe, bounds};
use serde::{Deserialize, Serialize};

/// Milliseconds of a day.
pub(super) const DAY_MS: f64 = 86_400_000.0;

/// What [`super::random_ranking`], [`super::mutate_ranking`] and [`super::crossover_ranking`] may produce.
///
/// Look-backs are in days, so that a strategy means the same on any base timeframe. The only shorter one is a single
/// candle. Gross is always 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RankingVariation {
    /// Base timeframes, a day or shorter; at least one.
    pub timeframes: Vec<Timeframe>,
    /// Clocks of rebalancing; each base timeframe needs one that is made of whole candles of it.
    pub rebalance: Vec<Timeframe>,
    /// Numbers of members of universes, each as likely as any other; at least one.
    pub universe_top: Vec<u32>,
    /// Days of quote volume by which members are chosen.
    pub universe_volume_days: u32,
    /// Least days since a member's first candle.
    pub universe_listed_days: u32,
    /// Shortest and longest look-back, days.
    pub lookback_days: (u32, u32),
    /// Most operators, series and numbers of a score, 4 to [`Expression::MAX_PARTS`].
    pub max_size: usize,
    /// Deepest nesting of a score, 3 to [`Expression::MAX_DEPTH`].
    pub max_depth: usize,
    /// Whether scores may look at funding, premium, open interest and the like, which only the futures market publishes.
    pub readings: bool,
    /// What may be asked of models. Set by whoever begins the search, which has to bring their predictions.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<OfferedModel>,
    /// Most rebalances that targets are the mean of, 1 to 365.
    pub max_smooth: u32,
    /// Share of random strategies without a short leg, 0 to 1.
    pub long_only_probability: f64,
    /// Share of random strategies whose score is grown freely and is no customary idea, 0 to 1.
    pub free_probability: f64,
}

impl Default for RankingVariation {
    fn default() -> Self {
        Self {
            timeframes: vec![Timeframe::H4],
            rebalance: vec![Timeframe::H12, Timeframe::D1, Timeframe::W1],
            universe_top: vec![20, 30, 50],
            universe_volume_days: 30,
            universe_listed_days: 60,
            lookback_days: (1, 180),
            max_size: 32,
            max_depth: 10,
            readings: false,
            models: Vec::new(),
            max_smooth: 10,
            long_only_probability: 0.1,
            free_probability: 0.5,
        }
    }
}

impl RankingVariation {
    /// Checks the settings.
    ///
    /// # Errors
    /// Names the setting that is out of bounds, and says what would be right.
    pub fn validate(&self) -> Result<(), String> {
        let empties = [
            ("timeframes", self.timeframes.is_empty()),
            ("rebalance", self.rebalance.is_empty()),
            ("universe_top", self.universe_top.is_empty()),
        ];
        if let Some((name, _)) = empties.into_iter().find(|(_, empty)| *empty) {
            return Err(format!("{name}: needs at least one"));
        }
        for universe in self.universe_top.iter().map(|top| self.universe(*top)) {
            universe.check().map_err(|invalid| format!("`universe {universe}`: {invalid}"))?;
        }
        self.check_times()?;
        for (name, value, least, most) in [
            ("max_size", self.max_size, 4, Expression::MAX_PARTS),
            ("max_depth", self.max_depth, 3, Expression::MAX_DEPTH),
            ("max_smooth", self.max_smooth as usize, bounds::SMOOTH.0 as usize, bounds::SMOOTH.1 as usize),
        ] {
            if !(least..=most).contains(&value) {
                return Err(format!("{name}: must be {least} to {most}, not {value}"));
            }
        }
        for (name, p) in
            [("long_only_probability", self.long_only_probability), ("free_probability", self.free_probability)]
        {
            // Written so that NaN is refused, too.
            if !(0.0..=1.0).contains(&p) {
                return Err(format!("{name}: must be 0 to 1, not {p}"));
            }
        }
        Ok(())
    }

    /// Timeframes, clocks and look-backs against each other.
    fn check_times(&self) -> Result<(), String> {
        let (least, most) = self.lookback_days;
        if least == 0 || least > most {
            return Err(format!("lookback_days: must be at least 1, smaller first, not {least} and {most}"));
        }
        for timeframe in &self.timeframes {
            let per_day = timeframe.fixed_ms().map_or(0.0, |ms| DAY_MS / ms as f64);
            if per_day < 1.0 {
                return Err(format!("timeframes: {timeframe} is longer than a day, and look-backs are in days"));
            }
            let candles = f64::from(most) * per_day;
            let allowed = Expression::MAX_CANDLES;
            if candles > f64::from(allowed) {
                let days = (f64::from(allowed) / per_day).floor();
                return Err(format!(
                    "lookback_days: {most} days are {candles} candles of {timeframe}, and an operator looks back over at \
                     most {allowed}; give at most {days} days or a longer timeframe"
                ));
            }
            if !self.rebalance.iter().any(|clock| timeframe.is_multiple(*clock)) {
                return Err(format!("rebalance: needs a clock made of whole {timeframe} candles, such as {timeframe}"));
            }
        }
        Ok(())
    }

    /// What a score on candles of `base` may ask of models: those that predict on such candles.
    pub(super) fn models_on(&self, base: Timeframe) -> Vec<Series> {
        self.models.iter().filter_map(|offered| offered.on(base)).filter(|series| series.timeframe.is_none()).collect()
    }

    /// The universe of so many members.
    #[must_use]
    pub const fn universe(&self, top: u32) -> Universe {
        Universe { top, volume_days: self.universe_volume_days, listed_days: self.universe_listed_days }
    }

    /// Clocks that candles of `base` can give.
    pub(super) fn clocks(&self, base: Timeframe) -> Vec<Timeframe> {
        self.rebalance.iter().copied().filter(|clock| base.is_multiple(*clock)).collect()
    }

    /// Most parts of a score and levels of it, within what a score may have whatever is set.
    pub(super) fn room(&self) -> (usize, usize) {
        (self.max_size.clamp(4, Expression::MAX_PARTS), self.max_depth.clamp(3, Expression::MAX_DEPTH))
    }

    /// Shortest and longest look-back, in this order whatever is set.
    pub(super) const fn days(&self) -> (u32, u32) {
        let (least, most) = self.lookback_days;
        if least <= most { (least, most) } else { (most, least) }
    }

    /// Least and most candles of `base` that an operator looks back over, beside a single one.
    pub(super) fn candles(&self, base: Timeframe) -> (u32, u32) {
        let (least, most) = self.days();
        (candles_of(f64::from(least), base).max(2), candles_of(f64::from(most), base).max(2))
    }
}

/// So many days in candles, within what an operator may look back over.
pub(super) fn candles_of(days: f64, base: Timeframe) -> u32 {
    let length = base.fixed_ms().map_or(30.0 * DAY_MS, |ms| ms as f64);
    (days * DAY_MS / length).round().clamp(1.0, f64::from(Expression::MAX_CANDLES)) as u32
}
