//! The loop that sends notices: the outbox at short intervals. Decides nothing, waits for nobody.

use crate::daemon::runtime::supervisor::Activation;
use anyhow::Context;
use async_trait::async_trait;
use notify::{Deliverer, DelivererError, NotifyConfig, Round};
use std::time::Duration;
use store::Store;
use tokio_util::sync::CancellationToken;

/// Delivers what waits in the outbox.
pub(crate) struct OutboxLoop {
    store: Store,
    deliverer: Deliverer,
    period: Duration,
}

impl OutboxLoop {
    /// A loop for the configured webhooks.
    ///
    /// # Errors
    /// When the system has no usable TLS certificates.
    pub(crate) fn new(store: Store, config: &NotifyConfig) -> Result<Self, DelivererError> {
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

    fn may_rest(&self) -> bool {
        // It carries the news of everybody else's trouble.
        false
    }
}
