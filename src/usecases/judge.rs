//! A finished search's best, measured on the hold-out that it never saw and judged by the gate.
//!
//! Everything is decided before anything is stored; the store then takes it in one transaction.

use super::messages::announce;
use super::parts::SessionParts;
use super::recipe::run_config;
use candles::time::DAY_MS;
use engine::{Performance, Recipe, RunConfig, Trade};
use genome::{AnyNiche, AnyStrategy, StrategyForm};
use lifecycle::{
    CandidateEvidence, Check, Decision, DisableReason, GateEvidence, Policy, State, Tested, Transition, Verdict,
    VersionStep,
};
use protocol::{
    self, Account, Asked, Candidate, Choice, Halves, Named, Proposed, REMEMBERED_DAYS, SeenUntil, SessionState,
    UnderTest,
};
use search::{Components, Individual, Origin};
use serde_json::json;
use std::sync::Arc;
use std::time::Instant;
use store::{
    CandidateRecord, Judgement, LeaseToken, NewPaperRun, NewScore, NewSession, NewStrategy, Page, Parameters,
    ScorePart, SearchedRecord, Session, StrategyFilter, TransitionRecord, WaitingRecord, WindowStat,
};
use uuid::Uuid;

/// What a session's end takes in: its best, and the strategies that waited as candidates.
type Judged = (Vec<CandidateRecord>, Vec<WaitingRecord>);

/// The session's best as candidates, best first, and strategies that wait (added or revived by an operator) on its
/// symbols: those for which a test was bought, with what the hold-out proved of each and what the gate says; of the
/// others of its best, why there was no test. The session is numbered, and its tests are bought, before anything of the
/// hold-out is looked at.
///
/// # Errors
/// When the store does not answer. A strategy that cannot be evaluated is held, not an error.
pub(crate) async fn all(
    parts: &SessionParts,
    token: &LeaseToken,
    session: &Session,
    (state, searched): (&SessionState, &SearchedRecord),
    halves: &Arc<dyn Halves>,
) -> anyhow::Result<Judged> {
    let found = state.candidates(parts.search.plan());
    let waiting = waiting(parts, session, halves.seen_until()).await?;
    let choices = choose(parts, token, searched, (&found, &waiting), (&session.spec, halves)).await?;
    let (of_found, of_waiting) = choices.split_at(found.len().min(choices.len()));
    let chosen = |choice: &Choice| choice.as_ref().ok().copied();
    let mut tested: Vec<UnderTest> = Vec::new();
    tested.extend(found.iter().zip(of_found).filter_map(|(c, choice)| Some(UnderTest::candidate(c, chosen(choice)?))));
    let waits = waiting.iter().zip(of_waiting).filter_map(|((_, strategy, seen), choice)| {
        let (strategy, seen) = (strategy.clone(), *seen);
        Some(UnderTest { strategy, p_value: None, null_searches: 0, seen, test: chosen(choice)? })
    });
    tested.extend(waits);
    let twins = twins(parts, session, &tested, halves).await?;
    let (began, how_many) = (Instant::now(), tested.len().max(1));
    let of_both = Arc::clone(halves);
    let judged = parts.compute.run(move || of_both.judge(&tested)).await?;
    // They are evaluated together: to each its share.
    let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX) / how_many as u64;
    let mut judged = judged.into_iter().zip(twins);
    let mut next = move || judged.next().unwrap_or_else(|| (Err("it was not measured".to_owned()), None));
    let mut candidates = Vec::with_capacity(found.len());
    for (candidate, choice) in found.iter().zip(of_found) {
        candidates.push(match choice {
            Ok(_) => {
                let (outcome, twin) = next();
                record(parts, session, candidate, (&outcome, took_ms, twin), None)?
            }
            Err(why) => record(parts, session, candidate, (&Err(why.clone()), 0, None), Some(why.clone()))?,
        });
    }
    let mut held = Vec::new();
    for ((stored, strategy, _), choice) in waiting.iter().zip(of_waiting) {
        match choice {
            Ok(_) => {
                let (outcome, twin) = next();
                let named = (stored.id, stored.name.as_str(), strategy);
                let judgement = judgement(parts, &session.spec, named, (&outcome, took_ms, twin), None)?;
                held.push(WaitingRecord { strategy_id: stored.id, judgement });
            }
            Err(why) => tracing::info!(strategy = stored.name, "a candidate waits for a test: {why}"),
        }
    }
    Ok((candidates, held))
}

/// For each strategy under test the one in shadow or live on whose days it earns, and how much, if there is one. Both would
/// be one edge with twice its share of the capital. Asked after the tests were paid: what is in shadow or live is known
/// from candles that they rest on.
async fn twins(
    parts: &SessionParts,
    session: &Session,
    tested: &[UnderTest],
    halves: &Arc<dyn Halves>,
) -> anyhow::Result<Vec<Option<Twin>>> {
    if parts.gates.limits.policy == Policy::Thresholds || tested.is_empty() {
        return Ok(vec![None; tested.len()]);
    }
    let filter = StrategyFilter { states: vec![State::Shadow, State::Live], ..StrategyFilter::default() };
    let mut followed = parts.process.store.strategies(&filter, Page::first(1_000)).await?;
    let spec = &session.spec;
    followed.retain(|f| is_beside(f, parts, spec));
    let known: Vec<Named> =
        followed.into_iter().filter_map(|f| Some((f.name.clone(), f.genome.read().ok()?.clone()))).collect();
    let asked: Vec<Proposed> = tested.iter().map(|one| (one.strategy.clone(), one.p_value)).collect();
    let (halves, limits) = (Arc::clone(halves), parts.gates.limits.clone());
    let (asked, known) = parts.compute.run(move || halves.asked(&asked, &known, &limits)).await?;
    let twin = |one: &Asked| {
        let (name, correlation) = protocol::moves_with(&one.returns, &known)?;
        Some(Twin { name: name.to_owned(), correlation })
    };
    Ok(asked.iter().map(twin).collect())
}

/// A strategy in shadow or live that a tested one earns on the days of.
#[derive(Clone, Debug)]
struct Twin {
    name: String,
    correlation: f64,
}

/// The decision on a candidate that has a twin: it enters no shadow.
fn beside(twin: &Twin, decision: Decision) -> Decision {
    if decision.verdict != Verdict::Move(Transition::EnterShadow) {
        return decision;
    }
    let mut checks = decision.checks;
    checks.push(Check {
        name: "protocol.new_edge".into(),
        needed: format!("a correlation below {} with whatever is in shadow or live", protocol::SAME_EDGE),
        had: Some(twin.correlation),
        passed: false,
    });
    let refused = Transition::Disable { from: State::Candidate, reason: DisableReason::Rejected };
    let summary = format!("earns on the days of {}, which is followed already", twin.name);
    Decision { verdict: Verdict::Move(refused), summary, checks }
}

/// Numbers the session and buys tests: for each of its best, then for each that waits.
async fn choose(
    parts: &SessionParts,
    token: &LeaseToken,
    searched: &SearchedRecord,
    (found, waiting): (&[Candidate], &[Waiting]),
    (spec, halves): (&NewSession, &Arc<dyn Halves>),
) -> anyhow::Result<Vec<Choice>> {
    let (store, at_ms) = (&parts.process.store, searched.at_market_ms);
    let asked: Vec<Proposed> = found
        .iter()
        .map(|c| (c.individual.strategy.clone(), Some(c.p_value)))
        .chain(waiting.iter().map(|(_, strategy, _)| (strategy.clone(), None)))
        .collect();
    if let Some(numbered) = store.session_numbers(searched.session_id).await? {
        // It was interrupted after its tests were bought.
        return Ok(of_each(&asked, found.len(), &numbered.choices));
    }
    let hashes: Vec<String> = found.iter().map(|c| c.individual.hash.to_string()).collect();
    let stored = store.known_genomes(&hashes).await?;
    let mut known = store.tested_strategies(at_ms - i64::from(REMEMBERED_DAYS) * DAY_MS).await?;
    // What trades elsewhere is another edge. What does not read is told elsewhere, and stands in nobody's way.
    known.retain(|k| is_beside(k, parts, spec) && !waiting.iter().any(|(waits, ..)| waits.id == k.id));
    let known: Vec<Named> =
        known.into_iter().filter_map(|k| Some((k.name.clone(), k.genome.read().ok()?.clone()))).collect();
    let (of_search, limits, halves) = (asked.clone(), parts.gates.limits.clone(), Arc::clone(halves));
    let (mut ready, known) = parts.compute.run(move || halves.asked(&of_search, &known, &limits)).await?;
    for (one, hash) in ready.iter_mut().zip(&hashes) {
        if let Some(name) = stored.get(hash) {
            one.refused = Some(format!("it is a strategy already: {name}"));
        }
    }
    let (config, limits) = (&parts.search.protocol, &parts.gates.limits);
    let buy = |account: Account| {
        let (account, choices) = protocol::choose(&ready, &known, account, config, limits);
        (account, asked.iter().map(|(strategy, _)| strategy.hash().to_string()).zip(choices).collect())
    };
    let numbered = store.number_session(token, searched, config, &buy).await?;
    Ok(of_each(&asked, found.len(), &numbered.choices))
}

/// What was chosen for each: the first `found` are the session's best, the others waited. A strategy that was added since
/// waits for the next session.
fn of_each(asked: &[Proposed], found: usize, choices: &[(String, Choice)]) -> Vec<Choice> {
    let (best, waited) = choices.split_at(found.min(choices.len()));
    let one = |(number, (strategy, _)): (usize, &Proposed)| {
        let hash = strategy.hash().to_string();
        let among = if number < found { best } else { waited };
        let chosen = among.iter().find(|(of, _)| *of == hash).map(|(_, choice)| choice.clone());
        chosen.unwrap_or_else(|| Err("it was added after the session's tests were bought".to_owned()))
    };
    asked.iter().enumerate().map(one).collect()
}

/// A stored strategy that waits, its rules, and what shaped it.
type Waiting = (store::Strategy, AnyStrategy, SeenUntil);

/// Whether a strategy can be evaluated on the session's candles, and trades some of what its strategies do.
fn is_beside(strategy: &store::Strategy, parts: &SessionParts, spec: &NewSession) -> bool {
    strategy.market == spec.market
        && strategy.form == parts.search.search.form
        && match strategy.form {
            StrategyForm::Rules => strategy.symbols.iter().any(|symbol| spec.symbols.contains(symbol)),
            // A panel has one timeframe.
            StrategyForm::Ranking => strategy.timeframe == spec.timeframe,
        }
        // One that asks a model that the session is not told of cannot be evaluated there.
        && strategy.genome.read().is_ok_and(|genome| parts.search.chosen().say_all(genome))
}

/// Strategies that wait as candidates on what the session looks at and have seen nothing of its hold-out. The others wait
/// on: part of a hold-out would be too short for most of what the gate asks, and they would be refused for that.
async fn waiting(parts: &SessionParts, session: &Session, seen: SeenUntil) -> anyhow::Result<Vec<Waiting>> {
    let (spec, form) = (&session.spec, parts.search.search.form);
    // What a client of the service posted is judged when an operator says so: a stranger spends no trials.
    let filter = StrategyFilter {
        states: vec![State::Candidate],
        but_clients: true,
        form: Some(form),
        ..StrategyFilter::default()
    };
    let mut found = parts.process.store.strategies(&filter, Page::first(1_000)).await?;
    found.retain(|s| is_beside(s, parts, spec) && (form == StrategyForm::Ranking || s.symbols == spec.symbols));
    found.sort_by_key(|s| s.id);
    let split_ms = seen.ms();
    let (found, late): (Vec<_>, Vec<_>) = found.into_iter().partition(|s| s.may_have_seen_until_ms() <= split_ms);
    if !late.is_empty() {
        tracing::info!(strategies = late.len(), "candidates that have seen something of the hold-out wait on");
    }
    let read = |stored: store::Strategy| match stored.genome.read().cloned() {
        Ok(strategy) => {
            let of_strategy = SeenUntil::stated(stored.may_have_seen_until_ms());
            Some((stored, strategy, of_strategy.join(seen)))
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
    named: (Uuid, &str, &AnyStrategy),
    (outcome, execution_time_ms, twin): (&Outcome, u64, Option<Twin>),
    champion: Option<&Individual>,
) -> anyhow::Result<Judgement> {
    let judged = outcome.as_ref().ok();
    let evidence = GateEvidence::Candidate(CandidateEvidence {
        tested: Tested { backtest: judged.map(|j| j.backtest.clone()), holdout: judged.map(|j| j.holdout.clone()) },
        protocol: judged.map(|j| j.standing.evidence()),
    });
    let decision = parts.gates.gate.decide(&evidence);
    let decision = twin.iter().fold(decision, |decision, twin| beside(twin, decision));
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
        // Those of rules are in the trades.
        holdout_results: judged.filter(|_| parts.search.ranks.is_some()).map(|j| j.holdout_results.clone()),
        transition: transition(parts, spec, named, decision, &evidence)?,
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
    (id, name, strategy): (Uuid, &str, &AnyStrategy),
    decision: Decision,
    evidence: &GateEvidence,
) -> anyhow::Result<Option<TransitionRecord>> {
    let (at_ms, json) = (spec.window_to_ms, serde_json::to_value(evidence)?);
    let made = TransitionRecord::from_decision(id, parts.gates.gate.name(), decision, json, "candidate gate", at_ms);
    let Some(mut record) = made else { return Ok(None) };
    if record.transition.to() == State::Shadow {
        // A run asks the models of its own strategy, and stands still where one of them is gone.
        let models = parts.search.chosen().used_by(strategy);
        let config = match parts.search.ranks {
            Some(_) => RunConfig { models, ..config(parts, spec) },
            None => {
                let symbols = parts.search.settings.followed_symbols(&spec.symbols).to_vec();
                RunConfig { symbols, models, ..config(parts, spec) }
            }
        };
        let warmup_from_ms = at_ms - parts.search.warmup_ms();
        record.run = Some(NewPaperRun { warmup_from_ms, config });
    }
    announce(&parts.process.channels, &mut record, name, &strategy.to_string());
    Ok(Some(record))
}

/// What the session's backtests were run with.
fn config(parts: &SessionParts, spec: &NewSession) -> RunConfig {
    let config = run_config(spec.market, spec.symbols.clone(), spec.timeframe, parts.compute.terms);
    RunConfig { ranked: parts.ranked(), models: parts.search.chosen().used(), ..config }
}

/// What a replay needs, and what the search thought of it.
fn parameters(parts: &SessionParts, spec: &NewSession, champion: Option<&Individual>) -> Parameters {
    let warmup_from_ms = spec.window_from_ms - parts.search.warmup_ms();
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

/// Which number of the version rises above those of the parents; what has none is not raised.
const fn step_of(origin: Origin) -> VersionStep {
    match origin {
        Origin::Refinement => VersionStep::Patch,
        Origin::Mutation | Origin::Random | Origin::WarmStart | Origin::Learner => VersionStep::Minor,
        Origin::Crossover => VersionStep::Major,
    }
}

fn record(
    parts: &SessionParts,
    session: &Session,
    candidate: &Candidate,
    measured: (&Outcome, u64, Option<Twin>),
    untested: Option<String>,
) -> anyhow::Result<CandidateRecord> {
    let (spec, champion) = (&session.spec, &candidate.individual);
    let hash = champion.hash.to_string();
    let strategy = NewStrategy {
        id: Uuid::now_v7(),
        name_is_chosen: false,
        name: format!("{}-{}", AnyNiche::of(&champion.strategy).idea(), &hash[..8]),
        genome: champion.strategy.clone(),
        canonical: champion.strategy.to_string(),
        genome_hash: hash,
        kind: "evolved".to_owned(),
        step: step_of(champion.origin),
        parent_hashes: champion.parents.iter().map(ToString::to_string).collect(),
        generation: champion.born,
        island: Some(spec.island.clone()),
        session_id: Some(session.id),
        // What ranks the market has its universe.
        symbols: if parts.search.ranks.is_some() { Vec::new() } else { spec.symbols.clone() },
        market: spec.market,
        timeframe: champion.strategy.timeframe(),
        seen_until_ms: Some(candidate.seen.ms()),
        seen_is_stated: false,
        created_by: "search".to_owned(),
    };
    let named = (strategy.id, strategy.name.as_str(), &champion.strategy);
    let judgement = judgement(parts, spec, named, measured, Some(champion))?;
    Ok(CandidateRecord { strategy, judgement, untested })
}
