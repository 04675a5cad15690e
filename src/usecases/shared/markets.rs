//! Markets of a calibration, tried together with workers: all are posted, this process works beside them, results are taken up as they
//! come.
//!
//! Counts nothing and prints nothing.

use super::Sharing;
use super::block::batch_of;
use super::worker::{Worker, is_away};
use crate::CODE_VERSION;
use crate::usecases::parts::Compute;
use anyhow::Context as _;
use protocol::CalibrationSettings;
use protocol::calibration::{Job, Tried};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use store::{NewWork, WorkKind};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Between two looks at whether results have come.
const LOOK: Duration = Duration::from_millis(500);
/// Items that are asked for at once.
const CHUNK: usize = 500;

/// A market as it is posted: the blob of what all markets of the calibration are told, and which it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MarketJob {
    pub(crate) task: String,
    pub(crate) job: Job,
}

/// What it takes to try markets.
pub(crate) struct Markets {
    pub(crate) sharing: Sharing,
    pub(crate) compute: Compute,
    /// Markets that this process tries at once.
    pub(crate) slots: u32,
}

impl Markets {
    /// Tries all markets; `told` hears of each once, in whatever order they end.
    ///
    /// # Errors
    /// When one cannot be tried, something cannot be stored, or `told` says so.
    pub(crate) async fn run(
        self,
        settings: &CalibrationSettings,
        jobs: &[Job],
        told: &mut (dyn FnMut(Tried) -> anyhow::Result<()> + Send),
    ) -> anyhow::Result<()> {
        let Self { sharing, compute, slots } = self;
        let task = sharing.blobs.put(serde_json::to_vec(settings)?).await?;
        let batch = batch_of(&task, "markets")?;
        let item = |(place, &job): (u32, &Job)| {
            let input = serde_json::to_string(&MarketJob { task: task.clone(), job })?;
            Ok::<_, serde_json::Error>(NewWork { kind: WorkKind::CalibrationMarket, input, place })
        };
        let items = (0..).zip(jobs).map(item).collect::<Result<Vec<_>, _>>()?;
        let stop = CancellationToken::new();
        let worker = Worker { batch: Some(batch), ..Worker::new(sharing.clone(), compute, slots, stop.clone()) };
        let worker = tokio::spawn(worker.run());
        let found = results(&sharing, batch, items, told).await;
        stop.cancel();
        let worked = worker.await.context("the work broke off")?;
        let ended = sharing.store.end_batch(batch).await;
        found?;
        ended?;
        worked
    }
}

async fn results(
    sharing: &Sharing,
    batch: Uuid,
    mut items: Vec<NewWork>,
    told: &mut (dyn FnMut(Tried) -> anyhow::Result<()> + Send),
) -> anyhow::Result<()> {
    while !items.is_empty() {
        let mut left = Vec::new();
        for some in items.chunks(CHUNK) {
            let posted = match sharing.store.post_work(CODE_VERSION, batch, some).await {
                Ok(posted) => posted,
                Err(error) if is_away(&error) => {
                    tracing::warn!(%error, "results cannot be asked for now");
                    left.extend_from_slice(some);
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            for (item, posted) in some.iter().zip(posted) {
                anyhow::ensure!(
                    !posted.failed,
                    "work item {} failed five times: `sg-ai work status` tells with what error",
                    posted.id
                );
                match &posted.output {
                    Some(output) => told(serde_json::from_str(output).context("the result of a market")?)?,
                    None => left.push(item.clone()),
                }
            }
        }
        items = left;
        if !items.is_empty() {
            tokio::time::sleep(LOOK).await;
        }
    }
    Ok(())
}
