//! Each migration on its own, on an empty database and on one that a daemon of every version before has filled.
//!
//! What a daemon wrote at a version is in `rows/`: a new table needs a file there.

use crate::support;
use refinery::{Migration, Runner};
use std::{collections::BTreeMap, fs, path::Path};
use store::{MigrationReport, SCHEMA_VERSION};
use tokio_postgres::Client;

/// Figures as the first daemons stored them.
const PERFORMANCE: &str = r#"{"total_return": 0.3, "total_return_pct": 30.0, "cagr": null, "sharpe_ratio": 1.75,
    "sortino_ratio": null, "max_drawdown": -0.125, "calmar_ratio": null, "profit_factor": 1.9, "win_rate": 0.6,
    "total_trades": 64, "end_of_window_trades": 0, "avg_trade_duration_hours": null, "expectancy": null, "sqn": null,
    "exposure": null, "t_statistic": null, "days": 60, "fees": 12.5, "slippage": 0.0, "funding": 0.0,
    "monthly_returns": [{"month": "2024-04", "return": 0.031}]}"#;

/// Version, name and text of each file in a folder, in order.
fn files(folder: &str) -> BTreeMap<i64, (String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let file = |entry: std::io::Result<fs::DirEntry>| {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let version = name[1..].split("__").next().unwrap().parse().unwrap();
        (version, (name, fs::read_to_string(path).unwrap()))
    };
    fs::read_dir(folder).unwrap().map(file).collect()
}

/// Applies the migrations one at a time; `then` looks after each.
async fn step_by_step(client: &mut Client, mut then: impl AsyncFnMut(&Client, i64)) {
    let mut landed = Vec::new();
    for (version, (name, sql)) in files("../../migrations") {
        landed.push(Migration::unapplied(&name, &sql).unwrap());
        let report = Runner::new(&landed).run_async(client).await.unwrap_or_else(|error| panic!("{name}: {error:?}"));
        assert_eq!(report.applied_migrations().len(), 1, "{name}");
        then(client, version).await;
    }
}

/// Everything that the schema is made of, but for partitions, a line each.
async fn schema(client: &Client) -> Vec<String> {
    let sql = "
        with ours as (select oid, relname, relkind, relrowsecurity from pg_class
            where relnamespace = 'public'::regnamespace and not relispartition)
        select format('%s %s %s', relkind, relname, relrowsecurity) from ours where relkind in ('r', 'p', 'v', 'm', 'S')
        union all select format('column %s.%s %s %s %s%s %s', attrelid::regclass, attname, format_type(atttypid, atttypmod),
                attnotnull, attidentity, attgenerated, pg_get_expr(adbin, adrelid))
            from pg_attribute join ours on attrelid = ours.oid
            left join pg_attrdef d on (adrelid, adnum) = (attrelid, attnum)
            where relkind in ('r', 'p', 'v', 'm') and attnum > 0
        union all select format('constraint %s %s %s', conrelid::regclass, conname, pg_get_constraintdef(c.oid))
            from pg_constraint c join ours on conrelid = ours.oid
        union all select pg_get_indexdef(indexrelid) from pg_index join ours on indrelid = oid
        union all select pg_get_triggerdef(t.oid) from pg_trigger t join ours on tgrelid = ours.oid where not tgisinternal
        union all select pg_get_viewdef(oid) from ours where relkind in ('v', 'm')
        union all select pg_get_functiondef(oid) from pg_proc where pronamespace = 'public'::regnamespace
        union all select format('policy %s', p) from pg_policies p
        union all select format('type %s %s', t.oid::regtype, enumlabel) from pg_type t join pg_enum on enumtypid = t.oid
        order by 1";
    client.query(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
}

/// How many rows each table has, without those that the schema itself has put there.
async fn rows(client: &Client) -> BTreeMap<String, i64> {
    let sql = "select relname from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'p')
        and not relispartition and relname not in ('refinery_schema_history', 'audit_base')";
    let mut found = BTreeMap::new();
    for row in client.query(sql, &[]).await.unwrap() {
        let table: String = row.get(0);
        let count = client.query_one(&format!("select count(*) from {table}"), &[]).await.unwrap().get(0);
        found.insert(table, count);
    }
    found
}

/// The schema of a database that was migrated at once.
async fn at_once() -> Vec<String> {
    let (database, _store) = support::database().await;
    schema(&database.client().await).await
}

fn assert_same(ours: &[String], expected: &[String]) {
    for (a, b) in ours.iter().zip(expected) {
        assert_eq!(a, b);
    }
    assert_eq!(ours.len(), expected.len());
}

#[tokio::test]
async fn each_migration_applies_to_an_empty_database() {
    let database = support::empty_database().await;
    let store = database.store().await;
    step_by_step(&mut database.client().await, async |_, version| {
        assert_eq!(store.schema_version().await.unwrap(), version);
    })
    .await;
    // The rights, which are given to whatever tables there are, come last.
    assert_eq!(store.migrate().await.unwrap(), MigrationReport { from: SCHEMA_VERSION, to: SCHEMA_VERSION });
    assert_same(&schema(&database.client().await).await, &at_once().await);
}

/// Rows of a table as text, in order.
async fn texts(client: &Client, table: &str) -> Vec<String> {
    let sql = format!("select t::text from {table} t order by 1");
    client.query(&sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
}

#[tokio::test]
async fn names_that_were_given_twice_get_numbers_by_age() {
    let database = support::empty_database().await;
    let mut client = database.client().await;
    let long = "x".repeat(200);
    let stored = [
        // number, name, type, day stored, disabled; and what it is called in the end
        (1, "dip", "service", 1, false, "dip-4"),
        (2, "dip", "manual", 9, false, "dip"),
        (3, "dip", "evolved", 10, false, "dip-3"),
        (4, "dip", "manual", 1, true, "dip"),
        (5, "dip-2", "manual", 5, false, "dip-2"),
        (6, "alone", "service", 5, false, "alone"),
        (7, long.as_str(), "manual", 5, false, long.as_str()),
        (8, long.as_str(), "manual", 6, false, &format!("{}-2", &long[2..])),
        (9, "dip-2", "manual", 5, false, "dip-2-2"),
    ];
    step_by_step(&mut client, async |client, version| {
        if version != 37 {
            return;
        }
        for (n, name, kind, day, disabled, _) in stored {
            let sql = format!(
                "insert into strategies (id, name, genome, canonical, genome_hash, type, symbols, market, timeframe, created_by,
                     created_at, state, disable_reason)
                 values ('00000000-0000-0000-0000-{n:012}', '{name}', '{{}}', 'x', lpad('{n}', 64, '0'), '{kind}', '{{BTCUSDT}}',
                     'spot', '15m', 'me', '2024-01-{day:02}', {})",
                if disabled { "'disabled', 'operator'" } else { "'candidate', null" }
            );
            client.batch_execute(&sql).await.unwrap();
        }
    })
    .await;
    // Clients' come last, however old they are.
    let expected = stored.map(|(n, .., name)| (n, name.to_owned()));
    let sql = "select right(id::text, 12)::integer, name from strategies order by id";
    let found: Vec<(i32, String)> =
        client.query(sql, &[]).await.unwrap().iter().map(|row| (row.get(0), row.get(1))).collect();
    assert_eq!(found, expected);
}

#[tokio::test]
async fn what_is_partitioned_now_keeps_every_row() {
    let database = support::empty_database().await;
    let written = files("tests/store/rows");
    let mut client = database.client().await;
    let (mut before, tables) = (Vec::new(), ["performance_metrics", "market_regimes"]);
    step_by_step(&mut client, async |client, version| {
        if let Some((_, sql)) = written.get(&version) {
            client.batch_execute(&sql.replace("PERFORMANCE", PERFORMANCE)).await.unwrap();
        }
        if version != 37 {
            return;
        }
        // Days of three years that follow one another after a gap, the first of which is in the archive; regimes of five years,
        // the oldest from before there were markets, and of another asset.
        let sql = "insert into archives (id, table_name, from_at, to_at, rows, path, bytes, sha256)
                values (gen_random_uuid(), 'performance_metrics', '2021-01-01', '2021-02-01', 1, 'x', 1, repeat('e', 64));
            insert into performance_metrics (deployment_id, day, allocation_pct, daily_return, cumulative_return, drawdown, trades)
                select '00000000-0000-0000-0000-000000000023', date '2022-02-27' + n, 1, 0, 0.5, -0.25, n from generate_series(0, 800) n;
            insert into market_regimes (market, asset, regime, volatility_percentile, realised_volatility, effective_from_ms)
                select 'um', asset, 'normal', 50, 1, from_ms from unnest(array['ETHUSDT', 'SOLUSDT']) asset,
                    unnest(array[-1, 0, 1577836799999, 1577836800000, 1609459200000, 1700000000000]) from_ms order by 1, 2, from_ms;
            delete from market_regimes where asset = 'SOLUSDT' and effective_until_ms is null";
        client.batch_execute(sql).await.unwrap();
        for table in tables {
            before.extend(texts(client, table).await);
        }
    })
    .await;
    let mut after = Vec::new();
    for table in tables {
        after.extend(texts(&client, table).await);
    }
    assert_eq!(after.len(), 803 + 13);
    assert_eq!(after, before);
    // What is new goes on from there.
    let sql = "insert into market_regimes (market, asset, regime, volatility_percentile, realised_volatility, effective_from_ms)
        values ('um', 'ETHUSDT', 'extreme', 99, 1, 1800000000000)
        returning id, previous_regime";
    let row = client.query_one(sql, &[]).await.unwrap();
    assert_eq!((row.get::<_, i64>(0), row.get::<_, String>(1)), (15, "normal".to_owned()), "no id twice");
    let sql = "select distinct tableoid::regclass::text from market_regimes order by 1";
    let partitions: Vec<String> = client.query(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect();
    let years = ["1970", "2019", "2020", "2021", "2023", "default"];
    assert_eq!(partitions, years.map(|year| format!("market_regimes_{year}")));
}

#[tokio::test]
async fn each_migration_applies_to_a_filled_database_and_keeps_its_rows() {
    let database = support::empty_database().await;
    let (written, mut kept) = (files("tests/store/rows"), BTreeMap::new());
    let mut client = database.client().await;
    step_by_step(&mut client, async |client, version| {
        let there = rows(client).await;
        for (table, count) in &kept {
            assert_eq!(there.get(table), Some(count), "V{version} changes how many rows {table} has");
        }
        if let Some((name, sql)) = written.get(&version) {
            let filled = client.batch_execute(&sql.replace("PERFORMANCE", PERFORMANCE)).await;
            filled.unwrap_or_else(|error| panic!("rows of {name}: {error:?}"));
        }
        if there.contains_key("audit_logs") && there["audit_logs"] == 0 {
            // Entries of three months: the trail has partitions.
            let months = ["2024-01-01T00:00:00Z", "2024-02-01T00:00:00Z", "2024-03-01T00:00:00Z"];
            for month in months {
                client.batch_execute(&format!("select ensure_audit_partition('{month}')")).await.unwrap();
            }
            let times_us =
                months.map(|month| month.parse::<chrono::DateTime<chrono::Utc>>().unwrap().timestamp_micros());
            support::chain::fill(client, times_us.into_iter()).await;
        }
        kept = rows(client).await;
        let empty: Vec<&String> = kept.iter().filter(|(_, count)| **count == 0).map(|(table, _)| table).collect();
        assert!(empty.is_empty(), "no rows for {empty:?}: add them to tests/store/rows/V{version}.sql");
    })
    .await;

    let store = database.store().await;
    assert_eq!(store.migrate().await.unwrap(), MigrationReport { from: SCHEMA_VERSION, to: SCHEMA_VERSION });
    assert_eq!(rows(&client).await, kept);
    assert_same(&schema(&client).await, &at_once().await);

    // What migrations derived from what was there, and what the store makes of it.
    let sql = "select name, family, number from strategies order by number";
    let named: Vec<(String, Option<String>, i64)> =
        client.query(sql, &[]).await.unwrap().iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect();
    assert_eq!(named.iter().map(|s| s.2).collect::<Vec<_>>(), [1, 2]);
    let family = |name: &str| named.iter().find(|s| s.0 == name).unwrap().1.clone();
    assert_eq!((family("trend-0a1b2c3d"), family("by hand")), (Some("trend".to_owned()), None));
    assert_eq!(store.verify_audit_chain().await.unwrap().first_bad, None);
    let strategy = store.strategy("trend-0a1b2c3d").await.unwrap();
    assert_eq!((strategy.transitions.len(), strategy.paper_runs.len(), strategy.stats.len()), (2, 1, 2));
    let decisions = strategy.transitions.iter().map(|t| t.decision.as_ref().unwrap().checks.len());
    assert_eq!(decisions.sum::<usize>(), 1);
    client.batch_execute("select refresh_view('strategy_performance_summary')").await.unwrap();
    client.batch_execute("select refresh_view('portfolio_daily_performance')").await.unwrap();
    let last = "select cumulative_return from portfolio_daily_performance order by day desc limit 1";
    let cumulative: f64 = client.query_one(last, &[]).await.unwrap().get(0);
    assert!((cumulative - (1.005 * 0.995 - 1.0)).abs() < 1e-12, "{cumulative}");
}
