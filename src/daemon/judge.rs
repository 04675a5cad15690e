//! A finished search's best, measured on the hold-out that it never saw and judged by the gate.
//!
//! Everything is decided before anything is stored; the store then takes it in one transaction.

use super::candles::Loaded;
use super::core::Core;
use super::messages::announce;
use super::replay::{Recipe, RunConfig};
use crate::engine::Wanted;
use crate::lifecycle::{GateEvidence, State};
use crate::search::{self, Individual, SearchState};
use crate::store::{CandidateRecord, NewPaperRun, NewStrategy, Session, TransitionRecord, WindowStat};
use genome::{Niche, Strategy};
use serde_json::json;
use std::sync::Arc;
use uuid::Uuid;

/// The session's best as candidates with what the gate says of each, best first.
///
/// # Errors
/// When the hold-out's candles are not there. A candidate that cannot be evaluated is rejected, not an error.
pub(super) async fn candidates(
    core: &Arc<Core>,
    session: &Session,
    state: &SearchState,
    loaded: &Loaded,
) -> anyhow::Result<Vec<CandidateRecord>> {
    let spec = &session.spec;
    let champions = search::champions(state, core.settings.candidates_per_session as usize);
    let strategies: Vec<Strategy> = champions.iter().map(|c| c.strategy.clone()).collect();
    let searched = loaded.window(spec.window_from_ms, spec.holdout_from_ms)?;
    let holdout = loaded.window(spec.holdout_from_ms, spec.window_to_ms)?;
    let (engine, costs) = (Arc::clone(&core.engine), core.costs);
    let (backtests, holdouts) = core
        .compute(move || {
            let wanted = Wanted::default();
            (
                engine.evaluate(&strategies, &searched, &costs, wanted),
                engine.evaluate(&strategies, &holdout, &costs, wanted),
            )
        })
        .await?;
    let results = backtests.into_iter().zip(holdouts);
    champions
        .iter()
        .zip(results)
        .map(|(champion, (backtest, holdout))| {
            let stat = |from_ms, to_ms, performance| WindowStat { from_ms, to_ms, performance };
            let backtest = backtest.ok().map(|o| stat(spec.window_from_ms, spec.holdout_from_ms, o.performance));
            let holdout = holdout.ok().map(|o| stat(spec.holdout_from_ms, spec.window_to_ms, o.performance));
            record(core, session, champion, backtest, holdout)
        })
        .collect()
}

fn record(
    core: &Core,
    session: &Session,
    champion: &Individual,
    backtest: Option<WindowStat>,
    holdout: Option<WindowStat>,
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
    let evidence = GateEvidence {
        backtest: backtest.as_ref().map(|s| s.performance.clone()),
        holdout: holdout.as_ref().map(|s| s.performance.clone()),
        ..GateEvidence::default()
    };
    let decision = core.gate.decide(State::Candidate, &evidence);
    let at_ms = spec.window_to_ms;
    let config = RunConfig {
        market: spec.market,
        symbols: spec.symbols.clone(),
        interval: spec.timeframe,
        costs: core.costs,
        initial_capital: core.initial_capital,
        code_version: spec.code_version.clone(),
    };
    let mut transition = TransitionRecord::from_decision(
        strategy.id,
        core.gate.name(),
        decision,
        serde_json::to_value(&evidence)?,
        "candidate gate",
        at_ms,
    );
    if let Some(record) = &mut transition {
        if record.transition.to() == State::Shadow {
            let symbols = core.settings.followed_symbols(&spec.symbols).to_vec();
            let config = RunConfig { symbols, ..config.clone() };
            let warmup_from_ms = at_ms - core.warmup_ms();
            record.run = Some(NewPaperRun { warmup_from_ms, config: serde_json::to_value(&config)? });
        }
        announce(core, record, &strategy.name, &strategy.canonical);
    }
    let warmup_from_ms = spec.window_from_ms - core.warmup_ms();
    let mut parameters = serde_json::to_value(&Recipe { config, warmup_from_ms, data_to_ms: Some(spec.window_to_ms) })?;
    let search = json!({
        "fitness": champion.measured.as_ref().map(|m| m.fitness),
        "components": champion.measured.as_ref().and_then(|m| m.components),
        "seed": spec.seed,
    });
    if let (Some(to), serde_json::Value::Object(from)) = (parameters.as_object_mut(), search) {
        to.extend(from);
    }
    Ok(CandidateRecord { strategy, backtest, holdout, parameters, transition })
}
