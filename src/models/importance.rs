//! What each feature is worth to a model: how much worse its log loss gets when the feature's values trade places among the
//! predictions of a year (Breiman 2001). The models are those of the walk; none is fitted on permuted values.

use super::calendar::year_of;
use super::figures::log_loss_of;
use super::walk::{Span, probabilities};
use super::{ModelError, Rows, Walk};
use genome::random::Seed;
use rand::RngExt;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What one feature is worth.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FeatureImportance {
    /// The feature, as text.
    pub feature: String,
    /// By how much log loss rises without it, over all predictions.
    pub loss_rise: f64,
    /// The same by year.
    pub years: BTreeMap<i64, f64>,
    /// The last fit's coefficient on the standardised feature, where the model is linear.
    pub coefficient: Option<f64>,
}

/// A prediction of a span: where it is, when, and what came.
struct Asked {
    span: usize,
    symbol: usize,
    row: usize,
    year: i64,
    above: bool,
}

/// What each feature is worth among closes from `from_ms` to `to_ms`, exclusive; in the file's order. Draws by the file's seed.
///
/// # Errors
/// Where the model gives what is no probability.
pub fn importance(walk: &Walk<'_>, (from_ms, to_ms): (i64, i64)) -> Result<Vec<FeatureImportance>, ModelError> {
    let mut spans: Vec<Span<'_>> = Vec::new();
    let mut asked: Vec<Asked> = Vec::new();
    let mut coefficients = None;
    walk.spans(i64::MIN, &mut |mut span| {
        if let Some(model) = &span.model {
            coefficients = model.coefficients().or(coefficients.take());
        }
        for (symbol, candles) in span.candles.iter_mut().enumerate() {
            let of = &walk.examples.symbols[symbol];
            candles.retain(|&candle| (from_ms..to_ms).contains(&of.close_ms[candle]) && of.labels[candle].is_some());
            let one = |(row, &candle): (usize, &usize)| Asked {
                span: spans.len(),
                symbol,
                row,
                year: year_of(of.close_ms[candle]),
                above: of.labels[candle] == Some(true),
            };
            if span.model.is_some() {
                asked.extend(candles.iter().enumerate().map(one));
            }
        }
        spans.push(span);
        Ok(())
    })?;
    let rows: Vec<Vec<Rows>> =
        spans.iter().map(|span| (0..span.candles.len()).map(|symbol| span.rows(symbol)).collect()).collect();
    let as_they_are = losses(&spans, &rows, &asked)?;
    let mut by_year: BTreeMap<i64, Vec<usize>> = BTreeMap::new();
    for (at, one) in asked.iter().enumerate() {
        by_year.entry(one.year).or_default().push(at);
    }
    let mut out = Vec::with_capacity(walk.file.features.len());
    for (number, feature) in walk.file.features.iter().enumerate() {
        let value = |of: &Asked| rows[of.span][of.symbol].column(number)[of.row];
        let mut permuted = rows.clone();
        for (year, places) in &by_year {
            let mut rng =
                Seed(walk.file.seed).child("importance", year.cast_unsigned()).stream("feature", number as u64);
            let mut from = places.clone();
            for i in (1..from.len()).rev() {
                from.swap(i, rng.random_range(0..=i));
            }
            for (&to, &from) in places.iter().zip(&from) {
                let (to, value) = (&asked[to], value(&asked[from]));
                let of = &mut permuted[to.span][to.symbol];
                let rows = of.rows;
                of.values[number * rows + to.row] = value;
            }
        }
        let without = losses(&spans, &permuted, &asked)?;
        let rise = |places: &mut dyn Iterator<Item = usize>| {
            let (sum, count) = places.fold((0.0, 0), |(sum, n), at| (sum + without[at] - as_they_are[at], n + 1));
            if count == 0 { 0.0 } else { sum / f64::from(count) }
        };
        out.push(FeatureImportance {
            feature: feature.to_string(),
            loss_rise: rise(&mut (0..asked.len())),
            years: by_year.iter().map(|(year, places)| (*year, rise(&mut places.iter().copied()))).collect(),
            coefficient: coefficients.as_ref().and_then(|all: &Vec<f64>| all.get(number).copied()),
        });
    }
    Ok(out)
}

/// The loss of each prediction.
fn losses(spans: &[Span<'_>], rows: &[Vec<Rows>], asked: &[Asked]) -> Result<Vec<f64>, ModelError> {
    let mut found: Vec<Vec<Vec<f64>>> = Vec::with_capacity(spans.len());
    for (span, rows) in spans.iter().zip(rows) {
        let of = |rows: &Rows| match &span.model {
            Some(model) if rows.rows > 0 => probabilities(&**model, rows),
            _ => Ok(Vec::new()),
        };
        found.push(rows.iter().map(of).collect::<Result<_, _>>()?);
    }
    Ok(asked.iter().map(|one| log_loss_of((found[one.span][one.symbol][one.row], one.above))).collect())
}
