//! The null searches of a session, made together with workers: posted ahead, taken up in order, the rest cancelled.
//!
//! The session's own process does its share, the search that is needed next first, and all of it where nobody else is there; what
//! a worker has and is not heard of for a lease comes back to whoever is next. Where another result would come out, it is
//! an error; none is chosen.

use super::batch::{Batch, Mine};
use super::{NullJob, Sharing};
use crate::CODE_VERSION;
use crate::usecases::parts::Compute;
use anyhow::Context as _;
use async_trait::async_trait;
use protocol::{Halves, NullFound, NullSearch, Plan, RunError, SessionState};
use std::sync::Arc;
use store::{NewWork, WorkKind};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// What null searches of a session are made of.
pub(crate) struct Nulls<'a> {
    pub(crate) sharing: &'a Sharing,
    pub(crate) compute: &'a Compute,
    pub(crate) stop: &'a CancellationToken,
    /// Of the session.
    pub(crate) session: Uuid,
    pub(crate) plan: Plan<'a>,
    pub(crate) halves: &'a Arc<dyn Halves>,
}

/// Who stores what lies between two null searches.
#[async_trait]
pub(crate) trait Notes: Sync {
    async fn note(&self, state: &SessionState) -> anyhow::Result<()>;
}

impl Nulls<'_> {
    /// Makes null searches until none is needed; `notes` stores the state after each. False where it was stopped before.
    ///
    /// # Errors
    /// When something could not be stored or fetched, or machines computed differently; what is stored is gone on from.
    pub(crate) async fn run(&self, state: &mut SessionState, notes: &dyn Notes) -> anyhow::Result<bool> {
        let Some((_, learnt)) = state.next_null() else { return Ok(true) };
        let search = self.plan.protocol.compared(self.plan.search);
        let candidates = self.plan.candidates;
        let task = Arc::new(NullSearch { search, seed: state.seed(), candidates, learnt: learnt.cloned() });
        let (most, ground) = self.packed().await?;
        let blobs = &self.sharing.blobs;
        let (ground, told) = (blobs.put(ground).await?, blobs.put(serde_json::to_vec(&*task)?).await?);
        let batch = Batch { sharing: self.sharing, stop: self.stop, id: self.session };
        let finished = self.rounds(state, &task, (ground, told), (most, &batch), notes).await;
        let cancelled = batch.end().await;
        let (finished, cancelled) = (finished?, cancelled?);
        tracing::debug!(cancelled, null_searches = state.null_searches(), "null searches of a session ended");
        Ok(finished)
    }

    /// How many null searches there can be, and what they look at.
    async fn packed(&self) -> anyhow::Result<(u32, Vec<u8>)> {
        let halves = Arc::clone(self.halves);
        let packed = self.compute.run(move || {
            let kinds = halves.ground()?.null_kinds().max(1);
            Ok::<_, RunError>((kinds, halves.packed()?))
        });
        let (kinds, ground) = packed.await??;
        Ok((self.plan.protocol.null_searches.saturating_mul(kinds), ground))
    }

    async fn rounds(
        &self,
        state: &mut SessionState,
        task: &Arc<NullSearch>,
        (ground, told): (String, String),
        (most, batch): (u32, &Batch<'_>),
        notes: &dyn Notes,
    ) -> anyhow::Result<bool> {
        let Sharing { store, lease, name, .. } = self.sharing;
        while let Some((next, _)) = state.next_null() {
            if self.stop.is_cancelled() {
                return Ok(false);
            }
            // Its own, and two for each slot of the others: one that is made and one that waits, so that nobody who is done
            // waits for this process to post more.
            let slots = u32::try_from(store.work_slots((CODE_VERSION, name), *lease).await?).unwrap_or(u32::MAX);
            let upto = next.saturating_add(1).saturating_add(slots.saturating_mul(2)).min(most.max(next + 1));
            let item = |number: u32| {
                let job = NullJob { ground: ground.clone(), task: told.clone(), number };
                let input = serde_json::to_string(&job)?;
                Ok::<_, serde_json::Error>(NewWork { kind: WorkKind::NullSearch, input, place: number })
            };
            let items = (next..upto).map(item).collect::<Result<Vec<_>, _>>()?;
            let posted = batch.post(&items).await?;
            let mut absorbed = false;
            for one in &posted {
                let Some(output) = &one.output else { break };
                let found: NullFound = serde_json::from_str(output).context("the result of a null search")?;
                // Where the session has ended, those after it were made in vain.
                if state.absorb(one.place, found, self.plan.protocol).is_err() {
                    break;
                }
                absorbed = true;
                notes.note(state).await?;
            }
            if absorbed {
                continue;
            }
            let own = |mine: Mine| self.own(task, mine.place);
            // Of those at which workers failed only the next one is certainly needed.
            if !batch.make_one(&items[..1], &posted[..1], own).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Makes a search on this process's own candles; `None` where it was stopped before.
    async fn own(&self, task: &Arc<NullSearch>, number: u32) -> anyhow::Result<Option<String>> {
        let (task, halves, stop) = (Arc::clone(task), Arc::clone(self.halves), self.stop.clone());
        let made = self.compute.run(move || {
            let ground = halves.ground()?;
            Ok::<_, RunError>(task.run(&*ground, number, &|_| stop.is_cancelled())?)
        });
        match made.await? {
            Ok(found) => Ok(Some(serde_json::to_string(&found)?)),
            Err(RunError::Stopped) => Ok(None),
            Err(error) => {
                Err(anyhow::Error::from(error).context(format!("null search {number} of session {}", self.session)))
            }
        }
    }
}
