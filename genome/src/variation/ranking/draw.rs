//! Random look-backs, universes, clocks and weights, each within its bounds.

use super::config::{RankingVariation, candles_of};
use super::tree;
use crate::variation::{chance, pick};
use crate::{Expression, Form, IndicatorKind, Number, PriceField, Series, Source, Timeframe, Universe, Weights};
use rand::{Rng, RngExt};

/// Look-backs that people use, days. Few, so that strategies share what they compute.
const HORIZONS: [u32; 18] = [1, 2, 3, 5, 7, 10, 14, 21, 30, 45, 60, 90, 120, 180, 270, 365, 540, 730];
/// Shares of the members in a leg, percent.
const SHARES: [i32; 6] = [10, 20, 25, 30, 40, 50];
/// Look-backs of weights, days.
const WEIGHT_DAYS: [u32; 5] = [7, 14, 30, 60, 90];

/// Draws what goes into a strategy on candles of `base`.
pub(super) struct Maker<'a> {
    pub(super) config: &'a RankingVariation,
    pub(super) base: Timeframe,
}

impl Maker<'_> {
    /// A look-back in candles: one of those people use within the bounds, or the shortest where they use none.
    pub(super) fn window(&self, rng: &mut impl Rng) -> u32 {
        let (least, most) = self.config.lookback_days;
        let fitting: Vec<u32> = HORIZONS.into_iter().filter(|days| (least..=most).contains(days)).collect();
        let days = pick(&fitting, rng).copied().unwrap_or(least);
        self.fit(candles_of(f64::from(days), self.base))
    }

    /// Two look-backs, the shorter first; where the bounds leave only one, the shorter is a single candle.
    pub(super) fn windows(&self, rng: &mut impl Rng) -> (u32, u32) {
        let (a, b) = (self.window(rng), self.window(rng));
        let (least, most) = self.config.candles(self.base);
        match (a.min(b), a.max(b)) {
            (short, long) if short < long => (short, long),
            (_, long) if long < most => (long, most),
            (_, long) if long > least => (least, long),
            (_, long) => (1, long),
        }
    }

    /// The number of candles nearest to `n` within the bounds.
    pub(super) fn fit(&self, n: u32) -> u32 {
        let (least, most) = self.config.candles(self.base);
        n.clamp(least, most)
    }

    /// A day in candles.
    pub(super) fn day(&self) -> u32 {
        candles_of(1.0, self.base)
    }

    /// An indicator of this many candles, cut to its own bounds.
    pub(super) fn indicator(&self, kind: IndicatorKind, rng: &mut impl Rng) -> Expression {
        let candles = f64::from(self.window(rng));
        tree::of_indicator(kind, &[candles]).unwrap_or(Expression::Volatility { returns: self.day().max(2) })
    }

    /// A reading over days, such as the mean of funding.
    pub(super) fn reading(&self, kind: IndicatorKind, rng: &mut impl Rng) -> Expression {
        let (least, most) = self.config.lookback_days;
        let days = [1, 3, 7, 14, 30].map(|d: u32| d.clamp(least, most));
        let days = pick(&days, rng).copied().unwrap_or(least);
        tree::of_indicator(kind, &[f64::from(days)]).unwrap_or(Expression::Volatility { returns: self.day().max(2) })
    }

    pub(super) fn universe(&self, rng: &mut impl Rng) -> Universe {
        let customary = Universe { top: 30, volume_days: 30, listed_days: 60 };
        pick(&self.config.universes, rng).copied().unwrap_or(customary)
    }

    /// A clock that candles of the base can give.
    pub(super) fn clock(&self, rng: &mut impl Rng) -> Timeframe {
        pick(&self.config.clocks(self.base), rng).copied().unwrap_or(self.base)
    }

    /// A look-back of weights, candles.
    fn weight_window(&self, rng: &mut impl Rng) -> u32 {
        self.fit(candles_of(f64::from(pick(&WEIGHT_DAYS, rng).copied().unwrap_or(30)), self.base))
    }

    /// Weights of any kind, mostly long-short and with few extras.
    pub(super) fn weights(&self, rng: &mut impl Rng) -> Weights {
        let long_only = chance(self.config.long_only_probability, rng);
        let mut weights = Weights { long_only, ..Weights::of(self.form(long_only, rng)) };
        weights.inverse_volatility = chance(0.5, rng).then(|| self.weight_window(rng));
        weights.smooth = self.smooth(rng);
        weights.band = chance(0.3, rng).then(|| band(rng));
        weights.cap = chance(0.2, rng).then(|| cap(rng));
        // A strategy without shorts cannot be made neutral.
        weights.beta_neutral = (!long_only && chance(0.2, rng)).then(|| self.weight_window(rng));
        weights
    }

    /// Linear, or shares; `bottom` is left out only without a short leg.
    fn form(&self, long_only: bool, rng: &mut impl Rng) -> Form {
        if chance(0.5, rng) {
            return Form::Linear;
        }
        let share = pick(&SHARES, rng).copied().map_or(Number::int(20), Number::int);
        Form::TopBottom { top_pct: share, bottom_pct: (!long_only).then_some(share) }
    }

    /// Half of the time none, else log-uniform.
    fn smooth(&self, rng: &mut impl Rng) -> u32 {
        let most = f64::from(self.config.max_smooth.max(1));
        if chance(0.5, rng) { 1 } else { most.powf(rng.random::<f64>()).round() as u32 }
    }

    /// One part of the weights is drawn anew.
    pub(super) fn change_weights(&self, weights: &mut Weights, rng: &mut impl Rng) {
        match rng.random_range(0..7) {
            0 => weights.form = self.form(weights.long_only, rng),
            1 => weights.inverse_volatility = chance(0.6, rng).then(|| self.weight_window(rng)),
            2 | 3 => weights.smooth = self.smooth(rng),
            4 => weights.band = chance(0.6, rng).then(|| band(rng)),
            5 => weights.cap = chance(0.6, rng).then(|| cap(rng)),
            _ => {
                weights.long_only = chance(self.config.long_only_probability, rng);
                weights.beta_neutral = (!weights.long_only && chance(0.4, rng)).then(|| self.weight_window(rng));
                if let Form::TopBottom { top_pct, bottom_pct } = &mut weights.form {
                    *bottom_pct = (!weights.long_only).then_some(bottom_pct.unwrap_or(*top_pct));
                }
            }
        }
    }
}

/// Thousandths of equity.
fn thousandths(of: &[i32], rng: &mut impl Rng) -> Number {
    let n = pick(of, rng).copied().unwrap_or(10);
    Number::new(f64::from(n) / 1000.0).unwrap_or(Number::ZERO)
}

fn band(rng: &mut impl Rng) -> Number {
    thousandths(&[2, 5, 10, 20], rng)
}

fn cap(rng: &mut impl Rng) -> Number {
    thousandths(&[50, 100, 150, 200], rng)
}

pub(super) const fn price(field: PriceField) -> Expression {
    Expression::Series(Series { source: Source::Price(field), timeframe: None, across: None })
}
