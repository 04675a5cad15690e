//! What the runners tell the outside: transitions, and trouble that does not pass. Sends nothing: it goes to the outbox.

use super::core::Core;
use super::notifier::trouble_events;
use super::supervisor::Event;
use notify::{Channel, Notice};
use serde_json::json;
use store::{DeadLetterKind, NewDeadLetter, StoreError, TransitionRecord};

/// Gives a transition the messages that it brings, so that both are stored together.
pub fn announce(channels: &[Channel], record: &mut TransitionRecord, name: &str, text: &str) {
    if let Some(notice) = Notice::of_transition(record, name, text) {
        // A strategy makes one move at one market time: the key names the event for ever.
        let key = format!("{}:{}:{}", notice.kind(), record.strategy_id, record.at_market_ms);
        record.events = notice.events(&key, channels);
    }
}

/// Notes a loop that was parked: as a dead letter, and as a message to whoever is told of events.
pub(super) async fn report_trouble(core: &Core, event: &Event, now_ms: i64) {
    let Event::Parked { name, failures, error } = event else { return };
    let letter = NewDeadLetter {
        kind: DeadLetterKind::Step,
        subject: (*name).to_owned(),
        error: error.clone(),
        genome: None,
        context: json!({ "failures": failures }),
    };
    let stored = async {
        core.store.add_dead_letter(&letter).await?;
        for event in trouble_events(event, &core.channels, now_ms) {
            core.store.enqueue_event(&event).await?;
        }
        Ok::<_, StoreError>(())
    };
    if let Err(error) = stored.await {
        tracing::error!(step = name, %error, "cannot store that a step is parked");
    }
}
