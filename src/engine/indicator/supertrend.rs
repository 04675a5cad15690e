//! SuperTrend (Olivier Seban): a stop line that follows the price at a multiple of ATR and changes sides when crossed.
//!
//! With a = ATR(n) and mid = (high + low) / 2, the bands are mid + k a and mid - k a, but the upper band only falls
//! and the lower only rises, as long as the close before did not cross it. Up turns to down when a close is below the
//! lower band, down to up when one is above the upper band. It starts up if the first close with an ATR is not below
//! its candle's middle.
//! - `supertrend(n, k)` = the lower band while up, the upper band while down
//! - `supertrend_direction(n, k)` = 1 while up, -1 while down
//!
//! Both are defined from index n.

use super::{
    Column,
    ticks::{PER_UNIT, Ticks, above},
    true_range::atr_ticks,
};
use candles::CandleSeries;

/// Bands in ticks.
#[derive(Clone, Copy, Debug)]
struct State {
    upper: f64,
    lower: f64,
    up: bool,
}

impl State {
    #[inline]
    fn step(previous: Option<(Self, f64)>, middle: f64, half: f64, close: f64) -> Self {
        let (upper, lower) = (middle + half, middle - half);
        let Some((before, close_before)) = previous else {
            return Self { upper, lower, up: close >= middle };
        };
        let upper = if upper < before.upper || above(close_before, before.upper) { upper } else { before.upper };
        let lower = if lower > before.lower || above(before.lower, close_before) { lower } else { before.lower };
        let up = if before.up { !above(lower, close) } else { above(close, upper) };
        Self { upper, lower, up }
    }

    fn line(self) -> f64 {
        (if self.up { self.lower } else { self.upper }) / PER_UNIT
    }

    fn direction(self) -> f64 {
        if self.up { 1.0 } else { -1.0 }
    }
}

pub(super) fn line(candles: &CandleSeries, n: usize, multiple: f64) -> Column {
    column(candles, n, multiple, State::line)
}

pub(super) fn direction(candles: &CandleSeries, n: usize, multiple: f64) -> Column {
    column(candles, n, multiple, State::direction)
}

fn column(candles: &CandleSeries, n: usize, multiple: f64, value: impl Fn(State) -> f64) -> Column {
    let ticks = Ticks::of(candles);
    let mut out = atr_ticks(&ticks, n);
    let mut previous = None;
    for (i, out) in out.iter_mut().enumerate().skip(n) {
        let (middle, close) = ((ticks.highs[i] + ticks.lows[i]) / 2.0, ticks.closes[i]);
        let state = State::step(previous, middle, multiple * *out, close);
        previous = Some((state, close));
        *out = value(state);
    }
    Column::new(out)
}
