//! Routes and wire types. Reads the store and leaves commands in it; never calls the daemon.

mod actions;
mod api;
mod backtests;
mod config;
mod dashboard;
mod events;
mod exposition;
mod extract;
mod health;
mod problem;
mod read;
mod records;
mod rules;
mod service;
mod shelf;
mod snapshot;
mod stats;
mod store_readings;
#[cfg(test)]
mod tests;
mod wire;

pub use backtests::{BacktestDone, BacktestOrder, Backtests, Coverage, Refusal, Stretch};
pub use config::HttpConfig;
pub use health::{Check, Checks, Health, Limits, Status, assess};
pub use problem::Problem;
pub use service::report_of as backtest_report_of;
pub use snapshot::{
    AUDIT_RUNNER, Audit, CONTINUOUS_RUNNER, Deployment, Feed, Island, Passed, Protocol, Readings, Runner,
    SHADOW_RUNNER, STREAM_RUNNER, Snapshot, Stream, Trials,
};
pub use stats::{FeedStats, IslandStats, OutboxStats, PassedStats, ProtocolStats, RunnerStats, Stats, StreamStats};

use axum::{
    Json, Router,
    extract::{MatchedPath, Request, State},
    http::{Method, StatusCode, Uri, header},
    middleware::{Next, from_fn},
    response::{IntoResponse, Response},
    routing::get,
};
use clock::Clock;
use snapshot::Reader;
use std::{
    io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};
use store::Store;
use telemetry::metrics::{self, Measured};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use tower_http::{catch_panic::CatchPanicLayer, limit::RequestBodyLimitLayer, timeout::TimeoutLayer};

/// Every route that is ours: label values of the metrics, and what the documents list.
pub const ROUTES: &[&str] = &[
    "/health",
    "/metrics",
    "/sg-ai/health",
    "/sg-ai/health/live",
    "/sg-ai/health/database",
    "/sg-ai/health/candles",
    "/sg-ai/health/generations",
    "/sg-ai/health/shadow",
    "/sg-ai/health/promotions",
    "/sg-ai/health/stream",
    "/sg-ai/stats",
    "/openapi.json",
    "/strategies",
    "/backtest",
    "/backtest/{id}/metrics",
    "/backtest/{id}/equity",
    "/backtest/{id}/trades",
    "/backtest/{id}/report",
    "/api/overview",
    "/api/strategies",
    "/api/strategies/{id}",
    "/api/strategies/{id}/curves",
    "/api/strategies/{id}/candles",
    "/api/strategies/{id}/dossier",
    "/api/strategies/{id}/{action}",
    "/api/generations",
    "/api/sessions",
    "/api/scores",
    "/api/protocol",
    "/api/deployments",
    "/api/regimes",
    "/api/drift-alerts",
    "/api/drift-alerts/{id}/acknowledge",
    "/api/data",
    "/api/runners",
    "/api/runners/{name}/{action}",
    "/api/audit",
    "/api/dead-letters",
    "/api/dead-letters/{id}/retry",
    "/api/settings",
    "/api/commands/{id}",
    "/api/token",
    "/api/events",
    "/",
    "/assets/{*path}",
];

/// Between two foldings of measured times, which would pile up without a scrape.
const UPKEEP: Duration = Duration::from_secs(5);

/// What the routes share.
struct Shared {
    reader: Arc<Reader>,
    limits: Limits,
    clock: Arc<dyn Clock>,
    started_ms: i64,
    measured: &'static Measured,
}

impl Shared {
    async fn health(&self) -> Health {
        let read = self.reader.read().await;
        assess(&read, self.limits, self.started_ms, self.clock.now_ms())
    }
}

/// What the service, the read API and the dashboard need beside readings.
pub struct Service {
    /// Everything that is stored.
    pub store: Store,
    /// Candles and the engine.
    pub backtests: Arc<dyn Backtests>,
    /// Capital of a backtest that names none, quote units.
    pub initial_capital: f64,
    /// Ends streams without an end.
    pub stop: CancellationToken,
}

/// The routes: health, stats and metrics over a source of readings, and the service where there is one.
pub fn router(
    readings: Arc<dyn Readings>,
    service: Option<Service>,
    config: &HttpConfig,
    limits: Limits,
    clock: Arc<dyn Clock>,
) -> Router {
    let limit = Duration::from_millis(config.health_timeout_ms);
    let started_ms = clock.now_ms();
    let reader = Arc::new(Reader::new(readings, limit));
    let api = service.map(|s| {
        let api = api::Api {
            store: s.store,
            backtests: s.backtests,
            clock: Arc::clone(&clock),
            limits: api::ApiLimits::new(config),
            initial_capital: s.initial_capital,
            slots: tokio::sync::Semaphore::new(config.max_backtests as usize),
            reader: Arc::clone(&reader),
            health_limits: limits,
            started_ms,
            action_token: config.action_token.clone(),
            events: events::Events::new(),
            stop: s.stop,
        };
        api::router(Arc::new(api), config)
    });
    let shared = Arc::new(Shared { reader, limits, clock, started_ms, measured: metrics::measured() });
    let late = TimeoutLayer::with_status_code(
        StatusCode::SERVICE_UNAVAILABLE,
        Duration::from_millis(config.request_timeout_ms),
    );
    // Without a service, its health is still asked for.
    let api = api.unwrap_or_else(|| Router::new().route("/health", get(live)));
    Router::new()
        .route("/metrics", get(scrape))
        .route("/sg-ai/health", get(health))
        .route("/sg-ai/health/live", get(live))
        .route("/sg-ai/health/database", get(async |State(s): Shared_| check(s.health().await.checks.database)))
        .route("/sg-ai/health/candles", get(async |State(s): Shared_| check(s.health().await.checks.candles)))
        .route("/sg-ai/health/generations", get(async |State(s): Shared_| check(s.health().await.checks.generations)))
        .route("/sg-ai/health/shadow", get(async |State(s): Shared_| check(s.health().await.checks.shadow)))
        .route("/sg-ai/health/promotions", get(async |State(s): Shared_| check(s.health().await.checks.promotions)))
        .route("/sg-ai/health/stream", get(async |State(s): Shared_| check(s.health().await.checks.stream)))
        .route("/sg-ai/stats", get(stats))
        .layer(late)
        .with_state(shared)
        .merge(api)
        .fallback(not_found)
        .method_not_allowed_fallback(not_allowed)
        .layer(RequestBodyLimitLayer::new(config.max_body_kb * 1024))
        .layer(CatchPanicLayer::custom(|_: Box<dyn std::any::Any + Send>| {
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "this is a defect of ours; the log says more")
                .into_response()
        }))
        .layer(from_fn(measure))
}

type Shared_ = State<Arc<Shared>>;

/// A server that listens.
pub struct Server {
    address: SocketAddr,
    task: JoinHandle<()>,
    upkeep: JoinHandle<()>,
}

impl Server {
    /// Listens on the configured address and this port, and serves until `stop` is cancelled.
    ///
    /// # Errors
    /// When the address cannot be listened on; the text names it.
    pub async fn start(config: &HttpConfig, port: u16, app: Router, stop: CancellationToken) -> io::Result<Self> {
        let wanted = SocketAddr::new(config.listen_address, port);
        let listener = TcpListener::bind(wanted).await;
        let listener =
            listener.map_err(|error| io::Error::new(error.kind(), format!("cannot listen on {wanted}: {error}")))?;
        let address = listener.local_addr()?;
        let task = tokio::spawn(async move {
            let app = app.into_make_service_with_connect_info::<SocketAddr>();
            let served = axum::serve(listener, app).with_graceful_shutdown(stop.cancelled_owned()).await;
            if let Err(error) = served {
                tracing::error!(%error, "the HTTP server ended");
            }
        });
        let upkeep = tokio::spawn(async {
            loop {
                tokio::time::sleep(UPKEEP).await;
                metrics::measured().upkeep();
            }
        });
        tracing::info!(%address, "listening");
        Ok(Self { address, task, upkeep })
    }

    /// The address in use, with the port that was picked if 0 was asked for.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits up to `grace` for answers under way after `stop` was cancelled, then drops them.
    pub async fn drain(mut self, grace: Duration) {
        self.upkeep.abort();
        if tokio::time::timeout(grace, &mut self.task).await.is_err() {
            self.task.abort();
        }
    }
}

/// A process that answers.
#[derive(serde::Serialize, utoipa::ToSchema)]
struct Alive {
    /// Always `healthy`.
    status: &'static str,
    version: &'static str,
}

/// Whether the process answers
#[utoipa::path(get, path = "/health", tag = "health", responses(
    (status = 200, description = "It does", body = inline(Alive)),
))]
async fn live() -> Response {
    // The process answers: that is all that is asked.
    uncached(StatusCode::OK, Alive { status: "healthy", version: env!("CARGO_PKG_VERSION") })
}

async fn health(State(shared): Shared_) -> Response {
    let health = shared.health().await;
    uncached(status_code(health.status), health)
}

fn check(check: Check) -> Response {
    uncached(status_code(check.status), check)
}

/// Only what does not do its work is unavailable; late is still serving.
fn status_code(status: Status) -> StatusCode {
    match status {
        Status::Healthy | Status::Degraded => StatusCode::OK,
        Status::Unknown | Status::Unhealthy => StatusCode::SERVICE_UNAVAILABLE,
    }
}

fn uncached(status: StatusCode, body: impl serde::Serialize) -> Response {
    (status, [(header::CACHE_CONTROL, "no-store")], Json(body)).into_response()
}

async fn stats(State(shared): Shared_) -> Response {
    match shared.reader.read().await {
        Ok(snapshot) => uncached(StatusCode::OK, Stats::from(snapshot)),
        Err(why) => Problem::new(StatusCode::SERVICE_UNAVAILABLE, format!("the database: {why}")).into_response(),
    }
}

async fn scrape(State(shared): Shared_) -> Response {
    let read = shared.reader.read().await;
    if read.is_err() {
        metrics::MIRROR_FAILURES_TOTAL.increment();
    }
    let mirrored = exposition::render(read.as_ref().ok(), shared.clock.now_ms());
    let headers =
        [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8"), (header::CACHE_CONTROL, "no-store")];
    (headers, shared.measured.render() + &mirrored).into_response()
}

async fn not_found(uri: Uri) -> Problem {
    Problem::new(StatusCode::NOT_FOUND, format!("there is no {}; there are {}", uri.path(), ROUTES.join(", ")))
}

async fn not_allowed(method: Method, uri: Uri) -> Problem {
    let takes = if matches!(uri.path(), "/strategies" | "/backtest") { "POST" } else { "GET" };
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, format!("{} does not take {method}; it takes {takes}", uri.path()))
}

/// What a layer refused in its own words, or without any, as a problem.
fn explained(response: Response) -> Response {
    let status = response.status();
    let is_problem =
        response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == "application/problem+json");
    // A failing check of health is an answer.
    let is_answer = response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == "application/json");
    if is_problem || is_answer || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let detail = match status {
        StatusCode::PAYLOAD_TOO_LARGE => "the body is larger than http.max_body_kb allows",
        StatusCode::SERVICE_UNAVAILABLE => "it took longer than the settings allow",
        _ => "the request cannot be answered",
    };
    Problem::new(status, detail).into_response()
}

async fn measure(request: Request, next: Next) -> Response {
    let path = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let route = path.and_then(|path| ROUTES.iter().find(|route| **route == path)).copied().unwrap_or("other");
    let started = Instant::now();
    let response = explained(next.run(request).await);
    metrics::HTTP_REQUEST_SECONDS.record(route, started.elapsed());
    metrics::HTTP_RESPONSES_TOTAL.increment(match response.status().as_u16() {
        500.. => "5xx",
        400.. => "4xx",
        _ => "2xx",
    });
    response
}
