//! The walk-forward matrix: for each in-sample and out-of-sample length, what the choice of the best point would have earned.
//!
//! In each fold the point is chosen that was best in sample, and traded on the days that follow; folds roll on by the
//! out-of-sample length, so that no day is earned on twice. One length may be luck: an edge shows in most cells. Chosen by
//! the Sharpe ratio of daily returns in sample, or by their sum where the objective is a return; the first of equals.
//!
//! Efficiency is profit a day out of sample over profit a day in sample, sums over all folds first (Pardo 2008). Of two noisy
//! means, a ratio is noisier still: it is read over the matrix, not in one cell.

use super::{DAYS_A_YEAR, Table, daily_sharpe};
use evidence::walk_forward::{self, Anchor, efficiency, profitable_folds};
use serde::{Deserialize, Serialize};

/// What a matrix is made of.
#[derive(Clone, Debug, PartialEq)]
pub struct MatrixConfig {
    /// In-sample lengths, days.
    pub in_sample_days: Vec<usize>,
    /// Out-of-sample lengths, days.
    pub out_of_sample_days: Vec<usize>,
    /// Trades in sample below which a point is not chosen.
    pub least_trades: u32,
    /// Chosen by the sum of daily returns instead of their Sharpe ratio.
    pub by_return: bool,
    /// Efficiency from which on a cell counts as kept.
    pub efficiency_threshold: f64,
}

/// One choice and what came after.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fold {
    /// First day in sample.
    pub from_day: usize,
    /// First day out of sample.
    pub split_day: usize,
    /// End, exclusive.
    pub end_day: usize,
    /// Number of the point that was chosen; `None` where none had enough trades.
    pub point: Option<usize>,
    /// Sum of its daily returns in sample.
    pub in_sample_return: f64,
    /// The same out of sample.
    pub out_of_sample_return: f64,
    /// Share of the eligible points that earned less out of sample, ties by half: 0.5 is what chance gives.
    pub rank: Option<f64>,
}

/// A pair of lengths.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    /// Days in sample.
    pub in_sample_days: usize,
    /// Days out of sample.
    pub out_of_sample_days: usize,
    /// Folds in which a point was chosen, and those in which none could be.
    pub folds: usize,
    /// Folds in which no point had enough trades in sample.
    pub folds_without_choice: usize,
    /// Profit a day out of sample over profit a day in sample; `None` unless something was earned in sample.
    pub efficiency: Option<f64>,
    /// Whether the efficiency reaches the threshold.
    pub kept: Option<bool>,
    /// Sharpe ratio of the chosen points' days out of sample, joined; annualised by sqrt(365).
    pub out_of_sample_sharpe: Option<f64>,
    /// Mean of the chosen points' daily returns in sample, times 365.
    pub in_sample_annual_return: Option<f64>,
    /// The same out of sample.
    pub out_of_sample_annual_return: Option<f64>,
    /// What all eligible points earned out of sample on average, times 365: what choosing at random would have given.
    pub average_annual_return: Option<f64>,
    /// Share of folds with a profit out of sample.
    pub profitable_folds: Option<f64>,
    /// Mean of the folds' ranks.
    pub mean_rank: Option<f64>,
    /// How many different points were chosen.
    pub points_chosen: usize,
    /// The folds, in order of time.
    pub choices: Vec<Fold>,
}

fn sum(returns: &[f64]) -> f64 {
    returns.iter().sum()
}

/// The cells, in-sample length by in-sample length; `rows` are the points that may be chosen.
#[must_use]
pub fn matrix(table: &Table, rows: &[usize], config: &MatrixConfig) -> Vec<Cell> {
    let lengths = config.in_sample_days.iter().flat_map(|&i| config.out_of_sample_days.iter().map(move |&o| (i, o)));
    lengths.map(|(inside, outside)| cell(table, rows, config, inside, outside)).collect()
}

fn cell(table: &Table, rows: &[usize], config: &MatrixConfig, inside: usize, outside: usize) -> Cell {
    let mut choices = Vec::new();
    let (mut joined, mut average, mut days) = (Vec::new(), 0.0, 0);
    for ([from, split], [_, end]) in walk_forward::folds(table.days(), inside, outside, Anchor::Rolling) {
        let eligible: Vec<usize> = rows
            .iter()
            .copied()
            .filter(|&row| {
                table.trades(row)[from..split].iter().map(|&n| u32::from(n)).sum::<u32>() >= config.least_trades
            })
            .collect();
        let mut fold = Fold {
            from_day: from,
            split_day: split,
            end_day: end,
            point: None,
            in_sample_return: 0.0,
            out_of_sample_return: 0.0,
            rank: None,
        };
        let worth = |row: usize| {
            let days = &table.row(row)[from..split];
            if config.by_return { Some(sum(days)) } else { daily_sharpe(days) }
        };
        let valued = eligible.iter().filter_map(|&row| Some((row, worth(row)?)));
        if let Some((best, _)) = valued.reduce(|a, b| if b.1 > a.1 { b } else { a }) {
            let outcomes: Vec<f64> = eligible.iter().map(|&row| sum(&table.row(row)[split..end])).collect();
            fold.point = Some(best);
            fold.in_sample_return = sum(&table.row(best)[from..split]);
            fold.out_of_sample_return = sum(&table.row(best)[split..end]);
            fold.rank = rank(&outcomes, fold.out_of_sample_return);
            joined.extend_from_slice(&table.row(best)[split..end]);
            average += sum(&outcomes) / outcomes.len() as f64;
            days += end - split;
        }
        choices.push(fold);
    }
    summary(config, inside, outside, choices, &joined, (average, days))
}

/// Share of the others that are below, ties by half. `None` without others.
fn rank(outcomes: &[f64], own: f64) -> Option<f64> {
    let below = outcomes.iter().filter(|o| **o < own).count() as f64;
    let equal = outcomes.iter().filter(|o| **o == own).count() as f64 - 1.0;
    (outcomes.len() > 1).then(|| (below + equal / 2.0) / (outcomes.len() - 1) as f64)
}

fn summary(
    config: &MatrixConfig,
    inside: usize,
    outside: usize,
    choices: Vec<Fold>,
    joined: &[f64],
    (average, days): (f64, usize),
) -> Cell {
    let chosen: Vec<&Fold> = choices.iter().filter(|fold| fold.point.is_some()).collect();
    let folds: Vec<walk_forward::Fold> = chosen
        .iter()
        .map(|fold| walk_forward::Fold {
            in_sample_profit: fold.in_sample_return,
            in_sample_days: inside as f64,
            out_of_sample_profit: fold.out_of_sample_return,
            out_of_sample_days: outside as f64,
        })
        .collect();
    let a_year = |total: f64, days: usize| (days > 0).then(|| total / days as f64 * DAYS_A_YEAR);
    let earned = |of: fn(&Fold) -> f64| chosen.iter().map(|fold| of(fold)).sum::<f64>();
    let ranks: Vec<f64> = chosen.iter().filter_map(|fold| fold.rank).collect();
    let mut points: Vec<usize> = chosen.iter().filter_map(|fold| fold.point).collect();
    points.sort_unstable();
    points.dedup();
    let efficiency = efficiency(&folds);
    Cell {
        in_sample_days: inside,
        out_of_sample_days: outside,
        folds: chosen.len(),
        folds_without_choice: choices.len() - chosen.len(),
        efficiency,
        kept: efficiency.map(|e| e >= config.efficiency_threshold),
        out_of_sample_sharpe: daily_sharpe(joined).map(|s| s * DAYS_A_YEAR.sqrt()),
        in_sample_annual_return: a_year(earned(|f| f.in_sample_return), chosen.len() * inside),
        out_of_sample_annual_return: a_year(earned(|f| f.out_of_sample_return), days),
        average_annual_return: a_year(average, days),
        profitable_folds: profitable_folds(&folds),
        mean_rank: (!ranks.is_empty()).then(|| ranks.iter().sum::<f64>() / ranks.len() as f64),
        points_chosen: points.len(),
        choices,
    }
}
