//! Small replaceable models of what trading costs.
//!
//! Knows prices, volumes and volatility as numbers; never sees a strategy or a position.

use super::Side;
use serde::{Deserialize, Serialize};

/// Most that slippage moves a fill, as a fraction of the price. A candle without volume would otherwise have no
/// price at all; at this cap such a fill is ruinous, but finite and positive.
pub const MAX_SLIPPAGE_FRACTION: f64 = 0.5;

/// How far a fill is moved against the trader.
///
/// Applies to fills that take liquidity: entries, rule and time exits, stops, liquidations and the close at the
/// window's end. Take-profit fills, partial ones too, rest in the book as limit orders and get their own price.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "model", deny_unknown_fields)]
pub enum Slippage {
    /// A fixed number of basis points of the price.
    Fixed {
        /// Basis points.
        bps: f64,
    },
    /// A fraction of ATR(14) of the base timeframe as it stood at the close before the fill's candle. While that
    /// ATR is undefined nothing is entered.
    Atr {
        /// Fraction of one ATR.
        fraction: f64,
    },
    /// price x coefficient x sqrt(units filled / base volume of the fill's candle): the square-root law of impact.
    SquareRoot {
        /// Coefficient; 0.1 moves a fill of the whole volume by 10 %.
        coefficient: f64,
    },
}

impl Slippage {
    /// Period of the ATR that [`Slippage::Atr`] is a fraction of.
    pub const ATR_PERIOD: u32 = 14;

    /// How far a fill of `units` at `price` moves, as a fraction of the price in `[0, MAX_SLIPPAGE_FRACTION]`.
    ///
    /// `atr` (price units) and `volume` (base units) are those that the model's own documentation names; the
    /// other models do not look at them.
    #[must_use]
    pub fn fraction(&self, price: f64, units: f64, atr: f64, volume: f64) -> f64 {
        let fraction = match *self {
            Self::Fixed { bps } => bps / 1e4,
            Self::Atr { fraction } => fraction * atr / price,
            Self::SquareRoot { coefficient: 0.0 } => 0.0,
            Self::SquareRoot { coefficient } => coefficient * (units / volume).sqrt(),
        };
        fraction.clamp(0.0, MAX_SLIPPAGE_FRACTION)
    }
}

/// The price at which an order moved by `fraction` against the trader fills: higher for a buy, lower for a sell.
#[must_use]
pub(super) fn slipped(price: f64, fraction: f64, order: Side) -> f64 {
    match order {
        Side::Long => price * (1.0 + fraction),
        Side::Short => price * (1.0 - fraction),
    }
}

/// What a trade costs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Costs {
    /// Fee as a fraction of notional, each side.
    pub fee_fraction: f64,
    /// Slippage on every fill that takes liquidity.
    pub slippage: Slippage,
    /// Margin kept, as a fraction of notional, below which a leveraged position is liquidated.
    pub maintenance_margin_fraction: f64,
    /// Share of the notional that a portfolio loses where an instrument that it holds ends, in place of fee and slippage.
    #[serde(default = "one_percent")]
    pub delisting_fraction: f64,
}

const fn one_percent() -> f64 {
    0.01
}

impl Default for Costs {
    /// 0.0004 a side, no slippage, 0.5 % maintenance margin, 1 % where an instrument ends.
    fn default() -> Self {
        Self {
            fee_fraction: 0.0004,
            slippage: Slippage::Fixed { bps: 0.0 },
            maintenance_margin_fraction: 0.005,
            delisting_fraction: one_percent(),
        }
    }
}

impl Costs {
    /// Checks that the numbers can be a market's.
    ///
    /// # Errors
    /// The first value out of bounds, by name.
    pub fn validate(&self) -> Result<(), String> {
        let (name, value) = match self.slippage {
            Slippage::Fixed { bps } => ("slippage bps / 10000", bps / 1e4),
            Slippage::Atr { fraction } => ("slippage fraction", fraction),
            Slippage::SquareRoot { coefficient } => ("slippage coefficient", coefficient),
        };
        for (name, value) in [
            ("fee_fraction", self.fee_fraction),
            (name, value),
            ("maintenance_margin_fraction", self.maintenance_margin_fraction),
            ("delisting_fraction", self.delisting_fraction),
        ] {
            if !(0.0..1.0).contains(&value) {
                return Err(format!("{name} must be at least 0 and below 1, not {value}"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_model_follows_its_formula() {
        assert_eq!(Slippage::Fixed { bps: 5.0 }.fraction(200.0, 1.0, f64::NAN, 0.0), 0.0005);
        assert_eq!(Slippage::Atr { fraction: 0.1 }.fraction(200.0, 1.0, 4.0, 0.0), 0.1 * 4.0 / 200.0);
        assert_eq!(Slippage::SquareRoot { coefficient: 0.1 }.fraction(200.0, 4.0, 0.0, 16.0), 0.05);
    }

    #[test]
    fn a_candle_without_volume_costs_the_cap_unless_impact_is_off() {
        let cost = |coefficient| Slippage::SquareRoot { coefficient }.fraction(200.0, 1.0, 0.0, 0.0);
        assert_eq!(cost(0.1), MAX_SLIPPAGE_FRACTION);
        assert_eq!(cost(0.0), 0.0);
    }

    #[test]
    fn slippage_moves_against_the_trader() {
        assert_eq!(slipped(100.0, 0.01, Side::Long), 101.0);
        assert_eq!(slipped(100.0, 0.01, Side::Short), 99.0);
    }

    #[test]
    fn impossible_costs_are_named() {
        let costs = Costs { fee_fraction: -0.1, ..Costs::default() };
        assert!(costs.validate().unwrap_err().contains("fee_fraction"));
        assert!(Costs { slippage: Slippage::Fixed { bps: f64::NAN }, ..Costs::default() }.validate().is_err());
        assert!(Costs::default().validate().is_ok());
    }
}
