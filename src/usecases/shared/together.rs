//! Items of one batch that are all wanted, done together with workers: all are posted, this process works beside them, results are
//! taken up as they come.
//!
//! Knows not what items are.

use super::Sharing;
use super::worker::{Worker, is_away};
use crate::CODE_VERSION;
use crate::usecases::parts::Compute;
use anyhow::Context as _;
use std::time::Duration;
use store::NewWork;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Between two looks at whether results have come.
const LOOK: Duration = Duration::from_millis(500);
/// Items that are asked for at once.
const CHUNK: usize = 500;

/// What it takes to do items together.
pub(crate) struct Together {
    pub(crate) sharing: Sharing,
    pub(crate) compute: Compute,
    /// Items that this process does at once.
    pub(crate) slots: u32,
}

impl Together {
    /// Has all items of a batch done; `told` hears of each result once, by the item's place, in whatever order they end.
    ///
    /// # Errors
    /// When one cannot be done, something cannot be stored, or `told` says so.
    pub(crate) async fn run(
        self,
        batch: Uuid,
        items: Vec<NewWork>,
        told: &mut (dyn FnMut(u32, &str) -> anyhow::Result<()> + Send),
    ) -> anyhow::Result<()> {
        let Self { sharing, compute, slots } = self;
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
    told: &mut (dyn FnMut(u32, &str) -> anyhow::Result<()> + Send),
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
                    Some(output) => told(item.place, output)?,
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
