//! Ranking strategies as JSON and TOML, and the reader of files that hold a strategy of either kind.

use super::{FileError, StrategyFile, VERSION, read, version};
use crate::{
    AnyStrategy, Expression, InvalidStrategy, MAX_TEXT_BYTES, Number, Ranking, Strategy, Timeframe, Universe, Weights,
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A strategy of either kind with the name that its file gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnyFile {
    /// The file's name for it.
    pub name: Option<String>,
    /// The strategy, canonical when it was read.
    pub strategy: AnyStrategy,
}

impl AnyFile {
    /// Reads a strategy of either kind from JSON (starts with `{`), TOML (a line sets a key) or the canonical text form.
    /// What has a `score` ranks the market.
    ///
    /// # Errors
    /// The key path and, for a rule or a score, the column in it.
    pub fn parse(text: &str) -> Result<Self, FileError> {
        if text.len() > MAX_TEXT_BYTES {
            return Err(FileError::TooLarge(text.len()));
        }
        let text = text.trim_start_matches('\u{feff}');
        if has_score(text)
            && let Some(wire) = read::<Wire>(text)?
        {
            return Ok(wire.try_into()?);
        }
        match read::<super::Wire>(text)? {
            Some(wire) => Ok(StrategyFile::try_from(wire)?.into()),
            None => Ok(Self { name: None, strategy: text.parse()? }),
        }
    }
}

impl From<StrategyFile> for AnyFile {
    fn from(StrategyFile { name, strategy }: StrategyFile) -> Self {
        Self { name, strategy: strategy.into() }
    }
}

/// Whether a document sets the key `score`. A document that cannot be read has its error from who reads it in full.
pub(super) fn has_score(text: &str) -> bool {
    #[derive(Deserialize)]
    struct Probe {
        score: Option<de::IgnoredAny>,
    }
    matches!(read::<Probe>(text), Ok(Some(Probe { score: Some(_) })))
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "version")]
    version: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    timeframe: Timeframe,
    universe: Universe,
    score: Expression,
    #[serde(default = "daily")]
    rebalance: Timeframe,
    weights: Weights,
    #[serde(default = "one")]
    gross: Number,
}

const fn daily() -> Timeframe {
    Timeframe::D1
}
const fn one() -> Number {
    Number::int(1)
}

impl TryFrom<Wire> for AnyFile {
    type Error = InvalidStrategy;
    fn try_from(wire: Wire) -> Result<Self, InvalidStrategy> {
        let Wire { version: _, name, timeframe, universe, score, rebalance, weights, gross } = wire;
        let ranking = Ranking { timeframe, universe, score, rebalance, weights, gross };
        Ok(Self { name, strategy: AnyStrategy::Ranking(ranking.canonical()?) })
    }
}

fn wire(name: Option<String>, ranking: &Ranking) -> Wire {
    let Ranking { timeframe, universe, score, rebalance, weights, gross } = ranking.clone();
    Wire { version: Some(VERSION), name, timeframe, universe, score, rebalance, weights, gross }
}

impl Serialize for Ranking {
    /// The JSON form, with its version, without a name.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        wire(None, self).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Ranking {
    /// The JSON form without a name. The result is canonical.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let AnyFile { name, strategy } = Wire::deserialize(deserializer)?.try_into().map_err(de::Error::custom)?;
        match (name, strategy) {
            (None, AnyStrategy::Ranking(ranking)) => Ok(ranking),
            _ => Err(de::Error::custom("name: a bare strategy has no name")),
        }
    }
}

impl Serialize for AnyFile {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.strategy {
            AnyStrategy::Rules(strategy) => {
                StrategyFile { name: self.name.clone(), strategy: strategy.clone() }.serialize(serializer)
            }
            AnyStrategy::Ranking(ranking) => wire(self.name.clone(), ranking).serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for AnyFile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = serde_json::Value::deserialize(deserializer)?;
        if value.get("score").is_some_and(|score| !score.is_null()) {
            let wire: Wire = serde_path_to_error::deserialize(value).map_err(de::Error::custom)?;
            wire.try_into().map_err(de::Error::custom)
        } else {
            let file: StrategyFile = serde_path_to_error::deserialize(value).map_err(de::Error::custom)?;
            Ok(file.into())
        }
    }
}

impl Serialize for AnyStrategy {
    /// The JSON form, with its version, without a name.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Rules(strategy) => strategy.serialize(serializer),
            Self::Ranking(ranking) => ranking.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for AnyStrategy {
    /// The JSON form of either kind without a name. The result is canonical.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let AnyFile { name, strategy } = AnyFile::deserialize(deserializer)?;
        if name.is_some() {
            return Err(de::Error::custom("name: a bare strategy has no name"));
        }
        Ok(strategy)
    }
}

impl TryFrom<AnyStrategy> for Strategy {
    type Error = InvalidStrategy;
    /// The strategy of rules.
    ///
    /// # Errors
    /// One that ranks the market.
    fn try_from(strategy: AnyStrategy) -> Result<Self, InvalidStrategy> {
        match strategy {
            AnyStrategy::Rules(strategy) => Ok(strategy),
            AnyStrategy::Ranking(_) => {
                Err(InvalidStrategy { field: "score".to_owned(), problem: super::RANKS.to_owned() })
            }
        }
    }
}
