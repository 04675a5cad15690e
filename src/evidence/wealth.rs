//! An e-process over steps of results: capital that bets several fixed fractions at once, and may be looked at
//! after every step.
//!
//! E_n = sum over j of w_j x product over i of (1 + f_j x_i). Without an edge, E[x_i | past] <= 0, each product is a
//! non-negative supermartingale from 1, so is their mixture, and the chance that E ever reaches 1/a is at most a
//! (Ville). Two stretches of time that follow each other are one process: the capitals are carried over.
//!
//! Assumes: no edge means that no step has a mean above 0 given the past; a step's loss stays below 1/f_j. A bet that
//! loses more than all it has is lost for good; losses are never clipped. The fractions and weights are fixed from
//! candles before the first step: what a search saw may set them, however it was chosen.
//!
//! Sources: Waudby-Smith and Ramdas (JRSS B, 2024); Kelly (1956) for the growth-optimal fraction mean / variance.

use serde::{Deserialize, Serialize};

/// Shares of the fraction that the search window suggests, and the weight of each. What a search found looks better
/// than it is, so most weight lies well below 1.
const SHARES: [(f64, f64); 5] = [(0.1, 0.10), (0.25, 0.20), (0.45, 0.30), (0.7, 0.25), (1.0, 0.15)];
/// Fractions without a suggestion, in 1/R.
const PLAIN: [f64; 5] = [0.02, 0.05, 0.1, 0.2, 0.4];
/// No fraction above this, in 1/R.
const LARGEST: f64 = 0.8;
/// Share of the capital that the worst step of the search window would have cost at the largest fraction.
const WORST_SHARE: f64 = 0.5;
/// Where running products are folded into logarithms.
const FOLD: f64 = 1e100;

/// Fractions to bet and their weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bets {
    /// In 1/R, above 0.
    pub fractions: Vec<f64>,
    /// Above 0, summing to 1.
    pub weights: Vec<f64>,
}

impl Bets {
    /// Fractions around the growth-optimal one of the steps that a search saw, none so large that the worst of these
    /// steps would have cost more than half. Customary ones where the steps show no gain.
    #[must_use]
    pub fn suggested_by(steps: &[f64]) -> Self {
        let n = steps.len().max(1) as f64;
        let mean = steps.iter().sum::<f64>() / n;
        let variance = steps.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / n;
        let worst = steps.iter().fold(0.0_f64, |w, &x| w.min(x));
        let cap = if worst < 0.0 { (WORST_SHARE / -worst).min(LARGEST) } else { LARGEST };
        let kelly = mean / variance;
        if kelly.is_finite() && kelly > 0.0 {
            let kelly = kelly.min(cap);
            return Self {
                fractions: SHARES.iter().map(|(share, _)| share * kelly).collect(),
                weights: SHARES.iter().map(|(_, weight)| *weight).collect(),
            };
        }
        let weights = vec![1.0 / PLAIN.len() as f64; PLAIN.len()];
        Self { fractions: PLAIN.iter().map(|f| f.min(cap)).collect(), weights }
    }
}

/// Capital of bets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wealth {
    bets: Bets,
    /// Natural logarithm of each bet's capital over what it began with; `None` once it lost everything.
    log_capital: Vec<Option<f64>>,
}

impl Wealth {
    /// Nothing seen yet.
    #[must_use]
    pub fn new(bets: Bets) -> Self {
        let log_capital = vec![Some(0.0); bets.fractions.len()];
        Self { bets, log_capital }
    }

    /// Takes steps in, in order. Anything but a finite number loses every bet, so that a broken input can never
    /// become evidence.
    pub fn observe(&mut self, steps: impl IntoIterator<Item = f64> + Clone) {
        for (log, &fraction) in self.log_capital.iter_mut().zip(&self.bets.fractions) {
            let mut product = 1.0;
            for x in steps.clone() {
                let growth = 1.0 + fraction * x;
                // Written so that NaN and infinity lose, too.
                if !(growth > 0.0 && growth < f64::INFINITY) {
                    *log = None;
                    break;
                }
                product *= growth;
                if !(1.0 / FOLD..=FOLD).contains(&product) {
                    *log = log.map(|l| l + f64::ln(product));
                    product = 1.0;
                }
            }
            *log = log.map(|l| l + f64::ln(product));
        }
    }

    /// ln E; `None` once every bet lost everything (E = 0). 0 before the first step.
    #[must_use]
    pub fn log_e(&self) -> Option<f64> {
        let most = self.log_capital.iter().flatten().copied().reduce(f64::max)?;
        let parts = self.log_capital.iter().zip(&self.bets.weights);
        let sum: f64 = parts.filter_map(|(log, weight)| Some(weight * ((*log)? - most).exp())).sum();
        Some(most + sum.ln())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use genome::random::Seed;
    use rand::RngExt;

    fn bets(fractions: &[f64]) -> Bets {
        let weights = vec![1.0 / fractions.len() as f64; fractions.len()];
        Bets { fractions: fractions.to_vec(), weights }
    }

    #[test]
    fn by_hand() {
        let mut wealth = Wealth::new(bets(&[0.5, 1.0]));
        wealth.observe([2.0]);
        assert!((wealth.log_e().unwrap() - 2.5_f64.ln()).abs() < 1e-15);
        wealth.observe([-1.0]);
        // The bet of 1.0 lost everything, the other half of its 2.
        assert!((wealth.log_e().unwrap() - 0.5_f64.ln()).abs() < 1e-15);
        wealth.observe([-2.0]);
        assert_eq!(wealth.log_e(), None);
        for broken in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let mut wealth = Wealth::new(bets(&[0.1]));
            wealth.observe([broken]);
            assert_eq!(wealth.log_e(), None);
        }
    }

    #[test]
    fn agrees_with_the_mixture_that_agrees_with_the_reference() {
        let fractions = [0.02, 0.05, 0.1, 0.2, 0.4, 0.8];
        let mut other = crate::betting::MixtureBet::default();
        let mut wealth = Wealth::new(bets(&fractions));
        let mut rng = Seed(4).stream("results", 0);
        let results: Vec<f64> = (0..4_000).map(|_| if rng.random_bool(0.55) { 1.2 } else { -1.0 }).collect();
        results.iter().for_each(|&r| other.observe(r));
        wealth.observe(results[..1_234].iter().copied());
        wealth.observe(results[1_234..].iter().copied());
        let (ours, theirs) = (wealth.log_e().unwrap(), other.log_e().unwrap());
        assert!((ours - theirs).abs() < 1e-6 * theirs.abs().max(1.0), "{ours} {theirs}");
    }

    #[test]
    fn what_a_search_saw_sets_the_fractions_and_bounds_them() {
        let steps: Vec<f64> = (0..1_000).map(|i| if i % 5 < 3 { 0.1 } else { -0.1 }).collect();
        let suggested = Bets::suggested_by(&steps);
        // Mean 0.02, variance 0.0096: 2.08, cut at 0.8.
        assert!((suggested.fractions[4] - 0.8).abs() < 1e-12, "{suggested:?}");
        assert!((suggested.weights.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        let mut shocked = steps.clone();
        shocked.push(-10.0);
        assert!(Bets::suggested_by(&shocked).fractions.iter().all(|f| *f <= 0.05 + 1e-12));
        assert_eq!(Bets::suggested_by(&[]).fractions, PLAIN);
        assert_eq!(Bets::suggested_by(&[f64::NAN]).fractions.len(), PLAIN.len());
    }

    /// Fair results on four correlated symbols at once, looked at after every step: at most a share of 0.05 may
    /// ever reach 20, and with an edge most do.
    #[test]
    fn looking_does_not_raise_the_false_alarm_rate() {
        let reached = |win: f64| {
            let mut count = 0;
            for path in 0..300 {
                let mut rng = Seed(9).stream("fair", path);
                let mut wealth = Wealth::new(bets(&[0.02, 0.05, 0.1, 0.2]));
                let mut most = f64::MIN;
                for _ in 0..300 {
                    let common = rng.random_bool(win);
                    let one = |rng: &mut _| {
                        let own =
                            if rand::Rng::next_u64(rng) & 1 == 0 { common } else { RngExt::random_bool(rng, win) };
                        if own { 1.0 } else { -1.0 }
                    };
                    let sum: f64 = (0..4).map(|_| one(&mut rng)).sum();
                    wealth.observe([sum]);
                    most = most.max(wealth.log_e().unwrap_or(f64::NEG_INFINITY));
                }
                count += u32::from(most >= 20.0_f64.ln());
            }
            count
        };
        assert!(reached(0.5) <= 15, "{} of 300", reached(0.5));
        assert!(reached(0.56) > 200, "{} of 300", reached(0.56));
    }
}
