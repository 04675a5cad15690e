//! Settings of a search: every key, its unit, its bounds. Does nothing by itself.

use genome::variation::{RankingVariation, VariationConfig};
use genome::{StrategyForm, Timeframe};
use serde::{Deserialize, Serialize};

/// How parents are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "method", deny_unknown_fields)]
pub enum Selection {
    /// The fittest of `size` drawn at random.
    Tournament {
        /// Strategies drawn (count).
        size: usize,
    },
    /// Whoever is best on a random ordering of the cases, among `sample` drawn at random.
    Lexicase {
        /// Strategies drawn (count).
        sample: usize,
    },
}

/// Settings of a search.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SearchConfig {
    /// Form of the strategies. Set by whoever begins the search, which has to evaluate them, and stored with it.
    pub form: StrategyForm,
    /// Strategies kept from one generation to the next at most, and evaluated in each (count).
    pub population_size: usize,
    /// Generations after which a session is finished (count).
    pub generations: u32,
    /// Best strategies that stay whatever niche they are in, and whose constants are refined (count).
    pub elites: usize,
    /// Share of each generation that is random and new (fraction).
    pub immigrants_fraction: f64,
    /// Share of each generation that is drawn by what earlier strategies have taught, once they have (fraction).
    pub learner_fraction: f64,
    /// Share of each generation that varies the constants of an elite (fraction).
    pub refinement_fraction: f64,
    /// Share of each generation that has two parents (fraction); the rest are mutations of one.
    pub crossover_fraction: f64,
    /// How parents are chosen.
    pub selection: Selection,
    /// Share of parents that come from the archive instead, each of its cells as likely as any other (fraction).
    pub archive_parents_fraction: f64,
    /// Strategies of one niche that stay while other niches have any to offer (count).
    pub niche_capacity: usize,
    /// Best strategies of different kinds that are remembered for good (count).
    pub archive_size: usize,
    /// Most that the daily returns of two strategies in the archive may be correlated; 1 lets anything in.
    pub archive_max_correlation: f64,
    /// Trades in the window below which the fitness is 0 (count).
    pub min_trades: u32,
    /// Complexity at which a strategy gets nothing for simplicity (as the genome counts it).
    pub complexity_limit: f64,
    /// Hashes of evaluated strategies that are remembered, newest first, so that none is evaluated twice (count).
    pub remembered_hashes: usize,
    /// What random strategies, mutations and crossovers look like.
    pub variation: VariationConfig,
    /// The same for strategies that rank the market.
    pub ranking: RankingVariation,
}

impl Default for SearchConfig {
    fn default() -> Self {
        Self {
            form: StrategyForm::Rules,
            population_size: 500,
            generations: 20,
            elites: 10,
            immigrants_fraction: 0.15,
            learner_fraction: 0.0,
            refinement_fraction: 0.15,
            crossover_fraction: 0.35,
            selection: Selection::Lexicase { sample: 24 },
            archive_parents_fraction: 0.0,
            niche_capacity: 20,
            archive_size: 200,
            archive_max_correlation: 0.8,
            min_trades: 50,
            complexity_limit: 30.0,
            remembered_hashes: 200_000,
            variation: VariationConfig::default(),
            ranking: RankingVariation::default(),
        }
    }
}

/// A setting that makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key} {problem}")]
pub struct SearchConfigError {
    /// The key at fault.
    pub key: &'static str,
    /// What is wrong with it, and what would be right.
    pub problem: String,
}

impl SearchConfig {
    /// Whether a share of each generation is drawn by what earlier strategies have taught.
    #[must_use]
    pub fn draws_by_lessons(&self) -> bool {
        self.learner_fraction > 0.0
    }

    /// The same settings for candles of `interval`: strategies on finer timeframes cannot be evaluated there, so
    /// none are made. Where no timeframe is left, `interval` itself is the one.
    #[must_use]
    pub fn for_interval(&self, interval: Timeframe) -> Self {
        let mut config = self.clone();
        let timeframes = match config.form {
            StrategyForm::Rules => &mut config.variation.timeframes,
            StrategyForm::Ranking => &mut config.ranking.timeframes,
        };
        timeframes.retain(|t| *t >= interval);
        if timeframes.is_empty() {
            *timeframes = vec![interval];
        }
        config
    }

    /// Whether every setting is within its bounds.
    ///
    /// # Errors
    /// The first key that is not.
    pub fn validate(&self) -> Result<(), SearchConfigError> {
        let drawn = match self.selection {
            Selection::Tournament { size } => ("selection.size", size),
            Selection::Lexicase { sample } => ("selection.sample", sample),
        };
        for (key, value, min, max) in [
            ("population_size", self.population_size, 2, 100_000),
            ("generations", self.generations as usize, 1, 100_000),
            ("elites", self.elites, 1, self.population_size),
            drawn_bounds(drawn),
            ("niche_capacity", self.niche_capacity, 1, 100_000),
            ("archive_size", self.archive_size, 1, 100_000),
            ("min_trades", self.min_trades as usize, 1, 1_000_000),
            ("remembered_hashes", self.remembered_hashes, self.population_size, 10_000_000),
        ] {
            if !(min..=max).contains(&value) {
                return Err(SearchConfigError { key, problem: format!("must be {min} to {max}, not {value}") });
            }
        }
        for (key, value, max) in [
            ("immigrants_fraction", self.immigrants_fraction, 1.0),
            ("learner_fraction", self.learner_fraction, 1.0),
            ("refinement_fraction", self.refinement_fraction, 1.0),
            ("crossover_fraction", self.crossover_fraction, 1.0),
            ("archive_parents_fraction", self.archive_parents_fraction, 1.0),
            ("archive_max_correlation", self.archive_max_correlation, 1.0),
            ("complexity_limit", self.complexity_limit, 1e6),
        ] {
            // Written so that NaN is refused too.
            if !(0.0..=max).contains(&value) {
                return Err(SearchConfigError { key, problem: format!("must be 0 to {max}, not {value}") });
            }
        }
        let sum = self.immigrants_fraction + self.learner_fraction + self.refinement_fraction + self.crossover_fraction;
        if sum > 1.0 {
            let problem = format!(
                "and immigrants_fraction, learner_fraction and refinement_fraction must sum to at most 1, not {sum}"
            );
            return Err(SearchConfigError { key: "crossover_fraction", problem });
        }
        if let Err(problem) = self.variation.validate() {
            return Err(SearchConfigError { key: "variation", problem });
        }
        if let Err(problem) = self.ranking.validate() {
            return Err(SearchConfigError { key: "ranking", problem });
        }
        if self.complexity_limit < 1.0 {
            let problem = format!("must be at least 1, not {}", self.complexity_limit);
            return Err(SearchConfigError { key: "complexity_limit", problem });
        }
        Ok(())
    }
}

fn drawn_bounds((key, value): (&'static str, usize)) -> (&'static str, usize, usize, usize) {
    (key, value, 1, 10_000)
}
