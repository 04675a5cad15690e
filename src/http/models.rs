//! Models as the daily look found them, and the strategies that ask them. Predicts nothing.

use super::{
    answer::{Answer, Failures, form, wrong},
    api::Api,
    extract::{At, PageParams, Params},
};
use axum::{Json, extract::State};
use serde_json::{Value, json};
use std::sync::Arc;
use store::{AskingStrategy, ModelState, ModelWatchRow};

type Api_ = State<Arc<Api>>;

/// Models with what the newest look found, and strategies that ask models, with what makes them stand still
#[utoipa::path(get, path = "/api/models", tag = "read",
    responses((status = 200, description = "Models and strategies by name", body = Value), Failures))]
pub(super) async fn models(State(api): Api_) -> Answer {
    let (rows, asking) = tokio::try_join!(api.store.model_watch(), api.store.strategies_that_ask_models())?;
    let settings = api.backtests.settings();
    let dir = settings.iter().find(|setting| setting.key == "models.dir").map(|setting| setting.value.clone());
    let strategies = asking.iter().map(|one| {
        json!({
            "id": one.id, "name": one.name, "state": one.state, "market": one.market,
            "timeframe": one.timeframe.to_string(),
            "asks": one.series.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "models": rows.iter().filter(|row| one.asks(&row.model, &row.report)).map(|row| &row.model).collect::<Vec<_>>(),
            "stands_still": stands_still(one, &rows),
        })
    });
    Ok(Json(json!({ "dir": dir, "items": form(&rows), "strategies": strategies.collect::<Vec<Value>>() })))
}

/// What the looks at one model found, the newest day first
#[utoipa::path(get, path = "/api/models/{name}", tag = "read",
    params(("name" = String, Path, description = "Its name: that of its file"), PageParams),
    responses((status = 200, description = "The page; empty for a name that no model had", body = Value), Failures))]
pub(super) async fn model(State(api): Api_, At(name): At<String>, Params(page): Params<PageParams>) -> Answer {
    if name.contains('\0') || name.len() > 255 {
        return Err(wrong("name", "the name of a model is expected"));
    }
    Ok(Json(json!({ "items": form(api.store.model_days(&name, api.page(page)?).await?) })))
}

/// Why a strategy can do nothing: a model that it asks is not there, fails, or predicts on other candles; `None` where it can.
fn stands_still(strategy: &AskingStrategy, rows: &[ModelWatchRow]) -> Option<String> {
    let fails = |row: &ModelWatchRow| format!("model {} fails: {}", row.model, row.reason.as_deref().unwrap_or("-"));
    strategy.series.iter().find_map(|series| {
        let Some(name) = series.source.model()?.model() else {
            let members: Vec<&ModelWatchRow> =
                rows.iter().filter(|row| strategy.asks(&row.model, &row.report)).collect();
            let broken = members.iter().find(|row| row.report["target"].is_null());
            let any = members.iter().any(|row| row.state != ModelState::Failing);
            return match broken {
                Some(row) => Some(fails(row)),
                None if any => None,
                None => Some("no model of direction on its candles predicts: the ensemble is empty".to_owned()),
            };
        };
        let Some(row) = rows.iter().find(|row| row.model == name.to_string()) else {
            return Some(format!("there is no model {name}"));
        };
        if row.state == ModelState::Failing {
            return Some(fails(row));
        }
        let asked = series.timeframe.unwrap_or(strategy.timeframe).to_string();
        let text = |key: &str| row.report[key].as_str().unwrap_or_default();
        if text("timeframe") != asked {
            return Some(format!("model {name} predicts on {} candles and is asked on {asked}", text("timeframe")));
        }
        let market = strategy.market.to_string();
        (text("market") != market)
            .then(|| format!("model {name} is of the {} market, and the strategy of {market}", text("market")))
    })
}
