//! Retention: what is old goes to files and comes back the same; what is young, current or referred to stays.

use crate::{
    made,
    support::{self, chain},
};
use chrono::{DateTime, TimeDelta, Utc};
use lifecycle::Transition;
use object_store::local::LocalFileSystem;
use store::{Archive, RetentionConfig, Store, StoreError};
use tempfile::TempDir;
use tokio_postgres::Client;

struct Place {
    store: Store,
    client: Client,
    dir: TempDir,
    objects: LocalFileSystem,
}

impl Place {
    /// Ten candidates of a session that ended three years ago, each with runs, trades, results and two scores, and one
    /// live strategy with days and an alert.
    async fn new() -> Self {
        let (database, store) = support::database().await;
        let client = database.client().await;
        let (_lease, token) = made::lease(&store).await;
        let session = store.open_session(&token, &made::session("main", 1)).await.unwrap().id;
        store.record_generation(&token, session, &made::generation(0), b"state", &[]).await.unwrap();
        let candidates: Vec<_> = (1..=10).map(|n| made::candidate(n, session, None)).collect();
        store.finish_session(&token, session, &candidates, &[], &learner::Scores::default()).await.unwrap();
        let live = made::in_shadow(&store, 99).await;
        store.apply_transition(&made::transition(live, Transition::GoLive, made::T1), None).await.unwrap();
        let sql = "set session_replication_role = replica;
            select ensure_month_partition('backtest_trades', now() - interval '3 years');
            update backtest_runs set created_at = created_at - interval '3 years',
                started_at = started_at - interval '3 years', completed_at = completed_at - interval '3 years';
            update backtest_trades set created_at = created_at - interval '3 years';
            update backtest_results set created_at = created_at - interval '3 years';
            update strategy_scores set calculated_at = calculated_at - interval '3 years';
            insert into strategy_scores (strategy_id, overall, components, percentile, is_latest, calculated_at)
                select strategy_id, overall, components, percentile, false, calculated_at - interval '1 day'
                from strategy_scores;
            insert into performance_metrics (deployment_id, day, allocation_pct, daily_return, cumulative_return, drawdown, trades)
                select d.id, (now() - n * interval '1 day')::date, 1, 0, 0, 0, n from deployments d, generate_series(700, 800, 10) n;
            insert into drift_alerts (deployment_id, strategy_id, type, severity, expected, observed, warning_at, critical_at,
                    recommended_action, opened_at, at_market_ms, closed_at)
                select id, strategy_id, kind, 'warning', 1, 0, 0.5, 2, 'monitor', now() - interval '3 years', 0, closed
                from deployments, (values ('sharpe', now()), ('return', null)) t (kind, closed);
            insert into market_regimes (market, asset, regime, volatility_percentile, realised_volatility,
                    effective_from_ms, effective_until_ms, created_at)
                values ('spot', 'BTCUSDT', 'normal', 50, 1, 1, 2, now() - interval '6 years'),
                    ('spot', 'BTCUSDT', 'normal', 50, 1, 2, null, now() - interval '6 years');
            set session_replication_role = origin";
        client.batch_execute(sql).await.unwrap();
        let dir = TempDir::new().unwrap();
        let objects = LocalFileSystem::new_with_prefix(dir.path()).unwrap();
        Self { store, client, dir, objects }
    }

    async fn archive(&self) -> Result<Vec<Archive>, StoreError> {
        self.store.archive_old(&self.objects, &RetentionConfig::default(), Utc::now(), "retention").await
    }

    /// Everything that tables hold, as text in a fixed order.
    async fn contents(&self, tables: &[&str]) -> Vec<String> {
        let mut found = Vec::new();
        for table in tables {
            let sql = format!("select t::text from {table} t order by 1");
            found.extend(self.client.query(&sql, &[]).await.unwrap().iter().map(|row| row.get::<_, String>(0)));
        }
        found
    }

    async fn count(&self, table: &str) -> i64 {
        self.client.query_one(&format!("select count(*) from {table}"), &[]).await.unwrap().get(0)
    }
}

const TABLES: [&str; 8] = [
    "backtest_trades",
    "walk_forward_windows",
    "backtest_runs",
    "backtest_results",
    "performance_metrics",
    "strategy_scores",
    "drift_alerts",
    "market_regimes",
];

#[tokio::test]
async fn what_is_old_leaves_and_comes_back_to_the_bit() {
    let place = Place::new().await;
    let before = place.contents(&TABLES).await;
    let moved = place.archive().await.unwrap();
    let rows = |table: &str| moved.iter().filter(|a| a.table == table).map(|a| a.rows).sum::<u64>();
    let told: Vec<u64> = TABLES.iter().map(|table| rows(table)).collect();
    assert_eq!(told[..4], [20, 10, 10, 20], "{moved:#?}");
    assert_eq!(told[5..], [10, 1, 1], "newest scores, open alerts and current regimes stay");
    assert!((4..=7).contains(&told[4]), "days of whole months: {told:?}");
    for (table, left) in [
        ("backtest_trades", 0),
        ("backtest_runs", 0),
        ("strategy_scores", 10),
        ("drift_alerts", 1),
        ("market_regimes", 1),
        ("strategies", 11),
    ] {
        assert_eq!(place.count(table).await, left, "{table}");
    }
    assert_eq!(place.archive().await.unwrap(), [], "twice does nothing more");
    let partitions = "select count(*) from pg_inherits where inhparent = 'backtest_trades'::regclass";
    assert_eq!(place.client.query_one(partitions, &[]).await.unwrap().get::<_, i64>(0), 1, "the month's is gone");

    // Other programs read the files: ordinary Parquet with the table's columns.
    let archives = place.store.archives().await.unwrap();
    assert_eq!(archives.len(), moved.len());
    for archive in &archives {
        assert_eq!(&place.store.verify_archive(&place.objects, archive.id).await.unwrap(), archive);
    }
    // What others refer to comes first.
    let of = |table: &str| archives.iter().filter(|a| a.table == table).map(|a| a.id).collect::<Vec<_>>();
    let restore = async |id| place.store.restore_archive(&place.objects, id, "operator ann").await;
    assert!(matches!(restore(of("backtest_trades")[0]).await, Err(StoreError::Constraint { .. })));
    for table in TABLES.iter().rev() {
        for id in of(table) {
            if *table != "walk_forward_windows" && *table != "backtest_trades" {
                restore(id).await.unwrap_or_else(|error| panic!("{table}: {error}"));
            }
        }
    }
    for id in of("walk_forward_windows").into_iter().chain(of("backtest_trades")) {
        restore(id).await.unwrap();
    }
    assert_eq!(place.contents(&TABLES).await, before);
    assert!(matches!(restore(of("backtest_runs")[0]).await, Err(StoreError::Conflict(_))));
    assert_eq!(place.archive().await.unwrap(), [], "what was restored rests");
    place.client.batch_execute("update archives set restored_at = restored_at - interval '31 days'").await.unwrap();
    let again = place.archive().await.unwrap();
    assert_eq!(again.iter().map(|a| a.rows).sum::<u64>(), moved.iter().map(|a| a.rows).sum::<u64>());
    assert_eq!(place.store.archives().await.unwrap().len(), archives.len(), "the same files");
    assert_eq!(place.store.verify_audit_chain().await.unwrap().first_bad, None);
}

#[tokio::test]
async fn a_file_that_was_changed_or_lost_is_no_archive() {
    let place = Place::new().await;
    place.archive().await.unwrap();
    let archives = place.store.archives().await.unwrap();
    let file = |archive: &Archive| place.dir.path().join(&archive.path);
    let mut bytes = std::fs::read(file(&archives[0])).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(file(&archives[0]), bytes).unwrap();
    std::fs::remove_file(file(&archives[1])).unwrap();
    for archive in &archives[..2] {
        for error in [
            place.store.verify_archive(&place.objects, archive.id).await.unwrap_err(),
            place.store.restore_archive(&place.objects, archive.id, "operator ann").await.unwrap_err(),
        ] {
            assert!(matches!(&error, StoreError::Archive(text) if text.contains(&archive.path)), "{error}");
        }
    }
    assert_eq!(place.count("archives").await, archives.len() as i64);
}

#[tokio::test]
async fn nothing_is_dropped_that_is_not_in_a_verified_file() {
    let place = Place::new().await;
    // Somebody's archive of too few rows, of rows that are young, of a table that is kept.
    for (table, from, why) in [
        ("backtest_results", "now() - interval '3 years 2 months'", "archives_rows"),
        ("backtest_results", "now() - interval '30 days'", "too young"),
        ("strategies", "now() - interval '9 years'", "kept for ever"),
    ] {
        let sql = format!(
            "insert into archives (id, table_name, from_at, to_at, rows, path, bytes, sha256)
             select gen_random_uuid(), '{table}', {from}, {from} + interval '4 months', 1, random()::text, 1, repeat('0', 64);
             select drop_archived(id) from archives"
        );
        let error = place.client.batch_execute(&sql).await.expect_err(why);
        let error = error.as_db_error().unwrap();
        assert!(error.message().contains(why) || error.constraint() == Some(why), "{why}: {error:?}");
        place.client.batch_execute("delete from archives").await.unwrap();
    }
    assert_eq!(place.count("backtest_results").await, 20);
}

#[tokio::test]
async fn old_parts_of_the_audit_trail_leave_and_the_rest_still_holds() {
    let (database, store) = support::database().await;
    let client = database.client().await;
    let now = Utc::now();
    let old = |days: i64| (now - TimeDelta::days(days)).timestamp_micros();
    let times: Vec<i64> = (0..60).map(|n| old(6 * 365 - 3 * n)).chain((0..10).map(|n| old(100 - n))).collect();
    for &us in &times {
        let at: DateTime<Utc> = DateTime::from_timestamp_micros(us).unwrap();
        client.execute("select ensure_audit_partition($1)", &[&at]).await.unwrap();
    }
    chain::fill(&client, times.into_iter()).await;
    let report = store.verify_audit_chain().await.unwrap();
    assert_eq!((report.entries, report.archived, report.first_bad), (70, 0, None));
    let dir = TempDir::new().unwrap();
    let objects = LocalFileSystem::new_with_prefix(dir.path()).unwrap();
    let archive = async || store.archive_old(&objects, &RetentionConfig::default(), now, "retention").await;
    let moved = archive().await.unwrap();
    let rows: u64 = moved.iter().map(|a| a.rows).sum();
    assert_eq!((rows, moved.iter().all(|a| a.table == "audit_logs")), (60, true), "{moved:#?}");
    let report = store.verify_audit_chain().await.unwrap();
    let entries = 10 + moved.len() as u64;
    assert_eq!((report.archived, report.entries, report.first_bad), (60, entries, None));

    // Somebody drops more, and says that it is in the archive.
    let tamper = "set session_replication_role = replica;
        update audit_base set (last_id, last_hash) = (select id, hash from audit_logs where id = 65);
        delete from audit_logs where id <= 65";
    let back = "set session_replication_role = origin";
    client.batch_execute(&format!("begin; {tamper}; {back}")).await.unwrap();
    client.batch_execute("commit").await.unwrap();
    let bad = store.verify_audit_chain().await.unwrap().first_bad.unwrap();
    assert_eq!((bad.id, bad.problem.contains("no entry of the trail says")), (65, true), "{bad:?}");
}

#[tokio::test]
async fn archived_audit_entries_come_back_newest_first() {
    let (database, store) = support::database().await;
    let client = database.client().await;
    let now = Utc::now();
    let times: Vec<i64> = (0..40).map(|n| (now - TimeDelta::days(6 * 365 - 2 * n)).timestamp_micros()).collect();
    for &us in &times {
        let at: DateTime<Utc> = DateTime::from_timestamp_micros(us).unwrap();
        client.execute("select ensure_audit_partition($1)", &[&at]).await.unwrap();
    }
    chain::fill(&client, times.into_iter()).await;
    let dir = TempDir::new().unwrap();
    let objects = LocalFileSystem::new_with_prefix(dir.path()).unwrap();
    let moved = store.archive_old(&objects, &RetentionConfig::default(), now, "retention").await.unwrap();
    assert!(moved.len() >= 3);
    let oldest = store.restore_archive(&objects, moved[0].id, "operator ann").await.unwrap_err();
    assert!(oldest.to_string().contains("newest archive"), "{oldest}");
    for archive in moved.iter().rev() {
        store.restore_archive(&objects, archive.id, "operator ann").await.unwrap();
    }
    let report = store.verify_audit_chain().await.unwrap();
    assert_eq!((report.archived, report.first_bad), (0, None));
    assert_eq!(report.entries, 40 + 2 * moved.len() as u64);
}
