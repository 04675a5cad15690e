//! The loop that notes the audit trail's head outside the database, so that a tail that is cut off is missed.

use crate::daemon::runtime::supervisor::Activation;
use crate::usecases::audit_anchors::AuditAnchors;
use async_trait::async_trait;
use std::{sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;

/// Notes the head whenever it moved, once a minute at most.
pub(crate) struct AnchorLoop(pub(crate) Arc<AuditAnchors>);

#[async_trait]
impl Activation for AnchorLoop {
    fn name(&self) -> &'static str {
        "audit-anchor"
    }

    fn period(&self) -> Duration {
        Duration::from_secs(60)
    }

    async fn run(&mut self, _: &CancellationToken) -> anyhow::Result<()> {
        self.0.note(false, "daemon").await.map(drop)
    }
}
