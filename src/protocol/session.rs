//! A search session: the search, then searches of null markets until it is known whether there is anything to find.
//!
//! Goes forward one generation at a time, whichever search it belongs to; between two its whole state can be stored
//! and resumed to the bit. Never sees anything but a [`Searchable`].
//!
//! **What the p-value is of.** It compares what a search of given size finds here with what the same search finds on
//! null markets, so the search that counts begins with random strategies and looks at the candles that null markets
//! have. A session that begins with the best of earlier sessions, or that has finer candles, or whose null searches are
//! smaller than its own, makes a second search of theirs for it: champions bred for weeks on nearly the same candles
//! would beat every null search, noise or not. Null searches stop once enough were as good (Besag and Clifford).

use super::ground::{Compared, Ground, NoNull};
use super::null_search::{NullFound, null_seed};
use super::{ProtocolConfig, SeenUntil};
use engine::{EvaluationError, Outcome};
use evidence::null_market::SequentialP;
use genome::{AnyStrategy, random::Seed};
use learner::{Learnt, Scores};
use search::{self, Counters, Evaluator, GenerationReport, Individual, SearchConfig, SearchState, Step, Stopped};
use serde::{Deserialize, Serialize};

/// What a session is told.
#[derive(Clone, Copy, Debug)]
pub struct Plan<'a> {
    /// Settings of each search.
    pub search: &'a SearchConfig,
    /// How many null searches.
    pub protocol: &'a ProtocolConfig,
    /// Best strategies that stand as candidates (count).
    pub candidates: usize,
}

/// A strategy that a session begins with, and what shaped it.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct WarmStart {
    pub strategy: AnyStrategy,
    pub seen: SeenUntil,
}

/// What a session begins with.
#[derive(Clone, Debug, Default)]
pub struct Inherited {
    /// Strategies that its search begins with.
    pub warm_starts: Vec<WarmStart>,
    /// What earlier strategies have taught, by candles that the session's search may look at. Its null searches draw by it,
    /// too.
    pub learnt: Option<Learnt>,
}

/// Which search is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Stage {
    Search,
    Compared,
    Null,
    Done,
}

/// Everything between two generations of a session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionState {
    seed: Seed,
    stage: Stage,
    /// Whether the p-value needs a search of its own.
    compared_apart: bool,
    seen: SeenUntil,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    learnt: Option<Learnt>,
    /// The search under way; `None` when the next one is yet to begin.
    search: Option<SearchState>,
    /// The best of the session's search, best first, once it is finished.
    found: Vec<Individual>,
    /// The best statistic of the search that is compared.
    statistic: Option<f64>,
    /// The best statistic of each null search so far.
    nulls: Vec<Option<f64>>,
    /// Kinds of null market, which take turns.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    null_kinds: u32,
    real: Counters,
    null: Counters,
    /// How building blocks scored in the search that is compared, and in null searches.
    #[serde(default, skip_serializing_if = "Scores::is_empty")]
    scores: Scores,
}

const fn one() -> u32 {
    1
}

// By reference: serde asks so.
#[allow(clippy::trivially_copy_pass_by_ref)]
const fn is_one(number: &u32) -> bool {
    *number == 1
}

/// What a generation belonged to.
#[derive(Clone, Debug)]
pub enum Advanced {
    /// The session's search.
    Search(GenerationReport),
    /// The search that null searches are compared with.
    Compared(GenerationReport),
    /// Null search number (from 0).
    Null(u32, GenerationReport),
    /// Nothing is left to do.
    Finished,
}

/// What the searches say of a session.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SearchedP {
    /// Of the session; 1 when nothing was found.
    pub p_value: f64,
    /// Null searches made.
    pub null_searches: u32,
    /// Of them, as good as the real one.
    pub as_good: u32,
}

/// Why a session does not go on.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[allow(missing_docs)]
pub enum SessionError {
    #[error("the session was stopped")]
    Stopped(Stopped),
    /// Its candles are such that their null would have prices that are none.
    #[error("there are no candles to compare its search with: {0}")]
    NoNull(#[from] NoNull),
}

impl From<Stopped> for SessionError {
    fn from(stopped: Stopped) -> Self {
        Self::Stopped(stopped)
    }
}

/// One of the best of a session.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Candidate {
    pub individual: Individual,
    /// By maximum statistic: at least the session's, which is of the search that is compared. It says what is worth a test,
    /// and is no evidence.
    pub p_value: f64,
    pub null_searches: u32,
    pub seen: SeenUntil,
}

impl SessionState {
    /// A session at its beginning.
    #[must_use]
    pub fn begin(plan: Plan<'_>, seed: Seed, inherited: Inherited, ground: &dyn Ground) -> Self {
        let Inherited { warm_starts, learnt } = inherited;
        let smaller = plan.protocol.null_search_fraction < 1.0;
        let compared_apart = smaller || ground.has_more_than_nulls() || !warm_starts.is_empty();
        let seen = warm_starts.iter().fold(ground.seen_until(), |seen, i| seen.join(i.seen));
        let strategies = warm_starts.into_iter().map(|i| i.strategy).collect();
        Self {
            seed,
            stage: Stage::Search,
            compared_apart,
            seen,
            search: Some(search::start(plan.search, seed, strategies, learnt.clone())),
            learnt,
            found: Vec::new(),
            statistic: None,
            nulls: Vec::new(),
            null_kinds: ground.null_kinds(),
            real: Counters::default(),
            null: Counters::default(),
            scores: Scores::default(),
        }
    }

    /// Whether nothing is left to do.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.stage == Stage::Done
    }

    /// Generations of the session's own search so far; of null searches none.
    #[must_use]
    pub fn generation(&self) -> Option<u32> {
        if self.stage == Stage::Search { self.search.as_ref().map(|s| s.generation) } else { None }
    }

    /// Null searches finished.
    #[must_use]
    pub fn null_searches(&self) -> usize {
        self.nulls.len()
    }

    /// Best statistic of the search that is compared; `None` before it is done, or where it found nothing.
    #[must_use]
    pub const fn statistic(&self) -> Option<f64> {
        self.statistic
    }

    /// The best statistic of each null search that is done; `None` where one found nothing. Kinds of null market take turns.
    #[must_use]
    pub fn null_statistics(&self) -> &[Option<f64>] {
        &self.nulls
    }

    /// Evaluations on the real candles, of finished searches and of the one under way.
    #[must_use]
    pub fn real_counters(&self) -> Counters {
        let under_way = self.search.as_ref().filter(|_| self.stage != Stage::Null);
        under_way.map_or(self.real, |s| added(self.real, s.counters))
    }

    /// Evaluations on null markets, likewise.
    #[must_use]
    pub fn null_counters(&self) -> Counters {
        let under_way = self.search.as_ref().filter(|_| self.stage == Stage::Null);
        under_way.map_or(self.null, |s| added(self.null, s.counters))
    }

    /// How building blocks scored in the search that is compared, and in null searches, as far as they are finished.
    #[must_use]
    pub const fn scores(&self) -> &Scores {
        &self.scores
    }

    /// The number of the null search that comes next, and what it draws by, where none is under way; `None` where it is another
    /// search's turn. Those after it may be made before it is, and be of no use in the end.
    #[must_use]
    pub fn next_null(&self) -> Option<(u32, Option<&Learnt>)> {
        let is_next = self.stage == Stage::Null && self.search.is_none();
        is_next.then_some((self.nulls.len() as u32, self.learnt.as_ref()))
    }

    /// The root of what it draws.
    #[must_use]
    pub const fn seed(&self) -> Seed {
        self.seed
    }

    /// Takes up what null search `number` came to, wherever it was made: the state is that of a session that made it itself.
    ///
    /// # Errors
    /// Where another one comes next: that is handed back, and nothing has changed.
    pub fn absorb(&mut self, number: u32, found: NullFound, protocol: &ProtocolConfig) -> Result<(), Option<u32>> {
        let next = self.next_null().map(|(next, _)| next);
        if next != Some(number) {
            return Err(next);
        }
        self.note_null(found, protocol);
        Ok(())
    }

    fn note_null(&mut self, found: NullFound, protocol: &ProtocolConfig) {
        self.null = added(self.null, found.counters);
        self.scores.add(&found.scored, true);
        self.nulls.push(found.best);
        self.end_where_known(protocol);
    }

    /// Whether further null searches would say anything.
    fn end_where_known(&mut self, protocol: &ProtocolConfig) {
        let sequential = self.sequential(protocol.null_exceedances);
        let hopeless = sequential.is_none_or(|all| all.iter().any(SequentialP::stopped));
        let enough = self.nulls.len() >= (protocol.null_searches * self.null_kinds.max(1)) as usize;
        if self.stage == Stage::Null && (self.found.is_empty() || hopeless || enough) {
            self.stage = Stage::Done;
        }
    }

    /// The best statistics of the null searches of one kind.
    fn nulls_of(&self, kind: u32) -> impl Iterator<Item = Option<f64>> {
        self.nulls.iter().copied().skip(kind as usize).step_by(self.null_kinds.max(1) as usize)
    }

    /// One p-value a kind of null market.
    fn sequential(&self, enough: u32) -> Option<Vec<SequentialP>> {
        let of_kind = |kind| {
            let mut p = SequentialP::new(self.statistic?, enough.into())?;
            // A null market on which nothing was found is not as good as one on which something was.
            self.nulls_of(kind).for_each(|null| p.observe(null.unwrap_or(f64::NEG_INFINITY)));
            Some(p)
        };
        (0..self.null_kinds.max(1)).map(of_kind).collect()
    }

    /// What the searches say, once the session is finished: of the kind of null market that says the least.
    #[must_use]
    pub fn searched(&self, protocol: &ProtocolConfig) -> SearchedP {
        let of_kind = |(kind, p): (u32, SequentialP)| {
            let good = |real: f64| self.nulls_of(kind).flatten().filter(|null| *null >= real).count();
            SearchedP {
                p_value: p.p_value(),
                null_searches: self.nulls_of(kind).count() as u32,
                as_good: self.statistic.map_or(0, good) as u32,
            }
        };
        let none = SearchedP { p_value: 1.0, null_searches: self.nulls.len() as u32, as_good: 0 };
        let all = self.sequential(protocol.null_exceedances);
        let all = all.into_iter().flatten();
        (0..).zip(all).map(of_kind).reduce(|a, b| if b.p_value > a.p_value { b } else { a }).unwrap_or(none)
    }

    /// The session's best, best first; empty before it is finished.
    #[must_use]
    pub fn candidates(&self, plan: Plan<'_>) -> Vec<Candidate> {
        if !self.is_finished() {
            return Vec::new();
        }
        let session = self.searched(plan.protocol);
        let one = |individual: &Individual| {
            let own = statistic(individual);
            let as_good = |null: &Option<f64>| own.is_none_or(|own| null.is_some_and(|n| n >= own));
            let of_kind = |kind| {
                let (good, all) = (self.nulls_of(kind).filter(as_good).count(), self.nulls_of(kind).count());
                (1 + good) as f64 / (1 + all) as f64
            };
            let p_value = (0..self.null_kinds.max(1)).map(of_kind).fold(session.p_value, f64::max);
            Candidate { individual: individual.clone(), p_value, null_searches: session.null_searches, seen: self.seen }
        };
        self.found.iter().map(one).collect()
    }
}

/// What strategies are compared by across markets: the part of the fitness that grows with the t of daily net returns, penalised
/// and shrunk for few trades, and with nothing else.
fn statistic(individual: &Individual) -> Option<f64> {
    Some(individual.measured.as_ref()?.components?.significance)
}

pub(super) fn best_statistic(found: &[Individual]) -> Option<f64> {
    found.iter().filter_map(statistic).reduce(f64::max)
}

fn added(a: Counters, b: Counters) -> Counters {
    Counters {
        evaluations: a.evaluations + b.evaluations,
        failures: a.failures + b.failures,
        duplicates_skipped: a.duplicates_skipped + b.duplicates_skipped,
        twins_dropped: a.twins_dropped + b.twins_dropped,
        t_count: a.t_count + b.t_count,
        t_sum: a.t_sum + b.t_sum,
        t_sum_of_squares: a.t_sum_of_squares + b.t_sum_of_squares,
        t_max: a.t_max.into_iter().chain(b.t_max).reduce(f64::max),
    }
}

/// A session on its market. What it keeps beside the state only saves work.
#[derive(Debug)]
pub struct Session<'a> {
    plan: Plan<'a>,
    /// Settings of the searches that are compared.
    compared: SearchConfig,
    ground: &'a dyn Ground,
    /// The market of a search that is compared, and of which one.
    other: Option<(Option<u32>, Box<dyn Compared + 'a>)>,
}

impl<'a> Session<'a> {
    /// Ready to go on with any state of this session.
    #[must_use]
    pub fn new(plan: Plan<'a>, ground: &'a dyn Ground) -> Self {
        Self { plan, compared: plan.protocol.compared(plan.search), ground, other: None }
    }

    /// One generation more.
    ///
    /// # Errors
    /// When `stop` says so, or the candles that it is compared on cannot be made; the state from before is what to go
    /// on from.
    pub fn advance(
        &mut self,
        mut state: SessionState,
        stop: &dyn Fn(Step) -> bool,
    ) -> Result<(SessionState, Advanced), SessionError> {
        let number = state.nulls.len() as u32;
        let seed = match state.stage {
            Stage::Search => state.seed,
            Stage::Compared => state.seed.child("compared", 0),
            Stage::Null => null_seed(state.seed, number),
            Stage::Done => return Ok((state, Advanced::Finished)),
        };
        let config = if state.stage == Stage::Search { self.plan.search } else { &self.compared };
        let before =
            state.search.take().unwrap_or_else(|| search::start(config, seed, Vec::new(), state.learnt.clone()));
        let (after, report) = match state.stage {
            Stage::Search => search::advance(config, before, &OnGround(self.ground), stop)?,
            _ => {
                let null = (state.stage == Stage::Null).then_some(number);
                let market = match self.other.take() {
                    Some((which, market)) if which == null => market,
                    _ => self.ground.compared(state.seed, null)?,
                };
                search::advance(config, before, &self.other.insert((null, market)).1, stop)?
            }
        };
        let advanced = match state.stage {
            Stage::Search => Advanced::Search(report),
            Stage::Compared => Advanced::Compared(report),
            Stage::Null | Stage::Done => Advanced::Null(number, report),
        };
        if after.is_finished(config) {
            self.conclude(&mut state, &after);
        } else {
            state.search = Some(after);
        }
        Ok((state, advanced))
    }

    /// A search has ended: what becomes of it, and what comes next.
    fn conclude(&self, state: &mut SessionState, search: &SearchState) {
        if state.stage == Stage::Null {
            let found = NullFound::of(search, self.plan.candidates);
            return state.note_null(found, self.plan.protocol);
        }
        let found = search::champions(search, self.plan.candidates);
        let best = best_statistic(&found);
        state.real = added(state.real, search.counters);
        // What a session inherits would score well of itself: null searches begin with nothing.
        if state.stage != Stage::Search || !state.compared_apart {
            state.scores.add(&search.scored, false);
        }
        match state.stage {
            Stage::Search => {
                state.found = found;
                state.statistic = best;
                state.stage = if state.compared_apart { Stage::Compared } else { Stage::Null };
            }
            Stage::Compared => {
                state.statistic = best;
                state.stage = Stage::Null;
            }
            Stage::Null | Stage::Done => {}
        }
        state.end_where_known(self.plan.protocol);
    }
}

/// What the session's own search sees.
struct OnGround<'a>(&'a dyn Ground);

impl Evaluator for OnGround<'_> {
    fn evaluate(&self, population: &[AnyStrategy]) -> Vec<Result<Outcome, EvaluationError>> {
        self.0.evaluate(population)
    }
}
