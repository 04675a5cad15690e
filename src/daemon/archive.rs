//! Where old rows go: the directory of Parquet files, as an object store. Moves nothing itself.

use crate::config::Config;
use anyhow::Context as _;
use object_store::{ObjectStore, local::LocalFileSystem};
use std::{path::Path, sync::Arc};

/// The configured place, made if it is not there: `store.archive_dir`, else `archive` in the data directory.
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
