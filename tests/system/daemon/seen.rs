//! A strategy that somebody fitted on all candles and added by hand: no session judges it on what it has seen.

use super::{books, process::wait_for, stage::Stage};
use serde_json::{Value, json};
use std::process::Output;

const RULES: &str = r#"{"name": "NAME", "timeframe": "15m",
    "long": {"entry": "ema(5) crosses above ema(SLOW)", "exit": "ema(5) crosses below ema(SLOW)"},
    "risk": {"stop_loss": "2%"}}"#;

#[track_caller]
fn refused(output: &Output, code: i32, said: &str) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(code) && text.contains(said), "{:?} {text}", output.status);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_added_by_hand_is_not_judged_on_candles_that_it_has_seen() {
    let mut stage = Stage::new(29, 3_600.0).await;
    stage.set("SG_ACTION_TOKEN", "a token of this test alone");
    for (name, slow) in [("fitted", "30"), ("early", "31"), ("never", "32")] {
        let text = RULES.replace("NAME", name).replace("SLOW", slow);
        std::fs::write(stage.dir.path().join(format!("{name}.json")), text).unwrap();
    }
    let mut daemon = stage.daemon("run");
    let url = daemon.url().await;
    let client = stage.client().await;
    let finished = "select count(*) from search_sessions where status = 'finished'";
    wait_for("a session has finished", async || (books::count(&client, finished).await >= 1).then_some(())).await;

    let add =
        |file: &str, more: &[&str]| stage.command(&[&["strategies", "add", file], more].concat()).output().unwrap();
    // What cannot be is refused by name, and nothing is stored.
    refused(
        &add("never.json", &["--seen-until", "2033-01-01"]),
        1,
        "--seen-until: 2033-01-01T00:00:00Z lies in the future",
    );
    refused(&add("never.json", &["--seen-until", "yesterday"]), 2, "expected a date such as 2024-04-01");
    assert_eq!(books::count(&client, "select count(*) from strategies where name = 'never'").await, 0);
    assert!(add("fitted.json", &[]).status.success());
    assert!(add("early.json", &["--seen-until", "2024-11-20"]).status.success());
    refused(&add("early.json", &["--seen-until", "2024-11-21"]), 1, "what has been seen does not change");
    let posted = json!({"name": "posted", "entry_rules": ["rsi < 30"], "seen_until": "2024-11-20"});
    let post = async |body: &Value| {
        let answer = reqwest::Client::new().post(format!("{url}/strategies")).json(body).send().await.unwrap();
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap())
    };
    assert_eq!(post(&posted).await.0, 201);
    assert_eq!(post(&posted).await.1["created"], false, "the same again");
    for (seen_until, status) in [("2024-11-21", 409), ("2033-01-01", 422), ("soon", 422)] {
        let (answered, problem) =
            post(&json!({"name": "posted", "entry_rules": ["rsi < 30"], "seen_until": seen_until})).await;
        assert_eq!(answered, status, "{problem}");
        assert!(status == 409 || problem["field"] == "seen_until", "{problem}");
    }

    // Two sessions that began after: the one is judged, the other waits, and says why.
    let before = books::count(&client, "select count(*) from search_sessions").await;
    wait_for("two more sessions have finished", async || {
        (books::count(&client, finished).await >= before + 2).then_some(())
    })
    .await;
    let judged = "select count(*) from strategy_stats t join strategies s on s.id = t.strategy_id
        where t.source = 'holdout' and s.name = ";
    assert_eq!(books::count(&client, &format!("{judged} 'fitted'")).await, 0);
    assert!(books::count(&client, &format!("{judged} 'early'")).await > 0);
    let why = "no hold-out evidence: candles up to 20";
    let shown = stage.json(&["strategies", "show", "fitted", "--json"]);
    let told = shown["no_holdout"].as_str().unwrap();
    assert!(told.starts_with(why) && told.contains("that of the newest one began 2024-12-2"), "{told}");
    let page = stage.command(&["strategies", "show", "fitted"]).output().unwrap();
    assert!(String::from_utf8_lossy(&page.stdout).contains(&format!("unproven {why}")));
    let over_http: Value = reqwest::get(format!("{url}/api/strategies/fitted")).await.unwrap().json().await.unwrap();
    assert_eq!(over_http["strategy"]["state"], "candidate");
    assert!(over_http["no_holdout"].as_str().unwrap().starts_with(why), "{over_http}");
    assert_eq!(stage.json(&["strategies", "show", "early", "--json"])["no_holdout"], Value::Null);

    // Revived over HTTP, with a statement.
    let act = async |name: &str, action: &str, body: Value| {
        let request = reqwest::Client::new().post(format!("{url}/api/strategies/{name}/{action}"));
        let answer = request.bearer_auth("a token of this test alone").json(&body).send().await.unwrap();
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap())
    };
    let (status, problem) = act("fitted", "disable", json!({"why": "x", "seen_until": "2024-11-20"})).await;
    assert_eq!((status, &problem["field"]), (422, &json!("seen_until")), "{problem}");
    assert_eq!(act("fitted", "disable", json!({"why": "x"})).await.0, 200);
    let (status, problem) = act("fitted", "revive", json!({"why": "y", "seen_until": "2033-01-01"})).await;
    assert_eq!((status, &problem["field"]), (422, &json!("seen_until")), "{problem}");
    let (status, problem) = act("fitted", "revive", json!({"why": "y", "seen_until": "2024-11-20"})).await;
    assert!(status == 409 && problem["detail"].as_str().unwrap().contains("has seen candles up to 20"), "{problem}");
    assert_eq!(act("fitted", "revive", json!({"why": "z"})).await.0, 200);
    daemon.stop().await;
}
