//! What a rule may look at: price fields and indicators, their parameters and bounds, `@timeframe`.
//!
//! Names and bounds only; nothing here computes a value.

use crate::{Across, Number, Timeframe};

mod model;
mod table;
pub use model::{ModelName, ModelSeries, OfferedModel};
pub use table::IndicatorKind;

/// A field of the candle itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)]
pub enum PriceField {
    Open,
    High,
    Low,
    Close,
    /// (high + low + close) / 3
    Typical,
    /// Base volume.
    Volume,
    /// Quote volume; volume x close where it is 0.
    QuoteVolume,
    /// How many trades.
    Trades,
    /// Base volume that takers bought over all base volume; undefined without volume.
    TakerBuyRatio,
}

impl PriceField {
    /// Every field.
    pub const ALL: [Self; 9] = [
        Self::Open,
        Self::High,
        Self::Low,
        Self::Close,
        Self::Typical,
        Self::Volume,
        Self::QuoteVolume,
        Self::Trades,
        Self::TakerBuyRatio,
    ];

    /// The name in rules.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::High => "high",
            Self::Low => "low",
            Self::Close => "close",
            Self::Typical => "typical",
            Self::Volume => "volume",
            Self::QuoteVolume => "quote_volume",
            Self::Trades => "trades",
            Self::TakerBuyRatio => "taker_buy_ratio",
        }
    }

    /// The scale its values live on.
    #[must_use]
    pub const fn scale(self) -> Scale {
        match self {
            Self::Open | Self::High | Self::Low | Self::Close | Self::Typical => Scale::Price,
            Self::Volume => Scale::Volume,
            Self::QuoteVolume => Scale::Money,
            Self::Trades => Scale::Count,
            Self::TakerBuyRatio => Scale::UnitRange,
        }
    }
}

/// What kind of quantity a series is: only series of one scale are compared by the search.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scale {
    /// A price.
    Price,
    /// A signed difference of prices.
    PriceDifference,
    /// A positive width in price units.
    Range,
    /// 0 to 100.
    Percent,
    /// -100 to 0.
    NegativePercent,
    /// A percentage of the price, signed or not.
    PercentOfPrice,
    /// A small positive fraction.
    Fraction,
    /// About 0 to 1.
    UnitRange,
    /// Around zero, without a fixed bound.
    Signed,
    /// Coins: traded volume, open interest.
    Volume,
    /// A running total whose level means nothing.
    Cumulative,
    /// -1, 0 or 1.
    Flag,
    /// Hour of the day.
    Hour,
    /// Day of the week.
    Weekday,
    /// Quote units.
    Money,
    /// One over quote units.
    PerMoney,
    /// How many of something.
    Count,
    /// A small fraction of the notional, signed.
    Rate,
    /// One side over the other, positive.
    Ratio,
}

/// Bounds of one parameter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ParamSpec {
    /// The parameter's name, for messages.
    pub name: &'static str,
    /// Least value.
    pub min: f64,
    /// Greatest value.
    pub max: f64,
    /// Grid on which values lie, counted from zero: 1 for counts of candles.
    pub step: f64,
    /// The customary value, used when people leave it out.
    pub default: f64,
}

impl ParamSpec {
    /// The value, if it lies on the grid (as near as its decimal writing can say), exactly on it.
    fn on_grid(&self, value: f64) -> Option<Number> {
        let steps = value / self.step;
        ((steps - steps.round()).abs() <= 1e-9).then(|| grid_number(steps.round(), self.step))
    }

    /// The value of the grid nearest to `value`, within bounds.
    #[must_use]
    pub fn nearest(&self, value: f64) -> Number {
        nearest_on_grid(value, self.min, self.max, self.step)
    }
}

impl ConstantRange {
    /// The value of the grid nearest to `value`, within the range.
    #[must_use]
    pub fn nearest(&self, value: f64) -> Number {
        nearest_on_grid(value, self.min, self.max, self.step)
    }
}

/// `steps` x `step`, rounded once: steps are whole or one over a whole number, so 3 x 0.1 is 0.3.
fn grid_number(steps: f64, step: f64) -> Number {
    let value = if step < 1.0 { steps / (1.0 / step).round() } else { steps * step };
    Number::new(value).unwrap_or(Number::ZERO)
}

pub(crate) fn nearest_on_grid(value: f64, min: f64, max: f64, step: f64) -> Number {
    let (first, last) = ((min / step).round(), (max / step).round());
    grid_number((value / step).round().clamp(first, last), step)
}

/// Constants with which a series is usefully compared (inclusive, on a grid of `step`).
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(missing_docs)]
pub struct ConstantRange {
    pub min: f64,
    pub max: f64,
    pub step: f64,
}

/// An indicator's entry in the table.
#[derive(Clone, Copy, Debug)]
pub struct SeriesSpec {
    /// Which indicator.
    pub kind: IndicatorKind,
    /// Canonical name.
    pub name: &'static str,
    /// Other names that are read, in lower case.
    pub aliases: &'static [&'static str],
    /// Parameters, in order; at most [`Indicator::MAX_PARAMS`].
    pub params: &'static [ParamSpec],
    /// The scale of its values.
    pub scale: Scale,
    /// Constants worth comparing with; `None` where a constant means nothing across symbols.
    pub constants: Option<ConstantRange>,
    /// One line for people.
    pub doc: &'static str,
}

impl IndicatorKind {
    /// This indicator's entry in the table.
    #[must_use]
    pub fn spec(self) -> &'static SeriesSpec {
        &table::SPECS[self as usize]
    }

    /// The indicator of this name or alias, both in lower case.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        table::SPECS.iter().find(|s| s.name == name || s.aliases.contains(&name)).map(|s| s.kind)
    }

    /// Entries of the indicators that the search makes rules of, in the order of the enum.
    #[must_use]
    pub fn bred() -> &'static [SeriesSpec] {
        &table::SPECS[..table::BRED]
    }

    /// Whether its values are published beside the candles: they need readings of the market.
    #[must_use]
    pub const fn is_of_market(self) -> bool {
        matches!(
            self,
            Self::Funding
                | Self::FundingMean
                | Self::FundingSum
                | Self::Premium
                | Self::PremiumMean
                | Self::OpenInterest
                | Self::OpenInterestValue
                | Self::LongShortRatio
                | Self::TopLongShortRatio
                | Self::TakerLongShortRatio
        )
    }

    /// Every indicator's entry, in the order of the enum.
    #[must_use]
    pub fn all() -> &'static [SeriesSpec] {
        &table::SPECS
    }
}

/// An indicator with its parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Indicator {
    kind: IndicatorKind,
    params: [Number; Self::MAX_PARAMS],
}

impl Indicator {
    /// Most parameters an indicator has.
    pub(crate) const MAX_PARAMS: usize = 3;

    /// An indicator with the given parameters; those left out take their customary values.
    ///
    /// # Errors
    /// Too many parameters, one out of bounds or off its grid, or `fast` not below `slow`; the text says which.
    pub fn new(kind: IndicatorKind, given: &[Number]) -> Result<Self, String> {
        let spec = kind.spec();
        if given.len() > spec.params.len() {
            return Err(format!("{} takes {} parameters, not {}", spec.name, spec.params.len(), given.len()));
        }
        let mut params = [Number::ZERO; Self::MAX_PARAMS];
        for (i, bound) in spec.params.iter().enumerate() {
            let value = given.get(i).copied().unwrap_or(Number::literal(bound.default));
            let v = value.get();
            if v < bound.min || v > bound.max {
                return Err(format!("{} of {} must be {} to {}, not {v}", bound.name, spec.name, bound.min, bound.max));
            }
            params[i] = bound.on_grid(v).ok_or_else(|| {
                format!("{} of {} must be a multiple of {}, not {v}", bound.name, spec.name, bound.step)
            })?;
        }
        let named = |name| spec.params.iter().position(|p| p.name == name).map(|i| params[i]);
        if let (Some(fast), Some(slow)) = (named("fast"), named("slow"))
            && fast >= slow
        {
            return Err(format!("fast of {} must be below slow ({fast} is not below {slow})", spec.name));
        }
        Ok(Self { kind, params })
    }

    /// Which indicator.
    #[must_use]
    pub const fn kind(&self) -> IndicatorKind {
        self.kind
    }

    /// Its parameters, all of them.
    #[must_use]
    pub fn params(&self) -> &[Number] {
        &self.params[..self.kind.spec().params.len()]
    }
}

/// Where a series' values come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)]
pub enum Source {
    Price(PriceField),
    Indicator(Indicator),
    Model(ModelSeries),
}

impl Source {
    /// The scale of its values.
    #[must_use]
    pub fn scale(&self) -> Scale {
        match self {
            Self::Price(field) => field.scale(),
            Self::Indicator(indicator) => indicator.kind().spec().scale,
            Self::Model(model) => model.scale(),
        }
    }

    /// Levels worth comparing it with; `None` where a number means nothing across symbols.
    #[must_use]
    pub fn constants(&self) -> Option<ConstantRange> {
        match self {
            Self::Price(_) => None,
            Self::Indicator(indicator) => indicator.kind().spec().constants,
            Self::Model(model) => Some(model.constants()),
        }
    }

    /// What it asks of models, if it is their series.
    #[must_use]
    pub const fn model(&self) -> Option<ModelSeries> {
        match self {
            Self::Model(model) => Some(*model),
            Self::Price(_) | Self::Indicator(_) => None,
        }
    }

    /// Whether its values are published beside the candles: they need readings of the market.
    #[must_use]
    pub const fn is_of_market(&self) -> bool {
        matches!(self, Self::Indicator(indicator) if indicator.kind().is_of_market())
    }
}

/// What a series of a rule says of an instrument among the members of its strategy's universe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AcrossSeries {
    /// How its value compares with theirs.
    Compared(Across),
    /// Slope of its last changes on the members' mean change, as [`crate::Expression::Beta`].
    Beta {
        /// How many changes.
        candles: u32,
    },
}

/// A source on the base timeframe (`None`) or on a higher one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Series {
    /// Where its values come from.
    pub source: Source,
    /// The higher timeframe; never together with `across`.
    pub timeframe: Option<Timeframe>,
    /// What is said of it across the market; `None`: the value itself.
    pub across: Option<AcrossSeries>,
}
