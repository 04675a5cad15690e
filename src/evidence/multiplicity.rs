//! Many tests at once: adjusted p-values, and procedures over e-values that hold under any dependence.
//!
//! Sources: Holm (1979); Benjamini and Hochberg (1995); Benjamini and Yekutieli (2001); Harvey and Liu, Backtesting
//! (2015); Wang and Ramdas, False discovery rate control with e-values (2022); Xu and Ramdas, Online multiple
//! testing with e-values (2024).

use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF, StudentsT};
use std::f64::consts::PI;

/// How p-values are adjusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Adjustment {
    /// n p: no false rejection at all but for alpha, any dependence.
    Bonferroni,
    /// The same guarantee with more power, step down.
    Holm,
    /// Share of false ones among the rejected; independent or positively dependent tests.
    BenjaminiHochberg,
    /// The same under any dependence: times c(n) = sum of 1/i.
    BenjaminiYekutieli,
}

/// Adjusted p-values in the given order. `None` if any is not within 0 to 1.
#[must_use]
pub fn adjust(p_values: &[f64], how: Adjustment) -> Option<Vec<f64>> {
    if !p_values.iter().all(|p| (0.0..=1.0).contains(p)) {
        return None;
    }
    let n = p_values.len() as f64;
    if how == Adjustment::Bonferroni {
        return Some(p_values.iter().map(|p| (n * p).min(1.0)).collect());
    }
    let mut ascending: Vec<usize> = (0..p_values.len()).collect();
    ascending.sort_by(|&a, &b| p_values[a].total_cmp(&p_values[b]));
    let mut adjusted = vec![0.0; p_values.len()];
    if how == Adjustment::Holm {
        let mut most: f64 = 0.0;
        for (rank, &i) in ascending.iter().enumerate() {
            most = most.max(p_values[i] * (n - rank as f64));
            adjusted[i] = most.min(1.0);
        }
    } else {
        let factor = if how == Adjustment::BenjaminiYekutieli {
            (1..=p_values.len()).map(|i| 1.0 / i as f64).sum()
        } else {
            1.0
        };
        let mut least: f64 = 1.0;
        for (rank, &i) in ascending.iter().enumerate().rev() {
            least = least.min(p_values[i] * n * factor / (rank as f64 + 1.0));
            adjusted[i] = least;
        }
    }
    Some(adjusted)
}

/// What is left of a Sharpe ratio after it was picked among many.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Haircut {
    /// The p-value after adjustment.
    pub p_adjusted: f64,
    /// The annual Sharpe ratio that alone would have that p-value.
    pub sharpe_ratio: f64,
    /// Share lost, 0 to 1.
    pub haircut: f64,
}

/// Harvey and Liu's haircut of an annual Sharpe ratio above 0, tested beside `other_p` (two-sided p-values).
///
/// t = ratio x sqrt(years); p two-sided, Student's t with years x periods - 1 degrees of freedom; adjusted among
/// all tests; turned back into a ratio. Assumes that the p-values of all tests made are there.
#[must_use]
pub fn haircut(
    annual_sharpe: f64,
    years: f64,
    periods_a_year: f64,
    other_p: &[f64],
    how: Adjustment,
) -> Option<Haircut> {
    let t = annual_sharpe * years.sqrt();
    let student = StudentsT::new(0.0, 1.0, (years * periods_a_year).floor() - 1.0).ok()?;
    if t.is_nan() || t <= 0.0 {
        return None;
    }
    let mut all = other_p.to_vec();
    all.push(2.0 * student.sf(t));
    let p_adjusted = *adjust(&all, how)?.last()?;
    let t_left = if p_adjusted < 1.0 { -student.inverse_cdf(p_adjusted / 2.0) } else { 0.0 };
    Some(Haircut { p_adjusted, sharpe_ratio: t_left.max(0.0) / years.sqrt(), haircut: 1.0 - t_left.max(0.0) / t })
}

/// e-BH: indices of the rejected, the largest e-value first; false discovery rate at most `alpha` under any dependence.
///
/// Rejects the k largest, k the greatest with e_(k) >= n / (k alpha).
#[must_use]
pub fn e_benjamini_hochberg(e_values: &[f64], alpha: f64) -> Vec<usize> {
    let n = e_values.len() as f64;
    let mut descending: Vec<usize> = (0..e_values.len()).collect();
    descending.sort_by(|&a, &b| e_values[b].total_cmp(&e_values[a]));
    let passes = |k: usize| e_values[descending[k - 1]] >= n / (k as f64 * alpha);
    let k = (1..=descending.len()).rev().find(|&k| passes(k)).unwrap_or(0);
    descending.truncate(k);
    descending
}

/// e-LOND: tests e-values one after the other for as long as there are any; the false discovery rate stays at
/// most `alpha` at every moment, under any dependence.
///
/// The t-th test rejects at e >= 1 / alpha_t, alpha_t = alpha x 6 / (pi t)^2 x (rejections before + 1). Counting
/// every test ever made is what the guarantee rests on: store this value with what it decided.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OnlineTests {
    /// False discovery rate allowed.
    pub alpha: f64,
    /// Tests made.
    pub tests: u64,
    /// Of them, rejected.
    pub rejections: u64,
}

impl OnlineTests {
    /// No tests yet. `None` unless alpha is between 0 and 1.
    #[must_use]
    pub fn new(alpha: f64) -> Option<Self> {
        (alpha > 0.0 && alpha < 1.0).then_some(Self { alpha, tests: 0, rejections: 0 })
    }

    /// Level of the next test.
    #[must_use]
    pub fn next_level(&self) -> f64 {
        let t = (self.tests + 1) as f64;
        self.alpha * 6.0 / (PI * PI * t * t) * (self.rejections + 1) as f64
    }

    /// Makes the next test; whether it rejects.
    pub fn test(&mut self, e_value: f64) -> bool {
        let rejected = e_value >= 1.0 / self.next_level();
        self.tests += 1;
        self.rejections += u64::from(rejected);
        rejected
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vectors::{assert_all_close, assert_close, indices, number, numbers, read};

    const ALL: [(Adjustment, &str); 4] = [
        (Adjustment::Bonferroni, "bonferroni"),
        (Adjustment::Holm, "holm"),
        (Adjustment::BenjaminiHochberg, "bh"),
        (Adjustment::BenjaminiYekutieli, "bhy"),
    ];

    #[test]
    fn adjusted_p_values_agree_with_the_reference() {
        let v = read(include_str!("vectors/07_multiple_testing/p_adjust.json"));
        let p = numbers(&v["inputs"]["p"]);
        for (how, key) in ALL {
            assert_all_close(&adjust(&p, how).unwrap(), &v["outputs"][key]);
        }
    }

    #[test]
    fn haircuts_agree_with_the_reference() {
        let v = read(include_str!("vectors/07_multiple_testing/harvey_liu.json"));
        let input = &v["inputs"];
        let (sharpe, years) = (number(&input["sr_annual"]), number(&input["years"]));
        for (how, key) in [ALL[0], ALL[1], ALL[3]] {
            let cut = haircut(sharpe, years, number(&input["periods"]), &numbers(&input["p_others"]), how).unwrap();
            let theirs = &v["outputs"][key];
            assert_close(cut.p_adjusted, &theirs["p_adj"]);
            assert_close(cut.sharpe_ratio, &theirs["sr_haircut"]);
            assert_close(cut.haircut, &theirs["haircut"]);
        }
    }

    #[test]
    fn e_value_procedures_agree_with_the_reference() {
        let v = read(include_str!("vectors/07_multiple_testing/e_values.json"));
        let (e, alpha) = (numbers(&v["inputs"]["e"]), number(&v["inputs"]["alpha"]));
        let mut rejected = e_benjamini_hochberg(&e, alpha);
        rejected.sort_unstable();
        assert_eq!(rejected, indices(&v["outputs"]["ebh_rejected"]));
        let mut online = OnlineTests::new(alpha).unwrap();
        let (mut levels, mut rejected) = (Vec::new(), Vec::new());
        for (i, &value) in e[8..].iter().chain(&e[..8]).enumerate() {
            levels.push(online.next_level());
            if online.test(value) {
                rejected.push(i);
            }
        }
        assert_all_close(&levels, &v["outputs"]["elond_levels"]);
        assert_eq!(rejected, indices(&v["outputs"]["elond_rejected"]));
    }

    #[test]
    fn by_hand() {
        let p = [0.04, 0.01, 0.03];
        assert_eq!(adjust(&p, Adjustment::Holm).unwrap(), [0.06, 0.03, 0.06]);
        let bh = adjust(&p, Adjustment::BenjaminiHochberg).unwrap();
        assert!(bh.iter().zip([0.04, 0.03, 0.04]).all(|(a, b)| (a - b).abs() < 1e-15), "{bh:?}");
        assert_eq!(adjust(&[0.5, f64::NAN], Adjustment::Holm), None);
        assert_eq!(e_benjamini_hochberg(&[1.0, 100.0, 29.9], 0.05), [1]);
        assert_eq!(e_benjamini_hochberg(&[1.0, 100.0, 30.0], 0.05), [1, 2]);
        assert_eq!(haircut(-1.0, 2.0, 365.0, &[], Adjustment::Holm), None);
    }

    /// The levels of a life without a rejection sum to alpha.
    #[test]
    fn online_levels_are_spent_once() {
        let mut online = OnlineTests::new(0.05).unwrap();
        let mut spent = 0.0;
        for _ in 0..100_000 {
            spent += online.next_level();
            online.test(0.0);
        }
        assert!(spent < 0.05 && spent > 0.04999, "{spent}");
    }
}
