//! A run between two batches: which points were evaluated, what came of them, and which come next.
//!
//! A value that is stored and gone on with to the bit: what is proposed follows from the settings and what was recorded, each
//! random stream from the seed and a label. How many points are asked for at once changes no result.

use super::{Figures, MAX_RETURNS, Objective, Point, Space, Table, genetic};
use genome::random::Seed;
use rand::RngExt;
use serde::{Deserialize, Serialize};
use std::{collections::HashSet, fmt, str::FromStr};

/// Most points of a run, whatever their days.
pub const MAX_POINTS: u32 = 200_000;

/// How points are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// Every point.
    Grid,
    /// Points at random, none twice.
    Random,
    /// Points from the best ones so far, by crossover and small steps.
    Genetic,
}

impl Method {
    /// The name in options, JSON and tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Grid => "grid",
            Self::Random => "random",
            Self::Genetic => "genetic",
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Method {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let all = [Self::Grid, Self::Random, Self::Genetic];
        let found = all.into_iter().find(|method| method.name() == text);
        found.ok_or_else(|| format!("{text:?} is no method; there are grid, random and genetic"))
    }
}

/// What a run is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// How points are chosen.
    pub method: Method,
    /// What they are compared by, the first above all; several make a Pareto front.
    pub objectives: Vec<Objective>,
    /// Points to evaluate at most; a space that has fewer is evaluated whole.
    pub points: u32,
    /// Closed trades below which a point is not the best of anything.
    pub least_trades: u32,
    /// Points of a generation of the genetic method.
    pub population: u32,
    /// Root of every random stream.
    pub seed: Seed,
    /// What is varied.
    pub space: Space,
}

/// Why a run cannot be.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[allow(missing_docs)]
pub enum RunError {
    #[error(
        "the grid has {size} points and at most {points} are to be evaluated: give wider steps, or --points, up to {MAX_POINTS}"
    )]
    GridTooLarge { size: u128, points: u32 },
    #[error("--points must be 1 to {MAX_POINTS}, not {0}")]
    Points(u32),
    #[error(
        "{points} points over {days} days are {} daily returns, and at most {MAX_RETURNS} are kept: give {} points or fewer, or fewer days",
        *points as usize * days, MAX_RETURNS / (*days).max(1)
    )]
    TooMuch { points: u32, days: usize },
    #[error("{days} whole days give no daily returns to compare; at least 2 are needed")]
    TooFewDays { days: usize },
    #[error("a generation must have 4 to {MAX_POINTS} points, not {0}")]
    Population(u32),
    #[error("no objective: give --objective sharpe, or several separated by commas")]
    NoObjective,
    #[error("the objective {0} is given twice")]
    ObjectiveTwice(Objective),
}

/// A point that was looked at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evaluated {
    /// Where it is in the space.
    pub point: Point,
    /// What came of it; `None` where it could not be evaluated.
    pub figures: Option<Figures>,
    /// Why not: its values make no valid strategy, or the engine could not evaluate it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// What an evaluation gave.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measured {
    /// Figures over the whole window.
    pub figures: Figures,
    /// Net returns by day.
    pub daily_returns: Vec<f64>,
    /// Trades entered each day.
    pub trades_by_day: Vec<u32>,
}

/// Points to evaluate next.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// In the order in which they are to be recorded.
    pub points: Vec<Point>,
    draws: u64,
}

/// Numbers of points. Only asked whether one is in it: its order changes nothing.
type Seen = HashSet<u128>;

/// A run between two batches.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    pub(super) settings: Settings,
    /// Every point, in order.
    pub(super) evaluated: Vec<Evaluated>,
    pub(super) table: Table,
    /// Random draws made so far.
    pub(super) draws: u64,
    /// Generations finished.
    pub(super) generation: u32,
    /// Numbers of the points that the next generation comes from.
    pub(super) parents: Vec<u32>,
}

impl Run {
    /// A run that has evaluated nothing yet, over so many days.
    ///
    /// # Errors
    /// When the settings contradict each other, or what is to be kept would not fit.
    pub fn new(settings: Settings, days: usize) -> Result<Self, RunError> {
        if !(1..=MAX_POINTS).contains(&settings.points) {
            return Err(RunError::Points(settings.points));
        }
        let size = settings.space.size();
        if settings.method == Method::Grid && size > u128::from(settings.points) {
            return Err(RunError::GridTooLarge { size, points: settings.points });
        }
        if settings.method == Method::Genetic && !(4..=MAX_POINTS).contains(&settings.population) {
            return Err(RunError::Population(settings.population));
        }
        if settings.objectives.is_empty() {
            return Err(RunError::NoObjective);
        }
        let twice = |(i, objective): &(usize, &Objective)| settings.objectives[..*i].contains(objective);
        if let Some((_, objective)) = settings.objectives.iter().enumerate().find(twice) {
            return Err(RunError::ObjectiveTwice(*objective));
        }
        if days < 2 {
            return Err(RunError::TooFewDays { days });
        }
        let run = Self {
            settings,
            evaluated: Vec::new(),
            table: Table::new(days),
            draws: 0,
            generation: 0,
            parents: Vec::new(),
        };
        if run.budget().saturating_mul(days) > MAX_RETURNS {
            return Err(RunError::TooMuch { points: run.settings.points, days });
        }
        Ok(run)
    }

    /// What it is.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Every point so far, in the order in which they were recorded.
    #[must_use]
    pub fn evaluated(&self) -> &[Evaluated] {
        &self.evaluated
    }

    /// Daily returns of every point so far.
    #[must_use]
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// Generations of the genetic method that are finished.
    #[must_use]
    pub fn generation(&self) -> u32 {
        self.generation
    }

    /// Points that it evaluates in all.
    #[must_use]
    pub fn budget(&self) -> usize {
        u128::from(self.settings.points).min(self.settings.space.size()) as usize
    }

    /// Whether nothing is left to evaluate.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.evaluated.len() >= self.budget()
    }

    /// Points that were evaluated: the trials that this run was. Those whose values make no strategy were none.
    #[must_use]
    pub fn trials(&self) -> u64 {
        self.evaluated.iter().filter(|e| e.figures.is_some()).count() as u64
    }

    /// The points to evaluate next, about `most` of them; the genetic method gives a generation at a time. Empty at the end.
    #[must_use]
    pub fn propose(&self, most: usize) -> Batch {
        let mut batch = Batch { points: Vec::new(), draws: self.draws };
        if self.is_finished() {
            return batch;
        }
        match self.settings.method {
            Method::Grid | Method::Random => return self.ahead(&[most]).pop().unwrap_or(batch),
            Method::Genetic => {
                let mut seen = self.seen();
                let left = self.budget().saturating_sub(self.evaluated.len());
                let count = left.min(self.settings.population as usize);
                if self.parents.is_empty() {
                    self.draw(count, &mut seen, &mut batch);
                } else {
                    self.breed(count, &mut seen, &mut batch);
                }
            }
        }
        batch
    }

    /// Batches of these sizes to be recorded one after the other, of which none depends on what came of those before it; fewer
    /// at the end. Each is what [`Run::propose`] would give in its turn. The genetic method has one, of its own size.
    #[must_use]
    pub fn ahead(&self, sizes: &[usize]) -> Vec<Batch> {
        if self.settings.method == Method::Genetic {
            let batch = self.propose(0);
            return if batch.points.is_empty() { Vec::new() } else { vec![batch] };
        }
        let (mut seen, mut draws) = (self.seen(), self.draws);
        let (mut first, mut batches) = (self.evaluated.len(), Vec::new());
        for size in sizes {
            let count = self.budget().saturating_sub(first).min((*size).max(1));
            if count == 0 {
                break;
            }
            let mut batch = Batch { points: Vec::new(), draws };
            match self.settings.method {
                Method::Grid => batch.points = self.ranked(first, count),
                Method::Random | Method::Genetic => self.draw(count, &mut seen, &mut batch),
            }
            draws = batch.draws;
            first += count;
            batches.push(batch);
        }
        batches
    }

    /// So many points of the grid, from this number on.
    fn ranked(&self, first: usize, count: usize) -> Vec<Point> {
        (first..first + count).map(|rank| self.settings.space.point(rank as u128)).collect()
    }

    /// Adds children of the parents, and a point at random where there is no new child.
    fn breed(&self, count: usize, seen: &mut Seen, batch: &mut Batch) {
        let parents: Vec<&Point> = self.parents.iter().map(|&i| &self.evaluated[i as usize].point).collect();
        let seed = self.settings.seed.child("generation", u64::from(self.generation));
        for slot in 0..count {
            let mut rng = seed.stream("child", slot as u64);
            match genetic::child(&parents, &self.settings.space, seen, &mut rng) {
                Some(child) => batch.points.push(child),
                None => self.draw(1, seen, batch),
            }
        }
    }

    /// Numbers of the points that were proposed already.
    fn seen(&self) -> Seen {
        self.evaluated.iter().map(|e| self.settings.space.rank(&e.point)).collect()
    }

    /// Adds points at random that are not among the seen ones.
    fn draw(&self, count: usize, seen: &mut Seen, batch: &mut Batch) {
        let (space, target) = (&self.settings.space, batch.points.len() + count);
        while batch.points.len() < target {
            let mut rng = self.settings.seed.stream("point", batch.draws);
            batch.draws += 1;
            let point: Point =
                space.axes().iter().map(|axis| rng.random_range(0..axis.values.len() as u32) as u16).collect();
            if seen.insert(space.rank(&point)) {
                batch.points.push(point);
            }
        }
    }

    /// Records what came of a batch, in the order of its points. One that is shorter than its batch is not recorded.
    pub fn record(&mut self, batch: Batch, measured: Vec<Result<Measured, String>>) {
        if measured.len() != batch.points.len() {
            return;
        }
        let first = self.evaluated.len();
        for (point, measured) in batch.points.into_iter().zip(measured) {
            let evaluated = match measured {
                Ok(m) => {
                    self.table.push(&m.daily_returns, &m.trades_by_day);
                    Evaluated { point, figures: Some(m.figures), error: None }
                }
                Err(error) => {
                    self.table.push(&[], &[]);
                    Evaluated { point, figures: None, error: Some(error) }
                }
            };
            self.evaluated.push(evaluated);
        }
        self.draws = batch.draws;
        if self.settings.method == Method::Genetic && self.evaluated.len() > first {
            let pool = self.parents.iter().map(|&i| i as usize).chain(first..self.evaluated.len());
            let contender = |i: usize| genetic::Contender {
                number: i as u32,
                aims: self.settings.objectives.iter().map(|&objective| self.value(i, objective)).collect(),
                trades: self.evaluated[i].figures.as_ref().map(|f| f.total_trades),
            };
            let pool: Vec<_> = pool.map(contender).collect();
            self.parents = genetic::survivors(&pool, self.settings.population as usize);
            self.generation += 1;
        }
    }

    /// A point's value of an objective; `None` where it is undefined or the point has too few trades.
    #[must_use]
    pub fn value(&self, number: usize, objective: Objective) -> Option<f64> {
        let figures = self.evaluated.get(number)?.figures.as_ref()?;
        if figures.total_trades < self.settings.least_trades {
            return None;
        }
        objective.of(figures)
    }

    /// The best point by the first objective; the first of equals. `None` where none has a value.
    #[must_use]
    pub fn best(&self) -> Option<usize> {
        let first = *self.settings.objectives.first()?;
        let values = (0..self.evaluated.len()).filter_map(|i| Some((i, self.value(i, first)?)));
        Some(values.reduce(|a, b| if b.1 > a.1 { b } else { a })?.0)
    }

    /// Points that no other beats in every objective, in the order of the first objective, best first.
    #[must_use]
    pub fn front(&self) -> Vec<usize> {
        let aims = |i: usize| {
            self.settings.objectives.iter().map(|&objective| self.value(i, objective)).collect::<Option<Vec<f64>>>()
        };
        let mut all: Vec<(usize, Vec<f64>)> = (0..self.evaluated.len()).filter_map(|i| Some((i, aims(i)?))).collect();
        // Whoever is beaten is beaten by one that comes before it in this order.
        all.sort_by(|a, b| {
            let differing = a.1.iter().zip(&b.1).map(|(x, y)| y.total_cmp(x)).find(|o| o.is_ne());
            differing.unwrap_or(a.0.cmp(&b.0))
        });
        let mut front: Vec<(usize, Vec<f64>)> = Vec::new();
        for (number, aims) in all {
            let beats = |other: &[f64]| other.iter().zip(&aims).all(|(x, y)| x >= y);
            if !front.iter().any(|(_, other)| beats(other)) {
                front.push((number, aims));
            }
        }
        front.into_iter().map(|(number, _)| number).collect()
    }
}
