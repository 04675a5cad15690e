//! How many independent trials are many alike ones worth? Heuristics on the correlations of their daily returns.
//!
//! They differ by a factor of two on the same matrix, and after an adaptive search none is a guarantee: where a
//! number of trials is needed, the raw count of evaluations is used, and these stand beside it for the reader.
//!
//! With l the eigenvalues of the correlation matrix of K trials: participation (sum l)^2 / sum l^2; entropy
//! exp(-sum q ln q), q = l / sum l; Nyholt 1 + (K - 1)(1 - Var(l) / K); Li and Ji sum of [l >= 1] + l - floor(l);
//! Galwey (sum sqrt l)^2 / sum l; mean correlation rho + (1 - rho) K.
//!
//! Sources: Nyholt (2004); Li and Ji (2005); Galwey (2009); clusters on sqrt((1 - rho) / 2) as in López de Prado and
//! Lewis, Detection of false investment strategies (2019), with average linkage instead of their random one.

use super::eigenvalues::Symmetric;

/// The heuristics side by side.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(missing_docs)]
pub struct EffectiveTrials {
    pub participation: f64,
    pub entropy: f64,
    pub nyholt: f64,
    pub li_ji: f64,
    pub galwey: f64,
    pub mean_correlation: f64,
    pub by_mean_correlation: f64,
}

/// Correlations of columns of returns. `None` for fewer than two columns, columns of different lengths, or one
/// without variance.
#[must_use]
pub fn correlations(columns: &[Vec<f64>]) -> Option<Symmetric> {
    let n = columns.first()?.len();
    if columns.len() < 2 || columns.iter().any(|c| c.len() != n) {
        return None;
    }
    let unit = |column: &Vec<f64>| {
        let mean = column.iter().sum::<f64>() / n as f64;
        let length = column.iter().map(|v| (v - mean).powi(2)).sum::<f64>().sqrt();
        (length > 0.0 && length.is_finite()).then(|| column.iter().map(|v| (v - mean) / length).collect())
    };
    let units: Vec<Vec<f64>> = columns.iter().map(unit).collect::<Option<_>>()?;
    let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    Symmetric::from_fn(units.len(), |i, j| if i == j { 1.0 } else { product(&units[i], &units[j]) })
}

/// Eigenvalues of a correlation matrix, largest first, none below 0.
#[must_use]
pub fn eigenvalues(correlations: &Symmetric) -> Vec<f64> {
    correlations.eigenvalues().into_iter().map(|v| v.max(0.0)).collect()
}

/// The heuristics.
#[must_use]
pub fn effective_trials(correlations: &Symmetric) -> EffectiveTrials {
    let values = eigenvalues(correlations);
    let k = values.len() as f64;
    let sum: f64 = values.iter().sum();
    let mean = sum / k;
    let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (k - 1.0);
    let shares = values.iter().map(|v| v / sum).filter(|q| *q > 0.0);
    let mean_correlation = (correlations.sum() - k) / (k * (k - 1.0));
    EffectiveTrials {
        participation: sum * sum / values.iter().map(|v| v * v).sum::<f64>(),
        entropy: (-shares.map(|q| q * q.ln()).sum::<f64>()).exp(),
        nyholt: 1.0 + (k - 1.0) * (1.0 - variance / k),
        li_ji: values.iter().map(|v| f64::from(u8::from(*v >= 1.0)) + v - v.floor()).sum(),
        galwey: values.iter().map(|v| v.sqrt()).sum::<f64>().powi(2) / sum,
        mean_correlation,
        by_mean_correlation: mean_correlation + (1.0 - mean_correlation) * k,
    }
}

/// Clusters by average linkage on the distance sqrt((1 - rho) / 2), none wider than `height`: their number.
#[must_use]
pub fn clusters(correlations: &Symmetric, height: f64) -> usize {
    let distance = |i: usize, j: usize| (0.5 * (1.0 - correlations.at(i, j))).max(0.0).sqrt();
    let mut members: Vec<Vec<usize>> = (0..correlations.rows()).map(|i| vec![i]).collect();
    let between = |a: &[usize], b: &[usize]| {
        let sum: f64 = a.iter().flat_map(|&i| b.iter().map(move |&j| distance(i, j))).sum();
        sum / (a.len() * b.len()) as f64
    };
    loop {
        let pairs = (0..members.len()).flat_map(|i| (0..i).map(move |j| (i, j)));
        let apart = pairs.map(|(i, j)| (between(&members[i], &members[j]), i, j));
        match apart.min_by(|a, b| a.0.total_cmp(&b.0)) {
            Some((nearest, i, j)) if nearest <= height => {
                let joined = members.swap_remove(i);
                members[j].extend(joined);
            }
            _ => return members.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vectors::{assert_all_close, assert_close, read, rows};
    use serde_json::json;

    #[test]
    fn agrees_with_the_reference() {
        let v = read(include_str!("vectors/13_effective_n/clustered_24.json"));
        let (by_time, output) = (rows(&v["inputs"]["X"]), &v["outputs"]);
        let columns: Vec<Vec<f64>> = (0..24).map(|j| by_time.iter().map(|row| row[j]).collect()).collect();
        let matrix = correlations(&columns).unwrap();
        assert_all_close(&eigenvalues(&matrix), &output["eigenvalues"]);
        let ours = effective_trials(&matrix);
        assert_close(ours.participation, &output["participation_ratio"]);
        assert_close(ours.entropy, &output["entropy"]);
        assert_close(ours.nyholt, &output["nyholt"]);
        assert_close(ours.li_ji, &output["li_ji"]);
        assert_close(ours.galwey, &output["galwey"]);
        assert_close(ours.mean_correlation, &output["mean_corr"]);
        assert_close(ours.by_mean_correlation, &output["avg_corr_rule"]);
        for (height, count) in output["clusters"].as_object().unwrap() {
            assert_eq!(json!(clusters(&matrix, height.parse().unwrap())), *count);
        }
    }

    #[test]
    fn unlike_trials_count_each_and_equal_ones_once() {
        let wave = |k: f64| (0..400).map(|i| (f64::from(i) * k).sin()).collect::<Vec<_>>();
        let three = [wave(0.1), wave(0.7), wave(1.9)];
        let matrix = correlations(&three).unwrap();
        assert!((effective_trials(&matrix).participation - 3.0).abs() < 0.1);
        assert_eq!(clusters(&matrix, 0.5), 3);
        let same = correlations(&[wave(0.1), wave(0.1), wave(0.1)]).unwrap();
        assert!((effective_trials(&same).entropy - 1.0).abs() < 1e-6);
        assert_eq!(clusters(&same, 0.5), 1);
        assert_eq!((correlations(&[wave(0.1)]), correlations(&[wave(0.1), vec![0.0; 400]])), (None, None));
    }
}
