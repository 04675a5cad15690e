//! Delivery over real sockets: receivers that take, refuse, stumble, ask to wait, or never answer.

use super::*;
use async_trait::async_trait;
use axum::{
    Json, Router,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::post,
};
use serde_json::Value;
use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex},
};
use store::{ClaimedEvent, Delivery, NewEvent, StoreError};
use tokio_util::sync::CancellationToken;

/// An outbox in memory. Waits are noted, not waited for: a retried event is due again at once.
#[derive(Default)]
struct Memory {
    due: Mutex<VecDeque<ClaimedEvent>>,
    delivered: Mutex<Vec<i64>>,
    failed: Mutex<Vec<(i64, String, Delivery)>>,
    /// How many marks fail before one succeeds.
    stumbles: Mutex<u32>,
    /// Cancelled by the first delivery, if it is to be.
    stop_at_first: Option<CancellationToken>,
}

#[async_trait]
impl Outbox for Memory {
    async fn claim(&self, limit: u32, _: u32) -> Result<Vec<ClaimedEvent>, StoreError> {
        let mut due = self.due.lock().unwrap();
        let count = due.len().min(limit as usize);
        let claimed = due.drain(..count).map(|event| ClaimedEvent { attempt: event.attempt + 1, ..event });
        Ok(claimed.collect())
    }

    async fn delivered(&self, event: &ClaimedEvent) -> Result<(), StoreError> {
        let mut stumbles = self.stumbles.lock().unwrap();
        if *stumbles > 0 {
            *stumbles -= 1;
            return Err(StoreError::Unreachable("just now".into()));
        }
        self.delivered.lock().unwrap().push(event.id);
        self.stop_at_first.iter().for_each(CancellationToken::cancel);
        Ok(())
    }

    async fn failed(&self, event: &ClaimedEvent, error: &str, then: Delivery) -> Result<(), StoreError> {
        self.failed.lock().unwrap().push((event.id, error.to_owned(), then));
        if then != Delivery::GiveUp {
            self.due.lock().unwrap().push_back(event.clone());
        }
        Ok(())
    }
}

impl Memory {
    fn with(count: i64, channel: Channel) -> Self {
        let memory = Self::default();
        for id in 1..=count {
            let trouble = Trouble { step: "shadow".into(), error: format!("error {id}"), failures: 3, at_ms: 0 };
            let event = Notice::SystemError(trouble).events(&format!("key:{id}"), &[channel]).remove(0);
            memory.push(id, event);
        }
        memory
    }

    fn push(&self, id: i64, event: NewEvent) {
        let created_at = chrono::DateTime::UNIX_EPOCH;
        self.due.lock().unwrap().push_back(ClaimedEvent { id, event, attempt: 0, created_at });
    }

    fn failures(&self) -> Vec<(i64, String, Delivery)> {
        self.failed.lock().unwrap().clone()
    }
}

/// A status and what `Retry-After` says; 0 never answers, and a success says `ok` unless it is that of a page.
type Answer = (u16, Option<&'static str>);
/// In place of `Retry-After`: a success that is a page.
const PAGE: &str = "page";

#[derive(Clone)]
struct Receiver {
    /// The last answer is repeated.
    script: Arc<Mutex<VecDeque<Answer>>>,
    seen: Arc<Mutex<Vec<Value>>>,
    url: String,
}

async fn receiver(script: Vec<Answer>) -> Receiver {
    async fn answer(
        State(receiver): State<Receiver>,
        Json(body): Json<Value>,
    ) -> (StatusCode, HeaderMap, &'static str) {
        let (status, retry_after) = {
            let mut script = receiver.script.lock().unwrap();
            if script.len() > 1 { script.pop_front().unwrap() } else { script[0] }
        };
        if status == 0 {
            std::future::pending::<()>().await;
        }
        receiver.seen.lock().unwrap().push(body);
        let text = match (status, retry_after) {
            (200, Some(PAGE)) => "<html><body>Please log in</body></html>",
            (200, _) => "ok",
            _ => "",
        };
        let headers = retry_after.map(|text| ("retry-after".parse().unwrap(), text.parse().unwrap()));
        (StatusCode::from_u16(status).unwrap(), headers.into_iter().collect(), text)
    }
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook/s3cr3t", listener.local_addr().unwrap());
    let receiver = Receiver { script: Arc::new(Mutex::new(script.into())), seen: Arc::default(), url };
    let app = Router::new().route("/hook/s3cr3t", post(answer)).with_state(receiver.clone());
    tokio::spawn(async { axum::serve(listener, app).await });
    receiver
}

/// Nobody asks to stop.
fn going() -> CancellationToken {
    CancellationToken::new()
}

fn deliverer(url: &str) -> Deliverer {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let url = (!url.is_empty()).then(|| url.to_owned().into());
    let config = NotifyConfig {
        discord_webhook_url: url.clone(),
        slack_webhook_url: url,
        poll_interval_ms: 1,
        request_timeout_ms: 200,
        max_attempts: 4,
        retry_min_s: 2,
        retry_max_s: 5,
    };
    Deliverer::new(&config).unwrap()
}

#[tokio::test]
async fn events_arrive_once_with_their_keys() {
    let receiver = receiver(vec![(204, None)]).await;
    let memory = Memory::with(12, Channel::Discord);
    let deliverer = deliverer(&receiver.url);
    assert_eq!(deliverer.deliver_once(&memory, &going()).await.unwrap(), Round { delivered: 10, ..Round::default() });
    assert_eq!(deliverer.deliver_once(&memory, &going()).await.unwrap(), Round { delivered: 2, ..Round::default() });
    assert_eq!(deliverer.deliver_once(&memory, &going()).await.unwrap(), Round::default());
    let footer = |body: &Value| body["embeds"][0]["footer"]["text"].as_str().unwrap().to_owned();
    let keys: Vec<_> = receiver.seen.lock().unwrap().iter().map(footer).collect();
    assert_eq!(keys, (1..=12).map(|id| format!("event key:{id}")).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_stop_between_two_events_gives_the_rest_back_untried() {
    let receiver = receiver(vec![(204, None)]).await;
    let stop = CancellationToken::new();
    let memory = Memory { stop_at_first: Some(stop.clone()), ..Memory::with(3, Channel::Discord) };
    let round = deliverer(&receiver.url).deliver_once(&memory, &stop).await.unwrap();
    assert_eq!(round, Round { delivered: 1, ..Round::default() });
    assert_eq!((receiver.seen.lock().unwrap().len(), memory.due.lock().unwrap().len()), (1, 2));
    let untried: Vec<_> = memory.failures().into_iter().map(|(id, _, then)| (id, then)).collect();
    assert_eq!(untried, [(2, Delivery::Defer(0)), (3, Delivery::Defer(0))]);
}

#[tokio::test]
async fn server_errors_back_off_and_then_become_a_dead_letter() {
    let receiver = receiver(vec![(500, None)]).await;
    let memory = Memory::with(1, Channel::Slack);
    let deliverer = deliverer(&receiver.url);
    for _ in 0..4 {
        deliverer.deliver_once(&memory, &going()).await.unwrap();
    }
    let failed = |then| (1, "HTTP 500".to_owned(), then);
    let waits = [Delivery::RetryIn(2), Delivery::RetryIn(4), Delivery::RetryIn(5), Delivery::GiveUp];
    assert_eq!(memory.failures(), waits.map(failed));
    assert_eq!(deliverer.deliver_once(&memory, &going()).await.unwrap(), Round::default());
}

#[tokio::test]
async fn a_server_that_recovers_gets_the_event() {
    let receiver = receiver(vec![(502, None), (200, None)]).await;
    let memory = Memory::with(1, Channel::Slack);
    let deliverer = deliverer(&receiver.url);
    assert_eq!(deliverer.deliver_once(&memory, &going()).await.unwrap(), Round { retried: 1, ..Round::default() });
    assert_eq!(deliverer.deliver_once(&memory, &going()).await.unwrap(), Round { delivered: 1, ..Round::default() });
    assert_eq!(*memory.delivered.lock().unwrap(), [1]);
}

#[tokio::test]
async fn being_asked_to_wait_holds_the_whole_channel_and_uses_up_no_attempts() {
    let receiver = receiver(vec![(429, Some("7"))]).await;
    let memory = Memory::with(3, Channel::Discord);
    let deliverer = deliverer(&receiver.url);
    for _ in 0..6 {
        assert_eq!(deliverer.deliver_once(&memory, &going()).await.unwrap(), Round { retried: 3, ..Round::default() });
    }
    // One request a round: the others of the channel did not even try.
    assert_eq!(receiver.seen.lock().unwrap().len(), 6);
    let count = |wanted| memory.failures().iter().filter(|(_, _, then)| *then == wanted).count();
    assert_eq!((count(Delivery::RetryIn(7)), count(Delivery::Defer(7))), (6, 12), "{:?}", memory.failures());
}

#[tokio::test]
async fn a_receiver_that_never_answers_is_given_up_in_time() {
    let receiver = receiver(vec![(0, None)]).await;
    let memory = Memory::with(1, Channel::Slack);
    deliverer(&receiver.url).deliver_once(&memory, &going()).await.unwrap();
    assert_eq!(memory.failures(), [(1, "timed out".into(), Delivery::RetryIn(2))]);
}

#[tokio::test]
async fn a_body_that_is_refused_is_not_sent_again() {
    let receiver = receiver(vec![(400, None)]).await;
    let memory = Memory::with(1, Channel::Discord);
    deliverer(&receiver.url).deliver_once(&memory, &going()).await.unwrap();
    assert_eq!(memory.failures(), [(1, "HTTP 400".into(), Delivery::GiveUp)]);
}

#[tokio::test]
async fn one_that_is_refused_does_not_hold_up_the_others() {
    for refusal in [400, 413, 422] {
        let receiver = receiver(vec![(refusal, Some("86400")), (204, None)]).await;
        let memory = Memory::with(3, Channel::Discord);
        let round = deliverer(&receiver.url).deliver_once(&memory, &going()).await.unwrap();
        assert_eq!(round, Round { delivered: 2, given_up: 1, ..Round::default() }, "{refusal}");
        assert_eq!(*memory.delivered.lock().unwrap(), [2, 3]);
    }
}

#[tokio::test]
async fn no_server_holds_a_channel_for_a_day() {
    let receiver = receiver(vec![(503, Some("86400"))]).await;
    let memory = Memory::with(2, Channel::Slack);
    deliverer(&receiver.url).deliver_once(&memory, &going()).await.unwrap();
    let waits: Vec<_> = memory.failures().into_iter().map(|(.., then)| then).collect();
    assert_eq!(waits, [Delivery::RetryIn(900), Delivery::Defer(900)]);
}

#[tokio::test]
async fn a_page_is_no_delivery() {
    for channel in Channel::ALL {
        let receiver = receiver(vec![(200, Some(PAGE)), (200, None)]).await;
        let memory = Memory::with(1, channel);
        let deliverer = deliverer(&receiver.url);
        assert_eq!(deliverer.deliver_once(&memory, &going()).await.unwrap(), Round { retried: 1, ..Round::default() });
        let (_, error, then) = memory.failures().remove(0);
        assert!(error.starts_with("HTTP 200 without what") && !error.contains("log in"), "{error}");
        assert_eq!(then, Delivery::RetryIn(2));
        assert_eq!(
            deliverer.deliver_once(&memory, &going()).await.unwrap(),
            Round { delivered: 1, ..Round::default() }
        );
    }
}

#[tokio::test]
async fn errors_never_show_the_webhook() {
    // Nobody listens there.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook/s3cr3t", listener.local_addr().unwrap());
    drop(listener);
    let memory = Memory::with(1, Channel::Slack);
    deliverer(&url).deliver_once(&memory, &going()).await.unwrap();
    let (_, error, then) = memory.failures().remove(0);
    assert!(!error.contains("s3cr3t") && !error.contains("127.0.0.1"), "{error}");
    assert_eq!(then, Delivery::RetryIn(2));
}

#[tokio::test]
async fn a_database_that_stumbles_does_not_make_an_event_arrive_twice() {
    let receiver = receiver(vec![(200, None)]).await;
    let memory = Memory::with(1, Channel::Slack);
    *memory.stumbles.lock().unwrap() = 2;
    let round = deliverer(&receiver.url).deliver_once(&memory, &going()).await.unwrap();
    assert_eq!((round.delivered, receiver.seen.lock().unwrap().len()), (1, 1));
}

#[tokio::test]
async fn what_cannot_be_sent_says_why() {
    let memory = Memory::with(1, Channel::Slack);
    let event =
        |channel: &str, payload| NewEvent { key: "k".into(), kind: "x".into(), channel: channel.into(), payload };
    memory.push(2, event("pigeon", Value::Null));
    memory.push(3, event("slack", serde_json::json!({ "notice": "gossip" })));
    deliverer("").deliver_once(&memory, &going()).await.unwrap();
    let failures: BTreeMap<_, _> = memory.failures().into_iter().map(|(id, error, then)| (id, (error, then))).collect();
    assert_eq!(failures[&1], ("no webhook is configured for slack".into(), Delivery::RetryIn(2)));
    assert_eq!(failures[&2].1, Delivery::GiveUp);
    assert!(failures[&3].0.starts_with("unreadable notice: ") && failures[&3].1 == Delivery::GiveUp);
}

#[test]
fn events_are_stored_for_configured_channels_only() {
    let config = NotifyConfig {
        discord_webhook_url: None,
        slack_webhook_url: Some("https://hooks.example/x".to_owned().into()),
        poll_interval_ms: 1,
        request_timeout_ms: 1,
        max_attempts: 1,
        retry_min_s: 1,
        retry_max_s: 1,
    };
    assert_eq!(Channel::configured(&config), [Channel::Slack]);
}
