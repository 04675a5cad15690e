//! Operators' commands: each moves a strategy once and by one state, however often it is sent, tried or interrupted.

use crate::{made, support};
use lifecycle::{DisableReason, State, Transition};
use serde_json::json;
use std::time::Duration;
use store::{
    Command, CommandKind, LeaseToken, NewCommand, NewDeadLetter, Page, Request, Store, StoreError, TransitionRecord,
};
use uuid::Uuid;

fn ann() -> Request {
    Request { actor: "operator ann".to_owned(), ip_hash: Some("ab".repeat(16)), why: "to\0try".to_owned() }
}

fn command<'a>(kind: CommandKind, target: &'a str, key: Option<&'a str>) -> NewCommand<'a> {
    NewCommand { kind, target, expected_state: None, key, seen_until_ms: None }
}

async fn candidate(store: &Store, n: u32) -> String {
    let strategy = made::strategy(n);
    assert!(store.add_strategy(&strategy).await.unwrap().is_some());
    strategy.id.to_string()
}

async fn state(store: &Store, id: &str) -> State {
    store.find_strategy(id).await.unwrap().state
}

/// The transition that a command becomes.
fn record(command: &Command, transition: Transition) -> TransitionRecord {
    let mut record = made::transition(command.target.parse().unwrap(), transition, made::T1);
    record.id = command.transition_id.unwrap();
    (record.decision, record.policy, record.actor) = (None, None, command.actor.clone());
    record
}

/// What an obedient daemon does at each look: whatever waits, in the state in which it finds the strategy.
async fn obey_all(store: &Store, lease: &LeaseToken) {
    for command in store.pending_commands().await.unwrap() {
        let from = state(store, &command.target).await;
        let Some(to) = command.kind.leads_to(from) else { continue };
        let transition = Transition::between(from, to, DisableReason::Operator).unwrap();
        let done = store.carry_out(command.id, &record(&command, transition), "it moved", lease).await;
        if let Err(error) = done {
            store.finish_command(command.id, false, &error.to_string(), lease).await.unwrap();
        }
    }
}

#[tokio::test]
async fn commands_wait_until_somebody_obeys_them() {
    let (_database, store) = support::database().await;
    let (_lease, token) = made::lease(&store).await;
    let (by, id) = (ann(), candidate(&store, 1).await);
    let letter = NewDeadLetter {
        kind: store::DeadLetterKind::Step,
        subject: "step".to_owned(),
        error: "no".to_owned(),
        genome: None,
        context: json!({}),
    };
    let letter = store.add_dead_letter(&letter).await.unwrap().to_string();
    let left = store.leave_command(&command(CommandKind::Disable, &id, None), &by).await.unwrap();
    let retry = store.leave_command(&command(CommandKind::Retry, &letter, None), &by).await.unwrap();
    let waiting = store.pending_commands().await.unwrap();
    assert_eq!(waiting, [left.clone(), retry.clone()]);
    assert_eq!((left.expected_state, retry.expected_state), (Some(State::Candidate), None));
    assert_eq!((left.kind, left.target.as_str(), left.actor.as_str()), (CommandKind::Disable, &*id, "operator ann"));
    assert_eq!((left.why.as_str(), left.done, &left.outcome), ("to\u{fffd}try", None, &None));
    store.finish_command(left.id, true, "it is disabled now", &token).await.unwrap();
    store.finish_command(left.id, false, "too late", &token).await.unwrap();
    store.finish_command(retry.id, false, "no backtest", &token).await.unwrap();
    let (done, failed) = (store.command(left.id).await.unwrap(), store.command(retry.id).await.unwrap());
    assert_eq!((done.done, done.outcome.as_deref()), (Some(true), Some("it is disabled now")), "the first note stands");
    assert_eq!((failed.done, failed.outcome.as_deref()), (Some(false), Some("no backtest")));
    assert_eq!(store.pending_commands().await.unwrap(), []);
    assert!(matches!(store.command(99).await, Err(StoreError::NotFound { what: "command", .. })));
    for (kind, target) in [(CommandKind::Retry, "99"), (CommandKind::Approve, "made-1"), (CommandKind::Revive, "")] {
        let nobody = store.leave_command(&command(kind, target, None), &by).await;
        assert!(matches!(nobody, Err(StoreError::NotFound { .. })), "{nobody:?}");
    }
    assert_eq!(store.audit_entries(None, Page::first(9)).await.unwrap().len(), 3, "created, and what was left");

    for paused in [true, true, false, false] {
        store.pause_runner("shadow", paused, &by).await.unwrap();
        let pauses = store.pauses().await.unwrap();
        let found = pauses.iter().map(|pause| (pause.runner.as_str(), pause.actor.as_str(), pause.why.as_str()));
        let expected = paused.then_some(("shadow", "operator ann", "to\u{fffd}try"));
        assert_eq!(found.collect::<Vec<_>>(), expected.into_iter().collect::<Vec<_>>());
    }
    let entries = store.audit_entries(Some("shadow"), Page::first(9)).await.unwrap();
    assert_eq!(entries.len(), 2, "what changes nothing leaves no entry");
    assert!(entries.iter().all(|entry| entry.ip_hash.is_some()));
    assert_eq!(store.verify_audit_chain().await.unwrap().entries, 5);
}

#[tokio::test]
async fn an_approval_that_is_sent_twice_is_one() {
    let (database, store) = support::database().await;
    let other = database.store().await;
    let (_lease, token) = made::lease(&store).await;
    let (by, id) = (ann(), candidate(&store, 1).await);
    let approve = command(CommandKind::Approve, &id, None);
    // At the same moment, by two connections.
    let (one, two) = tokio::join!(store.leave_command(&approve, &by), other.leave_command(&approve, &by));
    let first = one.unwrap();
    assert_eq!(first, two.unwrap());
    obey_all(&store, &token).await;
    // And once more after it was obeyed, by the same words or under the same key.
    assert_eq!(store.leave_command(&approve, &by).await.unwrap().id, first.id);
    obey_all(&store, &token).await;
    assert_eq!(state(&store, &id).await, State::Shadow);

    let keyed = candidate(&store, 2).await;
    let approve = command(CommandKind::Approve, &keyed, Some("3f1c"));
    let first = store.leave_command(&approve, &by).await.unwrap();
    obey_all(&store, &token).await;
    let again = store.leave_command(&approve, &Request { why: "another reason".to_owned(), ..ann() }).await.unwrap();
    assert_eq!((again.id, again.done), (first.id, Some(true)));
    obey_all(&store, &token).await;
    assert_eq!(state(&store, &keyed).await, State::Shadow);
    let elsewhere = store.leave_command(&command(CommandKind::Approve, &id, Some("3f1c")), &by).await.unwrap_err();
    assert!(matches!(&elsewhere, StoreError::Conflict(text) if text.contains("another one")), "{elsewhere}");

    // Whoever means the next step says so: by another key, or by the state that it is in.
    let stale = NewCommand { expected_state: Some(State::Candidate), ..approve };
    let stale = NewCommand { key: None, ..stale };
    let refused = store.leave_command(&stale, &by).await.unwrap_err();
    assert!(matches!(&refused, StoreError::Conflict(text) if text.contains("is shadow now")), "{refused}");
    let next = NewCommand { expected_state: Some(State::Shadow), key: None, ..approve };
    assert_ne!(store.leave_command(&next, &by).await.unwrap().id, first.id);
    obey_all(&store, &token).await;
    assert_eq!(state(&store, &keyed).await, State::Live);
    let kinds = |rows: Vec<store::TransitionRow>| rows.into_iter().map(|row| row.kind).collect::<Vec<_>>();
    let (once, twice) = (store.strategy(&id).await.unwrap(), store.strategy(&keyed).await.unwrap());
    assert_eq!((kinds(once.transitions), kinds(twice.transitions).len()), (vec!["enter_shadow".to_owned()], 2));
    assert_eq!(store.verify_audit_chain().await.unwrap().first_bad, None);
}

#[tokio::test]
async fn one_command_at_a_time_and_disabling_takes_the_place_of_what_waits() {
    let (_database, store) = support::database().await;
    let (_lease, token) = made::lease(&store).await;
    let (by, id) = (ann(), candidate(&store, 1).await);
    let approve = store.leave_command(&command(CommandKind::Approve, &id, Some("a")), &by).await.unwrap();
    let second = store.leave_command(&command(CommandKind::Revive, &id, Some("b")), &by).await.unwrap_err();
    assert!(matches!(&second, StoreError::Conflict(text) if text.contains("one at a time")), "{second}");
    let disable = store.leave_command(&command(CommandKind::Disable, &id, Some("c")), &by).await.unwrap();
    let superseded = store.command(approve.id).await.unwrap();
    assert_eq!(superseded.done, Some(false));
    assert!(superseded.outcome.unwrap().contains("took its place"));
    // It is meant whatever state the gate has brought the strategy to meanwhile.
    let enter = made::transition(id.parse().unwrap(), Transition::EnterShadow, made::T1);
    store.apply_transition(&enter, None).await.unwrap();
    obey_all(&store, &token).await;
    assert_eq!(state(&store, &id).await, State::Disabled);
    assert_eq!(store.command(disable.id).await.unwrap().done, Some(true));
}

#[tokio::test]
async fn what_fails_or_dies_between_moving_and_noting_leaves_neither() {
    let (database, store) = support::database().await;
    let (_lease, token) = made::lease(&store).await;
    let id = candidate(&store, 1).await;
    let approve = store.leave_command(&command(CommandKind::Approve, &id, None), &ann()).await.unwrap();
    let enter = record(&approve, Transition::EnterShadow);
    let client = database.client().await;
    // The note fails after the strategy was moved.
    let fail = "create function fail() returns trigger language plpgsql as $$ begin raise exception 'injected'; end $$;
        create trigger fail before update on operator_commands for each row execute function fail()";
    client.batch_execute(fail).await.unwrap();
    for _ in 0..3 {
        assert!(store.carry_out(approve.id, &enter, "it moved", &token).await.is_err());
        assert_eq!(state(&store, &id).await, State::Candidate);
    }
    client.batch_execute("drop trigger fail on operator_commands").await.unwrap();
    // It hangs with the strategy moved, and its process is gone: the connection ends in the middle.
    client.batch_execute("begin; select last_id from audit_head for update").await.unwrap();
    let hanging = store.carry_out(approve.id, &enter, "it moved", &token);
    assert!(tokio::time::timeout(Duration::from_millis(300), hanging).await.is_err());
    client.batch_execute("rollback").await.unwrap();
    assert_eq!(state(&store, &id).await, State::Candidate);
    assert_eq!(store.pending_commands().await.unwrap().len(), 1);
    // However often it is tried from here on, and whatever state it is tried from, it moves once and by one state.
    assert_eq!(store.carry_out(approve.id, &enter, "it moved", &token).await.unwrap().done, Some(true));
    let further = record(&approve, Transition::GoLive);
    for again in [&enter, &further] {
        assert_eq!(store.carry_out(approve.id, again, "it moved again", &token).await.unwrap().done, Some(true));
    }
    assert_eq!(state(&store, &id).await, State::Shadow);
    assert_eq!(store.command(approve.id).await.unwrap().outcome.as_deref(), Some("it moved"));
    assert_eq!(store.strategy(&id).await.unwrap().transitions.len(), 1);
}

#[tokio::test]
async fn a_command_is_obeyed_for_its_state_only_and_by_the_holder_of_the_lease_only() {
    let (_database, store) = support::database().await;
    let (lease, token) = made::lease(&store).await;
    let id = candidate(&store, 1).await;
    let approve = store.leave_command(&command(CommandKind::Approve, &id, None), &ann()).await.unwrap();
    // A gate was quicker.
    let enter = made::transition(id.parse().unwrap(), Transition::EnterShadow, made::T1);
    store.apply_transition(&enter, None).await.unwrap();
    let error = store.carry_out(approve.id, &record(&approve, Transition::GoLive), "live", &token).await.unwrap_err();
    assert!(matches!(&error, StoreError::Conflict(text) if text.contains("not meant for")), "{error}");
    let another = TransitionRecord { id: Uuid::now_v7(), ..record(&approve, Transition::GoLive) };
    let error = store.carry_out(approve.id, &another, "live", &token).await.unwrap_err();
    assert!(matches!(error, StoreError::Invalid(_)), "{error}");
    assert_eq!(state(&store, &id).await, State::Shadow);
    lease.release().await;
    let (_lease, _token) = made::lease(&store).await;
    for lost in [
        store.carry_out(approve.id, &record(&approve, Transition::EnterShadow), "late", &token).await.map(drop),
        store.finish_command(approve.id, true, "late", &token).await,
    ] {
        assert!(matches!(lost, Err(StoreError::LeaseLost { .. })), "{lost:?}");
    }
    assert_eq!(store.command(approve.id).await.unwrap().done, None);
}

#[tokio::test]
async fn a_command_that_is_too_old_moves_nothing_and_is_told_so() {
    let (database, store) = support::database().await;
    let (_lease, token) = made::lease(&store).await;
    let client = database.client().await;
    for (n, age) in [(1, "61 minutes"), (2, "30 days")] {
        let id = candidate(&store, n).await;
        let approve = store.leave_command(&command(CommandKind::Approve, &id, None), &ann()).await.unwrap();
        let sql =
            format!("update operator_commands set requested_at = now() - interval '{age}' where id = {}", approve.id);
        client.execute(&sql, &[]).await.unwrap();
        assert!(store.pending_commands().await.unwrap()[0].is_expired);
        obey_all(&store, &token).await;
        assert_eq!(state(&store, &id).await, State::Candidate, "{age}");
        let told = store.command(approve.id).await.unwrap();
        assert_eq!((told.done, told.outcome.as_deref()), (Some(false), Some(store::EXPIRED)));
        // It is in nobody's way.
        assert_ne!(
            store.leave_command(&command(CommandKind::Approve, &id, None), &ann()).await.unwrap().id,
            approve.id
        );
        obey_all(&store, &token).await;
        assert_eq!(state(&store, &id).await, State::Shadow);
    }
}
