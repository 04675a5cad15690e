//! Paper trading: passes only ever reach further, and are counted once.

use crate::{made, support};
use engine::DailyEquity;
use lifecycle::{Expected, Progress, State, Transition};
use serde_json::json;
use store::{
    FigureLimit, Page, PaperPass, PassOutcome, StatSource, StoreError, StrategyQuery, StrategySort, TransitionOutcome,
};
use uuid::Uuid;

/// What the gate was asked, when it was asked last.
fn progress(at_ms: i64) -> Progress {
    Progress {
        state: State::Shadow,
        at_ms,
        summary: "In shadow".to_owned(),
        log_e: Some(0.1 + 0.2),
        log_needed: Some(125f64.ln()),
        shadow_log_e: None,
        shadow_log_needed: Some(1.6),
        checks: Vec::new(),
        expected: Some(Expected {
            at_ms: Some(made::T1 + 90 * made::DAY_MS),
            early_ms: None,
            late_ms: None,
            until_ms: made::T1 + 180 * made::DAY_MS,
        }),
        days: vec![(at_ms, Some(0.1 + 0.2))],
    }
}

pub(crate) fn pass(run_id: Uuid, days: i64) -> PaperPass {
    let to_ms = made::T1 + days * made::DAY_MS;
    PaperPass {
        run_id,
        to_ms,
        data_version: Some("made".to_owned()),
        performance: made::performance(Some(1.0 + days as f64 / 8.0)),
        closed_trades: days as u32,
        open_positions: json!([{ "symbol": "BTCUSDT", "days": days }]),
        trades: (0..days).map(|day| made::trade(made::T1 + day * made::DAY_MS, day as f64 - 0.1)).collect(),
        daily_equity: (0..=days)
            .map(|day| DailyEquity { time_ms: made::T1 + day * made::DAY_MS, equity: 10_000.1 + day as f64 })
            .collect(),
        portfolio: None,
        progress: Some(progress(to_ms)),
    }
}

#[tokio::test]
async fn a_pass_is_recorded_once_and_never_goes_back() {
    let (_database, store) = support::database().await;
    let (_lease, token) = made::lease(&store).await;
    let id = made::in_shadow(&store, 1).await;
    let runs = store.paper_runs(&[State::Shadow, State::Live]).await.unwrap();
    assert_eq!((runs.len(), runs[0].strategy.id, runs[0].demotions), (1, id, 0));
    let run = &runs[0].run;
    assert_eq!((run.to_ms, &run.performance, run.closed_trades), (made::T1, &None, 0));
    assert_eq!(run.config.read().unwrap(), &made::config());
    assert!(store.overview().await.unwrap().shadow_profit_factors.is_empty());

    assert_eq!(store.record_paper_pass(&token, &pass(run.id, 3)).await.unwrap(), PassOutcome::Recorded);
    assert_eq!(store.record_paper_pass(&token, &pass(run.id, 3)).await.unwrap(), PassOutcome::AlreadyThere);
    assert_eq!(store.record_paper_pass(&token, &pass(run.id, 2)).await.unwrap(), PassOutcome::AlreadyThere);
    assert_eq!(store.record_paper_pass(&token, &pass(run.id, 5)).await.unwrap(), PassOutcome::Recorded);

    let now = store.paper_runs(&[State::Shadow]).await.unwrap().remove(0).run;
    let expected = pass(run.id, 5);
    assert_eq!(now.performance, Some(expected.performance.clone()));
    assert_eq!((now.to_ms, now.closed_trades), (expected.to_ms, 5));
    assert_eq!((&now.daily_equity, &now.open_positions), (&expected.daily_equity, &expected.open_positions));
    assert_eq!(now.progress, expected.progress, "what the gate was asked last");
    let trades = store.paper_trades(id, Page::first(100)).await.unwrap();
    let stored: Vec<_> = trades.iter().rev().map(|row| row.trade.clone()).collect();
    assert_eq!(stored, expected.trades, "to the bit, each once");
    let stats = store.latest_stats(&[id]).await.unwrap();
    assert_eq!(stats.len(), 1);
    assert_eq!((stats[0].source, stats[0].window_to_ms), (StatSource::Shadow, expected.to_ms));
    assert_eq!(store.overview().await.unwrap().shadow_profit_factors[&id], 1.625);

    let unasked = PaperPass { progress: None, ..pass(run.id, 6) };
    assert_eq!(store.record_paper_pass(&token, &unasked).await.unwrap(), PassOutcome::Recorded);
    let kept = store.paper_runs(&[State::Shadow]).await.unwrap().remove(0).run;
    assert_eq!(
        (kept.to_ms, &kept.progress),
        (unasked.to_ms, &expected.progress),
        "it was not asked: what was told stays"
    );
    let by_evidence = StrategyQuery { sort: StrategySort::LogE, ..StrategyQuery::default() };
    let (listed, _) = store.list_strategies(&by_evidence, Page::first(10)).await.unwrap();
    let told = listed[0].evidence.unwrap();
    assert_eq!((told.log_e, told.log_needed), (Some(0.1 + 0.2), Some(125f64.ln())));
    assert_eq!(told.expected_ms, Some(made::T1 + 90 * made::DAY_MS));
    for (above, found) in [(true, 1), (false, 0)] {
        let limits = vec![FigureLimit { figure: StrategySort::LogE, above, or_equal: false, value: 0.3 }];
        let (rows, total) =
            store.list_strategies(&StrategyQuery { limits, ..by_evidence.clone() }, Page::first(9)).await.unwrap();
        assert_eq!((rows.len(), total), (found, found as u64), "{above}");
    }
}

#[tokio::test]
async fn days_on_paper_are_those_of_all_runs() {
    let (_database, store) = support::database().await;
    let (_lease, token) = made::lease(&store).await;
    let (first, second) = (made::in_shadow(&store, 1).await, made::in_shadow(&store, 2).await);
    for run in store.paper_runs(&[State::Shadow]).await.unwrap() {
        store.record_paper_pass(&token, &pass(run.run.id, 14)).await.unwrap();
    }
    let at = made::T1 + 14 * made::DAY_MS;
    store.apply_transition(&made::transition(second, Transition::GoLive, at), Some(&token)).await.unwrap();
    let (found, total) = store.paper_days(&[], &[State::Shadow, State::Live], 9).await.unwrap();
    assert_eq!(total, 2);
    let told: Vec<_> = found.iter().map(|s| (s.id, s.state, s.runs.len(), s.runs[0].len())).collect();
    assert_eq!(told, [(second, State::Live, 2, 15), (first, State::Shadow, 1, 15)], "live ones first");
    let (one, total) = store.paper_days(&[], &[State::Shadow, State::Live], 1).await.unwrap();
    assert_eq!((one.len(), one[0].id, total), (1, second, 2));
    let (asked, total) = store.paper_days(&[found[1].number, 987_654], &[], 9).await.unwrap();
    assert_eq!((asked.len(), asked[0].id, total), (1, first, 1));
}

#[tokio::test]
async fn an_ended_run_is_left_alone() {
    let (_database, store) = support::database().await;
    let (_lease, token) = made::lease(&store).await;
    let id = made::in_shadow(&store, 1).await;
    let run = store.paper_runs(&[State::Shadow]).await.unwrap().remove(0).run.id;
    store.record_paper_pass(&token, &pass(run, 14)).await.unwrap();
    let at = made::T1 + 14 * made::DAY_MS;
    store.apply_transition(&made::transition(id, Transition::GoLive, at), Some(&token)).await.unwrap();
    assert_eq!(store.record_paper_pass(&token, &pass(run, 15)).await.unwrap(), PassOutcome::Ended);
    let runs = store.paper_runs(&[State::Shadow, State::Live]).await.unwrap();
    assert_eq!((runs.len(), runs[0].run.phase, runs[0].run.from_ms), (1, State::Live, at));
    assert_eq!(store.paper_trades(id, Page::first(100)).await.unwrap().len(), 14);
    assert_eq!(store.paper_runs(&[State::Shadow]).await.unwrap(), []);
    let unknown = store.record_paper_pass(&token, &pass(Uuid::nil(), 1)).await;
    assert!(matches!(unknown, Err(StoreError::NotFound { what: "paper run", .. })));
}

#[tokio::test]
async fn a_pass_and_the_move_decided_on_it_are_stored_together_or_not_at_all() {
    let (_database, store) = support::database().await;
    let (_lease, token) = made::lease(&store).await;
    let id = made::in_shadow(&store, 1).await;
    let run = store.paper_runs(&[State::Shadow]).await.unwrap().remove(0).run.id;
    let at = made::T1 + 14 * made::DAY_MS;
    // A move that cannot be, as when an operator moved the strategy meanwhile.
    let demotion = made::transition(id, Transition::Demote, at);
    let error = store.record_pass_and_move(&token, &pass(run, 14), &demotion).await.unwrap_err();
    assert!(matches!(error, StoreError::Conflict(_)), "{error}");
    assert_eq!(store.paper_runs(&[State::Shadow]).await.unwrap()[0].run.to_ms, made::T1);
    assert_eq!(store.paper_trades(id, Page::first(99)).await.unwrap(), []);

    let promotion = made::transition(id, Transition::GoLive, at);
    for outcome in [TransitionOutcome::Applied, TransitionOutcome::AlreadyApplied] {
        assert_eq!(store.record_pass_and_move(&token, &pass(run, 14), &promotion).await.unwrap(), outcome);
        let runs = store.paper_runs(&[State::Shadow, State::Live]).await.unwrap();
        assert_eq!((runs.len(), runs[0].run.phase, runs[0].run.from_ms), (1, State::Live, at));
        assert_eq!(store.paper_trades(id, Page::first(99)).await.unwrap().len(), 14);
    }
}

#[tokio::test]
async fn a_trade_that_cannot_be_undoes_the_whole_pass() {
    let (_database, store) = support::database().await;
    let (_lease, token) = made::lease(&store).await;
    let id = made::in_shadow(&store, 1).await;
    let run = store.paper_runs(&[State::Shadow]).await.unwrap().remove(0).run.id;
    let mut bad = pass(run, 2);
    bad.trades[1].profit = f64::NAN;
    let error = store.record_paper_pass(&token, &bad).await.unwrap_err();
    assert!(matches!(error, StoreError::Constraint { .. }), "{error}");
    bad = pass(run, 2);
    bad.trades[0].exit_time_ms = bad.trades[0].entry_time_ms - 1;
    assert!(matches!(store.record_paper_pass(&token, &bad).await, Err(StoreError::Constraint { .. })));
    assert_eq!(store.paper_trades(id, Page::first(9)).await.unwrap(), []);
    assert_eq!(store.paper_runs(&[State::Shadow]).await.unwrap()[0].run.to_ms, made::T1);
}
