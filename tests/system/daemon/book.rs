//! The book in the daemon: from an empty database to a live book, killed again and again, and what is stored is what its
//! candles give.

use super::{
    books,
    process::wait_for,
    stage::{NOW_MS, Stage},
};
use candles::time::DAY_MS;
use genome::random::Seed;
use rand::RngExt;
use serde_json::{Value, json};
use std::time::Duration;
use tokio_postgres::Client;

/// A small pipeline: seven months of history, three months of life.
pub(super) const SETTINGS: &[(&str, &str)] = &[
    ("SG__DAEMON__BOOK", "*USDT:4h"),
    ("SG__DAEMON__REHEARSE_HISTORY", "150"),
    ("SG__BOOK__SEARCH_DAYS", "150"),
    ("SG__BOOK__LEAST_DAYS", "60"),
    ("SG__BOOK__POPULATION_SIZE", "16"),
    ("SG__BOOK__GENERATIONS", "2"),
    ("SG__BOOK__NULL_SEARCHES", "2"),
    ("SG__BOOK__MIN_E_VALUE", "4"),
    ("SG__BOOK__LIFE_MIN_E_VALUE", "1.2"),
    ("SG__BOOK__LIFE_MIN_DAYS", "20"),
    // Sessions of single strategies are not what is tried here.
    ("SG_GENERATION_INTERVAL", "100000000"),
];

/// What a book did, but for ids and wall times.
const DID: [&str; 3] = [
    "select concat_ws(' ', is_placebo, day_ms, net, benchmark, hedged, step, log_e, bet_log_e) from book_days
     order by is_placebo, day_ms",
    "select concat_ws(' ', is_placebo, begin_ms, end_ms, is_over, members, cash, body) from book_blocks
     order by is_placebo, begin_ms",
    "select concat_ws(' ', from_state, to_state, summary, checks, at_market_ms) from book_transitions order by seq",
];

pub(super) async fn did(client: &Client) -> Vec<Vec<String>> {
    let mut all = Vec::new();
    for query in DID {
        all.push(client.query(query, &[]).await.unwrap().iter().map(|row| row.get(0)).collect());
    }
    all
}

/// What a command that must succeed prints.
#[track_caller]
fn told(stage: &Stage, args: &[&str]) -> String {
    let output = stage.command(args).output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Lets daemons come to the newest day, the first of them killed.
async fn catch_up(stage: &Stage, client: &mut Client, kills: u64, salt: u64) {
    for kill in 0..kills {
        let mut daemon = stage.daemon("continuous");
        daemon.logged("listening").await;
        let wait_ms = Seed(salt).stream("moments of kills", kill).random_range(100..2_500);
        tokio::time::sleep(Duration::from_millis(wait_ms)).await;
        daemon.kill();
        books::check(client).await;
    }
    let mut daemon = stage.daemon("continuous");
    daemon.logged("listening").await;
    // Of two at a freeze one walks, and the other stands by.
    let beside = (kills > 0).then(|| stage.daemon("continuous"));
    let until_ms = stage.exchange.clock().now_ms().div_euclid(DAY_MS) * DAY_MS - DAY_MS;
    let reached = format!("select count(distinct is_placebo) from book_days where day_ms >= {until_ms}");
    wait_for("book and placebo come to the newest day", async || {
        (books::count(client, &reached).await == 2).then_some(())
    })
    .await;
    // The move that follows from the last day is made in the same activation.
    let settled = "select count(*) from books where state = 'candidate'";
    wait_for("its history is walked", async || (books::count(client, settled).await == 0).then_some(())).await;
    daemon.stop().await;
    if let Some(beside) = beside {
        beside.stop().await;
    }
    books::check(client).await;
}

/// What operators and programs are told of a live book, and what they may do to it.
async fn looked_at(stage: &Stage, client: &Client) {
    let mut daemon = stage.daemon("continuous");
    let base = daemon.url().await;
    let sized = "select count(*) from book_deployments where status <> 'deactivated'";
    wait_for("it is sized", async || (books::count(client, sized).await == 1).then_some(())).await;
    let get = async |path: &str| reqwest::get(format!("{base}{path}")).await.unwrap();
    let json = async |path: &str| -> Value { get(path).await.json().await.unwrap() };
    let metrics = get("/metrics").await.text().await.unwrap();
    assert!(metrics.contains("sg_ai_book_state{status=\"live\"} 1"), "{metrics}");
    let of_book = telemetry::metrics::ALL.iter().filter(|metric| metric.name.starts_with("sg_ai_book_"));
    for metric in of_book {
        let emitted = metrics.lines().any(|line| line.split([' ', '{']).next() == Some(metric.name));
        assert!(emitted, "{}: {metrics}", metric.name);
    }
    let answer = json("/api/book/insight").await;
    let (insight, days) = (&answer["insight"], &answer["insight"]["days"]);
    let members = insight["members"].as_array().unwrap();
    assert!(!members.is_empty() && insight["correlations"][0][0] == 1.0, "{insight}");
    assert_eq!(days["gross"].as_array().unwrap().len(), days["day_ms"].as_array().unwrap().len());
    assert!(days["gross"].as_array().unwrap().iter().any(|gross| gross.as_f64() > Some(0.0)));
    assert!(insight["life"]["names"].as_array().is_some_and(|names| !names.is_empty()));
    assert!(
        answer["next_freeze"]["why"].is_string()
            && answer["next_freeze"]["at_ms"].as_i64() > insight["until_ms"].as_i64()
    );
    let band = json("/api/book/days").await;
    let drawn = band["placebo_band"]["low"].as_array().unwrap().len();
    assert_eq!(drawn, band["book"]["day_ms"].as_array().unwrap().len());
    let live = json("/api/book/members").await;
    assert_eq!(live["items"].as_array().unwrap().len(), members.len());
    assert_eq!((&live["items"][0]["book"], &live["items"][0]["strategy_id"]), (&json!(1), &Value::Null));
    // The same strategy in the list of strategies is live as a member, whatever its own state.
    let book = json("/api/book").await;
    let text = book["blocks"].as_array().unwrap().last().unwrap()["body"]["members"][0]["strategy"].clone();
    std::fs::write(stage.dir.path().join("member.txt"), text.as_str().unwrap()).unwrap();
    told_by_member(stage, client).await;
    let stored = "select strategy_id::text from live_book_members where strategy_id is not null";
    let id: String = client.query_one(stored, &[]).await.unwrap().get(0);
    assert_eq!(json(&format!("/api/strategies/{id}")).await["live_books"][0]["book"], 1);
    // A book is no strategy: nobody approves it.
    let approve = format!("{base}/api/strategies/{}/approve", book["book"]["id"].as_str().unwrap());
    let answer = reqwest::Client::new().post(approve).json(&json!({ "why": "I like it" })).send().await.unwrap();
    assert!(answer.status().is_client_error(), "{}", answer.status());
    daemon.stop().await;
    assert!(!stage.command(&["book", "approve"]).output().unwrap().status.success());

    let paused = stage.json(&["book", "pause", "--why", "to try", "--json"]);
    let expected = json!({ "number": 1, "status": "paused", "held": true, "changed": true });
    assert_eq!(paused, expected);
    assert_eq!(stage.json(&["book", "pause", "--why", "again", "--json"])["changed"], false);
    assert!(told(stage, &["book", "show"]).contains("deployment: paused"));
    let resumed = stage.json(&["book", "resume", "--why", "tried", "--json"]);
    assert_eq!((&resumed["held"], &resumed["changed"]), (&json!(false), &json!(true)));
    let audited = "select count(*) from audit_logs where event_type = 'deployment_changed' and entity_type = 'book'";
    assert!(books::count(client, audited).await >= 3);
    let page = told(stage, &["report", "book", "--out", "-"]);
    assert!(page.contains("sg-ai book report") && page.contains("Where it came from"), "{}", page.len());
    let file = stage.json(&["report", "book:1", "--format", "json", "--json"]);
    assert_eq!(file["of"], "book-1");
    let refused = stage.command(&["report", "book:7"]).output().unwrap();
    assert!(String::from_utf8_lossy(&refused.stderr).contains("there is no book 7"));
}

/// A member of a live book that is a stored strategy, too.
async fn told_by_member(stage: &Stage, client: &Client) {
    let said = told(stage, &["strategies", "add", "member.txt"]);
    let sql = "select proven_by || ' ' || status from proven_strategies";
    let rows: Vec<String> = client.query(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect();
    assert_eq!(rows, ["book 1 active"], "{said}");
}

async fn life(stage: &Stage, kills: u64) -> Vec<Vec<String>> {
    let none = stage.command(&["book", "show"]).output().unwrap();
    assert!(String::from_utf8_lossy(&none.stderr).contains("there is no book: set daemon.book"), "{none:?}");
    let mut first = stage.daemon("continuous");
    first.logged("a book begins to walk its history").await;
    first.kill();
    let mut client = stage.client().await;
    catch_up(stage, &mut client, kills, 1).await;
    for month in 0..3 {
        stage.exchange.clock().advance(27 * DAY_MS);
        catch_up(stage, &mut client, kills / 3, 2 + month).await;
    }
    did(&client).await
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_change_nothing_of_a_book_from_nothing_to_live() {
    let (mut one, mut other) = (Stage::of_coins(27).await, Stage::of_coins(27).await);
    for (name, value) in SETTINGS {
        one.set(name, value);
        other.set(name, value);
    }
    let (whole, interrupted) = tokio::join!(life(&one, 0), life(&other, 11));
    for (whole, interrupted) in whole.iter().zip(&interrupted) {
        for (a, b) in whole.iter().zip(interrupted) {
            assert_eq!(a, b);
        }
        assert_eq!(whole.len(), interrupted.len());
    }
    let moves: Vec<&str> = whole[2].iter().map(|text| text.split(' ').nth(1).unwrap()).collect();
    assert_eq!(moves, ["shadow", "live"], "{:?}", whole[2]);

    let client = other.client().await;
    assert_eq!(books::count(&client, "select count(*) from books").await, 1);
    let life = format!("select count(*) from book_days where not is_placebo and day_ms >= {NOW_MS}");
    assert!(books::count(&client, &life).await >= 80);
    // All of it is what the cached candles give, and the trail of it holds.
    let verified = told(&other, &["book", "verify"]);
    assert!(verified.contains("identical to the bit"), "{verified}");
    told(&other, &["audit", "verify"]);
    let shown = told(&other, &["book", "show"]);
    assert!(shown.contains("book 1: live") && shown.contains("ok  ln E, history and life"), "{shown}");
    assert!(shown.contains("a daemon goes on with it"), "{shown}");
    assert!(told(&other, &["book", "members"]).contains("expected"));
    assert_eq!(other.json(&["book", "show", "--json"])["book"]["state"], "live");
    assert!(other.json(&["book", "members", "--json"])["body"]["members"].is_array());
    assert!(other.json(&["book", "explain", "--json"])["days"].as_array().unwrap().len() > 200);
    // And to the same with a worker, whoever made which null search.
    let mut worker = other.daemon("worker");
    worker.logged("working").await;
    let verified = other.json(&["book", "verify", "--workers", "--json"]);
    assert!(verified["difference"].is_null() && verified["blocks"].as_u64() > Some(0), "{verified}");
    worker.stop().await;
    let made = "select count(*) from work_items where state = 'done' and kind = 'book_null_search'";
    assert!(books::count(&client, made).await > 0);
    looked_at(&other, &client).await;
    // A changed day shows.
    client.execute("update book_days set net = net + 1e-9 where not is_placebo and net <> 0", &[]).await.unwrap();
    let refused = other.command(&["book", "verify"]).output().unwrap();
    assert!(!refused.status.success());
    assert!(String::from_utf8_lossy(&refused.stdout).contains("of its own is another one"));

    // Another setting is another hypothesis: it is said before it happens, and then the old book has ended.
    other.set("SG__BOOK__MOST_MEMBERS", "7");
    // It asks for more history than there is.
    other.set("SG__DAEMON__REHEARSE_HISTORY", "3000");
    let shown = told(&other, &["book", "show"]);
    assert!(shown.contains("would end this book and begin book 2") && shown.contains("book settings"), "{shown}");
    let mut daemon = other.daemon("continuous");
    daemon.logged("another pipeline begins, with more to prove").await;
    let two = "select count(*) from books where number = 2 and state <> 'disabled'";
    wait_for("book 2", async || (books::count(&client, two).await == 1).then_some(())).await;
    let walks =
        "select count(*) from book_days d join books b on b.id = d.book_id and b.number = 2 and day_ms = from_ms";
    wait_for("its first day", async || (books::count(&client, walks).await > 0).then_some(())).await;
    daemon.stop().await;
    let ended = "select count(*) from books where number = 1 and disable_reason = 'deprecated'";
    assert_eq!(books::count(&client, ended).await, 1);
    let at_work = "select count(*) from book_deployments where status <> 'deactivated'";
    assert_eq!(books::count(&client, at_work).await, 0);
    let refused = other.command(&["book", "pause", "--why", "too late"]).output().unwrap();
    assert!(String::from_utf8_lossy(&refused.stderr).contains("has nothing at work"), "{refused:?}");
    assert_eq!(other.json(&["book", "disable", "--why", "tried enough", "--json"])["number"], 2);
    let mut daemon = other.daemon("continuous");
    daemon.logged("this pipeline has ended; other settings begin another one").await;
    daemon.stop().await;
    assert_eq!(books::count(&client, "select count(*) from books").await, 2);
}
