//! Optimisations: a run with its points, said twice, counted once, sealed where genomes are.

use crate::{made, support};
use genome::random::Seed;
use portfolio::Execution;
use serde_json::json;
use store::{NewOptimization, NewPoint, Page, Store, StoreConfig, StoreError};
use uuid::Uuid;

fn run(n: u128) -> NewOptimization {
    NewOptimization {
        id: Uuid::from_u128(n),
        genome_hash: "abc".to_owned(),
        name: Some("cross".to_owned()),
        canonical: "15m; long entry close > 1".to_owned(),
        settings: json!({ "space": [{ "names": ["entry.long.1.rsi.period"], "values": [5.0, 6.0] }] }),
        method: "grid".to_owned(),
        objectives: vec!["sharpe".to_owned(), "drawdown".to_owned()],
        recipe: made::recipe(),
        execution: Some(Execution::realistic()),
        from_ms: made::T1 - 90 * made::DAY_MS,
        to_ms: made::T1,
        data_version: "def".to_owned(),
        budget: 5_000,
        seed: Seed(u64::MAX),
    }
}

fn point(n: u32) -> NewPoint {
    let failed = n % 10 == 3;
    NewPoint {
        point: n,
        values: vec![f64::from(n), 0.25],
        objective: (!failed).then(|| f64::from(n % 7) / 3.0),
        figures: (!failed).then(|| json!({ "total_trades": n })),
        error: failed.then(|| "fast must be below slow".to_owned()),
    }
}

async fn filled(store: &Store, n: u128) -> Uuid {
    let run = run(n);
    store.open_optimization(&run).await.unwrap();
    let points: Vec<NewPoint> = (0..4_500).map(point).collect();
    store.record_optimization_points(run.id, &points[..3_000]).await.unwrap();
    run.id
}

#[tokio::test]
async fn a_run_that_is_told_twice_is_counted_once() {
    let (_database, store) = support::database().await;
    assert_eq!(store.trial_totals().await.unwrap().evaluations, 0);
    let id = filled(&store, 0xab).await;
    // Killed before it was noted how far it came: it opens again, and says again what it said.
    assert_eq!(filled(&store, 0xab).await, id);
    let points: Vec<NewPoint> = (2_000..4_500).map(point).collect();
    store.record_optimization_points(id, &points).await.unwrap();
    let totals = store.trial_totals().await.unwrap();
    assert_eq!((totals.evaluations, totals.distinct, totals.failures), (4_050, 4_050, 450));
    let listed = store.optimizations(Page::first(9)).await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!((listed[0].points, listed[0].evaluations, listed[0].status.as_str()), (4_500, 4_050, "running"));
    assert_eq!((listed[0].budget, listed[0].seed), (5_000, Seed(u64::MAX)));

    store.finish_optimization(id, &json!({ "trials": 4_050 }), Some((6, 2.0))).await.unwrap();
    let found = store.optimization(&id.to_string()).await.unwrap();
    assert_eq!(
        (found.line.status.as_str(), found.line.best_objective, found.line.best_point),
        ("completed", Some(2.0), Some(6))
    );
    assert_eq!(found.report, Some(json!({ "trials": 4_050 })));
    assert_eq!(found.strategy, "15m; long entry close > 1");
    assert_eq!(found.parameters.read().unwrap(), &made::recipe());
    assert_eq!(found.parameters.json()["execution"], serde_json::to_value(Execution::realistic()).unwrap());
    let best = store.optimization_points(id, Page::first(3)).await.unwrap();
    assert_eq!(
        best.iter().map(|p| (p.point, p.objective)).collect::<Vec<_>>(),
        [(6, Some(2.0)), (20, Some(2.0)), (27, Some(2.0))]
    );
    assert_eq!(best[0].values, [6.0, 0.25]);
    let failed = store.optimization_point(id, 13).await.unwrap();
    assert_eq!((failed.figures, failed.error.as_deref()), (None, Some("fast must be below slow")));
    // Searches are listed without points.
    assert_eq!(store.optimization_runs(Page::first(9)).await.unwrap(), []);
}

#[tokio::test]
async fn what_is_not_there_is_said() {
    let (_database, store) = support::database().await;
    let nobody = Uuid::from_u128(9);
    let error = store.record_optimization_points(nobody, &[point(0)]).await.unwrap_err();
    assert!(matches!(error, StoreError::NotFound { .. }), "{error:?}");
    assert!(matches!(store.optimization("00000009").await.unwrap_err(), StoreError::NotFound { .. }));
    let (a, b) = (run(0x1_0000_abcd), run(0x2_0000_abcd));
    store.open_optimization(&a).await.unwrap();
    store.open_optimization(&b).await.unwrap();
    assert!(matches!(store.optimization("abcd").await.unwrap_err(), StoreError::Ambiguous { .. }));
    assert_eq!(store.optimization("10000abcd").await.unwrap().line.id, a.id);
    assert!(matches!(store.optimization_point(a.id, 0).await.unwrap_err(), StoreError::NotFound { .. }));
    let error = store.note_optimized_strategy(a.id, 0, nobody).await.unwrap_err();
    assert!(matches!(error, StoreError::NotFound { .. }), "{error:?}");
}

#[tokio::test]
async fn a_point_becomes_a_strategy() {
    let (_database, store) = support::database().await;
    let id = filled(&store, 0xab).await;
    made::in_shadow(&store, 1).await;
    let strategy = store.strategy("made-1").await.unwrap().strategy.id;
    store.note_optimized_strategy(id, 6, strategy).await.unwrap();
    assert_eq!(store.optimization_point(id, 6).await.unwrap().strategy_id, Some(strategy));
}

#[tokio::test]
async fn what_tells_rules_is_sealed_and_sealed_anew() {
    let (database, _plain) = support::database().await;
    let key = |n: u8| secrecy::SecretString::from(hex::encode([n; 32]));
    let with = |current: u8, former: &[u8]| StoreConfig {
        genome_key: Some(key(current)),
        genome_former_keys: former.iter().map(|n| key(*n)).collect(),
        ..StoreConfig::default()
    };
    let first = database.store_with(&with(1, &[])).await;
    let id = filled(&first, 0xab).await;
    first.finish_optimization(id, &json!({ "best": "entry.long.1.rsi.period" }), None).await.unwrap();
    let client = database.client().await;
    let sql = "select concat(o.canonical, o.settings, o.report, string_agg(r.parameters::text, ''))
        from optimizations o join optimization_runs r on r.optimization_id = o.id group by o.id";
    let text: String = client.query_one(sql, &[]).await.unwrap().get(0);
    assert!(!text.contains("entry") && !text.contains("close"), "rules in the clear");
    let second = database.store_with(&with(2, &[1])).await;
    second.rotate_genome_keys(10, "a test", |_| {}).await.unwrap();
    // Without the former key.
    let found = database.store_with(&with(2, &[])).await.optimization("ab").await;
    assert!(found.is_err(), "two characters are too few");
    let found = database.store_with(&with(2, &[])).await.optimization(&id.to_string()).await.unwrap();
    assert_eq!(found.strategy, run(0xab).canonical);
    assert_eq!(
        (found.settings, found.report.unwrap()["best"].clone()),
        (run(0xab).settings, json!("entry.long.1.rsi.period"))
    );
}
