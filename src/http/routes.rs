//! The routes of service, read API, actions and dashboard, and the document that describes them all.

use super::{
    actions,
    api::Api,
    books, correlations, dashboard, events, media_items, media_proposals, models, optimizations, portfolios, probes,
    quotas::{self, Clients},
    read, records, reports,
    response_cache::{self, ResponseCache},
    service, work_blobs,
};
use crate::HttpConfig;
use axum::{Json, Router, http::StatusCode, middleware::from_fn_with_state, routing::get};
use serde_json::Value;
use std::{collections::HashMap, sync::Arc, time::Duration};
use tower_http::{compression::CompressionLayer, timeout::TimeoutLayer};
use utoipa::{
    OpenApi,
    openapi::{
        RefOr,
        path::{Parameter, ParameterIn},
        security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};
use utoipa_axum::{router::OpenApiRouter, routes};

#[derive(OpenApi)]
#[openapi(
    info(title = "sg-ai", description = "The strategy and backtest service, and what the daemon knows and did. \
        Times are UTC, RFC 3339. What is undefined is null. A wrong request is answered with application/problem+json \
        that names the field."),
    tags(
        (name = "service", description = "Strategies and backtests of clients"),
        (name = "media", description = "What videos say, as features and strategies"),
        (name = "health", description = "Whether it works"),
        (name = "read", description = "What the daemon knows and did"),
        (name = "actions", description = "What operators may do, with the bearer token of the settings"),
    ),
)]
struct Document;

/// The routes, the dashboard, and the document at `/openapi.json`; apart from them those that take larger bodies.
pub(super) fn router(api: Arc<Api>, config: &HttpConfig) -> (Router, Router) {
    events::watch(&api);
    let limit = |time| TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, time);
    let quick = Duration::from_millis(config.request_timeout_ms);
    let response_cache = Arc::new(ResponseCache::default());
    response_cache.sweep();
    let clients = Arc::new(Clients::new(config));
    let large = OpenApiRouter::new()
        .routes(routes!(media_items::post_features))
        .layer(from_fn_with_state(Arc::clone(&response_cache), response_cache::invalidating))
        .layer(limit(quick))
        .layer(CompressionLayer::new())
        .layer(from_fn_with_state(Arc::clone(&clients), quotas::admitted));
    let backtest = OpenApiRouter::new()
        .routes(routes!(service::post_backtest))
        .routes(routes!(media_proposals::post_strategies))
        .layer(from_fn_with_state(Arc::clone(&response_cache), response_cache::invalidating))
        .layer(limit(Duration::from_secs(config.backtest_timeout_s)));
    let posted = OpenApiRouter::new()
        .routes(routes!(service::post_strategy))
        .layer(from_fn_with_state(Arc::clone(&response_cache), response_cache::invalidating))
        .layer(limit(quick))
        .layer(CompressionLayer::new())
        .merge(backtest)
        .layer(from_fn_with_state(clients, quotas::admitted));
    let stored = OpenApiRouter::new()
        .routes(routes!(service::backtest_metrics))
        .routes(routes!(service::backtest_equity))
        .routes(routes!(service::backtest_trades))
        .routes(routes!(media_items::media_item))
        .routes(routes!(reports::backtest_report))
        .routes(routes!(portfolios::backtest_portfolio))
        .routes(routes!(actions::strategy_action))
        .routes(routes!(actions::runner_action))
        .routes(routes!(actions::retry))
        .routes(routes!(actions::acknowledge))
        .routes(routes!(actions::token))
        .routes(routes!(records::command))
        .layer(from_fn_with_state(Arc::clone(&response_cache), response_cache::invalidating))
        .layer(limit(quick))
        .layer(CompressionLayer::new());
    // Compressed before it is put in the response cache: once for everybody.
    let read = OpenApiRouter::new()
        .routes(routes!(read::overview))
        .routes(routes!(read::strategies))
        .routes(routes!(read::strategy))
        .routes(routes!(read::curves))
        .routes(routes!(portfolios::paper_portfolio))
        .routes(routes!(read::candles))
        .routes(routes!(correlations::correlations))
        .routes(routes!(media_items::media_items))
        .routes(routes!(records::generations))
        .routes(routes!(records::sessions))
        .routes(routes!(records::scores))
        .routes(routes!(books::books))
        .routes(routes!(books::book))
        .routes(routes!(books::days))
        .routes(routes!(books::insight))
        .routes(routes!(books::members))
        .routes(routes!(records::searches))
        .routes(routes!(models::models))
        .routes(routes!(models::model))
        .routes(routes!(optimizations::optimizations))
        .routes(routes!(optimizations::optimization))
        .routes(routes!(records::protocol))
        .routes(routes!(records::learner))
        .routes(routes!(records::deployments))
        .routes(routes!(records::regimes))
        .routes(routes!(records::regime_changes))
        .routes(routes!(records::drift_alerts))
        .routes(routes!(records::data))
        .routes(routes!(records::runners))
        .routes(routes!(records::work))
        .routes(routes!(records::audit))
        .routes(routes!(records::dead_letters))
        .routes(routes!(records::settings))
        .layer(CompressionLayer::new())
        .layer(from_fn_with_state(Arc::clone(&response_cache), response_cache::shared))
        .layer(limit(quick));
    let computed = OpenApiRouter::new()
        .routes(routes!(read::dossier))
        .routes(routes!(reports::strategy_report))
        .layer(CompressionLayer::new())
        .layer(from_fn_with_state(Arc::clone(&response_cache), response_cache::shared))
        .layer(limit(Duration::from_secs(config.backtest_timeout_s)));
    // Compressed already, and for no cache of ours.
    let blobs = OpenApiRouter::new().routes(routes!(work_blobs::work_blob)).layer(limit(quick));
    let all = OpenApiRouter::with_openapi(Document::openapi())
        .merge(posted)
        .merge(stored)
        .merge(read)
        .merge(computed)
        .merge(blobs);
    let (large, large_document) = large.split_for_parts();
    let (router, mut document) = all.routes(routes!(events::events)).routes(routes!(probes::live)).split_for_parts();
    document.merge(large_document);
    response_cache.know(parameters(&document));
    let bearer = SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build());
    document.components.get_or_insert_default().add_security_scheme("token", bearer);
    let document = Arc::new(with_limits(&document, config));
    let router =
        router.route("/openapi.json", get(async move || Json((*document).clone()))).with_state(Arc::clone(&api));
    (router.merge(dashboard::router()), large.with_state(api))
}

/// The names of the parameters of each path's GET.
fn parameters(document: &utoipa::openapi::OpenApi) -> HashMap<String, Vec<String>> {
    let of_path = |item: &utoipa::openapi::PathItem| {
        let all = item.get.iter().filter_map(|get| get.parameters.as_ref()).flatten();
        let in_query = |one: &RefOr<Parameter>| match one {
            RefOr::T(one) if matches!(one.parameter_in, ParameterIn::Query) => Some(one.name.clone()),
            _ => None,
        };
        all.filter_map(in_query).collect()
    };
    document.paths.paths.iter().map(|(path, item)| (path.clone(), of_path(item))).collect()
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
