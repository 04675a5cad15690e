//! Transitions: all of it or nothing, once, and only along the table.

use crate::{made, support};
use lifecycle::{DisableReason, State, Transition};
use store::{Page, Store, StoreError, StrategyFilter, TransitionOutcome};
use uuid::Uuid;

async fn state(store: &Store, id: Uuid) -> State {
    store.find_strategy(&id.to_string()).await.unwrap().state
}

#[tokio::test]
async fn a_whole_life_leaves_every_trace() {
    let (database, store) = support::database().await;
    let (_lease, token) = made::lease(&store).await;
    let id = made::in_shadow(&store, 1).await;
    let day = |n: i64| made::T1 + n * made::DAY_MS;
    let disable = |from, reason| Transition::Disable { from, reason };
    let steps = [
        (Transition::GoLive, 14),
        (Transition::Demote, 20),
        (Transition::GoLive, 40),
        (disable(State::Live, DisableReason::Deactivated), 41),
        (Transition::Revive, 50),
        (disable(State::Candidate, DisableReason::Operator), 51),
    ];
    for (step, at) in steps {
        let record = made::transition(id, step, day(at));
        assert_eq!(store.apply_transition(&record, Some(&token)).await.unwrap(), TransitionOutcome::Applied);
        assert_eq!(store.apply_transition(&record, Some(&token)).await.unwrap(), TransitionOutcome::AlreadyApplied);
        assert_eq!(state(&store, id).await, step.to());
    }
    let detail = store.strategy(&id.to_string()).await.unwrap();
    assert_eq!(detail.strategy.disable_reason, Some(DisableReason::Operator));
    let kinds: Vec<&str> = detail.transitions.iter().map(|row| row.kind.as_str()).collect();
    assert_eq!(kinds, ["enter_shadow", "go_live", "demote", "go_live", "disable", "revive", "disable"]);
    let runs: Vec<_> = detail.paper_runs.iter().map(|run| (run.phase, run.from_ms, run.ended_at.is_some())).collect();
    assert_eq!(
        runs,
        [
            (State::Shadow, day(0), true),
            (State::Live, day(14), true),
            (State::Shadow, day(20), true),
            (State::Live, day(40), true)
        ]
    );
    assert_eq!(detail.paper_runs[0].warmup_from_ms, day(-10));
    let deployments: Vec<_> =
        detail.deployments.iter().map(|d| (d.status.name(), d.started_market_ms, d.ended_market_ms)).collect();
    assert_eq!(deployments, [("deactivated", day(14), Some(day(20))), ("deactivated", day(40), Some(day(41)))]);
    assert_eq!(store.outbox_depth().await.unwrap().pending, 7, "one event a transition, in spite of the retries");
    let report = store.verify_audit_chain().await.unwrap();
    assert_eq!((report.entries, report.first_bad), (8, None), "created, and seven transitions");
    let sql = "select after_state ->> 'state' from audit_logs where entity_id = $1 order by id";
    let trail: Vec<String> =
        database.client().await.query(sql, &[&id.to_string()]).await.unwrap().iter().map(|row| row.get(0)).collect();
    assert_eq!(trail, ["candidate", "shadow", "live", "shadow", "live", "disabled", "candidate", "disabled"]);

    let newest = store.recent_transitions(Page::first(2)).await.unwrap();
    assert_eq!(newest.iter().map(|row| row.kind.as_str()).collect::<Vec<_>>(), ["disable", "revive"]);
    let after = store.transitions_after(newest[1].seq, 10).await.unwrap();
    assert_eq!(after, newest[..1]);
    let day = chrono::Duration::hours(24);
    let counted = store.transitions_since(chrono::Utc::now() - day).await.unwrap();
    let expected = [("demote", 1), ("disable", 2), ("enter_shadow", 1), ("go_live", 2), ("revive", 1)];
    assert_eq!(counted, expected.map(|(kind, n)| (kind.to_owned(), n)).into());
    assert!(store.transitions_since(chrono::Utc::now() + day).await.unwrap().is_empty());
    let overview = store.overview().await.unwrap();
    assert_eq!((overview.transitions["go_live"], overview.reached[&State::Live]), (2, 1));
}

#[tokio::test]
async fn of_two_at_once_one_wins() {
    let (database, store) = support::database().await;
    let other = database.store().await;
    for n in 0..8 {
        let id = made::in_shadow(&store, n).await;
        let live = made::transition(id, Transition::GoLive, made::T1);
        let fail = Transition::Disable { from: State::Shadow, reason: DisableReason::Failed };
        let fail = made::transition(id, fail, made::T1);
        let (one, two) = tokio::join!(store.apply_transition(&live, None), other.apply_transition(&fail, None));
        let winner = match (&one, &two) {
            (Ok(TransitionOutcome::Applied), Err(StoreError::Conflict(_))) => State::Live,
            (Err(StoreError::Conflict(_)), Ok(TransitionOutcome::Applied)) => State::Disabled,
            both => panic!("{both:?}"),
        };
        assert_eq!(state(&store, id).await, winner);
        assert_eq!(store.strategy(&id.to_string()).await.unwrap().transitions.len(), 2);
    }
}

#[tokio::test]
async fn a_transition_from_another_state_is_a_conflict_and_leaves_nothing() {
    let (_database, store) = support::database().await;
    let id = made::in_shadow(&store, 1).await;
    let before = (store.outbox_depth().await.unwrap(), store.audit_head().await.unwrap());
    let error = store.apply_transition(&made::transition(id, Transition::Demote, made::T1), None).await.unwrap_err();
    assert!(matches!(&error, StoreError::Conflict(text) if text.contains("is shadow, not live")), "{error}");
    let nobody = store.apply_transition(&made::transition(Uuid::now_v7(), Transition::GoLive, 0), None).await;
    assert!(matches!(nobody, Err(StoreError::NotFound { what: "strategy", .. })));
    let mut without_run = made::transition(id, Transition::GoLive, made::T1);
    without_run.run = None;
    assert!(matches!(store.apply_transition(&without_run, None).await, Err(StoreError::Invalid(_))));
    // The run's warm-up would begin after its first candle: the last statement fails, and all is undone.
    let mut impossible = made::transition(id, Transition::GoLive, made::T1);
    impossible.run.as_mut().unwrap().warmup_from_ms = made::T1 + 1;
    assert!(matches!(store.apply_transition(&impossible, None).await, Err(StoreError::Constraint { .. })));
    assert_eq!((store.outbox_depth().await.unwrap(), store.audit_head().await.unwrap()), before);
    assert_eq!(state(&store, id).await, State::Shadow);
}

#[tokio::test]
async fn the_schema_itself_refuses_what_cannot_be() {
    let (database, store) = support::database().await;
    let id = made::in_shadow(&store, 1).await;
    let client = database.client().await;
    for (sql, constraint) in [
        ("update strategies set state = 'candidate'", "strategies_legal_transition"),
        ("update strategies set state = 'disabled'", "strategies_check"),
        ("update strategies set state = 'famous'", "strategies_legal_transition"),
        ("update strategies set disable_reason = 'failed'", "strategies_check"),
        ("update strategies set genome = '{}'", "strategies_genome_fixed"),
        ("update strategies set genome_hash = 'x'", "strategies_genome_fixed"),
        ("update paper_runs set to_ms = from_ms - 1", "paper_runs_check"),
        ("update paper_runs set to_ms = to_ms + 1", "paper_runs_check1"),
        ("update transitions set to_state = 'live'", "transitions_check"),
        (
            "insert into strategy_stats (strategy_id, source, window_from_ms, window_to_ms, performance)
             select id, 'backtest', 0, 1, '{\"total_trades\": 1, \"win_rate\": 1.5}' from strategies",
            "strategy_stats_win_rate_check",
        ),
        (
            "insert into strategy_stats (strategy_id, source, window_from_ms, window_to_ms, performance)
             select id, 'backtest', 0, 1, '{\"total_trades\": 1, \"sharpe_ratio\": \"NaN\"}' from strategies",
            "finite_double_check",
        ),
        (
            "insert into deployments (id, strategy_id, promoted_by, started_market_ms)
             select gen_random_uuid(), id, 'me', 0 from strategies, generate_series(1, 2)",
            "deployments_one_active",
        ),
    ] {
        let error = client.execute(sql, &[]).await.expect_err(sql);
        assert_eq!(error.as_db_error().and_then(|db| db.constraint()), Some(constraint), "{sql}: {error:?}");
    }
    assert_eq!(state(&store, id).await, State::Shadow);
}

#[tokio::test]
async fn strategies_are_found_by_id_name_and_prefix() {
    let (_database, store) = support::database().await;
    let strategy = made::strategy(0xabc);
    store.add_strategy(&strategy).await.unwrap();
    assert!(store.add_strategy(&made::strategy(0xabc)).await.unwrap().is_none(), "its genome is there already");
    let mut other = made::strategy(0xabd);
    other.genome_hash = "f00d".repeat(16);
    store.add_strategy(&other).await.unwrap();
    let id = strategy.id.to_string();
    for selector in [id.as_str(), "made-2748", &strategy.genome_hash, &strategy.genome_hash[..60]] {
        assert_eq!(store.find_strategy(selector).await.unwrap().id, strategy.id, "{selector}");
    }
    assert_eq!(store.find_strategy("F00D").await.unwrap().id, other.id);
    // Version 7 ids of one moment begin alike.
    let ambiguous = store.find_strategy(&id[..6]).await.unwrap_err();
    assert!(matches!(ambiguous, StoreError::Ambiguous { what: "strategy", .. }), "{ambiguous}");
    for selector in ["f00", "%", "____", "made", "", "' or true --"] {
        assert!(matches!(store.find_strategy(selector).await, Err(StoreError::NotFound { .. })), "{selector}");
    }
    let known = store.known_hashes(&[made::hash(5), other.genome_hash.clone()]).await.unwrap();
    assert_eq!(known, [other.genome_hash]);
    let filter = StrategyFilter { states: vec![State::Candidate], ..StrategyFilter::default() };
    assert_eq!(store.strategies(&filter, Page::first(10)).await.unwrap().len(), 2);
    assert_eq!(store.strategies(&filter, Page { limit: 10, offset: 1 }).await.unwrap().len(), 1);
    let filter = StrategyFilter { island: Some("elsewhere".to_owned()), ..filter };
    assert_eq!(store.strategies(&filter, Page::first(10)).await.unwrap(), []);
    let found = store.find_strategy(&id).await.unwrap();
    assert_eq!((found.rules().unwrap(), found.seen_until_ms), (&made::genome(0xabc), Some(made::T1)));
}
