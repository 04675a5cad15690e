//! Symbols and markets by name.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr, sync::Arc};

/// A market of Binance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MarketKind {
    /// Spot.
    #[default]
    Spot,
    /// USD-M futures.
    Um,
}

impl fmt::Display for MarketKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Spot => "spot",
            Self::Um => "um",
        })
    }
}

impl FromStr for MarketKind {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "spot" => Ok(Self::Spot),
            "um" => Ok(Self::Um),
            _ => Err(format!("unknown market {text:?}; expected spot or um")),
        }
    }
}

/// A symbol as Binance stores it: `BTCUSDT`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Symbol(Arc<str>);

impl Symbol {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Symbol {
    type Err = String;
    /// Reads `BTCUSDT`, `BTC/USDT`, `BTC-USDT`, `BTC/USDT:USDT`, in either case.
    fn from_str(text: &str) -> Result<Self, String> {
        let pair = text.split(':').next().unwrap_or_default();
        let name: String = pair.chars().filter(|c| !matches!(c, '/' | '-')).collect::<String>().to_ascii_uppercase();
        let legal = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || matches!(c, '_' | '.');
        if (1..=20).contains(&name.len()) && name.chars().all(legal) && !name.starts_with('.') {
            Ok(Self(name.into()))
        } else {
            Err(format!("{text:?} is not a symbol; expected a name such as BTCUSDT or BTC/USDT"))
        }
    }
}
impl TryFrom<String> for Symbol {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}
impl From<Symbol> for String {
    fn from(symbol: Symbol) -> Self {
        symbol.0.as_ref().to_owned()
    }
}
impl fmt::Display for Symbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}
impl fmt::Debug for Symbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Symbol({})", self.0)
    }
}
