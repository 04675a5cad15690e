//! Logistic regression with a ridge penalty, fitted by Newton's method on standardised features.
//!
//! The loss, sum of -ln p(label) + l2 / 2 x sum of squared coefficients (the intercept is free), is strictly convex in the
//! coefficients, so there is one optimum and no starting point matters. Never drops or fills a value.

use super::{Fitted, Kind, ModelError, Rows, TrainingSet};
use genome::random::Seed;

/// Settings of a fit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Logistic {
    pub(super) l2: f64,
}

/// Standardised values further out are taken for this: one wild candle must not decide a probability.
const MOST_DEVIATIONS: f64 = 6.0;
const MAX_STEPS: usize = 100;
const MAX_HALVINGS: usize = 40;
/// A step that improves the loss by less than this, a row, ends the fit.
const ENOUGH: f64 = 1e-12;

#[derive(Clone, Debug, PartialEq)]
struct Line {
    means: Vec<f64>,
    /// One over the deviation; 0 for a feature that never moved.
    scales: Vec<f64>,
    /// Of standardised features, the intercept last.
    weights: Vec<f64>,
}

impl Kind for Logistic {
    fn fit(&self, set: &TrainingSet, _: Seed) -> Result<Box<dyn Fitted>, ModelError> {
        Ok(Box::new(self.line(set)?))
    }
}

impl Logistic {
    fn line(&self, set: &TrainingSet) -> Result<Line, ModelError> {
        let (rows, n) = (&set.rows, set.rows.rows);
        let mut line = Line { means: Vec::new(), scales: Vec::new(), weights: vec![0.0; rows.features + 1] };
        for feature in 0..rows.features {
            let column = rows.column(feature);
            let mean = column.iter().sum::<f64>() / n as f64;
            let deviation = (column.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n as f64).sqrt();
            line.means.push(mean);
            line.scales.push(if deviation > mean.abs() * 1e-12 { 1.0 / deviation } else { 0.0 });
        }
        let z = line.standardised(rows);
        let mut loss = self.loss(&z, &set.labels, &line.weights);
        for _ in 0..MAX_STEPS {
            let step = self.newton(&z, &set.labels, &line.weights)?;
            // A whole step where it improves, else less of it: that of a convex loss always does in the end.
            let mut part = 1.0;
            let mut better = None;
            for _ in 0..MAX_HALVINGS {
                let tried: Vec<f64> = line.weights.iter().zip(&step).map(|(w, s)| w - part * s).collect();
                let found = self.loss(&z, &set.labels, &tried);
                if found < loss {
                    better = Some((tried, found));
                    break;
                }
                part /= 2.0;
            }
            let Some((weights, found)) = better else { break };
            let gain = loss - found;
            (line.weights, loss) = (weights, found);
            if gain <= ENOUGH * n as f64 {
                break;
            }
        }
        match line.weights.iter().all(|w| w.is_finite()) {
            true => Ok(line),
            false => Err(ModelError::Fit("the coefficients are no numbers".to_owned())),
        }
    }

    fn loss(&self, z: &Rows, labels: &[bool], weights: &[f64]) -> f64 {
        let odds = odds(z, weights);
        // ln(1 + e^x), without overflow.
        let softplus = |x: f64| x.max(0.0) + (-x.abs()).exp().ln_1p();
        let data: f64 = odds.iter().zip(labels).map(|(x, above)| softplus(if *above { -x } else { *x })).sum();
        let penalty: f64 = weights[..z.features].iter().map(|w| w * w).sum();
        data + self.l2 / 2.0 * penalty
    }

    /// The inverse of the loss's second derivative times its first.
    fn newton(&self, z: &Rows, labels: &[bool], weights: &[f64]) -> Result<Vec<f64>, ModelError> {
        let size = z.features + 1;
        let probabilities: Vec<f64> = odds(z, weights).into_iter().map(|x| 1.0 / (1.0 + (-x).exp())).collect();
        let errors: Vec<f64> =
            probabilities.iter().zip(labels).map(|(p, above)| p - f64::from(u8::from(*above))).collect();
        let variances: Vec<f64> = probabilities.iter().map(|p| (p * (1.0 - p)).max(1e-12)).collect();
        let mut gradient: Vec<f64> = (0..z.features)
            .map(|f| z.column(f).iter().zip(&errors).map(|(v, e)| v * e).sum::<f64>() + self.l2 * weights[f])
            .collect();
        gradient.push(errors.iter().sum());
        // The lower half, row by row; the intercept's comes last.
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let (mut curvature, mut intercept) = (Vec::with_capacity(size), Vec::with_capacity(size));
        for f in 0..z.features {
            let weighted: Vec<f64> = z.column(f).iter().zip(&variances).map(|(v, w)| v * w).collect();
            let mut row: Vec<f64> = (0..=f).map(|g| dot(&weighted, z.column(g))).collect();
            row[f] += self.l2;
            intercept.push(weighted.iter().sum());
            curvature.push(row);
        }
        intercept.push(variances.iter().sum());
        curvature.push(intercept);
        solve(curvature, gradient).ok_or_else(|| ModelError::Fit("the features are not told apart".to_owned()))
    }
}

fn odds(z: &Rows, weights: &[f64]) -> Vec<f64> {
    let mut odds = vec![weights[z.features]; z.rows];
    for (feature, weight) in weights[..z.features].iter().enumerate() {
        odds.iter_mut().zip(z.column(feature)).for_each(|(sum, value)| *sum += weight * value);
    }
    odds
}

/// Solves by Cholesky's decomposition of a symmetric positive matrix, of which the lower half is given.
fn solve(mut a: Vec<Vec<f64>>, mut b: Vec<f64>) -> Option<Vec<f64>> {
    let n = b.len();
    for i in 0..n {
        for j in 0..=i {
            let sum = a[i][j] - (0..j).map(|k| a[i][k] * a[j][k]).sum::<f64>();
            a[i][j] = match i == j {
                true if sum > 0.0 => sum.sqrt(),
                true => return None,
                false => sum / a[j][j],
            };
        }
    }
    for i in 0..n {
        b[i] = (b[i] - (0..i).map(|k| a[i][k] * b[k]).sum::<f64>()) / a[i][i];
    }
    for i in (0..n).rev() {
        b[i] = (b[i] - (i + 1..n).map(|k| a[k][i] * b[k]).sum::<f64>()) / a[i][i];
    }
    Some(b)
}

impl Line {
    fn standardised(&self, rows: &Rows) -> Rows {
        let mut values = Vec::with_capacity(rows.values.len());
        for (feature, (mean, scale)) in self.means.iter().zip(&self.scales).enumerate() {
            let standard = |v: &f64| ((v - mean) * scale).clamp(-MOST_DEVIATIONS, MOST_DEVIATIONS);
            values.extend(rows.column(feature).iter().map(standard));
        }
        Rows { values, ..*rows }
    }
}

impl Fitted for Line {
    fn predict(&self, rows: &Rows) -> Result<Vec<f64>, ModelError> {
        if rows.features != self.means.len() {
            let text = format!("fitted on {} features, asked with {}", self.means.len(), rows.features);
            return Err(ModelError::Fit(text));
        }
        let odds = odds(&self.standardised(rows), &self.weights);
        Ok(odds.into_iter().map(|x| 1.0 / (1.0 + (-x).exp())).collect())
    }

    fn coefficients(&self) -> Option<Vec<f64>> {
        Some(self.weights[..self.means.len()].to_vec())
    }
}
