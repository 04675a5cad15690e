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

#[tokio::test(flavor = "multi_thread")]
async fn both_forms_are_searched_side_by_side_each_with_its_share() {
    let mut stage = Stage::of_coins(5).await;
    stage.set("SG__DAEMON__ISLANDS", "pair:C01USDT+C02USDT:4h,book:*USDT:4h");
    stage.set("SG__SEARCH__VARIATION__TIMEFRAMES", "4h");
    stage.set("SG__DAEMON__RANKING_SHARE", "0.25");
    let mut daemon = stage.daemon("continuous");
    daemon.logged("listening").await;
    let mut client = stage.client().await;
    let finished = "select count(distinct island) from search_sessions where status = 'finished'";
    wait_for("both islands have finished a session", async || {
        (books::count(&client, finished).await == 2).then_some(())
    })
    .await;
    daemon.stop().await;
    books::check(&mut client).await;
    let sql = "select island, config -> 'search' ->> 'form', (config -> 'search' ->> 'population_size')::bigint
        from search_sessions where number = 1 order by 1";
    let rows = client.query(sql, &[]).await.unwrap();
    let rows: Vec<(String, String, i64)> = rows.iter().map(|r| (r.get(0), r.get(1), r.get(2))).collect();
    let row = |a: &str, b: &str, n| (a.to_owned(), b.to_owned(), n);
    assert_eq!(rows, [row("book", "ranking", 20), row("pair", "rules", 60)]);
    let mixed = "select count(*) from strategies where (island = 'book') <> (form = 'ranking')";
    assert_eq!(books::count(&client, mixed).await, 0);
}
