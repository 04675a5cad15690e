//! What a book expects of strategies and how it weighs them, of cases that another program made: a case a line of standard
//! input, an answer a line.
//!
//! For `benches/second-opinion/promises.py`, which computes the same by other means. Admits nobody.

// A case that cannot be read is a failed comparison.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use book::{Kept, NullSample, Prior, Weighing, weights};
use serde::Deserialize;
use serde_json::json;
use std::io::BufRead;

#[derive(Deserialize)]
struct Case {
    /// t of the strategies of a block, and of each null search.
    ts: Vec<f64>,
    nulls: Vec<Vec<f64>>,
    /// t of which the expectation is asked.
    asked: Vec<f64>,
    /// Blocks: days, and pairs of what was promised and what came.
    kept: Vec<(usize, Vec<(f64, f64)>)>,
    /// Members' daily returns, and what they are expected to earn.
    returns: Vec<Vec<f64>>,
    expected: Vec<f64>,
}

fn main() {
    for line in std::io::stdin().lock().lines() {
        let case: Case = serde_json::from_str(&line.unwrap()).unwrap();
        let nulls: Vec<NullSample> = case.nulls.iter().filter_map(|ts| NullSample::of(ts)).collect();
        let prior = Prior::of(&case.ts, &nulls);
        let expected = |prior: &Prior| case.asked.iter().map(|t| prior.expected(*t)).collect::<Vec<_>>();
        let mut kept = Kept::default();
        case.kept.iter().for_each(|(days, pairs)| kept.observe(*days, pairs));
        let columns: Vec<&[f64]> = case.returns.iter().map(Vec::as_slice).collect();
        let weights = Weighing::ALL.map(|weighing| (weighing.name(), weights(weighing, &columns, &case.expected)));
        println!(
            "{}",
            json!({
                "luck": prior.as_ref().map(Prior::luck), "expected": prior.as_ref().map(expected),
                "kept": kept.fraction(), "weights": std::collections::BTreeMap::from(weights),
            })
        );
    }
}
