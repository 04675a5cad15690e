//! One generation, step by step: select, vary, evaluate, score, replace, archive. Never reads a clock: whoever
//! calls learns of each step as it begins, and may time it or stop it.
//!
//! Why niches and not a Pareto front: fronts over noisy objectives keep whatever is extreme in any one of them,
//! mostly strategies that hardly trade. Here the fitness stays one number that people can read, and variety is
//! kept where it is meant: a niche may hold `niche_capacity` strategies while others have any to offer, and among
//! strategies that trade alike only the best stays.

use super::archive;
use super::breed::{self, Plan};
use super::fitness::{FitnessLimits, PenalisedT, cases, time_blocks};
use super::forms::size;
use super::state::rank;
use super::{Evaluator, Individual, Measured, Origin, Profile, SearchConfig, SearchState, Summary};
use engine::{EvaluationError, Outcome};
use genome::{AnyNiche, AnyStrategy, StrategyForm, StrategyHash, random::Seed};
use learner::Learnt;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap, HashSet};

/// Strategies handed to the evaluator at once: often enough to be stopped in time, seldom enough to keep every
/// processor busy.
const CHUNK: usize = 128;

/// A step of a generation, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Parents are chosen.
    Select,
    /// Children are made.
    Vary,
    /// Children are backtested; announced again before each part of them.
    Evaluate,
    /// Fitness is given.
    Score,
    /// Who stays is decided.
    Replace,
    /// The best of each niche is remembered.
    Archive,
}

/// The search was told to stop. The state from before the generation is what to go on from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the search was stopped before it could {0:?}")]
pub struct Stopped(pub Step);

/// A strategy that could not be evaluated.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    /// The strategy.
    pub strategy: AnyStrategy,
    /// Its identity.
    pub hash: StrategyHash,
    /// Why.
    pub error: EvaluationError,
}

/// What one generation did.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GenerationReport {
    /// Its number, from 1.
    pub generation: u32,
    /// Strategies evaluated in it, failures included.
    pub evaluations: usize,
    /// Proposals thrown away because they had been evaluated before.
    pub duplicates_skipped: u64,
    /// Strategies dropped because a better one made the very same trades.
    pub twins_dropped: u64,
    /// Strategies in the population after it.
    pub population: usize,
    /// Niches among them.
    pub niches: usize,
    /// How many of each kind of idea on each timeframe (`trend/15m`, `price_month/4h`) there are: in the population, in
    /// the archive.
    pub kinds: BTreeMap<String, [usize; 2]>,
    /// Strategies in the archive.
    pub archive: usize,
    /// Best fitness in the population, 0 to 100; `None` when it is empty.
    pub best_fitness: Option<f64>,
    /// Median.
    pub median_fitness: Option<f64>,
    /// Mean.
    pub mean_fitness: Option<f64>,
    /// Strategies that could not be evaluated, for the dead letters.
    #[serde(skip)]
    pub failures: Vec<Failure>,
}

/// A search at generation 0. `warm_starts` (a former session's archive, an operator's own) are evaluated first,
/// as many as the population holds; new strategies fill the rest, a share of them drawn by what was `learnt`, the others
/// random. Warm starts of another form than the one that is searched are left out.
#[must_use]
pub fn start(config: &SearchConfig, seed: Seed, warm_starts: Vec<AnyStrategy>, learnt: Option<Learnt>) -> SearchState {
    let mut known = HashSet::new();
    let mut population: Vec<Individual> = warm_starts
        .into_iter()
        .filter(|strategy| strategy.form() == config.form)
        .map(|strategy| Individual::unmeasured(strategy, Origin::WarmStart, Vec::new(), 1))
        .filter(|child| known.insert(child.hash))
        .take(config.population_size)
        .collect();
    let missing = config.population_size - population.len();
    population.extend(breed::new_strategies((config, learnt.as_ref()), seed, missing, &mut known));
    SearchState::new(seed, population, learnt)
}

/// The next generation. `stop` is asked before each step, with the step that would come next.
///
/// The same state, settings and evaluations give the same result to the bit.
///
/// # Errors
/// When `stop` says so. The given state is lost then: go on from the one that was stored.
pub fn advance(
    config: &SearchConfig,
    mut state: SearchState,
    evaluator: &dyn Evaluator,
    stop: &dyn Fn(Step) -> bool,
) -> Result<(SearchState, GenerationReport), Stopped> {
    let enter = |step| if stop(step) { Err(Stopped(step)) } else { Ok(()) };

    enter(Step::Select)?;
    let first = state.generation == 0;
    let plans: Vec<Plan> = if first { Vec::new() } else { breed::select(config, &state) };
    enter(Step::Vary)?;
    let (offspring, duplicates_skipped) =
        if first { (std::mem::take(&mut state.population), 0) } else { breed::vary(config, &state, &plans) };
    for child in &offspring {
        state.remembered.insert(&child.hash, config.remembered_hashes);
    }

    let strategies: Vec<AnyStrategy> = offspring.iter().map(|n| n.strategy.clone()).collect();
    let mut outcomes = Vec::with_capacity(strategies.len());
    for chunk in strategies.chunks(CHUNK) {
        enter(Step::Evaluate)?;
        outcomes.extend(evaluator.evaluate(chunk));
    }

    enter(Step::Score)?;
    let evaluations = offspring.len();
    let (measured, failures) = score(config, offspring, outcomes);
    state.generation += 1;
    let counters = &mut state.counters;
    counters.evaluations += evaluations as u64;
    counters.failures += failures.len() as u64;
    counters.duplicates_skipped += duplicates_skipped;
    for t in measured.iter().filter_map(|i| i.measured.as_ref()?.summary.t_statistic) {
        counters.t_count += 1;
        counters.t_sum += t;
        counters.t_sum_of_squares += t * t;
        counters.t_max = Some(counters.t_max.map_or(t, |most| most.max(t)));
    }
    for individual in &measured {
        if let Some(components) = individual.measured.as_ref().and_then(|m| m.components) {
            state.scored.add(&individual.strategy, components.significance);
        }
    }

    enter(Step::Replace)?;
    let contenders = state.population.drain(..).chain(measured).collect();
    let (contenders, twins_dropped) = without_behavioural_duplicates(contenders);
    state.counters.twins_dropped += twins_dropped;

    enter(Step::Archive)?;
    state.archive = archive::updated(config, std::mem::take(&mut state.archive), &contenders);
    state.population = survivors(config, contenders);
    // Only the archive compares returns; in the population they would be most of the stored state.
    for measured in state.population.iter_mut().filter_map(|i| i.measured.as_mut()) {
        measured.profile = None;
    }

    let report = report(&state, evaluations, duplicates_skipped, twins_dropped, failures);
    Ok((state, report))
}

/// Fitness for whoever was evaluated; the others apart.
fn score(
    config: &SearchConfig,
    offspring: Vec<Individual>,
    outcomes: Vec<Result<Outcome, EvaluationError>>,
) -> (Vec<Individual>, Vec<Failure>) {
    let limits = FitnessLimits { min_trades: config.min_trades, max_complexity: config.complexity_limit };
    let (mut measured, mut failures) = (Vec::new(), Vec::new());
    for (mut child, outcome) in offspring.into_iter().zip(outcomes) {
        match outcome {
            Ok(outcome) => {
                let penalised = PenalisedT::of(&outcome.daily_returns, outcome.stake);
                let blocks = time_blocks(&outcome.daily_returns);
                let components = limits.measure(&outcome, penalised, &blocks, f64::from(size(&child.strategy)));
                child.measured = Some(Measured {
                    fitness: components.map_or(0.0, |c| c.fitness()),
                    components,
                    summary: summary(&child.strategy, &outcome),
                    cases: cases(&outcome, penalised, &blocks),
                    trades_digest: outcome.trades_digest,
                    profile: Profile::of(&outcome.daily_returns),
                });
                measured.push(child);
            }
            Err(error) => {
                failures.push(Failure { strategy: child.strategy, hash: child.hash, error });
            }
        }
    }
    (measured, failures)
}

/// Key figures. What ranks the market is judged by its hedged daily returns: so its t is theirs, whatever its performance
/// is of.
fn summary(strategy: &AnyStrategy, outcome: &Outcome) -> Summary {
    let summary = Summary::of(&outcome.performance);
    match strategy.form() {
        StrategyForm::Rules => summary,
        StrategyForm::Ranking => {
            Summary { t_statistic: PenalisedT::of(&outcome.daily_returns, None).map(|p| p.t), ..summary }
        }
    }
}

/// Best first, without those that scored nothing and those whose trades a better one made; and how many of the latter.
fn without_behavioural_duplicates(mut contenders: Vec<Individual>) -> (Vec<Individual>, u64) {
    contenders.retain(|i| i.fitness() > 0.0);
    rank(&mut contenders);
    let before = contenders.len();
    let mut digests = HashSet::new();
    contenders.retain(|i| i.measured.as_ref().is_some_and(|m| digests.insert(m.trades_digest)));
    let dropped = before - contenders.len();
    (contenders, dropped as u64)
}

/// The elites, then the best that their niches have room for, then the best of the rest while there is room at all.
fn survivors(config: &SearchConfig, ranked: Vec<Individual>) -> Vec<Individual> {
    let mut taken: HashMap<AnyNiche, usize> = HashMap::new();
    let (mut kept, mut crowded) = (Vec::new(), Vec::new());
    for (place, individual) in ranked.into_iter().enumerate() {
        let count = taken.entry(AnyNiche::of(&individual.strategy)).or_insert(0);
        if place < config.elites || *count < config.niche_capacity {
            *count += 1;
            kept.push(individual);
        } else {
            crowded.push(individual);
        }
    }
    let room = config.population_size.saturating_sub(kept.len());
    kept.extend(crowded.into_iter().take(room));
    rank(&mut kept);
    kept.truncate(config.population_size);
    kept
}

fn report(
    state: &SearchState,
    evaluations: usize,
    duplicates_skipped: u64,
    twins_dropped: u64,
    failures: Vec<Failure>,
) -> GenerationReport {
    let population = &state.population;
    let n = population.len();
    let fitness = |place: usize| population.get(place).map(Individual::fitness);
    let niches: HashSet<AnyNiche> = population.iter().map(|i| AnyNiche::of(&i.strategy)).collect();
    let mut kinds = BTreeMap::<String, [usize; 2]>::new();
    for (place, individuals) in [population, &state.archive].into_iter().enumerate() {
        for strategy in individuals.iter().map(|i| &i.strategy) {
            let kind = format!("{}/{}", AnyNiche::of(strategy).idea(), strategy.timeframe());
            kinds.entry(kind).or_default()[place] += 1;
        }
    }
    GenerationReport {
        generation: state.generation,
        evaluations,
        duplicates_skipped,
        twins_dropped,
        population: n,
        niches: niches.len(),
        kinds,
        archive: state.archive.len(),
        best_fitness: fitness(0),
        median_fitness: fitness(n / 2).zip(fitness(n.saturating_sub(1) / 2)).map(|(a, b)| (a + b) / 2.0),
        mean_fitness: (n > 0).then(|| population.iter().map(Individual::fitness).sum::<f64>() / n as f64),
        failures,
    }
}

/// The best `k`: of different niches first, then of different trades.
#[must_use]
pub fn champions(state: &SearchState, k: usize) -> Vec<Individual> {
    let mut all: Vec<Individual> = state.population.iter().chain(&state.archive).cloned().collect();
    let (all, _) = without_behavioural_duplicates(std::mem::take(&mut all));
    let mut niches = HashSet::new();
    let (mut chosen, others): (Vec<_>, Vec<_>) =
        all.into_iter().partition(|i| niches.insert(AnyNiche::of(&i.strategy)));
    let room = k.saturating_sub(chosen.len());
    chosen.extend(others.into_iter().take(room));
    chosen.truncate(k);
    chosen
}
