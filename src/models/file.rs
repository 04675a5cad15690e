//! A model file: what is predicted from what, how it is fitted and how often. Read from TOML, checked key by key; never opened here.

use super::calendar::date_ms;
use candles::{Interval, MarketKind};
use genome::{ModelName, Series, Timeframe, Unit, Universe};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// What a model predicts, over the next `horizon_candles` candles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Target {
    /// Whether the volatility-scaled return is above 0.
    Direction,
    /// Whether its rank among the model's symbols is in the upper half.
    Rank,
}

/// How it is fitted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum KindSettings {
    /// Logistic regression with a ridge penalty.
    Logistic {
        /// Strength of the penalty on standardised coefficients: the loss is the sum over examples plus l2 / 2 x their squares.
        #[serde(default = "Defaults::l2")]
        l2: f64,
    },
    /// Gradient-boosted trees.
    Trees {
        /// How many trees.
        #[serde(default = "Defaults::trees")]
        trees: u32,
        /// Levels of a tree.
        #[serde(default = "Defaults::depth")]
        depth: u32,
        /// Share of each tree that is added.
        #[serde(default = "Defaults::learning_rate")]
        learning_rate: f64,
        /// Least number of examples that a leaf stands for, about: their summed variance is at least a quarter of it.
        #[serde(default = "Defaults::leaf")]
        leaf_examples: u32,
        /// Share of the examples that a tree sees.
        #[serde(default = "Defaults::subsample")]
        subsample: f64,
    },
    /// The user's own network, fitted elsewhere.
    Onnx {
        /// Its file, beside the model file.
        file: String,
        /// The end of what it was fitted on, as a date (UTC midnight): nothing is predicted before.
        fitted_until: String,
    },
}

struct Defaults;
impl Defaults {
    const fn l2() -> f64 {
        10.0
    }
    const fn trees() -> u32 {
        60
    }
    const fn depth() -> u32 {
        3
    }
    const fn learning_rate() -> f64 {
        0.05
    }
    const fn leaf() -> u32 {
        200
    }
    const fn subsample() -> f64 {
        0.5
    }
    const fn volatility() -> u32 {
        84
    }
    const fn train_days() -> u32 {
        730
    }
    const fn refit_days() -> u32 {
        30
    }
    const fn examples() -> u32 {
        200_000
    }
    const fn seed() -> u64 {
        1
    }
}

/// What the file says, as written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    timeframe: String,
    #[serde(default)]
    market: MarketKind,
    #[serde(default)]
    symbols: Vec<String>,
    universe: Option<String>,
    target: Target,
    horizon_candles: u32,
    #[serde(default = "Defaults::volatility")]
    volatility_candles: u32,
    #[serde(default)]
    min_move: f64,
    features: Vec<String>,
    #[serde(default = "Defaults::train_days")]
    train_days: u32,
    #[serde(default = "Defaults::refit_days")]
    refit_days: u32,
    embargo_candles: Option<u32>,
    #[serde(default = "Defaults::examples")]
    max_examples: u32,
    #[serde(default = "Defaults::seed")]
    seed: u64,
    fit: KindSettings,
}

/// A model file, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelFile {
    /// Its name in the language: that of the file.
    pub name: ModelName,
    /// Candles that it looks at.
    pub timeframe: Timeframe,
    /// Of which market.
    pub market: MarketKind,
    /// Names of symbols, or patterns with one `*`; of a universe, those that can be members.
    pub symbols: Vec<String>,
    /// Who of them teaches and is compared, as of each candle; `None`: all of them.
    pub universe: Option<Universe>,
    /// What is predicted.
    pub target: Target,
    /// Over how many candles.
    pub horizon_candles: u32,
    /// Returns before a close that its volatility is measured on.
    pub volatility_candles: u32,
    /// Moves smaller than so many volatilities of the horizon teach nothing.
    pub min_move: f64,
    /// What is looked at, at each close.
    pub features: Vec<Series>,
    /// How far back examples of a fit reach.
    pub train_days: u32,
    /// Days from one fit to the next, counted from 1970-01-01.
    pub refit_days: u32,
    /// Candles between the last target of a fit and the fit, beyond the horizon.
    pub embargo_candles: u32,
    /// Most examples of a fit; more are thinned evenly.
    pub max_examples: u32,
    /// Root of what is drawn.
    pub seed: u64,
    /// How it is fitted.
    pub fit: KindSettings,
    text: String,
    digest: String,
}

/// Why a file is no model.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum ModelFileError {
    #[error("model {0}")]
    Name(String),
    #[error("model {name}: {text}")]
    Toml { name: ModelName, text: String },
    #[error("model {name}: {key}: {problem}")]
    Key { name: ModelName, key: &'static str, problem: String },
}

const MAX_FEATURES: usize = 256;

impl ModelFile {
    /// Reads a file's text; its name is that of the file without the ending.
    ///
    /// # Errors
    /// No name for a model, no TOML, a key that is missing, unknown or out of bounds: says which.
    pub fn parse(name: &str, text: &str) -> Result<Self, ModelFileError> {
        let name: ModelName = name.parse().map_err(ModelFileError::Name)?;
        let written: Written = toml::from_str(text)
            .map_err(|e| ModelFileError::Toml { name, text: e.to_string().trim_end().to_owned() })?;
        let bad = |key: &'static str, problem: String| ModelFileError::Key { name, key, problem };
        let within = |key: &'static str, value: f64, min: f64, max: f64| match (min..=max).contains(&value) {
            true => Ok(()),
            false => Err(bad(key, format!("{value} is not {min} to {max}"))),
        };
        let timeframe: Timeframe = written
            .timeframe
            .parse()
            .map_err(|_| bad("timeframe", format!("{:?} is no timeframe such as 4h", written.timeframe)))?;
        if timeframe > Timeframe::D1 {
            return Err(bad("timeframe", format!("{timeframe} is longer than 1d")));
        }
        let parse = |text: &String| text.parse().map_err(|e: genome::ParseError| bad("universe", e.to_string()));
        let universe: Option<Universe> = written.universe.as_ref().map(parse).transpose()?;
        let symbols = match universe {
            Some(_) if written.symbols.is_empty() => vec!["*".to_owned()],
            _ => written.symbols.clone(),
        };
        if symbols.is_empty() {
            let why = "name at least one, such as \"BTCUSDT\" or \"*USDT\", or say a universe such as \"top 30 by quote_volume(30d)\"";
            return Err(bad("symbols", why.to_owned()));
        }
        for symbol in &symbols {
            let plain = symbol.replacen('*', "", 1);
            if plain.contains('*')
                || (!plain.is_empty() && plain.parse::<candles::Symbol>().is_err())
                || symbol.is_empty()
            {
                return Err(bad("symbols", format!("{symbol:?} is no symbol, and no pattern with one *")));
            }
        }
        within("horizon_candles", f64::from(written.horizon_candles), 1.0, 1000.0)?;
        within("volatility_candles", f64::from(written.volatility_candles), 2.0, 5000.0)?;
        within("min_move", written.min_move, 0.0, 10.0)?;
        within("train_days", f64::from(written.train_days), 1.0, 3650.0)?;
        within("refit_days", f64::from(written.refit_days), 1.0, 366.0)?;
        within("embargo_candles", f64::from(written.embargo_candles.unwrap_or(0)), 0.0, 10_000.0)?;
        within("max_examples", f64::from(written.max_examples), 100.0, 10_000_000.0)?;
        if written.target == Target::Rank && written.min_move != 0.0 {
            return Err(bad("min_move", "is of targets of direction; leave it out for ranks".to_owned()));
        }
        let features = features(&written.features, timeframe).map_err(|problem| bad("features", problem))?;
        match &written.fit {
            KindSettings::Logistic { l2 } => within("fit.l2", *l2, 1e-6, 1e9)?,
            KindSettings::Trees { trees, depth, learning_rate, leaf_examples, subsample } => {
                within("fit.trees", f64::from(*trees), 1.0, 2000.0)?;
                within("fit.depth", f64::from(*depth), 1.0, 10.0)?;
                within("fit.learning_rate", *learning_rate, 1e-4, 1.0)?;
                within("fit.leaf_examples", f64::from(*leaf_examples), 1.0, 1e6)?;
                within("fit.subsample", *subsample, 0.05, 1.0)?;
            }
            KindSettings::Onnx { file, fitted_until } => {
                if file.is_empty() || file.contains(['/', '\\']) {
                    return Err(bad("fit.file", format!("{file:?} is no file beside the model file")));
                }
                if date_ms(fitted_until).is_none() {
                    return Err(bad("fit.fitted_until", format!("{fitted_until:?} is no date such as 2024-01-31")));
                }
            }
        }
        // What is written stands for what is meant: customary values are in it.
        let embargo_candles = written.embargo_candles.unwrap_or(written.horizon_candles);
        let text = universe.map(|universe| universe.to_string());
        let meant = Written { embargo_candles: Some(embargo_candles), symbols, universe: text, ..written };
        let canonical = toml::to_string(&meant).map_err(|e| ModelFileError::Toml { name, text: e.to_string() })?;
        let digest = hex::encode(Sha256::digest(format!("sg-ai model 1\n{name}\n{canonical}")));
        Ok(Self {
            name,
            timeframe,
            market: meant.market,
            symbols: meant.symbols,
            universe,
            target: meant.target,
            horizon_candles: meant.horizon_candles,
            volatility_candles: meant.volatility_candles,
            min_move: meant.min_move,
            features,
            train_days: meant.train_days,
            refit_days: meant.refit_days,
            embargo_candles,
            max_examples: meant.max_examples,
            seed: meant.seed,
            fit: meant.fit,
            text: canonical,
            digest,
        })
    }

    /// What it means as a file: customary values are written out.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// SHA-256, in hex, of name and meaning: two files share it only if they predict alike from the same candles.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Whether a symbol is one of the model's.
    #[must_use]
    pub fn names(&self, symbol: &str) -> bool {
        self.symbols.iter().any(|pattern| match pattern.split_once('*') {
            Some((before, after)) => {
                symbol.len() >= before.len() + after.len() && symbol.starts_with(before) && symbol.ends_with(after)
            }
            None => pattern == symbol,
        })
    }

    /// The symbols, where each is named in full and all of them are meant.
    #[must_use]
    pub fn named(&self) -> Option<&[String]> {
        if self.universe.is_some() {
            return None;
        }
        self.symbols.iter().all(|s| !s.contains('*')).then_some(&self.symbols)
    }

    /// Length of a candle, ms.
    #[must_use]
    pub fn candle_ms(&self) -> i64 {
        // Those up to a day have one.
        self.timeframe.fixed_ms().unwrap_or(1)
    }

    /// Of a network: from when on it may predict, UTC ms.
    #[must_use]
    pub fn fitted_until_ms(&self) -> Option<i64> {
        match &self.fit {
            KindSettings::Onnx { fitted_until, .. } => date_ms(fitted_until),
            _ => None,
        }
    }

    /// The kind in one word.
    #[must_use]
    pub const fn kind_name(&self) -> &'static str {
        match self.fit {
            KindSettings::Logistic { .. } => "logistic",
            KindSettings::Trees { .. } => "trees",
            KindSettings::Onnx { .. } => "onnx",
        }
    }
}

/// Series by their text, each a number that means the same for every coin.
fn features(written: &[String], base: Interval) -> Result<Vec<Series>, String> {
    if written.is_empty() || written.len() > MAX_FEATURES {
        return Err(format!("there are {}; 1 to {MAX_FEATURES} are needed", written.len()));
    }
    let mut all: Vec<Series> = Vec::with_capacity(written.len());
    for text in written {
        let series: Series = text.parse().map_err(|e| format!("{text:?}: {e}"))?;
        let why = if series.source.model().is_some() {
            Some("predicts; a model looks at series that do not".to_owned())
        } else if series.across.is_some() {
            Some("compares with other symbols, which features cannot".to_owned())
        } else if Unit::of_series(&series) != Unit::PLAIN {
            Some(format!(
                "is {}, which means something else for every coin; use one that is a ratio, such as roc(10)",
                Unit::of_series(&series)
            ))
        } else if series.timeframe.is_some_and(|t| t != base && !base.is_multiple(t)) {
            Some(format!("is on a timeframe that is not made of whole {base} candles"))
        } else if all.contains(&series) {
            Some("is there twice".to_owned())
        } else {
            None
        };
        if let Some(why) = why {
            return Err(format!("{text} {why}"));
        }
        all.push(series);
    }
    Ok(all)
}
