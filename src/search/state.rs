//! Everything a search is made of between two generations: what is stored, and resumed from to the bit.

use super::{Components, Profile, SearchConfig};
use engine::Performance;
use genome::{AnyStrategy, StrategyHash, random::Seed};
use learner::{Learnt, Scored};
use serde::{Deserialize, Serialize};
use std::collections::{HashSet, VecDeque};

/// Where a strategy came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// Made at random.
    Random,
    /// Brought from elsewhere: a former session's archive, or an operator.
    WarmStart,
    /// One parent, changed.
    Mutation,
    /// Two parents.
    Crossover,
    /// An elite with a constant moved a step.
    Refinement,
    /// Drawn by what was learnt.
    Learner,
}

impl Origin {
    /// The name in Postgres and JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Random => "random",
            Self::WarmStart => "immigrant",
            Self::Mutation => "mutation",
            Self::Crossover => "crossover",
            Self::Refinement => "refinement",
            Self::Learner => "learner",
        }
    }
}

/// The figures of a performance that the search keeps; the rest is had by evaluating again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct Summary {
    pub total_return: Option<f64>,
    pub t_statistic: Option<f64>,
    pub sharpe_ratio: Option<f64>,
    pub max_drawdown: Option<f64>,
    pub profit_factor: Option<f64>,
    pub win_rate: Option<f64>,
    pub total_trades: u32,
    pub avg_trade_duration_hours: Option<f64>,
    pub days: u32,
}

impl Summary {
    pub(super) fn of(p: &Performance) -> Self {
        Self {
            total_return: p.total_return,
            t_statistic: p.t_statistic,
            sharpe_ratio: p.sharpe_ratio,
            max_drawdown: p.max_drawdown,
            profit_factor: p.profit_factor,
            win_rate: p.win_rate,
            total_trades: p.total_trades,
            avg_trade_duration_hours: p.avg_trade_duration_hours,
            days: p.days,
        }
    }
}

/// What an evaluation said about a strategy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measured {
    /// 0 to 100: the points of the components added up, 0 with too few trades.
    pub fitness: f64,
    /// The parts; `None` with too few trades.
    pub components: Option<Components>,
    /// Key figures.
    pub summary: Summary,
    /// Results by block of time, then by symbol; more is better.
    pub cases: Vec<Option<f64>>,
    /// Strategies with one digest traded alike.
    pub trades_digest: u64,
    /// Daily returns for comparison; kept for offspring and in the archive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<Profile>,
}

/// A strategy in a search.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Individual {
    /// The strategy.
    pub strategy: AnyStrategy,
    /// Its identity.
    pub hash: StrategyHash,
    /// Where it came from.
    pub origin: Origin,
    /// What it was made from; empty for offspring.
    pub parents: Vec<StrategyHash>,
    /// Generation in which it was first evaluated.
    pub born: u32,
    /// What evaluation said; `None` before it.
    pub measured: Option<Measured>,
}

impl Individual {
    /// A strategy that is yet to be evaluated.
    #[must_use]
    pub fn unmeasured(strategy: AnyStrategy, origin: Origin, parents: Vec<StrategyHash>, born: u32) -> Self {
        Self { hash: strategy.hash(), strategy, origin, parents, born, measured: None }
    }

    /// 0 to 100; 0 before evaluation.
    #[must_use]
    pub fn fitness(&self) -> f64 {
        self.measured.as_ref().map_or(0.0, |m| m.fitness)
    }
}

/// Best first. Equals in order of hash, so that nothing depends on the order of arrival.
pub(super) fn rank(individuals: &mut [Individual]) {
    individuals.sort_by(|a, b| b.fitness().total_cmp(&a.fitness()).then_with(|| a.hash.cmp(&b.hash)));
}

/// Fingerprints of strategies that were evaluated, the newest `limit` of them.
///
/// 64 bits of the hash: among a million strategies two collide with a chance of about 1 in 40 million, and all
/// that happens then is that one strategy is skipped.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub(super) struct Remembered {
    order: VecDeque<u64>,
    set: HashSet<u64>,
}

impl Remembered {
    /// Remembers; `false` if it was known.
    pub(super) fn insert(&mut self, hash: &StrategyHash, limit: usize) -> bool {
        let print = fingerprint(hash);
        if !self.set.insert(print) {
            return false;
        }
        self.order.push_back(print);
        while self.order.len() > limit {
            if let Some(oldest) = self.order.pop_front() {
                self.set.remove(&oldest);
            }
        }
        true
    }

    pub(super) fn contains(&self, hash: &StrategyHash) -> bool {
        self.set.contains(&fingerprint(hash))
    }
}

fn fingerprint(hash: &StrategyHash) -> u64 {
    let mut first = [0; 8];
    first.copy_from_slice(&hash.as_bytes()[..8]);
    u64::from_be_bytes(first)
}

/// Sixteen hex digits each, oldest first: an array of numbers would take twice the room in the stored state.
impl From<Remembered> for String {
    fn from(remembered: Remembered) -> Self {
        remembered.order.iter().map(|print| format!("{print:016x}")).collect()
    }
}
impl From<String> for Remembered {
    fn from(text: String) -> Self {
        let prints =
            text.as_bytes().chunks(16).filter_map(|c| u64::from_str_radix(std::str::from_utf8(c).ok()?, 16).ok());
        let order: VecDeque<u64> = prints.collect();
        Self { set: order.iter().copied().collect(), order }
    }
}

/// What the search did so far. Luck is judged by these counts, so they never shrink.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counters {
    /// Strategies evaluated, failures included.
    pub evaluations: u64,
    /// Evaluations that failed.
    pub failures: u64,
    /// Proposals thrown away because they had been evaluated before.
    pub duplicates_skipped: u64,
    /// Strategies dropped because a better one made the very same trades.
    pub twins_dropped: u64,
    /// Evaluations with a defined t-statistic.
    pub t_count: u64,
    /// Sum of t-statistics.
    pub t_sum: f64,
    /// Sum of their squares.
    pub t_sum_of_squares: f64,
    /// The largest one.
    pub t_max: Option<f64>,
}

/// A search between two generations.
///
/// Serialised and read back, it goes on exactly as if it had never stopped: every random stream comes from the
/// seed, the generation and a slot, and nothing else is carried over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SearchState {
    /// Root of every random stream.
    pub seed: Seed,
    /// Generations finished.
    pub generation: u32,
    /// Best first. At generation 0 those that are to be evaluated first; later all are evaluated.
    pub population: Vec<Individual>,
    /// The best of each kind ever seen, best first.
    pub archive: Vec<Individual>,
    /// Counts since the start.
    pub counters: Counters,
    /// What earlier strategies have taught, if anything: a share of each generation is drawn by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) learnt: Option<Learnt>,
    /// What was evaluated so far, by building block: the part of the fitness that grows with t.
    #[serde(default, skip_serializing_if = "Scored::is_empty")]
    pub scored: Scored,
    pub(super) remembered: Remembered,
}

impl SearchState {
    pub(super) fn new(seed: Seed, population: Vec<Individual>, learnt: Option<Learnt>) -> Self {
        Self {
            seed,
            generation: 0,
            population,
            archive: Vec::new(),
            counters: Counters::default(),
            learnt,
            scored: Scored::default(),
            remembered: Remembered::default(),
        }
    }

    /// Whether the configured generations are done.
    #[must_use]
    pub fn is_finished(&self, config: &SearchConfig) -> bool {
        self.generation >= config.generations
    }
}
