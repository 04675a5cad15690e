//! Configuration: defaults, then a file, then the environment, then the command line.
//!
//! Composes the policy types that the crates own and defines those of the daemon. Loaded only by `main` and `cli`;
//! never read by pure modules, which are handed their values. Never prints a secret.

mod bounds;
mod islands;
mod load;
mod origin;
mod sections;
mod settings;

pub use islands::{BookMarket, IslandConfig};
pub use load::{Inputs, Loaded, load};
pub use origin::{ConfigError, Origin};
pub use sections::{DaemonConfig, ModelsConfig, ReviewConfig, WorkConfig};
pub use settings::{DEFAULT_TOML, ENV_NAMES, SECRET_KEYS, Settings, env_name, meanings, variable_of};

use book::BookConfig;
use engine::{EngineConfig, VenueCosts};
use evidence::volatility_regime::VolatilityRegimeConfig;
use http::HttpConfig;
use lifecycle::{AllocationPolicy, DriftConfig, EdgeDecayConfig, Thresholds};
use market::MarketConfig;
use notify::NotifyConfig;
use portfolio::PortfolioConfig;
use protocol::ProtocolConfig;
use search::SearchConfig;
use serde::Deserialize;
use std::path::PathBuf;
use store::StoreConfig;
use telemetry::LogConfig;

/// Everything that can be set. `Debug` shows no secret.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where files are kept; `None` until resolved by [`load`], which always fills it.
    #[serde(default)]
    pub data_dir: Option<PathBuf>,
    /// Logs.
    pub log: LogConfig,
    /// Postgres; `data_dir` of the private server is always resolved by [`load`].
    pub store: StoreConfig,
    /// Where candles come from.
    pub market: MarketConfig,
    /// The backtest engine.
    pub engine: EngineConfig,
    /// What a trade costs, by venue.
    pub costs: VenueCosts,
    /// How orders of portfolios meet the market.
    pub portfolio: PortfolioConfig,
    /// Models that strategies may ask.
    pub models: ModelsConfig,
    /// Limits between the states.
    pub lifecycle: Thresholds,
    /// Null searches, the account of tests, the placebo island.
    pub protocol: ProtocolConfig,
    /// How much of the capital each live strategy gets.
    pub deployment: AllocationPolicy,
    /// When a live strategy counts as drifted.
    pub drift: DriftConfig,
    /// How regimes of assets are told apart.
    pub regime: VolatilityRegimeConfig,
    /// The daily review.
    pub review: ReviewConfig,
    /// Detectors of an edge that has gone.
    pub staying: EdgeDecayConfig,
    /// The search.
    pub search: SearchConfig,
    /// The book: how members are found, admitted and weighed, and what it needs to go live.
    pub book: BookConfig,
    /// The runners.
    pub daemon: DaemonConfig,
    /// Work that is shared with workers.
    pub work: WorkConfig,
    /// Our HTTP server.
    pub http: HttpConfig,
    /// Discord and Slack.
    pub notify: NotifyConfig,
}

impl Config {
    /// The first key whose value makes no sense, by itself or beside another, and why.
    fn problem(&self) -> Option<(String, String)> {
        let limits = self.lifecycle.validate().err().map(|e| (format!("lifecycle.{}", e.key), e.problem));
        let market = || self.market.validate().err().map(|(key, why)| (format!("market.{key}"), why));
        let search = || self.search.validate().err().map(|e| (format!("search.{}", e.key), e.problem));
        let protocol = || self.protocol.validate().err().map(|e| (format!("protocol.{}", e.key), e.problem));
        let named = |section: &str, found: Result<(), (&str, String)>| {
            found.err().map(|(key, why)| (format!("{section}.{key}"), why))
        };
        let found = limits.or_else(market).or_else(protocol).or_else(search);
        let found = found.or_else(|| named("staying", self.staying.validate()));
        let found = found.or_else(|| named("deployment", self.deployment.validate()));
        let found = found.or_else(|| named("drift", self.drift.validate()));
        let found = found.or_else(|| named("regime", self.regime.validate()));
        let found = found.or_else(|| self.book.validate().err().map(|e| (format!("book.{}", e.key), e.problem)));
        let found = found.or_else(|| self.review.problem().map(|(key, why)| (format!("review.{key}"), why)));
        let found = found.or_else(|| self.daemon.problem().map(|(key, why)| (format!("daemon.{key}"), why)));
        let found = found.or_else(|| self.http.problem().map(|(key, why)| (format!("http.{key}"), why)));
        let found =
            found.or_else(|| self.store.retention.problem().map(|(key, why)| (format!("store.retention.{key}"), why)));
        let found = found.or_else(|| self.work.problem().map(|(key, why)| (format!("work.{key}"), why)));
        found.or_else(|| self.notify.problem().map(|(key, why)| (format!("notify.{key}"), why)))
    }
}

#[cfg(test)]
mod tests;
