//! The book: its evidence, members, blocks, days and moves, and those of its placebo. Computes nothing.

use super::{
    answer::{Answer, Failures, form},
    api::Api,
    extract::{PageParams, Params},
    problem::Problem,
};
use axum::{Json, extract::State, http::StatusCode};
use evidence::{bootstrap, monte_carlo::quantile};
use genome::{AnyStrategy, random::Seed};
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
    let deployment = api.store.book_deployment(row.id).await?;
    let placebo = api.store.book_blocks(row.id, true).await?;
    let short = placebo.iter().map(|block| {
        json!({ "begin_ms": block.begin_ms, "end_ms": block.end_ms, "is_over": block.is_over, "members": block.members,
            "cash": block.cash })
    });
    Ok(Json(json!({
        "book": form(&row),
        "deployment": form(deployment),
        "transitions": form(api.store.book_transitions(row.id).await?),
        "blocks": form(blocks),
        "placebo_blocks": short.collect::<Vec<Value>>(),
    })))
}

/// Its days and its placebo's, by columns: net return, market, hedged return, ln E of the bet that decides and of that of
/// the definitions; with the growth that 90 of 100 resamplings of the placebo's days come to by each of the book's
#[utoipa::path(get, path = "/api/book/days", tag = "read", params(Which),
    responses((status = 200, description = "The days", body = Value), Failures))]
pub(super) async fn days(State(api): Api_, Params(which): Params<Which>) -> Answer {
    let row = find(&api, which.number).await?;
    let (real, placebo) = (api.store.book_days(row.id, false).await?, api.store.book_days(row.id, true).await?);
    Ok(Json(json!({
        "number": row.number, "began_ms": row.began_ms, "book": columns(&real), "placebo": columns(&placebo),
        "placebo_band": band(&placebo, real.len(), row.seed),
    })))
}

/// Resampled paths of a placebo.
const PATHS: u64 = 200;

/// Growth of 1 by the placebo's days, resampled in blocks: the 5 and 95 % quantiles at the end of each of so many days. Empty for
/// a placebo that is too young.
fn band(placebo: &[BookDay], days: usize, seed: Seed) -> Value {
    let net: Vec<f64> = placebo.iter().map(|day| day.net).collect();
    let (mut low, mut high) = (Vec::new(), Vec::new());
    if let Some(length) = bootstrap::block_length(&net) {
        let path = |number: u64| {
            let mut rng = seed.stream("band of a placebo", number);
            let draws = days.div_ceil(net.len());
            let drawn = (0..draws).flat_map(|_| bootstrap::stationary_indices(net.len(), length, &mut rng));
            let grow = |level: &mut f64, day: usize| {
                *level *= 1.0 + net[day];
                Some(*level)
            };
            drawn.scan(1.0, grow).take(days).collect::<Vec<f64>>()
        };
        let paths: Vec<Vec<f64>> = (0..PATHS).map(path).collect();
        for day in 0..days {
            let at: Vec<f64> = paths.iter().map(|path| path[day]).collect();
            low.push(quantile(&at, 0.05));
            high.push(quantile(&at, 0.95));
        }
    }
    json!({ "low": low, "high": high })
}

/// What its newest block is made of: members with what came of them, their correlations, attribution by name, long and short,
/// exposure and turnover by day, and what is known of the next freeze
#[utoipa::path(get, path = "/api/book/insight", tag = "read", params(Which),
    responses((status = 200, description = "Its parts; empty before its history is walked", body = Value), Failures))]
pub(super) async fn insight(State(api): Api_, Params(which): Params<Which>) -> Answer {
    let row = find(&api, which.number).await?;
    let (mut insight, blocks) = tokio::try_join!(api.store.book_insight(row.id), api.store.book_blocks(row.id, false))?;
    // By column: a walk has years of days.
    let days = insight["days"].take();
    let column = |name: &str| days.as_array().into_iter().flatten().map(|day| day[name].clone()).collect::<Vec<_>>();
    let by_day: serde_json::Map<String, Value> = ["day_ms", "gross", "net", "turnover", "btc"]
        .map(|name| (name.to_owned(), column(name).into()))
        .into_iter()
        .collect();
    insight["days"] = by_day.into();
    let at_ms = blocks.last().map(|block| block.end_ms);
    Ok(Json(json!({
        "number": row.number,
        "insight": insight,
        "next_freeze": {
            "at_ms": at_ms,
            "changes": Value::Null,
            "why": "what the next freeze would change is not computed before it is due: that takes all the searches of a block, \
                    and each day would give another answer, which nobody trades",
        },
    })))
}

/// Members that trade now for a live book, with the stored strategies of the same genomes
#[utoipa::path(get, path = "/api/book/members", tag = "read",
    responses((status = 200, description = "The members; none while no book is live", body = Value), Failures))]
pub(super) async fn members(State(api): Api_) -> Answer {
    Ok(Json(json!({ "items": form(api.store.live_book_members().await?) })))
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
