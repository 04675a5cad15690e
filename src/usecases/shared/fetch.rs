//! Blobs that a daemon serves, over HTTP: asked for with the token of workers, written as they come.
//!
//! Verifies nothing and tries nothing twice; says whether another try is worth it.

use super::copies::write;
use anyhow::Context as _;
use futures::stream;
use reqwest::{Client, Response, StatusCode, redirect};
use secrecy::{ExposeSecret, SecretString};
use std::time::Duration;
use url::Url;

/// Until a connection is there, and between two parts of an answer.
const CONNECT: Duration = Duration::from_secs(10);
const SILENCE: Duration = Duration::from_secs(20);
/// What is told of an answer that is none, characters.
const TOLD: usize = 300;

/// Whoever has the blobs does not answer now, and may later.
#[derive(Debug, thiserror::Error)]
#[error("the daemon at {0} does not answer now")]
pub(crate) struct Away(pub(super) String);

/// A daemon that serves blobs.
#[derive(Clone, Debug)]
pub(super) struct FromDaemon {
    client: Client,
    /// Its address, without a slash at the end.
    url: String,
    token: SecretString,
}

/// What an error says, and what is behind it.
fn causes(error: reqwest::Error) -> anyhow::Error {
    anyhow::Error::new(error.without_url())
}

impl FromDaemon {
    /// One at an address, asked with a token.
    ///
    /// # Errors
    /// When the system offers no TLS.
    pub(super) fn new(url: &Url, token: SecretString) -> anyhow::Result<Self> {
        // Fails only when one is installed already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = Client::builder()
            .user_agent(concat!("sg-ai/", env!("CARGO_PKG_VERSION")))
            // Who redirects would be handed the token.
            .redirect(redirect::Policy::none())
            .no_proxy()
            .connect_timeout(CONNECT)
            .read_timeout(SILENCE);
        if url.scheme() == "http" {
            // It works on a machine without CA certificates, too.
            builder = builder.tls_certs_only([]);
        }
        let client = builder.build().context("work.blobs: no client for HTTP")?;
        Ok(Self { client, url: url.as_str().trim_end_matches('/').to_owned(), token })
    }

    async fn ask(&self, digest: &str) -> anyhow::Result<Response> {
        let asked = self.client.get(format!("{}/api/blobs/{digest}", self.url));
        let sent = asked.bearer_auth(self.token.expose_secret()).send().await;
        sent.map_err(|error| causes(error).context(Away(self.url.clone())))
    }

    /// An answer that is no blob, as an error.
    async fn refused(&self, answer: Response) -> anyhow::Error {
        let status = answer.status();
        let text = answer.text().await.unwrap_or_default();
        let detail = serde_json::from_str::<serde_json::Value>(&text).ok();
        let detail = detail.as_ref().and_then(|problem| problem["detail"].as_str()).unwrap_or(&text);
        let detail: String = detail.chars().take(TOLD).collect();
        let said = format!("the daemon at {} answers {status}: {detail}", self.url);
        match status {
            StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => {
                anyhow::anyhow!(said).context(Away(self.url.clone()))
            }
            _ if status.is_server_error() => anyhow::anyhow!(said).context(Away(self.url.clone())),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                anyhow::anyhow!("{said}; work.token must be the same here as there")
            }
            _ => anyhow::anyhow!(said),
        }
    }

    /// That it lets this process fetch. One that is away is warned of.
    pub(super) async fn check(&self) -> anyhow::Result<()> {
        // Of nothing that anybody packs.
        let error = match self.ask(&"0".repeat(64)).await {
            Ok(answer) if matches!(answer.status(), StatusCode::OK | StatusCode::NOT_FOUND) => return Ok(()),
            Ok(answer) => self.refused(answer).await,
            Err(error) => error,
        };
        if !error.is::<Away>() {
            return Err(error.context("work.blobs"));
        }
        tracing::warn!(
            error = format!("{error:#}"),
            "candles cannot be fetched now: they are asked for when they are needed"
        );
        Ok(())
    }

    /// Writes a blob to a file as it comes.
    pub(super) async fn fetch(&self, digest: &str, file: &mut tokio::fs::File) -> anyhow::Result<()> {
        let answer = self.ask(digest).await?;
        if answer.status() != StatusCode::OK {
            return Err(self.refused(answer).await);
        }
        let parts = stream::try_unfold(answer, async |mut answer| {
            let part = answer.chunk().await.map_err(|error| causes(error).context(Away(self.url.clone())))?;
            Ok(part.map(|part| (part, answer)))
        });
        write(parts, file).await
    }
}
