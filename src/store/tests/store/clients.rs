//! What clients posted and nobody uses leaves; what anything refers to stays, whoever asks.

use crate::{made, support};
use candles::{Coverage, SymbolCoverage};
use lifecycle::Transition;
use secrecy::ExposeSecret;
use serde_json::json;
use std::collections::BTreeSet;
use store::{
    ConnectOptions, NewResult, NewServiceBacktest, NewStrategy, Page, RemovedOfClients, SERVICE_KIND, Store,
    StoreConfig,
};
use uuid::Uuid;

fn posted(n: u32) -> NewStrategy {
    NewStrategy { kind: SERVICE_KIND.to_owned(), created_by: "service".to_owned(), ..made::strategy(n) }
}

/// A backtest that a client asked for.
pub(crate) fn backtest(strategy_id: Uuid) -> NewServiceBacktest {
    let coverage = Coverage { candles: 2_880, missing_candles: 3, warm_up_candles: 90, missing_warm_up_candles: 6 };
    NewServiceBacktest {
        strategy_id,
        from_ms: made::T1 - 30 * made::DAY_MS,
        to_ms: made::T1,
        parameters: made::recipe(),
        data_version: made::hash(1),
        candles: 2_880,
        missing_candles: 3,
        coverage: vec![SymbolCoverage { symbol: "BTCUSDT".parse().unwrap(), coverage }],
        performance: made::performance(Some(1.2)),
        daily_equity: vec![engine::DailyEquity { time_ms: made::T1, equity: 10_000.1 }],
        trades: vec![made::trade(made::T1 - made::DAY_MS, 1.5)],
        portfolio: None,
        duration_ms: 17,
    }
}

async fn post(store: &Store, n: u32) -> Uuid {
    store.put_strategy(&posted(n), 100).await.unwrap().0.id
}

#[tokio::test]
async fn what_clients_posted_leaves_when_nobody_uses_it_and_nothing_refers_to_it() {
    let (database, store) = support::database().await;
    let [unused, tested, moved, parent, asked_about, commanded, lately, young] =
        [1, 2, 3, 4, 5, 6, 7, 8].map(|n| post(&store, n));
    let (unused, tested, moved, parent) = (unused.await, tested.await, moved.await, parent.await);
    let (asked_about, commanded, lately) = (asked_about.await, commanded.await, lately.await);
    let child = NewStrategy { parent_hashes: vec![posted(4).genome_hash], ..made::strategy(20) };
    store.add_strategy(&child).await.unwrap();
    // A candidate again, with a past.
    for step in [made::REJECT, Transition::Revive] {
        store.apply_transition(&made::transition(moved, step, made::T1), None).await.unwrap();
    }
    let result = NewResult {
        strategy_id: asked_about,
        backtest_id: Some("session:backtest".to_owned()),
        metrics: json!({}),
        parameters: made::recipe().into(),
        period_start: None,
        period_end: None,
    };
    store.record_results(&[result]).await.unwrap();
    for id in [unused, unused, tested, lately, child.id] {
        store.put_service_backtest(&backtest(id)).await.unwrap();
    }
    let client = database.client().await;
    let long_ago = format!(
        "update strategies set created_at = now() - interval '91 days';
         update service_backtests set created_at = now() - interval '91 days' where strategy_id <> '{lately}';
         insert into operator_commands (kind, target, why, actor, status, outcome, finished_at)
             values ('approve', '{commanded}', 'why', 'somebody', 'failed', 'it expired', now())"
    );
    client.batch_execute(&long_ago).await.unwrap();
    let young = young.await;

    let user = format!("{}_clients", database.name);
    client.batch_execute(&format!("create role {user} login in role sg_ai_writer")).await.unwrap();
    let url: secrecy::SecretString = database.url.expose_secret().replace("://sg_ai@", &format!("://{user}@")).into();
    let options = ConnectOptions::from_url(&url).unwrap();
    let writer = Store::connect(&options, &StoreConfig::default()).await.unwrap();
    assert!(writer.remove_unused_of_clients(6, "a writer").await.is_err(), "nobody removes what is days old");
    assert_eq!(store.remove_unused_of_clients(100, "review").await.unwrap(), RemovedOfClients::default());
    let removed = writer.remove_unused_of_clients(90, "review").await.unwrap();
    assert_eq!(removed, RemovedOfClients { strategies: 2, backtests: 4 }, "with backtests of what stays");
    assert_eq!(writer.remove_unused_of_clients(90, "review").await.unwrap(), RemovedOfClients::default());
    let left: BTreeSet<Uuid> =
        client.query("select id from strategies", &[]).await.unwrap().iter().map(|row| row.get(0)).collect();
    let stays = [moved, parent, asked_about, commanded, lately, young, child.id];
    assert_eq!(left, stays.into_iter().collect::<BTreeSet<_>>());
    assert_eq!(store.service_backtests_of(lately, Page::first(9)).await.unwrap().len(), 1);
    assert_eq!(store.service_backtests_of(child.id, Page::first(9)).await.unwrap(), []);
    for gone in [unused, tested] {
        let entry = store.audit_of_strategy(gone, 1).await.unwrap().remove(0);
        assert_eq!((entry.actor.as_str(), &entry.metadata["what"]), ("review", &json!("removed")));
    }
    assert_eq!(store.verify_audit_chain().await.unwrap().first_bad, None);
    assert_eq!(post(&store, 1).await, store.put_strategy(&posted(1), 100).await.unwrap().0.id, "it may come again");
}
