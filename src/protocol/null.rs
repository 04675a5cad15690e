//! Null markets from the candles that a search looked at: the same volatility or the same candles, and nothing to find.
//!
//! What happens to a candle is drawn from the seed and the candle's time, so all symbols are flipped and shuffled
//! alike (their correlation stays), and windows that overlap have the same null candles where they do.

use candles::series::SeriesError;
use candles::{Candle, CandleSeries};
use engine::{SymbolWindow, Window, WindowError};
use evidence::null_market::Bars;
use genome::random::Seed;
use std::{collections::BTreeMap, sync::Arc};

/// The null market number `number`: even ones are sign-flipped (volatility keeps its clusters, drift goes), odd ones
/// shuffled (drift stays, clusters go). Volumes go with their candles. Without finer candles, which have no null, and without
/// predictions, which its own models make (`refits.rs`).
///
/// # Errors
/// [`WindowError::Candles`] where prices lie so far apart that a null candle would be none: a market that lacks it would
/// be another one.
pub fn null_window(window: &Window, seed: Seed, number: u64) -> Result<Window, WindowError> {
    let null = |s: &SymbolWindow| {
        let candles = if number.is_multiple_of(2) { mirrored(&s.candles, seed) } else { shuffled(&s.candles, seed) };
        let candles = candles.map_err(|why| WindowError::Candles {
            symbol: s.symbol.clone(),
            why: format!("they have no null market: {why}"),
        })?;
        // What models predict was made of the real candles.
        let readings = match s.readings.models.is_empty() {
            true => Arc::clone(&s.readings),
            false => Arc::new(s.readings.with_models(BTreeMap::new())),
        };
        Ok(SymbolWindow { candles: Arc::new(candles), finer: Vec::new(), readings, ..s.clone() })
    };
    let symbols = window.symbols().iter().map(null).collect::<Result<_, WindowError>>()?;
    Window::new(window.from_ms(), window.to_ms(), symbols)
}

/// Candles that a window holds have one.
pub(super) const NO_LOGARITHM: &str = "a price has no logarithm";

/// A number drawn from the seed and a time.
pub(super) fn draw(seed: Seed, label: &str, time_ms: i64) -> u64 {
    seed.child(label, time_ms.cast_unsigned()).0
}

/// Candles whose moves go up where they went down, in a random half of all times.
pub(super) fn mirrored(candles: &CandleSeries, seed: Seed) -> Result<CandleSeries, String> {
    let times = candles.open_times_ms().get(1..).unwrap_or_default();
    let flipped: Vec<bool> = times.iter().map(|&t| draw(seed, "mirror", t) & 1 == 1).collect();
    let order: Vec<usize> = (0..candles.len()).collect();
    let bars = bars(candles).sign_flipped_by(&flipped).ok_or(NO_LOGARITHM)?;
    series(candles, &bars, &order).map_err(|error| error.to_string())
}

/// Candles in a random order, what happens inside them and the gaps before them apart.
fn shuffled(candles: &CandleSeries, seed: Seed) -> Result<CandleSeries, String> {
    let times = candles.open_times_ms().get(1..).unwrap_or_default();
    let order = |label: &str| {
        let mut order: Vec<usize> = (0..times.len()).collect();
        order.sort_by_cached_key(|&i| (draw(seed, label, times[i]), i));
        order
    };
    let (within, gaps) = (order("within"), order("gaps"));
    // A candle's volume belongs to what happened inside it.
    let volumes: Vec<usize> = std::iter::once(0).chain(within.iter().map(|i| i + 1)).collect();
    let bars = bars(candles).shuffled_by(&within, &gaps).ok_or(NO_LOGARITHM)?;
    series(candles, &bars, &volumes).map_err(|error| error.to_string())
}

pub(super) fn bars(candles: &CandleSeries) -> Bars {
    Bars {
        open: candles.opens().to_vec(),
        high: candles.highs().to_vec(),
        low: candles.lows().to_vec(),
        close: candles.closes().to_vec(),
    }
}

/// New prices at the old times (in order, then; possible unless they leave what a number can be), with the volumes of the candles named by `volumes`.
fn series(old: &CandleSeries, bars: &Bars, volumes: &[usize]) -> Result<CandleSeries, SeriesError> {
    let mut new = CandleSeries::new(old.interval());
    for (i, &volume) in volumes.iter().enumerate() {
        let (open, close) = (bars.open[i], bars.close[i]);
        let from = old.candle(volume);
        let candle = Candle {
            open_time_ms: old.open_times_ms()[i],
            close_time_ms: old.close_time_ms(i),
            open,
            // Logarithms round: a high that was the open's price stays no lower than it.
            high: bars.high[i].max(open).max(close),
            low: bars.low[i].min(open).min(close),
            close,
            ..from
        };
        new.push(&candle)?;
    }
    Ok(new)
}
