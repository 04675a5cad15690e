//! Strategies that rank the market are stored and followed like others, with what their backtests and paper runs came to.

use crate::{made, paper, support};
use candles::InstrumentId;
use engine::Performance;
use genome::{AnyStrategy, StrategyForm};
use lifecycle::{State, Transition};
use portfolio::{
    Attribution, Days, Execution, Figures, HedgedFigures, NameWeights, Record, ReturnFigures, Stay, WeightMap, Year,
};
use serde_json::json;
use store::{
    NewServiceBacktest, NewStrategy, Page, PaperPass, PortfolioBacktest, ProvingDays, SERVICE_KIND, StatSource,
    StoreError, StrategyFilter, StrategyQuery, StrategySort,
};

const TEXT: &str = "4h; universe top 30 by quote_volume(30d), listed 60d; score close / highest(high, 540); rebalance 1d; \
                    weights linear, inverse volatility(180), smooth 5; gross 1";

fn ranking() -> NewStrategy {
    let genome: AnyStrategy = TEXT.parse().unwrap();
    NewStrategy {
        name: "near-high".to_owned(),
        canonical: genome.to_string(),
        genome_hash: genome.hash().to_string(),
        timeframe: genome.timeframe(),
        genome,
        kind: SERVICE_KIND.to_owned(),
        symbols: Vec::new(),
        ..made::strategy(1)
    }
}

fn another_ranking() -> NewStrategy {
    let genome: AnyStrategy = TEXT.replace("540", "270").parse().unwrap();
    NewStrategy {
        id: uuid::Uuid::now_v7(),
        name: "nearer".to_owned(),
        canonical: genome.to_string(),
        genome_hash: genome.hash().to_string(),
        genome,
        ..ranking()
    }
}

fn portfolio() -> PortfolioBacktest {
    let name: InstrumentId = "LUNAUSDT#1".parse().unwrap();
    let figures = ReturnFigures { total_return: Some(0.1 + 0.2), sharpe_ratio: None, max_drawdown: Some(-0.1) };
    let year = Year {
        year: 2021,
        days: 2,
        total_return: Some(1.0 / 3.0),
        sharpe_ratio: None,
        hedged_sharpe_ratio: Some(1.25),
        hedged_return: None,
        max_drawdown: Some(-0.5),
        mean_members: Some(29.5),
    };
    let gain = Attribution {
        instrument: name.clone(),
        total: 0.1,
        long: 0.3,
        short: -0.2,
        costs: 1e-17,
        funding: 0.0,
        traded: 9.0,
    };
    let stay = Stay {
        instrument: name.clone(),
        side: engine::Side::Short,
        entry_time_ms: made::T1 - made::DAY_MS,
        exit_time_ms: made::T1,
        profit: -1.5,
        return_fraction: -0.015,
        open: true,
    };
    let days = Days {
        day_ms: vec![made::T1 - made::DAY_MS, made::T1],
        net: vec![0.1, -0.05],
        hedged: vec![0.05, 2e-308],
        equal_weight: vec![None, Some(0.01)],
        btc: vec![Some(-0.02), None],
        gross: vec![Some(1.0), None],
        exposure: vec![Some(-0.1), None],
        turnover: vec![0.2, 0.0],
    };
    let weights = WeightMap {
        from_ms: Some(made::T1 - made::DAY_MS),
        to_ms: Some(made::T1),
        of: 40,
        names: vec![NameWeights { instrument: name, weights: vec![-0.5, 1.0 / 7.0] }],
    };
    let figures = Figures {
        hedged: HedgedFigures { sharpe_ratio: Some(1.5), ..HedgedFigures::default() },
        equal_weight: figures.clone(),
        btc: Some(figures),
        turnover_per_day: Some(0.11),
        mean_gross: Some(0.99),
        mean_net: Some(-0.01),
        mean_names: Some(21.0),
        mean_members: Some(29.5),
        rebalances: 365,
        empty_rebalances: 3,
        lapsed_orders: 7,
        liquidated_ms: Some(made::T1),
        years: vec![year],
        long_gain: 0.5,
        short_gain: -0.25,
        attribution: vec![gain],
    };
    let record = Record { instruments: 353, figures, days, weights, stays: vec![stay] };
    PortfolioBacktest { execution: Execution::realistic(), record }
}

#[tokio::test]
async fn one_that_ranks_the_market_is_stored_once_and_listed_with_its_form() {
    let (database, store) = support::database().await;
    assert!(store.add_strategy(&made::strategy(5)).await.unwrap().is_some());
    let (stored, is_new) = store.put_strategy(&ranking(), 100).await.unwrap();
    assert_eq!((is_new, stored.form, stored.family.as_deref()), (true, StrategyForm::Ranking, Some("ranking")));
    let again = NewStrategy { id: uuid::Uuid::now_v7(), name: "another name".to_owned(), ..ranking() };
    let (found, is_new) = store.put_strategy(&again, 100).await.unwrap();
    assert_eq!((is_new, found.id, found.name.as_str()), (false, stored.id, "near-high"));
    assert!(store.add_strategy(&again).await.unwrap().is_none());

    let found = store.find_strategy("near-high").await.unwrap();
    assert_eq!((found.genome.read().unwrap().to_string(), found.symbols.len()), (TEXT.to_owned(), 0));
    let refused = found.rules().unwrap_err();
    assert!(matches!(&refused, StoreError::RanksMarket { strategy } if strategy == "near-high"), "{refused}");
    assert_eq!(serde_json::to_value(&found).unwrap()["form"], "ranking");
    for (form, names) in [(StrategyForm::Ranking, ["near-high"]), (StrategyForm::Rules, ["made-5"])] {
        let filter = StrategyFilter { states: vec![State::Candidate], form: Some(form), ..StrategyFilter::default() };
        let listed = store.strategies(&filter, Page::first(9)).await.unwrap();
        assert_eq!(listed.iter().map(|s| s.name.as_str()).collect::<Vec<_>>(), names);
    }
    let query = StrategyQuery { family: Some("ranking".to_owned()), ..StrategyQuery::default() };
    assert_eq!(store.list_strategies(&query, Page::first(9)).await.unwrap().1, 1);
    let entry = store.audit_of_strategy(stored.id, 1).await.unwrap().remove(0);
    assert_eq!((entry.event.as_str(), &entry.after.unwrap()["form"]), ("strategy_created", &json!("ranking")));
    let waiting = store.monitoring_snapshot().await.unwrap().candidates_waiting;
    assert_eq!(waiting, 2, "sessions judge both forms");
    let overview = store.overview().await.unwrap();
    let of = |form| overview.by_form[&form].values().copied().collect::<Vec<u64>>();
    assert_eq!((of(StrategyForm::Rules), of(StrategyForm::Ranking)), (vec![1, 0, 0, 0], vec![1, 0, 0, 0]));
    assert_eq!(overview.strategies[&State::Candidate], 2);

    let client = database.client().await;
    let plain = "update strategies set form = 'rules', symbols = array['BTCUSDT'] where name = 'near-high'";
    let error = client.execute(plain, &[]).await.unwrap_err();
    assert_eq!(error.as_db_error().unwrap().constraint(), Some("strategies_genome_fixed"));
    client.batch_execute("alter table strategies disable trigger user").await.unwrap();
    client.execute(plain, &[]).await.unwrap();
    let told = store.find_strategy("near-high").await.unwrap().genome.into_read().unwrap_err().to_string();
    assert!(told.contains("it is one of ranking, not of rules"), "{told}");
    let error = client.execute("update strategies set symbols = '{}' where name = 'made-5'", &[]).await.unwrap_err();
    assert_eq!(error.as_db_error().unwrap().constraint(), Some("strategies_symbols_check"));
}

#[tokio::test]
async fn it_is_traded_on_paper_like_any_other_with_its_portfolio() {
    let (_database, store) = support::database().await;
    let (stored, _) = store.put_strategy(&ranking(), 100).await.unwrap();
    store.apply_transition(&made::transition(stored.id, Transition::EnterShadow, made::T1), None).await.unwrap();
    let run = store.paper_runs(&[State::Shadow]).await.unwrap().remove(0);
    assert_eq!((run.strategy.id, run.run.portfolio), (stored.id, None));
    let lease = store.try_acquire_lease("paper").await.unwrap().unwrap();
    let record = portfolio().record;
    let pass = PaperPass { portfolio: Some(record.clone()), trades: Vec::new(), ..paper::pass(run.run.id, 1) };
    store.record_paper_pass(&lease.token(), &pass).await.unwrap();
    let run = store.paper_runs(&[State::Shadow]).await.unwrap().remove(0).run;
    assert_eq!(run.portfolio.as_ref(), Some(&record));
    // What proves it are days of runs that have ended.
    assert_eq!(store.proving_days(stored.id).await.unwrap(), ProvingDays::default());
    store
        .apply_transition(&made::transition(stored.id, Transition::GoLive, made::T1 + made::DAY_MS), None)
        .await
        .unwrap();
    let proven = store.proving_days(stored.id).await.unwrap();
    assert_eq!(proven, ProvingDays { holdout: Vec::new(), shadow: record.days.hedged });
    assert!(!proven.shadow.is_empty());
    assert_eq!(store.verify_audit_chain().await.unwrap().first_bad, None);
}

#[tokio::test]
async fn its_backtest_is_read_as_it_was_stored_to_the_bit() {
    let (database, store) = support::database().await;
    let (stored, _) = store.put_strategy(&ranking(), 100).await.unwrap();
    let mut parameters = made::recipe();
    parameters.config.symbols = Vec::new();
    let new = NewServiceBacktest {
        parameters,
        coverage: Vec::new(),
        trades: Vec::new(),
        portfolio: Some(portfolio()),
        ..crate::clients::backtest(stored.id)
    };
    let id = store.put_service_backtest(&new).await.unwrap();
    let found = store.service_backtest(id).await.unwrap();
    assert_eq!((found.backtest, found.strategy.id), (new.clone(), stored.id));
    // A list has the newest portfolio's figures, and sorts by them.
    let worse = Performance { sharpe_ratio: Some(-0.5), ..new.performance.clone() };
    store.put_service_backtest(&NewServiceBacktest { performance: worse.clone(), ..new.clone() }).await.unwrap();
    let list = async |query: StrategyQuery| store.list_strategies(&query, Page::first(9)).await.unwrap().0;
    let listed = list(StrategyQuery::default()).await;
    assert_eq!((listed[0].source, &listed[0].performance), (Some(StatSource::Backtest), &Some(worse.clone())));
    for (source, there) in [(StatSource::Backtest, true), (StatSource::Holdout, false)] {
        let listed = list(StrategyQuery { source: Some(source), ..StrategyQuery::default() }).await;
        assert_eq!(listed[0].performance.is_some(), there, "{source:?}");
    }
    let better = Performance { sharpe_ratio: Some(2.5), ..worse };
    let other = store.put_strategy(&another_ranking(), 100).await.unwrap().0;
    let of_other = NewServiceBacktest { strategy_id: other.id, performance: better, ..new.clone() };
    store.put_service_backtest(&of_other).await.unwrap();
    for (ascending, first) in [(false, other.id), (true, stored.id)] {
        let query = StrategyQuery { sort: StrategySort::SharpeRatio, ascending, ..StrategyQuery::default() };
        assert_eq!(list(query).await[0].strategy.id, first);
    }
    let rules = store.put_strategy(&made::strategy(2), 100).await.unwrap().0;
    let of_rules = store.put_service_backtest(&crate::clients::backtest(rules.id)).await.unwrap();
    assert_eq!(store.service_backtest(of_rules).await.unwrap().backtest.portfolio, None);
    // No other meaning of the engine is looked for in it.
    assert!(store.strategies_before_meaning(u32::MAX, 9).await.unwrap().is_empty());

    let client = database.client().await;
    client.execute("update service_backtests set portfolio = '{\"stays\": 1}' where id = $1", &[&id]).await.unwrap();
    let told = store.service_backtest(id).await.unwrap_err().to_string();
    assert!(told.contains("the stored portfolio of") && told.contains(&id.to_string()), "{told}");
}
