//! The loop that looks after live deployments.

use super::noted::noted;
use crate::daemon::runtime::supervisor::Activation;
use crate::usecases::deployments::{DEPLOYMENTS, DeploymentManager};
use async_trait::async_trait;
use std::time::Duration;
use store::Store;
use tokio_util::sync::CancellationToken;

/// Looks after live deployments.
pub(crate) struct Deployments {
    pub(crate) store: Store,
    pub(crate) manager: DeploymentManager,
    pub(crate) period: Duration,
}

#[async_trait]
impl Activation for Deployments {
    fn name(&self) -> &'static str {
        DEPLOYMENTS
    }
    fn period(&self) -> Duration {
        self.period
    }
    async fn run(&mut self, _: &CancellationToken) -> anyhow::Result<()> {
        noted(&self.store, DEPLOYMENTS, self.manager.activate()).await.map(drop)
    }
}
