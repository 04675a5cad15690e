//! The protocol on candles that are all there: what a daemon would have made of them, session after session, and what
//! it would have made of null markets of the same candles.
//!
//! Every session is a [`run_in`]; all of them buy their tests from one account, in the order in which they would have
//! ended. Never stores, never fetches.

use super::{
    Days, LESSONS, Named, ProtocolRun, REMEMBERED_DAYS, RulesWorld, RunError, RunPlan, WarmStart, World, null_window,
    run_in,
};
use candles::time::DAY_MS;
use engine::{Engine, Window, WindowError};
use genome::random::Seed;
use serde::Serialize;

/// Gives the candles that open in a range, with warm-up before them.
pub type Cut<'a> = dyn Fn(i64, i64) -> Result<Window, WindowError> + Sync + 'a;

/// One session and what became of what it found.
#[derive(Clone, Debug, Serialize)]
pub struct Rehearsed {
    /// Where its search ended and its hold-out began, UTC ms.
    pub split_ms: i64,
    /// Whether its candles were a null market.
    pub placebo: bool,
    /// Its number, from 1.
    pub session: u64,
    /// Whether its search beat its null searches.
    pub selected: bool,
    /// What became of it.
    pub trial: ProtocolRun,
}

/// What is rehearsed.
#[derive(Clone, Copy, Debug)]
pub struct Program<'a> {
    /// Where the searches end, in order of time, UTC ms.
    pub splits_ms: &'a [i64],
    /// End of the candles, UTC ms: no shadow period goes on beyond it.
    pub until_ms: i64,
    /// On a null market of the candles instead, where no promotion is more than luck.
    pub placebo: bool,
    /// Root of all randomness.
    pub seed: Seed,
}

/// Runs a session at each split. `each` is told as they end.
///
/// # Errors
/// When `stop` says so, or candles are missing.
pub fn rehearse(
    plan: &RunPlan<'_>,
    engine: &Engine,
    cut: &Cut<'_>,
    program: Program<'_>,
    stop: &dyn Fn() -> bool,
    each: &mut dyn FnMut(&Rehearsed),
) -> Result<Vec<Rehearsed>, RunError> {
    let null_seed = placebo_seed(program.seed);
    let null = |from_ms: i64, to_ms: i64| null_window(&cut(from_ms, to_ms)?, null_seed, 0);
    let candles: &Cut<'_> = if program.placebo { &null } else { cut };
    rehearse_in(plan, &RulesWorld { engine, terms: plan.terms, cut: candles, refits: None }, program, stop, each)
}

/// The seed of a null market of all candles and of what is drawn on it.
fn placebo_seed(seed: Seed) -> Seed {
    seed.child("placebo", 0)
}

/// The same in a world of either kind, which is a null market already where the program says `placebo`.
///
/// # Errors
/// When `stop` says so, or candles are missing.
pub fn rehearse_in(
    plan: &RunPlan<'_>,
    world: &dyn World,
    program: Program<'_>,
    stop: &dyn Fn() -> bool,
    each: &mut dyn FnMut(&Rehearsed),
) -> Result<Vec<Rehearsed>, RunError> {
    let Program { splits_ms, until_ms, placebo, seed } = program;
    let seed = if placebo { placebo_seed(seed) } else { seed };
    let (mut account, mut warm_starts) = (plan.account, Vec::new());
    let mut past: Vec<WarmStart> = plan.past.to_vec();
    // Strategies that were tested, and when.
    let mut tested: Vec<(i64, Named)> = Vec::new();
    let mut all = Vec::with_capacity(splits_ms.len());
    for (number, &split_ms) in splits_ms.iter().enumerate() {
        let begins_ms = split_ms + i64::from(plan.days.holdout) * DAY_MS;
        let left = u32::try_from((until_ms - begins_ms).max(0) / DAY_MS).unwrap_or(u32::MAX);
        let days = Days { shadow: plan.days.shadow.min(left), ..plan.days };
        tested.retain(|(at_ms, _)| begins_ms - at_ms < i64::from(REMEMBERED_DAYS) * DAY_MS);
        let known: Vec<Named> = tested.iter().map(|(_, one)| one.clone()).collect();
        account = account.at(plan.session.protocol, begins_ms);
        let plan = RunPlan { account, known: &known, past: &past, days, ..*plan };
        let seed = seed.child("session", number as u64);
        let found = run_in(&plan, world, split_ms, seed, std::mem::take(&mut warm_starts), stop)?;
        let named = found.tested.iter().enumerate().map(|(n, s)| (format!("{}-{n}", number + 1), s.clone()));
        tested.extend(named.map(|one| (begins_ms, one)));
        let session = Rehearsed {
            split_ms,
            placebo,
            session: number as u64 + 1,
            selected: found.searched.p_value <= plan.limits.max_p_value,
            trial: found,
        };
        account = session.trial.account;
        let carried = session.trial.champions.iter();
        warm_starts = carried.map(|(s, seen)| WarmStart { strategy: s.clone(), seen: *seen }).collect();
        past.extend(warm_starts.iter().cloned());
        past.drain(..past.len().saturating_sub(LESSONS as usize));
        each(&session);
        all.push(session);
    }
    Ok(all)
}
