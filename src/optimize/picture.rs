//! What drawings of a run are made from: heat maps of pairs of parameters, and a sample of points; and all of it together
//! as it is stored.
//!
//! Small whatever the size of the run. Draws nothing.

use super::{Analysis, AnalysisConfig, Axis, Objective, Run, analyse, sentences};
use serde::{Deserialize, Serialize};

/// Parts of a long axis.
const PARTS: usize = 30;
/// Axes of which heat maps are made, the most important ones.
const AXES: usize = 4;
/// Points that are shown: the best, and as many of the others in even steps.
const SHOWN: usize = 150;

/// Two parameters, and what points came to whatever the others were.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HeatMap {
    /// Across.
    pub x: String,
    /// Upwards.
    pub y: String,
    /// First value of each column.
    pub x_values: Vec<f64>,
    /// First value of each row.
    pub y_values: Vec<f64>,
    /// Mean of the objective, row by row; `None` where no point has a value.
    pub mean: Vec<Vec<Option<f64>>>,
    /// The best of it.
    pub best: Vec<Vec<Option<f64>>>,
    /// Points with a value.
    pub points: Vec<Vec<u32>>,
}

/// A point that is shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Shown {
    /// Its number.
    pub point: usize,
    /// Its value on each axis.
    pub values: Vec<f64>,
    /// Its value of each objective.
    pub objectives: Vec<Option<f64>>,
    /// Closed trades.
    pub total_trades: u32,
}

/// A heading with its sentence.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Told {
    /// What it is about.
    pub about: String,
    /// What is said.
    pub sentence: String,
}

/// Everything that a run says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Story {
    /// The axes.
    pub axes: Vec<Axis>,
    /// What points are compared by.
    pub objectives: Vec<Objective>,
    /// In words.
    pub told: Vec<Told>,
    /// In numbers.
    pub analysis: Analysis,
    /// Pairs of the most important parameters.
    pub heat_maps: Vec<HeatMap>,
    /// The best points, best first, and then others.
    pub points: Vec<Shown>,
}

impl Story {
    /// Of a run.
    #[must_use]
    pub fn of(run: &Run, config: &AnalysisConfig) -> Self {
        let analysis = analyse(run, config);
        let told = sentences(&analysis);
        let told = told.into_iter().map(|(about, sentence)| Told { about: about.to_owned(), sentence }).collect();
        Self {
            axes: run.settings().space.axes().to_vec(),
            objectives: run.settings().objectives.clone(),
            told,
            heat_maps: heat_maps(run, &analysis),
            points: shown(run),
            analysis,
        }
    }
}

fn first_objective(run: &Run) -> Objective {
    run.settings().objectives.first().copied().unwrap_or(Objective::Sharpe)
}

/// The most important axes, in their own order.
fn heat_maps(run: &Run, analysis: &Analysis) -> Vec<HeatMap> {
    let mut order: Vec<usize> = (0..analysis.importance.len()).collect();
    let share = |i: usize| analysis.importance[i].explained.unwrap_or(0.0);
    order.retain(|&i| run.settings().space.axes()[i].values.len() > 1);
    order.sort_by(|&a, &b| share(b).total_cmp(&share(a)).then(a.cmp(&b)));
    order.truncate(AXES);
    let pairs = (0..order.len()).flat_map(|b| (0..b).map(move |a| (a, b)));
    pairs.map(|(a, b)| heat_map(run, order[a], order[b])).collect()
}

fn heat_map(run: &Run, x: usize, y: usize) -> HeatMap {
    let axes = run.settings().space.axes();
    let objective = first_objective(run);
    let parts = |axis: &Axis| axis.values.len().min(PARTS);
    let part = |axis: &Axis, index: u16| usize::from(index) * parts(axis) / axis.values.len();
    let begins = |axis: &Axis| {
        let first = |wanted: usize| (0..axis.values.len()).find(|&i| part(axis, i as u16) == wanted).unwrap_or(0);
        (0..parts(axis)).map(|i| axis.values[first(i)]).collect::<Vec<f64>>()
    };
    let (columns, rows) = (parts(&axes[x]), parts(&axes[y]));
    let (mut sum, mut best, mut points) =
        (vec![vec![0.0; columns]; rows], vec![vec![None; columns]; rows], vec![vec![0_u32; columns]; rows]);
    for (number, evaluated) in run.evaluated().iter().enumerate() {
        let Some(value) = run.value(number, objective) else { continue };
        let (column, row) = (part(&axes[x], evaluated.point[x]), part(&axes[y], evaluated.point[y]));
        sum[row][column] += value;
        points[row][column] += 1;
        let place: &mut Option<f64> = &mut best[row][column];
        *place = Some(place.map_or(value, |b| b.max(value)));
    }
    let mean = |row: usize| {
        let cells = sum[row].iter().zip(&points[row]);
        cells.map(|(sum, &n)| (n > 0).then(|| sum / f64::from(n))).collect()
    };
    HeatMap {
        x: axes[x].label(),
        y: axes[y].label(),
        x_values: begins(&axes[x]),
        y_values: begins(&axes[y]),
        mean: (0..rows).map(mean).collect(),
        best,
        points,
    }
}

fn shown(run: &Run) -> Vec<Shown> {
    let objective = first_objective(run);
    let mut valued: Vec<(usize, f64)> =
        (0..run.evaluated().len()).filter_map(|i| Some((i, run.value(i, objective)?))).collect();
    valued.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    let rest = valued.len().saturating_sub(SHOWN);
    let step = rest.div_ceil(SHOWN).max(1);
    let best = valued.iter().take(SHOWN);
    let chosen = best.chain(valued.iter().skip(SHOWN).step_by(step));
    chosen
        .map(|&(point, _)| {
            let evaluated = &run.evaluated()[point];
            Shown {
                point,
                values: run.settings().space.values(&evaluated.point),
                objectives: run.settings().objectives.iter().map(|&o| run.value(point, o)).collect(),
                total_trades: evaluated.figures.map_or(0, |f| f.total_trades),
            }
        })
        .collect()
}
