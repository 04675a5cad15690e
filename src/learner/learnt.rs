//! What was learnt: beliefs about building blocks, strategies drawn by them, and both in words. Never sees results.

use super::features::features;
use super::names::WITH;
use genome::{AnyStrategy, StrategyForm};
use rand::Rng;
use rand_distr::{Distribution, StandardNormal};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Strategies drawn at random for each that is proposed.
pub const DRAWS: usize = 16;

/// What a building block is worth before anything is known, annual Sharpe ratio: standard deviation around 0.
const PRIOR_SD: f64 = 1.0;
/// The same of a combination of two, on top of what both are worth.
const COMBINATION_PRIOR_SD: f64 = 0.5;

/// What a building block of this name is worth before anything is known, standard deviation.
pub(crate) fn prior_sd(name: &str) -> f64 {
    if name.contains(WITH) { COMBINATION_PRIOR_SD } else { PRIOR_SD }
}

/// What a building block is worth, annual Sharpe ratio.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Belief {
    /// Expected, on top of everything else that a strategy is made of.
    pub mean: f64,
    /// Standard deviation.
    pub sd: f64,
    /// Strategies with it that taught something.
    pub strategies: u32,
}

/// What lessons have taught.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Learnt {
    /// Form of the strategies that it is about.
    #[serde(default = "rules")]
    pub form: StrategyForm,
    /// What all strategies earn.
    pub base: Belief,
    /// By the name of the building block.
    pub beliefs: BTreeMap<String, Belief>,
    /// As how many strategies the lessons count, had each been measured on days of its own.
    pub independent: f64,
    /// Days that each was measured on, newer ones counting more: the mean.
    pub days: f64,
}

/// What was stored before rankings were learnt about.
const fn rules() -> StrategyForm {
    StrategyForm::Rules
}

impl Learnt {
    /// What a strategy is expected to earn after costs, annual Sharpe ratio.
    #[must_use]
    pub fn expects(&self, strategy: &AnyStrategy) -> f64 {
        let worth = |name: &String| self.beliefs.get(name).map_or(0.0, |belief| belief.mean);
        self.base.mean + features(strategy).iter().map(worth).sum::<f64>()
    }

    /// A new strategy: the best of [`DRAWS`] that `random` makes, of the form that it is about, under one draw of the beliefs (Thompson sampling), so that what is
    /// little known is tried as often as it may be the best.
    #[must_use]
    pub fn propose<R: Rng>(&self, random: impl Fn(&mut R) -> AnyStrategy, rng: &mut R) -> AnyStrategy {
        let mut normal = |mean: f64, sd: f64| {
            let z: f64 = StandardNormal.sample(rng);
            mean + sd * z
        };
        let mut worth: BTreeMap<String, f64> =
            self.beliefs.iter().map(|(name, belief)| (name.clone(), normal(belief.mean, belief.sd))).collect();
        let mut best = (f64::NEG_INFINITY, random(rng));
        for draw in 0..DRAWS {
            let strategy = if draw == 0 { best.1.clone() } else { random(rng) };
            let mut sum = 0.0;
            for name in features(&strategy) {
                sum += *worth.entry(name).or_insert_with_key(|name| {
                    let z: f64 = StandardNormal.sample(rng);
                    prior_sd(name) * z
                });
            }
            if sum > best.0 {
                best = (sum, strategy);
            }
        }
        best.1
    }

    /// The `count` building blocks that are most surely worth something, and those that most surely cost, by mean over
    /// standard deviation, surest first.
    #[must_use]
    pub fn surest(&self, count: usize) -> [Vec<(&str, Belief)>; 2] {
        let of = |sign: f64| {
            let mut found: Vec<(&str, Belief)> =
                self.beliefs.iter().map(|(name, b)| (name.as_str(), *b)).filter(|(_, b)| sign * b.mean > 0.0).collect();
            let sure = |b: &Belief| sign * b.mean / b.sd;
            found.sort_by(|a, b| sure(&b.1).total_cmp(&sure(&a.1)).then(a.0.cmp(b.0)));
            found.truncate(count);
            found
        };
        [of(1.0), of(-1.0)]
    }
}
