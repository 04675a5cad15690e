//! The simulated exchange's clock: starts where it is told, runs as fast as it is told, never goes back.

use clock::{Clock, SystemClock};
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

/// Wall time that is not moved by corrections of the machine's clock.
#[derive(Debug)]
pub(super) struct MonotonicClock {
    origin_ms: i64,
    origin: Instant,
}

impl MonotonicClock {
    pub(super) fn start() -> Self {
        Self { origin_ms: SystemClock.now_ms(), origin: Instant::now() }
    }
}

impl Clock for MonotonicClock {
    fn now_ms(&self) -> i64 {
        self.origin_ms + i64::try_from(self.origin.elapsed().as_millis()).unwrap_or(i64::MAX / 2)
    }
}

/// Simulated time as a function of wall time.
#[derive(Debug)]
pub struct SimulatedClock {
    wall: Arc<dyn Clock>,
    anchor: Mutex<Anchor>,
}

/// From this pair on, simulated time advances `speed` ms for each wall ms.
#[derive(Clone, Copy, Debug)]
struct Anchor {
    wall_ms: i64,
    simulated_ms: i64,
    speed: f64,
}

impl Anchor {
    fn at(&self, wall_ms: i64) -> i64 {
        // A wall clock that went back stands still here.
        let passed = (wall_ms - self.wall_ms).max(0) as f64 * self.speed;
        self.simulated_ms.saturating_add(passed as i64)
    }
}

impl SimulatedClock {
    /// A clock that shows `start_ms` (UTC ms) now and runs `speed` simulated seconds in a wall second.
    #[must_use]
    pub fn new(wall: Arc<dyn Clock>, start_ms: i64, speed: f64) -> Self {
        let anchor = Anchor { wall_ms: wall.now_ms(), simulated_ms: start_ms, speed };
        Self { wall, anchor: Mutex::new(anchor) }
    }

    /// Simulated time, UTC ms.
    #[must_use]
    pub fn now_ms(&self) -> i64 {
        self.lock().at(self.wall.now_ms())
    }

    /// Simulated seconds in a wall second.
    #[must_use]
    pub fn speed(&self) -> f64 {
        self.lock().speed
    }

    /// Sets the speed from now on; 0 stops the clock. Negative speeds and NaN stop it, too.
    pub fn set_speed(&self, speed: f64) {
        let mut anchor = self.lock();
        self.restart(&mut anchor);
        anchor.speed = speed.max(0.0);
    }

    /// Jumps ahead; a negative jump does nothing.
    pub fn advance(&self, by_ms: i64) {
        let mut anchor = self.lock();
        self.restart(&mut anchor);
        anchor.simulated_ms = anchor.simulated_ms.saturating_add(by_ms.max(0));
    }

    fn restart(&self, anchor: &mut Anchor) {
        let wall_ms = self.wall.now_ms();
        *anchor = Anchor { wall_ms: wall_ms.max(anchor.wall_ms), simulated_ms: anchor.at(wall_ms), ..*anchor };
    }

    fn lock(&self) -> MutexGuard<'_, Anchor> {
        // The anchor is a plain value, whole at all times.
        self.anchor.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clock::ManualClock;

    #[test]
    fn time_runs_at_the_set_speed_and_never_goes_back() {
        let wall = Arc::new(ManualClock::at(1_000));
        let clock = SimulatedClock::new(wall.clone(), 50_000, 60.0);
        assert_eq!(clock.now_ms(), 50_000);
        wall.advance(100);
        assert_eq!(clock.now_ms(), 56_000);
        clock.set_speed(1.0);
        wall.advance(100);
        assert_eq!((clock.now_ms(), clock.speed()), (56_100, 1.0));
        clock.advance(900);
        clock.advance(-5_000);
        assert_eq!(clock.now_ms(), 57_000);
        clock.set_speed(f64::NAN);
        wall.advance(1_000_000);
        assert_eq!((clock.now_ms(), clock.speed()), (57_000, 0.0));
        wall.advance(-5_000_000);
        clock.set_speed(1.0);
        assert_eq!(clock.now_ms(), 57_000);
    }
}
