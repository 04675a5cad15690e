//! The loops that send notices: the outbox at short intervals, the summary once a day. Decides nothing, waits for nobody.

use super::supervisor::{Activation, Event};
use crate::{
    clock::Clock,
    config::NotifyConfig,
    notify::{Channel, Deliverer, DelivererError, Notice, Round, Trouble, due_day, enqueue_daily_summary},
    store::{NewEvent, Store},
};
use anyhow::Context;
use async_trait::async_trait;
use chrono::{DateTime, NaiveDate};
use std::{sync::Arc, time::Duration};
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
            let Round { delivered, .. } = self.deliverer.deliver_once(&self.store).await.context("outbox")?;
            if delivered == 0 {
                break;
            }
        }
        Ok(())
    }
}

/// Stores the daily summary once its hour has come.
pub struct SummaryLoop {
    store: Store,
    channels: Vec<Channel>,
    hour_utc: u32,
    clock: Arc<dyn Clock>,
    done: Option<NaiveDate>,
}

impl SummaryLoop {
    /// A loop for the configured webhooks.
    #[must_use]
    pub fn new(store: Store, config: &NotifyConfig, clock: Arc<dyn Clock>) -> Self {
        let hour_utc = config.daily_summary_hour_utc;
        Self { store, channels: Channel::configured(config), hour_utc, clock, done: None }
    }
}

#[async_trait]
impl Activation for SummaryLoop {
    fn name(&self) -> &'static str {
        "summary"
    }

    fn period(&self) -> Duration {
        Duration::from_secs(60)
    }

    async fn run(&mut self, _: &CancellationToken) -> anyhow::Result<()> {
        let now = DateTime::from_timestamp_millis(self.clock.now_ms()).context("the clock is outside the calendar")?;
        let Some(day) = due_day(now, self.hour_utc) else { return Ok(()) };
        if self.channels.is_empty() || self.done == Some(day) {
            return Ok(());
        }
        enqueue_daily_summary(&self.store, &self.channels, day, now).await.context("daily summary")?;
        self.done = Some(day);
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
