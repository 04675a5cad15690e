//! What a failed command says and the code it ends with.

use crate::config::ConfigError;
use telemetry::logs::TelemetryError;

/// Why a command did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    /// The request or the configuration is wrong: exit code 2.
    #[error("{0}")]
    Usage(String),
    /// It was right but could not be done: exit code 1. Prints the whole chain of causes on one line.
    #[error("{0:#}")]
    Failed(#[from] anyhow::Error),
}

impl CliError {
    /// A wrong request, from whatever error says so; the chain of causes is kept.
    pub(crate) fn usage(error: impl Into<anyhow::Error>) -> Self {
        Self::Usage(format!("{:#}", error.into()))
    }

    /// The exit code of the process.
    #[must_use]
    pub(crate) const fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::Failed(_) => 1,
        }
    }
}

impl From<ConfigError> for CliError {
    fn from(error: ConfigError) -> Self {
        Self::usage(error)
    }
}

impl From<TelemetryError> for CliError {
    fn from(error: TelemetryError) -> Self {
        Self::usage(error)
    }
}
