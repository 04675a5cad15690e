//! Daily reviews: one a day, step by step, whoever is killed.

use crate::support;
use chrono::NaiveDate;
use serde_json::json;
use store::{Page, StoreError};

fn day(of_month: u32) -> NaiveDate {
    NaiveDate::from_ymd_opt(2025, 3, of_month).unwrap()
}

#[tokio::test]
async fn a_day_is_reviewed_once_and_what_was_missed_is_noted() {
    let (_database, store) = support::database().await;
    let lease = store.try_acquire_lease("daily review").await.unwrap().unwrap();
    let token = lease.token();
    let open = async |of_month| store.open_review(&token, day(of_month)).await.unwrap();
    // Its hour was before there was anybody.
    assert_eq!(open(3).await.unwrap().status, "missed");
    let review = open(4).await.unwrap();
    assert_eq!((review.status.as_str(), review.steps.len()), ("running", 0));
    store.note_review_step(&token, day(4), "batch", &json!({ "generated": 20 }), false).await.unwrap();
    // Killed and begun again: the step is there, and stays as it was.
    store.note_review_step(&token, day(4), "batch", &json!({ "generated": 99 }), false).await.unwrap();
    assert_eq!(open(4).await.unwrap().steps["batch"]["generated"], 20);
    store.note_review_step(&token, day(4), "summary", &json!({}), true).await.unwrap();
    let done = open(4).await.unwrap();
    assert!(done.status == "finished" && done.finished_at.is_some());
    store.note_review_step(&token, day(4), "late", &json!({}), true).await.unwrap();
    assert_eq!(open(4).await.unwrap(), done);

    // Days without anybody, one of them begun, and a clock that went back.
    assert_eq!(open(5).await.unwrap().status, "running");
    store.note_review_step(&token, day(5), "batch", &json!({}), false).await.unwrap();
    assert_eq!(open(8).await.unwrap().status, "running");
    assert_eq!(open(7).await, None);
    let all: Vec<_> = store.daily_reviews(Page::first(10)).await.unwrap();
    let told: Vec<_> = all.iter().map(|r| (r.day, r.status.as_str())).collect();
    let (missed, running) = ("missed", "running");
    let expected =
        [(8, running), (7, missed), (6, missed), (5, missed), (4, "finished"), (3, missed)].map(|(d, s)| (day(d), s));
    assert_eq!(told, expected);

    lease.release().await;
    let next = store.try_acquire_lease("daily review").await.unwrap().unwrap();
    let fenced = store.note_review_step(&token, day(8), "batch", &json!({}), false).await;
    assert!(matches!(fenced, Err(StoreError::LeaseLost { .. })), "{fenced:?}");
    drop(next);
}
