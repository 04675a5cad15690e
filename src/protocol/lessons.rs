//! What strategies of earlier sessions teach a new one: what they earned after whatever shaped them, as far as the new
//! search may look.
//!
//! Nothing learns from what judges it: the candles are a [`Searchable`]'s, which end at the split, and of these only the days
//! that nothing which shaped the strategy has seen.

use super::{Searchable, WarmStart};
use candles::time::DAY_MS;
use engine::{Engine, Terms, Wanted};
use genome::Strategy;
use learner::{Learnt, Lesson};

/// Strategies of earlier sessions that are learnt from at most, newest first.
pub const LESSONS: u32 = 10_000;

/// What strategies of earlier sessions teach whoever searches `market`; `None` where none of them has days left there.
#[must_use]
pub fn learnt(past: &[WarmStart], market: &Searchable, engine: &Engine, terms: &Terms) -> Option<Learnt> {
    let window = market.window();
    let day_of = |ms: i64| ms.div_euclid(DAY_MS);
    let usable: Vec<(&WarmStart, usize)> = past
        .iter()
        // What ranks the market has none of the building blocks that are learnt about.
        .filter(|one| one.seen < market.seen_until() && one.strategy.rules().is_some())
        .map(|one| {
            // The first whole day that it has not seen; a return of the day that it saw a part of is none.
            let seen_ms = one.seen.ms().max(window.from_ms());
            let skipped =
                if seen_ms == window.from_ms() { 0 } else { day_of(seen_ms - 1) - day_of(window.from_ms()) + 1 };
            (one, usize::try_from(skipped).unwrap_or(usize::MAX))
        })
        .collect();
    let strategies: Vec<Strategy> = usable.iter().filter_map(|(one, _)| one.strategy.rules().cloned()).collect();
    let outcomes = engine.evaluate(&strategies, window, terms, Wanted::default());
    let lesson = |((_, skipped), outcome): (&(&WarmStart, usize), Result<engine::Outcome, _>), strategy: Strategy| {
        let returns = outcome.ok()?.daily_returns;
        Some(Lesson { strategy, returns: returns.get(*skipped..)?.to_vec() })
    };
    let both = usable.iter().zip(outcomes).zip(strategies);
    let lessons: Vec<Lesson> = both.filter_map(|(measured, strategy)| lesson(measured, strategy)).collect();
    learner::learn(&lessons)
}
