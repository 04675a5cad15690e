//! Whether the disk under the cache has room: what is cached is read as ever when it has none, so nobody would notice by
//! that. Measures nothing; it remembers what failed.

use super::CacheError;
use std::error::Error;
use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A failure is old after this: who fetches candles writes much more often, and fails again while there is no room.
const REMEMBERED_FOR: Duration = Duration::from_secs(600);

/// When something could last not be written for want of room.
#[derive(Debug, Default)]
pub(super) struct Room(Mutex<Option<Instant>>);

impl Room {
    /// Takes note of how writing ended.
    pub(super) fn note<T>(&self, written: Result<T, CacheError>) -> Result<T, CacheError> {
        let mut newest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &written {
            Ok(_) => *newest = None,
            Err(CacheError::Full { .. }) => *newest = Some(Instant::now()),
            Err(_) => {}
        }
        drop(newest);
        written
    }

    /// Whether nothing could be written lately.
    pub(super) fn is_lacking(&self) -> bool {
        let newest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        newest.is_some_and(|at| at.elapsed() < REMEMBERED_FOR)
    }
}

/// What the system says where an error comes from there having no room: a full disk, a quota, a limit to a file's size.
pub(super) fn no_room(error: &(dyn Error + 'static)) -> Option<String> {
    let mut at = Some(error);
    while let Some(error) = at {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            let lacking = [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded, io::ErrorKind::FileTooLarge];
            if lacking.contains(&error.kind()) {
                return Some(error.to_string());
            }
            // Wrapped in another of its kind.
            if let Some(inner) = error.get_ref().and_then(|inner| no_room(inner)) {
                return Some(inner);
            }
        }
        at = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> CacheError {
        CacheError::Full { path: "spot/BTCUSDT/1h/2024-01.parquet".to_owned(), what: "no room".to_owned() }
    }

    #[test]
    fn want_of_room_is_told_from_other_trouble_and_forgotten_when_something_was_written() {
        let of = |code: i32| object_store::Error::Generic {
            store: "LocalFileSystem",
            source: Box::new(io::Error::other(io::Error::from_raw_os_error(code))),
        };
        // ENOSPC, EDQUOT, EFBIG; EACCES, EIO.
        for code in [28, 122, 27] {
            assert!(no_room(&of(code)).is_some(), "{code}");
        }
        for code in [13, 5] {
            assert_eq!(no_room(&of(code)), None, "{code}");
        }
        let room = Room::default();
        assert!(!room.is_lacking());
        assert!(room.note::<()>(Err(full())).is_err() && room.is_lacking());
        assert!(room.note::<()>(Err(CacheError::Task("stopped".to_owned()))).is_err());
        assert!(room.is_lacking(), "other trouble says nothing of room");
        assert!(room.note(Ok(())).is_ok() && !room.is_lacking());
    }
}
