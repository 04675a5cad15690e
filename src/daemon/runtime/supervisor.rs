//! Runs named loops: each activation is retried with backoff when it fails, parked when it keeps failing.
//!
//! What cannot be reached is no failure of the loop: it is asked for again every second, for as long as that takes.
//! Knows nothing of what the loops do. A panic counts as a failure; one loop's trouble never ends another's. On stop
//! everybody is asked to finish, and what has not within the grace is dropped.

use anyhow::anyhow;
use async_trait::async_trait;
use backon::{BackoffBuilder, ExponentialBuilder};
use futures::FutureExt;
use std::{
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, Instant},
};
use telemetry::metrics;
use tokio::{sync::Notify, task::JoinHandle};
use tokio_util::sync::CancellationToken;

/// One idempotent piece of work, woken by its period or by hand: running it twice changes nothing more.
#[async_trait]
pub(crate) trait Activation: Send + 'static {
    /// Name in logs and metrics.
    fn name(&self) -> &'static str;

    /// Between the starts of two activations.
    fn period(&self) -> Duration;

    /// Does the work once. Returns early, and `Ok`, when `stop` is cancelled.
    ///
    /// # Errors
    /// Whatever kept it from being done; it is then tried again.
    async fn run(&mut self, stop: &CancellationToken) -> anyhow::Result<()>;

    /// Whether it rests when it keeps failing. What people wait for is tried again without a rest.
    fn may_rest(&self) -> bool {
        true
    }
}

/// How patient the supervisor is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// Attempts before a loop is parked.
    pub(crate) attempts: u32,
    /// Wait before the first retry; doubled each time.
    pub(crate) min_wait: Duration,
    /// Longest wait between two retries.
    pub(crate) max_wait: Duration,
    /// How long a parked loop rests.
    pub(crate) park: Duration,
    /// Wait before what could not be reached is asked for again; also the longest wait of a loop that never rests.
    pub(crate) unreachable: Duration,
}

impl From<&crate::config::DaemonConfig> for Patience {
    fn from(config: &crate::config::DaemonConfig) -> Self {
        Self {
            attempts: config.step_attempts,
            min_wait: Duration::from_millis(config.retry_min_ms),
            max_wait: Duration::from_millis(config.retry_max_ms),
            park: Duration::from_secs(config.park_s),
            unreachable: Duration::from_secs(1),
        }
    }
}

/// What happened to a loop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// An activation failed and will be tried again.
    Failed {
        /// The loop.
        name: &'static str,
        /// Failures in a row.
        failures: u32,
        /// The chain of causes, on one line.
        error: String,
    },
    /// It failed too often and rests now, unless it never rests.
    Parked {
        /// The loop.
        name: &'static str,
        /// Failures in a row.
        failures: u32,
        /// The chain of causes, on one line.
        error: String,
    },
    /// It works again after having been parked.
    Recovered {
        /// The loop.
        name: &'static str,
    },
    /// It cannot reach what it works with, and asks for it again and again. Told once, until it works again.
    Away {
        /// The loop.
        name: &'static str,
        /// The chain of causes, on one line.
        error: String,
    },
    /// It reaches what it works with again.
    Back {
        /// The loop.
        name: &'static str,
    },
}

type Report = Arc<dyn Fn(&Event) + Send + Sync>;

/// Whether an error says that what a loop works with cannot be reached.
pub(crate) type IsUnreachable = fn(&anyhow::Error) -> bool;

/// Owns the loops.
pub(crate) struct Supervisor {
    stop: CancellationToken,
    patience: Patience,
    is_unreachable: IsUnreachable,
    report: Report,
    loops: Vec<(&'static str, JoinHandle<()>)>,
}

impl Supervisor {
    /// No loops yet. `report` is told of failures after they are logged; it must not block.
    #[must_use]
    pub(crate) fn new(
        stop: CancellationToken,
        patience: Patience,
        is_unreachable: IsUnreachable,
        report: impl Fn(&Event) + Send + Sync + 'static,
    ) -> Self {
        Self { stop, patience, is_unreachable, report: Arc::new(report), loops: Vec::new() }
    }

    /// Starts a loop with an activation at once. Notify what is returned to wake it before its period is over.
    pub(crate) fn spawn(&mut self, activation: impl Activation) -> Arc<Notify> {
        let wake = Arc::new(Notify::new());
        let name = activation.name();
        let how = (self.patience, self.is_unreachable);
        let run = supervise(activation, self.stop.clone(), how, self.report.clone(), wake.clone());
        self.loops.push((name, tokio::spawn(run)));
        wake
    }

    /// Waits until stop is asked for, then up to `grace` for the loops to end. Returns the names of those dropped.
    pub(crate) async fn drain(self, grace: Duration) -> Vec<&'static str> {
        self.stop.cancelled().await;
        let deadline = tokio::time::Instant::now() + grace;
        let mut dropped = Vec::new();
        for (name, mut handle) in self.loops {
            match tokio::time::timeout_at(deadline, &mut handle).await {
                Ok(Ok(())) => {}
                // Panics of activations are caught inside; this one is the supervisor's own.
                Ok(Err(error)) => tracing::error!(step = name, %error, "a loop ended badly"),
                Err(_) => {
                    handle.abort();
                    tracing::warn!(step = name, grace_s = grace.as_secs_f64(), "did not stop in time: dropped");
                    dropped.push(name);
                }
            }
        }
        dropped
    }
}

async fn supervise(
    mut activation: impl Activation,
    stop: CancellationToken,
    (patience, is_unreachable): (Patience, IsUnreachable),
    report: Report,
    wake: Arc<Notify>,
) {
    let (name, may_rest) = (activation.name(), activation.may_rest());
    let max_wait = if may_rest { patience.max_wait } else { patience.max_wait.min(patience.unreachable) };
    let backoff = ExponentialBuilder::new()
        .with_factor(2.0)
        .with_jitter()
        .with_min_delay(patience.min_wait.min(max_wait))
        .with_max_delay(max_wait)
        .without_max_times();
    let (mut failures, mut parked, mut waits, mut away) = (0, false, backoff.build(), false);
    while !stop.is_cancelled() {
        let started = Instant::now();
        let outcome = match AssertUnwindSafe(activation.run(&stop)).catch_unwind().await {
            Ok(outcome) => outcome,
            Err(panic) => Err(anyhow!("panicked: {}", panic_text(&*panic))),
        };
        metrics::STEP_SECONDS.record(name, started.elapsed());
        let is_away = outcome.as_ref().is_err_and(is_unreachable) && !stop.is_cancelled();
        if away && !is_away {
            tracing::info!(step = name, "reaches what it works with again");
            report(&Event::Back { name });
        }
        let was_away = std::mem::replace(&mut away, is_away);
        let wait = match outcome {
            Ok(()) => {
                if std::mem::take(&mut parked) {
                    tracing::info!(step = name, "works again");
                    report(&Event::Recovered { name });
                }
                (failures, waits) = (0, backoff.build());
                activation.period().saturating_sub(started.elapsed())
            }
            Err(_) if stop.is_cancelled() => return,
            Err(error) if is_away => {
                let error = format!("{error:#}");
                if was_away {
                    tracing::debug!(step = name, error, "still out of reach");
                } else {
                    tracing::warn!(step = name, error, "out of reach: asked for again every second");
                    report(&Event::Away { name, error });
                }
                patience.unreachable
            }
            Err(error) => {
                failures += 1;
                metrics::STEP_FAILURES_TOTAL.increment(name);
                let error = format!("{error:#}");
                // A parked loop that fails again is parked again: one attempt each time, no storm of retries.
                if may_rest && (parked || failures >= patience.attempts) {
                    parked = true;
                    let rest_s = patience.park.as_secs();
                    tracing::error!(step = name, failures, error, rest_s, "keeps failing: parked");
                    report(&Event::Parked { name, failures, error });
                    patience.park
                } else {
                    let wait = waits.next().unwrap_or(max_wait);
                    tracing::warn!(step = name, failures, error, retry_in_ms = wait.as_millis(), "failed");
                    if failures == patience.attempts {
                        // Told once, like a loop that rests, but tried again all the same.
                        parked = true;
                        report(&Event::Parked { name, failures, error });
                    } else {
                        report(&Event::Failed { name, failures, error });
                    }
                    wait
                }
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = wake.notified() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{
        Mutex,
        atomic::{AtomicU32, Ordering},
    };

    struct Script<F> {
        name: &'static str,
        may_rest: bool,
        period: Duration,
        run: F,
        count: Arc<AtomicU32>,
    }

    #[async_trait]
    impl<F: FnMut(u32) -> anyhow::Result<()> + Send + 'static> Activation for Script<F> {
        fn name(&self) -> &'static str {
            self.name
        }
        fn period(&self) -> Duration {
            self.period
        }
        fn may_rest(&self) -> bool {
            self.may_rest
        }
        async fn run(&mut self, _: &CancellationToken) -> anyhow::Result<()> {
            (self.run)(self.count.fetch_add(1, Ordering::SeqCst) + 1)
        }
    }

    const QUICK: Patience = Patience {
        attempts: 3,
        min_wait: Duration::from_millis(1),
        max_wait: Duration::from_millis(2),
        park: Duration::from_millis(1),
        unreachable: Duration::from_millis(1),
    };

    /// What cannot be reached, in these tests.
    #[derive(Debug, thiserror::Error)]
    #[error("out of reach")]
    struct OutOfReach;

    fn out_of_reach(error: &anyhow::Error) -> bool {
        error.chain().any(|cause| cause.is::<OutOfReach>())
    }

    /// Supervises one scripted loop, with a short period, until the script has run `activations` times.
    async fn events(activations: u32, script: impl Fn(u32) -> anyhow::Result<()> + Send + 'static) -> Vec<Event> {
        events_of(activations, QUICK, true, script).await
    }

    async fn events_of(
        activations: u32,
        patience: Patience,
        may_rest: bool,
        script: impl Fn(u32) -> anyhow::Result<()> + Send + 'static,
    ) -> Vec<Event> {
        let stop = CancellationToken::new();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (sink, ender) = (seen.clone(), stop.clone());
        let told = move |event: &Event| sink.lock().unwrap().push(event.clone());
        let mut supervisor = Supervisor::new(stop, patience, out_of_reach, told);
        let run = move |n| {
            if n >= activations {
                ender.cancel();
            }
            script(n)
        };
        let period = Duration::from_millis(1);
        supervisor.spawn(Script { name: "scripted", may_rest, period, run, count: Arc::default() });
        assert!(supervisor.drain(Duration::from_secs(20)).await.is_empty());
        seen.lock().unwrap().clone()
    }

    #[tokio::test]
    async fn a_failing_step_is_retried_and_success_starts_the_count_anew() {
        let fails = [1, 2, 4, 5];
        let events = events(7, move |n| if fails.contains(&n) { Err(anyhow!("no {n}")) } else { Ok(()) }).await;
        let failed = |failures, n| Event::Failed { name: "scripted", failures, error: format!("no {n}") };
        assert_eq!(events, [failed(1, 1), failed(2, 2), failed(1, 4), failed(2, 5)]);
    }

    #[tokio::test]
    async fn a_step_that_keeps_failing_is_parked_reported_and_recovers() {
        let events = events(6, |n| if n <= 4 { Err(anyhow!("cause").context("step")) } else { Ok(()) }).await;
        let error = || "step: cause".to_owned();
        let parked = |failures| Event::Parked { name: "scripted", failures, error: error() };
        let failed = |failures| Event::Failed { name: "scripted", failures, error: error() };
        assert_eq!(events, [failed(1), failed(2), parked(3), parked(4), Event::Recovered { name: "scripted" }]);
    }

    #[tokio::test]
    async fn what_is_out_of_reach_is_asked_for_again_and_never_counted_or_parked() {
        // A rest would outlast the test.
        let patience = Patience { park: Duration::from_secs(3600), max_wait: Duration::from_secs(3600), ..QUICK };
        let script = |n| match n {
            1..=50 | 52..=60 => Err(anyhow::Error::from(OutOfReach).context("cannot ask for the lease")),
            61 => Err(anyhow!("its own trouble")),
            _ => Ok(()),
        };
        let events = events_of(62, patience, true, script).await;
        let (name, error) = ("scripted", || "cannot ask for the lease: out of reach".to_owned());
        let failed = Event::Failed { name, failures: 1, error: "its own trouble".into() };
        let (away, back) = (|| Event::Away { name, error: error() }, || Event::Back { name });
        assert_eq!(events, [away(), back(), away(), back(), failed]);
    }

    #[tokio::test]
    async fn a_loop_that_people_wait_for_never_rests_and_its_trouble_is_told_once() {
        let patience = Patience { park: Duration::from_secs(3600), max_wait: Duration::from_secs(3600), ..QUICK };
        let events = events_of(8, patience, false, |n| if n <= 6 { Err(anyhow!("no")) } else { Ok(()) }).await;
        let failed = |failures| Event::Failed { name: "scripted", failures, error: "no".into() };
        let parked = Event::Parked { name: "scripted", failures: 3, error: "no".into() };
        let recovered = Event::Recovered { name: "scripted" };
        assert_eq!(events, [failed(1), failed(2), parked, failed(4), failed(5), failed(6), recovered]);
    }

    #[tokio::test]
    async fn a_panic_is_a_failure_like_any_other() {
        let events = events(2, |n| if n == 1 { panic!("boom {n}") } else { Ok(()) }).await;
        assert_eq!(events, [Event::Failed { name: "scripted", failures: 1, error: "panicked: boom 1".into() }]);
    }

    #[tokio::test]
    async fn waking_starts_an_activation_before_its_period() {
        let stop = CancellationToken::new();
        let mut supervisor = Supervisor::new(stop.clone(), QUICK, out_of_reach, |_| ());
        let (count, ran) = (Arc::new(AtomicU32::new(0)), Arc::new(Notify::new()));
        let told = ran.clone();
        let run = move |_| {
            told.notify_one();
            Ok(())
        };
        let period = Duration::from_secs(3600);
        let wake = supervisor.spawn(Script { name: "slow", may_rest: true, period, run, count: count.clone() });
        ran.notified().await;
        wake.notify_one();
        ran.notified().await;
        assert_eq!(count.load(Ordering::SeqCst), 2);
        stop.cancel();
        assert!(supervisor.drain(Duration::from_secs(20)).await.is_empty());
    }

    struct Deaf(Arc<Notify>);

    #[async_trait]
    impl Activation for Deaf {
        fn name(&self) -> &'static str {
            "deaf"
        }
        fn period(&self) -> Duration {
            Duration::ZERO
        }
        async fn run(&mut self, _: &CancellationToken) -> anyhow::Result<()> {
            self.0.notify_one();
            std::future::pending().await
        }
    }

    #[tokio::test]
    async fn what_does_not_stop_in_time_is_dropped_and_named() {
        let stop = CancellationToken::new();
        let mut supervisor = Supervisor::new(stop.clone(), QUICK, out_of_reach, |_| ());
        let entered = Arc::new(Notify::new());
        supervisor.spawn(Deaf(entered.clone()));
        let period = Duration::ZERO;
        supervisor.spawn(Script { name: "good", may_rest: true, period, run: |_| Ok(()), count: Arc::default() });
        entered.notified().await;
        stop.cancel();
        assert_eq!(supervisor.drain(Duration::from_millis(20)).await, ["deaf"]);
    }
}
