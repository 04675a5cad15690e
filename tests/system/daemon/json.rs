//! `--json` of every command that prints results: the list of commands is the command line's own.

use super::stage::Stage;
use serde_json::{Value, json};
use std::collections::BTreeSet;

const TOKEN: &str = "a token of this test alone";

/// What prints no results: scripts for a shell, pages for `man`, and daemons, whose words are their log's.
const WITHOUT: [&str; 6] = ["completions", "continuous", "man", "run", "shadow", "worker"];
/// What takes a while or a port, and is tried with `--json` by a test of its own: demo (`demo.rs`), simulate-exchange
/// (`../simulated/command.rs`), calibrate (`../commands/calibrate.rs`), book (`book.rs`); what would start or install a server, which
/// `../store/embedded.rs` does by the library.
const ELSEWHERE: [&str; 13] = [
    "book disable",
    "book explain",
    "book members",
    "book pause",
    "book resume",
    "book show",
    "book verify",
    "calibrate",
    "demo",
    "postgres install",
    "postgres start",
    "postgres url",
    "simulate-exchange",
];

/// Names of all commands that can be run, such as `audit verify`, and whether they take `--json`.
fn leaves(command: &clap::Command, before: &str, found: &mut Vec<(String, bool)>) {
    for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
        let name = format!("{before}{}", sub.get_name());
        if sub.has_subcommands() {
            leaves(sub, &format!("{name} "), found);
        } else {
            found.push((name, sub.get_arguments().any(|arg| arg.get_id() == "json")));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_that_prints_results_prints_json() {
    let mut all = Vec::new();
    leaves(&sg_ai::cli::command(), "", &mut all);
    let without: Vec<&str> = all.iter().filter(|(_, json)| !json).map(|(name, _)| name.as_str()).collect();
    assert_eq!(without, WITHOUT);

    let mut stage = Stage::new(5, 0.0).await;
    stage.set("SG_ACTION_TOKEN", TOKEN);
    std::fs::write(
        stage.dir.path().join("cross.json"),
        r#"{"name": "cross", "timeframe": "15m", "long": {"entry": "ema(5) crosses above ema(30)",
            "exit": "ema(5) crosses below ema(30)"}, "risk": {"stop_loss": "2%"}}"#,
    )
    .unwrap();
    std::fs::create_dir(stage.dir.path().join("models")).unwrap();
    let lean = "timeframe = \"1h\"\nsymbols = [\"BTCUSDT\"]\ntarget = \"direction\"\nhorizon_candles = 1\nvolatility_candles = 24\n\
                features = [\"roc(4)\"]\ntrain_days = 20\nrefit_days = 5\n[fit]\nkind = \"logistic\"\n";
    std::fs::write(stage.dir.path().join("models/lean.toml"), lean).unwrap();
    let models = stage.dir.path().join("models").to_str().unwrap().to_owned();
    stage.set("SG__MODELS__DIR", &models);
    let mut tried = BTreeSet::new();
    let mut run = |words: &str| {
        let name = all.iter().map(|(name, _)| name).find(|name| format!("{words} ").starts_with(&format!("{name} ")));
        tried.insert(name.expect("a command of ours").clone());
        let args: Vec<&str> = words.split(' ').chain(["--json"]).collect();
        let output = stage.command(&args).output().unwrap();
        // What is printed is JSON whether it went well or not; standard error is for people.
        serde_json::from_slice::<Value>(&output.stdout).unwrap_or_else(|error| panic!("{words}: {error}: {output:?}"))
    };
    let window = "--symbols BTCUSDT --from 2024-12-10 --to 2024-12-24";
    run("migrate");
    run("config show");
    run("work status");
    run("data download --symbols BTCUSDT --intervals 15m --from 2024-12-01 --to 2024-12-31");
    let csv = "<DATE>\t<TIME>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>\t<VOL>\t<SPREAD>\r\n\
               2024.04.01\t00:00:00\t1\t2\t0.5\t1.5\t7\t0\t2\r\n2024.04.01\t00:15:00\t1.5\t2\t1\t1.2\t7\t0\t2\r\n";
    std::fs::create_dir(stage.dir.path().join("other")).unwrap();
    std::fs::write(stage.dir.path().join("other/XRPUSDT_M15.csv"), csv).unwrap();
    run("data import other --mapping mt5 --symbol XRPUSDT --interval 15m");
    run("data list");
    run("data verify");
    run("data instruments");
    run("data universe --at 2024-12-20 --interval 15m");
    run("data export --symbols BTCUSDT --interval 15m --out candles.csv --format csv");
    run("models list");
    run("models fit lean");
    run("models evaluate lean");
    run("models explain lean");
    run("models examples lean --out examples.csv");
    run("data snapshot first");
    run("data diff first");
    run("data affected all");
    run("data prune");
    run(&format!("backtest --strategy cross.json {window}"));
    run(&format!("prove --strategy cross.json --paths 100 --noise-draws 1 {window}"));
    run(&format!("search --population 20 --generations 1 {window}"));
    let optimised = run(&format!("optimize --strategy cross.json --method grid --param risk.stop_loss=1,2,3 {window}"));
    // The stage has a database: the run is in it, and a point of it is sent on.
    let told = run(&format!("optimize --run {} --add best --name better", optimised["id"].as_str().unwrap()));
    assert_eq!((&told["added"]["name"], told["added"]["trials"].as_u64()), (&json!("better"), Some(3)));
    run(&format!("report optimization:{} --format html", optimised["id"].as_str().unwrap()));
    let session = "--sessions 1 --no-placebo --population 20 --generations 1 --search-days 6 --holdout-days 4";
    run(&format!("rehearse --symbols BTCUSDT --from 2024-12-04 --to 2024-12-31 {session}"));
    run("strategies add cross.json");
    let listed = run("strategies list");
    let id = listed[0]["id"].as_str().unwrap().to_owned();
    run("strategies show cross");
    run("reproduce cross");
    run("report cross --format md");
    run("strategies disable cross --why json");
    run("strategies revive cross --why json");
    run("export exported");
    std::fs::write(stage.dir.path().join("media.jsonl"), "{\"media_item_id\": 7}\n{\"media_item_id\": 0}\n").unwrap();
    let imported = run("media import media.jsonl");
    assert_eq!((&imported["created"], &imported["problems"][0]["field"]), (&json!(1), &json!("media_item_id")));
    assert_eq!(run("media show 7")["features"]["feature_count"], 28);
    run("keys list");
    run("keys rotate");
    run("audit anchor");
    run("audit verify");

    // What was live for a while, drifted, failed and grew old.
    let mut daemon = stage.daemon("shadow");
    let base = daemon.url().await;
    for from in ["candidate", "shadow"] {
        let approve = reqwest::Client::new().post(format!("{base}/api/strategies/{id}/approve"));
        let answer =
            approve.bearer_auth(TOKEN).json(&json!({ "why": "to have one", "from": from })).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{}", answer.text().await.unwrap());
    }
    run(&format!("health --url {base}"));
    // What was optimised is served, and found by the end of its id.
    let get = async |path: String| reqwest::get(format!("{base}{path}")).await.unwrap().json::<Value>().await.unwrap();
    let listed = get("/api/optimizations?limit=5".to_owned()).await;
    let run_id = optimised["id"].as_str().unwrap();
    assert_eq!(
        (listed["items"][0]["id"].as_str(), listed["items"][0]["evaluations"].as_u64()),
        (Some(run_id), Some(3))
    );
    let served = get(format!("/api/optimizations/{}?limit=2", &run_id[run_id.len() - 8..])).await;
    assert_eq!(served["optimization"]["report"]["analysis"], optimised["analysis"]);
    assert_eq!(served["points"].as_array().unwrap().len(), 2);
    assert!(served["points"][0]["strategy_id"].is_string(), "the best was sent on: {served}");
    let missing = get("/api/optimizations/ffff".to_owned()).await;
    assert_eq!(missing["status"].as_u64(), Some(404), "{missing}");
    daemon.stop().await;
    let sql = "set session_replication_role = replica;
        insert into deployments (id, strategy_id, promoted_by, started_market_ms)
            select gen_random_uuid(), id, 'a test', 0 from strategies on conflict do nothing;
        insert into drift_alerts (deployment_id, strategy_id, type, severity, expected, observed, warning_at, critical_at,
                recommended_action, at_market_ms)
            select id, strategy_id, 'sharpe', 'warning', 1, 0, 0.5, 2, 'monitor', 0 from deployments;
        insert into dead_letters (kind, subject, error, genome)
            select 'backtest', genome_hash, 'a test', genome from strategies;
        insert into strategy_scores (strategy_id, overall, components, percentile, is_latest, calculated_at)
            select id, 50, '{\"all\": {\"score\": 50, \"weight\": 1}}', 50, false, now() - interval '3 years'
            from strategies;
        set session_replication_role = origin";
    stage.client().await.batch_execute(sql).await.unwrap();
    run("protocol status");
    run("learner explain");
    run("protocol plan --sharpe 5 --tests 10");
    run("deployments list");
    run("deployments pause cross --why json");
    run("deployments resume cross --why json");
    let alerts = run("drift list");
    run(&format!("drift acknowledge {}", alerts[0]["id"]));
    let letters = run("dead-letters list");
    run(&format!("dead-letters retry {}", letters[0]["id"]));
    run("archive run");
    let archives = run("archive list");
    run("archive verify");
    run(&format!("archive restore {}", archives[0]["id"].as_str().unwrap()));

    let missed = all.iter().filter(|(name, json)| *json && !tried.contains(name)).map(|(name, _)| name.as_str());
    let missed: Vec<&str> = missed.filter(|name| !ELSEWHERE.contains(name)).collect();
    assert_eq!(missed, Vec::<&str>::new());
}
