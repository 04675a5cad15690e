//! Calendar arithmetic of candle intervals: where candles open and close. Never reads a clock.

use crate::time::DAY_MS;
use chrono::{DateTime, Datelike, Months, TimeZone, Utc};

/// A candle interval: the same type that strategies name.
pub use genome::Timeframe as Interval;

/// Binance's weeks open on Monday; the epoch was a Thursday, so the first Monday is day 4.
const FIRST_MONDAY_MS: i64 = 4 * DAY_MS;

/// Open time of the candle of `interval` that holds `time_ms`.
///
/// Months and weeks follow the UTC calendar, all other intervals are counted from the Unix epoch.
#[must_use]
pub fn open_time_ms(interval: Interval, time_ms: i64) -> i64 {
    match (interval, interval.fixed_ms()) {
        (Interval::W1, Some(len)) => FIRST_MONDAY_MS + (time_ms - FIRST_MONDAY_MS).div_euclid(len) * len,
        (_, Some(len)) => time_ms.div_euclid(len) * len,
        (_, None) => month_start(time_ms).timestamp_millis(),
    }
}

/// Open time of the candle after the one that opens at `open_ms`.
#[must_use]
pub fn next_open_time_ms(interval: Interval, open_ms: i64) -> i64 {
    match interval.fixed_ms() {
        Some(len) => open_ms + len,
        None => {
            month_start(open_ms).checked_add_months(Months::new(1)).map_or(i64::MAX, |next| next.timestamp_millis())
        }
    }
}

/// Open time of the first candle that opens no earlier than `time_ms`.
#[must_use]
pub fn first_open_time_ms(interval: Interval, time_ms: i64) -> i64 {
    let open_ms = open_time_ms(interval, time_ms);
    if open_ms < time_ms { next_open_time_ms(interval, open_ms) } else { open_ms }
}

/// Close time of the candle that opens at `open_ms`: the next open time less 1.
#[must_use]
pub fn close_time_ms(interval: Interval, open_ms: i64) -> i64 {
    next_open_time_ms(interval, open_ms) - 1
}

fn month_start(time_ms: i64) -> DateTime<Utc> {
    let time = DateTime::from_timestamp_millis(time_ms).unwrap_or_default();
    Utc.with_ymd_and_hms(time.year(), time.month(), 1, 0, 0, 0).single().unwrap_or_default()
}
