//! Where old rows go: a directory of Parquet files, or a bucket, as an object store. Moves nothing itself.

use crate::config::Config;
use anyhow::Context as _;
use market::cache::bucket;
use object_store::{ObjectStore, local::LocalFileSystem};
use std::{path::Path, sync::Arc};

/// The configured place: the bucket of `store.archive_url`, else `store.archive_dir`, else `archive` in the data
/// directory; a directory is made if it is not there.
///
/// # Errors
/// When the directory cannot be made, or the bucket's settings make no sense.
pub(crate) fn archive_store(config: &Config, data_dir: &Path) -> anyhow::Result<Arc<dyn ObjectStore>> {
    if let Some(url) = &config.store.archive_url {
        return bucket(url, &config.market).context("store.archive_url");
    }
    let place = config.store.archive_dir.clone().unwrap_or_else(|| data_dir.join("archive"));
    std::fs::create_dir_all(&place).with_context(|| format!("cannot make the archive {}", place.display()))?;
    // With fsync a file that was verified is still there after a power cut: its rows are not any more.
    let store = LocalFileSystem::new_with_prefix(&place)
        .with_context(|| format!("cannot open the archive {}", place.display()))?
        .with_fsync(true);
    Ok(Arc::new(store))
}
