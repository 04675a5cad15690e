//! What a simulated USD-M market publishes beside candles and funding: premium index, open interest, ratios.
//!
//! Follows from the seed and the time alone, and says nothing of where prices go: nothing can be learned from it.

use crate::generator::{MarketError, SimulatedMarket};
use candles::time::MINUTE_MS;
use candles::{Interval, Symbol, interval};
use rand::RngExt as _;
use rand_distr::StandardNormal;

/// Between two rows of metrics, ms.
pub const METRICS_EVERY_MS: i64 = 5 * MINUTE_MS;

/// A candle of the premium index; its values are fractions of the index price.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(missing_docs)]
pub struct PremiumCandle {
    pub open_time_ms: i64,
    pub open: f64,
    pub high: f64,
    pub low: f64,
    pub close: f64,
}

/// A row of metrics.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Metrics {
    /// When its five minutes end, UTC ms.
    pub time_ms: i64,
    /// Contracts of the base asset.
    pub open_interest: f64,
    /// In the quote asset.
    pub open_interest_value: f64,
    /// Long to short: accounts of top traders, their positions, all accounts; then bought to sold volume of takers.
    pub ratios: [f64; 4],
}

fn rounded(value: f64, decimals: i32) -> f64 {
    let scale = 10f64.powi(decimals);
    (value * scale).round() / scale
}

impl SimulatedMarket {
    /// Candles of a symbol's premium index that open in `[from_ms, to_ms)`.
    ///
    /// # Errors
    /// An unknown symbol, an interval finer than the base, or a time a century away.
    pub fn premium(
        &self,
        symbol: &Symbol,
        interval: Interval,
        from_ms: i64,
        to_ms: i64,
    ) -> Result<Vec<PremiumCandle>, MarketError> {
        let (listed_ms, delisted_ms) = self.life(self.check(symbol, interval)?);
        self.check_reach(to_ms)?;
        let to_ms = to_ms.min(delisted_ms);
        let seed = self.spec().seed.child("premium", 0).child(symbol.as_str(), 0);
        // Of a moment, so that candles of all intervals agree.
        let at = |time_ms: i64| {
            let noise: f64 = seed.stream("at", time_ms as u64).sample(StandardNormal);
            rounded((0.0002 * noise).clamp(-0.01, 0.01), 8)
        };
        let mut found = Vec::new();
        let mut open_time_ms = interval::first_open_time_ms(interval, from_ms.max(listed_ms));
        while open_time_ms < to_ms {
            let next_ms = interval::next_open_time_ms(interval, open_time_ms);
            let (open, close) = (at(open_time_ms), at(next_ms));
            let (high, low) = (open.max(close) + 0.0001, open.min(close) - 0.0001);
            found.push(PremiumCandle { open_time_ms, open, high, low, close });
            open_time_ms = next_ms;
        }
        Ok(found)
    }

    /// Rows of a symbol's metrics, every five minutes, stamped in `(from_ms, to_ms]`.
    ///
    /// # Errors
    /// An unknown symbol or a time a century away.
    pub fn metric_rows(&self, symbol: &Symbol, from_ms: i64, to_ms: i64) -> Result<Vec<Metrics>, MarketError> {
        let (listed_ms, delisted_ms) = self.life(self.check(symbol, Interval::Mo1)?);
        self.check_reach(to_ms)?;
        let to_ms = to_ms.min(delisted_ms);
        let seed = self.spec().seed.child("metrics", 0).child(symbol.as_str(), 0);
        let first = from_ms.max(listed_ms).div_euclid(METRICS_EVERY_MS) + 1;
        let row = |n: i64| {
            let mut stream = seed.stream("at", n as u64);
            let mut spread = |by: f64| (by * stream.sample::<f64, _>(StandardNormal)).exp();
            let open_interest = rounded(100_000.0 * spread(0.05), 3);
            let ratios = [0.05, 0.05, 0.05, 0.2].map(|by| rounded(spread(by), 10));
            let open_interest_value = rounded(open_interest * 100.0, 2);
            Metrics { time_ms: n * METRICS_EVERY_MS, open_interest, open_interest_value, ratios }
        };
        Ok((first..=to_ms.div_euclid(METRICS_EVERY_MS)).map(row).collect())
    }
}
