//! What sessions learn from: each strategy with what had shaped it when it was first found, and nothing from after a split.

use super::{made, support};
use ::learner::{self, Lesson, Scores, learn};
use candles::{MarketKind, time::DAY_MS};
use genome::{AnyStrategy, StrategyForm, random::Seed, variation};
use std::slice;
use store::SessionLessons;
use uuid::Uuid;

#[tokio::test]
async fn strategies_teach_from_when_they_were_first_found() {
    let (_database, store) = support::database().await;
    let (_lease, token) = made::lease(&store).await;
    // Two sessions a day apart: 1 and 2 are among the best of both, 3 and 4 of one. 2 and 4 were tested, the others not.
    for (number, found) in [(1, [1, 2, 3]), (2, [1, 2, 4])] {
        let session = store.open_session(&token, &made::session("main", number)).await.unwrap();
        let mut candidates = found.map(|n| made::candidate(n, session.id, None));
        for (candidate, n) in candidates.iter_mut().zip(found) {
            candidate.strategy.seen_until_ms = Some(made::T1 + number as i64 * DAY_MS);
            candidate.untested = [1, 3].contains(&n).then(|| "no test is free".to_owned());
        }
        store.finish_session(&token, session.id, &candidates, &[], &learner::Scores::default()).await.unwrap();
    }
    let past = |market, split_ms| {
        let store = store.clone();
        async move {
            let found = store.past_strategies((market, StrategyForm::Rules), split_ms).await.unwrap();
            let mut named: Vec<_> = found
                .iter()
                .map(|p| (p.genome.read().unwrap().hash().to_string(), (p.seen_until_ms - made::T1) / DAY_MS))
                .collect();
            named.sort();
            named
        }
    };
    let mut expected = [(1, 1), (2, 1), (3, 1), (4, 2)].map(|(n, day)| (made::hash(n), day)).to_vec();
    expected.sort();
    assert_eq!(past(MarketKind::Spot, made::T1 + 10 * DAY_MS).await, expected);
    // Of those that had seen something of what comes after a split, nothing is learnt.
    expected.retain(|(_, day)| *day == 1);
    assert_eq!(past(MarketKind::Spot, made::T1 + 2 * DAY_MS).await, expected);
    assert_eq!(past(MarketKind::Spot, made::T1 + DAY_MS).await, []);
    assert_eq!(past(MarketKind::Um, made::T1 + 10 * DAY_MS).await, []);
}

#[tokio::test]
async fn what_a_session_was_taught_stays() {
    let (_database, store) = support::database().await;
    let (_lease, token) = made::lease(&store).await;
    assert_eq!(store.newest_lessons(None).await.unwrap(), None);
    let session = store.open_session(&token, &made::session("main", 1)).await.unwrap();
    assert_eq!(store.session_lessons(session.id).await.unwrap(), None);
    let strategy = made::genome(1);
    let returns = (0..60).map(|day| if day % 3 == 0 { 0.02 } else { -0.005 } / 3.0).collect();
    let learnt = learn(slice::from_ref(&Lesson { strategy: strategy.into(), returns }));
    assert!(learnt.is_some());
    let lessons = SessionLessons { strategies: 7, learnt };
    // To the bit, and once: a session that is begun again is taught what it was taught first.
    let to_ms = session.spec.window_to_ms;
    assert!(!store.was_taught("main", to_ms..to_ms + 1).await.unwrap());
    assert_eq!(store.record_lessons(&token, session.id, &lessons).await.unwrap(), lessons);
    // Of its island, and of the day on which its window ends.
    assert!(store.was_taught("main", to_ms..to_ms + 1).await.unwrap());
    assert!(!store.was_taught("main", to_ms - DAY_MS..to_ms).await.unwrap());
    assert!(!store.was_taught("other", to_ms..to_ms + 1).await.unwrap());
    let other = SessionLessons { strategies: 8, learnt: None };
    assert_eq!(store.record_lessons(&token, session.id, &other).await.unwrap(), lessons);
    let (of, newest) = store.newest_lessons(Some("main")).await.unwrap().unwrap();
    assert_eq!((of.id, newest), (session.id, lessons));
    assert_eq!(store.newest_lessons(Some("other")).await.unwrap(), None);
    assert!(store.record_lessons(&token, Uuid::now_v7(), &other).await.is_err(), "no such session");
}

#[tokio::test]
async fn what_searches_said_is_added_up_by_day_once_a_session() {
    let (_database, store) = support::database().await;
    let (_lease, token) = made::lease(&store).await;
    let said = |worth: f64, is_null: bool| {
        let mut search = learner::Scored::default();
        let rng = &mut Seed(worth as u64).stream("said", 0);
        for n in 0..80 {
            let strategy = AnyStrategy::from(variation::random(&variation::VariationConfig::default(), rng));
            let has = learner::features(&strategy).contains(&"sides long".to_owned());
            search.add(&strategy, f64::from(n % 7) + if has { worth } else { 0.0 });
        }
        let mut scores = Scores::default();
        scores.add(&search, is_null);
        scores
    };
    let mut expected = Scores::default();
    for number in 1..=3 {
        // The first two look at candles up to the same day.
        let mut new = made::session("main", number);
        let later_ms = if number == 3 { DAY_MS } else { 0 };
        (new.holdout_from_ms, new.window_to_ms) = (new.holdout_from_ms + later_ms, new.window_to_ms + later_ms);
        let session = store.open_session(&token, &new).await.unwrap();
        let mut scores = said(number as f64 * 3.0, false);
        (0..10).for_each(|null| scores.join(&said(f64::from(null), true)));
        let report = store.finish_session(&token, session.id, &[], &[], &scores).await.unwrap();
        let again = store.finish_session(&token, session.id, &[], &[], &scores).await.unwrap();
        assert_eq!(report, again, "finishing twice adds nothing");
        expected.join(&scores);
    }
    let all = store.search_scores(2).await.unwrap();
    assert_eq!(all.len(), 1);
    assert_eq!((all[0].sessions, all[0].market, all[0].form), (3, MarketKind::Spot, StrategyForm::Rules));
    assert_eq!(((all[0].days.1 - all[0].days.0).num_days(), all[0].all_sessions), (1, 3));
    assert_eq!(all[0].scores, all[0].all);
    let (found, wanted) = (all[0].all.contrasts(), expected.contrasts());
    assert!(found.len() > 10 && found.keys().eq(wanted.keys()));
    for (name, contrast) in found {
        let close = |a: f64, b: f64| (a - b).abs() < 1e-9;
        assert!(close(contrast.real, wanted[name].real) && close(contrast.null_sd, wanted[name].null_sd), "{name}");
    }
    // The newest day alone has as many as are asked for; two days have more.
    let newest = store.search_scores(1).await.unwrap().remove(0);
    assert_eq!((newest.sessions, newest.all_sessions, newest.all == all[0].all), (1, 3, true));
    assert_ne!(newest.scores, newest.all);
}
