//! Models together: their probabilities averaged, each with the weight that its past forecasts have earned.
//!
//! A model's weight is e^s, where s adds up, over the forecasts of the last two years that had come due, by how much its log
//! score was above that of a coin; forecasts of one close count as one, those of overlapping horizons as one a horizon. The coin
//! is a member with weight 1 and probability 1/2: models that were worse than it pull nowhere. Never looks at a forecast
//! whose outcome was not known.

use super::evaluate::resolved;
use super::figures::log_loss_of;
use super::{Examples, ModelFile, Predictions};
use candles::time::DAY_MS;
use std::collections::BTreeMap;

/// Forecasts that came due longer ago count no more.
const MEMORY_MS: i64 = 730 * DAY_MS;

/// What the models together say at one close.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EnsemblePoint {
    /// The close, UTC ms.
    pub at_ms: i64,
    /// Probability of a rise.
    pub probability: f64,
}

impl EnsemblePoint {
    /// 1 for a rise, -1 for a fall, else 0.
    #[must_use]
    pub fn direction(&self) -> f64 {
        if self.probability == 0.5 { 0.0 } else { (self.probability - 0.5).signum() }
    }
}

/// Scores of one model as they came due.
struct Track {
    known_ms: Vec<i64>,
    /// Sums up to and with each.
    sums: Vec<f64>,
}

impl Track {
    fn new(file: &ModelFile, examples: &Examples, predictions: &Predictions) -> Self {
        let mut by_close: BTreeMap<i64, (f64, usize)> = BTreeMap::new();
        for one in resolved(examples, predictions).concat() {
            let (sum, count) = by_close.entry(one.at_ms).or_default();
            *sum += std::f64::consts::LN_2 - log_loss_of((one.probability, one.above));
            *count += 1;
        }
        let (mut known_ms, mut sums, mut total) = (Vec::new(), Vec::new(), 0.0);
        for (at_ms, (sum, count)) in by_close {
            total += sum / count as f64 / f64::from(file.horizon_candles);
            known_ms.push(at_ms + examples.horizon_ms);
            sums.push(total);
        }
        Self { known_ms, sums }
    }

    fn score_at(&self, time_ms: i64) -> f64 {
        let until = |time_ms: i64| {
            let count = self.known_ms.partition_point(|known_ms| *known_ms <= time_ms);
            count.checked_sub(1).map_or(0.0, |last| self.sums[last])
        };
        until(time_ms) - until(time_ms - MEMORY_MS)
    }
}

/// What models of direction say together, by symbol, at each close where any of them says something.
#[must_use]
pub fn ensemble(models: &[(&ModelFile, &Examples, &Predictions)]) -> BTreeMap<String, Vec<EnsemblePoint>> {
    let tracks: Vec<Track> = models.iter().map(|(file, examples, found)| Track::new(file, examples, found)).collect();
    let mut said: BTreeMap<String, BTreeMap<i64, Vec<(usize, f64)>>> = BTreeMap::new();
    for (number, (_, _, predictions)) in models.iter().enumerate() {
        for symbol in &predictions.symbols {
            let of = said.entry(symbol.name.clone()).or_default();
            for point in &symbol.points {
                of.entry(point.at_ms).or_default().push((number, point.probability));
            }
        }
    }
    let together = |(at_ms, members): (i64, Vec<(usize, f64)>)| {
        let scores: Vec<f64> = members.iter().map(|(number, _)| tracks[*number].score_at(at_ms)).collect();
        let highest = scores.iter().copied().fold(0.0, f64::max);
        let coin = (-highest).exp();
        let (mut weights, mut sum) = (coin, coin * 0.5);
        for ((_, probability), score) in members.iter().zip(scores) {
            let weight = (score - highest).exp();
            weights += weight;
            sum += weight * probability;
        }
        EnsemblePoint { at_ms, probability: sum / weights }
    };
    said.into_iter().map(|(name, of)| (name, of.into_iter().map(together).collect())).collect()
}
