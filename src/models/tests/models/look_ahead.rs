//! Predictions know nothing of later candles; a model that does is caught by the same checks.

use super::support::{H4_MS, START_MS, changed_after, examples, file, kinds, market, members, of_universe, until};
use candles::time::DAY_MS;
use genome::random::Seed;
use models::{Examples, Fitted, Kind, ModelError, ModelFile, Predictions, Rows, TrainingSet, Walk};
use rand::RngExt;

fn predict(file: &ModelFile, kind: &dyn Kind, examples: &Examples, before: Option<Predictions>) -> Predictions {
    Walk { file, kind, examples }.predict(before).unwrap()
}

/// What of predictions was made by a time, bit by bit.
fn bits(predictions: &Predictions, until_ms: i64) -> Vec<(String, Vec<[u64; 3]>)> {
    let of = |s: &models::SymbolPredictions| {
        let known = s.points.iter().filter(|p| p.at_ms <= until_ms);
        (s.name.clone(), known.map(|p| [p.at_ms.cast_unsigned(), p.probability.to_bits(), p.base.to_bits()]).collect())
    };
    predictions.symbols.iter().map(of).collect()
}

/// Times of closes at which markets are cut, some on the clock of fits, some a candle beside it.
fn cuts(refit_days: i64) -> Vec<i64> {
    let mut rng = Seed(5).stream("cuts", 0);
    let fit_ms = (START_MS / (refit_days * DAY_MS) + 8) * refit_days * DAY_MS;
    let mut cuts = vec![fit_ms, fit_ms + H4_MS, fit_ms - H4_MS];
    cuts.extend((0..5).map(|_| START_MS + rng.random_range(800..1800) * H4_MS));
    cuts
}

/// How many of the cuts give other predictions up to the cut: from a prefix, and with other candles after it.
fn betrayed(file: &ModelFile, kind: &dyn Fn(&Examples) -> Box<dyn Kind>) -> (usize, usize) {
    let whole = market(11, 4, 2000, 0.5);
    let all = examples(file, &whole);
    let full = predict(file, &*kind(&all), &all, None);
    assert!(full.symbols.iter().all(|s| s.points.len() > 1000), "there is something to compare");
    let (mut prefixes, mut changes) = (0, 0);
    for cut_ms in cuts(i64::from(file.refit_days)) {
        let wanted = bits(&full, cut_ms);
        let short = examples(file, &until(&whole, cut_ms));
        prefixes += usize::from(bits(&predict(file, &*kind(&short), &short, None), i64::MAX) != wanted);
        let mut rng = Seed(6).stream("changed", cut_ms.cast_unsigned());
        let other = examples(file, &changed_after(&whole, cut_ms, &mut rng));
        let found = predict(file, &*kind(&other), &other, None);
        changes += usize::from(bits(&found, cut_ms) != wanted);
        assert_ne!(bits(&found, i64::MAX), bits(&full, i64::MAX), "other candles matter after the cut");
    }
    (prefixes, changes)
}

#[test]
fn the_predictions_of_a_prefix_are_the_prefix_of_the_predictions() {
    for kind in kinds() {
        for target in ["direction", "rank"] {
            let file = file(target, kind);
            assert_eq!(betrayed(&file, &|_| file.kind(None).unwrap()), (0, 0), "{kind}, {target}");
        }
    }
}

/// Volumes wander, so that members change.
const UNIVERSE: &str = "top 3 by quote_volume(2d), listed 20d";

#[test]
fn a_universe_is_known_as_of_each_close() {
    for target in ["direction", "rank"] {
        let file = of_universe(target, "logistic", UNIVERSE);
        assert_eq!(betrayed(&file, &|_| file.kind(None).unwrap()), (0, 0), "{target}");
    }
}

#[test]
fn members_alone_teach_and_are_compared_and_all_are_predicted() {
    let file = of_universe("rank", "logistic", UNIVERSE);
    let whole = market(4, 6, 1500, 0.0);
    let (of, kind) = (members(&file.universe.unwrap(), &whole), file.kind(None).unwrap());
    let all = examples(&file, &whole);
    let everybody = examples(&support_of_all(), &whole);
    let (mut compared, mut strangers) = (0, 0);
    for (number, symbol) in all.symbols.iter().enumerate() {
        for (i, close_ms) in symbol.close_ms.iter().enumerate() {
            if !of[number][i] {
                assert_eq!((symbol.labels[i], symbol.scaled[i].is_nan()), (None, true));
                continue;
            }
            assert_eq!(symbol.scaled[i].to_bits(), everybody.symbols[number].scaled[i].to_bits());
            // By hand: the middle of the three members whose return is known.
            let others = (0..6).filter_map(|n| {
                let k = all.symbols[n].close_ms.binary_search(close_ms).ok()?;
                (of[n][k] && everybody.symbols[n].scaled[k].is_finite()).then(|| everybody.symbols[n].scaled[k])
            });
            let others: Vec<f64> = others.collect();
            let own = symbol.scaled[i];
            let side = others.iter().filter(|v| **v < own).count().cmp(&others.iter().filter(|v| **v > own).count());
            let expected = (own.is_finite() && others.len() == 3 && side.is_ne()).then(|| side.is_gt());
            assert_eq!(symbol.labels[i], expected, "{others:?}");
            compared += usize::from(expected.is_some());
        }
        let found = predict(&file, &*kind, &all, None);
        strangers += found
            .of(&symbol.name)
            .iter()
            .filter(|p| !of[number][symbol.close_ms.binary_search(&p.at_ms).unwrap()])
            .count();
    }
    assert!(compared > 2000 && strangers > 2000, "{compared} compared, {strangers} predictions of others");
    let taught = Walk { file: &file, kind: &*kind, examples: &all }.training_set(START_MS + 1400 * H4_MS).labels.len();
    let days = 120 * 6;
    assert!(taught <= 2 * days && taught > days, "two of three members at a close are not in the middle: {taught}");
}

fn support_of_all() -> ModelFile {
    file("rank", "logistic")
}

/// Fitted on everything that there is, whatever the training set is.
struct Cheat(TrainingSet, Box<dyn Kind>);
impl Kind for Cheat {
    fn fit(&self, _: &TrainingSet, seed: Seed) -> Result<Box<dyn Fitted>, ModelError> {
        self.1.fit(&self.0, seed)
    }
}

#[test]
fn a_model_fitted_on_everything_is_caught() {
    let honest = file("direction", "logistic");
    let cheat = |all: &Examples| -> Box<dyn Kind> {
        let mut everything = honest.clone();
        everything.train_days = 3650;
        let walk = Walk { file: &everything, kind: &*honest.kind(None).unwrap(), examples: all };
        Box::new(Cheat(walk.training_set(all.range_ms().unwrap().1 + 400 * DAY_MS), honest.kind(None).unwrap()))
    };
    let cuts = cuts(30).len();
    assert_eq!(betrayed(&honest, &cheat), (cuts, cuts));
}

#[test]
fn a_fit_knows_targets_that_were_known_by_then_and_no_others() {
    // By hand: 120 days of training, horizon of 3 candles, embargo of 5.
    let mut file = file("direction", "logistic");
    file.embargo_candles = 5;
    let whole = market(3, 1, 2000, 0.0);
    let all = examples(&file, &whole);
    let kind = file.kind(None).unwrap();
    let at_ms = START_MS + 1000 * H4_MS;
    let set = Walk { file: &file, kind: &*kind, examples: &all }.training_set(at_ms);
    let symbol = &all.symbols[0];
    let mut expected: Vec<(f64, bool)> = Vec::new();
    for (i, &close_ms) in symbol.close_ms.iter().enumerate() {
        let known_ms = close_ms + 3 * H4_MS;
        if close_ms < at_ms - 120 * DAY_MS || known_ms + 5 * H4_MS > at_ms || !symbol.is_whole(i) {
            continue;
        }
        // The target, from closes alone, where no candle is missing between.
        let closes = whole[0].1.closes();
        if symbol.close_ms.get(i + 3) == Some(&known_ms) && closes[i + 3] != closes[i] {
            expected.push((symbol.features[0][i], closes[i + 3] > closes[i]));
        }
    }
    let found: Vec<(f64, bool)> = set.rows.column(0).iter().copied().zip(set.labels.iter().copied()).collect();
    assert_eq!(found, expected);
    assert!(expected.len() > 650, "{}", expected.len());
}

#[test]
fn ranks_are_of_those_whose_return_is_known_together() {
    let file = file("rank", "logistic");
    let whole = market(4, 5, 900, 0.0);
    let all = examples(&file, &whole);
    let mut compared = 0;
    for symbol in &all.symbols {
        for (i, close_ms) in symbol.close_ms.iter().enumerate() {
            let at = |s: &models::SymbolExamples| s.close_ms.binary_search(close_ms).ok().map(|k| s.scaled[k]);
            let others: Vec<f64> = all.symbols.iter().filter_map(at).filter(|v| v.is_finite()).collect();
            let own = symbol.scaled[i];
            let expected = (own.is_finite() && others.len() >= 3).then(|| {
                let (below, above) =
                    (others.iter().filter(|v| **v < own).count(), others.iter().filter(|v| **v > own).count());
                (below != above).then_some(below > above)
            });
            assert_eq!(symbol.labels[i], expected.flatten());
            compared += usize::from(symbol.labels[i].is_some());
        }
    }
    assert!(compared > 3000, "{compared}");
}

#[test]
fn going_on_gives_the_same_bits_as_beginning_anew() {
    for kind in kinds() {
        for target in ["direction", "rank"] {
            let file = file(target, kind);
            let kind = file.kind(None).unwrap();
            let whole = market(12, 3, 1500, 0.5);
            let all = examples(&file, &whole);
            let full = predict(&file, &*kind, &all, None);
            let mut so_far: Option<Predictions> = None;
            for cut_ms in [700, 701, 706, 900, 1100, 1500].map(|n| START_MS + n * H4_MS) {
                let known = examples(&file, &until(&whole, cut_ms));
                so_far = Some(predict(&file, &*kind, &known, so_far));
            }
            assert_eq!(so_far, Some(full), "{target}");
        }
    }
}

#[test]
fn the_number_of_threads_changes_nothing() {
    for kind in kinds() {
        let file = file("direction", kind);
        let kind = file.kind(None).unwrap();
        let all = examples(&file, &market(13, 3, 1200, 0.5));
        let on = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| predict(&file, &*kind, &all, None))
        };
        assert_eq!(on(1), on(3));
    }
}

/// Says 0.5 of everything, or what is no probability.
struct Fixed(f64);
impl Kind for Fixed {
    fn fit(&self, _: &TrainingSet, _: Seed) -> Result<Box<dyn Fitted>, ModelError> {
        Ok(Box::new(Self(self.0)))
    }
}
impl Fitted for Fixed {
    fn predict(&self, rows: &Rows) -> Result<Vec<f64>, ModelError> {
        Ok(vec![self.0; rows.rows])
    }
}

#[test]
fn what_is_no_probability_is_no_prediction_and_a_fit_that_fails_says_why() {
    let file = file("direction", "logistic");
    let all = examples(&file, &market(14, 1, 800, 0.0));
    for wrong in [f64::NAN, -0.1, 1.1, f64::INFINITY] {
        let said = Walk { file: &file, kind: &Fixed(wrong), examples: &all }.predict(None).unwrap_err();
        assert!(said.to_string().contains("no probability"), "{said}");
    }
    let found = predict(&file, &Fixed(0.5), &all, None);
    let (failed, made): (Vec<_>, Vec<_>) = found.fits.iter().partition(|fit| fit.failed.is_some());
    assert!(
        !made.is_empty() && failed[0].failed.as_ref().unwrap().contains("at least 30 of either side"),
        "{failed:?}"
    );
    assert!(found.symbols[0].points.iter().all(|p| p.at_ms >= made[0].at_ms), "a fit that failed predicts nothing");
}
