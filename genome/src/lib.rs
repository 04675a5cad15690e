//! The language sg-ai strategies are written in.
//!
//! A [`Strategy`] is a value: rules, a risk plan and filters. A [`Ranking`] is one that ranks the market: a universe, a
//! score and weights. This crate builds, reads, prints,
//! compares and varies strategies. It never sees a candle, does no I/O, has no clock, and takes
//! every bit of randomness as an argument; what a series is worth at a candle is the engine's affair.

mod any;
mod bounds;
mod canonical;
mod expression;
mod hash;
mod json;
pub mod niche;
mod number;
pub mod random;
mod ranking;
mod rule;
mod series;
mod strategy;
mod text;
mod timeframe;
pub mod variation;
mod words;

pub use any::{AnyStrategy, StrategyForm};
pub use canonical::InvalidStrategy;
pub use expression::unit::Unit;
pub use expression::{Across, Binary, Expression, Rolling, Unary};
pub use hash::{ParseHashError, StrategyHash};
pub use json::{AnyFile, FileError, StrategyFile};
pub use niche::{AnyNiche, Niche, RankingNiche};
pub use number::Number;
pub use ranking::{Form, Ranking, Universe, Weights};
pub use rule::{Comparison, Condition, Operand, Rule};
pub use series::{
    AcrossSeries, ConstantRange, Indicator, IndicatorKind, ModelName, ModelSeries, OfferedModel, ParamSpec, PriceField,
    Scale, Series, SeriesSpec, Source,
};
pub use strategy::{
    Distance, Filters, PartialTakeProfit, Recovery, RiskPlan, SideRules, Size, Strategy, TrendRegimeFilter,
};
pub use text::{MAX_TEXT_BYTES, ParseError, ParseProblem};
pub use timeframe::Timeframe;
pub use words::{describe, describe_ranking};
