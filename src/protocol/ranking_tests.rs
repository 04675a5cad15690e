//! Sessions of strategies that rank the market: found what is there, compared with both kinds of null market, resumed to
//! the bit.

use super::calibration::{Calibration, Job, Kind, Strengths};
use super::null::draw;
use super::*;
use candles::{Candle, CandleSeries, InstrumentTable, Interval, MarketKind, readings::MarketReadings, time::DAY_MS};
use engine::{Engine, EvaluationError, Terms};
use genome::{AnyStrategy, StrategyForm, random::Seed, variation::RankingVariation};
use lifecycle::{EdgeDecayConfig, ProtocolGate, Thresholds};
use portfolio::{Panel, PortfolioTerms, Ticker};
use search::{Evaluator, SearchConfig};
use std::sync::Arc;

const STEP_MS: i64 = 4 * 3_600_000;
const DAYS: i64 = 700;

/// Twelve names. With `edge`, a name that did better than the others in a day tends to do so in the next one.
pub(super) fn panel(seed: u64, edge: f64) -> Panel {
    turning(seed, edge, edge)
}

/// The same, with another edge from day 500 on.
fn turning(seed: u64, edge: f64, later: f64) -> Panel {
    let normal = |label: &str, number: u64, day: i64| {
        let uniform = |k: &str| (draw(Seed(seed ^ (number << 8)), k, day) as f64 + 1.0) / (u64::MAX as f64 + 2.0);
        let (a, b) = (uniform(&format!("{label} a")), uniform(&format!("{label} b")));
        (-2.0 * a.ln()).sqrt() * (std::f64::consts::TAU * b).cos()
    };
    let ticker = |number: u64| {
        let (mut price, mut last) = (10.0 + number as f64, 0.0);
        let mut candles = CandleSeries::new(Interval::H4);
        for day in 0..DAYS {
            let edge = if day < 500 { edge } else { later };
            let own = 0.02 * normal("own", number, day) + edge * f64::signum(last);
            let market = 0.02 * normal("market", 0, day);
            last = own;
            for step in 0..6 {
                let open = price;
                price *= ((own + market) / 6.0 + 0.001 * normal("step", number, day * 6 + step)).exp();
                let open_time_ms = day * DAY_MS + step * STEP_MS;
                let candle = Candle {
                    open_time_ms,
                    open,
                    high: open.max(price),
                    low: open.min(price),
                    close: price,
                    volume: 1e6 / price,
                    close_time_ms: open_time_ms + STEP_MS - 1,
                    quote_volume: 1e6 + number as f64,
                    trade_count: 1,
                    taker_buy_volume: 0.5e6 / price,
                    taker_buy_quote_volume: 0.5e6,
                };
                candles.push(&candle).unwrap();
            }
        }
        let symbol = format!("C{number:02}USDT").parse().unwrap();
        Ticker { symbol, candles, funding: Vec::new(), readings: MarketReadings::default() }
    };
    let tickers = (0..12).map(ticker).collect();
    Panel::new(MarketKind::Um, Interval::H4, tickers, &InstrumentTable::default()).unwrap()
}

fn settings() -> (SearchConfig, ProtocolConfig) {
    let ranking = RankingVariation {
        universe_top: vec![12],
        universe_volume_days: 5,
        universe_listed_days: 5,
        lookback_days: (1, 10),
        rebalance: vec![Interval::D1],
        ..RankingVariation::default()
    };
    let search = SearchConfig {
        form: StrategyForm::Ranking,
        ranking,
        population_size: 40,
        generations: 3,
        elites: 4,
        ..SearchConfig::default()
    };
    let protocol = ProtocolConfig { null_searches: 4, null_search_fraction: 1.0, ..ProtocolConfig::default() };
    (search, protocol)
}

/// A session on the first 500 days, by itself or stored and read back between any two steps.
fn session(panel: &Panel, stored: bool) -> (SessionState, Vec<Candidate>, SearchedP) {
    let (search, protocol) = settings();
    let plan = Plan { search: &search, protocol: &protocol, candidates: 3 };
    let split = SplitPanel::cut(panel, 40 * DAY_MS, 500 * DAY_MS, DAYS * DAY_MS).unwrap();
    let ground = RankingGround::new(&split.searchable, PortfolioTerms::default(), &search.ranking).unwrap();
    let mut state = SessionState::begin(plan, Seed(11), Inherited::default(), &ground);
    let mut session = Session::new(plan, &ground);
    while !state.is_finished() {
        state = session.advance(state, &|_| false).unwrap().0;
        if stored {
            state = serde_json::from_slice(&serde_json::to_vec(&state).unwrap()).unwrap();
            session = Session::new(plan, &ground);
        }
    }
    let (candidates, searched) = (state.candidates(plan), state.searched(&protocol));
    (state, candidates, searched)
}

fn hashes(candidates: &[Candidate]) -> Vec<(String, u64)> {
    candidates.iter().map(|c| (c.individual.hash.to_string(), c.p_value.to_bits())).collect()
}

#[test]
fn an_edge_across_names_is_found_and_null_markets_of_both_kinds_lack_it() {
    let real = panel(1, 0.004);
    let (state, candidates, searched) = session(&real, false);
    assert_eq!(state.null_searches(), 8, "four of each kind");
    assert!((searched.p_value - 0.2).abs() < 1e-12, "the least that four of a kind can say: {searched:?}");
    assert_eq!((searched.null_searches, searched.as_good), (4, 0));
    assert!(candidates.iter().all(|c| c.individual.strategy.form() == StrategyForm::Ranking));
    let best = candidates[0].individual.measured.as_ref().unwrap();
    assert!(best.summary.t_statistic.unwrap() > 5.0, "{best:?}");
    // What it found holds where it did not look.
    let split = SplitPanel::cut(&real, 40 * DAY_MS, 500 * DAY_MS, DAYS * DAY_MS).unwrap();
    let (unseen, from_ms, to_ms) = split.unseen.evidence(candidates[0].seen).unwrap();
    let market = MarketEvaluator::new(unseen.clone(), (from_ms, to_ms), PortfolioTerms::default()).unwrap();
    let outcome = market.evaluate(&[candidates[0].individual.strategy.clone()]).remove(0).unwrap();
    let sharpe = engine::performance::sharpe_ratio(&outcome.daily_returns).unwrap();
    assert!(sharpe > 2.0 && outcome.daily_returns.len() == 200, "{sharpe}");
    // Nobody who has seen it gets it as evidence.
    assert!(split.unseen.evidence(SeenUntil::stated(from_ms + 1)).is_err());
    assert!(split.searchable.panel().end_ms() <= 500 * DAY_MS);
}

#[test]
fn noise_is_as_good_on_a_null_market_and_states_resume_to_the_bit() {
    let noise = panel(2, 0.0);
    let (whole, candidates, searched) = session(&noise, false);
    let (resumed, again, _) = session(&noise, true);
    assert_eq!(serde_json::to_string(&whole).unwrap(), serde_json::to_string(&resumed).unwrap());
    assert_eq!(hashes(&candidates), hashes(&again));
    assert!(searched.p_value > 0.2 - 1e-12, "{searched:?}");
    let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
    assert_eq!(pool.install(|| hashes(&session(&noise, false).1)), hashes(&candidates));
}

#[test]
fn rankings_of_earlier_sessions_teach_a_new_one_on_days_that_they_had_not_seen() {
    let (search, protocol) = settings();
    let plan_search = SearchConfig { learner_fraction: 0.2, crossover_fraction: 0.2, ..search };
    let plan = Plan { search: &plan_search, protocol: &protocol, candidates: 3 };
    let rules = genome::variation::random(&plan_search.variation, &mut Seed(1).stream("rules", 0));
    let past = |seen_ms: i64| -> Vec<WarmStart> {
        let random = |n| genome::variation::random_ranking(&plan_search.ranking, &mut Seed(9).stream("past", n)).into();
        let all = (0..60).map(random).chain([rules.clone().into()]);
        all.map(|strategy| WarmStart { strategy, seen: SeenUntil::stated(seen_ms) }).collect()
    };
    // Two markets that are the same up to day 500, and what is learnt from rankings that saw up to noon of day 399.
    let (one, other) = (panel(1, 0.004), turning(1, 0.004, -0.004));
    let seen_ms = 399 * DAY_MS + DAY_MS / 2;
    let of = |market: &Panel, split_day: i64, seen_ms: i64| {
        let split = SplitPanel::cut(market, 40 * DAY_MS, split_day * DAY_MS, DAYS * DAY_MS).unwrap();
        let ground = RankingGround::new(&split.searchable, PortfolioTerms::default(), &plan_search.ranking).unwrap();
        learnt(&past(seen_ms), &ground)
    };
    let taught = of(&one, 500, seen_ms).unwrap();
    assert!((41..=60).contains(&taught.base.strategies), "rules teach nothing here: {}", taught.base.strategies);
    // Days 400 to 499, each of which counts half after 90: (sum of weights)^2 over the sum of their squares.
    assert_eq!(taught.form, StrategyForm::Ranking);
    assert!((95.0..95.5).contains(&taught.days), "{}", taught.days);
    assert!(taught.beliefs.contains_key("function delay") && taught.beliefs.contains_key("data price"), "{taught:?}");
    let (seen, unseen) = (of(&one, 500, 0).unwrap(), of(&one, 500, 500 * DAY_MS));
    assert!(seen.days > taught.days && unseen.is_none(), "what was seen teaches nothing: {} days", seen.days);
    assert_eq!(of(&other, 500, seen_ms).as_ref(), Some(&taught), "the same past, another future");
    // A leak is planted: the learner is handed days after the split, too. The same comparison shows it.
    assert_ne!(of(&one, 600, seen_ms), of(&other, 600, seen_ms), "the comparison does not see a leak");

    // The session's search and those of null markets draw by it; stopped anywhere it is the same.
    let split = SplitPanel::cut(&one, 40 * DAY_MS, 500 * DAY_MS, DAYS * DAY_MS).unwrap();
    let ground = RankingGround::new(&split.searchable, PortfolioTerms::default(), &plan_search.ranking).unwrap();
    let finished = |learnt: Option<learner::Learnt>, stored: bool| {
        let inherited = Inherited { learnt, ..Inherited::default() };
        let mut state = SessionState::begin(plan, Seed(11), inherited, &ground);
        let mut session = Session::new(plan, &ground);
        while !state.is_finished() {
            state = session.advance(state, &|_| false).unwrap().0;
            if stored {
                state = serde_json::from_slice(&serde_json::to_vec(&state).unwrap()).unwrap();
            }
        }
        serde_json::to_value(&state).unwrap()
    };
    let with = finished(Some(taught.clone()), false);
    assert_eq!(with, finished(Some(taught), true));
    assert_ne!(with["nulls"], finished(None, false)["nulls"], "null searches draw by it, too");
}

#[test]
fn each_form_is_told_where_it_does_not_belong() {
    let market = panel(3, 0.0);
    let evaluator = MarketEvaluator::new(market.into(), (0, 50 * DAY_MS), PortfolioTerms::default()).unwrap();
    let rules = genome::variation::random(&SearchConfig::default().variation, &mut Seed(1).stream("rules", 0)).into();
    let other: AnyStrategy =
        genome::variation::random_ranking(&settings().0.ranking, &mut Seed(2).stream("r", 0)).into();
    let found = evaluator.evaluate(&[rules, other]);
    assert_eq!(found[0], Err(EvaluationError::Rules));
    assert!(found[1].is_ok(), "the other is not lost: {:?}", found[1]);
}

#[test]
fn a_strong_edge_across_names_goes_live_and_noise_does_not() {
    let limits = Thresholds {
        max_p_value: 0.25,
        candidate_min_trades: 10,
        shadow_max_days: 90.0,
        live_recent_trades: 20,
        ..Thresholds::default()
    };
    let (mut search, _) = settings();
    search.ranking.universe_top = vec![24];
    let protocol = ProtocolConfig { null_searches: 3, null_search_fraction: 0.4, ..ProtocolConfig::default() };
    let (gate, terms, portfolio) =
        (ProtocolGate::new(limits.clone()).unwrap(), Terms::default(), PortfolioTerms::default());
    let (staying, strengths) = (EdgeDecayConfig::default(), Strengths::default());
    let calibration = Calibration {
        seed: Seed(5),
        symbols: &[],
        interval: Interval::M15,
        session: Plan { search: &search, protocol: &protocol, candidates: 3 },
        terms: &terms,
        portfolio: &portfolio,
        coins: 24,
        gate: &gate,
        staying: &staying,
        strengths: &strengths,
        limits: &limits,
        days: Days { search: 240, holdout: 90, shadow: 90, live: 30 },
        warmup_days: 40,
        review_ms: 5 * DAY_MS,
        sessions: 1,
        age_ms: 0,
        sessions_per_day: 1,
    };
    let engine = Engine::default();
    let run = |kind, sharpe| calibration.run(Job { kind, sharpe, number: 0 }, &engine, &|| false).unwrap();
    let strong = run(Kind::RankReversal, 20.0);
    assert!(strong.selected == 1 && strong.tests > 0, "{strong:?}");
    assert!(strong.promoted > 0 && strong.watched, "{strong:?}");
    let noise = run(Kind::RankNoise, 0.0);
    assert_eq!(noise.promoted, 0, "{noise:?}");
}

#[test]
fn null_searches_of_a_market_are_the_same_from_what_was_packed() {
    let panel = panel(1, 0.004);
    let (search, protocol) = settings();
    let split = SplitPanel::cut(&panel, 40 * DAY_MS, 500 * DAY_MS, DAYS * DAY_MS).unwrap();
    let halves = RankingHalves::new(split, PortfolioTerms::default(), search.ranking.clone());
    let bytes = halves.packed().unwrap();
    let elsewhere = PackedGround::read(&bytes, Arc::default()).unwrap();
    let (state, _, _) = session(&panel, false);
    let nulls = serde_json::to_value(&state).unwrap()["nulls"].clone();
    let task = NullSearch { search: protocol.compared(&search), seed: Seed(11), candidates: 3, learnt: None };
    for number in [5, 0, 1] {
        let found = task.run(&*elsewhere.ground(), number, &|_| false).unwrap();
        assert_eq!(serde_json::json!(found.best), nulls[number as usize], "null search {number}");
    }
    // A cut in the middle is no market.
    assert!(PackedGround::read(&bytes[..bytes.len() / 2], Arc::default()).is_err());
}
