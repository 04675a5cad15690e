//! Volume-weighted average of the typical price (high + low + close) / 3.
//!
//! - `vwap(n)` = sum of typical x volume / sum of volume over the last n candles. From index n - 1, where any of the n
//!   candles has volume; undefined over candles without any.
//! - `session_vwap` = the same over the candles since 00:00 UTC, counted by open time, this one included. Undefined
//!   until the day's first volume. On candles of a day or longer it is the typical price.
//!
//! Computed as a running weighted mean, so that the average of equal prices is that price to the bit.

use super::{Column, rolling, typical_prices, undefined};
use candles::CandleSeries;
use candles::time::DAY_MS;

/// A mean and the weight behind it.
#[derive(Clone, Copy, Debug, Default)]
struct Mean {
    value: f64,
    weight: f64,
}

impl Mean {
    #[inline]
    fn join(self, other: Self) -> Self {
        let weight = self.weight + other.weight;
        if self.weight == 0.0 {
            return Self { weight, ..other };
        }
        // Here the sum is positive.
        Self { value: self.value + (other.value - self.value) * (other.weight / weight), weight }
    }

    #[inline]
    fn defined(self) -> f64 {
        if self.weight > 0.0 { self.value } else { f64::NAN }
    }
}

pub(super) fn rolling_vwap(candles: &CandleSeries, n: usize) -> Column {
    let typical = typical_prices(candles);
    let volumes = candles.volumes();
    let mut out = undefined(candles.len());
    let element = |i: usize| Mean { value: typical[i], weight: volumes[i] };
    rolling::fold(candles.len(), n, element, Mean::join, |i, mean| out[i] = mean.defined());
    Column::new(out)
}

pub(super) fn session_vwap(candles: &CandleSeries) -> Column {
    let mut out = typical_prices(candles);
    let mut day = i64::MIN;
    let mut mean = Mean::default();
    for (i, value) in out.iter_mut().enumerate() {
        let today = candles.open_times_ms()[i].div_euclid(DAY_MS);
        if today != day {
            (day, mean) = (today, Mean::default());
        }
        mean = mean.join(Mean { value: *value, weight: candles.volumes()[i] });
        *value = mean.defined();
    }
    Column::new(out)
}
