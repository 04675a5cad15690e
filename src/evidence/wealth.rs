//! An e-process over steps of results: capital that bets several fractions at once, and may be looked at after every
//! step.
//!
//! **What is tested.** No edge means: whatever the past, a step's result has a mean of at most what the strategy's
//! exposure earns at the drifts of its symbols, which are constant, each anywhere within [`LARGEST_DRIFT`] of 0.
//!
//! **Why it is an e-process.** For drifts m, K_j(m) = product over steps of 1 + phi_j (x - d m), where x is the result,
//! d m what the drifts would have earned, and phi_j is at most the fraction f_j and at most [`WORST_SHARE`] over the worst
//! that the step can do, as known when it begins. Under the true m each factor has a mean of at most 1 given the past and
//! stays above 0 while no step is worse than its worst, and twice as bad as well: K_j(m) is a non-negative supermartingale
//! from 1. L_j is what ln K_j is at least over all m, so it is at most ln K_j at the true one, whichever that is, and the
//! mixture E = sum of w_j exp(L_j) is at most a supermartingale from 1: E reaches 1/a with a chance of at most a (Ville).
//! The least over a set of nulls is an e-process for all of them together. ln K_j is concave in m, so its least over a box is at a
//! corner; with u = phi d m / (1 + phi x), ln(1 - u) >= -u - u^2 for |u| <= 1/2, so
//!
//! ```text
//! L_j = sum ln(1 + phi x) - LARGEST_DRIFT sum over symbols |sum phi d / (1 + phi x)| - sum (most of u)^2
//! ```
//!
//! which is one number a symbol and no grid.
//!
//! **What is never forgiven.** A bet that loses more than it has is dead for good, and what it owes is taken from what the
//! others have; once nothing is left, E is 0 for ever. So a gap through all stops costs what it costs. Only what exceeds
//! the capital of all bets together is nobody's to pay: that takes a step more than twice as bad as its worst, and that none
//! is, is the one assumption about results.
//!
//! Two stretches of time that follow each other are one process: the capitals are carried over. The fractions and
//! weights are fixed from candles before the first step: what a search saw may set them, however it was chosen.
//!
//! Sources: Waudby-Smith and Ramdas (JRSS B, 2024); Kelly (1956) for the growth-optimal fraction mean / variance; Ramdas,
//! Gruenwald, Vovk and Shafer (Statistical Science, 2023) for composite nulls.

use serde::{Deserialize, Serialize};

/// Most that a symbol's constant drift may be, up or down: a fraction a year.
pub const LARGEST_DRIFT: f64 = 1.0;

/// Shares of the fraction that the search window suggests, and the weight of each. What a search found looks better
/// than it is, so most weight lies well below 1.
const SHARES: [(f64, f64); 5] = [(0.1, 0.10), (0.25, 0.20), (0.45, 0.30), (0.7, 0.25), (1.0, 0.15)];
/// Fractions without a suggestion, in 1/R.
const PLAIN: [f64; 5] = [0.02, 0.05, 0.1, 0.2, 0.4];
/// No fraction above this, in 1/R.
const LARGEST: f64 = 0.8;
/// Share of the capital that a step costs at most if it does its worst, and that the worst step of the search window would
/// have cost.
const WORST_SHARE: f64 = 0.5;

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

/// A step that is bet on.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Stake<'a> {
    /// What it gave, in R.
    pub result: f64,
    /// Most that it could lose, drifts included, as its structure was known when it began, in R, at least 0.
    pub worst: f64,
    /// By symbol, what a drift of 1 a year would have earned in it through exposure that `result` still holds, in R.
    pub drift: &'a [f64],
}

/// Capital of bets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wealth {
    bets: Bets,
    /// Natural logarithm of each bet's capital over what it began with, without drifts; `None` once it lost everything.
    log_capital: Vec<Option<f64>>,
    /// By bet and symbol, the sum of phi d / (1 + phi x): how much a drift would take from the logarithm.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    slopes: Vec<Vec<f64>>,
    /// Natural logarithm of what bets that lost more than they had owe; `None` where none does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    log_debt: Option<f64>,
    /// Nothing is left, for good.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    ruined: bool,
}

impl Wealth {
    /// Nothing seen yet.
    #[must_use]
    pub fn new(bets: Bets) -> Self {
        let log_capital = vec![Some(0.0); bets.fractions.len()];
        Self { bets, log_capital, slopes: Vec::new(), log_debt: None, ruined: false }
    }

    /// The same bets, with nothing seen yet.
    #[must_use]
    pub fn anew(&self) -> Self {
        Self::new(self.bets.clone())
    }

    /// Bets on what comes next, with nothing seen of it: the shares of the capital that the bets have now are their weights.
    /// These are known when it begins, so its E is an e-value by itself.
    #[must_use]
    pub fn succeeding(&self) -> Self {
        let Some(log_e) = self.log_e() else { return Self { ruined: true, ..self.anew() } };
        // What is owed is shared by all.
        let values: Vec<f64> = self.values().map(|value| value.map_or(0.0, |value| (value - log_e).exp())).collect();
        let sum: f64 = values.iter().sum();
        let weights = values.iter().map(|value| value / sum).collect();
        Self::new(Bets { weights, ..self.bets.clone() })
    }

    /// Takes steps in, in order. Anything but finite numbers loses every bet, so that a broken input can never become
    /// evidence.
    pub fn observe<'a>(&mut self, steps: impl IntoIterator<Item = Stake<'a>>) {
        for stake in steps {
            if self.ruined {
                return;
            }
            self.step(stake);
        }
    }

    fn step(&mut self, Stake { result, worst, drift }: Stake<'_>) {
        if !(result.is_finite() && (0.0..f64::INFINITY).contains(&worst) && drift.iter().all(|d| d.is_finite())) {
            self.ruined = true;
            return;
        }
        let drifts = LARGEST_DRIFT * drift.iter().map(|d| d.abs()).sum::<f64>();
        if drifts > 0.0 {
            self.slopes.resize(self.bets.fractions.len(), Vec::new());
        }
        for j in 0..self.bets.fractions.len() {
            let Some(log) = self.log_capital[j] else { continue };
            let fraction = self.bets.fractions[j].min(WORST_SHARE / worst);
            let growth = 1.0 + fraction * result;
            let most = fraction * drifts / growth;
            if growth > 0.0 && most <= 0.5 {
                self.log_capital[j] = Some(log + growth.ln() - most * most);
                if drifts > 0.0 {
                    let slopes = &mut self.slopes[j];
                    slopes.resize(slopes.len().max(drift.len()), 0.0);
                    slopes.iter_mut().zip(drift).for_each(|(slope, d)| *slope += fraction * d / growth);
                }
                continue;
            }
            // The drifts that take most.
            let growth = growth - fraction * drifts;
            if growth > 0.0 {
                self.log_capital[j] = Some(log + growth.ln());
            } else {
                // At the drifts that had given it most.
                let had = log + LARGEST_DRIFT * self.slopes.get(j).map_or(0.0, |s| s.iter().map(|v| v.abs()).sum());
                self.log_capital[j] = None;
                if growth < 0.0 {
                    let owes = had + self.bets.weights[j].ln() + (-growth).ln();
                    let (more, less) = self.log_debt.map_or((owes, f64::NEG_INFINITY), |d| (d.max(owes), d.min(owes)));
                    self.log_debt = Some(more + (less - more).exp().ln_1p());
                }
            }
        }
        // Without a debt the bets that live are what is left.
        let alive = self.log_capital.iter().any(Option::is_some);
        self.ruined = !alive || self.log_debt.is_some() && self.log_e().is_none();
    }

    /// What the logarithm of each bet's capital is at least, over all drifts; `None` for those that lost everything.
    fn values(&self) -> impl Iterator<Item = Option<f64>> + '_ {
        self.log_capital.iter().zip(&self.bets.weights).enumerate().map(|(j, (log, weight))| {
            let slopes = self.slopes.get(j).map_or(0.0, |s| s.iter().map(|v| v.abs()).sum::<f64>());
            (*log).filter(|_| *weight > 0.0).map(|log| log - LARGEST_DRIFT * slopes + weight.ln())
        })
    }

    /// ln E; `None` once everything is lost (E = 0). 0 before the first step.
    #[must_use]
    pub fn log_e(&self) -> Option<f64> {
        if self.ruined {
            return None;
        }
        let most = self.values().flatten().reduce(f64::max)?;
        let sum: f64 = self.values().flatten().map(|value| (value - most).exp()).sum();
        let rest = sum - self.log_debt.map_or(0.0, |debt| (debt - most).exp());
        (rest > 0.0).then(|| most + rest.ln())
    }
}

#[cfg(test)]
#[path = "wealth_tests.rs"]
mod tests;
