//! Structured logs on standard error, as text or JSON.
//!
//! Never writes to standard output, and never receives a secret: those are typed so that they print as redacted, and
//! users and passwords in addresses are left out of every line.

use super::user_info::Stderr;
use serde::{Deserialize, Deserializer, de::IntoDeserializer};
use std::io::IsTerminal;
use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

/// How a log line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Logs.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogConfig {
    /// How a line looks.
    #[serde(deserialize_with = "format")]
    pub format: LogFormat,
    /// A level or tracing directives.
    pub level: String,
}

/// Reads the format through serde's own reader, whose error lists what may be chosen.
fn format<'de, D: Deserializer<'de>>(reader: D) -> Result<LogFormat, D::Error> {
    LogFormat::deserialize(String::deserialize(reader)?.into_deserializer())
}

/// Why logging could not start.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The level is neither a level nor directives.
    #[error("bad value for log.level: {0:?} is neither a level (error, warn, info, debug, trace) nor directives")]
    Level(String),
    /// Somebody else set a subscriber first.
    #[error("logging was already started")]
    AlreadyStarted,
}

/// Starts logging for the whole process.
///
/// # Errors
/// When the level cannot be read, or logging was started before.
pub fn init(config: &LogConfig) -> Result<(), TelemetryError> {
    let filter = filter(&config.level)?;
    let registry = tracing_subscriber::registry().with(filter);
    let started = match config.format {
        LogFormat::Json => {
            let layer = fmt::layer().json().flatten_event(true).with_current_span(true).with_span_list(false);
            registry.with(layer.with_writer(|| Stderr)).try_init()
        }
        LogFormat::Text => {
            let layer = fmt::layer().compact().with_target(true).with_ansi(std::io::stderr().is_terminal());
            registry.with(layer.with_writer(|| Stderr)).try_init()
        }
    };
    started.map_err(|_| TelemetryError::AlreadyStarted)
}

/// A filter from a level or directives, with chatty libraries held to warnings unless they are named.
fn filter(level: &str) -> Result<EnvFilter, TelemetryError> {
    const QUIET: [&str; 5] = ["hyper", "reqwest", "tokio_postgres", "rustls", "refinery_core"];
    let bad = || TelemetryError::Level(level.to_owned());
    // A bare word is a level; anything else would be taken for the name of a target and silence everything.
    if !level.contains(['=', ',']) && level.parse::<tracing::Level>().is_err() && level != "off" {
        return Err(bad());
    }
    let quiet = QUIET.iter().filter(|target| !level.contains(*target)).map(|target| format!("{target}=warn"));
    let directives = std::iter::once(level.to_owned()).chain(quiet).collect::<Vec<_>>().join(",");
    EnvFilter::try_new(directives).map_err(|_| bad())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_or_directives_are_taken_and_a_misspelt_level_is_refused() {
        for good in ["info", "DEBUG", "off", "info,store=debug", "sg_ai=trace"] {
            assert!(filter(good).is_ok(), "{good}");
        }
        for bad in ["inof", "", "info,sg_ai=loud"] {
            assert!(filter(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn libraries_stay_quiet_unless_named() {
        assert!(filter("debug").unwrap().to_string().contains("hyper=warn"));
        assert!(!filter("debug,hyper=trace").unwrap().to_string().contains("hyper=warn"));
    }
}
