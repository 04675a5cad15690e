//! How alike strategies move on paper: correlations of their daily returns. Decides nothing.

use super::{
    answer::{Answer, Failures, wrong},
    api::Api,
    extract::Params,
    problem::Problem,
};
use axum::{Json, extract::State};
use evidence::track;
use lifecycle::State as Phase;
use serde::Deserialize;
use serde_json::json;
use std::{collections::BTreeMap, sync::Arc};
use store::PaperDays;
use utoipa::IntoParams;

/// Most strategies in one map: beyond it nobody could read one.
const MOST: u32 = 60;
/// Days that two strategies have in common at least: of fewer, a correlation says nothing.
const LEAST_DAYS: usize = 14;

/// Which strategies.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct CorrelationParams {
    /// Numbers of strategies, separated by commas; those in shadow and live where it is left out.
    #[param(max_length = 200, pattern = r"^[0-9]{1,18}(,[0-9]{1,18})*$", example = "1,2,3")]
    strategies: Option<String>,
}

/// Daily returns of finished days, each day once: where runs meet, that of the later one.
fn returns(strategy: &PaperDays) -> Vec<(i64, f64)> {
    let days = strategy.runs.iter().flat_map(|run| track::days(run, &[]));
    days.map(|day| (day.day_ms, day.daily_return)).collect::<BTreeMap<_, _>>().into_iter().collect()
}

/// Days that both have, both in order.
fn common(a: &[(i64, f64)], b: &[(i64, f64)]) -> usize {
    a.iter().filter(|(day, _)| b.binary_search_by_key(day, |(day, _)| *day).is_ok()).count()
}

fn numbers(text: &str) -> Result<Vec<i64>, Problem> {
    let all = text.split(',').map(|part| part.trim().parse::<i64>().ok().filter(|number| *number >= 0));
    let all =
        all.collect::<Option<Vec<_>>>().ok_or_else(|| wrong("strategies", "numbers such as 1,2,3 are expected"))?;
    if all.len() > MOST as usize {
        return Err(wrong("strategies", format!("at most {MOST} strategies are compared at once")));
    }
    Ok(all)
}

/// Pearson's correlations of daily paper returns, of strategies in shadow and live or of those asked for
///
/// Over the days that both have; null where those are fewer than `least_days`, or where one of them does not vary.
#[utoipa::path(get, path = "/api/correlations", tag = "read", params(CorrelationParams),
    responses((status = 200, description = "Strategies with the number of their days; a row of correlations and one of common days for each", body = Value), Failures))]
pub(super) async fn correlations(State(api): State<Arc<Api>>, Params(p): Params<CorrelationParams>) -> Answer {
    let asked = p.strategies.as_deref().map(numbers).transpose()?.unwrap_or_default();
    let (found, total) = api.store.paper_days(&asked, &[Phase::Shadow, Phase::Live], MOST).await?;
    let days: Vec<Vec<(i64, f64)>> = found.iter().map(returns).collect();
    let row = |a: &Vec<(i64, f64)>| -> (Vec<Option<f64>>, Vec<usize>) {
        days.iter().map(|b| (track::correlation(a, b, LEAST_DAYS), common(a, b))).unzip()
    };
    let (correlation, common_days): (Vec<_>, Vec<_>) = days.iter().map(row).unzip();
    let strategies = found.iter().zip(&days).map(|(s, days)| {
        json!({ "strategy_id": s.number, "uuid": s.id, "name": s.name, "state": s.state, "days": days.len() })
    });
    Ok(Json(json!({
        "strategies": strategies.collect::<Vec<_>>(),
        "correlation": correlation,
        "common_days": common_days,
        "least_days": LEAST_DAYS,
        "left_out": total.saturating_sub(found.len() as u64),
    })))
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::DailyEquity;

    const DAY_MS: i64 = 86_400_000;

    fn run(from_day: i64, equity: &[f64]) -> Vec<DailyEquity> {
        (from_day..).zip(equity).map(|(day, equity)| DailyEquity { time_ms: day * DAY_MS, equity: *equity }).collect()
    }

    #[test]
    fn days_of_all_runs_count_once() {
        let runs = vec![run(0, &[100.0, 110.0, 99.0]), run(1, &[50.0, 60.0])];
        let strategy = PaperDays { id: uuid::Uuid::nil(), number: 1, name: "a".into(), state: Phase::Live, runs };
        let days = returns(&strategy);
        let days: Vec<(i64, String)> = days.into_iter().map(|(day, r)| (day / DAY_MS, format!("{r:.3}"))).collect();
        assert_eq!(days, [(0, "0.100".to_owned()), (1, "0.200".to_owned())]);
    }

    #[test]
    fn only_numbers_of_strategies_are_taken() {
        assert_eq!(numbers("1, 20").unwrap(), [1, 20]);
        for text in ["", "a", "1,,2", "-1", "1.5"] {
            assert!(numbers(text).is_err(), "{text}");
        }
    }
}
