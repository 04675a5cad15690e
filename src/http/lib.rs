//! Routes and wire types. Reads the store and leaves commands in it; never calls the daemon.

mod actions;
mod answer;
mod api;
mod backtests;
mod books;
mod broadcast;
mod config;
mod connections;
mod correlations;
mod dashboard;
mod events;
mod exposition;
mod extract;
mod figure_limits;
mod hardened;
mod health;
mod health_of_models;
mod health_of_work;
mod hosts;
mod media_items;
mod media_proposals;
mod models;
mod names;
mod optimizations;
mod portfolios;
mod probes;
mod problem;
mod progress;
mod proxies;
mod quotas;
mod read;
mod records;
mod reports;
mod response_cache;
mod routes;
mod rules;
mod server;
mod service;
mod snapshot;
mod stats;
mod store_readings;
mod stream;
mod targets;
mod terms;
#[cfg(test)]
mod tests;
mod wire;
mod work_blobs;

pub use backtests::{
    BacktestDone, BacktestOrder, Backtests, CachedSeries, Excursion, PortfolioOrder, Refusal, RuleCandles, RuleSeries,
    ShownSetting, Stretch,
};
pub use config::HttpConfig;
pub use health::Limits;
pub use reports::{backtest_report_of, portfolio_report_of};
pub use server::Server;
pub use snapshot::{
    AUDIT_RUNNER, Audit, BOOK_RUNNER, Book, CONTINUOUS_RUNNER, Deployment, Feed, Island, Model, Move, Passed, Protocol,
    Readings, Runner, SHADOW_RUNNER, STREAM_RUNNER, Snapshot, Stream, Tests, Trials,
};
pub use terms::AskedTerms;
pub use work_blobs::{BlobPlace, StoredBlob, WorkBlobs};

use axum::{
    Router,
    extract::{DefaultBodyLimit, MatchedPath, Request},
    http::{Method, StatusCode, Uri, header},
    middleware::{Next, from_fn, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::get,
};
use clock::Clock;
use problem::Problem;
use snapshot::Reader;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use store::Store;
use telemetry::metrics;
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
    "/sg-ai/health/work",
    "/sg-ai/health/models",
    "/sg-ai/stats",
    "/openapi.json",
    "/strategies",
    "/backtest",
    "/backtest/{id}/metrics",
    "/backtest/{id}/equity",
    "/backtest/{id}/trades",
    "/backtest/{id}/report",
    "/media/{media_item_id}",
    "/media/{media_item_id}/features",
    "/media/{media_item_id}/strategies",
    "/api/media",
    "/api/overview",
    "/api/strategies",
    "/api/strategies/{id}",
    "/api/strategies/{id}/curves",
    "/api/strategies/{id}/candles",
    "/api/strategies/{id}/dossier",
    "/api/strategies/{id}/report",
    "/api/strategies/{id}/portfolio",
    "/backtest/{id}/portfolio",
    "/api/correlations",
    "/api/searches",
    "/api/books",
    "/api/book",
    "/api/book/days",
    "/api/optimizations",
    "/api/optimizations/{id}",
    "/api/strategies/{id}/{action}",
    "/api/generations",
    "/api/sessions",
    "/api/scores",
    "/api/protocol",
    "/api/learner",
    "/api/deployments",
    "/api/regimes",
    "/api/regime-changes",
    "/api/drift-alerts",
    "/api/drift-alerts/{id}/acknowledge",
    "/api/data",
    "/api/runners",
    "/api/work",
    "/api/models",
    "/api/models/{name}",
    "/api/blobs/{sha256}",
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

/// What the service, the read API and the dashboard need beside readings.
pub struct Service {
    /// Everything that is stored.
    pub store: Store,
    /// Candles and the engine.
    pub backtests: Arc<dyn Backtests>,
    /// Capital of a backtest that names none, quote units.
    pub initial_capital: f64,
    /// What is asked of a backtest of a strategy from media, beside evidence.
    pub media_limits: media::ClientLimits,
    /// Days of such a backtest where nobody says which.
    pub backtest_days: u32,
    /// What workers fetch over HTTP; `None` where nobody may.
    pub work_blobs: Option<WorkBlobs>,
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
    let reader = Arc::new(Reader::new(readings, service.as_ref().map(|s| Arc::clone(&s.backtests)), limit));
    let api = service.map(|s| {
        let api = api::Api {
            store: s.store,
            backtests: s.backtests,
            clock: Arc::clone(&clock),
            limits: api::ApiLimits::new(config),
            initial_capital: s.initial_capital,
            media_limits: s.media_limits,
            backtest_days: s.backtest_days,
            families: tokio::sync::Mutex::default(),
            slots: tokio::sync::Semaphore::new(config.max_backtests as usize),
            reader: Arc::clone(&reader),
            health_limits: limits,
            started_ms,
            targets: config.targets,
            action_token: config.action_token.clone(),
            work_blobs: s.work_blobs,
            events: broadcast::Events::new(),
            stop: s.stop,
        };
        routes::router(Arc::new(api), config)
    });
    let (api, large) = api.unzip();
    let shared = Arc::new(probes::Shared { reader, limits, clock, started_ms, measured: metrics::measured() });
    let late = TimeoutLayer::with_status_code(
        StatusCode::SERVICE_UNAVAILABLE,
        Duration::from_millis(config.request_timeout_ms),
    );
    // Without a service, its health is still asked for.
    let api = api.unwrap_or_else(|| Router::new().route("/health", get(probes::live)));
    let app = probes::router(shared)
        .layer(late)
        .merge(api)
        .fallback(not_found)
        .method_not_allowed_fallback(not_allowed)
        .layer(RequestBodyLimitLayer::new(config.max_body_kb * 1024))
        .merge(
            large
                .unwrap_or_default()
                .method_not_allowed_fallback(not_allowed)
                .layer(DefaultBodyLimit::disable())
                .layer(RequestBodyLimitLayer::new(config.max_media_kb * 1024)),
        )
        .layer(CatchPanicLayer::custom(|_: Box<dyn std::any::Any + Send>| {
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "this is a defect of ours; the log says more")
                .into_response()
        }))
        .layer(from_fn_with_state(Arc::new(hosts::Hosts::new(config)), hosts::check))
        .layer(from_fn(measure));
    proxies::behind(config, app)
}

async fn not_found(uri: Uri) -> Problem {
    Problem::new(StatusCode::NOT_FOUND, format!("there is no {}; there are {}", uri.path(), ROUTES.join(", ")))
}

async fn not_allowed(method: Method, uri: Uri) -> Problem {
    let path = uri.path();
    let posted = path.starts_with("/media/") && (path.ends_with("/features") || path.ends_with("/strategies"));
    let takes = if posted || matches!(path, "/strategies" | "/backtest") { "POST" } else { "GET" };
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
        StatusCode::PAYLOAD_TOO_LARGE => "the body is larger than http.max_body_kb (of media http.max_media_kb) allows",
        StatusCode::SERVICE_UNAVAILABLE => "it took longer than the settings allow",
        _ => "the request cannot be answered",
    };
    Problem::new(status, detail).into_response()
}

async fn measure(request: Request, next: Next) -> Response {
    let path = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let route = path.and_then(|path| ROUTES.iter().find(|route| **route == path)).copied().unwrap_or("other");
    let started = Instant::now();
    let mut response = explained(next.run(request).await);
    hardened::harden(&mut response);
    metrics::HTTP_REQUEST_SECONDS.record(route, started.elapsed());
    metrics::HTTP_RESPONSES_TOTAL.increment(match response.status().as_u16() {
        500.. => "5xx",
        400.. => "4xx",
        _ => "2xx",
    });
    response
}
