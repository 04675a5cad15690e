//! The database that a command works on: the external server that was named, or the private one.

use crate::config::Config;
use std::time::Duration;
use store::{ConnectOptions, Store, StoreConfig, embedded};
use telemetry::metrics;

/// An open store, and the private server under it, if it has one.
pub(crate) struct Database {
    /// The store, its schema up to date.
    pub(crate) store: Store,
    server: embedded::Database,
}

impl Database {
    /// Opens the configured database and brings its schema up to date.
    ///
    /// # Errors
    /// When the server cannot be reached or started, or its schema is newer than this program.
    pub(crate) async fn open(config: &Config) -> anyhow::Result<Self> {
        let settings = &config.store;
        let server = embedded::Database::open(settings).await?;
        match Self::prepare(settings, &server.options).await {
            Ok(store) => Ok(Self { store, server }),
            Err(error) => {
                server.close().await;
                Err(error)
            }
        }
    }

    /// Opens the configured database for a demo: where it holds data already, an empty one beside it on the same server.
    ///
    /// # Errors
    /// As [`Database::open`], or when the server does not let us make a database.
    pub(crate) async fn open_empty(config: &Config, name: &str) -> anyhow::Result<Self> {
        let opened = Self::open(config).await?;
        let overview = opened.store.overview().await?;
        if overview.trials.sessions == 0 && overview.strategies.values().all(|&n| n == 0) {
            return Ok(opened);
        }
        tracing::warn!(
            database = opened.store.target(),
            beside = name,
            "the database holds data: the demo takes one of its own beside it"
        );
        opened.store.close();
        let options = opened.server.options.create_database(name).await?;
        Ok(Self { store: Self::prepare(&config.store, &options).await?, server: opened.server })
    }

    async fn prepare(settings: &StoreConfig, options: &ConnectOptions) -> anyhow::Result<Store> {
        let observe = |name: &'static str, took: Duration, committed: bool| {
            metrics::QUERY_SECONDS.record(name, took);
            if !committed {
                metrics::QUERY_FAILURES_TOTAL.increment(name);
            }
        };
        let store = Store::connect_observed(options, settings, Some(Box::new(observe))).await?;
        let report = store.migrate().await?;
        let missing = store.missing_roles().await?;
        if report.from < report.to && !missing.is_empty() {
            tracing::warn!(
                roles = missing.join(", "),
                "the database lacks roles, and this user may not make them: create them by hand (create role NAME nologin), \
                 then run sg-ai migrate"
            );
        }
        if report.from < report.to {
            tracing::info!(database = store.target(), from = report.from, to = report.to, "schema brought up to date");
        }
        Ok(store)
    }

    /// Closes the connections, then stops the private server, if it is ours.
    pub(crate) async fn close(self) {
        self.store.close();
        self.server.close().await;
    }
}
