//! Wilder's directional movement (New Concepts in Technical Trading Systems, 1978).
//!
//! Of two neighbouring candles, up = high - previous high and down = previous low - low; +DM = up where up > down and
//! up > 0, else 0; -DM alike. Smoothed sums of +DM, -DM and the true range: seeded with the plain sum of the first
//! n - 1, then sum - sum / n + value.
//! - `plus_di(n)`, `minus_di(n)` = 100 x smoothed DM / smoothed true range. Defined from index n.
//! - `adx(n)`: DX = 100 x |+DI - -DI| / (+DI + -DI); seeded with the mean of the first n DX, then
//!   (adx x (n - 1) + DX) / n. Defined from index 2 n - 1.
//!
//! As TA-Lib's ADX, PLUS_DI and MINUS_DI, with its rules where there is nothing to divide: without range both DI are
//! 0; without any directional movement DX counts as 0 in the seed and leaves the ADX as it was later. "Nothing" is a
//! smoothed range below 1e-12 of the close, where only rounding is left of a market that stands still.

use super::{Column, rsi::wilder_step, ticks::Ticks, undefined};
use candles::CandleSeries;

/// Which line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Line {
    PlusDi,
    MinusDi,
}

/// Smoothed sums up to a candle, in ticks.
#[derive(Clone, Copy, Debug, Default)]
struct Movement {
    plus: f64,
    minus: f64,
    range: f64,
}

impl Movement {
    /// +DM, -DM and true range of candle `i`, which must not be the first.
    #[inline]
    fn of(ticks: &Ticks, i: usize) -> Self {
        let up = ticks.highs[i] - ticks.highs[i - 1];
        let down = ticks.lows[i - 1] - ticks.lows[i];
        Self {
            plus: if up > down && up > 0.0 { up } else { 0.0 },
            minus: if down > up && down > 0.0 { down } else { 0.0 },
            range: ticks.true_range(i),
        }
    }

    /// The first candle of the seed to the last.
    fn seed(ticks: &Ticks, n: usize) -> Self {
        (1..n).fold(Self::default(), |sum, i| {
            let one = Self::of(ticks, i);
            Self { plus: sum.plus + one.plus, minus: sum.minus + one.minus, range: sum.range + one.range }
        })
    }

    #[inline]
    fn step(self, one: Self, n: f64) -> Self {
        Self {
            plus: self.plus - self.plus / n + one.plus,
            minus: self.minus - self.minus / n + one.minus,
            range: self.range - self.range / n + one.range,
        }
    }

    #[inline]
    fn stands_still(self, close: f64) -> bool {
        self.range <= close * 1e-12
    }

    /// +DI and -DI.
    #[inline]
    fn indicators(self, close: f64) -> (f64, f64) {
        if self.stands_still(close) {
            (0.0, 0.0)
        } else {
            ((100.0 * self.plus / self.range).min(100.0), (100.0 * self.minus / self.range).min(100.0))
        }
    }

    /// DX, if there is any directional movement.
    #[inline]
    fn index(self, close: f64) -> Option<f64> {
        let total = self.plus + self.minus;
        (!self.stands_still(close) && total > 0.0).then(|| 100.0 * ((self.plus - self.minus).abs() / total))
    }
}

pub(super) fn indicator(candles: &CandleSeries, n: usize, line: Line) -> Column {
    let mut out = undefined(candles.len());
    if n > 0 && candles.len() > n {
        let ticks = Ticks::of(candles);
        let mut movement = Movement::seed(&ticks, n);
        for (i, out) in out.iter_mut().enumerate().skip(n) {
            movement = movement.step(Movement::of(&ticks, i), n as f64);
            let (plus, minus) = movement.indicators(ticks.closes[i]);
            *out = if line == Line::PlusDi { plus } else { minus };
        }
    }
    Column::new(out)
}

pub(super) fn adx(candles: &CandleSeries, n: usize) -> Column {
    Column::new(adx_values(candles, n))
}

/// ADX values, NaN before index 2 n - 1.
pub(super) fn adx_values(candles: &CandleSeries, n: usize) -> Vec<f64> {
    let mut out = undefined(candles.len());
    if n == 0 || candles.len() < 2 * n {
        return out;
    }
    let ticks = Ticks::of(candles);
    let closes = &ticks.closes;
    let period = n as f64;
    let mut movement = Movement::seed(&ticks, n);
    let mut sum = 0.0;
    for (i, &close) in closes.iter().enumerate().take(2 * n).skip(n) {
        movement = movement.step(Movement::of(&ticks, i), period);
        sum += movement.index(close).unwrap_or(0.0);
    }
    let mut average = sum / period;
    out[2 * n - 1] = average;
    for (i, out) in out.iter_mut().enumerate().skip(2 * n) {
        movement = movement.step(Movement::of(&ticks, i), period);
        if let Some(index) = movement.index(closes[i]) {
            average = wilder_step(average, index, period);
        }
        *out = average;
    }
    out
}
