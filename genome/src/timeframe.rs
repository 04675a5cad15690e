//! Binance's candle intervals as names and nominal lengths. Calendar arithmetic is the market's affair.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// A candle interval, ordered from short to long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[allow(missing_docs)]
pub enum Timeframe {
    M1,
    M3,
    M5,
    M15,
    M30,
    H1,
    H2,
    H4,
    H6,
    H8,
    H12,
    D1,
    D3,
    W1,
    Mo1,
}

impl Timeframe {
    /// Every interval, from short to long.
    pub const ALL: [Self; 15] = [
        Self::M1,
        Self::M3,
        Self::M5,
        Self::M15,
        Self::M30,
        Self::H1,
        Self::H2,
        Self::H4,
        Self::H6,
        Self::H8,
        Self::H12,
        Self::D1,
        Self::D3,
        Self::W1,
        Self::Mo1,
    ];

    /// Binance's name in REST and in rules: `15m`, `4h`, `1d`, `1M`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::M1 => "1m",
            Self::M3 => "3m",
            Self::M5 => "5m",
            Self::M15 => "15m",
            Self::M30 => "30m",
            Self::H1 => "1h",
            Self::H2 => "2h",
            Self::H4 => "4h",
            Self::H6 => "6h",
            Self::H8 => "8h",
            Self::H12 => "12h",
            Self::D1 => "1d",
            Self::D3 => "3d",
            Self::W1 => "1w",
            Self::Mo1 => "1M",
        }
    }

    /// Length in milliseconds; `None` for the calendar month, whose length varies.
    #[must_use]
    pub const fn fixed_ms(self) -> Option<i64> {
        const MIN: i64 = 60_000;
        Some(match self {
            Self::M1 => MIN,
            Self::M3 => 3 * MIN,
            Self::M5 => 5 * MIN,
            Self::M15 => 15 * MIN,
            Self::M30 => 30 * MIN,
            Self::H1 => 60 * MIN,
            Self::H2 => 120 * MIN,
            Self::H4 => 240 * MIN,
            Self::H6 => 360 * MIN,
            Self::H8 => 480 * MIN,
            Self::H12 => 720 * MIN,
            Self::D1 => 1_440 * MIN,
            Self::D3 => 3 * 1_440 * MIN,
            Self::W1 => 7 * 1_440 * MIN,
            Self::Mo1 => return None,
        })
    }

    /// Whether candles of `longer` are made of whole candles of this interval: same or higher, and aligned.
    #[must_use]
    pub fn is_multiple(self, longer: Self) -> bool {
        match (self.fixed_ms(), longer.fixed_ms()) {
            (Some(short), Some(long)) => long % short == 0,
            // Months begin at midnight, so that only days and their parts fill them.
            (Some(_), None) => self <= Self::D1,
            (None, _) => self == longer,
        }
    }
}

impl fmt::Display for Timeframe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Timeframe {
    type Err = String;
    /// Case matters: `1m` is a minute, `1M` a month. `1mo`, the dump files' spelling, is read too.
    fn from_str(text: &str) -> Result<Self, String> {
        if text == "1mo" {
            return Ok(Self::Mo1);
        }
        Self::ALL.into_iter().find(|t| t.name() == text).ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(|t| t.name()).collect();
            format!("unknown interval {text:?}; expected one of {}", names.join(" "))
        })
    }
}
impl TryFrom<String> for Timeframe {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}
impl From<Timeframe> for String {
    fn from(timeframe: Timeframe) -> Self {
        timeframe.name().to_owned()
    }
}
