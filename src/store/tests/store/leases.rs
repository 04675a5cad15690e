//! Leases: one holder at a time, and nothing written by a former one.

use crate::{made, support};
use secrecy::ExposeSecret;
use std::{
    io::{BufRead, BufReader, Write},
    process::{Command, Stdio},
};
use store::{ConnectOptions, Store, StoreConfig, StoreError};

/// Tells the holder of a lease in a process of its own where the database is.
const DATABASE: &str = "SG_TEST_LEASE_DATABASE";

#[tokio::test]
async fn one_holder_at_a_time_across_stores() {
    let (database, one) = support::database().await;
    let other = database.store().await;
    let lease = one.try_acquire_lease("search").await.unwrap().expect("it is free");
    assert!(lease.is_alive());
    assert_eq!(lease.token().number(), 1);
    assert!(other.try_acquire_lease("search").await.unwrap().is_none());
    assert!(one.try_acquire_lease("search").await.unwrap().is_none(), "not even twice in one process");
    assert!(other.try_acquire_lease("shadow").await.unwrap().is_some(), "another name is another lease");
    lease.release().await;
    let next = other.try_acquire_lease("search").await.unwrap().expect("released");
    assert_eq!(next.token().number(), 2, "tokens increase");
    next.check().await.unwrap();
    drop(next);
    // Dropping closes the connection; the server notices by itself.
    let freed = made::eventually(|| async { one.try_acquire_lease("search").await.unwrap().is_some() }).await;
    assert!(freed);
}

#[tokio::test]
async fn a_former_holder_is_fenced_off() {
    let (database, one) = support::database().await;
    let lease = one.try_acquire_lease("search").await.unwrap().unwrap();
    let token = lease.token();
    let session = one.open_session(&token, &made::session("main", 1)).await.unwrap();
    // The holder's connection is cut behind its back, as by a network that fails.
    let sql = "select pg_terminate_backend(pid) from pg_stat_activity
        where datname = current_database() and application_name = 'sg-ai lease search'";
    database.client().await.execute(sql, &[]).await.unwrap();
    let other = database.store().await;
    let mut next = None;
    let taken = made::eventually_mut(async || {
        next = other.try_acquire_lease("search").await.unwrap();
        next.is_some()
    })
    .await;
    assert!(taken);
    let noticed = made::eventually(|| async { !lease.is_alive() }).await;
    assert!(noticed);
    let lost = StoreError::LeaseLost { name: "search".to_owned(), token: 1 };
    assert_eq!(lease.check().await.unwrap_err(), lost);
    let record = made::generation(0);
    assert_eq!(one.record_generation(&token, session.id, &record, b"old", &[]).await.unwrap_err(), lost);
    assert_eq!(one.finish_session(&token, session.id, &[], &[], &learner::Scores::default()).await.unwrap_err(), lost);
    assert_eq!(one.abandon_session(&token, session.id, "late").await.unwrap_err(), lost);
    assert_eq!(one.open_session(&token, &made::session("main", 2)).await.unwrap_err(), lost);
    // The new holder goes on with the same session.
    let token = next.unwrap().token();
    other.record_generation(&token, session.id, &record, b"new", &[]).await.unwrap();
    let found = other.unfinished_session("main").await.unwrap().unwrap();
    assert_eq!(found.state.as_deref(), Some(&b"new"[..]));
}

#[tokio::test]
async fn a_process_that_is_stopped_loses_its_lease_and_writes_nothing_more() {
    let (database, store) = support::database().await;
    let mut holder = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "leases::holder_in_a_process_of_its_own", "--nocapture"])
        .env(DATABASE, database.url.expose_secret())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let pid = nix::unistd::Pid::from_raw(holder.id().try_into().unwrap());
    let mut lines = BufReader::new(holder.stdout.take().unwrap()).lines();
    let mut said = |what: &str| lines.find(|line| line.as_ref().unwrap().contains(what)).unwrap().unwrap();
    said("holds it");
    assert!(store.try_acquire_lease("work").await.unwrap().is_none());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGSTOP).unwrap();
    let (mut next, mut taken) = (None, false);
    // Each look lasts twenty seconds, which is as long as the server waits for a sign of life.
    for _ in 0..3 {
        taken = taken
            || made::eventually_mut(async || {
                next = store.try_acquire_lease("work").await.unwrap();
                next.is_some()
            })
            .await;
    }
    assert!(taken, "a stopped process keeps its lease");
    let next = next.unwrap();
    let session = store.open_session(&next.token(), &made::session("main", 1)).await.unwrap();
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGCONT).unwrap();
    holder.stdin.take().unwrap().write_all(b"write\n").unwrap();
    let answer = said("it wrote");
    assert!(answer.contains("LeaseLost") && !answer.contains("Ok("), "{answer}");
    assert!(holder.wait().unwrap().success());
    let unfinished = store.unfinished_session("main").await.unwrap().unwrap();
    assert_eq!((unfinished.session.id, unfinished.state), (session.id, None));
    next.check().await.unwrap();
}

/// Not a test: what the one above runs, stops and wakes.
#[tokio::test(flavor = "multi_thread")]
async fn holder_in_a_process_of_its_own() {
    // Only the test above says which database; without it there is nothing to hold.
    let Ok(url) = std::env::var(DATABASE) else { return };
    let url = url.into();
    let options = ConnectOptions::from_url(&url).unwrap();
    let store = Store::connect(&options, &StoreConfig::default()).await.unwrap();
    let lease = store.try_acquire_lease("work").await.unwrap().unwrap();
    println!("it holds it");
    let line = tokio::task::spawn_blocking(|| std::io::stdin().lock().lines().next().unwrap().unwrap());
    assert_eq!(line.await.unwrap(), "write");
    let opened = store.open_session(&lease.token(), &made::session("main", 2)).await;
    println!("it wrote: {opened:?}, {:?}", lease.check().await);
}

#[tokio::test]
async fn a_holder_that_works_gives_signs_of_life() {
    let (database, store) = support::database().await;
    let lease = store.try_acquire_lease("work").await.unwrap().unwrap();
    let client = database.client().await;
    let sql = "select state_change from pg_stat_activity where datname = current_database()
        and application_name = 'sg-ai lease work'";
    let heard = async || client.query_one(sql, &[]).await.unwrap().get::<_, chrono::DateTime<chrono::Utc>>(0);
    let first = heard().await;
    assert!(made::eventually_mut(async || heard().await > first).await, "no sign of life");
    lease.check().await.unwrap();
}
