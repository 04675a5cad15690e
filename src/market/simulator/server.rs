//! The simulated market behind HTTP, with Binance's routes, bodies, headers, limits and, on request, faults.
//!
//! Routes under `/sim/` steer the simulation (status, clock, faults); they cost no weight and are never faulty.

mod files;
mod steer;
mod stream;

use super::answer;
use super::clock::{MonotonicClock, SimulatedClock};
use super::faults::{FaultKind, FaultSpec, Faults};
use super::limits::{LimitSpec, Verdict, WeightCounter, WeightUse};
use super::query::{ApiError, Endpoint, FundingRequest, KlinesRequest, MetricRequest, Params};
use axum::{
    Router,
    body::Body,
    extract::{RawQuery, State},
    http::{HeaderName, Response, StatusCode, Uri, header},
    routing::get,
};
use candles::MarketKind;
use candles::time::MINUTE_MS;
use clock::Clock;
use simulated::SimulatedMarket;
use simulated::{MarketSpec, SpecError};
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Requests for metrics that are served in a window of so many ms, whatever their weight.
const METRICS_REQUESTS: u32 = 1_000;
const METRICS_WINDOW_MS: i64 = 5 * MINUTE_MS;

/// What to simulate and where to serve it.
#[derive(Clone, Debug, PartialEq)]
pub struct ExchangeConfig {
    /// The market.
    pub market: MarketSpec,
    /// Where to listen; port 0 picks a free one.
    pub listen: SocketAddr,
    /// Simulated time at the start, UTC ms: candles up to here are history.
    pub now_ms: i64,
    /// Simulated seconds in a wall second.
    pub speed: f64,
    /// Request limits, in wall time.
    pub limits: LimitSpec,
    /// Faults from the start.
    pub faults: Vec<FaultSpec>,
}

impl ExchangeConfig {
    /// A market whose clock starts at `now_ms` and runs at real speed, on a free port of the loopback.
    #[must_use]
    pub fn new(market: MarketSpec, now_ms: i64) -> Self {
        Self {
            market,
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            now_ms,
            speed: 1.0,
            limits: LimitSpec::default(),
            faults: Vec::new(),
        }
    }
}

/// Why a simulated exchange does not start.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum StartError {
    #[error(transparent)]
    Spec(#[from] SpecError),
    #[error("the simulated clock starts at {now_ms} ms, before the market's first candle at {start_ms} ms")]
    BeforeMarket { now_ms: i64, start_ms: i64 },
    #[error("cannot listen on {listen}: {cause}")]
    Listen { listen: SocketAddr, cause: std::io::Error },
}

struct Shared {
    market: Arc<SimulatedMarket>,
    clock: SimulatedClock,
    wall: Arc<dyn Clock>,
    spot: Mutex<WeightCounter>,
    um: Mutex<WeightCounter>,
    /// Requests for metrics, which have a limit of their own.
    metrics: Mutex<WeightCounter>,
    faults: Mutex<Faults>,
    /// Archives in place of those that follow from the market, by their path below `data/`.
    published: Mutex<BTreeMap<String, Vec<u8>>>,
    requests: AtomicU64,
    stop: CancellationToken,
}

/// A running simulated exchange. Ends when dropped; [`stop`](Self::stop) waits for it.
pub struct SimulatedExchange {
    addr: SocketAddr,
    shared: Arc<Shared>,
    task: Option<JoinHandle<()>>,
}

impl std::fmt::Debug for SimulatedExchange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SimulatedExchange").field("addr", &self.addr).finish_non_exhaustive()
    }
}

impl SimulatedExchange {
    /// Starts serving on the current tokio runtime.
    ///
    /// # Errors
    /// A market that cannot be, or an address that cannot be listened on.
    pub async fn start(config: ExchangeConfig) -> Result<Self, StartError> {
        Self::start_at(config, Arc::new(MonotonicClock::start())).await
    }

    /// As [`start`](Self::start), with a wall clock of the caller's: for tests that move time themselves.
    ///
    /// # Errors
    /// As for [`start`](Self::start).
    pub async fn start_at(config: ExchangeConfig, wall: Arc<dyn Clock>) -> Result<Self, StartError> {
        let ExchangeConfig { market, listen, now_ms, speed, limits, faults } = config;
        let start_ms = market.start_ms;
        if now_ms < start_ms {
            return Err(StartError::BeforeMarket { now_ms, start_ms });
        }
        let seed = market.seed;
        let market = Arc::new(SimulatedMarket::new(market)?);
        let listener =
            tokio::net::TcpListener::bind(listen).await.map_err(|cause| StartError::Listen { listen, cause })?;
        let addr = listener.local_addr().map_err(|cause| StartError::Listen { listen, cause })?;
        let stop = CancellationToken::new();
        let shared = Arc::new(Shared {
            market,
            clock: SimulatedClock::new(Arc::clone(&wall), now_ms, speed.max(0.0)),
            wall,
            spot: Mutex::new(WeightCounter::new(limits.spot_weight_per_minute, &limits)),
            um: Mutex::new(WeightCounter::new(limits.um_weight_per_minute, &limits)),
            metrics: Mutex::new(WeightCounter::over(METRICS_WINDOW_MS, METRICS_REQUESTS, &limits)),
            faults: Mutex::new(Faults::new(seed, faults)),
            published: Mutex::default(),
            requests: AtomicU64::new(0),
            stop: stop.clone(),
        });
        let app = router(Arc::clone(&shared));
        let task = tokio::spawn(async move {
            // Serving ends by the token; the listener's own errors are retried inside.
            let _ = axum::serve(listener, app).with_graceful_shutdown(stop.cancelled_owned()).await;
        });
        Ok(Self { addr, shared, task: Some(task) })
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// `http://127.0.0.1:PORT`, for settings that name a host.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// The market behind it.
    #[must_use]
    pub fn market(&self) -> &Arc<SimulatedMarket> {
        &self.shared.market
    }

    /// Its clock.
    #[must_use]
    pub fn clock(&self) -> &SimulatedClock {
        &self.shared.clock
    }

    /// Requests answered so far, those under `/sim/` not counted.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.shared.requests.load(Ordering::Relaxed)
    }

    /// What was asked of a market so far, by weight.
    #[must_use]
    pub fn weight(&self, market: MarketKind) -> WeightUse {
        lock(if market == MarketKind::Spot { &self.shared.spot } else { &self.shared.um }).total()
    }

    /// Requests for metrics so far, of a limit in five minutes.
    #[must_use]
    pub fn metrics_requests(&self) -> WeightUse {
        lock(&self.shared.metrics).total()
    }

    /// Adds a fault.
    pub fn add_fault(&self, fault: FaultSpec) {
        lock(&self.shared.faults).add(fault);
    }

    /// Serves these bytes as the archive at a path such as `spot/monthly/klines/BTCUSDT/1h/BTCUSDT-1h-2024-04.zip`, with
    /// the checksum that belongs to them: published archives have been stale, incomplete and odd.
    pub fn publish(&self, path: &str, archive: Vec<u8>) {
        lock(&self.shared.published).insert(path.to_owned(), archive);
    }

    /// Ends all faults; candles that were missing or wrong are right again.
    pub fn clear_faults(&self) {
        lock(&self.shared.faults).clear();
    }

    /// Stops serving: requests in flight are answered, hanging ones dropped.
    pub async fn stop(mut self) {
        self.shared.stop.cancel();
        if let Some(mut task) = self.task.take() {
            // A client that keeps its connection busy must not keep us.
            if tokio::time::timeout(Duration::from_secs(3), &mut task).await.is_err() {
                task.abort();
            }
        }
    }
}

impl Drop for SimulatedExchange {
    fn drop(&mut self) {
        self.shared.stop.cancel();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Held only for counting; nothing in there is left half done by a panic.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

type Answer = Response<Body>;

fn router(shared: Arc<Shared>) -> Router {
    use crate::exchange::Metric as Of;
    use Endpoint::{ExchangeInfo, FundingRate, Klines, Metric, Ping, Premium, Tickers, Time};
    let routes = [
        ("/api/v3/ping", MarketKind::Spot, Ping),
        ("/api/v3/time", MarketKind::Spot, Time),
        ("/api/v3/exchangeInfo", MarketKind::Spot, ExchangeInfo),
        ("/api/v3/klines", MarketKind::Spot, Klines),
        ("/api/v3/ticker/24hr", MarketKind::Spot, Tickers),
        ("/fapi/v1/ticker/24hr", MarketKind::Um, Tickers),
        ("/fapi/v1/ping", MarketKind::Um, Ping),
        ("/fapi/v1/time", MarketKind::Um, Time),
        ("/fapi/v1/exchangeInfo", MarketKind::Um, ExchangeInfo),
        ("/fapi/v1/klines", MarketKind::Um, Klines),
        ("/fapi/v1/fundingRate", MarketKind::Um, FundingRate),
        ("/fapi/v1/premiumIndexKlines", MarketKind::Um, Premium),
        ("/futures/data/openInterestHist", MarketKind::Um, Metric(Of::OpenInterest)),
        ("/futures/data/topLongShortAccountRatio", MarketKind::Um, Metric(Of::TopTraderAccounts)),
        ("/futures/data/topLongShortPositionRatio", MarketKind::Um, Metric(Of::TopTraderPositions)),
        ("/futures/data/globalLongShortAccountRatio", MarketKind::Um, Metric(Of::Accounts)),
        ("/futures/data/takerlongshortRatio", MarketKind::Um, Metric(Of::TakerVolume)),
    ];
    let mut router = Router::new();
    for (path, kind, endpoint) in routes {
        let handler = move |State(shared): State<Arc<Shared>>, RawQuery(query): RawQuery| async move {
            serve(shared, kind, endpoint, query.unwrap_or_default()).await
        };
        router = router.route(path, get(handler));
    }
    router
        .route("/data/{*path}", get(files::serve))
        .route("/stream", get(stream::serve))
        .route("/sim/status", get(steer::status))
        .route("/sim/clock", axum::routing::post(steer::set_clock))
        .route("/sim/faults", get(steer::list_faults).post(steer::add_fault).delete(steer::clear_faults))
        .fallback(unknown_path)
        .with_state(shared)
}

/// Counts the request, lets a fault strike it or answers it.
async fn serve(shared: Arc<Shared>, kind: MarketKind, endpoint: Endpoint, query: String) -> Answer {
    shared.requests.fetch_add(1, Ordering::Relaxed);
    let params = Params::parse(&query);
    let weight = endpoint.weight(kind, &params);
    let counter = if kind == MarketKind::Spot { &shared.spot } else { &shared.um };
    let (used, mut verdict, mut limit) = {
        let mut counter = lock(counter);
        let (used, verdict) = counter.charge(shared.wall.now_ms(), weight);
        (used, verdict, counter.limit())
    };
    if matches!(endpoint, Endpoint::Metric(_)) && verdict == Verdict::Served {
        let mut counter = lock(&shared.metrics);
        (verdict, limit) = (counter.charge(shared.wall.now_ms(), 1).1, counter.limit());
    }
    let used_headers = Used { kind, used };
    match verdict {
        Verdict::Served => {}
        Verdict::TooMany { retry_after_s } => return used_headers.too_many(limit, retry_after_s),
        Verdict::Banned { until_ms, retry_after_s } => return used_headers.banned(until_ms, retry_after_s),
    }
    let now_ms = shared.clock.now_ms();
    let fault = lock(&shared.faults).strike(endpoint.name(), &query, params.get("symbol"), now_ms);
    if let Some(fault) = &fault
        && let Some(answer) = strike(&shared, fault, &used_headers, limit).await
    {
        return answer;
    }
    match body(&shared, kind, endpoint, params, limit).await {
        Ok(mut text) => {
            if fault.is_some_and(|fault| fault.kind == FaultKind::Truncated) {
                // Bodies are ASCII, so any byte is a border.
                text.truncate(text.len() / 2);
            }
            used_headers.json(StatusCode::OK, text)
        }
        Err(error) => used_headers.json(StatusCode::BAD_REQUEST, error.body()),
    }
}

/// The answer of a fault that needs no real body; `None` where the body is to be spoilt.
async fn strike(shared: &Shared, fault: &FaultSpec, used: &Used, limit: u32) -> Option<Answer> {
    let delay_ms = |default: i64| fault.delay_ms.unwrap_or(default).max(0);
    let seconds = |default: i64| (delay_ms(default) + 999) / 1_000;
    Some(match fault.kind {
        FaultKind::TooManyRequests => used.too_many(limit, seconds(1_000)),
        FaultKind::Banned => used.banned(shared.wall.now_ms() + delay_ms(2_000), seconds(2_000)),
        FaultKind::Status500 => {
            let error = ApiError::new(-1000, "An unknown error occurred while processing the request.");
            used.json(StatusCode::INTERNAL_SERVER_ERROR, error.body())
        }
        FaultKind::Status502 => html(StatusCode::BAD_GATEWAY, "502 Bad Gateway"),
        FaultKind::Status503 => respond(StatusCode::SERVICE_UNAVAILABLE, "text/html", [], String::new()),
        FaultKind::Hang => {
            let wait = Duration::from_millis(delay_ms(60_000).unsigned_abs());
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = shared.stop.cancelled() => {}
            }
            respond(StatusCode::GATEWAY_TIMEOUT, "text/html", [], String::new())
        }
        FaultKind::Html => html(StatusCode::OK, "Just a moment..."),
        FaultKind::Empty => used.json(StatusCode::OK, String::new()),
        FaultKind::Truncated
        | FaultKind::Checksum
        | FaultKind::Gap
        | FaultKind::Late
        | FaultKind::Revised
        | FaultKind::Reissued => return None,
    })
}

async fn body(
    shared: &Arc<Shared>,
    kind: MarketKind,
    endpoint: Endpoint,
    params: Params,
    limit: u32,
) -> Result<String, ApiError> {
    let now_ms = shared.clock.now_ms();
    match endpoint {
        Endpoint::Ping => Ok("{}".to_owned()),
        Endpoint::Time => Ok(format!("{{\"serverTime\":{now_ms}}}")),
        Endpoint::ExchangeInfo => answer::exchange_info(&shared.market, kind, &params, limit, now_ms),
        Endpoint::Tickers => {
            let market = Arc::clone(&shared.market);
            blocking(move || answer::tickers(&market, now_ms)).await
        }
        Endpoint::Klines => {
            let request = KlinesRequest::parse(kind, &params)?;
            let symbol = shared.market.spec().symbols.iter().find(|s| s.symbol == request.symbol);
            let faults = symbol.and_then(|symbol| lock(&shared.faults).of_candles(symbol));
            // The first look at years of candles computes them: not on a thread that serves others.
            let market = Arc::clone(&shared.market);
            blocking(move || answer::klines(&market, kind, &request, faults.as_ref(), now_ms)).await
        }
        Endpoint::Premium => {
            let request = KlinesRequest::parse(kind, &params)?;
            let market = Arc::clone(&shared.market);
            blocking(move || answer::premium(&market, &request, now_ms)).await
        }
        Endpoint::Metric(metric) => {
            let request = MetricRequest::parse(&params, now_ms)?;
            let market = Arc::clone(&shared.market);
            blocking(move || answer::metric(&market, metric, &request, now_ms)).await
        }
        Endpoint::FundingRate => {
            let request = FundingRequest::parse(&params)?;
            let market = Arc::clone(&shared.market);
            blocking(move || answer::funding(&market, &request, now_ms)).await
        }
    }
}

async fn blocking(work: impl FnOnce() -> Result<String, ApiError> + Send + 'static) -> Result<String, ApiError> {
    let failed = |_| Err(ApiError::new(-1001, "Internal error; unable to process your request. Please try again."));
    tokio::task::spawn_blocking(work).await.unwrap_or_else(failed)
}

/// Weight used in this minute, as it goes into headers.
struct Used {
    kind: MarketKind,
    used: u32,
}

impl Used {
    fn json(&self, status: StatusCode, body: String) -> Answer {
        self.with(status, None, body)
    }

    fn with(&self, status: StatusCode, retry_after_s: Option<i64>, body: String) -> Answer {
        let used = self.used.to_string();
        let mut headers = vec![(HeaderName::from_static("x-mbx-used-weight-1m"), used.clone())];
        if self.kind == MarketKind::Spot {
            headers.push((HeaderName::from_static("x-mbx-used-weight"), used));
        }
        headers.extend(retry_after_s.map(|seconds| (header::RETRY_AFTER, seconds.to_string())));
        respond(status, "application/json;charset=UTF-8", headers, body)
    }

    fn too_many(&self, limit: u32, retry_after_s: i64) -> Answer {
        let message = match self.kind {
            MarketKind::Spot => format!(
                "Too much request weight used; current limit is {limit} request weight per 1 MINUTE. Please use \
                 WebSocket Streams for live updates to avoid polling the API."
            ),
            MarketKind::Um => format!(
                "Too many requests; current limit of IP(127.0.0.1) is {limit} requests per minute. Please use the \
                 websocket for live updates to avoid polling the API."
            ),
        };
        self.with(StatusCode::TOO_MANY_REQUESTS, Some(retry_after_s), ApiError::new(-1003, message).body())
    }

    fn banned(&self, until_ms: i64, retry_after_s: i64) -> Answer {
        let message = format!(
            "Way too much request weight used; IP banned until {until_ms}. Please use the websocket for live updates \
             to avoid bans."
        );
        self.with(StatusCode::IM_A_TEAPOT, Some(retry_after_s), ApiError::new(-1003, message).body())
    }
}

fn html(status: StatusCode, title: &str) -> Answer {
    let body = format!("<html>\r\n<head><title>{title}</title></head>\r\n<body><h1>{title}</h1></body>\r\n</html>\r\n");
    respond(status, "text/html", [], body)
}

fn respond(
    status: StatusCode,
    content_type: &'static str,
    headers: impl IntoIterator<Item = (HeaderName, String)>,
    body: String,
) -> Answer {
    let mut builder = Response::builder()
        .status(status)
        .header(header::CONTENT_TYPE, content_type)
        .header(header::SERVER, "nginx")
        .header(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    for (name, value) in headers {
        builder = builder.header(name, value);
    }
    builder.body(Body::from(body)).unwrap_or_default()
}

async fn unknown_path(uri: Uri) -> Answer {
    let error = ApiError::new(-5000, format!("Path {}, Method GET is invalid", uri.path()));
    respond(StatusCode::NOT_FOUND, "application/json;charset=UTF-8", [], error.body())
}
