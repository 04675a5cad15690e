//! Islands: sessions of their own on their own symbols, candles and seeds, through one trial ledger.

use super::{books, process::wait_for, stage::Stage};
use serde_json::Value;

#[tokio::test(flavor = "multi_thread")]
async fn each_island_has_sessions_of_its_own_and_all_share_one_account_of_tests() {
    let mut stage = Stage::new(23, 43_200.0).await;
    stage.set("SG__DAEMON__ISLANDS", "both:BTCUSDT+ETHUSDT,slow:ETHUSDT:30m:99");
    let mut daemon = stage.daemon("run");
    let url = daemon.url().await;
    let mut client = stage.client().await;
    let finished = "select count(distinct island) from search_sessions where status = 'finished' and number >= 2";
    wait_for("both islands have finished two sessions", async || {
        (books::count(&client, finished).await == 2).then_some(())
    })
    .await;
    let stats: Value = reqwest::get(format!("{url}/sg-ai/stats")).await.unwrap().json().await.unwrap();
    let shown: Vec<&str> = stats["islands"].as_array().unwrap().iter().map(|i| i["island"].as_str().unwrap()).collect();
    assert!(shown.contains(&"both") && shown.contains(&"slow"), "{stats}");
    daemon.stop().await;
    books::check(&mut client).await;

    let sql = "select island, array_to_string(symbols, '+'), timeframe, count(distinct seed)
        from search_sessions group by 1, 2, 3 order by 1";
    let rows = client.query(sql, &[]).await.unwrap();
    let rows: Vec<(String, String, String)> = rows.iter().map(|r| (r.get(0), r.get(1), r.get(2))).collect();
    let row = |a: &str, b: &str, c: &str| (a.to_owned(), b.to_owned(), c.to_owned());
    assert_eq!(rows, [row("both", "BTCUSDT+ETHUSDT", "15m"), row("slow", "ETHUSDT", "30m")]);
    // One number a session, over all islands.
    let twice = "select count(*) - count(distinct session_number) from protocol_sessions where not placebo";
    assert_eq!(books::count(&client, twice).await, 0);
    // A strategy of the slow island trades its candles alone.
    let strange = "select count(*) from strategies where island = 'slow' and genome->>'timeframe' = '15m'";
    assert_eq!(books::count(&client, strange).await, 0);
}
