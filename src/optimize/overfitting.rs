//! Probability of backtest overfitting over all points of a run, by combinatorially symmetric cross-validation.
//!
//! The same as [`evidence::overfitting`], for tables of ten thousand columns: sums over blocks are added up instead of days.
//! A point that did nothing on a half has a Sharpe ratio of 0 there, since it neither earned nor lost. The columns are all
//! points that were evaluated, those with too few trades too: a choice among fewer would not be the choice that was made.
//! After the genetic method the points are no fair sample of the space, and the figure flatters less than it says.
//!
//! Source: Bailey, Borwein, Lopez de Prado and Zhu, The probability of backtest overfitting (2015).

use super::Table;
use serde::{Deserialize, Serialize};

/// What the splits said.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Overfitting {
    /// Time blocks.
    pub blocks: usize,
    /// Ways to halve them.
    pub splits: usize,
    /// Points compared.
    pub points: usize,
    /// Share of splits in which the best of one half is in the worse half of the points on the other.
    pub probability: f64,
    /// Share of splits in which it loses there.
    pub probability_of_loss: f64,
    /// Slope of the picks' Sharpe ratio outside on the one inside.
    pub slope: Option<f64>,
    /// Mean Sharpe ratio of the picks inside, annualised by sqrt(365).
    pub mean_inside: f64,
    /// The same outside.
    pub mean_outside: f64,
    /// ln(w / (1 - w)) by split, w the relative rank of the pick outside. Not written: there may be thousands.
    #[serde(skip)]
    pub logits: Vec<f64>,
}

/// Most blocks: 16 make 12,870 splits.
pub const MAX_BLOCKS: usize = 16;

/// Days, sum and sum of squares of a block or of several.
#[derive(Clone, Copy, Default)]
struct Sums {
    sum: f64,
    squares: f64,
}

impl Sums {
    fn plus(self, other: Self) -> Self {
        Self { sum: self.sum + other.sum, squares: self.squares + other.squares }
    }

    /// Mean over deviation (ddof 1) of so many days; 0 without variance.
    fn sharpe(self, days: f64) -> f64 {
        let mean = self.sum / days;
        // Rounding leaves something of what is none.
        let spread = self.squares - days * mean * mean;
        if spread <= self.squares * 1e-14 { 0.0 } else { mean / (spread / (days - 1.0)).sqrt() }
    }
}

/// PBO of the table's rows over an even number of time blocks; the first days that fill no block are left out.
///
/// `None` for fewer than two rows, an odd number of blocks or more than [`MAX_BLOCKS`], or blocks of fewer than two days.
#[must_use]
pub fn overfitting(table: &Table, rows: &[usize], blocks: usize) -> Option<Overfitting> {
    let length = table.days().checked_div(blocks)?;
    let even = blocks >= 2 && blocks.is_multiple_of(2) && blocks <= MAX_BLOCKS;
    if !even || rows.len() < 2 || length < 2 {
        return None;
    }
    let skip = table.days() % blocks;
    let of_block =
        |days: &[f64]| days.iter().fold(Sums::default(), |s, r| Sums { sum: s.sum + r, squares: s.squares + r * r });
    let sums: Vec<Sums> = rows.iter().flat_map(|&row| table.row(row)[skip..].chunks(length).map(of_block)).collect();
    let days = (length * blocks / 2) as f64;
    let (mut logits, mut inside, mut outside) = (Vec::new(), Vec::new(), Vec::new());
    let (mut within, mut without) = (vec![0.0; rows.len()], vec![0.0; rows.len()]);
    for half in (0_u32..1 << blocks).filter(|half| half.count_ones() as usize == blocks / 2) {
        for (row, own) in sums.chunks(blocks).enumerate() {
            let mut halves = [Sums::default(); 2];
            for (block, sums) in own.iter().enumerate() {
                let side = usize::from(half >> block & 1 == 0);
                halves[side] = halves[side].plus(*sums);
            }
            (within[row], without[row]) = (halves[0].sharpe(days), halves[1].sharpe(days));
        }
        // The first of equals.
        let pick = (0..within.len()).reduce(|a, b| if within[b] > within[a] { b } else { a })?;
        let below = without.iter().filter(|v| **v < without[pick]).count() as f64;
        let equal = without.iter().filter(|v| **v == without[pick]).count() as f64;
        let w = (below + f64::midpoint(1.0, equal)) / (rows.len() + 1) as f64;
        logits.push((w / (1.0 - w)).ln());
        inside.push(within[pick]);
        outside.push(without[pick]);
    }
    let n = logits.len() as f64;
    let mean = |v: &[f64]| v.iter().sum::<f64>() / n;
    let (mean_inside, mean_outside) = (mean(&inside), mean(&outside));
    let spread: f64 = inside.iter().map(|x| (x - mean_inside).powi(2)).sum();
    let together: f64 = inside.iter().zip(&outside).map(|(x, y)| (x - mean_inside) * (y - mean_outside)).sum();
    let a_year = super::DAYS_A_YEAR.sqrt();
    Some(Overfitting {
        blocks,
        splits: logits.len(),
        points: rows.len(),
        probability: logits.iter().filter(|l| **l <= 0.0).count() as f64 / n,
        probability_of_loss: outside.iter().filter(|r| **r < 0.0).count() as f64 / n,
        slope: (spread > 0.0).then(|| together / spread),
        mean_inside: mean_inside * a_year,
        mean_outside: mean_outside * a_year,
        logits,
    })
}
