//! Books: one runs, a step is stored upon the one before it alone, and what a live one has at work is set, held and ended on
//! record.

use crate::{made, support};
use candles::MarketKind;
use genome::random::Seed;
use lifecycle::{DeploymentStatus, DisableReason, Phase, State};
use serde_json::json;
use store::{
    BookBlock, BookDeployment, BookMember, BookMove, BookRow, BookStep, LeaseToken, NewBook, Store, StoreError,
};
use uuid::Uuid;

const DAY_MS: i64 = 86_400_000;

fn new(seed: u64) -> NewBook {
    NewBook {
        id: Uuid::now_v7(),
        market: MarketKind::Spot,
        interval: candles::Interval::H4,
        quote: "USDT".to_owned(),
        identity: [("seed".to_owned(), seed.to_string())].into(),
        seed: Seed(seed),
        symbols: vec!["BTCUSDT".parse().unwrap()],
        first_ms: 0,
        from_ms: 0,
        began_ms: 10 * DAY_MS,
        walks: "[]".to_owned(),
    }
}

fn step(book: &BookRow, revision: u64, hash: &str) -> BookStep {
    let member = BookMember {
        begin_ms: 0,
        place: 0,
        genome_hash: hash.to_owned(),
        niche: "week/slow".to_owned(),
        weight: 1.0,
        expected_sharpe: 1.5,
        false_discovery: 0.1,
    };
    let block = BookBlock {
        is_placebo: false,
        begin_ms: 0,
        end_ms: 20 * DAY_MS,
        is_over: false,
        members: 1,
        cash: None,
        body: json!({}),
    };
    BookStep {
        book_id: book.id,
        revision,
        walks: format!("[{revision}]"),
        standing: json!({ "proof": { "log_e": 3.5 }, "needed_log_e": 3.0 }),
        blocks: vec![block],
        members: vec![member],
        insight: Some(json!({ "until_ms": 1 })),
        is_placebo: false,
        days: Vec::new(),
    }
}

async fn moved(store: &Store, book: &BookRow, from: State, to: State, token: &LeaseToken) {
    let record = BookMove {
        id: Uuid::now_v7(),
        book_id: book.id,
        from,
        to,
        reason: (to == State::Disabled).then_some(DisableReason::Deactivated),
        summary: "test".to_owned(),
        checks: Vec::new(),
        actor: "book".to_owned(),
        at_market_ms: 15 * DAY_MS,
        events: Vec::new(),
    };
    assert!(store.move_book(&record, Some(token)).await.unwrap());
    // However often it is asked for.
    assert!(!store.move_book(&record, Some(token)).await.unwrap());
}

fn at_work(book: &BookRow, pct: f64) -> BookDeployment {
    BookDeployment {
        book_id: book.id,
        phase: Phase::Initial,
        phase_market_ms: 15 * DAY_MS,
        status: DeploymentStatus::Active,
        allocation_pct: pct,
        held: false,
        reasons: vec!["because".to_owned()],
        started_market_ms: 15 * DAY_MS,
        ended_market_ms: None,
    }
}

#[tokio::test]
async fn a_step_of_another_daemon_is_refused_and_nothing_is_doubled() {
    let (database, store) = support::database().await;
    let (_lease, token) = made::lease(&store).await;
    let book = store.begin_book(&new(1), &token).await.unwrap();
    assert_eq!((book.number, book.stepped_at), (1, None));
    let hash = "ab".repeat(32);
    let first = step(&book, book.revision, &hash);
    let revision = store.store_book_step(&first, &token).await.unwrap();
    // The same again is the same; another one from there is of somebody who knew less.
    assert_eq!(store.store_book_step(&first, &token).await.unwrap(), revision);
    let other = BookStep { walks: "[7]".to_owned(), ..first };
    assert!(matches!(store.store_book_step(&other, &token).await, Err(StoreError::Conflict(_))));
    store.store_book_step(&step(&book, revision, &hash), &token).await.unwrap();
    let client = database.client().await;
    let counts =
        client.query_one("select (select count(*) from book_members), (select count(*) from book_blocks)", &[]);
    let counts = counts.await.unwrap();
    assert_eq!((counts.get::<_, i64>(0), counts.get::<_, i64>(1)), (1, 1));
    assert_eq!(store.book_insight(book.id).await.unwrap(), json!({ "until_ms": 1 }));

    // What monitoring is told.
    let line = store.monitoring_snapshot().await.unwrap().book.unwrap();
    assert_eq!((line.number, line.state.as_str(), line.members, line.log_e[0]), (1, "candidate", 1, Some(3.5)));
    assert_eq!((line.block_end_ms, line.day_end_ms, line.allocated_pct), (Some(20 * DAY_MS), None, 0.0));
    // Another pipeline ends this one.
    let second = store.begin_book(&new(2), &token).await.unwrap();
    assert_eq!(second.number, 2);
    assert_eq!(store.running_book().await.unwrap().unwrap().id, second.id);
    assert_eq!(store.book(Some(1)).await.unwrap().unwrap().disable_reason, Some(DisableReason::Deprecated));
}

#[tokio::test]
async fn what_a_live_book_has_at_work_is_set_held_and_ended_on_record() {
    let (database, store) = support::database().await;
    let (_lease, token) = made::lease(&store).await;
    let book = store.begin_book(&new(1), &token).await.unwrap();
    let strategy = made::in_shadow(&store, 1).await;
    let client = database.client().await;
    let sql = "select genome_hash from strategies limit 1";
    let hash: String = client.query_one(sql, &[]).await.unwrap().get(0);
    store.store_book_step(&step(&book, book.revision, &hash), &token).await.unwrap();
    moved(&store, &book, State::Candidate, State::Shadow, &token).await;
    let refused = store.set_book_deployment(&at_work(&book, 2.0), "book", Some(&token)).await.unwrap_err();
    assert!(matches!(&refused, StoreError::Conflict(why) if why.contains("only a live one")), "{refused}");
    assert!(store.live_book_members().await.unwrap().is_empty());
    moved(&store, &book, State::Shadow, State::Live, &token).await;

    let live = store.live_book_members().await.unwrap();
    assert_eq!((live.len(), live[0].book, live[0].weight), (1, 1, 1.0));
    assert!(live[0].strategy_id.is_some(), "{live:?} {strategy:?}");
    let proven = store.proven_strategies(store::Page::first(9)).await.unwrap();
    assert_eq!((proven.len(), proven[0].proven_by.as_str(), proven[0].status.as_str()), (1, "book 1", "active"));

    assert!(store.set_book_deployment(&at_work(&book, 2.0), "book", Some(&token)).await.unwrap());
    assert!(!store.set_book_deployment(&at_work(&book, 2.0), "book", Some(&token)).await.unwrap());
    assert_eq!(store.books_at_work_pct().await.unwrap(), 2.0);
    assert_eq!(store.monitoring_snapshot().await.unwrap().allocated_pct, 2.0);
    // An operator holds it: the daemon leaves it alone.
    let held = BookDeployment { status: DeploymentStatus::Paused, held: true, ..at_work(&book, 2.0) };
    assert!(store.set_book_deployment(&held, "somebody", None).await.unwrap());
    assert!(!store.set_book_deployment(&at_work(&book, 1.0), "book", Some(&token)).await.unwrap());
    assert_eq!(store.book_deployment(book.id).await.unwrap(), Some(held));
    assert_eq!(store.books_at_work_pct().await.unwrap(), 0.0);
    assert!(store.set_book_deployment(&at_work(&book, 1.5), "somebody", None).await.unwrap());

    moved(&store, &book, State::Live, State::Disabled, &token).await;
    let ended = store.book_deployment(book.id).await.unwrap().unwrap();
    assert_eq!((ended.status, ended.ended_market_ms), (DeploymentStatus::Deactivated, Some(15 * DAY_MS)));
    assert_eq!(store.books_at_work_pct().await.unwrap(), 0.0);
    assert!(store.live_book_members().await.unwrap().is_empty());
    let audited = "select count(*) from audit_logs where event_type = 'deployment_changed' and entity_type = 'book'";
    assert_eq!(client.query_one(audited, &[]).await.unwrap().get::<_, i64>(0), 3);
}
