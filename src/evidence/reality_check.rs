//! Is the best of several rules better than none? Bootstrap tests of the largest of many means.
//!
//! White's Reality Check takes the largest mean as it is; Hansen's test (SPA) studentises and leaves hopeless rules
//! out of the null; Romano and Wolf's steps down to say which rules are better. All compare with the same resamples
//! of all rules, so that what the rules have in common stays.
//!
//! Assumes: stationary returns, and that the rules are ALL that were looked at. After an adaptive search the set that
//! was evaluated depends on the data and the tests are too liberal: a reading for people, never a gate.
//!
//! Sources: White, A reality check for data snooping (2000); Hansen, A test for superior predictive ability (2005);
//! Romano and Wolf, Stepwise multiple testing as formalized data snooping (2005).

use super::monte_carlo::quantile;

/// Means of several rules, and the same over resamples.
#[derive(Clone, Debug, PartialEq)]
pub struct Resampled {
    periods: f64,
    means: Vec<f64>,
    /// Long-run standard deviations.
    omegas: Vec<f64>,
    /// Means by resample, then by rule.
    resampled: Vec<Vec<f64>>,
}

/// p-values of Hansen's test with three ways to centre the null: only what is positive, what is not hopeless, all.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(missing_docs)]
pub struct Superiority {
    /// Largest (studentised) mean, at least 0.
    pub statistic: f64,
    pub p_lower: f64,
    pub p_consistent: f64,
    pub p_upper: f64,
}

impl Resampled {
    /// Of columns of returns, one a rule, over resamples of the rows made with blocks of `block_length` periods.
    ///
    /// `None` without rules or resamples, for columns of different lengths or fewer than 3 rows, indices out of
    /// bounds, or a rule without a positive long-run variance.
    #[must_use]
    pub fn new(columns: &[Vec<f64>], resamples: &[Vec<usize>], block_length: f64) -> Option<Self> {
        let n = columns.first()?.len();
        let fits = columns.iter().all(|c| c.len() == n) && block_length >= 1.0;
        let within = resamples.iter().all(|rows| rows.len() == n && rows.iter().all(|&i| i < n));
        if n < 3 || !fits || !within || resamples.is_empty() {
            return None;
        }
        let periods = n as f64;
        let means: Vec<f64> = columns.iter().map(|c| c.iter().sum::<f64>() / periods).collect();
        let omegas = columns.iter().zip(&means).map(|(c, m)| omega(c, *m, block_length)).collect::<Option<_>>()?;
        let mean = |rows: &Vec<usize>, c: &Vec<f64>| rows.iter().map(|&i| c[i]).sum::<f64>() / periods;
        let resampled = resamples.iter().map(|rows| columns.iter().map(|c| mean(rows, c)).collect()).collect();
        Some(Self { periods, means, omegas, resampled })
    }

    /// sqrt(T) x mean / omega by rule.
    #[must_use]
    pub fn statistics(&self) -> Vec<f64> {
        self.means.iter().zip(&self.omegas).map(|(m, o)| self.periods.sqrt() * m / o).collect()
    }

    /// Mean below which a rule is hopeless and is left out of the consistent null: -omega sqrt(2 ln ln T / T).
    #[must_use]
    pub fn hopeless_below(&self) -> Vec<f64> {
        let factor = (2.0 * self.periods.ln().ln() / self.periods).sqrt();
        self.omegas.iter().map(|o| -o * factor).collect()
    }

    /// White's statistic, the largest sqrt(T) x mean and at least 0, and its p-value: the share of resamples whose
    /// centred largest mean is larger.
    #[must_use]
    pub fn reality_check(&self) -> (f64, f64) {
        let unit = vec![1.0; self.means.len()];
        (self.largest(&unit), self.share_above(&self.means, &unit))
    }

    /// Hansen's test; without studentising it is what some libraries compute whatever they are told.
    #[must_use]
    pub fn superiority(&self, studentise: bool) -> Superiority {
        let scale = if studentise { self.omegas.clone() } else { vec![1.0; self.means.len()] };
        let centred = |keep: &dyn Fn(usize) -> f64| {
            let centres: Vec<f64> = (0..self.means.len()).map(keep).collect();
            self.share_above(&centres, &scale)
        };
        let hopeless = self.hopeless_below();
        Superiority {
            statistic: self.largest(&scale),
            p_lower: centred(&|j| self.means[j].max(0.0)),
            p_consistent: centred(&|j| if self.means[j] >= hopeless[j] { self.means[j] } else { 0.0 }),
            p_upper: centred(&|j| self.means[j]),
        }
    }

    /// The rules that are better at family-wise level `alpha`, in order, and the critical value of each step.
    #[must_use]
    pub fn step_down(&self, alpha: f64) -> (Vec<usize>, Vec<f64>) {
        let (t, null) = (self.statistics(), self.null());
        let (mut active, mut critical) = (vec![true; t.len()], Vec::new());
        loop {
            let maxima: Vec<f64> = null.iter().map(|row| largest_of(row, |j| active[j])).collect();
            let bar = if active.contains(&true) { quantile(&maxima, 1.0 - alpha) } else { None };
            critical.extend(bar);
            let found: Vec<usize> = (0..t.len()).filter(|&j| active[j] && bar.is_some_and(|b| t[j] > b)).collect();
            if found.is_empty() {
                return ((0..t.len()).filter(|&j| !active[j]).collect(), critical);
            }
            found.into_iter().for_each(|j| active[j] = false);
        }
    }

    /// p by rule against the largest of all: (1 + resamples at least as large) / (1 + resamples).
    #[must_use]
    pub fn single_step_p(&self) -> Vec<f64> {
        let null = self.null();
        self.statistics().iter().map(|t| p_of(&null, *t, |_| true)).collect()
    }

    /// p by rule, each against the largest of itself and everything worse, never below that of a better rule.
    #[must_use]
    pub fn step_down_p(&self) -> Vec<f64> {
        let (t, null) = (self.statistics(), self.null());
        let mut order: Vec<usize> = (0..t.len()).collect();
        order.sort_by(|&a, &b| t[b].total_cmp(&t[a]));
        let (mut adjusted, mut most) = (vec![0.0; t.len()], 0.0_f64);
        for (place, &rule) in order.iter().enumerate() {
            most = most.max(p_of(&null, t[rule], |j| order[place..].contains(&j)));
            adjusted[rule] = most;
        }
        adjusted
    }

    fn largest(&self, scale: &[f64]) -> f64 {
        let of = self.means.iter().zip(scale).map(|(m, s)| self.periods.sqrt() * m / s);
        of.fold(0.0, f64::max)
    }

    fn share_above(&self, centres: &[f64], scale: &[f64]) -> f64 {
        let bar = self.largest(scale);
        let maximum = |row: &Vec<f64>| {
            let centred = |j: usize| self.periods.sqrt() * (row[j] - centres[j]) / scale[j];
            (0..row.len()).map(centred).fold(0.0, f64::max)
        };
        let above = self.resampled.iter().filter(|row| maximum(row) > bar).count();
        above as f64 / self.resampled.len() as f64
    }

    /// Studentised statistics of the resamples, centred.
    fn null(&self) -> Vec<Vec<f64>> {
        let one = |row: &Vec<f64>| {
            let centred = |j: usize| self.periods.sqrt() * (row[j] - self.means[j]) / self.omegas[j];
            (0..row.len()).map(centred).collect()
        };
        self.resampled.iter().map(one).collect()
    }
}

fn largest_of(row: &[f64], of: impl Fn(usize) -> bool) -> f64 {
    row.iter().enumerate().filter(|(j, _)| of(*j)).map(|(_, v)| *v).fold(f64::MIN, f64::max)
}

fn p_of(null: &[Vec<f64>], t: f64, of: impl Fn(usize) -> bool) -> f64 {
    let reached = null.iter().filter(|row| largest_of(row, &of) >= t).count();
    (1 + reached) as f64 / (1 + null.len()) as f64
}

/// Long-run standard deviation with the weights that the stationary bootstrap implies.
fn omega(column: &[f64], mean: f64, block_length: f64) -> Option<f64> {
    let (n, go_on) = (column.len(), 1.0 - 1.0 / block_length);
    let (size, e) = (n as f64, column.iter().map(|v| v - mean).collect::<Vec<_>>());
    let covariance = |lag: usize| e[lag..].iter().zip(&e).map(|(a, b)| a * b).sum::<f64>() / size;
    let weight = |lag: usize| {
        let part = lag as f64 / size;
        (1.0 - part) * go_on.powi(lag as i32) + part * go_on.powi((n - lag) as i32)
    };
    let variance = covariance(0) + 2.0 * (1..n).map(|lag| weight(lag) * covariance(lag)).sum::<f64>();
    (variance > 0.0 && variance.is_finite()).then(|| variance.sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vectors::{assert_all_close, assert_close, indices, number, read, rows};
    use serde_json::Value;

    #[test]
    fn agrees_with_the_reference() {
        let v = read(include_str!("vectors/05_spa_stepm/eight_strategies.json"));
        let (input, output) = (&v["inputs"], &v["outputs"]);
        let by_time = rows(&input["X"]);
        let columns: Vec<Vec<f64>> = (0..8).map(|j| by_time.iter().map(|row| row[j]).collect()).collect();
        // A resample is a row of blocks, each a start and a length, and wraps around.
        let wrapped = |block: &[usize]| (block[0]..block[0] + block[1]).map(|i| i % by_time.len()).collect::<Vec<_>>();
        let unrolled = |row: &Value| row.as_array().unwrap().iter().flat_map(|b| wrapped(&indices(b))).collect();
        let resamples: Vec<Vec<usize>> = input["blocks"].as_array().unwrap().iter().map(unrolled).collect();
        let found = Resampled::new(&columns, &resamples, number(&input["block"])).unwrap();
        assert_all_close(&found.means, &output["mean"]);
        assert_all_close(&found.omegas, &output["omega"]);
        assert_all_close(&found.hopeless_below(), &output["A_threshold"]);
        let (statistic, p) = found.reality_check();
        assert_close(statistic, &output["rc_stat"]);
        assert_close(p, &output["rc_p"]);
        let spa = found.superiority(true);
        assert_close(spa.statistic, &output["spa_stat"]);
        let raw = found.superiority(false);
        for (ours, theirs) in [(spa, &output["spa_p"]), (raw, &output["spa_unstudentised_p"])] {
            assert_close(ours.p_lower, &theirs["lower"]);
            assert_close(ours.p_consistent, &theirs["consistent"]);
            assert_close(ours.p_upper, &theirs["upper"]);
        }
        // What a well-known library prints is the unstudentised test, whatever it is told.
        assert_close(raw.p_consistent, &output["arch_pvalues"]["consistent"]);
        assert_all_close(&found.statistics(), &output["t"]);
        let (better, critical) = found.step_down(number(&input["alpha"]));
        assert_eq!(better, indices(&output["stepm_10pct_rejected"]));
        assert_all_close(&critical, &output["stepm_critical_values"]);
        assert_all_close(&found.single_step_p(), &output["maxT_single_step_p"]);
        assert_all_close(&found.step_down_p(), &output["romano_wolf_p"]);
    }

    #[test]
    fn undefined_input_is_refused() {
        let column = vec![0.1, -0.2, 0.3, 0.0];
        let rows = vec![vec![0, 1, 2, 3]];
        assert!(Resampled::new(std::slice::from_ref(&column), &rows, 2.0).is_some());
        assert_eq!(Resampled::new(&[], &rows, 2.0), None);
        assert_eq!(Resampled::new(&[vec![0.1; 4]], &rows, 2.0), None);
        assert_eq!(Resampled::new(std::slice::from_ref(&column), &[vec![0, 1, 2, 4]], 2.0), None);
        assert_eq!(Resampled::new(&[column], &[], 2.0), None);
    }
}
