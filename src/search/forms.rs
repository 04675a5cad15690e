//! Variation of strategies of either form, each by its own settings. One population is of one form.

use super::SearchConfig;
use genome::variation::{
    complexity, crossover, crossover_ranking, mutate, mutate_ranking, neighbours, random, random_ranking,
    ranking_complexity, ranking_neighbours,
};
use genome::{AnyStrategy, StrategyForm};
use rand::Rng;

impl SearchConfig {
    /// A new random strategy of the form that is searched.
    pub(super) fn random(&self, rng: &mut impl Rng) -> AnyStrategy {
        match self.form {
            StrategyForm::Rules => random(&self.variation, rng).into(),
            StrategyForm::Ranking => random_ranking(&self.ranking, rng).into(),
        }
    }

    /// The strategy, changed in a small way.
    pub(super) fn mutate(&self, strategy: &AnyStrategy, rng: &mut impl Rng) -> AnyStrategy {
        match strategy {
            AnyStrategy::Rules(strategy) => mutate(strategy, &self.variation, rng).into(),
            AnyStrategy::Ranking(ranking) => mutate_ranking(ranking, &self.ranking, rng).into(),
        }
    }

    /// A child of two strategies; of two forms there is none, and the first is changed instead.
    pub(super) fn crossover(&self, a: &AnyStrategy, b: &AnyStrategy, rng: &mut impl Rng) -> AnyStrategy {
        match (a, b) {
            (AnyStrategy::Rules(a), AnyStrategy::Rules(b)) => crossover(a, b, &self.variation, rng).into(),
            (AnyStrategy::Ranking(a), AnyStrategy::Ranking(b)) => crossover_ranking(a, b, &self.ranking, rng).into(),
            _ => self.mutate(a, rng),
        }
    }
}

/// All valid strategies that differ in one number, moved by `step` of its value.
pub(super) fn near(strategy: &AnyStrategy, step: f64) -> Vec<AnyStrategy> {
    match strategy {
        AnyStrategy::Rules(strategy) => neighbours(strategy, step).into_iter().map(AnyStrategy::Rules).collect(),
        AnyStrategy::Ranking(ranking) => {
            ranking_neighbours(ranking, step).into_iter().map(AnyStrategy::Ranking).collect()
        }
    }
}

/// How much there is to a strategy, as the genome counts it for its form.
pub(super) fn size(strategy: &AnyStrategy) -> u32 {
    match strategy {
        AnyStrategy::Rules(strategy) => complexity(strategy),
        AnyStrategy::Ranking(ranking) => ranking_complexity(ranking),
    }
}
