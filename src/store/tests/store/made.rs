//! Made-up sessions, strategies and decisions, and waiting for what happens by itself.

pub(crate) use candles::time::DAY_MS;
use candles::{Interval, MarketKind};
use engine::{Costs, ExitReason, ModelsUsed, MonthlyReturn, Performance, Recipe, RunConfig, Side, Trade};
use genome::{Strategy, random::Seed};
use lifecycle::{Check, Decision, DisableReason, State, Transition, Verdict, VersionStep};
use serde_json::json;
use std::time::Duration;
use store::{
    CandidateRecord, GenerationRecord, Judgement, LeaseToken, NewEvent, NewPaperRun, NewScore, NewSession, NewStrategy,
    ScorePart, Store, TransitionRecord, WindowStat,
};
use uuid::Uuid;

/// End of the made session's window.
pub(crate) const T1: i64 = 1_700_006_400_000;

pub(crate) fn session(island: &str, number: u64) -> NewSession {
    NewSession {
        island: island.to_owned(),
        number,
        seed: Seed(u64::MAX - number),
        config: json!({ "population": 100, "mutation": 0.1 }),
        symbols: vec!["BTCUSDT".parse().unwrap(), "ETHUSDT".parse().unwrap()],
        market: MarketKind::Spot,
        timeframe: Interval::M15,
        window_from_ms: T1 - 90 * DAY_MS,
        holdout_from_ms: T1 - 30 * DAY_MS,
        window_to_ms: T1,
        data_version: hash(0xda7a),
        code_version: "0.1.0".to_owned(),
    }
}

pub(crate) fn generation(number: u32) -> GenerationRecord {
    GenerationRecord {
        number,
        best_fitness: Some(60.5 + f64::from(number)),
        median_fitness: Some(12.25),
        mean_fitness: None,
        evaluations: 100,
        distinct: 90,
        archive_size: 10,
        duration_ms: 1234,
        detail: json!({ "niches": 7 }),
    }
}

/// A genome of its own for each `n`.
pub(crate) fn genome(n: u32) -> Strategy {
    format!("15m; long when close > {}; stop 2%", n + 1).parse().unwrap()
}

/// How made backtests and paper runs are set up.
pub(crate) fn config() -> RunConfig {
    RunConfig {
        market: MarketKind::Spot,
        symbols: vec!["BTCUSDT".parse().unwrap()],
        interval: Interval::M15,
        costs: Costs::default(),
        initial_capital: 10_000.0,
        code_version: "0.1.0".to_owned(),
        engine_meaning: engine::MEANING,
        fill_on: engine::FillOn::NextOpen,
        ranked: None,
        models: ModelsUsed::default(),
    }
}

pub(crate) fn recipe() -> Recipe {
    Recipe { config: config(), warmup_from_ms: T1 - 100 * DAY_MS, data_to_ms: Some(T1) }
}

/// A strategy whose genome is that of the number `n`.
pub(crate) fn strategy(n: u32) -> NewStrategy {
    NewStrategy {
        id: Uuid::now_v7(),
        name: format!("made-{n}"),
        name_is_chosen: false,
        genome: genome(n).into(),
        canonical: genome(n).to_string(),
        genome_hash: hash(n),
        kind: "evolved".to_owned(),
        step: VersionStep::Minor,
        parent_hashes: Vec::new(),
        generation: n,
        island: Some("main".to_owned()),
        session_id: None,
        symbols: vec!["BTCUSDT".parse().unwrap()],
        market: MarketKind::Spot,
        timeframe: Interval::M15,
        seen_until_ms: Some(T1),
        seen_is_stated: false,
        created_by: "search".to_owned(),
    }
}

/// Hash of the genome of this number; a digest like any other where none of a genome is asked for.
pub(crate) fn hash(n: u32) -> String {
    genome(n).hash().to_string()
}

pub(crate) fn performance(profit_factor: Option<f64>) -> Performance {
    Performance {
        total_return: Some(0.1 + 0.2),
        total_return_pct: Some(30.000000000000004),
        sharpe_ratio: Some(1.75),
        max_drawdown: Some(-0.125),
        profit_factor,
        win_rate: Some(0.6),
        total_trades: 64,
        days: 60,
        fees: 12.5,
        monthly_returns: vec![MonthlyReturn { month: "2024-04".parse().unwrap(), return_fraction: 0.031 }],
        ..Performance::default()
    }
}

pub(crate) fn decision(transition: Transition) -> Decision {
    let check = Check {
        name: "holdout.profit_factor".to_owned(),
        needed: ">= 1.5".to_owned(),
        had: Some(1.7),
        passed: transition.to() != State::Disabled,
    };
    Decision { verdict: Verdict::Move(transition), summary: "because".to_owned(), checks: vec![check] }
}

pub(crate) fn transition(strategy_id: Uuid, transition: Transition, at_market_ms: i64) -> TransitionRecord {
    let evidence = json!({ "profit_factor": 1.7 });
    let mut record =
        TransitionRecord::from_decision(strategy_id, "made/1", decision(transition), evidence, "gate", at_market_ms)
            .unwrap();
    if transition.to().trades_on_paper() {
        record.run = Some(NewPaperRun { warmup_from_ms: at_market_ms - 10 * DAY_MS, config: config() });
    }
    record.events = vec![NewEvent {
        key: format!("transition:{}", record.id),
        kind: "transition".to_owned(),
        channel: "discord".to_owned(),
        payload: json!({ "to": transition.to() }),
    }];
    record
}

pub(crate) const REJECT: Transition = Transition::Disable { from: State::Candidate, reason: DisableReason::Rejected };

pub(crate) fn candidate(n: u32, session_id: Uuid, decided: Option<Transition>) -> CandidateRecord {
    let strategy = NewStrategy { session_id: Some(session_id), ..strategy(n) };
    CandidateRecord { judgement: judgement(strategy.id, decided), strategy, untested: None }
}

pub(crate) fn judgement(strategy_id: Uuid, decided: Option<Transition>) -> Judgement {
    let stat = |from_ms, to_ms, pf| {
        Some(WindowStat { from_ms, to_ms, performance: performance(pf), trades: vec![trade(from_ms, 1.5)] })
    };
    Judgement {
        backtest: stat(T1 - 90 * DAY_MS, T1 - 30 * DAY_MS, Some(1.9)),
        holdout: stat(T1 - 30 * DAY_MS, T1, None),
        parameters: recipe().into(),
        failure: None,
        execution_time_ms: 250,
        score: Some(score(70.0)),
        standing: None,
        holdout_results: None,
        transition: decided.map(|decided| transition(strategy_id, decided, T1)),
    }
}

/// A score of so much.
pub(crate) fn score(overall: f64) -> NewScore {
    let part = |score, weight| ScorePart { score, weight };
    NewScore {
        components: [("significance", part(overall - 10.0, 0.6)), ("drawdown", part(overall + 15.0, 0.4))]
            .map(|(name, part)| (name.to_owned(), part))
            .into(),
        promotion_eligible: true,
        warnings: vec!["few trades".to_owned()],
    }
}

/// A strategy in shadow since [`T1`], without a session.
pub(crate) async fn in_shadow(store: &Store, n: u32) -> Uuid {
    let strategy = strategy(n);
    assert!(store.add_strategy(&strategy).await.unwrap().is_some());
    store.apply_transition(&transition(strategy.id, Transition::EnterShadow, T1), None).await.unwrap();
    strategy.id
}

pub(crate) async fn lease(store: &Store) -> (store::Lease, LeaseToken) {
    let lease = store.try_acquire_lease("work").await.unwrap().expect("nobody else is here");
    let token = lease.token();
    (lease, token)
}

pub(crate) fn trade(entry_time_ms: i64, profit: f64) -> Trade {
    Trade {
        symbol: "BTCUSDT".parse().unwrap(),
        side: Side::Short,
        entry_time_ms,
        entry_price: 100.1,
        exit_time_ms: entry_time_ms + 3_600_000,
        exit_price: 99.9,
        quantity: 0.3,
        profit,
        return_fraction: profit / 30.0,
        fees: 0.02,
        slippage: 0.0,
        funding: -0.001,
        risk: None,
        exit_reason: ExitReason::StopLoss,
        bars: 4,
    }
}

/// Asks again and again for up to 20 seconds.
pub(crate) async fn eventually<F: Future<Output = bool>>(ask: impl Fn() -> F) -> bool {
    eventually_mut(async || ask().await).await
}

/// Asks again and again for up to 20 seconds.
pub(crate) async fn eventually_mut(mut ask: impl AsyncFnMut() -> bool) -> bool {
    for _ in 0..400 {
        if ask().await {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    false
}
