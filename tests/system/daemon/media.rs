//! Media items over HTTP and from files: features, strategies with both verdicts, families, and every kind of bad input.

use super::{
    process::Daemon,
    service::Client,
    stage::{NOW_MS, Stage},
};
use serde_json::{Value, json};
use std::io::Write;
use std::process::Stdio;

const TOKEN: &str = "a token of clients alone";

fn hit(keyword: &str, category: &str, start: f64, confidence: f64) -> Value {
    json!({ "keyword": keyword, "category": category, "start_time": start, "end_time": start + 1.0, "confidence": confidence })
}

/// What an existing client posts of a video.
fn video(direction: f64) -> Value {
    json!({
        "keyword_hits": [
            hit("RSI", "technical_indicator", 12.0, 0.9), hit("macd", "technical_indicator", 20.0, 0.7),
            hit("Stop Loss", "risk_management", 40.0, 0.8), hit("RSI", "technical_indicator", 48.0, 1.0),
        ],
        "transcripts": [
            { "text": "First we wait, because patience pays.", "start_time": 0.0, "end_time": 4.0 },
            { "text": "Why the RSI? For example here", "start_time": 4.0, "end_time": 9.5 },
        ],
        "embeddings": [[1.0, direction, 0.0], [2.0, direction, 0.5]],
    })
}

/// What a feed would have noted: without one the wall clock stands for the exchange's.
pub(crate) fn exchange_clock() -> String {
    format!(
        "insert into feed_status (market, symbol, interval, newest_close_ms, exchange_time_ms, gaps)
         values ('spot', 'BTCUSDT', '15m', {}, {NOW_MS}, 0)",
        NOW_MS - 1
    )
}

async fn stage() -> (Stage, Daemon, Client) {
    let mut stage = Stage::new(3, 0.0).await;
    stage.set("SG_CLIENT_TOKEN", TOKEN);
    stage.set("MIN_SHARPE_RATIO", "50");
    stage.set("SG__HTTP__MAX_BODY_KB", "16");
    stage.set("SG__HTTP__MAX_MEDIA_KB", "64");
    // Nothing but what is asked for here happens.
    stage.set("SG_GENERATION_INTERVAL", "100000000");
    let mut daemon = stage.daemon("shadow");
    let client = Client { base: daemon.url().await, http: reqwest::Client::new() };
    stage.client().await.batch_execute(&exchange_clock()).await.unwrap();
    (stage, daemon, client)
}

#[tokio::test]
async fn an_item_is_answered_with_features_and_its_strategies_with_both_verdicts() {
    let (stage, daemon, client) = stage().await;
    let post = async |path: &str, body: &Value| client.post(path, body, Some(TOKEN)).await;
    assert_eq!(client.post("/media/42/features", &video(0.0), None).await.0, 401);
    assert_eq!(client.post("/media/42/strategies", &json!({}), None).await.0, 401);

    let (status, answer) = post("/media/42/features", &video(0.0)).await;
    assert_eq!((status, &answer["media_item_id"], &answer["created"]), (201, &json!(42), &json!(true)), "{answer}");
    let f = &answer["features"];
    let close = |name: &str, value: f64| {
        let had = f[name].as_f64().unwrap();
        assert!((had - value).abs() <= 1e-12 * value.abs().max(1.0), "{name}: {had}, not {value}");
    };
    for (name, value) in [
        ("technical_indicator_count", 3.0),
        ("price_action_count", 0.0),
        ("risk_management_count", 1.0),
        ("keyword_diversity", 0.75),
        ("avg_confidence", 3.4 / 4.0),
        ("min_confidence", 0.7),
        ("max_confidence", 1.0),
        ("keyword_frequency", 4.0 / 37.0),
        ("avg_time_between_keywords", 12.0),
        ("has_rsi", 1.0),
        ("has_macd", 1.0),
        ("has_support_resistance", 0.0),
        ("has_breakout", 0.0),
        ("has_stop_loss", 1.0),
        ("total_words", 12.0),
        ("avg_words_per_segment", 6.0),
        ("speaking_rate_wpm", 12.0 / 9.5 * 60.0),
        ("has_explanation", 1.0),
        ("has_examples", 1.0),
        ("has_steps", 1.0),
        ("question_density", 0.5),
        ("embedding_dim", 3.0),
        ("avg_embedding_norm", (1.0 + 4.25_f64.sqrt()) / 2.0),
        ("avg_embedding_similarity", 2.0 / 4.25_f64.sqrt()),
        ("embedding_diversity", 1.0 - 2.0 / 4.25_f64.sqrt()),
        ("feature_count", 28.0),
    ] {
        close(name, value);
    }
    let vector = answer["feature_vector"].as_array().unwrap();
    let names = answer["feature_names"].as_array().unwrap();
    assert!(names.iter().zip(vector).all(|(name, value)| f[name.as_str().unwrap()].as_f64() == value.as_f64()));
    let (status, again) = post("/media/42/features", &video(0.0)).await;
    assert_eq!(
        (status, &again["created"], &again["features"]),
        (200, &json!(false), f),
        "to the moment of the first time"
    );

    let (status, told) = post("/media/42/strategies", &Value::Null).await;
    assert_eq!((status, told["field"].as_str()), (422, None), "null is no object: {told}");
    // Without any body.
    let url = format!("{}/media/42/strategies", client.base);
    let response = client.http.post(url).bearer_auth(TOKEN).send().await.unwrap();
    let (status, told) = (response.status().as_u16(), response.json::<Value>().await.unwrap());
    assert_eq!((status, &told["counted_as_trial"]), (200, &json!(true)), "{told}");
    let steps: Vec<&str> = told["steps"].as_array().unwrap().iter().map(|s| s["step"].as_str().unwrap()).collect();
    assert_eq!(steps, ["features", "propose", "store", "count", "backtest", "judge"]);
    let strategies = told["strategies"].as_array().unwrap();
    assert_eq!(strategies.len(), 1, "clients' words say it all: {told}");
    let strategy = &strategies[0];
    assert_eq!(
        strategy["client"],
        json!({
            "name": "Video_Strategy_42",
            "entry_rules": ["RSI < 30", "MACD_histogram > 0"],
            "exit_rules": ["stop_loss_hit", "take_profit_hit", "RSI > 70"],
            "risk_management": { "position_size": 0.1, "stop_loss_pct": 0.02, "take_profit_pct": 0.06 },
        })
    );
    assert_eq!(
        strategy["rules"],
        "15m; long when rsi(14) < 30 and macd_histogram(12, 26, 9) > 0 exit when rsi(14) > 70; stop 2%; target 6%; size 10%"
    );
    // Twenty days of backtest that the settings say, to the last midnight.
    assert_eq!(strategy["backtest"]["start_date"], "2024-12-12T00:00:00Z");
    assert_eq!(strategy["backtest"]["end_date"], "2025-01-01T00:00:00Z");
    assert_eq!((&told["status"], &strategy["status"]), (&json!("not_promoted"), &json!("not_promoted")));
    assert!(told["reason"].as_str().unwrap().contains("MIN_SHARPE_RATIO 50"), "{told}");
    let honest = &strategy["honest"];
    assert_eq!((&honest["state"], &honest["trials"]), (&json!("candidate"), &json!(1)), "{honest}");
    assert!(honest["evidence"].as_str().unwrap().starts_with("no hold-out evidence"), "{honest}");
    let id = strategy["strategy_id"].as_i64().unwrap();
    let (_, stored) = client.get(&format!("/api/strategies/{id}")).await;
    assert!(stored.to_string().contains("\"media:42\""), "its origin is on record: {stored}");

    // A near-duplicate is of the family, and no further trial; something else is.
    for (item, direction, trial, trials) in [(43, 0.001, false, 1), (44, 9.0, true, 2)] {
        assert_eq!(post(&format!("/media/{item}/features"), &video(direction)).await.0, 201);
        let (status, told) = post(&format!("/media/{item}/strategies"), &json!({ "symbol": "ETHUSDT" })).await;
        assert_eq!((status, &told["counted_as_trial"]), (200, &json!(trial)), "{told}");
        assert_eq!(told["strategies"][0]["strategy_id"], id, "the same rules are the same strategy");
        assert_eq!(told["strategies"][0]["honest"]["trials"], trials);
    }
    let (_, item) = client.get("/media/43").await;
    assert_eq!(item["family"]["items"], json!([42, 43]), "{item}");
    assert_eq!(
        (&item["strategies"][0]["status"], item["strategies"].as_array().unwrap().len()),
        (&json!("not_promoted"), 1)
    );
    assert_eq!((&item["embedding_count"], item.get("embeddings")), (&json!(2), None));
    assert_eq!(client.get("/media/43?embeddings=true").await.1["embeddings"], video(0.001)["embeddings"]);

    // More than clients' words: a second strategy in the whole language.
    let said = json!({ "transcripts": [
        { "text": "Golden cross on the four hour chart with volume confirmation", "start_time": 5, "end_time": 9 },
        { "text": "a two percent stop and one to three risk reward", "start_time": 11, "end_time": 14 },
    ] });
    assert_eq!(post("/media/45/features", &said).await.0, 201);
    let (status, told) =
        post("/media/45/strategies", &json!({ "start_date": "2024-12-10", "end_date": "2024-12-20" })).await;
    assert_eq!(status, 200, "{told}");
    let rules: Vec<&str> =
        told["strategies"].as_array().unwrap().iter().map(|s| s["rules"].as_str().unwrap()).collect();
    assert_eq!(told["strategies"][0]["client"]["entry_rules"], json!(["default_entry"]), "{told}");
    let expected =
        "4h; long when volume_zscore(48) > 2 and sma(50) crosses above sma(200); stop 2%; target 6%; size 10%";
    assert_eq!(rules[1], expected.parse::<genome::Strategy>().unwrap().to_string());
    assert_eq!(told["strategies"][1]["name"], "Video_Strategy_45_lexicon");
    let words: Vec<&Value> =
        told["lexicon"]["ideas"][0]["found"].as_array().unwrap().iter().map(|f| &f["words"]).collect();
    assert_eq!(words[..2], ["Golden cross", "four hour chart"]);

    // Other content takes its place.
    let (status, replaced) = post("/media/45/features", &json!({})).await;
    assert_eq!((status, &replaced["replaced"]), (200, &json!(true)));
    assert!(replaced["feature_vector"].as_array().unwrap()[..27].iter().all(|value| *value == 0.0), "{replaced}");
    assert_eq!(client.get("/media/45").await.1["strategies"][0]["current"], false);
    let (_, list) = client.get("/api/media?limit=2").await;
    let ids: Vec<&Value> = list["items"].as_array().unwrap().iter().map(|line| &line["media_item_id"]).collect();
    assert_eq!(ids, [45, 44], "{list}");
    let text = stage.json(&["media", "show", "43", "--json"]);
    assert_eq!((&text["features"], &text["family"]["size"]), (&item["features"], &json!(2)));
    daemon.stop().await;
}

#[tokio::test]
async fn every_kind_of_bad_input_is_answered_with_its_field() {
    let (_stage, daemon, client) = stage().await;
    let send = async |path: &str, body: String| {
        let request = client.http.post(format!("{}{path}", client.base)).bearer_auth(TOKEN);
        let response = request.header("content-type", "application/json").body(body).send().await.unwrap();
        let (status, answer) = (response.status().as_u16(), response.json::<Value>().await.unwrap_or_default());
        (status, answer["field"].as_str().unwrap_or_default().to_owned(), answer)
    };
    let with_hit = |name: &str, value: &str| {
        let mut fields = vec![
            ("keyword", "\"rsi\""),
            ("category", "\"x\""),
            ("start_time", "1"),
            ("end_time", "2"),
            ("confidence", "0.5"),
        ];
        fields.retain(|(known, _)| *known != name);
        fields.extend((!value.is_empty()).then_some((name, value)));
        let fields: Vec<String> = fields.iter().map(|(name, value)| format!("\"{name}\": {value}")).collect();
        format!("{{\"keyword_hits\": [{{{}}}]}}", fields.join(", "))
    };
    let mut cases = Vec::new();
    for (name, value, status) in [
        ("confidence", "NaN", 400),
        ("confidence", "Infinity", 400),
        ("confidence", "1e999", 400),
        ("confidence", "1.01", 422),
        ("confidence", "-0.1", 422),
        ("confidence", "\"0.5\"", 422),
        ("confidence", "", 422),
        ("start_time", "-1", 422),
        ("start_time", "3", 422),
        ("end_time", "1e8", 422),
        ("keyword", "\"\"", 422),
        ("keyword", "\"a\\u0000b\"", 422),
        ("keyword", "7", 422),
        ("category", "\"  \"", 422),
        ("extra", "1", 422),
    ] {
        let field = if (name, value) == ("start_time", "3") { "end_time" } else { name };
        cases.push((with_hit(name, value), status, format!("keyword_hits[0].{field}")));
    }
    for (body, status, field) in [
        ("{\"keyword_hits\": {}}", 422, "keyword_hits"),
        ("{\"keyword_hits\": [[\"rsi\", \"x\", 0, 1, 1]]}", 422, "keyword_hits[0]"),
        ("{\"transcripts\": [{\"text\": \"x\", \"start_time\": 5, \"end_time\": 4}]}", 422, "transcripts[0].end_time"),
        ("{\"transcripts\": null}", 422, "transcripts"),
        ("{\"embeddings\": [[1, 2], [1]]}", 422, "embeddings[1]"),
        ("{\"embeddings\": [[]]}", 422, "embeddings[0]"),
        ("{\"embeddings\": [[1, null]]}", 422, "embeddings[0][1]"),
        ("{\"embeddings\": [[NaN]]}", 400, "embeddings[0][0]"),
        ("{\"embeddings\": [[1e31]]}", 422, "embeddings[0][0]"),
        ("{\"keywords\": []}", 422, "keywords"),
        ("[[], [], []]", 422, ""),
        ("nonsense", 400, ""),
    ] {
        cases.push((body.to_owned(), status, field.to_owned()));
    }
    for (body, status, field) in cases {
        let (had, named, answer) = send("/media/1/features", body.clone()).await;
        assert_eq!((had, named.as_str()), (status, field.as_str()), "{body}: {answer}");
        assert!(!answer["detail"].as_str().unwrap().is_empty());
    }
    for (path, status) in [("0", 422), ("-1", 422), ("2147483648", 422), ("x", 400), ("99999999999999999999", 400)] {
        for path in [format!("/media/{path}/features"), format!("/media/{path}/strategies")] {
            let (had, field, answer) = send(&path, "{}".to_owned()).await;
            assert_eq!((had, field.as_str()), (status, "media_item_id"), "{path}: {answer}");
        }
    }
    assert_eq!(client.get("/media/1").await.0, 404, "nothing of all this is stored");
    assert_eq!(send("/media/1/strategies", "{}".to_owned()).await.0, 404);
    assert_eq!(send("/media/1/features", "{}".to_owned()).await.0, 201);
    for (body, field) in [
        (json!({ "symbol": "no symbol" }), "symbol"),
        (json!({ "start_date": "yesterday" }), "start_date"),
        (json!({ "start_date": "2024-12-20", "end_date": "2024-12-10" }), "end_date"),
        (json!({ "initial_capital": 0 }), "initial_capital"),
        (json!({ "timeframe": "7h" }), "timeframe"),
        (json!({ "start_date": "2000-01-01", "timeframe": "1m" }), "start_date"),
        (json!({ "days": 3 }), "days"),
    ] {
        let (status, named, answer) = send("/media/1/strategies", body.to_string()).await;
        assert_eq!((status, named.as_str()), (422, field), "{body}: {answer}");
    }
    // None of these tried anything.
    assert_eq!(client.get("/media/1").await.1["family"]["tried_at"], Value::Null);
    // Items may be larger than other bodies, within a limit of their own.
    let large = |kb: usize| format!("{{\"embeddings\": [[{}1]]}}", "0.0000001, ".repeat(kb * 1024 / 11));
    assert_eq!(send("/media/1/features", large(40)).await.0, 200);
    let (status, _, answer) = send("/media/1/features", large(80)).await;
    assert!(status == 413 && answer["detail"].as_str().unwrap().contains("http.max_media_kb"), "{answer}");
    daemon.stop().await;
}

#[tokio::test]
async fn files_are_imported_line_by_line_and_gone_on_with() {
    let stage = Stage::new(3, 0.0).await;
    let line = |id: i32| {
        let mut item = video(f64::from(id));
        item["media_item_id"] = id.into();
        format!("{item}\n")
    };
    let folder = stage.dir.path().join("media");
    std::fs::create_dir(&folder).unwrap();
    let first: String = (1..=150).map(line).collect();
    std::fs::write(folder.join("a.jsonl"), format!("\u{feff}{first}")).unwrap();
    let second = format!(
        "{}{{\"media_item_id\": 200, \"keyword_hits\": [{{}}]}}\n\nnonsense\n{}",
        line(151),
        line(152).trim_end()
    );
    std::fs::write(folder.join("b.ndjson"), second).unwrap();
    std::fs::write(folder.join("notes.txt"), "no lines of ours").unwrap();

    // Two lines are wrong; the others are stored, and the exit code says so.
    let run = |args: &[&str]| stage.command(args).output().unwrap();
    let output = run(&["media", "import", "media"]);
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(1), "{out}{err}");
    assert!(
        out.contains("154 lines of 2 files") && out.contains("152 items are new") && out.contains("2 lines refused"),
        "{out}"
    );
    assert!(err.contains("b.ndjson:2: keyword_hits[0].keyword: missing field `keyword`"), "{err}");
    assert!(err.contains("b.ndjson:4: a JSON object is expected"), "{err}");

    // Again: everything is there already. One that changed takes its place.
    let mut child = stage
        .command(&["media", "import", "-", "--json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let changed = line(1).replace("0.9", "0.95");
    child.stdin.take().unwrap().write_all(format!("{first}{changed}").as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let counts = ["lines", "created", "replaced", "unchanged", "refused"].map(|key| report[key].as_i64().unwrap());
    assert_eq!(counts, [151, 0, 1, 150, 0], "{report}");
    let text = run(&["media", "show", "1"]);
    let shown = String::from_utf8_lossy(&text.stdout).into_owned();
    assert!(shown.contains("min_confidence") && shown.contains("family 1: "), "{shown}");
    for (args, code) in [
        (["media", "show", "999"], 1),
        (["media", "show", "0"], 2),
        (["media", "import", "nowhere.jsonl"], 2),
        (["media", "import", "data"], 2),
    ] {
        assert_eq!(run(&args).status.code(), Some(code), "{args:?}");
    }
}
