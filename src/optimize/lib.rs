//! Optimisation of the numbers of one strategy: points of a space of named parameters, by grid, at random or genetically,
//! and above all what may be believed of the best of them.
//!
//! Pure: a [`Run`] proposes points, [`Points`] evaluates them as a population, and the run records what came of them. Every point
//! counts as a trial. Never stores or promotes anything, and never takes the best of many at its own word: [`analyse`] puts
//! the walk-forward matrix, the plateau around it, the probability of overfitting, the deflated Sharpe ratio and a shrunken
//! expectation beside it.

mod analysis;
mod checkpoint;
mod genetic;
mod importance;
mod objective;
mod overfitting;
mod packed;
mod picture;
mod plateau;
mod points;
mod run;
mod sentences;
mod shrinkage;
mod space;
mod table;
mod walk_forward;

pub use analysis::{Analysis, AnalysisConfig, Best, Deflation, analyse, deflation};
pub use checkpoint::CheckpointError;
pub use importance::{Importance, importance};
pub use objective::{Figures, Objective};
pub use overfitting::{MAX_BLOCKS, Overfitting, overfitting};
pub use packed::unpacked;
pub use picture::{HeatMap, Shown, Story, Told};
pub use plateau::{Plateau, plateau};
pub use points::{Ground, MarketGround, Points, SymbolsGround};
pub use run::{Batch, Evaluated, MAX_POINTS, Measured, Method, Run, RunError, Settings};
pub use sentences::{Sentence, sentences};
pub use shrinkage::{Shrunken, shrunken};
pub use space::{Axis, MAX_AXES, MAX_VALUES, Point, Space, SpaceError};
pub use table::{MAX_RETURNS, Table};
pub use walk_forward::{Cell, Fold, MatrixConfig, matrix};

/// Days of a year: crypto markets do not close.
const DAYS_A_YEAR: f64 = 365.0;

/// Mean over deviation (ddof 1) of daily returns, not annualised. `None` with fewer than two, or without variance.
#[must_use]
pub fn daily_sharpe(returns: &[f64]) -> Option<f64> {
    let n = returns.len() as f64;
    if returns.len() < 2 {
        return None;
    }
    let mean = returns.iter().sum::<f64>() / n;
    let variance = returns.iter().map(|r| (r - mean) * (r - mean)).sum::<f64>() / (n - 1.0);
    let ratio = mean / variance.sqrt();
    (variance > 0.0 && ratio.is_finite()).then_some(ratio)
}
