//! Exact confidence intervals of a share that was counted.
//!
//! Clopper and Pearson: the shares p at which k or more, and k or fewer, of n are each at least half of 1 - confidence
//! likely; quantiles of beta distributions. Covers with at least the stated confidence, whatever the true share.
//! Assumes independent trials of one share.
//!
//! Source: Clopper and Pearson (Biometrika, 1934).

use statrs::distribution::{Beta, ContinuousCDF};

/// Both ends of the interval for `hits` of `trials`; `None` without trials, with more hits than trials, or with a
/// confidence outside 0 to 1.
#[must_use]
pub fn clopper_pearson(hits: u64, trials: u64, confidence: f64) -> Option<(f64, f64)> {
    if trials == 0 || hits > trials || !(confidence > 0.0 && confidence < 1.0) {
        return None;
    }
    let tail = (1.0 - confidence) / 2.0;
    let (k, n) = (hits as f64, trials as f64);
    let low = if hits == 0 { 0.0 } else { Beta::new(k, n - k + 1.0).ok()?.inverse_cdf(tail) };
    let high = if hits == trials { 1.0 } else { Beta::new(k + 1.0, n - k).ok()?.inverse_cdf(1.0 - tail) };
    Some((low, high))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_published_intervals() {
        let close = |found: Option<(f64, f64)>, low: f64, high: f64| {
            let found = found.unwrap();
            assert!((found.0 - low).abs() < 5e-5 && (found.1 - high).abs() < 5e-5, "{found:?}");
        };
        // 1 - 0.025^(1/200); R's binom.test for the others.
        close(clopper_pearson(0, 200, 0.95), 0.0, 0.018_275);
        close(clopper_pearson(10, 100, 0.95), 0.049_005, 0.176_223);
        close(clopper_pearson(5, 5, 0.95), 0.478_18, 1.0);
        assert_eq!(clopper_pearson(0, 0, 0.95), None);
        assert_eq!(clopper_pearson(3, 2, 0.95), None);
        assert_eq!(clopper_pearson(1, 2, 1.0), None);
    }
}
