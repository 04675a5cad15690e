//! Request weight used in the exchange's current minute, as its answers tell. Time is passed in.
//!
//! The exchange counts per clock minute and address, so others at this address count, too: its word outranks ours.

use std::time::Duration;
use tokio::time::Instant;

const MINUTE: Duration = Duration::from_secs(60);

/// What is known about the current minute.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// The exchange's minute since the epoch that `used` belongs to, where an answer told it.
    minute: Option<u64>,
    used: u32,
    ends: Option<Instant>,
    in_flight: u32,
}

impl Ledger {
    /// Books `weight` if it fits into `budget`, or says when the minute ends.
    pub(super) fn admit(&mut self, weight: u32, budget: u32, now: Instant) -> Result<(), Duration> {
        if self.ends.is_none_or(|ends| ends <= now) {
            self.used = 0;
            self.ends = Some(now + MINUTE);
        }
        let committed = self.used.saturating_add(self.in_flight);
        // A request heavier than the whole budget goes out alone: never would be worse.
        if committed == 0 || committed.saturating_add(weight) <= budget {
            self.in_flight = self.in_flight.saturating_add(weight);
            Ok(())
        } else {
            let ends = self.ends.unwrap_or(now + MINUTE);
            Err(ends.saturating_duration_since(now).max(Duration::from_millis(10)))
        }
    }

    /// A request is over. `told`: what the exchange counted by then, with its clock's seconds since the epoch.
    pub(super) fn settle(&mut self, weight: u32, told: Option<(u32, u64)>, now: Instant) {
        self.in_flight = self.in_flight.saturating_sub(weight);
        let Some((used, second)) = told else {
            self.used = self.used.saturating_add(weight);
            return;
        };
        let minute = second / 60;
        match self.minute {
            // An answer that was overtaken tells of a minute that is gone.
            Some(known) if minute < known => {}
            Some(known) if minute == known => self.used = self.used.max(used),
            _ => {
                self.minute = Some(minute);
                self.used = used;
                // The exchange's clock has a resolution of a second here: its minute ends by then at the latest.
                self.ends = Some(now + Duration::from_secs(60 - second % 60));
            }
        }
    }

    /// Weight used in the current minute, what is under way included.
    pub(super) fn committed(&self, now: Instant) -> u32 {
        let used = if self.ends.is_some_and(|ends| ends > now) { self.used } else { 0 };
        used.saturating_add(self.in_flight)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_exchange_tells_outranks_our_own_count() {
        let now = Instant::now();
        let mut ledger = Ledger::default();
        assert_eq!(ledger.admit(2, 100, now), Ok(()));
        ledger.settle(2, Some((90, 1_000 * 60 + 20)), now);
        assert_eq!(ledger.admit(10, 100, now), Ok(()));
        assert_eq!(ledger.admit(1, 100, now), Err(Duration::from_secs(40)), "what is under way counts");
        ledger.settle(10, Some((95, 999 * 60 + 59)), now);
        assert_eq!(ledger.committed(now), 90, "an overtaken answer changes nothing");
        let later = now + Duration::from_secs(41);
        assert_eq!(ledger.admit(50, 100, later), Ok(()), "a new minute");
    }

    #[test]
    fn without_a_word_of_the_exchange_we_count_ourselves() {
        let now = Instant::now();
        let mut ledger = Ledger::default();
        assert_eq!(ledger.admit(60, 100, now), Ok(()));
        ledger.settle(60, None, now);
        assert_eq!(ledger.admit(60, 100, now), Err(MINUTE));
        assert_eq!(ledger.admit(40, 100, now), Ok(()));
        assert_eq!(ledger.admit(500, 100, now + MINUTE), Err(MINUTE), "40 are still under way");
        ledger.settle(40, None, now + MINUTE);
        assert_eq!(ledger.admit(500, 100, now + 2 * MINUTE), Ok(()), "too heavy for any minute: alone, then");
    }
}
