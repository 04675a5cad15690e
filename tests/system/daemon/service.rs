//! The strategy and backtest service, the read API and the actions, against a running daemon.

use super::stage::Stage;
use serde_json::{Value, json};
use std::time::Duration;

const TOKEN: &str = "a token of this test alone";

pub(crate) struct Client {
    pub(crate) base: String,
    pub(crate) http: reqwest::Client,
}

impl Client {
    pub(crate) async fn get(&self, path: &str) -> (u16, Value) {
        let response = self.http.get(format!("{}{path}", self.base)).send().await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap_or_default())
    }

    pub(crate) async fn post(&self, path: &str, body: &Value, token: Option<&str>) -> (u16, Value) {
        let mut request = self.http.post(format!("{}{path}", self.base)).json(body);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap_or_default())
    }
}

pub(crate) fn dip() -> Value {
    json!({
        "name": "dip", "entry_rules": ["RSI < 45", "close > bollinger_lower"],
        "exit_rules": ["stop_loss_hit", "take_profit_hit", "RSI > 60"],
        "risk_management": { "position_size": 0.1, "stop_loss_pct": 0.02, "take_profit_pct": 0.06 }
    })
}

async fn hear(events: &mut reqwest::Response, what: &str) -> String {
    let mut heard = String::new();
    while !heard.contains(what) || !heard.ends_with("\n\n") {
        let chunk = tokio::time::timeout(Duration::from_secs(60), events.chunk()).await.expect("an event comes");
        heard.push_str(&String::from_utf8_lossy(&chunk.unwrap().unwrap()));
    }
    heard
}

#[tokio::test]
async fn clients_store_backtest_read_and_operators_act() {
    let mut stage = Stage::new(3, 0.0).await;
    stage.set("SG_ACTION_TOKEN", TOKEN);
    // Nothing but what is asked for here happens.
    stage.set("SG_GENERATION_INTERVAL", "100000000");
    let mut daemon = stage.daemon("shadow");
    let client = Client { base: daemon.url().await, http: reqwest::Client::new() };

    let (status, stored) = client.post("/strategies", &dip(), None).await;
    assert_eq!(status, 201, "{stored}");
    let id = stored["strategy_id"].as_i64().unwrap();
    let (status, again) = client.post("/strategies", &dip(), None).await;
    assert_eq!((status, &again["strategy_id"], &again["created"]), (201, &stored["strategy_id"], &false.into()));

    let order = json!({
        "strategy_id": id, "symbol": "BTC/USDT", "start_date": "2024-12-01", "end_date": "2024-12-21", "initial_capital": 5000
    });
    let (status, ran) = client.post("/backtest", &order, None).await;
    assert_eq!(status, 200, "{ran}");
    assert_eq!((&ran["candles"], &ran["missing_candles"]), (&json!(20 * 96), &json!(0)), "{ran}");
    let warm_up = ran["warm_up_candles"].as_u64().unwrap() + ran["missing_warm_up_candles"].as_u64().unwrap();
    assert_eq!(warm_up, 10 * 96, "{ran}");
    let backtest = ran["backtest_id"].as_i64().unwrap();

    let (_, metrics) = client.get(&format!("/backtest/{backtest}/metrics")).await;
    let (_, equity) = client.get(&format!("/backtest/{backtest}/equity")).await;
    let (_, trades) = client.get(&format!("/backtest/{backtest}/trades?limit=500")).await;
    let trades = trades["trades"].as_array().unwrap().clone();
    assert!(!trades.is_empty());
    assert_eq!(metrics["num_trades"], trades.len());
    for key in ["candles", "missing_candles", "warm_up_candles", "missing_warm_up_candles", "shortfall"] {
        assert_eq!(metrics[key], ran[key], "{key}");
    }
    let wins = trades.iter().filter(|t| t["profit"].as_f64().unwrap() > 0.0).count();
    assert_eq!(metrics["win_rate"].as_f64().unwrap(), wins as f64 / trades.len() as f64);
    let curve = equity["equity"].as_array().unwrap();
    let (first, last) = (curve[0]["equity"].as_f64().unwrap(), curve[curve.len() - 1]["equity"].as_f64().unwrap());
    assert_eq!(first, 5000.0);
    assert!((metrics["total_return"].as_f64().unwrap() - (last / first - 1.0)).abs() < 1e-12);
    for key in ["sharpe_ratio", "max_drawdown", "avg_trade_duration", "profit_factor", "monthly_returns"] {
        assert!(metrics.get(key).is_some(), "{key}");
    }
    let report = client.http.get(format!("{}/backtest/{backtest}/report", client.base)).send().await.unwrap();
    assert!(report.headers()["content-type"].to_str().unwrap().starts_with("text/html"));
    assert!(report.text().await.unwrap().contains("<h2>Equity</h2>"));

    // The same numbers on the command line, from the store.
    let named = format!("backtest:{backtest}");
    let told = stage.json(&["report", &named, "--format", "json", "--out", "-"]);
    let period = &told["periods"][0];
    for key in ["total_return", "sharpe_ratio", "win_rate", "max_drawdown", "profit_factor", "fees"] {
        assert_eq!(period["performance"][key], metrics[key], "{key}");
    }
    assert_eq!(period["trades"].as_array().unwrap().len(), trades.len());
    let again = stage.json(&["reproduce", &named, "--json"]);
    assert_eq!((&again["identical"], &again["sources"][0]["backtest_id"]), (&json!(true), &json!(backtest)), "{again}");
    let csv = stage.command(&["report", &named, "--format", "csv", "--out", "-"]).output().unwrap().stdout;
    assert_eq!(String::from_utf8(csv).unwrap().lines().count(), trades.len() + 1);

    for (path, body, status, field) in [
        ("/strategies", json!({"entry_rules": ["rsi < 30"]}), 422, "name"),
        ("/strategies", json!({"name": "x", "entry_rules": ["rsj < 30"]}), 422, "entry_rules[0]"),
        ("/strategies", json!({"name": "dip", "entry_rules": ["rsi < 29"]}), 409, "name"),
        (
            "/strategies",
            json!({"name": "x", "entry_rules": ["rsi < 30"], "risk_management": {"stop": 1}}),
            422,
            "risk_management.stop",
        ),
        (
            "/backtest",
            json!({"strategy_id": 999, "symbol": "BTCUSDT", "start_date": "2024-12-01", "end_date": "2024-12-02"}),
            404,
            "strategy_id",
        ),
        (
            "/backtest",
            json!({"strategy_id": id, "symbol": "?", "start_date": "2024-12-01", "end_date": "2024-12-02"}),
            422,
            "symbol",
        ),
        (
            "/backtest",
            json!({"strategy_id": id, "symbol": "NOSUCHUSDT", "start_date": "2024-12-01", "end_date": "2024-12-02"}),
            404,
            "symbol",
        ),
        // Half of these dates lie before the exchange's first candle: that is no backtest of them.
        (
            "/backtest",
            json!({"strategy_id": id, "symbol": "BTCUSDT", "start_date": "2024-10-01", "end_date": "2024-12-21"}),
            404,
            "start_date",
        ),
        (
            "/backtest",
            json!({"strategy_id": id, "symbol": "BTCUSDT", "start_date": "soon", "end_date": "2024-12-02"}),
            422,
            "start_date",
        ),
        (
            "/backtest",
            json!({"strategy_id": id, "symbol": "BTCUSDT", "start_date": "2024-12-02", "end_date": "2024-12-02"}),
            422,
            "end_date",
        ),
        (
            "/backtest",
            json!({"strategy_id": id, "symbol": "BTCUSDT", "start_date": "2024-12-01", "end_date": "2024-12-02", "initial_capital": 0}),
            422,
            "initial_capital",
        ),
        (
            "/backtest",
            json!({"strategy_id": id, "symbol": "BTCUSDT", "start_date": "2030-12-01", "end_date": "2030-12-02"}),
            404,
            "start_date",
        ),
    ] {
        let (answered, problem) = client.post(path, &body, None).await;
        assert_eq!((answered, &problem["field"]), (status, &json!(field)), "{body}: {problem}");
    }
    assert_eq!(client.get("/backtest/999/metrics").await.0, 404);

    // The read API tells what is stored.
    let (status, page) = client.get("/api/strategies?q=dip&sort=name&order=asc&limit=10").await;
    assert_eq!((status, &page["total"], &page["items"][0]["strategy_id"]), (200, &json!(1), &json!(id)), "{page}");
    for sort in ["changed", "created", "number", "total_return", "sharpe_ratio", "trades"] {
        for source in ["", "&source=holdout"] {
            let (status, page) = client.get(&format!("/api/strategies?sort={sort}{source}")).await;
            assert_eq!((status, &page["items"][0]["strategy_id"]), (200, &json!(id)), "{sort}{source}: {page}");
        }
    }
    assert_eq!(client.get("/api/strategies?limit=100000").await.1["field"], "limit");
    let (_, problem) = client.get("/api/strategies?sort=luck").await;
    assert_eq!(problem["field"], "sort", "{problem}");
    for (path, key) in [("/api/scores", "items"), ("/api/protocol", "items")] {
        assert!(client.get(path).await.1[key].is_array(), "{path}");
    }
    assert_eq!(client.get("/api/learner").await, (200, json!({ "newest": null })));
    // What was never measured has no dossier, which is no defect of ours.
    let (status, problem) = client.get(&format!("/api/strategies/{id}/dossier")).await;
    assert_eq!((status, &problem["field"]), (404, &json!("id")), "{problem}");
    let list = json!({"name": "x", "entry_rules": ["rsi < 30"], "risk_management": [0.1, 0.02]});
    let (status, problem) = client.post("/strategies", &list, None).await;
    assert_eq!((status, &problem["field"]), (422, &json!("risk_management")), "{problem}");
    assert_eq!(client.get("/api/strategies?state=asleep").await.1["field"], "state");

    // Actions need the token, are obeyed, and leave their traces.
    let why = json!({"why": "it is to be watched", "by": "alice"});
    let approve = format!("/api/strategies/{id}/approve");
    assert_eq!(client.post(&approve, &why, None).await.0, 401);
    assert_eq!(client.post(&approve, &why, Some("a token of somebody else")).await.0, 401);
    let (status, done) = client.post(&approve, &why, Some(TOKEN)).await;
    assert_eq!((status, &done["done"]), (200, &true.into()), "{done}");
    let (_, shown) = client.get(&format!("/api/strategies/{id}")).await;
    assert_eq!(
        (&shown["strategy"]["state"], &shown["transitions"][0]["actor"]),
        (&json!("shadow"), &json!("operator alice over HTTP"))
    );
    // Sent twice, the second time after the first was obeyed, it goes no further; nor from a state that it is not in.
    let (status, again) = client.post(&approve, &why, Some(TOKEN)).await;
    assert_eq!((status, &again), (200, &done));
    let stale = json!({"why": "it is to be watched more", "by": "alice", "from": "candidate"});
    let (status, problem) = client.post(&approve, &stale, Some(TOKEN)).await;
    assert!(status == 409 && problem["detail"].as_str().unwrap().contains("is shadow now"), "{problem}");
    let (_, shown) = client.get(&format!("/api/strategies/{id}")).await;
    assert_eq!(shown["strategy"]["state"], "shadow");
    let (status, _) = client.post("/api/drift-alerts/999/acknowledge", &why, Some(TOKEN)).await;
    assert_eq!(status, 404);
    let (status, _) = client.post(&format!("/api/strategies/{id}/revive"), &why, Some(TOKEN)).await;
    assert_eq!(status, 409, "only what is disabled can be revived");
    assert_eq!(client.post("/api/runners/shadow/pause", &why, Some(TOKEN)).await.0, 200);
    let (_, runners) = client.get("/api/runners").await;
    assert_eq!(runners["pauses"][0]["runner"], "shadow");
    let (_, work) = client.get("/api/work").await;
    assert_eq!((&work["is_shared"], &work["work"]["waiting"]), (&json!(false), &json!(0)), "{work}");
    assert!(work["work"]["workers"].is_array() && work["work"]["kinds"].is_object(), "{work}");
    assert_eq!(client.post("/api/runners/shadow/resume", &why, Some(TOKEN)).await.0, 200);
    let (_, audit) = client.get("/api/audit?limit=50").await;
    let acted: Vec<&Value> =
        audit["items"].as_array().unwrap().iter().filter(|e| e["event"] == "operator_action").collect();
    assert_eq!(acted.len(), 4, "{audit}");
    assert!(acted.iter().all(|e| e["ip_hash"].as_str().is_some_and(|hash| hash.len() == 64)), "{audit}");
    assert_eq!(stage.json(&["audit", "verify", "--json"])["first_bad"], Value::Null);

    // What happens is told.
    let mut events = client.http.get(format!("{}/api/events", client.base)).send().await.unwrap();
    // The first look tells the numbers; whatever happens after it is told.
    hear(&mut events, "event: stats").await;
    assert_eq!(client.post(&format!("/api/strategies/{id}/disable"), &why, Some(TOKEN)).await.0, 200);
    let heard = hear(&mut events, "event: transition").await;
    assert!(heard.contains("it is to be watched"), "{heard}");
    daemon.stop().await;
}

#[tokio::test]
async fn without_a_token_in_the_settings_nobody_acts() {
    let stage = Stage::new(3, 0.0).await;
    let mut daemon = stage.daemon("shadow");
    let client = Client { base: daemon.url().await, http: reqwest::Client::new() };
    let (status, problem) = client.post("/api/runners/shadow/pause", &json!({"why": "x"}), Some("")).await;
    assert_eq!(status, 403, "{problem}");
    let (_, document) = client.get("/openapi.json").await;
    assert_eq!(document["openapi"], "3.1.0");
    for path in ["/strategies", "/backtest", "/backtest/{id}/metrics", "/api/strategies", "/api/events"] {
        assert!(document["paths"].get(path).is_some(), "{path}");
    }
    for operation in document["paths"].as_object().unwrap().values().flat_map(|path| path.as_object().unwrap().values())
    {
        assert!(operation.get("parameters").is_none_or(Value::is_array), "{operation}");
    }
    daemon.stop().await;
}
