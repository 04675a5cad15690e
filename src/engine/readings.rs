//! Columns of what the market publishes beside candles and of what models predict, as it was known at each candle's close.
//!
//! Never looks at a reading that was not known by then, and never fills in for a source that has stopped.

use super::indicator::Column;
use candles::{CandleSeries, MarketReadings, Readings};
use genome::{Indicator, IndicatorKind as Kind, ModelSeries};

const DAY_MS: i64 = 86_400_000;
/// A source whose newest reading is older than this has stopped: nothing is known any more. The slowest source, funding,
/// comes three times a day, archives a day late.
pub const STOPPED_AFTER_MS: i64 = 2 * DAY_MS;

/// What a kind says of the readings known.
enum Of {
    Last,
    /// Over what became known in the last days.
    Mean(i64),
    Sum(i64),
}

/// The column of a series of the market over candles; undefined everywhere for any other.
///
/// At the close T (open + interval) of a candle readings known at T or before count. Undefined before the first, where the
/// newest is older than [`STOPPED_AFTER_MS`], and, for means and sums over d days (of what became known in (T - d days, T]),
/// until the first is d days old.
#[must_use]
pub(super) fn column(indicator: &Indicator, candles: &CandleSeries, market: &MarketReadings) -> Column {
    // Days lie on a grid of 1.
    let days_ms = || indicator.params().first().map_or(0, |days| days.get().round() as i64 * DAY_MS);
    let (readings, of) = match indicator.kind() {
        Kind::Funding => (&market.funding, Of::Last),
        Kind::FundingMean => (&market.funding, Of::Mean(days_ms())),
        Kind::FundingSum => (&market.funding, Of::Sum(days_ms())),
        Kind::Premium => (&market.premium, Of::Last),
        Kind::PremiumMean => (&market.premium, Of::Mean(days_ms())),
        Kind::OpenInterest => (&market.open_interest, Of::Last),
        Kind::OpenInterestValue => (&market.open_interest_value, Of::Last),
        Kind::LongShortRatio => (&market.long_short_ratio, Of::Last),
        Kind::TopLongShortRatio => (&market.top_long_short_ratio, Of::Last),
        Kind::TakerLongShortRatio => (&market.taker_long_short_ratio, Of::Last),
        _ => return Column::new(vec![f64::NAN; candles.len()]),
    };
    let value = |i: usize| value(readings, &of, candles.close_time_ms(i) + 1);
    Column::new((0..candles.len()).map(|i| value(i).unwrap_or(f64::NAN)).collect())
}

fn value(readings: &Readings, of: &Of, now_ms: i64) -> Option<f64> {
    let (known_ms, last) = readings.newest_at(now_ms)?;
    if now_ms - known_ms > STOPPED_AFTER_MS {
        return None;
    }
    let from = |days_ms: i64| {
        let from_ms = now_ms - days_ms;
        readings.times_ms().first().filter(|first_ms| **first_ms <= from_ms).map(|_| from_ms)
    };
    match of {
        Of::Last => Some(last),
        Of::Mean(days_ms) => readings.mean_since(from(*days_ms)?, now_ms),
        Of::Sum(days_ms) => readings.sum_since(from(*days_ms)?, now_ms),
    }
}

/// What a model predicts, at each candle that closes where it predicts something; undefined everywhere where nobody
/// attached its predictions.
#[must_use]
pub(super) fn of_model(model: ModelSeries, candles: &CandleSeries, market: &MarketReadings) -> Column {
    match market.models.get(&model) {
        Some(values) => at_closes(values, candles),
        None => Column::new(vec![f64::NAN; candles.len()]),
    }
}

/// The column of values that were computed at closes: at each candle the one of its very close, if there is one.
pub(super) fn at_closes(values: &Readings, candles: &CandleSeries) -> Column {
    let value = |i: usize| {
        let now_ms = candles.close_time_ms(i) + 1;
        values.newest_at(now_ms).filter(|(known_ms, _)| *known_ms == now_ms).map(|(_, value)| value)
    };
    Column::new((0..candles.len()).map(|i| value(i).unwrap_or(f64::NAN)).collect())
}
