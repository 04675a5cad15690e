//! What the process looks at beside its work: room on the disk, the engine's cache, and the audit trail.
//!
//! Mends nothing: it measures, and says so loudly when the trail does not hold.

use super::core::{Core, Did};
use super::supervisor::Activation;
use anyhow::Context as _;
use async_trait::async_trait;
use http::AUDIT_RUNNER;
use serde_json::json;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use store::AnchorFile;
use telemetry::metrics;
use tokio_util::sync::CancellationToken;

/// Measures disk and cache.
pub(super) struct Gauges {
    pub(super) core: Arc<Core>,
    pub(super) data_dir: PathBuf,
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
        let cache = self.core.engine.cache_use();
        metrics::CACHE_BYTES.set(None, cache.bytes as f64);
        metrics::CACHE_HITS_TOTAL.set(cache.hits);
        metrics::CACHE_MISSES_TOTAL.set(cache.misses);
        Ok(())
    }
}

/// Verifies the audit trail.
pub(super) struct AuditWatch {
    pub(super) core: Arc<Core>,
    /// Notes of the head from outside the database: a tail that was cut off is missed.
    pub(super) anchors: AnchorFile,
    pub(super) period: Duration,
}

#[async_trait]
impl Activation for AuditWatch {
    fn name(&self) -> &'static str {
        AUDIT_RUNNER
    }
    fn period(&self) -> Duration {
        self.period
    }
    async fn run(&mut self, _: &CancellationToken) -> anyhow::Result<()> {
        let file = self.anchors.clone();
        // Read before the trail is: what is noted meanwhile may be newer than what is verified.
        let noted = tokio::task::spawn_blocking(move || file.read()).await.context("reading panicked")?;
        let noted = noted.with_context(|| format!("cannot read {}", self.anchors.path().display()))?;
        let report = self.core.store.verify_audit_chain_against(&noted).await?;
        if let Some(bad) = &report.first_bad {
            tracing::error!(entry = bad.id, problem = bad.problem, "the audit trail does not hold");
        }
        let detail = json!({
            "holds": report.first_bad.is_none(),
            "entries": report.entries,
            "first_bad": report.first_bad,
            "did": Did::Work.name(),
        });
        Ok(self.core.store.runner_finished(AUDIT_RUNNER, None, &detail).await?)
    }
}
