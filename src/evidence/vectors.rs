//! Reads test vectors, which were computed by independent programs: see `vectors/README.md`.

use serde_json::Value;

/// A vector's JSON.
pub(crate) fn read(text: &str) -> Value {
    serde_json::from_str(text).expect("a vector is JSON")
}

/// A number; "inf" and "-inf" are read too.
pub(crate) fn number(value: &Value) -> f64 {
    match value.as_str() {
        Some(text) => text.parse().unwrap(),
        None => value.as_f64().unwrap(),
    }
}

pub(crate) fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(number).collect()
}

pub(crate) fn indices(value: &Value) -> Vec<usize> {
    value.as_array().unwrap().iter().map(|v| usize::try_from(v.as_u64().unwrap()).unwrap()).collect()
}

pub(crate) fn rows(value: &Value) -> Vec<Vec<f64>> {
    value.as_array().unwrap().iter().map(numbers).collect()
}

/// Equal to a relative tolerance of 1e-9 (the digits that the vectors promise), absolute near zero.
#[track_caller]
pub(crate) fn assert_close(ours: f64, theirs: &Value) {
    let theirs = number(theirs);
    let tolerance = 1e-9 * theirs.abs().max(1e-3);
    assert!(ours == theirs || (ours - theirs).abs() <= tolerance, "{ours} is not {theirs}");
}

#[track_caller]
pub(crate) fn assert_all_close(ours: &[f64], theirs: &Value) {
    let theirs = theirs.as_array().unwrap();
    assert_eq!(ours.len(), theirs.len());
    for (a, b) in ours.iter().zip(theirs) {
        assert_close(*a, b);
    }
}
