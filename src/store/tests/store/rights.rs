//! Roles: each may do what it is for, and nothing else, whatever it tries.

use crate::{made, support};
use lifecycle::Transition;
use secrecy::ExposeSecret;
use store::{ConnectOptions, NewResult, Page, PassOutcome, SCHEMA_VERSION, Store, StoreConfig, StoreError};
use support::TestDatabase;
use tokio_postgres::{Client, error::SqlState};

/// The database's URL for somebody who is a member of this role and of nothing else.
async fn url_of(database: &TestDatabase, role: &str) -> secrecy::SecretString {
    let user = format!("{}_{role}", database.name);
    database.client().await.batch_execute(&format!("create role {user} login in role {role}")).await.unwrap();
    database.url.expose_secret().replace("://sg_ai@", &format!("://{user}@")).into()
}

async fn client_of(database: &TestDatabase, role: &str) -> Client {
    support::connect(&url_of(database, role).await).await
}

/// What the role may not do.
async fn refused(client: &Client, statements: &[&str]) {
    for sql in statements {
        let error = client.batch_execute(sql).await.expect_err(sql);
        assert_eq!(error.code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE), "{sql}: {error:?}");
    }
}

#[tokio::test]
async fn the_daemon_works_as_a_writer_and_cannot_rewrite_history() {
    let (database, owner) = support::database().await;
    assert_eq!(owner.missing_roles().await.unwrap(), [""; 0]);
    let url = url_of(&database, "sg_ai_writer").await;
    let options = ConnectOptions::from_url(&url).unwrap();
    let store = Store::connect(&options, &StoreConfig::default()).await.unwrap();
    assert_eq!(store.migrate().await.unwrap().to, SCHEMA_VERSION, "nothing to do is no trouble");
    let (_lease, token) = made::lease(&store).await;
    let session = store.open_session(&token, &made::session("main", 1)).await.unwrap().id;
    store.record_generation(&token, session, &made::generation(0), b"state", &[]).await.unwrap();
    let candidates = [made::candidate(1, session, Some(Transition::EnterShadow)), made::candidate(2, session, None)];
    store.finish_session(&token, session, &candidates, &[], &learner::Scores::default()).await.unwrap();
    let id = candidates[0].strategy.id;
    let run = store.strategy(&id.to_string()).await.unwrap().paper_runs[0].id;
    assert_eq!(store.record_paper_pass(&token, &crate::paper::pass(run, 3)).await.unwrap(), PassOutcome::Recorded);
    store
        .apply_transition(&made::transition(id, Transition::GoLive, made::T1 + made::DAY_MS), Some(&token))
        .await
        .unwrap();
    let result = NewResult {
        strategy_id: id,
        backtest_id: None,
        metrics: serde_json::json!({}),
        parameters: made::recipe().into(),
        period_start: None,
        period_end: None,
    };
    store.record_results(&[result]).await.unwrap();
    // Partitions are made for it, where there are none.
    let deployment = store.open_deployments().await.unwrap()[0].id;
    let day = crate::partitions::flat("2023-12-01".parse().unwrap());
    store.record_performance_days(Some(&token), deployment, &[day]).await.unwrap();
    for (percentile, at_ms) in [(50.0, made::T1), (99.0, made::T1 + 400 * made::DAY_MS)] {
        assert!(store.record_regime(&crate::partitions::regime("BTCUSDT", percentile, at_ms)).await.unwrap());
    }
    let objects = object_store::memory::InMemory::new();
    store.archive_old(&objects, &store::RetentionConfig::default(), chrono::Utc::now(), "retention").await.unwrap();
    let claimed = store.claim_outbox(10, 60).await.unwrap();
    store.mark_delivered(claimed[0].id).await.unwrap();
    store.refresh_views().await.unwrap();
    store.overview().await.unwrap();
    assert_eq!(store.verify_audit_chain().await.unwrap().first_bad, None);
    assert_eq!(store.proven_strategies(Page::first(9)).await.unwrap().len(), 1);

    let client = support::connect(&url).await;
    refused(
        &client,
        &[
            "update audit_logs set actor = 'nobody'",
            "delete from audit_logs",
            "truncate audit_logs",
            "alter table audit_logs disable trigger all",
            "update audit_base set last_id = 5",
            "delete from audit_head",
            "delete from strategies",
            "delete from deployments",
            "delete from performance_metrics",
            "delete from market_regimes",
            "select * from market_regimes_default",
            "insert into performance_metrics_default select * from performance_metrics",
            "delete from transitions",
            "update transitions set summary = 'because'",
            "delete from backtest_results",
            "delete from backtest_trades",
            "update archives set dropped_at = now()",
            "drop table strategies",
            "create table mine ()",
            "select grant_rights()",
            "do $$ begin execute (select 'select * from ' || inhrelid::regclass from pg_inherits
                where inhparent = 'audit_logs'::regclass limit 1); end $$",
            "refresh materialized view strategy_performance_summary",
            "update strategies set genome = '{}', canonical = 'x'",
            "update strategies set genome = '{\"sealed_with\": \"x\"}', canonical = 'sealed:x'",
            "update strategies set genome_hash = repeat('0', 64)",
            "update strategies set number = 0",
            "insert into strategies (id, name, genome, canonical, genome_hash, type, symbols, market, timeframe,
                created_by, state)
                select gen_random_uuid(), name, genome, canonical, repeat('0', 64), type, symbols, market, timeframe,
                created_by, 'live' from strategies limit 1",
            "update backtest_results set metrics = '{}'",
            "update generations set best_fitness = 100",
            "delete from operator_commands",
            "delete from service_backtests",
            "delete from daily_reviews",
            "delete from protocol_sessions",
            "delete from strategy_standings",
            "delete from data_revisions",
            "delete from data_verdicts",
            "delete from outbox",
            "truncate transitions",
        ],
    )
    .await;
    // A state without its transition: neither by itself, nor beside one of another move, of another time.
    let forged = "insert into transitions (id, strategy_id, from_state, to_state, kind, summary, actor, at_market_ms, created_at)
        select gen_random_uuid(), id, 'live', 'shadow', 'demote', 'x', 'me', 0, now() - interval '1 day' from strategies
        where state = 'live'";
    let demote = "update strategies set state = 'shadow', state_changed_at = now() where state = 'live'";
    for sql in [demote.to_owned(), format!("{forged}; {demote}")] {
        let error = client.batch_execute(&format!("begin; {sql}; commit")).await.expect_err(&sql);
        client.batch_execute("rollback").await.unwrap();
        let constraint = error.as_db_error().and_then(|db| db.constraint());
        assert_eq!(constraint, Some("strategies_explained_state"), "{sql}: {error:?}");
    }
    let error = store.rotate_genome_keys(10, "operator ann", |_| ()).await.unwrap_err();
    assert!(matches!(&error, StoreError::Config(text) if text.contains("owner")), "{error}");
    // Rows of deployments: none that begins further on, none that has ended.
    let begin =
        "insert into deployments (id, strategy_id, promoted_by, started_market_ms, status, ended_at, ended_market_ms)
        select gen_random_uuid(), strategy_id, 'me', 0, 'deactivated', now(), 0 from deployments";
    refused(&client, &[begin]).await;
    let demoted = made::transition(id, Transition::Demote, made::T1 + 2 * made::DAY_MS);
    store.apply_transition(&demoted, Some(&token)).await.unwrap();
    let changed = client.execute("update deployments set reason = 'x' where status = 'deactivated'", &[]).await;
    assert_eq!(changed.unwrap(), 0, "row-level security hides it from updates");
    assert_eq!(owner.verify_audit_chain().await.unwrap().first_bad, None);
}

#[tokio::test]
async fn a_reader_reads_and_an_auditor_audits() {
    let (database, store) = support::database().await;
    made::in_shadow(&store, 1).await;
    let reader = client_of(&database, "sg_ai_reader").await;
    for table in [
        "strategies",
        "strategy_stats",
        "transitions",
        "deployments",
        "backtest_results",
        "backtest_runs",
        "paper_trades",
        "strategy_scores",
        "drift_alerts",
        "market_regimes",
        "proven_strategies",
        "strategy_performance_summary",
        "portfolio_daily_performance",
        "regime_changes",
        "generations",
        "refinery_schema_history",
    ] {
        reader.batch_execute(&format!("select * from {table}")).await.unwrap_or_else(|e| panic!("{table}: {e:?}"));
    }
    refused(
        &reader,
        &[
            "select * from audit_logs",
            "select * from audit_head",
            "select * from outbox",
            "select * from search_states",
            "update strategies set name = 'mine'",
            "insert into strategy_stats default values",
            "delete from paper_trades",
            "select refresh_view('portfolio_daily_performance')",
            "select ensure_audit_partition(now())",
            "select ensure_partition('market_regimes', now())",
            "select settle_partitions()",
            "select drop_archived(gen_random_uuid())",
            "create table mine ()",
        ],
    )
    .await;
    let url = url_of(&database, "sg_ai_auditor").await;
    let auditor = support::connect(&url).await;
    let entries: i64 = auditor.query_one("select count(*) from audit_logs", &[]).await.unwrap().get(0);
    assert_eq!(entries, 2);
    for table in ["audit_head", "audit_base", "transitions", "deployments", "archives"] {
        auditor.batch_execute(&format!("select * from {table}")).await.unwrap();
    }
    refused(
        &auditor,
        &[
            "select * from strategies",
            "select * from backtest_results",
            "insert into audit_logs select * from audit_logs",
            "update audit_logs set actor = 'nobody'",
            "update audit_head set last_id = 0",
            "delete from transitions",
        ],
    )
    .await;
    // With its rights the whole trail can be verified.
    let options = ConnectOptions::from_url(&url).unwrap();
    let audit = Store::connect(&options, &StoreConfig::default()).await.unwrap();
    let report = audit.verify_audit_chain().await.unwrap();
    assert_eq!((report.entries, report.first_bad), (2, None));
}

#[tokio::test]
async fn without_the_right_to_make_roles_everything_else_is_there() {
    // The roles belong to the whole server and are there: what is tried is the migration of somebody who may not make
    // roles, in a database of theirs, and rights that cannot be given.
    let database = support::empty_database().await;
    let admin = database.client().await;
    let user = format!("{}_owner", database.name);
    admin
        .batch_execute(&format!(
            "create role {user} login; alter database {} owner to {user}; grant create on schema public to {user}",
            database.name
        ))
        .await
        .unwrap();
    let url: secrecy::SecretString = database.url.expose_secret().replace("://sg_ai@", &format!("://{user}@")).into();
    let store = Store::connect(&ConnectOptions::from_url(&url).unwrap(), &StoreConfig::default()).await.unwrap();
    assert_eq!(store.migrate().await.unwrap().to, SCHEMA_VERSION);
    made::in_shadow(&store, 1).await;
    assert_eq!(store.verify_audit_chain().await.unwrap().first_bad, None);
    // The statement that makes roles, without the right, is a warning and no error.
    let schema =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../migrations/V15__rights.sql")).unwrap();
    let (start, end) = (schema.find("do $$").unwrap(), schema.find("end $$;").unwrap() + 7);
    let sql = schema[start..end].replace("'sg_ai_writer', 'sg_ai_reader', 'sg_ai_auditor'", "'sg_ai_nobody_has_this'");
    let client = support::connect(&url).await;
    client.batch_execute(&sql).await.unwrap();
    let there = "select count(*) from pg_roles where rolname = 'sg_ai_nobody_has_this'";
    assert_eq!(client.query_one(there, &[]).await.unwrap().get::<_, i64>(0), 0);
}

#[tokio::test]
async fn a_stranger_who_cannot_change_an_old_schema_is_told_so() {
    let database = support::empty_database().await;
    let admin = database.client().await;
    let user = format!("{}_stranger", database.name);
    admin.batch_execute(&format!("create role {user} login; create table strategies ()")).await.unwrap();
    let url: secrecy::SecretString = database.url.expose_secret().replace("://sg_ai@", &format!("://{user}@")).into();
    let store = Store::connect(&ConnectOptions::from_url(&url).unwrap(), &StoreConfig::default()).await.unwrap();
    let error = store.migrate().await.unwrap_err();
    assert!(matches!(&error, StoreError::Migration(text) if text.contains("as its owner")), "{error}");
}
