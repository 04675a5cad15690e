//! What the kinds find: an edge that no line says is found by trees and not by a line, and nothing by either where nothing is.

use super::support::{examples, file, kinds, market};
use models::{Evaluation, Walk, evaluate, importance};

fn evaluation(kind: &str, seed: u64, edge: f64) -> Evaluation {
    let mut file = file("direction", kind);
    file.horizon_candles = 1;
    file.embargo_candles = 1;
    let all = examples(&file, &market(seed, 3, 3000, edge));
    let kind = file.kind(None).unwrap();
    let found = Walk { file: &file, kind: &*kind, examples: &all }.predict(None).unwrap();
    evaluate(&all, &found, (i64::MIN, i64::MAX))
}

#[test]
fn a_line_does_not_see_a_product_and_trees_do() {
    for kind in kinds() {
        let all = evaluation(kind, 21, 0.5).all.unwrap();
        let (t, auc) = (all.t.unwrap(), all.auc.unwrap());
        if kind == "trees" {
            assert!(t > 5.0 && auc > 0.6 && all.improvement > 0.02, "{all:?}");
        } else {
            assert!(t < 2.0 && auc < 0.54, "{all:?}");
        }
    }
}

#[test]
fn noise_is_no_edge_to_anybody() {
    for kind in kinds() {
        for seed in 31..34 {
            let found = evaluation(kind, seed, 0.0);
            let all = found.all.unwrap();
            assert!(
                all.improvement < 0.002 && all.t.unwrap() < 3.0 && (0.46..0.54).contains(&all.auc.unwrap()),
                "{kind}: {all:?}"
            );
            assert!(
                found.years.len() == 2 && found.years.values().map(|y| y.predictions).sum::<usize>() == all.predictions
            );
        }
    }
}

#[test]
fn permuting_what_matters_costs_and_what_does_not_costs_nothing() {
    if !cfg!(feature = "trees") {
        return;
    }
    let mut file = file("direction", "trees");
    file.horizon_candles = 1;
    let all = examples(&file, &market(22, 3, 2500, 0.6));
    let kind = file.kind(None).unwrap();
    let walk = Walk { file: &file, kind: &*kind, examples: &all };
    let found = importance(&walk, (i64::MIN, i64::MAX)).unwrap();
    assert_eq!(found, importance(&walk, (i64::MIN, i64::MAX)).unwrap(), "the same each time");
    let of = |name: &str| found.iter().find(|f| f.feature == name).unwrap().loss_rise;
    assert!(of("roc(1)") > 0.01 && of("volume_zscore(20)") > 0.01, "{found:?}");
    assert!(of("natr(14)@1d").abs() < 0.003, "{found:?}");
}
