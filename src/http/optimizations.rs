//! Optimisations that are stored: the runs, and what each says. Optimises nothing.

use super::{
    answer::{Answer, Failures, form, wrong},
    api::Api,
    extract::{At, PageParams, Params},
};
use axum::{Json, extract::State};
use serde_json::json;
use std::sync::Arc;

type Api_ = State<Arc<Api>>;

/// Optimisations, newest first
#[utoipa::path(get, path = "/api/optimizations", tag = "read", params(PageParams),
    responses((status = 200, description = "The page", body = Value), Failures))]
pub(super) async fn optimizations(State(api): Api_, Params(page): Params<PageParams>) -> Answer {
    Ok(Json(json!({ "items": form(api.store.optimizations(api.page(page)?).await?) })))
}

/// One optimisation: what was varied, what the run says, and its points, the best first, a page at a time
#[utoipa::path(get, path = "/api/optimizations/{id}", tag = "read",
    params(("id" = String, Path, description = "Its id, or a unique beginning or end of it"), PageParams),
    responses((status = 200, description = "The run", body = Value), Failures))]
pub(super) async fn optimization(State(api): Api_, At(id): At<String>, Params(page): Params<PageParams>) -> Answer {
    if id.contains('\0') || id.chars().count() > 200 {
        return Err(wrong("id", "an id, or a unique beginning or end of one, is expected"));
    }
    let page = api.page(page)?;
    let found = api.store.optimization(&id).await?;
    let points = api.store.optimization_points(found.line.id, page).await?;
    Ok(Json(json!({ "optimization": form(&found), "points": form(points) })))
}
