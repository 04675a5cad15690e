//! The loop that looks for revised candles.

use crate::daemon::runtime::supervisor::Activation;
use crate::usecases::revision_watch::RevisionWatch;
use async_trait::async_trait;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Looks for revised candles and deals with them.
pub(crate) struct Revisions {
    pub(crate) watch: RevisionWatch,
    pub(crate) period: Duration,
}

#[async_trait]
impl Activation for Revisions {
    fn name(&self) -> &'static str {
        "revisions"
    }
    fn period(&self) -> Duration {
        self.period
    }
    async fn run(&mut self, _: &CancellationToken) -> anyhow::Result<()> {
        self.watch.activate().await.map(drop)
    }
}
