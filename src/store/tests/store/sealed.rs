//! Genomes at rest: sealed with a key, read as if they were not, sealed anew with another.

use crate::{made, support};
use lifecycle::{State, Transition};
use secrecy::SecretString;
use serde_json::json;
use store::{FailedBacktest, NewEvent, Page, RotationReport, Store, StoreConfig, StoreError, StrategyFilter, Trials};

fn key(n: u8) -> SecretString {
    hex::encode([n; 32]).into()
}

fn config(current: Option<u8>, former: &[u8]) -> StoreConfig {
    StoreConfig {
        genome_key: current.map(key),
        genome_former_keys: former.iter().map(|n| key(*n)).collect(),
        ..StoreConfig::default()
    }
}

/// Whether nothing that the database holds of them tells a genome, a rule or a search's state.
async fn tells_nothing(client: &tokio_postgres::Client) {
    let sql = "select concat(genome::text, canonical) from strategies union all select genome::text from dead_letters
        union all select encode(state, 'escape') from search_states union all select payload::text from outbox";
    for row in client.query(sql, &[]).await.unwrap() {
        let text: String = row.get(0);
        assert!(!text.contains("close") && !text.contains("entry") && !text.contains("population"), "{text}");
    }
}

async fn with_everything(store: &Store) {
    let (_lease, token) = made::lease(store).await;
    let session = store.open_session(&token, &made::session("main", 1)).await.unwrap().id;
    let failure = FailedBacktest {
        genome_hash: made::hash(7),
        genome: made::genome(7).into(),
        error: "failed".to_owned(),
        context: json!({}),
    };
    store.record_generation(&token, session, &made::generation(0), b"population", &[failure]).await.unwrap();
    // Between two null searches the state is stored by another statement.
    store.record_searching(&token, session, b"population", &Trials::default()).await.unwrap();
    for n in 1..=7 {
        made::in_shadow(store, n).await;
    }
    store.enqueue_event(&message()).await.unwrap();
}

/// A message that tells rules.
fn message() -> NewEvent {
    let (key, kind, channel) = ("promotion:1".to_owned(), "promotion".to_owned(), "slack".to_owned());
    NewEvent { key, kind, channel, payload: json!({ "name": "made-1", "text": "long entry close > 1" }) }
}

/// What everybody who asks is told.
async fn read_everything(store: &Store) {
    let found = store.strategies(&StrategyFilter::default(), Page::first(20)).await.unwrap();
    assert_eq!(found.len(), 7);
    for strategy in found {
        let n = strategy.name.strip_prefix("made-").unwrap().parse().unwrap();
        assert_eq!(strategy.genome.read().unwrap().rules().unwrap(), &made::genome(n));
        assert_eq!((&strategy.genome_hash, strategy.canonical), (&made::hash(n), made::genome(n).to_string()));
    }
    assert_eq!(
        store.strategy("made-3").await.unwrap().strategy.genome.read().unwrap().rules().unwrap(),
        &made::genome(3)
    );
    let runs = store.paper_runs(&[State::Shadow]).await.unwrap();
    assert_eq!(runs[0].strategy.genome.read().unwrap().rules().unwrap(), &made::genome(1));
    let letters = store.dead_letters(None, Page::first(9)).await.unwrap();
    assert_eq!(letters[0].genome.as_ref().unwrap().read().unwrap().rules().unwrap(), &made::genome(7));
    let unfinished = store.unfinished_session("main").await.unwrap().unwrap();
    assert_eq!(unfinished.state.as_deref(), Some(&b"population"[..]));
    // A claim of no time: the next reader claims it again.
    assert!(store.claim_outbox(20, 0).await.unwrap().iter().any(|claimed| claimed.event == message()));
}

#[tokio::test]
async fn sealed_genomes_are_read_with_their_key_and_by_nobody_else() {
    let (database, plain) = support::database().await;
    let sealed = database.store_with(&config(Some(1), &[])).await;
    with_everything(&sealed).await;
    let client = database.client().await;
    tells_nothing(&client).await;
    read_everything(&sealed).await;
    assert!(
        sealed.add_strategy(&made::strategy(3)).await.unwrap().is_none(),
        "the hash is the identity, sealed or not"
    );
    assert_eq!(sealed.find_strategy(&made::hash(3)).await.unwrap().name, "made-3");
    let id = sealed.find_strategy("made-3").await.unwrap().id;
    sealed.apply_transition(&made::transition(id, Transition::GoLive, made::T1), None).await.unwrap();
    for store in [&plain, &database.store_with(&config(Some(2), &[])).await] {
        let error = store.find_strategy("made-3").await.unwrap_err();
        assert!(matches!(&error, StoreError::Config(text) if text.contains("store.genome_key")), "{error}");
        assert!(store.unfinished_session("main").await.is_err());
    }
    // One strategy's seal in another's row.
    let sql =
        "update strategies t set genome = f.genome from strategies f where t.name = 'made-1' and f.name = 'made-2'";
    client.execute(sql, &[]).await.unwrap();
    let error = sealed.find_strategy("made-1").await.unwrap_err();
    assert!(error.to_string().contains("another row"), "{error}");
    // Half sealed is not possible.
    for sql in [
        "update strategies set canonical = 'x' where name = 'made-4'",
        "update strategies set genome = '{}' where name = 'made-4'",
    ] {
        let error = client.execute(sql, &[]).await.expect_err(sql);
        assert_eq!(
            error.as_db_error().and_then(|db| db.constraint()),
            Some("strategies_sealed_whole"),
            "{sql}: {error:?}"
        );
    }
}

#[tokio::test]
async fn a_genome_that_was_replaced_is_not_taken_for_the_one_it_was() {
    let (database, _plain) = support::database().await;
    let sealed = database.store_with(&config(Some(1), &[])).await;
    with_everything(&sealed).await;
    let client = database.client().await;
    // Whoever owns the table can replace a genome; who reads it is told.
    let (genome, text) = (serde_json::to_value(made::genome(40)).unwrap(), made::genome(40).to_string());
    let plain = "update strategies set genome = $1, canonical = $2 where name = 'made-1'";
    client.execute(plain, &[&genome, &text]).await.unwrap();
    let known = sealed.find_strategy("made-1").await.unwrap();
    let told = known.genome.read().unwrap_err().to_string();
    assert!(told.contains("it was replaced"), "{told}");
    let text_alone = "update strategies set genome = $1, canonical = 'long when close > 9' where name = 'made-2'";
    client.execute(text_alone, &[&serde_json::to_value(made::genome(2)).unwrap()]).await.unwrap();
    let told = sealed.find_strategy("made-2").await.unwrap().genome.into_read().unwrap_err().to_string();
    assert!(told.contains("its text was replaced"), "{told}");
    for (name, seal) in [("made-3", json!({ "sealed_with": "x" })), ("made-4", json!({ "sealed_with": 7 }))] {
        let sql = "update strategies set genome = $1 where name = $2";
        client.execute(sql, &[&seal, &name]).await.unwrap();
        let read = sealed.find_strategy(name).await.map(|strategy| strategy.genome.into_read());
        assert!(!matches!(read, Ok(Ok(_))), "{name}: {read:?}");
    }
    let letter = "update dead_letters set genome = $1";
    client.execute(letter, &[&genome]).await.unwrap();
    let letters = sealed.dead_letters(None, Page::first(9)).await.unwrap();
    let told = letters[0].genome.as_ref().unwrap().read().unwrap_err().to_string();
    assert!(told.contains("it was replaced"), "{told}");
}

#[tokio::test]
async fn a_message_that_cannot_be_opened_holds_back_no_other() {
    let (database, _plain) = support::database().await;
    let sealed = database.store_with(&config(Some(1), &[])).await;
    let client = database.client().await;
    let named = |key: &str| NewEvent { key: key.to_owned(), ..message() };
    for key in ["broken", "whole", "foreign"] {
        sealed.enqueue_event(&named(key)).await.unwrap();
    }
    let other = database.store_with(&config(Some(2), &[])).await;
    other.enqueue_event(&named("of another key")).await.unwrap();
    let sql = "update outbox set payload = jsonb_set(payload, '{text}', to_jsonb('00' || (payload ->> 'text')))
            where event_key = 'broken';
        update outbox o set payload = w.payload from outbox w where o.event_key = 'foreign' and w.event_key = 'whole'";
    client.batch_execute(sql).await.unwrap();
    let claimed = sealed.claim_outbox(10, 600).await.unwrap();
    assert_eq!(claimed.iter().map(|c| &c.event).collect::<Vec<_>>(), [&named("whole")]);
    let depth = sealed.outbox_depth().await.unwrap();
    assert_eq!(
        (depth.dead, depth.pending),
        (2, 2),
        "the one that is being delivered, and the one that waits for its key"
    );
    let letters = sealed.dead_letters(None, Page::first(9)).await.unwrap();
    let mut told: Vec<_> = letters.iter().map(|l| (l.subject.as_str(), l.error.contains("was changed"))).collect();
    told.sort_unstable();
    assert_eq!(told, [("slack:broken", true), ("slack:foreign", true)]);
    assert_eq!(sealed.claim_outbox(10, 600).await.unwrap(), [], "nothing is taken twice");
    // Given its key, it goes out at its first attempt.
    client.execute("update outbox set next_attempt_at = now()", &[]).await.unwrap();
    let claimed = other.claim_outbox(10, 600).await.unwrap();
    let found: Vec<_> = claimed.iter().map(|c| (c.event.key.as_str(), c.attempt)).collect();
    assert_eq!(found, [("of another key", 1)]);
}

#[tokio::test]
async fn keys_are_rotated_from_where_a_killed_rotation_was() {
    let (database, plain) = support::database().await;
    with_everything(&plain).await;
    let client = database.client().await;
    let report = |key: Option<String>, strategies, others| RotationReport {
        key,
        strategies,
        dead_letters: others,
        search_states: others,
        // One of each transition, and the one that tells rules.
        messages: 8 * others,
    };
    // From the clear to a first key.
    let first = database.store_with(&config(Some(1), &[])).await;
    let done = first.rotate_genome_keys(3, "operator ann", |_| ()).await.unwrap();
    assert_eq!(done, report(first.genome_key(), 7, 1));
    tells_nothing(&client).await;
    read_everything(&first).await;
    // To a second one. What cannot be opened stops it; what was done before stays done.
    let second = database.store_with(&config(Some(2), &[1])).await;
    let third = database.store_with(&config(Some(3), &[2])).await;
    let sql = "update strategies set genome = jsonb_set(genome, '{text}', to_jsonb('00' || (genome ->> 'text')))
        where id = (select id from strategies order by id offset 5 limit 1) returning name";
    let broken: String = client.query_one(sql, &[]).await.unwrap().get(0);
    let mut told = Vec::new();
    let stopped = second.rotate_genome_keys(2, "operator ann", |n| told.push(n)).await.unwrap_err();
    assert!(stopped.to_string().contains("was changed"), "{stopped}");
    assert_eq!(told, [2, 4]);
    let keys = second.genome_keys().await.unwrap();
    assert_eq!((keys[&second.genome_key()], keys[&first.genome_key()]), (4, 3));
    assert_eq!(
        second.find_strategy("made-1").await.unwrap().genome.read().unwrap().rules().unwrap(),
        &made::genome(1),
        "old and new are read meanwhile"
    );
    let sql = format!(
        "update strategies set genome = jsonb_set(genome, '{{text}}', to_jsonb(substr(genome ->> 'text', 3))) where name = '{broken}'"
    );
    client.execute(&sql, &[]).await.unwrap();
    let done = second.rotate_genome_keys(2, "operator ann", |_| ()).await.unwrap();
    assert_eq!(done, report(second.genome_key(), 3, 1), "the rest");
    assert_eq!(second.rotate_genome_keys(2, "operator ann", |_| ()).await.unwrap(), report(second.genome_key(), 0, 0));
    read_everything(&second).await;
    // The first key is not needed any more; and back to the clear with none.
    read_everything(&database.store_with(&config(Some(2), &[])).await).await;
    read_everything(&third).await;
    let open = database.store_with(&config(None, &[2])).await;
    assert_eq!(open.rotate_genome_keys(100, "operator ann", |_| ()).await.unwrap(), report(None, 7, 1));
    read_everything(&plain).await;
    let report = plain.verify_audit_chain().await.unwrap();
    assert_eq!(report.first_bad, None);
    let sql =
        "select count(*) from audit_logs where event_type = 'configuration_changed' and entity_type = 'genome_key'";
    assert_eq!(client.query_one(sql, &[]).await.unwrap().get::<_, i64>(0), 3, "each rotation that did something");
}
