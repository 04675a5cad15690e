//! What to expect of a point's Sharpe ratio after it was picked among many: its ratio, shrunk towards the mean of the run.
//!
//! Model: the ratio x_i that point i showed is its true one plus an error, and the true ones are normal around a common mean
//! with variance tau^2. Errors have variance s_i^2 (`evidence::sharpe`, from skew and kurtosis) and correlate by rho, the
//! mean correlation of the points' days: they traded the same market. What the errors have in common moves every point
//! alike and picks none; only the rest, (1 - rho) s_i^2, makes one point look better than another. So
//!
//! v = variance (ddof 1) of the x_i; tau^2 = max(0, v - (1 - rho) mean(s_i^2));
//! B_i = tau^2 / (tau^2 + (1 - rho) s_i^2); expected = mean(x) + B_i (x_i - mean(x)).
//!
//! Its standard error, sqrt(B_i (1 - rho) s_i^2 + rho s_i^2), holds what the points have in common, too. A Bayesian
//! expectation needs no further haircut for the picking as long as the model holds; where the points are few or of several
//! kinds it does not. It is silent about costs that were not modelled, and about how the strategy itself was found.
//!
//! Sources: James and Stein (1961); Efron and Morris, Stein's estimation rule and its competitors: an empirical Bayes
//! approach (1973); Morris, Parametric empirical Bayes inference (1983).

use super::{DAYS_A_YEAR, Table};
use evidence::sharpe::SharpeRatio;
use serde::{Deserialize, Serialize};

/// Sharpe ratios here are annualised by sqrt(365).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Shrunken {
    /// What the point showed.
    pub shown: f64,
    /// What to expect.
    pub expected: f64,
    /// Standard error of what is expected.
    pub standard_error: f64,
    /// Share of the distance from the mean that is kept, 0 to 1.
    pub kept: f64,
    /// Mean ratio of the points.
    pub mean: f64,
    /// Deviation of the true ratios between points; 0 where all that differs is luck.
    pub true_deviation: f64,
    /// Mean correlation of the points' days, 0 to 1.
    pub correlation: f64,
    /// Points that have a ratio.
    pub points: usize,
}

/// The expectation of the row `best`, which is among `rows`. `None` unless it and two others have a Sharpe ratio.
#[must_use]
pub fn shrunken(table: &Table, rows: &[usize], best: usize) -> Option<Shrunken> {
    let own = SharpeRatio::of(table.row(best))?;
    let ratios: Vec<SharpeRatio> = rows.iter().filter_map(|&row| SharpeRatio::of(table.row(row))).collect();
    let n = ratios.len() as f64;
    if ratios.len() < 3 {
        return None;
    }
    let mean = ratios.iter().map(|r| r.ratio).sum::<f64>() / n;
    let variance = ratios.iter().map(|r| (r.ratio - mean).powi(2)).sum::<f64>() / (n - 1.0);
    let errors: Vec<f64> = ratios.iter().filter_map(|r| Some(r.standard_error()?.powi(2))).collect();
    let mean_error = errors.iter().sum::<f64>() / errors.len().max(1) as f64;
    let error = own.standard_error()?.powi(2);
    let correlation = mean_correlation(table, rows)?;
    let apart = 1.0 - correlation;
    let between = (variance - apart * mean_error).max(0.0);
    let total = between + apart * error;
    let kept = if total > 0.0 { between / total } else { 0.0 };
    let a_year = DAYS_A_YEAR.sqrt();
    Some(Shrunken {
        shown: own.ratio * a_year,
        expected: (mean + kept * (own.ratio - mean)) * a_year,
        standard_error: (kept * apart * error + correlation * error).sqrt() * a_year,
        kept,
        mean: mean * a_year,
        true_deviation: between.sqrt() * a_year,
        correlation,
        points: ratios.len(),
    })
}

/// Mean of the correlations of all pairs of rows that have variance, not below 0: (|sum of unit rows|^2 - n) / (n (n - 1)).
fn mean_correlation(table: &Table, rows: &[usize]) -> Option<f64> {
    let days = table.days();
    let mut sum = vec![0.0; days];
    let mut n = 0.0;
    for &row in rows {
        let row = table.row(row);
        let mean = row.iter().sum::<f64>() / days as f64;
        let length = row.iter().map(|r| (r - mean) * (r - mean)).sum::<f64>().sqrt();
        if length > 0.0 && length.is_finite() {
            n += 1.0;
            sum.iter_mut().zip(row).for_each(|(sum, r)| *sum += (r - mean) / length);
        }
    }
    let square: f64 = sum.iter().map(|s| s * s).sum();
    (n > 1.0).then(|| ((square - n) / (n * (n - 1.0))).clamp(0.0, 1.0))
}
