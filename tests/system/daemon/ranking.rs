//! Strategies that rank the market, stored, backtested, told and reproduced by a running daemon that searches none.

use super::{books, process::wait_for, service::Client, stage::Stage};
use candles::{Interval, MarketKind, Symbol, Ticker};
use market::{CandleCache, cache::Provenance};
use serde_json::{Value, json};

const TOKEN: &str = "a token of this test alone";
pub(crate) const TEXT: &str = "4h; universe top 2 by quote_volume(3d); score close / delay(close, 6) - 1; rebalance 1d; weights linear; \
                    gross 1";

async fn stage() -> Stage {
    let mut stage = Stage::new(3, 0.0).await;
    stage.set("SG_ACTION_TOKEN", TOKEN);
    stage
}

/// Brings two symbols of the simulated market, 2024-11-20 to 2025-01-01, into the cache.
pub(crate) async fn cached(stage: &Stage) {
    let mut command = stage.command(&["data", "download", "--symbols", "BTCUSDT,ETHUSDT", "--intervals", "15m"]);
    command.args(["--from", "2024-11-20", "--to", "2025-01-01"]);
    let done = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

/// Standard output of a command as JSON, and its exit code.
async fn json(stage: &Stage, args: &[&str]) -> (Option<i32>, Value) {
    let mut command = stage.command(args);
    let done = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let printed = serde_json::from_slice(&done.stdout);
    (done.status.code(), printed.unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&done.stderr))))
}

pub(crate) fn order(id: i64) -> Value {
    json!({ "strategy_id": id, "market": "spot", "start_date": "2024-12-01", "end_date": "2024-12-21" })
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_stored_backtested_told_and_reproduced() {
    let mut stage = stage().await;
    // Nothing but what is asked for here happens.
    stage.set("SG_GENERATION_INTERVAL", "100000000");
    let mut daemon = stage.daemon("shadow");
    let client = Client { base: daemon.url().await, http: reqwest::Client::new() };

    // Stored once, whatever it is written as.
    let (status, stored) = client.post("/strategies", &json!({ "name": "roc", "strategy": TEXT }), None).await;
    assert_eq!((status, &stored["created"], &stored["form"]), (201, &json!(true), &json!("ranking")), "{stored}");
    assert_eq!((&stored["rules"], &stored["state"]), (&json!(TEXT), &json!("candidate")));
    let id = stored["strategy_id"].as_i64().unwrap();
    let document = serde_json::to_value(TEXT.parse::<genome::AnyStrategy>().unwrap()).unwrap();
    let (status, again) = client.post("/strategies", &json!({ "name": "other", "strategy": document }), None).await;
    assert_eq!((status, &again["created"], &again["strategy_id"]), (201, &json!(false), &json!(id)), "{again}");
    std::fs::write(stage.dir.path().join("ranking.txt"), TEXT).unwrap();
    let refused = stage.command(&["strategies", "add", "ranking.txt"]).output().unwrap();
    assert!(String::from_utf8_lossy(&refused.stderr).contains("is stored already"), "{refused:?}");

    for (strategy, says) in [
        (TEXT.replace("score close / delay(close, 6) - 1", "score close"), "a price"),
        (TEXT.replace("top 2", "top 1"), "universe"),
        (TEXT.replace("weights linear", "weights lineal"), "lineal"),
        (TEXT.replace("delay(close, 6)", "delay(close, 600000)"), "600000"),
    ] {
        let (status, problem) = client.post("/strategies", &json!({ "name": "x", "strategy": strategy }), None).await;
        let detail = problem["detail"].as_str().unwrap();
        assert!(
            (status, &problem["field"]) == (422, &json!("strategy")) && detail.contains(says),
            "{strategy}: {problem}"
        );
    }

    // A market that is not there is no backtest.
    let (status, problem) = client.post("/backtest", &order(id), None).await;
    let detail = problem["detail"].as_str().unwrap();
    assert_eq!((status, &problem["field"]), (404, &json!("market")), "{problem}");
    assert!(detail.contains("no spot candles are cached") && detail.contains("sg-ai data import"), "{detail}");
    cached(&stage).await;
    for (change, status, field) in [
        (json!({ "symbol": "BTCUSDT" }), 422, "symbol"),
        (json!({ "market": "cm" }), 422, "market"),
        (json!({ "market": "um" }), 404, "market"),
        (json!({ "end_date": "2025-03-01" }), 404, "end_date"),
        (json!({ "start_date": "2024-10-01" }), 404, "start_date"),
        (json!({ "start_date": "2025-02-01", "end_date": "2025-03-01" }), 404, "start_date"),
        (json!({ "initial_capital": 0 }), 422, "initial_capital"),
    ] {
        let mut wrong = order(id);
        wrong.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let (answered, problem) = client.post("/backtest", &wrong, None).await;
        assert_eq!((answered, &problem["field"]), (status, &json!(field)), "{wrong}: {problem}");
    }
    let books = stage.client().await;
    assert_eq!(books::count(&books, "select count(*) from service_backtests").await, 0, "nothing is stored of these");

    let (status, ran) = client.post("/backtest", &order(id), None).await;
    assert_eq!(status, 200, "{ran}");
    assert_eq!((&ran["candles"], &ran["missing_candles"], &ran["symbol"]), (&json!(20 * 6), &json!(0), &Value::Null));
    let number = ran["backtest_id"].as_i64().unwrap();
    let (_, metrics) = client.get(&format!("/backtest/{number}/metrics")).await;
    assert_eq!(metrics["portfolio"], ran["portfolio"]);
    assert_eq!(
        (&metrics["sharpe_ratio"], &metrics["data_version"]),
        (&ran["metrics"]["sharpe_ratio"], &ran["data_version"])
    );
    let told = &metrics["portfolio"];
    assert_eq!((&told["rebalances"], &told["mean_members"]), (&json!(19), &json!(2.0)), "{told}");
    assert_eq!(told["execution"]["delay_candles"], 1, "on the terms of paper runs");
    assert!(told["hedged"]["sharpe_ratio"].is_number() && told["turnover_per_day"].as_f64().unwrap() > 0.0, "{told}");
    let names: Vec<&str> =
        told["attribution"].as_array().unwrap().iter().map(|a| a["instrument"].as_str().unwrap()).collect();
    assert_eq!(names.len(), 2, "{names:?}");
    let (_, equity) = client.get(&format!("/backtest/{number}/equity")).await;
    let curve = equity["equity"].as_array().unwrap();
    assert_eq!(curve.len(), 21, "the beginning, and each midnight");
    let grown = curve[20]["equity"].as_f64().unwrap() / curve[0]["equity"].as_f64().unwrap() - 1.0;
    assert!((grown - metrics["total_return"].as_f64().unwrap()).abs() < 1e-12);
    let (_, trades) = client.get(&format!("/backtest/{number}/trades?limit=3")).await;
    assert_eq!((&trades["total"], trades["stays"].as_array().unwrap().len()), (&metrics["num_trades"], 3), "{trades}");
    let (_, story) = client.get(&format!("/backtest/{number}/portfolio")).await;
    assert_eq!((story["days"]["net"].as_array().unwrap().len(), &story["instruments"]), (20, &json!(2)));
    let plain = json!({ "realistic": false });
    let mut order_of_plain = order(id);
    order_of_plain.as_object_mut().unwrap().extend(plain.as_object().unwrap().clone());
    let (status, on_plain) = client.post("/backtest", &order_of_plain, None).await;
    assert_eq!((status, &on_plain["portfolio"]["execution"]["delay_candles"]), (200, &json!(0)), "{on_plain}");
    assert_ne!(on_plain["metrics"]["total_return"], ran["metrics"]["total_return"]);

    // On terms of its own it is stored and told with them, and no list shows its figures.
    let mut at_close = order_of_plain.clone();
    at_close["fill_on"] = json!("close");
    let (status, on_close) = client.post("/backtest", &at_close, None).await;
    assert_eq!((status, &on_close["fill_on"]), (200, &json!("close")), "{on_close}");
    // The simulated market opens where it closed.
    assert_eq!(on_close["metrics"]["total_return"], on_plain["metrics"]["total_return"]);
    let story = client.get(&format!("/api/strategies/{id}")).await.1;
    let lines = story["backtests"].as_array().unwrap();
    let usual = |b: &Value| b["backtest_id"] != on_close["backtest_id"];
    assert!(lines.len() > 1 && lines.iter().all(|b| b["has_usual_terms"] == json!(usual(b))), "{story}");
    let (_, told_again) = client.get(&format!("/backtest/{}/metrics", on_close["backtest_id"])).await;
    assert_eq!((&told_again["fill_on"], &told_again["max_slippage_bps"]), (&json!("close"), &Value::Null));
    at_close["realistic"] = json!(true);
    let (status, refused) = client.post("/backtest", &at_close, None).await;
    assert_eq!((status, &refused["field"]), (422, &json!("fill_on")), "{refused}");
    let reproduced = format!("backtest:{}", on_close["backtest_id"]);
    let (_, reproduced) = json(&stage, &["reproduce", &reproduced, "--json"]).await;
    assert!(reproduced.to_string().contains("identical"), "{reproduced}");

    // The command line computes the same, and tells what is stored.
    let window = ["--from", "2024-12-01", "--to", "2024-12-21", "--interval", "4h", "--json"];
    let (_, computed) =
        json(&stage, &[&["backtest", "--strategy", "ranking.txt", "--realistic"], &window[..]].concat()).await;
    for key in ["total_return", "sharpe_ratio", "fees", "max_drawdown"] {
        assert_eq!(computed["performance"][key], metrics[key], "{key}");
    }
    assert_eq!(computed["window"]["data_version"], metrics["data_version"]);
    let (_, listed) = json(&stage, &["strategies", "list", "--json"]).await;
    assert_eq!((&listed[0]["name"], &listed[0]["form"]), (&json!("roc"), &json!("ranking")));
    // Its figures are those of the newest portfolio that is stored.
    let newest = &on_plain["metrics"];
    for key in ["total_return", "sharpe_ratio", "max_drawdown"] {
        assert_eq!(listed[0]["performance"][key], newest[key], "{key}");
    }
    assert_eq!(listed[0]["source"], "backtest");
    let table = String::from_utf8(stage.command(&["strategies", "list"]).output().unwrap().stdout).unwrap();
    assert!(table.contains(&format!("{:.2}", newest["sharpe_ratio"].as_f64().unwrap())), "{table}");
    let shown = stage.command(&["strategies", "show", "roc"]).output().unwrap().stdout;
    let shown = String::from_utf8(shown).unwrap();
    assert!(shown.contains("form     ranking"), "{shown}");
    let report = format!("backtest:{number}");
    let (_, reported) = json(&stage, &["report", &report, "--format", "json", "--out", "-"]).await;
    assert_eq!(reported["record"]["figures"]["hedged"]["sharpe_ratio"], told["hedged"]["sharpe_ratio"]);
    let page = client.http.get(format!("{}/backtest/{number}/report", client.base)).send().await.unwrap().text().await;
    let page = page.unwrap();
    for part in ["Weights over time", "Exposure and turnover", "equal weight", "BTCUSDT", "Computed by"] {
        assert!(page.contains(part), "{part}");
    }
    let refused = stage.command(&["report", &report, "--format", "csv"]).output().unwrap();
    assert!(String::from_utf8_lossy(&refused.stderr).contains("html or json"), "{refused:?}");

    let proof = ["prove", "--id", "roc", "--from", "2024-12-01", "--to", "2024-12-21", "--paths", "100", "--json"];
    let (_, proven) = json(&stage, &proof).await;
    assert_eq!((&proven["strategy"], proven["findings"].as_array().unwrap().len()), (&json!(TEXT), 7), "{proven}");

    // The read API tells of it; without an island that ranks a market nobody follows it.
    let (_, page) = client.get("/api/strategies?family=ranking").await;
    assert_eq!((&page["total"], &page["items"][0]["form"]), (&json!(1), &json!("ranking")), "{page}");
    let item = &page["items"][0];
    assert_eq!((&item["sharpe_ratio"], &item["source"]), (&newest["sharpe_ratio"], &json!("backtest")), "{page}");
    let (_, one) = client.get(&format!("/api/strategies/{id}")).await;
    assert!(one["words"].as_str().unwrap().contains("Ranks them"), "{one}");
    assert_eq!(one["backtests"].as_array().unwrap().len(), 3);
    assert_eq!(client.get(&format!("/api/strategies/{id}/curves")).await, (200, json!({ "parts": [] })));
    let (status, problem) = client.get(&format!("/api/strategies/{id}/candles")).await;
    assert_eq!((status, &problem["field"]), (400, &json!("symbol")), "{problem}");
    let (status, problem) = client.get(&format!("/api/strategies/{id}/dossier")).await;
    assert!(status == 404 && problem["detail"].as_str().unwrap().contains("sg-ai prove --id"), "{problem}");
    let why = json!({ "why": "it looks good" });
    let (status, problem) = client.post(&format!("/api/strategies/{id}/approve"), &why, Some(TOKEN)).await;
    let detail = problem["detail"].as_str().unwrap();
    assert!(status == 409 && detail.contains("no island ranks a market on 4h candles"), "{problem}");
    assert_eq!(client.post(&format!("/api/strategies/{id}/disable"), &why, Some(TOKEN)).await.0, 200);
    assert_eq!(client.post(&format!("/api/strategies/{id}/revive"), &why, Some(TOKEN)).await.0, 200);

    // Reproduced to the bit, until a candle that it looked at is another one.
    let (code, same) = json(&stage, &["reproduce", "roc", "--json"]).await;
    assert_eq!(
        (code, &same["identical"], same["sources"].as_array().unwrap().len()),
        (Some(0), &json!(true), 3),
        "{same}"
    );
    assert_eq!(same["sources"][2]["backtest_id"], json!(number), "the newest first");
    let symbol: Symbol = "ETHUSDT".parse().unwrap();
    let cache = CandleCache::open(&stage.dir.path().join("data/candles")).unwrap();
    let series = cache.load(&Ticker::of(MarketKind::Spot, &symbol), Interval::M15, 0, i64::MAX).await.unwrap();
    let mut changed: Vec<_> = series.candles().collect();
    // 2024-12-10 04:00, by 1 %: the last candle of a slot of four hours.
    let at_ms = 1_733_803_200_000 - 900_000;
    let candle = changed.iter_mut().find(|c| c.open_time_ms == at_ms).unwrap();
    candle.close *= 1.01;
    candle.high = candle.high.max(candle.close);
    let changed = candles::CandleSeries::from_candles(Interval::M15, &changed).unwrap();
    let provenance = Provenance { source: "a test".into(), fetched_at_ms: at_ms };
    // As a reissued archive would.
    let sha256 = "1".repeat(64);
    let merged = cache
        .merge_fetched(&Ticker::of(MarketKind::Spot, &symbol), &changed, &provenance, Some(&sha256))
        .await
        .unwrap();
    assert_eq!(merged.replaced, 1);
    let (code, other) = json(&stage, &["reproduce", &report, "--json"]).await;
    let source = &other["sources"][0];
    assert_eq!(
        (code, &source["verdict"], &source["differences"][0]["what"]),
        (Some(1), &json!("differs"), &json!("data_version"))
    );
    assert!(source["why"].as_str().unwrap().contains("are not those that it was computed from"), "{source}");
    assert!(source["differences"].as_array().unwrap().len() > 3, "figures differ, too: {source}");
    // Another program's result is told as such.
    let sql = "update service_backtests set parameters = jsonb_set(parameters, '{code_version}', '\"0.0.1+0\"'),
        performance = jsonb_set(performance, '{fees}', '1'), data_version = $1";
    let now = source["differences"][0]["recomputed"].as_str().unwrap();
    books.execute(sql, &[&now]).await.unwrap();
    let (_, other) = json(&stage, &["reproduce", &report, "--json"]).await;
    assert!(other["sources"][0]["why"].as_str().unwrap().starts_with("version 0.0.1+0 computed it"), "{other}");
    assert_eq!(json(&stage, &["audit", "verify", "--json"]).await.1["first_bad"], Value::Null);
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_leave_it_a_candidate_and_make_no_trouble_of_it() {
    let stage = stage().await;
    let toml = "name = \"roc\"\ntimeframe = \"4h\"\nuniverse = \"top 2 by quote_volume(3d)\"\n\
                score = \"close / delay(close, 6) - 1\"\nweights = \"linear\"\n";
    std::fs::write(stage.dir.path().join("ranking.toml"), toml).unwrap();
    let (_, added) = json(&stage, &["strategies", "add", "ranking.toml", "--json"]).await;
    assert_eq!((&added["form"], &added["state"]), (&json!("ranking"), &json!("candidate")));
    let daemon = stage.daemon("continuous");
    let books = stage.client().await;
    let finished = "select count(*) from search_sessions where status = 'finished'";
    wait_for("a session has finished", async || (books::count(&books, finished).await >= 1).then_some(())).await;
    let (_, shown) = json(&stage, &["strategies", "show", "roc", "--json"]).await;
    assert_eq!((&shown["strategy"]["state"], &shown["transitions"]), (&json!("candidate"), &json!([])), "{shown}");
    let letters = "select count(*) from dead_letters where status = 'open'";
    assert_eq!(books::count(&books, letters).await, 0);
    let log = daemon.stop().await;
    let troubled = log.iter().filter(|line| line["level"] == "ERROR");
    assert_eq!(troubled.count(), 0, "{log:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_point_of_its_optimisation_is_stored_and_becomes_a_candidate() {
    let stage = stage().await;
    cached(&stage).await;
    std::fs::write(stage.dir.path().join("ranking.txt"), TEXT).unwrap();
    let window = ["--from", "2024-12-01", "--to", "2024-12-21", "--param", "score.1.delay.candles=3,6,9"];
    let args = [&["optimize", "--strategy", "ranking.txt", "--method", "grid"], &window[..], &["--json"]].concat();
    let (code, told) = json(&stage, &args).await;
    let id = told["id"].as_str().unwrap_or_else(|| panic!("{code:?}: {told}")).to_owned();
    assert_eq!(told["analysis"]["trials"], 3);
    // Again it is the same run, its trials counted once; the point is sent on from what is stored.
    assert_eq!(json(&stage, &args).await.1["id"], id.as_str());
    let sent = ["optimize", "--run", &id, "--add", "2", "--name", "slower", "--json"];
    let (code, added) = json(&stage, &sent).await;
    assert_eq!((code, &added["added"]["name"], &added["added"]["trials"]), (Some(0), &json!("slower"), &json!(3)));
    let (_, shown) = json(&stage, &["strategies", "show", "slower", "--json"]).await;
    let text = shown.to_string();
    assert!(text.contains(&TEXT.replace("delay(close, 6)", "delay(close, 9)")), "{text}");
    assert!(text.contains("optimized") && text.contains("candidate"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_premium_index_of_futures_comes_with_the_candles_where_ideas_may_look_at_it() {
    let mut stage = Stage::of_coins(29).await;
    stage.set("SG__DAEMON__MARKET", "um");
    stage.set("SG__SEARCH__RANKING__READINGS", "true");
    let mut daemon = stage.daemon("continuous");
    daemon.logged("search session opened").await;
    let without = |line: &Value| line["message"].as_str().is_some_and(|text| text.contains("readings is set, but"));
    assert!(!daemon.log().iter().any(without), "nothing was cached");
    daemon.stop().await;
    let listed = stage.json(&["data", "list", "--json"]);
    let of_premium: Vec<&Value> = listed.as_array().unwrap().iter().filter(|row| row["part"] == "premium").collect();
    // A month of candles of four hours, and of no symbol more.
    assert!(of_premium.len() >= 6 && of_premium.iter().all(|row| row["rows"].as_u64() <= Some(181)), "{listed}");
}
