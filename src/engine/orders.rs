//! What is stored with a run of a strategy that ranks the market beside what is stored with every run. Trades nothing.

use serde::{Deserialize, Serialize};

/// Which market is ranked, and how orders meet it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RankedMarket {
    /// Quote asset; what is listed later and is paid in it counts, too.
    pub quote: String,
    /// How orders meet the market.
    pub execution: Execution,
}

/// How orders meet the market. What is 0 is off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Execution {
    /// Candles that pass between a decision's close and the open at which its orders fill.
    pub delay_candles: u32,
    /// Further opens at which an order is tried that found no candle.
    pub retry_candles: u32,
    /// Orders of less than this are not sent, but for those that close a position; quote units.
    pub least_notional: f64,
    /// Units are whole multiples of the greatest power of ten that is worth no more than this, rounded toward 0; quote
    /// units. It stands for the lot sizes of exchanges.
    pub lot_notional: f64,
    /// Greatest sum of absolute weights; beyond it all are scaled down.
    pub greatest_gross: f64,
    /// The same where one leg is empty.
    pub greatest_one_sided_gross: f64,
    /// Equity below this share of what is held closes everything: liquidation.
    pub maintenance_margin_fraction: f64,
    /// Cost of what is sold short on spot, a year, as a fraction of its value.
    pub borrow_rate_per_year: f64,
    /// On spot, short targets only in so many members of the greatest quote volume; 0: in all.
    pub borrowable_members: u32,
    /// Share of the last close that is lost where an instrument ends, if more than `costs.delisting_fraction`.
    pub frozen_exit_fraction: f64,
}

impl Execution {
    /// What a trader should expect: a candle of delay, retries for a day of 4h candles, lots of a dollar, orders of ten,
    /// margin, borrow, and bad exits from coins that stand still.
    #[must_use]
    pub const fn realistic() -> Self {
        Self {
            delay_candles: 1,
            retry_candles: 6,
            least_notional: 10.0,
            lot_notional: 1.0,
            greatest_gross: 3.0,
            greatest_one_sided_gross: 0.5,
            maintenance_margin_fraction: 0.05,
            borrow_rate_per_year: 0.1,
            borrowable_members: 30,
            frozen_exit_fraction: 0.3,
        }
    }
}
