//! The loop that keeps the candle cache within its byte budget.

use super::noted::noted;
use crate::daemon::runtime::supervisor::Activation;
use crate::usecases::cache_budget::CacheBudget;
use async_trait::async_trait;
use std::time::Duration;
use store::Store;
use tokio_util::sync::CancellationToken;

/// Keeps the cache within its budget.
pub(crate) struct CacheKeeper {
    pub(crate) store: Store,
    pub(crate) budget: CacheBudget,
    pub(crate) period: Duration,
}

#[async_trait]
impl Activation for CacheKeeper {
    fn name(&self) -> &'static str {
        "cache"
    }
    fn period(&self) -> Duration {
        self.period
    }
    async fn run(&mut self, _: &CancellationToken) -> anyhow::Result<()> {
        noted(&self.store, "cache", self.budget.activate()).await.map(drop)
    }
}
