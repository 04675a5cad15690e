//! Everything that is said of a run as a whole, in one value: for the report, the page, JSON and the database.
//!
//! Rests on the daily net returns of every point. For readers: a point that looks good here still enters as a candidate like
//! any other, and has to show on unseen days what it is worth.

use super::{
    Cell, DAYS_A_YEAR, Figures, Importance, MatrixConfig, Method, Objective, Overfitting, Plateau, Run, Shrunken,
    Table, importance, matrix, overfitting, plateau, shrunken,
};
use evidence::sharpe::{SharpeRatio, expected_best_sharpe};
use serde::{Deserialize, Serialize};

/// What is asked.
#[derive(Clone, Debug, PartialEq)]
pub struct AnalysisConfig {
    /// In-sample lengths of the walk-forward matrix, days.
    pub in_sample_days: Vec<usize>,
    /// Out-of-sample lengths, days.
    pub out_of_sample_days: Vec<usize>,
    /// Trades in sample below which a point is not chosen in a fold.
    pub least_in_sample_trades: u32,
    /// Efficiency that counts as kept.
    pub efficiency_threshold: f64,
    /// Probability that counts as sure.
    pub confidence: f64,
    /// Time blocks of the probability of overfitting, even.
    pub overfitting_blocks: usize,
    /// Trials counted before this run.
    pub trials_before: u64,
}

impl AnalysisConfig {
    /// The customary settings for so many days: a sixth, a quarter and half of them in sample; a twenty-fourth, a twelfth and
    /// a sixth out of sample.
    #[must_use]
    pub fn fitting(days: usize) -> Self {
        let lengths = |parts: [usize; 3]| {
            let mut all: Vec<usize> = parts.iter().map(|part| days / part).filter(|length| *length > 0).collect();
            all.dedup();
            all
        };
        Self {
            in_sample_days: lengths([6, 4, 2]),
            out_of_sample_days: lengths([24, 12, 6]),
            least_in_sample_trades: 30,
            efficiency_threshold: 0.5,
            confidence: 0.95,
            overfitting_blocks: 10,
            trials_before: 0,
        }
    }
}

/// The best point by the first objective.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Best {
    /// Its number.
    pub point: usize,
    /// Its parameters.
    pub parameters: Vec<(String, f64)>,
    /// Its value of the first objective.
    pub objective: f64,
    /// Its figures.
    pub figures: Figures,
}

/// How sure the best point's Sharpe ratio is, alone and as the best of all trials.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Deflation {
    /// Trials counted: this run's and those before it.
    pub trials: u64,
    /// Annual Sharpe ratio of its daily returns.
    pub sharpe: f64,
    /// Standard error of it.
    pub standard_error: Option<f64>,
    /// Chance that the true ratio is above 0, had this point alone been tried.
    pub probability: Option<f64>,
    /// Annual ratio that the best of so many worthless tries is expected to show, each varying by 1 / days.
    pub expected_by_luck: Option<f64>,
    /// Chance that the true ratio is above that: the deflated Sharpe ratio.
    pub deflated: Option<f64>,
    /// Variance of the daily ratios between points, which the original formula takes instead of 1 / days. Between points of
    /// one strategy much of it is real, so that this deflates too much.
    pub variance_between_points: Option<f64>,
    /// The deflated ratio with that variance.
    pub deflated_by_points: Option<f64>,
    /// Days that such a record would need for the confidence asked for, had this point alone been tried.
    pub minimum_days: Option<f64>,
}

/// What a run says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Analysis {
    /// Days of each point.
    pub days: usize,
    /// Points evaluated: trials.
    pub trials: u64,
    /// Whether points were chosen by what earlier ones showed: then they are no fair sample of the space.
    pub adaptive: bool,
    /// Points that could not be evaluated.
    pub failures: u64,
    /// Points with too few trades.
    pub too_few_trades: u64,
    /// `None` where no point has a value of the first objective.
    pub best: Option<Best>,
    /// Numbers of the points that no other beats in every objective.
    pub front: Vec<usize>,
    /// How sure the best is.
    pub deflation: Option<Deflation>,
    /// What to expect of it.
    pub expectation: Option<Shrunken>,
    /// The best among its neighbours.
    pub plateau: Option<Plateau>,
    /// The point with the best surroundings.
    pub best_plateau: Option<Plateau>,
    /// Over all points.
    pub overfitting: Option<Overfitting>,
    /// Cells of the walk-forward matrix.
    pub walk_forward: Vec<Cell>,
    /// Share of the matrix's cells with an efficiency that reaches the threshold.
    pub cells_kept: Option<f64>,
    /// By axis.
    pub importance: Vec<Importance>,
    /// As asked.
    pub efficiency_threshold: f64,
    /// As asked.
    pub confidence: f64,
}

/// Says it all. The same run and settings give the same bits.
#[must_use]
pub fn analyse(run: &Run, config: &AnalysisConfig) -> Analysis {
    let objective = run.settings().objectives.first().copied().unwrap_or(Objective::Sharpe);
    let (evaluated, table) = (run.evaluated(), run.table());
    let measured: Vec<usize> = (0..evaluated.len()).filter(|&i| evaluated[i].figures.is_some()).collect();
    let best = run.best().and_then(|point| {
        Some(Best {
            point,
            parameters: named(run, point),
            objective: run.value(point, objective)?,
            figures: evaluated[point].figures?,
        })
    });
    let matrix_config = MatrixConfig {
        in_sample_days: config.in_sample_days.clone(),
        out_of_sample_days: config.out_of_sample_days.clone(),
        least_trades: config.least_in_sample_trades,
        by_return: objective.is_of_return(),
        efficiency_threshold: config.efficiency_threshold,
    };
    let walk_forward = matrix(table, &measured, &matrix_config);
    let judged: Vec<bool> = walk_forward.iter().filter(|cell| cell.folds > 0).map(|c| c.kept == Some(true)).collect();
    let number = best.as_ref().map(|b| b.point);
    Analysis {
        days: table.days(),
        trials: run.trials(),
        adaptive: run.settings().method == Method::Genetic,
        failures: evaluated.len() as u64 - measured.len() as u64,
        too_few_trades: measured.iter().filter(|&&i| is_short(run, i)).count() as u64,
        front: if run.settings().objectives.len() > 1 { run.front() } else { number.into_iter().collect() },
        deflation: number.and_then(|point| {
            let trials = run.trials() + config.trials_before;
            deflation(table, &measured, point, trials, config.confidence)
        }),
        expectation: number.and_then(|point| shrunken(table, &measured, point)),
        plateau: number.and_then(|point| plateau(run, point, objective)),
        best_plateau: plateau::best_plateau(run, objective),
        overfitting: overfitting(table, &measured, config.overfitting_blocks),
        cells_kept: (!judged.is_empty())
            .then(|| judged.iter().filter(|kept| **kept).count() as f64 / judged.len() as f64),
        walk_forward,
        importance: importance(run, objective),
        efficiency_threshold: config.efficiency_threshold,
        confidence: config.confidence,
        best,
    }
}

fn named(run: &Run, point: usize) -> Vec<(String, f64)> {
    let named = run.settings().space.named(&run.evaluated()[point].point);
    named.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn is_short(run: &Run, number: usize) -> bool {
    run.evaluated()[number].figures.is_some_and(|f| f.total_trades < run.settings().least_trades)
}

/// How sure the row `best` is, which was picked among `rows` and `trials` in all. `None` without a Sharpe ratio.
#[must_use]
pub fn deflation(table: &Table, rows: &[usize], best: usize, trials: u64, confidence: f64) -> Option<Deflation> {
    let own = SharpeRatio::of(table.row(best))?;
    let (n, by_chance, a_year) = (trials as f64, 1.0 / own.periods, DAYS_A_YEAR.sqrt());
    let ratios: Vec<f64> = rows.iter().filter_map(|&row| super::daily_sharpe(table.row(row))).collect();
    let mean = ratios.iter().sum::<f64>() / ratios.len() as f64;
    let spread: f64 = ratios.iter().map(|r| (r - mean).powi(2)).sum();
    let between = (ratios.len() > 1).then(|| spread / (ratios.len() as f64 - 1.0));
    Some(Deflation {
        trials,
        sharpe: own.ratio * a_year,
        standard_error: own.standard_error().map(|e| e * a_year),
        probability: own.probabilistic(0.0),
        expected_by_luck: expected_best_sharpe(n, by_chance).map(|s| s * a_year),
        deflated: own.deflated(n, by_chance),
        variance_between_points: between,
        deflated_by_points: between.and_then(|v| own.deflated(n, v)),
        minimum_days: own.minimum_track_record(0.0, confidence),
    })
}
