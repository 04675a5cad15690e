//! What else could have happened with these trades: drawdown, return and ruin over resampled orders.
//!
//! A shuffle of the same trades changes the drawdown and nothing else: total, profit factor and SQN do not know
//! order, so a shuffle tests no edge. Drawing with replacement changes everything; by blocks where losses cluster.
//! Each trade risks the same fraction of equity: equity x (1 + risk x R).
//!
//! Assumes: trades independent and identically distributed (within blocks: stationary), results in units of risk.
//!
//! Sources: Lundberg's inequality as in Asmussen and Albrecher, Ruin Probabilities (2010).

use super::bootstrap::stationary_indices;
use rand::{Rng, seq::SliceRandom};

/// How a path is drawn from the trades.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Resampling {
    /// The same trades in another order.
    Shuffle,
    /// Blocks with replacement, of this expected length in trades; 1 draws trade by trade.
    Blocks {
        /// Expected block length (trades).
        length: f64,
    },
}

/// One path's outcome.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PathResult {
    /// Largest fall from a peak, a fraction of it, 0 or above; the start counts as a peak.
    pub max_drawdown: f64,
    /// Final equity as a multiple of the first.
    pub final_equity: f64,
    /// Lowest equity as a multiple of the first.
    pub lowest_equity: f64,
}

impl PathResult {
    /// Of results in units of risk, each risking `risk_fraction` of equity. Equity ends at 0: nothing comes after.
    #[must_use]
    pub fn of(results_r: impl Iterator<Item = f64>, risk_fraction: f64) -> Self {
        let (mut equity, mut peak, mut lowest, mut max_drawdown) = (1.0_f64, 1.0_f64, 1.0_f64, 0.0_f64);
        for r in results_r {
            equity = (equity * (1.0 + risk_fraction * r)).max(0.0);
            peak = peak.max(equity);
            lowest = lowest.min(equity);
            max_drawdown = max_drawdown.max(1.0 - equity / peak);
        }
        Self { max_drawdown, final_equity: equity, lowest_equity: lowest }
    }
}

/// One path drawn at random. Draw each with a stream of its own, and paths may be drawn in parallel.
#[must_use]
pub fn path(results_r: &[f64], risk_fraction: f64, how: Resampling, rng: &mut impl Rng) -> PathResult {
    match how {
        Resampling::Shuffle => {
            let mut shuffled = results_r.to_vec();
            shuffled.shuffle(rng);
            PathResult::of(shuffled.into_iter(), risk_fraction)
        }
        Resampling::Blocks { length } => {
            let indices = stationary_indices(results_r.len(), length, rng);
            PathResult::of(indices.into_iter().map(|i| results_r[i]), risk_fraction)
        }
    }
}

/// Quantile `q` in 0 to 1, linear between neighbours. `None` without values, or with one that is not a number.
#[must_use]
pub fn quantile(values: &[f64], q: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    if sorted.iter().any(|v| v.is_nan()) || !(0.0..=1.0).contains(&q) {
        return None;
    }
    let place = q * (sorted.len().checked_sub(1)?) as f64;
    let (below, above) = (place.floor() as usize, place.ceil() as usize);
    Some(sorted[below] + (place - place.floor()) * (sorted[above] - sorted[below]))
}

/// Lundberg's exponent: the theta above 0 with mean(exp(-theta R)) = 1. The chance of ever losing u R, trading for
/// ever at one unit of risk, is at most exp(-theta u). `None` unless the mean is positive and something was lost.
#[must_use]
pub fn lundberg_exponent(results_r: &[f64]) -> Option<f64> {
    let n = results_r.len() as f64;
    let mean = results_r.iter().sum::<f64>() / n;
    let loses = results_r.iter().any(|r| *r < 0.0) && results_r.iter().all(|r| r.is_finite());
    if !loses || mean.is_nan() || mean <= 0.0 {
        return None;
    }
    let excess = |theta: f64| results_r.iter().map(|r| (-theta * r).exp()).sum::<f64>() / n - 1.0;
    // Convex, 0 at 0 and falling there: below 0 until the root, above it after.
    let mut high = 1.0;
    while excess(high) < 0.0 {
        high *= 2.0;
    }
    let mut low = high;
    while excess(low) >= 0.0 {
        low /= 2.0;
        if low == 0.0 {
            return None;
        }
    }
    loop {
        let middle = f64::midpoint(low, high);
        if middle <= low || middle >= high {
            return Some(middle);
        }
        if excess(middle) < 0.0 { low = middle } else { high = middle }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vectors::{assert_close, indices, number, numbers, read};
    use genome::random::Seed;
    use serde_json::Value;

    #[test]
    fn paths_agree_with_the_reference() {
        let v = read(include_str!("vectors/14_montecarlo/trades.json"));
        let (input, output) = (&v["inputs"], &v["outputs"]);
        let (r, risk) = (numbers(&input["R"]), number(&input["risk"]));
        let along = |rows: &Value| -> Vec<PathResult> {
            let one = |row| PathResult::of(indices(row).into_iter().map(|i| r[i]), risk);
            rows.as_array().unwrap().iter().map(one).collect()
        };
        let (shuffled, drawn) = (along(&input["perm"]), along(&input["boot"]));
        let real = PathResult::of(r.iter().copied(), risk);
        assert_close(real.max_drawdown, &output["real_max_dd"]);
        let drawdowns = |paths: &[PathResult]| paths.iter().map(|p| p.max_drawdown).collect::<Vec<_>>();
        for percent in ["50", "90", "95", "99"] {
            let q = percent.parse::<f64>().unwrap() / 100.0;
            assert_close(quantile(&drawdowns(&shuffled), q).unwrap(), &output["shuffle_dd"][percent]);
            assert_close(quantile(&drawdowns(&drawn), q).unwrap(), &output["boot_dd"][percent]);
        }
        let finals: Vec<f64> = drawn.iter().map(|p| p.final_equity).collect();
        for percent in ["5", "50", "95"] {
            let q = percent.parse::<f64>().unwrap() / 100.0;
            assert_close(quantile(&finals, q).unwrap(), &output["boot_final_equity"][percent]);
        }
        let share = |hits: usize| hits as f64 / 200.0;
        let low = drawn.iter().filter(|p| p.lowest_equity <= 0.9).count();
        assert_close(share(low), &output["p_ever_below_090"]);
        let milder = shuffled.iter().filter(|p| p.max_drawdown <= real.max_drawdown).count();
        assert_close(share(milder), &output["dd_rank_of_real"]);
        let theta = lundberg_exponent(&r).unwrap();
        assert_close(theta, &output["lundberg_theta"]);
        assert_close((-20.0 * theta).exp(), &output["ruin_bound_20R"]);
    }

    /// Even money at 55 %: exp(-theta) is the odds, as in the gambler's ruin.
    #[test]
    fn lundberg_is_the_gamblers_ruin_for_even_money() {
        let results: Vec<f64> = (0..100).map(|i| if i < 55 { 1.0 } else { -1.0 }).collect();
        let theta = lundberg_exponent(&results).unwrap();
        assert!(((-theta).exp() - 0.45 / 0.55).abs() < 1e-12);
        assert_eq!(lundberg_exponent(&[1.0, -2.0]), None);
        assert_eq!(lundberg_exponent(&[1.0, 2.0]), None);
        assert_eq!(lundberg_exponent(&[]), None);
    }

    #[test]
    fn a_shuffle_keeps_the_end_and_a_draw_does_not() {
        let r = [1.0, -1.0, 2.0, -0.5, 0.3];
        let end = PathResult::of(r.iter().copied(), 0.1).final_equity;
        let mut rng = Seed(5).stream("paths", 0);
        let mut ends = Vec::new();
        for _ in 0..20 {
            assert!((path(&r, 0.1, Resampling::Shuffle, &mut rng).final_equity - end).abs() < 1e-12);
            ends.push(path(&r, 0.1, Resampling::Blocks { length: 1.0 }, &mut rng).final_equity);
        }
        assert!(quantile(&ends, 1.0) > quantile(&ends, 0.0));
        assert_eq!(path(&[], 0.1, Resampling::Shuffle, &mut rng).final_equity, 1.0);
    }

    #[test]
    fn losing_everything_is_final() {
        let ruined = PathResult::of([-20.0, 5.0].into_iter(), 0.1);
        assert_eq!((ruined.final_equity, ruined.max_drawdown), (0.0, 1.0));
    }

    #[test]
    fn quantiles() {
        assert_eq!(quantile(&[3.0, 1.0, 2.0], 0.75), Some(2.5));
        assert_eq!((quantile(&[], 0.5), quantile(&[f64::NAN], 0.5), quantile(&[1.0], 1.5)), (None, None, None));
    }
}
