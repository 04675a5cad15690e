//! The book: its evidence, members, blocks, days and moves, and those of its placebo. Computes nothing.

use super::{
    answer::{Answer, Failures, form},
    api::Api,
    extract::{PageParams, Params},
    problem::Problem,
};
use axum::{Json, extract::State, http::StatusCode};
use genome::AnyStrategy;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;
use store::{BookDay, BookRow};
use utoipa::IntoParams;

type Api_ = State<Arc<Api>>;

/// Which book.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    /// Its number [default: the newest]
    number: Option<u32>,
}

/// Books, newest first: the one that runs, and those that other settings or an alarm ended
#[utoipa::path(get, path = "/api/books", tag = "read", params(PageParams),
    responses((status = 200, description = "The page", body = Value), Failures))]
pub(super) async fn books(State(api): Api_, Params(page): Params<PageParams>) -> Answer {
    Ok(Json(json!({ "items": form(api.store.books(api.page(page)?).await?) })))
}

/// One book: its state and evidence, what it needs to go live, its members and those before them, its moves
#[utoipa::path(get, path = "/api/book", tag = "read", params(Which),
    responses((status = 200, description = "The book", body = Value), Failures))]
pub(super) async fn book(State(api): Api_, Params(which): Params<Which>) -> Answer {
    let row = find(&api, which.number).await?;
    let mut blocks = api.store.book_blocks(row.id, false).await?;
    for block in &mut blocks {
        for member in block.body["members"].as_array_mut().into_iter().flatten() {
            // Beside its form for programs, that for people.
            let text = serde_json::from_value::<AnyStrategy>(member["strategy"].take()).map(|s| s.to_string());
            member["strategy"] = text.unwrap_or_default().trim_end().into();
        }
    }
    let placebo = api.store.book_blocks(row.id, true).await?;
    let short = placebo.iter().map(|block| {
        json!({ "begin_ms": block.begin_ms, "end_ms": block.end_ms, "is_over": block.is_over, "members": block.members,
            "cash": block.cash })
    });
    Ok(Json(json!({
        "book": form(&row),
        "transitions": form(api.store.book_transitions(row.id).await?),
        "blocks": form(blocks),
        "placebo_blocks": short.collect::<Vec<Value>>(),
    })))
}

/// Its days and its placebo's, by columns: net return, market, hedged return, ln E of the bet that decides and of that of
/// the definitions
#[utoipa::path(get, path = "/api/book/days", tag = "read", params(Which),
    responses((status = 200, description = "The days", body = Value), Failures))]
pub(super) async fn days(State(api): Api_, Params(which): Params<Which>) -> Answer {
    let row = find(&api, which.number).await?;
    let (real, placebo) = (api.store.book_days(row.id, false).await?, api.store.book_days(row.id, true).await?);
    Ok(Json(json!({
        "number": row.number, "began_ms": row.began_ms, "book": columns(&real), "placebo": columns(&placebo),
    })))
}

fn columns(days: &[BookDay]) -> Value {
    json!({
        "day_ms": days.iter().map(|d| d.day_ms).collect::<Vec<_>>(),
        "net": days.iter().map(|d| d.net).collect::<Vec<_>>(),
        "benchmark": days.iter().map(|d| d.benchmark).collect::<Vec<_>>(),
        "hedged": days.iter().map(|d| d.hedged).collect::<Vec<_>>(),
        "log_e": days.iter().map(|d| d.bet_log_e).collect::<Vec<_>>(),
        "plain_log_e": days.iter().map(|d| d.log_e).collect::<Vec<_>>(),
    })
}

async fn find(api: &Api, number: Option<u32>) -> Result<BookRow, Problem> {
    let none = match number {
        Some(number) => format!("there is no book {number}"),
        None => "there is no book: set daemon.book, such as \"*USDT:4h\"".to_owned(),
    };
    api.store.book(number).await?.ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, none))
}
