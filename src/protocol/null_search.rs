//! One null search as a function of what it is told: settings, seed, number, candles. Whoever makes it, wherever, comes to the
//! same bits.
//!
//! Knows no queue and no other null search.

use super::ground::Ground;
use super::session::{SessionError, best_statistic};
use genome::random::Seed;
use learner::{Learnt, Scored};
use search::{Counters, SearchConfig, SearchState, Step};
use serde::{Deserialize, Serialize};

/// What the null searches of a session are told; each has its number beside it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NullSearch {
    /// Settings of searches that are compared.
    pub search: SearchConfig,
    /// Of the session.
    pub seed: Seed,
    /// Of the session: its best so many count (count).
    pub candidates: usize,
    /// What it draws by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub learnt: Option<Learnt>,
}

/// What a null search came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NullFound {
    /// The best statistic; `None` where nothing was found.
    pub best: Option<f64>,
    /// Its evaluations.
    pub counters: Counters,
    /// How building blocks scored.
    pub scored: Scored,
}

impl NullFound {
    /// Of a search that has ended.
    pub(super) fn of(search: &SearchState, candidates: usize) -> Self {
        let best = best_statistic(&search::champions(search, candidates));
        Self { best, counters: search.counters, scored: search.scored.clone() }
    }
}

impl NullSearch {
    /// Makes null search `number` from its beginning to its end.
    ///
    /// # Errors
    /// When `stop` says so, or the candles have no null market.
    pub fn run(
        &self,
        ground: &dyn Ground,
        number: u32,
        stop: &dyn Fn(Step) -> bool,
    ) -> Result<NullFound, SessionError> {
        let market = ground.compared(self.seed, Some(number))?;
        let seed = null_seed(self.seed, number);
        let mut state = search::start(&self.search, seed, Vec::new(), self.learnt.clone());
        while !state.is_finished(&self.search) {
            state = search::advance(&self.search, state, &market, stop)?.0;
        }
        Ok(NullFound::of(&state, self.candidates))
    }
}

/// The root of what a null search draws.
pub(super) fn null_seed(session: Seed, number: u32) -> Seed {
    session.child("null", u64::from(number))
}
