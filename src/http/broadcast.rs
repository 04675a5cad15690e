//! Events on their way to everybody who listens. Knows nothing of what happens.

use std::sync::Arc;
use tokio::sync::broadcast;

/// Events that a slow listener may be behind before it misses some; it is told to read everything again.
const BEHIND: usize = 256;

/// An event on its way to everybody who listens.
#[derive(Clone, Debug)]
pub(super) struct Happened {
    pub(super) kind: &'static str,
    pub(super) data: Arc<str>,
}

/// Who looks, and to whom it is told.
pub(super) struct Events {
    told: broadcast::Sender<Happened>,
}

impl Events {
    pub(super) fn new() -> Self {
        Self { told: broadcast::channel(BEHIND).0 }
    }

    /// Whether anybody listens.
    pub(super) fn has_listeners(&self) -> bool {
        self.told.receiver_count() > 0
    }

    /// Tells everybody who listens.
    pub(super) fn tell(&self, kind: &'static str, data: impl Into<Arc<str>>) {
        // Nobody listens any more only when nobody is to be told.
        drop(self.told.send(Happened { kind, data: data.into() }));
    }

    /// From now on.
    pub(super) fn listen(&self) -> broadcast::Receiver<Happened> {
        self.told.subscribe()
    }
}
