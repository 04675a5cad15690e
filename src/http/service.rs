//! The strategy and backtest service: paths, fields and statuses that existing clients expect.

use super::{
    api::Api,
    backtests::{BacktestDone, BacktestOrder, PortfolioOrder, Refusal},
    extract::{At, Body, PageParams, Params},
    portfolios::{PortfolioMetrics, StayView},
    problem::Problem,
    rules::StrategyRequest,
    terms::{AskedTerms, TermsTold},
    wire::{EquityPoint, Metrics, TradeView, equity_points, time_ms},
};
use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use candles::{Coverage, MarketKind, Symbol, SymbolCoverage};
use genome::{AnyStrategy, Ranking, Strategy, StrategyForm};
use lifecycle::VersionStep;
use serde::{Deserialize, Serialize};
use std::{sync::Arc, time::Instant};
use store::{NewServiceBacktest, NewStrategy, SERVICE_KIND, ServiceBacktest, Strategy as StoredStrategy};
use utoipa::ToSchema;
use uuid::Uuid;

type Api_ = State<Arc<Api>>;

/// A stored strategy.
#[derive(Serialize, ToSchema)]
pub(super) struct StrategyStored {
    /// What `POST /backtest` takes.
    strategy_id: i64,
    /// Its identity in the store.
    uuid: Uuid,
    /// As it is stored: another one where the same rules were stored before.
    name: String,
    /// False where the same rules were stored before.
    created: bool,
    /// `candidate` for what is new.
    #[schema(value_type = String)]
    state: lifecycle::State,
    /// `rules`, or `ranking` for one that ranks the market.
    #[schema(value_type = String, example = "rules")]
    form: StrategyForm,
    /// In the language's canonical form.
    rules: String,
    /// In sentences.
    description: String,
    /// What its author should know, such as an exit that never happens.
    warnings: Vec<String>,
}

/// Store a strategy
///
/// Rules that are stored already are found again: the answer names the stored strategy. What is posted here trades on
/// paper only when an operator approves it.
#[utoipa::path(post, path = "/strategies", tag = "service", request_body = StrategyRequest, security((), ("token" = [])), responses(
    (status = 201, description = "It is stored", body = StrategyStored),
    (status = 400, description = "The body is not JSON", body = Problem, content_type = "application/problem+json"),
    (status = 401, description = "No token, or a wrong one, where http.client_token is set", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "As many are stored as clients may store, another strategy has the name, or it is stored with another seen_until", body = Problem, content_type = "application/problem+json"),
    (status = 413, description = "The body is too large", body = Problem, content_type = "application/problem+json"),
    (status = 415, description = "The body is not sent as JSON", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "A field is wrong; it is named", body = Problem, content_type = "application/problem+json"),
    (status = 429, description = "Too many were posted from this address", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "The database does not answer", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn post_strategy(State(api): Api_, Body(request): Body<StrategyRequest>) -> Result<Response, Problem> {
    let (strategy, warnings) = request.strategy(api.backtests.customary().0)?;
    let seen_until_ms = api.seen_until_ms(request.seen_until.as_deref()).await?;
    let new = NewStrategy {
        name_is_chosen: true,
        seen_is_stated: request.seen_until.is_some(),
        ..candidate(&api, &request.name, &strategy, seen_until_ms, "service")
    };
    let (stored, created) = api.store.put_strategy(&new, api.limits.max_client_strategies).await?;
    let answer = StrategyStored {
        strategy_id: stored.number,
        uuid: stored.id,
        name: stored.name,
        created,
        state: stored.state,
        form: stored.form,
        rules: stored.canonical,
        description: strategy.describe(),
        warnings,
    };
    Ok((StatusCode::CREATED, Json(answer)).into_response())
}

/// A client's strategy as a candidate that has seen everything up to a moment (UTC ms), and who made it.
pub(super) fn candidate(
    api: &Api,
    name: &str,
    strategy: &AnyStrategy,
    seen_until_ms: i64,
    created_by: &str,
) -> NewStrategy {
    let (_, market, customary) = api.backtests.customary();
    NewStrategy {
        id: Uuid::now_v7(),
        name: name.trim().to_owned(),
        name_is_chosen: false,
        genome: strategy.clone(),
        canonical: strategy.to_string(),
        genome_hash: strategy.hash().to_string(),
        kind: SERVICE_KIND.to_owned(),
        step: VersionStep::Minor,
        parent_hashes: Vec::new(),
        generation: 0,
        island: None,
        session_id: None,
        // One that ranks the market has its universe.
        symbols: strategy.rules().map(|_| customary).unwrap_or_default(),
        market,
        timeframe: strategy.timeframe(),
        seen_until_ms: Some(seen_until_ms),
        seen_is_stated: false,
        created_by: created_by.to_owned(),
    }
}

/// A backtest to run.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct BacktestRequest {
    /// As `POST /strategies` answered.
    #[schema(minimum = 1, example = 1)]
    strategy_id: i64,
    /// Such as `BTCUSDT` or `BTC/USDT`; needed by a strategy of rules, and none for one that ranks the market.
    #[serde(default)]
    #[schema(pattern = r"^[A-Za-z0-9_]{1,10}[/-]?[A-Za-z0-9_]{1,10}(:[A-Za-z0-9_]{1,10})?$", example = "BTCUSDT")]
    symbol: Option<String>,
    /// `spot` or `um`, for a strategy that ranks the market; that of the settings where it is left out.
    #[serde(default)]
    #[schema(pattern = r"^(spot|um)$", example = "spot")]
    market: Option<String>,
    /// For a strategy that ranks the market: orders meet it as in paper runs (settings `portfolio.execution.*`), true where it
    /// is left out; false: on the plainest terms.
    #[serde(default)]
    realistic: Option<bool>,
    /// First day (00:00 UTC) or moment traded.
    #[schema(example = "2024-01-01")]
    start_date: String,
    /// End, exclusive: a day (00:00 UTC) or a moment.
    #[schema(example = "2024-03-01")]
    end_date: String,
    /// Quote units; that of the settings where it is left out.
    #[serde(default)]
    #[schema(minimum = 1.0, maximum = 1e12, example = 10000.0)]
    initial_capital: Option<f64>,
    /// Price at which orders fill: `next_open` (where it is left out), or `close`, that of the candle at which the rule held.
    /// That is optimistic: nobody trades at a close that he waits for. Nothing but a backtest on request has it.
    #[serde(default)]
    #[schema(pattern = r"^(next_open|close)$", example = "next_open")]
    fill_on: Option<String>,
    /// Most that slippage costs a fill, basis points of the price: what the model charges beyond it is cut.
    #[serde(default)]
    #[schema(exclusive_minimum = 0.0, maximum = 5000.0)]
    max_slippage_bps: Option<f64>,
}

/// What there was of the candles that a backtest was asked for.
#[derive(Serialize, ToSchema)]
struct CandlesThere {
    /// Candles in the window.
    candles: u64,
    /// Candles of the window that are missing.
    missing_candles: u64,
    /// Candles before the window that indicators warmed up on; `null` where that was not stored.
    warm_up_candles: Option<u64>,
    /// Candles of the warm-up that are missing: indicators began later, or with less to look back on.
    missing_warm_up_candles: Option<u64>,
    /// What is missing, in words; `null` where nothing is.
    shortfall: Option<String>,
}

impl From<&NewServiceBacktest> for CandlesThere {
    fn from(b: &NewServiceBacktest) -> Self {
        let of = |count: fn(&Coverage) -> u64| {
            (!b.coverage.is_empty()).then(|| b.coverage.iter().map(|s| count(&s.coverage)).sum())
        };
        Self {
            candles: b.candles,
            missing_candles: b.missing_candles,
            warm_up_candles: of(|c| c.warm_up_candles),
            missing_warm_up_candles: of(|c| c.missing_warm_up_candles),
            shortfall: SymbolCoverage::shortfall(&b.coverage),
        }
    }
}

/// A finished backtest.
#[derive(Serialize, ToSchema)]
pub(super) struct BacktestAnswer {
    /// What the other paths take.
    backtest_id: i64,
    strategy_id: i64,
    /// Always `completed`: what could not be run is a problem.
    status: &'static str,
    /// Null for a strategy that ranks the market.
    symbol: Option<String>,
    /// `spot` or `um`.
    #[schema(value_type = String)]
    market: MarketKind,
    start_date: Option<String>,
    /// Not after the newest closed candle.
    end_date: Option<String>,
    initial_capital: Option<f64>,
    final_capital: Option<f64>,
    /// Names the candles that it rests on.
    data_version: String,
    /// Names the program that computed it.
    code_version: String,
    #[serde(flatten)]
    terms: TermsTold,
    #[serde(flatten)]
    there: CandlesThere,
    duration_ms: u64,
    metrics: Metrics,
    /// Figures of a portfolio; null for a strategy of rules.
    portfolio: Option<PortfolioMetrics>,
}

impl From<&ServiceBacktest> for BacktestAnswer {
    fn from(stored: &ServiceBacktest) -> Self {
        let b = &stored.backtest;
        let config = &b.parameters.config;
        Self {
            backtest_id: stored.id,
            strategy_id: stored.strategy.number,
            status: "completed",
            symbol: config.symbols.first().map(ToString::to_string),
            market: config.market,
            start_date: candles::time::rfc3339(b.from_ms),
            end_date: candles::time::rfc3339(b.to_ms),
            initial_capital: Some(config.initial_capital),
            final_capital: b.daily_equity.last().map(|point| point.equity),
            data_version: b.data_version.clone(),
            code_version: config.code_version.clone(),
            terms: config.into(),
            there: CandlesThere::from(b),
            duration_ms: b.duration_ms,
            metrics: Metrics::from(&b.performance),
            portfolio: b.portfolio.as_ref().map(Into::into),
        }
    }
}

/// Run a backtest
///
/// Candles that are missing are fetched first, but for a strategy that ranks the market, which is tested on what is cached
/// of it. It is answered when it is done.
#[utoipa::path(post, path = "/backtest", tag = "service", request_body = BacktestRequest, security((), ("token" = [])), responses(
    (status = 200, description = "It ran", body = BacktestAnswer),
    (status = 400, description = "The body is not JSON", body = Problem, content_type = "application/problem+json"),
    (status = 401, description = "No token, or a wrong one, where http.client_token is set", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "There is no such strategy, or there are no candles for it; the field is named", body = Problem, content_type = "application/problem+json"),
    (status = 413, description = "The body is too large", body = Problem, content_type = "application/problem+json"),
    (status = 415, description = "The body is not sent as JSON", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "A field is wrong; it is named", body = Problem, content_type = "application/problem+json"),
    (status = 429, description = "Too many backtests run, or were posted from this address", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "Database or exchange do not answer", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn post_backtest(
    State(api): Api_,
    Body(request): Body<BacktestRequest>,
) -> Result<Json<BacktestAnswer>, Problem> {
    let from_ms = time_ms(&request.start_date).map_err(|why| Problem::field("start_date", why))?;
    let to_ms = time_ms(&request.end_date).map_err(|why| Problem::field("end_date", why))?;
    if from_ms >= to_ms {
        return Err(Problem::field("end_date", "it must be after start_date"));
    }
    let initial_capital = request.initial_capital.unwrap_or(api.initial_capital);
    if !(1.0..=1e12).contains(&initial_capital) {
        return Err(Problem::field("initial_capital", "1 to 1e12 quote units are expected"));
    }
    let stored = api.store.strategy_by_number(request.strategy_id).await.map_err(|error| {
        let field = matches!(error, store::StoreError::NotFound { .. }).then(|| "strategy_id".to_owned());
        Problem { field, ..Problem::from(error) }
    })?;
    let strategy = stored.genome.read().cloned();
    let strategy = strategy.map_err(|_| Problem::field("strategy_id", "its stored genome does not read"))?;
    let candles = (to_ms - from_ms) / strategy.timeframe().fixed_ms().unwrap_or(30 * 86_400_000);
    if candles > api.limits.max_backtest_candles {
        let most = api.limits.max_backtest_candles;
        return Err(Problem::field(
            "end_date",
            format!("{candles} candles of {} are asked for; {most} are the most", strategy.timeframe()),
        ));
    }
    let order = request.order(strategy, (from_ms, to_ms), initial_capital)?;
    Ok(Json(BacktestAnswer::from(&tested(&api, stored, order).await?)))
}

/// Runs a backtest of a stored strategy, once there is a place for it, and stores it.
pub(super) async fn tested(api: &Api, stored: StoredStrategy, order: Order) -> Result<ServiceBacktest, Problem> {
    let _slot = api.slot().await?;
    let began = Instant::now();
    let done = match order {
        Order::Rules(order) => api.backtests.run(*order).await,
        Order::Ranking(order) => api.backtests.run_portfolio(order).await,
    };
    let done: BacktestDone = done.map_err(Problem::from)?;
    let new = NewServiceBacktest {
        strategy_id: stored.id,
        from_ms: done.from_ms,
        to_ms: done.to_ms,
        parameters: done.parameters,
        data_version: done.data_version,
        candles: done.candles,
        missing_candles: done.missing_candles,
        coverage: done.coverage,
        performance: done.performance,
        daily_equity: done.daily_equity,
        trades: done.trades,
        portfolio: done.portfolio,
        duration_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
    };
    let id = api.store.put_service_backtest(&new).await?;
    Ok(ServiceBacktest { id, backtest: new, strategy: stored, created_at: chrono::DateTime::UNIX_EPOCH })
}

/// What is to be run.
pub(super) enum Order {
    Rules(Box<BacktestOrder>),
    Ranking(PortfolioOrder),
}

impl BacktestRequest {
    /// The order that it comes to: each form of strategy has fields of its own.
    fn order(
        &self,
        strategy: AnyStrategy,
        (from_ms, to_ms): (i64, i64),
        initial_capital: f64,
    ) -> Result<Order, Problem> {
        let terms = AskedTerms::of(self.fill_on.as_deref(), self.max_slippage_bps)?;
        let of_rules = |strategy: Strategy| {
            let given = [("market", self.market.is_some()), ("realistic", self.realistic.is_some())];
            if let Some((field, _)) = given.into_iter().find(|(_, given)| *given) {
                return Err(Problem::field(
                    field,
                    "this is for strategies that rank the market, and this one has rules",
                ));
            }
            let named =
                self.symbol.as_deref().ok_or_else(|| Problem::field("symbol", "missing: which symbol to test on"))?;
            let symbol = symbol(named)?;
            Ok(Order::Rules(Box::new(BacktestOrder { strategy, symbol, from_ms, to_ms, initial_capital, terms })))
        };
        let of_ranking = |strategy: Ranking| {
            if self.symbol.is_some() {
                let why = "the strategy ranks the market and looks at its universe: leave symbol out";
                return Err(Problem::field("symbol", why));
            }
            let market = self.market.as_deref().map(str::parse::<MarketKind>).transpose();
            let market = market.map_err(|why| Problem::field("market", why))?;
            let realistic = self.realistic.unwrap_or(true);
            if realistic && !terms.fill_on.is_default() {
                let why = "orders of paper runs come late and cannot fill at the close of their decision: give realistic false";
                return Err(Problem::field("fill_on", why));
            }
            Ok(Order::Ranking(PortfolioOrder { strategy, market, from_ms, to_ms, initial_capital, realistic, terms }))
        };
        match strategy {
            AnyStrategy::Rules(strategy) => of_rules(strategy),
            AnyStrategy::Ranking(strategy) => of_ranking(strategy),
        }
    }
}

/// A symbol in the forms that the document tells of.
pub(super) fn symbol(text: &str) -> Result<Symbol, Problem> {
    let word = |text: &str, most| {
        (1..=most).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    };
    let (pair, settled) = text.split_once(':').map_or((text, None), |(pair, settled)| (pair, Some(settled)));
    let is_pair = match pair.split_once(['/', '-']) {
        Some((base, quote)) => word(base, 10) && word(quote, 10),
        None => pair.len() > 1 && word(pair, 20),
    };
    let fits = is_pair && settled.is_none_or(|settled| word(settled, 10));
    let why = || format!("{text:?} is not a symbol; expected a name such as BTCUSDT or BTC/USDT");
    text.parse().ok().filter(|_| fits).ok_or_else(|| Problem::field("symbol", why()))
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Field(field, why) => Self::field(field, why),
            Refusal::Missing(field, why) => {
                Self { field: Some(field.to_owned()), ..Self::new(StatusCode::NOT_FOUND, why) }
            }
            Refusal::Busy(why) => Self::new(StatusCode::SERVICE_UNAVAILABLE, why),
            Refusal::Failed(why) => {
                tracing::error!(why, "a request failed");
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, why)
            }
        }
    }
}

/// The figures of a backtest, beside what it was.
#[derive(Serialize, ToSchema)]
pub(super) struct MetricsAnswer {
    backtest_id: i64,
    strategy_id: i64,
    /// Names the candles that it rests on.
    data_version: String,
    /// Names the program that computed it.
    code_version: String,
    #[serde(flatten)]
    terms: TermsTold,
    #[serde(flatten)]
    there: CandlesThere,
    #[serde(flatten)]
    metrics: Metrics,
    /// Figures of a portfolio, hedged ones among them; null for a strategy of rules.
    portfolio: Option<PortfolioMetrics>,
}

/// Figures of a backtest
#[utoipa::path(get, path = "/backtest/{id}/metrics", tag = "service", params(("id" = i64, Path, description = "Its number")), responses(
    (status = 200, description = "Its figures", body = MetricsAnswer),
    (status = 400, description = "The number is none", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "There is no such backtest", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "The database does not answer", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn backtest_metrics(State(api): Api_, At(id): At<i64>) -> Result<Json<MetricsAnswer>, Problem> {
    let stored = api.store.service_backtest(id).await?;
    let b = &stored.backtest;
    Ok(Json(MetricsAnswer {
        backtest_id: id,
        strategy_id: stored.strategy.number,
        data_version: b.data_version.clone(),
        code_version: b.parameters.config.code_version.clone(),
        terms: (&b.parameters.config).into(),
        there: CandlesThere::from(b),
        metrics: Metrics::from(&b.performance),
        portfolio: b.portfolio.as_ref().map(Into::into),
    }))
}

/// The curve of a backtest.
#[derive(Serialize, ToSchema)]
pub(super) struct EquityAnswer {
    backtest_id: i64,
    equity: Vec<EquityPoint>,
}

/// Equity of a backtest, day by day
#[utoipa::path(get, path = "/backtest/{id}/equity", tag = "service", params(("id" = i64, Path, description = "Its number")), responses(
    (status = 200, description = "Its equity", body = EquityAnswer),
    (status = 400, description = "The number is none", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "There is no such backtest", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "The database does not answer", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn backtest_equity(State(api): Api_, At(id): At<i64>) -> Result<Json<EquityAnswer>, Problem> {
    let stored = api.store.service_backtest(id).await?;
    Ok(Json(EquityAnswer { backtest_id: id, equity: equity_points(&stored.backtest.daily_equity) }))
}

/// Trades of a backtest.
#[derive(Serialize, ToSchema)]
pub(super) struct TradesAnswer {
    backtest_id: i64,
    /// How many there are in all.
    total: usize,
    /// In order of entry; none where a portfolio was tested.
    trades: Vec<TradeView>,
    /// Of a portfolio: each name's stays in one leg, by their begin; null for a strategy of rules.
    stays: Option<Vec<StayView>>,
}

/// Trades of a backtest
#[utoipa::path(get, path = "/backtest/{id}/trades", tag = "service", params(("id" = i64, Path, description = "Its number"), PageParams), responses(
    (status = 200, description = "Its trades", body = TradesAnswer),
    (status = 400, description = "A parameter is wrong; it is named", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "There is no such backtest", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "The database does not answer", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn backtest_trades(
    State(api): Api_,
    At(id): At<i64>,
    Params(page): Params<PageParams>,
) -> Result<Json<TradesAnswer>, Problem> {
    let page = api.page(page)?;
    let stored = api.store.service_backtest(id).await?;
    let offset = usize::try_from(page.offset).unwrap_or(usize::MAX);
    let all = &stored.backtest.trades;
    let trades = all.iter().skip(offset).take(page.limit as usize).map(TradeView::from).collect();
    let held = stored.backtest.portfolio.as_ref().map(|p| &p.record.stays);
    let stays = held.map(|all| all.iter().skip(offset).take(page.limit as usize).map(StayView::from).collect());
    Ok(Json(TradesAnswer { backtest_id: id, total: held.map_or(all.len(), Vec::len), trades, stays }))
}
