//! Leases: one holder at a time, and nothing written by a former one.

use crate::{made, support};
use store::StoreError;

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
    assert_eq!(one.finish_session(&token, session.id, &[], &[]).await.unwrap_err(), lost);
    assert_eq!(one.abandon_session(&token, session.id, "late").await.unwrap_err(), lost);
    assert_eq!(one.open_session(&token, &made::session("main", 2)).await.unwrap_err(), lost);
    // The new holder goes on with the same session.
    let token = next.unwrap().token();
    other.record_generation(&token, session.id, &record, b"new", &[]).await.unwrap();
    let found = other.unfinished_session("main").await.unwrap().unwrap();
    assert_eq!(found.state.as_deref(), Some(&b"new"[..]));
}
