//! A daemon that is killed again and again, and one that has a double: nothing is lost, nothing is done twice.

use super::{
    books,
    process::{Daemon, wait_for},
    stage::Stage,
};
use genome::random::Seed;
use rand::RngExt;
use std::time::Duration;
use tokio_postgres::Client;

const DAY_PER_SECOND: f64 = 86_400.0;

/// Waits until the schema is there.
async fn migrated(stage: &Stage, daemon: &mut Daemon) -> Client {
    daemon.logged("listening").await;
    stage.client().await
}

/// Ends the daemon at once, at a moment when no notification is between its answer and its mark.
async fn kill_between_deliveries(stage: &Stage, client: &Client, daemon: Daemon) {
    let _still = stage.webhooks.hold_still().await;
    let taken = stage.webhooks.taken();
    wait_for("what was taken is marked", async || {
        let sql = "select event_key, channel from outbox where status = 'delivered'";
        let rows = client.query(sql, &[]).await.unwrap();
        (rows.len() >= taken.len()).then_some(())
    })
    .await;
    daemon.kill();
    stage.webhooks.forget_askers();
}

/// Every event that was stored came through once, and no other.
async fn each_event_came_once(stage: &Stage, client: &Client) {
    wait_for("the outbox is empty", async || {
        let waiting = books::count(client, "select count(*) from outbox where status = 'pending'").await;
        (waiting == 0).then_some(())
    })
    .await;
    let rows = client.query("select event_key, channel from outbox order by 1, 2", &[]).await.unwrap();
    let stored: Vec<(String, String)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    let taken = stage.webhooks.taken();
    let twice: Vec<_> = taken.iter().filter(|(_, times)| **times != 1).collect();
    assert!(twice.is_empty(), "{twice:?}");
    let came: Vec<(String, String)> = taken.into_keys().map(|(key, channel)| (key, channel.to_owned())).collect();
    assert_eq!(came, stored);
}

const LIVE_EVER: &str = "select count(*) from transitions where kind = 'go_live'";

#[tokio::test(flavor = "multi_thread")]
async fn ten_kills_lose_nothing_and_repeat_nothing() {
    let mut stage = Stage::new(11, DAY_PER_SECOND).await;
    // What a kill may break is the same behind any gate; this one lets strategies live within the test's time.
    stage.set("SG__LIFECYCLE__POLICY", "thresholds");
    let mut moments = Seed(11).stream("moments of kills", 0);
    let mut daemon = stage.daemon("run");
    let mut client = migrated(&stage, &mut daemon).await;
    for kill in 0..10 {
        // Some hit the start, some a generation, some a pass of paper trading.
        let wait_ms = moments.random_range(if kill % 3 == 0 { 50..600 } else { 400..2_500 });
        tokio::time::sleep(Duration::from_millis(wait_ms)).await;
        kill_between_deliveries(&stage, &client, daemon).await;
        books::check(&mut client).await;
        daemon = stage.daemon("run");
        daemon.logged("listening").await;
    }
    wait_for("a strategy is live", async || (books::count(&client, LIVE_EVER).await > 0).then_some(())).await;
    // Claims of the dead run out by themselves, in minutes; the test has no minutes.
    client.execute("update outbox set claimed_until = null where status = 'pending'", &[]).await.unwrap();
    let log = daemon.stop().await;
    assert_eq!(log.last().unwrap()["message"], "stopped");
    books::check(&mut client).await;

    // What the last run left in the outbox goes out with the next.
    stage.exchange.clock().set_speed(0.0);
    client.execute("update outbox set claimed_until = null where status = 'pending'", &[]).await.unwrap();
    let mut daemon = stage.daemon("shadow");
    daemon.logged("listening").await;
    each_event_came_once(&stage, &client).await;
    daemon.stop().await;
    books::check(&mut client).await;
    assert!(books::count(&client, "select count(*) from outbox where kind = 'promotion'").await >= 2);
    let report = stage.json(&["audit", "verify", "--json"]);
    assert!(report["first_bad"].is_null() && report["entries"].as_u64() > Some(20), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_daemons_one_works_and_the_other_takes_over() {
    let mut stage = Stage::new(12, DAY_PER_SECOND).await;
    // The other gate, which lets through more: this is about who works, not about what is proven.
    stage.set("SG__LIFECYCLE__POLICY", "thresholds");
    // Both at once, on an empty database and one cache of candles.
    let mut daemons = vec![stage.daemon("run"), stage.daemon("run")];
    for daemon in &mut daemons {
        daemon.logged("listening").await;
    }
    let mut client = stage.client().await;
    let holders = "select count(distinct holder) from leases";
    wait_for("both leases are held and work is done", async || {
        let leases = books::count(&client, "select count(*) from leases where name in ('search main', 'paper')").await;
        let generations = books::count(&client, "select count(*) from generations").await;
        (leases == 2 && generations > 4).then_some(())
    })
    .await;
    books::check(&mut client).await;
    assert!((1..=2).contains(&books::count(&client, holders).await));

    // Whoever searches is killed; the other goes on from where that was.
    let holder: String =
        client.query_one("select holder from leases where name = 'search main'", &[]).await.unwrap().get(0);
    let at = daemons.iter().position(|daemon| holder.ends_with(&format!(" process {}", daemon.pid()))).unwrap();
    let victim = daemons.remove(at);
    kill_between_deliveries(&stage, &client, victim).await;
    let sessions = "select count(*) from search_sessions where status = 'finished'";
    let finished = books::count(&client, sessions).await;
    wait_for("the other searches", async || (books::count(&client, sessions).await > finished + 1).then_some(())).await;
    let survivor = daemons.pop().unwrap();
    let pid = survivor.pid();
    let taken_over =
        format!("select count(*) from leases where holder like '% process {pid}' and name in ('search main', 'paper')");
    wait_for("the other has both leases", async || (books::count(&client, &taken_over).await == 2).then_some(())).await;
    wait_for("a strategy is live", async || (books::count(&client, LIVE_EVER).await > 0).then_some(())).await;
    survivor.stop().await;
    books::check(&mut client).await;
}
