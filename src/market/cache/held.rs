//! Candles that somebody works with, told to every process that shares the cache: nobody evicts them under the work.
//!
//! A file a worker under the locks, which the operating system keeps locked as long as the worker lives: one that is not
//! locked was left by a process that died, and counts for nothing. Evicts nothing itself.

use super::CacheError;
use super::storage::LOCK_DIR;
use candles::stored::CandleRange;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// A file a worker.
const HELD_DIR: &str = "held";
/// Shared by who begins to hold something, and for one alone that evicts.
const GATE: &str = "evicting";

/// Keeps candles from being evicted until it is dropped, or its process ends.
#[derive(Debug)]
#[must_use = "candles are held only while this lives"]
pub struct Held {
    // Locked; before the path is looked at by anybody, it is gone.
    _file: File,
    path: PathBuf,
}

impl Drop for Held {
    fn drop(&mut self) {
        // Left behind, it is unlocked, which is as good.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Nobody begins to hold anything while this lives.
pub(crate) struct Gate {
    _file: File,
    /// What is held.
    pub(crate) held: Vec<CandleRange>,
}

fn gate(root: &Path) -> io::Result<File> {
    let dir = root.join(LOCK_DIR);
    std::fs::create_dir_all(dir.join(HELD_DIR))?;
    OpenOptions::new().write(true).create(true).truncate(false).open(dir.join(GATE))
}

/// Holds candles, once nobody evicts any.
fn hold(root: &Path, ranges: &[CandleRange]) -> io::Result<Held> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let gate = gate(root)?;
    gate.lock_shared()?;
    let name = format!("{}-{}.json", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
    let path = root.join(LOCK_DIR).join(HELD_DIR).join(name);
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(&path)?;
    file.lock()?;
    // Dropped where writing fails, and the file with it.
    let text = serde_json::to_vec(ranges)?;
    let written = file.write_all(&text);
    let held = Held { _file: file, path };
    written.map(|()| held)
}

/// Keeps everybody from beginning to hold anything, and says what is held.
fn close(root: &Path) -> io::Result<Gate> {
    let gate = gate(root)?;
    gate.lock()?;
    let mut held = Vec::new();
    for entry in std::fs::read_dir(root.join(LOCK_DIR).join(HELD_DIR))? {
        let path = entry?.path();
        let mut file = match File::open(&path) {
            Ok(file) => file,
            // Its work has ended just now.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        match file.try_lock_shared() {
            // Nobody's any more.
            Ok(()) => drop(std::fs::remove_file(&path)),
            Err(TryLockError::WouldBlock) => {
                let mut text = Vec::new();
                file.read_to_end(&mut text)?;
                held.extend(serde_json::from_slice::<Vec<CandleRange>>(&text)?);
            }
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
    Ok(Gate { _file: gate, held })
}

impl super::CandleCache {
    /// Holds candles against eviction by any process of this machine that shares the cache, until the answer is dropped.
    /// Waits while something is evicted.
    ///
    /// # Errors
    /// When that cannot be written down: no room, no rights.
    pub async fn hold(&self, ranges: Vec<CandleRange>) -> Result<Held, CacheError> {
        let root = self.dir().to_owned();
        self.locked(move || hold(&root, &ranges)).await
    }

    /// Keeps all processes from beginning to hold candles, and says which are held.
    pub(crate) async fn close_gate(&self) -> Result<Gate, CacheError> {
        let root = self.dir().to_owned();
        self.locked(move || close(&root)).await
    }

    async fn locked<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> Result<T, CacheError> {
        let path = self.dir().join(LOCK_DIR);
        let done = tokio::task::spawn_blocking(work).await.map_err(|e| CacheError::Task(e.to_string()))?;
        done.map_err(|source| match super::room::no_room(&source) {
            Some(what) => CacheError::Full { path: path.display().to_string(), what },
            None => CacheError::Lock { path, source },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::CandleCache;
    use candles::{Interval, MarketKind};

    fn range(from_ms: i64) -> CandleRange {
        let (market, symbol) = (MarketKind::Spot, "BTCUSDT".parse().unwrap());
        CandleRange { market, symbol, interval: Interval::M15, from_ms, to_ms: from_ms + 1 }
    }

    #[tokio::test]
    async fn what_one_works_with_is_held_for_all_and_what_the_dead_held_for_nobody() {
        let dir = tempfile::tempdir().unwrap();
        let (mine, others) = (CandleCache::open(dir.path()).unwrap(), CandleCache::open(dir.path()).unwrap());
        let (one, two) = (mine.hold(vec![range(1)]).await.unwrap(), others.hold(vec![range(2)]).await.unwrap());
        // As a process leaves it that was killed: the file is there, and nobody has it locked.
        let left = dir.path().join(LOCK_DIR).join(HELD_DIR).join("4711-0.json");
        std::fs::write(&left, serde_json::to_vec(&[range(3)]).unwrap()).unwrap();
        let held = async || {
            let mut held = others.close_gate().await.unwrap().held;
            held.sort_by_key(|range| range.from_ms);
            held
        };
        assert_eq!(held().await, [range(1), range(2)]);
        assert!(!left.exists());
        drop(one);
        assert_eq!(held().await, [range(2)]);
        drop(two);
        assert_eq!(held().await, []);
        assert_eq!(std::fs::read_dir(left.parent().unwrap()).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn whoever_comes_while_something_is_evicted_waits() {
        let dir = tempfile::tempdir().unwrap();
        let cache = CandleCache::open(dir.path()).unwrap();
        let evicting = cache.close_gate().await.unwrap();
        let root = cache.dir().to_owned();
        assert!(matches!(gate(&root).unwrap().try_lock_shared(), Err(TryLockError::WouldBlock)));
        let late = tokio::spawn({
            let cache = cache.clone();
            async move { cache.hold(vec![range(4)]).await }
        });
        drop(evicting);
        let _held = late.await.unwrap().unwrap();
        assert_eq!(cache.close_gate().await.unwrap().held, [range(4)]);
    }
}
