//! A candle of the finest interval, as the path makes it and edges look at it. Never generates one.

/// Units of quote volume: millionths.
pub(crate) const QUOTE_SCALE: f64 = 1e6;

/// A base candle. Volumes are whole numbers of the symbol's smallest unit, so that sums are exact.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BaseCandle {
    /// First price, quote units.
    pub open: f64,
    /// Highest price.
    pub high: f64,
    /// Lowest price.
    pub low: f64,
    /// Last price.
    pub close: f64,
    /// Base volume, the symbol's smallest units.
    pub volume: u64,
    /// Quote volume, its smallest units.
    pub quote: u64,
    /// Number of trades.
    pub trades: u64,
    /// Base volume of taker buys.
    pub taker: u64,
    /// Quote volume of taker buys.
    pub taker_quote: u64,
}

impl BaseCandle {
    /// Takes in the candle that follows.
    pub(crate) fn extend(&mut self, next: &Self) {
        self.high = self.high.max(next.high);
        self.low = self.low.min(next.low);
        self.close = next.close;
        self.volume += next.volume;
        self.quote += next.quote;
        self.trades += next.trades;
        self.taker += next.taker;
        self.taker_quote += next.taker_quote;
    }
}
