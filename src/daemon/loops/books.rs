//! The loop of the book.

use super::noted::noted;
use crate::daemon::runtime::supervisor::Activation;
use crate::usecases::book::BookRunner;
use async_trait::async_trait;
use http::BOOK_RUNNER;
use std::time::Duration;
use store::Store;
use tokio_util::sync::CancellationToken;

/// Walks the book.
pub(crate) struct Books {
    pub(crate) store: Store,
    pub(crate) runner: BookRunner,
    pub(crate) period: Duration,
}

#[async_trait]
impl Activation for Books {
    fn name(&self) -> &'static str {
        BOOK_RUNNER
    }
    fn period(&self) -> Duration {
        self.period
    }
    async fn run(&mut self, _: &CancellationToken) -> anyhow::Result<()> {
        noted(&self.store, BOOK_RUNNER, self.runner.activate()).await.map(drop)
    }
}
