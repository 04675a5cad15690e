//! The searches of a book's block, made together with workers: null searches are posted, the block's own is made here meanwhile, then
//! whatever nobody has yet.
//!
//! The same bits with any number of workers: results are taken up by number, once all are there. Decides nothing of the book.

use super::batch::{Batch, Mine, batch_of};
use super::{NullJob, Sharing};
use crate::usecases::parts::Compute;
use anyhow::Context as _;
use book::{BlockNullFound, BlockSearch, Searched};
use std::sync::Arc;
use store::{NewWork, WorkKind};
use tokio_util::sync::CancellationToken;

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
        let blobs = &self.sharing.blobs;
        let (ground, task) = (blobs.put(ground).await?, blobs.put(task).await?);
        let item = |number: u32| {
            let job = NullJob { ground: ground.clone(), task: task.clone(), number };
            let input = serde_json::to_string(&job)?;
            Ok::<_, serde_json::Error>(NewWork { kind: WorkKind::BookNullSearch, input, place: number })
        };
        let items = (0..search.nulls().count()).map(item).collect::<Result<Vec<_>, _>>()?;
        let batch = Batch { sharing: self.sharing, stop: self.stop, id: batch_of(&ground, &task)? };
        let made = self.made(&search, &batch, &items).await;
        let ended = batch.end().await;
        let (made, _) = (made?, ended?);
        Ok(made)
    }

    async fn made(
        &self,
        search: &Arc<BlockSearch>,
        batch: &Batch<'_>,
        items: &[NewWork],
    ) -> anyhow::Result<Option<Made>> {
        // Whoever has a slot begins, while the block's own search is made here.
        batch.post(items).await?;
        let (own, stop) = (Arc::clone(search), self.stop.clone());
        let Some(own) = self.compute.run(move || own.own(&|_| stop.is_cancelled())).await?? else { return Ok(None) };
        while !self.stop.is_cancelled() {
            let posted = batch.post(items).await?;
            let found: Option<Vec<&String>> = posted.iter().map(|one| one.output.as_ref()).collect();
            if let Some(found) = found {
                let nulls = found.into_iter().map(|found| serde_json::from_str(found)).collect::<Result<_, _>>();
                return Ok(Some((own, nulls.context("the result of a null search of a block")?)));
            }
            let make = async |mine: Mine| {
                let (null, stop) = (Arc::clone(search), self.stop.clone());
                let null = self.compute.run(move || null.null(mine.place, &|_| stop.is_cancelled())).await??;
                Ok(null.map(|null| serde_json::to_string(&null)).transpose()?)
            };
            if !batch.make_one(items, &posted, make).await? {
                break;
            }
        }
        Ok(None)
    }
}

/// Makes the searches of blocks together with workers for whoever walks on a thread of its own, not one of the runtime's.
pub(crate) struct OnThread {
    sharing: Sharing,
    compute: Compute,
    runtime: tokio::runtime::Handle,
}

impl OnThread {
    /// On the runtime of whoever calls.
    pub(crate) fn of(sharing: Sharing, threads: &Arc<rayon::ThreadPool>) -> Self {
        let compute = Compute::of_work(engine::Engine::default(), Arc::clone(threads));
        Self { sharing, compute, runtime: tokio::runtime::Handle::current() }
    }

    /// Makes the searches of a block.
    ///
    /// # Errors
    /// Those of [`BlockSearches::run`].
    pub(crate) fn searched(&self, search: BlockSearch) -> anyhow::Result<Made> {
        let (sharing, compute, stop) = (&self.sharing, &self.compute, &CancellationToken::new());
        let made = self.runtime.block_on(BlockSearches { sharing, compute, stop }.run(search))?;
        made.context("nobody stops it but the signal that ends the program")
    }
}
