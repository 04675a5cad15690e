//! The loop that keeps the process within its memory: near the limit the engine's cache goes. Only where there is a limit.

use crate::daemon::runtime::supervisor::Activation;
use crate::usecases::memory::{MemoryPlan, resident_bytes};
use async_trait::async_trait;
use engine::Engine;
use std::sync::Arc;
use std::time::Duration;
use telemetry::metrics;
use tokio_util::sync::CancellationToken;

/// A cache of less is not worth dropping.
const WORTH_BYTES: usize = 4 << 20;

/// Watches what the process holds.
pub(crate) struct MemoryWatch {
    pub(crate) engine: Arc<Engine>,
    pub(crate) plan: MemoryPlan,
    /// Whether it was near the limit at the last look: it is said once.
    pub(crate) was_near: bool,
}

#[async_trait]
impl Activation for MemoryWatch {
    fn name(&self) -> &'static str {
        "memory"
    }
    fn period(&self) -> Duration {
        Duration::from_millis(250)
    }
    async fn run(&mut self, _: &CancellationToken) -> anyhow::Result<()> {
        let Some(held) = resident_bytes() else { return Ok(()) };
        let is_near = self.plan.is_near(held);
        if is_near && !self.was_near {
            tracing::warn!(
                held_mb = held / 1_000_000,
                limit_mb = self.plan.limit_mb,
                "the process comes near daemon.max_memory_mb: the engine's cache is dropped, what can wait waits"
            );
        }
        self.was_near = is_near;
        // What is freed may stay with the process, for what comes next: then there is nothing left to drop.
        if is_near && self.engine.cache_use().bytes >= WORTH_BYTES {
            self.engine.forget();
            metrics::MEMORY_DROPS_TOTAL.increment();
        }
        Ok(())
    }
}
