//! What the daemon knows and did, for people and programs that look: read from the store, a page at a time.

use super::{
    answer::{Answer, Failures, form, wrong},
    api::Api,
    backtests::Excursion,
    extract::{At, PageParams, Params, short},
    figure_limits,
    health::assess,
    problem::Problem,
    progress,
    stats::Stats,
    wire::{Metrics, TradeView},
};
use axum::{Json, extract::State, http::StatusCode};
use candles::Symbol;
use lifecycle::State as Phase;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::sync::Arc;
use store::{ListedStrategy, Page, StatSource, Strategy, StrategyQuery, StrategySort};
use utoipa::{IntoParams, ToSchema};

type Api_ = State<Arc<Api>>;
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Order {
    Asc,
    #[default]
    Desc,
}

/// Which strategies, in which order.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct StrategiesParams {
    /// States, separated by commas.
    #[param(
        pattern = r"^(candidate|shadow|live|disabled)(,(candidate|shadow|live|disabled))*$",
        example = "shadow,live"
    )]
    state: Option<String>,
    /// That trade this symbol.
    #[param(pattern = r"^[A-Z0-9]{1,20}$", example = "BTCUSDT")]
    symbol: Option<String>,
    /// Of rules, or ranking the market.
    #[param(pattern = r"^(rules|ranking)$")]
    form: Option<String>,
    /// What figures have to be, separated by commas: a figure, `<`, `<=`, `>` or `>=`, a number. Figures are those that are
    /// sorted by: total_return, sharpe_ratio, profit_factor, max_drawdown (a fraction, 0 or below) and win_rate (fractions), trades, log_e.
    #[param(
        max_length = 200,
        pattern = r"^(total_return|sharpe_ratio|profit_factor|max_drawdown|win_rate|trades|log_e)(<|<=|>|>=)-?[0-9]+([.][0-9]+)?(,(total_return|sharpe_ratio|profit_factor|max_drawdown|win_rate|trades|log_e)(<|<=|>|>=)-?[0-9]+([.][0-9]+)?)*$",
        example = "sharpe_ratio>1,trades>=30"
    )]
    figures: Option<String>,
    /// On these candles.
    #[param(pattern = r"^(1m|3m|5m|15m|30m|1h|2h|4h|6h|8h|12h|1d|3d|1w|1M)$", example = "15m")]
    timeframe: Option<String>,
    /// Of this kind of idea, such as trend.
    #[param(max_length = 200)]
    family: Option<String>,
    /// Of this island of the search.
    #[param(max_length = 200)]
    island: Option<String>,
    /// Whose name or rules hold this text.
    #[param(max_length = 200)]
    q: Option<String>,
    /// Whose figures; the newest where it is left out.
    #[param(inline)]
    source: Option<StatSource>,
    /// By what; by the newest change of state where it is left out.
    #[param(inline)]
    sort: Option<StrategySort>,
    /// Smallest or greatest first.
    #[param(inline)]
    order: Option<Order>,
    /// At most so many; `http.max_page_size` is the most.
    #[param(minimum = 1)]
    limit: Option<u32>,
    /// Leave out so many first.
    #[param(minimum = 0, maximum = 1_000_000_000)]
    offset: Option<u32>,
}

/// `BTCUSDT`, exactly.
fn symbol(text: Option<&str>) -> Result<Option<Symbol>, Problem> {
    let exact = |text: &&str| {
        (1..=20).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
    };
    let named = |text: &str| {
        let symbol = Some(text).filter(exact).and_then(|text| text.parse().ok());
        symbol.ok_or_else(|| wrong("symbol", "a name such as BTCUSDT is expected"))
    };
    text.map(named).transpose()
}

/// A strategy in a list.
#[derive(Serialize, ToSchema)]
pub(super) struct StrategyRow {
    strategy_id: i64,
    uuid: uuid::Uuid,
    name: String,
    /// `rules`, or `ranking` for one that ranks the market.
    form: &'static str,
    #[schema(value_type = String)]
    state: Phase,
    reason: Option<&'static str>,
    changed_at: String,
    /// When it moved last, market time, UTC ms; null before its first move.
    moved_ms: Option<i64>,
    symbols: Vec<String>,
    timeframe: String,
    family: Option<String>,
    island: Option<String>,
    generation: u32,
    rules: String,
    /// What the figures were measured on.
    source: Option<&'static str>,
    total_return: Option<f64>,
    sharpe_ratio: Option<f64>,
    profit_factor: Option<f64>,
    max_drawdown: Option<f64>,
    win_rate: Option<f64>,
    trades: Option<u32>,
    /// Fees, slippage and funding, quote units.
    costs: Option<f64>,
    /// ln of the out-of-sample E: of the newest shadow run, or of the hold-out where there was none.
    log_e: Option<f64>,
    /// ln of the promotion threshold.
    log_needed: Option<f64>,
    /// When it may go live by what is known, market time, UTC ms; null where nobody can tell.
    expected_ms: Option<i64>,
}

impl From<ListedStrategy> for StrategyRow {
    fn from(row: ListedStrategy) -> Self {
        let (s, p, e) = (row.strategy, row.performance, row.evidence);
        let figure = |of: fn(&engine::Performance) -> Option<f64>| p.as_ref().and_then(of);
        Self {
            total_return: figure(|p| p.total_return),
            sharpe_ratio: figure(|p| p.sharpe_ratio),
            profit_factor: figure(|p| p.profit_factor),
            max_drawdown: figure(|p| p.max_drawdown),
            win_rate: figure(|p| p.win_rate),
            trades: p.as_ref().map(|p| p.total_trades),
            costs: p.as_ref().map(|p| p.fees + p.slippage + p.funding),
            log_e: e.and_then(|e| e.log_e),
            log_needed: e.and_then(|e| e.log_needed),
            // What has moved on expects nothing any more.
            expected_ms: e.and_then(|e| e.expected_ms).filter(|_| s.state == Phase::Shadow),
            strategy_id: s.number,
            uuid: s.id,
            name: s.name,
            form: s.form.name(),
            state: s.state,
            reason: s.disable_reason.map(lifecycle::DisableReason::name),
            changed_at: s.state_changed_at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
            moved_ms: row.moved_ms,
            symbols: s.symbols.iter().map(ToString::to_string).collect(),
            timeframe: s.timeframe.to_string(),
            family: s.family,
            island: s.island,
            generation: s.generation,
            rules: s.canonical,
            source: row.source.map(StatSource::name),
        }
    }
}

/// A page of strategies.
#[derive(Serialize, ToSchema)]
pub(super) struct StrategyPage {
    /// How many there are in all.
    total: u64,
    items: Vec<StrategyRow>,
}

/// Strategies, a page at a time
#[utoipa::path(get, path = "/api/strategies", tag = "read", params(StrategiesParams),
    responses((status = 200, description = "The page", body = StrategyPage), Failures))]
pub(super) async fn strategies(
    State(api): Api_,
    Params(p): Params<StrategiesParams>,
) -> Result<Json<StrategyPage>, Problem> {
    let states = p.state.as_deref().map_or_else(Vec::new, |text| text.split(',').collect());
    let states = states.into_iter().map(|s| s.parse::<Phase>().map_err(|why| wrong("state", why)));
    let timeframe = |text: String| match text.parse::<genome::Timeframe>() {
        // One way to write each: `1mo` is of dump files.
        Ok(timeframe) if timeframe.name() == text => Ok(text),
        _ => Err(wrong("timeframe", "an interval such as 15m is expected")),
    };
    let form = |text: &str| text.parse::<genome::StrategyForm>().map_err(|why| wrong("form", why));
    let query = StrategyQuery {
        form: p.form.as_deref().map(form).transpose()?,
        limits: figure_limits::read(short("figures", p.figures)?.as_deref().unwrap_or_default())?,
        states: states.collect::<Result<_, _>>()?,
        symbol: symbol(p.symbol.as_deref())?.map(|symbol| symbol.to_string()),
        timeframe: p.timeframe.map(timeframe).transpose()?,
        family: short("family", p.family)?,
        island: short("island", p.island)?,
        session_id: None,
        text: short("q", p.q)?,
        source: p.source,
        sort: p.sort.unwrap_or_default(),
        ascending: p.order.unwrap_or_default() == Order::Asc,
    };
    let page = api.page(PageParams { limit: p.limit, offset: p.offset })?;
    let (rows, total) = api.store.list_strategies(&query, page).await?;
    Ok(Json(StrategyPage { total, items: rows.into_iter().map(StrategyRow::from).collect() }))
}

/// The strategy that a path names.
pub(super) async fn find(api: &Api, id: &str) -> Result<Strategy, Problem> {
    if id.contains('\0') {
        return Err(wrong("id", "a number, id, name or the first characters of an id are expected"));
    }
    Ok(api.store.find_strategy(id).await?)
}

/// Steps back that the lineage goes.
const LINEAGE_DEPTH: u32 = 6;

/// One strategy: rules, figures, every decision with its reasons, lineage, deployments
#[utoipa::path(get, path = "/api/strategies/{id}", tag = "read",
    params(("id" = String, Path, description = "Number, id, name, or the first characters of id or genome hash")),
    responses((status = 200, description = "The strategy", body = Value), Failures))]
pub(super) async fn strategy(State(api): Api_, At(id): At<String>) -> Answer {
    let found = find(&api, &id).await?;
    let detail = api.store.strategy(&found.id.to_string()).await?;
    let lineage = api.store.lineage(found.id, LINEAGE_DEPTH).await?;
    let children = api.store.children(found.id, Page::first(50)).await?;
    let backtests = api.store.service_backtests_of(found.id, Page::first(50)).await?;
    let score = api.store.scores(found.id).await?.into_iter().next();
    // Live as a member, whatever it is by itself.
    let members = api.store.live_book_members().await?;
    let live_books = members
        .iter()
        .filter(|m| m.strategy_id == Some(found.id))
        .map(|m| json!({ "book": m.book, "weight": m.weight }));
    let live_books: Vec<serde_json::Value> = live_books.collect();
    let words = found.genome.read().map(genome::AnyStrategy::describe).unwrap_or_default();
    let stats = detail.stats.iter().map(|stat| {
        json!({
            "source": stat.source, "from_ms": stat.window_from_ms, "to_ms": stat.window_to_ms,
            "data_version": stat.data_version, "metrics": Metrics::from(&stat.performance),
        })
    });
    let runs = detail.paper_runs.iter().map(|run| {
        json!({
            "phase": run.phase, "from_ms": run.from_ms, "to_ms": run.to_ms, "ended_at": run.ended_at,
            "closed_trades": run.closed_trades, "open_positions": run.open_positions,
            "has_portfolio": run.portfolio.is_some(),
            "progress": run.progress.as_ref().map(progress::told),
        })
    });
    let proved = api.store.proved(found.id).await?;
    let children = children.into_iter().map(|c| json!({ "strategy_id": c.number, "name": c.name, "state": c.state }));
    Ok(Json(json!({
        "strategy": found,
        "no_holdout": detail.no_holdout,
        "words": words,
        "score": score,
        "stats": stats.collect::<Vec<_>>(),
        "proved": proved,
        "simulated": api.store.is_simulated().await?,
        "transitions": detail.transitions.iter().map(progress::transition).collect::<Vec<_>>(),
        "deployments": detail.deployments,
        "paper_runs": runs.collect::<Vec<_>>(),
        "live_books": live_books,
        "lineage": lineage,
        "children": children.collect::<Vec<_>>(),
        "backtests": backtests.into_iter().map(backtest_line).collect::<Vec<_>>(),
    })))
}

/// Equity of a strategy by part: backtest, hold-out, shadow, live
#[utoipa::path(get, path = "/api/strategies/{id}/curves", tag = "read",
    params(("id" = String, Path, description = "Number, id, name, or the first characters of id or genome hash")),
    responses((status = 200, description = "Columns of times (ms) and equity by part, and the trades", body = Value), Failures))]
pub(super) async fn curves(State(api): Api_, At(id): At<String>) -> Answer {
    let found = find(&api, &id).await?;
    let stretches = api.backtests.stretches(&found).await?;
    let parts = stretches.iter().map(|s| {
        json!({
            "source": s.source, "from_ms": s.from_ms, "to_ms": s.to_ms, "note": s.note,
            "candles": s.coverage, "shortfall": candles::SymbolCoverage::shortfall(&s.coverage),
            "time_ms": s.daily_equity.iter().map(|p| p.time_ms).collect::<Vec<_>>(),
            "equity": s.daily_equity.iter().map(|p| p.equity).collect::<Vec<_>>(),
            "benchmark": s.benchmark,
            "trades": s.trades.iter().zip(&s.excursions).map(held_trade).collect::<Vec<_>>(),
        })
    });
    Ok(Json(json!({ "parts": parts.collect::<Vec<_>>() })))
}

/// A trade with how far it was ahead and behind while it was held.
fn held_trade((trade, excursion): (&engine::Trade, &Option<Excursion>)) -> serde_json::Value {
    let mut view = form(TradeView::from(trade));
    view["best_fraction"] = excursion.map(|e| e.best).into();
    view["worst_fraction"] = excursion.map(|e| e.worst).into();
    view
}

/// What is known of a strategy beyond its backtest: walk-forward, other orders of its days, higher costs, neighbours
///
/// Computed from cached candles when somebody asks; counts as a backtest among those that may run at once.
#[utoipa::path(get, path = "/api/strategies/{id}/dossier", tag = "read",
    params(("id" = String, Path, description = "Number, id, name, or the first characters of id or genome hash")),
    responses((status = 200, description = "Findings, a sentence and figures each", body = Value), Failures,
        (status = 429, description = "Too many backtests run", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn dossier(State(api): Api_, At(id): At<String>) -> Answer {
    let found = find(&api, &id).await?;
    let _slot = api.slot().await?;
    Ok(Json(form(api.backtests.proven(&found).await?)))
}

/// Which candles.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct CandleParams {
    /// One that the strategy trades; the first where it is left out.
    #[param(pattern = r"^[A-Z0-9]{1,20}$", example = "BTCUSDT")]
    symbol: Option<String>,
    /// First open time, UTC ms; that of the strategy's first figures where it is left out.
    #[param(minimum = 0, maximum = 4_102_444_800_000i64)]
    from_ms: Option<i64>,
    /// End, exclusive, UTC ms; that of its last figures where it is left out.
    #[param(minimum = 0, maximum = 4_102_444_800_000i64)]
    to_ms: Option<i64>,
}

/// Most candles in one answer.
const MAX_CANDLES: usize = 200_000;

/// Cached candles of a strategy's symbol and timeframe, by columns, with the series that its rules look at
#[utoipa::path(get, path = "/api/strategies/{id}/candles", tag = "read",
    params(("id" = String, Path, description = "Number, id, name, or the first characters of id or genome hash"), CandleParams),
    responses((status = 200, description = "Columns of open times (ms) and prices", body = Value), Failures))]
pub(super) async fn candles(State(api): Api_, At(id): At<String>, Params(p): Params<CandleParams>) -> Answer {
    let found = find(&api, &id).await?;
    let symbol = match symbol(p.symbol.as_deref())? {
        Some(symbol) => symbol,
        None => found.symbols.first().cloned().ok_or_else(|| wrong("symbol", "the strategy has none"))?,
    };
    for (field, ms) in [("from_ms", p.from_ms), ("to_ms", p.to_ms)] {
        if ms.is_some_and(|ms| !(0..=4_102_444_800_000).contains(&ms)) {
            return Err(wrong(field, "a time from 1970 to 2100 in ms is expected"));
        }
    }
    let stats = api.store.strategy(&found.id.to_string()).await?.stats;
    let first = p.from_ms.or(stats.iter().map(|s| s.window_from_ms).min());
    let last = p.to_ms.or(stats.iter().map(|s| s.window_to_ms).max());
    let (from_ms, to_ms) = (first.unwrap_or(0), last.unwrap_or(0));
    if from_ms >= to_ms {
        return Ok(Json(json!({ "symbol": symbol, "time_ms": [], "open": [], "high": [], "low": [], "close": [] })));
    }
    let (seen, left_out) = api.backtests.candles(&found, &symbol, from_ms, to_ms, MAX_CANDLES).await?;
    let all = &seen.candles;
    let series = seen.series.iter().map(|s| json!({ "name": s.name, "scale": s.scale, "values": s.values }));
    Ok(Json(json!({
        "symbol": symbol, "interval": found.timeframe, "left_out": left_out,
        "series": series.collect::<Vec<_>>(), "not_shown": seen.not_shown,
        "time_ms": all.open_times_ms(), "open": all.opens(), "high": all.highs(), "low": all.lows(), "close": all.closes(),
    })))
}

/// Days of live strategies that are told of, the newest.
const LIVE_DAYS: u32 = 730;
/// Strategies in shadow that are told of, those with the most evidence.
const NEAREST: u32 = 12;

/// Everything at a glance: counts, health, what happened last, live strategies
#[utoipa::path(get, path = "/api/overview", tag = "read",
    responses((status = 200, description = "Everything at a glance", body = Value), Failures))]
pub(super) async fn overview(State(api): Api_) -> Answer {
    let read = api.reader.read().await;
    let health = assess(&read, api.health_limits, api.started_ms, api.clock.now_ms());
    let snapshot = read.map_err(|why| Problem::new(StatusCode::SERVICE_UNAVAILABLE, format!("the database: {why}")))?;
    let news = api.store.recent_transitions(Page::first(40)).await?;
    let news = news.into_iter().map(|t| {
        json!({
            "seq": t.seq, "strategy": t.strategy_name, "strategy_uuid": t.strategy_id, "from": t.from, "to": t.to,
            "summary": t.summary, "actor": t.actor, "at_ms": t.at_market_ms, "at": t.created_at,
        })
    });
    let facets = api.store.strategy_facets().await?;
    let nearest = StrategyQuery { states: vec![Phase::Shadow], sort: StrategySort::LogE, ..StrategyQuery::default() };
    let (shadow, _) = api.store.list_strategies(&nearest, Page::first(NEAREST)).await?;
    Ok(Json(json!({
        "stats": Stats::from(snapshot),
        "health": health,
        "news": news.collect::<Vec<_>>(),
        "live": api.store.live_strategies().await?,
        "live_days": api.store.live_days(LIVE_DAYS).await?,
        "shadow": shadow.into_iter().map(StrategyRow::from).collect::<Vec<_>>(),
        "searches": api.store.searches_under_way().await?,
        "facets": facets,
        "targets": api.targets,
        "may_act": api.action_token.is_some(),
    })))
}

fn backtest_line(b: store::ServiceBacktestLine) -> serde_json::Value {
    json!({ "backtest_id": b.id, "from_ms": b.from_ms, "to_ms": b.to_ms, "has_usual_terms": b.has_usual_terms })
}
