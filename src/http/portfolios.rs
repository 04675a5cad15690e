//! What is told of backtests of strategies that rank the market, beside what is told of every backtest. Computes nothing.

use super::{answer::Answer, answer::Failures, answer::form, api::Api, extract::At, problem::Problem, wire::Metrics};
use axum::{Json, extract::State, http::StatusCode};
use candles::time::rfc3339;
use portfolio::{Figures, HedgedFigures, ReturnFigures, Stay};
use serde::Serialize;
use serde_json::json;
use std::sync::Arc;
use store::PortfolioBacktest;
use utoipa::ToSchema;

/// Figures of a portfolio, beside those of every strategy. What is undefined is null; gains are fractions of the initial
/// capital.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct PortfolioMetrics {
    /// Of daily returns less beta times the market's, beta from the 90 days before.
    hedged: HedgedView,
    /// The market: equal weights of its 30 names of greatest volume, without costs.
    equal_weight: ReturnView,
    /// BTCUSDT; null where the market has none.
    btc: Option<ReturnView>,
    /// Traded a day over equity, both sides.
    turnover_per_day: Option<f64>,
    /// Mean of what is held, long and short together, over equity.
    mean_gross: Option<f64>,
    /// Mean of long less short over equity.
    mean_net: Option<f64>,
    /// Mean number of names held.
    mean_names: Option<f64>,
    /// Mean number of members of the universe at rebalances.
    mean_members: Option<f64>,
    rebalances: usize,
    /// Of them, those that held nothing for want of members.
    empty_rebalances: usize,
    /// Orders that found no candle.
    lapsed_orders: u32,
    /// When everything was liquidated; null where nothing was.
    liquidated_at: Option<String>,
    long_gain: f64,
    short_gain: f64,
    /// By calendar year.
    years: Vec<YearView>,
    /// By name, the greatest gain first.
    attribution: Vec<AttributionView>,
    /// How orders met the market: the settings `portfolio.execution.*` that it ran with.
    #[schema(value_type = Object)]
    execution: portfolio::Execution,
}

/// Statistics of hedged daily returns; ratios are annualised by the root of 365.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct HedgedView {
    total_return: Option<f64>,
    cagr: Option<f64>,
    sharpe_ratio: Option<f64>,
    sortino_ratio: Option<f64>,
    max_drawdown: Option<f64>,
    calmar_ratio: Option<f64>,
    t_statistic: Option<f64>,
    /// Mean of the betas that days were hedged with.
    mean_beta: Option<f64>,
}

/// Statistics of daily returns.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct ReturnView {
    total_return: Option<f64>,
    sharpe_ratio: Option<f64>,
    max_drawdown: Option<f64>,
}

/// A calendar year.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct YearView {
    year: i32,
    /// Daily returns in it.
    days: usize,
    total_return: Option<f64>,
    sharpe_ratio: Option<f64>,
    hedged_return: Option<f64>,
    hedged_sharpe_ratio: Option<f64>,
    max_drawdown: Option<f64>,
    mean_members: Option<f64>,
}

/// What one name gave.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct AttributionView {
    instrument: String,
    /// After all costs.
    total: f64,
    long: f64,
    short: f64,
    /// Fees, slippage and what was borrowed.
    costs: f64,
    /// Paid; negative when received.
    funding: f64,
    /// Sum of what was traded.
    traded: f64,
}

/// A name's stay in one leg.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct StayView {
    instrument: String,
    /// `long` or `short`.
    #[schema(value_type = String)]
    side: engine::Side,
    entry_time: Option<String>,
    exit_time: Option<String>,
    /// Net, quote units.
    profit: f64,
    /// Net profit / the greatest value that was held.
    return_fraction: f64,
    /// The window ended it: it is valued there, and not traded.
    open: bool,
}

impl From<&PortfolioBacktest> for PortfolioMetrics {
    fn from(backtest: &PortfolioBacktest) -> Self {
        Self::of(&backtest.record.figures, backtest.execution)
    }
}

impl PortfolioMetrics {
    fn of(f: &Figures, execution: portfolio::Execution) -> Self {
        let year = |y: &portfolio::Year| YearView {
            year: y.year,
            days: y.days,
            total_return: y.total_return,
            sharpe_ratio: y.sharpe_ratio,
            hedged_return: y.hedged_return,
            hedged_sharpe_ratio: y.hedged_sharpe_ratio,
            max_drawdown: y.max_drawdown,
            mean_members: y.mean_members,
        };
        let name = |a: &portfolio::Attribution| AttributionView {
            instrument: a.instrument.to_string(),
            total: a.total,
            long: a.long,
            short: a.short,
            costs: a.costs,
            funding: a.funding,
            traded: a.traded,
        };
        Self {
            hedged: (&f.hedged).into(),
            equal_weight: (&f.equal_weight).into(),
            btc: f.btc.as_ref().map(Into::into),
            turnover_per_day: f.turnover_per_day,
            mean_gross: f.mean_gross,
            mean_net: f.mean_net,
            mean_names: f.mean_names,
            mean_members: f.mean_members,
            rebalances: f.rebalances,
            empty_rebalances: f.empty_rebalances,
            lapsed_orders: f.lapsed_orders,
            liquidated_at: f.liquidated_ms.and_then(rfc3339),
            long_gain: f.long_gain,
            short_gain: f.short_gain,
            years: f.years.iter().map(year).collect(),
            attribution: f.attribution.iter().map(name).collect(),
            execution,
        }
    }
}

impl From<&HedgedFigures> for HedgedView {
    fn from(h: &HedgedFigures) -> Self {
        Self {
            total_return: h.total_return,
            cagr: h.cagr,
            sharpe_ratio: h.sharpe_ratio,
            sortino_ratio: h.sortino_ratio,
            max_drawdown: h.max_drawdown,
            calmar_ratio: h.calmar_ratio,
            t_statistic: h.t_statistic,
            mean_beta: h.mean_beta,
        }
    }
}

impl From<&ReturnFigures> for ReturnView {
    fn from(r: &ReturnFigures) -> Self {
        Self { total_return: r.total_return, sharpe_ratio: r.sharpe_ratio, max_drawdown: r.max_drawdown }
    }
}

impl From<&Stay> for StayView {
    fn from(s: &Stay) -> Self {
        Self {
            instrument: s.instrument.to_string(),
            side: s.side,
            entry_time: rfc3339(s.entry_time_ms),
            exit_time: rfc3339(s.exit_time_ms),
            profit: s.profit,
            return_fraction: s.return_fraction,
            open: s.open,
        }
    }
}

/// A portfolio's backtest as a page tells it: figures, days by columns, weights by name and time
#[utoipa::path(get, path = "/backtest/{id}/portfolio", tag = "service", params(("id" = i64, Path, description = "Its number")), responses(
    (status = 200, description = "Figures, days by columns (`day_ms` is a day's beginning), weights by name and time", body = Value), Failures))]
pub(super) async fn backtest_portfolio(State(api): State<Arc<Api>>, At(id): At<i64>) -> Answer {
    let stored = api.store.service_backtest(id).await?;
    let b = &stored.backtest;
    let Some(portfolio) = &b.portfolio else {
        let why = format!("backtest {id} is of a strategy of rules: it has no portfolio");
        return Err(Problem::new(StatusCode::NOT_FOUND, why));
    };
    Ok(Json(json!({
        "backtest_id": id,
        "strategy_id": stored.strategy.number,
        "market": b.parameters.config.market,
        "from_ms": b.from_ms,
        "to_ms": b.to_ms,
        "instruments": portfolio.record.instruments,
        "data_version": b.data_version,
        "code_version": b.parameters.config.code_version,
        "metrics": Metrics::from(&b.performance),
        "portfolio": PortfolioMetrics::from(portfolio),
        "days": form(&portfolio.record.days),
        "weights": form(&portfolio.record.weights),
    })))
}

/// The newest paper run of a strategy that ranks the market, as a page tells it: as the portfolio of a backtest
#[utoipa::path(get, path = "/api/strategies/{id}/portfolio", tag = "read",
    params(("id" = String, Path, description = "Number, id, name, or the first characters of id or genome hash")), responses(
    (status = 200, description = "Figures, days by columns (`day_ms` is a day's beginning), weights by name and time", body = Value), Failures))]
pub(super) async fn paper_portfolio(State(api): State<Arc<Api>>, At(id): At<String>) -> Answer {
    let found = api.store.find_strategy(&id).await?;
    let detail = api.store.strategy(&found.id.to_string()).await?;
    let newest = detail.paper_runs.iter().rev().find_map(|run| Some((run, run.portfolio.as_ref()?)));
    let Some((run, record)) = newest else {
        let why = format!("{} has no paper run with a portfolio", found.name);
        return Err(Problem::new(StatusCode::NOT_FOUND, why));
    };
    let config = run.config.read()?;
    let execution = config.ranked.as_ref().map(|ranked| ranked.execution).unwrap_or_default();
    let source = run.phase.name();
    let version = detail.stats.iter().rev().find(|stat| stat.source.name() == source);
    Ok(Json(json!({
        "phase": run.phase,
        "strategy_id": found.number,
        "market": config.market,
        "from_ms": run.from_ms,
        "to_ms": run.to_ms,
        "instruments": record.instruments,
        "data_version": version.and_then(|stat| stat.data_version.clone()),
        "code_version": config.code_version,
        "metrics": run.performance.as_ref().map(Metrics::from),
        "portfolio": PortfolioMetrics::of(&record.figures, execution),
        "days": form(&record.days),
        "weights": form(&record.weights),
    })))
}
