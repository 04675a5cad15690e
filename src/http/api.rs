//! What the routes of service, read API and actions share, and the document that describes them all.

use super::{
    Limits, Problem, actions,
    backtests::Backtests,
    dashboard,
    events::{self, Events},
    read, records,
    service::{self, PageParams},
    shelf::{self, Shelf},
    snapshot::Reader,
};
use crate::HttpConfig;
use axum::{Json, Router, http::StatusCode, middleware::from_fn_with_state, routing::get};
use clock::Clock;
use secrecy::SecretString;
use serde_json::Value;
use std::{sync::Arc, time::Duration};
use store::{Page, Store};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio_util::sync::CancellationToken;
use tower_http::{compression::CompressionLayer, timeout::TimeoutLayer};
use utoipa::{
    OpenApi,
    openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
};
use utoipa_axum::{router::OpenApiRouter, routes};

/// Limits on what a client may ask for.
pub(super) struct ApiLimits {
    pub(super) max_page_size: u32,
    pub(super) max_backtest_candles: i64,
    /// How long a backtest waits for its turn.
    pub(super) backtest_wait: Duration,
}

/// What the routes share.
pub(super) struct Api {
    pub(super) store: Store,
    pub(super) backtests: Arc<dyn Backtests>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) limits: ApiLimits,
    /// Capital of a backtest that names none, quote units.
    pub(super) initial_capital: f64,
    /// A permit for each backtest that may run at once.
    pub(super) slots: Semaphore,
    /// Snapshots, shared with health and metrics.
    pub(super) reader: Arc<Reader>,
    pub(super) health_limits: Limits,
    pub(super) started_ms: i64,
    /// Who shows it may act.
    pub(super) action_token: Option<SecretString>,
    pub(super) events: Events,
    pub(super) stop: CancellationToken,
}

/// Rows of a page when nothing is said.
const USUAL_PAGE: u32 = 100;
/// Rows that can be left out at most.
const MOST_LEFT_OUT: u32 = 1_000_000_000;

impl ApiLimits {
    pub(super) fn new(config: &HttpConfig) -> Self {
        Self {
            max_page_size: config.max_page_size,
            max_backtest_candles: config.max_backtest_candles.into(),
            backtest_wait: Duration::from_secs(config.backtest_timeout_s / 10),
        }
    }
}

impl Api {
    /// The right to run a backtest, once it is free.
    pub(super) async fn slot(&self) -> Result<SemaphorePermit<'_>, Problem> {
        let waiting = tokio::time::timeout(self.limits.backtest_wait, self.slots.acquire()).await;
        let full = || Problem::new(StatusCode::TOO_MANY_REQUESTS, "as many backtests run as http.max_backtests allows");
        waiting.ok().and_then(Result::ok).ok_or_else(full)
    }

    /// The page that is asked for, within limits.
    pub(super) fn page(&self, params: PageParams) -> Result<Page, Problem> {
        let most = self.limits.max_page_size;
        if params.offset.is_some_and(|offset| offset > MOST_LEFT_OUT) {
            let problem =
                Problem::new(StatusCode::BAD_REQUEST, format!("at most {MOST_LEFT_OUT} rows can be left out"));
            return Err(Problem { field: Some("offset".into()), ..problem });
        }
        let limit = params.limit.unwrap_or(USUAL_PAGE.min(most));
        if limit == 0 || limit > most {
            let problem =
                Problem::new(StatusCode::BAD_REQUEST, format!("1 to {most} rows are served at once, not {limit}"));
            return Err(Problem { field: Some("limit".into()), ..problem });
        }
        Ok(Page { limit, offset: params.offset.unwrap_or(0).into() })
    }
}

#[derive(OpenApi)]
#[openapi(
    info(title = "sg-ai", description = "The strategy and backtest service, and what the daemon knows and did. \
        Times are UTC, RFC 3339. What is undefined is null. A wrong request is answered with application/problem+json \
        that names the field."),
    tags(
        (name = "service", description = "Strategies and backtests of clients"),
        (name = "health", description = "Whether it works"),
        (name = "read", description = "What the daemon knows and did"),
        (name = "actions", description = "What operators may do, with the bearer token of the settings"),
    ),
)]
struct Document;

/// The routes, the dashboard, and the document at `/openapi.json`.
pub(super) fn router(api: Arc<Api>, config: &HttpConfig) -> Router {
    Events::watch(&api);
    let limit = |time| TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, time);
    let quick = Duration::from_millis(config.request_timeout_ms);
    let shelf = Arc::new(Shelf::default());
    let backtest = OpenApiRouter::new()
        .routes(routes!(service::post_backtest))
        .layer(limit(Duration::from_secs(config.backtest_timeout_s)));
    let stored = OpenApiRouter::new()
        .routes(routes!(service::post_strategy))
        .routes(routes!(service::backtest_metrics))
        .routes(routes!(service::backtest_equity))
        .routes(routes!(service::backtest_trades))
        .routes(routes!(service::backtest_report))
        .routes(routes!(actions::strategy_action))
        .routes(routes!(actions::runner_action))
        .routes(routes!(actions::retry))
        .routes(routes!(actions::acknowledge))
        .routes(routes!(actions::token))
        .routes(routes!(records::command))
        .layer(from_fn_with_state(Arc::clone(&shelf), shelf::forgetting))
        .layer(limit(quick))
        .layer(CompressionLayer::new());
    // Compressed before it is put on the shelf: once for everybody.
    let read = OpenApiRouter::new()
        .routes(routes!(read::overview))
        .routes(routes!(read::strategies))
        .routes(routes!(read::strategy))
        .routes(routes!(read::curves))
        .routes(routes!(read::candles))
        .routes(routes!(records::generations))
        .routes(routes!(records::sessions))
        .routes(routes!(records::scores))
        .routes(routes!(records::protocol))
        .routes(routes!(records::deployments))
        .routes(routes!(records::regimes))
        .routes(routes!(records::drift_alerts))
        .routes(routes!(records::data))
        .routes(routes!(records::runners))
        .routes(routes!(records::audit))
        .routes(routes!(records::dead_letters))
        .routes(routes!(records::settings))
        .layer(CompressionLayer::new())
        .layer(from_fn_with_state(Arc::clone(&shelf), shelf::shared))
        .layer(limit(quick));
    let computed = OpenApiRouter::new()
        .routes(routes!(read::dossier))
        .layer(CompressionLayer::new())
        .layer(from_fn_with_state(shelf, shelf::shared))
        .layer(limit(Duration::from_secs(config.backtest_timeout_s)));
    let all =
        OpenApiRouter::with_openapi(Document::openapi()).merge(backtest).merge(stored).merge(read).merge(computed);
    let (router, mut document) = all.routes(routes!(events::events)).routes(routes!(super::live)).split_for_parts();
    let bearer = SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build());
    document.components.get_or_insert_default().add_security_scheme("token", bearer);
    let document = Arc::new(with_limits(&document, config));
    let router = router.route("/openapi.json", get(async move || Json((*document).clone()))).with_state(api);
    router.merge(dashboard::router())
}

/// The document with the limits of the settings, which the code does not know.
fn with_limits(document: &utoipa::openapi::OpenApi, config: &HttpConfig) -> Value {
    let mut value = serde_json::to_value(document).unwrap_or_default();
    let paths = value["paths"].as_object_mut().into_iter().flat_map(|paths| paths.values_mut());
    let operations = paths.flat_map(|path| path.as_object_mut().into_iter().flat_map(|path| path.values_mut()));
    for parameter in operations.filter_map(|operation| operation.get_mut("parameters")?.as_array_mut()).flatten() {
        if parameter["name"] == "limit" {
            parameter["schema"]["maximum"] = config.max_page_size.into();
        }
    }
    value
}
