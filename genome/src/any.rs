//! A strategy of either kind, of rules or by rank, for those who take both.

use crate::{Ranking, Strategy, StrategyHash, Timeframe, describe, describe_ranking};
use std::fmt;

/// A strategy of rules on one symbol, or one that ranks the market.
// One at a time is held where both are taken: populations are of one kind.
#[allow(clippy::large_enum_variant)]
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AnyStrategy {
    /// Enters and leaves by rules.
    Rules(Strategy),
    /// Holds the members of a universe by their ranks.
    Ranking(Ranking),
}

impl AnyStrategy {
    /// The strategy's identity: SHA-256 of its canonical text, one space of hashes for both kinds.
    #[must_use]
    pub fn hash(&self) -> StrategyHash {
        match self {
            Self::Rules(strategy) => strategy.hash(),
            Self::Ranking(ranking) => ranking.hash(),
        }
    }

    /// The base timeframe.
    #[must_use]
    pub const fn timeframe(&self) -> Timeframe {
        match self {
            Self::Rules(strategy) => strategy.timeframe,
            Self::Ranking(ranking) => ranking.timeframe,
        }
    }

    /// What it does, in plain sentences.
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Self::Rules(strategy) => describe(strategy),
            Self::Ranking(ranking) => describe_ranking(ranking),
        }
    }
}

impl From<Strategy> for AnyStrategy {
    fn from(strategy: Strategy) -> Self {
        Self::Rules(strategy)
    }
}
impl From<Ranking> for AnyStrategy {
    fn from(ranking: Ranking) -> Self {
        Self::Ranking(ranking)
    }
}

impl fmt::Display for AnyStrategy {
    /// The canonical text.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rules(strategy) => strategy.fmt(f),
            Self::Ranking(ranking) => ranking.fmt(f),
        }
    }
}
