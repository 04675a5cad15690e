//! The searches of a book's block, made together with workers: null searches are posted, the block's own is made here meanwhile, then
//! whatever nobody has yet.
//!
//! The same bits with any number of workers: results are taken up by number, once all are there. Decides nothing of the book.

use super::{NullJob, Sharing};
use crate::CODE_VERSION;
use crate::usecases::parts::Compute;
use anyhow::Context as _;
use book::{BlockNullFound, BlockSearch, Searched};
use std::sync::Arc;
use std::time::Duration;
use store::{NewWork, WorkKind, work_digest};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Between two looks at whether results have come.
const LOOK: Duration = Duration::from_millis(100);

/// What it takes to make the searches of a block.
pub(crate) struct BlockSearches<'a> {
    pub(crate) sharing: &'a Sharing,
    pub(crate) compute: &'a Compute,
    pub(crate) stop: &'a CancellationToken,
}

/// The search of a block's own, and its null searches by number.
pub(crate) type Made = (Searched, Vec<BlockNullFound>);

impl BlockSearches<'_> {
    /// Makes all searches of a block; `None` where it was stopped before.
    ///
    /// # Errors
    /// When something could not be stored, fetched or computed, or machines computed differently.
    pub(crate) async fn run(&self, search: BlockSearch) -> anyhow::Result<Option<Made>> {
        let search = Arc::new(search);
        let told = Arc::clone(&search);
        let packed = move || Ok::<_, anyhow::Error>((told.packed()?, serde_json::to_vec(told.nulls())?));
        let (ground, task) = self.compute.run(packed).await??;
        let (blobs, store) = (&self.sharing.blobs, &self.sharing.store);
        let (ground, task) = (blobs.put(ground).await?, blobs.put(task).await?);
        let batch = batch_of(&ground, &task)?;
        let item = |number: u32| {
            let job = NullJob { ground: ground.clone(), task: task.clone(), number };
            let input = serde_json::to_string(&job)?;
            Ok::<_, serde_json::Error>(NewWork { kind: WorkKind::BookNullSearch, input, place: number })
        };
        let items = (0..search.nulls().count()).map(item).collect::<Result<Vec<_>, _>>()?;
        let made = self.made(&search, batch, &items).await;
        // Whatever ended this: what is not needed any more costs nobody anything.
        let ended = store.end_batch(batch).await;
        let (made, _) = (made?, ended?);
        Ok(made)
    }

    async fn made(&self, search: &Arc<BlockSearch>, batch: Uuid, items: &[NewWork]) -> anyhow::Result<Option<Made>> {
        let Sharing { store, lease, name, .. } = self.sharing;
        // Whoever has a slot begins, while the block's own search is made here.
        store.post_work(CODE_VERSION, batch, items).await?;
        let (own, stop) = (Arc::clone(search), self.stop.clone());
        let Some(own) = self.compute.run(move || own.own(&|_| stop.is_cancelled())).await?? else { return Ok(None) };
        loop {
            if self.stop.is_cancelled() {
                return Ok(None);
            }
            let posted = store.post_work(CODE_VERSION, batch, items).await?;
            let found: Option<Vec<&String>> = posted.iter().map(|one| one.output.as_ref()).collect();
            if let Some(found) = found {
                let nulls = found.into_iter().map(|found| serde_json::from_str(found)).collect::<Result<_, _>>();
                return Ok(Some((own, nulls.context("the result of a null search of a block")?)));
            }
            let taken = store.take_work((CODE_VERSION, name), Some(batch), *lease, 1).await?.pop();
            let taken = taken.map(|taken| (taken.id, taken.place));
            // What nobody could do is ours, and fails here if it must.
            let failed = || posted.iter().find(|one| one.failed).map(|one| (one.id, one.place));
            let Some((id, number)) = taken.or_else(failed) else {
                tokio::select! { () = self.stop.cancelled() => {}, () = tokio::time::sleep(LOOK) => {} }
                continue;
            };
            let (null, stop) = (Arc::clone(search), self.stop.clone());
            let null = self.compute.run(move || null.null(number, &|_| stop.is_cancelled()));
            let Some(null) = self.sharing.while_keeping(id, null).await?? else {
                store.give_back_work(&[id], name).await?;
                return Ok(None);
            };
            self.sharing.finish(id, serde_json::to_string(&null)?).await?;
        }
    }
}

/// The name of a batch follows from what is asked, so that whoever asks again after a kill finds what was posted.
pub(super) fn batch_of(ground: &str, task: &str) -> anyhow::Result<Uuid> {
    let digest = hex::decode(work_digest(&format!("{ground} {task}")))?;
    let first = digest.get(..16).and_then(|bytes| bytes.try_into().ok()).context("a digest is too short")?;
    Ok(uuid::Builder::from_custom_bytes(first).into_uuid())
}
