//! Series that models predict: named models, and the ensemble of all of them. Names alone; nothing here predicts.

use crate::{ConstantRange, Scale, Series, Source, Timeframe};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::{fmt, str::FromStr};

/// The name of a model: its file's, without the ending.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModelName([u8; Self::MAX_BYTES]);

impl ModelName {
    /// Most bytes of a name: with one more a series would take more room than those of candles do.
    pub const MAX_BYTES: usize = 23;

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let end = self.0.iter().position(|byte| *byte == 0).unwrap_or(Self::MAX_BYTES);
        // Letters, digits and `_` alone were let in.
        std::str::from_utf8(&self.0[..end]).unwrap_or_default()
    }
}

impl FromStr for ModelName {
    type Err = String;

    /// Reads a name: a small letter first, then small letters, digits and `_`.
    fn from_str(text: &str) -> Result<Self, String> {
        let is_word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
        let begins = text.bytes().next().is_some_and(|b| b.is_ascii_lowercase());
        if !begins || !text.bytes().all(is_word) || text.len() > Self::MAX_BYTES {
            return Err(format!(
                "`{}` is no name of a model: a small letter first, then small letters, digits and `_`, at most {} in all",
                text.chars().take(2 * Self::MAX_BYTES).collect::<String>(),
                Self::MAX_BYTES
            ));
        }
        let mut bytes = [0; Self::MAX_BYTES];
        bytes[..text.len()].copy_from_slice(text.as_bytes());
        Ok(Self(bytes))
    }
}

impl fmt::Display for ModelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for ModelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}

/// What is asked of models.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ModelSeries {
    /// Probability, 0 to 1, that the model's target is above its middle: a rise, or a rank in the upper half.
    Probability(ModelName),
    /// How sure the model is: |2 x probability - 1|, 0 to 1.
    Confidence(ModelName),
    /// 1 where the ensemble expects a rise, -1 where it expects a fall, else 0.
    EnsembleDirection,
    /// How sure the ensemble is, 0 to 1.
    EnsembleConfidence,
}

impl ModelSeries {
    /// Names in the language, in the order of the enum.
    pub const NAMES: [&'static str; 4] = ["model", "model_confidence", "ensemble_direction", "ensemble_confidence"];

    /// The scale of its values.
    #[must_use]
    pub const fn scale(self) -> Scale {
        match self {
            Self::EnsembleDirection => Scale::Flag,
            Self::Probability(_) | Self::Confidence(_) | Self::EnsembleConfidence => Scale::UnitRange,
        }
    }

    /// The model that is asked; `None`: all of them.
    #[must_use]
    pub const fn model(self) -> Option<ModelName> {
        match self {
            Self::Probability(name) | Self::Confidence(name) => Some(name),
            Self::EnsembleDirection | Self::EnsembleConfidence => None,
        }
    }

    /// Its name in the language, without the model's.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Probability(_) => Self::NAMES[0],
            Self::Confidence(_) => Self::NAMES[1],
            Self::EnsembleDirection => Self::NAMES[2],
            Self::EnsembleConfidence => Self::NAMES[3],
        }
    }
}

impl ModelSeries {
    /// Levels worth comparing it with.
    #[must_use]
    pub const fn constants(self) -> ConstantRange {
        let (min, max, step) = match self {
            Self::Probability(_) => (0.3, 0.7, 0.01),
            Self::Confidence(_) | Self::EnsembleConfidence => (0.0, 0.4, 0.02),
            Self::EnsembleDirection => (0.0, 0.0, 1.0),
        };
        ConstantRange { min, max, step }
    }
}

impl FromStr for ModelSeries {
    type Err = String;

    /// Reads it as the language writes it, such as `model(trend)`.
    fn from_str(text: &str) -> Result<Self, String> {
        let series: Series = text.parse().map_err(|e| format!("{text:?}: {e}"))?;
        match series {
            Series { source: Source::Model(model), timeframe: None, across: None } => Ok(model),
            _ => Err(format!("{text:?} asks no model; write {}(NAME), for instance", Self::NAMES[0])),
        }
    }
}

impl Serialize for ModelSeries {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ModelSeries {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(de::Error::custom)
    }
}

impl Serialize for ModelName {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for ModelName {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(de::Error::custom)
    }
}

/// What a search may ask of models, and on which candles they predict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OfferedModel {
    /// What is asked.
    pub series: ModelSeries,
    /// The candles that it predicts on.
    pub timeframe: Timeframe,
}

impl OfferedModel {
    /// The series as a strategy on candles of `base` asks for it; `None` where it cannot.
    #[must_use]
    pub fn on(&self, base: Timeframe) -> Option<Series> {
        let is_own = self.timeframe == base;
        let above = self.timeframe > base && base.is_multiple(self.timeframe);
        let timeframe = above.then_some(self.timeframe);
        (is_own || above).then_some(Series { source: Source::Model(self.series), timeframe, across: None })
    }
}

impl fmt::Display for ModelSeries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        self.model().map_or(Ok(()), |name| write!(f, "({name})"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back_and_nonsense_is_refused() {
        for text in ["a", "trend_4h", "abcdefghijklmnopqrstuvw"] {
            assert_eq!(text.parse::<ModelName>().unwrap().to_string(), text);
        }
        for text in ["", "4h", "_a", "Trend", "a-b", "a b", "abcdefghijklmnopqrstuvwx", "ä", "a\0b"] {
            assert!(text.parse::<ModelName>().is_err(), "{text:?}");
        }
        for text in ["model(a)", "model_confidence(trend_4h)", "ensemble_direction", "ensemble_confidence"] {
            let series: ModelSeries = text.parse().unwrap();
            assert_eq!(series.to_string(), text);
            assert_eq!(serde_json::from_value::<ModelSeries>(serde_json::json!(series)).unwrap(), series);
        }
        for text in ["rsi(14)", "model(a)@1d", "model", "model()"] {
            assert!(text.parse::<ModelSeries>().is_err(), "{text:?}");
        }
        assert_eq!(size_of::<crate::Source>(), size_of::<crate::Indicator>());
        assert!("a".parse::<ModelName>().unwrap() < "ab".parse().unwrap());
    }
}
