//! A search against a toy market whose best strategies are known: it finds them, repeats itself, resumes, stays varied.

use super::*;
use engine::{EvaluationError, Outcome, Performance};
use genome::{AnyStrategy, Comparison, IndicatorKind, Operand, Source, random::Seed};
use std::{
    cell::Cell,
    collections::HashSet,
    sync::atomic::{AtomicUsize, Ordering},
};

/// Rewards a long entry with `rsi(n) < c` for c near 30, the more the nearer; the rest follows from the hash.
#[derive(Default)]
struct Toy {
    evaluated: AtomicUsize,
    fails: bool,
}

fn closeness(strategy: &AnyStrategy) -> f64 {
    let mut best: f64 = 0.0;
    if let Some(long) = strategy.rules().and_then(|rules| rules.long.as_ref()) {
        long.entry.for_each_condition(&mut |c| {
            let is_rsi = matches!(c.left.source, Source::Indicator(i) if i.kind() == IndicatorKind::Rsi);
            if let (true, Comparison::Below, Operand::Constant(level)) = (is_rsi, c.comparison, c.right) {
                best = best.max(1.0 - (level.get() - 30.0).abs() / 70.0);
            }
        });
    }
    best
}

fn noise(strategy: &AnyStrategy) -> f64 {
    f64::from(strategy.hash().as_bytes()[0]) / 255.0
}

impl Toy {
    fn one(&self, strategy: &AnyStrategy) -> Result<Outcome, EvaluationError> {
        self.evaluated.fetch_add(1, Ordering::Relaxed);
        let noise = noise(strategy);
        if self.fails && noise < 0.1 {
            return Err(EvaluationError::Panicked("toy".into()));
        }
        let t = -2.0 + 8.0 * closeness(strategy) + noise;
        // Ups and downs in pairs, in an order of its own: the sums of blocks do not know it, correlations do.
        let bits = strategy.hash();
        let up = |day: usize| (bits.as_bytes()[day / 2 % 32] & 1 == 0) == day.is_multiple_of(2);
        let daily_returns: Vec<f64> =
            (0..60).map(|day| 0.001 * t + if up(day) { 0.01 } else { -0.01 + 0.002 * noise }).collect();
        let total: f64 = daily_returns.iter().sum();
        let performance = Performance {
            total_return: Some(total),
            sharpe_ratio: Some(t),
            t_statistic: Some(t),
            max_drawdown: Some(-0.1),
            profit_factor: Some(1.0 + t / 8.0),
            win_rate: Some(0.5),
            total_trades: 40 + (60.0 * noise) as u32,
            ..Performance::default()
        };
        let per_symbol = vec![performance.clone(), Performance { t_statistic: None, ..performance.clone() }];
        // Coarse on purpose: behavioural duplicates turn up.
        let trades_digest = (t * 1e3) as i64 as u64;
        Ok(Outcome { performance, per_symbol, daily_returns, stake: None, trades_digest, ledger: None })
    }
}

impl Evaluator for Toy {
    fn evaluate(&self, population: &[AnyStrategy]) -> Vec<Result<Outcome, EvaluationError>> {
        population.iter().map(|s| self.one(s)).collect()
    }
}

fn config() -> SearchConfig {
    SearchConfig { population_size: 60, generations: 12, niche_capacity: 8, archive_size: 30, ..Default::default() }
}

const GO: &dyn Fn(Step) -> bool = &|_| false;

fn run(
    config: &SearchConfig,
    mut state: SearchState,
    toy: &Toy,
    generations: u32,
) -> (SearchState, Vec<GenerationReport>) {
    let mut reports = Vec::new();
    for _ in 0..generations {
        let (next, report) = advance(config, state, toy, GO).unwrap();
        state = next;
        reports.push(report);
    }
    (state, reports)
}

fn json(state: &SearchState) -> String {
    serde_json::to_string(state).unwrap()
}

#[test]
fn resuming_anywhere_equals_never_stopping() {
    let (config, toy) = (config(), Toy::default());
    let (whole, _) = run(&config, start(&config, Seed(7), Vec::new(), None), &toy, 8);
    for stopped_after in 0..8 {
        let (before, _) = run(&config, start(&config, Seed(7), Vec::new(), None), &toy, stopped_after);
        let stored = json(&before);
        let read: SearchState = serde_json::from_str(&stored).unwrap();
        assert_eq!(read, before);
        let (after, _) = run(&config, read, &toy, 8 - stopped_after);
        assert_eq!(json(&after), json(&whole), "stopped after {stopped_after}");
    }
}

#[test]
fn seeds_breed_what_they_bred() {
    let (config, toy) = (config(), Toy::default());
    let (mut state, _) = run(&config, start(&config, Seed(7), Vec::new(), None), &toy, 8);
    assert!(!state.scored.is_empty());
    // FNV-1a of the stored state, but for how building blocks scored, which breeds nothing.
    state.scored = learner::Scored::default();
    let digest =
        json(&state).bytes().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
    assert_eq!(
        digest, 9_511_998_658_657_022_096,
        "a seed breeds something else: stored sessions can no longer be replayed"
    );
}

#[test]
fn a_killed_generation_is_as_if_it_never_began() {
    let (config, toy) = (config(), Toy::default());
    let (state, _) = run(&config, start(&config, Seed(7), Vec::new(), None), &toy, 2);
    let whole = advance(&config, state.clone(), &toy, GO).unwrap().0;
    let steps = [Step::Select, Step::Vary, Step::Evaluate, Step::Score, Step::Replace, Step::Archive];
    for at in steps {
        assert_eq!(advance(&config, state.clone(), &toy, &|step| step == at).unwrap_err(), Stopped(at));
        assert_eq!(advance(&config, state.clone(), &toy, GO).unwrap().0, whole);
    }
    let seen = Cell::new(Vec::new());
    let watch = |step| {
        let mut so_far = seen.take();
        so_far.push(step);
        seen.set(so_far);
        false
    };
    advance(&config, state, &toy, &watch).unwrap();
    assert_eq!(seen.take(), steps, "each step is announced, in order");
}

#[test]
fn another_seed_is_another_search() {
    let config = config();
    let of = |seed| run(&config, start(&config, Seed(seed), Vec::new(), None), &Toy::default(), 2).0.population;
    assert_eq!(of(1), of(1));
    assert_ne!(of(1), of(2));
}

#[test]
fn nothing_is_evaluated_twice_and_nothing_kept_twice() {
    let (config, toy) = (config(), Toy::default());
    let mut state = start(&config, Seed(3), Vec::new(), None);
    let mut born = HashSet::new();
    for _ in 0..12 {
        state = advance(&config, state, &toy, GO).unwrap().0;
        let offspring = state.population.iter().filter(|i| i.born == state.generation);
        assert!(offspring.map(|i| i.hash).all(|hash| born.insert(hash)));
        let hashes: HashSet<_> = state.population.iter().map(|i| i.hash).collect();
        let digests: HashSet<_> = state.population.iter().map(|i| i.measured.as_ref().unwrap().trades_digest).collect();
        assert_eq!((hashes.len(), digests.len()), (state.population.len(), state.population.len()));
    }
    assert_eq!(state.counters.evaluations, toy.evaluated.into_inner() as u64);
    assert!(state.counters.twins_dropped > 0, "the toy market has behavioural duplicates");
}

#[test]
fn finds_what_there_is_to_find() {
    let (config, toy) = (config(), Toy::default());
    let (state, reports) = run(&config, start(&config, Seed(11), Vec::new(), None), &toy, config.generations);
    let best = &champions(&state, 1)[0];
    assert!(closeness(&best.strategy) > 0.95, "{} {:?}", best.strategy, best.measured);
    let fitness: Vec<f64> = reports.iter().map(|r| r.best_fitness.unwrap()).collect();
    assert!(fitness.is_sorted(), "the best is never lost: {fitness:?}");
    assert!(state.is_finished(&config));
}

#[test]
fn stays_varied() {
    let config = config();
    let (state, reports) = run(&config, start(&config, Seed(5), Vec::new(), None), &Toy::default(), 12);
    let last = reports.last().unwrap();
    assert!(last.niches >= 6, "{last:?}");
    let kinds = |place: usize| last.kinds.values().map(|counts| counts[place]).sum::<usize>();
    assert_eq!((kinds(0), kinds(1)), (last.population, last.archive), "{last:?}");
    assert!(state.archive.len() >= 6, "{last:?}");
    let chosen = champions(&state, 6);
    let niches: HashSet<_> = chosen.iter().map(|i| genome::AnyNiche::of(&i.strategy)).collect();
    assert_eq!(niches.len(), 6);
    let cells: HashSet<_> = state.archive.iter().map(|i| crate::archive::Cell::of(i).unwrap()).collect();
    assert_eq!(cells.len(), state.archive.len(), "one a cell");
    let profiles: Vec<_> = state.archive.iter().map(|i| i.measured.clone().unwrap().profile.unwrap()).collect();
    for (i, one) in profiles.iter().enumerate() {
        assert!(profiles[..i].iter().all(|other| one.correlation(other).unwrap() <= config.archive_max_correlation));
    }
    assert!(state.population.iter().all(|i| i.measured.as_ref().unwrap().profile.is_none()));
    assert!(chosen.is_sorted_by(|a, b| a.fitness() >= b.fitness()));
}

#[test]
fn parents_may_come_from_the_archive() {
    let config = SearchConfig { archive_parents_fraction: 1.0, ..config() };
    let (state, _) = run(&config, start(&config, Seed(5), Vec::new(), None), &Toy::default(), 6);
    let archived: HashSet<_> = state.archive.iter().map(|i| i.hash).collect();
    let elites: HashSet<_> = state.population[..config.elites].iter().map(|i| i.hash).collect();
    let (after, _) = run(&config, state, &Toy::default(), 1);
    let born = after.population.iter().filter(|i| i.born == after.generation && !i.parents.is_empty());
    let of = |origin| born.clone().filter(move |i| i.origin == origin).flat_map(|i| i.parents.clone());
    assert!(of(Origin::Mutation).count() > 0 && of(Origin::Mutation).all(|p| archived.contains(&p)));
    assert!(of(Origin::Refinement).all(|p| elites.contains(&p)));
}

#[test]
fn failures_are_reported_and_score_nothing() {
    let (config, toy) = (config(), Toy { fails: true, ..Toy::default() });
    let (state, reports) = run(&config, start(&config, Seed(5), Vec::new(), None), &toy, 3);
    let failures: Vec<_> = reports.iter().flat_map(|r| &r.failures).collect();
    assert!(!failures.is_empty());
    assert_eq!(state.counters.failures, failures.len() as u64);
    for failure in failures {
        assert!(noise(&failure.strategy) < 0.1 && failure.hash == failure.strategy.hash());
        assert!(state.population.iter().chain(&state.archive).all(|i| i.hash != failure.hash));
    }
}

#[test]
fn warm_starts_are_evaluated_first_and_once() {
    let config = config();
    let (former, _) = run(&config, start(&config, Seed(5), Vec::new(), None), &Toy::default(), 2);
    let mut brought: Vec<AnyStrategy> = former.archive.iter().map(|i| i.strategy.clone()).collect();
    brought.push(brought[0].clone());
    let state = start(&config, Seed(6), brought.clone(), None);
    assert_eq!(state.population.len(), 60);
    for (i, strategy) in brought[..brought.len() - 1].iter().enumerate() {
        assert_eq!((&state.population[i].strategy, state.population[i].origin), (strategy, Origin::WarmStart));
    }
    assert_eq!(state.population.iter().filter(|i| i.origin == Origin::WarmStart).count(), former.archive.len());
}

#[test]
fn with_nothing_worth_keeping_it_goes_on_at_random() {
    let config = SearchConfig { min_trades: 1000, ..config() };
    let (state, reports) = run(&config, start(&config, Seed(5), Vec::new(), None), &Toy::default(), 3);
    assert_eq!((state.population.len(), reports[2].best_fitness), (0, None));
    assert_eq!(champions(&state, 3), []);
    assert!(state.counters.evaluations > 120);
}

#[test]
fn a_share_of_each_generation_is_drawn_by_what_was_learnt() {
    let config = SearchConfig { learner_fraction: 0.3, crossover_fraction: 0.2, ..config() };
    // Strategies with an RSI earned, the others lost.
    let lessons: Vec<_> = (0..400)
        .map(|n| {
            let strategy = genome::variation::random(&config.variation, &mut Seed(8).stream("past", n));
            let sign = if closeness(&strategy.clone().into()) > 0.0 { 1.0 } else { -1.0 };
            let day = |day: u64| 0.002 * sign + if (day * 7 + n).is_multiple_of(3) { 0.01 } else { -0.005 };
            learner::Lesson { strategy: strategy.into(), returns: (0..90).map(day).collect() }
        })
        .collect();
    let learnt = learner::learn(&lessons);
    assert!(learnt.as_ref().unwrap().beliefs["indicator rsi"].mean > 0.5);
    let state = start(&config, Seed(5), Vec::new(), learnt);
    let has_rsi = |origin| {
        let of: Vec<_> = state.population.iter().filter(|i| i.origin == origin).collect();
        let with = |i: &&&Individual| learner::features(&i.strategy).contains(&"indicator rsi".to_owned());
        (of.len(), of.iter().filter(with).count() as f64 / of.len() as f64)
    };
    let ((proposed, with), (random, plain)) = (has_rsi(Origin::Learner), has_rsi(Origin::Random));
    assert_eq!((proposed, random), (18, 42));
    assert!(with > 0.6 && with > 2.0 * plain, "{with} of the proposals, {plain} of the random ones");
    // To the bit wherever it was stored and read back, and in later generations, too.
    let read: SearchState = serde_json::from_str(&serde_json::to_string(&state).unwrap()).unwrap();
    let of = |state| advance(&config, state, &Toy::default(), GO).unwrap().0;
    let (one, other) = (of(of(state)), of(of(read)));
    assert_eq!(one, other);
    assert!(one.population.iter().any(|i| i.origin == Origin::Learner && i.born == 2));
}

#[test]
fn lineage_leads_to_parents_that_were_evaluated() {
    let (config, toy) = (config(), Toy::default());
    let (mut state, mut known) = (start(&config, Seed(5), Vec::new(), None), HashSet::new());
    for _ in 0..4 {
        known.extend(state.population.iter().map(|i| i.hash));
        state = advance(&config, state, &toy, GO).unwrap().0;
        for child in state.population.iter().filter(|i| i.born == state.generation) {
            let expected = match child.origin {
                Origin::Random | Origin::WarmStart | Origin::Learner => 0,
                Origin::Mutation | Origin::Refinement => 1,
                Origin::Crossover => 2,
            };
            assert_eq!(child.parents.len(), expected);
            assert!(child.parents.iter().all(|p| known.contains(p)));
        }
    }
}

#[test]
fn settings_are_checked_by_name() {
    let problem = |change: fn(&mut SearchConfig)| {
        let mut config = SearchConfig::default();
        change(&mut config);
        config.validate().unwrap_err().to_string()
    };
    assert_eq!(SearchConfig::default().validate(), Ok(()));
    assert_eq!(problem(|c| c.population_size = 1), "population_size must be 2 to 100000, not 1");
    assert_eq!(problem(|c| c.elites = 501), "elites must be 1 to 500, not 501");
    assert_eq!(problem(|c| c.crossover_fraction = f64::NAN), "crossover_fraction must be 0 to 1, not NaN");
    assert_eq!(
        problem(|c| c.selection = Selection::Tournament { size: 0 }),
        "selection.size must be 1 to 10000, not 0"
    );
    assert!(problem(|c| c.immigrants_fraction = 0.9).contains("must sum to at most 1"));
    assert!(serde_json::from_str::<SearchConfig>(r#"{"populaton_size": 5}"#).is_err());
    assert_eq!(serde_json::from_str::<SearchConfig>("{}").unwrap(), SearchConfig::default());
}

mod fitness_parts {
    use super::*;
    use crate::fitness::{FitnessLimits, PenalisedT, cases, time_blocks};
    use engine::Stake;

    const LIMITS: FitnessLimits = FitnessLimits { min_trades: 10, max_complexity: 20.0 };

    fn outcome(performance: Performance) -> Outcome {
        Outcome {
            performance,
            per_symbol: Vec::new(),
            daily_returns: Vec::new(),
            stake: None,
            trades_digest: 0,
            ledger: None,
        }
    }

    #[test]
    fn weights_sum_to_one() {
        let sum: f64 = Components::WEIGHTS.iter().map(|(_, w)| w).sum();
        assert!((sum - 1.0).abs() < 1e-15);
        let all = Components {
            significance: 100.0,
            profit_factor: 100.0,
            drawdown: 100.0,
            consistency: 100.0,
            breadth: 100.0,
            trades: 100.0,
            simplicity: 100.0,
        };
        assert!((all.score() - 100.0).abs() < 1e-12 && (all.fitness() - 100.0).abs() < 1e-12);
    }

    #[test]
    fn golden() {
        let p = Performance {
            total_return: Some(0.2),
            profit_factor: Some(2.0),
            max_drawdown: Some(-0.1),
            total_trades: 20,
            ..Performance::default()
        };
        // sqrt(20 / 320) of the t is left.
        let penalised = Some(PenalisedT { deviation: 0.01, t: 12.0 });
        let found = LIMITS.measure(&outcome(p), penalised, &[0.1, -0.1, 0.2, 0.1], 5.0).unwrap();
        assert_eq!(found.values(), [50.0, 50.0, 75.0, 75.0, 100.0, 50.0, 75.0]);
        assert_eq!(found.score(), found.points().iter().sum::<f64>());
        assert!((found.score() - 60.0).abs() < 1e-12, "{}", found.score());
        assert!((found.fitness() - (0.95 * 50.0 + 0.05 * 75.0)).abs() < 1e-12, "{}", found.fitness());
    }

    #[test]
    fn the_same_t_of_more_trades_is_fitter_and_a_splendid_profit_factor_is_not() {
        let with = |total_trades, profit_factor| {
            let p = Performance { total_trades, profit_factor: Some(profit_factor), ..Performance::default() };
            let penalised = Some(PenalisedT { deviation: 0.01, t: 5.0 });
            LIMITS.measure(&outcome(p), penalised, &[0.1], 5.0).unwrap()
        };
        assert!(with(1_000, 1.3).fitness() > with(200, 1.3).fitness() + 10.0);
        assert_eq!(with(200, 3.0).fitness(), with(200, 1.3).fitness());
        assert!(with(200, 3.0).score() > with(200, 1.3).score() + 10.0);
    }

    #[test]
    fn undefined_scores_nothing() {
        let bare = Performance { total_trades: 10, ..Performance::default() };
        let found = LIMITS.measure(&outcome(bare.clone()), None, &[], 50.0).unwrap();
        assert_eq!(found.values(), [0.0, 0.0, 0.0, 0.0, 0.0, 25.0, 0.0]);
        assert_eq!(LIMITS.measure(&outcome(Performance { total_trades: 9, ..bare }), None, &[], 1.0), None);
    }

    #[test]
    fn full_losses_that_did_not_come_are_counted_in() {
        let returns: Vec<f64> = (0..60).map(|day| 0.002 + 0.001 * f64::from(day % 3)).collect();
        let with = |full_losses| PenalisedT::of(&returns, Some(Stake { fraction: 0.02, full_losses })).unwrap().t;
        let plain = PenalisedT::of(&returns, None).unwrap();
        let mean = returns.iter().sum::<f64>() / 60.0;
        let variance = returns.iter().map(|r| (r - mean).powi(2)).sum::<f64>() / 59.0;
        assert!((plain.t - mean / variance.sqrt() * 60_f64.sqrt()).abs() < 1e-9);
        assert!((with(9) - plain.t).abs() < 1e-9 && (with(100) - plain.t).abs() < 1e-9);
        assert!(with(0) < with(5) && with(5) < with(8) && with(8) < plain.t);
        assert!(with(0) < 1.0 && plain.t > 20.0, "{} {}", with(0), plain.t);
        assert_eq!((PenalisedT::of(&[], None), PenalisedT::of(&[0.0; 9], None)), (None, None));
    }

    #[test]
    fn blocks_cover_every_day_once() {
        assert_eq!(time_blocks(&[1.0; 9]), [9.0]);
        assert_eq!(time_blocks(&[1.0; 25]), [12.0, 13.0]);
        assert_eq!(time_blocks(&[1.0; 365]).len(), 12);
        assert_eq!(time_blocks(&[1.0; 365]).iter().sum::<f64>(), 365.0);
        assert_eq!(time_blocks(&[]), [0.0]);
    }

    #[test]
    fn cases_do_not_know_size() {
        let with = |scale: f64| {
            let daily_returns: Vec<f64> = (0..40).map(|d| scale * (f64::from(d % 5) - 1.5)).collect();
            let outcome = Outcome { daily_returns, ..outcome(Performance::default()) };
            let penalised = PenalisedT::of(&outcome.daily_returns, None);
            cases(&outcome, penalised, &time_blocks(&outcome.daily_returns))
        };
        assert_eq!(with(1.0).len(), 4);
        for (small, large) in with(0.001).into_iter().zip(with(0.1)) {
            assert!((small.unwrap() - large.unwrap()).abs() < 1e-9);
        }
        assert_eq!(with(0.0), [None; 4]);
    }
}

mod operators {
    use super::*;
    use crate::selection::{Contestant, epsilons, lexicase, lexicase_pool, tournament};
    use crate::vectors::{assert_all_close, indices, read, rows};

    fn contestants(results: &[Vec<Option<f64>>]) -> Vec<Contestant<'_>> {
        results.iter().enumerate().map(|(i, cases)| Contestant { fitness: i as f64, cases }).collect()
    }

    #[test]
    fn lexicase_agrees_with_the_reference() {
        let v = read(include_str!("vectors/17_evolution/operators.json"));
        let results: Vec<Vec<Option<f64>>> =
            rows(&v["inputs"]["E"]).into_iter().map(|row| row.into_iter().map(Some).collect()).collect();
        let all = contestants(&results);
        let eps = epsilons(&all);
        assert_all_close(&eps, &v["outputs"]["eps"]);
        let orders = v["inputs"]["case_orders"].as_array().unwrap();
        for (order, expected) in orders.iter().zip(v["outputs"]["lexicase_semi_dynamic"].as_array().unwrap()) {
            let left = lexicase_pool(&all, (0..results.len()).collect(), &indices(order), &eps);
            assert_eq!(left, indices(&expected[0]));
        }
    }

    #[test]
    fn whoever_is_undefined_everywhere_is_not_chosen() {
        let results = vec![vec![None, None], vec![Some(1.0), None], vec![None, None]];
        let all = contestants(&results);
        let eps = epsilons(&all);
        for slot in 0..50 {
            let mut rng = Seed(1).stream("test", slot);
            if let Some(chosen) = lexicase(&all, 64, &eps, &mut rng) {
                assert_eq!(chosen, 1);
            }
        }
        assert_eq!(lexicase(&[], 4, &[], &mut Seed(1).stream("test", 0)), None);
        assert_eq!(tournament(&[], 4, &mut Seed(1).stream("test", 0)), None);
    }

    #[test]
    fn a_specialist_is_chosen_too() {
        let results = vec![vec![Some(5.0), Some(5.0)], vec![Some(0.0), Some(9.0)], vec![Some(1.0), Some(1.0)]];
        let all = contestants(&results);
        let mut chosen: HashSet<usize> = HashSet::new();
        for slot in 0..50 {
            chosen.extend(lexicase(&all, 32, &[0.1, 0.1], &mut Seed(1).stream("test", slot)));
        }
        assert_eq!(chosen, HashSet::from([0, 1]));
    }
}
