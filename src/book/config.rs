//! Settings of a book. Each changes numbers: another value is another pipeline, and another hypothesis.

use genome::{StrategyForm, Timeframe};
use search::SearchConfig;
use serde::{Deserialize, Serialize};

/// How admitted members share the book.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Weighing {
    /// In proportion to 1 / deviation of hedged daily returns.
    EqualRisk,
    /// Hierarchical risk parity: members that move together share what one of their kind would have.
    HierarchicalRiskParity,
    /// By expected return and a covariance whose correlations are shrunk by half; nobody below 0.
    MeanVariance,
}

impl Weighing {
    /// All.
    pub const ALL: [Self; 3] = [Self::EqualRisk, Self::HierarchicalRiskParity, Self::MeanVariance];

    /// The name in settings and JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::EqualRisk => "equal_risk",
            Self::HierarchicalRiskParity => "hierarchical_risk_parity",
            Self::MeanVariance => "mean_variance",
        }
    }
}

/// Settings of a book.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BookConfig {
    /// Days before a block that its search looks at.
    pub search_days: u32,
    /// Days with members that a search needs at least.
    pub least_days: u32,
    /// Strategies of a generation of a block's search (count).
    pub population_size: usize,
    /// Generations of it (count): few, since each begins with the best of the block before.
    pub generations: u32,
    /// Null searches of each block (count): as large as its search and, like it, begun with the best of the block before,
    /// each on a null market of its own that lasts as long as the walk does.
    pub null_searches: u32,
    /// Most members (count).
    pub most_members: u32,
    /// Most members of one niche (count).
    pub most_of_niche: u32,
    /// Most that hedged daily returns of two members may be correlated.
    pub max_correlation: f64,
    /// Most that a member may trade a day, of its equity, both sides; as its fees tell it.
    pub max_turnover_per_day: f64,
    /// Expected annual Sharpe ratio, after costs and hedged, below which nobody is admitted.
    pub least_sharpe: f64,
    /// Probability that there is no edge, before costs, above which nobody is admitted.
    pub max_false_discovery: f64,
    /// How members share the book.
    pub weighing: Weighing,
    /// A name whose target differs from what the book holds by less is left alone, a fraction of equity.
    pub band: f64,
    /// Wealth (of 1) that the first pipeline of a daemon must reach to go live; the n-th n^2 times as much.
    pub min_e_value: f64,
    /// Wealth of the days since its life began that it must reach.
    pub life_min_e_value: f64,
    /// Such days, at least.
    pub life_min_days: u32,
}

impl Default for BookConfig {
    fn default() -> Self {
        Self {
            search_days: 1_095,
            least_days: 180,
            population_size: 150,
            generations: 4,
            null_searches: 4,
            most_members: 20,
            most_of_niche: 4,
            max_correlation: 0.7,
            max_turnover_per_day: 0.5,
            least_sharpe: 0.2,
            max_false_discovery: 0.5,
            weighing: Weighing::EqualRisk,
            band: 0.002,
            min_e_value: 20.0,
            life_min_e_value: 2.0,
            life_min_days: 30,
        }
    }
}

/// A setting that makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key} {problem}")]
pub struct BookConfigError {
    /// The key at fault.
    pub key: &'static str,
    /// What is wrong with it, and what would be right.
    pub problem: String,
}

impl BookConfig {
    /// How a block is searched: as `search` says, but with more new blood than sessions have, since what is new keeps most
    /// of what it promises, and with strategies that rank on one timeframe.
    #[must_use]
    pub fn search(&self, search: &SearchConfig, timeframe: Timeframe) -> SearchConfig {
        let mut config = search.clone();
        config.form = StrategyForm::Ranking;
        config.ranking.timeframes = vec![timeframe];
        config.population_size = self.population_size;
        config.generations = self.generations;
        config.elites = config.elites.min(config.population_size);
        config.immigrants_fraction = 0.5;
        config.learner_fraction = 0.0;
        config.refinement_fraction = 0.1;
        config.crossover_fraction = 0.2;
        config.remembered_hashes = config.remembered_hashes.max(config.population_size);
        config
    }

    /// Whether every setting is within its bounds.
    ///
    /// # Errors
    /// The first key that is not.
    pub fn validate(&self) -> Result<(), BookConfigError> {
        for (key, value, min, max) in [
            ("search_days", self.search_days, 90, 36_500),
            ("least_days", self.least_days, 60, self.search_days),
            ("population_size", u32::try_from(self.population_size).unwrap_or(u32::MAX), 2, 100_000),
            ("generations", self.generations, 1, 1_000),
            ("null_searches", self.null_searches, 1, 100),
            ("most_members", self.most_members, 1, 1_000),
            ("most_of_niche", self.most_of_niche, 1, 1_000),
            ("life_min_days", self.life_min_days, 1, 3_650),
        ] {
            if !(min..=max).contains(&value) {
                return Err(BookConfigError { key, problem: format!("must be {min} to {max}, not {value}") });
            }
        }
        for (key, value, min, max) in [
            ("max_correlation", self.max_correlation, 0.0, 1.0),
            ("max_turnover_per_day", self.max_turnover_per_day, 0.0, 1e3),
            ("least_sharpe", self.least_sharpe, 0.0, 1e3),
            ("max_false_discovery", self.max_false_discovery, 0.0, 1.0),
            ("band", self.band, 0.0, 1.0),
            ("min_e_value", self.min_e_value, 1.0, 1e12),
            ("life_min_e_value", self.life_min_e_value, 1.0, self.min_e_value),
        ] {
            // Written so that NaN is refused, too.
            if !(min..=max).contains(&value) {
                return Err(BookConfigError { key, problem: format!("must be {min} to {max}, not {value}") });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_out_of_bounds_are_named() {
        let book = BookConfig::default();
        assert_eq!(book.validate(), Ok(()));
        let key = |book: BookConfig| book.validate().unwrap_err().key;
        assert_eq!(key(BookConfig { least_days: 2_000, ..book.clone() }), "least_days");
        assert_eq!(key(BookConfig { max_correlation: f64::NAN, ..book.clone() }), "max_correlation");
        assert_eq!(key(BookConfig { band: -0.1, ..book.clone() }), "band");
        assert_eq!(key(BookConfig { null_searches: 0, ..book.clone() }), "null_searches");
        let search = book.search(&SearchConfig::default(), Timeframe::H4);
        assert_eq!((search.validate(), search.form), (Ok(()), StrategyForm::Ranking));
    }
}
