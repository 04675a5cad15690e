//! Sessions that are bred again, each by whoever has a slot.
//!
//! Compares nothing: what a session came to is handed back, and whoever asked holds it against what is stored.

use super::batch::batch_of;
use super::together::Together;
use crate::usecases::replay_session::{Bred, Breeding};
use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use store::{NewWork, WorkKind};

/// A session as it is posted: blobs of what it searched and of what it is bred from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReplayJob {
    pub(crate) ground: String,
    pub(crate) task: String,
}

/// Sessions to be bred again, put where workers find them one after the other: no two of them are held in memory.
pub(crate) struct Replays {
    together: Together,
    jobs: Vec<ReplayJob>,
}

impl Replays {
    pub(crate) const fn new(together: Together) -> Self {
        Self { together, jobs: Vec::new() }
    }

    /// Adds one: what it searched as bytes, and what it is bred from.
    ///
    /// # Errors
    /// When it cannot be put where workers find it.
    pub(crate) async fn add(&mut self, ground: Vec<u8>, task: &Breeding) -> anyhow::Result<()> {
        let blobs = &self.together.sharing.blobs;
        let (ground, task) = (blobs.put(ground).await?, blobs.put(serde_json::to_vec(task)?).await?);
        self.jobs.push(ReplayJob { ground, task });
        Ok(())
    }

    /// Has all of them bred; what each came to, in the order in which they were added.
    ///
    /// # Errors
    /// When one cannot be bred, or something cannot be stored.
    pub(crate) async fn bred(self) -> anyhow::Result<Vec<Bred>> {
        let item = |(place, job): (u32, &ReplayJob)| {
            Ok::<_, serde_json::Error>(NewWork {
                kind: WorkKind::SessionReplay,
                input: serde_json::to_string(job)?,
                place,
            })
        };
        let items = (0..).zip(&self.jobs).map(item).collect::<Result<Vec<_>, _>>()?;
        let tasks: Vec<&str> = self.jobs.iter().map(|job| job.task.as_str()).collect();
        let batch = batch_of("sessions", &tasks.join(" "))?;
        let mut found: Vec<(u32, Bred)> = Vec::with_capacity(items.len());
        let mut read = |place, output: &str| {
            found.push((place, serde_json::from_str(output).context("what a session came to")?));
            Ok(())
        };
        self.together.run(batch, items, &mut read).await?;
        found.sort_by_key(|(place, _)| *place);
        Ok(found.into_iter().map(|(_, bred)| bred).collect())
    }
}
