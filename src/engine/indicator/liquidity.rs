//! What was traded: in quote units, by takers, and how far that moved the price.
//!
//! - `quote_volume` = the candle's own; volume x close where it is 0. Defined from index 0.
//! - `taker_buy_ratio` = base volume bought by takers / base volume; undefined where there is none.
//! - `amihud(n)` = mean of |close / close before - 1| / quote volume over the last n candles (Amihud 2002, with candles for
//!   days). Undefined where a quote volume among them is 0. Defined from index n.

use super::{Column, rolling, undefined};
use candles::CandleSeries;

pub(in super::super) fn taker_buy_ratios(candles: &CandleSeries) -> Column {
    let (bought, volumes) = (candles.taker_buy_volumes(), candles.volumes());
    Column::new((0..candles.len()).map(|i| if volumes[i] > 0.0 { bought[i] / volumes[i] } else { f64::NAN }).collect())
}

pub(super) fn amihud(candles: &CandleSeries, n: usize) -> Column {
    let (closes, traded) = (candles.closes(), candles.traded_quote_volumes());
    let mut out = undefined(candles.len());
    let moves: Vec<f64> = (0..candles.len())
        .map(|i| match i.checked_sub(1) {
            Some(before) if traded[i] > 0.0 => (closes[i] / closes[before] - 1.0).abs() / traded[i],
            _ => f64::NAN,
        })
        .collect();
    // What is undefined makes every sum undefined that it is part of.
    rolling::sum(&moves, n, |i, sum| out[i] = sum / n as f64);
    Column::new(out)
}
