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
use std::time::Duration;
use tokio_postgres::Client;

/// A small pipeline: seven months of history, three months of life.
const SETTINGS: &[(&str, &str)] = &[
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

async fn did(client: &Client) -> Vec<Vec<String>> {
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
    books::check(client).await;
}

async fn life(stage: &Stage, kills: u64) -> Vec<Vec<String>> {
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
    assert!(other.json(&["book", "verify", "--json"])["difference"].is_null());
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
    assert_eq!(other.json(&["book", "disable", "--why", "tried enough", "--json"])["number"], 2);
    let mut daemon = other.daemon("continuous");
    daemon.logged("this pipeline has ended; other settings begin another one").await;
    daemon.stop().await;
    assert_eq!(books::count(&client, "select count(*) from books").await, 2);
}
