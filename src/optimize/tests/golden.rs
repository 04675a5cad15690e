//! A few small tables with the answers of another program (`benches/second-opinion/optimization.py --golden`).

// Helpers outside test functions may fail a test.
#![allow(clippy::unwrap_used)]

use optimize::{MatrixConfig, Table, deflation, matrix, overfitting, shrunken};
use serde_json::{Value, json};

/// Compares what theirs has; the path tells where they differ.
fn assert_same(ours: &Value, theirs: &Value, path: &str) {
    match theirs {
        Value::Object(fields) => {
            for (name, value) in fields.iter().filter(|(name, _)| *name != "points") {
                assert_same(&ours[name], value, &format!("{path}.{name}"));
            }
        }
        Value::Array(items) => {
            assert_eq!(ours.as_array().map(Vec::len), Some(items.len()), "{path}");
            items.iter().enumerate().for_each(|(i, item)| assert_same(&ours[i], item, &format!("{path}[{i}]")));
        }
        Value::Number(number) => {
            let (a, b) = (ours.as_f64().unwrap_or(f64::NAN), number.as_f64().unwrap());
            assert!((a - b).abs() <= 1e-9 * b.abs().max(1.0), "{path}: {a} here, {b} there");
        }
        other => assert_eq!(ours, other, "{path}"),
    }
}

#[test]
fn agrees_with_the_second_opinion() {
    let golden: Vec<Value> = serde_json::from_str(include_str!("golden/tables.json")).unwrap();
    assert_eq!(golden.len(), 4);
    for (number, pair) in golden.iter().enumerate() {
        let (case, theirs) = (&pair["case"], &pair["answer"]);
        let read = |name: &str| case[name].as_u64().unwrap();
        let lengths = |name: &str| serde_json::from_value::<Vec<usize>>(case[name].clone()).unwrap();
        let returns: Vec<Vec<f64>> = serde_json::from_value(case["returns"].clone()).unwrap();
        let trades: Vec<Vec<u32>> = serde_json::from_value(case["trades"].clone()).unwrap();
        let mut table = Table::new(returns[0].len());
        returns.iter().zip(&trades).for_each(|(returns, trades)| table.push(returns, trades));
        let rows: Vec<usize> = (0..table.len()).collect();
        let best = read("best") as usize;
        let config = MatrixConfig {
            in_sample_days: lengths("in_sample_days"),
            out_of_sample_days: lengths("out_of_sample_days"),
            least_trades: read("least_trades") as u32,
            by_return: case["by_return"].as_bool().unwrap(),
            efficiency_threshold: 0.5,
        };
        let ours = json!({
            "overfitting": overfitting(&table, &rows, read("blocks") as usize),
            "deflation": deflation(&table, &rows, best, read("trials"), case["confidence"].as_f64().unwrap()),
            "shrunken": shrunken(&table, &rows, best),
            "matrix": matrix(&table, &rows, &config),
        });
        assert_same(&ours, theirs, &format!("table {number}"));
    }
}
