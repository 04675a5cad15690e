//! Names are unique among strategies that are not disabled; versions rise with those of the stored parents.

use crate::{made, support};
use lifecycle::{DisableReason, State, Transition, VersionStep};
use std::collections::BTreeSet;
use store::{CommandKind, NewCommand, NewStrategy, Page, Request, SERVICE_KIND, Store, StoreError};
use uuid::Uuid;

/// A strategy of this name, which nobody chose.
fn called(n: u32, name: &str) -> NewStrategy {
    NewStrategy { name: name.to_owned(), ..made::strategy(n) }
}

/// A strategy whose author chose its name.
fn chosen(n: u32, name: &str) -> NewStrategy {
    NewStrategy { name_is_chosen: true, ..called(n, name) }
}

async fn disable(store: &Store, id: Uuid) {
    let record = made::transition(id, made::REJECT, made::T1);
    store.apply_transition(&record, None).await.unwrap();
}

#[tokio::test]
async fn a_chosen_name_is_refused_where_it_is_taken_and_others_get_numbers() {
    let (database, store) = support::database().await;
    let first = chosen(1, "dip");
    assert_eq!(store.add_strategy(&first).await.unwrap().as_deref(), Some("dip"));
    let number = store.find_strategy("dip").await.unwrap().number;
    let clients = NewStrategy { kind: SERVICE_KIND.to_owned(), ..chosen(3, "dip") };
    let refused = [
        store.add_strategy(&chosen(2, "dip")).await.unwrap_err(),
        store.put_strategy(&clients, 100).await.unwrap_err(),
    ];
    for error in refused {
        let taken = StoreError::NameTaken { name: "dip".to_owned(), number, state: State::Candidate };
        assert_eq!(error, taken);
        assert!(error.to_string().contains(&format!("taken by strategy {number}, which is candidate")), "{error}");
    }
    assert_eq!(store.add_strategy(&first).await.unwrap(), None, "the same again is no clash with itself");
    assert_eq!(store.put_strategy(&first, 100).await.unwrap().0.id, first.id);
    for (n, name) in [(4, "dip-2"), (5, "dip-3")] {
        assert_eq!(store.add_strategy(&called(n, "dip")).await.unwrap().as_deref(), Some(name));
    }
    assert_eq!(store.add_strategy(&called(6, "dip-2")).await.unwrap().as_deref(), Some("dip-2-2"));
    // Names have no case that is folded and no end that is trimmed by the store: these are others.
    for (n, name) in [(7, "Dip"), (8, "dip ")] {
        assert_eq!(store.add_strategy(&chosen(n, name)).await.unwrap().as_deref(), Some(name));
    }
    // One that is disabled gives its name free, and is found by its id still.
    disable(&store, first.id).await;
    let again = chosen(9, "dip");
    assert_eq!(store.add_strategy(&again).await.unwrap().as_deref(), Some("dip"));
    assert_eq!(store.find_strategy("dip").await.unwrap().id, again.id, "what has the name now");
    assert_eq!(store.find_strategy(&first.id.to_string()).await.unwrap().name, "dip");

    let client = database.client().await;
    let sql = "update strategies set name = 'dip' where name = 'dip-3'";
    let error = client.execute(sql, &[]).await.unwrap_err();
    assert_eq!(error.as_db_error().unwrap().constraint(), Some("strategies_name_in_use"));
}

#[tokio::test]
async fn numbered_names_fit_and_count_on() {
    let (_database, store) = support::database().await;
    // 200 characters are the most, and characters are not bytes.
    for (n, letter) in [(0, "x"), (100, "\u{20ac}"), (200, "\u{1f600}")] {
        let long = letter.repeat(200);
        assert_eq!(store.add_strategy(&called(n, &long)).await.unwrap(), Some(long.clone()));
        for i in 2..=11 {
            let name = store.add_strategy(&called(n + i, &long)).await.unwrap().unwrap();
            let end = format!("-{i}");
            assert_eq!(name, letter.repeat(200 - end.len()) + &end);
        }
    }
    // A number that became free is the next one to be given.
    for n in 301..=304 {
        store.add_strategy(&called(n, "gap")).await.unwrap();
    }
    disable(&store, store.find_strategy("gap-2").await.unwrap().id).await;
    assert_eq!(store.add_strategy(&called(305, "gap")).await.unwrap().as_deref(), Some("gap-2"));
}

#[tokio::test]
async fn who_stores_at_the_same_moment_gets_a_name_of_its_own() {
    let (database, _) = support::database().await;
    let mut tasks = Vec::new();
    for n in 0..24 {
        let store = database.store().await;
        tasks.push(tokio::spawn(async move {
            let new = if n % 4 == 0 { chosen(n, "same") } else { called(n, "same") };
            store.add_strategy(&new).await
        }));
    }
    let (mut names, mut refused) = (BTreeSet::new(), 0);
    for task in tasks {
        match task.await.unwrap() {
            Ok(name) => assert!(names.insert(name.unwrap()), "no name twice"),
            Err(StoreError::NameTaken { name, .. }) => refused += u32::from(name == "same"),
            Err(other) => panic!("{other}"),
        }
    }
    let expected = |n: usize| if n == 1 { "same".to_owned() } else { format!("same-{n}") };
    assert_eq!(names, (1..=names.len()).map(expected).collect());
    assert!(names.len() >= 18 && names.len() + refused as usize == 24, "{names:?}, {refused} refused");
}

#[tokio::test]
async fn one_that_comes_back_finds_its_name_or_gets_a_number() {
    let (_database, store) = support::database().await;
    let (_lease, token) = made::lease(&store).await;
    let first = chosen(1, "dip");
    store.add_strategy(&first).await.unwrap();
    disable(&store, first.id).await;
    let revive = |id| made::transition(id, Transition::Revive, made::T1);
    store.apply_transition(&revive(first.id), None).await.unwrap();
    assert_eq!(store.find_strategy("dip").await.unwrap().id, first.id, "nobody has it: it keeps it");
    let told = store.audit_entries(Some(&first.id.to_string()), Page::first(1)).await.unwrap();
    assert_eq!(told[0].after.as_ref().unwrap().get("name"), None);

    disable(&store, first.id).await;
    let second = chosen(2, "dip");
    store.add_strategy(&second).await.unwrap();
    store.apply_transition(&revive(first.id), None).await.unwrap();
    let back = store.find_strategy(&first.id.to_string()).await.unwrap();
    assert_eq!((back.name.as_str(), back.state), ("dip-2", State::Candidate));
    let told = store.audit_entries(Some(&first.id.to_string()), Page::first(1)).await.unwrap();
    assert_eq!(told[0].after.as_ref().unwrap()["name"], "dip-2");

    // By a command it is told in the answer, too.
    disable(&store, second.id).await;
    store.add_strategy(&chosen(3, "dip")).await.unwrap();
    let by = Request { actor: "operator ann".to_owned(), ip_hash: None, why: "again".to_owned() };
    let target = &second.id.to_string();
    let left = NewCommand { kind: CommandKind::Revive, target, expected_state: None, key: None, seen_until_ms: None };
    let left = store.leave_command(&left, &by).await.unwrap();
    let mut record = revive(second.id);
    record.id = left.transition_id.unwrap();
    let done = store.carry_out(left.id, &record, "dip is candidate now", &token).await.unwrap();
    let told = done.outcome.unwrap();
    assert_eq!(told, "dip is candidate now, under the name dip-3: another strategy has the name dip");
    assert_eq!(store.verify_audit_chain().await.unwrap().first_bad, None);
}

#[tokio::test]
async fn a_session_stores_what_it_found_whoever_has_the_names() {
    let (_database, store) = support::database().await;
    let (_lease, token) = made::lease(&store).await;
    let id = store.open_session(&token, &made::session("main", 1)).await.unwrap().id;
    store.record_generation(&token, id, &made::generation(0), b"state", &[]).await.unwrap();
    // A client has squatted on a name that the search will give, and posted rules that it will find, under another's name.
    let client = |n, name| NewStrategy { kind: SERVICE_KIND.to_owned(), ..chosen(n, name) };
    store.put_strategy(&client(9, "made-1"), 100).await.unwrap();
    let posted = store.put_strategy(&client(2, "mine"), 100).await.unwrap().0;
    store.put_strategy(&client(8, "made-2"), 100).await.unwrap();
    let found = [made::candidate(1, id, Some(Transition::EnterShadow)), made::candidate(2, id, Some(made::REJECT))];
    let report = store.finish_session(&token, id, &found, &[], &learner::Scores::default()).await.unwrap();
    assert_eq!((report.stored, report.rediscovered), (2, 0));
    let [one, two] = [found[0].strategy.id, posted.id].map(|id| id.to_string());
    assert_eq!(store.find_strategy(&one).await.unwrap().name, "made-1-2");
    assert_eq!(store.find_strategy(&two).await.unwrap().name, "made-2-2", "what a client posted is the search's now");
}

#[tokio::test]
async fn versions_rise_from_stored_parents_to_children() {
    let (database, store) = support::database().await;
    let child = async |n: u32, step, parents: &[u32]| {
        let parent_hashes = parents.iter().map(|p| made::hash(*p)).collect();
        let new = NewStrategy { step, parent_hashes, ..made::strategy(n) };
        store.add_strategy(&new).await.unwrap();
        store.find_strategy(&new.id.to_string()).await.unwrap().version
    };
    use VersionStep::{Major, Minor, Patch};
    assert_eq!(child(1, Minor, &[]).await, "1.0.0");
    assert_eq!(child(2, Patch, &[1]).await, "1.0.1");
    assert_eq!(child(3, Minor, &[2]).await, "1.1.0");
    assert_eq!(child(4, Patch, &[3]).await, "1.1.1");
    assert_eq!(child(5, Major, &[4, 2]).await, "2.0.0");
    assert_eq!(child(6, Major, &[1, 99]).await, "2.0.0", "of two parents one is stored");
    assert_eq!(child(7, Major, &[98, 99]).await, "1.0.0", "parents that are not stored count as none");
    assert_eq!(child(8, Patch, &[5]).await, "2.0.1");
    // As numbers, not as texts; and what somebody wrote by hand and no number holds is passed over.
    let client = database.client().await;
    let sql =
        "update strategies set version = case name when 'made-1' then '1.10.0' else '99999999999999999999.0.0' end
        where name in ('made-1', 'made-2')";
    client.batch_execute(sql).await.unwrap();
    assert_eq!(child(9, Minor, &[1, 3]).await, "1.11.0");
    assert_eq!(child(10, Minor, &[2]).await, "1.0.0");
    // Of a session parents come first; a disabled parent counts like any other.
    let (_lease, token) = made::lease(&store).await;
    let id = store.open_session(&token, &made::session("main", 1)).await.unwrap().id;
    store.record_generation(&token, id, &made::generation(0), b"state", &[]).await.unwrap();
    let disabled = Transition::Disable { from: State::Candidate, reason: DisableReason::Rejected };
    let mut found = [made::candidate(22, id, None), made::candidate(21, id, Some(disabled))];
    (found[0].strategy.step, found[0].strategy.parent_hashes) = (Patch, vec![made::hash(21)]);
    (found[1].strategy.step, found[1].strategy.parent_hashes) = (Minor, vec![made::hash(8)]);
    store.finish_session(&token, id, &found, &[], &learner::Scores::default()).await.unwrap();
    let versions = ["made-21", "made-22"].map(async |name| store.find_strategy(name).await.unwrap().version);
    let [parent, child] = versions;
    assert_eq!((parent.await.as_str(), child.await.as_str()), ("2.1.0", "2.1.1"));
}
