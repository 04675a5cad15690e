//! What the crate says of tables that another program made: a case a line of standard input, an answer a line.
//!
//! For `benches/second-opinion/optimization.py`, which computes the same by other means. Decides nothing.

// A case that cannot be read is a failed comparison.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use optimize::{MatrixConfig, Table, deflation, matrix, overfitting, shrunken};
use serde::Deserialize;
use serde_json::json;
use std::io::BufRead;

#[derive(Deserialize)]
struct Case {
    returns: Vec<Vec<f64>>,
    trades: Vec<Vec<u32>>,
    best: usize,
    blocks: usize,
    trials: u64,
    confidence: f64,
    in_sample_days: Vec<usize>,
    out_of_sample_days: Vec<usize>,
    least_trades: u32,
    by_return: bool,
    efficiency_threshold: f64,
}

fn main() {
    for line in std::io::stdin().lock().lines() {
        let case: Case = serde_json::from_str(&line.unwrap()).unwrap();
        let mut table = Table::new(case.returns.first().map_or(0, Vec::len));
        case.returns.iter().zip(&case.trades).for_each(|(returns, trades)| table.push(returns, trades));
        let rows: Vec<usize> = (0..table.len()).collect();
        let config = MatrixConfig {
            in_sample_days: case.in_sample_days,
            out_of_sample_days: case.out_of_sample_days,
            least_trades: case.least_trades,
            by_return: case.by_return,
            efficiency_threshold: case.efficiency_threshold,
        };
        let answer = json!({
            "overfitting": overfitting(&table, &rows, case.blocks),
            "deflation": deflation(&table, &rows, case.best, case.trials, case.confidence),
            "shrunken": shrunken(&table, &rows, case.best),
            "matrix": matrix(&table, &rows, &config),
        });
        println!("{answer}");
    }
}
