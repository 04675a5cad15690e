//! What an operator wants of the daemon, for the overview to hold against what is. Decides nothing: no gate reads it.

use serde::{Deserialize, Serialize};

/// Goals, as the configuration gives them. The first three are to be reached, the others not to be passed.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Targets {
    /// Strategies that are live at once (count).
    pub live_strategies: u32,
    /// Mean fitness of the newest generation, mean of the islands, 0 to 100.
    pub mean_fitness: f64,
    /// Promotions in 30 days of market time (count).
    pub promotions_per_30_days: u32,
    /// Demotions in 30 days of market time (count).
    pub demotions_per_30_days: u32,
    /// Share of all backtests that failed (fraction).
    pub failed_backtests: f64,
}
