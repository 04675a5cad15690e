//! What happens now, as server-sent events: one look at the store a second, however many listen; none while nobody does.

use super::{api::Api, health::assess, stats::Stats};
use axum::{
    extract::State,
    response::sse::{Event, KeepAlive, Sse},
};
use futures::{Stream, StreamExt};
use serde_json::{Value, json};
use std::{
    convert::Infallible,
    sync::{Arc, Weak},
    time::Duration,
};
use store::Page;
use tokio::sync::broadcast;

/// Between two looks.
const LOOK: Duration = Duration::from_secs(1);

/// Looks for as long as the API lives.
pub(super) fn watch(api: &Arc<Api>) {
    let api = Arc::downgrade(api);
    tokio::spawn(async move { look(&api).await });
}

async fn look(api: &Weak<Api>) {
    let (mut seen, mut generation, mut numbers, mut health) = (None, None, Value::Null, Value::Null);
    loop {
        tokio::time::sleep(LOOK).await;
        let Some(api) = api.upgrade() else { return };
        if !api.events.has_listeners() {
            // Who listens later reads everything first.
            seen = None;
            continue;
        }
        let tell = |kind, data: Value| api.events.tell(kind, data.to_string());
        let after = match seen {
            Some(after) => after,
            None => match api.store.recent_transitions(Page::first(1)).await {
                Ok(newest) => newest.first().map_or(0, |t| t.seq),
                Err(_) => continue,
            },
        };
        seen = Some(after);
        if let Ok(news) = api.store.transitions_after(after, 200).await {
            for t in news {
                seen = Some(t.seq);
                tell(
                    "transition",
                    json!({
                        "seq": t.seq, "strategy": t.strategy_name, "strategy_uuid": t.strategy_id, "from": t.from,
                        "to": t.to, "summary": t.summary, "actor": t.actor, "at_ms": t.at_market_ms, "at": t.created_at,
                    }),
                );
            }
        }
        if let Ok(newest) = api.store.recent_generations(Page::first(1)).await
            && let Some(g) = newest.first()
            && generation != Some((g.session_id, g.number))
        {
            generation = Some((g.session_id, g.number));
            tell("generation", json!(g));
        }
        let read = api.reader.read().await;
        let now = json!(assess(&read, api.health_limits, api.started_ms, api.clock.now_ms()));
        if told_of(&now) != told_of(&health) {
            tell("health", now.clone());
            health = now;
        }
        if let Ok(snapshot) = read {
            let now = json!(Stats::from(snapshot));
            if now != numbers {
                tell("stats", now.clone());
                numbers = now;
            }
        }
    }
}

/// What is told of health once: ages, which grow by themselves, left out.
fn told_of(health: &Value) -> Vec<(&str, &Value)> {
    let checks = health["checks"].as_object().into_iter().flatten();
    let checks = checks.map(|(name, check)| (name.as_str(), &check["status"]));
    std::iter::once(("status", &health["status"])).chain(checks).collect()
}

/// What happens now, as server-sent events: transition, generation, stats, health; `behind` says that some were missed
#[utoipa::path(get, path = "/api/events", tag = "read",
    responses((status = 200, description = "Events without an end", content_type = "text/event-stream", body = String)))]
pub(super) async fn events(State(api): State<Arc<Api>>) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let listening = api.events.listen();
    let stream = futures::stream::unfold(listening, async |mut listening| {
        let event = match listening.recv().await {
            Ok(happened) => Event::default().event(happened.kind).data(&*happened.data),
            Err(broadcast::error::RecvError::Lagged(_)) => Event::default().event("behind").data("{}"),
            Err(broadcast::error::RecvError::Closed) => return None,
        };
        Some((Ok(event), listening))
    });
    // A stream without an end must not hold up the end of the daemon.
    let stream = stream.take_until(api.stop.clone().cancelled_owned());
    Sse::new(stream).keep_alive(KeepAlive::new().interval(Duration::from_secs(15)))
}
