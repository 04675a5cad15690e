//! What operators see and do while the daemon works: health, numbers, outages, stops.

use super::{
    books,
    process::{Daemon, wait_for},
    stage::Stage,
    support::{self, TestDatabase},
};
use market::simulator::{FaultKind, FaultSpec};
use secrecy::SecretString;
use serde_json::Value;
use std::{collections::BTreeSet, time::Duration};
use store::embedded::EmbeddedServer;

const DAY_PER_SECOND: f64 = 86_400.0;
const TOKEN: &str = "a token of operators";

/// Names that dashboards, alerts and other people's scripts rely on.
const METRICS: &[&str] = &[
    "sg_ai_generation_fitness",
    "sg_ai_strategies_total",
    "sg_ai_shadow_pf",
    "sg_ai_promotions_total",
    "sg_ai_demotions_total",
    "sg_ai_last_generation_timestamp",
    "sg_ai_protocol_sessions_total",
    "sg_ai_promotions_frozen",
];

async fn get(url: &str, path: &str) -> (u16, String) {
    let answer = reqwest::get(format!("{url}{path}")).await.unwrap_or_else(|error| panic!("{path}: {error:?}"));
    (answer.status().as_u16(), answer.text().await.unwrap())
}

async fn health(url: &str) -> (u16, Value) {
    let (status, body) = get(url, "/sg-ai/health").await;
    (status, serde_json::from_str(&body).unwrap())
}

/// The metric of each sample in Prometheus's text form; panics where it is none.
fn sample_names(text: &str) -> BTreeSet<&str> {
    let samples = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    samples
        .map(|line| {
            let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no sample: {line}"));
            value.parse::<f64>().unwrap_or_else(|_| panic!("no number: {line}"));
            series.split('{').next().unwrap()
        })
        .collect()
}

async fn until_work(daemon: &mut Daemon, stage: &Stage) -> tokio_postgres::Client {
    daemon.logged("listening").await;
    let client = stage.client().await;
    wait_for("strategies are in shadow", async || {
        let sql = "select count(*) from strategies where state = 'shadow'";
        (books::count(&client, sql).await > 0).then_some(())
    })
    .await;
    client
}

#[tokio::test(flavor = "multi_thread")]
async fn health_numbers_and_metrics_tell_of_the_work() {
    let stage = Stage::new(14, DAY_PER_SECOND / 4.0).await;
    let mut daemon = stage.daemon("run");
    let url = daemon.url().await;
    let client = until_work(&mut daemon, &stage).await;

    let (status, health) = health(&url).await;
    assert_eq!((status, &health["status"]), (200, &"healthy".into()), "{health}");
    assert!(health["last_generation"].as_str().is_some_and(|time| time.ends_with('Z')), "{health}");
    assert_eq!(get(&url, "/health").await.0, 200);

    let (status, stats) = get(&url, "/sg-ai/stats").await;
    let stats: Value = serde_json::from_str(&stats).unwrap();
    assert_eq!(status, 200);
    assert!(stats["generations"].as_u64() > Some(0) && stats["evaluations"].as_u64() > Some(0), "{stats}");
    let stored = books::count(&client, "select count(*) from strategies").await;
    let states = stats["strategies"].as_object().unwrap();
    assert_eq!(states.keys().collect::<Vec<_>>(), ["candidate", "disabled", "live", "shadow"]);
    // Read before, and strategies only come.
    let told = states.values().map(|n| n.as_i64().unwrap()).sum::<i64>();
    assert!((1..=stored).contains(&told), "{stats}, {stored} stored");

    wait_for("the placebo island stands beside the real sessions", async || {
        let stats: Value = serde_json::from_str(&get(&url, "/sg-ai/stats").await.1).unwrap();
        let protocol = &stats["protocol"];
        let real = protocol["real"]["sessions"].as_u64().unwrap();
        assert!(protocol["real"]["beat_null_searches"].as_u64().unwrap() <= real, "{stats}");
        (protocol["placebo"]["sessions"].as_u64() > Some(0) && protocol["null_evaluations"].as_u64() > Some(0))
            .then_some(())
    })
    .await;
    let (status, promotions) = get(&url, "/sg-ai/health/promotions").await;
    assert!(status == 200 && promotions.contains("placebo sessions entered shadow"), "{promotions}");
    wait_for("every promised metric is scraped", async || {
        let (status, text) = get(&url, "/metrics").await;
        assert_eq!(status, 200);
        let names = sample_names(&text);
        METRICS.iter().all(|name| names.contains(name)).then_some(())
    })
    .await;
    daemon.stop().await;
}

async fn own_server() -> EmbeddedServer {
    support::server(|folder| folder.with_extension("outage")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_the_database_is_told_and_survived() {
    // A server of its own: it is stopped, which others would mind.
    let server = own_server().await;
    let options = server.connect_options();
    let url = server.url();
    let database = TestDatabase { options, name: "sg_ai".to_owned(), url: SecretString::from(url.clone()) };
    let mut stage = Stage::on(15, DAY_PER_SECOND / 4.0, database, &url).await;
    // Whatever were parked would rest for longer than the test lasts.
    stage.set("SG__DAEMON__PARK_S", "3600");
    stage.set("SG_ACTION_TOKEN", TOKEN);
    let mut daemon = stage.daemon("run");
    let url = daemon.url().await;
    drop(until_work(&mut daemon, &stage).await);

    server.stop().await;
    wait_for("health says unavailable", async || (health(&url).await.0 == 503).then_some(())).await;
    let (_, answer) = health(&url).await;
    assert_eq!((&answer["status"], &answer["checks"]["process"]["status"]), (&"unhealthy".into(), &"healthy".into()));
    assert_eq!((get(&url, "/health").await.0, get(&url, "/sg-ai/stats").await.0), (200, 503));
    assert!(get(&url, "/metrics").await.1.contains("\nsg_ai_database_up 0"));
    daemon.logged("the database is out of reach: all that needs it asks again every second").await;

    let server = own_server().await;
    let mut client = stage.client().await;
    // An operator in a hurry is obeyed at once, not after a rest.
    let sql = "select id::text from strategies where state <> 'disabled' order by id limit 1";
    let id: String = client.query_one(sql, &[]).await.unwrap().get(0);
    let disable = reqwest::Client::new().post(format!("{url}/api/strategies/{id}/disable"));
    let asked = std::time::Instant::now();
    let answer = disable.bearer_auth(TOKEN).json(&serde_json::json!({ "why": "emergency" })).send().await.unwrap();
    assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
    let obeyed = format!("select count(*) from strategies where id = '{id}' and state = 'disabled'");
    wait_for("the strategy is disabled", async || (books::count(&client, &obeyed).await == 1).then_some(())).await;
    assert!(asked.elapsed() < Duration::from_secs(30), "{:?}", asked.elapsed());
    let generations = "select count(*) from generations";
    let before = books::count(&client, generations).await;
    wait_for("it searches again", async || (books::count(&client, generations).await > before + 4).then_some(())).await;
    wait_for("health is well again", async || (health(&url).await.1["status"] == "healthy").then_some(())).await;
    daemon.stop().await;
    // Nothing failed: the database was away, which is nobody's failure and is told once, on each channel.
    // An operator's word falls between two passes of paper trading, not where one of them ended.
    let by_operator = "a strategy decided on by the deployment manager left its run where the decision stands";
    books::check_but(&mut client, &[by_operator]).await;
    let told = "select count(*) from outbox where event_key like 'system_error:%'";
    let of_database = "select count(*) from outbox where event_key like 'system_error:database:%'";
    assert_eq!((books::count(&client, told).await, books::count(&client, of_database).await), (2, 2));
    drop(client);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_exchange_it_goes_on_with_the_candles_it_has() {
    let mut stage = Stage::new(16, 0.0).await;
    let mut daemon = stage.daemon("run");
    daemon.logged("search session finished").await;
    daemon.stop().await;

    stage.exchange.add_fault(FaultSpec::always(FaultKind::Status503));
    let another = support::empty_database().await;
    stage.set("DATABASE_URL", secrecy::ExposeSecret::expose_secret(&another.url));
    let mut daemon = stage.daemon("run");
    let url = daemon.url().await;
    daemon.logged("search session finished").await;
    let (status, answer) = health(&url).await;
    assert_eq!((status, &answer["status"]), (200, &"degraded".into()), "{answer}");
    assert_eq!(answer["checks"]["candles"]["status"], "degraded", "{answer}");
    stage.exchange.clear_faults();
    wait_for("the candles are well again", async || {
        (health(&url).await.1["checks"]["candles"]["status"] == "healthy").then_some(())
    })
    .await;
    daemon.stop().await;
    books::check(&mut another.client().await).await;
}

/// Waits until a runner is in the middle of an activation.
async fn until_under_way(client: &tokio_postgres::Client, runner: &str) {
    let sql = format!(
        "select count(*) from runner_status where name = '{runner}'
         and last_started_at > coalesce(last_finished_at, '-infinity')"
    );
    wait_for("the runner works", async || (books::count(client, &sql).await == 1).then_some(())).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_stops_in_the_middle_of_a_generation_and_goes_on_from_there() {
    let mut stage = Stage::new(17, 0.0).await;
    stage.set("SG_POPULATION_SIZE", "20000");
    let mut daemon = stage.daemon("continuous");
    daemon.logged("search session opened").await;
    let mut client = stage.client().await;
    until_under_way(&client, "continuous").await;
    daemon.stop().await;
    assert_eq!(books::count(&client, "select count(*) from generations").await, 0, "it was no middle");
    books::check(&mut client).await;
    let mut daemon = stage.daemon("continuous");
    daemon.logged("search session resumed").await;
    daemon.stop().await;
    books::check(&mut client).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_stops_in_the_middle_of_a_long_pass_of_paper_trading_and_goes_on_from_there() {
    let mut stage = Stage::new(18, DAY_PER_SECOND / 4.0).await;
    // What is in shadow stays there.
    for (name, value) in [
        ("SG_SHADOW_MIN_DAYS", "399"),
        ("SG__LIFECYCLE__SHADOW_MAX_DAYS", "400"),
        ("SG__LIFECYCLE__SHADOW_FAIL_PROFIT_FACTOR", "0"),
        ("MAX_DRAWDOWN_PERCENT", "100"),
    ] {
        stage.set(name, value);
    }
    let mut daemon = stage.daemon("run");
    let mut client = until_work(&mut daemon, &stage).await;
    daemon.stop().await;
    stage.exchange.clock().set_speed(0.0);

    // A daemon that comes back after months, and reviews each quarter of an hour of them.
    stage.exchange.clock().advance(120 * 86_400_000);
    stage.set("SG__DAEMON__REVIEW_INTERVAL_S", "900");
    let daemon = stage.daemon("shadow");
    until_under_way(&client, "shadow").await;
    daemon.stop().await;
    let months = stage.exchange.clock().now_ms() - 86_400_000;
    let behind = &format!("select count(*) from paper_runs where ended_at is null and to_ms < {months}");
    assert!(books::count(&client, behind).await > 0, "it was no middle");
    books::check(&mut client).await;

    stage.set("SG__DAEMON__REVIEW_INTERVAL_S", "8640000");
    let daemon = stage.daemon("shadow");
    wait_for("the pass is done", async || (books::count(&client, behind).await == 0).then_some(())).await;
    daemon.stop().await;
    books::check(&mut client).await;
}
