//! Candles of one symbol and interval as columns: ascending, on the grid, each price possible.
//!
//! Never invents a candle: where one is missing there is a gap, and neighbours are neighbours in time order only.

use super::{Candle, Interval, interval};
use std::ops::Range;

/// A validated run of closed candles, in columns of equal length.
#[derive(Clone, Debug, PartialEq)]
pub struct CandleSeries {
    interval: Interval,
    open_time_ms: Vec<i64>,
    open: Vec<f64>,
    high: Vec<f64>,
    low: Vec<f64>,
    close: Vec<f64>,
    volume: Vec<f64>,
    quote_volume: Vec<f64>,
    trade_count: Vec<u64>,
    taker_buy_volume: Vec<f64>,
    taker_buy_quote_volume: Vec<f64>,
}

/// Why a row cannot follow the rows before it.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[allow(missing_docs)]
pub enum SeriesError {
    #[error("candle {open_time_ms} does not open on the {interval} grid")]
    OffGrid { interval: Interval, open_time_ms: i64 },
    #[error("candle {open_time_ms} does not come after {previous_ms}")]
    NotAscending { open_time_ms: i64, previous_ms: i64 },
    #[error("candle {open_time_ms} has an impossible value: {what}")]
    Impossible { open_time_ms: i64, what: &'static str },
}

impl CandleSeries {
    /// An empty series.
    #[must_use]
    pub fn new(interval: Interval) -> Self {
        Self {
            interval,
            open_time_ms: Vec::new(),
            open: Vec::new(),
            high: Vec::new(),
            low: Vec::new(),
            close: Vec::new(),
            volume: Vec::new(),
            quote_volume: Vec::new(),
            trade_count: Vec::new(),
            taker_buy_volume: Vec::new(),
            taker_buy_quote_volume: Vec::new(),
        }
    }

    /// A series from candles in time order.
    ///
    /// # Errors
    /// The first candle that is off the grid, not after its predecessor, or impossible.
    pub fn from_candles(interval: Interval, candles: &[Candle]) -> Result<Self, SeriesError> {
        let mut series = Self::new(interval);
        for candle in candles {
            series.push(candle)?;
        }
        Ok(series)
    }

    /// Appends a candle.
    ///
    /// # Errors
    /// When the candle cannot follow; the series is unchanged then.
    pub fn push(&mut self, candle: &Candle) -> Result<(), SeriesError> {
        let open_time_ms = candle.open_time_ms;
        if interval::open_time_ms(self.interval, open_time_ms) != open_time_ms {
            return Err(SeriesError::OffGrid { interval: self.interval, open_time_ms });
        }
        if let Some(&previous_ms) = self.open_time_ms.last()
            && open_time_ms <= previous_ms
        {
            return Err(SeriesError::NotAscending { open_time_ms, previous_ms });
        }
        if let Some(what) = impossible(candle) {
            return Err(SeriesError::Impossible { open_time_ms, what });
        }
        self.open_time_ms.push(open_time_ms);
        self.open.push(candle.open);
        self.high.push(candle.high);
        self.low.push(candle.low);
        self.close.push(candle.close);
        self.volume.push(candle.volume);
        self.quote_volume.push(candle.quote_volume);
        self.trade_count.push(candle.trade_count);
        self.taker_buy_volume.push(candle.taker_buy_volume);
        self.taker_buy_quote_volume.push(candle.taker_buy_quote_volume);
        Ok(())
    }

    /// One series of several, each later than the one before it, in columns no longer than they need be.
    ///
    /// # Errors
    /// Where a series has another interval, or does not come after the one before it.
    pub fn concat(interval: Interval, parts: &[Self]) -> Result<Self, SeriesError> {
        let mut out = Self::new(interval);
        let mut previous: Option<i64> = None;
        for part in parts {
            let Some(&open_time_ms) = part.open_time_ms.first() else { continue };
            if part.interval != interval {
                return Err(SeriesError::OffGrid { interval, open_time_ms });
            }
            if let Some(previous_ms) = previous.filter(|previous_ms| open_time_ms <= *previous_ms) {
                return Err(SeriesError::NotAscending { open_time_ms, previous_ms });
            }
            previous = part.open_time_ms.last().copied();
        }
        fn join<T: Copy>(into: &mut Vec<T>, parts: &[CandleSeries], column: impl Fn(&CandleSeries) -> &[T]) {
            into.reserve_exact(parts.iter().map(CandleSeries::len).sum());
            parts.iter().for_each(|part| into.extend_from_slice(column(part)));
        }
        join(&mut out.open_time_ms, parts, |s| &s.open_time_ms);
        join(&mut out.open, parts, |s| &s.open);
        join(&mut out.high, parts, |s| &s.high);
        join(&mut out.low, parts, |s| &s.low);
        join(&mut out.close, parts, |s| &s.close);
        join(&mut out.volume, parts, |s| &s.volume);
        join(&mut out.quote_volume, parts, |s| &s.quote_volume);
        join(&mut out.trade_count, parts, |s| &s.trade_count);
        join(&mut out.taker_buy_volume, parts, |s| &s.taker_buy_volume);
        join(&mut out.taker_buy_quote_volume, parts, |s| &s.taker_buy_quote_volume);
        Ok(out)
    }

    /// The interval.
    #[must_use]
    pub fn interval(&self) -> Interval {
        self.interval
    }
    /// Number of candles.
    #[must_use]
    pub fn len(&self) -> usize {
        self.open_time_ms.len()
    }
    /// Whether there is no candle.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.open_time_ms.is_empty()
    }
    /// Open times, UTC ms.
    #[must_use]
    pub fn open_times_ms(&self) -> &[i64] {
        &self.open_time_ms
    }
    /// Opens.
    #[must_use]
    pub fn opens(&self) -> &[f64] {
        &self.open
    }
    /// Highs.
    #[must_use]
    pub fn highs(&self) -> &[f64] {
        &self.high
    }
    /// Lows.
    #[must_use]
    pub fn lows(&self) -> &[f64] {
        &self.low
    }
    /// Closes.
    #[must_use]
    pub fn closes(&self) -> &[f64] {
        &self.close
    }
    /// Base volumes.
    #[must_use]
    pub fn volumes(&self) -> &[f64] {
        &self.volume
    }
    /// Quote volumes; volume x close where the exchange gave none.
    #[must_use]
    pub fn traded_quote_volumes(&self) -> Vec<f64> {
        self.candles().map(|candle| candle.traded_quote_volume()).collect()
    }
    /// Quote volumes as the exchange gave them: 0 where it gave none.
    #[must_use]
    pub fn quote_volumes(&self) -> &[f64] {
        &self.quote_volume
    }
    /// Numbers of trades.
    #[must_use]
    pub fn trade_counts(&self) -> &[u64] {
        &self.trade_count
    }
    /// Base volumes that takers bought.
    #[must_use]
    pub fn taker_buy_volumes(&self) -> &[f64] {
        &self.taker_buy_volume
    }
    /// Close time of candle `i`, UTC ms.
    #[must_use]
    pub fn close_time_ms(&self, i: usize) -> i64 {
        interval::close_time_ms(self.interval, self.open_time_ms[i])
    }
    /// Close time of the last candle.
    #[must_use]
    pub fn last_close_time_ms(&self) -> Option<i64> {
        self.len().checked_sub(1).map(|i| self.close_time_ms(i))
    }
    /// Candle `i`.
    #[must_use]
    pub fn candle(&self, i: usize) -> Candle {
        Candle {
            open_time_ms: self.open_time_ms[i],
            open: self.open[i],
            high: self.high[i],
            low: self.low[i],
            close: self.close[i],
            volume: self.volume[i],
            close_time_ms: self.close_time_ms(i),
            quote_volume: self.quote_volume[i],
            trade_count: self.trade_count[i],
            taker_buy_volume: self.taker_buy_volume[i],
            taker_buy_quote_volume: self.taker_buy_quote_volume[i],
        }
    }
    /// All candles in time order.
    pub fn candles(&self) -> impl Iterator<Item = Candle> + '_ {
        (0..self.len()).map(|i| self.candle(i))
    }
    /// Where the candles stand that open from `open_ms` to `close_ms`, if they leave none of this time out: of a coarser
    /// candle with these ends, those inside it.
    #[must_use]
    pub fn covering(&self, open_ms: i64, close_ms: i64) -> Option<Range<usize>> {
        let inside =
            self.open_time_ms.partition_point(|&t| t < open_ms)..self.open_time_ms.partition_point(|&t| t <= close_ms);
        let covered_ms = self.interval.fixed_ms()? * i64::try_from(inside.len()).ok()?;
        (covered_ms == close_ms + 1 - open_ms).then_some(inside)
    }
    /// The candles that closed before a time, UTC ms.
    #[must_use]
    pub fn closed_before(&self, time_ms: i64) -> Self {
        let is_closed = |open_ms: &i64| interval::close_time_ms(self.interval, *open_ms) < time_ms;
        let count = self.open_time_ms.partition_point(is_closed);
        self.slice(i64::MIN, self.open_time_ms.get(count).copied().unwrap_or(i64::MAX))
    }
    /// The candles that open in `[from_ms, to_ms)`.
    #[must_use]
    pub fn slice(&self, from_ms: i64, to_ms: i64) -> Self {
        let a = self.open_time_ms.partition_point(|&t| t < from_ms);
        let b = self.open_time_ms.partition_point(|&t| t < to_ms).max(a);
        Self {
            interval: self.interval,
            open_time_ms: self.open_time_ms[a..b].to_vec(),
            open: self.open[a..b].to_vec(),
            high: self.high[a..b].to_vec(),
            low: self.low[a..b].to_vec(),
            close: self.close[a..b].to_vec(),
            volume: self.volume[a..b].to_vec(),
            quote_volume: self.quote_volume[a..b].to_vec(),
            trade_count: self.trade_count[a..b].to_vec(),
            taker_buy_volume: self.taker_buy_volume[a..b].to_vec(),
            taker_buy_quote_volume: self.taker_buy_quote_volume[a..b].to_vec(),
        }
    }
}

/// What makes a candle impossible, if anything does.
#[must_use]
pub fn impossible(c: &Candle) -> Option<&'static str> {
    let prices = [c.open, c.high, c.low, c.close];
    let amounts = [c.volume, c.quote_volume, c.taker_buy_volume, c.taker_buy_quote_volume];
    if prices.iter().any(|p| !p.is_finite() || *p <= 0.0) {
        Some("a price that is not a positive number")
    } else if amounts.iter().any(|v| !v.is_finite() || *v < 0.0) {
        Some("a volume that is negative or not a number")
    } else if c.high < c.open.max(c.close) || c.low > c.open.min(c.close) {
        Some("open or close outside low to high")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_candle_has_closed_once_its_last_millisecond_is_over() {
        let mut series = CandleSeries::new(Interval::H4);
        // One is missing.
        for slot in [0, 1, 3] {
            let open_time_ms = slot * 14_400_000;
            let candle = Candle {
                open_time_ms,
                open: 1.0,
                high: 1.0,
                low: 1.0,
                close: 1.0,
                volume: 0.0,
                close_time_ms: open_time_ms + 14_399_999,
                quote_volume: 0.0,
                trade_count: 0,
                taker_buy_volume: 0.0,
                taker_buy_quote_volume: 0.0,
            };
            series.push(&candle).unwrap();
        }
        let closed = |time_ms: i64| series.closed_before(time_ms).len();
        assert_eq!([i64::MIN, 0, 14_399_999, 14_400_000, 28_800_000].map(closed), [0, 0, 0, 1, 2]);
        assert_eq!([43_200_000, 57_599_999, 57_600_000, i64::MAX].map(closed), [2, 2, 3, 3]);
    }
}
