//! Who is connected: a budget of connections, and who makes room when it is spent. Opens, reads and serves none.
//!
//! A connection beyond the budget takes the place of the one that has been silent longest. Where all of them are busy
//! it gets one of a few reserved places, on which only health and metrics are answered.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Instant,
};
use telemetry::metrics;
use tokio_util::sync::CancellationToken;

/// Reserved places beyond the budget.
const RESERVED: usize = 32;

/// Connections of all servers of this process, for the metric.
static OPEN: AtomicU64 = AtomicU64::new(0);

/// The connections of one server.
pub(super) struct Connections {
    most: usize,
    began: Instant,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    next: u64,
    open: BTreeMap<u64, Arc<Connection>>,
}

/// What is known of a connection.
pub(super) struct Connection {
    number: u64,
    reserved: bool,
    began: Instant,
    /// When bytes last moved, ms after `began`.
    moved_ms: AtomicU64,
    /// Requests that are being answered.
    busy: AtomicUsize,
    out: CancellationToken,
}

impl Connection {
    /// Notes that bytes moved.
    pub(super) fn touch(&self) {
        self.moved_ms.store(ms_since(self.began), Ordering::Relaxed);
    }

    /// Cancelled when somebody else takes its place.
    pub(super) fn out(&self) -> &CancellationToken {
        &self.out
    }

    /// Whether only health and metrics are answered on it.
    pub(super) fn is_reserved(&self) -> bool {
        self.reserved
    }

    /// Busy until what is returned is dropped.
    pub(super) fn busy(self: &Arc<Self>) -> Busy {
        self.busy.fetch_add(1, Ordering::SeqCst);
        Busy(Arc::clone(self))
    }

    /// Idle ones first, of those the one that has been silent longest.
    fn rank(&self) -> (bool, u64) {
        (self.busy.load(Ordering::SeqCst) > 0, self.moved_ms.load(Ordering::Relaxed))
    }
}

/// A request that is being answered.
pub(super) struct Busy(Arc<Connection>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.touch();
        self.0.busy.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A place, free again when it is dropped.
pub(super) struct Seat {
    all: Arc<Connections>,
    connection: Arc<Connection>,
}

impl Seat {
    pub(super) fn connection(&self) -> &Arc<Connection> {
        &self.connection
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.all.known().open.remove(&self.connection.number);
        let before = OPEN.fetch_sub(1, Ordering::SeqCst);
        metrics::HTTP_CONNECTIONS.set(None, before.saturating_sub(1) as f64);
    }
}

impl Connections {
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, began: Instant::now(), known: Mutex::default() })
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for one more.
    pub(super) fn admit(self: &Arc<Self>) -> Seat {
        let mut known = self.known();
        let full = |known: &Known, reserved, most| {
            known.open.values().filter(|one| one.reserved == reserved && !one.out.is_cancelled()).count() >= most
        };
        let reserved = full(&known, false, self.most) && !known.make_room(|one| !one.reserved && !one.rank().0);
        if reserved && full(&known, true, RESERVED) {
            known.make_room(|one| one.reserved);
        }
        let number = known.next;
        known.next += 1;
        let connection = Arc::new(Connection {
            number,
            reserved,
            began: self.began,
            moved_ms: AtomicU64::new(ms_since(self.began)),
            busy: AtomicUsize::new(0),
            out: CancellationToken::new(),
        });
        known.open.insert(number, Arc::clone(&connection));
        drop(known);
        metrics::HTTP_CONNECTIONS.set(None, OPEN.fetch_add(1, Ordering::SeqCst) as f64 + 1.0);
        Seat { all: Arc::clone(self), connection }
    }

    /// Ends the connection that has been silent longest, when the process cannot have more.
    pub(super) fn make_room(&self) {
        self.known().make_room(|one| !one.rank().0);
    }
}

impl Known {
    /// Whether one of these made room.
    fn make_room(&mut self, among: impl Fn(&Connection) -> bool) -> bool {
        let those = self.open.values().filter(|one| !one.out.is_cancelled() && among(one));
        let Some(one) = those.min_by_key(|one| (one.rank(), one.number)) else { return false };
        one.out.cancel();
        metrics::HTTP_CONNECTIONS_ENDED_TOTAL.increment();
        true
    }
}

fn ms_since(began: Instant) -> u64 {
    u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gone(seats: &[Seat]) -> Vec<bool> {
        seats.iter().map(|seat| seat.connection.out.is_cancelled()).collect()
    }

    #[test]
    fn the_longest_silent_makes_room_and_the_busy_stay() {
        let all = Connections::new(3);
        let mut seats: Vec<Seat> = (0..3).map(|_| all.admit()).collect();
        let _busy = seats[0].connection.busy();
        seats.push(all.admit());
        assert_eq!(gone(&seats), [false, true, false, false], "the first is busy, the second was there before others");
        assert!(!seats[3].connection.is_reserved());
        let _also = (seats[2].connection.busy(), seats[3].connection.busy());
        seats.push(all.admit());
        assert_eq!(gone(&seats), [false, true, false, false, false]);
        assert!(seats[4].connection.is_reserved(), "all are busy");
    }

    #[test]
    fn a_place_is_free_again_and_an_answered_one_is_silent_again() {
        let all = Connections::new(1);
        let first = all.admit();
        drop(first.connection.busy());
        let second = all.admit();
        assert!(first.connection.out.is_cancelled() && !second.connection.is_reserved());
        drop((first, second));
        assert!(all.known().open.is_empty());
    }

    #[test]
    fn the_reserve_has_an_end_too() {
        let all = Connections::new(1);
        let first = all.admit();
        let _busy = first.connection.busy();
        let seats: Vec<Seat> = (0..=RESERVED).map(|_| all.admit()).collect();
        assert!(seats[0].connection.out.is_cancelled(), "the oldest of the reserve made room");
        assert!(seats[1..].iter().all(|seat| !seat.connection.out.is_cancelled()));
    }
}
