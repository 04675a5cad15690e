//! Sessions: resumable from the last generation, finished once, and honest about rediscoveries.

use crate::{made, support};
use lifecycle::{State, Transition};
use serde_json::json;
use store::{
    DeadLetterStatus, FailedBacktest, NewStrategy, Page, RecordOutcome, SessionStatus, StatSource, StoreError,
    StrategyFilter, WaitingRecord,
};

#[tokio::test]
async fn opening_again_finds_the_same_session() {
    let (_database, store) = support::database().await;
    let (_lease, token) = made::lease(&store).await;
    assert_eq!(store.next_session_number("main").await.unwrap(), 1);
    assert_eq!(store.unfinished_session("main").await.unwrap(), None);
    let spec = made::session("main", 1);
    let session = store.open_session(&token, &spec).await.unwrap();
    assert_eq!(session.spec, spec, "a seed of all 64 bits, too");
    assert_eq!((session.status, session.last_generation), (SessionStatus::Running, None));
    assert_eq!(store.open_session(&token, &spec).await.unwrap(), session);
    assert_eq!(store.next_session_number("main").await.unwrap(), 2);
    assert_eq!(store.next_session_number("other").await.unwrap(), 1);

    let conflict = store.open_session(&token, &made::session("main", 2)).await.unwrap_err();
    assert!(matches!(&conflict, StoreError::Conflict(text) if text.contains("running session")), "{conflict}");
    let mut moved = spec.clone();
    moved.window_from_ms -= 1;
    assert!(matches!(store.open_session(&token, &moved).await, Err(StoreError::Conflict(_))));
    store.open_session(&token, &made::session("other", 1)).await.unwrap();
    assert_eq!(store.unfinished_session("main").await.unwrap().unwrap().session, session);
}

#[tokio::test]
async fn a_window_that_cannot_be_is_refused() {
    let (_database, store) = support::database().await;
    let (_lease, token) = made::lease(&store).await;
    let mut spec = made::session("main", 1);
    spec.holdout_from_ms = spec.window_to_ms + 1;
    let error = store.open_session(&token, &spec).await.unwrap_err();
    assert!(matches!(&error, StoreError::Constraint { operation, .. } if operation == "open_session"), "{error}");
    assert_eq!(store.trial_totals().await.unwrap().sessions, 0);
}

#[tokio::test]
async fn generations_are_recorded_once_and_in_order() {
    let (_database, store) = support::database().await;
    let (_lease, token) = made::lease(&store).await;
    let id = store.open_session(&token, &made::session("main", 1)).await.unwrap().id;
    let failure = FailedBacktest {
        genome_hash: made::hash(7),
        genome: made::genome(7).into(),
        error: "evaluation panicked: index\0out of bounds".to_owned(),
        context: json!({ "session": id }),
    };
    let state: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    let record = |number, state| {
        let (store, token, failure) = (&store, &token, &failure);
        async move {
            let failures = std::slice::from_ref(failure);
            store.record_generation(token, id, &made::generation(number), state, failures).await
        }
    };
    let gap = record(1, b"x".as_slice()).await.unwrap_err();
    assert!(matches!(&gap, StoreError::Conflict(text) if text.contains("expects generation 0")), "{gap}");
    assert_eq!(record(0, b"first").await.unwrap(), RecordOutcome::Recorded);
    assert_eq!(record(1, &state).await.unwrap(), RecordOutcome::Recorded);
    assert_eq!(record(1, b"again").await.unwrap(), RecordOutcome::AlreadyRecorded);
    assert_eq!(record(0, b"again").await.unwrap(), RecordOutcome::AlreadyRecorded);

    let found = store.unfinished_session("main").await.unwrap().unwrap();
    assert_eq!(found.session.last_generation, Some(1));
    assert!(found.state.unwrap() == state, "the state comes back to the byte");
    let generations = store.recent_generations(Page::first(10)).await.unwrap();
    assert_eq!(generations.iter().map(|row| row.number).collect::<Vec<_>>(), [1, 0]);
    let newest = &generations[0];
    assert_eq!((newest.best_fitness, newest.mean_fitness, newest.failures), (Some(61.5), None, 1));
    let totals = store.trial_totals().await.unwrap();
    assert_eq!(
        (totals.sessions, totals.generations, totals.evaluations, totals.distinct, totals.failures),
        (1, 2, 200, 180, 2)
    );
    let letters = store.dead_letters(Some(DeadLetterStatus::Open), Page::first(10)).await.unwrap();
    assert_eq!(letters.len(), 1, "a genome that fails again is one row");
    assert_eq!(letters[0].occurrences, 2);
    assert_eq!(letters[0].genome.as_ref().unwrap().read().unwrap().rules().unwrap(), &made::genome(7));
    assert!(letters[0].error.contains("out of bounds"));
    assert_eq!(store.overview().await.unwrap().last_generations, generations[..1]);
    assert!(store.last_generation_at().await.unwrap().is_some());
}

#[tokio::test]
async fn impossible_fitness_is_refused() {
    let (_database, store) = support::database().await;
    let (_lease, token) = made::lease(&store).await;
    let id = store.open_session(&token, &made::session("main", 1)).await.unwrap().id;
    for bad in [f64::NAN, f64::INFINITY, -0.5, 100.5] {
        let mut generation = made::generation(0);
        generation.best_fitness = Some(bad);
        let error = store.record_generation(&token, id, &generation, b"", &[]).await.unwrap_err();
        assert!(matches!(error, StoreError::Constraint { .. }), "{bad}: {error}");
    }
    assert_eq!(store.unfinished_session("main").await.unwrap().unwrap().session.last_generation, None);
}

#[tokio::test]
async fn a_genome_that_a_client_posted_first_is_judged_all_the_same() {
    let (_database, store) = support::database().await;
    let (_lease, token) = made::lease(&store).await;
    let id = store.open_session(&token, &made::session("main", 1)).await.unwrap().id;
    let mut posted = made::strategy(1);
    (posted.kind, posted.name) = (store::SERVICE_KIND.to_owned(), "mine".to_owned());
    (posted.session_id, posted.seen_until_ms) = (None, None);
    let (stranger, _) = store.put_strategy(&posted, 1).await.unwrap();
    let full = store.put_strategy(&store::NewStrategy { kind: posted.kind, ..made::strategy(2) }, 1).await.unwrap_err();
    assert!(matches!(&full, StoreError::Conflict(why) if why.contains("max_client_strategies")), "{full}");
    let waiting = StrategyFilter { but_clients: true, ..StrategyFilter::default() };
    assert_eq!(store.strategies(&waiting, Page::first(9)).await.unwrap(), []);

    let candidate = made::candidate(1, id, Some(Transition::EnterShadow));
    let report = store
        .finish_session(&token, id, std::slice::from_ref(&candidate), &[], &learner::Scores::default())
        .await
        .unwrap();
    assert_eq!((report.stored, report.rediscovered, report.to_shadow), (1, 0, 1));
    let found = store.find_strategy(&stranger.id.to_string()).await.unwrap();
    assert_eq!((found.number, found.state, found.session_id), (stranger.number, State::Shadow, Some(id)));
    assert_eq!((&found.name, &found.kind), (&candidate.strategy.name, &candidate.strategy.kind));
    assert_eq!(found.seen_until_ms, candidate.strategy.seen_until_ms);
    assert_eq!(store.strategies(&waiting, Page::first(9)).await.unwrap(), [found]);
}

#[tokio::test]
async fn finishing_stores_candidates_with_what_was_decided() {
    let (database, store) = support::database().await;
    let (_lease, token) = made::lease(&store).await;
    let id = store.open_session(&token, &made::session("main", 1)).await.unwrap().id;
    store.record_generation(&token, id, &made::generation(0), b"state", &[]).await.unwrap();
    let mut child = made::candidate(3, id, Some(Transition::EnterShadow));
    child.strategy.parent_hashes = vec![made::hash(2), made::hash(99), made::hash(1)];
    let candidates = [
        child,
        made::candidate(1, id, Some(made::REJECT)),
        made::candidate(2, id, None),
        made::candidate(2, id, Some(Transition::EnterShadow)),
    ];
    let report = store.finish_session(&token, id, &candidates, &[], &learner::Scores::default()).await.unwrap();
    assert_eq!((report.stored, report.rediscovered, report.to_shadow, report.disabled), (3, 1, 1, 1));
    assert_eq!(report.champions.len(), 4);
    assert_eq!(
        store.finish_session(&token, id, &candidates, &[], &learner::Scores::default()).await.unwrap(),
        report,
        "finishing twice"
    );
    assert_eq!(store.unfinished_session("main").await.unwrap(), None);
    let finished = store.last_finished_session("main").await.unwrap().unwrap();
    assert_eq!((finished.id, finished.report), (id, Some(report)));
    let late = store.record_generation(&token, id, &made::generation(1), b"", &[]).await;
    assert!(matches!(late, Err(StoreError::Conflict(_))));
    assert!(matches!(store.abandon_session(&token, id, "late").await, Err(StoreError::Conflict(_))));

    let overview = store.overview().await.unwrap();
    let counts: Vec<u64> = overview.strategies.values().copied().collect();
    assert_eq!(counts, [1, 1, 0, 1], "candidate, shadow, live, disabled");
    assert_eq!(overview.reached[&State::Candidate], 3);
    assert_eq!(overview.transitions["enter_shadow"], 1);
    assert_eq!(overview.disabled["rejected"], 1);
    assert_eq!(overview.outbox.pending, 2);

    let detail = store.strategy("made-3").await.unwrap();
    let strategy = &detail.strategy;
    assert_eq!(strategy.state, State::Shadow);
    assert_eq!(strategy.parent_hashes.len(), 3);
    let [parent_2, parent_1] = strategy.parent_ids[..] else { panic!("{:?}", strategy.parent_ids) };
    assert_eq!(store.find_strategy(&parent_1.to_string()).await.unwrap().name, "made-1");
    assert_eq!(store.find_strategy(&parent_2.to_string()).await.unwrap().name, "made-2");
    let lineage = store.lineage(strategy.id, 5).await.unwrap();
    assert_eq!(lineage.iter().map(|l| (l.depth, l.name.as_str())).collect::<Vec<_>>(), [(1, "made-1"), (1, "made-2")]);
    assert_eq!(
        detail.stats.iter().map(|row| row.source).collect::<Vec<_>>(),
        [StatSource::Backtest, StatSource::Holdout]
    );
    assert_eq!(detail.stats[0].performance, made::performance(Some(1.9)), "to the bit");
    assert_eq!(detail.stats[0].data_version.as_deref(), Some(made::hash(0xda7a).as_str()));
    assert_eq!(detail.transitions[0].decision, Some(made::decision(Transition::EnterShadow)));
    assert_eq!(detail.transitions[0].policy.as_deref(), Some("made/1"));
    assert_eq!((detail.paper_runs.len(), detail.paper_runs[0].from_ms), (1, made::T1));

    let client = database.client().await;
    let sql = "select count(*), count(*) filter (where (metrics ->> 'sharpe_ratio')::double precision = 1.75),
        min(backtest_id), min(period_start) < min(period_end) from backtest_results";
    let row = client.query_one(sql, &[]).await.unwrap();
    assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1)), (6, 6));
    assert_eq!((row.get::<_, String>(2), row.get::<_, bool>(3)), (format!("{id}:backtest"), true));
    let row = client.query_one("select count(*) from search_states", &[]).await.unwrap();
    assert_eq!(row.get::<_, i64>(0), 0, "nothing is resumed from a session that ended");
    assert_eq!(store.verify_audit_chain().await.unwrap().first_bad, None);
}

#[tokio::test]
async fn a_session_that_cannot_be_finished_as_a_whole_is_not_finished_at_all() {
    let (_database, store) = support::database().await;
    let (_lease, token) = made::lease(&store).await;
    let id = store.open_session(&token, &made::session("main", 1)).await.unwrap().id;
    let mut broken = made::candidate(2, id, Some(Transition::EnterShadow));
    broken.judgement.transition.as_mut().unwrap().run = None;
    let candidates = [made::candidate(1, id, Some(made::REJECT)), broken];
    let error = store.finish_session(&token, id, &candidates, &[], &learner::Scores::default()).await.unwrap_err();
    assert!(matches!(&error, StoreError::Invalid(text) if text.contains("needs a new paper run")), "{error}");
    assert_eq!(store.strategies(&StrategyFilter::default(), Page::first(9)).await.unwrap(), []);
    assert_eq!(store.outbox_depth().await.unwrap().pending, 0);
    assert!(store.unfinished_session("main").await.unwrap().is_some());
}

#[tokio::test]
async fn an_abandoned_session_makes_room() {
    let (_database, store) = support::database().await;
    let (_lease, token) = made::lease(&store).await;
    let id = store.open_session(&token, &made::session("main", 1)).await.unwrap().id;
    store.abandon_session(&token, id, "the window is stale").await.unwrap();
    store.abandon_session(&token, id, "twice").await.unwrap();
    assert!(matches!(
        store.finish_session(&token, id, &[], &[], &learner::Scores::default()).await,
        Err(StoreError::Conflict(_))
    ));
    assert_eq!(store.last_finished_session("main").await.unwrap(), None);
    store.open_session(&token, &made::session("main", 2)).await.unwrap();
    let unknown = store.finish_session(&token, uuid::Uuid::nil(), &[], &[], &learner::Scores::default()).await;
    assert!(matches!(unknown, Err(StoreError::NotFound { what: "session", .. })));
}

#[tokio::test]
async fn strategies_that_waited_are_judged_with_the_session_or_not_at_all() {
    let (_database, store) = support::database().await;
    let (_lease, token) = made::lease(&store).await;
    let id = store.open_session(&token, &made::session("main", 1)).await.unwrap().id;
    let waiting = |n: u32| made::strategy(n);
    let [passes, stays, moved, fails] = [waiting(11), waiting(12), waiting(13), waiting(14)];
    for strategy in [&passes, &stays, &moved, &fails] {
        store.add_strategy(strategy).await.unwrap();
    }
    store.apply_transition(&made::transition(moved.id, made::REJECT, made::T1), None).await.unwrap();
    let record = |strategy: &NewStrategy, decided| WaitingRecord {
        strategy_id: strategy.id,
        judgement: made::judgement(strategy.id, decided),
    };
    // One whose decision cannot be applied undoes the judgements before it and leaves the session running.
    let mut broken = record(&fails, Some(Transition::EnterShadow));
    broken.judgement.transition.as_mut().unwrap().strategy_id = stays.id;
    let enter = || record(&passes, Some(Transition::EnterShadow));
    let error =
        store.finish_session(&token, id, &[], &[enter(), broken], &learner::Scores::default()).await.unwrap_err();
    assert!(matches!(&error, StoreError::Invalid(text) if text.contains("another strategy")), "{error}");
    assert_eq!(store.find_strategy("made-11").await.unwrap().state, State::Candidate);
    assert_eq!(store.strategy("made-11").await.unwrap().stats, []);
    assert!(store.unfinished_session("main").await.unwrap().is_some());

    let all = [
        enter(),
        record(&stays, None),
        record(&moved, Some(Transition::EnterShadow)),
        record(&fails, Some(made::REJECT)),
    ];
    let report = store.finish_session(&token, id, &[], &all, &learner::Scores::default()).await.unwrap();
    assert_eq!((report.stored, report.to_shadow), (0, 0), "what the session itself found");
    let mut found = Vec::new();
    for name in ["made-11", "made-12", "made-13", "made-14"] {
        let detail = store.strategy(name).await.unwrap();
        found.push((detail.strategy.state, detail.stats.len(), detail.paper_runs.len()));
    }
    let expected = [(State::Shadow, 2, 1), (State::Candidate, 2, 0), (State::Disabled, 0, 0), (State::Disabled, 2, 0)];
    assert_eq!(found, expected, "one that moved meanwhile is left alone");
    assert_eq!(
        store.finish_session(&token, id, &[], &all, &learner::Scores::default()).await.unwrap(),
        report,
        "finishing twice"
    );
    assert_eq!(store.strategy("made-12").await.unwrap().stats.len(), 2);
}
