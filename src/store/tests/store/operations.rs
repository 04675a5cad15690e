//! The outbox, dead letters, feeds and runners; connections that break; errors that keep secrets.

use crate::{made, support};
use candles::{Interval, MarketKind};
use secrecy::SecretString;
use serde_json::json;
use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};
use store::{
    ConnectOptions, DeadLetterKind, DeadLetterStatus, Delivery, FeedStatus, NewDeadLetter, NewEvent, Page, Store,
    StoreConfig, StoreError,
};

fn event(n: u32, channel: &str) -> NewEvent {
    NewEvent {
        key: format!("event:{n}"),
        kind: "promotion".to_owned(),
        channel: channel.to_owned(),
        payload: json!({ "n": n }),
    }
}

#[tokio::test]
async fn an_event_is_stored_once_a_channel() {
    let (_database, store) = support::database().await;
    assert!(store.enqueue_event(&event(1, "discord")).await.unwrap());
    assert!(!store.enqueue_event(&event(1, "discord")).await.unwrap());
    assert!(store.enqueue_event(&event(1, "slack")).await.unwrap());
    let claimed = store.claim_outbox(10, 60).await.unwrap();
    assert_eq!(claimed.iter().map(|c| c.event.channel.as_str()).collect::<Vec<_>>(), ["discord", "slack"]);
    assert_eq!(claimed[0].event, event(1, "discord"));
    for one in &claimed {
        store.mark_delivered(one.id).await.unwrap();
        store.mark_delivered(one.id).await.unwrap();
    }
    assert_eq!(store.outbox_depth().await.unwrap().pending, 0);
    assert!(!store.enqueue_event(&event(1, "slack")).await.unwrap(), "delivered events are remembered");
}

#[tokio::test]
async fn two_workers_never_hold_the_same_event() {
    let (database, store) = support::database().await;
    for n in 0..60 {
        store.enqueue_event(&event(n, "discord")).await.unwrap();
    }
    let mut tasks = Vec::new();
    for _ in 0..3 {
        let store = database.store().await;
        tasks.push(tokio::spawn(async move {
            let mut mine = Vec::new();
            loop {
                let claimed = store.claim_outbox(4, 600).await.unwrap();
                if claimed.is_empty() {
                    return mine;
                }
                mine.extend(claimed.into_iter().map(|one| one.id));
            }
        }));
    }
    let mut all = Vec::new();
    for task in tasks {
        all.extend(task.await.unwrap());
    }
    assert_eq!(all.len(), 60);
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), 60);
}

#[tokio::test]
async fn a_failed_delivery_comes_back_and_a_hopeless_one_does_not() {
    let (database, store) = support::database().await;
    store.enqueue_event(&event(1, "discord")).await.unwrap();
    let first = store.claim_outbox(1, 600).await.unwrap().remove(0);
    assert_eq!(first.attempt, 1);
    assert_eq!(store.claim_outbox(1, 600).await.unwrap(), [], "claimed");
    store.mark_failed(&first, "429 too many requests", Delivery::RetryIn(0)).await.unwrap();
    let second = store.claim_outbox(1, 0).await.unwrap().remove(0);
    assert_eq!(second.attempt, 2);
    // A claim of no length has ended: the next worker takes it, and the slow one can no longer fail it.
    let third = store.claim_outbox(1, 600).await.unwrap().remove(0);
    store.mark_failed(&second, "too late", Delivery::GiveUp).await.unwrap();
    assert_eq!(store.outbox_depth().await.unwrap().dead, 0);
    store.mark_failed(&third, "404", Delivery::GiveUp).await.unwrap();
    let depth = store.outbox_depth().await.unwrap();
    assert_eq!((depth.pending, depth.dead), (0, 1));
    assert_eq!(store.claim_outbox(1, 600).await.unwrap(), []);
    let row = database.client().await.query_one("select last_error, status from outbox", &[]).await.unwrap();
    assert_eq!((row.get::<_, &str>(0), row.get::<_, &str>(1)), ("404", "dead"));
    store.enqueue_event(&event(2, "discord")).await.unwrap();
    let later = store.claim_outbox(1, 600).await.unwrap().remove(0);
    store.mark_failed(&later, "503", Delivery::RetryIn(3600)).await.unwrap();
    assert_eq!(store.claim_outbox(1, 600).await.unwrap(), [], "not yet");
    assert_eq!(store.outbox_depth().await.unwrap().pending, 1);
}

#[tokio::test]
async fn dead_letters_are_counted_retried_and_reopened() {
    let (_database, store) = support::database().await;
    let letter = NewDeadLetter {
        kind: DeadLetterKind::Backtest,
        subject: made::hash(1),
        error: "first".to_owned(),
        genome: Some(made::genome(1).into()),
        context: json!({ "window": [0, 1] }),
    };
    let id = store.add_dead_letter(&letter).await.unwrap();
    let again = NewDeadLetter { error: "second".to_owned(), ..letter.clone() };
    assert_eq!(store.add_dead_letter(&again).await.unwrap(), id);
    let step = NewDeadLetter { kind: DeadLetterKind::Step, genome: None, ..letter };
    assert_ne!(store.add_dead_letter(&step).await.unwrap(), id, "another kind is another row");
    store.mark_dead_letter(id, DeadLetterStatus::Retried, "operator").await.unwrap();
    let found = store.dead_letter(id).await.unwrap();
    assert_eq!((found.status, found.retries, found.occurrences), (DeadLetterStatus::Retried, 1, 2));
    assert_eq!(found.error, "second");
    assert_eq!(store.dead_letters(Some(DeadLetterStatus::Open), Page::first(9)).await.unwrap().len(), 1);
    store.add_dead_letter(&again).await.unwrap();
    assert_eq!(store.dead_letter(id).await.unwrap().status, DeadLetterStatus::Open, "it failed again");
    assert_eq!(store.dead_letters(None, Page::first(9)).await.unwrap().len(), 2);
    assert_eq!(store.overview().await.unwrap().open_dead_letters, 2);
    assert!(matches!(store.dead_letter(999).await, Err(StoreError::NotFound { .. })));
    assert!(matches!(
        store.mark_dead_letter(999, DeadLetterStatus::Resolved, "me").await,
        Err(StoreError::NotFound { .. })
    ));
}

#[tokio::test]
async fn feeds_and_runners_tell_where_they_stand() {
    let (_database, store) = support::database().await;
    let feed = |newest: i64, error: Option<&str>| FeedStatus {
        market: MarketKind::Um,
        symbol: "BTCUSDT".parse().unwrap(),
        interval: Interval::H4,
        newest_close_ms: Some(newest),
        exchange_time_ms: Some(newest + 1),
        gaps: 2,
        error: error.map(str::to_owned),
        refreshed_at: chrono::DateTime::UNIX_EPOCH,
    };
    store.record_feed(&feed(200, None)).await.unwrap();
    store.record_feed(&feed(100, Some("timeout"))).await.unwrap();
    let found = store.feeds().await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].newest_close_ms, found[0].error.as_deref()), (Some(200), Some("timeout")));
    assert_eq!((found[0].market, found[0].interval), (MarketKind::Um, Interval::H4));

    store.runner_started("shadow").await.unwrap();
    store.runner_finished("shadow", Some("no candles"), &json!({ "runs": 0 })).await.unwrap();
    store.runner_finished("shadow", Some("no candles"), &json!({ "runs": 0 })).await.unwrap();
    let failing = store.runners().await.unwrap().remove(0);
    assert_eq!((failing.consecutive_failures, failing.last_error.as_deref()), (2, Some("no candles")));
    assert_eq!(failing.last_succeeded_at, None);
    store.runner_finished("shadow", None, &json!({ "runs": 3 })).await.unwrap();
    store.runner_heartbeat("shadow", None).await.unwrap();
    store.runner_heartbeat("outbox", Some(&json!({ "sent": 1 }))).await.unwrap();
    let runners = store.runners().await.unwrap();
    assert_eq!(runners.iter().map(|r| r.name.as_str()).collect::<Vec<_>>(), ["outbox", "shadow"]);
    let well = &runners[1];
    assert_eq!((well.consecutive_failures, &well.last_error, &well.detail), (0, &None, &json!({ "runs": 3 })));
    assert!(well.last_succeeded_at.is_some() && well.last_error_at.is_some() && well.last_started_at.is_some());
}

#[tokio::test]
async fn a_cut_connection_is_not_noticed_by_callers() {
    let (database, store) = support::database().await;
    let names = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&names);
    let observed = Store::connect_observed(
        &database.options,
        &StoreConfig { pool_size: 1, ..StoreConfig::default() },
        Some(Box::new(move |name, _, committed| seen.lock().unwrap().push((name, committed)))),
    )
    .await
    .unwrap();
    observed.audit_head().await.unwrap();
    let sql = "select pg_terminate_backend(pid) from pg_stat_activity
        where datname = current_database() and pid <> pg_backend_pid()";
    let client = database.client().await;
    for n in 0..5 {
        client.execute(sql, &[]).await.unwrap();
        assert!(observed.enqueue_event(&event(n, "slack")).await.unwrap());
    }
    assert_eq!(store.outbox_depth().await.unwrap().pending, 5);
    let names = names.lock().unwrap();
    assert_eq!(names[0], ("audit_head", true));
    assert_eq!(names.iter().filter(|seen| **seen == ("enqueue_event", true)).count(), 5);
}

#[tokio::test]
async fn a_full_disk_is_told_as_one_and_remembered_until_there_is_room() {
    let (database, store) = support::database().await;
    let client = database.client().await;
    for code in ["disk_full", "out_of_memory"] {
        let full = format!(
            "create or replace function full_disk() returns trigger language plpgsql as $$ begin
                 raise exception 'could not extend file' using errcode = '{code}'; end $$;
             create trigger full_disk before insert on outbox for each row execute function full_disk()"
        );
        client.batch_execute(&full).await.unwrap();
        assert_eq!(store.lacks_room(), None);
        let error = store.enqueue_event(&event(1, "slack")).await.unwrap_err();
        assert!(matches!(&error, StoreError::Full(why) if why == "could not extend file"), "{error:?}");
        assert!(error.is_transient() && !error.is_unreachable() && error.to_string().contains("make room"), "{error}");
        // What merely reads goes on and says nothing of it.
        store.outbox_depth().await.unwrap();
        assert!(store.lacks_room().is_some());
        client.batch_execute("drop trigger full_disk on outbox").await.unwrap();
        store.enqueue_event(&event(1, "slack")).await.unwrap();
        assert_eq!(store.lacks_room(), None);
    }
}

#[tokio::test]
async fn a_cancelled_transaction_leaves_no_connection_half_way() {
    let (database, _) = support::database().await;
    let store = database.store_with(&StoreConfig { pool_size: 1, ..StoreConfig::default() }).await;
    let blocker = database.client().await;
    blocker.batch_execute("begin; lock table outbox").await.unwrap();
    let first = event(1, "slack");
    let waiting = store.enqueue_event(&first);
    assert!(tokio::time::timeout(std::time::Duration::from_millis(300), waiting).await.is_err());
    blocker.batch_execute("rollback").await.unwrap();
    assert!(store.enqueue_event(&first).await.unwrap(), "the first try was rolled back");
}

#[tokio::test]
async fn errors_and_debug_keep_secrets() {
    let url = SecretString::from("postgresql://me:s3cr3t@127.0.0.1:1/nowhere?connect_timeout=1");
    let options = ConnectOptions::from_url(&url).unwrap();
    let config =
        StoreConfig { database_url: Some(url), audit_key: Some("s3cr3t".to_owned().into()), ..StoreConfig::default() };
    let error = Store::connect(&options, &config).await.unwrap_err();
    assert!(matches!(error, StoreError::Unreachable(_)) && error.is_transient(), "{error:?}");
    for text in [format!("{error}"), format!("{error:?}"), format!("{options:?}"), format!("{config:?}")] {
        assert!(!text.contains("s3cr3t"), "{text}");
    }
    assert!(error.to_string().contains("DATABASE_URL"), "{error}");
    let bad = ConnectOptions::from_url(&"postgresql://me:s3cr3t@host:port/x".to_owned().into()).unwrap_err();
    assert!(!bad.to_string().contains("s3cr3t") && bad.to_string().contains("postgresql://"), "{bad}");
}

#[tokio::test]
async fn whatever_comes_of_a_broken_connection_is_no_database_and_worth_another_try() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    // Nothing; half a message; one of a type that does not belong there; no PostgreSQL at all.
    let answers: [&[u8]; 4] = [b"", b"R\0\0\0\x08\0\0", b"Z\0\0\0\x05I", b"HTTP/1.1 400 Bad Request\r\n\r\n"];
    for answer in answers {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = tokio::spawn(async move {
            loop {
                let (mut client, _) = listener.accept().await.unwrap();
                _ = client.read(&mut [0; 64]).await;
                _ = client.write_all(answer).await;
            }
        });
        let url = SecretString::from(format!("postgresql://me@127.0.0.1:{port}/nowhere?sslmode=disable"));
        let options = ConnectOptions::from_url(&url).unwrap();
        let error = Store::connect(&options, &StoreConfig::default()).await.unwrap_err();
        assert!(matches!(error, StoreError::Unreachable(_)), "{:?}: {error:?}", String::from_utf8_lossy(answer));
        server.abort();
    }
}
