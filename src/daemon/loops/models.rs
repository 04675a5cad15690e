//! The loop that watches models.

use super::noted::noted;
use crate::daemon::runtime::supervisor::Activation;
use crate::usecases::model_watch::{MODEL_WATCH, ModelWatch};
use async_trait::async_trait;
use std::time::Duration;
use store::Store;
use tokio_util::sync::CancellationToken;

/// Watches models.
pub(crate) struct Models {
    pub(crate) store: Store,
    pub(crate) watch: ModelWatch,
    pub(crate) period: Duration,
}

#[async_trait]
impl Activation for Models {
    fn name(&self) -> &'static str {
        MODEL_WATCH
    }
    fn period(&self) -> Duration {
        self.period
    }
    async fn run(&mut self, _: &CancellationToken) -> anyhow::Result<()> {
        noted(&self.store, MODEL_WATCH, self.watch.activate()).await.map(drop)
    }
}
