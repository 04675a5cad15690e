//! Work that is shared with other processes and machines: what it needs by digest, who does it, and how a session takes it up.
//!
//! The store is the queue (`store::TakenWork`); what jobs look at goes as blobs named by their digests. Whoever does a job,
//! it comes to the same bits, so that nothing here can change a number.

pub(crate) mod batch;
pub(crate) mod blobs;
pub(crate) mod block;
mod copies;
pub(crate) mod fetch;
pub(crate) mod grounds;
pub(crate) mod lives;
pub(crate) mod markets;
pub(crate) mod nulls;
pub(crate) mod replays;
pub(crate) mod slices;
pub(crate) mod together;
pub(crate) mod worker;

use crate::config::Config;
use blobs::Blobs;
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::time::Duration;
use store::Store;

/// What it takes to share work.
#[derive(Clone)]
pub(crate) struct Sharing {
    pub(crate) store: Store,
    pub(crate) blobs: Blobs,
    /// How long whoever takes work has it without being heard of.
    pub(crate) lease: Duration,
    /// Name of this process among those who work.
    pub(crate) name: String,
    /// Of this machine, where it has a name.
    pub(crate) host: Option<String>,
}

impl Sharing {
    /// What it takes to post work under a name.
    ///
    /// # Errors
    /// When the place of what jobs look at cannot be opened, or written to.
    pub(crate) fn of(config: &Config, data_dir: &Path, store: &Store, name: String) -> anyhow::Result<Self> {
        let sharing = Self::of_worker(config, data_dir, store, name)?;
        sharing.blobs.is_writable()?;
        Ok(sharing)
    }

    /// What it takes to do work under a name.
    ///
    /// # Errors
    /// When the place of what jobs look at cannot be opened.
    pub(crate) fn of_worker(config: &Config, data_dir: &Path, store: &Store, name: String) -> anyhow::Result<Self> {
        let blobs = Blobs::open(config, data_dir)?;
        Ok(Self { store: store.clone(), blobs, lease: Duration::from_secs(config.work.lease_s), name, host: host() })
    }

    /// Waits for something that is computed here, and keeps the lease of its item meanwhile.
    pub(crate) async fn while_keeping<T>(&self, id: i64, made: impl Future<Output = T>) -> T {
        tokio::pin!(made);
        let mut beat = tokio::time::interval(self.lease / 4);
        loop {
            tokio::select! {
                made = &mut made => return made,
                // A lease that cannot be renewed costs work, and no result.
                _ = beat.tick() => drop(self.store.renew_work(&self.name, &[id], self.lease).await),
            }
        }
    }

    /// Stores what this process made itself.
    ///
    /// # Errors
    /// When it cannot be stored, or another machine came to another result.
    pub(crate) async fn finish(&self, id: i64, output: String) -> anyhow::Result<()> {
        let same = self.store.finish_work(id, &self.name, &output).await?;
        anyhow::ensure!(
            same,
            "work item {id} came to another result here than on the machine that stored one first: the same build must compute \
             the same; look at that item and take one of the machines away"
        );
        Ok(())
    }
}

/// A null search as it is posted: blobs of its ground and of what all null searches of the session are told, and its number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NullJob {
    pub(crate) ground: String,
    pub(crate) task: String,
    pub(crate) number: u32,
}

/// The name of this machine.
pub(crate) fn host() -> Option<String> {
    nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok())
}

/// A name of this process that no other has: of the machine, the process, and what it is.
pub(crate) fn own_name(what: &str) -> String {
    format!("{what} {} {}", host().as_deref().unwrap_or("unknown"), std::process::id())
}
