//! Where a value came from, and what to say when it is wrong. Never repeats the value of a secret.

use std::{fmt, path::PathBuf};

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The built-in `config/default.toml`.
    Default,
    /// A file.
    File(PathBuf),
    /// An environment variable, by name.
    Environment(String),
    /// An option of the command line, by name.
    CommandLine(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("the built-in defaults"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Environment(name) => write!(f, "environment variable {name}"),
            Self::CommandLine(name) => write!(f, "option {name}"),
        }
    }
}

/// Why there is no configuration. Each is one line that names the source, and the key where there is one.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file that cannot be read.
    #[error("cannot read the configuration file {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        cause: std::io::Error,
    },
    /// A file that is not TOML.
    #[error("{origin}, line {line}: {message}")]
    Syntax {
        /// The file.
        origin: Origin,
        /// Line, from 1.
        line: usize,
        /// What the parser expected.
        message: String,
    },
    /// A key that does not exist.
    #[error("unknown key {key} in {origin}{}", nearest.as_ref().map(|n| format!("; did you mean {n}?")).unwrap_or_default())]
    UnknownKey {
        /// The key as given.
        key: String,
        /// Who gave it.
        origin: Origin,
        /// The valid key nearest to it, in the spelling of the source.
        nearest: Option<String>,
    },
    /// A value that cannot be used.
    #[error("bad value for {key} in {origin}: {message}")]
    BadValue {
        /// The key.
        key: String,
        /// Who gave it.
        origin: Origin,
        /// What is wrong with it.
        message: String,
    },
}
