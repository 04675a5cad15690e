//! The runners as loops of the supervisor, with their doings noted in the store for health and stats.

use super::continuous::ContinuousRunner;
use super::core::{Core, Did};
use super::paper::PaperRunner;
use super::supervisor::Activation;
use async_trait::async_trait;
use serde_json::json;
use std::sync::Arc;
use std::time::{Duration, Instant};
use telemetry::metrics;
use tokio_util::sync::CancellationToken;

/// Notes the beginning and the end of an activation. The note is not the work: failing to note fails nothing.
pub(super) async fn noted(
    core: &Core,
    name: &'static str,
    work: impl Future<Output = anyhow::Result<Did>>,
) -> anyhow::Result<Did> {
    // Where it cannot be told whether it rests, it goes on: an operator can stop the process.
    match core.store.pauses().await {
        Ok(pauses) if pauses.iter().any(|pause| pause.runner == name) => {
            if let Err(error) =
                core.store.runner_heartbeat(name, Some(&json!({ "did": "resting: paused by an operator" }))).await
            {
                tracing::warn!(runner = name, %error, "cannot note that it rests");
            }
            return Ok(Did::Nothing);
        }
        _ => {}
    }
    if let Err(error) = core.store.runner_started(name).await {
        tracing::warn!(runner = name, %error, "cannot note the start");
    }
    let outcome = work.await;
    let failure = outcome.as_ref().err().map(|error| format!("{error:#}"));
    let detail = json!({ "did": outcome.as_ref().ok().map(|did| did.name()) });
    if !matches!(outcome, Ok(Did::StoodBy))
        && let Err(error) = core.store.runner_finished(name, failure.as_deref(), &detail).await
    {
        tracing::warn!(runner = name, %error, "cannot note the end");
    }
    outcome
}

/// The continuous runner as a loop: the islands' sessions, one after the other.
pub(super) struct Continuous {
    pub(super) core: Arc<Core>,
    pub(super) islands: Vec<ContinuousRunner>,
    pub(super) period: Duration,
}

#[async_trait]
impl Activation for Continuous {
    fn name(&self) -> &'static str {
        "continuous"
    }
    fn period(&self) -> Duration {
        self.period
    }
    async fn run(&mut self, _: &CancellationToken) -> anyhow::Result<()> {
        // Sessions that fell due one after the other are run one after the other.
        while noted(&self.core, "continuous", each(&mut self.islands)).await? == Did::Work {}
        Ok(())
    }
}

/// Lets every island do what is due; one island's trouble is not the others'.
async fn each(islands: &mut [ContinuousRunner]) -> anyhow::Result<Did> {
    let (mut all, mut failed) = (None, None);
    for island in islands {
        match island.activate().await {
            Ok(Did::Stopped) => return Ok(Did::Stopped),
            Ok(Did::Work) => all = Some(Did::Work),
            Ok(did) => _ = all.get_or_insert(did),
            Err(error) => _ = failed.get_or_insert(error),
        }
    }
    failed.map_or(Ok(all.unwrap_or(Did::Nothing)), Err)
}

/// The shadow runner and the deployment manager as a loop.
pub(super) struct Shadow {
    pub(super) core: Arc<Core>,
    pub(super) runner: PaperRunner,
    pub(super) period: Duration,
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
