//! What jobs look at, by SHA-256: put once by whoever posts work, fetched and verified by whoever does it.
//!
//! In a directory that all see, in a bucket, or with a daemon that is asked over HTTP; what comes from far away is kept in a
//! directory of this machine. Knows not what the bytes mean.

use super::copies::{Copies, unpacked, write};
use super::fetch::{Away, FromDaemon};
use crate::config::Config;
use anyhow::Context as _;
use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use http::{BlobPlace, StoredBlob};
use market::cache::bucket;
use object_store::{GetResultPayload, ObjectStore, ObjectStoreExt as _, local::LocalFileSystem, path::Path as Place};
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// Blobs that nobody put again for so long are removed.
pub(super) const KEPT: Duration = Duration::from_secs(3 * 86_400);
/// How hard they are packed: fast, candles shrink to about half.
const ZSTD_LEVEL: i32 = 3;
/// Most that a blob may be once it is unpacked, bytes: 50 million candles.
const LARGEST: u64 = 4_000_000_000;
/// How long a fetch is tried while the daemon is away, and between two tries: at first, at most.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(4));
/// What is read of a file at once, bytes.
const PART: u64 = 256 << 10;

/// A place of blobs.
#[derive(Clone, Debug)]
pub(crate) struct Blobs {
    place: Where,
    /// Copies of what came from far away.
    copies: Option<Copies>,
    /// Most that one may be, unpacked, bytes.
    most: u64,
    /// Ends tries.
    stop: CancellationToken,
}

#[derive(Clone, Debug)]
enum Where {
    Store(Arc<dyn ObjectStore>),
    Daemon(FromDaemon),
}

fn object(digest: &str) -> Place {
    Place::from(format!("{digest}.zst"))
}

fn unwritable() -> anyhow::Error {
    anyhow::anyhow!(
        "work.blobs is the address of a daemon, where workers fetch and nobody writes: whoever posts work needs a directory \
         or a bucket there"
    )
}

impl Blobs {
    /// The configured place: the bucket, directory or daemon of `work.blobs`, else `work` in the data directory.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub(crate) fn open(config: &Config, data_dir: &Path) -> anyhow::Result<Self> {
        let of = |place, copies| Self { place, copies, most: LARGEST, stop: CancellationToken::new() };
        let copies = || Copies::open(data_dir.join("work-copies"));
        if let Some(url) = config.work.daemon().map_err(|why| anyhow::anyhow!("work.blobs {why}"))? {
            let unset = "work.blobs is the address of a daemon, which lets fetch whoever shows its work.token: set it (SG_WORK_TOKEN)";
            let token = config.work.token.as_ref().context(unset)?;
            return Ok(of(Where::Daemon(FromDaemon::new(&url, token.clone())?), Some(copies()?)));
        }
        let place = config.work.blobs.as_deref();
        if let Some(url) = place.filter(|place| place.starts_with("s3://")) {
            let place = bucket(url, &config.market).context("work.blobs")?;
            return Ok(of(Where::Store(place), Some(copies()?)));
        }
        let path = place.map_or_else(|| data_dir.join("work"), PathBuf::from);
        let made = std::fs::create_dir_all(&path);
        made.with_context(|| format!("work.blobs: cannot make the directory {}", path.display()))?;
        let files = LocalFileSystem::new_with_prefix(&path);
        let files = files.with_context(|| format!("work.blobs: cannot open the directory {}", path.display()))?;
        Ok(of(Where::Store(Arc::new(files)), None))
    }

    /// The same for a process that stops, and that may hold so many bytes of one blob.
    pub(crate) fn of_worker(self, stop: CancellationToken, most: Option<u64>) -> Self {
        Self { stop, most: most.unwrap_or(LARGEST).min(LARGEST), ..self }
    }

    /// That something can be put there.
    ///
    /// # Errors
    /// When it is a daemon's.
    pub(crate) fn is_writable(&self) -> anyhow::Result<()> {
        match self.place {
            Where::Store(_) => Ok(()),
            Where::Daemon(_) => Err(unwritable()),
        }
    }

    /// That a daemon which is asked lets this process fetch. One that is away now is not waited for.
    ///
    /// # Errors
    /// When it refuses.
    pub(crate) async fn check(&self) -> anyhow::Result<()> {
        match &self.place {
            Where::Store(_) => Ok(()),
            Where::Daemon(daemon) => daemon.check().await,
        }
    }

    /// Puts bytes, and removes what nobody put for days; their digest.
    ///
    /// # Errors
    /// When they cannot be written.
    pub(crate) async fn put(&self, bytes: Vec<u8>) -> anyhow::Result<String> {
        let Where::Store(place) = &self.place else { return Err(unwritable()) };
        let packed = tokio::task::spawn_blocking(move || {
            let digest = hex::encode(Sha256::digest(&bytes));
            zstd::bulk::compress(&bytes, ZSTD_LEVEL).map(|packed| (digest, packed))
        });
        let (digest, packed) = packed.await.context("packing a blob")?.context("packing a blob")?;
        place.put(&object(&digest), packed.into()).await.with_context(|| format!("cannot write blob {digest}"))?;
        sweep(place).await;
        Ok(digest)
    }

    /// The bytes of a digest, verified. A daemon that is away is tried for half a minute: then the error is an [`Away`].
    ///
    /// # Errors
    /// When they cannot be had, or are not those.
    pub(crate) async fn get(&self, digest: &str) -> anyhow::Result<Vec<u8>> {
        anyhow::ensure!(
            digest.len() == 64 && digest.bytes().all(|b| b.is_ascii_hexdigit()),
            "{digest:?} is no digest of a blob"
        );
        let Some(copies) = &self.copies else { return self.here(digest).await };
        // What became of a copy on this machine is no reason not to fetch it again.
        if let Ok(Some(bytes)) = copies.get(digest, self.most).await {
            return Ok(bytes);
        }
        let (began, mut pause) = (Instant::now(), PAUSE.0);
        loop {
            let fetched = tokio::select! {
                () = self.stop.cancelled() => anyhow::bail!(Away("work.blobs (this process stops)".to_owned())),
                fetched = self.fetched(digest, copies) => fetched,
            };
            let error = match fetched {
                Ok(bytes) => return Ok(bytes),
                Err(error) => error,
            };
            if !error.is::<Away>() || began.elapsed() > PATIENCE || self.stop.is_cancelled() {
                return Err(error);
            }
            if pause == PAUSE.0 {
                tracing::warn!(digest, error = format!("{error:#}"), "a blob cannot be fetched now: it is tried again");
            }
            tokio::select! { () = self.stop.cancelled() => return Err(error), () = tokio::time::sleep(pause) => {} }
            pause = (pause * 2).min(PAUSE.1);
        }
    }

    /// Reads a blob of a directory.
    async fn here(&self, digest: &str) -> anyhow::Result<Vec<u8>> {
        let Where::Store(place) = &self.place else { anyhow::bail!("a daemon is no directory") };
        let missing =
            || format!("cannot fetch blob {digest}: `work.blobs` must name the place where the daemon puts them");
        let found = place.get(&object(digest)).await.with_context(missing)?;
        let GetResultPayload::File(file, _) = found.payload else { anyhow::bail!("a bucket without copies") };
        let (most, digest) = (self.most, digest.to_owned());
        tokio::task::spawn_blocking(move || unpacked(file, &digest, most)).await.context("unpacking a blob")?
    }

    /// Fetches a blob from far away, keeps it as a copy and reads it.
    async fn fetched(&self, digest: &str, copies: &Copies) -> anyhow::Result<Vec<u8>> {
        let begun = copies.begin()?;
        let mut file = tokio::fs::File::from_std(begun.as_file().try_clone().context("cannot keep a blob")?);
        match &self.place {
            Where::Daemon(daemon) => daemon.fetch(digest, &mut file).await?,
            Where::Store(place) => {
                let missing = || {
                    format!("cannot fetch blob {digest}: `work.blobs` must name the place where the daemon puts them")
                };
                let parts = place.get(&object(digest)).await.with_context(missing)?.into_stream();
                write(parts.map(|part| part.with_context(missing)), &mut file).await?;
            }
        }
        copies.keep(begun, digest, self.most).await
    }
}

/// Removes what is old. What cannot be removed now is removed another time.
async fn sweep(place: &Arc<dyn ObjectStore>) {
    let Ok(all) = place.list(None).try_collect::<Vec<_>>().await else { return };
    // The place's own times are compared with each other, so that no clock of ours is asked.
    let Some(newest) = all.iter().map(|one| one.last_modified).max() else { return };
    for one in all {
        let is_blob = one.location.as_ref().ends_with(".zst");
        if is_blob && (newest - one.last_modified).to_std().is_ok_and(|age| age > KEPT) {
            let _ = place.delete(&one.location).await;
        }
    }
}

fn failed(error: object_store::Error) -> io::Error {
    io::Error::other(error)
}

/// The parts of a file of so many bytes, read off the asynchronous threads.
fn parts(file: File, bytes: u64) -> impl stream::Stream<Item = io::Result<Bytes>> {
    stream::try_unfold((file, bytes), async |(file, left)| {
        if left == 0 {
            return Ok(None);
        }
        let read = tokio::task::spawn_blocking(move || {
            let mut part = Vec::new();
            (&file).take(PART.min(left)).read_to_end(&mut part).map(|_| (file, part))
        });
        let (file, part) = read.await.map_err(io::Error::other)??;
        if part.is_empty() {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "a blob became shorter while it was read"));
        }
        let left = left - part.len() as u64;
        Ok(Some((Bytes::from(part), (file, left))))
    })
}

#[async_trait]
impl BlobPlace for Blobs {
    async fn open(&self, sha256: &str) -> io::Result<Option<StoredBlob>> {
        let Where::Store(place) = &self.place else { return Err(io::Error::other(unwritable())) };
        let found = match place.get(&object(sha256)).await {
            Ok(found) => found,
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let bytes = found.meta.size;
        let parts = match found.payload {
            GetResultPayload::File(file, _) => parts(file, bytes).boxed(),
            GetResultPayload::Stream(parts) => parts.map_err(failed).boxed(),
        };
        Ok(Some(StoredBlob { bytes, parts }))
    }
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
        assert_eq!(blobs.put(bytes.clone()).await.unwrap(), digest, "put twice, it is there once");
        let small = blobs.clone().of_worker(CancellationToken::new(), Some(399_999));
        let why = format!("{:#}", small.get(&digest).await.unwrap_err());
        assert!(why.contains("more than 399999 bytes") && why.contains("daemon.max_memory_mb"), "{why}");

        // What is served of it are the bytes that are stored.
        let file = dir.path().join("work").join(format!("{digest}.zst"));
        let served = BlobPlace::open(&blobs, &digest).await.unwrap().unwrap();
        let parts: Vec<Bytes> = served.parts.try_collect().await.unwrap();
        assert_eq!(
            (parts.concat(), served.bytes),
            (std::fs::read(&file).unwrap(), std::fs::metadata(&file).unwrap().len())
        );
        assert!(BlobPlace::open(&blobs, &"0".repeat(64)).await.unwrap().is_none());

        // Another content under its name, and no content.
        std::fs::write(&file, zstd::bulk::compress(b"other", 1).unwrap()).unwrap();
        assert!(blobs.get(&digest).await.unwrap_err().to_string().contains("is damaged"));
        std::fs::write(&file, b"no zstd").unwrap();
        assert!(blobs.get(&digest).await.is_err());
        assert!(format!("{:#}", blobs.get(&"0".repeat(64)).await.unwrap_err()).contains("work.blobs"));
        assert!(blobs.get("../../etc/passwd").await.unwrap_err().to_string().contains("no digest"));
    }
}
