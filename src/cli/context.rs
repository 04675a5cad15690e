//! What every command is handed: configuration, data directory, clock. Opens nothing by itself.

use crate::config::{Config, Loaded};
use clock::{Clock, SystemClock};
use std::{path::Path, sync::Arc};

/// What every command is handed.
pub struct Context {
    /// Configuration with its origins.
    pub loaded: Loaded,
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
}

impl Context {
    /// A context on the machine's clock.
    #[must_use]
    pub fn new(loaded: Loaded) -> Self {
        Self { loaded, clock: Arc::new(SystemClock) }
    }

    /// The typed configuration.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.loaded.config
    }

    /// Where files are kept; not necessarily there yet.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        self.loaded.data_dir()
    }
}
