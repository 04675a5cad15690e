//! The loop that notes the audit trail's head outside the database, so that a tail that is cut off is missed.

use crate::daemon::runtime::supervisor::Activation;
use anyhow::Context;
use async_trait::async_trait;
use chrono::DateTime;
use clock::Clock;
use std::{sync::Arc, time::Duration};
use store::{AnchorFile, Store};
use tokio_util::sync::CancellationToken;

/// Notes the head whenever it moved, once a minute at most.
pub(crate) struct AnchorLoop {
    pub(crate) store: Store,
    pub(crate) file: AnchorFile,
    pub(crate) clock: Arc<dyn Clock>,
}

#[async_trait]
impl Activation for AnchorLoop {
    fn name(&self) -> &'static str {
        "audit-anchor"
    }

    fn period(&self) -> Duration {
        Duration::from_secs(60)
    }

    async fn run(&mut self, _: &CancellationToken) -> anyhow::Result<()> {
        let now = DateTime::from_timestamp_millis(self.clock.now_ms()).context("the clock is outside the calendar")?;
        let head = self.store.audit_head().await?;
        let file = self.file.clone();
        let noted = tokio::task::spawn_blocking(move || file.note(&head, now)).await.context("noting panicked")?;
        noted.with_context(|| format!("cannot note the audit trail's head in {}", self.file.path().display()))?;
        Ok(())
    }
}
