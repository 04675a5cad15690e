//! The loop of the search: the islands' sessions, one after the other.

use super::noted::noted;
use crate::daemon::runtime::supervisor::Activation;
use crate::usecases::parts::Did;
use crate::usecases::session::SessionRunner;
use async_trait::async_trait;
use http::CONTINUOUS_RUNNER;
use std::time::Duration;
use store::Store;
use tokio_util::sync::CancellationToken;

/// Runs the islands' sessions.
pub(crate) struct Continuous {
    pub(crate) store: Store,
    pub(crate) islands: Vec<SessionRunner>,
    pub(crate) period: Duration,
}

#[async_trait]
impl Activation for Continuous {
    fn name(&self) -> &'static str {
        CONTINUOUS_RUNNER
    }
    fn period(&self) -> Duration {
        self.period
    }
    async fn run(&mut self, _: &CancellationToken) -> anyhow::Result<()> {
        // Sessions that fell due one after the other are run one after the other.
        while noted(&self.store, CONTINUOUS_RUNNER, each(&mut self.islands)).await? == Did::Work {}
        Ok(())
    }
}

/// Lets every island do what is due; one island's trouble is not the others'.
async fn each(islands: &mut [SessionRunner]) -> anyhow::Result<Did> {
    let (mut all, mut failed) = (None, None);
    for island in islands {
        match island.activate().await {
            Ok(Did::Stopped) => return Ok(Did::Stopped),
            Ok(Did::Work) => all = Some(Did::Work),
            Ok(did) => _ = all.get_or_insert(did),
            Err(error) => _ = failed.get_or_insert(error),
        }
    }
    failed.map_or(Ok(all.unwrap_or(Did::Nothing)), Err)
}
