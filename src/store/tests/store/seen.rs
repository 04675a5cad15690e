//! What strategies from outside the search have seen: stored, audited, refused where it cannot be.

use crate::{made, protocol, support};
use lifecycle::Transition;
use serde_json::json;
use store::{FeedStatus, NewStrategy, StoreError, TransitionRecord, WaitingRecord};

fn stated(n: u32, seen_until_ms: i64) -> NewStrategy {
    NewStrategy { seen_until_ms: Some(seen_until_ms), seen_is_stated: true, ..made::strategy(n) }
}

#[test]
fn nobody_has_seen_the_future() {
    assert_eq!(store::seen_until(None, 7_000), Ok(7_000));
    assert_eq!(store::seen_until(Some(7_000), 7_000), Ok(7_000));
    let why = store::seen_until(Some(made::T1 + 1_000), made::T1).unwrap_err();
    assert!(why.contains("lies in the future") && why.contains("exchange's clock"), "{why}");
}

#[tokio::test]
async fn a_strategy_is_added_with_one_statement_of_what_it_has_seen() {
    let (_database, store) = support::database().await;
    assert!(store.add_strategy(&stated(1, made::T1)).await.unwrap().is_some());
    assert!(store.add_strategy(&stated(1, made::T1)).await.unwrap().is_none(), "the same again");
    let unstated = NewStrategy { seen_until_ms: Some(made::T1 + 5), ..made::strategy(1) };
    assert!(store.add_strategy(&unstated).await.unwrap().is_none(), "who states nothing contradicts nothing");
    let another = stated(1, made::T1 - made::DAY_MS);
    for error in [store.add_strategy(&another).await.unwrap_err(), store.put_strategy(&another, 100).await.unwrap_err()]
    {
        let StoreError::Conflict(why) = &error else { panic!("{error}") };
        assert!(why.contains("stored already, as strategy 1") && why.contains("does not change"), "{why}");
    }
    let found = store.find_strategy("made-1").await.unwrap();
    assert_eq!((found.seen_until_ms, found.may_have_seen_until_ms()), (Some(made::T1), made::T1));
    let audit = store.audit_of_strategy(found.id, 10).await.unwrap();
    assert_eq!(audit.len(), 1, "what was refused left no trace");
    assert_eq!(audit[0].after.as_ref().unwrap()["seen_until_ms"], made::T1);
    assert_eq!(audit[0].metadata["seen_until_stated"], true);

    // Stored before anybody asked: it may have seen all there was.
    let unasked = NewStrategy { seen_until_ms: None, ..made::strategy(2) };
    store.add_strategy(&unasked).await.unwrap();
    let found = store.find_strategy("made-2").await.unwrap();
    assert_eq!(found.may_have_seen_until_ms(), found.created_at.timestamp_millis());
}

#[tokio::test]
async fn a_revived_strategy_has_seen_all_candles_up_to_then_and_stands_nowhere() {
    let (_database, store) = support::database().await;
    let (_lease, token) = made::lease(&store).await;
    let session = store.open_session(&token, &made::session("main", 1)).await.unwrap();
    let strategy = stated(1, made::T1 - 40 * made::DAY_MS);
    store.add_strategy(&strategy).await.unwrap();
    let id = strategy.id;
    let text = store.strategy("made-1").await.unwrap().no_holdout.unwrap();
    assert!(text.starts_with("no hold-out evidence: candles up to "), "{text}");
    let mut judgement = made::judgement(id, Some(made::REJECT));
    judgement.standing = Some(protocol::standing());
    let waiting = WaitingRecord { strategy_id: id, judgement };
    store.finish_session(&token, session.id, &[], &[waiting], &learner::Scores::default()).await.unwrap();
    assert_eq!(store.standings(&[id]).await.unwrap().len(), 1);
    assert_eq!(store.strategy("made-1").await.unwrap().no_holdout, None, "nobody asks for proof of what is disabled");

    // Less than it had seen when it was stored cannot be.
    let revival =
        |at_ms, seen_until_ms| TransitionRecord { seen_until_ms, ..made::transition(id, Transition::Revive, at_ms) };
    let less = revival(made::T1 + 1, Some(made::T1 - 41 * made::DAY_MS));
    let error = store.apply_transition(&less, None).await.unwrap_err();
    assert!(matches!(&error, StoreError::Conflict(why) if why.contains("already")), "{error}");
    assert_eq!(store.find_strategy("made-1").await.unwrap().state, lifecycle::State::Disabled);

    let all = revival(made::T1 + made::DAY_MS, None);
    store.apply_transition(&all, None).await.unwrap();
    store.apply_transition(&all, None).await.unwrap();
    let detail = store.strategy("made-1").await.unwrap();
    assert_eq!(detail.strategy.seen_until_ms, Some(made::T1 + made::DAY_MS));
    let why = detail.no_holdout.unwrap();
    assert!(why.contains("whose hold-out begins no earlier"), "{why}");
    assert_eq!(store.standings(&[id]).await.unwrap(), [].into(), "its hold-out was looked at before it came back");
    let audit = store.audit_of_strategy(id, 10).await.unwrap();
    let is_revival = |row: &&store::AuditRow| {
        let states = |state: &Option<serde_json::Value>| state.as_ref().map(|s| s["state"].clone());
        (states(&row.before), states(&row.after)) == (Some(json!("disabled")), Some(json!("candidate")))
    };
    let revived = audit.iter().find(is_revival).unwrap();
    assert_eq!(revived.after.as_ref().unwrap()["seen_until_ms"], made::T1 + made::DAY_MS);
    assert_eq!(revived.metadata["seen_until_stated"], false);

    // What is stated counts, and is on record.
    store.apply_transition(&made::transition(id, made::REJECT, made::T1 + 2 * made::DAY_MS), None).await.unwrap();
    let stated_ms = made::T1 + made::DAY_MS + 7;
    store.apply_transition(&revival(made::T1 + 9 * made::DAY_MS, Some(stated_ms)), None).await.unwrap();
    assert_eq!(store.find_strategy("made-1").await.unwrap().seen_until_ms, Some(stated_ms));
    // Nothing but a revival states it.
    let enter =
        TransitionRecord { seen_until_ms: Some(1), ..made::transition(id, made::REJECT, made::T1 + 10 * made::DAY_MS) };
    assert!(matches!(store.apply_transition(&enter, None).await, Err(StoreError::Invalid(_))));
}

#[tokio::test]
async fn the_market_s_time_is_the_exchange_s_gone_on_with() {
    let (database, store) = support::database().await;
    assert_eq!(store.market_now_ms(123).await.unwrap(), 123, "nobody asked it yet");
    let feed = FeedStatus {
        market: candles::MarketKind::Spot,
        symbol: "BTCUSDT".parse().unwrap(),
        interval: candles::Interval::M15,
        newest_close_ms: Some(made::T1 - 1),
        exchange_time_ms: Some(made::T1),
        gaps: 0,
        error: None,
        refreshed_at: chrono::DateTime::UNIX_EPOCH,
    };
    store.record_feed(&feed).await.unwrap();
    let sql = "select (extract(epoch from refreshed_at) * 1000)::bigint from feed_status";
    let told_ms: i64 = database.client().await.query_one(sql, &[]).await.unwrap().get(0);
    let now_ms = store.market_now_ms(told_ms + 5_000).await.unwrap();
    assert!((made::T1 + 4_999..=made::T1 + 5_001).contains(&now_ms), "{}", json!(now_ms));
    assert_eq!(store.market_now_ms(told_ms - 5_000).await.unwrap(), made::T1, "it does not go back");
}
