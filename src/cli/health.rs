//! `sg-ai health`: asks a running daemon how it is. What containers call, so that they need no other program.

use super::{CliError, Context, output};
use anyhow::{Context as _, anyhow};
use clap::{Args, ValueEnum};
use serde_json::Value;
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};

/// Ask a running daemon how it is; ends with 1 when it does not do its work
#[derive(Args, Debug)]
pub(crate) struct HealthArgs {
    /// Address of the daemon [default: http.listen_address and http.port of the configuration]
    #[arg(long, value_name = "URL")]
    url: Option<url::Url>,
    /// Ask about one thing only
    #[arg(long, value_enum, value_name = "CHECK")]
    check: Option<CheckName>,
    /// Longest wait for the answer, seconds
    #[arg(long, default_value_t = 5, value_name = "SECONDS")]
    timeout: u64,
    /// Print the whole answer as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum CheckName {
    /// The process answers
    Live,
    /// The database answers
    Database,
    /// Candles are fresh
    Candles,
    /// Generations are finished
    Generations,
    /// Paper trading goes on
    Shadow,
}

/// Runs `sg-ai health`.
///
/// # Errors
/// When the daemon does not answer or says that it is unhealthy.
pub(crate) async fn run(args: HealthArgs, ctx: &Context) -> Result<(), CliError> {
    let http = &ctx.config().http;
    let base = match args.url {
        Some(url) => url.to_string(),
        None => format!("http://{}", std::net::SocketAddr::new(reachable(http.listen_address), http.port)),
    };
    let check = args.check.and_then(|check| check.to_possible_value());
    let path = check.map_or_else(String::new, |check| format!("/{}", check.get_name()));
    let url = format!("{}/sg-ai/health{path}", base.trim_end_matches('/'));
    let client = reqwest::Client::builder().timeout(Duration::from_secs(args.timeout)).no_proxy().build();
    let client = client.context("HTTP client")?;
    let response = client.get(&url).send().await.with_context(|| {
        format!("no answer from {url}: `sg-ai run` starts a daemon, --url or http.port name one that listens elsewhere")
    })?;
    let answered = response.status();
    let body: Value = response.json().await.with_context(|| format!("{url} did not answer as sg-ai does"))?;
    let status = body["status"].as_str().unwrap_or("unknown").to_owned();
    if args.json {
        output::json(&body).context("standard output")?;
    } else {
        output::text(describe(&body)).context("standard output")?;
    }
    if answered.is_success() { Ok(()) } else { Err(anyhow!("{url} says: {status}").into()) }
}

/// An address to connect to for one to listen on: "every interface" is none to connect to.
fn reachable(listen: IpAddr) -> IpAddr {
    match listen {
        IpAddr::V4(any) if any.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(any) if any.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        other => other,
    }
}

/// The status, then a line for each check.
fn describe(body: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or("unknown").to_owned();
    let mut lines = text(&body["status"]) + "\n";
    for (name, check) in body["checks"].as_object().into_iter().flatten() {
        lines.push_str(&format!("  {name:11} {:9} {}\n", text(&check["status"]), text(&check["detail"])));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_interface_is_reached_through_loopback() {
        let to = |listen: &str| reachable(listen.parse().unwrap()).to_string();
        assert_eq!((to("0.0.0.0"), to("::"), to("10.0.0.7")), ("127.0.0.1".into(), "::1".into(), "10.0.0.7".into()));
    }

    #[test]
    fn checks_are_listed() {
        let body = serde_json::json!({
            "status": "degraded",
            "checks": { "candles": { "status": "degraded", "detail": "late" } }
        });
        assert_eq!(describe(&body), "degraded\n  candles     degraded  late\n");
        assert_eq!(describe(&serde_json::json!({ "status": "healthy" })), "healthy\n");
    }
}
