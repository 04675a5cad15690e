//! The daily upkeep of the database: what is old goes to the archive, the materialised views are brought up to date.
//!
//! Decides nothing: how long rows stay is configuration, which rows go the store says.

use super::supervisor::Activation;
use crate::{clock::Clock, config::Config, notify::due_day, store::Store};
use anyhow::Context as _;
use async_trait::async_trait;
use chrono::{DateTime, NaiveDate};
use object_store::{ObjectStore, local::LocalFileSystem};
use std::{path::Path, sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;

/// The place for old rows, made if it is not there: `store.archive_dir`, else `archive` in the data directory.
///
/// # Errors
/// When the directory cannot be made.
pub fn archive_store(config: &Config, data_dir: &Path) -> anyhow::Result<Arc<dyn ObjectStore>> {
    let place = config.store.archive_dir.clone().unwrap_or_else(|| data_dir.join("archive"));
    std::fs::create_dir_all(&place).with_context(|| format!("cannot make the archive {}", place.display()))?;
    // With fsync a file that was verified is still there after a power cut: its rows are not any more.
    let store = LocalFileSystem::new_with_prefix(&place)
        .with_context(|| format!("cannot open the archive {}", place.display()))?
        .with_fsync(true);
    Ok(Arc::new(store))
}

/// Does the upkeep once a day, from the hour of the daily summary on.
pub(super) struct UpkeepLoop {
    store: Store,
    config: Config,
    objects: Arc<dyn ObjectStore>,
    clock: Arc<dyn Clock>,
    done: Option<NaiveDate>,
}

impl UpkeepLoop {
    /// # Errors
    /// When the archive's directory cannot be made.
    pub(super) fn new(store: Store, config: &Config, data_dir: &Path, clock: Arc<dyn Clock>) -> anyhow::Result<Self> {
        let objects = archive_store(config, data_dir)?;
        Ok(Self { store, config: config.clone(), objects, clock, done: None })
    }
}

#[async_trait]
impl Activation for UpkeepLoop {
    fn name(&self) -> &'static str {
        "upkeep"
    }

    fn period(&self) -> Duration {
        Duration::from_secs(600)
    }

    async fn run(&mut self, _: &CancellationToken) -> anyhow::Result<()> {
        let now = DateTime::from_timestamp_millis(self.clock.now_ms()).context("the clock is outside the calendar")?;
        let due = due_day(now, self.config.notify.daily_summary_hour_utc);
        if due.is_none() || due == self.done {
            return Ok(());
        }
        let retention = &self.config.store.retention;
        let moved =
            self.store.archive_old(self.objects.as_ref(), retention, now, "retention").await.context("retention")?;
        for archive in &moved {
            tracing::info!(table = archive.table, month = %archive.from.format("%Y-%m"), rows = archive.rows,
                file = archive.path, "old rows moved to the archive");
        }
        self.store.refresh_views().await.context("materialised views")?;
        self.done = due;
        Ok(())
    }
}
