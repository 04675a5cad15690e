//! A ticker: what an exchange lists under one name on one of its markets.
//!
//! Knows nothing of the instruments that it named in turn: `InstrumentTable::instruments` divides its candles into them.

use crate::{MarketKind, Symbol};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A symbol of a market, printed as `spot:BTCUSDT`. The two always travel together: one symbol of two markets has two
/// histories. Ordered by market, then by name. In JSON its two fields stand flat in what it is part of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Ticker {
    /// The market.
    pub market: MarketKind,
    /// Its name there.
    pub symbol: Symbol,
}

impl Ticker {
    /// The ticker of that name. Cheap: names are shared.
    #[must_use]
    pub fn of(market: MarketKind, symbol: &Symbol) -> Self {
        Self { market, symbol: symbol.clone() }
    }
}

impl fmt::Display for Ticker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.market, self.symbol)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_name_on_two_markets_is_two_tickers() {
        let symbol: Symbol = "BTCUSDT".parse().unwrap();
        let (spot, um) = (Ticker::of(MarketKind::Spot, &symbol), Ticker::of(MarketKind::Um, &symbol));
        assert!(spot < um);
        assert_eq!((spot.to_string().as_str(), um.to_string().as_str()), ("spot:BTCUSDT", "um:BTCUSDT"));
    }
}
