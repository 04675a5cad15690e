//! The loop of the daily review.

use super::noted::noted;
use crate::daemon::runtime::supervisor::Activation;
use crate::usecases::review::{REVIEW, ReviewRunner};
use async_trait::async_trait;
use std::time::Duration;
use store::Store;
use tokio_util::sync::CancellationToken;

/// Reviews each day once.
pub(crate) struct Review {
    pub(crate) store: Store,
    pub(crate) runner: ReviewRunner,
    pub(crate) period: Duration,
}

#[async_trait]
impl Activation for Review {
    fn name(&self) -> &'static str {
        REVIEW
    }
    fn period(&self) -> Duration {
        self.period
    }
    async fn run(&mut self, _: &CancellationToken) -> anyhow::Result<()> {
        noted(&self.store, REVIEW, self.runner.activate()).await.map(drop)
    }
}
