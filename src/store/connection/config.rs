//! Settings of the store, and where its server is. Reads no environment and no file.

use crate::{StoreError, TlsMode, connection::tls::TlsSettings};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use std::{fmt, path::PathBuf, time::Duration};
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres_rustls::MakeRustlsConnect;

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
    /// How much is asked of the connection, where the URL does not say; `prefer` without.
    pub tls_mode: Option<TlsMode>,
    /// PEM file with root certificates, where the URL does not say; `system` or nothing for those of the system.
    pub tls_root_cert: Option<PathBuf>,
    /// Key that genomes are sealed with: 32 bytes as 64 hexadecimal digits; in the clear without.
    pub genome_key: Option<SecretString>,
    /// Keys that older rows may still be sealed with.
    pub genome_former_keys: Vec<SecretString>,
    /// Directory of the archive; `archive` in the data directory without.
    pub archive_dir: Option<PathBuf>,
    /// `s3://BUCKET[/PREFIX]` of the archive, in place of a directory.
    pub archive_url: Option<String>,
    /// How long rows stay.
    pub retention: RetentionConfig,
}

/// How long rows stay in the database before they go to the archive, days. Whole calendar months go, so a row may stay
/// a month longer; none goes before half a year.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetentionConfig {
    /// Backtests: results, runs, windows and trades.
    pub backtests_days: u32,
    /// Daily figures of deployments.
    pub metrics_days: u32,
    /// Scores; the newest one of each strategy stays.
    pub scores_days: u32,
    /// Drift alerts; open ones stay.
    pub drift_alerts_days: u32,
    /// Market regimes; the current ones stay.
    pub regimes_days: u32,
    /// The audit trail.
    pub audit_days: u32,
    /// Strategies and backtests of clients that nobody uses: not archived, removed.
    pub clients_days: u32,
}

impl Default for RetentionConfig {
    fn default() -> Self {
        Self {
            backtests_days: 730,
            metrics_days: 730,
            scores_days: 365,
            drift_alerts_days: 730,
            regimes_days: 1_826,
            audit_days: 1_826,
            clients_days: 90,
        }
    }
}

impl RetentionConfig {
    /// The first key whose value makes no sense, and why.
    #[must_use]
    pub fn problem(&self) -> Option<(&'static str, String)> {
        if self.clients_days < 7 {
            return Some(("clients_days", format!("must be at least 7, is {}", self.clients_days)));
        }
        let keys = [
            ("backtests_days", self.backtests_days),
            ("metrics_days", self.metrics_days),
            ("scores_days", self.scores_days),
            ("drift_alerts_days", self.drift_alerts_days),
            ("regimes_days", self.regimes_days),
            ("audit_days", self.audit_days),
        ];
        let (key, days) = keys.into_iter().find(|(_, days)| *days < 180)?;
        Some((key, format!("must be at least 180, is {days}")))
    }
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
            tls_mode: None,
            tls_root_cert: None,
            genome_key: None,
            genome_former_keys: Vec::new(),
            archive_dir: None,
            archive_url: None,
            retention: RetentionConfig::default(),
        }
    }
}

/// Where a server is and how to speak to it. `Debug` shows no password.
#[derive(Clone)]
pub struct ConnectOptions {
    pub(crate) pg: tokio_postgres::Config,
    pub(crate) tls: MakeRustlsConnect,
}

impl ConnectOptions {
    /// From a `postgresql://` URL or a `key=value` string.
    ///
    /// # Errors
    /// When it is neither; the text does not repeat it.
    pub fn from_url(url: &SecretString) -> Result<Self, StoreError> {
        Self::parse(url, None)
    }

    /// To the server that the settings name; `None` when they name none.
    ///
    /// # Errors
    /// When the URL or what is said about TLS is wrong.
    pub fn from_config(config: &StoreConfig) -> Result<Option<Self>, StoreError> {
        config.database_url.as_ref().map(|url| Self::parse(url, Some(config))).transpose()
    }

    fn parse(url: &SecretString, config: Option<&StoreConfig>) -> Result<Self, StoreError> {
        let (text, mut tls) = TlsSettings::split(url.expose_secret())?;
        if let Some(config) = config {
            tls.mode = tls.mode.or(config.tls_mode);
            tls.root_cert = tls.root_cert.or_else(|| config.tls_root_cert.clone());
        }
        let mut pg: tokio_postgres::Config = text.parse().map_err(|error: tokio_postgres::Error| {
            StoreError::Config(format!(
                "DATABASE_URL is not a Postgres URL ({}); expected postgresql://user:password@host:5432/database",
                crate::error::error_chain(&error)
            ))
        })?;
        // A socket is no network, and its server offers no TLS there.
        let on_network =
            pg.get_hosts().iter().any(|host| matches!(host, Host::Tcp(_))) || !pg.get_hostaddrs().is_empty();
        pg.ssl_mode(match tls.mode() {
            _ if !on_network => SslMode::Disable,
            TlsMode::Disable => SslMode::Disable,
            TlsMode::Prefer => SslMode::Prefer,
            TlsMode::Require | TlsMode::VerifyCa | TlsMode::VerifyFull => SslMode::Require,
        });
        Ok(Self { pg, tls: tls.connector()? })
    }

    /// Through the Unix socket in a folder.
    #[must_use]
    pub fn socket(folder: &std::path::Path, user: &str, database: &str) -> Self {
        let mut pg = tokio_postgres::Config::new();
        pg.host_path(folder).user(user).dbname(database).ssl_mode(SslMode::Disable);
        Self { pg, tls: TlsSettings::default().connector().expect("without root certificates nothing is read") }
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
        let (client, connection) = self.for_session("sg-ai", 60).connect(self.tls.clone()).await?;
        let connection = tokio::spawn(connection);
        let quoted = name.replace('"', "\"\"");
        client.batch_execute(&format!("create database \"{quoted}\"")).await?;
        drop(client);
        // The driver ends by itself once the client is gone; its last word changes nothing.
        let _ = connection.await;
        Ok(self.clone().with_database(name))
    }

    /// The connection settings with this project's limits and names.
    pub(crate) fn for_session(&self, application: &str, statement_timeout_s: u64) -> tokio_postgres::Config {
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
        let host = match self.pg.get_hosts().first() {
            Some(Host::Tcp(name)) => name.clone(),
            Some(Host::Unix(path)) => path.display().to_string(),
            None => "localhost".to_owned(),
        };
        let port = self.pg.get_ports().first().copied().unwrap_or(5432);
        write!(f, "{host}:{port}/{}", self.pg.get_dbname().unwrap_or("postgres"))
    }
}
