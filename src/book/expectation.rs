//! What a strategy can be expected to earn, of all that a block's search evaluated: empirical Bayes.
//!
//! A t-statistic **before costs** is what shrinks: costs are known, and are taken off afterwards. Of strategy i it is
//!
//! ```text
//! t_i = m + common + own_i + luck + luck_i
//! ```
//!
//! - *m* and both lucks are those of null searches: searches of the same size, begun with the best of the block before as the
//!   search is, on markets that hold nothing. Their means differ from each other by `luck` (strategies of one market are
//!   lucky together), the strategies of one search by `luck_i`.
//! - *common* is what the strategies of this block have beyond the null ones, shrunk against `luck` with a prior of
//!   deviation 1: one market gives one reading of it, however many strategies were tried.
//! - *own_i* has a prior that the block's own strategies give: weights over a grid, found by expectation maximisation
//!   (nonparametric maximum likelihood: Kiefer and Wolfowitz 1956; Efron, Large-Scale Inference, 2010).
//!
//! The local false discovery rate is the posterior probability that common + own is not above 0. What history shows that
//! promises keep multiplies the expectation ([`Kept`]). Admits nobody.

use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF, Normal};

/// Deviation of the prior of what all strategies of a market have in common, in units of t.
const COMMON_DEVIATION: f64 = 1.0;
/// Null searches whose means are taken to differ by [`PRIOR_BETWEEN`], before any was seen.
const PRIOR_SEARCHES: f64 = 4.0;
/// See [`PRIOR_SEARCHES`]; units of t.
const PRIOR_BETWEEN: f64 = 0.7;
/// Least deviation of luck among the strategies of one search: that of a t-statistic of independent days.
const LEAST_WITHIN: f64 = 1.0;
/// Own effects that are considered, in units of t.
const GRID: (f64, f64, usize) = (-6.0, 6.0, 49);
const ITERATIONS: usize = 200;
/// Half squares of a distance in deviations above which likelihoods are told by their ratios: e to the power of less is a number
/// with all its digits.
const FAR: f64 = 600.0;

/// t before costs of what one null search evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct NullSample {
    /// Distinct strategies.
    pub strategies: u32,
    /// Mean.
    pub mean: f64,
    /// Variance (ddof 1).
    pub variance: f64,
}

impl NullSample {
    /// Of a null search's strategies; `None` for fewer than two.
    #[must_use]
    pub fn of(ts: &[f64]) -> Option<Self> {
        let (mean, variance) = moments(ts)?;
        Some(Self { strategies: u32::try_from(ts.len()).ok()?, mean, variance })
    }
}

/// What luck does, by null searches.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Luck {
    /// Mean of t before costs where there is nothing.
    pub mean: f64,
    /// Variance of a search's mean.
    pub between: f64,
    /// Variance among the strategies of a search.
    pub within: f64,
}

impl Luck {
    /// `None` without a null search.
    #[must_use]
    pub fn of(nulls: &[NullSample]) -> Option<Self> {
        let n = nulls.len() as f64;
        let mean = nulls.iter().map(|null| null.mean).sum::<f64>() / n;
        let squares: f64 = nulls.iter().map(|null| (null.mean - mean).powi(2)).sum();
        let between = (PRIOR_SEARCHES * PRIOR_BETWEEN.powi(2) + squares) / (PRIOR_SEARCHES + n - 1.0);
        let within = (nulls.iter().map(|null| null.variance).sum::<f64>() / n).max(LEAST_WITHIN.powi(2));
        (!nulls.is_empty()).then_some(Self { mean, between, within })
    }
}

/// What is known of the strategies of a block before one of them is looked at.
#[derive(Clone, Debug, PartialEq)]
pub struct Prior {
    luck: Luck,
    /// Mean t before costs of the block's strategies.
    centre: f64,
    /// Posterior mean and variance of what they have in common.
    common: (f64, f64),
    /// Own effects and their probabilities.
    own: Vec<(f64, f64)>,
}

/// What a strategy can be expected to earn.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Expected {
    /// t before costs, shrunk.
    pub t: f64,
    /// Probability that there is no edge before costs.
    pub false_discovery: f64,
}

impl Prior {
    /// Of t before costs of all distinct strategies that a block's search evaluated, and null searches. `None` for fewer
    /// than two strategies, or without a null search.
    #[must_use]
    pub fn of(ts: &[f64], nulls: &[NullSample]) -> Option<Self> {
        let luck = Luck::of(nulls)?;
        let (centre, _) = moments(ts)?;
        let prior = COMMON_DEVIATION.powi(2);
        // The mean of luck is known by as many readings as there are null searches.
        let noise = luck.between * (1.0 + 1.0 / nulls.len() as f64);
        let common = (prior / (prior + noise) * (centre - luck.mean), prior * noise / (prior + noise));
        let (least, most, points) = GRID;
        let at = |k: usize| least + (most - least) * k as f64 / (points - 1) as f64;
        let mut own: Vec<(f64, f64)> = (0..points).map(|k| (at(k), 1.0 / points as f64)).collect();
        let likelihoods: Vec<Vec<f64>> = ts.iter().map(|t| likelihoods(t - centre, &own, luck.within)).collect();
        for _ in 0..ITERATIONS {
            let mut next = vec![0.0; points];
            for row in &likelihoods {
                let total: f64 = row.iter().zip(&own).map(|(l, (_, p))| l * p).sum();
                if total > 0.0 {
                    next.iter_mut().zip(row.iter().zip(&own)).for_each(|(next, (l, (_, p)))| *next += l * p / total);
                }
            }
            let sum: f64 = next.iter().sum();
            if sum > 0.0 {
                own.iter_mut().zip(next).for_each(|((_, p), next)| *p = next / sum);
            }
        }
        Some(Self { luck, centre, common, own })
    }

    /// What luck does.
    #[must_use]
    pub const fn luck(&self) -> Luck {
        self.luck
    }

    /// Of a strategy of the block with this t before costs.
    #[must_use]
    pub fn expected(&self, t: f64) -> Expected {
        let likelihoods = likelihoods(t - self.centre, &self.own, self.luck.within);
        let weigh = |((effect, p), likelihood): (&(f64, f64), f64)| (*effect, p * likelihood);
        let posterior: Vec<(f64, f64)> = self.own.iter().zip(likelihoods).map(weigh).collect();
        let total: f64 = posterior.iter().map(|(_, p)| p).sum();
        let (common, variance) = self.common;
        let deviation = variance.sqrt();
        let none = |effect: f64| Normal::standard().cdf(-(common + effect) / deviation);
        if total.is_nan() || total <= 0.0 {
            // No number, or no effect near it has any probability.
            return Expected { t: common, false_discovery: none(0.0) };
        }
        let mean = posterior.iter().map(|(effect, p)| effect * p).sum::<f64>() / total;
        let false_discovery = posterior.iter().map(|(effect, p)| none(*effect) * p).sum::<f64>() / total;
        Expected { t: common + mean, false_discovery }
    }
}

/// How much of their promises strategies kept in the blocks that followed: the slope of what came on what was promised,
/// through the origin, with a prior of 1 that is worth two years of promised Sharpe ratios of 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Kept {
    /// Sum over days of promised x realised daily mean, in units of the strategies' deviation.
    pub products: f64,
    /// The same of promised squared.
    pub squares: f64,
}

/// Two years of a Sharpe ratio of 1, squared and summed over days.
const PRIOR_SQUARES: f64 = 2.0;

impl Kept {
    /// 0 to 1.
    #[must_use]
    pub fn fraction(&self) -> f64 {
        ((PRIOR_SQUARES + self.products) / (PRIOR_SQUARES + self.squares)).clamp(0.0, 1.0)
    }

    /// Strategies over a block of `days`: daily mean over deviation as promised, and as it came.
    pub fn observe(&mut self, days: usize, pairs: &[(f64, f64)]) {
        let n = pairs.len() as f64;
        if pairs.is_empty() {
            return;
        }
        // Strategies of one block are one observation.
        self.products += days as f64 * pairs.iter().map(|(promised, came)| promised * came).sum::<f64>() / n;
        self.squares += days as f64 * pairs.iter().map(|(promised, _)| promised * promised).sum::<f64>() / n;
    }
}

/// Of each effect, for a t that lies so far above the centre; up to a factor that they share.
fn likelihoods(above: f64, own: &[(f64, f64)], variance: f64) -> Vec<f64> {
    let half_square = |effect: f64| (above - effect).powi(2) / (2.0 * variance);
    let least = own.iter().map(|(effect, _)| half_square(*effect)).fold(f64::INFINITY, f64::min);
    // So far from all of them none of the numbers would be above 0: they count by how much nearer one is than another.
    let beyond = if least > FAR { least } else { 0.0 };
    own.iter().map(|(effect, _)| (beyond - half_square(*effect)).exp()).collect()
}

/// Mean and variance (ddof 1).
fn moments(values: &[f64]) -> Option<(f64, f64)> {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0);
    (values.len() >= 2 && variance.is_finite()).then_some((mean, variance))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Quantiles of a normal distribution.
    fn normal(mean: f64, deviation: f64, n: usize) -> Vec<f64> {
        let normal = Normal::new(mean, deviation).unwrap();
        (0..n).map(|i| normal.inverse_cdf((i as f64 + 0.5) / n as f64)).collect()
    }

    fn nulls() -> Vec<NullSample> {
        (0..8).map(|k| NullSample::of(&normal(if k % 2 == 0 { 0.3 } else { -0.3 }, 1.0, 200)).unwrap()).collect()
    }

    #[test]
    fn where_there_is_nothing_the_best_is_expected_to_earn_nothing() {
        let prior = Prior::of(&normal(0.0, 1.0, 500), &nulls()).unwrap();
        let best = prior.expected(3.1);
        assert!(best.t.abs() < 0.3 && best.false_discovery > 0.35, "{best:?}");
    }

    #[test]
    fn the_few_that_stand_out_keep_most() {
        let mut ts = normal(0.0, 1.0, 500);
        ts.extend(normal(5.0, 1.0, 25));
        let prior = Prior::of(&ts, &nulls()).unwrap();
        let (best, middle) = (prior.expected(5.0), prior.expected(0.0));
        assert!(best.t > 4.0 && best.false_discovery < 0.01, "{best:?}");
        assert!(middle.t < 0.5 && middle.false_discovery > 0.3, "{middle:?}");
        // As wide without anybody standing out is nothing but a wider market.
        assert!(prior.expected(2.5).t < 4.0);
    }

    #[test]
    fn what_all_have_may_be_luck() {
        // A whole market two deviations up: half of it and more is not believed, and some is.
        let prior = Prior::of(&normal(1.4, 1.0, 500), &nulls()).unwrap();
        let common = prior.expected(1.4).t;
        assert!(common > 0.8 && common < 1.2, "{common}");
        assert!((prior.expected(4.5).t - common).abs() < 0.4);
    }

    /// 50 deviations away e to the power of half the square is no number: more was promised, less was expected.
    #[test]
    fn what_lies_beyond_all_that_was_considered_is_expected_to_have_the_most_of_it() {
        let mut ts = normal(0.0, 1.0, 200);
        ts.extend([48.0, 60.0]);
        let prior = Prior::of(&ts, &nulls()).unwrap();
        let [some, more, most] = [30.0, 48.0, 60.0].map(|t| prior.expected(t));
        assert!(some.t > 5.0 && more.t >= some.t && most.t >= more.t, "{some:?} {more:?} {most:?}");
        assert!(most.false_discovery < 1e-6, "{most:?}");
        let worst = prior.expected(-60.0);
        assert!(worst.t < 0.0 && worst.false_discovery > 0.5, "{worst:?}");
    }

    #[test]
    fn kept_promises() {
        let mut kept = Kept::default();
        assert_eq!(kept.fraction(), 1.0);
        let daily = 1.0 / 365.0_f64.sqrt();
        for _ in 0..4 {
            kept.observe(365, &[(daily, 0.5 * daily), (2.0 * daily, daily)]);
        }
        assert!((kept.fraction() - (2.0 + 5.0) / (2.0 + 10.0)).abs() < 1e-12, "{}", kept.fraction());
        kept.observe(365, &[(daily, -100.0 * daily)]);
        assert_eq!(kept.fraction(), 0.0);
        kept.observe(30, &[]);
    }

    #[test]
    fn without_a_null_search_nothing_is_said() {
        assert_eq!(Prior::of(&[1.0, 2.0], &[]), None);
        assert_eq!(Prior::of(&[1.0], &nulls()), None);
        assert_eq!(NullSample::of(&[1.0]), None);
        assert_eq!(NullSample::of(&[1.0, f64::NAN]), None);
    }

    proptest! {
        #[test]
        fn who_showed_more_is_expected_to_have_more(ts in prop::collection::vec(-6.0..9.0_f64, 2..80), more in 0.0..3.0_f64) {
            let prior = Prior::of(&ts, &nulls()).unwrap();
            for t in &ts {
                let (a, b) = (prior.expected(*t), prior.expected(t + more));
                prop_assert!(b.t >= a.t - 1e-9 && b.false_discovery <= a.false_discovery + 1e-9);
                prop_assert!((0.0..=1.0).contains(&a.false_discovery) && a.t.is_finite());
            }
        }
    }
}
