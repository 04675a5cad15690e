//! The loop that verifies the audit trail. Mends nothing: it says so loudly when the trail does not hold.

use crate::daemon::runtime::supervisor::Activation;
use crate::daemon::trouble::is_unreachable;
use crate::usecases::audit_anchors::AuditAnchors;
use crate::usecases::parts::Did;
use async_trait::async_trait;
use http::AUDIT_RUNNER;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use store::Store;
use tokio_util::sync::CancellationToken;

/// Verifies the audit trail.
pub(crate) struct AuditWatch {
    pub(crate) store: Store,
    /// Notes of the head from outside the database: a tail that was cut off is missed.
    pub(crate) anchors: Arc<AuditAnchors>,
    pub(crate) period: Duration,
}

#[async_trait]
impl Activation for AuditWatch {
    fn name(&self) -> &'static str {
        AUDIT_RUNNER
    }
    fn period(&self) -> Duration {
        self.period
    }
    async fn run(&mut self, _: &CancellationToken) -> anyhow::Result<()> {
        // Where nothing is noted yet, it is before it is asked for. What keeps it from being noted, the verification tells.
        if let Err(error) = self.anchors.note(false, "daemon").await
            && is_unreachable(&error)
        {
            return Err(error);
        }
        // Read before the trail is: what is noted meanwhile may be newer than what is verified.
        let noted = self.anchors.read().await?;
        let report = self.store.verify_audit_chain_against(&noted).await?;
        if let Some(bad) = &report.first_bad {
            tracing::error!(entry = bad.id, problem = bad.problem, "the audit trail does not hold");
        }
        let detail = json!({
            "holds": report.first_bad.is_none(),
            "entries": report.entries,
            "first_bad": report.first_bad,
            "did": Did::Work.name(),
        });
        Ok(self.store.runner_finished(AUDIT_RUNNER, None, &detail).await?)
    }
}
