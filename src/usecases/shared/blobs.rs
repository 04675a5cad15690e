//! What jobs look at, by SHA-256: put once by whoever posts work, fetched and verified by whoever does it.
//!
//! In a directory that all see, or in a bucket; what comes from a bucket is kept in a directory of this machine. Knows not
//! what the bytes mean.

use crate::config::Config;
use anyhow::Context as _;
use futures::TryStreamExt as _;
use market::cache::bucket;
use object_store::{ObjectStore, ObjectStoreExt as _, local::LocalFileSystem, path::Path as Place};
use sha2::{Digest as _, Sha256};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Blobs that nobody put again for so long are removed.
const KEPT: Duration = Duration::from_secs(3 * 86_400);
/// How hard they are packed: fast, candles shrink to about half.
const ZSTD_LEVEL: i32 = 3;

/// A place of blobs.
#[derive(Clone, Debug)]
pub(crate) struct Blobs {
    place: Arc<dyn ObjectStore>,
    /// Copies of what came from far away.
    copies: Option<Arc<dyn ObjectStore>>,
}

fn directory(path: &Path) -> anyhow::Result<Arc<dyn ObjectStore>> {
    std::fs::create_dir_all(path).with_context(|| format!("cannot make the directory {}", path.display()))?;
    let files = LocalFileSystem::new_with_prefix(path);
    Ok(Arc::new(files.with_context(|| format!("cannot open the directory {}", path.display()))?))
}

fn object(digest: &str) -> Place {
    Place::from(format!("{digest}.zst"))
}

impl Blobs {
    /// The configured place: the bucket or directory of `work.blobs`, else `work` in the data directory.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub(crate) fn open(config: &Config, data_dir: &Path) -> anyhow::Result<Self> {
        let place = config.work.blobs.as_deref();
        if let Some(url) = place.filter(|place| place.starts_with("s3://")) {
            let place = bucket(url, &config.market).context("work.blobs")?;
            return Ok(Self { place, copies: Some(directory(&data_dir.join("work"))?) });
        }
        let path = place.map_or_else(|| data_dir.join("work"), PathBuf::from);
        Ok(Self { place: directory(&path).context("work.blobs")?, copies: None })
    }

    /// Puts bytes, and removes what nobody put for days; their digest.
    ///
    /// # Errors
    /// When they cannot be written.
    pub(crate) async fn put(&self, bytes: Vec<u8>) -> anyhow::Result<String> {
        let packed = tokio::task::spawn_blocking(move || {
            let digest = hex::encode(Sha256::digest(&bytes));
            zstd::bulk::compress(&bytes, ZSTD_LEVEL).map(|packed| (digest, packed))
        });
        let (digest, packed) = packed.await.context("packing a blob")?.context("packing a blob")?;
        self.place.put(&object(&digest), packed.into()).await.with_context(|| format!("cannot write blob {digest}"))?;
        self.sweep().await;
        Ok(digest)
    }

    /// Removes what is old. What cannot be removed now is removed another time.
    async fn sweep(&self) {
        for place in [Some(&self.place), self.copies.as_ref()].into_iter().flatten() {
            let Ok(all) = place.list(None).try_collect::<Vec<_>>().await else { continue };
            // The places' own times are compared with each other, so that no clock of ours is asked.
            let Some(newest) = all.iter().map(|one| one.last_modified).max() else { continue };
            for one in all {
                let is_blob = one.location.as_ref().ends_with(".zst");
                if is_blob && (newest - one.last_modified).to_std().is_ok_and(|age| age > KEPT) {
                    let _ = place.delete(&one.location).await;
                }
            }
        }
    }

    /// The bytes of a digest, verified.
    ///
    /// # Errors
    /// When they are not there, or are not those.
    pub(crate) async fn get(&self, digest: &str) -> anyhow::Result<Vec<u8>> {
        anyhow::ensure!(
            digest.len() == 64 && digest.bytes().all(|b| b.is_ascii_hexdigit()),
            "{digest:?} is no digest of a blob"
        );
        if let Some(copies) = &self.copies
            && let Ok(bytes) = fetched(copies, digest).await
        {
            return Ok(bytes);
        }
        let bytes = fetched(&self.place, digest).await?;
        if let Some(copies) = &self.copies {
            let packed = self.place.get(&object(digest)).await?.bytes().await?;
            copies.put(&object(digest), packed.into()).await.context("cannot keep a copy of a blob")?;
        }
        Ok(bytes)
    }
}

async fn fetched(place: &Arc<dyn ObjectStore>, digest: &str) -> anyhow::Result<Vec<u8>> {
    let missing = || format!("cannot fetch blob {digest}: `work.blobs` must name the place where the daemon puts them");
    let packed = place.get(&object(digest)).await.with_context(missing)?.bytes().await.with_context(missing)?;
    let digest = digest.to_owned();
    let checked = tokio::task::spawn_blocking(move || {
        let bytes = zstd::stream::decode_all(&packed[..]).with_context(|| format!("blob {digest} does not unpack"))?;
        let found = hex::encode(Sha256::digest(&bytes));
        anyhow::ensure!(found == digest, "blob {digest} is damaged: its bytes have the digest {found}");
        Ok(bytes)
    });
    checked.await.context("unpacking a blob")?
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Inputs, load};

    #[tokio::test]
    async fn a_blob_is_what_it_was_or_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let config = load(&Inputs { working_dir: dir.path().into(), ..Inputs::default() }).unwrap().config;
        let blobs = Blobs::open(&config, dir.path()).unwrap();
        let bytes: Vec<u8> = (0..100_000_u32).flat_map(|n| (n % 77).to_le_bytes()).collect();
        let digest = blobs.put(bytes.clone()).await.unwrap();
        assert_eq!(digest, hex::encode(Sha256::digest(&bytes)));
        assert_eq!(blobs.get(&digest).await.unwrap(), bytes);
        assert_eq!(blobs.put(bytes).await.unwrap(), digest, "put twice, it is there once");

        // Another content under its name, and no content.
        let file = dir.path().join("work").join(format!("{digest}.zst"));
        std::fs::write(&file, zstd::bulk::compress(b"other", 1).unwrap()).unwrap();
        assert!(blobs.get(&digest).await.unwrap_err().to_string().contains("is damaged"));
        std::fs::write(&file, b"no zstd").unwrap();
        assert!(blobs.get(&digest).await.is_err());
        assert!(format!("{:#}", blobs.get(&"0".repeat(64)).await.unwrap_err()).contains("work.blobs"));
        assert!(blobs.get("../../etc/passwd").await.unwrap_err().to_string().contains("no digest"));
    }
}
