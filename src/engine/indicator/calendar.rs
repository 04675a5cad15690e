//! When the candle closes, in UTC. A candle closes a millisecond before the next opens: the one that ends at 11:00
//! closes in hour 10, the one that ends on Monday at 00:00 on Sunday.
//!
//! - `hour_of_day` = 0 to 23
//! - `day_of_week` = Monday 0 to Sunday 6
//!
//! Both are defined from index 0.

use super::Column;
use candles::CandleSeries;
use candles::time::HOUR_MS;

/// The epoch was a Thursday.
const EPOCH_WEEKDAY: i64 = 3;

pub(super) fn hour_of_day(candles: &CandleSeries) -> Column {
    column(candles, |hours| hours.rem_euclid(24))
}

pub(super) fn day_of_week(candles: &CandleSeries) -> Column {
    column(candles, |hours| (hours.div_euclid(24) + EPOCH_WEEKDAY).rem_euclid(7))
}

/// `of` takes whole hours since the epoch.
fn column(candles: &CandleSeries, of: impl Fn(i64) -> i64) -> Column {
    let hours = (0..candles.len()).map(|i| candles.close_time_ms(i).div_euclid(HOUR_MS));
    Column::new(hours.map(|hours| of(hours) as f64).collect())
}
