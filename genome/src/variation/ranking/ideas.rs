//! The customary ideas of what ranks coins, with random look-backs, alone or two together.

use super::draw::{Maker, price};
use crate::variation::{chance, pick};
use crate::{Across, Binary, Expression, IndicatorKind as Kind, Number, PriceField as Field, Rolling, Unary};
use rand::Rng;

/// A customary idea; what it ranks first is what it is known to favour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Idea {
    /// Gain over a horizon.
    Momentum,
    /// Gain over a horizon without the last days.
    SkippedMomentum,
    /// Gain over a horizon in units of its volatility.
    SteadyMomentum,
    /// Nearness to the highest price.
    NearHigh,
    /// Loss over the last days.
    Reversal,
    /// Little volatility.
    LowVolatility,
    /// More traded than usual.
    VolumeShock,
    /// Price moved by little money (Amihud).
    Illiquidity,
    /// Few large losses among many small gains: little skewness of daily returns.
    Skewness,
    /// No large gain lately.
    LowestPeak,
    /// A short mean of closes over a long one.
    Trend,
    /// Rank of the close in its own past.
    OwnRank,
    /// Narrow candles.
    NarrowRange,
    /// Price and volume move apart.
    Divergence,
    /// Little exposure to the market.
    LowBeta,
    /// Takers buy.
    TakerFlow,
    /// Shorts are paid: little funding.
    Carry,
    /// The contract is below the index.
    Discount,
    /// Open interest grows.
    OpenInterest,
    /// Accounts are short.
    Crowding,
}

const OF_CANDLES: [Idea; 16] = [
    Idea::Momentum,
    Idea::SkippedMomentum,
    Idea::SteadyMomentum,
    Idea::NearHigh,
    Idea::Reversal,
    Idea::LowVolatility,
    Idea::VolumeShock,
    Idea::Illiquidity,
    Idea::Skewness,
    Idea::LowestPeak,
    Idea::Trend,
    Idea::OwnRank,
    Idea::NarrowRange,
    Idea::Divergence,
    Idea::LowBeta,
    Idea::TakerFlow,
];
const OF_READINGS: [Idea; 4] = [Idea::Carry, Idea::Discount, Idea::OpenInterest, Idea::Crowding];

pub(super) fn boxed(op: Binary, x: Expression, y: Expression) -> Expression {
    Expression::Binary(op, Box::new(x), Box::new(y))
}

pub(super) fn rolling(op: Rolling, x: Expression, n: u32) -> Expression {
    Expression::Rolling(op, Box::new(x), n.max(op.least()))
}

pub(super) fn unary(op: Unary, x: Expression) -> Expression {
    Expression::Unary(op, Box::new(x))
}

fn ratio(x: Expression, y: Expression) -> Expression {
    boxed(Binary::Divide, x, y)
}

fn one() -> Expression {
    Expression::Constant(Number::int(1))
}

impl Maker<'_> {
    /// One idea, or two added or multiplied by rank or standard score; either sign.
    pub(super) fn customary(&self, rng: &mut impl Rng) -> Expression {
        let first = self.signed(rng);
        if chance(0.6, rng) {
            return first;
        }
        let op = if chance(0.7, rng) { Across::Rank } else { Across::ZScore };
        let joined = |x: Expression| Expression::Across(op, Box::new(x));
        let second = joined(self.signed(rng));
        let joint = pick(&[Binary::Add, Binary::Add, Binary::Subtract, Binary::Multiply], rng).copied();
        boxed(joint.unwrap_or(Binary::Add), joined(first), second)
    }

    /// An idea, now and then turned around.
    fn signed(&self, rng: &mut impl Rng) -> Expression {
        let models = self.config.models_on(self.base);
        if !models.is_empty()
            && chance(0.33, rng)
            && let Some(series) = pick(&models, rng)
        {
            // What a model expects needs no turning around; the mean of its last forecasts trades less.
            let forecast = Expression::Series(*series);
            return if chance(0.5, rng) { rolling(Rolling::Mean, forecast, self.window(rng)) } else { forecast };
        }
        let mut ideas = OF_CANDLES.to_vec();
        if self.config.readings {
            // As often as all ideas on candles together are half of: else they would hardly be seen.
            ideas.extend(OF_READINGS.iter().cycle().take(2 * OF_READINGS.len()));
        }
        let idea = pick(&ideas, rng).copied().unwrap_or(Idea::Momentum);
        let score = self.idea(idea, rng);
        if chance(0.25, rng) { unary(Unary::Negate, score) } else { score }
    }

    fn idea(&self, idea: Idea, rng: &mut impl Rng) -> Expression {
        let close = || price(Field::Close);
        let before = |n: u32| rolling(Rolling::Delay, close(), n);
        let low = |x: Expression| unary(Unary::Negate, x);
        let n = self.window(rng);
        match idea {
            Idea::Momentum => ratio(close(), before(n)),
            Idea::SkippedMomentum => {
                let (short, long) = self.windows(rng);
                ratio(before(short), before(long))
            }
            Idea::SteadyMomentum => {
                let gain = boxed(Binary::Subtract, ratio(close(), before(n)), one());
                ratio(gain, Expression::Volatility { returns: n })
            }
            Idea::NearHigh => ratio(close(), rolling(Rolling::Highest, price(Field::High), n)),
            Idea::Reversal => {
                let (short, _) = self.windows(rng);
                low(ratio(close(), before(short)))
            }
            Idea::LowVolatility => low(Expression::Volatility { returns: n }),
            Idea::VolumeShock => {
                let (short, long) = self.windows(rng);
                let traded = |n| rolling(Rolling::Mean, price(Field::QuoteVolume), n);
                ratio(traded(short), traded(long))
            }
            Idea::Illiquidity => {
                if chance(0.5, rng) {
                    return self.indicator(Kind::Amihud, rng);
                }
                let day = self.day();
                let money = rolling(Rolling::Sum, price(Field::QuoteVolume), day);
                rolling(Rolling::Mean, ratio(unary(Unary::Abs, self.daily()), money), n)
            }
            Idea::Skewness => {
                let scaled = || ratio(self.daily(), Expression::Volatility { returns: n });
                let cube = boxed(Binary::Multiply, boxed(Binary::Multiply, scaled(), scaled()), scaled());
                low(rolling(Rolling::Mean, cube, n))
            }
            Idea::LowestPeak => low(rolling(Rolling::Highest, self.daily(), n)),
            Idea::Trend => {
                let (short, long) = self.windows(rng);
                let mean = |n| rolling(Rolling::Mean, close(), n);
                ratio(mean(short), mean(long))
            }
            Idea::OwnRank => rolling(Rolling::TsRank, close(), n),
            Idea::NarrowRange => {
                let range = boxed(Binary::Subtract, price(Field::High), price(Field::Low));
                low(rolling(Rolling::Mean, ratio(range, close()), n))
            }
            Idea::Divergence => {
                let together = Expression::Correlation(Box::new(close()), Box::new(price(Field::Volume)), n.max(3));
                low(together)
            }
            Idea::LowBeta => low(Expression::Beta(Box::new(close()), n.max(3))),
            Idea::TakerFlow => rolling(Rolling::Mean, price(Field::TakerBuyRatio), n),
            Idea::Carry => low(self.reading(Kind::FundingMean, rng)),
            Idea::Discount => low(self.reading(Kind::PremiumMean, rng)),
            Idea::OpenInterest => {
                let open = || self.reading_now(Kind::OpenInterest);
                ratio(open(), rolling(Rolling::Delay, open(), n))
            }
            Idea::Crowding => low(rolling(Rolling::Mean, self.reading_now(Kind::LongShortRatio), n)),
        }
    }

    /// The log return over a day.
    fn daily(&self) -> Expression {
        rolling(Rolling::Delta, unary(Unary::Log, price(Field::Close)), self.day())
    }

    /// The newest reading of a kind without parameters.
    pub(super) fn reading_now(&self, kind: Kind) -> Expression {
        super::tree::of_indicator(kind, &[]).unwrap_or(Expression::Volatility { returns: self.day().max(2) })
    }
}
