//! A circuit breaker: after failures in a row a host rests, then one request tries it. Time is passed in.

use std::time::Duration;
use tokio::time::Instant;

/// The rest doubles with each failed try, up to this many times its first length.
const MAX_STRETCH: u32 = 16;
/// What a request is told to wait while another one is trying the host.
const PROBE_WAIT: Duration = Duration::from_secs(1);

/// Whether a host may be asked.
#[derive(Debug)]
pub(super) struct Breaker {
    failures_allowed: u32,
    cool_off: Duration,
    failures: u32,
    stretch: u32,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Closed,
    Open { until: Instant },
    Probing,
}

impl Breaker {
    pub(super) fn new(failures_allowed: u32, cool_off: Duration) -> Self {
        Self { failures_allowed: failures_allowed.max(1), cool_off, failures: 0, stretch: 1, state: State::Closed }
    }

    /// Lets a request pass, or says how long the host still rests. After the rest one request passes as the probe,
    /// and the others wait for its outcome.
    pub(super) fn admit(&mut self, now: Instant) -> Result<(), Duration> {
        match self.state {
            State::Closed => Ok(()),
            State::Probing => Err(PROBE_WAIT),
            State::Open { until } if until > now => Err(until - now),
            State::Open { .. } => {
                self.state = State::Probing;
                Ok(())
            }
        }
    }

    /// The host answered as a working one does.
    pub(super) fn succeeded(&mut self) {
        self.failures = 0;
        self.stretch = 1;
        self.state = State::Closed;
    }

    /// The host failed.
    pub(super) fn failed(&mut self, now: Instant) {
        self.failures = self.failures.saturating_add(1);
        match self.state {
            State::Probing => {
                self.stretch = (self.stretch * 2).min(MAX_STRETCH);
                self.state = State::Open { until: now + self.cool_off * self.stretch };
            }
            State::Closed if self.failures >= self.failures_allowed => {
                self.state = State::Open { until: now + self.cool_off };
            }
            // Requests that were under way when it opened tell nothing new.
            State::Closed | State::Open { .. } => {}
        }
    }

    /// The request went away without an outcome: the next one is the probe.
    pub(super) fn abandoned(&mut self, now: Instant) {
        if self.state == State::Probing {
            self.state = State::Open { until: now };
        }
    }

    pub(super) fn failures(&self) -> u32 {
        self.failures
    }

    pub(super) fn rests_for(&self, now: Instant) -> Option<Duration> {
        match self.state {
            State::Closed => None,
            State::Probing => Some(Duration::ZERO),
            State::Open { until } => Some(until.saturating_duration_since(now)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REST: Duration = Duration::from_secs(30);

    #[test]
    fn it_opens_after_failures_in_a_row_and_lets_one_probe_through() {
        let start = Instant::now();
        let mut breaker = Breaker::new(3, REST);
        breaker.failed(start);
        breaker.failed(start);
        breaker.succeeded();
        breaker.failed(start);
        breaker.failed(start);
        assert_eq!(breaker.admit(start), Ok(()), "a success in between starts the count anew");
        breaker.failed(start);
        assert_eq!(breaker.admit(start), Err(REST));
        assert_eq!(breaker.admit(start + REST), Ok(()));
        assert_eq!(breaker.admit(start + REST), Err(PROBE_WAIT), "one probe only");
        breaker.succeeded();
        assert_eq!(breaker.admit(start + REST), Ok(()));
    }

    #[test]
    fn a_failed_probe_doubles_the_rest_and_an_abandoned_one_is_replaced() {
        let mut now = Instant::now();
        let mut breaker = Breaker::new(1, REST);
        breaker.failed(now);
        for stretch in [2, 4, 8, 16, 16] {
            now += REST * 16;
            assert_eq!(breaker.admit(now), Ok(()));
            breaker.failed(now);
            assert_eq!(breaker.rests_for(now), Some(REST * stretch));
        }
        now += REST * 16;
        assert_eq!(breaker.admit(now), Ok(()));
        breaker.abandoned(now);
        assert_eq!(breaker.admit(now), Ok(()));
    }
}
