//! Binance's public REST service, spot and USD-M futures, as an [`Exchange`].
//!
//! The transport is ours, since limits, bans and failures live in status codes and headers: each request passes the
//! gate of its host (`host`), its answer is typed (`answer`), and only then its JSON is read (`wire`). One value of
//! [`Binance`] serves the whole process, so that a stop stops everything. Never trades, never needs a key, never
//! follows a redirect, and uses no proxy but the configured one.

mod answer;
mod breaker;
mod files;
mod host;
mod ledger;
mod wire;

pub use host::HostStatus;
pub use wire::Listing;

use super::MarketConfig;
use super::exchange::{Exchange, ExchangeError, ExchangeInfo, METRICS_ROWS, Metric, MetricRow};
use answer::Asked;
use async_trait::async_trait;
use backon::{ExponentialBuilder, Retryable};
use candles::{Candle, FundingRate, Interval, MarketKind, Symbol, Ticker};
use host::Host;
use reqwest::header::{HeaderMap, HeaderValue};
use secrecy::ExposeSecret;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, Semaphore};
use tokio::time::Instant;
use url::Url;

/// Bodies beyond this are no answers of ours; the largest real one, spot's exchange information, has about 20 MiB.
const MAX_BODY_BYTES: usize = 64 << 20;
/// Backoff never grows beyond this.
const MAX_BACKOFF: Duration = Duration::from_secs(30);
/// Stated limits are asked for again after this long.
const LIMITS_VALID: Duration = Duration::from_secs(86_400);
/// After they could not be had, the next request asks again after this long.
const LIMITS_RETRY: Duration = Duration::from_secs(300);
/// Metrics have a limit of their own, 1,000 requests in five minutes, and no weight. Counted as this part of a minute's
/// weight, they stay below the same share of it as everything else does of its own.
const METRICS_REQUESTS_PER_MINUTE: u32 = 200;
const USER_AGENT: &str = concat!("sg-ai/", env!("CARGO_PKG_VERSION"));

/// Why a client cannot be built.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum BinanceError {
    #[error("market.{key}: {why}")]
    Config { key: &'static str, why: String },
    #[error("the HTTP client cannot be built: {0}; for https, the system's CA certificates must be installed")]
    Client(String),
}

/// Told of each request that was sent, retries apart: how long it took, and whether it failed.
pub type OnRequest = Box<dyn Fn(Duration, bool) + Send + Sync>;

struct RequestObserver(OnRequest);

impl std::fmt::Debug for RequestObserver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RequestObserver")
    }
}

/// A client of Binance, or of an exchange that answers like it. Cheap to clone; clones share limits and stops.
#[derive(Clone, Debug)]
pub struct Binance {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    client: reqwest::Client,
    spot: Market,
    um: Market,
    /// Address of the dump archives, and its gate.
    dumps: Url,
    dump_host: Arc<Host>,
    under_way: Semaphore,
    config: MarketConfig,
    observer: RequestObserver,
}

#[derive(Debug)]
struct Market {
    kind: MarketKind,
    base: Url,
    host: Arc<Host>,
    /// When the limits have to be asked for.
    limits_due: Mutex<Option<Instant>>,
}

/// A request: where, with what, at which weight.
struct Request<'a> {
    path: &'static str,
    query: Vec<(&'static str, String)>,
    weight: u32,
    symbol: Option<&'a str>,
    /// How many of the usual timeouts its answer may take.
    timeouts: u32,
}

impl Request<'_> {
    fn new(path: &'static str, weight: u32) -> Self {
        Self { path, query: Vec::new(), weight, symbol: None, timeouts: 1 }
    }
}

impl Binance {
    /// A client with these settings. Sends nothing yet.
    ///
    /// # Errors
    /// When a setting makes no sense, or the system offers no TLS.
    pub fn new(config: &MarketConfig) -> Result<Self, BinanceError> {
        Self::observed(config, Box::new(|_, _| {}))
    }

    /// As [`Binance::new`], telling `on_request` of each request.
    ///
    /// # Errors
    /// As [`Binance::new`].
    pub fn observed(config: &MarketConfig, on_request: OnRequest) -> Result<Self, BinanceError> {
        config.validate().map_err(|(key, why)| BinanceError::Config { key, why })?;
        // Fails only when one is installed already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let (spot, um) = (config.rest_host(MarketKind::Spot), config.rest_host(MarketKind::Um));
        let dumps = config.dump_host();
        let mut builder = reqwest::Client::builder()
            .user_agent(USER_AGENT)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .connect_timeout(config.timeout())
            .default_headers(key_header(config, &[&spot, &um, &dumps])?);
        if let Some(proxy) = &config.proxy {
            let proxy = reqwest::Proxy::all(proxy.as_str());
            builder = builder
                .proxy(proxy.map_err(|e| BinanceError::Config { key: "proxy", why: e.without_url().to_string() })?);
        }
        if config.proxy.is_none() && [&spot, &um, &dumps].iter().all(|url| url.scheme() == "http") {
            // A simulated exchange works on a machine without CA certificates, too.
            builder = builder.tls_certs_only([]);
        }
        let client = builder.build().map_err(|e| BinanceError::Client(causes(&e)))?;
        let spot_host = Arc::new(Host::new(host_name(&spot), config));
        let um_host = if host_name(&um) == host_name(&spot) {
            Arc::clone(&spot_host)
        } else {
            Arc::new(Host::new(host_name(&um), config))
        };
        let dump_host = if host_name(&dumps) == spot_host.name {
            Arc::clone(&spot_host)
        } else {
            Arc::new(Host::new(host_name(&dumps), config))
        };
        let market = |kind, base, host| Market { kind, base, host, limits_due: Mutex::new(None) };
        let shared = Shared {
            client,
            spot: market(MarketKind::Spot, spot, spot_host),
            um: market(MarketKind::Um, um, um_host),
            dumps,
            dump_host,
            under_way: Semaphore::new(config.requests_at_once),
            config: config.clone(),
            observer: RequestObserver(on_request),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// How each host stands.
    #[must_use]
    pub fn hosts(&self) -> Vec<HostStatus> {
        let Shared { spot, um, dump_host, .. } = &*self.shared;
        let mut hosts: Vec<&Arc<Host>> = Vec::new();
        for host in [&spot.host, &um.host, dump_host] {
            if !hosts.iter().any(|known| Arc::ptr_eq(known, host)) {
                hosts.push(host);
            }
        }
        hosts.into_iter().map(|host| host.status()).collect()
    }

    fn market(&self, kind: MarketKind) -> &Market {
        match kind {
            MarketKind::Spot => &self.shared.spot,
            MarketKind::Um => &self.shared.um,
        }
    }

    /// Sends a request, again where that may help, and reads the answer.
    async fn get<T>(
        &self,
        kind: MarketKind,
        request: Request<'_>,
        read: impl Fn(&[u8]) -> Result<T, String>,
    ) -> Result<T, ExchangeError> {
        let market = self.market(kind);
        let config = &self.shared.config;
        let backoff = ExponentialBuilder::new()
            .with_min_delay(Duration::from_millis(config.retry_delay_ms))
            .with_max_delay(MAX_BACKOFF)
            .with_max_times(config.retries as usize)
            .with_jitter();
        let max_wait = Duration::from_secs(config.max_wait_s);
        (|| self.attempt(market, &request, &read))
            .retry(backoff)
            .when(|e: &ExchangeError| e.is_worth_a_retry() && e.retry_after().is_none_or(|wait| wait <= max_wait))
            .notify(|e, wait| tracing::debug!(path = request.path, error = %e, wait_ms = wait.as_millis(), "retry"))
            .await
    }

    async fn attempt<T>(
        &self,
        market: &Market,
        request: &Request<'_>,
        read: &impl Fn(&[u8]) -> Result<T, String>,
    ) -> Result<T, ExchangeError> {
        let host = &market.host;
        let asked = Asked { host: &host.name, market: market.kind, symbol: request.symbol };
        // Never closed; were it, the gate of the host would still hold.
        let _slot = self.shared.under_way.acquire().await.ok();
        let permit = host.admit(request.weight).await?;
        let sent = Instant::now();
        let (told, outcome) = match self.send(market, request, asked).await {
            Err(e) => (None, Err(e)),
            Ok((status, headers, body)) => {
                let answer = answer::check(asked, status, &headers, &body)
                    .and_then(|body| read(body).map_err(|what| answer::malformed(asked, &what, body)));
                (answer::used_weight(&headers), answer)
            }
        };
        permit.settle(told, outcome.as_ref().map(|_| ()));
        self.shared.observer.0(sent.elapsed(), outcome.is_err());
        outcome
    }

    async fn send(
        &self,
        market: &Market,
        request: &Request<'_>,
        asked: Asked<'_>,
    ) -> Result<(u16, HeaderMap, Vec<u8>), ExchangeError> {
        let mut url = market.base.clone();
        url.set_path(&format!("{}{}", market.base.path().trim_end_matches('/'), request.path));
        if !request.query.is_empty() {
            url.query_pairs_mut().clear().extend_pairs(&request.query);
        }
        let timeout = self.shared.config.timeout() * request.timeouts;
        answer_to(self.shared.client.get(url), timeout, asked).await
    }

    /// Asks for the limits where they are not known or old. Without an answer the last known ones hold.
    async fn know_limits(&self, kind: MarketKind) {
        let market = self.market(kind);
        let mut due = market.limits_due.lock().await;
        if due.is_some_and(|due| due > Instant::now()) {
            return;
        }
        // Asking sets them; the guard makes the others wait for the outcome instead of asking as well.
        let valid = match self.ask_info(kind).await {
            Ok(_) => LIMITS_VALID,
            Err(error) => {
                tracing::debug!(%error, market = %kind, "request limits are not known; assuming low ones");
                LIMITS_RETRY
            }
        };
        *due = Some(Instant::now() + valid);
    }

    async fn ask_info(&self, kind: MarketKind) -> Result<ExchangeInfo, ExchangeError> {
        let (path, weight) = match kind {
            MarketKind::Spot => ("/api/v3/exchangeInfo", 20),
            MarketKind::Um => ("/fapi/v1/exchangeInfo", 1),
        };
        // Megabytes, on some lines for a while.
        let request = Request { timeouts: 6, ..Request::new(path, weight) };
        let info = self.get(kind, request, wire::exchange_info).await?;
        if let Some(limit) = info.weight_per_minute() {
            self.market(kind).host.set_weight_limit(limit);
        }
        Ok(info)
    }
}

/// Sends a request: status, headers and a body that has an end.
async fn answer_to(
    request: reqwest::RequestBuilder,
    timeout: Duration,
    asked: Asked<'_>,
) -> Result<(u16, HeaderMap, Vec<u8>), ExchangeError> {
    let failed = |e: reqwest::Error| {
        let host = asked.host.to_owned();
        if e.is_timeout() {
            ExchangeError::Timeout { host, after: timeout }
        } else {
            ExchangeError::Unavailable { host, what: causes(&e.without_url()) }
        }
    };
    let mut response = request.timeout(timeout).send().await.map_err(failed)?;
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        if body.len() + chunk.len() > MAX_BODY_BYTES {
            return Err(answer::malformed(asked, "a body without end", &body));
        }
        body.extend_from_slice(&chunk);
    }
    Ok((status, headers, body))
}

impl Binance {
    /// Candles that open in a range, both ends included, from one of the paths that answer as klines do.
    async fn klines_at(
        &self,
        ticker: &Ticker,
        path: &'static str,
        interval: Interval,
        (from_ms, to_ms): (i64, i64),
        limit: u32,
    ) -> Result<Vec<Candle>, ExchangeError> {
        // Reversed bounds are an error on one market and nothing on the other; here they are nothing.
        if from_ms > to_ms || limit == 0 {
            return Ok(Vec::new());
        }
        let Ticker { market, symbol } = ticker;
        self.know_limits(*market).await;
        let limit = limit.min(self.max_klines(*market));
        let query = vec![
            ("symbol", symbol.to_string()),
            ("interval", interval.to_string()),
            // Times before the epoch are illegal characters to it.
            ("startTime", from_ms.max(0).to_string()),
            ("endTime", to_ms.max(0).to_string()),
            ("limit", limit.to_string()),
        ];
        let weight = klines_weight(*market, limit);
        let request = Request { query, symbol: Some(symbol.as_str()), ..Request::new(path, weight) };
        self.get(*market, request, wire::klines).await
    }
}

#[async_trait]
impl Exchange for Binance {
    async fn server_time_ms(&self, market: MarketKind) -> Result<i64, ExchangeError> {
        let path = match market {
            MarketKind::Spot => "/api/v3/time",
            MarketKind::Um => "/fapi/v1/time",
        };
        self.get(market, Request::new(path, 1), wire::server_time_ms).await
    }

    async fn klines(
        &self,
        ticker: &Ticker,
        interval: Interval,
        from_ms: i64,
        to_ms: i64,
        limit: u32,
    ) -> Result<Vec<Candle>, ExchangeError> {
        let path = match ticker.market {
            MarketKind::Spot => "/api/v3/klines",
            MarketKind::Um => "/fapi/v1/klines",
        };
        self.klines_at(ticker, path, interval, (from_ms, to_ms), limit).await
    }

    fn max_klines(&self, market: MarketKind) -> u32 {
        match market {
            MarketKind::Spot => 1_000,
            MarketKind::Um => 1_500,
        }
    }

    async fn exchange_info(&self, market: MarketKind) -> Result<ExchangeInfo, ExchangeError> {
        let info = self.ask_info(market).await?;
        *self.market(market).limits_due.lock().await = Some(Instant::now() + LIMITS_VALID);
        Ok(info)
    }

    async fn premium_klines(
        &self,
        symbol: &Symbol,
        interval: Interval,
        from_ms: i64,
        to_ms: i64,
        limit: u32,
    ) -> Result<Vec<Candle>, ExchangeError> {
        let path = "/fapi/v1/premiumIndexKlines";
        self.klines_at(&Ticker::of(MarketKind::Um, symbol), path, interval, (from_ms, to_ms), limit).await
    }

    async fn metric(
        &self,
        symbol: &Symbol,
        metric: Metric,
        from_ms: i64,
        to_ms: i64,
    ) -> Result<Vec<MetricRow>, ExchangeError> {
        if from_ms > to_ms {
            return Ok(Vec::new());
        }
        self.know_limits(MarketKind::Um).await;
        let query = vec![
            ("symbol", symbol.to_string()),
            ("period", "5m".to_owned()),
            ("startTime", from_ms.max(0).to_string()),
            ("endTime", to_ms.max(0).to_string()),
            ("limit", METRICS_ROWS.to_string()),
        ];
        let weight = self.market(MarketKind::Um).host.status().weight_limit.div_ceil(METRICS_REQUESTS_PER_MINUTE);
        let request = Request { query, symbol: Some(symbol.as_str()), ..Request::new(metric_path(metric), weight) };
        self.get(MarketKind::Um, request, |body| wire::metric_rows(body, metric)).await
    }

    async fn funding_rates(
        &self,
        symbol: &Symbol,
        from_ms: i64,
        to_ms: i64,
    ) -> Result<Vec<FundingRate>, ExchangeError> {
        if from_ms > to_ms {
            return Ok(Vec::new());
        }
        self.know_limits(MarketKind::Um).await;
        let query = vec![
            ("symbol", symbol.to_string()),
            ("startTime", from_ms.max(0).to_string()),
            ("endTime", to_ms.max(0).to_string()),
            ("limit", "1000".to_owned()),
        ];
        let path = "/fapi/v1/fundingRate";
        let request = Request { query, symbol: Some(symbol.as_str()), ..Request::new(path, 1) };
        self.get(MarketKind::Um, request, wire::funding_rates).await
    }
}

fn metric_path(metric: Metric) -> &'static str {
    match metric {
        Metric::OpenInterest => "/futures/data/openInterestHist",
        Metric::TopTraderAccounts => "/futures/data/topLongShortAccountRatio",
        Metric::TopTraderPositions => "/futures/data/topLongShortPositionRatio",
        Metric::Accounts => "/futures/data/globalLongShortAccountRatio",
        Metric::TakerVolume => "/futures/data/takerlongshortRatio",
    }
}

/// What a request for klines costs. Where documents and measurements differ at an edge, the higher price counts.
fn klines_weight(market: MarketKind, limit: u32) -> u32 {
    match (market, limit) {
        (MarketKind::Spot, _) => 2,
        (MarketKind::Um, 0..100) => 1,
        (MarketKind::Um, 100..500) => 2,
        (MarketKind::Um, 500..=1_000) => 5,
        (MarketKind::Um, _) => 10,
    }
}

/// The key's header, where there is a key and every host is reached encrypted.
fn key_header(config: &MarketConfig, hosts: &[&Url]) -> Result<HeaderMap, BinanceError> {
    let mut headers = HeaderMap::new();
    if let Some(key) = &config.api_key
        && hosts.iter().all(|host| host.scheme() == "https")
    {
        let why = "it has characters that no key has".to_owned();
        let mut value =
            HeaderValue::from_str(key.expose_secret()).map_err(|_| BinanceError::Config { key: "api_key", why })?;
        value.set_sensitive(true);
        headers.insert("X-MBX-APIKEY", value);
    }
    Ok(headers)
}

fn host_name(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// An error with its causes on one line: the outermost says least.
fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    let chain = std::iter::successors(Some(error), |e| e.source());
    chain.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
