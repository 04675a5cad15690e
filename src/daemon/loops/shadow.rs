//! The loop of paper trading.

use super::noted::noted;
use crate::daemon::runtime::supervisor::Activation;
use crate::usecases::core::{Core, Did};
use crate::usecases::paper::PaperRunner;
use async_trait::async_trait;
use std::sync::Arc;
use std::time::{Duration, Instant};
use telemetry::metrics;
use tokio_util::sync::CancellationToken;

/// Extends paper trading.
pub(crate) struct Shadow {
    pub(crate) core: Arc<Core>,
    pub(crate) runner: PaperRunner,
    pub(crate) period: Duration,
}

#[async_trait]
impl Activation for Shadow {
    fn name(&self) -> &'static str {
        "shadow"
    }
    fn period(&self) -> Duration {
        self.period
    }
    async fn run(&mut self, _: &CancellationToken) -> anyhow::Result<()> {
        let began = Instant::now();
        if noted(&self.core, "shadow", self.runner.activate()).await? == Did::Work {
            metrics::SHADOW_PASS_SECONDS.record(began.elapsed());
        }
        Ok(())
    }
}
