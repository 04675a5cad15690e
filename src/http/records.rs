//! Lists of what happened and what there is: generations, sessions, data, runners, audit, dead letters, settings.

use super::{
    answer::{Answer, Failures, form},
    api::Api,
    extract::{At, PageParams, Params, short},
};
use axum::{Json, extract::State};
use serde::Deserialize;
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};
use utoipa::IntoParams;

type Api_ = State<Arc<Api>>;

/// Generations of all islands, newest first
#[utoipa::path(get, path = "/api/generations", tag = "read", params(PageParams),
    responses((status = 200, description = "The page", body = Value), Failures))]
pub(super) async fn generations(State(api): Api_, Params(page): Params<PageParams>) -> Answer {
    Ok(Json(json!({ "items": form(api.store.recent_generations(api.page(page)?).await?) })))
}

/// Search sessions, newest first
#[utoipa::path(get, path = "/api/sessions", tag = "read", params(PageParams),
    responses((status = 200, description = "The page", body = Value), Failures))]
pub(super) async fn sessions(State(api): Api_, Params(page): Params<PageParams>) -> Answer {
    Ok(Json(json!({ "items": form(api.store.sessions(api.page(page)?).await?) })))
}

/// Which scores.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ScoreParams {
    /// Those of disabled strategies, too.
    all: Option<bool>,
    /// At most so many; `http.max_page_size` is the most.
    #[param(minimum = 1)]
    limit: Option<u32>,
    /// Leave out so many first.
    #[param(minimum = 0, maximum = 1_000_000_000)]
    offset: Option<u32>,
}

/// Newest in-sample scores of strategies with their parts, best first
#[utoipa::path(get, path = "/api/scores", tag = "read", params(ScoreParams),
    responses((status = 200, description = "The page", body = Value), Failures))]
pub(super) async fn scores(State(api): Api_, Params(p): Params<ScoreParams>) -> Answer {
    let page = api.page(PageParams { limit: p.limit, offset: p.offset })?;
    Ok(Json(json!({ "items": form(api.store.ranking(p.all.unwrap_or(false), page).await?) })))
}

/// Searches under way: generation, null searches, rate, what is left
#[utoipa::path(get, path = "/api/searches", tag = "read",
    responses((status = 200, description = "One an island at most", body = Value), Failures))]
pub(super) async fn searches(State(api): Api_) -> Answer {
    Ok(Json(json!({ "items": form(api.store.searches_under_way().await?) })))
}

/// Sessions that ended, real ones and those of the placebo island, newest first, and what tests of candidates cost now
#[utoipa::path(get, path = "/api/protocol", tag = "read", params(PageParams),
    responses((status = 200, description = "At most so many of each kind", body = Value), Failures))]
pub(super) async fn protocol(State(api): Api_, Params(page): Params<PageParams>) -> Answer {
    let page = api.page(page)?;
    let (items, tests) = (api.store.protocol_sessions(page.limit).await?, api.store.test_status().await?);
    Ok(Json(json!({ "items": form(items), "tests": tests.map(form) })))
}

/// What the newest session was taught by strategies of earlier ones
#[utoipa::path(get, path = "/api/learner", tag = "read",
    responses((status = 200, description = "Session, what it was taught; null before anything was learnt", body = Value), Failures))]
pub(super) async fn learner(State(api): Api_) -> Answer {
    let newest = api.store.newest_lessons(None).await?;
    let told = newest.map(|(session, lessons)| {
        let name = format!("{}/{}", session.spec.island, session.spec.number);
        json!({
            "session": name, "until_ms": session.spec.holdout_from_ms, "strategies": lessons.strategies,
            "learnt": lessons.learnt.map(form),
        })
    });
    Ok(Json(json!({ "newest": told })))
}

/// Where no work is shared, whoever was heard of within that time counts as there, seconds.
const HEARD_OF_S: u64 = 60;

/// Work that is shared with workers: items by kind and state, who does it, what failed
#[utoipa::path(get, path = "/api/work", tag = "read",
    responses((status = 200, description = "Whether it is shared here, and how it stands", body = Value), Failures))]
pub(super) async fn work(State(api): Api_) -> Answer {
    let lease_s = api.health_limits.work_lease_s;
    let mut status = api.store.work_status(Duration::from_secs(lease_s.unwrap_or(HEARD_OF_S))).await?;
    for failure in &mut status.failures {
        failure.error = telemetry::without_user_info(&failure.error).into_owned();
    }
    Ok(Json(json!({ "is_shared": lease_s.is_some(), "work": form(status) })))
}

/// Deployments: what is live, and how much it may use
#[utoipa::path(get, path = "/api/deployments", tag = "read",
    responses((status = 200, description = "Live strategies with their deployments", body = Value), Failures))]
pub(super) async fn deployments(State(api): Api_) -> Answer {
    let open = form(api.store.open_deployments().await?);
    Ok(Json(json!({ "items": open, "live": form(api.store.live_strategies().await?) })))
}

/// Market regimes that hold now
#[utoipa::path(get, path = "/api/regimes", tag = "read",
    responses((status = 200, description = "The regime of each asset", body = Value), Failures))]
pub(super) async fn regimes(State(api): Api_) -> Answer {
    Ok(Json(json!({ "items": form(api.store.current_regimes().await?) })))
}

/// Which changes.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct RegimeChangeParams {
    /// Of this asset, such as `BTCUSDT`.
    #[param(max_length = 200)]
    asset: Option<String>,
    /// At most so many; `http.max_page_size` is the most.
    #[param(minimum = 1)]
    limit: Option<u32>,
    /// Leave out so many first.
    #[param(minimum = 0, maximum = 1_000_000_000)]
    offset: Option<u32>,
}

/// When markets turned from one regime to another, and how long the former one held, newest first
#[utoipa::path(get, path = "/api/regime-changes", tag = "read", params(RegimeChangeParams),
    responses((status = 200, description = "The page", body = Value), Failures))]
pub(super) async fn regime_changes(State(api): Api_, Params(p): Params<RegimeChangeParams>) -> Answer {
    let page = api.page(PageParams { limit: p.limit, offset: p.offset })?;
    let asset = short("asset", p.asset)?;
    Ok(Json(json!({ "items": form(api.store.regime_changes(asset.as_deref(), page).await?) })))
}

/// Which alerts.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct AlertParams {
    /// Those that are closed, too.
    all: Option<bool>,
    /// At most so many; `http.max_page_size` is the most.
    #[param(minimum = 1)]
    limit: Option<u32>,
    /// Leave out so many first.
    #[param(minimum = 0, maximum = 1_000_000_000)]
    offset: Option<u32>,
}

/// Drift alerts, newest first
#[utoipa::path(get, path = "/api/drift-alerts", tag = "read", params(AlertParams),
    responses((status = 200, description = "The page", body = Value), Failures))]
pub(super) async fn drift_alerts(State(api): Api_, Params(p): Params<AlertParams>) -> Answer {
    let page = api.page(PageParams { limit: p.limit, offset: p.offset })?;
    Ok(Json(json!({ "items": form(api.store.drift_alerts(!p.all.unwrap_or(false), page).await?) })))
}

/// What candles are cached, month by month, with what names their content
#[utoipa::path(get, path = "/api/data", tag = "read",
    responses((status = 200, description = "Coverage by symbol and interval", body = Value), Failures))]
pub(super) async fn data(State(api): Api_) -> Answer {
    let coverage = api.backtests.coverage().await?;
    let items = coverage.into_iter().map(|c| {
        let months = c.months.into_iter().map(|(month, candles, expected, hash)| {
            json!({ "month": month, "candles": candles, "expected": expected, "content_sha256": hash })
        });
        json!({
            "market": c.market, "symbol": c.symbol, "interval": c.interval, "candles": c.candles,
            "months": months.collect::<Vec<_>>(), "damaged": c.damaged,
        })
    });
    let feeds = form(api.store.feeds().await?);
    Ok(Json(json!({ "items": items.collect::<Vec<_>>(), "feeds": feeds })))
}

/// Runners, and those that rest because an operator said so
#[utoipa::path(get, path = "/api/runners", tag = "read",
    responses((status = 200, description = "Runners", body = Value), Failures))]
pub(super) async fn runners(State(api): Api_) -> Answer {
    Ok(Json(json!({ "items": form(api.store.runners().await?), "pauses": form(api.store.pauses().await?) })))
}

/// Which entries.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct AuditParams {
    /// About this thing, such as the id of a strategy.
    #[param(max_length = 200)]
    entity: Option<String>,
    /// At most so many; `http.max_page_size` is the most.
    #[param(minimum = 1)]
    limit: Option<u32>,
    /// Leave out so many first.
    #[param(minimum = 0, maximum = 1_000_000_000)]
    offset: Option<u32>,
}

/// Entries of the audit trail, newest first
#[utoipa::path(get, path = "/api/audit", tag = "read", params(AuditParams),
    responses((status = 200, description = "The page", body = Value), Failures))]
pub(super) async fn audit(State(api): Api_, Params(p): Params<AuditParams>) -> Answer {
    let page = api.page(PageParams { limit: p.limit, offset: p.offset })?;
    let entity = short("entity", p.entity)?;
    Ok(Json(json!({ "items": form(api.store.audit_entries(entity.as_deref(), page).await?) })))
}

/// Dead letters, newest first
#[utoipa::path(get, path = "/api/dead-letters", tag = "read", params(PageParams),
    responses((status = 200, description = "The page", body = Value), Failures))]
pub(super) async fn dead_letters(State(api): Api_, Params(page): Params<PageParams>) -> Answer {
    Ok(Json(json!({ "items": form(api.store.dead_letters(None, api.page(page)?).await?) })))
}

/// Every setting, who set it and what it means; secrets are hidden
#[utoipa::path(get, path = "/api/settings", tag = "read",
    responses((status = 200, description = "The settings", body = Value)))]
pub(super) async fn settings(State(api): Api_) -> Json<Value> {
    let rows = api.backtests.settings().into_iter();
    let rows = rows.map(|s| {
        json!({
            "key": s.key, "value": s.value, "origin": s.origin, "meaning": s.meaning, "variable": s.variable,
        })
    });
    Json(json!({ "items": rows.collect::<Vec<_>>() }))
}

/// A command that an operator left, and what became of it
#[utoipa::path(get, path = "/api/commands/{id}", tag = "read", params(("id" = i64, Path, description = "Its number")),
    responses((status = 200, description = "The command", body = Value), Failures))]
pub(super) async fn command(State(api): Api_, At(id): At<i64>) -> Answer {
    Ok(Json(form(api.store.command(id).await?)))
}
