//! Settings of the evidence protocol: every key, its unit, its bounds. Does nothing by itself.

use search::SearchConfig;
use serde::{Deserialize, Serialize};

/// Settings of null searches, the account of tests and the placebo island.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProtocolConfig {
    /// Null searches beside a session's own at most (count). The smallest p-value is 1 / (this + 1).
    pub null_searches: u32,
    /// Null searches as good as the real one after which the rest are of no use (count).
    pub null_exceedances: u32,
    /// Size of each null search, and of the real one that they are compared with, as a share of the evaluations of a
    /// session's own search (fraction). 1 compares the session's own search where it can be compared.
    pub null_search_fraction: f64,
    /// Strategies without an edge that may go live of the tests bought in a market year, in expectation (count).
    pub false_promotions_per_year: f64,
    /// Sessions whose edges have all died when shadow begins and that may still get one live (fraction).
    pub dead_promotions: f64,
    /// Real sessions after which the placebo island has one; 0 for no placebo (count).
    pub placebo_every_sessions: u32,
}

impl Default for ProtocolConfig {
    fn default() -> Self {
        Self {
            null_searches: 19,
            null_exceedances: 1,
            null_search_fraction: 0.5,
            false_promotions_per_year: 0.05,
            dead_promotions: 0.05,
            placebo_every_sessions: 2,
        }
    }
}

/// A setting that makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key} {problem}")]
pub struct ProtocolConfigError {
    /// The key at fault.
    pub key: &'static str,
    /// What is wrong with it, and what would be right.
    pub problem: String,
}

impl ProtocolConfig {
    /// The settings of the searches that are compared: fewer strategies and fewer generations, in equal parts.
    #[must_use]
    pub fn compared(&self, search: &SearchConfig) -> SearchConfig {
        let side = self.null_search_fraction.sqrt();
        let part = |whole: f64| (whole * side).round().max(2.0);
        let population_size = part(search.population_size as f64) as usize;
        SearchConfig {
            population_size,
            generations: part(f64::from(search.generations)).min(f64::from(search.generations)) as u32,
            elites: search.elites.min(population_size),
            ..search.clone()
        }
    }

    /// Whether every setting is within its bounds.
    ///
    /// # Errors
    /// The first key that is not.
    pub fn validate(&self) -> Result<(), ProtocolConfigError> {
        let counts = [
            ("null_searches", self.null_searches, 1, 100_000),
            ("null_exceedances", self.null_exceedances, 1, self.null_searches),
            ("placebo_every_sessions", self.placebo_every_sessions, 0, 1_000_000),
        ];
        for (key, value, min, max) in counts {
            if !(min..=max).contains(&value) {
                return Err(ProtocolConfigError { key, problem: format!("must be {min} to {max}, not {value}") });
            }
        }
        if !(self.null_search_fraction > 0.0 && self.null_search_fraction <= 1.0) {
            let problem = format!("must be above 0 and at most 1, not {}", self.null_search_fraction);
            return Err(ProtocolConfigError { key: "null_search_fraction", problem });
        }
        for (key, value) in
            [("false_promotions_per_year", self.false_promotions_per_year), ("dead_promotions", self.dead_promotions)]
        {
            if !(value > 0.0 && value <= 1.0) {
                let problem = format!("must be above 0 and at most 1, not {value}");
                return Err(ProtocolConfigError { key, problem });
            }
        }
        Ok(())
    }
}
