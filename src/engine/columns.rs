//! What a series of the language is worth at each candle of a strategy's base timeframe.
//!
//! A series on a higher timeframe is computed on that timeframe's candles and then read at each base candle's close:
//! the value of the last higher candle closed by then. Never looks at a candle that was not closed yet.

use super::{
    indicator::{self, Column, liquidity},
    readings,
};
use candles::{
    CandleSeries, MarketReadings,
    resample::{ResampleError, resample},
};
use genome::{PriceField, Series, Source};

pub use super::readings::STOPPED_AFTER_MS;

/// The column of `series` over the candles of `base`, without readings of the market.
///
/// # Errors
/// As [`compute_column_beside`].
pub fn compute_column(series: &Series, base: &CandleSeries, finest: &CandleSeries) -> Result<Column, ResampleError> {
    compute_column_beside(series, base, finest, &MarketReadings::default())
}

/// The column of `series` over the candles of `base`, with what the market published beside them. Undefined everywhere
/// where the series compares with other instruments: one alone has no rank.
///
/// `finest` are the candles that `base` and all higher timeframes are made of; they may be `base` itself.
///
/// # Errors
/// When the candles of the series' timeframe cannot be made of `finest`.
pub fn compute_column_beside(
    series: &Series,
    base: &CandleSeries,
    finest: &CandleSeries,
    market: &MarketReadings,
) -> Result<Column, ResampleError> {
    if series.across.is_some() {
        return Ok(Column::new(vec![f64::NAN; base.len()]));
    }
    match series.timeframe {
        Some(timeframe) if timeframe != base.interval() => {
            let higher = resample(finest, timeframe)?;
            Ok(project(&source_column_beside(&series.source, &higher, market), &higher, base))
        }
        _ => Ok(source_column_beside(&series.source, base, market)),
    }
}

/// The column of a source over the very candles given, without readings of the market.
#[must_use]
pub fn source_column(source: &Source, candles: &CandleSeries) -> Column {
    source_column_beside(source, candles, &MarketReadings::default())
}

/// The column of a source over the very candles given, with what the market published beside them.
#[must_use]
pub fn source_column_beside(source: &Source, candles: &CandleSeries, market: &MarketReadings) -> Column {
    match source {
        Source::Indicator(indicator) if indicator.kind().is_of_market() => readings::column(indicator, candles, market),
        Source::Indicator(indicator) => indicator::compute(indicator, candles),
        Source::Model(model) => readings::of_model(*model, candles, market),
        Source::Price(PriceField::TakerBuyRatio) => liquidity::taker_buy_ratios(candles),
        Source::Price(field) => Column::new(match field {
            PriceField::Open => candles.opens().to_vec(),
            PriceField::High => candles.highs().to_vec(),
            PriceField::Low => candles.lows().to_vec(),
            PriceField::Close => candles.closes().to_vec(),
            PriceField::Volume => candles.volumes().to_vec(),
            PriceField::Typical => indicator::typical_prices(candles),
            PriceField::QuoteVolume => candles.traded_quote_volumes(),
            // Counts of trades are far below 2^53.
            PriceField::Trades | PriceField::TakerBuyRatio => {
                candles.trade_counts().iter().map(|count| *count as f64).collect()
            }
        }),
    }
}

/// Carries a column of `higher`'s candles over to `base`'s: at each base candle the value of the last higher candle
/// that closes no later than it; undefined before the first.
///
/// # Panics
/// If `column` does not belong to `higher`, that is, has another length.
#[must_use]
pub(crate) fn project(column: &Column, higher: &CandleSeries, base: &CandleSeries) -> Column {
    assert_eq!(column.len(), higher.len(), "a column has a value for each candle of its timeline");
    let mut closed = 0;
    let mut next_close_ms = close_or_never(higher, 0);
    let values = (0..base.len()).map(|i| {
        let now_ms = base.close_time_ms(i);
        while next_close_ms <= now_ms {
            closed += 1;
            next_close_ms = close_or_never(higher, closed);
        }
        if closed == 0 { f64::NAN } else { column.values()[closed - 1] }
    });
    Column::new(values.collect())
}

fn close_or_never(candles: &CandleSeries, i: usize) -> i64 {
    if i < candles.len() { candles.close_time_ms(i) } else { i64::MAX }
}
