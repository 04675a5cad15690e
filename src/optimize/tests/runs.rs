//! Runs: what is proposed, that it does not depend on how it is asked for, and that a run goes on as if it had never stopped.

// Helpers outside test functions may fail a test.
#![allow(clippy::unwrap_used)]

mod made;

use made::{DAYS, finish, measured, settings};
use optimize::{CheckpointError, Method, Objective, Point, Run, RunError};
use std::collections::{BTreeMap, BTreeSet};

const METHODS: [Method; 3] = [Method::Grid, Method::Random, Method::Genetic];

/// Best at (12, 5), falling off on all sides.
fn hill(point: &Point) -> f64 {
    let (x, y) = (f64::from(point[0]) - 12.0, f64::from(point[1]) - 5.0);
    0.004 * (-(x * x + y * y) / 40.0).exp()
}

fn identity() -> BTreeMap<String, String> {
    BTreeMap::from([("strategy".to_owned(), "abc".to_owned()), ("data".to_owned(), "def".to_owned())])
}

#[test]
fn a_run_goes_on_to_the_bit_from_any_checkpoint_and_at_any_batch_size() {
    for method in METHODS {
        let settings = settings(method, 20, 400);
        let mut whole = Run::new(settings.clone(), DAYS).unwrap();
        finish(&mut whole, 64, hill);
        let mut broken = Run::new(settings.clone(), DAYS).unwrap();
        // Stopped after every batch, each of another size.
        for size in (1..).step_by(7) {
            if broken.is_finished() {
                break;
            }
            let batch = broken.propose(size);
            let results = batch.points.iter().map(|point| measured(point, hill)).collect();
            broken.record(batch, results);
            broken = Run::from_bytes(&broken.to_bytes(&identity()), &identity(), &settings).unwrap();
        }
        assert_eq!(broken, whole, "{method}");
        assert_eq!(broken.to_bytes(&identity()), whole.to_bytes(&identity()));
    }
}

#[test]
fn batches_ahead_are_those_that_are_proposed_in_their_turn() {
    for method in METHODS {
        let mut one = Run::new(settings(method, 20, 400), DAYS).unwrap();
        let mut ahead = one.clone();
        while !ahead.is_finished() {
            let batches = ahead.ahead(&[13, 7, 20]);
            assert!(batches.len() <= if method == Method::Genetic { 1 } else { 3 }, "{method}");
            for batch in batches {
                assert_eq!(one.propose(batch.points.len()), batch, "{method}");
                for run in [&mut one, &mut ahead] {
                    run.record(batch.clone(), batch.points.iter().map(|point| measured(point, hill)).collect());
                }
            }
        }
        assert_eq!(one, ahead, "{method}");
        assert!(ahead.ahead(&[5]).is_empty(), "{method}");
    }
}

#[test]
fn no_point_is_evaluated_twice_and_a_small_space_is_evaluated_whole() {
    for method in METHODS {
        for (side, points, expected) in [(20, 400, 400), (6, 1000, 36), (20, 400, 400)] {
            let mut run = Run::new(settings(method, side, points), DAYS).unwrap();
            finish(&mut run, 50, hill);
            let distinct: BTreeSet<&Point> = run.evaluated().iter().map(|e| &e.point).collect();
            assert_eq!((distinct.len(), run.evaluated().len()), (expected, expected), "{method}");
        }
    }
}

/// With a twelfth of the points the genetic method comes to the top, which as many at random hit by chance.
#[test]
fn the_genetic_method_climbs() {
    let top = |method| {
        let mut run = Run::new(settings(method, 60, 300), DAYS).unwrap();
        // The same hill on a space of 3,600 points, smooth enough to be climbed.
        let wide = |p: &Point| {
            let (x, y) = (f64::from(p[0]) - 41.0, f64::from(p[1]) - 22.0);
            0.02 * (-(x * x + y * y) / 300.0).exp()
        };
        finish(&mut run, 20, wide);
        run.evaluated().iter().rev().take(100).filter(|e| wide(&e.point) > 0.015).count()
    };
    let (genetic, random) = (top(Method::Genetic), top(Method::Random));
    assert!(
        genetic > 3 * random && genetic >= 30,
        "{genetic} of the last 100 points near the top, and {random} at random"
    );
}

#[test]
fn what_cannot_be_recorded_as_trials_is_not_counted() {
    let mut run = Run::new(settings(Method::Grid, 4, 16), DAYS).unwrap();
    let batch = run.propose(16);
    let results = batch.points.iter().map(|p| if p[0] > 2 { Err("fast above slow".into()) } else { measured(p, hill) });
    let results = results.collect();
    run.record(batch, results);
    assert_eq!((run.trials(), run.evaluated().len()), (12, 16));
    assert_eq!(run.evaluated()[15].error.as_deref(), Some("fast above slow"));
    assert_eq!(run.table().len(), 16);
    assert!(run.table().row(15).iter().all(|r| *r == 0.0));
}

#[test]
fn several_objectives_make_a_front_that_nobody_beats() {
    for method in METHODS {
        let mut settings = settings(method, 12, 144);
        settings.objectives = vec![Objective::Sharpe, Objective::Drawdown, Objective::TotalReturn];
        let mut run = Run::new(settings.clone(), DAYS).unwrap();
        finish(&mut run, 50, hill);
        let aims = |i: usize| settings.objectives.iter().map(|&o| run.value(i, o).unwrap()).collect::<Vec<_>>();
        let front = run.front();
        assert_eq!(front.first().copied(), run.best());
        let beats = |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(x, y)| x >= y) && a != b;
        for i in 0..run.evaluated().len() {
            let beaten = (0..run.evaluated().len()).any(|j| beats(&aims(j), &aims(i)));
            assert_eq!(front.contains(&i), !beaten, "{method}: point {i}");
        }
    }
}

#[test]
fn a_point_with_too_few_trades_is_the_best_of_nothing() {
    let mut settings = settings(Method::Grid, 3, 9);
    settings.least_trades = 1_000;
    let mut run = Run::new(settings, DAYS).unwrap();
    finish(&mut run, 9, hill);
    assert_eq!((run.best(), run.front()), (None, Vec::new()));
}

#[test]
fn settings_that_cannot_be_are_refused() {
    let refused = |change: fn(&mut optimize::Settings), days| {
        let mut settings = settings(Method::Grid, 20, 400);
        change(&mut settings);
        Run::new(settings, days).unwrap_err()
    };
    let error = refused(|s| s.points = 399, DAYS);
    assert_eq!(error, RunError::GridTooLarge { size: 400, points: 399 });
    assert!(error.to_string().contains("the grid has 400 points"));
    assert_eq!(refused(|s| s.points = 0, DAYS), RunError::Points(0));
    assert_eq!(refused(|_| {}, 1), RunError::TooFewDays { days: 1 });
    assert_eq!(refused(|s| s.objectives.clear(), DAYS), RunError::NoObjective);
    assert_eq!(
        refused(|s| s.objectives = vec![Objective::Sharpe; 2], DAYS),
        RunError::ObjectiveTwice(Objective::Sharpe)
    );
    let error = refused(|s| (s.method, s.points, s.space) = (Method::Random, 100_000, made::square(1_000)), 3_650);
    assert!(error.to_string().contains("67108864") && error.to_string().contains("give 18385 points"), "{error}");
    let error = refused(|s| (s.method, s.population) = (Method::Genetic, 1), DAYS);
    assert_eq!(error, RunError::Population(1));
}

#[test]
fn a_checkpoint_of_something_else_is_refused_and_says_of_what() {
    let own = settings(Method::Random, 20, 100);
    let mut run = Run::new(own.clone(), DAYS).unwrap();
    finish(&mut run, 100, hill);
    let bytes = run.to_bytes(&identity());
    let refused = |bytes: &[u8], identity: &BTreeMap<String, String>, settings: &optimize::Settings| {
        Run::from_bytes(bytes, identity, settings).unwrap_err()
    };
    let mut other = identity();
    other.insert("data".into(), "xyz".into());
    let error = refused(&bytes, &other, &own);
    assert!(error.to_string().contains("another data: it has def, and this run has xyz"), "{error}");
    other.remove("data");
    assert!(refused(&bytes, &other, &own).to_string().contains("this run has none"));
    for (change, what) in [
        (settings(Method::Grid, 20, 400), "method"),
        (settings(Method::Random, 20, 101), "points"),
        (settings(Method::Random, 19, 100), "set of parameters"),
    ] {
        let error = refused(&bytes, &identity(), &change).to_string();
        assert!(error.contains(&format!("another {what}")), "{error}");
    }
    for cut in [0, 5, 30, bytes.len() / 2, bytes.len() - 1] {
        let error = refused(&bytes[..cut], &identity(), &own);
        assert!(matches!(error, CheckpointError::Damaged | CheckpointError::NoCheckpoint), "{cut}: {error}");
    }
    for at in (0..bytes.len()).step_by(997) {
        let mut flipped = bytes.clone();
        flipped[at] ^= 4;
        let error = refused(&flipped, &identity(), &own);
        assert!(matches!(error, CheckpointError::Damaged | CheckpointError::NoCheckpoint), "{at}: {error}");
    }
}
