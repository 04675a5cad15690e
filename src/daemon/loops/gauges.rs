//! The loop that measures what the process needs beside its work: room on the disk, memory, the engine's cache. Mends nothing.

use crate::daemon::runtime::supervisor::Activation;
use crate::usecases::memory::{MemoryPlan, resident_bytes};
use async_trait::async_trait;
use engine::Engine;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use telemetry::metrics;
use tokio_util::sync::CancellationToken;

/// Measures disk, memory and cache.
pub(crate) struct Gauges {
    pub(crate) engine: Arc<Engine>,
    pub(crate) data_dir: PathBuf,
    pub(crate) memory: Option<MemoryPlan>,
}

#[async_trait]
impl Activation for Gauges {
    fn name(&self) -> &'static str {
        "gauges"
    }
    fn period(&self) -> Duration {
        Duration::from_secs(5)
    }
    async fn run(&mut self, _: &CancellationToken) -> anyhow::Result<()> {
        let disk = nix::sys::statvfs::statvfs(&self.data_dir)?;
        let unit = disk.fragment_size() as f64;
        metrics::DISK_FREE_BYTES.set(Some("data"), disk.blocks_available() as f64 * unit);
        metrics::DISK_SIZE_BYTES.set(Some("data"), disk.blocks() as f64 * unit);
        if let Some(held) = resident_bytes() {
            metrics::MEMORY_BYTES.set(None, held as f64);
        }
        metrics::MEMORY_LIMIT_BYTES.set(None, self.memory.map_or(0, MemoryPlan::limit_bytes) as f64);
        let cache = self.engine.cache_use();
        metrics::CACHE_BYTES.set(None, cache.bytes as f64);
        metrics::CACHE_HITS_TOTAL.set(cache.hits);
        metrics::CACHE_MISSES_TOTAL.set(cache.misses);
        Ok(())
    }
}
