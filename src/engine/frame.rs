//! One symbol's candles on one base timeframe, prepared for looking ahead from event to event.
//!
//! Computes nothing that a rule sees.

use super::{
    EvaluationError, FundingRate, SymbolWindow,
    simd::{BLOCK, Reach, Width, prefetch},
};
use candles::{CandleSeries, MarketReadings, Readings, Symbol, resample};
use genome::{Series, Timeframe};
use std::{collections::BTreeMap, ops::Range, sync::Arc};

/// A symbol's market on a base timeframe.
#[derive(Debug)]
pub(super) struct Frame<'a> {
    /// Of the vectors that loops over it use.
    pub width: Width,
    pub symbol: &'a Symbol,
    /// Candles of the base timeframe, warm-up included.
    pub candles: Arc<CandleSeries>,
    /// The candles of the data window, of which all timeframes are made.
    pub finest: &'a CandleSeries,
    /// Index of the first candle in the window.
    pub first: usize,
    /// Candles finer than the base timeframe, the finest first.
    pub finer: Vec<&'a CandleSeries>,
    pub funding: &'a [FundingRate],
    pub readings: &'a MarketReadings,
    pub across: &'a BTreeMap<Series, Readings>,
    /// Lowest low and highest high of each block.
    block_lows: Vec<f64>,
    block_highs: Vec<f64>,
    /// Length of a candle, where all are alike.
    step_ms: Option<i64>,
    /// It, and the open time of the first one, where no candle is missing: times need no memory then.
    without_gap: Option<(i64, i64)>,
}

impl<'a> Frame<'a> {
    pub(super) fn new(
        width: Width,
        data: &'a SymbolWindow,
        from_ms: i64,
        timeframe: Timeframe,
    ) -> Result<Self, EvaluationError> {
        let candles = if timeframe == data.candles.interval() {
            Arc::clone(&data.candles)
        } else {
            Arc::new(resample::resample(&data.candles, timeframe)?)
        };
        let stored = data.finer.iter().chain([&data.candles]).map(AsRef::as_ref);
        let finer = stored.filter(|candles: &&CandleSeries| candles.interval() < timeframe).collect();
        let first = candles.open_times_ms().partition_point(|&t| t < from_ms);
        let lowest = |lows: &[f64]| lows.iter().copied().fold(f64::INFINITY, f64::min);
        let highest = |highs: &[f64]| highs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let mut block_lows: Vec<f64> = candles.lows().chunks(BLOCK).map(lowest).collect();
        let mut block_highs: Vec<f64> = candles.highs().chunks(BLOCK).map(highest).collect();
        let blocks = block_lows.len().next_multiple_of(8);
        block_lows.resize(blocks, f64::INFINITY);
        block_highs.resize(blocks, f64::NEG_INFINITY);
        let (symbol, funding, finest) = (&data.symbol, &*data.funding, &*data.candles);
        let step_ms = timeframe.fixed_ms();
        let times_ms = candles.open_times_ms();
        let without_gap = step_ms.zip(times_ms.first().copied()).filter(|&(step_ms, first_ms)| {
            (0..).zip(times_ms).all(|(i, &time_ms): (i64, _)| time_ms == first_ms + step_ms * i)
        });
        let (readings, across) = (&*data.readings, &*data.across);
        Ok(Self {
            width,
            symbol,
            candles,
            finest,
            first,
            finer,
            funding,
            readings,
            across,
            block_lows,
            block_highs,
            step_ms,
            without_gap,
        })
    }

    /// Open time of candle `i`.
    #[inline(always)]
    pub(super) fn open_time_ms(&self, i: usize) -> i64 {
        match self.without_gap {
            Some((step_ms, first_ms)) => first_ms + step_ms * i as i64,
            None => self.candles.open_times_ms()[i],
        }
    }

    /// Close time of candle `i`.
    #[inline(always)]
    pub(super) fn close_time_ms(&self, i: usize) -> i64 {
        match self.step_ms {
            Some(step_ms) => self.open_time_ms(i) + step_ms - 1,
            None => self.candles.close_time_ms(i),
        }
    }

    /// Where prices reach.
    pub(super) fn reach(&self) -> Reach<'_> {
        let (block_lows, block_highs) = (self.block_lows.as_slice(), self.block_highs.as_slice());
        Reach { width: self.width, lows: self.candles.lows(), highs: self.candles.highs(), block_lows, block_highs }
    }

    /// Asks for what a fill at the open after candle `signal` looks at.
    pub(super) fn expect_fill(&self, signal: usize) {
        if let Some(open) = self.candles.opens().get(signal + 1) {
            prefetch(open);
        }
        if self.without_gap.is_none()
            && let Some(time_ms) = self.candles.open_times_ms().get(signal + 1)
        {
            prefetch(time_ms);
        }
        if let (Some(low), Some(high)) = (self.candles.lows().get(signal + 2), self.candles.highs().get(signal + 2)) {
            prefetch(low);
            prefetch(high);
        }
    }

    /// The finest candles that cover candle `i`, and where they begin and end in their series.
    pub(super) fn inside(&self, i: usize) -> Option<(&'a CandleSeries, Range<usize>)> {
        let (open_ms, close_ms) = (self.open_time_ms(i), self.close_time_ms(i));
        self.finer.iter().find_map(|finer| Some((*finer, finer.covering(open_ms, close_ms)?)))
    }

    /// First candle at which funding due at `time_ms` is settled: the one it falls into, or the first after the gap.
    pub(super) fn candle_of_funding(&self, time_ms: i64) -> usize {
        let after = self.candles.open_times_ms().partition_point(|&t| t <= time_ms);
        match after.checked_sub(1) {
            Some(i) if self.candles.close_time_ms(i) >= time_ms => i,
            _ => after,
        }
    }
}
