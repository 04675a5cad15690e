//! What makes two strategies different: a few descriptors, and a distance.
//!
//! A search keeps several niches alive, so that it does not collapse into one idea. Never looks at results.

use crate::variation::{Slot, for_each_rule, rule};
use crate::{
    AcrossSeries, Comparison as C, Condition, Distance, IndicatorKind as K, Operand, Rule, Source, Strategy, Timeframe,
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt};

macro_rules! named {
    ($(#[$doc:meta])* $type:ident { $($(#[$variant_doc:meta])* $variant:ident = $name:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $type { $($(#[$variant_doc])* $variant,)* }
        impl $type {
            /// Every value.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];
            /// The name in texts and JSON.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.name())
            }
        }
    };
}

mod ranking;
pub use ranking::{AnyNiche, Data, Horizon, Legs, RankingNiche, Turnover};

named! {
    /// The kind of idea that the entry rules mostly follow.
    Family {
        /// Averages and lines in order or crossing.
        Trend = "trend",
        /// Strength of the move itself.
        Momentum = "momentum",
        /// Weakness bought, strength sold.
        MeanReversion = "mean_reversion",
        /// Out of a channel or over a level.
        Breakout = "breakout",
        /// Traded volume.
        Volume = "volume",
        /// Shapes in the candles.
        Pattern = "pattern",
        /// Hour or weekday.
        Time = "time",
        /// How wide prices swing.
        Volatility = "volatility",
    }
}

named! {
    /// Sides that a strategy trades.
    Sides {
        /// Long only.
        Long = "long",
        /// Short only.
        Short = "short",
        /// Both.
        Both = "both",
    }
}

named! {
    /// How the stop-loss is set.
    StopKind {
        /// None.
        None = "no_stop",
        /// In percent.
        Percent = "percent_stop",
        /// In ATRs.
        Atr = "atr_stop",
    }
}

named! {
    /// How many conditions the larger entry rule has.
    Bulk {
        /// One or two.
        Few = "few",
        /// Three or four.
        Some = "some",
        /// Five or more.
        Many = "many",
    }
}

/// Descriptors of a strategy. Strategies of one niche compete with each other first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Niche {
    /// Kind of idea.
    pub family: Family,
    /// Sides traded.
    pub sides: Sides,
    /// Base timeframe.
    pub timeframe: Timeframe,
    /// Whether a rule looks at a higher timeframe.
    pub higher_timeframe: bool,
    /// Kind of stop-loss.
    pub stop: StopKind,
    /// Size of the entry rule.
    pub bulk: Bulk,
}

impl fmt::Display for Niche {
    /// `mean_reversion/both/15m/base/atr_stop/few`; the fourth part is `higher` where a higher timeframe is used.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { family, sides, timeframe, higher_timeframe, stop, bulk } = self;
        let reach = if *higher_timeframe { "higher" } else { "base" };
        write!(f, "{family}/{sides}/{timeframe}/{reach}/{stop}/{bulk}")
    }
}

impl Niche {
    /// The niche of a strategy.
    #[must_use]
    pub fn of(strategy: &Strategy) -> Self {
        let mut higher_timeframe = false;
        for_each_rule(strategy, &mut |_, rule| {
            rule.for_each_condition(&mut |c| {
                let right = matches!(c.right, Operand::Series(s) if s.timeframe.is_some());
                higher_timeframe |= right || c.left.timeframe.is_some();
            });
        });
        let entries = [Slot::LongEntry, Slot::ShortEntry].map(|slot| rule(strategy, slot).map_or(0, Rule::conditions));
        Self {
            family: family(strategy),
            sides: match (&strategy.long, &strategy.short) {
                (Some(_), Some(_)) => Sides::Both,
                (None, Some(_)) => Sides::Short,
                _ => Sides::Long,
            },
            timeframe: strategy.timeframe,
            higher_timeframe,
            stop: match strategy.risk.stop_loss {
                None => StopKind::None,
                Some(Distance::Percent(_)) => StopKind::Percent,
                Some(Distance::Atr { .. }) => StopKind::Atr,
            },
            bulk: match entries.into_iter().max().unwrap_or(0) {
                0..=2 => Bulk::Few,
                3..=4 => Bulk::Some,
                _ => Bulk::Many,
            },
        }
    }
}

/// The family with most votes of the entry rules' conditions: crossings have four votes and states two,
/// half of that where they only say when to look (volume, volatility, time); on a tie the first family wins.
fn family(strategy: &Strategy) -> Family {
    let mut votes: BTreeMap<Family, u32> = BTreeMap::new();
    for (slot, long) in [(Slot::LongEntry, true), (Slot::ShortEntry, false)] {
        if let Some(rule) = rule(strategy, slot) {
            rule.for_each_condition(&mut |condition| {
                let family = condition_family(condition, long);
                let weak = matches!(family, Family::Volume | Family::Volatility | Family::Time);
                let weight = if condition.comparison.is_cross() { 4 } else { 2 };
                *votes.entry(family).or_default() += if weak { weight / 2 } else { weight };
            });
        }
    }
    let most = votes.values().copied().max().unwrap_or(0);
    votes.into_iter().find(|(_, count)| *count == most).map_or(Family::Trend, |(family, _)| family)
}

/// What a condition says to a trader who enters on the given side.
fn condition_family(condition: &Condition, long: bool) -> Family {
    let side = |source: Source| match source {
        Source::Price(_) | Source::Model(_) => None,
        Source::Indicator(indicator) => Some(indicator.kind()),
    };
    let right = match condition.right {
        Operand::Series(series) => side(series.source),
        Operand::Constant(_) => None,
    };
    // A price says nothing by itself: what it is compared with does. Then the left side is above or below it.
    let (kind, price_is_left) = match (side(condition.left.source), right) {
        (Some(kind), None) => (kind, false),
        (None, Some(kind)) => (kind, true),
        (Some(a), Some(b)) => (a.max(b), false),
        (None, None) => return Family::Pattern,
    };
    let above = matches!(condition.comparison, C::Above | C::CrossesAbove);
    match kind {
        K::BollingerUpper
        | K::BollingerLower
        | K::KeltnerUpper
        | K::KeltnerLower
        | K::DonchianUpper
        | K::DonchianLower
        | K::SwingResistance
        | K::SwingSupport => {
            // Over the upper or under the lower line in the trade's direction is a break-out.
            let upper = matches!(kind, K::BollingerUpper | K::KeltnerUpper | K::DonchianUpper | K::SwingResistance);
            if price_is_left && upper == long && above == long { Family::Breakout } else { Family::MeanReversion }
        }
        K::Rsi | K::StochasticK | K::StochasticD | K::Mfi | K::WilliamsR | K::Cci | K::BollingerPercentB => {
            let middle = match kind {
                K::WilliamsR => -50.0,
                K::Cci => 0.0,
                K::BollingerPercentB => 0.5,
                _ => 50.0,
            };
            match condition.right {
                Operand::Constant(level) if (level.get() < middle) == long => Family::MeanReversion,
                _ => Family::Momentum,
            }
        }
        K::Macd | K::MacdSignal | K::MacdHistogram | K::Roc | K::PlusDi | K::MinusDi | K::LinregSlope => {
            Family::Momentum
        }
        K::Obv | K::VolumeZscore | K::VolumeSma | K::Amihud | K::OpenInterest | K::OpenInterestValue => Family::Volume,
        K::BullishOrderBlockHigh
        | K::BullishOrderBlockLow
        | K::BearishOrderBlockHigh
        | K::BearishOrderBlockLow
        | K::WyckoffSpring
        | K::WyckoffUpthrust => Family::Pattern,
        K::HourOfDay | K::DayOfWeek => Family::Time,
        K::Atr
        | K::Natr
        | K::BollingerWidth
        | K::StandardDeviation
        | K::RealizedVolatility
        | K::VolatilityPercentile
        | K::Choppiness => Family::Volatility,
        _ => Family::Trend,
    }
}

/// How different two strategies are, 0 (the same) to 1, the same in both directions:
///
/// - 0.5 x the share of conditions that have no counterpart in the other strategy (same rule, same series
///   but for parameters and timeframe, same comparison);
/// - 0.2 x the mean difference of the numbers in the conditions that have one, each |a - b| / (|a| + |b|);
/// - 0.15 x the share of risk plan parts that differ;
/// - 0.1 if the sides differ, 0.05 if the timeframes do.
#[must_use]
pub fn distance(a: &Strategy, b: &Strategy) -> f64 {
    let (shapes_a, shapes_b) = (shapes(a), shapes(b));
    let (mut all, mut matched, mut difference) = (0_usize, 0_usize, 0.0);
    let empty = Vec::new();
    let keys: std::collections::BTreeSet<_> = shapes_a.keys().chain(shapes_b.keys()).collect();
    for key in keys {
        let (numbers_a, numbers_b) = (shapes_a.get(key).unwrap_or(&empty), shapes_b.get(key).unwrap_or(&empty));
        all += numbers_a.len().max(numbers_b.len());
        for (x, y) in numbers_a.iter().zip(numbers_b) {
            matched += 1;
            let pairs = x.iter().zip(y).map(|(x, y)| if x == y { 0.0 } else { (x - y).abs() / (x.abs() + y.abs()) });
            difference += pairs.sum::<f64>() / x.len().max(1) as f64;
        }
    }
    let unmatched = if all == 0 { 0.0 } else { 1.0 - matched as f64 / all as f64 };
    let difference = if matched == 0 { 1.0 } else { difference / matched as f64 };
    let (p, q) = (&a.risk, &b.risk);
    let parts = [
        p.stop_loss != q.stop_loss,
        p.take_profit != q.take_profit,
        p.trailing_stop != q.trailing_stop,
        p.break_even != q.break_even,
        p.time_exit_bars != q.time_exit_bars,
        p.partial_take_profit != q.partial_take_profit,
        p.recovery != q.recovery,
        (p.size, p.leverage) != (q.size, q.leverage),
        a.filters != b.filters,
    ];
    let plan = parts.iter().filter(|d| **d).count() as f64 / parts.len() as f64;
    let sides = (a.long.is_some(), a.short.is_some()) != (b.long.is_some(), b.short.is_some());
    let timeframe = a.timeframe != b.timeframe;
    let flag = |differs: bool| f64::from(u8::from(differs));
    (0.5 * unmatched + 0.2 * difference + 0.15 * plan + 0.1 * flag(sides) + 0.05 * flag(timeframe)).clamp(0.0, 1.0)
}

/// Conditions without their numbers, each with the numbers of all its occurrences in order.
type Shapes = BTreeMap<(Slot, Option<K>, C, Option<K>, bool, [Option<AcrossSeries>; 2]), Vec<Vec<f64>>>;

fn shapes(strategy: &Strategy) -> Shapes {
    let mut out = Shapes::new();
    for_each_rule(strategy, &mut |slot, rule| {
        rule.for_each_condition(&mut |c| {
            let mut numbers = Vec::new();
            let mut kind = |source: Source| match source {
                // Price fields count as one kind.
                Source::Price(field) => {
                    numbers.push(1.0 + f64::from(field as u8));
                    None
                }
                Source::Indicator(indicator) => {
                    numbers.extend(indicator.params().iter().map(|p| p.get()));
                    Some(indicator.kind())
                }
                // Models, too, by which they are.
                Source::Model(model) => {
                    let name = model.to_string();
                    numbers
                        .push(100.0 + f64::from(name.bytes().fold(0_u32, |sum, b| (31 * sum + u32::from(b)) % 1000)));
                    None
                }
            };
            let left = kind(c.left.source);
            let (right, has_series) = match c.right {
                Operand::Series(series) => (kind(series.source), true),
                Operand::Constant(_) => (None, false),
            };
            let reach = |timeframe: Option<Timeframe>| timeframe.map_or(0.0, |t| 1.0 + f64::from(t as u8));
            numbers.push(reach(c.left.timeframe));
            match c.right {
                Operand::Series(series) => numbers.push(reach(series.timeframe)),
                Operand::Constant(level) => numbers.push(level.get()),
            }
            let other = match c.right {
                Operand::Series(series) => series.across,
                Operand::Constant(_) => None,
            };
            let across = [c.left.across, other];
            out.entry((slot, left, c.comparison, right, has_series, across)).or_default().push(numbers);
        });
    });
    // Occurrences are paired in one order, whatever the order of the conditions.
    for numbers in out.values_mut() {
        numbers.sort_by(|a, b| {
            a.iter().zip(b).map(|(x, y)| x.total_cmp(y)).find(|o| o.is_ne()).unwrap_or(a.len().cmp(&b.len()))
        });
    }
    out
}
