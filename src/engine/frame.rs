//! One symbol's candles on one base timeframe, prepared for looking ahead from event to event.
//!
//! Computes nothing that a rule sees.

use super::{EvaluationError, FundingRate, SymbolWindow};
use crate::market::{CandleSeries, Symbol, resample};
use genome::Timeframe;
use std::sync::Arc;

/// Candles in a block, and in a block of blocks.
const BLOCK: usize = 16;
const LARGE: usize = 256;

/// Lowest low and highest high of a run of candles.
#[derive(Clone, Copy, Debug)]
struct Extremes {
    low: f64,
    high: f64,
}

/// A symbol's market on a base timeframe.
#[derive(Debug)]
pub(super) struct Frame<'a> {
    pub symbol: &'a Symbol,
    /// Candles of the base timeframe, warm-up included.
    pub candles: Arc<CandleSeries>,
    /// The candles of the data window, of which all timeframes are made.
    pub finest: &'a CandleSeries,
    /// Index of the first candle in the window.
    pub first: usize,
    /// Candles finer than the base timeframe, where there are any.
    pub finer: Option<&'a CandleSeries>,
    pub funding: &'a [FundingRate],
    blocks: Vec<Extremes>,
    large_blocks: Vec<Extremes>,
}

impl<'a> Frame<'a> {
    pub(super) fn new(data: &'a SymbolWindow, from_ms: i64, timeframe: Timeframe) -> Result<Self, EvaluationError> {
        let candles = if timeframe == data.candles.interval() {
            Arc::clone(&data.candles)
        } else {
            Arc::new(resample::resample(&data.candles, timeframe)?)
        };
        let finer = [data.finer.as_ref(), Some(&data.candles)]
            .into_iter()
            .flatten()
            .map(AsRef::as_ref)
            .find(|candles| candles.interval() < timeframe);
        let first = candles.open_times_ms().partition_point(|&t| t < from_ms);
        let extremes = |low: &[f64], high: &[f64]| Extremes {
            low: low.iter().copied().fold(f64::INFINITY, f64::min),
            high: high.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        };
        let lows_highs = candles.lows().chunks(BLOCK).zip(candles.highs().chunks(BLOCK));
        let blocks: Vec<Extremes> = lows_highs.map(|(low, high)| extremes(low, high)).collect();
        let large_blocks = blocks
            .chunks(LARGE / BLOCK)
            .map(|part| Extremes {
                low: part.iter().map(|e| e.low).fold(f64::INFINITY, f64::min),
                high: part.iter().map(|e| e.high).fold(f64::NEG_INFINITY, f64::max),
            })
            .collect();
        let (symbol, funding, finest) = (&data.symbol, &*data.funding, &*data.candles);
        Ok(Self { symbol, candles, finest, first, finer, funding, blocks, large_blocks })
    }

    /// First candle in `[from, to)` whose low is at or below `floor` or whose high is at or above `ceiling`; `to`
    /// where there is none.
    pub(super) fn first_touch(&self, from: usize, to: usize, floor: f64, ceiling: f64) -> usize {
        let (lows, highs) = (&self.candles.lows()[..to], &self.candles.highs()[..to]);
        let reaches = |e: &Extremes| e.low <= floor || e.high >= ceiling;
        let mut i = from;
        while i < to {
            if i.is_multiple_of(BLOCK) {
                if i.is_multiple_of(LARGE) && !reaches(&self.large_blocks[i / LARGE]) {
                    i += LARGE;
                    continue;
                }
                if !reaches(&self.blocks[i / BLOCK]) {
                    i += BLOCK;
                    continue;
                }
            }
            if lows[i] <= floor || highs[i] >= ceiling {
                return i;
            }
            i += 1;
        }
        to
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
