//! What strategies of earlier sessions teach a new one: what they earned after whatever shaped them, as far as the new
//! search may look.
//!
//! Nothing learns from what judges it: the candles are a [`Ground`]'s, which end at the split, and of these only the days
//! that nothing which shaped the strategy has seen.

use super::{Ground, WarmStart};
use candles::time::DAY_MS;
use genome::AnyStrategy;
use learner::{Learnt, Lesson};

/// Strategies of earlier sessions that are learnt from at most, newest first.
pub const LESSONS: u32 = 10_000;

/// What strategies of earlier sessions teach whoever searches `ground`: those of its form; `None` where none of them has days
/// left there.
#[must_use]
pub fn learnt(past: &[WarmStart], ground: &dyn Ground) -> Option<Learnt> {
    let day_of = |ms: i64| ms.div_euclid(DAY_MS);
    let from_ms = ground.trades_from_ms();
    let usable = past.iter().filter(|one| one.seen < ground.seen_until() && one.strategy.form() == ground.form());
    let (strategies, skipped): (Vec<AnyStrategy>, Vec<usize>) = usable
        .map(|one| {
            // The first whole day that it has not seen; a return of the day that it saw a part of is none.
            let seen_ms = one.seen.ms().max(from_ms);
            let skipped = if seen_ms == from_ms { 0 } else { day_of(seen_ms - 1) - day_of(from_ms) + 1 };
            (one.strategy.clone(), usize::try_from(skipped).unwrap_or(usize::MAX))
        })
        .unzip();
    let outcomes = ground.evaluate(&strategies);
    let lesson = |((strategy, outcome), skipped): ((AnyStrategy, Result<engine::Outcome, _>), usize)| {
        let returns = outcome.ok()?.daily_returns;
        Some(Lesson { strategy, returns: returns.get(skipped..)?.to_vec() })
    };
    let lessons: Vec<Lesson> = strategies.into_iter().zip(outcomes).zip(skipped).filter_map(lesson).collect();
    learner::learn(&lessons)
}
