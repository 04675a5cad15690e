//! Delivers what waits in the outbox: claim, post, mark.
//!
//! At most one process holds an event at a time, and an event that was answered with success is marked before
//! anything else is done; only an answer lost on the way can lead to a second delivery, which the event's key in the
//! body makes recognisable. Webhook addresses are secrets: they appear in no error, log or dead letter.

use super::{Channel, Notice, render};
use crate::NotifyConfig;
use async_trait::async_trait;
use backon::{ExponentialBuilder, Retryable};
use reqwest::{StatusCode, header::RETRY_AFTER, redirect};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use store::{ClaimedEvent, DeadLetterKind, Delivery, NewDeadLetter, Store, StoreError};
use telemetry::metrics::DELIVERIES_TOTAL;
use tokio_util::sync::CancellationToken;

/// The part of the store that delivery needs.
#[async_trait]
pub trait Outbox: Send + Sync {
    /// Claims up to `limit` due events for `claim_s` seconds.
    ///
    /// # Errors
    /// When the database does not answer.
    async fn claim(&self, limit: u32, claim_s: u32) -> Result<Vec<ClaimedEvent>, StoreError>;
    /// Notes that an event arrived.
    ///
    /// # Errors
    /// When the database does not answer.
    async fn delivered(&self, event: &ClaimedEvent) -> Result<(), StoreError>;
    /// Notes that an attempt failed; what is given up becomes a dead letter.
    ///
    /// # Errors
    /// When the database does not answer.
    async fn failed(&self, event: &ClaimedEvent, error: &str, then: Delivery) -> Result<(), StoreError>;
}

#[async_trait]
impl Outbox for Store {
    async fn claim(&self, limit: u32, claim_s: u32) -> Result<Vec<ClaimedEvent>, StoreError> {
        self.claim_outbox(limit, claim_s).await
    }

    async fn delivered(&self, event: &ClaimedEvent) -> Result<(), StoreError> {
        self.mark_delivered(event.id).await
    }

    async fn failed(&self, event: &ClaimedEvent, error: &str, then: Delivery) -> Result<(), StoreError> {
        if then == Delivery::GiveUp {
            let letter = NewDeadLetter {
                kind: DeadLetterKind::Notification,
                subject: format!("{}:{}", event.event.channel, event.event.key),
                error: error.to_owned(),
                genome: None,
                // Whose it was and no rules: those are sealed where they are stored.
                context: json!({
                    "kind": event.event.kind,
                    "strategy_id": event.event.payload.get("strategy_id"),
                    "name": event.event.payload.get("name"),
                }),
            };
            // Before the mark: a crash in between repeats the letter, which is the same row, rather than losing it.
            self.add_dead_letter(&letter).await?;
        }
        self.mark_failed(event, error, then).await
    }
}

/// What one round did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Round {
    pub delivered: u32,
    pub retried: u32,
    pub given_up: u32,
}

/// Why there can be no deliverer.
#[derive(Debug, thiserror::Error)]
#[error("cannot build the HTTP client for notifications: {0}")]
pub struct DelivererError(String);

/// Posts events to the configured webhooks.
pub struct Deliverer {
    client: reqwest::Client,
    hooks: BTreeMap<Channel, SecretString>,
    timeout: Duration,
    max_attempts: u32,
    retry_min_s: u64,
    retry_max_s: u64,
}

/// Events claimed at once.
const BATCH: u32 = 10;
/// Longest wait that a server may ask for, seconds: what goes live tonight is not told of tomorrow.
const LONGEST_RETRY_AFTER_S: u64 = 900;
/// Of an answer that says success, as much is read as tells whether a webhook gave it, bytes.
const LONGEST_ANSWER: usize = 16 << 10;

/// How an attempt failed.
struct Failure {
    error: String,
    /// What the server asked us to wait.
    retry_after_s: Option<u64>,
    /// The same body will never be taken.
    hopeless: bool,
}

impl Deliverer {
    /// A deliverer for the webhooks that are configured.
    ///
    /// # Errors
    /// When the system has no usable TLS certificates.
    pub fn new(config: &NotifyConfig) -> Result<Self, DelivererError> {
        // A webhook that redirects would be handed our secret path; none does.
        let builder = reqwest::Client::builder().redirect(redirect::Policy::none());
        let timeout = Duration::from_millis(config.request_timeout_ms);
        let client = builder.timeout(timeout).user_agent(concat!("sg-ai/", env!("CARGO_PKG_VERSION"))).build();
        let client = client.map_err(|error| DelivererError(error.without_url().to_string()))?;
        let hooks = [
            (Channel::Discord, config.discord_webhook_url.clone()),
            (Channel::Slack, config.slack_webhook_url.clone()),
        ];
        Ok(Self {
            client,
            hooks: hooks.into_iter().filter_map(|(channel, hook)| Some((channel, hook?))).collect(),
            timeout,
            max_attempts: config.max_attempts,
            retry_min_s: config.retry_min_s,
            retry_max_s: config.retry_max_s,
        })
    }

    /// Claims what is due, once, and delivers it. Call it again while it delivers anything. When `stop` is cancelled
    /// between two events, the rest is given back untried.
    ///
    /// # Errors
    /// When the database does not answer; claims then run out by themselves and the events are delivered later.
    pub async fn deliver_once(&self, outbox: &dyn Outbox, stop: &CancellationToken) -> Result<Round, StoreError> {
        // Long enough that no claim runs out while its event is being posted.
        let claim_s = u64::from(BATCH) * self.timeout.as_secs().max(1) + 60;
        let events = outbox.claim(BATCH, u32::try_from(claim_s).unwrap_or(u32::MAX)).await?;
        let (mut round, mut busy) = (Round::default(), BTreeSet::new());
        for event in events {
            if stop.is_cancelled() {
                outbox.failed(&event, "not tried: the daemon stops", Delivery::Defer(0)).await?;
                continue;
            }
            if let Some((_, wait_s)) = busy.iter().find(|(channel, _)| *channel == event.event.channel) {
                outbox.failed(&event, "the channel asked to wait", Delivery::Defer(*wait_s)).await?;
                round.retried += 1;
                continue;
            }
            match self.post(&event).await {
                Ok(()) => {
                    mark_delivered(outbox, &event).await?;
                    DELIVERIES_TOTAL.increment("delivered");
                    round.delivered += 1;
                }
                Err(failure) => {
                    let then = self.after(&event, &failure);
                    let (channel, key) = (&event.event.channel, &event.event.key);
                    let (error, attempt) = (&failure.error, event.attempt);
                    if then == Delivery::GiveUp {
                        tracing::error!(channel, key, attempt, error, "notification given up");
                        DELIVERIES_TOTAL.increment("given_up");
                        round.given_up += 1;
                    } else {
                        tracing::warn!(channel, key, attempt, error, "notification not delivered, will retry");
                        DELIVERIES_TOTAL.increment("retried");
                        round.retried += 1;
                    }
                    busy.extend(failure.retry_after_s.map(|wait_s| (channel.clone(), wait_s)));
                    outbox.failed(&event, error, then).await?;
                }
            }
        }
        Ok(round)
    }

    fn after(&self, event: &ClaimedEvent, failure: &Failure) -> Delivery {
        // Being asked to wait is not a failure of the event: it does not use up its attempts.
        if failure.hopeless || (event.attempt >= self.max_attempts && failure.retry_after_s.is_none()) {
            return Delivery::GiveUp;
        }
        let doublings = event.attempt.saturating_sub(1).min(32);
        let backoff_s = self.retry_min_s.saturating_mul(1 << doublings).min(self.retry_max_s);
        Delivery::RetryIn(failure.retry_after_s.map_or(backoff_s, |asked_s| asked_s.max(backoff_s)))
    }

    async fn post(&self, event: &ClaimedEvent) -> Result<(), Failure> {
        let hopeless = |error: String| Failure { error, retry_after_s: None, hopeless: true };
        let passing = |error: String| Failure { error, retry_after_s: None, hopeless: false };
        let channel: Channel = event.event.channel.parse().map_err(hopeless)?;
        let notice: Notice = serde_json::from_value(event.event.payload.clone())
            .map_err(|error| hopeless(format!("unreadable notice: {error}")))?;
        // Somebody may yet configure it.
        let hook =
            self.hooks.get(&channel).ok_or_else(|| passing(format!("no webhook is configured for {channel}")))?;
        let body = render(channel, &notice, &event.event.key);
        let sent = self.client.post(hook.expose_secret()).json(&body).send().await;
        let broken = |error: reqwest::Error| {
            let what = if error.is_timeout() { "timed out".to_owned() } else { describe(&error.without_url()) };
            passing(what)
        };
        let mut response = sent.map_err(broken)?;
        let status = response.status();
        if status.is_success() {
            let mut answer = Vec::new();
            while let Some(part) = response.chunk().await.map_err(broken)? {
                answer.extend_from_slice(&part);
                if answer.len() > LONGEST_ANSWER {
                    break;
                }
            }
            let code = status.as_u16();
            return if took_it(status, &answer) {
                Ok(())
            } else {
                Err(passing(format!("HTTP {code} without what {channel} answers: something else is at the address")))
            };
        }
        let asked = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let waits = status == StatusCode::TOO_MANY_REQUESTS || status == StatusCode::SERVICE_UNAVAILABLE;
        let refused = [StatusCode::BAD_REQUEST, StatusCode::PAYLOAD_TOO_LARGE, StatusCode::UNPROCESSABLE_ENTITY];
        Err(Failure {
            error: format!("HTTP {}", status.as_u16()),
            retry_after_s: asked.filter(|_| waits).and_then(|text| retry_after_s(text, chrono::Utc::now())),
            hopeless: refused.contains(&status),
        })
    }
}

/// Whether a success is one of the webhook: a portal's, proxy's or login's page is not. Discord answers with nothing or
/// with the message, Slack with `ok`; what takes either's messages in their place may answer with JSON, too.
fn took_it(status: StatusCode, answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer);
    let is_ok = text.trim().eq_ignore_ascii_case("ok");
    let nothing = status == StatusCode::NO_CONTENT;
    // The message may be long: it begins as an object and was not read to its end.
    let object = match serde_json::from_slice::<serde_json::Value>(answer) {
        Ok(value) => {
            let denied = |key| value.get(key) == Some(&serde_json::Value::Bool(false));
            value.is_object() && !denied("ok") && !denied("success")
        }
        Err(_) => answer.len() > LONGEST_ANSWER && text.trim_start().starts_with("{\""),
    };
    nothing || is_ok || object
}

/// The event arrived; a database that stumbles just now must not make it arrive twice.
async fn mark_delivered(outbox: &dyn Outbox, event: &ClaimedEvent) -> Result<(), StoreError> {
    let backoff = ExponentialBuilder::new().with_min_delay(Duration::from_millis(100)).with_max_times(5);
    (|| outbox.delivered(event)).retry(backoff).when(StoreError::is_transient).await
}

/// An error with its causes, without the address it was sent to.
fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// `Retry-After` in seconds: a number, rounded up, or a date.
fn retry_after_s(text: &str, now: chrono::DateTime<chrono::Utc>) -> Option<u64> {
    let seconds = match text.trim().parse::<f64>() {
        Ok(seconds) => seconds,
        Err(_) => {
            let at = chrono::DateTime::parse_from_rfc2822(text.trim()).ok()?;
            (at.to_utc() - now).num_milliseconds() as f64 / 1000.0
        }
    };
    // A float cast saturates: negative becomes 0, and NaN, too.
    Some((seconds.ceil() as u64).min(LONGEST_RETRY_AFTER_S))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_webhook_answers_is_a_delivery() {
        let took = |status: u16, answer: &str| took_it(StatusCode::from_u16(status).unwrap(), answer.as_bytes());
        assert!(took(204, "") && took(200, r#"{"id": "1"}"#), "Discord");
        assert!(took(200, "ok") && took(200, "ok\n") && took(200, r#"{"success": true}"#), "Slack and others");
        assert!(took(200, &format!("{{\"content\": \"{}", "x".repeat(LONGEST_ANSWER))), "cut off");
        for answer in ["<html>Log in</html>", "<!doctype html>ok", "", "[]", "\"ok\"", r#"{"ok": false}"#, "{\"cut"] {
            assert!(!took(200, answer), "{answer}");
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = chrono::DateTime::parse_from_rfc3339("2025-11-29T20:45:00Z").unwrap().to_utc();
        assert_eq!(retry_after_s("3", now), Some(3));
        assert_eq!(retry_after_s("0.65", now), Some(1));
        assert_eq!(retry_after_s("Sat, 29 Nov 2025 20:45:30 GMT", now), Some(30));
        assert_eq!(retry_after_s("Sat, 29 Nov 2025 20:44:30 GMT", now), Some(0));
        for long in ["86400", "1e30", "Sun, 30 Nov 2025 20:45:00 GMT"] {
            assert_eq!(retry_after_s(long, now), Some(LONGEST_RETRY_AFTER_S), "{long}");
        }
        assert_eq!(retry_after_s("soon", now), None);
    }
}
