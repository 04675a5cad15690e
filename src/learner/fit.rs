//! From lessons to beliefs: Bayesian linear regression of what strategies earned on what they are made of.
//!
//! Never draws, never ranks.

use super::features::features;
use super::learnt::{Belief, Learnt, prior_sd};
use genome::AnyStrategy;
use std::collections::BTreeMap;

/// Days after which a day's return counts half: a market changes.
pub const HALF_LIFE_DAYS: f64 = 90.0;
/// Days below which a strategy teaches nothing (effective number, newer ones counting more).
pub const LEAST_DAYS: f64 = 10.0;
/// What all strategies earn before anything is known, annual Sharpe ratio: standard deviation around 0.
const BASE_PRIOR_SD: f64 = 3.0;
const DAYS_A_YEAR: f64 = 365.0;
/// A deviation of less than this share of the mean is what rounding leaves of returns that are all the same.
const ROUNDING: f64 = 1e-12;

/// A strategy, and what it earned after whatever shaped it.
#[derive(Clone, Debug)]
pub struct Lesson {
    /// The strategy.
    pub strategy: AnyStrategy,
    /// Daily net returns, of a ranking hedged ones, from the first day that nothing which shaped it had seen, oldest first. All lessons end on
    /// the same day.
    pub returns: Vec<f64>,
}

/// What the returns of a lesson say.
struct Earned {
    /// Annual Sharpe ratio, newer days counting more.
    sharpe: f64,
    /// Variance of it, given the true one.
    variance: f64,
    /// Effective number of days.
    days: f64,
    /// Returns over their standard deviation about 0, each with the square root of its weight, newest first.
    standard: Vec<f64>,
}

/// `None` where there are too few days, or nothing was traded on them.
fn earned(returns: &[f64]) -> Option<Earned> {
    let weight = |age: usize| 0.5_f64.powf(age as f64 / HALF_LIFE_DAYS);
    let weighted = || returns.iter().rev().enumerate().map(|(age, r)| (weight(age), *r));
    let (sum, squares) = weighted().fold((0.0, 0.0), |(s, q), (w, _)| (s + w, q + w * w));
    let days = sum * sum / squares;
    let mean = weighted().map(|(w, r)| w * r).sum::<f64>() / sum;
    let variance = weighted().map(|(w, r)| w * (r - mean) * (r - mean)).sum::<f64>() / sum;
    if !(days >= LEAST_DAYS && variance > (ROUNDING * mean).powi(2) && variance.is_finite()) {
        return None;
    }
    let daily = mean / variance.sqrt();
    let standard = weighted().map(|(w, r)| (w / variance).sqrt() * (r - mean)).collect();
    // Lo (2002): the variance of an estimated Sharpe ratio of independent returns.
    let variance = (1.0 + daily * daily / 2.0) * DAYS_A_YEAR / days;
    Some(Earned { sharpe: daily * DAYS_A_YEAR.sqrt(), variance, days, standard })
}

/// How many lessons count for one: the variance of the sum of all over that of as many independent ones, at least 1.
fn design_effect(all: &[Earned]) -> f64 {
    let longest = all.iter().map(|e| e.standard.len()).max().unwrap_or(0);
    let (mut of_sum, mut of_each) = (0.0, 0.0);
    for age in 0..longest {
        let day = all.iter().filter_map(|e| e.standard.get(age));
        let (sum, squares) = day.fold((0.0, 0.0), |(s, q), z| (s + z, q + z * z));
        of_sum += sum * sum;
        of_each += squares;
    }
    if of_each > 0.0 { (of_sum / of_each).max(1.0) } else { 1.0 }
}

/// What the lessons teach; `None` where there are none. They are of one form: those of another than the first teach nothing.
///
/// Model: a strategy's annual Sharpe ratio is a base plus the worth of each of its building blocks, all normal around 0 before
/// anything is known; what is measured differs from it by the error of so many days, times the design effect,
/// since strategies on the same days err together. The posterior is that of ridge regression (Bishop, Pattern Recognition and
/// Machine Learning, 3.3).
#[must_use]
pub fn learn(lessons: &[Lesson]) -> Option<Learnt> {
    let form = lessons.first()?.strategy.form();
    let taught: Vec<(Vec<String>, Earned)> = lessons
        .iter()
        .filter(|lesson| lesson.strategy.form() == form)
        .filter_map(|lesson| Some((features(&lesson.strategy), earned(&lesson.returns)?)))
        .collect();
    if taught.is_empty() {
        return None;
    }
    let (blocks, all): (Vec<Vec<String>>, Vec<Earned>) = taught.into_iter().unzip();
    let effect = design_effect(&all);
    let mut counts: BTreeMap<&str, u32> = BTreeMap::new();
    blocks.iter().flatten().for_each(|name| *counts.entry(name).or_default() += 1);
    let names: Vec<(&str, u32)> = counts.into_iter().collect();
    // Column 0 is the base.
    let place: BTreeMap<&str, usize> = names.iter().enumerate().map(|(i, (name, _))| (*name, i + 1)).collect();
    let size = names.len() + 1;
    let mut precision = vec![0.0; size * size];
    let mut pull = vec![0.0; size];
    precision[0] = 1.0 / (BASE_PRIOR_SD * BASE_PRIOR_SD);
    for (i, (name, _)) in names.iter().enumerate() {
        precision[(i + 1) * (size + 1)] = prior_sd(name).powi(-2);
    }
    for (names, e) in blocks.iter().zip(&all) {
        let weight = 1.0 / (e.variance * effect);
        let columns: Vec<usize> = std::iter::once(0).chain(names.iter().map(|name| place[name.as_str()])).collect();
        for &i in &columns {
            pull[i] += weight * e.sharpe;
            columns.iter().for_each(|&j| precision[i * size + j] += weight);
        }
    }
    let (mean, variance) = posterior(&precision, &pull)?;
    let belief = |i: usize, strategies: u32| Belief { mean: mean[i], sd: variance[i].sqrt(), strategies };
    let beliefs =
        names.iter().enumerate().map(|(i, (name, count))| ((*name).to_owned(), belief(i + 1, *count))).collect();
    Some(Learnt {
        form,
        base: belief(0, blocks.len() as u32),
        beliefs,
        independent: blocks.len() as f64 / effect,
        days: all.iter().map(|e| e.days).sum::<f64>() / all.len() as f64,
    })
}

/// Solves `precision x = pull`, and gives the diagonal of the inverse beside it; `None` where the matrix, row by row, is not
/// positive definite. By Cholesky's decomposition: a prior precision on the diagonal keeps it well conditioned.
fn posterior(precision: &[f64], pull: &[f64]) -> Option<(Vec<f64>, Vec<f64>)> {
    let n = pull.len();
    let mut lower = precision.to_vec();
    for i in 0..n {
        for j in 0..=i {
            let sum: f64 = (0..j).map(|k| lower[i * n + k] * lower[j * n + k]).sum();
            let left = lower[i * n + j] - sum;
            lower[i * n + j] = match i == j {
                true if left > 0.0 => left.sqrt(),
                true => return None,
                false => left / lower[j * n + j],
            };
        }
    }
    let forward = |right: &[f64]| {
        let mut x = right.to_vec();
        for i in 0..n {
            let sum: f64 = (0..i).map(|k| lower[i * n + k] * x[k]).sum();
            x[i] = (x[i] - sum) / lower[i * n + i];
        }
        x
    };
    let mut mean = forward(pull);
    for i in (0..n).rev() {
        let sum: f64 = (i + 1..n).map(|k| lower[k * n + i] * mean[k]).sum();
        mean[i] = (mean[i] - sum) / lower[i * n + i];
    }
    // Entry (i, i) of the inverse is the squared length of column i of the inverse of the lower triangle.
    let unit = |i: usize| (0..n).map(|k| f64::from(u8::from(k == i))).collect::<Vec<f64>>();
    let variance = (0..n).map(|i| forward(&unit(i)).iter().map(|x| x * x).sum()).collect();
    Some((mean, variance))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_system_of_equations() {
        // Inverse of [[4, 2], [2, 3]] is [[3, -2], [-2, 4]] / 8.
        let (mean, variance) = posterior(&[4.0, 2.0, 2.0, 3.0], &[2.0, 5.0]).unwrap();
        let expected = [-0.5, 2.0, 0.375, 0.5];
        let all: Vec<f64> = mean.into_iter().chain(variance).collect();
        assert!(all.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-15), "{all:?}");
        assert_eq!(posterior(&[1.0, 2.0, 2.0, 1.0], &[0.0, 0.0]), None);
    }

    #[test]
    fn what_a_lesson_earned() {
        // Without ageing to speak of: 12 days of +1 % and 12 of -0.5 %.
        let returns: Vec<f64> = (0..24).map(|day| if day % 2 == 0 { 0.01 } else { -0.005 }).collect();
        let e = earned(&returns).unwrap();
        assert!((e.days - 24.0).abs() < 0.1, "{}", e.days);
        assert!((e.sharpe - 0.0025 / 0.0075 * 365.0_f64.sqrt()).abs() < 0.1, "{}", e.sharpe);
        assert!(earned(&returns[..9]).is_none(), "too few days");
        assert!(earned(&[0.0; 50]).is_none(), "nothing was traded");
        for same in [0.01, -0.01, 1.0 / 3.0, 1e-9] {
            assert!(earned(&[same; 120]).is_none(), "every day the same: rounding is no deviation");
        }
        assert!(earned(&[f64::NAN; 50]).is_none());
        // Old days fade.
        let turned: Vec<f64> =
            (0..720).map(|day| if day < 360 { 0.01 } else { -0.01 } + 0.001 * f64::from(day % 3)).collect();
        assert!(earned(&turned).unwrap().sharpe < 0.0);
    }

    #[test]
    fn copies_teach_no_more_than_one() {
        let e = |seed: usize| {
            let returns: Vec<f64> = (0..90).map(|day| ((day * 7919 + seed * 104_729) % 101) as f64 - 50.0).collect();
            earned(&returns).unwrap()
        };
        let copies: Vec<Earned> = (0..20).map(|_| e(3)).collect();
        assert!((design_effect(&copies) - 20.0).abs() < 1e-9);
        let apart: Vec<Earned> = (0..20).map(|i| e(i * i)).collect();
        assert!(design_effect(&apart) < 6.0, "{}", design_effect(&apart));
        assert_eq!(design_effect(&[]), 1.0);
    }
}
