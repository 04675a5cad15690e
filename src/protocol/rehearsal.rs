//! The protocol on candles that are all there: what a daemon would have made of them, session after session, and what
//! it would have made of null markets of the same candles.
//!
//! Every session is a [`run`]; the online procedure counts them in the order in which they would have ended. Never
//! stores, never fetches.

use super::{Days, Numbers, ProtocolRun, RunError, RunPlan, WarmStart, null_window, run};
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
    /// What the online procedure counted when it ended: sessions, and those that beat their null searches, from 1.
    pub session: u64,
    /// As above.
    pub selected: u64,
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
    let Program { splits_ms, until_ms, placebo, seed } = program;
    let null_seed = seed.child("placebo", 0);
    let null = |from_ms: i64, to_ms: i64| null_window(&cut(from_ms, to_ms)?, null_seed, 0);
    let candles: &Cut<'_> = if placebo { &null } else { cut };
    let seed = if placebo { null_seed } else { seed };
    let (mut numbers, mut warm_starts, mut live_at_ms) = (Numbers::FIRST, Vec::new(), Vec::new());
    let mut all = Vec::with_capacity(splits_ms.len());
    for (number, &split_ms) in splits_ms.iter().enumerate() {
        let begins_ms = split_ms + i64::from(plan.days.holdout) * DAY_MS;
        numbers.promotions = live_at_ms.iter().filter(|at_ms| **at_ms <= begins_ms).count() as u64;
        let left = u32::try_from((until_ms - begins_ms).max(0) / DAY_MS).unwrap_or(u32::MAX);
        let days = Days { shadow: plan.days.shadow.min(left), ..plan.days };
        let plan = RunPlan { numbers, days, ..*plan };
        let seed = seed.child("session", number as u64);
        let found = run(&plan, engine, candles, split_ms, seed, std::mem::take(&mut warm_starts), stop)?;
        let first_ms = found.live_after_days.map(|days| begins_ms + (days * DAY_MS as f64) as i64);
        live_at_ms.extend(first_ms.into_iter().flat_map(|at_ms| vec![at_ms; found.promoted as usize]));
        let session =
            Rehearsed { split_ms, placebo, session: numbers.session, selected: numbers.selected, trial: found };
        numbers.session += 1;
        numbers.selected += u64::from(session.trial.searched.p_value <= plan.limits.max_p_value);
        let carried = session.trial.champions.iter();
        warm_starts = carried.map(|(s, seen)| WarmStart { strategy: s.clone(), seen: *seen }).collect();
        each(&session);
        all.push(session);
    }
    Ok(all)
}
