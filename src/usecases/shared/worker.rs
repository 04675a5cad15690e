//! Does work that others posted: takes it for a while, does it, stores what it came to; on a stop gives back what it has.
//!
//! Takes only what this very build posted. A database that is away is waited for: what was computed is not lost.

use super::fetch::Away;
use super::grounds::{Grounds, Held};
use super::lives::{LivesJob, LivesTask};
use super::markets::{self, BookMarketJob, BookTask, MarketJob};
use super::replays::ReplayJob;
use super::slices::{SliceJob, SliceTask};
use super::{NullJob, Sharing};
use crate::CODE_VERSION;
use crate::usecases::memory::resident_bytes;
use crate::usecases::parts::Compute;
use crate::usecases::replay_session::Breeding;
use anyhow::Context as _;
use book::{BlockNulls, BookCalibrationError};
use engine::Engine;
use protocol::calibration::CalibrationError;
use protocol::{CalibrationSettings, NullSearch, PackedGround, RunError};
use std::any::Any;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use store::{StoreError, TakenWork, WorkKind};
use telemetry::metrics;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Between two looks for work: soon after there was some, later after there was none.
const LOOK: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));
/// Between two tries while the database is away.
const AWAY: Duration = Duration::from_secs(1);

/// A process that works.
#[derive(Clone)]
pub(crate) struct Worker {
    pub(crate) sharing: Sharing,
    pub(crate) compute: Compute,
    /// Items that it does at once.
    pub(crate) slots: u32,
    /// Of this batch alone.
    pub(crate) batch: Option<Uuid>,
    pub(crate) stop: CancellationToken,
    /// Items that it has, each with what ends it.
    pub(crate) has: Arc<Mutex<BTreeMap<i64, CancellationToken>>>,
    pub(crate) grounds: Grounds,
}

impl Worker {
    pub(crate) fn new(sharing: Sharing, compute: Compute, slots: u32, stop: CancellationToken) -> Self {
        Self { sharing, compute, slots, batch: None, stop, has: Arc::default(), grounds: Grounds::default() }
    }

    fn has(&self) -> std::sync::MutexGuard<'_, BTreeMap<i64, CancellationToken>> {
        // A map is whole even where its holder panicked.
        self.has.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Works until it is stopped.
    ///
    /// # Errors
    /// When at the end what it has could not be given back: others take it when its lease ends.
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let Sharing { store, lease, name, .. } = &self.sharing;
        let keeper = tokio::spawn(self.clone().keep());
        let mut work = JoinSet::new();
        let mut pause = LOOK.0;
        while !self.stop.is_cancelled() {
            let busy = u32::try_from(work.len()).unwrap_or(u32::MAX);
            // Near the limit of its memory it takes nothing beside what it has.
            let free = if busy > 0 && self.is_near_limit() { 0 } else { self.slots.saturating_sub(busy) };
            let found = if free == 0 {
                Vec::new()
            } else {
                match store.take_work((CODE_VERSION, name), self.batch, *lease, free).await {
                    Ok(found) => found,
                    Err(error) => {
                        tracing::warn!(%error, "no work can be taken now");
                        tokio::select! { () = self.stop.cancelled() => {}, () = tokio::time::sleep(AWAY) => {} }
                        continue;
                    }
                }
            };
            pause = if found.is_empty() { (pause * 2).min(LOOK.1) } else { LOOK.0 };
            for item in found {
                let end = self.stop.child_token();
                self.has().insert(item.id, end.clone());
                work.spawn(self.clone().item(item, end));
            }
            tokio::select! {
                () = self.stop.cancelled() => {}
                Some(_) = work.join_next(), if !work.is_empty() => pause = LOOK.0,
                () = tokio::time::sleep(pause), if work.len() < self.slots as usize => {}
            }
        }
        // Searches look at the token between steps.
        while work.join_next().await.is_some() {}
        keeper.abort();
        let left: Vec<i64> = self.has().keys().copied().collect();
        store.give_back_work(&left, name).await.context("giving work back")?;
        store.end_worker(name).await.context("taking leave")?;
        tracing::info!(given_back = left.len(), "stopped");
        Ok(())
    }

    fn is_near_limit(&self) -> bool {
        let near = self.compute.memory.zip(resident_bytes());
        near.is_some_and(|(plan, held)| plan.is_near(held))
    }

    /// Says that it is there, and ends what is no longer its own: cancelled, or taken by another.
    async fn keep(self) {
        let Sharing { store, lease, name, host, .. } = &self.sharing;
        loop {
            let ids: Vec<i64> = self.has().keys().copied().collect();
            let kept = match self.batch {
                None => store.keep_work((CODE_VERSION, name, host.as_deref()), self.slots, &ids, *lease).await,
                // Who takes nothing else has no slot for anybody.
                Some(_) => store.renew_work(name, &ids, *lease).await,
            };
            match kept {
                Ok(kept) => {
                    let mut has = self.has();
                    for id in ids.into_iter().filter(|id| !kept.contains(id)) {
                        if let Some(end) = has.remove(&id) {
                            end.cancel();
                        }
                    }
                }
                Err(error) => tracing::warn!(%error, "leases of work cannot be renewed now"),
            }
            tokio::time::sleep(*lease / 4).await;
        }
    }

    /// Does an item and stores what it came to.
    async fn item(self, item: TakenWork, end: CancellationToken) {
        let began = Instant::now();
        let done = self.output(&item, &end).await;
        let Sharing { store, name, .. } = &self.sharing;
        let stored = match done {
            Ok(Some(output)) => loop {
                match store.finish_work(item.id, name, &output).await {
                    Ok(same) => {
                        let took = began.elapsed();
                        metrics::WORK_SECONDS.record(item.kind.name(), took);
                        if same {
                            tracing::info!(item = item.id, seconds = took.as_secs_f64(), "work done");
                        } else {
                            tracing::error!(
                                item = item.id,
                                "another machine came to another result: one of the two is wrong"
                            );
                        }
                        break true;
                    }
                    Err(error) if is_away(&error) && !end.is_cancelled() => tokio::time::sleep(AWAY).await,
                    Err(error) => {
                        tracing::warn!(item = item.id, %error, "a result could not be stored; another will make it again");
                        break false;
                    }
                }
            },
            // Stopped: given back at the end; or nobody wants it any more.
            Ok(None) => false,
            // Nobody's failure: another has what it takes, or the daemon comes back.
            Err(error) if error.is::<Away>() => {
                tracing::warn!(item = item.id, error = format!("{error:#}"), "work is given back");
                store.give_back_work(&[item.id], name).await.is_ok()
            }
            Err(error) => {
                let error = format!("{error:#}");
                tracing::warn!(item = item.id, error, "work failed");
                store.fail_work(item.id, name, &error).await.is_ok()
            }
        };
        if stored || !self.stop.is_cancelled() {
            self.has().remove(&item.id);
        }
    }

    /// What an item comes to; `None` where it was ended.
    async fn output(&self, item: &TakenWork, end: &CancellationToken) -> anyhow::Result<Option<String>> {
        match item.kind {
            WorkKind::NullSearch => self.null_search(&item.input, end.clone()).await,
            WorkKind::CalibrationMarket => self.market(&item.input, end.clone()).await,
            WorkKind::BookNullSearch => self.block_null(&item.input, end.clone()).await,
            WorkKind::OptimizationSlice => self.slice(&item.input, end.clone()).await,
            WorkKind::SessionReplay => self.replay(&item.input, end.clone()).await,
            WorkKind::BookMarket => self.book_market(&item.input, end.clone()).await,
            WorkKind::Lives => self.lives(&item.input).await,
        }
    }

    async fn null_search(&self, input: &str, end: CancellationToken) -> anyhow::Result<Option<String>> {
        let job: NullJob = serde_json::from_str(input).context("what a null search is told")?;
        let task: NullSearch = serde_json::from_slice(&self.sharing.blobs.get(&job.task).await?)?;
        let ground = self.ground(&job.ground).await?;
        let number = job.number;
        let made = self.compute.run(move || task.run(&*ground.ground(), number, &|_| end.is_cancelled()));
        match made.await?.map_err(RunError::from) {
            Ok(found) => Ok(Some(serde_json::to_string(&found)?)),
            Err(RunError::Stopped) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    async fn block_null(&self, input: &str, end: CancellationToken) -> anyhow::Result<Option<String>> {
        let job: NullJob = serde_json::from_str(input).context("what a null search of a block is told")?;
        let nulls: BlockNulls = serde_json::from_slice(&self.sharing.blobs.get(&job.task).await?)?;
        let ground = self.ground(&job.ground).await?;
        let made = self.compute.run(move || {
            let (searchable, terms) = ground.ranked().context("a block is searched on a market that is ranked")?;
            Ok::<_, anyhow::Error>(nulls.run(searchable, terms, job.number, &|_| end.is_cancelled())?)
        });
        Ok(made.await??.map(|found| serde_json::to_string(&found)).transpose()?)
    }

    async fn market(&self, input: &str, end: CancellationToken) -> anyhow::Result<Option<String>> {
        let told: MarketJob = serde_json::from_str(input).context("what a market of a calibration is told")?;
        let settings: CalibrationSettings = serde_json::from_slice(&self.sharing.blobs.get(&told.task).await?)?;
        let engine = Arc::clone(&self.compute.engine);
        let made = self.compute.run(move || settings.run(told.job, &engine, &|| end.is_cancelled()));
        match made.await? {
            Ok(tried) => Ok(Some(serde_json::to_string(&tried)?)),
            Err(CalibrationError::Run(RunError::Stopped)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    async fn slice(&self, input: &str, end: CancellationToken) -> anyhow::Result<Option<String>> {
        let job: SliceJob = serde_json::from_str(input).context("what a slice of an optimisation is told")?;
        let task: SliceTask = serde_json::from_slice(&self.sharing.blobs.get(&job.task).await?)?;
        let read = |bytes: &[u8], engine| optimize::unpacked(bytes, engine).map(Arc::<dyn optimize::Ground>::from);
        let ground = self.kept(&job.ground, read, |_| task.ranks()).await?;
        let points = task.points(Arc::clone(&ground))?;
        let made = self.compute.run(move || {
            let _ground = ground;
            task.output(&points, &job.points, &|| end.is_cancelled())
        });
        Ok(made.await??)
    }

    async fn replay(&self, input: &str, end: CancellationToken) -> anyhow::Result<Option<String>> {
        let job: ReplayJob = serde_json::from_str(input).context("what a session to breed again is told")?;
        let task: Breeding = serde_json::from_slice(&self.sharing.blobs.get(&job.task).await?)?;
        let ground = self.ground(&job.ground).await?;
        let bred = self.compute.run(move || task.run(&*ground.ground(), &|| end.is_cancelled(), &mut |_, _| true));
        Ok(bred.await??.map(|bred| serde_json::to_string(&bred)).transpose()?)
    }

    async fn book_market(&self, input: &str, end: CancellationToken) -> anyhow::Result<Option<String>> {
        let job: BookMarketJob = serde_json::from_str(input).context("what a market of a book is told")?;
        let task: BookTask = serde_json::from_slice(&self.sharing.blobs.get(&job.task).await?)?;
        let candles = match &job.candles {
            Some(digest) => Some(self.kept(digest, |bytes, _| markets::unpacked(bytes), |_| true).await?),
            None => None,
        };
        let made = self.compute.run(move || {
            task.on(candles.as_deref().map(|panel| &**panel)).run(job.world, job.number, &|| end.is_cancelled())
        });
        match made.await? {
            Ok(came) => Ok(Some(serde_json::to_string(&came)?)),
            Err(BookCalibrationError::Stopped) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    async fn lives(&self, input: &str) -> anyhow::Result<Option<String>> {
        let job: LivesJob = serde_json::from_str(input).context("what lives are told")?;
        let task: LivesTask = serde_json::from_slice(&self.sharing.blobs.get(&job.task).await?)?;
        let came = self.compute.run(move || task.lived(job.kind, job.from, job.to)).await??;
        Ok(Some(serde_json::to_string(&came)?))
    }

    /// What a session searches.
    async fn ground(&self, digest: &str) -> anyhow::Result<Held<PackedGround>> {
        self.kept(digest, PackedGround::read, |ground| ground.ranked().is_some()).await
    }

    /// What an item looks at; fetched and unpacked once. `ranks` says whether it is a whole market.
    async fn kept<T: Any + Send + Sync, E: Into<anyhow::Error> + Send + 'static>(
        &self,
        digest: &str,
        read: impl FnOnce(&[u8], Arc<Engine>) -> Result<T, E> + Send + 'static,
        ranks: impl Fn(&T) -> bool,
    ) -> anyhow::Result<Held<T>> {
        self.grounds.hold(digest, (&self.sharing.blobs, &self.compute), read, ranks).await
    }
}

pub(super) fn is_away(error: &StoreError) -> bool {
    error.is_unreachable() || matches!(error, StoreError::Timeout(_))
}
