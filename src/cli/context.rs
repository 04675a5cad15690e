//! What every command is handed: configuration, data directory, clock. Opens nothing unasked.

use super::CliError;
use crate::config::{self, Config, Loaded};
use crate::usecases::models::Models;
use anyhow::Context as _;
use candles::InstrumentTable;
use clock::{Clock, SystemClock};
use market::CandleCache;
use std::{path::Path, sync::Arc};

/// What every command is handed.
pub(crate) struct Context {
    /// Configuration with its origins.
    pub(crate) loaded: Loaded,
    /// The wall clock.
    pub(crate) clock: Arc<dyn Clock>,
}

impl Context {
    /// A context on the machine's clock.
    #[must_use]
    pub(crate) fn new(loaded: Loaded) -> Self {
        Self { loaded, clock: Arc::new(SystemClock) }
    }

    /// The typed configuration.
    #[must_use]
    pub(crate) fn config(&self) -> &Config {
        &self.loaded.config
    }

    /// Where files are kept; not necessarily there yet.
    #[must_use]
    pub(crate) fn data_dir(&self) -> &Path {
        self.loaded.data_dir()
    }

    /// The candle cache in the data directory.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub(crate) fn cache(&self) -> anyhow::Result<CandleCache> {
        CandleCache::open_configured(&self.data_dir().join("candles"), &self.config().market).context("candle cache")
    }

    /// The candle cache for commands that only read it: where there is none, none is made.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub(crate) fn cache_to_read(&self) -> anyhow::Result<CandleCache> {
        CandleCache::open_to_read(&self.data_dir().join("candles"), &self.config().market).context("candle cache")
    }

    /// The table of instruments in force.
    ///
    /// # Errors
    /// When the file that the settings name is no such table any more.
    pub(crate) fn instruments(&self) -> Result<InstrumentTable, CliError> {
        self.config().market.instruments().map_err(|why| CliError::Usage(format!("market.instruments_file {why}")))
    }

    /// The models of the directory that the settings name, with the candles that they look at.
    ///
    /// # Errors
    /// When the cache cannot be opened, or the table of instruments is none.
    pub(crate) fn models(&self) -> Result<Models, CliError> {
        let (cache, table) = (self.cache_to_read()?, self.instruments()?);
        Ok(Models::configured(&self.config().models, self.data_dir(), cache, table, self.clock.now_ms()))
    }

    /// Every setting as it may be shown: key, value, who set it.
    #[must_use]
    pub(crate) fn shown_settings(&self) -> Vec<http::ShownSetting> {
        let settings = &self.loaded.settings;
        let meanings = config::meanings();
        let row = |key: &str| http::ShownSetting {
            key: key.to_owned(),
            value: settings.shown_json(key).unwrap_or_default(),
            origin: settings.origin(key).map(ToString::to_string).unwrap_or_default(),
            meaning: meanings.get(key).cloned().unwrap_or_default(),
            variable: config::variable_of(key),
        };
        settings.keys().map(row).collect()
    }
}
