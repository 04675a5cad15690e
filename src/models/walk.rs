//! Predictions without look-ahead: fits on a clock, each on targets that were known by then, and for each candle the
//! probability of the newest fit.
//!
//! A fit at time F uses closes T with F - train days <= T and T + horizon + embargo <= F. Fits lie on a grid of whole refit
//! periods since 1970, so that it does not matter where candles begin. Never changes what was predicted: with more candles
//! the same predictions come first.

use super::{Examples, Fitted, Kind, ModelError, ModelFile, Rows, SymbolExamples, Target, TrainingSet};
use candles::time::DAY_MS;
use genome::random::Seed;
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// Least number of targets of either side that a fit needs.
const LEAST_OF_A_SIDE: usize = 30;

/// What was predicted at one close.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// The close, UTC ms.
    pub at_ms: i64,
    /// Probability that the target is above its middle.
    pub probability: f64,
    /// The constant forecast: the share of targets above their middle among those that the fit knew.
    pub base: f64,
}

/// One fit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fit {
    /// When, UTC ms: what was known by then counts.
    pub at_ms: i64,
    /// Examples that it was made from.
    pub examples: usize,
    /// Share of their targets above the middle; `None` without examples.
    pub base: Option<f64>,
    /// Why there is no model, where there is none: until the next fit nothing is predicted.
    pub failed: Option<String>,
}

/// Predictions for one symbol, in time order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SymbolPredictions {
    /// The symbol's name.
    pub name: String,
    /// One a close at which all features were there and a fitted model was.
    pub points: Vec<Point>,
}

/// All predictions of a model.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Predictions {
    /// The last close looked at, UTC ms.
    pub until_ms: i64,
    /// By symbol, in byte order of names.
    pub symbols: Vec<SymbolPredictions>,
    /// Fits in time order.
    pub fits: Vec<Fit>,
}

impl Predictions {
    /// What was predicted for a symbol.
    #[must_use]
    pub fn of(&self, name: &str) -> &[Point] {
        let found = self.symbols.binary_search_by(|s| s.name.as_str().cmp(name));
        found.map_or(&[], |at| &self.symbols[at].points)
    }
}

/// A model over examples.
#[derive(Clone, Copy)]
pub struct Walk<'a> {
    /// Which model.
    pub file: &'a ModelFile,
    /// What fits it.
    pub kind: &'a dyn Kind,
    /// All that there is; a fit takes what was known.
    pub examples: &'a Examples,
}

/// What a fit predicts: closes from its time on, up to the next one.
pub(super) struct Span<'a> {
    pub(super) fit: Fit,
    pub(super) model: Option<Box<dyn Fitted>>,
    /// By symbol, candles with all features.
    pub(super) candles: Vec<Vec<usize>>,
    pub(super) examples: &'a Examples,
}

impl Span<'_> {
    /// Features of a symbol's candles.
    pub(super) fn rows(&self, symbol: usize) -> Rows {
        let of = &self.examples.symbols[symbol];
        let candles = &self.candles[symbol];
        let values = of.features.iter().flat_map(|column| candles.iter().map(|&candle| column[candle])).collect();
        Rows { values, rows: candles.len(), features: of.features.len() }
    }

    /// The constant forecast.
    pub(super) fn base(&self) -> f64 {
        self.fit.base.unwrap_or(0.5)
    }
}

impl<'a> Walk<'a> {
    /// Predictions for every close; those of `before`, which was made by the same model from the same candles up to its end,
    /// are taken as they are and gone on with, to the same bits as if all were computed.
    ///
    /// # Errors
    /// Where the model gives what is no probability.
    pub fn predict(&self, before: Option<Predictions>) -> Result<Predictions, ModelError> {
        let known_until_ms = before.as_ref().map_or(i64::MIN, |before| before.until_ms);
        let mut out = before.unwrap_or_default();
        let mut symbols: Vec<SymbolPredictions> = Vec::with_capacity(self.examples.symbols.len());
        for symbol in &self.examples.symbols {
            let points = out.symbols.iter_mut().find(|s| s.name == symbol.name).map(|s| std::mem::take(&mut s.points));
            symbols.push(SymbolPredictions { name: symbol.name.clone(), points: points.unwrap_or_default() });
        }
        self.spans(known_until_ms, &mut |span| {
            for (number, symbol) in symbols.iter_mut().enumerate() {
                let (Some(model), candles) = (&span.model, &span.candles[number]) else { continue };
                if candles.is_empty() {
                    continue;
                }
                let close_ms = &self.examples.symbols[number].close_ms;
                for (&candle, probability) in candles.iter().zip(probabilities(&**model, &span.rows(number))?) {
                    symbol.points.push(Point { at_ms: close_ms[candle], probability, base: span.base() });
                }
            }
            if out.fits.last().is_none_or(|last| last.at_ms < span.fit.at_ms) {
                out.fits.push(span.fit);
            }
            Ok(())
        })?;
        let last_ms = self.examples.range_ms().map_or(known_until_ms, |(_, last_ms)| last_ms);
        Ok(Predictions { until_ms: last_ms.max(known_until_ms), symbols, fits: out.fits })
    }

    /// Goes from fit to fit and hands over what each is asked for after `after_ms`; fits that are asked for nothing are not made.
    pub(super) fn spans(
        &self,
        after_ms: i64,
        visit: &mut dyn FnMut(Span<'a>) -> Result<(), ModelError>,
    ) -> Result<(), ModelError> {
        let Some((first_ms, last_ms)) = self.examples.range_ms() else { return Ok(()) };
        let refit_ms = i64::from(self.file.refit_days) * DAY_MS;
        let first_ms = first_ms.max(after_ms.saturating_add(1)).max(self.file.fitted_until_ms().unwrap_or(i64::MIN));
        let mut at_ms = first_ms.div_euclid(refit_ms) * refit_ms;
        while at_ms <= last_ms {
            let range_ms = at_ms.max(first_ms)..at_ms + refit_ms;
            let whole = |symbol: &SymbolExamples| {
                closes_in(symbol, &range_ms).filter(|&candle| symbol.is_whole(candle)).collect::<Vec<usize>>()
            };
            let candles: Vec<Vec<usize>> = self.examples.symbols.iter().map(whole).collect();
            if candles.iter().any(|candles| !candles.is_empty()) {
                let (fit, model) = self.fit(at_ms);
                visit(Span { fit, model, candles, examples: self.examples })?;
            }
            at_ms += refit_ms;
        }
        Ok(())
    }

    /// The model fitted on what was known at a time.
    fn fit(&self, at_ms: i64) -> (Fit, Option<Box<dyn Fitted>>) {
        let set = self.training_set(at_ms);
        let above = set.labels.iter().filter(|label| **label).count();
        let rows = set.labels.len();
        let too_few = above.min(rows - above) < LEAST_OF_A_SIDE;
        let made = if self.kind.learns() && too_few {
            Err(ModelError::TooFew { rows, above, least: LEAST_OF_A_SIDE })
        } else {
            self.kind.fit(&set, Seed(self.file.seed).child("fit", at_ms.cast_unsigned()))
        };
        let (model, failed) = match made {
            Ok(model) => (Some(model), None),
            Err(error) => (None, Some(error.to_string())),
        };
        (Fit { at_ms, examples: rows, base: set.base_rate(), failed }, model)
    }

    /// What a fit at a time may learn from: targets that were known by then, with the embargo to spare.
    #[must_use]
    pub fn training_set(&self, at_ms: i64) -> TrainingSet {
        let embargo_ms = i64::from(self.file.embargo_candles) * self.file.candle_ms();
        let from_ms = at_ms - i64::from(self.file.train_days) * DAY_MS;
        let to_ms = at_ms - self.examples.horizon_ms - embargo_ms;
        let teaches = |symbol: &SymbolExamples, candle: usize| {
            let moved = symbol.scaled[candle].abs() >= self.file.min_move;
            symbol.labels[candle].is_some() && symbol.is_whole(candle) && (self.file.target == Target::Rank || moved)
        };
        let mut chosen: Vec<(usize, usize)> = Vec::new();
        for (number, symbol) in self.examples.symbols.iter().enumerate() {
            let candles = closes_in(symbol, &(from_ms..to_ms.saturating_add(1)));
            chosen.extend(candles.filter(|&candle| teaches(symbol, candle)).map(|candle| (number, candle)));
        }
        let (all, most) = (chosen.len(), self.file.max_examples as usize);
        if all > most {
            // Evenly: the k-th of `all` stays where it is the first of its part.
            let mut at = 0;
            chosen.retain(|_| {
                let stays = at * most / all != (at + 1) * most / all;
                at += 1;
                stays
            });
        }
        let features = self.file.features.len();
        let column =
            |f: usize| chosen.iter().map(move |&(number, candle)| self.examples.symbols[number].features[f][candle]);
        let values = (0..features).flat_map(column).collect();
        let label = |&(number, candle): &(usize, usize)| self.examples.symbols[number].labels[candle] == Some(true);
        let labels = chosen.iter().map(label).collect();
        TrainingSet { rows: Rows { values, rows: chosen.len(), features }, labels }
    }
}

/// Candles of a symbol that close in a range.
fn closes_in(symbol: &SymbolExamples, range_ms: &Range<i64>) -> Range<usize> {
    let at = |time_ms: i64| symbol.close_ms.partition_point(|close_ms| *close_ms < time_ms);
    let first = at(range_ms.start);
    first..at(range_ms.end).max(first)
}

/// The model's probabilities, each checked.
pub(super) fn probabilities(model: &dyn Fitted, rows: &Rows) -> Result<Vec<f64>, ModelError> {
    let found = model.predict(rows)?;
    if found.len() != rows.rows {
        return Err(ModelError::Output(format!("{} values for {} rows", found.len(), rows.rows)));
    }
    match found.iter().find(|p| !(0.0..=1.0).contains(*p)) {
        Some(value) => Err(ModelError::Output(value.to_string())),
        None => Ok(found),
    }
}
