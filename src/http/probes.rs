//! Health, stats and metrics over readings: for probes and scrapers. Never cached, never compressed.

use super::{
    exposition,
    health::{Check, Health, Limits, Status, assess},
    problem::Problem,
    snapshot::Reader,
    stats::Stats,
};
use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use clock::Clock;
use std::sync::Arc;
use telemetry::metrics::{self, Measured};

/// What these routes share.
pub(super) struct Shared {
    pub(super) reader: Arc<Reader>,
    pub(super) limits: Limits,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) started_ms: i64,
    pub(super) measured: &'static Measured,
}

impl Shared {
    async fn health(&self) -> Health {
        let read = self.reader.read().await;
        assess(&read, self.limits, self.started_ms, self.clock.now_ms())
    }
}

type Shared_ = State<Arc<Shared>>;

/// The routes.
pub(super) fn router(shared: Arc<Shared>) -> Router {
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
        .route("/sg-ai/health/work", get(work))
        .route("/sg-ai/health/models", get(models))
        .route("/sg-ai/stats", get(stats))
        .with_state(shared)
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
pub(super) async fn live() -> Response {
    // The process answers: that is all that is asked.
    uncached(StatusCode::OK, Alive { status: "healthy", version: env!("CARGO_PKG_VERSION") })
}

async fn health(State(shared): Shared_) -> Response {
    let health = shared.health().await;
    uncached(status_code(health.status), health)
}

async fn work(State(shared): Shared_) -> Response {
    match shared.health().await.checks.work {
        Some(work) => check(work),
        None => Problem::new(StatusCode::NOT_FOUND, "no work is shared (work.enabled), or the database did not answer")
            .into_response(),
    }
}

async fn models(State(shared): Shared_) -> Response {
    match shared.health().await.checks.models {
        Some(models) => check(models),
        None => {
            Problem::new(StatusCode::NOT_FOUND, "there is no model, or the database did not answer").into_response()
        }
    }
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
