//! Strategies as JSON and TOML, and the reader of strategy files, which takes the text form as well.

use crate::{
    Distance, Expression, Filters, IndicatorKind, InvalidStrategy, MAX_TEXT_BYTES, Number, ParseError,
    PartialTakeProfit, Recovery, RiskPlan, Rule, SideRules, Size, Strategy, Timeframe, TrendRegimeFilter, Universe,
    Weights,
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

mod ranking;
pub use ranking::AnyFile;

/// What those who take rules alone say to a strategy that ranks the market.
const RANKS: &str =
    "a strategy with a score ranks the market; here one of rules is expected, with a long or a short side";

/// Version of the JSON form that is written, and the only one that is read.
const VERSION: u32 = 1;

/// A strategy with the name that its file gives it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Wire", into = "Wire")]
pub struct StrategyFile {
    /// The file's name for it.
    pub name: Option<String>,
    /// The strategy, canonical when it was read.
    pub strategy: Strategy,
}

/// Why a strategy file cannot be used.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum FileError {
    /// Larger than any strategy.
    #[error("the strategy has {0} bytes; at most {MAX_TEXT_BYTES} are read")]
    TooLarge(usize),
    /// Not the JSON or TOML of a strategy.
    #[error("{}{problem}", if path.is_empty() { String::new() } else { format!("{path}: ") })]
    Document {
        /// Path of the key, such as `long.entry`; empty where the document itself is broken.
        path: String,
        /// What is wrong there.
        problem: String,
    },
    /// Not the text form of a strategy.
    #[error("{0}")]
    Text(#[from] ParseError),
    /// Readable, but not valid.
    #[error(transparent)]
    Invalid(#[from] InvalidStrategy),
}

impl StrategyFile {
    /// Reads a strategy from JSON (starts with `{`), TOML (a line sets a key) or the canonical text form.
    ///
    /// # Errors
    /// The key path and, for a rule, the column in it.
    pub fn parse(text: &str) -> Result<Self, FileError> {
        if text.len() > MAX_TEXT_BYTES {
            return Err(FileError::TooLarge(text.len()));
        }
        let text = text.trim_start_matches('\u{feff}');
        match read::<Wire>(text) {
            Ok(Some(wire)) => Ok(wire.try_into()?),
            Ok(None) => Ok(Self { name: None, strategy: text.parse()? }),
            Err(_) if ranking::has_score(text) => {
                Err(FileError::Document { path: "score".to_owned(), problem: RANKS.to_owned() })
            }
            Err(error) => Err(error),
        }
    }
}

/// The value of a JSON or TOML document; `None` where the text is neither.
fn read<T: de::DeserializeOwned>(text: &str) -> Result<Option<T>, FileError> {
    let value = if text.trim_start().starts_with('{') {
        let mut reader = serde_json::Deserializer::from_str(text);
        let value = serde_path_to_error::deserialize(&mut reader).map_err(|e| document(&e))?;
        let end = reader.end();
        end.map_err(|e| FileError::Document { path: String::new(), problem: e.to_string() })?;
        value
    } else if looks_like_toml(text) {
        // A broken document: the error's own text shows the place. A wrong value: the path does.
        let reader = toml::Deserializer::parse(text)
            .map_err(|e| FileError::Document { path: String::new(), problem: e.to_string().trim_end().to_owned() })?;
        serde_path_to_error::deserialize(reader)
            .map_err(|e| FileError::Document { path: e.path().to_string(), problem: e.inner().message().to_owned() })?
    } else {
        return Ok(None);
    };
    Ok(Some(value))
}

fn document(error: &serde_path_to_error::Error<serde_json::Error>) -> FileError {
    let path = error.path().to_string();
    let path = if path == "." { String::new() } else { path };
    FileError::Document { path, problem: error.inner().to_string() }
}

/// Whether a line sets a key or opens a table, which no line of the text form does.
fn looks_like_toml(text: &str) -> bool {
    text.lines().map(str::trim_start).filter(|l| !l.starts_with('#')).any(|line| {
        let key = line.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || "_-.\"' ".contains(c));
        line.starts_with('[') || (key.len() < line.len() && key.starts_with('='))
    })
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "version")]
    version: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    timeframe: Timeframe,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    universe: Option<Universe>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    long: Option<SideWire>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    short: Option<SideWire>,
    #[serde(default)]
    risk: RiskWire,
    #[serde(default, skip_serializing_if = "FiltersWire::is_off")]
    filters: FiltersWire,
}

fn version<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    match Option::<u32>::deserialize(deserializer)? {
        None | Some(VERSION) => Ok(Some(VERSION)),
        Some(other) => Err(de::Error::custom(format!(
            "version {other} of the strategy form is not known; this program reads version {VERSION}"
        ))),
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SideWire {
    entry: Rule,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    exit: Option<Rule>,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RiskWire {
    #[serde(skip_serializing_if = "Option::is_none")]
    size_fraction: Option<Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size_risk: Option<Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    leverage: Option<Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stop_loss: Option<Distance>,
    #[serde(skip_serializing_if = "Option::is_none")]
    take_profit: Option<Distance>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trailing_stop: Option<Distance>,
    #[serde(skip_serializing_if = "Option::is_none")]
    break_even: Option<Distance>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time_exit_bars: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    partial_take_profit: Option<PartialWire>,
    #[serde(skip_serializing_if = "Option::is_none")]
    recovery: Option<RecoveryWire>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PartialWire {
    at: Distance,
    fraction: Number,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RecoveryWire {
    multiplier: Number,
    max_steps: u32,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct FiltersWire {
    #[serde(skip_serializing_if = "Option::is_none")]
    regime: Option<TrendRegimeFilter>,
    #[serde(skip_serializing_if = "Option::is_none")]
    min_confidence: Option<Number>,
}

impl FiltersWire {
    fn is_off(&self) -> bool {
        self.regime.is_none() && self.min_confidence.is_none()
    }
}

impl TryFrom<Wire> for StrategyFile {
    type Error = InvalidStrategy;
    fn try_from(wire: Wire) -> Result<Self, InvalidStrategy> {
        let risk = wire.risk;
        let usual = RiskPlan::default();
        let size = match (risk.size_fraction, risk.size_risk) {
            (Some(_), Some(_)) => {
                let problem = "give size_fraction or size_risk, not both".to_owned();
                return Err(InvalidStrategy { field: "risk.size_risk".to_owned(), problem });
            }
            (Some(fraction), None) => Size::Fraction(fraction),
            (None, Some(fraction)) => Size::Risk(fraction),
            (None, None) => usual.size,
        };
        let side = |side: Option<SideWire>| side.map(|s| SideRules { entry: s.entry, exit: s.exit });
        let strategy = Strategy {
            timeframe: wire.timeframe,
            long: side(wire.long),
            short: side(wire.short),
            risk: RiskPlan {
                size,
                leverage: risk.leverage.unwrap_or(usual.leverage),
                stop_loss: risk.stop_loss,
                take_profit: risk.take_profit,
                trailing_stop: risk.trailing_stop,
                break_even: risk.break_even,
                time_exit_bars: risk.time_exit_bars,
                partial_take_profit: risk
                    .partial_take_profit
                    .map(|p| PartialTakeProfit { at: p.at, fraction: p.fraction }),
                recovery: risk.recovery.map(|r| Recovery { multiplier: r.multiplier, max_steps: r.max_steps }),
            },
            filters: Filters {
                regime: wire.filters.regime.unwrap_or_default(),
                min_confidence: wire.filters.min_confidence,
            },
            universe: wire.universe,
        };
        Ok(Self { name: wire.name, strategy: strategy.canonical()? })
    }
}

impl From<StrategyFile> for Wire {
    fn from(StrategyFile { name, strategy }: StrategyFile) -> Self {
        let risk = strategy.risk;
        let (size_fraction, size_risk) = match risk.size {
            Size::Fraction(fraction) => (Some(fraction), None),
            Size::Risk(fraction) => (None, Some(fraction)),
        };
        let side = |side: Option<SideRules>| side.map(|s| SideWire { entry: s.entry, exit: s.exit });
        let regime = strategy.filters.regime;
        Self {
            version: Some(VERSION),
            name,
            timeframe: strategy.timeframe,
            universe: strategy.universe,
            long: side(strategy.long),
            short: side(strategy.short),
            risk: RiskWire {
                size_fraction,
                size_risk,
                leverage: Some(risk.leverage),
                stop_loss: risk.stop_loss,
                take_profit: risk.take_profit,
                trailing_stop: risk.trailing_stop,
                break_even: risk.break_even,
                time_exit_bars: risk.time_exit_bars,
                partial_take_profit: risk.partial_take_profit.map(|p| PartialWire { at: p.at, fraction: p.fraction }),
                recovery: risk.recovery.map(|r| RecoveryWire { multiplier: r.multiplier, max_steps: r.max_steps }),
            },
            filters: FiltersWire {
                regime: (regime != TrendRegimeFilter::Any).then_some(regime),
                min_confidence: strategy.filters.min_confidence,
            },
        }
    }
}

impl Serialize for Strategy {
    /// The JSON form, with its version, without a name.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Wire::from(StrategyFile { name: None, strategy: self.clone() }).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Strategy {
    /// The JSON form without a name. The result is canonical.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let wire = Wire::deserialize(deserializer)?;
        if wire.name.is_some() {
            return Err(de::Error::custom("name: a bare strategy has no name"));
        }
        StrategyFile::try_from(wire).map(|file| file.strategy).map_err(de::Error::custom)
    }
}

/// Serde as the text form.
macro_rules! as_text {
    ($type:ty) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
            }
        }
    };
}
as_text!(Rule);
as_text!(Distance);
as_text!(TrendRegimeFilter);
as_text!(IndicatorKind);
as_text!(Expression);
as_text!(Universe);
as_text!(Weights);

impl std::fmt::Display for IndicatorKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.spec().name)
    }
}

impl std::str::FromStr for IndicatorKind {
    type Err = String;
    /// By name or alias, without regard to case.
    fn from_str(text: &str) -> Result<Self, String> {
        Self::named(&text.to_ascii_lowercase()).ok_or_else(|| format!("unknown indicator {text:?}"))
    }
}

impl std::str::FromStr for TrendRegimeFilter {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|r| r.name() == text)
            .ok_or_else(|| format!("unknown regime {text:?}; expected any, trending, ranging or choppy"))
    }
}
