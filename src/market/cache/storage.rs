//! Objects by path: atomic writes, tails, listings, and one writer at a time. Knows nothing of candles.

use super::CacheError;
use super::room::{Room, no_room};
use crate::config::{MarketConfig, s3_location};
use bytes::Bytes;
use futures::TryStreamExt;
use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::Path as ObjectPath;
use object_store::prefix::PrefixStore;
use object_store::{GetOptions, GetRange, ObjectStore, ObjectStoreExt};
use secrecy::ExposeSecret;
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Holds the lock files. Hidden, so that it is no market.
pub(super) const LOCK_DIR: &str = ".locks";

/// The place where objects live: a local directory, or a bucket. Locks are local files in both cases: they hold
/// between the processes of one machine.
#[derive(Clone, Debug)]
pub(super) struct Storage {
    store: Arc<dyn ObjectStore>,
    root: PathBuf,
    is_local: bool,
    room: Arc<Room>,
}

/// Holds an advisory lock until dropped; the operating system drops it with the process.
pub(super) struct Lock {
    _file: File,
}

impl Storage {
    /// Opens a directory, made if it is not there.
    pub(super) fn open(root: &Path) -> Result<Self, CacheError> {
        let failed = |source| CacheError::Open { path: root.to_owned(), source };
        std::fs::create_dir_all(root).map_err(failed)?;
        let root = root.canonicalize().map_err(failed)?;
        // With fsync a write that was reported survives a power cut, as it would on S3.
        let store = LocalFileSystem::new_with_prefix(&root)
            .map_err(|source| CacheError::Store { path: root.display().to_string(), source })?
            .with_fsync(true);
        Ok(Self { store: Arc::new(store), root, is_local: true, room: Arc::default() })
    }

    /// What a directory holds that is not there.
    pub(super) fn nothing(root: &Path) -> Self {
        Self { store: Arc::new(InMemory::new()), root: root.to_owned(), is_local: true, room: Arc::default() }
    }

    /// Opens a bucket, with the locks in a local directory. Asks nothing of the service yet.
    pub(super) fn open_s3(lock_root: &Path, url: &str, config: &MarketConfig) -> Result<Self, CacheError> {
        let failed = |source| CacheError::Open { path: lock_root.to_owned(), source };
        std::fs::create_dir_all(lock_root).map_err(failed)?;
        let root = lock_root.canonicalize().map_err(failed)?;
        Ok(Self { store: bucket(url, config)?, root, is_local: false, room: Arc::default() })
    }

    /// Whether nothing could be written lately for want of room.
    pub(super) fn lacks_room(&self) -> bool {
        self.room.is_lacking()
    }

    /// Where it is.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// The whole object; `None` when there is none.
    pub(super) async fn get(&self, path: &str) -> Result<Option<Bytes>, CacheError> {
        match self.store.get(&ObjectPath::from(path)).await {
            Ok(found) => Ok(Some(found.bytes().await.map_err(at(path))?)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(e) => Err(at(path)(e)),
        }
    }

    /// Whether objects are files of this machine.
    pub(super) fn is_local(&self) -> bool {
        self.is_local
    }

    /// [`get`](Self::get) of a local file, for whoever is off the asynchronous threads already.
    pub(super) fn get_local(&self, path: &str) -> Result<Option<Bytes>, CacheError> {
        let full = self.root.join(path);
        match std::fs::read(&full) {
            Ok(bytes) => Ok(Some(bytes.into())),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(CacheError::Open { path: full, source }),
        }
    }

    /// The last `n` bytes and the whole length; `None` when there is no such object.
    pub(super) async fn tail(&self, path: &str, n: u64) -> Result<Option<(Bytes, u64)>, CacheError> {
        let options = GetOptions { range: Some(GetRange::Suffix(n)), ..GetOptions::default() };
        match self.store.get_opts(&ObjectPath::from(path), options).await {
            Ok(found) => {
                let size = found.meta.size;
                Ok(Some((found.bytes().await.map_err(at(path))?, size)))
            }
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(e) => Err(at(path)(e)),
        }
    }

    /// Writes an object whole: readers, and whoever looks after a crash, see the old one or the new one.
    pub(super) async fn put(&self, path: &str, bytes: Vec<u8>) -> Result<(), CacheError> {
        self.room.note(self.store.put(&ObjectPath::from(path), bytes.into()).await.map(|_| ()).map_err(at(path)))
    }

    /// Gives an object another name, over what had that name.
    pub(super) async fn rename(&self, from: &str, to: &str) -> Result<(), CacheError> {
        // A name more may need room, too; that there was some for it says little.
        let renamed = self.store.rename(&ObjectPath::from(from), &ObjectPath::from(to)).await.map_err(at(from));
        if renamed.is_err() { self.room.note(renamed) } else { renamed }
    }

    /// Removes an object; whether it was there.
    pub(super) async fn delete(&self, path: &str) -> Result<bool, CacheError> {
        match self.store.delete(&ObjectPath::from(path)).await {
            Ok(()) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(e) => Err(at(path)(e)),
        }
    }

    /// Names right under `dir`, sorted: directories, then objects.
    pub(super) async fn list(&self, dir: &str) -> Result<(Vec<String>, Vec<String>), CacheError> {
        let prefix = (!dir.is_empty()).then(|| ObjectPath::from(dir));
        let found = match self.store.list_with_delimiter(prefix.as_ref()).await {
            Ok(found) => found,
            Err(object_store::Error::NotFound { .. }) => return Ok((Vec::new(), Vec::new())),
            Err(e) => return Err(at(dir)(e)),
        };
        let mut dirs: Vec<_> = found.common_prefixes.iter().filter_map(|p| Some(p.filename()?.to_owned())).collect();
        let mut files: Vec<_> = found.objects.iter().filter_map(|o| Some(o.location.filename()?.to_owned())).collect();
        dirs.sort();
        files.sort();
        Ok((dirs, files))
    }

    /// Every object below `dir` (everything when it is empty), with its size.
    pub(super) async fn sizes(&self, dir: &str) -> Result<Vec<(String, u64)>, CacheError> {
        let prefix = (!dir.is_empty()).then(|| ObjectPath::from(dir));
        let all = self.store.list(prefix.as_ref()).map_ok(|meta| (meta.location.to_string(), meta.size));
        match all.try_collect().await {
            Ok(found) => Ok(found),
            Err(object_store::Error::NotFound { .. }) => Ok(Vec::new()),
            Err(e) => Err(at(dir)(e)),
        }
    }

    /// Waits until this is the only writer under `dir`, in this process and all others, and removes what a writer
    /// that was killed left half written there.
    pub(super) async fn lock(&self, dir: &str) -> Result<Lock, CacheError> {
        let lock_path = self.root.join(LOCK_DIR).join(dir.replace('/', "-"));
        let (data_dir, is_local) = (self.root.join(dir), self.is_local);
        let failed_path = lock_path.clone();
        let locked = tokio::task::spawn_blocking(move || -> std::io::Result<Lock> {
            if let Some(parent) = lock_path.parent() {
                std::fs::create_dir_all(parent)?;
            }
            let file = OpenOptions::new().write(true).create(true).truncate(false).open(&lock_path)?;
            file.lock()?;
            if is_local {
                remove_half_written(&data_dir);
            }
            Ok(Lock { _file: file })
        });
        let failed = |source: std::io::Error| match no_room(&source) {
            Some(what) => CacheError::Full { path: failed_path.display().to_string(), what },
            None => CacheError::Lock { path: failed_path, source },
        };
        let locked = locked.await.map_err(|e| CacheError::Task(e.to_string()))?.map_err(failed);
        // A lock that is taken has written nothing.
        if locked.is_err() { self.room.note(locked) } else { locked }
    }
}

/// A bucket, or what lies under a prefix in one, of the S3 service that the settings name. Asks nothing of it yet.
///
/// # Errors
/// When the settings make no sense.
pub fn bucket(url: &str, config: &MarketConfig) -> Result<Arc<dyn ObjectStore>, CacheError> {
    let wrong = |what: String| CacheError::Bucket { url: url.to_owned(), what };
    let (bucket, prefix) = s3_location(url).map_err(wrong)?;
    let mut builder = AmazonS3Builder::new().with_bucket_name(bucket).with_region(&config.s3_region);
    if let Some(endpoint) = &config.s3_endpoint {
        builder =
            builder.with_endpoint(endpoint.as_str().trim_end_matches('/')).with_allow_http(endpoint.scheme() == "http");
    }
    builder = match (&config.s3_access_key_id, &config.s3_secret_access_key) {
        (Some(id), Some(secret)) => {
            builder.with_access_key_id(id.expose_secret()).with_secret_access_key(secret.expose_secret())
        }
        _ => builder.with_skip_signature(true),
    };
    // Not every compatible service deletes many at once, and nothing here does.
    let store = builder.with_disable_bulk_delete(true).build().map_err(|e| wrong(e.to_string()))?;
    Ok(Arc::new(PrefixStore::new(store, prefix)))
}

/// The local store writes to `NAME#N` and renames; under the lock, such a name is nobody's any more.
fn remove_half_written(dir: &Path) {
    let Ok(entries) = std::fs::read_dir(dir) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let half_written = name
            .to_str()
            .and_then(|n| n.rsplit_once('#'))
            .is_some_and(|(_, id)| !id.is_empty() && id.bytes().all(|b| b.is_ascii_digit()));
        if half_written {
            // Left behind it only takes space; the next writer tries again.
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

fn at(path: &str) -> impl Fn(object_store::Error) -> CacheError {
    let path = path.to_owned();
    move |source| match no_room(&source) {
        Some(what) => CacheError::Full { path: path.clone(), what },
        None => CacheError::Store { path: path.clone(), source },
    }
}
