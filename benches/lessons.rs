//! What the learner makes of lessons that another program made: a case a line of standard input, an answer a line.
//!
//! For `benches/second-opinion/learner.py`, which computes the same by other means. Decides nothing.

// A case that cannot be read is a failed comparison.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use genome::{
    AnyStrategy,
    random::Seed,
    variation::{RankingVariation, VariationConfig, random, random_ranking},
};
use learner::{Lesson, features, learn};
use serde::Deserialize;
use serde_json::json;
use std::io::BufRead;

#[derive(Deserialize)]
struct Case {
    /// Of the strategies, which are drawn here.
    seed: u64,
    /// Whether they rank the market.
    #[serde(default)]
    ranking: bool,
    /// For each lesson, the number of its strategy: two of one number are copies.
    strategies: Vec<u64>,
    returns: Vec<Vec<f64>>,
}

fn main() {
    for line in std::io::stdin().lock().lines() {
        let case: Case = serde_json::from_str(&line.unwrap()).unwrap();
        let of = |number: &u64| -> AnyStrategy {
            let rng = &mut Seed(case.seed).stream("lesson", *number);
            match case.ranking {
                true => random_ranking(&RankingVariation::default(), rng).into(),
                false => random(&VariationConfig::default(), rng).into(),
            }
        };
        let strategies: Vec<AnyStrategy> = case.strategies.iter().map(of).collect();
        let lessons: Vec<Lesson> = strategies
            .iter()
            .zip(case.returns)
            .map(|(strategy, returns)| Lesson { strategy: strategy.clone(), returns })
            .collect();
        let learnt = learn(&lessons);
        let expects: Option<Vec<f64>> =
            learnt.as_ref().map(|learnt| strategies.iter().map(|strategy| learnt.expects(strategy)).collect());
        let blocks: Vec<Vec<String>> = strategies.iter().map(features).collect();
        println!("{}", json!({ "learnt": learnt, "expects": expects, "blocks": blocks }));
    }
}
