//! One host: whether it may be asked now, and what its answers mean for the next request.
//!
//! Every request of the process to a host passes here, so a ban or a limit stops all of them, not one.

use super::breaker::Breaker;
use super::ledger::Ledger;
use crate::{ExchangeError, MarketConfig};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Weight per minute assumed until the exchange has stated it: less than any of its stated limits so far.
const ASSUMED_WEIGHT_PER_MINUTE: u32 = 1_200;
/// The pacer lets a quarter of the budget through at once and refills three quarters a minute, so that no minute,
/// wherever it starts, sees more than the whole.
const BURST_SHARE: f64 = 0.25;

/// How a host stands, for health and metrics.
#[derive(Clone, Debug, PartialEq)]
pub struct HostStatus {
    /// The host.
    pub host: String,
    /// Weight used in its current minute, what is under way included.
    pub weight_used: u32,
    /// Weight that we allow ourselves a minute.
    pub weight_budget: u32,
    /// Weight that the exchange allows a minute.
    pub weight_limit: u32,
    /// How long it told us to stay away, if it did.
    pub stopped_for: Option<Duration>,
    /// How long it rests because it failed too often, if it does.
    pub circuit_open_for: Option<Duration>,
    /// Failures in a row.
    pub failures: u32,
}

/// One host.
#[derive(Debug)]
pub(super) struct Host {
    pub(super) name: String,
    share: f64,
    max_wait: Duration,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    ledger: Ledger,
    breaker: Breaker,
    stop: Option<Stop>,
    weight_limit: u32,
    pacer: Arc<DefaultDirectRateLimiter>,
}

#[derive(Clone, Copy, Debug)]
struct Stop {
    until: Instant,
    banned: bool,
}

/// Leave to send one request. Dropped without an outcome, it counts as sent.
pub(super) struct Permit<'a> {
    host: &'a Host,
    weight: u32,
    settled: bool,
}

impl Host {
    pub(super) fn new(name: String, config: &MarketConfig) -> Self {
        let cool_off = Duration::from_secs(config.breaker_cool_off_s);
        let share = config.weight_share;
        let state = State {
            ledger: Ledger::default(),
            breaker: Breaker::new(config.breaker_failures, cool_off),
            stop: None,
            weight_limit: ASSUMED_WEIGHT_PER_MINUTE,
            pacer: Arc::new(pacer(budget(ASSUMED_WEIGHT_PER_MINUTE, share))),
        };
        Self { name, share, max_wait: Duration::from_secs(config.max_wait_s), state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing is left half changed by a panic in here.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the turn of a request of `weight`.
    ///
    /// # Errors
    /// When the host must be left alone for longer than a request waits.
    pub(super) async fn admit(&self, weight: u32) -> Result<Permit<'_>, ExchangeError> {
        let deadline = Instant::now() + self.max_wait;
        let mut paced = false;
        loop {
            let turn = {
                let state = &mut *self.state();
                let now = Instant::now();
                let rate_limited = |retry_after| ExchangeError::RateLimited { host: self.name.clone(), retry_after };
                match state.stop.filter(|stop| stop.until > now) {
                    Some(Stop { until, banned: true }) => {
                        return Err(ExchangeError::Banned { host: self.name.clone(), retry_after: until - now });
                    }
                    Some(Stop { until, banned: false }) => Turn::Wait(until, rate_limited(until - now)),
                    None if !paced => Turn::Pace(Arc::clone(&state.pacer), budget(state.weight_limit, self.share)),
                    None => match state.breaker.admit(now) {
                        Err(retry_after) => {
                            return Err(ExchangeError::CircuitOpen { host: self.name.clone(), retry_after });
                        }
                        Ok(()) => match state.ledger.admit(weight, budget(state.weight_limit, self.share), now) {
                            Ok(()) => return Ok(Permit { host: self, weight, settled: false }),
                            Err(wait) => {
                                state.breaker.abandoned(now);
                                Turn::Wait(now + wait, rate_limited(wait))
                            }
                        },
                    },
                }
            };
            match turn {
                Turn::Wait(until, error) if until > deadline => return Err(error),
                Turn::Wait(until, _) => tokio::time::sleep_until(until).await,
                Turn::Pace(pacer, allowed) => {
                    // At the rate that is allowed it would be this long until so much weight is free again.
                    let retry_after = Duration::from_secs_f64(60.0 * f64::from(weight) / f64::from(allowed.max(1)));
                    let late = |_| ExchangeError::RateLimited { host: self.name.clone(), retry_after };
                    tokio::time::timeout_at(deadline, pace(&pacer, weight, allowed)).await.map_err(late)?;
                    paced = true;
                }
            }
        }
    }

    /// The exchange has stated its limit.
    pub(super) fn set_weight_limit(&self, weight_per_minute: u32) {
        let mut state = self.state();
        if weight_per_minute > 0 && state.weight_limit != weight_per_minute {
            state.weight_limit = weight_per_minute;
            state.pacer = Arc::new(pacer(budget(weight_per_minute, self.share)));
        }
    }

    pub(super) fn status(&self) -> HostStatus {
        let state = self.state();
        let now = Instant::now();
        HostStatus {
            host: self.name.clone(),
            weight_used: state.ledger.committed(now),
            weight_budget: budget(state.weight_limit, self.share),
            weight_limit: state.weight_limit,
            stopped_for: state.stop.map(|s| s.until.saturating_duration_since(now)).filter(|d| !d.is_zero()),
            circuit_open_for: state.breaker.rests_for(now),
            failures: state.breaker.failures(),
        }
    }
}

enum Turn {
    Wait(Instant, ExchangeError),
    Pace(Arc<DefaultDirectRateLimiter>, u32),
}

impl Permit<'_> {
    /// The request had an outcome. `told`: the weight that the exchange counted, with its clock's seconds.
    pub(super) fn settle(mut self, told: Option<(u32, u64)>, outcome: Result<(), &ExchangeError>) {
        self.settled = true;
        let mut state = self.host.state();
        let now = Instant::now();
        state.ledger.settle(self.weight, told, now);
        match outcome {
            Err(e) if e.is_host_failure() => state.breaker.failed(now),
            _ => state.breaker.succeeded(),
        }
        let stop = match outcome {
            Err(ExchangeError::RateLimited { retry_after, .. }) => Some((*retry_after, false)),
            Err(ExchangeError::Banned { retry_after, .. }) => Some((*retry_after, true)),
            _ => None,
        };
        if let Some((retry_after, banned)) = stop {
            let until = now + retry_after;
            // A longer stop is not shortened by the answer to a request that was under way already.
            if state.stop.is_none_or(|known| known.until < until) {
                state.stop = Some(Stop { until, banned });
            }
        }
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if !self.settled {
            let mut state = self.host.state();
            let now = Instant::now();
            state.ledger.settle(self.weight, None, now);
            state.breaker.abandoned(now);
        }
    }
}

/// What we allow ourselves of a limit.
fn budget(weight_limit: u32, share: f64) -> u32 {
    ((f64::from(weight_limit) * share) as u32).max(1)
}

fn burst(budget: u32) -> NonZeroU32 {
    NonZeroU32::new((f64::from(budget) * BURST_SHARE) as u32).unwrap_or(NonZeroU32::MIN)
}

fn pacer(budget: u32) -> DefaultDirectRateLimiter {
    let refill_a_minute = (f64::from(budget) * (1.0 - BURST_SHARE)).max(0.25);
    let period = Duration::from_secs_f64(60.0 / refill_a_minute);
    let quota = Quota::with_period(period).expect("the period is at least 60 s / 2^32, which is not zero");
    RateLimiter::direct(quota.allow_burst(burst(budget)))
}

/// Takes `weight` from the pacer, piece by piece where it is more than a burst.
async fn pace(pacer: &DefaultDirectRateLimiter, weight: u32, budget: u32) {
    let piece = burst(budget);
    let mut left = weight;
    while let Some(n) = NonZeroU32::new(left.min(piece.get())) {
        if pacer.until_n_ready(n).await.is_err() {
            // The limit was restated meanwhile, to a smaller one: the ledger still holds it.
            return;
        }
        left -= n.get();
    }
}
