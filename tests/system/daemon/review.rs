//! What the daemon does once a day, and for live strategies: reviews, regimes, daily figures, deployments, drift, and what
//! operators see of it. One stage for all of it: a strategy has to live first.

use super::{books, process::wait_for, stage::Stage};
use serde_json::Value;
use std::{collections::BTreeSet, path::Path, time::Duration};
use tokio_postgres::Client;

const DAY_PER_SECOND: f64 = 86_400.0;

const LIVE_NOW: &str =
    "select s.name from strategies s join paper_runs r on r.strategy_id = s.id and r.ended_at is null
    where s.state = 'live' and exists (select from performance_metrics p join deployments d on d.id = p.deployment_id
        where d.strategy_id = s.id and d.status = 'active') order by 1 limit 1";

/// Stops the market while some strategy is live with at least a day behind it, and returns its name.
async fn stand_still_with_a_live_one(stage: &Stage, client: &Client) -> String {
    loop {
        let live = async || client.query_opt(LIVE_NOW, &[]).await.unwrap().map(|row| row.get::<_, String>(0));
        wait_for("a live strategy has a day behind it", live).await;
        stage.exchange.clock().set_speed(0.0);
        // What is under way may still move it.
        let passes = "select extract(epoch from last_succeeded_at)::bigint from runner_status where name = 'shadow'";
        for _ in 0..2 {
            let before = books::count(client, passes).await;
            wait_for("a pass ends", async || (books::count(client, passes).await > before).then_some(())).await;
        }
        if let Some(name) = live().await {
            return name;
        }
        stage.exchange.clock().set_speed(DAY_PER_SECOND / 2.0);
    }
}

/// Every name of a metric of ours in the dashboards and rules.
fn named_metrics() -> BTreeSet<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("dashboards");
    let mut found = BTreeSet::new();
    for file in ["sg-ai.json", "rules.yml"] {
        let text = std::fs::read_to_string(folder.join(file)).unwrap();
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        found.extend(words.filter(|word| word.starts_with("sg_ai_")).map(str::to_owned));
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn days_are_reviewed_once_and_live_strategies_are_looked_after() {
    let mut stage = Stage::new(19, DAY_PER_SECOND / 2.0).await;
    stage.set("SG__REVIEW__BATCH_SIZE", "20");
    // The gate that lets a strategy live within the test's time.
    stage.set("SG__LIFECYCLE__POLICY", "thresholds");
    let mut daemon = stage.daemon("run");
    daemon.logged("listening").await;
    let mut client = stage.client().await;
    let finished = "select count(*) from daily_reviews where status = 'finished'";
    for kill in 1..=3 {
        wait_for("a day is reviewed", async || (books::count(&client, finished).await >= kill).then_some(())).await;
        tokio::time::sleep(Duration::from_millis(150 * kill.unsigned_abs())).await;
        daemon.kill();
        daemon = stage.daemon("run");
    }
    let url = daemon.url().await;

    // While the market goes on: at any one moment nothing may be in shadow, say. Slower, so that what is in shadow stays
    // there for many passes also where a pass takes seconds.
    stage.exchange.clock().set_speed(DAY_PER_SECOND / 8.0);
    let mut missing = named_metrics();
    // There is no book here, and no model: `book.rs` and `models.rs` see to what is told of one.
    // Nor does shared work wait: the age of the oldest is told where one does (`http::tests`).
    missing.retain(|name| {
        !name.starts_with("sg_ai_book_") && !name.starts_with("sg_ai_model_") && name != "sg_ai_work_oldest_seconds"
    });
    assert!(missing.len() > 25, "{missing:?}");
    wait_for("every metric that a dashboard or a rule names was emitted", async || {
        let text = reqwest::get(format!("{url}/metrics")).await.ok()?.text().await.ok()?;
        let emitted: BTreeSet<&str> = text
            .lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| line.split([' ', '{']).next())
            .collect();
        missing.retain(|name| !emitted.contains(name.as_str()));
        if !missing.is_empty() {
            println!("not yet: {missing:?}");
        }
        missing.is_empty().then_some(())
    })
    .await;
    stage.exchange.clock().set_speed(DAY_PER_SECOND / 2.0);
    let name = stand_still_with_a_live_one(&stage, &client).await;
    daemon.stop().await;
    books::check(&mut client).await;

    // Reviews: whole, none twice, and each has a batch of its day or says why it has none (a session under way when the
    // market's day turned may be that of two).
    let torn = "select count(*) from daily_reviews where status = 'finished'
        and not steps ?& array['batch', 'learnt', 'strategies', 'views', 'retention', 'summary']";
    assert_eq!(books::count(&client, torn).await, 0);
    let batches = "select count(*) from search_sessions where island = 'review' and status = 'finished'";
    let begun =
        "select count(*) from daily_reviews where status <> 'missed' or day > (select min(day) from daily_reviews)";
    assert!(books::count(&client, batches).await >= 1);
    let without = "select count(*) from daily_reviews r where status = 'finished' and steps->'batch'->>'why' is null
        and not exists (select from search_sessions s where s.id::text = r.steps->'batch'->>'session_id'
            and s.island = 'review' and s.status = 'finished')";
    assert_eq!(books::count(&client, without).await, 0);
    assert!(books::count(&client, batches).await <= books::count(&client, begun).await);
    let sizes = "select count(*) from generations g join search_sessions s on s.id = g.session_id
        where s.island = 'review' and g.evaluations > 20";
    assert_eq!(books::count(&client, sizes).await, 0);
    let summaries =
        "select count(*) from (select event_key from outbox where kind = 'daily_summary' and channel = 'slack'
        group by 1) e";
    assert!(books::count(&client, summaries).await >= books::count(&client, finished).await);

    // Regimes: of each asset, at the beginning of each day since the first.
    let days = "select count(*) from (
            select asset, generate_series(min(effective_from_ms) / 86400000 + 1, max(effective_from_ms) / 86400000) as day
            from market_regimes group by asset) d
        where not exists (select from market_regimes r where r.asset = d.asset and r.effective_from_ms = d.day * 86400000)";
    assert!(books::count(&client, "select count(distinct asset) from market_regimes").await == 2);
    assert_eq!(books::count(&client, days).await, 0);

    seen_by_operators(&stage, &client, &name).await;
    books::check(&mut client).await;
}

async fn seen_by_operators(stage: &Stage, client: &Client, name: &str) {
    let of = |value: &Value, name: &str| {
        let found = value.as_array().unwrap().iter().find(|d| d["strategy"] == name).cloned();
        found.unwrap_or_else(|| panic!("{name} is not in {value}"))
    };
    let until = "2030-01-01T00:00:00Z";
    let paused = stage.json(&["deployments", "pause", name, "--until", until, "--why", "holiday", "--json"]);
    assert_eq!((&paused["status"], &paused["changed"]), (&"paused".into(), &true.into()));
    let listed = of(&stage.json(&["deployments", "list", "--json"]), name);
    assert_eq!((&listed["status"], &listed["reason"]), (&"paused".into(), &"holiday".into()));
    assert_eq!(listed["paused_until"], until);
    let resumed = stage.json(&["deployments", "resume", name, "--why", "back", "--json"]);
    assert_eq!(resumed["changed"], true);
    let all = stage.json(&["deployments", "list", "--json"]);
    let active = all.as_array().unwrap().iter().filter(|d| d["status"] == "active");
    let total: f64 = active.map(|d| d["allocation_pct"].as_f64().unwrap()).sum();
    // Active again; it waits for its share only where the others have all of it by now.
    assert!(resumed["status"] == "active" || total > 49.99, "{resumed} though {total} %");
    let listed = of(&all, name);
    assert_eq!(listed["status"], resumed["status"]);
    assert_eq!(listed["reason"], "back");
    assert_ne!(listed["paused_until"], until);

    let alert: i64 = client
        .query_one(
            "insert into drift_alerts (deployment_id, strategy_id, type, severity, expected, observed, warning_at,
                 critical_at, recommended_action, at_market_ms)
             select d.id, s.id, 'drawdown', 'warning', -0.1, -0.16, 0.05, 0.1, 'reduce_allocation', 1
             from strategies s join deployments d on d.strategy_id = s.id and d.status <> 'deactivated'
             where s.name = $1
             on conflict (deployment_id, type) where closed_at is null do update set severity = excluded.severity
             returning id",
            &[&name],
        )
        .await
        .unwrap()
        .get(0);
    let id = alert.to_string();
    stage.json(&["drift", "acknowledge", &id, "--action", "watched", "--json"]);
    let alerts = stage.json(&["drift", "list", "--json"]);
    let found = alerts.as_array().unwrap().iter().find(|a| a["id"] == alert).unwrap().clone();
    assert_eq!(found["action_taken"], "watched");
    assert!(found["acknowledged_by"].as_str().unwrap().starts_with("operator "), "{found}");

    let life = stage.json(&["strategies", "show", name, "--json"]);
    let events: BTreeSet<&str> =
        life["audit"].as_array().unwrap().iter().map(|entry| entry["event"].as_str().unwrap()).collect();
    for event in ["strategy_created", "strategy_transition", "deployment_changed", "operator_action"] {
        assert!(events.contains(event), "{event} is not in {events:?}");
    }
    // One deployment has a day behind it; one that ended within its first day has none.
    let days = life["performance_days"].as_array().unwrap();
    assert!(days.iter().any(|days| !days.as_array().unwrap().is_empty()), "{days:?}");
    assert!(life["words"].as_str().is_some_and(|words| words.len() > 20));
    let output = stage.command(&["strategies", "show", name]).output().unwrap();
    let page = String::from_utf8(output.stdout).unwrap();
    for part in ["LINEAGE", "EVIDENCE", "RESULTS BY PERIOD", "DECISIONS", "DEPLOYMENTS", "DRIFT", "AUDIT", "holiday"] {
        assert!(page.contains(part), "{part} is not in\n{page}");
    }

    let session = stage.json(&["reproduce", "main/1", "--json"]);
    assert_eq!(session["verdict"], "identical", "{session}");
    let generations = session["generations"].as_array().unwrap().len();
    let part = stage.json(&["reproduce", "main/1/0", "--json"]);
    assert_eq!((generations, part["generations"].as_array().unwrap().len()), (4, 1));
    // A seed that is not the session's own: the first generation differs, and so it is said.
    client.execute("update search_sessions set seed = '1' where island = 'main' and number = 1", &[]).await.unwrap();
    let output = stage.command(&["reproduce", "main/1"]).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(said.contains("generation 0     DIFFERS") && said.contains("same sources"), "{said}");
}
