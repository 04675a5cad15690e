//! Models that the daemon's search asks, by the real program: searched, followed on paper and computed again, whoever is killed, and
//! standing still where a model is not the one that it was.

use super::{books, process::wait_for, service::Client, stage::Stage};
use serde_json::{Value, json};
use std::process::Output;

const DAY_PER_SECOND: f64 = 86_400.0;

const MODEL: &str = "timeframe = \"15m\"\nsymbols = [\"*USDT\"]\ntarget = \"direction\"\nhorizon_candles = 8\n\
    features = [\"roc(1)\", \"roc(8)\", \"rsi(14)\", \"bollinger_percent_b(20, 2)\"]\ntrain_days = 20\nrefit_days = 5\n\
    [fit]\nkind = \"logistic\"\n";

/// A strategy that asks the model, with a run in shadow or live that has had a pass since a market time.
async fn followed(client: &tokio_postgres::Client, since_ms: i64) -> (String, i64) {
    let sql =
        "select s.name, r.to_ms from strategies s join paper_runs r on r.strategy_id = s.id and r.ended_at is null
        where s.state in ('shadow', 'live') and s.canonical like '%model(line)%'
            and r.config -> 'models' -> 'digests' ? 'line' and r.to_ms > $1 order by 1 limit 1";
    wait_for("a strategy that asks the model is followed", async || {
        client.query_opt(sql, &[&since_ms]).await.unwrap().map(|row| (row.get(0), row.get(1)))
    })
    .await
}

async fn ran(stage: &Stage, args: &[&str]) -> Output {
    let mut command = stage.command(args);
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn models_are_searched_followed_and_computed_again_and_stand_still_when_changed() {
    let mut stage = Stage::new(31, DAY_PER_SECOND / 3.0).await;
    let dir = stage.dir.path().join("models");
    std::fs::create_dir_all(&dir).unwrap();
    let file = dir.join("line.toml");
    stage.set("SG__MODELS__DIR", dir.to_str().unwrap());
    stage.set("SG__MODELS__SEARCH", "line");
    stage.set("SG__PROTOCOL__PLACEBO_EVERY_SESSIONS", "1");
    stage.set("SG_ACTION_TOKEN", "a token of this test alone");

    // A model that is none is told before anything begins.
    std::fs::write(&file, MODEL.replace("horizon_candles = 8", "horizon_candles = 0")).unwrap();
    let refused = ran(&stage, &["run"]).await;
    let said = String::from_utf8_lossy(&refused.stderr).into_owned() + &String::from_utf8_lossy(&refused.stdout);
    assert!(!refused.status.success() && said.contains("horizon_candles: 0 is not 1 to 1000"), "{said}");

    std::fs::write(&file, MODEL).unwrap();
    let mut daemon = stage.daemon("run");
    daemon.logged("listening").await;
    let client = stage.client().await;
    let (_, at_ms) = followed(&client, 0).await;
    // Killed, whatever it was about; the next one goes on with it.
    daemon.kill();
    daemon = stage.daemon("run");
    let url = daemon.url().await;
    let placebos = "select count(*) from protocol_sessions where placebo";
    wait_for("a placebo session ends", async || (books::count(&client, placebos).await > 0).then_some(())).await;
    let (name, _) = followed(&client, at_ms).await;
    stage.exchange.clock().set_speed(0.0);

    // By the service: predictions are part of what was looked at, and are there when it is computed again.
    let service = Client { base: url, http: reqwest::Client::new() };
    let rules = "15m; long when model(line) > 0.5 exit when model(line) < 0.5";
    let (status, stored) = service.post("/strategies", &json!({ "name": "asks", "strategy": rules }), None).await;
    assert_eq!(status, 201, "{stored}");
    let order = json!({ "strategy_id": stored["strategy_id"], "symbol": "BTCUSDT",
        "start_date": "2024-12-10", "end_date": "2024-12-20" });
    let (status, done) = service.post("/backtest", &order, None).await;
    assert!(status == 200 && done["metrics"]["total_trades"].as_u64().is_some_and(|n| n > 3), "{status} {done}");
    let unknown = rules.replace("line", "nobody");
    let (_, stored) = service.post("/strategies", &json!({ "name": "asks none", "strategy": unknown }), None).await;
    let order = json!({ "strategy_id": stored["strategy_id"], "symbol": "BTCUSDT",
        "start_date": "2024-12-10", "end_date": "2024-12-20" });
    let (status, refused) = service.post("/backtest", &order, None).await;
    assert!(status == 422 && refused["detail"].as_str().unwrap().contains("there is no model nobody"), "{refused}");
    daemon.stop().await;

    // Sessions, results and the service's backtest come to the same again.
    for what in ["main/1", &name, "asks"] {
        let again = ran(&stage, &["reproduce", what]).await;
        assert!(again.status.success(), "{what}: {again:?}");
    }
    let batch = stage.dir.path().join("batch.txt");
    std::fs::write(&batch, format!("{rules}\n{unknown}\n")).unwrap();
    let args = ["backtest", "--batch", batch.to_str().unwrap(), "--symbols", "BTCUSDT", "--from", "2024-12-10"];
    let answered = ran(&stage, &[&args[..], &["--to", "2024-12-20"]].concat()).await;
    let lines: Vec<Value> =
        String::from_utf8(answered.stdout).unwrap().lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert!(lines[0]["performance"]["total_trades"].as_u64().is_some_and(|n| n > 3), "{}", lines[0]);
    assert!(lines[1]["error"].as_str().unwrap().contains("there is no model nobody"), "{}", lines[1]);

    // Another model of the same name: who was proven with the former one stands still and says so; sessions ask the new one.
    std::fs::write(&file, MODEL.replace("roc(8)", "roc(16)")).unwrap();
    let impossible = ran(&stage, &["reproduce", &name]).await;
    let told = String::from_utf8_lossy(&impossible.stdout).into_owned();
    assert!(!impossible.status.success() && told.contains("is not the one that it was"), "{told}");
    let runs = "select coalesce(sum(r.to_ms), 0)::bigint from paper_runs r join strategies s on s.id = r.strategy_id
        where r.ended_at is null and s.state in ('shadow', 'live') and r.config ? 'models'";
    let (before, sessions) =
        (books::count(&client, runs).await, books::count(&client, "select count(*) from search_sessions").await);
    stage.exchange.clock().set_speed(DAY_PER_SECOND / 3.0);
    daemon = stage.daemon("run");
    daemon.logged("strategies stand still").await;
    wait_for("a session of the new model ends", async || {
        let ended = "select count(*) from search_sessions where status = 'finished'";
        (books::count(&client, ended).await > sessions).then_some(())
    })
    .await;
    let of_former =
        "select coalesce(sum(r.to_ms), 0)::bigint from paper_runs r join strategies s on s.id = r.strategy_id
        where r.ended_at is null and s.state in ('shadow', 'live') and r.config ? 'models'
            and r.config -> 'models' -> 'digests' ->> 'line' = (select config -> 'models' -> 'digests' ->> 'line'
                from search_sessions where number = 1 and island = 'main')";
    assert_eq!(books::count(&client, of_former).await, before);
    daemon.stop().await;
}
