//! Notification and HTTP over a real database: what is delivered, what is counted, and what happens when it is gone.

use crate::support::database;
use axum::{Json, Router, extract::State, http::StatusCode, routing::post};
use candles::MarketKind;
use chrono::{DateTime, NaiveDate, Utc};
use clock::SystemClock;
use http::{self, Server};
use notify::{Channel, Deliverer, Notice, NotifyConfig, Round, Trouble, enqueue_daily_summary};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};
use store::{DeadLetterKind, FeedStatus, Page, Store};
use tokio_util::sync::CancellationToken;

type Seen = Arc<Mutex<Vec<Value>>>;

/// A webhook that answers with one status, and what it was sent.
async fn webhook(status: u16) -> (String, Seen) {
    let seen = Seen::default();
    let answer = async move |State(seen): State<Seen>, Json(body): Json<Value>| {
        seen.lock().unwrap().push(body);
        (StatusCode::from_u16(status).unwrap(), "ok")
    };
    let app = Router::new().route("/hook", post(answer)).with_state(seen.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    tokio::spawn(async { axum::serve(listener, app).await });
    (url, seen)
}

fn deliverer(url: &str, max_attempts: u32) -> Deliverer {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let url = Some(url.to_owned().into());
    let config = NotifyConfig {
        discord_webhook_url: url.clone(),
        slack_webhook_url: url,
        poll_interval_ms: 1,
        request_timeout_ms: 5_000,
        max_attempts,
        retry_min_s: 1,
        retry_max_s: 1,
    };
    Deliverer::new(&config).unwrap()
}

async fn store_events(store: &Store, count: u32) {
    for number in 0..count {
        let trouble = Trouble { step: format!("step-{number}"), error: "no".into(), failures: 5, at_ms: 0 };
        let key = trouble.key();
        for event in Notice::SystemError(trouble).events(&key, &Channel::ALL) {
            assert!(store.enqueue_event(&event).await.unwrap());
            assert!(!store.enqueue_event(&event).await.unwrap(), "the same event is stored once");
        }
    }
}

async fn drain(deliverer: &Deliverer, store: &Store) -> u32 {
    let mut delivered = 0;
    loop {
        let round = deliverer.deliver_once(store, &CancellationToken::new()).await.unwrap();
        delivered += round.delivered;
        if round == Round::default() {
            return delivered;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_event_arrives_once_with_two_processes_at_work() {
    let (database, store) = database().await;
    let other = database.store().await;
    store_events(&store, 20).await;
    let (url, seen) = webhook(200).await;
    let (a, b) = (deliverer(&url, 3), deliverer(&url, 3));
    let (first, second) = tokio::join!(drain(&a, &store), drain(&b, &other));
    assert_eq!(first + second, 40);

    let mut arrivals: BTreeMap<String, u32> = BTreeMap::new();
    for body in seen.lock().unwrap().iter() {
        // Discord's body has embeds, Slack's has blocks: one of each an event.
        let title = body["embeds"][0]["title"].as_str().or(body["blocks"][0]["text"]["text"].as_str());
        *arrivals.entry(format!("{} {}", title.unwrap().replace('\\', ""), body["embeds"].is_array())).or_default() +=
            1;
    }
    assert_eq!(arrivals.len(), 40);
    assert!(arrivals.values().all(|count| *count == 1), "{arrivals:?}");
    let depth = store.outbox_depth().await.unwrap();
    assert_eq!((depth.pending, depth.dead), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_given_up_becomes_a_dead_letter_without_the_address() {
    let (_database, store) = database().await;
    store_events(&store, 1).await;
    let (url, seen) = webhook(400).await;
    let round = deliverer(&url, 3).deliver_once(&store, &CancellationToken::new()).await.unwrap();
    assert_eq!((round.given_up, seen.lock().unwrap().len()), (2, 2));
    let letters = store.dead_letters(None, Page::first(10)).await.unwrap();
    assert_eq!(letters.len(), 2);
    for letter in letters {
        assert_eq!((letter.kind, letter.error.as_str()), (DeadLetterKind::Notification, "HTTP 400"));
        assert!(!format!("{letter:?}").contains(&url));
    }
    assert_eq!(store.outbox_depth().await.unwrap().dead, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_has_one_summary() {
    let (_database, store) = database().await;
    let now: DateTime<Utc> = "2025-11-30T03:00:00Z".parse().unwrap();
    let day = NaiveDate::from_ymd_opt(2025, 11, 29).unwrap();
    let lines = vec!["500 generated".to_owned()];
    assert!(enqueue_daily_summary(&store, &Channel::ALL, day, now, lines.clone()).await.unwrap());
    assert!(!enqueue_daily_summary(&store, &Channel::ALL, day, now, lines).await.unwrap());
    let claimed = store.claim_outbox(10, 60).await.unwrap();
    assert_eq!(claimed.len(), 2);
    assert_eq!(claimed[0].event.key, "daily_summary:2025-11-29");
}

#[tokio::test(flavor = "multi_thread")]
async fn http_says_what_the_database_holds_and_that_it_is_gone() {
    let (database, store) = database().await;
    let feed = FeedStatus {
        market: MarketKind::Spot,
        symbol: "BTCUSDT".parse().unwrap(),
        interval: "15m".parse().unwrap(),
        newest_close_ms: Some(1_000_000),
        exchange_time_ms: Some(1_060_000),
        gaps: 3,
        error: None,
        refreshed_at: Utc::now(),
    };
    store.record_feed(&feed).await.unwrap();
    store.runner_finished(http::SHADOW_RUNNER, None, &Value::Null).await.unwrap();
    store_events(&store, 1).await;

    let mut config = sg_ai::config::load(&sg_ai::config::Inputs::default()).unwrap().config.http;
    // The machine may be busy.
    config.health_timeout_ms = 5_000;
    let limits = http::Limits { generation_interval_s: 3600, shadow_interval_s: 900, work_lease_s: None };
    let app = http::router(Arc::new(store.clone()), None, &config, limits, Arc::new(SystemClock));
    let stop = CancellationToken::new();
    let server = Server::start(&config, 0, app, stop.clone()).await.unwrap();
    let get = async |path: &str| {
        let response = reqwest::get(format!("http://{}{path}", server.address())).await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    };
    let _ = rustls::crypto::ring::default_provider().install_default();

    let (status, health) = get("/sg-ai/health").await;
    assert_eq!(status, 200, "{health}");
    let stats: Value = serde_json::from_str(&get("/sg-ai/stats").await.1).unwrap();
    assert_eq!((&stats["outbox"]["pending"], &stats["feeds"][0]["behind_s"]), (&2.into(), &60.0.into()));
    let metrics = get("/metrics").await.1;
    for line in ["sg_ai_outbox_pending 2", "sg_ai_database_up 1", "sg_ai_data_gaps{symbol=\"BTCUSDT\"} 3"] {
        assert!(metrics.lines().any(|found| found == line), "{line} is not in\n{metrics}");
    }

    // Its disk is full: it answers, and can store nothing.
    let client = database.client().await;
    let full = "create function full_disk() returns trigger language plpgsql as $$ begin
            raise exception 'could not extend file' using errcode = 'disk_full'; end $$;
        create trigger full_disk before update on runner_status for each row execute function full_disk()";
    client.batch_execute(full).await.unwrap();
    assert!(store.runner_finished(http::SHADOW_RUNNER, None, &Value::Null).await.is_err());
    tokio::time::sleep(Duration::from_millis(300)).await;
    let (status, health) = get("/sg-ai/health").await;
    assert!(status == 503 && health.contains("its disk is full"), "{health}");
    assert_eq!(get("/sg-ai/health/database").await.0, 503);
    client.batch_execute("drop trigger full_disk on runner_status").await.unwrap();
    store.runner_finished(http::SHADOW_RUNNER, None, &Value::Null).await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(get("/sg-ai/health").await.0, 200);

    store.close();
    // Longer than one snapshot is shared.
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(get("/sg-ai/health").await.0, 503);
    assert!(get("/metrics").await.1.contains("sg_ai_database_up 0\n"));
    stop.cancel();
    server.drain(Duration::from_secs(10)).await;
}
