//! The settings by key: what may be set, by which names, and the layers laid over each other.
//!
//! `config/default.toml` is the list of keys and their types; nothing is known that is not in it. The `config` crate
//! merges the layers, remembers who set what and reads the typed configuration; nothing here merges by itself.

use super::{ConfigError, Origin, bounds};
use config::{Map, Source, Value, ValueKind};
use serde::{Deserialize, de::DeserializeOwned};
use std::{collections::BTreeMap, fmt};
use telemetry::without_user_info;

/// The defaults, with every key and its unit.
pub const DEFAULT_TOML: &str = include_str!("../../config/default.toml");

/// Keys whose values are never shown.
pub const SECRET_KEYS: &[&str] = &[
    "store.database_url",
    "store.audit_key",
    "store.genome_key",
    "store.genome_former_keys",
    "market.api_key",
    "market.api_secret",
    "market.s3_access_key_id",
    "market.s3_secret_access_key",
    "http.client_token",
    "http.action_token",
    "work.token",
    "notify.discord_webhook_url",
    "notify.slack_webhook_url",
];

/// Keys whose value is a table as a whole: its fields depend on one of them, or make sense only together.
const TABLE_KEYS: &[&str] = &[
    "costs.slippage",
    "search.selection",
    "search.variation.stop_percent",
    "search.variation.target_percent",
    "search.variation.atr_multiple",
];

/// Keys that are no more, and what is to be set in their place.
const MOVED: &[(&str, &str)] = &[
    ("costs.fee_fraction", "fees are by venue: set costs.spot_fee_fraction and costs.um_fee_fraction"),
    ("portfolio.spot_fee_fraction", "fees are the same for all strategies: set costs.spot_fee_fraction"),
    ("portfolio.um_fee_fraction", "fees are the same for all strategies: set costs.um_fee_fraction"),
];

/// Environment variables with a name of their own, and the keys they set.
pub const ENV_NAMES: &[(&str, &str)] = &[
    ("SG_DATA_DIR", "data_dir"),
    ("DATABASE_URL", "store.database_url"),
    ("SG_POSTGRES_BIN", "store.postgres_bin"),
    ("SG_AUDIT_KEY", "store.audit_key"),
    ("SG_GENOME_KEY", "store.genome_key"),
    ("BINANCE_API_KEY", "market.api_key"),
    ("BINANCE_API_SECRET", "market.api_secret"),
    ("SG_LOG_FORMAT", "log.format"),
    ("SG_LOG_LEVEL", "log.level"),
    ("SG_POPULATION_SIZE", "search.population_size"),
    ("SG_BACKTEST_DAYS", "daemon.backtest_days"),
    ("SG_BACKTEST_SYMBOLS", "daemon.symbols"),
    ("SG_CANDIDATE_MIN_PF", "lifecycle.candidate_min_profit_factor"),
    ("SG_CANDIDATE_MIN_TRADES", "lifecycle.candidate_min_trades"),
    ("SG_SHADOW_MIN_PF", "lifecycle.shadow_min_profit_factor"),
    ("SG_SHADOW_MIN_DAYS", "lifecycle.shadow_min_days"),
    ("MIN_SHARPE_RATIO", "lifecycle.min_sharpe_ratio"),
    ("MIN_WIN_RATE_PERCENT", "lifecycle.min_win_rate_percent"),
    ("MAX_DRAWDOWN_PERCENT", "lifecycle.max_drawdown_percent"),
    ("SG_GENERATION_INTERVAL", "daemon.generation_interval_s"),
    ("SHADOW_TEST_INTERVAL", "daemon.shadow_interval_s"),
    ("SHADOW_LOOKBACK_DAYS", "daemon.shadow_lookback_days"),
    ("SHADOW_SYMBOLS", "daemon.shadow_symbols"),
    ("SG_CLIENT_TOKEN", "http.client_token"),
    ("SG_ACTION_TOKEN", "http.action_token"),
    ("SG_WORK_TOKEN", "work.token"),
    ("DISCORD_WEBHOOK_URL", "notify.discord_webhook_url"),
    ("SLACK_WEBHOOK_URL", "notify.slack_webhook_url"),
];

/// The general environment variable of a key: `SG__HTTP__PORT` for `http.port`.
#[must_use]
pub fn env_name(key: &str) -> String {
    format!("SG__{}", key.replace('.', "__").to_ascii_uppercase())
}

/// The environment variable that sets a key: the one with a name of its own, where there is one.
#[must_use]
pub fn variable_of(key: &str) -> String {
    ENV_NAMES.iter().find(|(_, known)| *known == key).map_or_else(|| env_name(key), |(name, _)| (*name).to_owned())
}

/// What each key means, with its unit: the comment above it in the file of defaults.
#[must_use]
pub fn meanings() -> BTreeMap<String, String> {
    let (mut section, mut comment, mut found) = (String::new(), Vec::new(), BTreeMap::new());
    for line in DEFAULT_TOML.lines() {
        if let Some(text) = line.strip_prefix('#') {
            comment.push(text.trim());
        } else if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.split(']').next()) {
            section = format!("{name}.");
            comment.clear();
        } else if let Some((key, _)) = line.split_once(" = ").filter(|_| !line.starts_with(' ')) {
            found.insert(format!("{section}{key}"), comment.join(" "));
            comment.clear();
        } else {
            comment.clear();
        }
    }
    found
}

/// Values by key from one source, each with its origin.
#[derive(Clone)]
struct Layer(Map<String, Value>);

impl fmt::Debug for Layer {
    /// Keys alone: a value may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, config::ConfigError> {
        Ok(self.0.clone())
    }
}

/// All settings by key. Values of secrets leave it only into the typed configuration.
#[derive(Clone)]
pub struct Settings {
    /// Every key with its default, which says its type.
    known: BTreeMap<String, ValueKind>,
    /// The layers so far. What is not set is an empty text, so that a later layer can unset it.
    merged: config::Config,
    /// Origins by their text, which is what `merged` remembers.
    origins: BTreeMap<String, Origin>,
}

impl Settings {
    /// The built-in defaults.
    ///
    /// # Errors
    /// When the built-in file is not TOML, which a test rules out.
    pub fn defaults() -> Result<Self, ConfigError> {
        let given = parse(DEFAULT_TOML, &Origin::Default)?;
        let mut found = Self { known: given.clone(), merged: config::Config::default(), origins: BTreeMap::new() };
        found.lay(given.into_iter().map(|(key, kind)| (key, kind, Origin::Default)))?;
        Ok(found)
    }

    /// Every key, in order.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.known.keys().map(String::as_str)
    }

    /// Who set a key.
    #[must_use]
    pub fn origin(&self, key: &str) -> Option<&Origin> {
        self.origins.get(origin_text(self.value(key)?)?)
    }

    /// Whether a key has a value: an empty text or list is none.
    #[must_use]
    pub fn is_set(&self, key: &str) -> bool {
        self.value(key).is_some_and(|value| match &value.kind {
            ValueKind::Array(values) => !values.is_empty(),
            kind => !is_empty(kind),
        })
    }

    /// The value of a key as TOML for people: secrets that are set appear as `"***"`, addresses without their users.
    #[must_use]
    pub fn shown(&self, key: &str) -> Option<String> {
        let hidden = SECRET_KEYS.contains(&key) && self.is_set(key);
        Some(if hidden { "\"***\"".into() } else { without_user_info(&as_toml(self.value(key)?.clone())).into_owned() })
    }

    /// The value as JSON for machines: secrets that are set appear as `"***"`, what is not set as `null`.
    #[must_use]
    pub fn shown_json(&self, key: &str) -> Option<serde_json::Value> {
        Some(match self.value(key)? {
            value if is_empty(&value.kind) => serde_json::Value::Null,
            _ if SECRET_KEYS.contains(&key) && self.is_set(key) => "***".into(),
            value => without_users(serde_json::Value::deserialize(value.clone()).unwrap_or_default()),
        })
    }

    /// Lays a TOML document over what is there.
    ///
    /// # Errors
    /// When it is not TOML, names an unknown key or gives a value of the wrong type.
    pub(super) fn overlay_toml(&mut self, text: &str, origin: &Origin) -> Result<(), ConfigError> {
        self.lay(parse(text, origin)?.into_iter().map(|(key, kind)| (key, kind, origin.clone())))
    }

    /// Lays environment variables over what is there; empty ones count as not set.
    ///
    /// # Errors
    /// When a variable of the form `SG__...` names no key, or a value cannot be read.
    pub(super) fn overlay_env(&mut self, env: &BTreeMap<String, String>) -> Result<(), ConfigError> {
        let mut given = Vec::new();
        for (name, text) in env.iter().filter(|(_, text)| !text.is_empty()) {
            let origin = Origin::Environment(name.clone());
            let key = match (ENV_NAMES.iter().find(|(known, _)| known == name), name.strip_prefix("SG__")) {
                (Some((_, key)), _) => (*key).to_owned(),
                (None, Some(rest)) => rest.replace("__", ".").to_ascii_lowercase(),
                (None, None) => continue,
            };
            let Some(known) = self.known.get(&key) else {
                moved(&key, &origin)?;
                let nearest = self.nearest(&key).map(|near| env_name(&near));
                return Err(ConfigError::UnknownKey { key: name.clone(), origin, nearest });
            };
            given.push((key, from_text(known, text), origin));
        }
        self.lay(given)
    }

    /// Lays values of the command line over what is there: (option, key, text).
    ///
    /// # Errors
    /// When a key is unknown or a text cannot be read.
    pub(super) fn overlay_options(
        &mut self,
        options: &[(&'static str, &'static str, String)],
    ) -> Result<(), ConfigError> {
        let given = options.iter().map(|(option, key, text)| {
            let kind = self.known.get(*key).map_or_else(|| text.as_str().into(), |known| from_text(known, text));
            ((*key).to_owned(), kind, Origin::CommandLine((*option).into()))
        });
        self.lay(given.collect::<Vec<_>>())
    }

    fn lay(&mut self, given: impl IntoIterator<Item = (String, ValueKind, Origin)>) -> Result<(), ConfigError> {
        let (mut room, mut values) = (Map::new(), Map::new());
        for (key, kind, origin) in given {
            let Some(known) = self.known.get(&key) else {
                moved(&key, &origin)?;
                return Err(ConfigError::UnknownKey { nearest: self.nearest(&key), key, origin });
            };
            let source = origin.to_string();
            let value = fit(known, kind, &source).map_err(|(expected, got)| {
                let is_secret = SECRET_KEYS.contains(&key.as_str());
                let shown = (!is_secret).then(|| without_user_info(&as_toml(got.clone().into())).into_owned());
                let shown = shown.map(|text| format!(": {text}")).unwrap_or_default();
                let message = format!("expected {expected}, got {}{shown}", type_name(&got));
                ConfigError::BadValue { key: key.clone(), origin: origin.clone(), message }
            })?;
            if matches!(value.kind, ValueKind::Table(_)) {
                room.insert(key.clone(), ValueKind::Nil.into());
            }
            values.insert(key, value);
            self.origins.insert(source, origin);
        }
        // Tables are merged by field: one that is a value as a whole needs its predecessor out of the way first.
        let layers = config::Config::builder().add_source(self.merged.clone());
        self.merged = layers
            .add_source(Layer(room))
            .add_source(Layer(values))
            .build()
            .expect("values in memory at known keys can always be collected");
        Ok(())
    }

    /// The typed configuration, or the path and the reason of the first value that does not fit.
    pub(super) fn typed<T: DeserializeOwned>(&self) -> Result<T, (String, String)> {
        use config::ConfigError::{At, NotFound, Type};
        if let Some(wrong) = self.wrong_item() {
            return Err(wrong);
        }
        let mut set = self.merged.clone();
        drop_empty(&mut set.cache);
        set.try_deserialize().map_err(|error| match error {
            At { error, key, .. } => (key.unwrap_or_default(), error.to_string()),
            // Types were compared before: what is left is a number out of range.
            Type { unexpected, expected, key, .. } => {
                let got = unexpected.to_string().replace("64-bit ", "").replace("unsigned ", "");
                (key.unwrap_or_default(), format!("invalid value: {got}, expected {expected}"))
            }
            NotFound(key) => {
                let why = format!("missing field `{}`", key.rsplit('.').next().unwrap_or_default());
                (key, why)
            }
            other => (String::new(), other.to_string()),
        })
    }

    /// The first list with an item of another type than those of its default.
    fn wrong_item(&self) -> Option<(String, String)> {
        self.known.iter().find_map(|(key, known)| match (known, &self.value(key)?.kind) {
            (ValueKind::Array(known), ValueKind::Array(items)) => {
                let expected = type_name(&known.first()?.kind);
                let item = items.iter().find(|item| type_name(&item.kind) != expected)?;
                let got = format!("{}: {}", type_name(&item.kind), as_toml(item.clone()));
                Some((key.clone(), format!("expected {expected}, got {got}")))
            }
            _ => None,
        })
    }

    /// The first number that is out of its bounds, and why.
    pub(super) fn out_of_bounds(&self) -> Option<(String, String)> {
        self.keys().find_map(|key| bounds::problem(key, self.value(key)?))
    }

    pub(super) fn value(&self, key: &str) -> Option<&Value> {
        key.split('.').try_fold(&self.merged.cache, |value, part| match &value.kind {
            ValueKind::Table(table) => table.get(part),
            _ => None,
        })
    }

    /// The valid key most like this one, unless none is.
    fn nearest(&self, key: &str) -> Option<String> {
        let likeness = |known: &&str| {
            let last = |path: &str| path.rsplit('.').next().unwrap_or_default().to_owned();
            let whole = strsim::normalized_damerau_levenshtein(known, key);
            // A right name in a wrong section is a near miss too.
            whole.max(strsim::normalized_damerau_levenshtein(&last(known), &last(key)) * 0.95)
        };
        let best = self.keys().map(|known| (likeness(&known), known)).max_by(|a, b| a.0.total_cmp(&b.0))?;
        (best.0 >= 0.6).then(|| best.1.to_owned())
    }
}

/// Refuses a key that is no more, with what is to be set in its place.
fn moved(key: &str, origin: &Origin) -> Result<(), ConfigError> {
    let Some((_, instead)) = MOVED.iter().find(|(former, _)| *former == key) else { return Ok(()) };
    let message = format!("it is set no more: {instead}");
    Err(ConfigError::BadValue { key: key.to_owned(), origin: origin.clone(), message })
}

/// Who set a value; a table, whose fields have one source, does not remember it by itself.
fn origin_text(value: &Value) -> Option<&str> {
    let field = || match &value.kind {
        ValueKind::Table(table) => table.values().find_map(origin_text),
        _ => None,
    };
    value.origin().or_else(field)
}

/// Texts without users and passwords of addresses.
fn without_users(value: serde_json::Value) -> serde_json::Value {
    match value {
        serde_json::Value::String(text) => without_user_info(&text).into(),
        serde_json::Value::Array(items) => items.into_iter().map(without_users).collect(),
        other => other,
    }
}

fn is_empty(kind: &ValueKind) -> bool {
    matches!(kind, ValueKind::String(text) if text.is_empty())
}

/// Leaves out what is not set.
fn drop_empty(value: &mut Value) {
    if let ValueKind::Table(table) = &mut value.kind {
        table.retain(|_, inner| {
            drop_empty(inner);
            !is_empty(&inner.kind)
        });
    }
}

/// The value, if its type is that of the default; else what was expected and what was there instead.
/// The crate alone would take 4.6 for 5 and "yes" for 1.
fn fit(known: &ValueKind, given: ValueKind, source: &String) -> Result<Value, (&'static str, ValueKind)> {
    let kind = match (known, given) {
        (ValueKind::Float(_), ValueKind::I64(whole)) => ValueKind::Float(whole as f64),
        (ValueKind::Table(known), ValueKind::Table(given)) if !given.is_empty() => {
            let field = |(name, value): (String, Value)| {
                let known = known.get(&name).unwrap_or(&value).kind.clone();
                Ok((name, fit(&known, value.kind, source)?))
            };
            ValueKind::Table(given.into_iter().map(field).collect::<Result<_, _>>()?)
        }
        (ValueKind::Table(_), given @ ValueKind::Table(_)) => return Err(("a table with its fields", given)),
        (known, given) if type_name(known) == type_name(&given) => given,
        (known, given) => return Err((type_name(known), given)),
    };
    Ok(Value::new(Some(source), kind))
}

/// Text of the environment or the command line, read as the type of the default; lists are separated by commas.
/// What cannot be read stays text, which [`fit`] refuses.
fn from_text(known: &ValueKind, text: &str) -> ValueKind {
    let text = text.trim();
    let read = match known {
        ValueKind::String(_) => None,
        ValueKind::Array(known) if !text.starts_with('[') => {
            let item = |item| known.first().map_or_else(|| ValueKind::from(item), |known| from_text(&known.kind, item));
            let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
            Some(items.map(item).collect::<Vec<_>>().into())
        }
        ValueKind::Float(_) => text.parse().ok().map(ValueKind::Float),
        ValueKind::I64(_) => text.parse().ok().map(ValueKind::I64),
        _ => {
            let document = toml::from_str::<Map<String, Value>>(&format!("v = {text}"));
            document.ok().and_then(|mut table| table.remove("v")).map(|value| value.kind)
        }
    };
    read.unwrap_or_else(|| text.into())
}

fn type_name(kind: &ValueKind) -> &'static str {
    match kind {
        ValueKind::String(_) => "text",
        ValueKind::I64(_) | ValueKind::I128(_) | ValueKind::U64(_) | ValueKind::U128(_) => "a whole number",
        ValueKind::Float(_) => "a number",
        ValueKind::Boolean(_) => "true or false",
        ValueKind::Array(_) => "a list",
        ValueKind::Table(_) => "a table",
        ValueKind::Nil => "nothing",
    }
}

fn as_toml(value: Value) -> String {
    toml::Value::deserialize(value).map(|value| value.to_string()).unwrap_or_default()
}

/// The values of a document by key, in the order of the keys, so that the same error always comes first.
fn parse(text: &str, origin: &Origin) -> Result<BTreeMap<String, ValueKind>, ConfigError> {
    let document: Map<String, Value> = toml::from_str(text).map_err(|error: toml::de::Error| {
        let at = error.span().map_or(0, |span| span.start).min(text.len());
        let line = text.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count() + 1;
        let message = error.message().lines().collect::<Vec<_>>().join("; ");
        ConfigError::Syntax { origin: origin.clone(), line, message }
    })?;
    let mut found = BTreeMap::new();
    flatten("", document, &mut found);
    Ok(found)
}

fn flatten(prefix: &str, table: Map<String, Value>, found: &mut BTreeMap<String, ValueKind>) {
    for (name, value) in table {
        let key = if prefix.is_empty() { name } else { format!("{prefix}.{name}") };
        match value.kind {
            ValueKind::Table(inner) if !TABLE_KEYS.contains(&key.as_str()) => flatten(&key, inner, found),
            other => drop(found.insert(key, other)),
        }
    }
}
