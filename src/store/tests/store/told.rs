//! What people are told while they wait: searches under way, best scores, and whether the market is simulated.

use crate::{made, support};
use serde_json::json;
use store::{NewSession, Page, TrialCounts, Trials};

#[tokio::test]
async fn a_search_under_way_says_how_far_it_is() {
    let (_database, store) = support::database().await;
    let (_lease, token) = made::lease(&store).await;
    assert!(store.searches_under_way().await.unwrap().is_empty());
    let config = json!({ "search": { "generations": 2 }, "protocol": { "null_searches": 4 } });
    let spec = NewSession { config, ..made::session("main", 1) };
    let id = store.open_session(&token, &spec).await.unwrap().id;
    let [begun] = &store.searches_under_way().await.unwrap()[..] else { panic!("one") };
    assert_eq!((begun.generations_done, begun.generations, begun.compared, begun.done_fraction), (0, 2, false, 0.0));
    assert_eq!(begun.left_s, None, "nothing is done yet");
    assert_eq!((begun.statistic, begun.null_statistics.len()), (None, 0));

    for number in 0..2 {
        store.record_generation(&token, id, &made::generation(number), b"state", &[]).await.unwrap();
    }
    let counts = |evaluations| TrialCounts { evaluations, ..TrialCounts::default() };
    let trials =
        Trials { real: counts(300), null: counts(150), statistic: Some(21.5), null_statistics: vec![Some(8.25)] };
    store.record_searching(&token, id, b"state", &trials).await.unwrap();
    let [now] = &store.searches_under_way().await.unwrap()[..] else { panic!("one") };
    assert_eq!((now.session_id, now.island.as_str(), now.number), (id, "main", 1));
    assert_eq!((now.generations_done, now.compared, now.null_searches_done, now.null_searches), (2, true, 1, 4));
    assert_eq!((now.statistic, now.null_statistics.as_slice()), (Some(21.5), &[Some(8.25)][..]));
    // Two generations of its own, two of the compared search, two of one null search, of twelve in all.
    assert_eq!((now.done_fraction, now.evaluations, now.best_fitness), (0.5, 450, Some(61.5)));
    let took_s = (now.stored_at - now.started_at).as_seconds_f64();
    assert!((now.left_s.unwrap() - took_s).abs() < 1e-9, "as long again");
    store.abandon_session(&token, id, "enough").await.unwrap();
    assert!(store.searches_under_way().await.unwrap().is_empty());
}

#[tokio::test]
async fn rankings_are_compared_with_two_kinds_of_null_market() {
    let (_database, store) = support::database().await;
    let (_lease, token) = made::lease(&store).await;
    let config = json!({ "search": { "generations": 2, "form": "ranking" }, "protocol": { "null_searches": 4 } });
    store.open_session(&token, &NewSession { config, ..made::session("main", 1) }).await.unwrap();
    assert_eq!(store.searches_under_way().await.unwrap()[0].null_searches, 8);
}

#[tokio::test]
async fn disabled_strategies_are_among_the_best_only_if_asked_for() {
    let (_database, store) = support::database().await;
    let id = made::in_shadow(&store, 1).await;
    store.record_score(id, &made::score(80.0), &[]).await.unwrap();
    let best = async |disabled| store.ranking(disabled, Page::first(9)).await.unwrap().len();
    assert_eq!((best(false).await, best(true).await), (1, 1));
    let failed =
        lifecycle::Transition::Disable { from: lifecycle::State::Shadow, reason: lifecycle::DisableReason::Failed };
    store.apply_transition(&made::transition(id, failed, made::T1 + made::DAY_MS), None).await.unwrap();
    assert_eq!((best(false).await, best(true).await), (0, 1));
}

#[tokio::test]
async fn one_simulated_source_is_enough_for_good() {
    let (_database, store) = support::database().await;
    store.note_market_source("binance", false).await.unwrap();
    assert!(!store.is_simulated().await.unwrap());
    store.note_market_source("http://127.0.0.1:9/", true).await.unwrap();
    store.note_market_source("http://127.0.0.1:9/", false).await.unwrap();
    assert!(store.is_simulated().await.unwrap(), "what rests on it is still there");
    assert!(store.overview().await.unwrap().simulated);
}
