//! Settings of the HTTP server. Never loads them.

use secrecy::SecretString;
use serde::Deserialize;
use std::net::IpAddr;

/// Our HTTP server.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpConfig {
    /// Address to listen on.
    pub listen_address: IpAddr,
    /// Port to listen on; 0 picks a free one.
    pub port: u16,
    /// Longest time for one answer, milliseconds.
    pub request_timeout_ms: u64,
    /// Longest wait for the database in a health answer, milliseconds.
    pub health_timeout_ms: u64,
    /// Largest request body, KiB.
    pub max_body_kb: usize,
    /// Port on which existing clients of the service look for it; 0 picks a free one.
    pub service_port: u16,
    /// Most rows in one answer.
    pub max_page_size: u32,
    /// Backtests that run at once for clients.
    pub max_backtests: u32,
    /// Most candles in the window of a client's backtest.
    pub max_backtest_candles: u32,
    /// Longest time for a client's backtest, the fetching of its candles included, seconds.
    pub backtest_timeout_s: u64,
    /// Who shows it may act; without one nobody may.
    #[serde(default)]
    pub action_token: Option<SecretString>,
}

impl HttpConfig {
    /// The first key whose value makes no sense, without its section, and why.
    #[must_use]
    pub fn problem(&self) -> Option<(&'static str, String)> {
        let zero = |key, value: u64| (value == 0).then(|| (key, "must be at least 1".to_owned()));
        let token = || {
            use secrecy::ExposeSecret;
            let short = self.action_token.as_ref().is_some_and(|token| token.expose_secret().len() < 16);
            short.then(|| ("action_token", "must have at least 16 characters".to_owned()))
        };
        zero("request_timeout_ms", self.request_timeout_ms)
            .or_else(|| zero("health_timeout_ms", self.health_timeout_ms))
            .or_else(|| zero("max_page_size", self.max_page_size.into()))
            .or_else(|| zero("max_backtests", self.max_backtests.into()))
            .or_else(|| zero("max_backtest_candles", self.max_backtest_candles.into()))
            .or_else(|| zero("backtest_timeout_s", self.backtest_timeout_s))
            .or_else(token)
    }
}
