//! How good probabilities are: log loss, Brier score, area under the ROC curve, calibration. One forecast is a probability and
//! whether it came; an undefined figure is `None`.

use serde::{Deserialize, Serialize};

/// A probability, and whether what it is of came.
pub type Forecast = (f64, bool);

/// Bins of the reliability table.
pub const BINS: usize = 10;
/// Probabilities nearer to 0 and 1 than this count as this near: one that was sure and wrong costs 34.5.
const NEAREST: f64 = 1e-15;

/// Loss of one forecast: -ln of the probability of what came.
#[must_use]
pub fn log_loss_of((probability, came): Forecast) -> f64 {
    -(if came { probability } else { 1.0 - probability }).clamp(NEAREST, 1.0 - NEAREST).ln()
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> Option<f64> {
    let count = values.len();
    (count > 0).then(|| values.sum::<f64>() / count as f64)
}

/// Mean log loss, natural logarithm; a coin has 0.693.
#[must_use]
pub fn log_loss(forecasts: &[Forecast]) -> Option<f64> {
    mean(forecasts.iter().map(|f| log_loss_of(*f)))
}

/// Mean squared difference of probability and outcome; a coin has 0.25.
#[must_use]
pub fn brier(forecasts: &[Forecast]) -> Option<f64> {
    mean(forecasts.iter().map(|(p, came)| (p - f64::from(u8::from(*came))).powi(2)))
}

/// Area under the ROC curve: how often what came had the higher probability, over all pairs of one that came and one that
/// did not, ties by half (Mann and Whitney 1947). `None` where all came, or none.
#[must_use]
pub fn auc(forecasts: &[Forecast]) -> Option<f64> {
    let mut sorted: Vec<Forecast> = forecasts.to_vec();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
    let came = sorted.iter().filter(|f| f.1).count();
    let pairs = came as f64 * (sorted.len() - came) as f64;
    // Twice the ranks, counted from 0 and shared by ties, so that all are whole.
    let (mut first, mut twice_ranks) = (0_usize, 0.0);
    for tied in sorted.chunk_by(|a, b| a.0 == b.0) {
        let here = tied.iter().filter(|f| f.1).count();
        twice_ranks += here as f64 * (2 * first + tied.len() - 1) as f64;
        first += tied.len();
    }
    let least = came as f64 * (came as f64 - 1.0) / 2.0;
    (pairs > 0.0).then(|| (twice_ranks / 2.0 - least) / pairs)
}

/// Forecasts whose probabilities are alike.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bin {
    /// Least probability.
    pub from: f64,
    /// Greatest, exclusive but for 1.
    pub to: f64,
    /// How many.
    pub forecasts: usize,
    /// Their mean probability.
    pub mean_probability: f64,
    /// The share of them that came.
    pub share: f64,
}

/// Forecasts in [`BINS`] bins of equal width; those without any are left out.
#[must_use]
pub fn reliability(forecasts: &[Forecast]) -> Vec<Bin> {
    let mut sums = [(0_usize, 0.0, 0_usize); BINS];
    for (probability, came) in forecasts {
        let bin = ((probability * BINS as f64) as usize).min(BINS - 1);
        let (count, sum, share) = &mut sums[bin];
        *count += 1;
        *sum += probability;
        *share += usize::from(*came);
    }
    let bin = |(number, (forecasts, sum, came)): (usize, (usize, f64, usize))| Bin {
        from: number as f64 / BINS as f64,
        to: (number + 1) as f64 / BINS as f64,
        forecasts,
        mean_probability: sum / forecasts as f64,
        share: came as f64 / forecasts as f64,
    };
    sums.into_iter().enumerate().filter(|(_, sum)| sum.0 > 0).map(bin).collect()
}

/// Expected calibration error: mean distance of probability and share over the bins, by their forecasts (Guo et al. 2017).
#[must_use]
pub fn calibration_error(forecasts: &[Forecast]) -> Option<f64> {
    let bins = reliability(forecasts);
    let sum: f64 = bins.iter().map(|b| b.forecasts as f64 * (b.mean_probability - b.share).abs()).sum();
    (!bins.is_empty()).then(|| sum / forecasts.len() as f64)
}
