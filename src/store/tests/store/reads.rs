//! What people and other systems ask for: lists, figures for monitoring, the service's backtests, commands, exports.

use crate::{clients, made, paper, support};
use candles::MarketKind;
use genome::StrategyForm;
use lifecycle::{State, Transition};
use serde_json::{Value, json};
use std::sync::Mutex;
use store::{
    AuditRow, CandidateRecord, DriftReading, DriftType, EXPORTED, FigureLimit, NewStrategy, NewVolatilityRegime, Page,
    Pseudonyms, RecommendedAction, ServiceBacktestLine, SessionStory, StatSource, Store, StoreError, Strategy,
    StrategyFacets, StrategyQuery, StrategySort,
};
use uuid::Uuid;

/// A session that ended with three candidates: one in shadow, one that still waits, one rejected.
async fn ended(store: &Store) -> [Uuid; 3] {
    let (_lease, token) = made::lease(store).await;
    let session = store.open_session(&token, &made::session("main", 1)).await.unwrap().id;
    store.record_generation(&token, session, &made::generation(0), b"state", &[]).await.unwrap();
    let decided = [Some(Transition::EnterShadow), None, Some(made::REJECT)];
    let mut candidates: Vec<CandidateRecord> =
        (1..=3).zip(decided).map(|(n, decided)| made::candidate(n, session, decided)).collect();
    for (candidate, risk) in candidates.iter_mut().zip([Some(3.0), None, Some(0.0)]) {
        candidate.judgement.holdout.as_mut().unwrap().trades[0].risk = risk;
    }
    store.finish_session(&token, session, &candidates, &[], &learner::Scores::default()).await.unwrap();
    [0, 1, 2].map(|i: usize| candidates[i].strategy.id)
}

/// A live strategy whose run has seen some days.
async fn live(store: &Store, n: u32, days: i64) -> Uuid {
    let (_lease, token) = made::lease(store).await;
    let id = made::in_shadow(store, n).await;
    store.apply_transition(&made::transition(id, Transition::GoLive, made::T1), Some(&token)).await.unwrap();
    let runs = store.paper_runs(&[State::Live]).await.unwrap();
    let run = runs.iter().find(|run| run.strategy.id == id).unwrap().run.id;
    store.record_paper_pass(&token, &paper::pass(run, days)).await.unwrap();
    id
}

fn names(found: &[Strategy]) -> Vec<&str> {
    found.iter().map(|strategy| strategy.name.as_str()).collect()
}

#[tokio::test]
async fn strategies_are_listed_by_any_figure_and_filter() {
    let (database, store) = support::database().await;
    let [shadow, waiting, rejected] = ended(&store).await;
    for sort in [
        StrategySort::Changed,
        StrategySort::Created,
        StrategySort::Number,
        StrategySort::Name,
        StrategySort::TotalReturn,
        StrategySort::SharpeRatio,
        StrategySort::ProfitFactor,
        StrategySort::MaxDrawdown,
        StrategySort::WinRate,
        StrategySort::Trades,
    ] {
        for ascending in [false, true] {
            let query = StrategyQuery { sort, ascending, ..StrategyQuery::default() };
            let (rows, total) = store.list_strategies(&query, Page::first(2)).await.unwrap();
            assert_eq!((rows.len(), total), (2, 3), "{sort:?}");
        }
    }
    let list = async |query: StrategyQuery| {
        let query = StrategyQuery { sort: StrategySort::Name, ascending: true, ..query };
        let (rows, total) = store.list_strategies(&query, Page { limit: 10, offset: 0 }).await.unwrap();
        assert_eq!(rows.len() as u64, total);
        rows
    };
    let all = list(StrategyQuery::default()).await;
    let told: Vec<_> =
        all.iter().map(|row| (row.strategy.id, row.strategy.state, row.source, row.performance.clone())).collect();
    let newest = (Some(StatSource::Holdout), Some(made::performance(None)));
    let row = |id, state| (id, state, newest.0, newest.1.clone());
    assert_eq!(told, [row(shadow, State::Shadow), row(waiting, State::Candidate), row(rejected, State::Disabled)]);
    // A candidate has not moved yet.
    let client = database.client().await;
    let moved = "select max(at_market_ms) from transitions where strategy_id = $1";
    for row in &all {
        let newest: Option<i64> = client.query_one(moved, &[&row.strategy.id]).await.unwrap().get(0);
        assert_eq!((row.moved_ms, newest.is_none()), (newest, row.strategy.state == State::Candidate));
    }
    let searched = list(StrategyQuery { source: Some(StatSource::Backtest), ..StrategyQuery::default() }).await;
    assert_eq!(searched[0].performance, Some(made::performance(Some(1.9))));
    let none = list(StrategyQuery { source: Some(StatSource::Live), ..StrategyQuery::default() }).await;
    assert_eq!((none[0].source, &none[0].performance), (None, &None), "the strategy is there without figures");

    // By limits of figures: of what is asked for, and never where there is none.
    let factor = |above, or_equal, source| StrategyQuery {
        limits: vec![FigureLimit { figure: StrategySort::ProfitFactor, above, or_equal, value: 1.9 }],
        source,
        ..StrategyQuery::default()
    };
    for (above, or_equal, source, found) in [
        (true, true, Some(StatSource::Backtest), 3),
        (false, true, Some(StatSource::Backtest), 3),
        (true, false, Some(StatSource::Backtest), 0),
        (false, false, Some(StatSource::Backtest), 0),
        (true, true, None, 0),
        (false, true, None, 0),
    ] {
        assert_eq!(list(factor(above, or_equal, source)).await.len(), found, "{above} {or_equal} {source:?}");
    }
    let tiny = FigureLimit { figure: StrategySort::Trades, above: true, or_equal: false, value: 1e-300 };
    let both = vec![tiny, FigureLimit { value: 1e300, above: false, ..tiny }];
    assert_eq!(list(StrategyQuery { limits: both, ..StrategyQuery::default() }).await.len(), 3);
    for (form, found) in [(StrategyForm::Rules, 3), (StrategyForm::Ranking, 0)] {
        assert_eq!(list(StrategyQuery { form: Some(form), ..StrategyQuery::default() }).await.len(), found, "{form}");
    }

    let family = genome::Niche::of(&made::genome(1)).family.to_string();
    let session_id = all[0].strategy.session_id;
    let every = StrategyQuery {
        symbol: Some("BTCUSDT".to_owned()),
        timeframe: Some("15m".to_owned()),
        family: Some(family.clone()),
        island: Some("main".to_owned()),
        session_id,
        ..StrategyQuery::default()
    };
    assert_eq!(list(every.clone()).await, all);
    let states = vec![State::Shadow, State::Disabled];
    assert_eq!(list(StrategyQuery { states, ..every.clone() }).await.len(), 2);
    assert_eq!(
        list(StrategyQuery { text: Some("CLOSE > 4".to_owned()), ..every.clone() }).await[0].strategy.id,
        rejected
    );
    for nothing in [
        StrategyQuery { symbol: Some("DOGEUSDT".to_owned()), ..every.clone() },
        StrategyQuery { timeframe: Some("1h".to_owned()), ..every.clone() },
        StrategyQuery { family: Some("none".to_owned()), ..every.clone() },
        StrategyQuery { island: Some("other".to_owned()), ..every.clone() },
        StrategyQuery { session_id: Some(Uuid::nil()), ..every.clone() },
        StrategyQuery { text: Some("_".to_owned()), ..every },
    ] {
        assert_eq!(list(nothing).await, []);
    }
    let facets = StrategyFacets {
        symbols: vec!["BTCUSDT".to_owned()],
        timeframes: vec!["15m".to_owned()],
        families: vec![family],
        islands: vec!["main".to_owned()],
    };
    assert_eq!(store.strategy_facets().await.unwrap(), facets);

    let child = NewStrategy { parent_hashes: vec![made::hash(2)], ..made::strategy(9) };
    assert!(store.add_strategy(&child).await.unwrap().is_some());
    assert_eq!(names(&store.children(waiting, Page::first(9)).await.unwrap()), ["made-9"]);
    assert_eq!(store.children(child.id, Page::first(9)).await.unwrap(), []);
}

#[tokio::test]
async fn sessions_are_told_with_their_generations() {
    let (_database, store) = support::database().await;
    ended(&store).await;
    let SessionStory { session: row, config, generations } = store.session_story("main", 1).await.unwrap();
    assert_eq!((row.status.as_str(), row.number, row.evaluations), ("finished", 1, 100));
    assert_eq!(
        (row.seed.as_str(), row.timeframe.as_str(), row.window_to_ms),
        ("18446744073709551614", "15m", made::T1)
    );
    assert_eq!((row.report.as_ref().unwrap()["stored"].clone(), &row.reason), (json!(3), &None));
    assert_eq!(config, made::session("main", 1).config);
    let [generation] = &generations[..] else { panic!("one: {generations:?}") };
    assert_eq!((generation.session_number, generation.number, generation.best_fitness), (1, 0, Some(60.5)));
    assert_eq!((generation.distinct, generation.archive_size, generation.duration_ms), (90, 10, 1234));
    assert_eq!(store.sessions(Page::first(9)).await.unwrap(), std::slice::from_ref(&row));
    assert_eq!(store.generations_of(row.id).await.unwrap(), generations);
    let unknown = store.session_story("main", 2).await;
    assert!(matches!(unknown, Err(StoreError::NotFound { what: "session", .. })));

    let session = store.session(&row.id.to_string()).await.unwrap();
    assert_eq!((session.id, &session.spec), (row.id, &made::session("main", 1)));
    assert_eq!(store.session("main/1").await.unwrap(), session);
    assert!(matches!(store.session("main/2").await, Err(StoreError::NotFound { .. })));
    assert_eq!(store.session_before("main", 2).await.unwrap().unwrap(), session);
    assert_eq!(store.session_before("main", 1).await.unwrap(), None);
}

#[tokio::test]
async fn what_proved_an_edge_is_told_in_units_of_risk() {
    let (_database, store) = support::database().await;
    let [shadow, waiting, rejected] = ended(&store).await;
    assert_eq!(store.proving_results(shadow).await.unwrap(), [0.5]);
    assert!(store.proving_results(waiting).await.unwrap().is_empty(), "without a stop there is no unit");
    assert!(store.proving_results(rejected).await.unwrap().is_empty(), "nothing was at risk");
}

#[tokio::test]
async fn monitoring_sees_everything_at_once() {
    let (_database, store) = support::database().await;
    assert_eq!(store.monitoring_snapshot().await.unwrap(), store::MonitoringSnapshot::default());
    let id = live(&store, 1, 3).await;
    let shadow = made::in_shadow(&store, 2).await;
    let (lease, token) = made::lease(&store).await;
    let run = store.paper_runs(&[State::Shadow]).await.unwrap()[0].run.id;
    store.record_paper_pass(&token, &paper::pass(run, 4)).await.unwrap();
    lease.release().await;
    store.add_strategy(&made::strategy(3)).await.unwrap();
    for (market, percentile) in [(MarketKind::Spot, 50.0), (MarketKind::Um, 99.0)] {
        let regime = NewVolatilityRegime {
            market,
            asset: "BTCUSDT".parse().unwrap(),
            volatility_percentile: percentile,
            realised_volatility: 0.5,
            effective_from_ms: made::T1,
        };
        assert!(store.record_regime(&regime).await.unwrap());
    }
    let deployment = store.strategy(&id.to_string()).await.unwrap().deployments[0].id;
    let reading = DriftReading {
        deployment_id: deployment,
        strategy_id: id,
        drift: DriftType::Sharpe,
        expected: 3.0,
        observed: 1.0,
        warning_at: 1.0,
        critical_at: 10.0,
        recommended_action: RecommendedAction::Monitor,
        detail: json!({}),
        at_market_ms: made::T1,
    };
    store.record_drift(None, &[reading]).await.unwrap();

    let snapshot = store.monitoring_snapshot().await.unwrap();
    assert_eq!(snapshot.open_drift_alerts, [("warning".to_owned(), 1)].into());
    let [line] = &snapshot.deployments[..] else { panic!("one: {snapshot:?}") };
    assert_eq!((line.strategy.as_str(), line.allocation_pct, line.total_return), ("made-1", 0.0, Some(0.1 + 0.2)));
    assert_eq!((snapshot.allocated_pct, snapshot.shadow_win_rates, snapshot.shadow_trades), (0.0, vec![0.6], 4));
    let nearest = (0.1 + 0.2) / 125_f64.ln();
    assert!(
        snapshot.shadow_evidence.is_some_and(|share| (share - nearest).abs() < 1e-12),
        "{:?}",
        snapshot.shadow_evidence
    );
    assert_eq!((snapshot.candidates_waiting, snapshot.backtests_waiting, snapshot.last_review_at), (1, 0, None));
    let regimes: Vec<&str> = snapshot.regimes.iter().map(|regime| regime.asset.as_str()).collect();
    assert_eq!(regimes, ["BTCUSDT", "um:BTCUSDT"]);

    let [row] = &store.live_strategies().await.unwrap()[..] else { panic!("one") };
    assert_eq!((row.name.as_str(), row.since_ms, row.to_ms), ("made-1", made::T1, made::T1 + 3 * made::DAY_MS));
    assert_eq!((row.total_return, row.max_drawdown, row.trades), (Some(0.1 + 0.2), Some(-0.125), Some(64)));
    assert_eq!((row.phase.as_deref(), row.status.as_deref()), (Some("initial"), Some("paused")));
    assert!(row.allocation_pct.is_some() && row.number > 0);

    let entries = store.audit_entries(None, Page::first(100)).await.unwrap();
    assert_eq!(entries.last().map(|entry| (entry.id, entry.event.as_str())), Some((1, "strategy_created")));
    let about = store.audit_entries(Some(&shadow.to_string()), Page::first(100)).await.unwrap();
    let events = |entries: &[AuditRow]| entries.iter().map(|entry| entry.event.clone()).collect::<Vec<_>>();
    assert_eq!(events(&about), ["strategy_transition", "strategy_created"], "newest first");
    let told = store.audit_of_strategy(shadow, 100).await.unwrap();
    assert_eq!(events(&told), ["strategy_created", "strategy_transition"], "oldest first");
    let last = &told[1];
    assert_eq!(
        (last.entity_type.as_str(), &last.entity_id, last.actor.as_str()),
        ("strategy", &shadow.to_string(), "gate")
    );
    assert_eq!(last.before, Some(json!({ "state": "candidate" })));
    assert_eq!(
        (&last.after.as_ref().unwrap()["state"], &last.metadata["summary"]),
        (&json!("shadow"), &json!("because"))
    );
    assert_eq!((last.hash.len(), &last.ip_hash), (64, &None));
}

#[tokio::test]
async fn the_service_finds_its_backtests_again() {
    let (database, store) = support::database().await;
    let (strategy, is_new) = store.put_strategy(&made::strategy(1), 10).await.unwrap();
    assert!(is_new);
    assert_eq!(store.put_strategy(&made::strategy(1), 10).await.unwrap(), (strategy.clone(), false));
    assert_eq!(store.strategy_by_number(strategy.number).await.unwrap(), strategy);
    assert!(matches!(store.strategy_by_number(-1).await, Err(StoreError::NotFound { .. })));
    let new = clients::backtest(strategy.id);
    let id = store.put_service_backtest(&new).await.unwrap();
    let found = store.service_backtest(id).await.unwrap();
    assert_eq!((found.id, &found.backtest, &found.strategy), (id, &new, &strategy));
    assert!(found.created_at > strategy.created_at);
    let listed = store.service_backtests_of(strategy.id, Page::first(9)).await.unwrap();
    assert_eq!(listed, [ServiceBacktestLine { id, from_ms: new.from_ms, to_ms: new.to_ms, has_usual_terms: true }]);
    let [row] = &store.backtest_results(strategy.id).await.unwrap()[..] else { panic!("one") };
    assert_eq!(
        (row.backtest_id.clone(), row.parameters.read().unwrap()),
        (Some(format!("service:{id}")), &new.parameters)
    );
    assert_eq!(store.candles_in_use().await.unwrap(), [], "it is stored whole: no candle stays for it");

    database.client().await.execute("update service_backtests set parameters = '{}'", &[]).await.unwrap();
    let error = store.service_backtest(id).await.unwrap_err().to_string();
    assert!(error.contains(&format!("the stored parameters of backtest {id} does not read: missing field")), "{error}");
}

#[tokio::test]
async fn what_does_not_read_is_named_and_in_nobodys_way() {
    let (database, store) = support::database().await;
    let [_, good, bad] = ended(&store).await;
    let run = store.paper_runs(&[State::Shadow]).await.unwrap()[0].run.id;
    let letter = store::NewDeadLetter {
        kind: store::DeadLetterKind::Backtest,
        subject: made::hash(7),
        error: "failed".to_owned(),
        genome: Some(made::genome(7).into()),
        context: json!({}),
    };
    let letter_id = store.add_dead_letter(&letter).await.unwrap();
    let client = database.client().await;
    // What another version of this program might have left; no statement of the store can.
    for sql in [
        "alter table strategies disable trigger user",
        "update strategies set genome = '{\"version\": 99}' where name = 'made-3'",
        "update paper_runs set config = '{\"market\": \"moon\"}'",
        "update backtest_results set parameters = '{}'",
        "update backtest_runs set config = '{}'",
        "update dead_letters set genome = '[]'",
    ] {
        client.execute(sql, &[]).await.unwrap();
    }
    let detail = store.strategy(&bad.to_string()).await.unwrap();
    let told = detail.strategy.genome.read().unwrap_err().to_string();
    assert!(told.starts_with(&format!("the stored genome of strategy {bad} does not read: ")), "{told}");
    assert_eq!(serde_json::to_value(&detail.strategy).unwrap()["genome"], json!({ "version": 99 }), "as it is stored");
    let listed = store.strategies(&store::StrategyFilter::default(), Page::first(9)).await.unwrap();
    let reads = |id| listed.iter().find(|s| s.id == id).unwrap().genome.read().is_ok();
    assert_eq!((listed.len(), reads(good), reads(bad)), (3, true, false));

    let runs = store.paper_runs(&[State::Shadow]).await.unwrap();
    let told = runs[0].run.config.read().unwrap_err();
    let StoreError::Unreadable { what, row, .. } = &told else { panic!("{told:?}") };
    assert_eq!((what.as_str(), row), ("config", &format!("paper run {run}")));
    assert!(told.to_string().contains("moon") && !told.is_transient(), "{told}");
    let results = store.backtest_results(good).await.unwrap();
    let told = results[0].parameters.read().unwrap_err().to_string();
    assert!(told.contains(&format!("parameters of backtest result {}", results[0].id)), "{told}");
    let tested = store.backtest_runs(good, Page::first(9)).await.unwrap();
    let told = tested[0].config.read().unwrap_err().to_string();
    assert!(told.contains(&format!("config of backtest run {}", tested[0].id)), "{told}");

    let found = store.dead_letter(letter_id).await.unwrap();
    let told = found.genome.unwrap().read().unwrap_err().to_string();
    assert!(told.contains(&format!("genome of dead letter {letter_id}")), "{told}");
    store.add_dead_letter(&store::NewDeadLetter { genome: None, ..letter.clone() }).await.unwrap();
    let again = store.dead_letter(letter_id).await.unwrap();
    assert_eq!((again.occurrences, again.genome.unwrap().json()), (2, &json!([])), "what is stored of it stays");
    store.add_dead_letter(&letter).await.unwrap();
    let again = store.dead_letter(letter_id).await.unwrap();
    assert_eq!(again.genome.unwrap().read().unwrap().rules().unwrap(), &made::genome(7));

    // A figure is read with its row: there is no other way to go on.
    client
        .execute("update strategy_stats set performance = performance || '{\"monthly_returns\": 1}'", &[])
        .await
        .unwrap();
    let error = store.latest_stats(&[good]).await.unwrap_err().to_string();
    assert!(
        error.starts_with(&format!("the stored performance of the row with strategy_id {good} does not")),
        "{error}"
    );
}

#[tokio::test]
async fn tables_are_exported_line_by_line() {
    let (_database, store) = support::database().await;
    let [shadow, ..] = ended(&store).await;
    let mut rows = 0;
    for (table, _) in EXPORTED {
        let lines = Mutex::new(Vec::new());
        let keep = |line: &str| {
            lines.lock().unwrap().push(serde_json::from_str::<Value>(line).unwrap());
            Ok(())
        };
        let told = store.export(table, None, keep).await.unwrap();
        let lines = lines.into_inner().unwrap();
        assert_eq!(told, lines.len() as u64, "{table}");
        if table == "strategies" {
            assert!(lines.iter().any(|line| line["id"] == json!(shadow) && line["name"] == "made-1"), "{lines:?}");
        }
        rows += told;
    }
    assert!(rows > 20, "{rows}");
    let hidden = |line: &str| if line.contains(&shadow.to_string()) { Err(line.to_owned()) } else { Ok(()) };
    assert_eq!(store.export("strategies", Some(&Pseudonyms::new(b"key")), hidden).await.unwrap(), 3);
    assert!(matches!(store.export("leases", None, |_| Ok(())).await, Err(StoreError::Invalid(_))));
    assert_eq!(store.missing_roles().await.unwrap(), [""; 0]);
}
