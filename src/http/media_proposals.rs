//! Strategies of a media item: proposed, stored as candidates, tested, and judged by the limits that clients of media know,
//! beside what there is to believe. Decides nothing about promotion.

use super::{
    api::Api,
    backtests::BacktestOrder,
    extract::OptionalBody,
    media_items::MediaId,
    problem::Problem,
    rules::StrategyRequest,
    service::{self, BacktestAnswer, Order},
    terms::AskedTerms,
    wire::time_ms,
};
use axum::{Json, extract::State};
use candles::{Symbol, time};
use genome::{AnyStrategy, Strategy, Timeframe};
use media::{ClientStrategy, ClientVerdict, Figures, LexiconProposal, VerdictStatus};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::{sync::Arc, time::Instant};
use store::{MediaItem, ProposalKind, Strategy as StoredStrategy};
use utoipa::ToSchema;
use uuid::Uuid;

type Api_ = State<Arc<Api>>;

/// How strategies of an item are tested; all of it may be left out, as may the body.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct MediaStrategiesRequest {
    /// Such as `BTCUSDT`; the first one that the daemon searches on where it is left out.
    #[serde(default)]
    #[schema(pattern = r"^[A-Za-z0-9_]{1,10}[/-]?[A-Za-z0-9_]{1,10}(:[A-Za-z0-9_]{1,10})?$", example = "BTCUSDT")]
    symbol: Option<String>,
    /// First day (00:00 UTC) or moment traded; `daemon.backtest_days` before the end where it is left out.
    #[serde(default)]
    #[schema(example = "2024-01-01")]
    start_date: Option<String>,
    /// End, exclusive; the last 00:00 UTC where it is left out.
    #[serde(default)]
    #[schema(example = "2024-03-01")]
    end_date: Option<String>,
    /// Quote units; that of the settings where it is left out.
    #[serde(default)]
    #[schema(minimum = 1.0, maximum = 1e12, example = 10000.0)]
    initial_capital: Option<f64>,
    /// Candles of strategies that name none; those that the daemon searches on where it is left out.
    #[serde(default)]
    #[schema(pattern = r"^(1m|3m|5m|15m|30m|1h|2h|4h|6h|8h|12h|1d|3d|1w|1M)$", example = "15m")]
    timeframe: Option<String>,
}

/// A step that was done.
#[derive(Serialize, ToSchema)]
pub(super) struct Step {
    /// `features`, `propose`, `store`, `count`, `backtest`, `judge`.
    step: &'static str,
    /// Which strategy, where the step is about one.
    strategy: Option<String>,
    /// What came of it.
    detail: String,
    duration_ms: u64,
}

/// What there is to believe of a strategy.
#[derive(Serialize, ToSchema)]
pub(super) struct Honest {
    /// Where it stands: `candidate` for what is new.
    #[schema(value_type = String)]
    state: lifecycle::State,
    /// Candles up to then may have shaped it: what it did on those proves nothing.
    seen_until: Option<String>,
    /// What is proved of it on candles that it has not seen, in words.
    evidence: String,
    /// How often luck was tried, ever, this family included.
    trials: u64,
}

/// A strategy of an item with both verdicts.
#[derive(Serialize, ToSchema)]
pub(super) struct ProposedStrategy {
    /// `features`: as existing clients expect it; `lexicon`: in the whole language.
    #[schema(value_type = String, example = "features")]
    kind: ProposalKind,
    strategy_id: i64,
    uuid: Uuid,
    /// As it is stored: another one where the same rules were stored before.
    name: String,
    /// `media:` and the number of the item.
    origin: String,
    /// False where the same rules were stored before.
    created: bool,
    /// As clients write it; null for the lexicon's.
    #[schema(value_type = Option<Object>)]
    client: Option<ClientStrategy>,
    /// In the language's canonical form.
    rules: String,
    /// In sentences.
    description: String,
    warnings: Vec<String>,
    backtest: BacktestAnswer,
    /// `promoted` or `not_promoted`, by MIN_SHARPE_RATIO, MIN_WIN_RATE_PERCENT and MAX_DRAWDOWN_PERCENT.
    #[schema(value_type = String, example = "not_promoted")]
    status: VerdictStatus,
    reason: String,
    honest: Honest,
}

/// The strategies of an item.
#[derive(Serialize, ToSchema)]
pub(super) struct MediaStrategiesAnswer {
    media_item_id: i32,
    family: i64,
    /// Whether this is the first time that strategies of the family were proposed, which counts as a trial.
    counted_as_trial: bool,
    /// `promoted` or `not_promoted`: that of the strategy from features.
    #[schema(value_type = String, example = "not_promoted")]
    status: VerdictStatus,
    reason: String,
    strategies: Vec<ProposedStrategy>,
    /// What the lexicon found, and what it left out.
    #[schema(value_type = Object)]
    lexicon: LexiconProposal,
    steps: Vec<Step>,
}

/// A strategy that is to be stored and tested.
struct Proposal {
    kind: ProposalKind,
    name: String,
    strategy: Strategy,
    client: Option<ClientStrategy>,
    warnings: Vec<String>,
    from_ms: i64,
}

/// How an item's strategies are tested.
struct Plan {
    symbol: Symbol,
    from_ms: i64,
    to_ms: i64,
    /// Whether somebody stated when it begins.
    from_is_stated: bool,
    initial_capital: f64,
    timeframe: Timeframe,
}

impl MediaStrategiesRequest {
    async fn plan(&self, api: &Api) -> Result<Plan, Problem> {
        let (customary, _, symbols) = api.backtests.customary();
        let symbol = match (&self.symbol, symbols.into_iter().next()) {
            (Some(text), _) => service::symbol(text)?,
            (None, Some(first)) => first,
            (None, None) => return Err(Problem::field("symbol", "missing: the daemon searches on no symbol")),
        };
        let timeframe = match &self.timeframe {
            None => customary,
            Some(text) => text.parse().map_err(|why: String| Problem::field("timeframe", why))?,
        };
        let date = |field: &str, text: &Option<String>| {
            text.as_deref().map(time_ms).transpose().map_err(|why| Problem::field(field, why))
        };
        let now_ms = api.store.market_now_ms(api.clock.now_ms()).await?;
        let to_ms = date("end_date", &self.end_date)?.unwrap_or(now_ms - now_ms.rem_euclid(time::DAY_MS));
        let stated = date("start_date", &self.start_date)?;
        let from_ms = stated.unwrap_or(to_ms - i64::from(api.backtest_days) * time::DAY_MS);
        if from_ms >= to_ms {
            return Err(Problem::field("end_date", "it must be after start_date"));
        }
        let initial_capital = self.initial_capital.unwrap_or(api.initial_capital);
        if !(1.0..=1e12).contains(&initial_capital) {
            return Err(Problem::field("initial_capital", "1 to 1e12 quote units are expected"));
        }
        Ok(Plan { symbol, from_ms, to_ms, from_is_stated: stated.is_some(), initial_capital, timeframe })
    }
}

impl Plan {
    /// When a backtest on this timeframe begins. More candles than one may look at are a mistake where somebody asked for
    /// them, and otherwise a shorter window.
    fn begin_ms(&self, api: &Api, timeframe: Timeframe) -> Result<i64, Problem> {
        let (each, most) = (timeframe.fixed_ms().unwrap_or(30 * time::DAY_MS), api.limits.max_backtest_candles);
        let candles = (self.to_ms - self.from_ms) / each;
        if candles <= most {
            return Ok(self.from_ms);
        }
        if self.from_is_stated {
            let why = format!("{candles} candles of {timeframe} are asked for; {most} are the most");
            return Err(Problem::field("start_date", why));
        }
        Ok(self.to_ms - most * each)
    }

    fn proposal(
        &self,
        api: &Api,
        kind: ProposalKind,
        request: Value,
        client: Option<ClientStrategy>,
    ) -> Result<Proposal, Problem> {
        // What clients may post is what is proposed: it means the same.
        let request: StrategyRequest = serde_json::from_value(request)
            .map_err(|why| Problem::from(store::StoreError::Invalid(format!("the proposal does not read: {why}"))))?;
        let (strategy, warnings) = request.strategy(self.timeframe)?;
        let Some(rules) = strategy.rules().cloned() else {
            return Err(Problem::field("strategy", "a strategy from media has rules"));
        };
        let from_ms = self.begin_ms(api, rules.timeframe)?;
        Ok(Proposal { kind, name: request.name.clone(), strategy: rules, client, warnings, from_ms })
    }
}

/// What an item proposes: what clients expect, and what the lexicon makes of it where that is something else.
fn proposals(api: &Api, plan: &Plan, item: &MediaItem) -> Result<(Vec<Proposal>, LexiconProposal), Problem> {
    let client = media::client_strategy(item.id, &item.features);
    let request = serde_json::to_value(&client).unwrap_or_default();
    let mut found = vec![plan.proposal(api, ProposalKind::Features, request, Some(client.clone()))?];
    let mut lexicon = media::propose(&item.item, plan.timeframe);
    if let Some(text) = &lexicon.strategy {
        let request = json!({ "name": format!("{}_lexicon", client.name), "strategy": text });
        match plan.proposal(api, ProposalKind::Lexicon, request, None) {
            Ok(proposal) if proposal.strategy != found[0].strategy => found.push(proposal),
            Ok(_) => {}
            Err(problem) => lexicon.left_out.push(format!("the strategy as a whole: {}", problem.detail)),
        }
    }
    Ok((found, lexicon))
}

/// Steps with the time that each took.
struct Steps {
    done: Vec<Step>,
    began: Instant,
}

impl Steps {
    fn add(&mut self, step: &'static str, strategy: Option<&str>, detail: impl Into<String>) {
        let duration_ms = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.done.push(Step { step, strategy: strategy.map(str::to_owned), detail: detail.into(), duration_ms });
        self.began = Instant::now();
    }
}

/// Propose, test and judge strategies of a media item
///
/// Each is stored as a candidate before it is tested. A video and its near-duplicates count as one trial of luck.
#[utoipa::path(post, path = "/media/{media_item_id}/strategies", tag = "media", security((), ("token" = [])),
    request_body(content = Option<MediaStrategiesRequest>),
    params(("media_item_id" = i32, Path, minimum = 1, description = "The client's number of the item")), responses(
    (status = 200, description = "They were tested", body = MediaStrategiesAnswer),
    (status = 400, description = "The body is not JSON, or the number is none", body = Problem, content_type = "application/problem+json"),
    (status = 401, description = "No token, or a wrong one, where http.client_token is set", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "There is no such item, or there are no candles; the field is named", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "As many strategies are stored as clients may store", body = Problem, content_type = "application/problem+json"),
    (status = 413, description = "The body is too large", body = Problem, content_type = "application/problem+json"),
    (status = 415, description = "The body is not sent as JSON", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "A field is wrong; it is named", body = Problem, content_type = "application/problem+json"),
    (status = 429, description = "Too many backtests run, or were posted from this address", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "Database or exchange do not answer", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn post_strategies(
    State(api): Api_,
    MediaId(id): MediaId,
    OptionalBody(request): OptionalBody<MediaStrategiesRequest>,
) -> Result<Json<MediaStrategiesAnswer>, Problem> {
    let mut steps = Steps { done: Vec::new(), began: Instant::now() };
    let item = api.store.media_item(id).await?;
    let plan = request.plan(&api).await?;
    steps.add(
        "features",
        None,
        format!("{} of them, from {} hits", item.features.feature_count, item.item.keyword_hits.len()),
    );
    let (proposals, lexicon) = proposals(&api, &plan, &item)?;
    for proposal in &proposals {
        steps.add("propose", Some(&proposal.name), proposal.strategy.to_string());
    }
    let seen_until_ms = api.seen_until_ms(None).await?;
    let origin = format!("media:{id}");
    let mut stored = Vec::with_capacity(proposals.len());
    for proposal in &proposals {
        let strategy = AnyStrategy::from(proposal.strategy.clone());
        let new = service::candidate(&api, &proposal.name, &strategy, seen_until_ms, &origin);
        let (strategy, created) = api.store.put_strategy(&new, api.limits.max_client_strategies).await?;
        let told = if created { "stored as a candidate" } else { "its rules are stored already" };
        let (number, name, state) = (strategy.number, &strategy.name, strategy.state);
        steps.add("store", Some(&proposal.name), format!("{told}: strategy {number}, {name}, {state}"));
        stored.push((strategy, created));
    }
    let links: Vec<_> = proposals.iter().zip(&stored).map(|(p, (strategy, _))| (p.kind, strategy.id)).collect();
    // Counted before anything is known of how they do.
    let proposed = api.store.propose_media(id, &item.digest, &links).await?;
    let counted = if proposed.is_trial { "one trial" } else { "no further trial: its family was tried before" };
    steps.add("count", None, format!("family {}: {counted}", item.family));
    let mut strategies = Vec::with_capacity(proposals.len());
    for ((proposal, (strategy, created)), row) in proposals.into_iter().zip(stored).zip(&proposed.ids) {
        strategies.push(tested(&api, &plan, proposal, (strategy, created, &origin, *row), &mut steps).await?);
    }
    let first = strategies.first().map(|first| (first.status, first.reason.clone()));
    let (status, reason) = first.unwrap_or((VerdictStatus::NotPromoted, "nothing was proposed".to_owned()));
    Ok(Json(MediaStrategiesAnswer {
        media_item_id: id,
        family: item.family,
        counted_as_trial: proposed.is_trial,
        status,
        reason,
        strategies,
        lexicon,
        steps: steps.done,
    }))
}

/// Tests a stored proposal and judges it, both ways.
async fn tested(
    api: &Api,
    plan: &Plan,
    proposal: Proposal,
    (stored, created, origin, row): (StoredStrategy, bool, &str, i64),
    steps: &mut Steps,
) -> Result<ProposedStrategy, Problem> {
    let order = Order::Rules(Box::new(BacktestOrder {
        strategy: proposal.strategy.clone(),
        symbol: plan.symbol.clone(),
        from_ms: proposal.from_ms,
        to_ms: plan.to_ms,
        initial_capital: plan.initial_capital,
        terms: AskedTerms::default(),
    }));
    let (uuid, number, name, rules) = (stored.id, stored.number, stored.name.clone(), stored.canonical.clone());
    let done = service::tested(api, stored, order).await?;
    let performance = &done.backtest.performance;
    steps.add(
        "backtest",
        Some(&proposal.name),
        format!("backtest {} on {}: {} trades", done.id, plan.symbol, performance.total_trades),
    );
    let ClientVerdict { status, reason } = api.media_limits.judge(&Figures {
        sharpe_ratio: performance.sharpe_ratio,
        win_rate: performance.win_rate,
        max_drawdown: performance.max_drawdown,
        total_trades: performance.total_trades,
    });
    api.store.judge_media(row, done.id, status.name(), &reason).await?;
    let detail = api.store.strategy(&uuid.to_string()).await?;
    let evidence = detail.no_holdout.clone().unwrap_or_else(|| {
        let measured = detail.stats.iter().any(|stat| stat.source != store::StatSource::Backtest);
        if measured { "measured on candles that it had not seen: see the strategy" } else { "nothing is proved of it" }
            .to_owned()
    });
    let honest = Honest {
        state: detail.strategy.state,
        seen_until: detail.strategy.seen_until_ms.and_then(time::rfc3339),
        evidence,
        trials: api.store.trial_totals().await?.evaluations,
    };
    steps.add("judge", Some(&proposal.name), format!("{}; {} by evidence", status.name(), honest.state));
    Ok(ProposedStrategy {
        kind: proposal.kind,
        strategy_id: number,
        uuid,
        name,
        origin: origin.to_owned(),
        created,
        client: proposal.client,
        rules,
        description: genome::describe(&proposal.strategy),
        warnings: proposal.warnings,
        backtest: BacktestAnswer::from(&done),
        status,
        reason,
        honest,
    })
}
