//! The loop that sends notices: the outbox at short intervals. Decides nothing, waits for nobody.

use super::supervisor::{Activation, Event};
use anyhow::Context;
use async_trait::async_trait;
use notify::{Channel, Deliverer, DelivererError, Notice, NotifyConfig, Round, Trouble};
use std::time::Duration;
use store::{NewEvent, Store};
use tokio_util::sync::CancellationToken;

/// Delivers what waits in the outbox.
pub struct OutboxLoop {
    store: Store,
    deliverer: Deliverer,
    period: Duration,
}

impl OutboxLoop {
    /// A loop for the configured webhooks.
    ///
    /// # Errors
    /// When the system has no usable TLS certificates.
    pub fn new(store: Store, config: &NotifyConfig) -> Result<Self, DelivererError> {
        let period = Duration::from_millis(config.poll_interval_ms);
        Ok(Self { store, deliverer: Deliverer::new(config)?, period })
    }
}

#[async_trait]
impl Activation for OutboxLoop {
    fn name(&self) -> &'static str {
        "outbox"
    }

    fn period(&self) -> Duration {
        self.period
    }

    async fn run(&mut self, stop: &CancellationToken) -> anyhow::Result<()> {
        // Until nothing more is delivered, so that a burst does not wait for the next period.
        while !stop.is_cancelled() {
            let Round { delivered, .. } = self.deliverer.deliver_once(&self.store, stop).await.context("outbox")?;
            if delivered == 0 {
                break;
            }
        }
        Ok(())
    }
}

/// The events to store for what the supervisor reported: one an hour and step that is parked.
#[must_use]
pub fn trouble_events(event: &Event, channels: &[Channel], now_ms: i64) -> Vec<NewEvent> {
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
