//! A finished search's best, measured on the hold-out that it never saw and judged by the gate.
//!
//! Everything is decided before anything is stored; the store then takes it in one transaction.

use super::candles::Loaded;
use super::core::Core;
use super::messages::announce;
use super::replay::{Recipe, RunConfig};
use crate::engine::{EvaluationError, Outcome, Wanted};
use crate::lifecycle::{Decision, GateEvidence, State, Verdict};
use crate::search::{self, Components, Individual, SearchState};
use crate::store::{
    CandidateRecord, Judgement, NewPaperRun, NewScore, NewSession, NewStrategy, Page, SERVICE_KIND, ScorePart, Session,
    StrategyFilter, TransitionRecord, WaitingRecord, WindowStat,
};
use genome::{Niche, Strategy};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Instant;
use uuid::Uuid;

/// The session's best as candidates with what the gate says of each, best first.
///
/// # Errors
/// When the hold-out's candles are not there. A candidate that cannot be evaluated is held, not an error.
pub(super) async fn candidates(
    core: &Arc<Core>,
    session: &Session,
    state: &SearchState,
    loaded: &Loaded,
) -> anyhow::Result<Vec<CandidateRecord>> {
    let champions = search::champions(state, core.settings.candidates_per_session as usize);
    let strategies = champions.iter().map(|c| c.strategy.clone()).collect();
    let measured = measure(core, &session.spec, strategies, loaded).await?;
    champions.iter().zip(measured).map(|(champion, measured)| record(core, session, champion, measured)).collect()
}

/// Strategies that wait as candidates (added or revived by an operator) on the session's symbols, judged alike.
///
/// # Errors
/// When the store does not answer, or the hold-out's candles are not there.
pub(super) async fn waiting(
    core: &Arc<Core>,
    session: &Session,
    loaded: &Loaded,
) -> anyhow::Result<Vec<WaitingRecord>> {
    let spec = &session.spec;
    let filter = StrategyFilter { states: vec![State::Candidate], ..StrategyFilter::default() };
    let mut found = core.store.strategies(&filter, Page::first(1_000)).await?;
    // What a client of the service posted is judged when an operator says so: a stranger spends no trials.
    found.retain(|s| s.symbols == spec.symbols && s.market == spec.market && s.kind != SERVICE_KIND);
    found.sort_by_key(|s| s.id);
    let mut strategies = Vec::with_capacity(found.len());
    found.retain(|s| match serde_json::from_value::<Strategy>(s.genome.clone()) {
        Ok(strategy) => {
            strategies.push(strategy);
            true
        }
        Err(error) => {
            tracing::error!(strategy = %s.id, %error, "the stored genome does not read: the strategy stays a candidate");
            false
        }
    });
    let measured = measure(core, spec, strategies, loaded).await?;
    let judge = |(strategy, measured): (&crate::store::Strategy, Measured)| {
        let names = (strategy.name.as_str(), strategy.canonical.as_str());
        let judgement = judgement(core, spec, strategy.id, names, measured, None)?;
        Ok(WaitingRecord { strategy_id: strategy.id, judgement })
    };
    found.iter().zip(measured).map(judge).collect()
}

/// What backtest and hold-out came to; `None` where the strategy could not be evaluated.
struct Measured {
    backtest: Option<WindowStat>,
    holdout: Option<WindowStat>,
    failure: Option<String>,
    execution_time_ms: u64,
}

/// Each strategy over what the search saw and over what it did not.
async fn measure(
    core: &Arc<Core>,
    spec: &NewSession,
    strategies: Vec<Strategy>,
    loaded: &Loaded,
) -> anyhow::Result<Vec<Measured>> {
    let (from_ms, split_ms, to_ms) = (spec.window_from_ms, spec.holdout_from_ms, spec.window_to_ms);
    let searched = loaded.window(from_ms, split_ms)?;
    let holdout = loaded.window(split_ms, to_ms)?;
    let (engine, costs) = (Arc::clone(&core.engine), core.costs);
    let (began, how_many) = (Instant::now(), strategies.len().max(1));
    let evaluated = core
        .compute(move || {
            let wanted = Wanted { ledger: true, ..Wanted::default() };
            let on = |window| engine.evaluate(&strategies, window, &costs, wanted);
            on(&searched).into_iter().zip(on(&holdout)).collect::<Vec<_>>()
        })
        .await?;
    // They are evaluated together: to each its share.
    let execution_time_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX) / how_many as u64;
    let stat = |from_ms, to_ms, outcome: Outcome| WindowStat {
        from_ms,
        to_ms,
        performance: outcome.performance,
        trades: outcome.ledger.unwrap_or_default().trades,
    };
    type Evaluated = Result<Outcome, EvaluationError>;
    let measured = |(backtest, holdout): (Evaluated, Evaluated)| {
        let failure = backtest.as_ref().err().or(holdout.as_ref().err()).map(ToString::to_string);
        Measured {
            backtest: backtest.ok().map(|o| stat(from_ms, split_ms, o)),
            holdout: holdout.ok().map(|o| stat(split_ms, to_ms, o)),
            failure,
            execution_time_ms,
        }
    };
    Ok(evaluated.into_iter().map(measured).collect())
}

/// What was measured of a strategy, with what the gate says of it.
fn judgement(
    core: &Core,
    spec: &NewSession,
    id: Uuid,
    names: (&str, &str),
    measured: Measured,
    champion: Option<&Individual>,
) -> anyhow::Result<Judgement> {
    let evidence = GateEvidence {
        backtest: measured.backtest.as_ref().map(|s| s.performance.clone()),
        holdout: measured.holdout.as_ref().map(|s| s.performance.clone()),
        ..GateEvidence::default()
    };
    let decision = core.gate.decide(State::Candidate, &evidence);
    let score = champion.and_then(|champion| score(champion, &decision));
    Ok(Judgement {
        backtest: measured.backtest,
        holdout: measured.holdout,
        parameters: parameters(core, spec, champion)?,
        failure: measured.failure,
        execution_time_ms: measured.execution_time_ms,
        score,
        transition: transition(core, spec, id, names, decision, &evidence)?,
    })
}

/// The search's fitness as a score, with what the gate missed; `None` where the fitness has no parts.
fn score(champion: &Individual, decision: &Decision) -> Option<NewScore> {
    let components = champion.measured.as_ref()?.components?;
    let parts = Components::WEIGHTS.iter().zip(components.values());
    let missed = decision.checks.iter().filter(|check| !check.passed);
    Some(NewScore {
        components: parts.map(|(&(name, weight), score)| (name.to_owned(), ScorePart { score, weight })).collect(),
        promotion_eligible: matches!(decision.verdict, Verdict::Move(to) if to.to() == State::Shadow),
        warnings: missed.map(ToString::to_string).collect(),
    })
}

/// The transition that follows from a decision, if one does.
fn transition(
    core: &Core,
    spec: &NewSession,
    id: Uuid,
    (name, text): (&str, &str),
    decision: Decision,
    evidence: &GateEvidence,
) -> anyhow::Result<Option<TransitionRecord>> {
    let (at_ms, json) = (spec.window_to_ms, serde_json::to_value(evidence)?);
    let made = TransitionRecord::from_decision(id, core.gate.name(), decision, json, "candidate gate", at_ms);
    let Some(mut record) = made else { return Ok(None) };
    if record.transition.to() == State::Shadow {
        let symbols = core.settings.followed_symbols(&spec.symbols).to_vec();
        let config = RunConfig { symbols, ..config(core, spec) };
        let warmup_from_ms = at_ms - core.warmup_ms();
        record.run = Some(NewPaperRun { warmup_from_ms, config: serde_json::to_value(&config)? });
    }
    announce(&core.channels, &mut record, name, text);
    Ok(Some(record))
}

/// What the session's backtests were run with.
fn config(core: &Core, spec: &NewSession) -> RunConfig {
    RunConfig {
        market: spec.market,
        symbols: spec.symbols.clone(),
        interval: spec.timeframe,
        costs: core.costs,
        initial_capital: core.initial_capital,
        code_version: spec.code_version.clone(),
    }
}

/// What a replay needs, and what the search thought of it.
fn parameters(core: &Core, spec: &NewSession, champion: Option<&Individual>) -> anyhow::Result<Value> {
    let warmup_from_ms = spec.window_from_ms - core.warmup_ms();
    let recipe = Recipe { config: config(core, spec), warmup_from_ms, data_to_ms: Some(spec.window_to_ms) };
    let mut parameters = serde_json::to_value(&recipe)?;
    if let (Some(map), Some(champion)) = (parameters.as_object_mut(), champion) {
        let measured = champion.measured.as_ref();
        map.insert("fitness".to_owned(), json!(measured.map(|m| m.fitness)));
        map.insert("components".to_owned(), json!(measured.and_then(|m| m.components)));
        map.insert("seed".to_owned(), json!(spec.seed));
    }
    Ok(parameters)
}

fn record(
    core: &Core,
    session: &Session,
    champion: &Individual,
    measured: Measured,
) -> anyhow::Result<CandidateRecord> {
    let spec = &session.spec;
    let hash = champion.hash.to_string();
    let strategy = NewStrategy {
        id: Uuid::now_v7(),
        name: format!("{}-{}", Niche::of(&champion.strategy).family, &hash[..8]),
        genome: serde_json::to_value(&champion.strategy)?,
        canonical: champion.strategy.to_string(),
        genome_hash: hash,
        kind: "evolved".to_owned(),
        version: "1.0.0".to_owned(),
        parent_hashes: champion.parents.iter().map(ToString::to_string).collect(),
        generation: champion.born,
        island: Some(spec.island.clone()),
        session_id: Some(session.id),
        symbols: spec.symbols.clone(),
        market: spec.market,
        timeframe: champion.strategy.timeframe,
        seen_until_ms: Some(spec.window_to_ms),
        created_by: "search".to_owned(),
    };
    let names = (strategy.name.as_str(), strategy.canonical.as_str());
    let judgement = judgement(core, spec, strategy.id, names, measured, Some(champion))?;
    Ok(CandidateRecord { strategy, judgement })
}
