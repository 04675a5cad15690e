//! A network of the user's own: `golden/network.onnx`, which `golden/network.py` writes, against the same sum by hand.

use super::support::{examples, market};
use models::{ModelFile, Rows, Walk};

const NETWORK: &[u8] = include_bytes!("../golden/network.onnx");
const WEIGHTS: [f64; 4] = [0.5, -0.25, 0.125, 1.0];
const OFFSET: f64 = -0.75;

fn file(more: &str) -> ModelFile {
    let kind = format!("kind = \"onnx\"\nfile = \"network.onnx\"\nfitted_until = \"2019-06-01\"\n{more}");
    ModelFile::parse("network", &super::support::text("direction", "onnx").replace("kind = \"onnx\"\n", &kind)).unwrap()
}

#[test]
fn a_network_is_run_row_by_row_and_predicts_nothing_before_its_date() {
    let file = file("");
    let kind = file.kind(Some(NETWORK)).unwrap();
    assert!(!kind.learns());
    let all = examples(&file, &market(51, 2, 1500, 0.0));
    let found = Walk { file: &file, kind: &*kind, examples: &all }.predict(None).unwrap();
    let mut compared = 0;
    for symbol in &all.symbols {
        for point in found.of(&symbol.name) {
            let candle = symbol.close_ms.binary_search(&point.at_ms).unwrap();
            let sum: f64 = symbol.features.iter().zip(WEIGHTS).map(|(column, w)| w * column[candle]).sum();
            let expected = 1.0 / (1.0 + (-(sum + OFFSET)).exp());
            assert!((point.probability - expected).abs() < 1e-5, "{} is not {expected}", point.probability);
            // 2019-06-01.
            assert!(point.at_ms >= 1_559_347_200_000);
            compared += 1;
        }
    }
    assert!(compared > 500, "{compared}");
}

/// Of scikit-learn, with a scaler and two outputs: `golden/pipeline.py` writes it and what it says itself.
#[test]
fn a_pipeline_of_scikit_learn_says_here_what_it_says_there() {
    let file = file("");
    let kind = file.kind(Some(include_bytes!("../golden/pipeline.onnx"))).unwrap();
    let golden: serde_json::Value = serde_json::from_str(include_str!("../golden/pipeline.json")).unwrap();
    let numbers = |value: &serde_json::Value| -> Vec<f64> {
        value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
    };
    let rows: Vec<Vec<f64>> = golden["rows"].as_array().unwrap().iter().map(numbers).collect();
    let values = (0..4).flat_map(|feature| rows.iter().map(move |row| row[feature])).collect();
    let fitted = kind.fit(&models::TrainingSet::default(), genome::random::Seed(1)).unwrap();
    let found = fitted.predict(&Rows { values, rows: rows.len(), features: 4 }).unwrap();
    for (found, expected) in found.iter().zip(numbers(&golden["probabilities"])) {
        assert!((found - expected).abs() < 1e-5, "{found} is not {expected}");
    }
}

#[test]
fn what_is_no_network_or_another_one_is_told() {
    let file = file("");
    let said = |bytes: Option<&[u8]>| file.kind(bytes).err().map(|e| e.to_string()).unwrap_or_default();
    assert!(said(None).contains("its bytes are not there"));
    assert!(said(Some(b"no network")).contains("cannot be used"), "{}", said(Some(b"no network")));
    assert!(said(Some(&NETWORK[..NETWORK.len() / 2])).contains("cannot be used"));
    let wide = super::support::text("direction", "onnx")
        .replace("\"roc(1)\", ", "\"roc(1)\", \"roc(2)\", ")
        .replace("kind = \"onnx\"\n", "kind = \"onnx\"\nfile = \"network.onnx\"\nfitted_until = \"2019-06-01\"\n");
    let wide = ModelFile::parse("wide", &wide).unwrap();
    let outcome = wide.kind(Some(NETWORK)).and_then(|kind| {
        let fitted = kind.fit(&models::TrainingSet::default(), genome::random::Seed(1))?;
        fitted.predict(&Rows { values: vec![0.0; 5], rows: 1, features: 5 })
    });
    assert!(outcome.is_err(), "five features into a network of four");
}
