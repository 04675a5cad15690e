//! Small replaceable models of what trading costs, and what it costs by venue.
//!
//! Knows prices, volumes and volatility as numbers; never sees a strategy or a position.

use super::Side;
use candles::MarketKind;
use serde::{Deserialize, Serialize};

/// Most that slippage moves a fill, as a fraction of the price. A candle without volume would otherwise have no
/// price at all; at this cap such a fill is ruinous, but finite and positive.
pub const MAX_SLIPPAGE_FRACTION: f64 = 0.5;

/// The same in basis points: a cap on slippage above it would cap nothing.
pub const MAX_SLIPPAGE_BPS: f64 = 1e4 * MAX_SLIPPAGE_FRACTION;

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
    /// What a short pays for what it has borrowed and sold, a year, as a fraction of its value when it is bought back.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub borrow_rate_per_year: f64,
    /// Most that slippage costs a fill, basis points of the price: what the model charges beyond it is cut, and the order
    /// fills. `None`: the model's own bound alone. For backtests that somebody asks for; no venue promises it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_slippage_bps: Option<f64>,
}

/// Most that borrowing can cost a year, a multiple of the value.
const MAX_BORROW_RATE: f64 = 100.0;

const fn one_percent() -> f64 {
    0.01
}

/// What costs nothing is not said, so that what was stored before is the same text.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_zero(value: &f64) -> bool {
    *value == 0.0
}

impl Default for Costs {
    /// Those of the reference workload, and of no venue: 0.0004 a side, no slippage, 0.5 % maintenance margin, 1 % where
    /// an instrument ends, no borrow.
    fn default() -> Self {
        Self {
            fee_fraction: 0.0004,
            slippage: Slippage::Fixed { bps: 0.0 },
            maintenance_margin_fraction: 0.005,
            delisting_fraction: one_percent(),
            borrow_rate_per_year: 0.0,
            max_slippage_bps: None,
        }
    }
}

/// What trading costs by venue, for strategies of every kind: what the configuration says.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VenueCosts {
    /// Fee on spot, a fraction of notional, each side.
    pub spot_fee_fraction: f64,
    /// Fee of whoever takes on USD-M futures, a fraction of notional, each side.
    pub um_fee_fraction: f64,
    /// Slippage on every fill that takes liquidity, stops among them.
    pub slippage: Slippage,
    /// What is sold short on spot has to be borrowed: what that costs a year, a fraction of its value.
    pub spot_borrow_rate_per_year: f64,
    /// See [`Costs`].
    pub maintenance_margin_fraction: f64,
    /// See [`Costs`].
    pub delisting_fraction: f64,
}

impl Default for VenueCosts {
    /// 10 basis points a side on spot, 5 on USD-M; no slippage, no borrow; the rest as [`Costs`].
    fn default() -> Self {
        let costs = Costs::default();
        Self {
            spot_fee_fraction: 0.001,
            um_fee_fraction: 0.0005,
            slippage: costs.slippage,
            spot_borrow_rate_per_year: 0.0,
            maintenance_margin_fraction: costs.maintenance_margin_fraction,
            delisting_fraction: costs.delisting_fraction,
        }
    }
}

impl VenueCosts {
    /// What a trade costs there.
    #[must_use]
    pub const fn of(&self, venue: MarketKind) -> Costs {
        let (fee_fraction, borrow_rate_per_year) = match venue {
            MarketKind::Spot => (self.spot_fee_fraction, self.spot_borrow_rate_per_year),
            // A short future borrows nothing: funding is what holding it costs.
            MarketKind::Um => (self.um_fee_fraction, 0.0),
        };
        Costs {
            fee_fraction,
            slippage: self.slippage,
            maintenance_margin_fraction: self.maintenance_margin_fraction,
            delisting_fraction: self.delisting_fraction,
            borrow_rate_per_year,
            max_slippage_bps: None,
        }
    }
}

impl Costs {
    /// How far a fill moves, as a fraction of the price: what the model says (see [`Slippage::fraction`]), or the cap where
    /// that is less. Undefined (NaN) where the model's is.
    #[must_use]
    pub fn slippage_fraction(&self, price: f64, units: f64, atr: f64, volume: f64) -> f64 {
        let charged = self.slippage.fraction(price, units, atr, volume);
        match self.max_slippage_bps {
            Some(most) if charged > most / 1e4 => most / 1e4,
            _ => charged,
        }
    }

    /// What a loan of a value costs that is paid back after so long.
    #[inline(always)]
    pub(super) fn borrow(&self, value: f64, held_ms: i64) -> f64 {
        const YEAR_MS: f64 = 365.0 * 86_400_000.0;
        self.borrow_rate_per_year * (held_ms as f64 / YEAR_MS) * value
    }

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
        if !(0.0..=MAX_BORROW_RATE).contains(&self.borrow_rate_per_year) {
            let value = self.borrow_rate_per_year;
            return Err(format!("borrow_rate_per_year must be 0 to {MAX_BORROW_RATE}, not {value}"));
        }
        if let Some(value) = self.max_slippage_bps
            && !(value > 0.0 && value <= MAX_SLIPPAGE_BPS)
        {
            return Err(format!("max_slippage_bps must be above 0 and at most {MAX_SLIPPAGE_BPS}, not {value}"));
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
    fn a_cap_cuts_what_is_charged_and_raises_nothing() {
        let capped = |slippage, most| Costs { slippage, max_slippage_bps: Some(most), ..Costs::default() };
        let square_root = Slippage::SquareRoot { coefficient: 0.1 };
        assert_eq!(capped(square_root, 20.0).slippage_fraction(200.0, 4.0, 0.0, 16.0), 0.002);
        assert_eq!(capped(square_root, 20.0).slippage_fraction(200.0, 1.0, 0.0, 0.0), 0.002, "no volume");
        assert_eq!(capped(square_root, 600.0).slippage_fraction(200.0, 4.0, 0.0, 16.0), 0.05);
        assert_eq!(capped(Slippage::Fixed { bps: 5.0 }, 2.0).slippage_fraction(200.0, 1.0, f64::NAN, 0.0), 0.0002);
        assert!(capped(Slippage::Atr { fraction: 0.1 }, 2.0).slippage_fraction(200.0, 1.0, f64::NAN, 0.0).is_nan());
        for wrong in [0.0, -1.0, f64::NAN, f64::INFINITY, MAX_SLIPPAGE_BPS + 1.0] {
            let why = capped(square_root, wrong).validate().unwrap_err();
            assert!(why.contains("max_slippage_bps must be above 0 and at most 5000"), "{why}");
        }
        let costs = capped(square_root, MAX_SLIPPAGE_BPS);
        assert!(costs.validate().is_ok());
        let text = serde_json::to_string(&costs).unwrap();
        assert_eq!(serde_json::from_str::<Costs>(&text).unwrap(), costs);
        assert!(!serde_json::to_string(&Costs::default()).unwrap().contains("max_slippage"));
    }

    #[test]
    fn slippage_moves_against_the_trader() {
        assert_eq!(slipped(100.0, 0.01, Side::Long), 101.0);
        assert_eq!(slipped(100.0, 0.01, Side::Short), 99.0);
    }

    #[test]
    fn each_venue_has_its_fee_and_only_spot_shorts_borrow() {
        let venues = VenueCosts { spot_borrow_rate_per_year: 0.05, ..VenueCosts::default() };
        let (spot, um) = (venues.of(MarketKind::Spot), venues.of(MarketKind::Um));
        assert_eq!((spot.fee_fraction, spot.borrow_rate_per_year), (0.001, 0.05));
        assert_eq!((um.fee_fraction, um.borrow_rate_per_year), (0.0005, 0.0));
        assert_eq!((spot.slippage, um.slippage), (venues.slippage, venues.slippage));
        // What was stored before there was borrow reads and is written the same.
        let stored = serde_json::to_string(&Costs::default()).unwrap();
        assert!(!stored.contains("borrow"), "{stored}");
        assert_eq!(serde_json::from_str::<Costs>(&stored).unwrap(), Costs::default());
        let text = serde_json::to_string(&spot).unwrap();
        assert_eq!(serde_json::from_str::<Costs>(&text).unwrap(), spot);
    }

    #[test]
    fn impossible_costs_are_named() {
        let borrow = Costs { borrow_rate_per_year: f64::NAN, ..Costs::default() };
        assert!(borrow.validate().unwrap_err().contains("borrow_rate_per_year must be 0 to 100"));
        let costs = Costs { fee_fraction: -0.1, ..Costs::default() };
        assert!(costs.validate().unwrap_err().contains("fee_fraction"));
        assert!(Costs { slippage: Slippage::Fixed { bps: f64::NAN }, ..Costs::default() }.validate().is_err());
        assert!(Costs::default().validate().is_ok());
    }
}
