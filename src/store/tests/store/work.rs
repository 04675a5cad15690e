//! Shared work: taken by one at a time, given up after its lease, its result stored once.

use crate::{made, support};
use std::collections::BTreeSet;
use std::time::Duration;
use store::{NewWork, Store, StoreError, WorkCounts, WorkKind, work_digest};
use tokio_postgres::Client;
use uuid::Uuid;

const BUILD: &str = "0.1.0+a";
const LONG: Duration = Duration::from_secs(600);
const SHORT: Duration = Duration::from_millis(200);

fn items(numbers: std::ops::Range<u32>) -> Vec<NewWork> {
    let one = |n| NewWork { kind: WorkKind::NullSearch, input: format!("{{\"number\":{n}}}"), place: n };
    numbers.map(one).collect()
}

async fn places(store: &Store, worker: &str, lease: Duration, count: u32) -> Vec<u32> {
    let taken = store.take_work((BUILD, worker), None, lease, count).await.unwrap();
    taken.iter().map(|one| one.place).collect()
}

async fn states(client: &Client) -> Vec<String> {
    let rows = client.query("select state from work_items order by id", &[]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

#[tokio::test]
async fn work_is_posted_once_and_taken_by_one() {
    let (database, store) = support::database().await;
    let other = database.store().await;
    let batch = Uuid::now_v7();
    let posted = store.post_work(BUILD, batch, &items(0..3)).await.unwrap();
    assert_eq!(
        posted.iter().map(|one| (one.place, one.output.clone())).collect::<Vec<_>>(),
        [(0, None), (1, None), (2, None)]
    );
    assert_eq!(store.post_work(BUILD, batch, &items(0..3)).await.unwrap(), posted, "posted again it is the same");
    // Asked for twice at once it is one item.
    let twice = store.post_work(BUILD, batch, &[items(0..1), items(0..1)].concat()).await.unwrap();
    assert_eq!(twice, [posted[0].clone(), posted[0].clone()]);
    // The oldest first, and nothing twice.
    assert_eq!(places(&store, "one", LONG, 2).await, [0, 1]);
    assert_eq!(places(&other, "two", LONG, 2).await, [2]);
    assert_eq!(places(&store, "one", LONG, 2).await, [0; 0]);
    // Another build takes nothing, of whatever is there.
    let another = store.post_work(BUILD, batch, &items(7..8)).await.unwrap();
    assert!(store.take_work(("0.1.0+b", "three"), None, LONG, 9).await.unwrap().is_empty());
    // Of another batch only where it is asked for.
    assert!(store.take_work((BUILD, "one"), Some(Uuid::now_v7()), LONG, 9).await.unwrap().is_empty());
    assert_eq!(store.take_work((BUILD, "one"), Some(batch), LONG, 9).await.unwrap()[0].id, another[0].id);
    // Two at once, many times over: each item has one taker.
    store.post_work(BUILD, batch, &items(100..160)).await.unwrap();
    let take = async |store: &Store, worker: &str| {
        let mut all = Vec::new();
        for _ in 0..30 {
            all.extend(places(store, worker, LONG, 1).await);
        }
        all
    };
    let (a, b) = tokio::join!(take(&store, "one"), take(&other, "two"));
    let all: BTreeSet<u32> = a.iter().chain(&b).copied().collect();
    assert_eq!((a.len() + b.len(), all), (60, (100..160).collect()));
}

#[tokio::test]
async fn a_result_is_stored_once_and_compared_with_every_other() {
    let (database, store) = support::database().await;
    let client = database.client().await;
    let id = store.post_work(BUILD, Uuid::now_v7(), &items(0..1)).await.unwrap()[0].id;
    store.keep_work((BUILD, "one", Some("host")), 2, &[], SHORT).await.unwrap();
    assert_eq!(places(&store, "one", SHORT, 1).await, [0]);
    // Nobody heard of it for a lease: it is another's, and the former one learns it.
    let again = made::eventually(|| async { places(&store, "two", LONG, 1).await == [0] }).await;
    assert!(again);
    assert!(store.keep_work((BUILD, "one", Some("host")), 2, &[id], LONG).await.unwrap().is_empty());
    assert_eq!(store.keep_work((BUILD, "two", Some("host")), 1, &[id], LONG).await.unwrap(), [id]);
    // Who takes its own work alone renews leases, too, and is no worker.
    assert_eq!(store.renew_work("two", &[id], LONG).await.unwrap(), [id]);
    assert!(store.renew_work("three", &[id], LONG).await.unwrap().is_empty());
    let workers = store.work_status(LONG).await.unwrap().workers;
    assert_eq!(workers.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["one", "two"]);
    // It was done all the same: the first result stands, the same one again changes nothing, another one is noted.
    assert!(store.finish_work(id, "one", "{\"best\":1}").await.unwrap());
    assert!(store.finish_work(id, "two", "{\"best\":1}").await.unwrap());
    assert!(!store.finish_work(id, "two", "{\"best\":2}").await.unwrap());
    let row = client
        .query_one("select output, output_digest, disagreements, lost, worker from work_items", &[])
        .await
        .unwrap();
    let (output, digest, worker): (String, String, String) = (row.get(0), row.get(1), row.get(4));
    assert_eq!((output.as_str(), worker.as_str()), ("{\"best\":1}", "one"));
    assert_eq!((digest, row.get::<_, i32>(2), row.get::<_, i32>(3)), (work_digest(&output), 1, 1));
    assert_eq!(store.post_work(BUILD, Uuid::now_v7(), &items(0..1)).await.unwrap()[0].output, Some(output));
    let status = store.work_status(LONG).await.unwrap();
    assert_eq!((status.done, status.lost, status.disagreements, status.waiting), (1, 1, 1, 0));
    let known: Vec<(&str, u64)> = status.workers.iter().map(|w| (w.name.as_str(), w.done)).collect();
    assert_eq!(known, [("one", 1), ("two", 0)]);
    assert!(status.workers.iter().all(|w| w.host.as_deref() == Some("host")));
    // One in the last hour.
    assert!((status.done_per_minute - 1.0 / 60.0).abs() < 1e-12, "{}", status.done_per_minute);
    assert_eq!(store.work_slots((BUILD, "other"), LONG).await.unwrap(), 3);
    assert_eq!(store.work_slots((BUILD, "two"), LONG).await.unwrap(), 2, "whoever asks is no other");
    // What somebody changed behind our back is no result.
    client.execute("update work_items set output = '{\"best\":9}'", &[]).await.unwrap();
    let error = store.post_work(BUILD, Uuid::now_v7(), &items(0..1)).await.unwrap_err();
    assert!(error.to_string().contains("is not what was stored"), "{error}");
    assert!(matches!(store.finish_work(id + 1, "one", "{}").await, Err(StoreError::NotFound { .. })));
}

#[tokio::test]
async fn what_is_given_back_or_fails_or_is_not_needed_ends_well() {
    let (database, store) = support::database().await;
    let client = database.client().await;
    let batch = Uuid::now_v7();
    let ids: Vec<i64> = store.post_work(BUILD, batch, &items(0..2)).await.unwrap().iter().map(|one| one.id).collect();
    assert_eq!(places(&store, "one", LONG, 1).await, [0]);
    // Only by whoever has it.
    store.give_back_work(&ids, "two").await.unwrap();
    assert_eq!(states(&client).await, ["taken", "waiting"]);
    store.give_back_work(&ids, "one").await.unwrap();
    assert_eq!(states(&client).await, ["waiting", "waiting"]);
    // A failure is tried again, later, and not for ever.
    for failure in 1..=5 {
        client.execute("update work_items set not_before = '-infinity'", &[]).await.unwrap();
        assert_eq!(places(&store, "one", LONG, 1).await, [0], "failure {failure}");
        store.fail_work(ids[0], "one", "no candles").await.unwrap();
        assert_eq!(store.take_work((BUILD, "two"), None, LONG, 9).await.unwrap().len(), usize::from(failure == 1));
    }
    assert_eq!(states(&client).await, ["failed", "taken"]);
    let status = store.work_status(LONG).await.unwrap();
    let counts = WorkCounts { taken: 1, failed: 1, ..WorkCounts::default() };
    assert_eq!(status.kinds, [("null_search".to_owned(), counts)].into());
    let [failure] = &status.failures[..] else { panic!("{:?}", status.failures) };
    assert_eq!((failure.id, failure.error.as_str(), failure.is_final), (ids[0], "no candles", true));
    assert_eq!((failure.worker.as_deref(), failure.attempts, status.done_per_minute), (Some("one"), 5, 0.0));
    let posted = store.post_work(BUILD, batch, &items(0..2)).await.unwrap();
    assert_eq!(posted.iter().map(|one| one.failed).collect::<Vec<_>>(), [true, false]);
    // Whoever must have it makes it itself.
    assert!(store.finish_work(ids[0], "daemon", "{}").await.unwrap());
    assert_eq!(store.end_batch(batch).await.unwrap(), 1);
    assert_eq!(states(&client).await, ["done", "cancelled"]);
    assert!(
        store.keep_work((BUILD, "two", Some("host")), 1, &[ids[1]], LONG).await.unwrap().is_empty(),
        "whoever has it learns it"
    );
    // Needed after all.
    store.post_work(BUILD, batch, &items(0..2)).await.unwrap();
    assert_eq!(states(&client).await, ["done", "waiting"]);
    store.end_worker("one").await.unwrap();
}
