//! Copies of blobs on this machine, so that what came from far away comes once; and how a blob is unpacked and verified.
//!
//! Fetches nothing.

use super::blobs::KEPT;
use anyhow::Context as _;
use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use sha2::{Digest as _, Sha256};
use std::fs::{self, File};
use std::io::{Read as _, Seek as _};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};
use tempfile::NamedTempFile;
use tokio::io::AsyncWriteExt as _;

/// Most that a blob may be as it comes, packed, bytes.
const LARGEST_PACKED: u64 = 2_000_000_000;
/// What copies may take together, bytes; the oldest go first.
const ALL: u64 = 4_000_000_000;
/// What a fetch that was killed left behind is removed after so long.
const LEFT: Duration = Duration::from_secs(3_600);

/// A directory of copies.
#[derive(Clone, Debug)]
pub(super) struct Copies {
    dir: PathBuf,
}

impl Copies {
    /// Opens a directory, made if it is not there.
    pub(super) fn open(dir: PathBuf) -> anyhow::Result<Self> {
        fs::create_dir_all(&dir).with_context(|| format!("cannot make the directory {}", dir.display()))?;
        Ok(Self { dir })
    }

    /// A copy, verified; `None` where there is none.
    pub(super) async fn get(&self, digest: &str, most: u64) -> anyhow::Result<Option<Vec<u8>>> {
        let (path, digest) = (self.dir.join(format!("{digest}.zst")), digest.to_owned());
        let read = tokio::task::spawn_blocking(move || match File::open(path) {
            Ok(file) => unpacked(file, &digest, most).map(Some),
            Err(_) => Ok(None),
        });
        read.await.context("unpacking a blob")?
    }

    /// A file for what comes.
    pub(super) fn begin(&self) -> anyhow::Result<NamedTempFile> {
        let made = tempfile::Builder::new().prefix("fetch-").tempfile_in(&self.dir);
        made.with_context(|| format!("cannot write to {}", self.dir.display()))
    }

    /// Keeps what came under its digest, once it is verified; its bytes.
    pub(super) async fn keep(&self, begun: NamedTempFile, digest: &str, most: u64) -> anyhow::Result<Vec<u8>> {
        let (copies, digest) = (self.clone(), digest.to_owned());
        let kept = tokio::task::spawn_blocking(move || {
            let mut file = begun.as_file().try_clone().context("cannot read a blob")?;
            file.rewind().context("cannot read a blob")?;
            let bytes = unpacked(file, &digest, most)?;
            let path = copies.dir.join(format!("{digest}.zst"));
            begun.persist(&path).with_context(|| format!("cannot keep a blob as {}", path.display()))?;
            copies.sweep();
            Ok(bytes)
        });
        kept.await.context("unpacking a blob")?
    }

    /// Removes what is old or too much. What cannot be removed now is removed another time.
    fn sweep(&self) {
        let Ok(entries) = fs::read_dir(&self.dir) else { return };
        let known = |entry: fs::DirEntry| {
            let known = entry.metadata().ok()?;
            Some((known.modified().ok()?, known.len(), entry.path()))
        };
        let mut all: Vec<(SystemTime, u64, PathBuf)> = entries.flatten().filter_map(known).collect();
        all.sort_by(|a, b| b.cmp(a));
        // The files' own times are compared with each other, so that no clock of ours is asked.
        let Some(newest) = all.first().map(|(time, ..)| *time) else { return };
        let mut bytes = 0;
        for (i, (time, size, path)) in all.into_iter().enumerate() {
            let age = newest.duration_since(time).unwrap_or_default();
            let is_whole = path.extension().is_some_and(|extension| extension == "zst");
            bytes += size;
            if (is_whole && age > KEPT) || (!is_whole && age > LEFT) || (i > 0 && is_whole && bytes > ALL) {
                let _ = fs::remove_file(path);
            }
        }
    }
}

/// Writes what comes, up to the most that a blob may be.
pub(super) async fn write(
    parts: impl Stream<Item = anyhow::Result<Bytes>>,
    file: &mut tokio::fs::File,
) -> anyhow::Result<()> {
    let (mut parts, mut bytes) = (std::pin::pin!(parts), 0);
    while let Some(part) = parts.next().await {
        let part = part?;
        bytes += part.len() as u64;
        anyhow::ensure!(bytes <= LARGEST_PACKED, "a blob is longer than {LARGEST_PACKED} bytes, which none may be");
        file.write_all(&part).await.context("cannot keep a blob")?;
    }
    file.flush().await.context("cannot keep a blob")
}

/// Unpacks a blob of at most `most` bytes, and holds it to its digest.
pub(super) fn unpacked(file: File, digest: &str, most: u64) -> anyhow::Result<Vec<u8>> {
    let broken = || format!("blob {digest} does not unpack");
    let mut bytes = Vec::new();
    let packed = zstd::stream::read::Decoder::new(file).with_context(broken)?;
    packed.take(most.saturating_add(1)).read_to_end(&mut bytes).with_context(broken)?;
    anyhow::ensure!(
        bytes.len() as u64 <= most,
        "blob {digest} is more than {most} bytes once it is unpacked, which is all that this process may hold of one \
         (daemon.max_memory_mb)"
    );
    let found = hex::encode(Sha256::digest(&bytes));
    anyhow::ensure!(found == digest, "blob {digest} is damaged: its bytes have the digest {found}");
    Ok(bytes)
}
