//! A strategy of either kind, of rules or by rank, for those who take both.

use crate::{Ranking, Series, Strategy, StrategyHash, Timeframe, describe, describe_ranking};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeSet, fmt, str::FromStr};

/// Which kind of strategy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StrategyForm {
    /// Enters and leaves one symbol by rules.
    Rules,
    /// Holds the members of a universe by their ranks.
    Ranking,
}

impl StrategyForm {
    /// Its name in JSON and tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rules => "rules",
            Self::Ranking => "ranking",
        }
    }
}

impl fmt::Display for StrategyForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for StrategyForm {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let found = [Self::Rules, Self::Ranking].into_iter().find(|form| form.name() == text);
        found.ok_or_else(|| format!("{text:?} is no form of a strategy; there are rules and ranking"))
    }
}

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
    /// Of which kind it is.
    #[must_use]
    pub const fn form(&self) -> StrategyForm {
        match self {
            Self::Rules(_) => StrategyForm::Rules,
            Self::Ranking(_) => StrategyForm::Ranking,
        }
    }

    /// The strategy of rules, if it is one.
    #[must_use]
    pub const fn rules(&self) -> Option<&Strategy> {
        match self {
            Self::Rules(strategy) => Some(strategy),
            Self::Ranking(_) => None,
        }
    }

    /// The strategy that ranks the market, if it is one.
    #[must_use]
    pub const fn ranking(&self) -> Option<&Ranking> {
        match self {
            Self::Rules(_) => None,
            Self::Ranking(ranking) => Some(ranking),
        }
    }

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

    /// Series that models predict, each once, in order. Whoever evaluates the strategy has to bring their values along.
    #[must_use]
    pub fn model_series(&self) -> BTreeSet<Series> {
        let all: Vec<Series> = match self {
            Self::Rules(strategy) => strategy.series().into_iter().collect(),
            Self::Ranking(ranking) => ranking.score.series(),
        };
        all.into_iter().filter(|series| series.source.model().is_some()).collect()
    }

    /// Whether it looks at what the daemon does not bring along: what rules see beside the candles of their symbol.
    #[must_use]
    pub fn looks_beyond_the_daemon(&self) -> bool {
        self.rules().is_some_and(Strategy::looks_beside_its_candles)
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
