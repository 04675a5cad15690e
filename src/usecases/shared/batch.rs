//! Items of one batch as whoever posted them sees them: posted, looked at, made here where nobody has them, ended.
//!
//! Knows not what items are; the same for every kind.

use super::Sharing;
use crate::CODE_VERSION;
use anyhow::Context as _;
use std::time::Duration;
use store::{NewWork, Posted, StoreError, work_digest};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Between two looks at whether results have come.
const LOOK: Duration = Duration::from_millis(100);

/// The items of one asker.
pub(crate) struct Batch<'a> {
    pub(crate) sharing: &'a Sharing,
    pub(crate) stop: &'a CancellationToken,
    pub(crate) id: Uuid,
}

/// An item that this process makes itself.
pub(crate) struct Mine {
    pub(crate) id: i64,
    pub(crate) place: u32,
    pub(crate) input: String,
}

impl Batch<'_> {
    /// Posts items, once however often they are posted, and says what became of each, in their order.
    ///
    /// # Errors
    /// When the database does not answer.
    pub(crate) async fn post(&self, items: &[NewWork]) -> Result<Vec<Posted>, StoreError> {
        self.sharing.store.post_work(CODE_VERSION, self.id, items).await
    }

    /// Makes one item here: the oldest that nobody has, else the first of `items` at which workers failed for good, which fails
    /// here if it must. Where there is none, it waits a little. False where it was stopped.
    ///
    /// # Errors
    /// When it cannot be made or stored, or another machine came to another result.
    pub(crate) async fn make_one<F>(
        &self,
        items: &[NewWork],
        posted: &[Posted],
        make: impl FnOnce(Mine) -> F,
    ) -> anyhow::Result<bool>
    where
        F: Future<Output = anyhow::Result<Option<String>>>,
    {
        let Sharing { store, lease, name, .. } = self.sharing;
        let taken = store.take_work((CODE_VERSION, name), Some(self.id), *lease, 1).await?.pop();
        let taken = taken.map(|taken| Mine { id: taken.id, place: taken.place, input: taken.input });
        let failed = || {
            let failed = items.iter().zip(posted).find(|(_, posted)| posted.failed);
            failed.map(|(item, posted)| Mine { id: posted.id, place: item.place, input: item.input.clone() })
        };
        let Some(mine) = taken.or_else(failed) else {
            tokio::select! { () = self.stop.cancelled() => {}, () = tokio::time::sleep(LOOK) => {} }
            return Ok(!self.stop.is_cancelled());
        };
        let id = mine.id;
        let Some(output) = self.sharing.while_keeping(id, make(mine)).await? else {
            store.give_back_work(&[id], name).await?;
            return Ok(false);
        };
        self.sharing.finish(id, output).await?;
        Ok(true)
    }

    /// Ends it: what is not needed any more costs nobody anything. How many items were not.
    ///
    /// # Errors
    /// When the database does not answer.
    pub(crate) async fn end(&self) -> Result<u64, StoreError> {
        self.sharing.store.end_batch(self.id).await
    }
}

/// The name of a batch follows from what is asked, so that whoever asks again after a kill finds what was posted.
pub(super) fn batch_of(ground: &str, task: &str) -> anyhow::Result<Uuid> {
    let digest = hex::decode(work_digest(&format!("{ground} {task}")))?;
    let first = digest.get(..16).and_then(|bytes| bytes.try_into().ok()).context("a digest is too short")?;
    Ok(uuid::Builder::from_custom_bytes(first).into_uuid())
}
