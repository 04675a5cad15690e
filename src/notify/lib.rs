//! Outbox to Discord and Slack. Reads the store, never calls the daemon, never holds up a trading decision.

mod config;
mod deliver;
mod notice;
mod render;
mod summary;
#[cfg(test)]
mod tests;

pub use config::NotifyConfig;
pub use deliver::{Deliverer, DelivererError, Outbox, Round};
pub use notice::{Day, Drifted, ModelTold, Moved, Notice, Trouble};
pub use render::render;
pub use summary::enqueue_daily_summary;

use std::{fmt, str::FromStr};

/// Where notices go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)]
pub enum Channel {
    Discord,
    Slack,
}

impl Channel {
    /// Every channel.
    pub const ALL: [Self; 2] = [Self::Discord, Self::Slack];

    /// The name in Postgres.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Discord => "discord",
            Self::Slack => "slack",
        }
    }

    /// The channels that have a webhook: events are stored for these.
    #[must_use]
    pub fn configured(config: &NotifyConfig) -> Vec<Self> {
        let has = |channel: &Self| match channel {
            Self::Discord => config.discord_webhook_url.is_some(),
            Self::Slack => config.slack_webhook_url.is_some(),
        };
        Self::ALL.into_iter().filter(has).collect()
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Channel {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|channel| channel.name() == text);
        found.ok_or_else(|| format!("unknown channel {text:?}; expected discord or slack"))
    }
}
