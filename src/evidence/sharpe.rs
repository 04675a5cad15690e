//! How sure a Sharpe ratio is, alone and as the best of many tries.
//!
//! All ratios here are per period (mean / deviation with ddof 1, not annualised); skew and kurtosis are those of
//! the population, kurtosis raw (3 for a normal).
//!
//! Assumes: stationary, ergodic returns without serial correlation; sum overlapping trades by day first. The
//! deflated ratio assumes independent trials, and after an adaptive search that is false: a reading, not a gate.
//!
//! Sources: Bailey and Lopez de Prado, The Sharpe ratio efficient frontier (2012) and The deflated Sharpe ratio
//! (2014); Bailey, Borwein, Lopez de Prado and Zhu, Pseudo-mathematics and financial charlatanism (2014).

use statrs::distribution::{Continuous, ContinuousCDF, Normal};

/// A per-period Sharpe ratio with what its precision depends on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SharpeRatio {
    /// Mean / deviation, per period.
    pub ratio: f64,
    /// Number of periods.
    pub periods: f64,
    /// Skew of the returns.
    pub skew: f64,
    /// Raw kurtosis of the returns.
    pub kurtosis: f64,
}

impl SharpeRatio {
    /// From returns by period. `None` with fewer than two, or without variance.
    #[must_use]
    pub fn of(returns: &[f64]) -> Option<Self> {
        let n = returns.len() as f64;
        let mean = returns.iter().sum::<f64>() / n;
        let moment = |power| returns.iter().map(|r| (r - mean).powi(power)).sum::<f64>() / n;
        let variance = moment(2);
        let ratio = mean / (variance * n / (n - 1.0)).sqrt();
        let (skew, kurtosis) = (moment(3) / variance.powf(1.5), moment(4) / (variance * variance));
        // Covers no returns, one return, no variance and values that are not finite.
        let defined = ratio.is_finite() && skew.is_finite() && kurtosis.is_finite();
        defined.then_some(Self { ratio, periods: n, skew, kurtosis })
    }

    /// (1 - g3 SR + (g4 - 1)/4 SR^2): the variance of the ratio times n - 1.
    fn unit_variance(&self) -> Option<f64> {
        let variance = 1.0 - self.skew * self.ratio + (self.kurtosis - 1.0) / 4.0 * self.ratio * self.ratio;
        (variance > 0.0 && variance.is_finite()).then_some(variance)
    }

    /// Standard error of the ratio.
    #[must_use]
    pub fn standard_error(&self) -> Option<f64> {
        (self.periods > 1.0).then_some(())?;
        Some((self.unit_variance()? / (self.periods - 1.0)).sqrt())
    }

    /// Probabilistic Sharpe ratio: the chance that the true ratio exceeds `benchmark`, Phi((SR - SR*) / se).
    #[must_use]
    pub fn probabilistic(&self, benchmark: f64) -> Option<f64> {
        Some(Normal::standard().cdf((self.ratio - benchmark) / self.standard_error()?))
    }

    /// Deflated Sharpe ratio: the chance that the true ratio exceeds what the best of `trials` worthless tries is
    /// expected to show. `variance_of_trials`: 1 / periods for tries without any edge.
    #[must_use]
    pub fn deflated(&self, trials: f64, variance_of_trials: f64) -> Option<f64> {
        self.probabilistic(expected_best_sharpe(trials, variance_of_trials)?)
    }

    /// Minimum track record: periods needed for the probabilistic ratio against `benchmark` to reach `confidence`.
    /// `None` when the ratio does not exceed the benchmark.
    #[must_use]
    pub fn minimum_track_record(&self, benchmark: f64, confidence: f64) -> Option<f64> {
        let valid = self.ratio > benchmark && confidence > 0.0 && confidence < 1.0;
        let z = valid.then(|| Normal::standard().inverse_cdf(confidence))?;
        Some(1.0 + self.unit_variance()? * (z / (self.ratio - benchmark)).powi(2))
    }
}

/// Expected maximum of `n` independent standard normals:
/// (1 - gamma) Phi^-1(1 - 1/n) + gamma Phi^-1(1 - 1/(n e)). `None` for n of 1 or less.
#[must_use]
pub fn expected_maximum(n: f64) -> Option<f64> {
    const EULER_GAMMA: f64 = 0.577_215_664_901_532_9;
    let normal = Normal::standard();
    // By symmetry the upper quantile is minus the lower one, which stays exact for a million tries and more.
    let upper = |tail: f64| -normal.inverse_cdf(tail);
    (n > 1.0 && n.is_finite())
        .then(|| (1.0 - EULER_GAMMA) * upper(1.0 / n) + EULER_GAMMA * upper(1.0 / (n * std::f64::consts::E)))
}

/// The same by quadrature of n x phi(x) Phi(x)^(n-1): good to about 10 digits. `None` below 1.
#[must_use]
pub fn expected_maximum_exact(n: f64) -> Option<f64> {
    if !(n >= 1.0 && n.is_finite()) {
        return None;
    }
    let normal = Normal::standard();
    let density = |x: f64| x * n * normal.pdf(x) * ((n - 1.0) * (-normal.sf(x)).ln_1p()).exp();
    // Simpson's rule; the integrand is smooth and below 1e-30 outside.
    let (from, to, steps) = (-12.0, 12.0, 24_000);
    let width = (to - from) / f64::from(steps);
    let weighted = |i: i32| {
        let weight = if i == 0 || i == steps { 1.0 } else { f64::from(2 + 2 * (i % 2)) };
        weight * density(from + width * f64::from(i))
    };
    Some((0..=steps).map(weighted).sum::<f64>() * width / 3.0)
}

/// What the best of `trials` worthless tries is expected to show: sqrt(variance) x expected maximum.
#[must_use]
pub fn expected_best_sharpe(trials: f64, variance_of_trials: f64) -> Option<f64> {
    (variance_of_trials >= 0.0).then_some(())?;
    Some(variance_of_trials.sqrt() * expected_maximum(trials)?)
}

/// Minimum backtest length in years: shorter, and the best of `trials` worthless tries is expected to show
/// `annual_sharpe`. (expected maximum / ratio)^2.
#[must_use]
pub fn minimum_backtest_years(trials: f64, annual_sharpe: f64) -> Option<f64> {
    (annual_sharpe > 0.0).then_some(())?;
    Some((expected_maximum(trials)? / annual_sharpe).powi(2))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vectors::{assert_close, number, numbers, read};

    #[test]
    fn published_examples() {
        // Monthly mean 3.6 %, deviation 7.9 %, 24 months: the paper prints 0.982 (normal; 0.9812 by its own formula
        // from these rounded inputs) and 0.913.
        let normal = SharpeRatio { ratio: 0.036 / 0.079, periods: 24.0, skew: 0.0, kurtosis: 3.0 };
        let skewed = SharpeRatio { skew: -2.448, kurtosis: 10.164, ..normal };
        assert!((normal.probabilistic(0.0).unwrap() - 0.982).abs() < 1e-3);
        assert!((skewed.probabilistic(0.0).unwrap() - 0.913).abs() < 5e-4);
        // Annual 2.5 over 1250 days, best of 100 and of 46: the paper prints 0.9004 and 0.9505.
        let daily = 2.5 / 250_f64.sqrt();
        let best = SharpeRatio { ratio: daily, periods: 1250.0, skew: -3.0, kurtosis: 10.0 };
        assert!((best.deflated(100.0, 0.5 / 250.0).unwrap() - 0.9004).abs() < 5e-5);
        assert!((best.deflated(46.0, 0.5 / 250.0).unwrap() - 0.9505).abs() < 5e-5);
    }

    #[test]
    fn published_vectors() {
        let v = read(include_str!("vectors/02_psr_dsr/psr_published.json"));
        let ratio = number(&v["inputs"]["sr"]);
        let skewed = SharpeRatio { ratio, periods: 24.0, skew: -2.448, kurtosis: 10.164 };
        let normal = SharpeRatio { skew: 0.0, kurtosis: 3.0, ..skewed };
        assert_close(normal.probabilistic(0.0).unwrap(), &v["outputs"]["psr_normal"]);
        assert_close(skewed.probabilistic(0.0).unwrap(), &v["outputs"]["psr"]);
        assert_close(skewed.standard_error().unwrap(), &v["outputs"]["se"]);
        assert_close(skewed.minimum_track_record(0.0, 0.95).unwrap(), &v["outputs"]["mintrl95"]);
        let v = read(include_str!("vectors/02_psr_dsr/dsr_published.json"));
        let best = SharpeRatio { ratio: 2.5 / 250_f64.sqrt(), periods: 1250.0, skew: -3.0, kurtosis: 10.0 };
        assert_close(expected_best_sharpe(100.0, 0.5 / 250.0).unwrap(), &v["outputs"]["sr0"]);
        assert_close(best.deflated(100.0, 0.5 / 250.0).unwrap(), &v["outputs"]["dsr"]);
        assert_close(expected_best_sharpe(46.0, 0.5 / 250.0).unwrap(), &v["outputs"]["sr0_46"]);
        assert_close(best.deflated(46.0, 0.5 / 250.0).unwrap(), &v["outputs"]["dsr_46"]);
        assert_close(best.probabilistic(0.0).unwrap(), &v["outputs"]["psr0"]);
    }

    #[test]
    fn from_returns() {
        let v = read(include_str!("vectors/02_psr_dsr/seeded.json"));
        let (input, output) = (&v["inputs"], &v["outputs"]);
        let sharpe = SharpeRatio::of(&numbers(&input["returns"])).unwrap();
        let benchmark = number(&input["benchmark"]);
        assert_close(sharpe.ratio, &output["sr"]);
        assert_close(sharpe.skew, &output["skew"]);
        assert_close(sharpe.kurtosis, &output["kurt"]);
        assert_close(sharpe.standard_error().unwrap(), &output["se"]);
        assert_close(sharpe.probabilistic(0.0).unwrap(), &output["psr0"]);
        assert_close(sharpe.probabilistic(benchmark).unwrap(), &output["psr_b"]);
        assert_close(sharpe.minimum_track_record(0.0, 0.95).unwrap(), &output["mintrl_0_95"]);
        let variance = number(&output["trial_var_ddof1"]);
        assert_close(expected_best_sharpe(40.0, variance).unwrap(), &output["sr0"]);
        assert_close(sharpe.deflated(40.0, variance).unwrap(), &output["dsr"]);
        assert_close(sharpe.deflated(1e6, variance).unwrap(), &output["dsr_N1e6"]);
    }

    #[test]
    fn expected_maxima_and_backtest_lengths() {
        let v = read(include_str!("vectors/03_minbtl/table.json"));
        for row in v["outputs"]["rows"].as_array().unwrap() {
            let n = number(&row["N"]);
            assert_close(expected_maximum(n).unwrap(), &row["emax"]);
            assert_close(expected_maximum_exact(n).unwrap(), &row["exact_emax"]);
            assert_close(minimum_backtest_years(n, 1.0).unwrap(), &row["minbtl_years_sr1"]);
            assert_close(minimum_backtest_years(n, 2.0).unwrap(), &row["minbtl_years_sr2"]);
            assert_close(minimum_backtest_years(n, 3.0).unwrap(), &row["minbtl_years_sr3"]);
            assert_close(365.0 * minimum_backtest_years(n, 5.0).unwrap(), &row["minbtl_days365_sr5"]);
        }
    }

    #[test]
    fn undefined_stays_undefined() {
        assert_eq!(SharpeRatio::of(&[]), None);
        assert_eq!(SharpeRatio::of(&[0.01]), None);
        assert_eq!(SharpeRatio::of(&[0.0, 0.0, 0.0]), None);
        assert_eq!(SharpeRatio::of(&[0.01, f64::NAN]), None);
        let flat = SharpeRatio::of(&[0.01, -0.01, 0.02, -0.02]).unwrap();
        assert_eq!(flat.minimum_track_record(0.0, 0.95), None);
        assert_eq!((expected_maximum(1.0), expected_maximum(f64::NAN)), (None, None));
        assert!((expected_maximum_exact(2.0).unwrap() - std::f64::consts::PI.sqrt().recip()).abs() < 1e-9);
        assert_eq!(minimum_backtest_years(100.0, 0.0), None);
    }
}
