//! What can go wrong in the store. Texts say what to do and never show a password or a row's contents.

use tokio_postgres::error::SqlState;

/// Why the store could not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// No connection, or it broke. Worth retrying.
    #[error(
        "the database is unreachable: {0}; start the PostgreSQL server that DATABASE_URL names, or leave DATABASE_URL empty: sg-ai runs a private one then"
    )]
    Unreachable(String),
    /// No free connection, a statement or a lock took too long. Worth retrying.
    #[error("the database took too long: {0}")]
    Timeout(String),
    /// The server has no room on its disk or no memory. Worth retrying once somebody has made room.
    #[error("the database cannot store anything: {0}; make room on its disk (or give it memory), then try again")]
    Full(String),
    /// Somebody else changed what this rests on. Look again, then decide again.
    #[error("conflict: {0}")]
    Conflict(String),
    /// Another process holds the lease now: this one must stop that work.
    #[error("the lease {name:?} (token {token}) is lost: another process does this work now")]
    LeaseLost {
        /// Name of the lease.
        name: String,
        /// The token that is no longer good.
        token: i64,
    },
    /// What is asked for is there for strategies of rules alone.
    #[error("{strategy:?} ranks the market, and this is there for strategies of rules alone")]
    RanksMarket {
        /// Its name.
        strategy: String,
    },
    /// Another strategy that is not disabled has the name that somebody chose.
    #[error(
        "the name {name:?} is taken by strategy {number}, which is {state}: choose another one, or disable that one first"
    )]
    NameTaken {
        /// The name.
        name: String,
        /// Number of the strategy that has it.
        number: i64,
        /// Its state.
        state: lifecycle::State,
    },
    /// No such thing.
    #[error("no {what} {id:?}")]
    NotFound {
        /// `strategy`, `session`, ...
        what: &'static str,
        /// What was looked for.
        id: String,
    },
    /// A prefix or name that fits more than one thing.
    #[error("{id:?} fits more than one {what}; give more of it")]
    Ambiguous {
        /// `strategy`, ...
        what: &'static str,
        /// What was looked for.
        id: String,
    },
    /// The schema was made by a newer program.
    #[error(
        "the database has schema version {found}, but this sg-ai knows only up to version {known}; \
         run a newer sg-ai, or use another database"
    )]
    NewerSchema {
        /// Version of the database.
        found: i64,
        /// Newest version that this program knows.
        known: i64,
    },
    /// The migrations did not go through.
    #[error("the schema could not be brought up to date: {0}")]
    Migration(String),
    /// A rule of the schema refused the rows.
    #[error("{operation}: the database refused rows that break {constraint:?}: {message}")]
    Constraint {
        /// Name of the transaction.
        operation: String,
        /// Name of the constraint.
        constraint: String,
        /// What the server said.
        message: String,
    },
    /// The caller asked for something that makes no sense.
    #[error("invalid request to the store: {0}")]
    Invalid(String),
    /// Settings of the store are wrong.
    #[error("{0}")]
    Config(String),
    /// A file of old rows that cannot be written, read or trusted.
    #[error("archive: {0}")]
    Archive(String),
    /// The private server does not run.
    #[error("{0}")]
    Embedded(String),
    /// A row that this program cannot read.
    #[error("{operation}: unreadable row: {message}")]
    Decode {
        /// Name of the transaction.
        operation: String,
        /// What is wrong with it.
        message: String,
    },
    /// A stored value that this program cannot read.
    #[error("the stored {what} of {row} does not read: {why}")]
    Unreadable {
        /// `genome`, `parameters`, ...
        what: String,
        /// Which row it is in.
        row: String,
        /// What is wrong with it.
        why: String,
    },
    /// Whatever else the server said.
    #[error("{operation}: {message} (SQLSTATE {code})")]
    Query {
        /// Name of the transaction.
        operation: String,
        /// SQLSTATE.
        code: String,
        /// What the server said.
        message: String,
    },
}

impl StoreError {
    /// Whether the same call may well succeed later, with nothing changed by the caller.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unreachable(_) | Self::Timeout(_) | Self::Full(_)) || self.is_rolled_back()
    }

    /// Whether there is no database to speak to: nobody's failure, and worth asking again and again.
    #[must_use]
    pub fn is_unreachable(&self) -> bool {
        matches!(self, Self::Unreachable(_))
    }

    /// Whether trying once more within the same call may help.
    pub(super) fn is_worth_another_try(&self) -> bool {
        matches!(self, Self::Unreachable(_)) || self.is_rolled_back()
    }

    /// Whether the server undid the transaction because of another one, so that it may run again at once.
    pub(super) fn is_rolled_back(&self) -> bool {
        matches!(self, Self::Query { code, .. }
            if code == SqlState::T_R_SERIALIZATION_FAILURE.code() || code == SqlState::T_R_DEADLOCK_DETECTED.code())
    }

    /// The same error with the name of its transaction.
    pub(super) fn named(mut self, name: &str) -> Self {
        if let Self::Constraint { operation, .. } | Self::Decode { operation, .. } | Self::Query { operation, .. } =
            &mut self
            && operation.is_empty()
        {
            name.clone_into(operation);
        }
        self
    }

    pub(super) fn decode(message: impl Into<String>) -> Self {
        Self::Decode { operation: String::new(), message: message.into() }
    }

    pub(super) fn unreadable(what: &str, row: impl ToString, why: &impl ToString) -> Self {
        Self::Unreadable { what: what.to_owned(), row: row.to_string(), why: why.to_string() }
    }

    pub(super) fn not_found(what: &'static str, id: impl ToString) -> Self {
        Self::NotFound { what, id: id.to_string() }
    }

    /// The constraint that was broken, if one was.
    pub(super) fn constraint(&self) -> Option<&str> {
        match self {
            Self::Constraint { constraint, .. } => Some(constraint),
            _ => None,
        }
    }
}

impl From<tokio_postgres::Error> for StoreError {
    fn from(error: tokio_postgres::Error) -> Self {
        let Some(db) = error.as_db_error() else {
            let chain = error_chain(&error);
            // Without a server's answer it is the connection, unless our own types did not fit. Only the error's own text
            // tells: that of its cause may well be "unexpected end of file".
            return if error.is_closed() || !is_of_types(&error.to_string()) {
                Self::Unreachable(chain)
            } else {
                Self::decode(chain)
            };
        };
        let (code, message) = (db.code(), db.message().to_owned());
        match *code {
            SqlState::QUERY_CANCELED | SqlState::LOCK_NOT_AVAILABLE => Self::Timeout(message),
            SqlState::ADMIN_SHUTDOWN
            | SqlState::CRASH_SHUTDOWN
            | SqlState::CANNOT_CONNECT_NOW
            | SqlState::TOO_MANY_CONNECTIONS
            | SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT => Self::Unreachable(message),
            SqlState::INVALID_PASSWORD
            | SqlState::INVALID_AUTHORIZATION_SPECIFICATION
            | SqlState::INVALID_CATALOG_NAME => Self::Unreachable(message),
            // Too many connections, above, is of this class, too: it passes by itself.
            _ if code.code().starts_with("53") || message.contains("No space left on device") => Self::Full(message),
            _ if code.code().starts_with("08") => Self::Unreachable(message),
            _ if code.code().starts_with("23") => Self::Constraint {
                operation: String::new(),
                constraint: db.constraint().or(db.column()).unwrap_or("a constraint").to_owned(),
                message,
            },
            _ => Self::Query { operation: String::new(), code: code.code().to_owned(), message },
        }
    }
}

/// Whether the text of an error of the client says that parameters or columns are not what the caller took them for.
fn is_of_types(text: &str) -> bool {
    let ours = [
        "error serializing parameter",
        "error deserializing column",
        "invalid column",
        "query returned an unexpected number of",
        "expected ",
    ];
    ours.iter().any(|start| text.starts_with(start))
}

impl From<deadpool_postgres::PoolError> for StoreError {
    fn from(error: deadpool_postgres::PoolError) -> Self {
        match error {
            deadpool_postgres::PoolError::Backend(error) => match Self::from(error) {
                // Whatever a server says to a new connection, there is none.
                Self::Query { message, .. } | Self::Timeout(message) => Self::Unreachable(message),
                other => other,
            },
            deadpool_postgres::PoolError::Timeout(deadpool_postgres::TimeoutType::Create) => {
                Self::Unreachable("a new connection took too long".to_owned())
            }
            deadpool_postgres::PoolError::Timeout(kind) => {
                Self::Timeout(format!("no connection from the pool ({kind:?})"))
            }
            other => Self::Unreachable(other.to_string()),
        }
    }
}

/// An error with its causes in one line; tokio-postgres keeps the interesting part in the source.
pub(super) fn error_chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}
