//! A whole life on candles that are all there: session, hold-out, shadow, going live, decay. For calibration on
//! simulated markets and for the placebo island.
//!
//! Every step is the one that the daemon takes: sessions by [`Session`], the hold-out by [`judge`], decisions by the
//! gate on evidence made by [`Standing`]. Looks at the future of its candles only where the daemon would, once it has
//! come.

use super::{
    Account, Followed, Inherited, Named, NoNull, Plan, Proposed, RulesWorld, SearchedP, SeenBefore, SeenUntil, Session,
    SessionError, SessionState, Standing, UnderTest, WarmStart, World, choose, lessons,
};
use candles::packed::PackedError;
use candles::time::DAY_MS;
use engine::{Engine, EvaluationError, Terms, Window, WindowError};
use genome::{AnyStrategy, random::Seed};
use lifecycle::{
    CandidateEvidence, Decision, EValues, EdgeDecayConfig, EdgeDecayDetectors, Gate, GateEvidence, LiveEvidence,
    ShadowEvidence, Tested, Thresholds, Transition, Verdict, promotion_level,
};
use portfolio::PanelError;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How long each period of a protocol run is, days of market time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Days {
    pub search: u32,
    pub holdout: u32,
    /// Longest time in shadow.
    pub shadow: u32,
    /// How long the first live strategy is watched after the shadow period; 0 to stop when it is live.
    pub live: u32,
}

/// What a protocol run is told.
#[derive(Clone, Copy)]
pub struct RunPlan<'a> {
    /// The session.
    pub session: Plan<'a>,
    /// Capital, and what trading costs.
    pub terms: &'a Terms,
    /// Who decides.
    pub gate: &'a dyn Gate,
    /// Detectors of an edge that has gone.
    pub staying: &'a EdgeDecayConfig,
    /// Of them: the p-value up to which a search counts as having beaten its null searches, and how many closed trades
    /// count as recent.
    pub limits: &'a Thresholds,
    /// What tests may be bought from, at any market time up to the end of the hold-out.
    pub account: Account,
    /// Strategies that were tested before: what earns on their days is not tested again.
    pub known: &'a [Named],
    /// Strategies of earlier sessions, which the search learns from.
    pub past: &'a [WarmStart],
    /// How long.
    pub days: Days,
    /// Between two reviews, ms of market time.
    pub review_ms: i64,
}

/// What became of the session's candidates.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ProtocolRun {
    /// Of the session.
    pub searched: SearchedP,
    /// Backtests of the session's own searches.
    pub evaluations: u64,
    /// Backtests of its null searches.
    pub null_evaluations: u64,
    /// Candidates.
    pub candidates: u32,
    /// Of them, those that were tested.
    pub tested: Vec<AnyStrategy>,
    /// E-value at which the first of these goes live; `None` where none was tested.
    pub promotion_threshold: Option<f64>,
    /// What is left of the account.
    pub account: Account,
    /// Of them, those that entered shadow.
    pub entered: u32,
    /// Largest ln E over the hold-out of any candidate.
    pub best_holdout_log_e: Option<f64>,
    /// Largest ln E over hold-out and shadow of any that entered shadow.
    pub best_total_log_e: Option<f64>,
    /// Days in shadow of the first that went live.
    pub live_after_days: Option<f64>,
    /// Strategies that went live.
    pub promoted: u32,
    /// Days from the end of the shadow period until the first live strategy was live no more; `None` when none was
    /// live or it still was at the end.
    pub left_after_days: Option<f64>,
    /// Whether a live strategy was watched after the shadow period.
    pub watched: bool,
    /// How many candidates missed which requirement when the gate last looked at them.
    pub missed: BTreeMap<String, u32>,
    /// The candidates and what shaped them: what a later session may begin with.
    pub champions: Vec<(AnyStrategy, SeenUntil)>,
}

/// A candidate that entered shadow.
struct InShadow {
    strategy: AnyStrategy,
    tested: Tested,
    standing: Standing,
    /// Results of its hold-out.
    expected_r: Vec<f64>,
    /// What it missed at the last review.
    missed: Vec<String>,
}

/// A strategy that went live.
struct Live {
    strategy: AnyStrategy,
    tested: Tested,
    standing: Standing,
    /// Results of its hold-out and shadow.
    expected_r: Vec<f64>,
    from_ms: i64,
}

fn missed(decision: &Decision) -> Vec<String> {
    decision.checks.iter().filter(|check| !check.passed).map(|check| check.name.clone()).collect()
}

impl ProtocolRun {
    fn note(&mut self, missed: Vec<String>) {
        for name in missed {
            *self.missed.entry(name).or_default() += 1;
        }
    }
}

/// Why a protocol run came to nothing.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum RunError {
    #[error("the run was stopped")]
    Stopped,
    #[error(transparent)]
    Window(#[from] WindowError),
    #[error(transparent)]
    NoNull(#[from] NoNull),
    #[error(transparent)]
    Seen(#[from] SeenBefore),
    #[error(transparent)]
    Evaluation(#[from] EvaluationError),
    #[error(transparent)]
    Panel(#[from] PanelError),
    #[error(transparent)]
    Portfolio(#[from] portfolio::RunError),
    #[error(transparent)]
    Packed(#[from] PackedError),
}

impl From<SessionError> for RunError {
    fn from(error: SessionError) -> Self {
        match error {
            SessionError::Stopped(_) => Self::Stopped,
            SessionError::NoNull(error) => Self::NoNull(error),
        }
    }
}

/// Runs a session whose search window ends at `split_ms`, and the life of what it found. `cut` gives the candles that
/// open in a range, with warm-up before it.
///
/// # Errors
/// When `stop` says so, or candles are missing.
pub fn run(
    plan: &RunPlan<'_>,
    engine: &Engine,
    cut: &(dyn Fn(i64, i64) -> Result<Window, WindowError> + Sync),
    split_ms: i64,
    seed: Seed,
    warm_starts: Vec<WarmStart>,
    stop: &dyn Fn() -> bool,
) -> Result<ProtocolRun, RunError> {
    run_in(plan, &RulesWorld { engine, terms: plan.terms, cut, refits: None }, split_ms, seed, warm_starts, stop)
}

/// The same in a world of either kind.
///
/// # Errors
/// When `stop` says so, or candles are missing.
pub fn run_in(
    plan: &RunPlan<'_>,
    world: &dyn World,
    split_ms: i64,
    seed: Seed,
    warm_starts: Vec<WarmStart>,
    stop: &dyn Fn() -> bool,
) -> Result<ProtocolRun, RunError> {
    let days = plan.days;
    let end_ms = split_ms + i64::from(days.holdout) * DAY_MS;
    let halves = world.split(split_ms - i64::from(days.search) * DAY_MS, split_ms, end_ms)?;
    let draws = plan.session.search.draws_by_lessons();
    let ground = halves.ground()?;
    let learnt = draws.then(|| lessons::learnt(plan.past, &*ground)).flatten();
    let mut state = SessionState::begin(plan.session, seed, Inherited { warm_starts, learnt }, &*ground);
    let mut session = Session::new(plan.session, &*ground);
    while !state.is_finished() {
        (state, _) = session.advance(state, &|_| stop())?;
    }
    let searched = state.searched(plan.session.protocol);
    let candidates = state.candidates(plan.session);
    let champions = candidates.iter().map(|c| (c.individual.strategy.clone(), c.seen)).collect();
    let account = plan.account.at(plan.session.protocol, end_ms);
    let asked: Vec<Proposed> = candidates.iter().map(|c| (c.individual.strategy.clone(), Some(c.p_value))).collect();
    let (asked, known) = halves.asked(&asked, plan.known, plan.limits);
    let (account, choices) = choose(&asked, &known, account, plan.session.protocol, plan.limits);
    let chosen: Vec<UnderTest> = candidates
        .iter()
        .zip(&choices)
        .filter_map(|(candidate, choice)| Some(UnderTest::candidate(candidate, *choice.as_ref().ok()?)))
        .collect();
    let judged = halves.judge(&chosen);
    let mut found = ProtocolRun {
        searched,
        evaluations: state.real_counters().evaluations,
        null_evaluations: state.null_counters().evaluations,
        candidates: candidates.len() as u32,
        tested: chosen.iter().map(|one| one.strategy.clone()).collect(),
        promotion_threshold: chosen.first().map(|one| 1.0 / promotion_level(one.test.level, true)),
        account,
        entered: 0,
        best_holdout_log_e: None,
        best_total_log_e: None,
        live_after_days: None,
        promoted: 0,
        left_after_days: None,
        watched: false,
        missed: BTreeMap::new(),
        champions,
    };
    let mut shadows: Vec<InShadow> = Vec::new();
    for (one, judged) in chosen.into_iter().zip(judged) {
        let Ok(judged) = judged else { continue };
        raise(&mut found.best_holdout_log_e, judged.standing.holdout);
        let tested = Tested { backtest: Some(judged.backtest), holdout: Some(judged.holdout) };
        let evidence = CandidateEvidence { tested: tested.clone(), protocol: Some(judged.standing.evidence()) };
        let decision = plan.gate.decide(&GateEvidence::Candidate(evidence));
        if decision.verdict != Verdict::Move(Transition::EnterShadow) {
            found.note(missed(&decision));
            continue;
        }
        found.entered += 1;
        shadows.push(InShadow {
            strategy: one.strategy,
            tested,
            standing: judged.standing,
            expected_r: judged.holdout_results,
            missed: Vec::new(),
        });
    }
    let mut live: Option<Live> = None;
    let last_ms = end_ms + i64::from(days.shadow) * DAY_MS;
    let recent_trades = plan.limits.live_recent_trades as usize;
    let mut at_ms = end_ms;
    while !shadows.is_empty() && at_ms < last_ms {
        at_ms = (at_ms + plan.review_ms.max(1)).min(last_ms);
        if stop() {
            return Err(RunError::Stopped);
        }
        let strategies: Vec<AnyStrategy> = shadows.iter().map(|s| s.strategy.clone()).collect();
        let followed = world.follow(&strategies, end_ms, at_ms, recent_trades)?;
        let mut staying = Vec::new();
        for (mut one, Followed { run, did }) in std::mem::take(&mut shadows).into_iter().zip(followed) {
            let protocol = Some(one.standing.since(&did));
            if let Some(total) = protocol.as_ref().and_then(|p| p.total) {
                raise(&mut found.best_total_log_e, total);
            }
            let tested = one.tested.clone();
            let evidence = ShadowEvidence { tested, run: Some(run), demotions: 0, protocol, placebo: None };
            let decision = plan.gate.decide(&GateEvidence::Shadow(evidence));
            match decision.verdict {
                Verdict::Hold => {
                    one.missed = missed(&decision);
                    staying.push(one);
                }
                Verdict::Move(Transition::GoLive) => {
                    found.promoted += 1;
                    found.live_after_days.get_or_insert((at_ms - end_ms) as f64 / DAY_MS as f64);
                    let expected_r = [one.expected_r, one.standing.book.results(&did)].concat();
                    live.get_or_insert(Live {
                        strategy: one.strategy,
                        tested: one.tested,
                        standing: one.standing,
                        expected_r,
                        from_ms: at_ms,
                    });
                }
                Verdict::Move(_) => found.note(missed(&decision)),
            }
        }
        shadows = staying;
    }
    shadows.into_iter().for_each(|one| found.note(one.missed));
    let watch_ms = i64::from(days.live) * DAY_MS;
    if let (Some(Live { strategy, tested, standing, expected_r, from_ms }), true) = (live, watch_ms > 0) {
        found.watched = true;
        let detectors = EdgeDecayDetectors::calibrate(&expected_r, plan.staying, seed.child("staying", 0));
        let mut at_ms = from_ms;
        while at_ms < last_ms + watch_ms {
            at_ms = (at_ms + plan.review_ms.max(1)).min(last_ms + watch_ms);
            if stop() {
                return Err(RunError::Stopped);
            }
            let followed = world.follow(std::slice::from_ref(&strategy), from_ms, at_ms, recent_trades)?;
            let Some(Followed { run, did }) = followed.into_iter().next() else { break };
            let (run, live_r) = (Some(run), standing.book.results(&did));
            let staying = (!live_r.is_empty()).then(|| detectors.judge(&live_r));
            let evidence = LiveEvidence { tested: tested.clone(), run, demotions: 0, staying };
            if plan.gate.decide(&GateEvidence::Live(evidence)).verdict != Verdict::Hold {
                found.left_after_days = Some((at_ms - last_ms) as f64 / DAY_MS as f64);
                break;
            }
        }
    }
    Ok(found)
}

fn raise(most: &mut Option<f64>, values: EValues) {
    *most = most.iter().copied().chain(values.log_excess).reduce(f64::max);
}
