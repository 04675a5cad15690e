//! The ensemble beside its definition, added up anew at each close.

use super::support::{H4_MS, START_MS, examples, file, market, until};
use genome::random::Seed;
use models::{Examples, ModelFile, Point, Predictions, SymbolPredictions, ensemble};
use rand::RngExt;

/// Predictions at every close: the better of two models leans to what comes.
fn said(examples: &Examples, skill: f64, seed: u64) -> Predictions {
    let mut rng = Seed(seed).stream("said", 0);
    let mut of = |s: &models::SymbolExamples| {
        let mut point = |(i, &at_ms): (usize, &i64)| {
            let lean = s.labels[i].map_or(0.0, |above| if above { skill } else { -skill });
            Point { at_ms, probability: 0.5 + lean + rng.random_range(-0.1..0.1), base: 0.5 }
        };
        SymbolPredictions { name: s.name.clone(), points: s.close_ms.iter().enumerate().map(&mut point).collect() }
    };
    let mut symbols = Vec::new();
    for s in &examples.symbols {
        symbols.push(of(s));
    }
    Predictions { until_ms: i64::MAX, symbols, fits: Vec::new() }
}

#[test]
fn weights_are_earned_by_what_had_come_due() {
    let file: ModelFile = file("direction", "logistic");
    let all = examples(&file, &market(41, 2, 600, 0.0));
    let (good, bad) = (said(&all, 0.15, 1), said(&all, -0.15, 2));
    let together = ensemble(&[(&file, &all, &good), (&file, &all, &bad)]);
    for (number, symbol) in all.symbols.iter().enumerate() {
        for (i, point) in together[&symbol.name].iter().enumerate().step_by(37) {
            let now_ms = symbol.close_ms[i];
            assert_eq!(point.at_ms, now_ms);
            let score = |model: &Predictions| {
                let mut closes: std::collections::BTreeMap<i64, Vec<f64>> = std::collections::BTreeMap::new();
                for (s, p) in all.symbols.iter().zip(&model.symbols) {
                    for (k, at) in p.points.iter().enumerate().filter(|(_, p)| p.at_ms + 3 * H4_MS <= now_ms) {
                        let Some(above) = s.labels[k] else { continue };
                        let right = if above { at.probability } else { 1.0 - at.probability };
                        closes.entry(at.at_ms).or_default().push((right / 0.5).ln() / 3.0);
                    }
                }
                closes.values().map(|v| v.iter().sum::<f64>() / v.len() as f64).sum::<f64>()
            };
            let (a, b) = (score(&good).exp(), score(&bad).exp());
            let (p, q) = (good.symbols[number].points[i].probability, bad.symbols[number].points[i].probability);
            let expected = (a * p + b * q + 0.5) / (a + b + 1.0);
            assert!((point.probability - expected).abs() < 1e-9, "{i}: {} is not {expected}", point.probability);
        }
    }
    let last = together.values().next().unwrap().last().unwrap();
    assert_eq!(last.direction(), (last.probability - 0.5).signum());
}

#[test]
fn the_ensemble_knows_nothing_of_later_candles() {
    let file = file("direction", "logistic");
    let whole = market(42, 2, 1500, 0.3);
    let kind = file.kind(None).unwrap();
    let of = |market: &super::support::Market| {
        let all = examples(&file, market);
        let found = models::Walk { file: &file, kind: &*kind, examples: &all }.predict(None).unwrap();
        ensemble(&[(&file, &all, &found)])
    };
    let full = of(&whole);
    for cut_ms in [900, 1000, 1207].map(|n| START_MS + n * H4_MS) {
        for (name, points) in of(&until(&whole, cut_ms)) {
            assert!(!points.is_empty());
            assert_eq!(points[..], full[&name][..points.len()]);
        }
    }
}
