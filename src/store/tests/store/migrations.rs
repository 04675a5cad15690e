//! The schema: applied once, by whoever comes first, and never by an older program over a newer one.

use crate::support;
use std::{collections::BTreeSet, fs, path::Path};
use store::{MigrationReport, SCHEMA_VERSION, StoreError};

#[tokio::test]
async fn migrating_twice_changes_nothing_more() {
    let database = support::empty_database().await;
    let store = database.store().await;
    assert_eq!(store.schema_version().await.unwrap(), 0);
    assert_eq!(store.migrate().await.unwrap(), MigrationReport { from: 0, to: SCHEMA_VERSION });
    assert_eq!(store.migrate().await.unwrap(), MigrationReport { from: SCHEMA_VERSION, to: SCHEMA_VERSION });
    assert_eq!(store.schema_version().await.unwrap(), SCHEMA_VERSION);
}

#[tokio::test]
async fn many_may_migrate_at_once() {
    let database = support::empty_database().await;
    let mut tasks = Vec::new();
    for _ in 0..6 {
        let store = database.store().await;
        tasks.push(tokio::spawn(async move { store.migrate().await }));
    }
    let mut fresh = 0;
    for task in tasks {
        fresh += u32::from(task.await.unwrap().unwrap().from == 0);
    }
    assert_eq!(fresh, 1, "one did the work, the others found it done");
}

#[tokio::test]
async fn a_newer_schema_is_refused_with_both_versions() {
    let (database, store) = support::database().await;
    let newer = SCHEMA_VERSION + 1;
    let sql = format!(
        "insert into refinery_schema_history (version, name, applied_on, checksum)
         select {newer}, 'from_the_future', applied_on, '1' from refinery_schema_history limit 1"
    );
    database.client().await.batch_execute(&sql).await.unwrap();
    let error = store.migrate().await.unwrap_err();
    assert_eq!(error, StoreError::NewerSchema { found: newer, known: SCHEMA_VERSION });
    let text = error.to_string();
    assert!(
        text.contains(&format!("version {newer}")) && text.contains(&format!("version {SCHEMA_VERSION}")),
        "{text}"
    );
}

#[tokio::test]
async fn a_landed_migration_that_differs_from_ours_is_refused() {
    let (database, store) = support::database().await;
    let sql = "update refinery_schema_history set checksum = '1' where version = 2";
    database.client().await.batch_execute(sql).await.unwrap();
    assert!(matches!(store.migrate().await, Err(StoreError::Migration(text)) if text.contains("strategies")));
}

#[tokio::test]
async fn what_other_systems_read_is_as_agreed() {
    let (database, _store) = support::database().await;
    let client = database.client().await;
    let sql = "select column_name || ' ' || data_type || coalesce(' ' || character_maximum_length, '') || ' '
            || is_nullable || ' ' || coalesce(column_default, '-')
        from information_schema.columns where table_name = 'backtest_results' order by ordinal_position";
    let columns: Vec<String> = client.query(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect();
    assert_eq!(
        columns,
        [
            "id integer NO nextval('backtest_results_id_seq'::regclass)",
            "strategy_id uuid NO -",
            "backtest_id character varying 100 YES -",
            "metrics jsonb NO '{}'::jsonb",
            "parameters jsonb NO '{}'::jsonb",
            "period_start timestamp with time zone YES -",
            "period_end timestamp with time zone YES -",
            "created_at timestamp with time zone NO now()",
            "updated_at timestamp with time zone YES now()",
        ]
    );
    let sql = "select indexname from pg_indexes where tablename = 'backtest_results'";
    let indexes: BTreeSet<String> = client.query(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect();
    for name in ["strategy_id", "created_at", "backtest_id", "metrics", "high_sharpe"] {
        assert!(indexes.contains(&format!("idx_backtest_results_{name}")), "{name}: {indexes:?}");
    }
}

#[test]
fn every_file_of_the_folder_is_embedded() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations");
    let source = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations.rs")).unwrap();
    let files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    let version = |name: &str| name.strip_prefix('V')?.split_once("__")?.0.parse::<i64>().ok();
    let newest = files.iter().filter_map(|name| version(&name.to_string_lossy())).max();
    assert_eq!(newest, Some(SCHEMA_VERSION));
    for file in files {
        assert!(source.contains(&format!("migrations/{}", file.to_string_lossy())), "{file:?} is not embedded");
    }
}
