//! Verdicts about candles, revised candles, and what rested on them.

use crate::{made, paper, support};
use candles::{
    DataVerdict, Interval, MarketKind, Symbol, Ticker,
    stored::{CandleRange, Part},
    verdict::SymbolVerdict,
};
use lifecycle::{State, Transition};
use serde_json::json;
use store::{NewRevision, Page, Rescore, Rescored, StatSource, Store, StoreError};
use uuid::Uuid;

const SPOT: MarketKind = MarketKind::Spot;

fn btc() -> Symbol {
    "BTCUSDT".parse().unwrap()
}

fn verdict(from_ms: i64, fit: bool) -> DataVerdict {
    let symbol = SymbolVerdict {
        symbol: btc(),
        fit,
        candles: 96,
        expected: 97,
        missing: 1,
        zero_volumes: 0,
        errors: 0,
        warnings: 1,
        notes: 2,
        findings: Vec::new(),
    };
    DataVerdict {
        market: SPOT,
        interval: Interval::M15,
        from_ms,
        to_ms: made::T1,
        fit,
        reason: "one candle is missing".to_owned(),
        symbols: vec![symbol],
    }
}

#[tokio::test]
async fn verdicts_are_kept_by_candles_and_window() {
    let (_database, store) = support::database().await;
    let (one, other) = (made::hash(1), made::hash(2));
    let (lease, token) = made::lease(&store).await;
    let first = store.record_data_verdict(&token, &one, &verdict(0, false)).await.unwrap();
    let same = store.record_data_verdict(&token, &one, &verdict(0, true)).await.unwrap();
    let second = store.record_data_verdict(&token, &one, &verdict(made::DAY_MS, false)).await.unwrap();
    store.record_data_verdict(&token, &other, &verdict(0, true)).await.unwrap();
    assert_eq!(first, same, "a later verdict about the same takes its place");
    let found = store.data_verdicts_of(&one).await.unwrap();
    assert_eq!(found.iter().map(|row| row.id).collect::<Vec<_>>(), [first, second]);
    assert_eq!((&found[0].verdict, &found[0].data_version), (&verdict(0, true), &one));
    let unfit = store.data_verdicts(true, Page::first(9)).await.unwrap();
    assert_eq!(unfit, found[1..]);
    assert_eq!(store.data_verdicts(false, Page::first(9)).await.unwrap().len(), 3);
    lease.release().await;
    let _next = made::lease(&store).await;
    let late = store.record_data_verdict(&token, &other, &verdict(0, false)).await;
    assert!(matches!(late, Err(StoreError::LeaseLost { .. })), "{late:?}");
}

/// A session's strategy in shadow, whose run has seen three days; and its run.
async fn in_shadow(store: &Store) -> (Uuid, Uuid) {
    let (_lease, token) = made::lease(store).await;
    let session = store.open_session(&token, &made::session("main", 1)).await.unwrap().id;
    store.record_generation(&token, session, &made::generation(0), b"state", &[]).await.unwrap();
    let candidate = made::candidate(1, session, Some(Transition::EnterShadow));
    let id = candidate.strategy.id;
    store.finish_session(&token, session, &[candidate], &[], &learner::Scores::default()).await.unwrap();
    let run = store.paper_runs(&[State::Shadow]).await.unwrap()[0].run.id;
    store.record_paper_pass(&token, &paper::pass(run, 3)).await.unwrap();
    (id, run)
}

#[tokio::test]
async fn whatever_rested_on_candles_is_found() {
    let (_database, store) = support::database().await;
    let (id, _) = in_shadow(&store).await;
    let eth: Symbol = "ETHUSDT".parse().unwrap();
    assert_eq!(store.strategies_on(&Ticker::of(SPOT, &btc())).await.unwrap(), [id]);
    assert!(store.strategies_on(&Ticker::of(SPOT, &eth)).await.unwrap().is_empty());
    assert!(store.strategies_on(&Ticker::of(MarketKind::Um, &btc())).await.unwrap().is_empty());

    let (from_ms, to_ms) = (made::T1 - 90 * made::DAY_MS, made::T1);
    let [used] = &store.sessions_on(&Ticker::of(SPOT, &eth), (from_ms, from_ms)).await.unwrap()[..] else {
        panic!("one")
    };
    assert_eq!((used.island.as_str(), used.number, used.market, used.interval), ("main", 1, SPOT, Interval::M15));
    assert_eq!((&used.symbols[..], used.generations), (&[btc(), eth.clone()][..], 1));
    assert_eq!((used.warmup_from_ms, used.window_from_ms, used.window_to_ms), (from_ms, from_ms, to_ms));
    assert_eq!(used.data_version, made::hash(0xda7a));
    assert_eq!(
        store.sessions_on(&Ticker::of(SPOT, &eth), (to_ms, to_ms)).await.unwrap(),
        [],
        "its window has ended by then"
    );

    let uses = store.data_version_uses(&made::hash(0xda7a)[..62]).await.unwrap();
    let told: Vec<_> = uses.iter().map(|u| (u.what.as_str(), u.name.as_str(), u.from_ms, u.generations)).collect();
    let split = made::T1 - 30 * made::DAY_MS;
    assert_eq!(
        told,
        [
            ("backtest", "made-1", from_ms, None),
            ("holdout", "made-1", split, None),
            ("session", "main/1", from_ms, Some(1))
        ]
    );
    assert_eq!((uses[1].to_ms, &uses[1].data_version), (to_ms, &made::hash(0xda7a)));

    let mut held = store.candles_in_use().await.unwrap();
    held.sort_by_key(|range| (range.symbol.to_string(), range.from_ms, range.to_ms));
    let range = |symbol: &Symbol, from_days: i64, to_days: i64| CandleRange {
        market: SPOT,
        symbol: symbol.clone(),
        interval: Interval::M15,
        from_ms: made::T1 + from_days * made::DAY_MS,
        to_ms: made::T1 + to_days * made::DAY_MS,
    };
    assert_eq!(
        held,
        [range(&btc(), -100, 0), range(&btc(), -90, 0), range(&btc(), -10, 3), range(&eth, -90, 0)],
        "of backtests, the session, the paper run"
    );
}

#[tokio::test]
async fn a_revision_is_dealt_with_once() {
    let (_database, store) = support::database().await;
    let (id, run) = in_shadow(&store).await;
    let (_lease, token) = made::lease(&store).await;
    let new = NewRevision {
        market: SPOT,
        symbol: btc(),
        part: Part::Candles(Interval::M15),
        month: "2023-11".to_owned(),
        old_sha256: made::hash(1),
        new_sha256: made::hash(2),
        count: 2,
        first_open_ms: made::T1 - 900_000,
        last_open_ms: made::T1,
        detail: json!([]),
    };
    let (row, is_new) = store.record_revision(&new).await.unwrap();
    assert!(is_new);
    assert_eq!((row.market, &row.symbol, row.part, row.month.as_str()), (SPOT, &btc(), new.part, "2023-11"));
    assert_eq!((row.candles, row.first_open_ms, row.last_open_ms), (2, made::T1 - 900_000, made::T1));
    assert_eq!((&row.old_sha256, &row.new_sha256, row.handled_at), (&new.old_sha256, &new.new_sha256, None));
    assert_eq!(store.record_revision(&new).await.unwrap(), (row.clone(), false));
    let funding = NewRevision { part: Part::Funding, ..new };
    assert_eq!(store.record_revision(&funding).await.unwrap().0.part, Part::Funding);
    assert_eq!(store.revisions(true).await.unwrap().len(), 2);
    assert!(store.contents_dealt_with().await.unwrap().is_empty());

    let mut pass = paper::pass(run, 3);
    pass.performance = made::performance(Some(0.9));
    let holdout = Rescored {
        source: StatSource::Holdout,
        from_ms: made::T1 - 30 * made::DAY_MS,
        to_ms: made::T1,
        old_data_version: Some(made::hash(0xda7a)),
        new_data_version: Some(made::hash(0xda7b)),
        old: Some(made::performance(None)),
        new: Some(made::performance(Some(1.1))),
        parameters: Some(made::recipe()),
    };
    let rescore = Rescore {
        strategy_id: id,
        revision_ids: vec![row.id],
        engine_meaning: None,
        cause: "the exchange revised 2 candles".to_owned(),
        results: vec![holdout],
        pass: Some(pass),
        standing: None,
        holdout_results: None,
        decision: Some("it stays".to_owned()),
        transition: None,
    };
    assert!(store.record_rescore(&token, &rescore).await.unwrap());
    assert!(!store.record_rescore(&token, &rescore).await.unwrap(), "it was done before");
    let stats = store.strategy(&id.to_string()).await.unwrap().stats;
    let figures: Vec<_> = stats.iter().map(|s| (s.source, s.performance.profit_factor)).collect();
    assert_eq!(
        figures,
        [(StatSource::Backtest, Some(1.9)), (StatSource::Holdout, Some(1.1)), (StatSource::Shadow, Some(0.9))]
    );
    let results = store.backtest_results(id).await.unwrap();
    let last = results.last().unwrap();
    assert_eq!(last.backtest_id, Some(format!("revision-{}:holdout", row.id)));
    assert_eq!(last.parameters.read().unwrap(), &made::recipe());
    let entry = store.audit_of_strategy(id, 1).await.unwrap().remove(0);
    assert_eq!((entry.event.as_str(), &entry.metadata["decision"]), ("data_changed", &json!("it stays")));

    store.revision_handled(row.id).await.unwrap();
    assert!(store.contents_dealt_with().await.unwrap().is_empty(), "the funding of that content is still open");
    for open in store.revisions(true).await.unwrap() {
        store.revision_handled(open.id).await.unwrap();
    }
    assert_eq!(store.contents_dealt_with().await.unwrap(), [made::hash(1)].into());
    assert_eq!(store.revisions(true).await.unwrap(), []);
    assert!(store.revisions(false).await.unwrap().iter().all(|row| row.handled_at.is_some()));
}
