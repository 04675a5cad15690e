//! From signals to a cancellation token: the first asks everybody to finish, the second ends the process at once.
//!
//! Stops nothing itself; whoever works watches the token.

use futures::StreamExt;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook_tokio::{Handle, Signals};
use std::io;
use tokio_util::sync::CancellationToken;

/// Asks everybody to stop. Clones share one request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stopper {
    token: CancellationToken,
}

/// Listens to signals until dropped.
#[must_use = "signals are heard only while this lives"]
pub(crate) struct SignalGuard {
    handle: Handle,
}

impl Drop for SignalGuard {
    fn drop(&mut self) {
        self.handle.close();
    }
}

impl Stopper {
    /// Nobody asked yet.
    #[must_use]
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// What workers watch.
    #[must_use]
    pub(crate) fn token(&self) -> CancellationToken {
        self.token.clone()
    }

    /// Asks everybody to stop. Asking twice changes nothing.
    pub(crate) fn stop(&self) {
        self.token.cancel();
    }

    /// Whether somebody asked.
    #[must_use]
    pub(crate) fn is_stopping(&self) -> bool {
        self.token.is_cancelled()
    }

    /// Until somebody asks.
    pub(crate) async fn stopped(&self) {
        self.token.cancelled().await;
    }

    /// Turns SIGTERM and SIGINT into a request to stop; a second one ends the process with 128 + its number.
    ///
    /// # Errors
    /// When the system refuses the handlers.
    pub(crate) fn listen(&self) -> io::Result<SignalGuard> {
        let mut signals = Signals::new([SIGINT, SIGTERM])?;
        let handle = signals.handle();
        let stopper = self.clone();
        tokio::spawn(async move {
            while let Some(signal) = signals.next().await {
                let name = signal_hook::low_level::signal_name(signal).unwrap_or("a signal");
                if stopper.is_stopping() {
                    tracing::warn!(signal = name, "asked to stop again: ending at once");
                    std::process::exit(128 + signal);
                }
                tracing::info!(signal = name, "stopping; once more ends at once");
                stopper.stop();
            }
        });
        Ok(SignalGuard { handle })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_signal_becomes_a_request_to_stop() {
        let stopper = Stopper::new();
        let _guard = stopper.listen().unwrap();
        assert!(!stopper.is_stopping());
        signal_hook::low_level::raise(SIGTERM).unwrap();
        stopper.stopped().await;
        assert!(stopper.is_stopping() && stopper.token().is_cancelled());
    }
}
