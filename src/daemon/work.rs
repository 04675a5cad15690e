//! A process that works for daemons: the store, threads, HTTP for probes and scrapers. Searches, trades and decides nothing of
//! its own.

use super::loops::memory::MemoryWatch;
use super::runtime::stopper::Stopper;
use super::runtime::supervisor::Activation as _;
use crate::config::Config;
use crate::usecases::database::Database;
use crate::usecases::memory::{MemoryPlan, resident_bytes};
use crate::usecases::parts::Compute;
use crate::usecases::shared::{Sharing, grounds::Grounds, own_name, worker::Worker};
use clock::Clock;
use engine::Engine;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use telemetry::metrics;
use tokio_util::sync::CancellationToken;

/// Works until SIGTERM or SIGINT.
///
/// # Errors
/// When something that nothing works without cannot be had: database, place of blobs, threads.
pub(crate) async fn work(
    config: &Config,
    data_dir: &Path,
    clock: &Arc<dyn Clock>,
    slots: u32,
    name: Option<String>,
) -> anyhow::Result<()> {
    metrics::measured();
    let stopper = Stopper::new();
    let _signals = stopper.listen()?;
    let database = Database::open(config).await?;
    let worked = serve(config, data_dir, clock, (slots, name), &database, &stopper).await;
    database.close().await;
    worked
}

async fn serve(
    config: &Config,
    data_dir: &Path,
    clock: &Arc<dyn Clock>,
    (slots, name): (u32, Option<String>),
    database: &Database,
    stopper: &Stopper,
) -> anyhow::Result<()> {
    let (store, stop) = (&database.store, stopper.token());
    let name = name.unwrap_or_else(|| own_name("worker"));
    let memory = MemoryPlan::of_worker(config, slots)?;
    let mut sharing = Sharing::of_worker(config, data_dir, store, name.clone())?;
    sharing.blobs = sharing.blobs.of_worker(stop.clone(), memory.map(MemoryPlan::room_bytes));
    tokio::select! { () = stop.cancelled() => return Ok(()), checked = sharing.blobs.check() => checked? }
    let threads = rayon::ThreadPoolBuilder::new()
        // 0: one for each processor.
        .num_threads(config.daemon.threads as usize)
        .thread_name(|i| format!("compute-{i}"))
        .build()?;
    let engine = match memory {
        Some(plan) => Engine::within(config.engine.cache_mb, usize::try_from(plan.work_mb)?),
        None => Engine::new(config.engine.cache_mb),
    };
    let compute = Compute { memory, ..Compute::of_work(engine, Arc::new(threads)) };
    let limits = http::Limits {
        generation_interval_s: config.daemon.generation_interval_s,
        shadow_interval_s: config.daemon.shadow_interval_s,
        work_lease_s: config.work.enabled.then_some(config.work.lease_s),
    };
    let router = http::router(Arc::new(store.clone()), None, &config.http, limits, Arc::clone(clock));
    let server = match http::Server::start(&config.http, config.http.port, router, stop.clone()).await {
        Ok(server) => Some(server),
        // A daemon or another worker of this machine may have the port; work does not depend on it.
        Err(error) => {
            tracing::warn!(%error, setting = "http.port", "nobody can ask this worker how it is");
            None
        }
    };
    tracing::info!(name, slots, code_version = crate::CODE_VERSION, "working");
    let engine = Arc::clone(&compute.engine);
    let worker = Worker::new(sharing, compute, slots, stop.clone());
    let watch = memory.map(|plan| tokio::spawn(stay_within(plan, engine, worker.grounds.clone(), stop)));
    let worked = worker.run().await;
    if let Some(watch) = watch {
        watch.abort();
    }
    if let Some(server) = server {
        server.drain(Duration::from_millis(500)).await;
    }
    worked
}

/// Drops what can be had again while the process is near the limit of its memory, until it is stopped.
async fn stay_within(plan: MemoryPlan, engine: Arc<Engine>, grounds: Grounds, stop: CancellationToken) {
    let mut watch = MemoryWatch { engine, plan, was_near: false };
    loop {
        // A look that fails says nothing.
        let _ = watch.run(&stop).await;
        if resident_bytes().is_some_and(|held| plan.is_near(held)) {
            grounds.forget();
        }
        tokio::select! { () = stop.cancelled() => return, () = tokio::time::sleep(watch.period()) => {} }
    }
}
