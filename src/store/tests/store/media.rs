//! Media items are stored once by their content, near-duplicates are one family, and a family is one trial.

use crate::{clients::backtest, made, support};
use media::{Families, Features, Item, KeywordHit, Transcript};
use store::{Imported, NewStrategy, Page, ProposalKind, SERVICE_KIND, Store, StoreError, media_digest};

pub(crate) fn item(x: f64, y: f64) -> Item {
    let hit = KeywordHit {
        keyword: "RSI".to_owned(),
        category: "technical_indicator".to_owned(),
        start_time: 1.5,
        end_time: 2.5,
        confidence: 0.875,
    };
    let said = Transcript { text: "über 30 %, \u{1f680}".to_owned(), start_time: 0.0, end_time: 1e-9 };
    Item { keyword_hits: vec![hit], transcripts: vec![said], embeddings: vec![vec![x, y], vec![2.0 * x, y]] }
}

async fn put(store: &Store, families: &mut Families, id: i32, item: Item) -> Imported {
    store.import_media(families, vec![(id, item)], 1_700_000_000_000).await.unwrap()[0]
}

#[tokio::test]
async fn an_item_is_stored_once_by_its_content_and_comes_back_to_the_bit() {
    let (_database, store) = support::database().await;
    let mut families = Families::default();
    let first = item(0.1 + 0.2, -1e-17);
    let Imported::Created(family) = put(&store, &mut families, 42, first.clone()).await else { panic!("it is new") };
    let stored = store.media_item(42).await.unwrap();
    assert_eq!((&stored.item, stored.features), (&first, Features::of(&first, 1_700_000_000_000)));
    assert_eq!((stored.digest, stored.family, stored.family_items), (media_digest(&first), family, vec![42]));
    assert_eq!(put(&store, &mut families, 42, first.clone()).await, Imported::Unchanged);
    // Later, and by somebody who knows no family yet: what was computed first stays.
    let later = store.import_media(&mut Families::default(), vec![(42, first.clone())], 1).await.unwrap();
    assert_eq!(later, [Imported::Unchanged]);
    assert_eq!(store.media_item(42).await.unwrap().features, stored.features);

    let second = Item { embeddings: Vec::new(), ..item(1.0, 1.0) };
    assert!(
        matches!(put(&store, &mut families, 42, second.clone()).await, Imported::Replaced(other) if other != family)
    );
    assert_eq!(store.media_item(42).await.unwrap().item, second);
    // Twice in one batch: in order.
    let both = vec![(7, item(1.0, 0.0)), (7, item(0.0, 1.0)), (42, second.clone())];
    let imported = store.import_media(&mut families, both, 0).await.unwrap();
    assert!(matches!(imported[..], [Imported::Created(_), Imported::Replaced(_), Imported::Unchanged]), "{imported:?}");
    assert_eq!(store.media_item(7).await.unwrap().item, item(0.0, 1.0));
    assert!(matches!(store.media_item(8).await.unwrap_err(), StoreError::NotFound { .. }));
    let listed = store.media_items(None, Page::first(9)).await.unwrap();
    assert_eq!(listed.iter().map(|line| (line.id, line.keyword_hits)).collect::<Vec<_>>(), [(7, 1), (42, 1)]);
    assert_eq!(store.media_items(Some(i64::MAX), Page::first(9)).await.unwrap(), []);
}

#[tokio::test]
async fn near_duplicates_of_many_writers_are_one_family() {
    let (_database, store) = support::database().await;
    let mut tasks = Vec::new();
    for id in 1..=12 {
        let store = store.clone();
        // Six directions, twice each; nobody knows what the others began.
        let angle = f64::from(id % 6);
        tasks.push(tokio::spawn(async move {
            put(&store, &mut Families::default(), id, item(angle.cos(), angle.sin() + f64::from(id) * 1e-6)).await
        }));
    }
    for task in tasks {
        assert!(matches!(task.await.unwrap(), Imported::Created(_)));
    }
    for id in 1..=6 {
        let stored = store.media_item(id).await.unwrap();
        assert_eq!((stored.family_items.as_slice(), stored.family_size), ([id, id + 6].as_slice(), 2));
    }
}

#[tokio::test]
async fn a_family_is_one_trial_and_verdicts_stay_when_strategies_leave() {
    let (database, store) = support::database().await;
    let mut families = Families::default();
    for (id, x) in [(1, 1.0), (2, 1.000_1), (3, -1.0)] {
        put(&store, &mut families, id, item(x, 0.0)).await;
    }
    let trials = async || store.trial_totals().await.unwrap().evaluations;
    assert_eq!(trials().await, 0);
    let new = NewStrategy { kind: SERVICE_KIND.to_owned(), created_by: "media:1".to_owned(), ..made::strategy(1) };
    let strategy = store.put_strategy(&new, 9).await.unwrap().0;
    let propose = async |id: i32| {
        let digest = store.media_item(id).await.unwrap().digest;
        store.propose_media(id, &digest, &[(ProposalKind::Features, strategy.id)]).await.unwrap()
    };
    let first = propose(1).await;
    assert!(first.is_trial && store.media_item(2).await.unwrap().family_tried_at.is_some());
    let again = propose(2).await;
    assert!(!again.is_trial && !propose(1).await.is_trial && trials().await == 1);
    assert!(propose(3).await.is_trial && trials().await == 2);
    assert_eq!(store.overview().await.unwrap().trials.evaluations, 2);
    let client = database.client().await;
    let forgotten = client.batch_execute("update media_families set tried_at = null").await.unwrap_err();
    assert_eq!(forgotten.as_db_error().and_then(|db| db.constraint()), Some("media_families_trial_fixed"));

    let backtest = store.put_service_backtest(&backtest(strategy.id)).await.unwrap();
    store.judge_media(first.ids[0], backtest, "not_promoted", "no trade").await.unwrap();
    assert!(store.judge_media(again.ids[0], backtest, "splendid", "x").await.is_err());
    let told = store.media_strategies(1, 9).await.unwrap();
    assert_eq!(told.len(), 2, "one each time");
    let judged = &told[1];
    assert_eq!((judged.kind, judged.is_current, judged.backtest_id), (ProposalKind::Features, true, Some(backtest)));
    assert_eq!((judged.status.as_deref(), judged.reason.as_deref()), (Some("not_promoted"), Some("no trade")));
    assert_eq!(judged.strategy.as_ref().unwrap().created_by, "media:1");
    assert_eq!(store.media_items(None, Page::first(9)).await.unwrap()[2].verdicts, [("features".to_owned(), None)]);
    // Other content, and the strategy has left.
    put(&store, &mut families, 1, Item::default()).await;
    client.batch_execute("delete from service_backtests; delete from strategies").await.unwrap();
    let told = store.media_strategies(1, 9).await.unwrap();
    assert!(told.iter().all(|row| !row.is_current && row.strategy.is_none() && row.backtest_id.is_none()), "{told:?}");
    assert_eq!((told[1].status.as_deref(), trials().await), (Some("not_promoted"), 2));
    let none = store.propose_media(9, &media_digest(&Item::default()), &[]).await.unwrap_err();
    assert!(matches!(none, StoreError::NotFound { .. }));
}

#[tokio::test]
async fn what_went_live_names_its_item_in_integers() {
    let (database, store) = support::database().await;
    let id = made::in_shadow(&store, 1).await;
    put(&store, &mut Families::default(), 42, item(1.0, 0.0)).await;
    store.propose_media(42, &media_digest(&item(1.0, 0.0)), &[(ProposalKind::Lexicon, id)]).await.unwrap();
    let live = made::transition(id, lifecycle::Transition::GoLive, made::T1 + made::DAY_MS);
    store.apply_transition(&live, None).await.unwrap();
    let client = database.client().await;
    let rows = client.query("select id, media_item_id from proven_strategies", &[]).await.unwrap();
    // Columns of other types would not read.
    let (number, item): (i32, Option<i32>) = (rows[0].get("id"), rows[0].get("media_item_id"));
    assert_eq!((rows.len(), item), (1, Some(42)));
    assert_eq!(i64::from(number), store.find_strategy(&id.to_string()).await.unwrap().number);
}
