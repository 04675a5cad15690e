//! Small replaceable models of what trading costs.

use serde::{Deserialize, Serialize};

/// How far a fill is moved against the trader.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "model", deny_unknown_fields)]
pub enum Slippage {
    /// A fixed number of basis points of the price.
    Fixed {
        /// Basis points.
        bps: f64,
    },
    /// A fraction of ATR(14) as it stood at the close before the fill.
    Atr {
        /// Fraction of one ATR.
        fraction: f64,
    },
    /// price x coefficient x sqrt(notional / quote value of the candle's volume): the square-root law of impact.
    SquareRoot {
        /// Coefficient; 0.1 moves a fill of the whole volume by 10 %.
        coefficient: f64,
    },
}

/// What a trade costs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Costs {
    /// Fee as a fraction of notional, each side.
    pub fee_fraction: f64,
    /// Slippage on every fill but those at a stop's or target's own price... see `execution`.
    pub slippage: Slippage,
    /// Margin kept, as a fraction of notional, below which a leveraged position is liquidated.
    pub maintenance_margin_fraction: f64,
}

impl Default for Costs {
    /// 0.0004 a side, no slippage.
    fn default() -> Self {
        Self { fee_fraction: 0.0004, slippage: Slippage::Fixed { bps: 0.0 }, maintenance_margin_fraction: 0.005 }
    }
}
