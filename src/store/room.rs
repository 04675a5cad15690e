//! Whether the server has room: reads go on when its disk is full, so nobody would notice by them. Measures nothing; it
//! remembers what failed.

use crate::StoreError;
use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// A failure is old after this: every daemon writes much more often, and fails again while there is no room.
const REMEMBERED_FOR: Duration = Duration::from_secs(120);

/// The newest failure for want of room.
#[derive(Default)]
pub(crate) struct Room(Mutex<Option<Failure>>);

struct Failure {
    at: Instant,
    transaction: &'static str,
}

/// What is said of it; what the server says names its files.
const LACKING: &str = "it can store nothing: its disk is full, or it has run out of memory";

impl Room {
    /// Takes note of how a transaction ended.
    pub(crate) fn note(&self, transaction: &'static str, error: Option<&StoreError>) {
        let mut newest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match error {
            Some(StoreError::Full(_)) => *newest = Some(Failure { at: Instant::now(), transaction }),
            // What failed for want of room goes through again. Another transaction may merely read.
            None if newest.as_ref().is_some_and(|failure| failure.transaction == transaction) => *newest = None,
            _ => {}
        }
    }

    /// Why nothing can be stored, where that was so lately.
    pub(crate) fn lacking(&self) -> Option<&'static str> {
        let newest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        newest.as_ref().filter(|failure| failure.at.elapsed() < REMEMBERED_FOR).map(|_| LACKING)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_remembered_until_what_failed_goes_through() {
        let (room, full) = (Room::default(), StoreError::Full("could not extend file".to_owned()));
        assert_eq!(room.lacking(), None);
        room.note("runner_started", Some(&full));
        room.note("overview", None);
        room.note("put_strategy", Some(&StoreError::Conflict("x".to_owned())));
        assert!(room.lacking().unwrap().contains("disk is full"));
        room.note("runner_started", None);
        assert_eq!(room.lacking(), None);
    }
}
