//! Trouble that does not pass: a parked loop becomes a dead letter and a notification. Sends nothing: it goes to the
//! outbox.

use super::runtime::supervisor::Event;
use crate::usecases::parts::Process;
use notify::{Channel, Notice, Trouble};
use serde_json::json;
use store::{DeadLetterKind, NewDeadLetter, NewEvent, StoreError};

/// Notes a loop that was parked: as a dead letter, and as a message to whoever is told of events.
pub(crate) async fn report_trouble(process: &Process, event: &Event, now_ms: i64) {
    let Event::Parked { name, failures, error } = event else { return };
    let letter = NewDeadLetter {
        kind: DeadLetterKind::Step,
        subject: (*name).to_owned(),
        error: error.clone(),
        genome: None,
        context: json!({ "failures": failures }),
    };
    let stored = async {
        process.store.add_dead_letter(&letter).await?;
        for event in trouble_events(event, &process.channels, now_ms) {
            process.store.enqueue_event(&event).await?;
        }
        Ok::<_, StoreError>(())
    };
    if let Err(error) = stored.await {
        tracing::error!(step = name, %error, "cannot store that a step is parked");
    }
}

/// The events to store for what the supervisor reported: one an hour and step that is parked.
fn trouble_events(event: &Event, channels: &[Channel], now_ms: i64) -> Vec<NewEvent> {
    let Event::Parked { name, failures, error } = event else { return Vec::new() };
    let trouble = Trouble { step: (*name).into(), error: error.clone(), failures: *failures, at_ms: now_ms };
    let key = trouble.key();
    Notice::SystemError(trouble).events(&key, channels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parked_step_is_told_of_once_an_hour() {
        let parked = |failures| Event::Parked { name: "shadow", failures, error: "no".into() };
        let hour = 3_600_000;
        let first = trouble_events(&parked(5), &Channel::ALL, 10 * hour);
        assert_eq!(first.len(), 2);
        assert_eq!(first[0].key, trouble_events(&parked(6), &Channel::ALL, 11 * hour - 1)[0].key);
        assert_ne!(first[0].key, trouble_events(&parked(7), &Channel::ALL, 11 * hour)[0].key);
        let failed = Event::Failed { name: "shadow", failures: 1, error: "no".into() };
        assert!(trouble_events(&failed, &Channel::ALL, 0).is_empty());
    }
}
