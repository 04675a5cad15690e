//! What is said of stored candles: which part of a symbol, which range, what a check found.
//!
//! Values alone: stores and reads nothing.

use crate::cuts::{ContradictedCut, ProposedCut};
use crate::quality::QualityReport;
use crate::{Interval, MarketKind, Symbol};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::fmt;
use std::str::FromStr;

/// What of a symbol is stored month by month.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// Candles of an interval.
    Candles(Interval),
    /// Funding payments.
    Funding,
    /// The premium index of a perpetual.
    Premium,
    /// Open interest and long/short ratios.
    Metrics,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Candles(interval) => interval.fmt(f),
            Self::Funding => f.write_str("funding"),
            Self::Premium => f.write_str("premium"),
            Self::Metrics => f.write_str("metrics"),
        }
    }
}

impl FromStr for Part {
    type Err = <Interval as FromStr>::Err;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "funding" => Ok(Self::Funding),
            "premium" => Ok(Self::Premium),
            "metrics" => Ok(Self::Metrics),
            _ => text.parse().map(Self::Candles),
        }
    }
}

impl Serialize for Part {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Part {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// Candles that something rests on, with everything finer: a window may be built from it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CandleRange {
    /// Which market.
    pub market: MarketKind,
    /// Which symbol.
    pub symbol: Symbol,
    /// Interval of the window.
    pub interval: Interval,
    /// First open time, warm-up included, UTC ms.
    pub from_ms: i64,
    /// End, exclusive, UTC ms.
    pub to_ms: i64,
}

/// One symbol and interval, checked.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SeriesCheck {
    /// Which market.
    pub market: MarketKind,
    /// Which symbol.
    pub symbol: Symbol,
    /// Which interval.
    pub interval: Interval,
    /// Open time of the first candle, UTC ms.
    pub first_open_ms: Option<i64>,
    /// Open time of the last candle, UTC ms.
    pub last_open_ms: Option<i64>,
    /// Whether the candles may count as evidence.
    pub fit_for_evidence: bool,
    /// What was found.
    #[serde(flatten)]
    pub report: QualityReport,
    /// Cuts that the candles propose and the table of instruments does not have.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub proposed_cuts: Vec<ProposedCut>,
    /// Cuts of the table that the candles contradict.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub contradicted_cuts: Vec<ContradictedCut>,
}
