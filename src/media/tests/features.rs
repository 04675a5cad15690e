//! Features against numpy's of the same items (`benches/second-opinion/media.py --golden`), and what holds for all items.

// A failed assumption of a test is a failed test.
#![allow(clippy::unwrap_used)]

use media::{FEATURE_NAMES, Features, Item, KeywordHit, Transcript};
use proptest::prelude::*;
use serde_json::Value;

#[test]
fn features_are_those_that_numpy_computes() {
    let golden: Vec<Value> = serde_json::from_str(include_str!("golden/features.json")).unwrap();
    assert!(golden.len() >= 30);
    for (k, row) in golden.iter().enumerate() {
        let item: Item = serde_json::from_value(row["item"].clone()).unwrap();
        assert_eq!(item.check(), Ok(()));
        let features = Features::of(&item, 0);
        for (name, value) in FEATURE_NAMES.iter().zip(features.array()) {
            let expected = row["features"][name].as_f64().unwrap();
            let difference = (value - expected).abs() / expected.abs().max(1.0);
            assert!(difference <= 1e-12, "item {k}: {name} is {value}, not {expected}");
        }
    }
}

#[test]
fn the_object_and_the_array_have_the_documented_order() {
    let features = Features::of(&Item::default(), 1_700_000_000_250);
    let text = serde_json::to_string(&features).unwrap();
    let at: Vec<usize> = FEATURE_NAMES.iter().map(|name| text.find(&format!("\"{name}\":")).unwrap()).collect();
    assert!(at.is_sorted(), "{text}");
    let array = features.array();
    assert_eq!((array.len(), FEATURE_NAMES.len()), (29, 29));
    // Nothing was said: zeros, but for the moment and how many features there are.
    assert_eq!(&array[27..], [1_700_000_000.25, 28.0]);
    assert!(array[..27].iter().all(|value| *value == 0.0));
    assert_eq!(serde_json::from_str::<Features>(&text).unwrap(), features);
    let document = include_str!("../../../docs/MEDIA.md");
    for (k, name) in FEATURE_NAMES.iter().enumerate() {
        assert!(document.contains(&format!("| {k} | `{name}` |")), "docs/MEDIA.md lacks {k} {name}");
    }
}

fn numbers() -> impl Strategy<Value = f64> {
    prop_oneof![Just(0.0), -1.0..1.0, -1e30..1e30, -1e-200..1e-200]
}

fn items() -> impl Strategy<Value = Item> {
    let span = (0.0..1e7_f64, 0.0..1e4_f64).prop_map(|(start, more)| (start, (start + more).min(1e7)));
    let hit =
        ("[a-zA-Z]{1,9}", "[a-z_]{1,9}", span.clone(), 0.0..=1.0).prop_map(|(keyword, category, (start, end), c)| {
            KeywordHit { keyword, category, start_time: start, end_time: end, confidence: c }
        });
    let said =
        ("[a-z? ]{0,40}", span).prop_map(|(text, (start_time, end_time))| Transcript { text, start_time, end_time });
    let vectors = (1..6_usize).prop_flat_map(|dim| prop::collection::vec(prop::collection::vec(numbers(), dim), 0..8));
    (prop::collection::vec(hit, 0..12), prop::collection::vec(said, 0..8), vectors)
        .prop_map(|(keyword_hits, transcripts, embeddings)| Item { keyword_hits, transcripts, embeddings })
}

proptest! {
    #[test]
    fn whatever_is_posted_features_are_numbers_within_their_bounds(item in items()) {
        prop_assert_eq!(item.check(), Ok(()));
        let f = Features::of(&item, 0);
        prop_assert!(f.array().iter().all(|value| value.is_finite()));
        prop_assert!((-1.0..=1.0).contains(&f.avg_embedding_similarity));
        prop_assert!(f.min_confidence <= f.avg_confidence + 1e-15 && f.avg_confidence <= f.max_confidence + 1e-15);
        prop_assert!((0.0..=1.0).contains(&f.keyword_diversity));
        // No order of what was posted matters.
        let mut turned = item.clone();
        turned.keyword_hits.reverse();
        turned.transcripts.reverse();
        turned.embeddings.reverse();
        let g = Features::of(&turned, 0);
        for ((a, b), name) in f.array().iter().zip(g.array()).zip(FEATURE_NAMES) {
            prop_assert!((a - b).abs() <= 1e-12 * a.abs().max(1.0), "{}: {} and {}", name, a, b);
        }
    }
}
