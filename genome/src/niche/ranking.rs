//! What makes two ranking strategies different, and one type for the niches of both kinds of strategy.

use super::Niche;
use crate::variation::has_readings;
use crate::{AnyStrategy, Expression, IndicatorKind as K, PriceField, Ranking, Series, Source, Timeframe};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Milliseconds of a day.
const DAY_MS: f64 = 86_400_000.0;

named! {
    /// How far back a score looks at most: the longest look-back of one operator or indicator.
    Horizon {
        /// A week or less.
        Week = "week",
        /// More than a week, up to 30 days.
        Month = "month",
        /// More than 30 days, up to 90.
        Quarter = "quarter",
        /// More than 90 days.
        Longer = "longer",
    }
}

named! {
    /// How quickly holdings can change: the length of the clock times the rebalances that targets are the mean of.
    Turnover {
        /// Less than two days.
        Fast = "fast",
        /// Two days to less than ten.
        Medium = "medium",
        /// Ten days or more.
        Slow = "slow",
    }
}

named! {
    /// What a score looks at, the rarest of it.
    Data {
        /// Prices alone.
        Price = "price",
        /// What was traded, prices beside it or not.
        Volume = "volume",
        /// Funding, premium, open interest or positions, whatever else beside them.
        Derivatives = "derivatives",
    }
}

named! {
    /// Which legs a strategy holds.
    Legs {
        /// Both, as they come.
        LongShort = "long_short",
        /// Both, without exposure to the market.
        BetaNeutral = "beta_neutral",
        /// Long alone.
        LongOnly = "long_only",
    }
}

/// Descriptors of a ranking strategy. Strategies of one niche compete with each other first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RankingNiche {
    /// Longest look-back of the score.
    pub horizon: Horizon,
    /// How quickly holdings can change.
    pub turnover: Turnover,
    /// What the score looks at.
    pub data: Data,
    /// Which legs are held.
    pub legs: Legs,
}

impl fmt::Display for RankingNiche {
    /// `month/fast/price/long_short`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { horizon, turnover, data, legs } = self;
        write!(f, "{horizon}/{turnover}/{data}/{legs}")
    }
}

impl RankingNiche {
    /// The niche of a ranking strategy.
    #[must_use]
    pub fn of(ranking: &Ranking) -> Self {
        let weights = &ranking.weights;
        let held_days = days(1.0, ranking.rebalance) * f64::from(weights.smooth);
        let series = ranking.score.series();
        Self {
            horizon: match longest_days(&ranking.score, ranking.timeframe) {
                days if days <= 7.0 => Horizon::Week,
                days if days <= 30.0 => Horizon::Month,
                days if days <= 90.0 => Horizon::Quarter,
                _ => Horizon::Longer,
            },
            turnover: match held_days {
                days if days < 2.0 => Turnover::Fast,
                days if days < 10.0 => Turnover::Medium,
                _ => Turnover::Slow,
            },
            data: if has_readings(&ranking.score) {
                Data::Derivatives
            } else if series.iter().any(is_of_volume) {
                Data::Volume
            } else {
                Data::Price
            },
            legs: match (weights.long_only, weights.beta_neutral) {
                (true, _) => Legs::LongOnly,
                (false, Some(_)) => Legs::BetaNeutral,
                (false, None) => Legs::LongShort,
            },
        }
    }
}

/// So many candles in days; a month counts 30.
fn days(candles: f64, timeframe: Timeframe) -> f64 {
    candles * timeframe.fixed_ms().map_or(30.0, |ms| ms as f64 / DAY_MS)
}

/// The longest look-back of one part, days; counts of readings are in days already.
fn longest_days(score: &Expression, base: Timeframe) -> f64 {
    let own = match score {
        Expression::Volatility { returns: n }
        | Expression::Rolling(_, _, n)
        | Expression::Correlation(_, _, n)
        | Expression::Beta(_, n) => days(f64::from(*n), base),
        Expression::Series(Series { source: Source::Indicator(indicator), timeframe, .. }) => {
            let specs = indicator.kind().spec().params;
            let counts = specs.iter().zip(indicator.params()).filter(|(spec, _)| spec.step >= 1.0);
            let most = counts.map(|(_, p)| p.get()).fold(0.0, f64::max);
            if indicator.kind().is_of_market() { most } else { days(most, timeframe.unwrap_or(base)) }
        }
        _ => 0.0,
    };
    score.parts().into_iter().map(|part| longest_days(part, base)).fold(own, f64::max)
}

/// Whether a series is of what was traded.
fn is_of_volume(series: &Series) -> bool {
    match series.source {
        Source::Price(field) => matches!(
            field,
            PriceField::Volume | PriceField::QuoteVolume | PriceField::Trades | PriceField::TakerBuyRatio
        ),
        Source::Indicator(indicator) => matches!(
            indicator.kind(),
            K::Vwap
                | K::SessionVwap
                | K::Mfi
                | K::Obv
                | K::VolumeZscore
                | K::VolumeSma
                | K::Amihud
                | K::WyckoffSpring
                | K::WyckoffUpthrust
        ),
        Source::Model(_) => false,
    }
}

/// The niche of a strategy of either kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum AnyNiche {
    /// Of rules.
    Rules(Niche),
    /// Of a ranking.
    Ranking(RankingNiche),
}

impl AnyNiche {
    /// The niche of a strategy.
    #[must_use]
    pub fn of(strategy: &AnyStrategy) -> Self {
        match strategy {
            AnyStrategy::Rules(strategy) => Self::Rules(Niche::of(strategy)),
            AnyStrategy::Ranking(ranking) => Self::Ranking(RankingNiche::of(ranking)),
        }
    }

    /// The kind of idea in one or two words: the family of rules (`trend`), data and horizon of a ranking (`price_month`).
    #[must_use]
    pub fn idea(&self) -> String {
        match self {
            Self::Rules(niche) => niche.family.to_string(),
            Self::Ranking(niche) => format!("{}_{}", niche.data, niche.horizon),
        }
    }
}

impl fmt::Display for AnyNiche {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rules(niche) => niche.fmt(f),
            Self::Ranking(niche) => niche.fmt(f),
        }
    }
}
