//! Examples from candles: at each close the features, and what came of it over the horizon. Fits nothing.
//!
//! Features are the engine's columns, so that a candle's are made of candles that had closed. A target belongs to a close and
//! is known one horizon later; it exists only where the candle that ends the horizon is in its place, and in a universe only
//! for who was a member at the close.

use super::{ModelFile, Target};
use candles::{CandleSeries, MarketReadings, resample::ResampleError};
use engine::columns::compute_column_beside;

/// What examples of one symbol are made of.
#[derive(Clone, Copy, Debug)]
pub struct ModelCandles<'a> {
    /// Its name; one ticker may be several instruments.
    pub name: &'a str,
    /// Closed candles at the model's timeframe.
    pub candles: &'a CandleSeries,
    /// What the market published beside them.
    pub readings: &'a MarketReadings,
    /// Whether it is a member of the model's universe at each candle's close; `None` where the model has none.
    pub members: Option<&'a [bool]>,
}

/// Examples of one symbol, an entry a candle.
#[derive(Clone, Debug, PartialEq)]
pub struct SymbolExamples {
    /// The symbol's name.
    pub name: String,
    /// When each candle closed (open + interval), UTC ms, ascending.
    pub close_ms: Vec<i64>,
    /// Columns of features, in the file's order; NaN where undefined.
    pub features: Vec<Vec<f64>>,
    /// Return over the horizon over its volatility, ln(close then / close) / (volatility x sqrt(horizon)), where volatility is the
    /// root mean square of the last log returns; NaN where it is not known or not defined, or of no member.
    pub scaled: Vec<f64>,
    /// Whether the target is above its middle; `None` where it is not known, or lies on it.
    pub labels: Vec<Option<bool>>,
}

/// Examples of all symbols of a model, in byte order of their names.
#[derive(Clone, Debug, PartialEq)]
pub struct Examples {
    /// By symbol.
    pub symbols: Vec<SymbolExamples>,
    /// How long after its close a target is known, ms.
    pub horizon_ms: i64,
}

/// Members below which a cross-section ranks nobody.
const LEAST_RANKED: usize = 3;

impl Examples {
    /// The examples of a model from the candles of its symbols, in any order.
    ///
    /// # Errors
    /// When a feature's timeframe cannot be made of the candles.
    pub fn new(file: &ModelFile, candles: &[ModelCandles<'_>]) -> Result<Self, ResampleError> {
        let mut symbols =
            candles.iter().map(|of| symbol(file, of)).collect::<Result<Vec<SymbolExamples>, ResampleError>>()?;
        symbols.sort_by(|a, b| a.name.cmp(&b.name));
        match file.target {
            Target::Direction => symbols.iter_mut().for_each(direction),
            Target::Rank => rank(&mut symbols),
        }
        let horizon_ms = i64::from(file.horizon_candles) * file.candle_ms();
        Ok(Self { symbols, horizon_ms })
    }

    /// Forgets what came of closes whose target was not known by a time.
    pub fn forget_after(&mut self, time_ms: i64) {
        for symbol in &mut self.symbols {
            let known = symbol.close_ms.partition_point(|close_ms| close_ms + self.horizon_ms <= time_ms);
            symbol.labels[known..].fill(None);
            symbol.scaled[known..].fill(f64::NAN);
        }
    }

    /// First and last close of any symbol, UTC ms; `None` without candles.
    #[must_use]
    pub fn range_ms(&self) -> Option<(i64, i64)> {
        let first = self.symbols.iter().filter_map(|s| s.close_ms.first()).min()?;
        let last = self.symbols.iter().filter_map(|s| s.close_ms.last()).max()?;
        Some((*first, *last))
    }
}

impl SymbolExamples {
    /// Whether all features of a candle are there.
    #[must_use]
    pub fn is_whole(&self, candle: usize) -> bool {
        self.features.iter().all(|column| column[candle].is_finite())
    }
}

fn symbol(file: &ModelFile, of: &ModelCandles<'_>) -> Result<SymbolExamples, ResampleError> {
    let (candles, len) = (of.candles, of.candles.len());
    let column = |series| Ok(compute_column_beside(series, candles, candles, of.readings)?.values().to_vec());
    let features = file.features.iter().map(column).collect::<Result<Vec<Vec<f64>>, ResampleError>>()?;
    let close_ms: Vec<i64> = (0..len).map(|i| candles.close_time_ms(i) + 1).collect();
    let closes = candles.closes();
    let (horizon, window) = (file.horizon_candles as usize, file.volatility_candles as usize);
    let horizon_ms = i64::from(file.horizon_candles) * file.candle_ms();
    let scaled = |i: usize| {
        let end = i + horizon;
        let is_compared = of.members.is_none_or(|members| members.get(i) == Some(&true));
        if !is_compared || end >= len || i < window || close_ms[end] != close_ms[i] + horizon_ms {
            return f64::NAN;
        }
        // Summed anew at each candle, so that it is the same bits wherever the candles begin.
        let squares: f64 = (i + 1 - window..=i).map(|k| (closes[k] / closes[k - 1]).ln().powi(2)).sum();
        let volatility = (squares / window as f64).sqrt() * (horizon as f64).sqrt();
        let value = (closes[end] / closes[i]).ln() / volatility;
        if value.is_finite() { value } else { f64::NAN }
    };
    let scaled: Vec<f64> = (0..len).map(scaled).collect();
    Ok(SymbolExamples { name: of.name.to_owned(), labels: vec![None; len], close_ms, features, scaled })
}

fn direction(symbol: &mut SymbolExamples) {
    for (label, value) in symbol.labels.iter_mut().zip(&symbol.scaled) {
        *label = (value.is_finite() && *value != 0.0).then_some(*value > 0.0);
    }
}

/// Labels by rank among the symbols that have a value at the same close: above the middle or below it.
fn rank(symbols: &mut [SymbolExamples]) {
    let mut all: Vec<(i64, f64, usize, usize)> = Vec::new();
    for (number, symbol) in symbols.iter().enumerate() {
        let defined = symbol.scaled.iter().enumerate().filter(|(_, value)| value.is_finite());
        all.extend(defined.map(|(candle, value)| (symbol.close_ms[candle], *value, number, candle)));
    }
    all.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)).then(a.2.cmp(&b.2)));
    for section in all.chunk_by(|a, b| a.0 == b.0).filter(|section| section.len() >= LEAST_RANKED) {
        let mut first = 0;
        for tied in section.chunk_by(|a, b| a.1 == b.1) {
            // Twice the mean place of those that are tied, beside twice the middle place.
            let (place, middle) = (2 * first + tied.len() - 1, section.len() - 1);
            for &(_, _, number, candle) in tied {
                symbols[number].labels[candle] = (place != middle).then_some(place > middle);
            }
            first += tied.len();
        }
    }
}
