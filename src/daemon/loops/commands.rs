//! The loop that obeys operators, once a second.

use crate::daemon::runtime::supervisor::Activation;
use crate::usecases::operators::OperatorCommands;
use async_trait::async_trait;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Between two looks: an operator who acts waits for it.
const LOOK: Duration = Duration::from_secs(1);

/// Carries out what operators left in the store.
pub(crate) struct Commands(pub(crate) OperatorCommands);

#[async_trait]
impl Activation for Commands {
    fn name(&self) -> &'static str {
        "commands"
    }
    fn period(&self) -> Duration {
        LOOK
    }
    async fn run(&mut self, _: &CancellationToken) -> anyhow::Result<()> {
        self.0.activate().await
    }
    fn may_rest(&self) -> bool {
        // Somebody in a hurry waits for it.
        false
    }
}
