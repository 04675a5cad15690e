//! Who has children, and what they look like. Never evaluates.

use super::forms::near;
use super::selection::{Contestant, epsilons, lexicase, tournament};
use super::{Individual, Origin, SearchConfig, SearchState, Selection};
use genome::random::Seed;
use genome::{AnyStrategy, StrategyHash};
use learner::Learnt;
use rand::{Rng, RngExt};
use rand_chacha::ChaCha8Rng;
use std::collections::HashSet;

/// Changes tried for one slot before a random strategy takes it; as many again for that.
const ATTEMPTS: u64 = 8;

/// Steps of refinements, as fractions of the number that is moved.
const STEPS: [f64; 3] = [0.05, 0.15, 0.4];

/// What one slot of the next generation is made from: indices into the [`pool`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Plan {
    Random,
    /// By what was learnt.
    Propose,
    Refine(usize),
    Cross(usize, usize),
    Mutate(usize),
}

/// A plan a slot, random strategies first, then proposals of the learner, then refinements of the elites in turn, then crossovers, then mutations.
pub(super) fn select(config: &SearchConfig, state: &SearchState) -> Vec<Plan> {
    let population = &state.population;
    let slots = config.population_size;
    if population.is_empty() {
        return vec![Plan::Random; slots];
    }
    let contestants: Vec<Contestant<'_>> = population
        .iter()
        .map(|i| Contestant { fitness: i.fitness(), cases: i.measured.as_ref().map_or(&[], |m| &m.cases) })
        .collect();
    let epsilons = epsilons(&contestants);
    let archived = state.archive.len();
    let choose = |rng: &mut ChaCha8Rng| {
        if archived > 0 && config.archive_parents_fraction > 0.0 && rng.random_bool(config.archive_parents_fraction) {
            return Some(population.len() + rng.random_range(0..archived));
        }
        match config.selection {
            Selection::Tournament { size } => tournament(&contestants, size, rng),
            Selection::Lexicase { sample } => lexicase(&contestants, sample, &epsilons, rng),
        }
    };
    let seed = generation_seed(state);
    let share = |fraction: f64| (fraction * slots as f64).round() as usize;
    let random = share(config.immigrants_fraction).min(slots);
    let proposed = (random + proposals(config, state.learnt.as_ref(), slots)).min(slots);
    let refined = (proposed + share(config.refinement_fraction)).min(slots);
    let crossed = (refined + share(config.crossover_fraction)).min(slots);
    let elites = config.elites.min(population.len());
    (0..slots)
        .map(|slot| {
            let rng = &mut seed.stream("select", slot as u64);
            // The population is not empty, so there is always somebody; index 0 only satisfies the type.
            let mut parent = || choose(rng).unwrap_or(0);
            match slot {
                s if s < random => Plan::Random,
                s if s < proposed => Plan::Propose,
                s if s < refined => Plan::Refine((s - proposed) % elites),
                s if s < crossed => Plan::Cross(parent(), parent()),
                _ => Plan::Mutate(parent()),
            }
        })
        .collect()
}

/// How many of `slots` strategies are drawn by what was learnt: none before anything was of the form that is searched.
fn proposals(config: &SearchConfig, learnt: Option<&Learnt>, slots: usize) -> usize {
    learnt
        .filter(|learnt| learnt.form == config.form)
        .map_or(0, |_| (config.learner_fraction * slots as f64).round() as usize)
}

/// Who may be a parent: the population, then the archive.
fn pool(state: &SearchState) -> Vec<&Individual> {
    state.population.iter().chain(&state.archive).collect()
}

/// The next generation's offspring, no two alike and none evaluated before; and how many proposals were.
///
/// A slot stays empty when neither its plan nor a random strategy is new: then the space is exhausted.
pub(super) fn vary(config: &SearchConfig, state: &SearchState, plans: &[Plan]) -> (Vec<Individual>, u64) {
    let seed = generation_seed(state);
    let born = state.generation + 1;
    let pool = pool(state);
    let (mut offspring, mut proposed, mut duplicates) = (Vec::new(), HashSet::new(), 0);
    for (slot, &plan) in plans.iter().enumerate() {
        let slot_seed = seed.child("vary", slot as u64);
        for attempt in 0..2 * ATTEMPTS {
            let plan = if attempt < ATTEMPTS { plan } else { Plan::Random };
            let mut rng = slot_seed.stream("attempt", attempt);
            let child = make((config, state.learnt.as_ref()), &pool, plan, born, &mut rng);
            if state.remembered.contains(&child.hash) || !proposed.insert(child.hash) {
                duplicates += 1;
                continue;
            }
            offspring.push(child);
            break;
        }
    }
    (offspring, duplicates)
}

/// `count` different new strategies, beside those `known`: the first of them by what was learnt, the others random.
pub(super) fn new_strategies(
    (config, learnt): (&SearchConfig, Option<&Learnt>),
    seed: Seed,
    count: usize,
    known: &mut HashSet<StrategyHash>,
) -> Vec<Individual> {
    let mut offspring = Vec::with_capacity(count);
    let proposed = proposals(config, learnt, count);
    for slot in 0..count {
        let plan = if slot < proposed { Plan::Propose } else { Plan::Random };
        for attempt in 0..ATTEMPTS {
            let mut rng = seed.child("random", slot as u64).stream("attempt", attempt);
            let child = make((config, learnt), &[], plan, 1, &mut rng);
            if known.insert(child.hash) {
                offspring.push(child);
                break;
            }
        }
    }
    offspring
}

fn make(
    (config, learnt): (&SearchConfig, Option<&Learnt>),
    pool: &[&Individual],
    plan: Plan,
    born: u32,
    rng: &mut impl Rng,
) -> Individual {
    let (strategy, origin, parents) = match (plan, learnt) {
        (Plan::Propose, Some(learnt)) => (learnt.propose(|rng| config.random(rng), rng), Origin::Learner, Vec::new()),
        (Plan::Random | Plan::Propose, _) => (config.random(rng), Origin::Random, Vec::new()),
        (Plan::Refine(i), _) => {
            let parent = pool[i];
            let strategy = neighbour(&parent.strategy, rng);
            (strategy, Origin::Refinement, vec![parent.hash])
        }
        (Plan::Cross(i, j), _) => {
            let (a, b) = (pool[i], pool[j]);
            let strategy = config.crossover(&a.strategy, &b.strategy, rng);
            (strategy, Origin::Crossover, vec![a.hash, b.hash])
        }
        (Plan::Mutate(i), _) => {
            let parent = pool[i];
            (config.mutate(&parent.strategy, rng), Origin::Mutation, vec![parent.hash])
        }
    };
    Individual::unmeasured(strategy, origin, parents, born)
}

/// The strategy with one of its numbers moved, by a small or a large step; itself where it has none.
fn neighbour(strategy: &AnyStrategy, rng: &mut impl Rng) -> AnyStrategy {
    let step = STEPS[rng.random_range(0..STEPS.len())];
    let mut near = near(strategy, step);
    if near.is_empty() {
        return strategy.clone();
    }
    near.swap_remove(rng.random_range(0..near.len()))
}

fn generation_seed(state: &SearchState) -> Seed {
    state.seed.child("generation", u64::from(state.generation))
}
