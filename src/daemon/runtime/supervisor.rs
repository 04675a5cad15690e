//! Runs named loops: each activation is retried with backoff when it fails, parked when it keeps failing.
//!
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
}

impl From<&crate::config::DaemonConfig> for Patience {
    fn from(config: &crate::config::DaemonConfig) -> Self {
        Self {
            attempts: config.step_attempts,
            min_wait: Duration::from_millis(config.retry_min_ms),
            max_wait: Duration::from_millis(config.retry_max_ms),
            park: Duration::from_secs(config.park_s),
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
    /// It failed too often and rests now.
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
}

type Report = Arc<dyn Fn(&Event) + Send + Sync>;

/// Owns the loops.
pub(crate) struct Supervisor {
    stop: CancellationToken,
    patience: Patience,
    report: Report,
    loops: Vec<(&'static str, JoinHandle<()>)>,
}

impl Supervisor {
    /// No loops yet. `report` is told of failures after they are logged; it must not block.
    #[must_use]
    pub(crate) fn new(
        stop: CancellationToken,
        patience: Patience,
        report: impl Fn(&Event) + Send + Sync + 'static,
    ) -> Self {
        Self { stop, patience, report: Arc::new(report), loops: Vec::new() }
    }

    /// Starts a loop with an activation at once. Notify what is returned to wake it before its period is over.
    pub(crate) fn spawn(&mut self, activation: impl Activation) -> Arc<Notify> {
        let wake = Arc::new(Notify::new());
        let name = activation.name();
        let run = supervise(activation, self.stop.clone(), self.patience, self.report.clone(), wake.clone());
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
    patience: Patience,
    report: Report,
    wake: Arc<Notify>,
) {
    let name = activation.name();
    let backoff = ExponentialBuilder::new()
        .with_factor(2.0)
        .with_jitter()
        .with_min_delay(patience.min_wait)
        .with_max_delay(patience.max_wait)
        .without_max_times();
    let (mut failures, mut parked, mut waits) = (0, false, backoff.build());
    while !stop.is_cancelled() {
        let started = Instant::now();
        let outcome = match AssertUnwindSafe(activation.run(&stop)).catch_unwind().await {
            Ok(outcome) => outcome,
            Err(panic) => Err(anyhow!("panicked: {}", panic_text(&*panic))),
        };
        metrics::STEP_SECONDS.record(name, started.elapsed());
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
            Err(error) => {
                failures += 1;
                metrics::STEP_FAILURES_TOTAL.increment(name);
                let error = format!("{error:#}");
                // A parked loop that fails again is parked again: one attempt each time, no storm of retries.
                if parked || failures >= patience.attempts {
                    parked = true;
                    let rest_s = patience.park.as_secs();
                    tracing::error!(step = name, failures, error, rest_s, "keeps failing: parked");
                    report(&Event::Parked { name, failures, error });
                    patience.park
                } else {
                    let wait = waits.next().unwrap_or(patience.max_wait);
                    tracing::warn!(step = name, failures, error, retry_in_ms = wait.as_millis(), "failed");
                    report(&Event::Failed { name, failures, error });
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
        async fn run(&mut self, _: &CancellationToken) -> anyhow::Result<()> {
            (self.run)(self.count.fetch_add(1, Ordering::SeqCst) + 1)
        }
    }

    const QUICK: Patience = Patience {
        attempts: 3,
        min_wait: Duration::from_millis(1),
        max_wait: Duration::from_millis(2),
        park: Duration::from_millis(1),
    };

    /// Supervises one scripted loop, with a long period, until the script has run `activations` times.
    async fn events(activations: u32, script: impl Fn(u32) -> anyhow::Result<()> + Send + 'static) -> Vec<Event> {
        let stop = CancellationToken::new();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (sink, ender) = (seen.clone(), stop.clone());
        let mut supervisor = Supervisor::new(stop, QUICK, move |event| sink.lock().unwrap().push(event.clone()));
        let run = move |n| {
            if n >= activations {
                ender.cancel();
            }
            script(n)
        };
        let period = Duration::from_millis(1);
        supervisor.spawn(Script { name: "scripted", period, run, count: Arc::default() });
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
    async fn a_panic_is_a_failure_like_any_other() {
        let events = events(2, |n| if n == 1 { panic!("boom {n}") } else { Ok(()) }).await;
        assert_eq!(events, [Event::Failed { name: "scripted", failures: 1, error: "panicked: boom 1".into() }]);
    }

    #[tokio::test]
    async fn waking_starts_an_activation_before_its_period() {
        let stop = CancellationToken::new();
        let mut supervisor = Supervisor::new(stop.clone(), QUICK, |_| ());
        let (count, ran) = (Arc::new(AtomicU32::new(0)), Arc::new(Notify::new()));
        let told = ran.clone();
        let run = move |_| {
            told.notify_one();
            Ok(())
        };
        let period = Duration::from_secs(3600);
        let wake = supervisor.spawn(Script { name: "slow", period, run, count: count.clone() });
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
        let mut supervisor = Supervisor::new(stop.clone(), QUICK, |_| ());
        let entered = Arc::new(Notify::new());
        supervisor.spawn(Deaf(entered.clone()));
        supervisor.spawn(Script { name: "good", period: Duration::ZERO, run: |_| Ok(()), count: Arc::default() });
        entered.notified().await;
        stop.cancel();
        assert_eq!(supervisor.drain(Duration::from_millis(20)).await, ["deaf"]);
    }
}
