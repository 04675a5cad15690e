//! Rows of another program's file on their way to candles: times by format, order, refusals.

use super::{ForeignError, Mapping, TimeFormat, nothing};
use crate::dumps::{Refused, Rows};
use candles::{Candle, Interval, interval};
use chrono::NaiveDateTime;

/// More rows than any file of candles has.
const MAX_ROWS: usize = 20_000_000;
/// Refused rows described one by one.
const MAX_REFUSED_SHOWN: usize = 20;
/// Above this share of refused rows the file is not what its mapping says.
const MAX_REFUSED_FRACTION: f64 = 0.05;
/// From so many rows on two of them are neighbours.
const FEW_ROWS: usize = 3;
/// Times outside are mistakes of the unit: 1973 to the year 5138, in ms.
const PLAUSIBLE_MS: std::ops::Range<i64> = 100_000_000_000..100_000_000_000_000;

/// A row as it was read: time in UTC ms, open, high, low, close, volume.
pub(super) type Row = (i64, [f64; 5]);

/// Collects rows into candles, in time order.
pub(super) struct Collector {
    interval: Interval,
    rows: Vec<(u64, Row)>,
    read: u64,
    refused: Vec<Refused>,
    refused_count: u64,
}

impl Collector {
    pub(super) fn new(interval: Interval) -> Self {
        Self { interval, rows: Vec::new(), read: 0, refused: Vec::new(), refused_count: 0 }
    }

    /// Takes a row, or notes why it is none. `line` counts from 1.
    pub(super) fn take(&mut self, line: u64, row: Result<Row, String>) -> Result<(), ForeignError> {
        self.read += 1;
        if self.rows.len() >= MAX_ROWS {
            return Err(ForeignError::TooLong(MAX_ROWS));
        }
        match row {
            Ok(row) => self.rows.push((line, row)),
            Err(why) => self.refuse(line, why),
        }
        Ok(())
    }

    fn refuse(&mut self, line: u64, why: String) {
        self.refused_count += 1;
        if self.refused.len() < MAX_REFUSED_SHOWN {
            self.refused.push(Refused { line, why });
        }
    }

    /// The candles. Rows may come newest first, as some programs write them; within one order, disorder is refused.
    pub(super) fn finish(mut self) -> Result<Rows, ForeignError> {
        let mut rows = std::mem::take(&mut self.rows);
        if rows.first().zip(rows.last()).is_some_and(|(first, last)| first.1.0 > last.1.0) {
            rows.reverse();
        }
        let mut out = nothing(self.interval);
        for (line, (open_time_ms, [open, high, low, close, volume])) in rows {
            let candle = Candle {
                open_time_ms,
                open,
                high,
                low,
                close,
                volume,
                close_time_ms: interval::close_time_ms(self.interval, open_time_ms),
                quote_volume: 0.0,
                trade_count: 0,
                taker_buy_volume: 0.0,
                taker_buy_quote_volume: 0.0,
            };
            if let Err(e) = out.series.push(&candle) {
                self.refuse(line, e.to_string());
            }
        }
        out.rows = self.read;
        out.refused_count = self.refused_count;
        out.refused = self.refused;
        if let Some(first) = out.refused.first()
            && (out.series.is_empty() || out.refused_count as f64 > MAX_REFUSED_FRACTION * out.rows as f64)
        {
            let (line, why) = (first.line, first.why.clone());
            return Err(ForeignError::TooManyBadRows { refused: out.refused_count, rows: out.rows, line, why });
        }
        let times = out.series.open_times_ms();
        // Rows of an hour lie on the grid of a quarter, too.
        if let (Some(nearest), Some(length)) =
            (times.windows(2).map(|pair| pair[1] - pair[0]).min(), self.interval.fixed_ms())
            && times.len() >= FEW_ROWS
            && nearest > length
        {
            return Err(ForeignError::OtherInterval(nearest / 1_000, self.interval));
        }
        if out.series.is_empty() { Err(ForeignError::Empty) } else { Ok(out) }
    }
}

/// A counted time in UTC ms.
pub(super) fn counted_ms(time: i64, per_ms: i64, mapping: &Mapping) -> Result<i64, String> {
    let ms = match per_ms {
        0 => time.checked_mul(1_000).ok_or_else(|| format!("{time} is no time in seconds"))?,
        _ if time % per_ms == 0 => time / per_ms,
        _ => return Err(format!("{time} is not on a millisecond")),
    };
    if !PLAUSIBLE_MS.contains(&ms) {
        return Err(format!("{time} is no time of a candle in the unit that the mapping says"));
    }
    Ok(ms - i64::from(mapping.utc_offset_minutes) * 60_000)
}

/// A written time in UTC ms.
pub(super) fn time_ms(text: &str, mapping: &Mapping) -> Result<i64, String> {
    match &mapping.time_format {
        TimeFormat::Unix { per_ms } => {
            // Some programs write whole numbers as 1711929600000.0.
            let digits = text.strip_suffix(".0").unwrap_or(text);
            let time = digits.parse().map_err(|_| format!("time {text:?} is not a whole number"))?;
            counted_ms(time, *per_ms, mapping)
        }
        TimeFormat::Text(format) => {
            let parsed = NaiveDateTime::parse_from_str(text, format).or_else(|_| {
                let day = chrono::NaiveDate::parse_from_str(text, format)?;
                Ok::<_, chrono::ParseError>(day.and_time(chrono::NaiveTime::MIN))
            });
            let time = parsed.map_err(|_| format!("time {text:?} is not written as {format}"))?;
            Ok(time.and_utc().timestamp_millis() - i64::from(mapping.utc_offset_minutes) * 60_000)
        }
    }
}
