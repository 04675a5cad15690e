//! The mirror image of a rule: what it says of a rising market, said of a falling one.

use crate::{
    Across, AcrossSeries, Comparison, Condition, Indicator, IndicatorKind as K, ModelSeries, Number, Operand,
    PriceField, Rule, Series, Source,
};

/// What becomes of a series' value when prices are turned upside down.
enum Image {
    /// `sum` less the value of the image series: 100 for RSI, 0 for what has a sign or is a price.
    Turned(f64),
    /// It stays what it is (a strength, a volume, a time).
    Same,
}

impl Rule {
    /// The rule for the other side: crossings and comparisons turn, bands and levels change places, an RSI
    /// below 30 becomes one above 70; volatility, volume and time stay. Twice mirrored is the rule itself.
    #[must_use]
    pub fn mirrored(&self) -> Self {
        match self {
            Self::Condition(condition) => Self::Condition(mirror(condition)),
            Self::And(rules) => Self::And(rules.iter().map(Self::mirrored).collect()),
            Self::Or(rules) => Self::Or(rules.iter().map(Self::mirrored).collect()),
            Self::Not(rule) => Self::Not(Box::new(rule.mirrored())),
        }
    }
}

fn mirror(condition: &Condition) -> Condition {
    let (left, image) = turned(condition.left);
    let comparison = match (&image, condition.comparison) {
        (Image::Same, comparison) => comparison,
        (Image::Turned(_), Comparison::Below) => Comparison::Above,
        (Image::Turned(_), Comparison::Above) => Comparison::Below,
        (Image::Turned(_), Comparison::CrossesBelow) => Comparison::CrossesAbove,
        (Image::Turned(_), Comparison::CrossesAbove) => Comparison::CrossesBelow,
    };
    let right = match (condition.right, image) {
        (Operand::Series(right), _) => Operand::Series(turned(right).0),
        // The level of a price or of a running total has no mirror image.
        (Operand::Constant(c), Image::Turned(sum)) if condition.left.source.scale() != crate::Scale::Price => {
            let level = sum - c.get();
            // 1 - 0.57 is 0.43 to people.
            let is_model = condition.left.source.model().is_some();
            let level = if is_model { (level * 1e12).round() / 1e12 } else { level };
            Operand::Constant(Number::new(level).unwrap_or(c))
        }
        (constant, _) => constant,
    };
    Condition { left, comparison, right }
}

fn turned(series: Series) -> (Series, Image) {
    let (turned, image) = turned_source(series);
    let image = match (series.across, image) {
        (None, image) => image,
        // The best of the market is the worst of it upside down.
        (Some(AcrossSeries::Compared(Across::Rank)), Image::Turned(_)) => Image::Turned(1.0),
        (Some(AcrossSeries::Compared(Across::ZScore | Across::Demean)), Image::Turned(_)) => Image::Turned(0.0),
        (Some(_), _) => Image::Same,
    };
    (turned, image)
}

fn turned_source(series: Series) -> (Series, Image) {
    let (source, image) = match series.source {
        Source::Price(field) => {
            let other = match field {
                PriceField::High => PriceField::Low,
                PriceField::Low => PriceField::High,
                same => same,
            };
            let image = match field {
                PriceField::Volume | PriceField::QuoteVolume | PriceField::Trades => Image::Same,
                PriceField::TakerBuyRatio => Image::Turned(1.0),
                _ => Image::Turned(0.0),
            };
            (Source::Price(other), image)
        }
        Source::Indicator(indicator) => {
            let (kind, image) = turned_kind(indicator.kind());
            // Partners have the same parameters; where a table change breaks that, the series stays.
            let turned = Indicator::new(kind, indicator.params()).unwrap_or(indicator);
            (Source::Indicator(turned), image)
        }
        Source::Model(model) => {
            let image = match model {
                ModelSeries::Probability(_) => Image::Turned(1.0),
                ModelSeries::EnsembleDirection => Image::Turned(0.0),
                ModelSeries::Confidence(_) | ModelSeries::EnsembleConfidence => Image::Same,
            };
            (series.source, image)
        }
    };
    (Series { source, ..series }, image)
}

fn turned_kind(kind: K) -> (K, Image) {
    let partner = match kind {
        K::BollingerUpper => K::BollingerLower,
        K::BollingerLower => K::BollingerUpper,
        K::DonchianUpper => K::DonchianLower,
        K::DonchianLower => K::DonchianUpper,
        K::KeltnerUpper => K::KeltnerLower,
        K::KeltnerLower => K::KeltnerUpper,
        K::SwingResistance => K::SwingSupport,
        K::SwingSupport => K::SwingResistance,
        K::BullishOrderBlockHigh => K::BearishOrderBlockLow,
        K::BearishOrderBlockLow => K::BullishOrderBlockHigh,
        K::BullishOrderBlockLow => K::BearishOrderBlockHigh,
        K::BearishOrderBlockHigh => K::BullishOrderBlockLow,
        K::WyckoffSpring => K::WyckoffUpthrust,
        K::WyckoffUpthrust => K::WyckoffSpring,
        K::PlusDi => K::MinusDi,
        K::MinusDi => K::PlusDi,
        same => same,
    };
    let image = match kind {
        K::Rsi | K::StochasticK | K::StochasticD | K::Mfi => Image::Turned(100.0),
        K::WilliamsR => Image::Turned(-100.0),
        K::BollingerPercentB => Image::Turned(1.0),
        K::BollingerWidth
        | K::Atr
        | K::Natr
        | K::Adx
        | K::PlusDi
        | K::MinusDi
        | K::WyckoffSpring
        | K::WyckoffUpthrust
        | K::StandardDeviation
        | K::RealizedVolatility
        | K::VolatilityPercentile
        | K::VolumeZscore
        | K::VolumeSma
        | K::Amihud
        | K::OpenInterest
        | K::OpenInterestValue
        | K::LongShortRatio
        | K::TopLongShortRatio
        | K::TakerLongShortRatio
        | K::Choppiness
        | K::Regime
        | K::HourOfDay
        | K::DayOfWeek => Image::Same,
        _ => Image::Turned(0.0),
    };
    (partner, image)
}
