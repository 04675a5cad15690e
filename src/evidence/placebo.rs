//! Real sessions beside sessions on null markets: whether what gets through is more than what luck gets through.
//!
//! Fisher's exact test, one-sided: given how many got through in all, the chance that real sessions have at least
//! their share of them if both kinds got through equally often,
//! sum over k >= a of C(n, k) C(m, a + b - k) / C(n + m, a + b).
//!
//! Assumes sessions of one kind to be exchangeable; sessions on overlapping candles are not independent, which makes
//! the test say "told apart" too readily in runs of luck. It is a brake, beside the e-values and not instead of them.
//!
//! Source: Fisher, Statistical Methods for Research Workers (1934).

use serde::{Deserialize, Serialize};
use statrs::function::factorial::ln_binomial;

/// How many sessions of each kind had a strategy that got through to shadow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PlaceboComparison {
    /// Sessions on the real market.
    pub real_sessions: u64,
    /// Of them, those with a strategy that entered shadow.
    pub real_passed: u64,
    /// Sessions on null markets, through the same code and gates.
    pub placebo_sessions: u64,
    /// Of them, those with a strategy that entered shadow.
    pub placebo_passed: u64,
    /// One-sided: small when real sessions get through more often. `None` while nothing ever got through.
    pub p_value: Option<f64>,
    /// Whether promotions are frozen: null markets get through, too, and real ones not evidently more often.
    pub frozen: bool,
}

impl PlaceboComparison {
    /// Null markets that must have got through before there is anything to confuse.
    pub const LEAST_PASSES: u64 = 2;
    /// P-value up to which real and placebo count as told apart.
    pub const MAX_P: f64 = 0.05;

    /// Compares counts; passes beyond the sessions are cut off.
    #[must_use]
    pub fn of(real_sessions: u64, real_passed: u64, placebo_sessions: u64, placebo_passed: u64) -> Self {
        let (a, b) = (real_passed.min(real_sessions), placebo_passed.min(placebo_sessions));
        let p_value = fisher(a, real_sessions, b, placebo_sessions);
        let apart = p_value.is_some_and(|p| p <= Self::MAX_P);
        let frozen = b >= Self::LEAST_PASSES && !apart;
        Self { real_sessions, real_passed: a, placebo_sessions, placebo_passed: b, p_value, frozen }
    }
}

/// One-sided p-value; `None` when nothing got through or there is nothing to compare.
fn fisher(a: u64, n: u64, b: u64, m: u64) -> Option<f64> {
    let passed = a + b;
    if passed == 0 || n == 0 || m == 0 {
        return None;
    }
    let term = |k: u64| (ln_binomial(n, k) + ln_binomial(m, passed - k) - ln_binomial(n + m, passed)).exp();
    let sum: f64 = (a..=n.min(passed)).filter(|k| passed - k <= m).map(term).sum();
    Some(sum.min(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        // The lady tasting tea: 3 of 4 right, p = 17/70.
        let tea = PlaceboComparison::of(4, 3, 4, 1);
        assert!((tea.p_value.unwrap() - 17.0 / 70.0).abs() < 1e-12);
        assert!(!tea.frozen, "one pass of a placebo is no reason");
    }

    #[test]
    fn freezes_only_when_nulls_get_through_as_well() {
        assert!(!PlaceboComparison::of(0, 0, 0, 0).frozen);
        assert!(!PlaceboComparison::of(100, 0, 100, 0).frozen);
        assert!(PlaceboComparison::of(100, 3, 100, 2).frozen);
        assert!(PlaceboComparison::of(100, 0, 100, 5).frozen);
        assert!(!PlaceboComparison::of(100, 60, 100, 5).frozen);
        assert_eq!(PlaceboComparison::of(100, 0, 100, 0).p_value, None);
    }
}
