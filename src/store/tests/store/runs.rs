//! Runs, windows, trades, scores and optimisations: written with the session's end, and never what cannot be.

use crate::{made, support};
use lifecycle::Transition;
use serde_json::{Value, json};
use store::{NewResult, NewRun, NewWindow, Page, RunStatus, RunTrade, Segment, Store, StoreError};
use uuid::Uuid;

fn run(strategy_id: Uuid) -> NewRun {
    let window = |n: i64| NewWindow {
        train_from_ms: n * 10,
        train_to_ms: n * 10 + 20,
        test_from_ms: n * 10 + 20,
        test_to_ms: n * 10 + 30,
        train_metrics: json!({ "sharpe_ratio": 2.0 }),
        test_metrics: json!({ "sharpe_ratio": 0.5 }),
    };
    let trade = |n: i64| RunTrade {
        window_index: 1,
        segment: Segment::Test,
        timeframe: "15m".to_owned(),
        trade: made::trade(made::T1 + n, n as f64 - 3.25),
    };
    NewRun {
        id: Uuid::now_v7(),
        strategy_id,
        session_id: None,
        config: made::recipe().into(),
        dataset_checksum: made::hash(1),
        from_ms: 0,
        to_ms: 100,
        code_version: "0.1.0".to_owned(),
        seed: genome::random::Seed(u64::MAX),
        execution_time_ms: 1_250,
        outcome: Ok(json!({ "sharpe_ratio": 1.5 })),
        windows: (0..3).map(window).collect(),
        trades: (0..5).map(trade).collect(),
    }
}

async fn stored(store: &Store, n: u32) -> Uuid {
    let strategy = made::strategy(n);
    store.add_strategy(&strategy).await.unwrap();
    strategy.id
}

#[tokio::test]
async fn a_run_comes_back_as_it_was_stored() {
    let (_database, store) = support::database().await;
    let id = stored(&store, 1).await;
    let mut failed = run(id);
    failed.outcome = Err("index\0out of bounds".to_owned());
    (failed.windows, failed.trades) = (Vec::new(), Vec::new());
    let runs = [run(id), failed, run(id)];
    store.record_runs(&runs).await.unwrap();
    store.record_runs(&runs).await.unwrap();
    let found = store.backtest_runs(id, Page::first(10)).await.unwrap();
    assert_eq!(found.len(), 3, "storing again changes nothing");
    let found = store.backtest_run(runs[0].id).await.unwrap();
    assert_eq!(
        (found.status, found.window_count, found.results.as_ref()),
        (RunStatus::Completed, 3, runs[0].outcome.as_ref().ok())
    );
    assert_eq!((found.seed, found.execution_time_ms), (runs[0].seed, Some(1_250)));
    let took = found.completed_at.unwrap() - found.started_at.unwrap();
    assert_eq!(took.num_milliseconds(), 1_250);
    assert_eq!(store.backtest_trades(found.id, Page::first(10)).await.unwrap(), runs[0].trades, "to the bit");
    assert_eq!(store.backtest_trades(found.id, Page { limit: 2, offset: 4 }).await.unwrap(), runs[0].trades[4..]);
    let windows = store.walk_forward_windows(found.id).await.unwrap();
    assert_eq!(
        windows.iter().map(|w| (w.index, w.test_from_ms, w.degradation)).collect::<Vec<_>>(),
        [(0, 20, Some(0.75)), (1, 30, Some(0.75)), (2, 40, Some(0.75))]
    );
    let failed = store.backtest_run(runs[1].id).await.unwrap();
    assert_eq!((failed.status, failed.results, failed.window_count), (RunStatus::Failed, None, 1));
    assert!(failed.error_message.unwrap().contains("out of bounds"));
    assert!(matches!(store.backtest_run(Uuid::nil()).await, Err(StoreError::NotFound { .. })));
}

#[tokio::test]
async fn the_end_of_a_session_leaves_runs_trades_scores_and_an_optimisation() {
    let (database, store) = support::database().await;
    let (_lease, token) = made::lease(&store).await;
    let session = store.open_session(&token, &made::session("main", 1)).await.unwrap();
    store.record_generation(&token, session.id, &made::generation(0), b"state", &[]).await.unwrap();
    let mut best = made::candidate(1, session.id, Some(Transition::EnterShadow));
    best.judgement.score = Some(made::score(80.0));
    let mut broken = made::candidate(2, session.id, None);
    broken.judgement.holdout = None;
    broken.judgement.failure = Some("no candles".to_owned());
    broken.judgement.score = None;
    let candidates = [best, broken, made::candidate(3, session.id, None)];
    store.finish_session(&token, session.id, &candidates, &[], &learner::Scores::default()).await.unwrap();
    store.finish_session(&token, session.id, &candidates, &[], &learner::Scores::default()).await.unwrap();

    let of = |n: usize| candidates[n].strategy.id;
    let [run] = &store.backtest_runs(of(0), Page::first(9)).await.unwrap()[..] else { panic!("one run") };
    assert_eq!((run.status, run.session_id, run.seed), (RunStatus::Completed, Some(session.id), session.spec.seed));
    assert_eq!(run.dataset_checksum, session.spec.data_version);
    let results = run.results.as_ref().unwrap();
    assert_eq!(results["backtest"]["profit_factor"], 1.9);
    let trades = store.backtest_trades(run.id, Page::first(9)).await.unwrap();
    assert_eq!(trades.iter().map(|t| t.segment).collect::<Vec<_>>(), [Segment::Train, Segment::Test]);
    assert_eq!(store.walk_forward_windows(run.id).await.unwrap()[0].degradation, Some(0.0));
    let failed = &store.backtest_runs(of(1), Page::first(9)).await.unwrap()[0];
    assert_eq!((failed.status, failed.error_message.as_deref()), (RunStatus::Failed, Some("no candles")));

    let [score] = &store.scores(of(0)).await.unwrap()[..] else { panic!("one score") };
    assert_eq!(
        (score.overall, score.grade.as_str(), score.percentile),
        (80.0, "A", 50.0),
        "alone, it is in the middle"
    );
    assert_eq!((&score.backtest_run_ids[..], &score.warnings[..]), (&[run.id][..], &["few trades".to_owned()][..]));
    let ranking = store.ranking(true, Page::first(9)).await.unwrap();
    assert_eq!(ranking[0].name, store.strategy(&of(0).to_string()).await.unwrap().strategy.name);
    let ranking: Vec<_> =
        ranking.iter().map(|s| (s.score.strategy_id, s.score.grade.as_str(), s.score.percentile)).collect();
    assert_eq!(ranking, [(of(0), "A", 50.0), (of(2), "B", 25.0)]);
    // A newer score takes the place of the one before, which stays.
    store.record_score(of(2), &made::score(85.0), &[]).await.unwrap();
    let scores = store.scores(of(2)).await.unwrap();
    assert_eq!(scores.iter().map(|s| (s.is_latest, s.percentile)).collect::<Vec<_>>(), [(true, 75.0), (false, 25.0)]);

    let [optimisation] = &store.optimization_runs(Page::first(9)).await.unwrap()[..] else { panic!("one") };
    assert_eq!((optimisation.trials, optimisation.best_objective), (100, Some(60.5)));
    assert_eq!((optimisation.best_strategy_id, optimisation.status.as_str()), (Some(of(0)), "completed"));
    let promoted = "select count(*) from backtest_trades t join backtest_runs r on r.id = t.run_id
        where t.created_at = r.created_at and t.costs = t.fees + t.slippage + t.funding";
    assert_eq!(database.client().await.query_one(promoted, &[]).await.unwrap().get::<_, i64>(0), 5);
}

#[tokio::test]
async fn results_have_the_keys_that_other_systems_read() {
    let (_database, store) = support::database().await;
    let id = stored(&store, 1).await;
    let result = |n: i64| NewResult {
        strategy_id: id,
        backtest_id: Some(format!("batch:{n}")),
        metrics: serde_json::to_value(made::performance(None)).unwrap(),
        parameters: made::recipe().into(),
        period_start: chrono::DateTime::from_timestamp_millis(made::T1),
        period_end: None,
    };
    store.record_results(&(0..50).map(result).collect::<Vec<_>>()).await.unwrap();
    store.record_results(&[]).await.unwrap();
    let newest = store.recent_results(20).await.unwrap();
    assert_eq!(newest.len(), 20);
    let row = &newest[0];
    assert_eq!((row.strategy_id, row.period_end), (id, None));
    for key in [
        "sharpe_ratio",
        "sortino_ratio",
        "cagr",
        "max_drawdown",
        "win_rate",
        "profit_factor",
        "total_trades",
        "avg_trade_duration_hours",
        "total_return_pct",
        "monthly_returns",
    ] {
        assert!(row.metrics.get(key).is_some(), "{key}: {}", row.metrics);
    }
    assert_eq!(row.metrics["profit_factor"], Value::Null, "undefined is null");
    assert_eq!(row.metrics["monthly_returns"], json!([{ "month": "2024-04", "return": 0.031 }]));
    let mut unknown = result(0);
    unknown.strategy_id = Uuid::nil();
    assert!(matches!(store.record_results(&[result(1), unknown]).await, Err(StoreError::Constraint { .. })));
    assert_eq!(store.recent_results(100).await.unwrap().len(), 50, "all or none");
}

#[tokio::test]
async fn what_cannot_be_is_refused() {
    let (database, store) = support::database().await;
    let id = stored(&store, 1).await;
    store.record_runs(&[run(id)]).await.unwrap();
    store.record_score(id, &made::score(50.0), &[]).await.unwrap();
    let client = database.client().await;
    for (sql, constraint) in [
        ("update backtest_runs set status = 'running'", "backtest_runs_legal_status"),
        ("update backtest_runs set results = null", "backtest_runs_results_when_completed"),
        ("update backtest_runs set completed_at = null", "backtest_runs_ended"),
        ("update backtest_runs set completed_at = started_at - interval '1 s'", "backtest_runs_ended"),
        ("update backtest_runs set execution_time_ms = null", "backtest_runs_timed"),
        ("update backtest_runs set error_message = 'x'", "backtest_runs_error_when_failed"),
        ("update backtest_runs set window_count = 0", "backtest_runs_window_count_check"),
        ("update backtest_runs set dataset_checksum = 'x'", "backtest_runs_dataset_checksum_check"),
        ("update backtest_runs set to_ms = from_ms", "backtest_runs_window"),
        ("update walk_forward_windows set train_to_ms = test_from_ms + 1", "walk_forward_windows_train_before_test"),
        ("update walk_forward_windows set test_to_ms = test_from_ms", "walk_forward_windows_test"),
        ("update walk_forward_windows set index = 7 where index = 2", "walk_forward_windows_in_sequence"),
        ("delete from walk_forward_windows where index = 1", "walk_forward_windows_in_sequence"),
        (
            "update walk_forward_windows set test_to_ms = test_to_ms + 1 where index = 0",
            "walk_forward_windows_in_sequence",
        ),
        (
            "insert into walk_forward_windows select run_id, 3, 40, 50, 50, 60, '{}', '{}' from walk_forward_windows
             where index = 0",
            "walk_forward_windows_in_sequence",
        ),
        ("update backtest_trades set side = 'up'", "backtest_trades_side_check"),
        ("update backtest_trades set exit_time_ms = entry_time_ms - 1", "backtest_trades_times"),
        ("update backtest_trades set profit = 'NaN'", "finite_double_check"),
        ("update backtest_trades set segment = 'middle'", "backtest_trades_segment_check"),
        ("update strategy_scores set overall = 51", "strategy_scores_sum"),
        ("update strategy_scores set components = '{}'", "strategy_scores_sum"),
        (
            "update strategy_scores set components = jsonb_set(components, '{drawdown,weight}', '0.5')",
            "strategy_scores_sum",
        ),
        ("update strategy_scores set percentile = 101", "strategy_scores_percentile_check"),
        (
            "insert into optimization_runs (id, method, objective, status, code_version, seed)
             values (gen_random_uuid(), 'm', 'o', 'completed', '1', '1')",
            "optimization_runs_ended",
        ),
    ] {
        let error = client.execute(sql, &[]).await.expect_err(sql);
        assert_eq!(error.as_db_error().and_then(|db| db.constraint()), Some(constraint), "{sql}: {error:?}");
    }
    let grade = client.execute("update strategy_scores set grade = 'A'", &[]).await;
    assert!(grade.is_err(), "a grade follows from the score");
    client.execute("delete from strategies", &[]).await.unwrap();
    let left = "select (select count(*) from backtest_runs) + (select count(*) from backtest_trades)
        + (select count(*) from walk_forward_windows) + (select count(*) from strategy_scores)";
    assert_eq!(client.query_one(left, &[]).await.unwrap().get::<_, i64>(0), 0);
}
