//! Models in a daemon: looked at, told of once a change, shown, and missed when their file goes.

use super::{page::Page, process::wait_for, service::Client, stage::Stage};
use genome::AnyStrategy;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use store::{NewStrategy, SERVICE_KIND};

const LEAN: &str = "timeframe = \"1h\"\nsymbols = [\"BTCUSDT\", \"ETHUSDT\"]\ntarget = \"direction\"\nhorizon_candles = 4\n\
                    volatility_candles = 24\nfeatures = [\"roc(4)\", \"rsi(14)\"]\ntrain_days = 20\nrefit_days = 5\n[fit]\nkind = \"logistic\"\n";

async fn ask(stage: &Stage, name: &str, text: &str) {
    let store = stage.database.store().await;
    let genome: AnyStrategy = text.parse().unwrap();
    let new = NewStrategy {
        id: uuid::Uuid::now_v7(),
        name: name.to_owned(),
        name_is_chosen: true,
        canonical: genome.to_string(),
        genome_hash: genome.hash().to_string(),
        kind: SERVICE_KIND.to_owned(),
        step: lifecycle::VersionStep::Minor,
        parent_hashes: Vec::new(),
        generation: 0,
        island: None,
        session_id: None,
        symbols: vec!["BTCUSDT".parse().unwrap()],
        market: candles::MarketKind::Spot,
        timeframe: genome.timeframe(),
        seen_until_ms: None,
        seen_is_stated: false,
        created_by: "service".to_owned(),
        genome,
    };
    assert_eq!(store.add_strategy(&new).await.unwrap().as_deref(), Some(name));
}

/// What was told of models, by channel; the market time is left out of the keys.
fn told(stage: &Stage) -> BTreeSet<(String, &'static str, u32)> {
    let of_models = stage.webhooks.taken().into_iter().filter(|((key, _), _)| key.starts_with("model:"));
    of_models.map(|((key, channel), times)| (key.rsplit_once(':').unwrap().0.to_owned(), channel, times)).collect()
}

fn once(key: &str) -> [(String, &'static str, u32); 2] {
    [(key.to_owned(), "discord", 1), (key.to_owned(), "slack", 1)]
}

#[tokio::test(flavor = "multi_thread")]
async fn models_are_looked_at_told_of_and_shown() {
    let mut stage = Stage::new(5, 0.0).await;
    stage.set("SG_GENERATION_INTERVAL", "100000000");
    let models = stage.dir.path().join("data/models");
    std::fs::create_dir_all(&models).unwrap();
    let download = ["data", "download", "--symbols", "BTCUSDT,ETHUSDT", "--intervals", "15m"];
    let output =
        stage.command(&[&download[..], &["--from", "2024-11-17", "--to", "2025-01-01"]].concat()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut daemon = stage.daemon("shadow");
    let client = Client { base: daemon.url().await, http: reqwest::Client::new() };
    let (_, none) = client.get("/api/models").await;
    assert_eq!((&none["items"], &none["strategies"]), (&json!([]), &json!([])));
    assert_eq!(client.get("/sg-ai/health/models").await.0, 404);

    std::fs::write(models.join("lean.toml"), LEAN).unwrap();
    std::fs::write(models.join("broken.toml"), LEAN.replace("horizon_candles = 4", "horizon_candles = 0")).unwrap();
    ask(&stage, "by the model", "15m; long when model(lean)@1h > 0.55 exit when model(lean)@1h < 0.5").await;
    ask(&stage, "by nobody", "1h; long when model(missing) > 0.55 exit when model(missing) < 0.5").await;
    ask(&stage, "by all", "1h; long when ensemble_direction > 0 exit when ensemble_direction < 0").await;
    let both = wait_for("two models", async || {
        let (_, all) = client.get("/api/models").await;
        (all["items"].as_array().is_some_and(|items| items.len() == 2)).then_some(all)
    })
    .await;
    let [broken, lean] = [&both["items"][0], &both["items"][1]];
    assert_eq!((&broken["model"], &broken["state"]), (&json!("broken"), &json!("failing")));
    assert!(broken["reason"].as_str().unwrap().contains("horizon_candles: 0 is not 1 to 1000"), "{broken}");
    assert_eq!(
        (&lean["model"], &lean["state"], &lean["reason"]),
        (&json!("lean"), &json!("young"), &Value::Null),
        "{lean}"
    );
    let report = &lean["report"];
    assert_eq!(
        (&report["kind"], &report["target"], &report["predicted_symbols"]),
        (&json!("logistic"), &json!("direction"), &json!(2))
    );
    assert!(
        report["lately"]["predictions"].as_u64().unwrap() > 500 && report["last_fit"]["failed"].is_null(),
        "{report}"
    );
    // The command scores the same predictions.
    let scored = stage.json(&["models", "evaluate", "lean", "--json"]);
    for year in ["2024", "2025"] {
        assert_eq!(scored["years"][year]["log_loss"], report["years"][year]["log_loss"]);
    }
    let stand = |name: &str| {
        let found = both["strategies"].as_array().unwrap().iter().find(|s| s["name"] == name).unwrap();
        (found["models"].clone(), found["stands_still"].as_str().unwrap_or("no").to_owned())
    };
    assert_eq!(stand("by the model"), (json!(["lean"]), "no".to_owned()));
    assert_eq!(stand("by nobody"), (json!([]), "there is no model missing".to_owned()));
    let (asked, why) = stand("by all");
    assert!(asked == json!(["broken", "lean"]) && why.starts_with("model broken fails: "), "{asked} {why}");
    wait_for("both messages", async || (told(&stage) == once("model:broken:failing").into()).then_some(())).await;
    let (_, health) = client.get("/sg-ai/health/models").await;
    assert_eq!(health["status"], "degraded", "{health}");
    let metrics = client.http.get(format!("{}/metrics", client.base)).send().await.unwrap().text().await.unwrap();
    for wanted in [
        "sg_ai_model_failing{model=\"broken\"} 1\n",
        "sg_ai_model_failing{model=\"lean\"} 0\n",
        "sg_ai_model_drifting{model=\"lean\"} 0\n",
        "sg_ai_model_log_loss_gain{model=\"lean\"} ",
        "sg_ai_model_calibration_error_ratio{model=\"lean\"} ",
        "sg_ai_model_drift_evidence_ratio{model=\"lean\"} 0\n",
        "sg_ai_model_failed_fits{model=\"lean\"} 0\n",
        "sg_ai_model_watched_timestamp_seconds{model=\"broken\"} ",
        "sg_ai_model_predicted_timestamp_seconds{model=\"lean\"} 1735",
    ] {
        assert!(metrics.contains(wanted), "{wanted} is not in\n{metrics}");
    }
    if let Some(mut page) = Page::open().await {
        for width in [1280, 390] {
            page.width(width).await;
            page.call("Page.navigate", json!({ "url": format!("{}/#/models", client.base) })).await;
            page.titled("Models").await;
            page.unfold().await;
            page.until(
                "['Strategies that ask models', 'Model lean', 'lean: what it knew', 'Model broken'].every((part) =>
                [...document.querySelectorAll('h2')].some((head) => head.textContent === part))",
            )
            .await;
            let fits = "document.documentElement.scrollWidth <= document.documentElement.clientWidth";
            assert_eq!(page.evaluate(fits).await, true, "models at {width}");
        }
        assert!(page.complaints.is_empty(), "{:?}", page.complaints);
    }

    // Made good, it is well again, once; a file that goes is gone.
    std::fs::write(models.join("broken.toml"), LEAN).unwrap();
    let mut expected: BTreeSet<_> = once("model:broken:failing").into();
    expected.extend(once("model:broken:young"));
    wait_for("that it is well again", async || (told(&stage) == expected).then_some(())).await;
    std::fs::remove_file(models.join("broken.toml")).unwrap();
    wait_for("that it is gone", async || {
        let (_, all) = client.get("/api/models").await;
        (all["items"].as_array().is_some_and(|items| items.len() == 1)).then_some(())
    })
    .await;
    let (_, days) = client.get("/api/models/broken").await;
    assert_eq!(days["items"].as_array().unwrap().iter().map(|day| &day["state"]).collect::<Vec<_>>(), ["gone"]);
    assert_eq!(client.get("/api/models/none").await, (200, json!({ "items": [] })));
    assert_eq!(told(&stage), expected, "what went without trouble is not told");
    daemon.stop().await;
}
