//! The loop of paper trading.

use super::noted::noted;
use crate::daemon::runtime::supervisor::Activation;
use crate::usecases::paper::PaperRunner;
use crate::usecases::parts::Did;
use async_trait::async_trait;
use http::SHADOW_RUNNER;
use std::time::{Duration, Instant};
use store::Store;
use telemetry::metrics;
use tokio_util::sync::CancellationToken;

/// Extends paper trading.
pub(crate) struct Shadow {
    pub(crate) store: Store,
    pub(crate) runner: PaperRunner,
    pub(crate) period: Duration,
}

#[async_trait]
impl Activation for Shadow {
    fn name(&self) -> &'static str {
        SHADOW_RUNNER
    }
    fn period(&self) -> Duration {
        self.period
    }
    async fn run(&mut self, _: &CancellationToken) -> anyhow::Result<()> {
        let began = Instant::now();
        if noted(&self.store, SHADOW_RUNNER, self.runner.activate()).await? == Did::Work {
            metrics::SHADOW_PASS_SECONDS.record(began.elapsed());
        }
        Ok(())
    }
}
