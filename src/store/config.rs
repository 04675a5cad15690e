//! Settings of the store, and where its server is. Reads no environment and no file.

use super::StoreError;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use std::{fmt, path::PathBuf, time::Duration};

/// Settings of the store.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StoreConfig {
    /// `postgresql://...` of an external server; without it the daemon runs a private one in `data_dir`.
    pub database_url: Option<SecretString>,
    /// Connections in the pool.
    pub pool_size: usize,
    /// Limit of one statement, seconds; 0 is none.
    pub statement_timeout_s: u64,
    /// Folder with `postgres` and `initdb` for the private server; found by itself when not given.
    pub postgres_bin: Option<PathBuf>,
    /// Folder of the private server's data.
    pub data_dir: PathBuf,
    /// Key of the audit trail's hashes; plain SHA-256 without.
    pub audit_key: Option<SecretString>,
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self {
            database_url: None,
            pool_size: 8,
            statement_timeout_s: 30,
            postgres_bin: None,
            data_dir: PathBuf::from("data/postgres"),
            audit_key: None,
        }
    }
}

/// Where a server is and how to speak to it. `Debug` shows no password.
#[derive(Clone)]
pub struct ConnectOptions {
    pub(super) pg: tokio_postgres::Config,
}

impl ConnectOptions {
    /// From a `postgresql://` URL or a `key=value` string.
    ///
    /// # Errors
    /// When it is neither; the text does not repeat it.
    pub fn from_url(url: &SecretString) -> Result<Self, StoreError> {
        let pg: tokio_postgres::Config = url.expose_secret().parse().map_err(|error: tokio_postgres::Error| {
            StoreError::Config(format!(
                "DATABASE_URL is not a Postgres URL ({}); expected postgresql://user:password@host:5432/database",
                super::error::error_chain(&error)
            ))
        })?;
        Ok(Self { pg })
    }

    /// Through the Unix socket in a folder.
    #[must_use]
    pub fn socket(folder: &std::path::Path, user: &str, database: &str) -> Self {
        let mut pg = tokio_postgres::Config::new();
        pg.host_path(folder).user(user).dbname(database);
        Self { pg }
    }

    /// The same server, another database.
    #[must_use]
    pub fn with_database(mut self, name: &str) -> Self {
        self.pg.dbname(name);
        self
    }

    /// Makes an empty database on the same server.
    ///
    /// # Errors
    /// When the server cannot be reached, or refuses.
    pub async fn create_database(&self, name: &str) -> Result<Self, StoreError> {
        let (client, connection) = self.for_session("sg-ai", 60).connect(tokio_postgres::NoTls).await?;
        let connection = tokio::spawn(connection);
        let quoted = name.replace('"', "\"\"");
        client.batch_execute(&format!("create database \"{quoted}\"")).await?;
        drop(client);
        // The driver ends by itself once the client is gone; its last word changes nothing.
        let _ = connection.await;
        Ok(self.clone().with_database(name))
    }

    /// The connection settings with this project's limits and names.
    pub(super) fn for_session(&self, application: &str, statement_timeout_s: u64) -> tokio_postgres::Config {
        let mut pg = self.pg.clone();
        let given = pg.get_options().map(|o| format!("{o} ")).unwrap_or_default();
        // Keepalives on both ends: a vanished host must not hold a lease for hours.
        let options = format!(
            "{given}-c statement_timeout={}s -c lock_timeout=20s -c idle_in_transaction_session_timeout=60s \
             -c tcp_keepalives_idle=30 -c tcp_keepalives_interval=10 -c tcp_keepalives_count=3 \
             -c search_path=public -c timezone=UTC -c client_min_messages=warning",
            statement_timeout_s
        );
        pg.options(options)
            .application_name(application)
            .keepalives_idle(Duration::from_secs(30))
            .keepalives_interval(Duration::from_secs(10))
            .keepalives_retries(3);
        if pg.get_connect_timeout().is_none() {
            pg.connect_timeout(Duration::from_secs(10));
        }
        pg
    }
}

impl fmt::Debug for ConnectOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ConnectOptions({self})")
    }
}

impl fmt::Display for ConnectOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use tokio_postgres::config::Host;
        let host = match self.pg.get_hosts().first() {
            Some(Host::Tcp(name)) => name.clone(),
            Some(Host::Unix(path)) => path.display().to_string(),
            None => "localhost".to_owned(),
        };
        let port = self.pg.get_ports().first().copied().unwrap_or(5432);
        write!(f, "{host}:{port}/{}", self.pg.get_dbname().unwrap_or("postgres"))
    }
}
