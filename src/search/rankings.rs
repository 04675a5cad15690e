//! Populations of strategies that rank the market, against a toy market whose best score is known.

use super::*;
use engine::{Engine, EvaluationError, Outcome, Performance, Terms, Wanted, Window};
use genome::random::Seed;
use genome::{
    AnyNiche, AnyStrategy, Expression, PriceField, Ranking, Rolling, Series, Source, StrategyForm, Timeframe,
};
use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

/// Rewards closeness to `close / delay(close, 180)` held by smoothed targets; the rest follows from the hash.
struct Toy {
    fails: bool,
}

/// 0 to 1: a quarter each for a delayed close, one of 30 days the more the nearer, a score of few parts, smoothing.
fn closeness(ranking: &Ranking) -> f64 {
    fn delays(x: &Expression) -> Vec<u32> {
        let is_close = |x: &Expression| {
            let close = Series { source: Source::Price(PriceField::Close), timeframe: None, across: None };
            *x == Expression::Series(close)
        };
        let own = match x {
            Expression::Rolling(Rolling::Delay, x, n) if is_close(x) => Some(*n),
            _ => None,
        };
        own.into_iter().chain(x.parts().into_iter().flat_map(delays)).collect()
    }
    let found = delays(&ranking.score);
    let nearest = found.iter().map(|n| 1.0 - (f64::from(*n) / 180.0).ln().abs() / 4.0).fold(0.0, f64::max);
    let few = 1.0 - (ranking.score.size() as f64 - 4.0).clamp(0.0, 20.0) / 20.0;
    let smooth = f64::from(ranking.weights.smooth.min(5)) / 5.0;
    if found.is_empty() { 0.1 * few } else { 0.25 + 0.25 * nearest + 0.25 * few + 0.25 * smooth }
}

impl Toy {
    fn one(&self, strategy: &AnyStrategy) -> Result<Outcome, EvaluationError> {
        let ranking = strategy.ranking().unwrap();
        let bytes = strategy.hash();
        let noise = f64::from(bytes.as_bytes()[0]) / 255.0;
        if self.fails && noise < 0.1 {
            return Err(EvaluationError::Panicked("toy".into()));
        }
        let up = |day: usize| (bytes.as_bytes()[day / 2 % 32] & 1 == 0) == day.is_multiple_of(2);
        let mean = 0.004 * closeness(ranking) + 0.0002 * noise;
        let daily_returns: Vec<f64> = (0..60).map(|day| mean + if up(day) { 0.01 } else { -0.01 }).collect();
        // What is not hedged earns something else, and must not be looked at.
        let performance =
            Performance { t_statistic: Some(77.0), total_trades: 400, days: 60, ..Performance::default() };
        let trades_digest = u64::from_be_bytes(bytes.as_bytes()[8..16].try_into().unwrap());
        Ok(Outcome { performance, per_symbol: Vec::new(), daily_returns, stake: None, trades_digest, ledger: None })
    }
}

impl Evaluator for Toy {
    fn evaluate(&self, population: &[AnyStrategy]) -> Vec<Result<Outcome, EvaluationError>> {
        population.iter().map(|s| self.one(s)).collect()
    }
}

const GO: &dyn Fn(Step) -> bool = &|_| false;
const SOUND: &Toy = &Toy { fails: false };

fn config() -> SearchConfig {
    SearchConfig {
        form: StrategyForm::Ranking,
        population_size: 60,
        generations: 15,
        niche_capacity: 8,
        archive_size: 30,
        ..SearchConfig::default()
    }
}

fn run(config: &SearchConfig, mut state: SearchState, toy: &Toy, generations: u32) -> SearchState {
    for _ in 0..generations {
        state = advance(config, state, toy, GO).unwrap().0;
    }
    state
}

fn begun(config: &SearchConfig, seed: u64) -> SearchState {
    start(config, Seed(seed), Vec::new(), None)
}

fn best(state: &SearchState) -> f64 {
    champions(state, 1).first().map_or(0.0, |best| closeness(best.strategy.ranking().unwrap()))
}

#[test]
fn a_population_of_rankings_comes_near_what_is_rewarded() {
    let config = config();
    let (mut bred, mut random) = (0.0, 0.0);
    for seed in 0..4 {
        let state = run(&config, begun(&config, seed), SOUND, config.generations);
        assert!(state.is_finished(&config));
        assert!(state.population.iter().chain(&state.archive).all(|i| i.strategy.form() == StrategyForm::Ranking));
        let origins: HashSet<Origin> = state.population.iter().map(|i| i.origin).collect();
        assert!(origins.len() >= 3, "{origins:?}");
        bred += best(&state) / 4.0;
        // As many evaluations, all at random.
        let blind = SearchConfig {
            immigrants_fraction: 1.0,
            refinement_fraction: 0.0,
            crossover_fraction: 0.0,
            ..config.clone()
        };
        random += best(&run(&blind, begun(&blind, seed), SOUND, config.generations)) / 4.0;
    }
    assert!(bred > 0.97, "{bred}");
    assert!(bred > random, "{bred} bred, {random} at random");
}

#[test]
fn it_goes_on_to_the_bit_wherever_it_was_stopped() {
    let config = config();
    let json = |state: &SearchState| serde_json::to_string(state).unwrap();
    let whole = run(&config, begun(&config, 7), SOUND, 5);
    for stopped_after in 0..5 {
        let stored = json(&run(&config, begun(&config, 7), SOUND, stopped_after));
        let read: SearchState = serde_json::from_str(&stored).unwrap();
        assert_eq!(json(&run(&config, read, SOUND, 5 - stopped_after)), json(&whole), "stopped after {stopped_after}");
    }
    assert_ne!(json(&run(&config, begun(&config, 8), SOUND, 5)), json(&whole));
}

/// The toy on so many threads.
struct Spread(usize);

impl Evaluator for Spread {
    fn evaluate(&self, population: &[AnyStrategy]) -> Vec<Result<Outcome, EvaluationError>> {
        let size = population.len().div_ceil(self.0).max(1);
        std::thread::scope(|scope| {
            let parts: Vec<_> = population.chunks(size).map(|part| scope.spawn(|| SOUND.evaluate(part))).collect();
            parts.into_iter().flat_map(|part| part.join().unwrap()).collect()
        })
    }
}

#[test]
fn threads_change_nothing() {
    let config = config();
    let on = |threads| {
        let mut state = begun(&config, 9);
        for _ in 0..4 {
            state = advance(&config, state, &Spread(threads), GO).unwrap().0;
        }
        serde_json::to_string(&state).unwrap()
    };
    let one = on(1);
    assert!([2, 3, 8].into_iter().all(|threads| on(threads) == one));
}

#[test]
fn t_is_that_of_the_hedged_daily_returns() {
    let config = config();
    let state = run(&config, begun(&config, 7), SOUND, 1);
    for individual in &state.population {
        let measured = individual.measured.as_ref().unwrap();
        let returns = SOUND.one(&individual.strategy).unwrap().daily_returns;
        let n = returns.len() as f64;
        let mean = returns.iter().sum::<f64>() / n;
        let deviation = (returns.iter().map(|r| (r - mean).powi(2)).sum::<f64>() / (n - 1.0)).sqrt();
        let t = mean / deviation * n.sqrt();
        assert!((measured.summary.t_statistic.unwrap() - t).abs() < 1e-9);
        let significance = 100.0 / (1.0 + (-(t * (400.0_f64 / 700.0).sqrt() - 3.0) / 2.0).exp());
        assert!((measured.components.unwrap().significance - significance).abs() < 1e-9);
    }
    assert!(state.counters.t_max.unwrap() < 20.0 && state.counters.t_count == 60);
}

#[test]
fn niches_and_cells_are_those_of_rankings() {
    let config = config();
    let mut state = begun(&config, 5);
    let mut report = None;
    for _ in 0..8 {
        let (next, last) = advance(&config, state, SOUND, GO).unwrap();
        (state, report) = (next, Some(last));
    }
    let report = report.unwrap();
    assert!(report.niches >= 6, "{report:?}");
    assert!(report.kinds.keys().all(|kind| kind.ends_with("/4h") && kind.contains('_')), "{:?}", report.kinds);
    let counted = |place: usize| report.kinds.values().map(|counts| counts[place]).sum::<usize>();
    assert_eq!((counted(0), counted(1)), (report.population, report.archive));
    let cells: HashSet<_> = state.archive.iter().map(|i| crate::archive::Cell::of(i).unwrap()).collect();
    assert_eq!(cells.len(), state.archive.len(), "one a cell");
    let chosen = champions(&state, 5);
    let niches: BTreeSet<_> = chosen.iter().map(|i| AnyNiche::of(&i.strategy)).collect();
    assert_eq!(niches.len(), 5);
}

#[test]
fn what_fails_is_told_and_the_others_go_on() {
    let config = config();
    let (state, report) = advance(&config, begun(&config, 5), &Toy { fails: true }, GO).unwrap();
    assert!(!report.failures.is_empty() && report.population > 0);
    assert_eq!(state.counters.failures, report.failures.len() as u64);
    let failed: HashSet<_> = report.failures.iter().map(|f| f.hash).collect();
    assert!(state.population.iter().all(|i| !failed.contains(&i.hash)));
    // The strategy is told as it can be stored and read again.
    for failure in report.failures {
        let stored = serde_json::to_string(&failure.strategy).unwrap();
        assert_eq!(serde_json::from_str::<AnyStrategy>(&stored).unwrap().hash(), failure.hash);
    }
}

#[test]
fn a_population_is_of_one_form_and_learns_nothing_of_rules() {
    let config = SearchConfig { learner_fraction: 0.3, crossover_fraction: 0.2, ..config() };
    let rules = genome::variation::random(&config.variation, &mut Seed(1).stream("rules", 0));
    let ranking = genome::variation::random_ranking(&config.ranking, &mut Seed(1).stream("ranking", 0));
    let lessons: Vec<_> = (0..200)
        .map(|n| {
            let strategy = genome::variation::random(&config.variation, &mut Seed(8).stream("past", n));
            learner::Lesson {
                strategy: strategy.into(),
                returns: (0..90).map(|day| f64::from((day * 7 + n as u32) % 5) - 2.0).collect(),
            }
        })
        .collect();
    let learnt = learner::learn(&lessons);
    assert!(learnt.is_some());
    let warm = vec![rules.clone().into(), ranking.clone().into()];
    let state = start(&config, Seed(5), warm.clone(), learnt.clone());
    assert_eq!(state.population.len(), 60);
    assert!(state.population.iter().all(|i| i.strategy.form() == StrategyForm::Ranking));
    assert_eq!((&state.population[0].strategy, state.population[0].origin), (&ranking.into(), Origin::WarmStart));
    assert!(run(&config, state, SOUND, 3).population.iter().all(|i| i.origin != Origin::Learner));
    let other = start(&SearchConfig { form: StrategyForm::Rules, ..config }, Seed(5), warm, learnt);
    assert_eq!(other.population[0].strategy, rules.into());
    assert!(other.population.iter().all(|i| i.strategy.form() == StrategyForm::Rules));
}

#[test]
fn a_share_of_each_generation_is_drawn_by_what_rankings_taught() {
    let config = SearchConfig { learner_fraction: 0.3, crossover_fraction: 0.2, ..config() };
    // Rankings with a delayed close earned, the others lost.
    let lessons: Vec<_> = (0..400)
        .map(|n| {
            let ranking = genome::variation::random_ranking(&config.ranking, &mut Seed(8).stream("past", n));
            let sign = if closeness(&ranking) > 0.11 { 1.0 } else { -1.0 };
            let day = |day: u64| 0.002 * sign + if (day * 7 + n).is_multiple_of(3) { 0.01 } else { -0.005 };
            learner::Lesson { strategy: ranking.into(), returns: (0..90).map(day).collect() }
        })
        .collect();
    let learnt = learner::learn(&lessons).unwrap();
    assert_eq!(learnt.form, StrategyForm::Ranking);
    assert!(learnt.beliefs["function delay"].mean > 0.5, "{:?}", learnt.surest(5));
    let state = start(&config, Seed(5), Vec::new(), Some(learnt.clone()));
    let delayed = |origin| {
        let of: Vec<_> = state.population.iter().filter(|i| i.origin == origin).collect();
        let with = |i: &&&Individual| closeness(i.strategy.ranking().unwrap()) > 0.11;
        (of.len(), of.iter().filter(with).count() as f64 / of.len() as f64)
    };
    let ((proposed, with), (random, plain)) = (delayed(Origin::Learner), delayed(Origin::Random));
    assert_eq!((proposed, random), (18, 42));
    assert!(with > 0.6 && with > 2.0 * plain, "{with} of the proposals, {plain} of the random ones");
    // To the bit wherever it was stored and read back, and in later generations, too.
    let read: SearchState = serde_json::from_str(&serde_json::to_string(&state).unwrap()).unwrap();
    let (one, other) = (run(&config, state, SOUND, 2), run(&config, read, SOUND, 2));
    assert_eq!(one, other);
    assert!(one.population.iter().any(|i| i.origin == Origin::Learner && i.born == 2));
    // What one form taught says nothing of the other; what was stored before there were two is of rules.
    let rules = SearchConfig { form: StrategyForm::Rules, ..config };
    let state = start(&rules, Seed(5), Vec::new(), Some(learnt.clone()));
    assert!(state.population.iter().all(|i| i.origin == Origin::Random));
    let mut stored = serde_json::to_value(&learnt).unwrap();
    stored.as_object_mut().unwrap().remove("form");
    assert_eq!(serde_json::from_value::<learner::Learnt>(stored).unwrap().form, StrategyForm::Rules);
    // Lessons of two forms: those of the first one count.
    let rule = genome::variation::random(&rules.variation, &mut Seed(1).stream("rules", 0));
    let mixed = [lessons.clone(), vec![learner::Lesson { strategy: rule.into(), ..lessons[0].clone() }]].concat();
    assert_eq!(learner::learn(&mixed), Some(learnt));
}

/// Two days of 4h candles of one symbol.
fn two_days() -> Window {
    let candle = |k: i64| candles::Candle {
        open_time_ms: k * 14_400_000,
        open: 10.0,
        high: 12.0,
        low: 9.0,
        close: 10.0 + (k % 3) as f64,
        volume: 5.0,
        close_time_ms: (k + 1) * 14_400_000 - 1,
        quote_volume: 50.0,
        trade_count: 7,
        taker_buy_volume: 2.0,
        taker_buy_quote_volume: 20.0,
    };
    let all: Vec<_> = (0..12).map(candle).collect();
    let one = engine::SymbolWindow {
        market: candles::MarketKind::Spot,
        symbol: "BTCUSDT".parse().unwrap(),
        candles: Arc::new(candles::CandleSeries::from_candles(candles::Interval::H4, &all).unwrap()),
        finer: Vec::new(),
        funding: Vec::new().into(),
        readings: Arc::default(),
        across: Arc::default(),
    };
    Window::new(0, 12 * 14_400_000, vec![one]).unwrap()
}

#[test]
fn candles_of_single_symbols_say_that_they_cannot_rank() {
    let config = config();
    let ranking = AnyStrategy::Ranking(genome::variation::random_ranking(&config.ranking, &mut Seed(1).stream("r", 0)));
    let rules = AnyStrategy::Rules("4h; long when rsi(14) < 30; stop 2%".parse().unwrap());
    let (engine, terms) = (Engine::default(), Terms::default());
    let window = two_days();
    let both = [ranking.clone(), rules.clone(), ranking];
    let found = evaluate_rules(&engine, &both, &window, &terms, Wanted::default());
    assert!(matches!(&found[..], [Err(EvaluationError::Ranks), other, Err(EvaluationError::Ranks)]
        if *other == engine.evaluate(&[rules.rules().unwrap().clone()], &window, &terms, Wanted::default())[0]));
    let said = EvaluationError::Ranks.to_string();
    assert!(said.contains("ranks a market") && said.contains("strategies of rules"), "{said}");
    let evaluator = WindowEvaluator { engine: &engine, window: &window, terms: &terms };
    let (state, report) = advance(&config, begun(&config, 1), &evaluator, GO).unwrap();
    assert_eq!((report.failures.len(), state.population.len()), (60, 0));
    // Nothing was found, and the search goes on at random.
    assert_eq!(advance(&config, state, &evaluator, GO).unwrap().1.evaluations, 60);
}

#[test]
fn states_and_settings_from_before_there_were_forms_still_read() {
    let rules = SearchConfig { form: StrategyForm::Rules, ..config() };
    let state = start(&rules, Seed(3), Vec::new(), None);
    let stored = serde_json::to_value(&state).unwrap();
    // A strategy of rules is stored as it was: nothing says its form.
    let strategy = &stored["population"][0]["strategy"];
    let read: genome::Strategy = serde_json::from_value(strategy.clone()).unwrap();
    assert_eq!(AnyStrategy::Rules(read), state.population[0].strategy);
    assert_eq!(serde_json::from_value::<SearchState>(stored).unwrap(), state);
    let mut settings = serde_json::to_value(SearchConfig::default()).unwrap();
    settings.as_object_mut().unwrap().retain(|key, _| !matches!(key.as_str(), "form" | "ranking"));
    assert_eq!(serde_json::from_value::<SearchConfig>(settings).unwrap(), SearchConfig::default());
}

#[test]
fn settings_of_rankings_are_checked_and_fitted_to_candles() {
    let mut config = config();
    config.ranking.max_size = 2;
    assert_eq!(config.validate().unwrap_err().to_string(), "ranking max_size: must be 4 to 64, not 2");
    let mut config = self::config();
    config.ranking.timeframes = vec![Timeframe::H2, Timeframe::H4];
    assert_eq!(config.for_interval(Timeframe::H4).ranking.timeframes, [Timeframe::H4]);
    assert_eq!(config.for_interval(Timeframe::H12).ranking.timeframes, [Timeframe::H12]);
    assert_eq!(config.for_interval(Timeframe::H4).variation, config.variation);
    let rules = SearchConfig { form: StrategyForm::Rules, ..config.clone() };
    assert_eq!(rules.for_interval(Timeframe::H4).ranking, config.ranking);
}
