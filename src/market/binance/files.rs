//! Dump archives from their host, and the day's volumes: what a download needs beside candles.
//!
//! Archives cost no request weight, but pass the gate of their host like everything else: its breaker, and the stops
//! that it asks for. Never decides what to fetch and never reads an archive.

use super::answer::{self, Asked};
use super::{Binance, MAX_BACKOFF, Request, answer_to, wire};
use crate::ExchangeError;
use backon::{ExponentialBuilder, Retryable};
use candles::MarketKind;
use std::time::Duration;
use tokio::time::Instant;

/// Archives have megabytes: they may take so many of the usual timeouts.
const TIMEOUTS: u32 = 6;

impl Binance {
    /// A file below the dumps' address, such as `data/spot/monthly/klines/BTCUSDT/1h/BTCUSDT-1h-2024-04.zip`; `None`
    /// when there is none. Tried again where that may help.
    ///
    /// # Errors
    /// When the host does not give it.
    pub(crate) async fn dump_file(&self, path: &str) -> Result<Option<Vec<u8>>, ExchangeError> {
        let config = &self.shared.config;
        let backoff = ExponentialBuilder::new()
            .with_min_delay(Duration::from_millis(config.retry_delay_ms))
            .with_max_delay(MAX_BACKOFF)
            .with_max_times(config.retries as usize)
            .with_jitter();
        let max_wait = Duration::from_secs(config.max_wait_s);
        (|| self.fetch(path))
            .retry(backoff)
            .when(|e: &ExchangeError| e.is_worth_a_retry() && e.retry_after().is_none_or(|wait| wait <= max_wait))
            .notify(|e, wait| tracing::debug!(path, error = %e, wait_ms = wait.as_millis(), "retry"))
            .await
    }

    async fn fetch(&self, path: &str) -> Result<Option<Vec<u8>>, ExchangeError> {
        let host = &self.shared.dump_host;
        let asked = Asked { host: &host.name, market: MarketKind::Spot, symbol: None };
        // Never closed; were it, the gate of the host would still hold.
        let _slot = self.shared.under_way.acquire().await.ok();
        let permit = host.admit(0).await?;
        let sent = Instant::now();
        let outcome = self.fetch_once(path, asked).await;
        permit.settle(None, outcome.as_ref().map(|_| ()));
        self.shared.observer.0(sent.elapsed(), outcome.is_err());
        outcome
    }

    async fn fetch_once(&self, path: &str, asked: Asked<'_>) -> Result<Option<Vec<u8>>, ExchangeError> {
        let base = &self.shared.dumps;
        let mut url = base.clone();
        url.set_path(&format!("{}/{path}", base.path().trim_end_matches('/')));
        let timeout = self.shared.config.timeout() * TIMEOUTS;
        let (status, headers, body) = answer_to(self.shared.client.get(url), timeout, asked).await?;
        match status {
            200 if body.is_empty() => Err(answer::malformed(asked, "an empty body", &body)),
            200 if looks_like_html(&body) => Err(answer::malformed(asked, "HTML in place of a file", &body)),
            200 => Ok(Some(body)),
            404 => Ok(None),
            // Says what the status means, and for how long to stay away.
            _ => match answer::check(asked, status, &headers, &body) {
                Err(e) => Err(e),
                Ok(_) => {
                    Err(ExchangeError::Unavailable { host: asked.host.to_owned(), what: format!("HTTP {status}") })
                }
            },
        }
    }

    /// Symbols with the quote volume of their last 24 hours, the largest first; names that cannot be symbols here (with
    /// characters other than A-Z, 0-9, _ and .) as text.
    ///
    /// # Errors
    /// When the exchange does not say.
    pub async fn quote_volumes(&self, market: MarketKind) -> Result<Vec<(wire::Listing, f64)>, ExchangeError> {
        self.know_limits(market).await;
        let (path, weight) = match market {
            MarketKind::Spot => ("/api/v3/ticker/24hr", 80),
            MarketKind::Um => ("/fapi/v1/ticker/24hr", 40),
        };
        let request = Request { timeouts: TIMEOUTS, ..Request::new(path, weight) };
        self.get(market, request, wire::quote_volumes).await
    }

    /// Request weight a minute that this client allows itself on a market.
    #[must_use]
    pub fn weight_budget(&self, market: MarketKind) -> u32 {
        self.market(market).host.status().weight_budget
    }
}

fn looks_like_html(body: &[u8]) -> bool {
    body.iter().find(|b| !b.is_ascii_whitespace()) == Some(&b'<')
}
