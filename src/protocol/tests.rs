//! The protocol on small simulated markets: nothing leaks, nothing depends on where it was stopped.

use super::calibration::{Calibration, Job, Kind, Strengths, rows};
use super::*;
use candles::time::DAY_MS;
use candles::{Interval, MarketKind, Symbol};
use engine::{Engine, SymbolWindow, Terms, Window, WindowError};
use genome::random::Seed;
use lifecycle::{EdgeDecayConfig, ProtocolGate, Thresholds};
use portfolio::PortfolioTerms;
use search::{SearchConfig, Step};
use simulated::{EdgeKind, EdgeSpec, MarketSpec, SimulatedMarket};
use std::cell::Cell;
use std::sync::Arc;
use std::sync::LazyLock;

const START_MS: i64 = 1_704_067_200_000;
const FROM_MS: i64 = START_MS + 5 * DAY_MS;
const SPLIT_MS: i64 = FROM_MS + 20 * DAY_MS;
const TO_MS: i64 = SPLIT_MS + 10 * DAY_MS;

fn symbols() -> Vec<Symbol> {
    vec!["BTCUSDT".parse().unwrap(), "ETHUSDT".parse().unwrap()]
}

fn search() -> SearchConfig {
    let mut config = SearchConfig {
        population_size: 24,
        generations: 3,
        min_trades: 10,
        learner_fraction: 0.15,
        ..SearchConfig::default()
    };
    config.variation.timeframes = vec![Interval::M15, Interval::M30];
    config.variation.max_lookback_days = 3;
    config
}

fn protocol(null_searches: u32) -> ProtocolConfig {
    ProtocolConfig { null_searches, null_exceedances: null_searches, ..ProtocolConfig::default() }
}

fn market(seed: u64, sharpe: f64) -> SimulatedMarket {
    let mut spec = MarketSpec::noise(Seed(seed), START_MS, &symbols());
    let reversion = EdgeKind::MeanReversion { lookback: 20, deviations: 2.0, hold: 12 };
    spec.edges = vec![EdgeSpec::lasting(reversion, symbols(), sharpe)];
    SimulatedMarket::new(spec).unwrap()
}

/// The candles of `before` up to `seam_ms`, of `after` from then on.
fn cut(before: &SimulatedMarket, after: &SimulatedMarket, seam_ms: i64, from_ms: i64, to_ms: i64) -> Window {
    let one = |symbol: &Symbol| {
        let mut candles = before.candles(symbol, Interval::M15, START_MS, to_ms.min(seam_ms)).unwrap();
        let later = after.candles(symbol, Interval::M15, seam_ms, to_ms).unwrap();
        later.candles().for_each(|candle| candles.push(&candle).unwrap());
        SymbolWindow {
            market: MarketKind::Spot,
            symbol: symbol.clone(),
            candles: Arc::new(candles),
            finer: Vec::new(),
            funding: Arc::from([]),
            readings: Arc::default(),
            across: Arc::default(),
        }
    };
    Window::new(from_ms, to_ms, symbols().iter().map(one).collect()).unwrap()
}

fn split(world: &SimulatedMarket, future: &SimulatedMarket, split_ms: i64, to_ms: i64) -> Split {
    // The seam between the worlds never moves, whatever is cut.
    let cut = |from_ms, to_ms| Ok::<_, WindowError>(cut(world, future, SPLIT_MS, from_ms, to_ms));
    Split::cut(cut, FROM_MS, split_ms, to_ms).unwrap()
}

/// Runs a session to its end, storing and reading its state wherever `interrupt` says so.
fn finish(split: &Split, protocol: &ProtocolConfig, interrupt: impl Fn(usize) -> bool) -> (SessionState, usize) {
    finish_from(Inherited::default(), split, protocol, interrupt)
}

fn finish_from(
    inherited: Inherited,
    split: &Split,
    protocol: &ProtocolConfig,
    interrupt: impl Fn(usize) -> bool,
) -> (SessionState, usize) {
    let (search, terms, engine) = (search(), Terms::default(), Engine::default());
    let plan = Plan { search: &search, protocol, candidates: 4 };
    let mut state = SessionState::begin(plan, Seed(3), inherited, &split.searchable.ground(&engine, &terms));
    let ground = split.searchable.ground(&engine, &terms);
    let mut session = Session::new(plan, &ground);
    let mut steps = 0;
    while !state.is_finished() {
        if interrupt(steps) {
            // Killed in the middle of what comes next, and begun anew from what was stored.
            let stored = serde_json::to_vec(&state).unwrap();
            let asked = Cell::new(0);
            let stop = |_: Step| {
                asked.set(asked.get() + 1);
                asked.get() > 3
            };
            assert!(session.advance(state, &stop).is_err());
            state = serde_json::from_slice(&stored).unwrap();
            session = Session::new(plan, &ground);
        }
        (state, _) = session.advance(state, &|_| false).unwrap();
        steps += 1;
    }
    (state, steps)
}

fn found(split: &Split, protocol: &ProtocolConfig) -> Vec<String> {
    let search = search();
    let plan = Plan { search: &search, protocol, candidates: 4 };
    let (state, _) = finish(split, protocol, |_| false);
    state.candidates(plan).iter().map(|c| format!("{} {} {:?}", c.individual.hash, c.p_value, c.seen)).collect()
}

#[test]
fn nothing_after_the_split_reaches_what_is_found() {
    let (world, other) = (market(1, 30.0), market(2, 0.0));
    let protocol = protocol(2);
    let one = found(&split(&world, &world, SPLIT_MS, TO_MS), &protocol);
    let another = found(&split(&world, &other, SPLIT_MS, TO_MS), &protocol);
    assert!(!one.is_empty());
    assert_eq!(one, another, "the same past, another future");

    // A leak is planted: the search is handed the hold-out, too. The same comparison shows it.
    let leaked = |future| found(&split(&world, future, TO_MS - DAY_MS, TO_MS), &protocol);
    assert_ne!(leaked(&world), leaked(&other), "the comparison does not see a leak");
}

/// Strategies as an earlier session leaves them, which saw the first half of the search window.
fn past() -> Vec<WarmStart> {
    let seen = SeenUntil::stated(FROM_MS + 5 * DAY_MS + DAY_MS / 2);
    let config = search();
    let strategies = (0..60).map(|n| genome::variation::random(&config.variation, &mut Seed(9).stream("past", n)));
    strategies.map(|strategy| WarmStart { strategy: strategy.into(), seen }).collect()
}

#[test]
fn nothing_after_the_split_is_learnt() {
    let (world, other) = (market(1, 30.0), market(2, 0.0));
    let (engine, terms) = (Engine::default(), Terms::default());
    let of = |future, split_ms, past: &[WarmStart]| {
        learnt(past, &split(&world, future, split_ms, TO_MS).searchable.ground(&engine, &terms))
    };
    let one = of(&world, SPLIT_MS, &past()).unwrap();
    assert!(one.beliefs.len() > 30 && one.base.strategies > 20, "{one:?}");
    assert!((10.0..=14.5).contains(&one.days), "{} of the 14.5 days that they had not seen", one.days);
    assert_eq!(Some(&one), of(&other, SPLIT_MS, &past()).as_ref(), "the same past, another future");

    // A leak is planted: the learner is handed the hold-out, too. The same comparison shows it.
    let leaked = |future| of(future, TO_MS - DAY_MS, &past());
    assert_ne!(leaked(&world), leaked(&other), "the comparison does not see a leak");

    // What a strategy has seen teaches nothing of it; one that has seen all of the window teaches nothing at all.
    let seen_ms =
        |ms| past().into_iter().map(|one| WarmStart { seen: SeenUntil::stated(ms), ..one }).collect::<Vec<_>>();
    assert_eq!(of(&world, SPLIT_MS, &seen_ms(SPLIT_MS)), None);
    assert_eq!(of(&world, SPLIT_MS, &seen_ms(TO_MS)), None);
    let whole = of(&world, SPLIT_MS, &seen_ms(FROM_MS - DAY_MS)).unwrap();
    assert!((19.0..=20.0).contains(&whole.days), "{}", whole.days);

    // What was learnt is used by the session's search and by those of null markets, and survives a kill.
    let split = split(&world, &world, SPLIT_MS, TO_MS);
    let inherited = || Inherited { warm_starts: Vec::new(), learnt: Some(one.clone()) };
    let (whole, _) = finish_from(inherited(), &split, &protocol(2), |_| false);
    let (killed, _) = finish_from(inherited(), &split, &protocol(2), |step| step % 2 == 1);
    assert_eq!(whole, killed);
    let (plain, _) = finish(&split, &protocol(2), |_| false);
    let found = |state: &SessionState| serde_json::to_value(state).unwrap()["nulls"].clone();
    assert_ne!(found(&whole), found(&plain), "null searches draw by it, too");
}

#[test]
fn what_was_seen_is_no_evidence() {
    let world = market(1, 30.0);
    let honest = split(&world, &world, SPLIT_MS, TO_MS);
    let leaky = split(&world, &world, TO_MS - DAY_MS, TO_MS);
    assert!(honest.unseen.evidence(honest.searchable.seen_until()).is_ok());
    let refused = honest.unseen.evidence(leaky.searchable.seen_until());
    assert_eq!(refused.unwrap_err(), SeenBefore { seen_ms: TO_MS - DAY_MS, from_ms: SPLIT_MS });

    let (search, protocol, engine, terms) = (search(), protocol(1), Engine::default(), Terms::default());
    let plan = Plan { search: &search, protocol: &protocol, candidates: 4 };
    let candidates = finish(&leaky, &protocol, |_| false).0.candidates(plan);
    let test = Test { level: 0.01, shadow_level: 0.1 };
    let asked: Vec<_> = candidates.iter().map(|c| UnderTest::candidate(c, test)).collect();
    assert!(!asked.is_empty());
    // Bred on part of the hold-out: not judged on it.
    let judged = judge(&asked, (&honest.searchable, &honest.unseen), &engine, &terms);
    assert!(judged.iter().all(Result::is_err));
    let judged = judge(&asked, (&leaky.searchable, &leaky.unseen), &engine, &terms);
    assert!(judged.iter().all(Result::is_ok));
    // What an ancestor has seen, its descendants have seen.
    let warm_start =
        WarmStart { strategy: candidates[0].individual.strategy.clone(), seen: leaky.searchable.seen_until() };
    let inherited = Inherited { warm_starts: vec![warm_start], ..Inherited::default() };
    let state = SessionState::begin(plan, Seed(1), inherited, &honest.searchable.ground(&engine, &terms));
    let text = serde_json::to_value(&state).unwrap();
    assert_eq!(text["seen"], TO_MS - DAY_MS);
}

#[test]
fn a_session_that_is_killed_at_any_moment_ends_with_the_same_bits() {
    let world = market(1, 8.0);
    let split = split(&world, &world, SPLIT_MS, TO_MS);
    let protocol = protocol(3);
    let (whole, steps) = finish(&split, &protocol, |_| false);
    // The search, the one that is compared, and at least one null search.
    assert!(steps >= 3 + 2 + 2, "{steps}");
    assert!(whole.null_counters().evaluations > 0 && whole.real_counters().evaluations > 72);
    let (interrupted, _) = finish(&split, &protocol, |_| true);
    assert_eq!(serde_json::to_string(&interrupted).unwrap(), serde_json::to_string(&whole).unwrap());
}

#[test]
fn null_markets_keep_what_they_should() {
    let world = market(1, 0.0);
    let real = cut(&world, &world, SPLIT_MS, FROM_MS, SPLIT_MS);
    let closes = |w: &Window, s: usize| w.symbols()[s].candles.closes().to_vec();
    let moves = |c: &[f64]| c.windows(2).map(|w| (w[1] / w[0]).ln()).collect::<Vec<f64>>();
    let sign_flipped = null_window(&real, Seed(5), 0).unwrap();
    let shuffled = null_window(&real, Seed(5), 1).unwrap();
    let flips = |s: usize| -> Vec<bool> {
        let (a, b) = (moves(&closes(&real, s)), moves(&closes(&sign_flipped, s)));
        assert!(a.iter().zip(&b).all(|(a, b)| (a.abs() - b.abs()).abs() < 1e-9), "volatility stays candle by candle");
        a.iter().zip(&b).map(|(a, b)| a.abs() > 1e-9 && (a + b).abs() < 1e-9).collect()
    };
    let (first, second) = (flips(0), flips(1));
    let differ = first.iter().zip(&second).filter(|(a, b)| a != b).count();
    assert!(differ < first.len() / 50, "flips are common to the symbols: {differ} of {}", first.len());
    let share = first.iter().filter(|f| **f).count() as f64 / first.len() as f64;
    assert!((0.45..0.55).contains(&share), "{share}");
    let sorted = |mut v: Vec<f64>| {
        v.sort_by(f64::total_cmp);
        v
    };
    let volumes = |w: &Window| sorted(w.symbols()[0].candles.volumes().to_vec());
    assert_eq!(volumes(&shuffled), volumes(&real), "every candle is there once");
    let (begin, end) = (closes(&real, 0), closes(&shuffled, 0));
    assert!((begin.last().unwrap() / end.last().unwrap() - 1.0).abs() < 1e-9, "a shuffle ends where the market ended");
    assert_ne!(begin, end);
    // Windows that overlap have the same null candles.
    let shorter = cut(&world, &world, SPLIT_MS, FROM_MS, SPLIT_MS - 3 * DAY_MS);
    let part = closes(&null_window(&shorter, Seed(5), 0).unwrap(), 0);
    assert_eq!(part, closes(&sign_flipped, 0)[..part.len()]);
}

#[test]
fn a_null_market_lacks_no_candle_or_there_is_none() {
    // The second candle is 1e400 times the first: what goes down as far is no number any more.
    let candle = |k: i64, price: f64| candles::Candle {
        open_time_ms: FROM_MS + k * 900_000,
        open: price,
        high: price,
        low: price,
        close: price,
        volume: 1.0,
        close_time_ms: FROM_MS + (k + 1) * 900_000 - 1,
        quote_volume: 1.0,
        trade_count: 1,
        taker_buy_volume: 0.5,
        taker_buy_quote_volume: 0.5,
    };
    let prices = [1e-200, 1e200, 1e200];
    let all: Vec<_> = prices.iter().enumerate().map(|(k, &price)| candle(k as i64, price)).collect();
    let candles = Arc::new(candles::CandleSeries::from_candles(Interval::M15, &all).unwrap());
    let symbol: Symbol = "BTCUSDT".parse().unwrap();
    let one = SymbolWindow {
        market: candles::MarketKind::Spot,
        symbol,
        candles,
        finer: Vec::new(),
        funding: Vec::new().into(),
        readings: Arc::default(),
        across: Arc::default(),
    };
    let real = Window::new(FROM_MS, FROM_MS + 3 * 900_000, vec![one]).unwrap();
    let mut told = 0;
    for seed in 0..32 {
        match null_window(&real, Seed(seed), 0) {
            Ok(null) => assert_eq!(null.symbols()[0].candles.len(), prices.len()),
            Err(error) => {
                let text = error.to_string();
                assert!(text.starts_with("candles of BTCUSDT: they have no null market: candle "), "{text}");
                told += 1;
            }
        }
    }
    assert!(told > 0, "some flips leave what a number can be");
}

static PORTFOLIO: LazyLock<PortfolioTerms> = LazyLock::new(PortfolioTerms::default);

fn calibration<'a>(
    plan: Plan<'a>,
    symbols: &'a [Symbol],
    terms: &'a Terms,
    gate: &'a ProtocolGate,
    (strengths, staying, limits): &'a (Strengths, EdgeDecayConfig, Thresholds),
) -> Calibration<'a> {
    Calibration {
        seed: Seed(7),
        symbols,
        interval: Interval::M15,
        session: plan,
        terms,
        portfolio: &PORTFOLIO,
        coins: 12,
        gate,
        staying,
        strengths,
        limits,
        days: Days { search: 25, holdout: 15, shadow: 20, live: 10 },
        warmup_days: 5,
        review_ms: 2 * DAY_MS,
        sessions: 1,
        age_ms: 0,
        sessions_per_day: 1,
    }
}

#[test]
fn a_strong_edge_goes_live_and_noise_does_not() {
    let limits = Thresholds {
        max_p_value: 0.1,
        candidate_min_trades: 10,
        shadow_max_days: 20.0,
        live_recent_trades: 20,
        ..Thresholds::default()
    };
    let (search, protocol) = (search(), ProtocolConfig { null_searches: 9, ..ProtocolConfig::default() });
    let (symbols, terms, gate) = (symbols(), Terms::default(), ProtocolGate::new(limits.clone()).unwrap());
    let plan = Plan { search: &search, protocol: &protocol, candidates: 4 };
    let others = (Strengths::known(Kind::MeanReversion, 40.0, 40.0), EdgeDecayConfig::default(), limits);
    let calibration = calibration(plan, &symbols, &terms, &gate, &others);
    let engine = Engine::default();
    let run = |kind, sharpe, number| calibration.run(Job { kind, sharpe, number }, &engine, &|| false).unwrap();
    let strong: Vec<_> = (0..2).map(|number| run(Kind::MeanReversion, 40.0, number)).collect();
    let noise: Vec<_> = (0..2).map(|number| run(Kind::Noise, 0.0, number)).collect();
    let table = rows(&[strong.clone(), noise.clone()].concat());
    assert_eq!((table[0].kind, table[0].markets, table[0].promoted), (Kind::Noise, 2, 0), "{noise:?}");
    assert_eq!((table[1].kind, table[1].sharpe), (Kind::MeanReversion, Some(40.0)));
    assert!(table[1].promoted >= 1 && table[1].median_days_to_live.is_some_and(|d| d >= 14.0), "{strong:?}");
    assert_eq!(run(Kind::Noise, 0.0, 0), noise[0], "the same seed, the same life");
    assert!(matches!(
        calibration.run(Job { kind: Kind::Noise, sharpe: 0.0, number: 9 }, &engine, &|| true),
        Err(calibration::CalibrationError::Run(RunError::Stopped))
    ));
}

/// The same session whose null searches are made elsewhere, the last of each handful first; stored between any two.
fn posted(halves: &dyn Halves, plan: Plan<'_>, inherited: Inherited, ahead: u32) -> SessionState {
    let bytes = halves.packed().unwrap();
    let elsewhere = PackedGround::read(&bytes, Arc::new(Engine::default())).unwrap();
    let ground = halves.ground().unwrap();
    let mut session = Session::new(plan, &*ground);
    let mut state = SessionState::begin(plan, Seed(3), inherited, &*ground);
    while !state.is_finished() {
        let Some((next, learnt)) = state.next_null() else {
            (state, _) = session.advance(state, &|_| false).unwrap();
            continue;
        };
        let search = plan.protocol.compared(plan.search);
        let task = NullSearch { search, seed: state.seed(), candidates: plan.candidates, learnt: learnt.cloned() };
        let task: NullSearch = serde_json::from_slice(&serde_json::to_vec(&task).unwrap()).unwrap();
        let made = (next..next + ahead).rev().map(|number| {
            let found = task.run(&*elsewhere.ground(), number, &|_| false).unwrap();
            (number, serde_json::to_vec(&found).unwrap())
        });
        let made: std::collections::BTreeMap<u32, Vec<u8>> = made.collect();
        for (number, found) in made {
            let found: NullFound = serde_json::from_slice(&found).unwrap();
            assert!(state.absorb(number + 1, found.clone(), plan.protocol).is_err(), "out of turn");
            match state.absorb(number, found, plan.protocol) {
                Ok(()) => state = serde_json::from_slice(&serde_json::to_vec(&state).unwrap()).unwrap(),
                // Made in vain: enough were as good.
                Err(next) => assert!(next.is_none() && state.is_finished()),
            }
        }
    }
    state
}

#[test]
fn a_session_is_the_same_wherever_its_null_searches_are_made() {
    let (engine, search) = (Engine::default(), search());
    for (sharpe, exceedances) in [(30.0, 3), (0.0, 1)] {
        let world = market(1, sharpe);
        let split = split(&world, &world, SPLIT_MS, TO_MS);
        let protocol = ProtocolConfig { null_exceedances: exceedances, ..protocol(5) };
        let inherited = || Inherited { warm_starts: past().into_iter().take(5).collect(), learnt: None };
        let (alone, _) = finish_from(inherited(), &split, &protocol, |_| false);
        let halves = RulesHalves::new(split, &engine, Terms::default());
        let plan = Plan { search: &search, protocol: &protocol, candidates: 4 };
        for ahead in [1, 3] {
            assert_eq!(posted(&halves, plan, inherited(), ahead), alone, "{ahead} at a time");
        }
        // What is packed is what is read, and no byte may be another.
        let bytes = halves.packed().unwrap();
        assert!(PackedGround::read(&bytes[..bytes.len() - 1], Arc::default()).is_err());
        assert!(
            PackedGround::read(&[&[3], &bytes[1..]].concat(), Arc::default())
                .unwrap_err()
                .to_string()
                .contains("format 3")
        );
    }
}
