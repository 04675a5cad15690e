//! The audit trail: appended by everybody in turn, changed by nobody unseen.

use crate::{made, support};
use store::{AnchorFile, AuditAnchor, Beginning, DeadLetterKind, DeadLetterStatus, NewDeadLetter, Store, StoreConfig};
use tokio_postgres::Client;

/// Ten entries.
async fn filled() -> (support::TestDatabase, Store) {
    let (database, store) = support::database().await;
    for n in 0..5 {
        made::in_shadow(&store, n).await;
    }
    (database, store)
}

/// Somebody with all rights, who knows of the trigger.
async fn tamper(client: &Client, sql: &str) {
    client.batch_execute(&format!("set session_replication_role = replica; {sql}")).await.unwrap();
}

#[tokio::test]
async fn an_honest_trail_holds_and_has_an_anchor() {
    let (_database, store) = filled().await;
    let report = store.verify_audit_chain().await.unwrap();
    assert_eq!((report.entries, report.unkeyed, &report.first_bad), (10, 10, &None));
    assert_eq!(report.head, store.audit_head().await.unwrap());
    assert_eq!(report.head.last_id, 10);
}

#[tokio::test]
async fn the_table_refuses_every_change() {
    let (database, _store) = filled().await;
    let client = database.client().await;
    for sql in [
        "update audit_logs set actor = 'nobody' where id = 3",
        "delete from audit_logs where id = 3",
        "truncate audit_logs",
        "do $$ begin execute (select 'truncate ' || inhrelid::regclass from pg_inherits
            where inhparent = 'audit_logs'::regclass limit 1); end $$",
    ] {
        let error = client.batch_execute(sql).await.expect_err(sql);
        assert!(error.as_db_error().is_some_and(|db| db.message().contains("append-only")), "{sql}: {error:?}");
    }
}

#[tokio::test]
async fn every_kind_of_tampering_is_found_at_its_first_entry() {
    let cut = "update audit_head set last_id = 8, last_hash = (select hash from audit_logs where id = 8)";
    let columns = "created_at, event_type, entity_type, entity_id, actor, before_state, after_state, metadata,
        correlation_id, prev_hash, hash";
    let insert = format!("insert into audit_logs (id, {columns}) select 11, {columns} from audit_logs where id = 10");
    let twice = format!(
        "insert into audit_logs (id, {columns})
         select 4, {} from audit_logs where id = 4",
        columns.replacen("created_at", "created_at + interval '1 microsecond'", 1)
    );
    for (what, sql, first_bad, problem) in [
        ("actor", "update audit_logs set actor = 'me' where id = 4", 4, "was changed"),
        ("json", "update audit_logs set after_state = '{\"state\": \"live\"}' where id = 2", 2, "was changed"),
        ("null", "update audit_logs set before_state = null where id = 2", 2, "was changed"),
        ("time", "update audit_logs set created_at = created_at - interval '1 ms' where id = 5", 5, "was changed"),
        ("event", "update audit_logs set event_type = 'operator_action' where id = 7", 7, "was changed"),
        ("added field", "update audit_logs set user_agent = 'x' where id = 7", 7, "was changed"),
        ("removed", "delete from audit_logs where id = 4", 4, "is missing"),
        ("removed first", "delete from audit_logs where id = 1", 1, "is missing"),
        ("cut off", "delete from audit_logs where id >= 9", 9, "cut off"),
        ("emptied", "delete from audit_logs", 1, "cut off"),
        ("appended", insert.as_str(), 11, "does not follow"),
        ("twice", twice.as_str(), 4, "is there twice"),
        ("swapped", "update audit_logs set id = 9 - id where id in (4, 5)", 4, "does not follow"),
        ("rehashed", "update audit_logs set actor = 'me', hash = sha256('made up') where id = 6", 6, "was changed"),
        ("head moved back", cut, 10, "does not fit the head"),
    ] {
        let (database, store) = filled().await;
        tamper(&database.client().await, sql).await;
        let found = store.verify_audit_chain().await.unwrap().first_bad;
        let found = found.unwrap_or_else(|| panic!("{what}: not found"));
        assert_eq!(found.id, first_bad, "{what}: {found:?}");
        assert!(found.problem.contains(problem), "{what}: {found:?}");
    }
}

#[tokio::test]
async fn what_is_consistent_in_itself_is_found_by_a_note_from_outside() {
    let cut = "delete from audit_logs where id > 7;
        update audit_head set (last_id, last_hash) = (select id, hash from audit_logs where id = 7)";
    let emptied =
        "delete from audit_logs; update audit_head set last_id = 0, last_hash = decode(repeat('00', 32), 'hex')";
    for (what, sql, written_anew, first_bad, problem) in [
        ("cut off, head and all", cut, false, 8, "entry 10 was there on"),
        ("emptied, head and all", emptied, false, 1, "entry 10 was there on"),
        ("written anew", emptied, true, 10, "is not the entry of that number"),
    ] {
        let (database, store) = filled().await;
        let dir = tempfile::tempdir().unwrap();
        let file = AnchorFile::in_dir(dir.path());
        let now = chrono::Utc::now();
        assert!(file.note(store.anchor(&store.audit_head().await.unwrap(), now)).unwrap());
        let anchors = file.read().unwrap();
        let report = store.verify_audit_chain_against(&anchors).await.unwrap();
        assert_eq!((report.anchors, report.first_bad), (1, None));
        let client = database.client().await;
        tamper(&client, sql).await;
        if written_anew {
            let client = database.client().await;
            support::chain::fill(&client, (0..12).map(|n| now.timestamp_micros() + n)).await;
        }
        let found = store.verify_audit_chain().await.unwrap().first_bad;
        assert_eq!(found, None, "{what}: the tables alone tell nothing");
        let found = store.verify_audit_chain_against(&anchors).await.unwrap().first_bad;
        let found = found.unwrap_or_else(|| panic!("{what}: not found"));
        assert_eq!((found.id, found.problem.contains(problem)), (first_bad, true), "{what}: {found:?}");
    }
}

#[tokio::test]
async fn a_key_keeps_out_those_who_can_compute_hashes() {
    let (database, plain) = filled().await;
    let with = |key: &str| StoreConfig { audit_key: Some(key.to_owned().into()), ..StoreConfig::default() };
    let keyed = database.store_with(&with("a long secret")).await;
    made::in_shadow(&keyed, 100).await;
    let report = keyed.verify_audit_chain().await.unwrap();
    assert_eq!((report.entries, report.unkeyed, report.first_bad), (12, 10, None));
    let problem = |store: Store| async move { store.verify_audit_chain().await.unwrap().first_bad.unwrap() };
    let without = problem(plain.clone()).await;
    assert_eq!((without.id, without.problem.contains("none is configured")), (11, true));
    let other = problem(database.store_with(&with("another secret")).await).await;
    assert_eq!((other.id, other.problem.contains("another key")), (11, true));
    // Whoever goes on without the key is seen.
    made::in_shadow(&plain, 101).await;
    let gone_on = problem(keyed).await;
    assert_eq!((gone_on.id, gone_on.problem.contains("without the key")), (13, true));
}

fn keyed_with(key: &str) -> StoreConfig {
    StoreConfig { audit_key: Some(key.to_owned().into()), ..StoreConfig::default() }
}

#[tokio::test]
async fn with_a_key_a_trail_without_it_is_none_of_ours() {
    let emptied =
        "delete from audit_logs; update audit_head set last_id = 0, last_hash = decode(repeat('00', 32), 'hex')";
    // Whoever can write the tables writes all of it anew, or leaves nothing; each is consistent in itself.
    for (is_empty, first_bad, problem) in [(true, 1, "the trail is empty"), (false, 12, "without the configured key")] {
        let (database, plain) = filled().await;
        let keyed = database.store_with(&keyed_with("a long secret")).await;
        made::in_shadow(&keyed, 100).await;
        assert_eq!(keyed.verify_audit_chain().await.unwrap().first_bad, None);
        let client = database.client().await;
        tamper(&client, emptied).await;
        if !is_empty {
            let now = chrono::Utc::now().timestamp_micros();
            support::chain::fill(&database.client().await, (0..12).map(|n| now + n)).await;
        }
        assert_eq!(plain.verify_audit_chain().await.unwrap().first_bad, None, "without a key nothing tells");
        let found = keyed.verify_audit_chain().await.unwrap().first_bad.expect(problem);
        assert_eq!((found.id, found.problem.contains(problem)), (first_bad, true), "{found:?}");
    }
}

#[tokio::test]
async fn with_a_key_anchors_are_needed_and_nobody_without_it_makes_one() {
    let (database, plain) = support::database().await;
    let keyed = database.store_with(&keyed_with("a long secret")).await;
    made::in_shadow(&keyed, 1).await;
    let (head, now) = (keyed.audit_head().await.unwrap(), chrono::Utc::now());
    let (good, bare) = (keyed.anchor(&head, now), plain.anchor(&head, now));
    assert!(keyed.authenticates(&good) && !keyed.authenticates(&bare) && !plain.authenticates(&good));
    let other = database.store_with(&keyed_with("another secret")).await.anchor(&head, now);
    let moved = AuditAnchor { last_id: good.last_id - 1, ..good.clone() };
    for (anchors, problem) in [
        (vec![], "is held by no anchor"),
        (vec![bare.clone()], "is held by no anchor"),
        (vec![good.clone(), bare.clone()], "without the key's proof"),
        (vec![other], "does not authenticate"),
        (vec![moved], "does not authenticate"),
        (vec![AuditAnchor { mac: Some("not hex".to_owned()), ..bare.clone() }], "does not authenticate"),
    ] {
        let found = keyed.verify_audit_chain_against(&anchors).await.unwrap().first_bad;
        let found = found.unwrap_or_else(|| panic!("{anchors:?} do"));
        assert!(found.problem.contains(problem), "{anchors:?}: {found:?}");
    }
    // Notes of a time before the key may stand before those that have its proof.
    for anchors in [vec![good.clone()], vec![bare, good.clone()]] {
        let report = keyed.verify_audit_chain_against(&anchors).await.unwrap();
        assert_eq!((report.anchors, report.first_bad), (anchors.len() as u64, None));
    }
    let written = serde_json::to_string(&good).unwrap();
    let read: AuditAnchor = serde_json::from_str(&written).unwrap();
    assert!(keyed.authenticates(&read), "{written}");
}

#[tokio::test]
async fn notes_begin_by_themselves_only_where_nothing_went_missing() {
    let (database, plain) = support::database().await;
    let keyed = database.store_with(&keyed_with("a long secret")).await;
    // A new trail, and another machine that keeps it too.
    assert!(keyed.begin_anchors("a:/data", Beginning::Nothing, "daemon").await.unwrap());
    assert!(keyed.begin_anchors("b:/data", Beginning::Nothing, "daemon").await.unwrap());
    assert!(!keyed.begin_anchors("a:/data", Beginning::Nothing, "daemon").await.unwrap(), "its file has gone");
    assert!(keyed.begin_anchors("a:/data", Beginning::Wanted, "operator ann").await.unwrap());
    let report = keyed.verify_audit_chain().await.unwrap();
    assert_eq!((report.entries, report.unkeyed, report.first_bad), (3, 0, None));
    // A trail that somebody emptied, beside a database that is full.
    made::in_shadow(&keyed, 1).await;
    let emptied =
        "delete from audit_logs; update audit_head set last_id = 0, last_hash = decode(repeat('00', 32), 'hex')";
    tamper(&database.client().await, emptied).await;
    assert!(!keyed.begin_anchors("c:/data", Beginning::Nothing, "daemon").await.unwrap());
    // A trail without the key is gone on with only where notes from before it are there, or somebody says so.
    made::in_shadow(&plain, 2).await;
    assert!(!keyed.begin_anchors("c:/data", Beginning::Nothing, "daemon").await.unwrap());
    assert!(keyed.begin_anchors("c:/data", Beginning::Older, "daemon").await.unwrap());
    let report = keyed.verify_audit_chain().await.unwrap();
    assert_eq!((report.entries, report.unkeyed, report.first_bad), (3, 2, None));
}

#[tokio::test]
async fn many_writers_make_one_chain() {
    let (database, _store) = support::database().await;
    let mut tasks = Vec::new();
    for writer in 0..4 {
        let store = database.store().await;
        tasks.push(tokio::spawn(async move {
            for n in 0..5 {
                made::in_shadow(&store, writer * 100 + n).await;
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    let report = database.store().await.verify_audit_chain().await.unwrap();
    assert_eq!((report.entries, report.first_bad), (40, None));
}

#[tokio::test]
async fn odd_numbers_and_letters_hash_as_the_database_prints_them() {
    let (_database, store) = support::database().await;
    let mut record = made::transition(uuid::Uuid::nil(), made::REJECT, made::T1);
    let strategy = made::strategy(1);
    store.add_strategy(&strategy).await.unwrap();
    record.strategy_id = strategy.id;
    record.summary = "naïve \u{1f980} \\ \" \n".to_owned();
    let checks = &mut record.decision.as_mut().unwrap().checks;
    for had in [-0.0, 1e300, 5e-324, 0.1 + 0.2, 1e16, 123_456_789.123_456_78] {
        checks.push(lifecycle::Check { name: "x".into(), needed: "y".into(), had: Some(had), passed: false });
    }
    store.apply_transition(&record, None).await.unwrap();
    let letter = NewDeadLetter {
        kind: DeadLetterKind::Step,
        subject: "step".to_owned(),
        error: "failed".to_owned(),
        genome: None,
        context: serde_json::json!({}),
    };
    let id = store.add_dead_letter(&letter).await.unwrap();
    store.mark_dead_letter(id, DeadLetterStatus::Resolved, "operator").await.unwrap();
    let report = store.verify_audit_chain().await.unwrap();
    assert_eq!((report.entries, report.first_bad), (3, None));
    let stored = store.strategy("made-1").await.unwrap().transitions.remove(0);
    assert_eq!(stored.decision, record.decision);
    assert_eq!(stored.summary, record.summary);
}
