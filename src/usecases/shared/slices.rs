//! Points of an optimisation in slices, evaluated together with workers: posted ahead as far as the method allows, taken up in
//! order, made here where nobody has them.
//!
//! Which points there are, and in which order they are recorded, is the run's affair: nothing here can change either.

use super::Sharing;
use super::batch::{Batch, Mine, batch_of};
use super::worker::is_away;
use crate::CODE_VERSION;
use crate::usecases::parts::Compute;
use anyhow::Context as _;
use genome::AnyStrategy;
use genome::variation::any_parameters;
use optimize::{Ground, Measured, Method, Point, Points, Run, Space};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use store::{NewWork, StoreError, WorkKind};
use tokio_util::sync::CancellationToken;

/// Daily returns that the result of a slice has at most: it is stored as some 20 bytes each.
const MOST_RETURNS: usize = 65_536;
/// Points of a slice at most, and at least where there are as many.
const POINTS: (usize, usize) = (4, 256);
/// Slices into which a run, or a generation of the genetic method, is cut at least, where it has the points.
const SLICES: (usize, usize) = (32, 8);
/// Slices that are posted at once: what became of them comes back with them.
const AT_ONCE: usize = 16;
/// Between two tries while the database is away.
const AWAY: Duration = Duration::from_secs(1);

/// A slice as it is posted: blobs of what points are evaluated on and of what all slices of the run are told, and its points.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SliceJob {
    pub(crate) ground: String,
    pub(crate) task: String,
    pub(crate) points: Vec<Point>,
}

/// What all slices of a run are told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SliceTask {
    /// Canonical text of the strategy whose numbers are varied.
    strategy: String,
    space: Space,
}

impl SliceTask {
    /// Whether its strategy ranks the market.
    pub(crate) fn ranks(&self) -> bool {
        self.strategy.parse::<AnyStrategy>().is_ok_and(|strategy| strategy.ranking().is_some())
    }

    /// What evaluates its points on such a ground.
    ///
    /// # Errors
    /// Where it names no strategy.
    pub(crate) fn points(&self, ground: Arc<dyn Ground>) -> anyhow::Result<Points> {
        let strategy: AnyStrategy = self.strategy.parse().context("the strategy of an optimisation")?;
        let parameters = any_parameters(&strategy);
        Ok(Points { ground, strategy, parameters })
    }

    /// What points came to, as it is stored; `None` where `stop` ended it.
    ///
    /// # Errors
    /// Where it has no JSON form.
    pub(crate) fn output(
        &self,
        points: &Points,
        slice: &[Point],
        stop: &dyn Fn() -> bool,
    ) -> serde_json::Result<Option<String>> {
        let Some(mut found) = points.evaluate_until(&self.space, slice, stop) else { return Ok(None) };
        found.iter_mut().for_each(finite);
        serde_json::to_string(&found).map(Some)
    }
}

/// As a run records it: a day whose return is no number earned nothing, and JSON has none.
fn finite(measured: &mut Result<Measured, String>) {
    if let Ok(measured) = measured {
        measured.daily_returns.iter_mut().filter(|r| !r.is_finite()).for_each(|r| *r = 0.0);
    }
}

/// An optimisation whose slices are shared.
pub(crate) struct Slices {
    sharing: Sharing,
    compute: Compute,
    points: Arc<Points>,
    task: Arc<SliceTask>,
    /// Digests of ground and task.
    told: (String, String),
    /// Points of a slice at most.
    size: usize,
    /// What was posted and is not taken up yet.
    posted: BTreeSet<String>,
    stop: CancellationToken,
}

impl Slices {
    /// Puts what points of the run look at where workers find it.
    ///
    /// # Errors
    /// When something of it is not packed, or cannot be put.
    pub(crate) async fn open(
        sharing: Sharing,
        compute: Compute,
        points: Arc<Points>,
        run: &Run,
    ) -> anyhow::Result<Self> {
        let settings = run.settings();
        let task = Arc::new(SliceTask { strategy: points.strategy.to_string(), space: settings.space.clone() });
        let on = Arc::clone(&points);
        let ground = compute.run(move || on.ground.packed()).await?.context("candles for workers")?;
        let told = (sharing.blobs.put(ground).await?, sharing.blobs.put(serde_json::to_vec(&*task)?).await?);
        let cut = match settings.method {
            Method::Genetic => settings.population as usize / SLICES.1,
            Method::Grid | Method::Random => run.budget() / SLICES.0,
        };
        let most = (MOST_RETURNS / run.table().days().max(1)).clamp(1, POINTS.1);
        let size = cut.clamp(POINTS.0.min(most), most);
        let stop = CancellationToken::new();
        Ok(Self { sharing, compute, points, task, told, size, posted: BTreeSet::new(), stop })
    }

    /// Points of a slice at most.
    pub(crate) const fn size(&self) -> usize {
        self.size
    }

    /// How many slices are to be posted at a time: its own, and two for each slot of the others.
    ///
    /// # Errors
    /// When the database does not answer.
    pub(crate) async fn ahead(&self) -> anyhow::Result<usize> {
        let who = (CODE_VERSION, self.sharing.name.as_str());
        let slots = patiently(async || Ok(self.sharing.store.work_slots(who, self.sharing.lease).await?)).await?;
        Ok(usize::try_from(slots).unwrap_or(usize::MAX).saturating_mul(2).saturating_add(1))
    }

    /// What the points of the first batch came to, in their order; the others are posted, for whoever has a slot. `first` is
    /// the number of its first point in the run.
    ///
    /// # Errors
    /// When something cannot be stored or evaluated, or machines came to different results.
    pub(crate) async fn evaluate(
        &mut self,
        first: usize,
        batches: &[optimize::Batch],
    ) -> anyhow::Result<Vec<Result<Measured, String>>> {
        let mut place = u32::try_from(first).unwrap_or(u32::MAX);
        let slices = batches.iter().flat_map(|batch| batch.points.chunks(self.size)).map(|points| {
            let (ground, task) = self.told.clone();
            let input = serde_json::to_string(&SliceJob { ground, task, points: points.to_vec() })?;
            place = place.saturating_add(1);
            Ok::<_, serde_json::Error>(NewWork { kind: WorkKind::OptimizationSlice, input, place })
        });
        let items = slices.collect::<Result<Vec<_>, _>>()?;
        let wanted = batches.first().map_or(0, |batch| batch.points.len().div_ceil(self.size));
        let wanted: Vec<NewWork> = items.iter().take(wanted).cloned().collect();
        let new: Vec<NewWork> = items.into_iter().filter(|item| !self.posted.contains(&item.input)).collect();
        let batch = Batch { sharing: &self.sharing, stop: &self.stop, id: batch_of(&self.told.0, &self.told.1)? };
        let mut found: Vec<Option<Vec<Result<Measured, String>>>> = wanted.iter().map(|_| None).collect();
        for some in new.chunks(AT_ONCE) {
            patiently(async || Ok(batch.post(some).await?)).await?;
        }
        loop {
            let (places, missing): (Vec<usize>, Vec<NewWork>) = (0..)
                .zip(&wanted)
                .filter(|(place, _)| found[*place].is_none())
                .map(|(p, item)| (p, item.clone()))
                .unzip();
            if missing.is_empty() {
                break;
            }
            let came = patiently(async || {
                let posted = batch.post(&missing).await?;
                if posted.iter().all(|one| one.output.is_none()) {
                    batch.make_one(&missing, &posted, |mine| self.own(mine)).await?;
                }
                Ok(posted)
            })
            .await?;
            for (place, posted) in places.into_iter().zip(came) {
                let read = |output: String| serde_json::from_str(&output).context("the result of a slice");
                found[place] = posted.output.map(read).transpose()?;
            }
        }
        self.posted.extend(new.into_iter().map(|item| item.input));
        for item in &wanted {
            self.posted.remove(&item.input);
        }
        Ok(found.into_iter().flatten().flatten().collect())
    }

    /// Evaluates a slice on this process's own candles.
    async fn own(&self, mine: Mine) -> anyhow::Result<Option<String>> {
        let job: SliceJob = serde_json::from_str(&mine.input).context("what a slice is told")?;
        let (task, points) = (Arc::clone(&self.task), Arc::clone(&self.points));
        Ok(self.compute.run(move || task.output(&points, &job.points, &|| false)).await??)
    }

    /// Ends it: what is not needed any more is cancelled.
    ///
    /// # Errors
    /// When the database does not answer.
    pub(crate) async fn end(&self) -> anyhow::Result<()> {
        let batch = Batch { sharing: &self.sharing, stop: &self.stop, id: batch_of(&self.told.0, &self.told.1)? };
        batch.end().await?;
        Ok(())
    }
}

/// Again and again while the database is away: what was done is found again.
async fn patiently<T>(mut one: impl AsyncFnMut() -> anyhow::Result<T>) -> anyhow::Result<T> {
    loop {
        match one().await {
            Err(error) if error.downcast_ref::<StoreError>().is_some_and(is_away) => {
                tracing::warn!(error = format!("{error:#}"), "work cannot be shared now");
                tokio::time::sleep(AWAY).await;
            }
            done => return done,
        }
    }
}
