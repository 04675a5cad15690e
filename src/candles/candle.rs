//! One candle, as Binance gives it.

use serde::{Deserialize, Serialize};

/// A candle. Times are UTC milliseconds; `close_time_ms` is the next open time less 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Candle {
    pub open_time_ms: i64,
    pub open: f64,
    pub high: f64,
    pub low: f64,
    pub close: f64,
    /// Base volume.
    pub volume: f64,
    pub close_time_ms: i64,
    pub quote_volume: f64,
    pub trade_count: u64,
    pub taker_buy_volume: f64,
    pub taker_buy_quote_volume: f64,
}

impl Candle {
    /// The quote volume; volume x close where the exchange gave none.
    #[must_use]
    pub fn traded_quote_volume(&self) -> f64 {
        if self.quote_volume == 0.0 { self.volume * self.close } else { self.quote_volume }
    }
}
