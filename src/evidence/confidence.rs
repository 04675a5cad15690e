//! Confidence sequences: intervals for a mean that hold at every sample size at once, so one may stop anywhere.
//!
//! Sources: Waudby-Smith and Ramdas (JRSS B, 2024) for bounded data; Howard, Ramdas, McAuliffe and Sekhon (Annals
//! of Statistics, 2021) for normal mixtures; Robbins (1970) for the mixture likelihood ratio; Waudby-Smith, Arbour,
//! Sinha, Kennedy and Ramdas (Annals of Statistics, 2024) for the asymptotic sequence.

use statrs::distribution::{ContinuousCDF, Normal};

/// An interval for the mean after each observation.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub struct Intervals {
    pub lower: Vec<f64>,
    pub upper: Vec<f64>,
}

/// Predictable bets of the empirical-Bernstein sequence, at most `truncation`:
/// sqrt(2 ln(1/alpha) / (t ln(1+t) v_(t-1))), v the running variance shrunk towards 1/4.
fn predictable_bets(x: &[f64], alpha: f64, truncation: f64) -> Vec<f64> {
    let (mut sum, mut squares, mut variance) = (0.5, 0.25, 0.25);
    x.iter()
        .enumerate()
        .map(|(i, &value)| {
            let t = (i + 1) as f64;
            let bet = (2.0 * (1.0 / alpha).ln() / (t * (1.0 + t).ln() * variance)).sqrt().min(truncation);
            sum += value;
            let mean = (sum / (t + 1.0)).min(1.0);
            squares += (value - mean).powi(2);
            variance = squares / (t + 1.0);
            bet
        })
        .collect()
}

fn bernstein_lower(x: &[f64], alpha: f64) -> Vec<f64> {
    let bets = predictable_bets(x, alpha, 0.5);
    let (mut seen, mut weights, mut weighted, mut penalty) = (0.0, 0.0, 0.0, (1.0 / alpha).ln());
    x.iter()
        .zip(bets)
        .enumerate()
        .map(|(i, (&value, bet))| {
            let mean_before = if i == 0 { 0.0 } else { seen / i as f64 };
            penalty += (value - mean_before).powi(2) * (-(-bet).ln_1p() - bet);
            weights += bet;
            weighted += bet * value;
            seen += value;
            ((weighted - penalty) / weights).max(0.0)
        })
        .collect()
}

fn in_unit_range(x: &[f64], alpha: f64) -> bool {
    x.iter().all(|v| (0.0..=1.0).contains(v)) && alpha > 0.0 && alpha < 1.0
}

/// Empirical-Bernstein confidence sequence for the mean of data in [0, 1], two-sided at `alpha`.
///
/// Assumes nothing but the bounds and a constant conditional mean. `None` for data outside the bounds.
#[must_use]
pub fn empirical_bernstein(x: &[f64], alpha: f64) -> Option<Intervals> {
    if !in_unit_range(x, alpha) {
        return None;
    }
    let mirrored: Vec<f64> = x.iter().map(|v| 1.0 - v).collect();
    let upper = bernstein_lower(&mirrored, alpha / 2.0).iter().map(|v| 1.0 - v).collect();
    Some(Intervals { lower: bernstein_lower(x, alpha / 2.0), upper })
}

/// Hedged betting capital against the hypothesis that data in [0, 1] have mean `m`: an e-process.
///
/// K_t = max(1/2 prod(1 + l+ (x - m)), 1/2 prod(1 - l- (x - m))), bets truncated at 1/(2m) and 1/(2(1-m)). The
/// means whose capital stays below 1/alpha form a confidence sequence. `None` outside the bounds.
#[must_use]
pub fn hedged_capital(x: &[f64], m: f64, alpha: f64) -> Option<Vec<f64>> {
    if !in_unit_range(x, alpha) || m <= 0.0 || m >= 1.0 {
        return None;
    }
    let bets = predictable_bets(x, alpha / 2.0, f64::INFINITY);
    let (mut up, mut down) = (0.5, 0.5);
    let capital = x.iter().zip(bets).map(|(value, bet)| {
        up *= 1.0 + bet.min(0.5 / m) * (value - m);
        down *= 1.0 - bet.min(0.5 / (1.0 - m)) * (value - m);
        f64::max(up, down)
    });
    Some(capital.collect())
}

/// A boundary for sums of sub-Gaussian variables that is tightest at variance `best_at`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NormalMixture {
    alpha: f64,
    rho: f64,
}

impl NormalMixture {
    /// Two-sided boundary at `alpha`: rho = v / (2 ln(1/alpha) + ln(1 + 2 ln(1/alpha))). `None` out of bounds.
    #[must_use]
    pub fn new(alpha: f64, best_at: f64) -> Option<Self> {
        let log = (1.0 / alpha).ln();
        let valid = alpha > 0.0 && alpha < 1.0 && best_at > 0.0 && best_at.is_finite();
        valid.then(|| Self { alpha, rho: best_at / (2.0 * log + (2.0 * log).ln_1p()) })
    }

    /// The mixture's parameter.
    #[must_use]
    pub fn rho(&self) -> f64 {
        self.rho
    }

    /// u(v) = sqrt((v + rho)(ln(1 + v/rho) + 2 ln(1/alpha))): the sum stays within +-u(v) for all v, but for alpha.
    #[must_use]
    pub fn two_sided(&self, variance: f64) -> f64 {
        let spread = (variance / self.rho).ln_1p() + 2.0 * (1.0 / self.alpha).ln();
        ((variance + self.rho) * spread).sqrt()
    }

    /// The one-sided boundary with this rho: s solves
    /// ln(4 rho / (v + rho)) / 2 + s^2 / (2 (v + rho)) + ln Phi(s / sqrt(v + rho)) = ln(1/alpha).
    #[must_use]
    pub fn one_sided(&self, variance: f64) -> f64 {
        let total = variance + self.rho;
        let normal = Normal::standard();
        let excess = |s: f64| {
            0.5 * (4.0 * self.rho / total).ln() + s * s / (2.0 * total) + normal.cdf(s / total.sqrt()).ln()
                - (1.0 / self.alpha).ln()
        };
        // The left side grows with s; bisection to the last bit.
        let (mut low, mut high) = (0.0, 100.0 * total.sqrt());
        loop {
            let middle = f64::midpoint(low, high);
            if middle <= low || middle >= high {
                return middle;
            }
            if excess(middle) < 0.0 { low = middle } else { high = middle }
        }
    }

    /// The same rho as a boundary at another level: the one-sided boundary at alpha takes rho of 2 alpha.
    #[must_use]
    pub fn at_level(self, alpha: f64) -> Self {
        Self { alpha, ..self }
    }
}

/// Mixture sequential probability ratio for unit variance after each observation:
/// (1 + n tau^2)^(-1/2) exp(tau^2 S^2 / (2 (1 + n tau^2))), S the sum of deviations from `mean`.
#[must_use]
pub fn mixture_ratio(x: &[f64], mean: f64, tau_squared: f64) -> Vec<f64> {
    let mut sum = 0.0;
    let ratio = x.iter().enumerate().map(|(i, value)| {
        sum += value - mean;
        let spread = 1.0 + (i + 1) as f64 * tau_squared;
        (tau_squared * sum * sum / (2.0 * spread)).exp() / spread.sqrt()
    });
    ratio.collect()
}

/// Half width of the asymptotic confidence sequence after each observation (population deviation):
/// sd sqrt(2 (n rho^2 + 1) / (n rho)^2 ln(sqrt(n rho^2 + 1) / alpha)), tightest at `best_at` observations.
///
/// Two-sided, and valid only in the limit: not before some 50 observations. `None` out of bounds.
#[must_use]
pub fn asymptotic_half_widths(x: &[f64], alpha: f64, best_at: f64) -> Option<Vec<f64>> {
    if !(alpha > 0.0 && alpha < 1.0 && best_at > 0.0) {
        return None;
    }
    let log = -2.0 * alpha.ln();
    let rho_squared = (log + (log + 1.0).ln()) / best_at;
    let (mut mean, mut squares) = (0.0, 0.0);
    let widths = x.iter().enumerate().map(|(i, value)| {
        let n = (i + 1) as f64;
        // Welford's update: no cancellation.
        let delta = value - mean;
        mean += delta / n;
        squares += delta * (value - mean);
        let spread = n * rho_squared + 1.0;
        (squares / n).sqrt() * (2.0 * spread / (n * n * rho_squared) * (spread.sqrt() / alpha).ln()).sqrt()
    });
    Some(widths.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vectors::{assert_all_close, assert_close, number, numbers, read};

    #[test]
    fn bounded_means_agree_with_the_reference() {
        let v = read(include_str!("vectors/09_anytime/bounded_mean_cs.json"));
        let (x, alpha) = (numbers(&v["inputs"]["x"]), number(&v["inputs"]["alpha"]));
        let intervals = empirical_bernstein(&x, alpha).unwrap();
        assert_all_close(&intervals.lower, &v["outputs"]["lower"]);
        assert_all_close(&intervals.upper, &v["outputs"]["upper"]);
        for (mean, key) in [(0.3, "hedged_capital_m030"), (0.375, "hedged_capital_m0375")] {
            assert_all_close(&hedged_capital(&x, mean, alpha).unwrap(), &v["outputs"][key]);
        }
        let kept = |m: &f64| *hedged_capital(&x, *m, alpha).unwrap().last().unwrap() < 1.0 / alpha;
        let means: Vec<f64> = (1..1000).map(|i| f64::from(i) / 1000.0).filter(kept).collect();
        assert_all_close(&[means[0], means[means.len() - 1]], &v["outputs"]["betting_interval_last_grid1000"]);
    }

    #[test]
    fn normal_mixtures_agree_with_the_reference() {
        let v = read(include_str!("vectors/09_anytime/normal_mixture.json"));
        let (input, output) = (&v["inputs"], &v["outputs"]);
        let (alpha, best_at) = (number(&input["alpha"]), number(&input["v_opt"]));
        let two = NormalMixture::new(alpha, best_at).unwrap();
        let one = NormalMixture::new(2.0 * alpha, best_at).unwrap().at_level(alpha);
        assert_close(two.rho(), &output["rho_two_sided"]);
        assert_close(one.rho(), &output["rho_one_sided"]);
        let variances = numbers(&input["v"]);
        assert_all_close(&variances.iter().map(|&v| two.two_sided(v)).collect::<Vec<_>>(), &output["two_sided"]);
        assert_all_close(&variances.iter().map(|&v| one.one_sided(v)).collect::<Vec<_>>(), &output["one_sided"]);
        let y = numbers(&input["y"]);
        assert_all_close(&mixture_ratio(&y, 0.0, number(&input["tau2"])), &output["msprt"]);
        let widths = asymptotic_half_widths(&y, alpha, number(&input["asymp_t_opt"])).unwrap();
        assert_all_close(&widths, &output["asymp_half_width"]);
    }

    #[test]
    fn out_of_bounds_is_undefined() {
        assert_eq!(empirical_bernstein(&[0.5, 1.5], 0.05), None);
        assert_eq!(empirical_bernstein(&[f64::NAN], 0.05), None);
        assert_eq!(hedged_capital(&[0.5], 1.0, 0.05), None);
        assert_eq!(NormalMixture::new(0.05, -1.0), None);
        assert_eq!(asymptotic_half_widths(&[0.5], 0.0, 10.0), None);
    }

    #[test]
    fn a_constant_lies_in_its_interval() {
        let intervals = empirical_bernstein(&[0.25; 400], 0.05).unwrap();
        let last = (intervals.lower[399], intervals.upper[399]);
        assert!(last.0 < 0.25 && 0.25 < last.1 && last.1 - last.0 < 0.05, "{last:?}");
    }
}
