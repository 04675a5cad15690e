//! What the evidence protocol stores: counted once, whoever asks, whatever was killed.

use crate::{made, support};
use candles::{Candle, CandleSeries, Interval, MarketKind};
use engine::{Ledger, SymbolWindow, Window};
use genome::StrategyForm;
use lifecycle::{EValues, Transition};
use protocol::{Account, Book, Choice, ProtocolConfig, Standing, StepBook, Test};
use serde_json::json;
use std::sync::Arc;
use store::{
    CandidateRecord, LeaseToken, NumberedSession, PlaceboRecord, SearchedRecord, SessionNumbers, Store, StoreError,
    TrialCounts, Trials,
};
use uuid::Uuid;

fn searched(session_id: Uuid, selected: bool) -> SearchedRecord {
    SearchedRecord {
        session_id,
        island: "main".to_owned(),
        at_market_ms: made::T1,
        p_value: if selected { 0.05 } else { 0.5 },
        null_searches: 19,
        as_good: u64::from(!selected),
        selected,
    }
}

fn numbers(session: u64, selected: u64, promotions: u64) -> SessionNumbers {
    SessionNumbers { session, selected, promotions }
}

/// Where a strategy stands of which hardly anything is known.
pub(crate) fn standing() -> Standing {
    Standing {
        p_value: Some(0.05),
        null_searches: 19,
        level: 0.01,
        shadow_level: 0.05,
        seen_until_ms: made::T1 - 30 * made::DAY_MS,
        holdout: EValues { log_excess: None, log_plain: Some(0.1 + 0.2) },
        holdout_days: vec![(made::T1 - made::DAY_MS, Some(0.1 + 0.2)), (made::T1, None)],
        book: book(),
    }
}

/// The bets on a strategy that never traded.
fn book() -> Book {
    let candle = Candle {
        open_time_ms: 0,
        open: 2.0,
        high: 2.0,
        low: 1.0,
        close: 1.5,
        volume: 1.0,
        close_time_ms: 899_999,
        quote_volume: 1.5,
        trade_count: 1,
        taker_buy_volume: 0.5,
        taker_buy_quote_volume: 0.75,
    };
    let candles = CandleSeries::from_candles(Interval::M15, &[candle]).unwrap().into();
    let symbol = "BTCUSDT".parse().unwrap();
    let one = SymbolWindow {
        market: MarketKind::Spot,
        symbol,
        candles,
        finer: Vec::new(),
        funding: [].into(),
        readings: Arc::default(),
        across: Arc::default(),
    };
    let window = Window::new(0, 900_000, vec![one]).unwrap();
    Book::Steps(StepBook::open(&made::genome(1).into(), &Ledger::default(), &window))
}

fn config() -> ProtocolConfig {
    ProtocolConfig { false_promotions_per_year: 0.05, ..ProtocolConfig::default() }
}

/// Buys a test for each of these strategies while there is one.
fn buy(hashes: &[&str]) -> impl Fn(Account) -> (Account, Vec<(String, Choice)>) + Sync {
    let hashes: Vec<String> = hashes.iter().map(|hash| (*hash).to_owned()).collect();
    move |mut account| {
        let mut choices = Vec::new();
        for hash in &hashes {
            let choice = match account.buy(&config()) {
                Some((after, level)) => {
                    account = after;
                    Ok(Test { level, shadow_level: 0.05 })
                }
                None => Err("no test is free".to_owned()),
            };
            choices.push((hash.clone(), choice));
        }
        (account, choices)
    }
}

async fn number(store: &Store, token: &LeaseToken, searched: &SearchedRecord) -> NumberedSession {
    store.number_session(token, searched, &config(), &buy(&[])).await.unwrap()
}

#[tokio::test]
async fn a_session_is_numbered_once_whoever_asks() {
    let (database, store) = support::database().await;
    let (_lease, token) = made::lease(&store).await;
    let ids: Vec<Uuid> = (0..3).map(|_| Uuid::now_v7()).collect();
    let numbered = |numbers| NumberedSession { numbers, choices: Vec::new(), has_placebo: false };
    assert_eq!(number(&store, &token, &searched(ids[0], true)).await, numbered(numbers(1, 1, 0)));
    assert_eq!(number(&store, &token, &searched(ids[0], true)).await, numbered(numbers(1, 1, 0)));
    assert_eq!(number(&store, &token, &searched(ids[1], false)).await, numbered(numbers(2, 2, 0)));
    // Another process, and a strategy that went live before the session's market time.
    let id = made::in_shadow(&store, 1).await;
    let early = made::transition(id, Transition::GoLive, made::T1);
    store.apply_transition(&early, None).await.unwrap();
    let other = database.store().await;
    let third = number(&other, &token, &searched(ids[2], true)).await;
    assert_eq!(third.numbers, numbers(3, 2, 1), "a session that was not selected does not count among the selected");
    assert_eq!(store.session_numbers(ids[2]).await.unwrap(), Some(third));
    assert_eq!(store.session_numbers(Uuid::now_v7()).await.unwrap(), None);

    // Several at once get different numbers.
    let at_once = (0..8).map(|_| {
        let (store, token) = (store.clone(), token.clone());
        tokio::spawn(async move { number(&store, &token, &searched(Uuid::now_v7(), true)).await.numbers.session })
    });
    let mut given = Vec::new();
    for task in at_once {
        given.push(task.await.unwrap());
    }
    given.sort_unstable();
    assert_eq!(given, (4..12).collect::<Vec<u64>>());
}

#[tokio::test]
async fn tests_are_bought_once_whoever_asks_and_no_more_than_there_are() {
    let (database, store) = support::database().await;
    let (_lease, token) = made::lease(&store).await;
    assert_eq!(store.test_status().await.unwrap(), None);
    let bought = |numbered: &NumberedSession| numbered.choices.iter().filter(|(_, choice)| choice.is_ok()).count();
    let (first, other) = (searched(Uuid::now_v7(), true), database.store().await);
    let one = store.number_session(&token, &first, &config(), &buy(&["a", "b", "c", "d"])).await.unwrap();
    // Asked again, by another process, for others: what was bought stands.
    let again = other.number_session(&token, &first, &config(), &buy(&["x", "y"])).await.unwrap();
    assert_eq!((bought(&one), &again), (4, &one));
    assert_eq!(one.choices[0].0, "a");
    // Sessions at once pay one after the other: eleven tests are sold of a full account, and seven are left.
    let at_once = (0..9).map(|_| {
        let (store, token) = (store.clone(), token.clone());
        tokio::spawn(async move {
            let searched = searched(Uuid::now_v7(), true);
            store.number_session(&token, &searched, &config(), &buy(&["e"])).await.unwrap()
        })
    });
    let mut levels = Vec::new();
    for task in at_once {
        levels.extend(task.await.unwrap().choices.into_iter().filter_map(|(_, choice)| choice.ok()).map(|t| t.level));
    }
    levels.sort_by(f64::total_cmp);
    assert_eq!(levels.len(), 7);
    assert!(levels.windows(2).all(|w| (w[0] / w[1] - 0.8).abs() < 1e-12), "{levels:?}");
    let status = store.test_status().await.unwrap().unwrap();
    assert_eq!((status.promotion_threshold, status.bought_last_year), (None, 11));
    assert!((status.least_threshold - 500.0).abs() < 1e-9);
    assert!((status.spent_last_year + status.balance - 0.0125).abs() < 1e-12);
    let wait = status.sells_ms.unwrap() - made::T1;
    // Market time brings more; the placebo island has its own.
    let late = SearchedRecord { at_market_ms: made::T1 + wait, ..searched(Uuid::now_v7(), true) };
    assert_eq!(bought(&store.number_session(&token, &late, &config(), &buy(&["f", "g"])).await.unwrap()), 1);
    let status = store.test_status().await.unwrap().unwrap();
    assert_eq!((status.at_ms, status.bought_last_year), (made::T1 + wait, 12));
    let placebo = store.placebo_account(&config(), made::T1).await.unwrap();
    assert!(placebo.is_full(&config()));
    assert_eq!(store.overview().await.unwrap().protocol.tests, store.test_status().await.unwrap());
}

#[tokio::test]
async fn what_was_not_tested_is_kept_for_the_next_session() {
    let (_database, store) = support::database().await;
    let (_lease, token) = made::lease(&store).await;
    let session = store.open_session(&token, &made::session("main", 1)).await.unwrap();
    let chosen = |account: Account| {
        let test = Ok(Test { level: 0.002, shadow_level: 0.05 });
        (account, vec![("a".to_owned(), test), ("b".to_owned(), Err("no test is free".to_owned()))])
    };
    store.number_session(&token, &searched(session.id, true), &config(), &chosen).await.unwrap();
    let mut candidates = [1, 2, 3].map(|n| made::candidate(n, session.id, None));
    candidates[0].untested = Some("no test is free".to_owned());
    candidates[2].untested = Some("it earns on the days of another".to_owned());
    let report = store.finish_session(&token, session.id, &candidates, &[], &learner::Scores::default()).await.unwrap();
    assert_eq!((report.stored, report.untested, report.champions.len()), (1, 2, 3));
    let hashes: Vec<String> = candidates.iter().map(|c| c.strategy.genome_hash.clone()).collect();
    let found = store.find_strategy(&hashes[0]).await;
    assert!(matches!(found, Err(StoreError::NotFound { .. })), "{found:?}");
    let listed = store.protocol_sessions(10).await.unwrap();
    let told: Vec<_> = listed[0].choices.iter().map(|c| (c.level, c.why.as_deref())).collect();
    assert_eq!(told, [(Some(0.002), None), (None, Some("no test is free"))]);
    // Whoever was tested is a strategy now; the others are none.
    let known = store.known_genomes(&hashes).await.unwrap();
    assert_eq!(known.into_iter().collect::<Vec<_>>(), [(hashes[1].clone(), candidates[1].strategy.name.clone())]);
    let ended = store.last_finished_session("main").await.unwrap().unwrap();
    let champions = store.champions(&ended).await.unwrap();
    let genomes: Vec<_> = champions.iter().map(|c| c.genome.read().unwrap().hash().to_string()).collect();
    assert_eq!(genomes, hashes, "best first, tested or not");
    assert_eq!(champions[0].seen_until_ms, candidates[0].strategy.seen_until_ms);
}

#[tokio::test]
async fn null_searches_are_counted_apart_and_once() {
    let (database, store) = support::database().await;
    let (_lease, token) = made::lease(&store).await;
    let id = store.open_session(&token, &made::session("main", 1)).await.unwrap().id;
    store.record_generation(&token, id, &made::generation(0), b"first", &[]).await.unwrap();
    let counts = |evaluations, t_sum: f64| TrialCounts {
        evaluations,
        distinct: evaluations - 1,
        t_count: evaluations,
        t_sum,
        t_sum_of_squares: t_sum * t_sum,
    };
    for _ in 0..2 {
        let null_statistics = vec![Some(3.5), None];
        let trials = Trials { real: counts(130, -2.5), null: counts(500, 3.5), statistic: None, null_statistics };
        store.record_searching(&token, id, b"second", &trials).await.unwrap();
    }
    let found = store.unfinished_session("main").await.unwrap().unwrap();
    assert_eq!(found.state.unwrap(), b"second");
    let row = database
        .client()
        .await
        .query_one(
            "select evaluations, compared_evaluations, null_searches, null_evaluations, null_distinct,
                t_sum::double precision, null_t_sum_of_squares::double precision from trial_ledger",
            &[],
        )
        .await
        .unwrap();
    let number = |i: usize| row.get::<_, i64>(i);
    assert_eq!([0, 1, 2, 3, 4].map(number), [100, 30, 2, 500, 499]);
    assert_eq!((row.get::<_, f64>(5), row.get::<_, f64>(6)), (-2.5, 12.25));
    let totals = store.overview().await.unwrap().protocol;
    assert_eq!((totals.null_searches, totals.null_evaluations), (2, 500));

    store.abandon_session(&token, id, "made up").await.unwrap();
    let trials = Trials { real: counts(1, 0.0), null: counts(1, 0.0), ..Trials::default() };
    let late = store.record_searching(&token, id, b"late", &trials).await;
    assert!(matches!(late, Err(StoreError::Conflict(_))), "{late:?}");
    let totals = store.overview().await.unwrap().protocol;
    assert_eq!(totals.null_evaluations, 500, "an abandoned session's trials were trials");
}

#[tokio::test]
async fn standings_and_placebo_sessions_are_kept() {
    let (_database, store) = support::database().await;
    let (_lease, token) = made::lease(&store).await;
    let session = store.open_session(&token, &made::session("main", 1)).await.unwrap();
    number(&store, &token, &searched(session.id, true)).await;
    assert_eq!(store.protocol_sessions(10).await.unwrap(), [], "it has not ended");
    let standing = standing();
    let strategy = store::NewStrategy { session_id: Some(session.id), ..made::strategy(1) };
    let mut judgement = made::judgement(strategy.id, Some(Transition::EnterShadow));
    judgement.standing = Some(standing.clone());
    let id = strategy.id;
    store
        .finish_session(
            &token,
            session.id,
            &[CandidateRecord { strategy, judgement, untested: None }],
            &[],
            &learner::Scores::default(),
        )
        .await
        .unwrap();
    assert_eq!(store.standings(&[id, Uuid::now_v7()]).await.unwrap(), [(id, standing)].into());

    let placebo = PlaceboRecord {
        session_id: session.id,
        island: "main".to_owned(),
        at_market_ms: made::T1,
        numbers: numbers(1, 1, 0),
        p_value: 0.25,
        null_searches: 4,
        as_good: 1,
        candidates: 10,
        entered: 0,
        promoted: 0,
        tests: 2,
        detail: json!({ "selected": false }),
    };
    store.record_placebo(&token, &placebo, &config()).await.unwrap();
    store.record_placebo(&token, &PlaceboRecord { entered: 5, ..placebo.clone() }, &config()).await.unwrap();
    let account = store.placebo_account(&config(), made::T1).await.unwrap();
    assert!((account.balance - 0.0125 * 0.64).abs() < 1e-12, "its tests were bought once");
    assert!(store.session_numbers(session.id).await.unwrap().unwrap().has_placebo);
    let rows = store.protocol_sessions(10).await.unwrap();
    let told: Vec<_> = rows.iter().map(|r| (r.placebo, r.candidates, r.tests, r.entered, r.p_value)).collect();
    assert_eq!(told, [(true, 10, 2, 0, 0.25), (false, 1, 0, 1, 0.05)]);
    let totals = store.overview().await.unwrap().protocol;
    assert_eq!((totals.real_sessions, totals.real_selected, totals.real_passed), (1, 1, 1));
    assert_eq!((totals.real_tested, totals.placebo_tested), (0, 1), "a session without a test is not compared");
    assert_eq!((totals.placebo_sessions, totals.placebo_passed, totals.placebo_promoted), (1, 0, 0));
    assert_eq!((totals.real_ranking_sessions, totals.placebo_ranking_sessions), (0, 0));

    // A session of the other form, and where its newest generation says so.
    let settings = json!({ "search": { "form": "ranking" } });
    let other = store::NewSession { config: settings, ..made::session("book", 1) };
    let other = store.open_session(&token, &other).await.unwrap();
    number(&store, &token, &searched(other.id, true)).await;
    store.record_generation(&token, other.id, &made::generation(0), b"", &[]).await.unwrap();
    let strategy = store::NewStrategy { session_id: Some(other.id), ..made::strategy(2) };
    let judgement = made::judgement(strategy.id, None);
    let candidate = CandidateRecord { strategy, judgement, untested: None };
    store.finish_session(&token, other.id, &[candidate], &[], &learner::Scores::default()).await.unwrap();
    store.record_placebo(&token, &PlaceboRecord { session_id: other.id, ..placebo }, &config()).await.unwrap();
    let overview = store.overview().await.unwrap();
    let totals = overview.protocol;
    assert_eq!((totals.real_sessions, totals.real_ranking_sessions), (2, 1));
    assert_eq!((totals.placebo_sessions, totals.placebo_ranking_sessions), (2, 1));
    let forms: Vec<_> = overview.last_generations.iter().map(|g| (g.island.as_str(), g.form)).collect();
    assert_eq!(forms, [("book", StrategyForm::Ranking)]);
}
