//! The live tail as a part of the daemon: it runs beside the loops, and where it stands is noted for health and stats.
//!
//! Polling goes on whatever becomes of it.

use crate::daemon::runtime::supervisor::Activation;
use anyhow::Context as _;
use async_trait::async_trait;
use candles::tail::TailState;
use http::STREAM_RUNNER;
use market::stream::{Tail, TailWatch};
use std::time::{Duration, Instant};
use store::Store;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Between two looks at where it stands.
const LOOK: Duration = Duration::from_secs(2);
/// Where nothing changed a sign of life is noted this often.
const SIGN_OF_LIFE: Duration = Duration::from_secs(30);

/// Runs the tail and notes where it stands.
pub(crate) struct StreamWatch {
    store: Store,
    watch: TailWatch,
    tail: JoinHandle<()>,
    noted: Option<(Instant, TailState)>,
}

impl StreamWatch {
    /// Starts the tail.
    pub(crate) fn start(store: Store, tail: Tail, stop: CancellationToken) -> Self {
        let watch = tail.state();
        Self { store, watch, tail: tokio::spawn(async move { tail.run(&stop).await }), noted: None }
    }
}

#[async_trait]
impl Activation for StreamWatch {
    fn name(&self) -> &'static str {
        STREAM_RUNNER
    }
    fn period(&self) -> Duration {
        LOOK
    }
    async fn run(&mut self, stop: &CancellationToken) -> anyhow::Result<()> {
        let mut state = self.watch.now();
        let has_ended = self.tail.is_finished() && !stop.is_cancelled();
        if has_ended {
            (state.connected, state.error) = (false, Some("the tail broke off; polling goes on".to_owned()));
        }
        let is_known = |(at, known): &(Instant, TailState)| *known == state && at.elapsed() < SIGN_OF_LIFE;
        if self.noted.as_ref().is_none_or(|noted| !is_known(noted)) {
            let detail = serde_json::to_value(&state)?;
            self.store.runner_finished(STREAM_RUNNER, state.error.as_deref(), &detail).await?;
            self.noted = Some((Instant::now(), state));
        }
        if has_ended { Err(anyhow::anyhow!("it broke off")).context("the live tail") } else { Ok(()) }
    }
}
