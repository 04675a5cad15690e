//! Settings of notifications. Never loads them.

use secrecy::SecretString;
use serde::Deserialize;

/// Discord and Slack.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NotifyConfig {
    /// Discord webhook.
    #[serde(default)]
    pub discord_webhook_url: Option<SecretString>,
    /// Slack webhook.
    #[serde(default)]
    pub slack_webhook_url: Option<SecretString>,
    /// Between two looks into the outbox, milliseconds.
    pub poll_interval_ms: u64,
    /// Longest time for one delivery, milliseconds.
    pub request_timeout_ms: u64,
    /// Attempts at a delivery before it becomes a dead letter.
    pub max_attempts: u32,
    /// Wait before the first retry, seconds.
    pub retry_min_s: u64,
    /// Longest wait between two attempts, seconds.
    pub retry_max_s: u64,
}

impl NotifyConfig {
    /// The first key whose value makes no sense, without its section, and why.
    #[must_use]
    pub fn problem(&self) -> Option<(&'static str, String)> {
        use secrecy::ExposeSecret;
        let zero = |key, value: u64| (value == 0).then(|| (key, "must be at least 1".to_owned()));
        let webhook = |key, url: &Option<SecretString>| {
            let url = url.as_ref()?.expose_secret();
            let valid = url::Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
            (!valid).then(|| (key, String::new()))
        };
        webhook("discord_webhook_url", &self.discord_webhook_url)
            .or_else(|| webhook("slack_webhook_url", &self.slack_webhook_url))
            .or_else(|| zero("poll_interval_ms", self.poll_interval_ms))
            .or_else(|| zero("request_timeout_ms", self.request_timeout_ms))
            .or_else(|| zero("max_attempts", self.max_attempts.into()))
            .or_else(|| zero("retry_min_s", self.retry_min_s))
            .or_else(|| zero("retry_max_s", self.retry_max_s))
    }
}
