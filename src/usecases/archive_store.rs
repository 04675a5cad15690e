//! Where old rows go: a directory of Parquet files, or a bucket, as an object store. Moves nothing itself.
//!
//! The files hold what the database held, so nobody else on the machine may read them.

use crate::config::Config;
use anyhow::Context as _;
use async_trait::async_trait;
use futures::stream::BoxStream;
use market::cache::bucket;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions,
    PutOptions, PutPayload, PutResult, Result, local::LocalFileSystem, path::Path as Place,
};
use std::{
    fmt, fs, io,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::Path,
    sync::Arc,
};

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
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&place)
        .with_context(|| format!("cannot make the archive {}", place.display()))?;
    let opened = || format!("cannot open the archive {}", place.display());
    // Those of older versions may be open to others.
    close_files(&place).with_context(opened)?;
    // With fsync a file that was verified is still there after a power cut: its rows are not any more.
    let files = LocalFileSystem::new_with_prefix(&place).with_context(opened)?.with_fsync(true);
    Ok(Arc::new(Private(files)))
}

/// Makes every file below a directory readable for its owner alone.
fn close_files(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            close_files(&entry.path())?;
        } else if kind.is_file() && entry.metadata()?.permissions().mode() & 0o777 != 0o600 {
            close(&entry.path())?;
        }
    }
    Ok(())
}

fn close(file: &Path) -> io::Result<()> {
    fs::set_permissions(file, fs::Permissions::from_mode(0o600))
}

/// A directory whose files only their owner may read.
#[derive(Debug)]
struct Private(LocalFileSystem);

impl fmt::Display for Private {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Private {
    fn close(&self, location: &Place) -> Result<()> {
        let failed = |error: io::Error| object_store::Error::Generic { store: "archive", source: Box::new(error) };
        close(&self.0.path_to_filesystem(location)?).map_err(failed)
    }
}

#[async_trait]
impl ObjectStore for Private {
    async fn put_opts(&self, location: &Place, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        let put = self.0.put_opts(location, payload, opts).await?;
        self.close(location)?;
        Ok(put)
    }

    async fn put_multipart_opts(&self, _: &Place, _: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        // Archives are written as a whole; a file in parts would be open to others until it is finished.
        Err(object_store::Error::NotSupported { source: "an archive is written as a whole".into() })
    }

    async fn get_opts(&self, location: &Place, options: GetOptions) -> Result<GetResult> {
        self.0.get_opts(location, options).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Place>>) -> BoxStream<'static, Result<Place>> {
        self.0.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Place>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.0.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Place>) -> Result<ListResult> {
        self.0.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Place, to: &Place, options: CopyOptions) -> Result<()> {
        self.0.copy_opts(from, to, options).await?;
        self.close(to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Inputs, load};
    use object_store::ObjectStoreExt;

    #[tokio::test]
    async fn only_the_owner_may_read_an_archive() {
        let dir = tempfile::tempdir().unwrap();
        let archive = dir.path().join("archive");
        let config = load(&Inputs { working_dir: dir.path().into(), ..Inputs::default() }).unwrap().config;
        let store = archive_store(&config, dir.path()).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&archive), 0o700);
        let (new, copy) = (Place::from("trades/new.parquet"), Place::from("trades/copy.parquet"));
        store.put(&new, "rows".into()).await.unwrap();
        store.copy(&new, &copy).await.unwrap();
        let old = archive.join("trades/old.parquet");
        fs::write(&old, "rows").unwrap();
        fs::set_permissions(&old, fs::Permissions::from_mode(0o644)).unwrap();
        let again = archive_store(&config, dir.path()).unwrap();
        for name in ["new", "copy", "old"] {
            assert_eq!(mode(&archive.join(format!("trades/{name}.parquet"))), 0o600, "{name}");
        }
        assert_eq!(again.get(&new).await.unwrap().bytes().await.unwrap(), "rows");
    }
}
