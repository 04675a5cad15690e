//! Coarser candles out of finer ones: exact, and closed ones only.
//!
//! Never invents anything: an interval without a finer candle has no coarser one, and a candle with a gap inside is
//! made of what exists. Sums are taken in time order. What a candle is made of never depends on later candles, so
//! resampling a longer series changes none of the candles that a shorter one gave.

use super::{Candle, CandleSeries, Interval, interval, series::SeriesError};

/// Why candles of one interval cannot become candles of another.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[allow(missing_docs)]
pub enum ResampleError {
    #[error("{to} candles cannot be made of {from} ones: their borders do not meet; start from a finer interval")]
    BordersDoNotMeet { from: Interval, to: Interval },
    #[error("the sum of {interval} candles is impossible: {source}")]
    Impossible { interval: Interval, source: SeriesError },
}

/// Whether each candle of `to` is a whole number of candles of `from`.
#[must_use]
pub fn can_resample(from: Interval, to: Interval) -> bool {
    const DAY_MS: i64 = 86_400_000;
    match (from.fixed_ms(), to.fixed_ms()) {
        (Some(from_ms), Some(to_ms)) => to_ms % from_ms == 0,
        // Months begin on days, and only lengths that divide a day meet every midnight.
        (Some(from_ms), None) => DAY_MS % from_ms == 0,
        (None, _) => from == to,
    }
}

/// The closed candles of interval `to` that the candles of `series` add up to.
///
/// - The first candle is dropped when the series begins inside it: then its open and its sums are not known.
/// - The last candle is dropped unless the last finer candle closes at its end or after it.
/// - To the same interval, the series comes back as it is.
///
/// Resampling in two steps gives the same candles, but can lack the first or the last one where finer candles are
/// missing next to it; so resample from the finest candles there are.
///
/// # Errors
/// When the borders of the two intervals do not meet (`3m` to `5m`, `3d` to `1w`, `1w` to `1M`), or volumes add up
/// to more than a number can hold.
pub fn resample(series: &CandleSeries, to: Interval) -> Result<CandleSeries, ResampleError> {
    let from = series.interval();
    if !can_resample(from, to) {
        return Err(ResampleError::BordersDoNotMeet { from, to });
    }
    if from == to {
        return Ok(series.clone());
    }
    let mut coarse = CandleSeries::new(to);
    let mut emit = |candle: Option<Candle>| match candle {
        Some(candle) => coarse.push(&candle).map_err(|source| ResampleError::Impossible { interval: to, source }),
        None => Ok(()),
    };
    let mut open_candle: Option<Candle> = None;
    let mut end_ms = i64::MIN;
    for fine in series.candles() {
        if fine.open_time_ms >= end_ms {
            let first = end_ms == i64::MIN;
            let open_time_ms = interval::open_time_ms(to, fine.open_time_ms);
            end_ms = interval::next_open_time_ms(to, open_time_ms);
            emit(open_candle.take())?;
            if !first || fine.open_time_ms == open_time_ms {
                open_candle = Some(Candle { open_time_ms, close_time_ms: end_ms - 1, ..fine });
            }
        } else if let Some(candle) = &mut open_candle {
            candle.high = candle.high.max(fine.high);
            candle.low = candle.low.min(fine.low);
            candle.close = fine.close;
            candle.volume += fine.volume;
            candle.quote_volume += fine.quote_volume;
            candle.trade_count = candle.trade_count.saturating_add(fine.trade_count);
            candle.taker_buy_volume += fine.taker_buy_volume;
            candle.taker_buy_quote_volume += fine.taker_buy_quote_volume;
        }
    }
    if series.last_close_time_ms().is_some_and(|close_ms| close_ms >= end_ms - 1) {
        emit(open_candle)?;
    }
    Ok(coarse)
}
