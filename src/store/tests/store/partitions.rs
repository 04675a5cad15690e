//! What is partitioned by market time: no insert fails, rows lie where they belong, and what is old goes as a whole.

use crate::{made, support};
use candles::MarketKind;
use chrono::{DateTime, Days, NaiveDate, Utc};
use evidence::volatility_regime::VolatilityRegime;
use lifecycle::Transition;
use object_store::local::LocalFileSystem;
use proptest::{prelude::*, strategy::ValueTree, test_runner::TestRunner};
use store::{NewVolatilityRegime, Page, PerformanceDay, RegimeChange, RetentionConfig, Store, StoreError};
use tempfile::TempDir;
use tokio_postgres::Client;
use uuid::Uuid;

/// A strategy that went live, and its deployment.
async fn live(store: &Store, n: u32) -> Uuid {
    let strategy = made::in_shadow(store, n).await;
    store.apply_transition(&made::transition(strategy, Transition::GoLive, made::T1), None).await.unwrap();
    store.open_deployments().await.unwrap().into_iter().find(|d| d.strategy_id == strategy).unwrap().id
}

fn date(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

/// A day without a return.
pub(crate) fn flat(day: NaiveDate) -> PerformanceDay {
    PerformanceDay {
        day,
        allocation_pct: 1.0,
        daily_return: 0.0,
        cumulative_return: 0.0,
        rolling_sharpe_30d: None,
        drawdown: 0.0,
        win_rate: None,
        trades: 0,
        volatility: None,
        benchmark_return: None,
    }
}

/// Which rows lie where: the partition and a column of each row, in order.
async fn places(client: &Client, table: &str, column: &str) -> Vec<(String, String)> {
    let sql = format!("select tableoid::regclass::text, {column}::text from {table} order by {column}");
    client.query(&sql, &[]).await.unwrap().iter().map(|row| (row.get(0), row.get(1))).collect()
}

async fn partitions(client: &Client, table: &str) -> Vec<String> {
    let sql =
        format!("select inhrelid::regclass::text from pg_inherits where inhparent = '{table}'::regclass order by 1");
    client.query(&sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
}

#[tokio::test]
async fn days_lie_in_their_months_and_wait_where_there_is_none() {
    let (database, store) = support::database().await;
    let (client, deployment) = (database.client().await, live(&store, 1).await);
    // Two years of days in one go, over every end of a month; then again, which changes nothing.
    let days: Vec<_> = (0..731).map(|n| flat(date("2023-12-31") + Days::new(n))).collect();
    for _ in 0..2 {
        store.record_performance_days(None, deployment, &days).await.unwrap();
        let found = places(&client, "performance_metrics", "day").await;
        assert_eq!(found.len(), days.len());
        for (partition, day) in found {
            assert_eq!(partition, format!("performance_metrics_{}", day[..7].replace('-', "_")), "{day}");
        }
    }
    assert_eq!(store.performance_days(deployment).await.unwrap(), days);
    // The index of what is the same day holds across partitions, and so does what follows from what.
    let twice = "insert into performance_metrics select * from performance_metrics where day = '2024-02-29'";
    let error = client.execute(twice, &[]).await.unwrap_err();
    assert!(error.as_db_error().unwrap().constraint().unwrap().ends_with("_pkey"), "{error:?}");
    let mut odd = flat(date("2026-01-01"));
    odd.cumulative_return = 0.5;
    let odd = store.record_performance_days(None, deployment, &[odd]).await.unwrap_err();
    assert!(
        matches!(&odd, StoreError::Constraint { constraint, .. } if constraint == "performance_metrics_cumulative")
    );

    // Whoever writes without making a partition first: it waits in the default one, and moves when there is one.
    let other = live(&store, 2).await;
    let sql = "insert into performance_metrics (deployment_id, day, allocation_pct, daily_return, cumulative_return, drawdown,
        trades) select $1, day::date, 1, 0, 0, 0, 0 from unnest(array['0044-03-15', '2031-07-01', '2031-07-31', '2031-08-01']) day";
    client.execute(sql, &[&other]).await.unwrap();
    let waiting = async || {
        let found = places(&client, "performance_metrics", "day").await.into_iter();
        found.filter(|(p, _)| p == "performance_metrics_default").map(|(_, day)| day).collect::<Vec<_>>()
    };
    assert_eq!(waiting().await, ["0044-03-15", "2031-07-01", "2031-07-31", "2031-08-01"]);
    store.record_performance_days(None, other, &[flat(date("2031-07-02"))]).await.unwrap();
    assert_eq!(waiting().await, ["0044-03-15", "2031-08-01"]);
    client.batch_execute("select settle_partitions()").await.unwrap();
    assert_eq!(waiting().await, ["0044-03-15"], "what is no moment of a market's");
    assert_eq!(store.performance_days(other).await.unwrap().len(), 5);
}

#[tokio::test]
async fn partitions_are_made_once_whoever_comes_first() {
    let (database, _) = support::database().await;
    let mut tasks = Vec::new();
    for n in 0..12 {
        let client = database.client().await;
        tasks.push(tokio::spawn(async move {
            let month = format!("2030-0{}-11T00:00:00Z", 1 + n % 3);
            client
                .batch_execute(&format!(
                    "begin; select ensure_partition('performance_metrics', '{month}');
                select ensure_partition('market_regimes', '{month}'); commit"
                ))
                .await
        }));
    }
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    let client = database.client().await;
    let expected = ["01", "02", "03"].map(|month| format!("performance_metrics_2030_{month}"));
    let found = partitions(&client, "performance_metrics").await;
    assert!(expected.iter().all(|one| found.contains(one)), "{found:?}");
    assert!(partitions(&client, "market_regimes").await.contains(&"market_regimes_2030".to_owned()));
    let odd = client.batch_execute("select ensure_partition('strategies', now())").await.unwrap_err();
    assert!(odd.as_db_error().unwrap().message().contains("strategies has no partitions"), "{odd:?}");
}

pub(crate) fn regime(asset: &str, percentile: f64, from_ms: i64) -> NewVolatilityRegime {
    NewVolatilityRegime {
        market: MarketKind::Spot,
        asset: asset.parse().unwrap(),
        volatility_percentile: percentile,
        realised_volatility: 0.5,
        effective_from_ms: from_ms,
    }
}

fn ms(text: &str) -> i64 {
    text.parse::<DateTime<Utc>>().unwrap().timestamp_millis()
}

#[tokio::test]
async fn an_asset_has_one_current_regime_across_years_and_writers() {
    let (database, store) = support::database().await;
    let client = database.client().await;
    for (percentile, at) in
        [(10.0, "2021-12-31T23:00:00Z"), (50.0, "2022-01-01T00:00:00Z"), (99.0, "2024-06-01T00:00:00Z")]
    {
        assert!(store.record_regime(&regime("BTCUSDT", percentile, ms(at))).await.unwrap());
        assert!(!store.record_regime(&regime("BTCUSDT", percentile, ms(at))).await.unwrap(), "the same again");
    }
    // Far from any year that a market has: it goes to the default partition, and is followed like any other.
    for at_ms in [ms("9999-01-01T00:00:00Z"), i64::MAX] {
        assert!(store.record_regime(&regime("BTCUSDT", 50.0, at_ms)).await.unwrap());
    }
    let found = places(&client, "market_regimes", "effective_from_ms").await;
    let years: Vec<&str> = found.iter().map(|(partition, _)| &partition["market_regimes_".len()..]).collect();
    assert_eq!(years, ["2021", "2022", "2024", "default", "default"]);
    let rows = store.regimes_of(MarketKind::Spot, &"BTCUSDT".parse().unwrap(), 9).await.unwrap();
    for (newer, older) in rows.iter().zip(&rows[1..]) {
        assert_eq!(
            (older.effective_until_ms, newer.previous_regime),
            (Some(newer.effective_from_ms), Some(older.regime))
        );
    }
    assert_eq!(store.current_regimes().await.unwrap().len(), 1);

    let turned = client.query("select changed_at from regime_changes order by changed_ms", &[]).await.unwrap();
    let turned: Vec<Option<DateTime<Utc>>> = turned.iter().map(|row| row.get(0)).collect();
    assert_eq!(
        (turned.len(), turned[0], turned[2]),
        (3, Some("2022-01-01T00:00:00Z".parse().unwrap()), Some("9999-01-01T00:00:00Z".parse().unwrap()))
    );

    // Ids rise through all of it.
    let ids = "select count(distinct id) = count(*) and min(id) = 1 from market_regimes";
    assert!(client.query_one(ids, &[]).await.unwrap().get::<_, bool>(0));
    for (sql, constraint) in [
        ("update market_regimes set effective_until_ms = null where effective_from_ms < 1700000000000", "market_regimes_one_current"),
        (
            "insert into market_regimes (market, asset, regime, volatility_percentile, realised_volatility, effective_from_ms)
             values ('spot', 'BTCUSDT', 'normal', 50, 1, 1650000000000)",
            "market_regimes_forward",
        ),
        (
            "insert into market_regimes (market, asset, regime, volatility_percentile, realised_volatility, effective_from_ms,
                 effective_until_ms) values ('spot', 'BTCUSDT', 'normal', 50, 1, 1640995200000, 1640995200001)",
            "market_regimes_2022_market_asset_effective_from_ms_key",
        ),
    ] {
        let error = client.execute(sql, &[]).await.expect_err(sql);
        assert_eq!(error.as_db_error().and_then(|db| db.constraint()), Some(constraint), "{sql}: {error:?}");
    }

    // Many at the same moment, years apart, some of them by hand: one of them is current in the end.
    let mut tasks = Vec::new();
    for n in 0..16_i64 {
        let (store, client) = (database.store().await, database.client().await);
        tasks.push(tokio::spawn(async move {
            let at_ms = ms("2020-01-01T00:00:00Z") + n * 200 * made::DAY_MS;
            if n % 2 == 0 {
                return drop(store.record_regime(&regime("ETHUSDT", 50.0, at_ms)).await);
            }
            let sql = "insert into market_regimes (market, asset, regime, volatility_percentile, realised_volatility,
                effective_from_ms) values ('spot', 'ETHUSDT', 'normal', 50, 1, $1)";
            drop(client.execute(sql, &[&at_ms]).await);
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    let sql = "select count(*) filter (where effective_until_ms is null), count(*),
            count(*) filter (where effective_until_ms is distinct from next_ms)
        from (select *, lead(effective_from_ms) over (order by effective_from_ms) as next_ms
            from market_regimes where asset = 'ETHUSDT') r";
    let row = client.query_one(sql, &[]).await.unwrap();
    let (current, all, broken): (i64, i64, i64) = (row.get(0), row.get(1), row.get(2));
    assert!(current == 1 && all >= 1 && broken == 0, "{current} current of {all}, {broken} not followed");
}

/// What changes there are, by going through the rows one after the other.
fn changes_by_hand(rows: &[(f64, i64)]) -> Vec<(VolatilityRegime, VolatilityRegime, i64, i64)> {
    let mut found = Vec::new();
    let Some(&(first, since)) = rows.first() else { return found };
    let (mut now, mut since) = (VolatilityRegime::of(first), since);
    for &(percentile, at_ms) in &rows[1..] {
        let next = VolatilityRegime::of(percentile);
        if next != now {
            found.push((now, next, at_ms, at_ms - since));
            (now, since) = (next, at_ms);
        }
    }
    found
}

fn told(changes: &[RegimeChange]) -> Vec<(VolatilityRegime, VolatilityRegime, i64, Option<i64>)> {
    changes.iter().rev().map(|c| (c.from, c.to, c.changed_ms, c.lasted_ms)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_of_regimes_are_told_with_how_long_the_former_one_held() {
    let (database, store) = support::database().await;
    let client = database.client().await;
    assert_eq!(store.regime_changes(None, Page::first(9)).await.unwrap(), []);
    // Two assets beside each other, random readings of which many say the same again.
    let percentile = prop_oneof![Just(10.0), Just(30.0), Just(60.0), Just(80.0), Just(97.0)];
    let readings = proptest::collection::vec((percentile, 1_i64..40), 0..60);
    let mut runner = TestRunner::deterministic();
    for round in 0..12 {
        let drawn = readings.new_tree(&mut runner).unwrap().current();
        let asset = format!("A{round}USDT");
        let mut at_ms = ms("2022-11-01T00:00:00Z");
        let mut rows = Vec::new();
        for (percentile, hours) in drawn {
            at_ms += hours * 6 * 3_600_000;
            rows.push((percentile, at_ms));
            store.record_regime(&regime(&asset, percentile, at_ms)).await.unwrap();
        }
        let expected: Vec<_> =
            changes_by_hand(&rows).into_iter().map(|(a, b, at, lasted)| (a, b, at, Some(lasted))).collect();
        let found = store.regime_changes(Some(&asset), Page::first(100)).await.unwrap();
        assert_eq!(told(&found), expected, "{rows:?}");
        assert_eq!(store.regime_changes(Some(&asset), Page::first(2)).await.unwrap(), found[..found.len().min(2)]);

        // Rows of the beginning, then of the middle, are in the archive: what is left says nothing that it cannot know.
        for (from, to) in [(0, rows.len() / 4), (rows.len() / 2, rows.len() * 3 / 4)] {
            let gone: Vec<i64> = rows[from..to].iter().map(|row| row.1).collect();
            let sql = "delete from market_regimes where asset = $1 and effective_from_ms = any($2)";
            client.execute(sql, &[&asset, &gone]).await.unwrap();
        }
        for change in store.regime_changes(Some(&asset), Page::first(100)).await.unwrap() {
            let true_one = expected.iter().find(|(.., at_ms, _)| *at_ms == change.changed_ms).unwrap();
            assert_eq!((change.from, change.to), (true_one.0, true_one.1), "the row itself tells");
            assert!(change.lasted_ms.is_none() || change.lasted_ms == true_one.3, "{change:?}, {true_one:?}");
        }
    }
    assert!(store.regime_changes(Some("A0USDT' or true --"), Page::first(9)).await.unwrap().is_empty());
}

#[tokio::test]
async fn retention_drops_months_and_empty_years_as_a_whole_and_brings_them_back() {
    let (database, store) = support::database().await;
    let (client, deployment) = (database.client().await, live(&store, 1).await);
    let days: Vec<_> = (0..3).map(|n| flat(date("2020-01-31") + Days::new(n))).collect();
    store.record_performance_days(None, deployment, &days).await.unwrap();
    let recent = (Utc::now() - Days::new(20)).date_naive();
    store.record_performance_days(None, deployment, &[flat(recent)]).await.unwrap();
    for (percentile, at) in [
        (10.0, "2018-05-01T00:00:00Z"),
        (50.0, "2018-06-01T00:00:00Z"),
        (10.0, "2019-05-01T00:00:00Z"),
        (10.0, "2020-06-01T00:00:00Z"),
    ] {
        store.record_regime(&regime("BTCUSDT", percentile, ms(at))).await.unwrap();
    }
    store.record_regime(&regime("ETHUSDT", 50.0, ms("2019-06-01T00:00:00Z"))).await.unwrap();
    let sql = "update market_regimes set created_at = to_timestamp(effective_from_ms / 1000.0)";
    client.batch_execute(sql).await.unwrap();
    let contents = async || {
        let sql = "select t::text from performance_metrics t union all select t::text from market_regimes t order by 1";
        client.query(sql, &[]).await.unwrap().iter().map(|row| row.get::<_, String>(0)).collect::<Vec<_>>()
    };
    let before = contents().await;
    let dir = TempDir::new().unwrap();
    let objects = LocalFileSystem::new_with_prefix(dir.path()).unwrap();
    let now = Utc::now();
    let moved = store.archive_old(&objects, &RetentionConfig::default(), now, "retention").await.unwrap();
    let told: Vec<_> = moved.iter().map(|a| (a.table.as_str(), a.from.format("%Y-%m").to_string(), a.rows)).collect();
    let expected = [
        ("performance_metrics", "2020-01", 1),
        ("performance_metrics", "2020-02", 2),
        ("market_regimes", "2018-05", 1),
        ("market_regimes", "2018-06", 1),
        ("market_regimes", "2019-05", 1),
    ];
    assert_eq!(told, expected.map(|(table, month, rows)| (table, month.to_owned(), rows)));
    let months = partitions(&client, "performance_metrics").await;
    assert!(!months.iter().any(|month| month.contains("2020")), "{months:?}");
    let ahead = now.checked_add_months(chrono::Months::new(1)).unwrap();
    for at in [recent.format("%Y_%m"), now.date_naive().format("%Y_%m"), ahead.date_naive().format("%Y_%m")] {
        assert!(months.contains(&format!("performance_metrics_{at}")), "{at}: {months:?}");
    }
    let years = partitions(&client, "market_regimes").await;
    assert!(!years.contains(&"market_regimes_2018".to_owned()), "{years:?}");
    for year in ["2019", "2020"] {
        assert!(years.contains(&format!("market_regimes_{year}")), "it has a current regime: {years:?}");
    }
    assert_eq!(store.current_regimes().await.unwrap().len(), 2);
    for archive in moved.iter().rev() {
        store.restore_archive(&objects, archive.id, "operator ann").await.unwrap();
    }
    assert_eq!(contents().await, before);
    for table in ["performance_metrics", "market_regimes"] {
        let found = places(&client, table, "created_at").await;
        assert!(found.iter().all(|(partition, _)| !partition.ends_with("default")), "{found:?}");
    }
    assert!(partitions(&client, "market_regimes").await.contains(&"market_regimes_2018".to_owned()));
    assert_eq!(store.verify_audit_chain().await.unwrap().first_bad, None);
}
