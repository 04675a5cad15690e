//! Databases for tests: one private server a test binary, a fresh database a test.
//!
//! Needs nothing but PostgreSQL programs, which are installed into the cache when there are none.

// Each test binary uses a part of it.
#![allow(dead_code)]
// A failed assumption of a test is a failed test.
#![allow(clippy::unwrap_used)]

pub(crate) mod chain;
pub(crate) mod s3;
pub(crate) mod tools;

use secrecy::SecretString;
use std::{
    env, fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};
use store::{
    ConnectOptions, Store, StoreConfig,
    embedded::{self, EmbeddedConfig, EmbeddedError, EmbeddedServer},
};
use tokio::sync::OnceCell;
use tokio_postgres::NoTls;

/// A migrated database that others are copied from.
const TEMPLATE: &str = "sg_ai_template";
const PREFIX: &str = "postgres-";

static SERVER: OnceCell<EmbeddedServer> = OnceCell::const_new();
static NUMBER: AtomicU32 = AtomicU32::new(0);

/// A database of its own.
pub(crate) struct TestDatabase {
    pub(crate) options: ConnectOptions,
    pub(crate) name: String,
    /// `postgresql://...`, for processes.
    pub(crate) url: SecretString,
}

impl TestDatabase {
    /// A store on it, as a daemon of its own would have.
    pub(crate) async fn store(&self) -> Store {
        self.store_with(&StoreConfig { pool_size: 4, ..StoreConfig::default() }).await
    }

    pub(crate) async fn store_with(&self, config: &StoreConfig) -> Store {
        Store::connect(&self.options, config).await.expect("the test database answers")
    }

    /// A bare connection, to look at tables and to do what the store would never do.
    pub(crate) async fn client(&self) -> tokio_postgres::Client {
        connect(&self.url).await
    }
}

/// A fresh database with our schema, and a store on it.
pub(crate) async fn database() -> (TestDatabase, Store) {
    let database = create(Some(TEMPLATE)).await;
    let store = database.store().await;
    (database, store)
}

/// A fresh database with nothing in it.
pub(crate) async fn empty_database() -> TestDatabase {
    create(None).await
}

async fn create(template: Option<&str>) -> TestDatabase {
    let server = SERVER.get_or_init(start).await;
    let name = format!("test_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
    let copy = template.map(|template| format!(" template {template}")).unwrap_or_default();
    let admin = connect(&url_of(server, "postgres")).await;
    admin.batch_execute(&format!("create database {name}{copy}")).await.unwrap();
    TestDatabase { options: server.connect_options().with_database(&name), url: url_of(server, &name), name }
}

async fn start() -> EmbeddedServer {
    let server = server(|folder| folder.to_path_buf()).await;
    let admin = connect(&url_of(&server, "postgres")).await;
    admin.batch_execute(&format!("create database {TEMPLATE}")).await.unwrap();
    let options = server.connect_options().with_database(TEMPLATE);
    let store = Store::connect(&options, &StoreConfig::default()).await.unwrap();
    store.migrate().await.unwrap();
    store.close();
    server
}

/// A private server of a test's own, in a folder below one that is swept up later.
pub(crate) async fn server(place: impl Fn(&Path) -> PathBuf) -> EmbeddedServer {
    server_with(place, &[]).await
}

/// The same with settings of its own.
pub(crate) async fn server_with(place: impl Fn(&Path) -> PathBuf, settings: &[(String, String)]) -> EmbeddedServer {
    let mut config = EmbeddedConfig {
        data_dir: place(&scratch()),
        postgres_bin: env::var_os("SG_POSTGRES_BIN").map(PathBuf::from),
        cache_dir: embedded::default_cache_dir(),
        // Tests survive no power cut; a test of its own kills the server under the real settings.
        settings: [("fsync".to_owned(), "off".to_owned())].into_iter().chain(settings.iter().cloned()).collect(),
    };
    loop {
        match EmbeddedServer::start(config.clone()).await {
            Ok(server) => return server,
            Err(EmbeddedError::NoPrograms { .. }) => {
                let cache = config.cache_dir.clone();
                let installed = tokio::task::spawn_blocking(move || {
                    embedded::install(&cache, &mut |line| eprintln!("postgres: {line}"))
                });
                installed.await.unwrap().expect("tests need PostgreSQL");
            }
            // Root runs the server as another user, who may not enter everywhere.
            Err(EmbeddedError::NotTraversable { .. }) if !config.data_dir.starts_with(env::temp_dir()) => {
                config.data_dir = place(&env::temp_dir().join(format!("{PREFIX}{}", std::process::id())));
            }
            Err(error) => panic!("{error}"),
        }
    }
}

/// A folder for one server, that the server's user can enter.
pub(crate) async fn server_folder(name: &str) -> PathBuf {
    // Started and stopped once: finds programs or installs them, and a place that can be entered.
    let place = std::sync::Mutex::new(PathBuf::new());
    let server = server(|scratch| {
        let data_dir = scratch.with_extension(name);
        place.lock().unwrap().clone_from(&data_dir);
        data_dir
    })
    .await;
    server.stop().await;
    place.into_inner().unwrap()
}

/// A folder for this process's servers. Those of processes that have ended are removed.
pub(crate) fn scratch() -> PathBuf {
    let base = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    for entry in fs::read_dir(&base).into_iter().flatten().filter_map(Result::ok) {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(pid) = name.strip_prefix(PREFIX).and_then(|rest| rest.split('.').next()?.parse::<i32>().ok()) else {
            continue;
        };
        if nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), None).is_err() {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
    base.join(format!("{PREFIX}{}", std::process::id()))
}

fn url_of(server: &EmbeddedServer, database: &str) -> SecretString {
    server.url().replace("/sg_ai?", &format!("/{database}?")).into()
}

/// A bare connection.
pub(crate) async fn connect(url: &SecretString) -> tokio_postgres::Client {
    use secrecy::ExposeSecret;
    let (client, connection) = tokio_postgres::connect(url.expose_secret(), NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}
