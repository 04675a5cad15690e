//! Single settings with where each came from: the layer below the typed configuration.
//!
//! `config/default.toml` is the list of keys and their types; nothing is known that is not in it.

use super::{ConfigError, Origin};
use std::collections::BTreeMap;
use toml::{Table, Value};

/// The defaults, with every key and its unit.
pub const DEFAULT_TOML: &str = include_str!("../../config/default.toml");

/// Keys whose values are never shown.
pub const SECRET_KEYS: &[&str] = &[
    "store.database_url",
    "store.audit_key",
    "market.api_key",
    "market.api_secret",
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

/// Environment variables with a name of their own, and the keys they set.
pub const ENV_NAMES: &[(&str, &str)] = &[
    ("SG_DATA_DIR", "data_dir"),
    ("DATABASE_URL", "store.database_url"),
    ("SG_POSTGRES_BIN", "store.postgres_bin"),
    ("SG_AUDIT_KEY", "store.audit_key"),
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
    ("DISCORD_WEBHOOK_URL", "notify.discord_webhook_url"),
    ("SLACK_WEBHOOK_URL", "notify.slack_webhook_url"),
];

/// The general environment variable of a key: `SG__HTTP__PORT` for `http.port`.
#[must_use]
pub fn env_name(key: &str) -> String {
    format!("SG__{}", key.replace('.', "__").to_ascii_uppercase())
}

/// One value and who set it.
#[derive(Clone, PartialEq)]
pub struct Setting {
    value: Value,
    /// Who set it.
    pub origin: Origin,
}

/// All settings by key. Values of secrets leave it only into the typed configuration.
#[derive(Clone)]
pub struct Settings(BTreeMap<String, Setting>);

impl Settings {
    /// The built-in defaults.
    ///
    /// # Errors
    /// When the built-in file is not TOML, which a test rules out.
    pub fn defaults() -> Result<Self, ConfigError> {
        let table = parse(DEFAULT_TOML, &Origin::Default)?;
        let mut found = BTreeMap::new();
        flatten("", table, &mut |key, value| {
            found.insert(key, Setting { value, origin: Origin::Default });
        });
        Ok(Self(found))
    }

    /// Every key, in order.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Who set a key.
    #[must_use]
    pub fn origin(&self, key: &str) -> Option<&Origin> {
        self.0.get(key).map(|setting| &setting.origin)
    }

    /// Whether a key has a value: an empty text is none.
    #[must_use]
    pub fn is_set(&self, key: &str) -> bool {
        self.0.get(key).is_some_and(|setting| !is_empty(&setting.value))
    }

    /// The value of a key as TOML for people: secrets that are set appear as `"***"`.
    #[must_use]
    pub fn shown(&self, key: &str) -> Option<String> {
        let value = &self.0.get(key)?.value;
        Some(if SECRET_KEYS.contains(&key) && !is_empty(value) { "\"***\"".into() } else { value.to_string() })
    }

    /// The value as JSON for machines: secrets that are set appear as `"***"`, what is not set as `null`.
    #[must_use]
    pub fn shown_json(&self, key: &str) -> Option<serde_json::Value> {
        let value = &self.0.get(key)?.value;
        Some(match value {
            empty if is_empty(empty) => serde_json::Value::Null,
            _ if SECRET_KEYS.contains(&key) => "***".into(),
            other => serde_json::to_value(other).unwrap_or_default(),
        })
    }

    /// Lays a TOML document over what is there.
    ///
    /// # Errors
    /// When it is not TOML, names an unknown key or gives a value of the wrong type.
    pub fn overlay_toml(&mut self, text: &str, origin: &Origin) -> Result<(), ConfigError> {
        let mut given = Vec::new();
        flatten("", parse(text, origin)?, &mut |key, value| given.push((key, value)));
        given.into_iter().try_for_each(|(key, value)| self.set(&key, value, origin))
    }

    /// Lays environment variables over what is there; empty ones count as not set.
    ///
    /// # Errors
    /// When a variable of the form `SG__...` names no key, or a value cannot be read.
    pub fn overlay_env(&mut self, env: &BTreeMap<String, String>) -> Result<(), ConfigError> {
        for (name, text) in env.iter().filter(|(_, text)| !text.is_empty()) {
            let origin = Origin::Environment(name.clone());
            if let Some((_, key)) = ENV_NAMES.iter().find(|(known, _)| known == name) {
                self.set_text(key, text, &origin)?;
            } else if let Some(rest) = name.strip_prefix("SG__") {
                let key = rest.replace("__", ".").to_ascii_lowercase();
                if !self.0.contains_key(&key) {
                    let nearest = self.nearest(&key).map(|near| env_name(&near));
                    return Err(ConfigError::UnknownKey { key: name.clone(), origin, nearest });
                }
                self.set_text(&key, text, &origin)?;
            }
        }
        Ok(())
    }

    /// Sets one key from text, read as the type that its default has; lists are separated by commas.
    ///
    /// # Errors
    /// When the key is unknown or the text cannot be read.
    pub fn set_text(&mut self, key: &str, text: &str, origin: &Origin) -> Result<(), ConfigError> {
        let text = text.trim();
        let parsed = match self.0.get(key).map(|setting| &setting.value) {
            None => return Err(self.unknown(key, origin)),
            Some(Value::String(_)) => Some(Value::String(text.into())),
            Some(Value::Array(old)) if !text.starts_with('[') => {
                let whole = matches!(old.first(), Some(Value::Integer(_)));
                let read = |item: &str| match item.parse() {
                    Ok(number) if whole => Value::Integer(number),
                    _ => Value::String(item.into()),
                };
                let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
                Some(Value::Array(items.map(read).collect()))
            }
            Some(Value::Float(_)) => text.parse().ok().map(Value::Float),
            Some(Value::Integer(_)) => text.parse().ok().map(Value::Integer),
            Some(_) => format!("v = {text}").parse::<Table>().ok().and_then(|mut table| table.remove("v")),
        };
        self.set(key, parsed.unwrap_or_else(|| Value::String(text.into())), origin)
    }

    fn set(&mut self, key: &str, value: Value, origin: &Origin) -> Result<(), ConfigError> {
        let Some(old) = self.0.get(key) else { return Err(self.unknown(key, origin)) };
        let value = match (&old.value, value) {
            (Value::Float(_), Value::Integer(whole)) => Value::Float(whole as f64),
            (_, other) => other,
        };
        if old.value.type_str() != value.type_str() {
            let shown = if SECRET_KEYS.contains(&key) { String::new() } else { format!(": {value}") };
            let message = format!("expected {}, got {}{shown}", kind(&old.value), kind(&value));
            return Err(ConfigError::BadValue { key: key.into(), origin: origin.clone(), message });
        }
        self.0.insert(key.into(), Setting { value, origin: origin.clone() });
        Ok(())
    }

    fn unknown(&self, key: &str, origin: &Origin) -> ConfigError {
        ConfigError::UnknownKey { key: key.into(), origin: origin.clone(), nearest: self.nearest(key) }
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

    /// The settings as one document, those that are not set left out.
    pub(super) fn to_table(&self) -> Table {
        let mut root = Table::new();
        for (key, setting) in &self.0 {
            if is_empty(&setting.value) {
                continue;
            }
            let mut parts = key.split('.').peekable();
            let mut table = &mut root;
            while let Some(part) = parts.next() {
                if parts.peek().is_none() {
                    table.insert(part.into(), setting.value.clone());
                    break;
                }
                let inner = table.entry(part).or_insert_with(|| Value::Table(Table::new()));
                let Value::Table(inner) = inner else { break };
                table = inner;
            }
        }
        root
    }
}

fn is_empty(value: &Value) -> bool {
    matches!(value, Value::String(text) if text.is_empty())
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "text",
        Value::Integer(_) => "a whole number",
        Value::Float(_) => "a number",
        Value::Boolean(_) => "true or false",
        Value::Array(_) => "a list",
        Value::Table(_) => "a table",
        Value::Datetime(_) => "a date",
    }
}

fn parse(text: &str, origin: &Origin) -> Result<Table, ConfigError> {
    text.parse().map_err(|error: toml::de::Error| {
        let at = error.span().map_or(0, |span| span.start).min(text.len());
        let line = text.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count() + 1;
        let message = error.message().lines().collect::<Vec<_>>().join("; ");
        ConfigError::Syntax { origin: origin.clone(), line, message }
    })
}

fn flatten(prefix: &str, table: Table, found: &mut impl FnMut(String, Value)) {
    for (name, value) in table {
        let key = if prefix.is_empty() { name } else { format!("{prefix}.{name}") };
        match value {
            Value::Table(inner) if !TABLE_KEYS.contains(&key.as_str()) => flatten(&key, inner, found),
            other => found(key, other),
        }
    }
}
