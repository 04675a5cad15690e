//! What is stored of a strategy, over a real database: reproduced to the bit, reported, and tried again.

use crate::{
    story::{START_MS, Story, day},
    support::{self, TestDatabase, database},
};
use candles::{Interval, MarketKind, Symbol, Ticker};
use engine::Recipe;
use genome::{StrategyFile, random::Seed};
use market::{CandleCache, cache::Provenance};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use simulated::{MarketSpec, SimulatedMarket};
use std::process::Output;
use store::{DeadLetterKind, NewDeadLetter, Store};
use tempfile::TempDir;
use uuid::Uuid;

const CROSS: &str = r#"{"name": "cross", "timeframe": "15m",
    "long": {"entry": "ema(5) crosses above ema(30)", "exit": "ema(5) crosses below ema(30)"},
    "risk": {"stop_loss": "2%"}}"#;

/// A data directory with candles of 50 days, a database, and the binary on both.
struct Place {
    dir: TempDir,
    cache: CandleCache,
    market: SimulatedMarket,
    database: TestDatabase,
    store: Store,
    symbol: Symbol,
}

impl Place {
    async fn new() -> Self {
        let (database, store) = database().await;
        let symbol: Symbol = "BTCUSDT".parse().unwrap();
        let spec = MarketSpec::noise(Seed(3), START_MS, std::slice::from_ref(&symbol));
        let market = SimulatedMarket::new(spec).unwrap();
        let dir = TempDir::new().unwrap();
        let cache = CandleCache::open(&dir.path().join("candles")).unwrap();
        let place = Self { dir, cache, market, database, store, symbol };
        place.merge(1.0).await;
        place
    }

    /// Puts the market's candles into the cache, the last one with another close.
    async fn merge(&self, factor: f64) {
        let series = self.market.candles(&self.symbol, Interval::M15, START_MS, day(50)).unwrap();
        let mut candles: Vec<_> = series.candles().collect();
        let last = candles.last_mut().unwrap();
        last.close *= factor;
        last.high = last.high.max(last.close);
        let changed = candles::CandleSeries::from_candles(Interval::M15, &candles).unwrap();
        let provenance = Provenance { source: "simulated".into(), fetched_at_ms: START_MS };
        self.cache.merge(&Ticker::of(MarketKind::Spot, &self.symbol), &changed, &provenance).await.unwrap();
    }

    fn story(&self) -> Story<'_> {
        Story {
            cache: &self.cache,
            store: &self.store,
            market: MarketKind::Spot,
            symbol: self.symbol.clone(),
            name: "<b>cross</b>",
            island: "main",
            genome: StrategyFile::parse(CROSS).unwrap().strategy,
        }
    }

    /// Stores the strategy as the daemon does: searched on days 10 to 30, held out to day 40, in shadow to day 50.
    async fn store_story(&self) -> Uuid {
        let lease = self.store.try_acquire_lease("work").await.unwrap().unwrap();
        let (token, story) = (lease.token(), self.story());
        let id = story.begin(&token).await;
        story.pass(&token, id, day(40), day(50)).await;
        id
    }

    async fn run(&self, args: &[&str]) -> Output {
        tokio::process::Command::new(env!("CARGO_BIN_EXE_sg-ai"))
            .args(args)
            .current_dir(self.dir.path())
            .env_clear()
            .env("SG_DATA_DIR", self.dir.path())
            .env("DATABASE_URL", self.database.url.expose_secret())
            .output()
            .await
            .unwrap()
    }

    /// Exit code, and standard output as JSON.
    async fn json(&self, args: &[&str]) -> (Option<i32>, Value) {
        let output = self.run(args).await;
        let printed = serde_json::from_slice(&output.stdout);
        (output.status.code(), printed.unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&output.stderr))))
    }
}

fn verdicts(report: &Value) -> Vec<(&str, &str)> {
    let sources = report["sources"].as_array().unwrap().iter();
    sources.map(|s| (s["source"].as_str().unwrap(), s["verdict"].as_str().unwrap())).collect()
}

#[tokio::test]
async fn stored_results_are_reproduced_or_it_is_said_why_not() {
    let place = Place::new().await;
    let id = place.store_story().await.to_string();
    let (code, report) = place.json(&["reproduce", &id, "--json"]).await;
    let same = "identical";
    assert_eq!(verdicts(&report), [("backtest", same), ("holdout", same), ("shadow", same)], "{report:#}");
    assert_eq!((code, &report["identical"]), (Some(0), &json!(true)));

    // A candle of the shadow run is revised: its result is another one, and those before it are not touched.
    place.merge(1.05).await;
    let (code, report) = place.json(&["reproduce", &id, "--json"]).await;
    assert_eq!(verdicts(&report), [("backtest", same), ("holdout", same), ("shadow", "differs")], "{report:#}");
    assert_eq!((code, &report["identical"]), (Some(1), &json!(false)));
    let shadow = &report["sources"][2];
    assert_eq!(shadow["differences"][0]["what"], "data_version");
    assert!(shadow["why"].as_str().unwrap().contains("cached candles"), "{shadow}");

    std::fs::remove_dir_all(place.dir.path().join("candles")).unwrap();
    let output = place.run(&["reproduce", &id]).await;
    let (text, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(text.matches("COULD NOT BE COMPUTED: the cache in").count(), 3, "{text}");
    assert!(output.status.code() == Some(1) && error.contains("3 of 3 stored results"), "{error}");
}

#[tokio::test]
async fn a_report_has_the_figures_of_the_store() {
    let place = Place::new().await;
    let id = place.store_story().await.to_string();
    let (code, told) = place.json(&["report", &id, "--json"]).await;
    assert_eq!((code, &told["path"]), (Some(0), &json!("report-_b_cross__b_.html")));
    let html = std::fs::read_to_string(place.dir.path().join("report-_b_cross__b_.html")).unwrap();
    assert!(html.contains("&lt;b&gt;cross") && !html.contains("<b>cross"));
    let detail = place.store.strategy(&id).await.unwrap();
    assert_eq!(detail.stats.len(), 3);
    for stat in &detail.stats {
        let p = &stat.performance;
        for figure in [
            format!("<td>{}</td>", p.total_trades),
            format!("<td>{:.2} %</td>", 100.0 * p.total_return.unwrap()),
            format!("<td>{:.2}</td>", p.sharpe_ratio.unwrap()),
            format!("<td>{:.2} %</td>", 100.0 * p.max_drawdown.unwrap()),
        ] {
            assert!(html.contains(&figure), "{}: {figure}", stat.source.name());
        }
        assert!(html.contains(stat.data_version.as_deref().unwrap()));
    }
    let trades: u32 = detail.stats.iter().map(|s| s.performance.total_trades).sum();
    assert_eq!(html.matches("<tr class=").count(), trades as usize);
    assert!(!html.contains("computed anew"));

    // Without candles the paper run's curve is the stored one, and the rest says what is missing.
    std::fs::remove_dir_all(place.dir.path().join("candles")).unwrap();
    let (_, report) = place.json(&["report", &id, "--format", "json", "--out", "-"]).await;
    let periods = report["periods"].as_array().unwrap();
    let note = |i: usize| periods[i]["note"].as_str().unwrap();
    assert!(note(0).starts_with("no curve") && note(2).starts_with("curve and trades are those stored"), "{report:#}");
    assert_eq!(periods[2]["daily_equity"].as_array().unwrap().len(), 11);
    let closed = detail.paper_runs[0].closed_trades as usize;
    assert_eq!(periods[2]["trades"].as_array().unwrap().len(), closed);
}

#[tokio::test]
async fn failed_backtests_are_tried_again() {
    let place = Place::new().await;
    let recipe = Recipe { config: place.story().config(), warmup_from_ms: START_MS, data_to_ms: None };
    let mut context = serde_json::to_value(&recipe).unwrap();
    context["from_ms"] = day(10).into();
    context["to_ms"] = day(30).into();
    // The subject of a failed backtest is the genome's hash.
    let letter = |strategy: &str| {
        let genome = StrategyFile::parse(strategy).unwrap().strategy;
        NewDeadLetter {
            kind: DeadLetterKind::Backtest,
            subject: genome.hash().to_string(),
            error: "evaluation panicked".to_owned(),
            genome: Some(genome.into()),
            context: context.clone(),
        }
    };
    let good = place.store.add_dead_letter(&letter(CROSS)).await.unwrap().to_string();
    // Candles of 15 minutes cannot be made into those of 5.
    let bad = letter(&CROSS.replace("15m", "5m"));
    let subject = bad.subject.clone();
    let bad = place.store.add_dead_letter(&bad).await.unwrap().to_string();
    assert_eq!(place.json(&["dead-letters", "list", "--json"]).await.1.as_array().unwrap().len(), 2);

    let (code, told) = place.json(&["dead-letters", "retry", &good, "--json"]).await;
    let expected = place.story().outcome(day(10), day(30)).await.performance;
    assert_eq!((code, &told["resolved"]), (Some(0), &json!(true)));
    assert_eq!(told["performance"], serde_json::to_value(&expected).unwrap());

    let output = place.run(&["dead-letters", "retry", &bad]).await;
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(1) && error.contains("5m"), "{error}");
    let (_, open) = place.json(&["dead-letters", "list", "--json"]).await;
    let open = open.as_array().unwrap();
    assert_eq!(open.len(), 1, "{open:?}");
    let fields = ["subject", "status", "occurrences", "retries"].map(|field| open[0][field].clone());
    assert_eq!(fields, [json!(subject), json!("open"), json!(2), json!(1)]);
    assert!(open[0]["error"].as_str().unwrap().contains("5m"), "{open:?}");
    assert!(place.store.verify_audit_chain().await.unwrap().first_bad.is_none());
}

/// Standard output and error of a run, with its exit code.
fn told(output: &Output) -> (Option<i32>, String) {
    let text =
        [&output.stdout[..], &output.stderr[..]].map(|bytes| String::from_utf8_lossy(bytes).into_owned()).concat();
    (output.status.code(), text)
}

#[tokio::test]
async fn an_operator_verifies_the_trail_and_learns_which_entry_is_bad() {
    let place = Place::new().await;
    place.store_story().await;
    let (code, report) = place.json(&["audit", "verify", "--json"]).await;
    assert_eq!((code, &report["first_bad"], &report["anchors"]), (Some(0), &Value::Null, &json!(0)));
    let entries = report["entries"].as_u64().unwrap();
    let head = String::from_utf8(place.run(&["audit", "anchor"]).await.stdout).unwrap();
    let (code, text) = told(&place.run(&["audit", "verify", "--head", head.trim()]).await);
    assert_eq!((code, text.contains("2 anchors fit")), (Some(0), true), "{text}");
    // The tail is cut off, and the head moved back to where it ends now.
    let sql = format!(
        "set session_replication_role = replica; delete from audit_logs where id = {entries};
         update audit_head set (last_id, last_hash) = (select id, hash from audit_logs order by id desc limit 1)"
    );
    place.database.client().await.batch_execute(&sql).await.unwrap();
    let (code, text) = told(&place.run(&["audit", "verify"]).await);
    let bad = format!("entry {entries} is missing: the trail is cut off");
    assert_eq!((code, text.contains(&bad)), (Some(1), true), "{text}");
    let (code, text) = told(&place.run(&["audit", "verify", "--anchors", "none.jsonl"]).await);
    assert_eq!(code, Some(0), "without the notes nothing is seen: {text}");
    let sql = "set session_replication_role = replica; update audit_logs set actor = 'me' where id = 2";
    place.database.client().await.batch_execute(sql).await.unwrap();
    let (code, text) = told(&place.run(&["audit", "verify"]).await);
    assert_eq!((code, text.contains("entry 2 was changed")), (Some(1), true), "{text}");
    let (code, _) = told(&place.run(&["audit", "verify", "--head", "7"]).await);
    assert_eq!(code, Some(2), "no head at all");
}

#[tokio::test]
async fn genomes_are_sealed_by_command_and_everything_goes_on() {
    let place = Place::new().await;
    let id = place.store_story().await.to_string();
    let sealed = async |args: &[&str]| {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_sg-ai"));
        command.args(args).current_dir(place.dir.path()).env_clear().env("SG_DATA_DIR", place.dir.path());
        command.env("DATABASE_URL", place.database.url.expose_secret()).env("SG_GENOME_KEY", "ab".repeat(32));
        told(&command.output().await.unwrap())
    };
    let (code, text) = sealed(&["keys", "rotate"]).await;
    assert_eq!((code, text.contains("1 strategies, 0 dead letters")), (Some(0), true), "{text}");
    let (code, text) = sealed(&["keys", "list"]).await;
    assert_eq!((code, text.contains("(as configured)")), (Some(0), true), "{text}");
    let (code, text) = sealed(&["strategies", "show", &id]).await;
    assert_eq!((code, text.contains("ema(5) crosses above ema(30)")), (Some(0), true), "{text}");
    let (code, text) = sealed(&["reproduce", &id]).await;
    assert_eq!(code, Some(0), "{text}");
    let (code, text) = told(&place.run(&["strategies", "show", &id]).await);
    assert_eq!((code, text.contains("store.genome_key")), (Some(1), true), "without the key: {text}");
}

#[tokio::test]
async fn an_export_with_pseudonyms_tells_figures_and_nothing_else() {
    let place = Place::new().await;
    let id = place.store_story().await.to_string();
    let (code, counts) = place.json(&["export", "out", "--pseudonymise", "--json"]).await;
    assert_eq!((code, &counts["strategies"], &counts["backtest_results"]), (Some(0), &json!(1), &json!(2)), "{counts}");
    let read =
        |table: &str| std::fs::read_to_string(place.dir.path().join("out").join(format!("{table}.jsonl"))).unwrap();
    let rows =
        |table: &str| -> Vec<Value> { read(table).lines().map(|line| serde_json::from_str(line).unwrap()).collect() };
    let strategy = rows("strategies").remove(0);
    for row in rows("strategy_stats").iter().chain(&rows("backtest_trades")).take(3) {
        let whose = row.get("strategy_id").unwrap_or(&strategy["id"]);
        assert_eq!(whose, &strategy["id"], "they join");
    }
    assert_eq!(rows("backtest_trades").len() as u64, counts["backtest_trades"].as_u64().unwrap());
    let detail = place.store.strategy(&id).await.unwrap();
    let everything: String = counts.as_object().unwrap().keys().map(|table| read(table)).collect();
    for told in [id.as_str(), &detail.strategy.genome_hash, "crosses", "<b>cross</b>", "every requirement"] {
        assert!(!everything.contains(told), "{told}");
    }
    let stat = &rows("strategy_stats")[0];
    assert_eq!(stat["performance"]["total_trades"], detail.stats[0].performance.total_trades);
    let (code, _) = place.json(&["export", "plain", "--tables", "strategies", "--json"]).await;
    assert_eq!(code, Some(0));
    assert!(std::fs::read_to_string(place.dir.path().join("plain/strategies.jsonl")).unwrap().contains(&id));
    let (code, text) = told(&place.run(&["export", "x", "--tables", "outbox"]).await);
    assert_eq!((code, text.contains("is not exported")), (Some(1), true), "{text}");
}

#[tokio::test]
async fn the_archive_is_listed_and_nothing_young_goes_there() {
    let place = Place::new().await;
    place.store_story().await;
    let (code, moved) = place.json(&["archive", "run", "--json"]).await;
    assert_eq!((code, moved), (Some(0), json!([])));
    let sql = "set session_replication_role = replica;
        update backtest_results set created_at = created_at - interval '3 years'";
    place.database.client().await.batch_execute(sql).await.unwrap();
    let (code, moved) = place.json(&["archive", "run", "--json"]).await;
    assert_eq!((code, moved.as_array().map(Vec::len), &moved[0]["rows"]), (Some(0), Some(1), &json!(2)));
    let (code, text) = told(&place.run(&["archive", "verify"]).await);
    assert_eq!((code, text.contains("1 archives are as they were written")), (Some(0), true), "{text}");
    let (code, text) = told(&place.run(&["archive", "restore", moved[0]["id"].as_str().unwrap()]).await);
    assert_eq!((code, text.contains("2 rows of backtest_results are back")), (Some(0), true), "{text}");
    let (_, listed) = place.json(&["archive", "list", "--json"]).await;
    assert_eq!(listed[0]["dropped_at"], Value::Null);
}

#[tokio::test]
async fn the_archive_lies_in_a_bucket_by_configuration_alone_and_comes_back() {
    let place = Place::new().await;
    place.store_story().await;
    let (endpoint, objects) = support::s3::start().await;
    let client = place.database.client().await;
    let sql = "set session_replication_role = replica;
        update backtest_results set created_at = created_at - interval '3 years'";
    client.batch_execute(sql).await.unwrap();
    let rows = async || -> Vec<String> {
        let sql = "select b::text from backtest_results b order by 1";
        client.query(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
    };
    let before = rows().await;
    let archive = async |args: &[&str]| {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_sg-ai"));
        command.arg("archive").args(args).current_dir(place.dir.path()).env_clear();
        command.env("SG_DATA_DIR", place.dir.path()).env("DATABASE_URL", place.database.url.expose_secret());
        command.env("SG__STORE__ARCHIVE_URL", "s3://bucket/our/archive").env("SG__MARKET__S3_ENDPOINT", &endpoint);
        command.env("SG__MARKET__S3_ACCESS_KEY_ID", "key").env("SG__MARKET__S3_SECRET_ACCESS_KEY", "secret");
        command.output().await.unwrap()
    };
    let moved = archive(&["run", "--json"]).await;
    let moved: Value = serde_json::from_slice(&moved.stdout).unwrap_or_else(|_| panic!("{:?}", told(&moved)));
    let (id, file) = (moved[0]["id"].as_str().unwrap(), moved[0]["path"].as_str().unwrap());
    let key = format!("our/archive/{file}");
    assert_eq!(
        (rows().await.len(), objects.lock().unwrap().keys().cloned().collect::<Vec<_>>()),
        (0, vec![key.clone()])
    );
    assert!(!place.dir.path().join("archive").exists(), "nothing beside the bucket");
    let (code, text) = told(&archive(&["verify"]).await);
    assert_eq!((code, text.contains("1 archives are as they were written")), (Some(0), true), "{text}");
    let sound = objects.lock().unwrap().insert(key.clone(), "PAR1 gone".into()).unwrap();
    let (code, text) = told(&archive(&["restore", id]).await);
    assert_eq!((code, text.contains("has another SHA-256")), (Some(1), true), "{text}");
    objects.lock().unwrap().insert(key, sound);
    let (code, text) = told(&archive(&["restore", id]).await);
    assert_eq!((code, text.contains("2 rows of backtest_results are back")), (Some(0), true), "{text}");
    assert_eq!(rows().await, before);
}
