//! A private PostgreSQL server in the data directory, reached by a Unix socket, for daemons without `DATABASE_URL`.
//!
//! Never listens on a network, never runs as root, never touches another server's data, and never outlives
//! the daemons that use it for longer than it takes the next one to notice.

mod cluster;
mod error;
mod install;
mod keeper;
mod programs;

pub use error::EmbeddedError;
pub use install::{default_cache_dir, install};
pub use programs::{Programs, locate};

use super::{ConnectOptions, StoreConfig, StoreError};
use cluster::Cluster;
use keeper::SharedStatus;
use std::{
    path::PathBuf,
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};
use tokio_postgres::NoTls;

/// The role that owns everything in the private server.
const SUPERUSER: &str = "sg_ai";
/// The database.
const DATABASE: &str = "sg_ai";
/// How long a server may take to come up: crash recovery reads all WAL since the last checkpoint.
const START_PATIENCE: Duration = Duration::from_secs(120);
/// How often it may die on the way up: after a kill, its last processes may hold on for a moment.
const START_DEATHS: u32 = 4;

/// Where the private server lives and what it runs.
#[derive(Clone, Debug)]
pub struct EmbeddedConfig {
    /// Its folder; made if need be.
    pub data_dir: PathBuf,
    /// Folder of its programs; found by itself when not given.
    pub postgres_bin: Option<PathBuf>,
    /// Where installed programs are.
    pub cache_dir: PathBuf,
    /// Settings of the server over ours: name, value.
    pub settings: Vec<(String, String)>,
}

impl EmbeddedConfig {
    /// As the store's settings say, with the usual cache.
    #[must_use]
    pub fn new(config: &StoreConfig) -> Self {
        Self {
            data_dir: config.data_dir.clone(),
            postgres_bin: config.postgres_bin.clone(),
            cache_dir: default_cache_dir(),
            settings: Vec::new(),
        }
    }
}

/// A running private server. It is watched over, and started again when it dies, until this is stopped or dropped.
#[derive(Debug)]
pub struct EmbeddedServer {
    cluster: Cluster,
    status: SharedStatus,
    stop: Option<mpsc::Sender<()>>,
    keeper: Option<thread::JoinHandle<()>>,
}

impl EmbeddedServer {
    /// Starts it, or joins the one that another daemon on the same folder has started.
    ///
    /// # Errors
    /// When there are no programs, the folder is no good, or the server does not come up; each says what to do.
    pub async fn start(config: EmbeddedConfig) -> Result<Self, EmbeddedError> {
        let cluster = Cluster::prepare(&config)?;
        let status = SharedStatus::default();
        let (stop, stop_rx) = mpsc::channel();
        let keeper = thread::Builder::new().name("postgres".to_owned()).spawn({
            let (cluster, status) = (cluster.clone(), status.clone());
            move || keeper::keep(&config, &cluster, &status, &stop_rx)
        });
        let keeper = keeper.map_err(EmbeddedError::io("start a thread for", &cluster.root))?;
        let server = Self { cluster, status, stop: Some(stop), keeper: Some(keeper) };
        server.wait_until_ready().await?;
        Ok(server)
    }

    async fn wait_until_ready(&self) -> Result<(), EmbeddedError> {
        let deadline = Instant::now() + START_PATIENCE;
        loop {
            let reason = match self.create_database().await {
                Ok(()) => {
                    keeper::lock(&self.status).deaths = 0;
                    return Ok(());
                }
                Err(error) => super::error::error_chain(&error),
            };
            let given_up = {
                let mut status = keeper::lock(&self.status);
                if let Some(error) = status.failed.take() {
                    return Err(error);
                }
                status.deaths >= START_DEATHS || Instant::now() > deadline
            };
            if given_up {
                let reason = format!("{reason}; its log ends with: {}", self.cluster.log_tail());
                return Err(EmbeddedError::NotReady { path: self.cluster.root.clone(), reason });
            }
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    }

    /// Makes our database, if it is not there.
    async fn create_database(&self) -> Result<(), tokio_postgres::Error> {
        let options = self.connect_options().with_database("postgres");
        let (client, connection) = options.pg.connect(NoTls).await?;
        tokio::spawn(connection);
        let exists = client.query_opt("select 1 from pg_database where datname = $1", &[&DATABASE]).await?.is_some();
        if exists {
            return Ok(());
        }
        match client.batch_execute(&format!("create database {DATABASE}")).await {
            // Another daemon did so at the same moment.
            Err(error) if error.code().is_some_and(|code| matches!(code.code(), "42P04" | "23505")) => Ok(()),
            other => other,
        }
    }

    /// How to reach it.
    #[must_use]
    pub fn connect_options(&self) -> ConnectOptions {
        ConnectOptions::socket(&self.cluster.socket, SUPERUSER, DATABASE)
    }

    /// The same as a URL, for `psql` and other programs.
    #[must_use]
    pub fn url(&self) -> String {
        url_of(&self.cluster)
    }

    /// Its process, while this process owns it and it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        keeper::lock(&self.status).pid
    }

    /// Whether this process owns it, rather than another daemon on the same folder.
    #[must_use]
    pub fn is_owner(&self) -> bool {
        keeper::lock(&self.status).owner
    }

    /// How often it was started again after it had died.
    #[must_use]
    pub fn restarts(&self) -> u64 {
        keeper::lock(&self.status).restarts
    }

    /// Stops it (if it is ours) and waits until it has stopped.
    pub async fn stop(mut self) {
        self.stop = None;
        if let Some(keeper) = self.keeper.take() {
            // A panic of the thread was reported where it happened; there is nothing left to stop.
            let _ = tokio::task::spawn_blocking(move || keeper.join()).await;
        }
    }
}

impl Drop for EmbeddedServer {
    fn drop(&mut self) {
        // The thread sees the end of the channel, stops the server and ends: waited for, so that no process is left.
        self.stop = None;
        if let Some(keeper) = self.keeper.take() {
            let _ = keeper.join();
        }
    }
}

/// Whether there is a private server in the folder of these settings, running or not.
#[must_use]
pub fn is_there(config: &StoreConfig) -> bool {
    config.data_dir.join("cluster").is_dir()
}

/// The URL of the private server that a configuration describes, whether it runs or not.
///
/// # Errors
/// When there is no such server yet, or its folder is no good.
pub fn url(config: &EmbeddedConfig) -> Result<String, EmbeddedError> {
    let missing = || std::io::Error::new(std::io::ErrorKind::NotFound, "there is no private server yet");
    if !config.data_dir.join("cluster").is_dir() {
        return Err(EmbeddedError::io("find", &config.data_dir)(missing()));
    }
    Ok(url_of(&Cluster::prepare(config)?))
}

fn url_of(cluster: &Cluster) -> String {
    let folder: String = url::form_urlencoded::byte_serialize(cluster.socket.as_os_str().as_encoded_bytes()).collect();
    format!("postgresql://{SUPERUSER}@/{DATABASE}?host={folder}")
}

/// A store with whatever it stands on: a server of ours, or the operator's.
#[derive(Debug)]
pub struct Database {
    /// The private server, when there is one.
    pub server: Option<EmbeddedServer>,
    /// How to reach the server.
    pub options: ConnectOptions,
}

impl Database {
    /// The server that `DATABASE_URL` names, else the private one, started.
    ///
    /// # Errors
    /// When the URL is wrong or the private server does not come up.
    pub async fn open(config: &StoreConfig) -> Result<Self, StoreError> {
        if let Some(options) = ConnectOptions::from_config(config)? {
            return Ok(Self { server: None, options });
        }
        let server = EmbeddedServer::start(EmbeddedConfig::new(config)).await?;
        Ok(Self { options: server.connect_options(), server: Some(server) })
    }

    /// Stops the private server, if there is one.
    pub async fn close(self) {
        if let Some(server) = self.server {
            server.stop().await;
        }
    }
}
