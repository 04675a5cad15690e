//! Lives of a calibration, in handfuls: simulated by whoever asks, or together with workers.
//!
//! Counts nothing and prints nothing: what became of each life is handed back in the order of the lives.

use super::batch::batch_of;
use super::together::Together;
use anyhow::Context as _;
use book::{BookConfig, BookLife, BookLived, LifeWorld};
use genome::random::Seed;
use lifecycle::{EdgeDecayConfig, Thresholds};
use protocol::ProtocolConfig;
use protocol::lives::{Life, Lived, World};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use store::{NewWork, WorkKind};

/// Lives of an item: a second of work or less, and some tens of kB of results.
const TOGETHER: u64 = 100;

/// What all lives of a calibration are told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum LivesTask {
    /// Of daemons.
    Daemons { protocol: Box<ProtocolConfig>, limits: Box<Thresholds>, holdout_days: u32, sessions_per_day: u32 },
    /// Of books.
    Books { book: Box<BookConfig>, decay: Box<EdgeDecayConfig>, history_days: u32, days: u32, watched_days: u32 },
}

/// Lives of one kind: number `n` has the seed `seed.child(label, n)`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Kind {
    pub(crate) seed: Seed,
    pub(crate) of: Of,
}

/// What is lived.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Of {
    /// A daemon, so many years.
    Daemon { world: World, years: u32 },
    /// The test of a candidate with such an edge.
    Candidate { sharpe: f64 },
    /// The same whose edge dies when shadow begins; then it earns `after`.
    Dying { sharpe: f64, after: f64 },
    /// A book.
    Book { world: LifeWorld },
}

/// What became of lives, in their order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Came {
    Daemons(Vec<Lived>),
    /// Whether the candidate went live.
    Tests(Vec<bool>),
    Books(Vec<BookLived>),
}

impl Came {
    fn append(&mut self, more: Self) -> anyhow::Result<()> {
        match (self, more) {
            (Self::Daemons(all), Self::Daemons(more)) => all.extend(more),
            (Self::Tests(all), Self::Tests(more)) => all.extend(more),
            (Self::Books(all), Self::Books(more)) => all.extend(more),
            _ => anyhow::bail!("lives of two kinds came of one"),
        }
        Ok(())
    }
}

/// Lives as they are posted: the blob of what all are told, of which kind, and from which number to which, exclusive.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LivesJob {
    pub(crate) task: String,
    pub(crate) kind: Kind,
    pub(crate) from: u64,
    pub(crate) to: u64,
}

impl LivesTask {
    /// Lives those with these numbers, on the threads of whoever calls.
    ///
    /// # Errors
    /// When the kind is none of this task's.
    pub(crate) fn lived(&self, Kind { seed, of }: Kind, from: u64, to: u64) -> anyhow::Result<Came> {
        let numbers = (from..to).into_par_iter();
        Ok(match (self, of) {
            (&Self::Daemons { ref protocol, ref limits, holdout_days, sessions_per_day }, of) => {
                let life = |world, years| Life { world, protocol, limits, holdout_days, sessions_per_day, years };
                // Tests look at no world.
                let tested = life(World::Noise(0.0), 1);
                match of {
                    Of::Daemon { world, years } => {
                        let life = life(world, years);
                        Came::Daemons(numbers.map(|n| life.live(seed.child("life", n))).collect())
                    }
                    Of::Candidate { sharpe } => {
                        let goes_live = |n| tested.candidate_goes_live(sharpe, seed.child("test", n));
                        Came::Tests(numbers.map(goes_live).collect())
                    }
                    Of::Dying { sharpe, after } => {
                        let goes_live = |n| tested.dying_goes_live(sharpe, after, seed.child("test", n));
                        Came::Tests(numbers.map(goes_live).collect())
                    }
                    Of::Book { .. } => anyhow::bail!("lives of a daemon are asked for one of a book"),
                }
            }
            (&Self::Books { ref book, ref decay, history_days, days, watched_days }, Of::Book { world }) => {
                let life = BookLife { world, book, decay, history_days, days, watched_days };
                Came::Books(numbers.map(|n| life.live(seed.child("life", n))).collect())
            }
            (Self::Books { .. }, _) => anyhow::bail!("lives of a book are asked for one of a daemon"),
        })
    }
}

/// Has so many lives of each kind lived; what became of them, in the order of the kinds.
///
/// # Errors
/// When they cannot be lived, or something cannot be stored.
pub(crate) async fn lived(
    together: Together,
    task: &LivesTask,
    kinds: &[Kind],
    lives: u64,
) -> anyhow::Result<Vec<Came>> {
    let task = together.sharing.blobs.put(serde_json::to_vec(task)?).await?;
    let batch = batch_of(&task, "lives")?;
    let handfuls = (0..lives).step_by(usize::try_from(TOGETHER)?);
    let jobs: Vec<(usize, LivesJob)> = (0..)
        .zip(kinds)
        .flat_map(|(at, &kind)| handfuls.clone().map(move |from| (at, kind, from)))
        .map(|(at, kind, from)| (at, LivesJob { task: task.clone(), kind, from, to: (from + TOGETHER).min(lives) }))
        .collect();
    let item = |(place, (_, job)): (u32, &(usize, LivesJob))| {
        Ok::<_, serde_json::Error>(NewWork { kind: WorkKind::Lives, input: serde_json::to_string(job)?, place })
    };
    let items = (0..).zip(&jobs).map(item).collect::<Result<Vec<_>, _>>()?;
    let mut found: Vec<(u32, Came)> = Vec::with_capacity(items.len());
    let mut read = |place, output: &str| {
        found.push((place, serde_json::from_str(output).context("what became of lives")?));
        Ok(())
    };
    together.run(batch, items, &mut read).await?;
    found.sort_by_key(|(place, _)| *place);
    let mut all: Vec<Option<Came>> = kinds.iter().map(|_| None).collect();
    for ((at, _), (_, came)) in jobs.iter().zip(found) {
        match &mut all[*at] {
            Some(all) => all.append(came)?,
            none => *none = Some(came),
        }
    }
    all.into_iter().map(|came| came.context("no lives were asked for")).collect()
}
