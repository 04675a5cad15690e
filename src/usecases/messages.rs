//! What is told of a transition: the messages that it brings. Sends nothing: it goes to the outbox.

use notify::{Channel, Notice};
use store::TransitionRecord;

/// Gives a transition the messages that it brings, so that both are stored together.
pub(crate) fn announce(channels: &[Channel], record: &mut TransitionRecord, name: &str, text: &str) {
    if let Some(notice) = Notice::of_transition(record, name, text) {
        // A strategy makes one move at one market time: the key names the event for ever.
        let key = format!("{}:{}:{}", notice.kind(), record.strategy_id, record.at_market_ms);
        record.events = notice.events(&key, channels);
    }
}
