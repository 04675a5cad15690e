//! How the values of a series come about: as candles' own, tile by tile, or as a whole column.
//!
//! Computes nothing.

use super::frame::Frame;
use candles::CandleSeries;
use genome::{IndicatorKind, PriceField, Series, Source, Timeframe};

/// The timeframe a series is computed on, where it is not the base timeframe.
pub(super) fn higher(frame: &Frame<'_>, series: &Series) -> Option<Timeframe> {
    series.timeframe.filter(|t| *t != frame.candles.interval())
}

/// How the values of a series come about, tile by tile.
#[derive(Clone, Copy)]
pub(super) enum Way {
    /// They are candles' own.
    Price(PriceField),
    /// Many periods at once, while tests look at them.
    Ema(usize),
    Rsi(usize),
    /// A column computed before.
    Column,
}

pub(super) fn way(frame: &Frame<'_>, series: &Series) -> Way {
    if series.across.is_some() || higher(frame, series).is_some() {
        return Way::Column;
    }
    match series.source {
        Source::Price(field) if prices(&frame.candles, field).is_some() => Way::Price(field),
        Source::Price(_) | Source::Model(_) => Way::Column,
        Source::Indicator(i) => match (i.kind(), i.params()) {
            (IndicatorKind::Ema, [n]) => Way::Ema(n.get().round() as usize),
            (IndicatorKind::Rsi, [n]) => Way::Rsi(n.get().round() as usize),
            _ => Way::Column,
        },
    }
}

/// The candles' own column of a field, where they have it as it is.
pub(super) fn prices(candles: &CandleSeries, field: PriceField) -> Option<&[f64]> {
    match field {
        PriceField::Open => Some(candles.opens()),
        PriceField::High => Some(candles.highs()),
        PriceField::Low => Some(candles.lows()),
        PriceField::Close => Some(candles.closes()),
        PriceField::Volume => Some(candles.volumes()),
        PriceField::Typical | PriceField::QuoteVolume | PriceField::Trades | PriceField::TakerBuyRatio => None,
    }
}
