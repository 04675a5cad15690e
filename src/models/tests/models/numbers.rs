//! Metrics and logistic regression beside scikit-learn, and beside their definitions.

use genome::random::Seed;
use models::{ModelFile, Rows, TrainingSet, figures};
use rand::RngExt;
use serde_json::Value;

/// By `tests/golden/metrics.py`.
const GOLDEN: &str = include_str!("../golden/metrics.json");

fn golden() -> Value {
    serde_json::from_str(GOLDEN).unwrap()
}

fn floats(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

fn near(found: f64, expected: &Value, within: f64) {
    let expected = expected.as_f64().unwrap();
    assert!((found - expected).abs() <= within, "{found} is not {expected}");
}

#[test]
fn metrics_are_those_of_scikit_learn() {
    let golden = golden();
    let forecasts: Vec<(f64, bool)> =
        floats(&golden["p"]).into_iter().zip(floats(&golden["y"]).into_iter().map(|y| y > 0.5)).collect();
    near(figures::log_loss(&forecasts).unwrap(), &golden["log_loss"], 1e-12);
    near(figures::brier(&forecasts).unwrap(), &golden["brier"], 1e-12);
    near(figures::auc(&forecasts).unwrap(), &golden["auc"], 1e-12);
    near(figures::calibration_error(&forecasts).unwrap(), &golden["calibration_error"], 1e-12);
}

#[test]
fn logistic_regression_is_that_of_scikit_learn() {
    let golden = golden();
    let x: Vec<Vec<f64>> = golden["x"].as_array().unwrap().iter().map(floats).collect();
    let values = (0..3).flat_map(|f| x.iter().map(move |row| row[f])).collect();
    let rows = Rows { values, rows: x.len(), features: 3 };
    let labels = floats(&golden["label"]).into_iter().map(|y| y > 0.5).collect();
    let text = super::support::text("direction", "logistic") + "l2 = 3\n";
    let file = ModelFile::parse("golden", &text).unwrap();
    let set = TrainingSet { rows, labels };
    let fitted = file.kind(None).unwrap().fit(&set, Seed(1)).unwrap();
    for (found, expected) in fitted.coefficients().unwrap().iter().zip(golden["coefficients"].as_array().unwrap()) {
        near(*found, expected, 1e-6);
    }
    for (found, expected) in fitted.predict(&set.rows).unwrap().iter().zip(golden["probabilities"].as_array().unwrap())
    {
        near(*found, expected, 1e-6);
    }
}

#[test]
fn the_area_is_the_share_of_pairs_in_order() {
    let mut rng = Seed(9).stream("auc", 0);
    for _ in 0..200 {
        let n = rng.random_range(0..30);
        let forecasts: Vec<(f64, bool)> =
            (0..n).map(|_| (f64::from(rng.random_range(0..8)) / 7.0, rng.random())).collect();
        let (mut pairs, mut sum) = (0.0, 0.0);
        for a in forecasts.iter().filter(|f| f.1) {
            for b in forecasts.iter().filter(|f| !f.1) {
                pairs += 1.0;
                sum += if a.0 > b.0 {
                    1.0
                } else if a.0 == b.0 {
                    0.5
                } else {
                    0.0
                };
            }
        }
        let found = figures::auc(&forecasts);
        assert_eq!(found.is_some(), pairs > 0.0);
        assert!(found.is_none_or(|auc| (auc - sum / pairs).abs() < 1e-12), "{forecasts:?}");
    }
}

#[test]
fn hostile_forecasts_have_finite_figures_or_none() {
    assert_eq!((figures::log_loss(&[]), figures::auc(&[]), figures::calibration_error(&[])), (None, None, None));
    let sure = [(0.0, true), (1.0, false)];
    assert!((figures::log_loss(&sure).unwrap() - 34.5).abs() < 0.1);
    assert_eq!((figures::auc(&sure), figures::brier(&sure)), (Some(0.0), Some(1.0)));
    assert_eq!(figures::reliability(&sure).len(), 2);
    // Features that never move, that are the same twice, or that tell everything.
    let constant = vec![3.0; 100];
    let ramp: Vec<f64> = (0..100).map(f64::from).collect();
    let values = [constant, ramp.clone(), ramp].concat();
    let set =
        TrainingSet { rows: Rows { values, rows: 100, features: 3 }, labels: (0..100).map(|i| i >= 50).collect() };
    let file = super::support::file("direction", "logistic");
    let fitted = file.kind(None).unwrap().fit(&set, Seed(1)).unwrap();
    let coefficients = fitted.coefficients().unwrap();
    assert_eq!(coefficients[0], 0.0);
    assert!((coefficients[1] - coefficients[2]).abs() < 1e-9 && coefficients[1] > 0.1, "{coefficients:?}");
    let wild = Rows { values: vec![f64::MAX, f64::MAX, f64::MAX], rows: 1, features: 3 };
    assert!((0.9..=1.0).contains(&fitted.predict(&wild).unwrap()[0]));
}
