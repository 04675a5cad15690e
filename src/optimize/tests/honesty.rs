//! What is said of the best point, where the truth is known: noise is called noise, an edge is found, and what is expected
//! is what comes.

// Helpers outside test functions may fail a test.
#![allow(clippy::unwrap_used)]

mod made;

use genome::random::Seed;
use made::{DAYS, finish, normal, settings};
use optimize::{Analysis, AnalysisConfig, Method, Point, Run, Table, analyse, daily_sharpe, overfitting, shrunken};

fn analysis(side: usize, edge: impl Fn(&Point) -> f64 + Copy) -> (Run, Analysis) {
    let mut run = Run::new(settings(Method::Grid, side, (side * side) as u32), DAYS).unwrap();
    finish(&mut run, 100, edge);
    let analysis = analyse(&run, &AnalysisConfig::fitting(DAYS));
    (run, analysis)
}

fn sentence(analysis: &Analysis, name: &str) -> String {
    optimize::sentences(analysis).into_iter().find(|(heading, _)| *heading == name).unwrap().1
}

#[test]
fn where_there_is_nothing_nothing_is_claimed() {
    let (_, a) = analysis(20, |_| 0.0);
    let shown = a.best.as_ref().unwrap().figures.sharpe_ratio.unwrap();
    let (expectation, deflation) = (a.expectation.unwrap(), a.deflation.unwrap());
    assert!(shown > 2.0, "luck looks good: {shown}");
    assert!(expectation.kept < 0.2 && (expectation.expected - expectation.mean).abs() < 0.7, "{expectation:?}");
    assert!(deflation.deflated.unwrap() < 0.95 && deflation.probability.unwrap() > 0.9, "{deflation:?}");
    assert_eq!(deflation.trials, 400);
    let o = a.overfitting.as_ref().unwrap();
    assert!((0.3..=0.75).contains(&o.probability), "{o:?}");
    assert!(o.mean_inside > 2.0 && o.mean_outside < o.mean_inside / 2.0, "{o:?}");
    let ranks: Vec<f64> = a.walk_forward.iter().filter_map(|c| c.mean_rank).collect();
    let mean = ranks.iter().sum::<f64>() / ranks.len() as f64;
    assert!((0.3..0.7).contains(&mean), "{mean}");
    assert!(a.importance.iter().all(|i| i.explained.unwrap() < 0.05), "{:?}", a.importance);
    assert!(sentence(&a, "deflated Sharpe ratio").ends_with("no more than luck gives."));
    assert!(sentence(&a, "plateau").contains("a lone peak"));
}

#[test]
fn an_edge_on_a_plateau_is_told_from_luck() {
    // A broad hill along x; y does not matter.
    let hill = |p: &Point| 0.006 * (-(f64::from(p[0]) - 10.0).powi(2) / 60.0).exp();
    let (_, a) = analysis(20, hill);
    let best = a.best.as_ref().unwrap();
    assert!((best.parameters[0].1 - 10.0).abs() <= 4.0, "{:?}", best.parameters);
    assert!(a.deflation.unwrap().deflated.unwrap() > 0.99);
    assert!(a.expectation.unwrap().kept > 0.5, "{:?}", a.expectation);
    assert!(a.plateau.as_ref().unwrap().kept.unwrap() > 0.7, "{:?}", a.plateau);
    assert!(a.overfitting.as_ref().unwrap().probability < 0.1);
    assert!(a.cells_kept.unwrap() > 0.8, "{:?}", a.cells_kept);
    assert!(a.walk_forward.iter().all(|c| c.out_of_sample_annual_return > c.average_annual_return));
    let [x, y] = &a.importance[..] else { panic!("two axes") };
    assert!(x.explained.unwrap() > 0.6 && y.explained.unwrap() < 0.05, "{:?}", a.importance);
    assert!(sentence(&a, "deflated Sharpe ratio").ends_with("more than luck."));
}

/// A lone point far above its surroundings is no plateau, and the better surroundings are named beside it.
#[test]
fn a_peak_is_told_from_a_plateau() {
    let both = |p: &Point| match (p[0], p[1]) {
        (3, 3) => 0.012,
        (10..=16, 10..=16) => 0.006,
        _ => -0.003,
    };
    let (_, a) = analysis(20, both);
    assert_eq!(a.best.as_ref().unwrap().parameters, [("x".to_owned(), 3.0), ("y".to_owned(), 3.0)]);
    assert!(a.plateau.as_ref().unwrap().kept.unwrap() < 0.2);
    let other = a.best_plateau.as_ref().unwrap();
    assert!(other.kept.unwrap() > 0.6 && other.neighbours == 24, "{other:?}");
    assert!(sentence(&a, "plateau").contains("The best surroundings are those of point"));
}

/// Over many draws of a family of points whose true ratios are known, what is expected of the best is what it truly has,
/// while what it showed is far above it.
#[test]
fn the_expectation_of_the_best_is_neither_above_nor_below_what_comes() {
    let (families, points, days) = (300, 40, 200);
    let (true_deviation, shared) = (0.05, 0.7_f64);
    let (mut errors, mut lead) = (Vec::new(), 0.0);
    for family in 0..families {
        let mut rng = Seed(5).stream("family", family);
        let market: Vec<f64> = (0..days).map(|_| normal(&mut rng)).collect();
        let centre = {
            // What the market gave in this window belongs to all points alike.
            let mean = market.iter().sum::<f64>() / days as f64;
            mean * shared.sqrt()
        };
        let truth: Vec<f64> = (0..points).map(|_| 0.02 + true_deviation * normal(&mut rng)).collect();
        let rows: Vec<Vec<f64>> = truth
            .iter()
            .map(|edge| {
                market.iter().map(|m| edge + shared.sqrt() * m + (1.0 - shared).sqrt() * normal(&mut rng)).collect()
            })
            .collect();
        let all: Vec<usize> = (0..points).collect();
        let table = Table::of(&rows);
        let ratio = |row: usize| daily_sharpe(table.row(row)).unwrap();
        let best = all.iter().copied().reduce(|a, b| if ratio(b) > ratio(a) { b } else { a }).unwrap();
        let expected = shrunken(&table, &all, best).unwrap();
        let a_year = 365_f64.sqrt();
        // The shared luck of the window is no part of the picking: it is taken off both.
        errors.push(expected.expected / a_year - (truth[best] + centre));
        lead += expected.shown / a_year - (truth[best] + centre);
    }
    let n = families as f64;
    let mean = errors.iter().sum::<f64>() / n;
    let deviation = (errors.iter().map(|e| (e - mean).powi(2)).sum::<f64>() / (n - 1.0)).sqrt();
    assert!(mean.abs() < 4.0 * deviation / n.sqrt(), "mean error {mean} of the expectation, deviation {deviation}");
    assert!(lead / n > 8.0 * mean.abs() && lead / n > 0.02, "the best showed {} too much", lead / n);
}

#[test]
fn the_fast_probability_of_overfitting_is_the_plain_one() {
    for seed in 0..5 {
        let mut rng = Seed(seed).stream("table", 0);
        let rows: Vec<Vec<f64>> =
            (0..30).map(|i| (0..123).map(|_| normal(&mut rng) + 0.01 * f64::from(i)).collect()).collect();
        let all: Vec<usize> = (0..30).collect();
        for blocks in [4, 8, 10] {
            let plain = evidence::overfitting::overfitting(&rows, blocks).unwrap();
            let fast = overfitting(&Table::of(&rows), &all, blocks).unwrap();
            let a_year = 365_f64.sqrt();
            let sorted = |mut v: Vec<f64>| {
                v.sort_by(f64::total_cmp);
                v
            };
            assert_eq!(sorted(fast.logits), sorted(plain.logits));
            for (a, b) in [
                (fast.probability, plain.probability),
                (fast.probability_of_loss, plain.probability_of_loss),
                (fast.mean_inside, plain.mean_inside * a_year),
                (fast.mean_outside, plain.mean_outside * a_year),
                (fast.slope.unwrap(), plain.slope.unwrap()),
            ] {
                assert!((a - b).abs() < 1e-10, "{a} {b}");
            }
        }
    }
}

/// A point that never traded has no Sharpe ratio and is neither picked nor a reason to say nothing.
#[test]
fn a_point_that_did_nothing_earns_nothing() {
    let mut rng = Seed(9).stream("table", 0);
    let mut rows: Vec<Vec<f64>> = (0..4).map(|i| (0..60).map(|_| f64::from(i) + normal(&mut rng)).collect()).collect();
    rows.push(vec![0.0; 60]);
    let found = overfitting(&Table::of(&rows), &[0, 1, 2, 3, 4], 6).unwrap();
    assert_eq!((found.points, found.splits), (5, 20));
    assert!(found.probability < 0.1 && found.mean_inside > 5.0, "{found:?}");
    assert_eq!(overfitting(&Table::of(&rows), &[0], 6), None);
    assert_eq!(overfitting(&Table::of(&rows), &[0, 1], 5), None);
    assert_eq!(overfitting(&Table::of(&rows), &[0, 1], 40), None);
}
