//! Predictions against what came: over all and by year, beside the constant forecast that was known before.
//!
//! Takes no prediction whose target is not known, and fits nothing.

use super::figures::{self, Bin, Forecast, log_loss_of};
use super::{Examples, Predictions, calendar::year_of};
use candles::time::DAY_MS;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Targets overlap and symbols move together: what is compared are means of blocks of so many days.
const BLOCK_DAYS: i64 = 30;

/// How good predictions were.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    /// How many, whose target is known.
    pub predictions: usize,
    /// Share of targets above the middle.
    pub share: f64,
    /// Mean log loss of the model.
    pub log_loss: f64,
    /// Mean log loss of the constant forecast.
    pub base_log_loss: f64,
    /// Log loss of the constant forecast less that of the model: above 0, the model knew something.
    pub improvement: f64,
    /// Mean over its standard error of the improvement's means of blocks of 30 days; `None` with fewer than three blocks or
    /// where they do not differ.
    pub t: Option<f64>,
    /// Brier score.
    pub brier: f64,
    /// Area under the ROC curve; `None` where all targets are alike.
    pub auc: Option<f64>,
    /// Expected calibration error, ten bins.
    pub calibration_error: f64,
    /// The bins.
    pub reliability: Vec<Bin>,
}

/// Scores over all and by year.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Over all; `None` where no prediction has come due.
    pub all: Option<Scores>,
    /// By year (UTC) of the prediction.
    pub years: BTreeMap<i64, Scores>,
}

/// One prediction and its outcome.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Resolved {
    pub(super) at_ms: i64,
    pub(super) probability: f64,
    pub(super) base: f64,
    pub(super) above: bool,
}

/// Predictions whose target is known, symbol by symbol in time order.
pub(super) fn resolved(examples: &Examples, predictions: &Predictions) -> Vec<Vec<Resolved>> {
    let of = |symbol: &super::SymbolExamples| {
        let points = predictions.of(&symbol.name).iter();
        let found = points.filter_map(|point| {
            let candle = symbol.close_ms.binary_search(&point.at_ms).ok()?;
            let above = symbol.labels[candle]?;
            Some(Resolved { at_ms: point.at_ms, probability: point.probability, base: point.base, above })
        });
        found.collect()
    };
    examples.symbols.iter().map(of).collect()
}

/// Scores of predictions, of closes from `from_ms` to `to_ms`, exclusive.
#[must_use]
pub fn evaluate(examples: &Examples, predictions: &Predictions, (from_ms, to_ms): (i64, i64)) -> Evaluation {
    let all: Vec<Resolved> =
        resolved(examples, predictions).concat().into_iter().filter(|r| (from_ms..to_ms).contains(&r.at_ms)).collect();
    let mut years: BTreeMap<i64, Vec<Resolved>> = BTreeMap::new();
    for one in &all {
        years.entry(year_of(one.at_ms)).or_default().push(*one);
    }
    let years = years.into_iter().filter_map(|(year, of)| Some((year, scores(&of)?))).collect();
    Evaluation { all: scores(&all), years }
}

fn scores(of: &[Resolved]) -> Option<Scores> {
    let model: Vec<Forecast> = of.iter().map(|r| (r.probability, r.above)).collect();
    let base: Vec<Forecast> = of.iter().map(|r| (r.base, r.above)).collect();
    let (log_loss, base_log_loss) = (figures::log_loss(&model)?, figures::log_loss(&base)?);
    Some(Scores {
        predictions: of.len(),
        share: of.iter().filter(|r| r.above).count() as f64 / of.len() as f64,
        log_loss,
        base_log_loss,
        improvement: base_log_loss - log_loss,
        t: t_of_blocks(of),
        brier: figures::brier(&model)?,
        auc: figures::auc(&model),
        calibration_error: figures::calibration_error(&model)?,
        reliability: figures::reliability(&model),
    })
}

fn t_of_blocks(of: &[Resolved]) -> Option<f64> {
    let mut blocks: BTreeMap<i64, (f64, usize)> = BTreeMap::new();
    for r in of {
        let (sum, count) = blocks.entry(r.at_ms.div_euclid(BLOCK_DAYS * DAY_MS)).or_default();
        *sum += log_loss_of((r.base, r.above)) - log_loss_of((r.probability, r.above));
        *count += 1;
    }
    let means: Vec<f64> = blocks.values().map(|(sum, count)| sum / *count as f64).collect();
    let n = means.len() as f64;
    let mean = means.iter().sum::<f64>() / n;
    let variance = means.iter().map(|m| (m - mean).powi(2)).sum::<f64>() / (n - 1.0);
    (means.len() >= 3 && variance > 0.0).then(|| mean / (variance / n).sqrt())
}
