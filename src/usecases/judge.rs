//! A finished search's best, measured on the hold-out that it never saw and judged by the gate.
//!
//! Everything is decided before anything is stored; the store then takes it in one transaction.

use super::messages::announce;
use super::parts::SessionParts;
use super::recipe::run_config;
use engine::{Performance, Recipe, RunConfig, Trade};
use genome::{Niche, Strategy};
use lifecycle::{CandidateEvidence, Decision, GateEvidence, State, Tested, Verdict};
use protocol::{self, Candidate, Numbers, SeenUntil, SessionState, Split};
use search::{Components, Individual};
use serde_json::json;
use std::sync::Arc;
use std::time::Instant;
use store::{
    CandidateRecord, Judgement, NewPaperRun, NewScore, NewSession, NewStrategy, Page, Parameters, ScorePart, Session,
    SessionNumbers, StrategyFilter, TransitionRecord, WaitingRecord, WindowStat,
};
use uuid::Uuid;

/// What a session's end takes in: its best, and the strategies that waited as candidates.
type Judged = (Vec<CandidateRecord>, Vec<WaitingRecord>);

/// The session's best as candidates, best first, and strategies that wait (added or revived by an operator) on its
/// symbols, with what the hold-out proved of each and what the gate says.
///
/// # Errors
/// When the store does not answer. A strategy that cannot be evaluated is held, not an error.
pub(crate) async fn all(
    parts: &SessionParts,
    session: &Session,
    state: &SessionState,
    (split, numbers): (&Arc<Split>, SessionNumbers),
) -> anyhow::Result<Judged> {
    let found = state.candidates(parts.search.plan());
    let waiting = waiting(parts, session, split).await?;
    let mut asked: Vec<_> = found.iter().map(Into::into).collect();
    asked.extend(waiting.iter().map(|(_, strategy, seen)| (strategy.clone(), None, 0, *seen)));
    let most = parts.search.plan().candidates + waiting.len();
    let (engine, terms, split) = (Arc::clone(&parts.compute.engine), parts.compute.terms, Arc::clone(split));
    let (began, how_many) = (Instant::now(), asked.len().max(1));
    let judged =
        parts.compute.run(move || protocol::judge(&asked, (&split.searchable, &split.unseen), &engine, &terms)).await?;
    // They are evaluated together: to each its share.
    let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX) / how_many as u64;
    let numbers = Numbers { session: numbers.session, selected: numbers.selected, promotions: numbers.promotions };
    let levelled = judged.into_iter().enumerate().map(|(rank, judged)| {
        let mut judged: protocol::Judged = judged?;
        let p_value = judged.standing.p_value;
        judged.standing.level =
            protocol::level(parts.search.protocol.alpha, numbers, parts.gates.limits.max_p_value, p_value, rank, most);
        Ok(judged)
    });
    let levelled: Vec<Outcome> = levelled.collect();
    let (of_found, of_waiting) = levelled.split_at(found.len());
    let candidates =
        found.iter().zip(of_found).map(|(candidate, outcome)| record(parts, session, candidate, (outcome, took_ms)));
    let held = waiting.iter().zip(of_waiting).map(|((stored, ..), outcome)| {
        let names = (stored.name.as_str(), stored.canonical.as_str());
        let judgement = judgement(parts, &session.spec, (stored.id, names), (outcome, took_ms), None)?;
        Ok(WaitingRecord { strategy_id: stored.id, judgement })
    });
    Ok((candidates.collect::<anyhow::Result<_>>()?, held.collect::<anyhow::Result<_>>()?))
}

/// Strategies that wait as candidates on the session's symbols and have seen nothing of its hold-out. The others wait on:
/// part of a hold-out would be too short for most of what the gate asks, and they would be refused for that.
async fn waiting(
    parts: &SessionParts,
    session: &Session,
    split: &Split,
) -> anyhow::Result<Vec<(store::Strategy, Strategy, SeenUntil)>> {
    let spec = &session.spec;
    // What a client of the service posted is judged when an operator says so: a stranger spends no trials.
    let filter = StrategyFilter { states: vec![State::Candidate], but_clients: true, ..StrategyFilter::default() };
    let mut found = parts.process.store.strategies(&filter, Page::first(1_000)).await?;
    found.retain(|s| s.symbols == spec.symbols && s.market == spec.market);
    found.sort_by_key(|s| s.id);
    let split_ms = split.searchable.seen_until().ms();
    let (found, seen): (Vec<_>, Vec<_>) = found.into_iter().partition(|s| s.may_have_seen_until_ms() <= split_ms);
    if !seen.is_empty() {
        tracing::info!(strategies = seen.len(), "candidates that have seen something of the hold-out wait on");
    }
    let read = |stored: store::Strategy| match stored.genome.read().cloned() {
        Ok(strategy) => {
            let seen = SeenUntil::stated(stored.may_have_seen_until_ms());
            Some((stored, strategy, seen.join(split.searchable.seen_until())))
        }
        Err(error) => {
            let id = stored.id;
            tracing::error!(strategy = %id, %error, "the stored genome does not read: the strategy stays a candidate");
            None
        }
    };
    Ok(found.into_iter().filter_map(read).collect())
}

/// What was measured of a strategy, or why nothing could be.
type Outcome = Result<protocol::Judged, String>;

/// What the store is told of a strategy: figures, what was proved, and the transition that follows, if one does.
fn judgement(
    parts: &SessionParts,
    spec: &NewSession,
    (id, names): (Uuid, (&str, &str)),
    (outcome, execution_time_ms): (&Outcome, u64),
    champion: Option<&Individual>,
) -> anyhow::Result<Judgement> {
    let judged = outcome.as_ref().ok();
    let evidence = GateEvidence::Candidate(CandidateEvidence {
        tested: Tested { backtest: judged.map(|j| j.backtest.clone()), holdout: judged.map(|j| j.holdout.clone()) },
        protocol: judged.map(|j| j.standing.evidence()),
    });
    let decision = parts.gates.gate.decide(&evidence);
    let score = champion.and_then(|champion| score(champion, &decision));
    let (from_ms, split_ms, to_ms) = (spec.window_from_ms, spec.holdout_from_ms, spec.window_to_ms);
    let stat = |from_ms, to_ms, p: &Performance, trades: &[Trade]| WindowStat {
        from_ms,
        to_ms,
        performance: p.clone(),
        trades: trades.to_vec(),
    };
    Ok(Judgement {
        backtest: judged.map(|j| stat(from_ms, split_ms, &j.backtest, &j.backtest_trades)),
        holdout: judged.map(|j| stat(split_ms, to_ms, &j.holdout, &j.holdout_trades)),
        parameters: parameters(parts, spec, champion),
        failure: outcome.as_ref().err().cloned(),
        execution_time_ms,
        score,
        standing: judged.map(|j| j.standing.clone()),
        transition: transition(parts, spec, id, names, decision, &evidence)?,
    })
}

/// The score for people, with what the gate missed; `None` where nothing was measured.
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
    parts: &SessionParts,
    spec: &NewSession,
    id: Uuid,
    (name, text): (&str, &str),
    decision: Decision,
    evidence: &GateEvidence,
) -> anyhow::Result<Option<TransitionRecord>> {
    let (at_ms, json) = (spec.window_to_ms, serde_json::to_value(evidence)?);
    let made = TransitionRecord::from_decision(id, parts.gates.gate.name(), decision, json, "candidate gate", at_ms);
    let Some(mut record) = made else { return Ok(None) };
    if record.transition.to() == State::Shadow {
        let symbols = parts.search.settings.followed_symbols(&spec.symbols).to_vec();
        let config = RunConfig { symbols, ..config(parts, spec) };
        let warmup_from_ms = at_ms - parts.search.settings.warmup_ms();
        record.run = Some(NewPaperRun { warmup_from_ms, config });
    }
    announce(&parts.process.channels, &mut record, name, text);
    Ok(Some(record))
}

/// What the session's backtests were run with.
fn config(parts: &SessionParts, spec: &NewSession) -> RunConfig {
    run_config(spec.market, spec.symbols.clone(), spec.timeframe, parts.compute.terms)
}

/// What a replay needs, and what the search thought of it.
fn parameters(parts: &SessionParts, spec: &NewSession, champion: Option<&Individual>) -> Parameters {
    let warmup_from_ms = spec.window_from_ms - parts.search.settings.warmup_ms();
    let recipe = Recipe { config: config(parts, spec), warmup_from_ms, data_to_ms: Some(spec.window_to_ms) };
    let mut parameters = Parameters::from(recipe);
    if let Some(champion) = champion {
        let measured = champion.measured.as_ref();
        parameters.notes.insert("fitness".to_owned(), json!(measured.map(|m| m.fitness)));
        parameters.notes.insert("components".to_owned(), json!(measured.and_then(|m| m.components)));
        parameters.notes.insert("seed".to_owned(), json!(spec.seed));
    }
    parameters
}

fn record(
    parts: &SessionParts,
    session: &Session,
    candidate: &Candidate,
    measured: (&Outcome, u64),
) -> anyhow::Result<CandidateRecord> {
    let (spec, champion) = (&session.spec, &candidate.individual);
    let hash = champion.hash.to_string();
    let strategy = NewStrategy {
        id: Uuid::now_v7(),
        name: format!("{}-{}", Niche::of(&champion.strategy).family, &hash[..8]),
        genome: champion.strategy.clone(),
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
        seen_until_ms: Some(candidate.seen.ms()),
        seen_is_stated: false,
        created_by: "search".to_owned(),
    };
    let names = (strategy.name.as_str(), strategy.canonical.as_str());
    let judgement = judgement(parts, spec, (strategy.id, names), measured, Some(champion))?;
    Ok(CandidateRecord { strategy, judgement })
}
