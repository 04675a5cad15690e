//! Options for how large the sessions of a protocol run are.

use super::CliError;
use crate::config::Config;
use book::BookConfig;
use candles::Interval;
use clap::Args;
use protocol::Days;
use search::SearchConfig;

/// How large each session is; the configuration's where no option says otherwise.
#[derive(Args, Clone, Debug)]
pub(crate) struct SizeArgs {
    /// Strategies in a generation [default: search.population_size]
    #[arg(long, value_name = "COUNT")]
    population: Option<usize>,
    /// Generations of each search [default: search.generations]
    #[arg(long, value_name = "COUNT")]
    generations: Option<u32>,
    /// Days that a search sees [default: daemon.backtest_days]
    #[arg(long, value_name = "DAYS")]
    search_days: Option<u32>,
    /// Days of hold-out after them [default: daemon.holdout_days]
    #[arg(long, value_name = "DAYS")]
    holdout_days: Option<u32>,
}

impl SizeArgs {
    /// The settings of each search on candles of `interval`.
    ///
    /// # Errors
    /// When they make no sense.
    pub(crate) fn search(&self, config: &Config, interval: Interval) -> Result<SearchConfig, CliError> {
        let mut search = config.search.for_interval(interval);
        search.population_size = self.population.unwrap_or(search.population_size);
        search.generations = self.generations.unwrap_or(search.generations);
        search.elites = search.elites.min(search.population_size);
        search.remembered_hashes = search.remembered_hashes.max(search.population_size);
        search.validate().map_err(|e| CliError::Usage(format!("search.{e}")))?;
        Ok(search)
    }

    /// How each block of a book is searched on candles of `interval`, and how members are admitted.
    ///
    /// # Errors
    /// When that makes no sense.
    pub(crate) fn book(&self, config: &Config, interval: Interval) -> Result<(SearchConfig, BookConfig), CliError> {
        if self.holdout_days.is_some() {
            let why = "--holdout-days is for sessions: what a book has not seen is the block that it trades next";
            return Err(CliError::Usage(why.to_owned()));
        }
        let mut book = config.book.clone();
        book.search_days = self.search_days.unwrap_or(book.search_days);
        book.least_days = book.least_days.min(book.search_days);
        book.population_size = self.population.unwrap_or(book.population_size);
        book.generations = self.generations.unwrap_or(book.generations);
        book.validate().map_err(|e| CliError::Usage(format!("book.{e}")))?;
        let search = book.search(&config.search, interval);
        search.validate().map_err(|e| CliError::Usage(format!("search.{e}")))?;
        Ok((search, book))
    }

    /// How long each period of a protocol run is; `live` days after shadow are watched.
    #[must_use]
    pub(crate) fn days(&self, config: &Config, live: u32) -> Days {
        Days {
            search: self.search_days.unwrap_or(config.daemon.backtest_days).max(1),
            holdout: self.holdout_days.unwrap_or(config.daemon.holdout_days).max(1),
            shadow: config.lifecycle.shadow_max_days.ceil() as u32,
            live,
        }
    }
}
