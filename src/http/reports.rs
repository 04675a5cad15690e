//! Reports of strategies and of stored backtests: what each form's report tells. Draws nothing and computes nothing.

use super::{
    answer::{Failures, wrong},
    api::Api,
    extract::{At, Params},
    problem::Problem,
    read::find,
    terms,
};
use axum::{
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use engine::Recipe;
use genome::AnyStrategy;
use portfolio::PortfolioTerms;
use report::{Part, Period, PortfolioReport, StrategyReport, TradeRows};
use serde::Deserialize;
use std::sync::Arc;
use store::ServiceBacktest;
use utoipa::IntoParams;

/// A report of a backtest: one HTML page
#[utoipa::path(get, path = "/backtest/{id}/report", tag = "service", params(("id" = i64, Path, description = "Its number")), responses(
    (status = 200, description = "The page", content_type = "text/html", body = String),
    (status = 400, description = "The number is none", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "There is no such backtest", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "The database does not answer", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn backtest_report(State(api): State<Arc<Api>>, At(id): At<i64>) -> Result<Response, Problem> {
    let stored = api.store.service_backtest(id).await?;
    let simulated = api.store.is_simulated().await?;
    let now_ms = api.clock.now_ms();
    let page_of = move || match portfolio_report_of(&stored, simulated, now_ms) {
        Some(report) => report::portfolio_html(&report),
        None => report::render(&backtest_report_of(&stored, simulated, now_ms), TradeRows::All),
    };
    // Thousands of paths are drawn for it: nothing for a thread that others wait for.
    page(page_of).await
}

/// Draws a page and answers with it.
async fn page(draw: impl FnOnce() -> String + Send + 'static) -> Result<Response, Problem> {
    let page = tokio::task::spawn_blocking(draw).await;
    let page = page.map_err(|_| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the report could not be made"))?;
    // Everything in it is in it: nothing is to be fetched, whatever stands in a name.
    let policy = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; \
        frame-ancestors 'none'; sandbox allow-scripts";
    let headers = [(header::CONTENT_TYPE, "text/html; charset=utf-8"), (header::CONTENT_SECURITY_POLICY, policy)];
    Ok((headers, page).into_response())
}

/// Which trades a report lists.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ReportParams {
    /// `all`, `none`, or so many, the newest; all where it is left out.
    #[param(max_length = 9, pattern = r"^(all|none|[0-9]{1,9})$", example = "100")]
    trades: Option<String>,
}

/// A report of a strategy's whole story: one HTML page
///
/// Computed from cached candles when somebody asks; counts as a backtest among those that may run at once.
#[utoipa::path(get, path = "/api/strategies/{id}/report", tag = "read",
    params(("id" = String, Path, description = "Number, id, name, or the first characters of id or genome hash"), ReportParams),
    responses((status = 200, description = "The page", content_type = "text/html", body = String), Failures,
        (status = 429, description = "Too many backtests run", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn strategy_report(
    State(api): State<Arc<Api>>,
    At(id): At<String>,
    Params(p): Params<ReportParams>,
) -> Result<Response, Problem> {
    let rows: TradeRows = p.trades.as_deref().unwrap_or("all").parse().map_err(|why: String| wrong("trades", why))?;
    let found = find(&api, &id).await?;
    let _slot = api.slot().await?;
    let report = api.backtests.report(&found, api.clock.now_ms()).await?;
    page(move || report::render(&report, rows)).await
}

/// What the report of a backtest of the service tells.
#[must_use]
pub fn backtest_report_of(stored: &ServiceBacktest, simulated: bool, now_ms: i64) -> StrategyReport {
    let (s, b) = (&stored.strategy, &stored.backtest);
    let Recipe { config, warmup_from_ms, .. } = &b.parameters;
    StrategyReport {
        name: format!("{}: backtest {}", s.name, stored.id),
        id: Some(s.id.to_string()),
        genome_hash: s.genome_hash.clone(),
        state: Some(s.state),
        disable_reason: s.disable_reason,
        rules: s.canonical.clone(),
        words: s.genome.read().map(AnyStrategy::describe).unwrap_or_default(),
        market: s.market,
        symbols: config.symbols.clone(),
        timeframe: s.timeframe,
        created_by: s.created_by.clone(),
        created_at_ms: s.created_at.timestamp_millis(),
        generation: s.generation,
        island: s.island.clone(),
        session: s.session_id.map(|id| id.to_string()),
        ancestors: Vec::new(),
        moves: Vec::new(),
        periods: vec![Period {
            part: Part::Backtest,
            from_ms: b.from_ms,
            to_ms: b.to_ms,
            performance: Some(b.performance.clone()),
            daily_equity: b.daily_equity.clone(),
            benchmark: Vec::new(),
            trades: b.trades.clone(),
            setup: Some(report::Setup {
                market: config.market,
                symbols: config.symbols.clone(),
                interval: config.interval,
                costs: config.costs,
                initial_capital: config.initial_capital,
                warmup_from_ms: *warmup_from_ms,
                data_version: Some(b.data_version.clone()),
                code_version: config.code_version.clone(),
            }),
            coverage: b.coverage.clone(),
            note: terms::remark(config),
        }],
        quality: Vec::new(),
        proven: None,
        evidence: None,
        simulated,
        made_at_ms: now_ms,
        made_by: env!("CARGO_PKG_VERSION").to_owned(),
    }
}

/// What the report of a stored backtest tells, if it is one of a strategy that ranks the market.
#[must_use]
pub fn portfolio_report_of(stored: &ServiceBacktest, simulated: bool, now_ms: i64) -> Option<PortfolioReport<'_>> {
    let (s, b) = (&stored.strategy, &stored.backtest);
    let portfolio = b.portfolio.as_ref()?;
    let config = &b.parameters.config;
    Some(PortfolioReport {
        name: format!("{}: backtest {}", s.name, stored.id),
        strategy: s.canonical.clone(),
        words: s.genome.read().map(AnyStrategy::describe).unwrap_or_default(),
        hash: s.genome_hash.clone(),
        market: config.market,
        timeframe: s.timeframe,
        window_ms: (b.from_ms, b.to_ms),
        terms: PortfolioTerms {
            initial_capital: config.initial_capital,
            costs: config.costs,
            execution: portfolio.execution,
            fill_on: config.fill_on,
        },
        data_version: b.data_version.clone(),
        code_version: config.code_version.clone(),
        performance: &b.performance,
        record: &portfolio.record,
        simulated,
        made_at_ms: now_ms,
        made_by: env!("CARGO_PKG_VERSION").to_owned(),
    })
}
