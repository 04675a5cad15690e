//! Settings of the HTTP server. Never loads them.

use super::targets::Targets;
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
    /// Largest body of a media item, KiB.
    pub max_media_kb: usize,
    /// Names by which the server may be called, beside localhost and the address that it listens on.
    pub public_names: Vec<String>,
    /// What the path begins with under which a proxy serves this server, such as `/trade`; empty: nothing.
    #[serde(default)]
    pub base_path: String,
    /// Networks of the proxies whose `X-Forwarded-For` and `X-Forwarded-Host` are believed; of nobody else.
    pub trusted_proxies: Vec<String>,
    /// Connections of one port at most; one more takes the place of the one that has been silent longest.
    pub max_connections: u32,
    /// Longest time for the head of a request, for its body, and for a client to take a part of an answer, and how
    /// long an idle connection is kept, milliseconds.
    pub client_timeout_ms: u64,
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
    /// Who shows it may post strategies and backtests; without one everybody may.
    #[serde(default)]
    pub client_token: Option<SecretString>,
    /// Strategies and backtests that one address may post in a minute.
    pub client_posts_per_minute: u32,
    /// Strategies of clients that are stored at most.
    pub max_client_strategies: u32,
    /// What the overview holds against what is.
    pub targets: Targets,
    /// Who shows it may act; without one nobody may.
    #[serde(default)]
    pub action_token: Option<SecretString>,
}

impl HttpConfig {
    /// The first key whose value makes no sense, without its section, and why.
    #[must_use]
    pub fn problem(&self) -> Option<(&'static str, String)> {
        let zero = |key, value: u64| (value == 0).then(|| (key, "must be at least 1".to_owned()));
        let token = |key, token: &Option<SecretString>| {
            use secrecy::ExposeSecret;
            let short = token.as_ref().is_some_and(|token| token.expose_secret().len() < 16);
            short.then(|| (key, "must have at least 16 characters".to_owned()))
        };
        let names =
            || self.public_names.iter().find_map(|name| Some(("public_names", super::hosts::problem_of(name)?)));
        let proxies = || {
            let wrong = |network: &String| super::proxies::problem_of(network);
            Some(("trusted_proxies", self.trusted_proxies.iter().find_map(wrong)?))
        };
        let path = || Some(("base_path", super::proxies::path_problem(&self.base_path)?));
        zero("request_timeout_ms", self.request_timeout_ms)
            .or_else(|| zero("health_timeout_ms", self.health_timeout_ms))
            .or_else(|| zero("max_page_size", self.max_page_size.into()))
            .or_else(|| zero("max_backtests", self.max_backtests.into()))
            .or_else(|| zero("max_backtest_candles", self.max_backtest_candles.into()))
            .or_else(|| zero("backtest_timeout_s", self.backtest_timeout_s))
            .or_else(|| zero("max_connections", self.max_connections.into()))
            .or_else(|| zero("client_timeout_ms", self.client_timeout_ms))
            .or_else(|| zero("client_posts_per_minute", self.client_posts_per_minute.into()))
            .or_else(names)
            .or_else(path)
            .or_else(proxies)
            .or_else(|| token("client_token", &self.client_token))
            .or_else(|| token("action_token", &self.action_token))
    }
}
