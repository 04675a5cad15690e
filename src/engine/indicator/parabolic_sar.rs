//! Wilder's parabolic stop and reverse (New Concepts in Technical Trading Systems, 1978).
//!
//! `parabolic_sar(step, maximum)`: a stop that each candle moves by a factor of its distance to the trend's extreme.
//! The factor starts at `step` (or `maximum`, if that is less) and grows by it at each new extreme, up to `maximum`.
//! The stop never enters the range of the last two candles; a candle that touches it turns the trend, and the old
//! extreme becomes the stop. The first trend is down when the second candle's low fell by more than its high rose.
//! Defined from index 1. As TA-Lib's SAR.

use super::{Column, ticks::ticks, undefined};
use candles::CandleSeries;

/// The stop of the next candle, and what moves it.
#[derive(Clone, Copy, Debug)]
struct Trend {
    long: bool,
    stop: f64,
    extreme: f64,
    factor: f64,
}

impl Trend {
    /// Takes a candle; returns the stop as it stands over it.
    #[inline]
    fn step(&mut self, (high, low): (f64, f64), (high_before, low_before): (f64, f64), step: f64, maximum: f64) -> f64 {
        let touched = if self.long { low <= self.stop } else { high >= self.stop };
        if touched {
            self.long = !self.long;
            self.stop = self.outside(self.extreme, (high, low), (high_before, low_before));
            self.extreme = if self.long { high } else { low };
            self.factor = step;
        }
        let over_this = self.stop;
        if !touched && (if self.long { high > self.extreme } else { low < self.extreme }) {
            self.extreme = if self.long { high } else { low };
            self.factor = (self.factor + step).min(maximum);
        }
        let moved = self.stop + self.factor * (self.extreme - self.stop);
        self.stop = self.outside(moved, (high, low), (high_before, low_before));
        over_this
    }

    /// Keeps a stop below the lows of a rise, and above the highs of a fall.
    #[inline]
    fn outside(&self, stop: f64, (high, low): (f64, f64), (high_before, low_before): (f64, f64)) -> f64 {
        if self.long { stop.min(low_before).min(low) } else { stop.max(high_before).max(high) }
    }
}

pub(super) fn parabolic_sar(candles: &CandleSeries, step: f64, maximum: f64) -> Column {
    let mut out = undefined(candles.len());
    if let ([first_high, second_high, ..], [first_low, second_low, ..]) = (candles.highs(), candles.lows()) {
        let step = step.min(maximum);
        let (rise, fall) = (ticks(*second_high) - ticks(*first_high), ticks(*first_low) - ticks(*second_low));
        let long = !(fall > 0.0 && fall > rise);
        let (stop, extreme) = if long { (*first_low, *second_high) } else { (*first_high, *second_low) };
        let mut trend = Trend { long, stop, extreme, factor: step };
        let mut before = (*second_high, *second_low);
        let pairs = candles.highs().iter().copied().zip(candles.lows().iter().copied());
        for (out, candle) in out.iter_mut().zip(pairs).skip(1) {
            *out = trend.step(candle, before, step, maximum);
            before = candle;
        }
    }
    Column::new(out)
}
