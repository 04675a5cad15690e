//! `sg-ai models`, and strategies that ask models.

use super::support::{DAY_MS, START_MS, Sandbox, market, symbols};
use candles::{Interval, time::rfc3339};
use simulated::SimulatedMarket;

const LEAN: &str = "timeframe = \"1h\"\nsymbols = [\"*USDT\"]\ntarget = \"direction\"\nhorizon_candles = 4\nvolatility_candles = 24\n\
                    features = [\"roc(4)\", \"rsi(14)\", \"natr(14)@4h\"]\ntrain_days = 40\nrefit_days = 5\n[fit]\nkind = \"logistic\"\n";
const RULE: &str = "1h; long when model(lean) > 0.5 and ensemble_confidence >= 0 exit when ensemble_direction < 0";
const WINDOW: [&str; 4] = ["--symbols", "BTCUSDT,ETHUSDT", "--interval", "15m"];

fn with_models(market: &SimulatedMarket, days: i64, files: &[(&str, &str)]) -> Sandbox {
    let sandbox = Sandbox::with_candles(market, days);
    std::fs::create_dir(sandbox.dir.path().join("models")).unwrap();
    for (name, text) in files {
        sandbox.write(&format!("models/{name}.toml"), text);
    }
    sandbox
}

fn predictions_file(sandbox: &Sandbox) -> std::path::PathBuf {
    let mut files = std::fs::read_dir(sandbox.dir.path().join("predictions")).unwrap();
    let file = files.next().unwrap().unwrap().path();
    assert!(files.next().is_none(), "one file a model");
    file
}

#[test]
fn predictions_are_kept_gone_on_with_and_the_same_as_made_at_once() {
    let market = market(1, None);
    let (short, long) = (with_models(&market, 80, &[("lean", LEAN)]), with_models(&market, 100, &[("lean", LEAN)]));
    let first = short.json(&["models", "fit", "lean", "--json"]);
    assert!(first["predictions"].as_u64().unwrap() > 2 * 24 * 60, "{first}");
    let before = std::fs::read(predictions_file(&short)).unwrap();
    assert_eq!(short.json(&["models", "fit", "lean", "--json"]), first);
    assert_eq!(std::fs::read(predictions_file(&short)).unwrap(), before, "nothing new, nothing written");
    for symbol in symbols() {
        let (from_ms, to_ms) = (START_MS + 80 * DAY_MS, START_MS + 100 * DAY_MS);
        short.merge(&symbol, &market.candles(&symbol, Interval::M15, from_ms, to_ms).unwrap());
    }
    let (gone_on, at_once) =
        (short.json(&["models", "fit", "lean", "--json"]), long.json(&["models", "fit", "lean", "--json"]));
    assert_eq!(gone_on, at_once);
    assert_ne!(gone_on, first);
    let file = std::fs::read(predictions_file(&long)).unwrap();
    assert_eq!(std::fs::read(predictions_file(&short)).unwrap(), file, "to the bit");
    // Damage is found, and made good.
    let mut damaged = file.clone();
    *damaged.last_mut().unwrap() ^= 1;
    std::fs::write(predictions_file(&long), damaged).unwrap();
    assert_eq!(long.json(&["models", "fit", "lean", "--json"]), at_once);
    assert_eq!(std::fs::read(predictions_file(&long)).unwrap(), file);
    // What was known earlier is a part of it.
    let earlier = long.json(&["models", "evaluate", "lean", "--to", "2024-03-01", "--json"]);
    let then = Sandbox::with_candles(&market, 60);
    std::fs::create_dir(then.dir.path().join("models")).unwrap();
    then.write("models/lean.toml", LEAN);
    let known = then.json(&["models", "evaluate", "lean", "--json"]);
    let count = |v: &serde_json::Value| v["all"]["predictions"].as_u64().unwrap();
    assert_eq!((count(&earlier), &earlier), (count(&known), &known));
    assert!(long.stdout(&["models", "evaluate", "lean"]).contains("gain: log loss"));
    assert!(long.stdout(&["models", "explain", "lean"]).contains("natr(14)@4h"));
}

#[test]
fn strategies_ask_models_and_later_candles_change_no_earlier_trade() {
    let sandbox = with_models(&market(2, None), 100, &[("lean", LEAN)]);
    sandbox.write("rule.txt", RULE);
    let trades = |to: &str| {
        let dates = ["--from", "2024-02-20", "--to", to, "--trades", "-"];
        let csv = sandbox.stdout(&[&["backtest", "--strategy", "rule.txt"], &WINDOW[..], &dates].concat());
        csv.lines().skip(1).map(str::to_owned).collect::<Vec<String>>()
    };
    let (short, long) = (trades("2024-03-15"), trades("2024-04-05"));
    assert!(short.len() > 10, "{}", short.len());
    let at_end = |row: &&String| row.contains("end_of_window") || row.contains("end_of_data") || row.contains(",end");
    let closed: Vec<&String> = short.iter().filter(|row| !at_end(row)).collect();
    assert!(closed.len() + 2 >= short.len() && closed.iter().all(|row| long.contains(row)), "{short:?}\n{long:?}");

    let ranking = "4h; universe top 2 by quote_volume(3d); score (model(lean4) - 0.5) * ensemble_confidence; rebalance 1d; \
                   weights linear; gross 1";
    sandbox.write("ranking.txt", ranking);
    sandbox.write("models/lean4.toml", &LEAN.replace("1h", "4h").replace("@4h", "@1d"));
    let args = [
        "backtest",
        "--strategy",
        "ranking.txt",
        "--interval",
        "4h",
        "--from",
        "2024-02-20",
        "--to",
        "2024-04-01",
        "--json",
    ];
    let report = sandbox.json(&args);
    assert!(report["rebalances"].as_u64().unwrap() > 35 && report["performance"]["fees"].as_f64().unwrap() > 0.0);
    let plain = ranking.replace("(model(lean4) - 0.5) * ensemble_confidence", "close / delay(close, 6)");
    sandbox.write("ranking.txt", &plain);
    assert_ne!(sandbox.json(&args)["window"]["data_version"], report["window"]["data_version"]);
}

#[test]
fn what_is_wrong_is_told_before_anything_is_computed() {
    let broken = LEAN.replace("horizon_candles = 4", "horizon_candles = 0");
    let btc = LEAN.replace("*USDT", "BTCUSDT").replace("\"direction\"", "\"rank\"");
    let trees = LEAN.replace("logistic", "trees");
    let sandbox = with_models(&market(3, None), 30, &[("btc", &btc), ("broken", &broken), ("grown", &trees)]);
    let listed = sandbox.json(&["models", "list", "--json"]);
    let problems: Vec<&str> = listed.as_array().unwrap().iter().map(|m| m["problem"].as_str().unwrap_or("")).collect();
    assert!(problems[0].contains("horizon_candles: 0 is not 1 to 1000") && problems[1].is_empty(), "{problems:?}");
    assert!(sandbox.stdout(&["models", "list"]).contains("btc"));
    let says = |args: &[&str], wanted: &str| {
        let output = sandbox.run(args);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(wanted), "{args:?}: {said}");
    };
    says(&["models", "fit", "none"], "there is no model none");
    says(&["models", "fit", "broken"], "horizon_candles");
    if !cfg!(feature = "models") {
        says(&["models", "fit", "grown"], "cargo build --release --features models");
        assert!(problems[2].contains("built without"), "{problems:?}");
    }
    for (rule, wanted) in [
        ("1h; long when model(none) > 0.5", "there is no model none"),
        ("4h; long when model(btc) > 0.5", "write model(btc)@1h"),
        ("1h; long when model(btc) > 0.5", "says nothing of ETHUSDT"),
        ("4h; long when ensemble_direction > 0", "horizon_candles"),
    ] {
        sandbox.write("rule.txt", rule);
        let dates = ["--from", "2024-01-10", "--to", "2024-01-20"];
        says(&[&["backtest", "--strategy", "rule.txt"], &WINDOW[..], &dates].concat(), wanted);
    }
    std::fs::remove_file(sandbox.dir.path().join("models/broken.toml")).unwrap();
    sandbox.write("rule.txt", "4h; long when ensemble_direction > 0");
    let dates = ["--from", "2024-01-10", "--to", "2024-01-20"];
    says(&[&["backtest", "--strategy", "rule.txt"], &WINDOW[..], &dates].concat(), "the ensemble has no member");
}

#[test]
fn members_of_a_universe_alone_have_targets_and_examples_are_written() {
    let of_universe = LEAN.replace("symbols = [\"*USDT\"]", "universe = \"top 2 by quote_volume(3d), listed 20d\"");
    let sandbox = with_models(&market(4, None), 50, &[("lean", LEAN), ("members", &of_universe)]);
    let rows = |name: &str| {
        let out = format!("{name}.csv");
        let told = sandbox.json(&["models", "examples", name, "--out", &out, "--json"]);
        let text = std::fs::read_to_string(sandbox.dir.path().join(&out)).unwrap();
        let rows: Vec<Vec<String>> =
            text.lines().map(|line| line.split(',').map(ToOwned::to_owned).collect()).collect();
        assert_eq!(rows[0], ["symbol", "close", "roc(4)", "rsi(14)", "natr(14)@4h", "above"]);
        assert_eq!(told["rows"], rows.len() - 1);
        assert_eq!(told["with_target"], rows[1..].iter().filter(|row| !row[5].is_empty()).count());
        rows
    };
    let (all, members) = (rows("lean"), rows("members"));
    assert_eq!(all.len(), members.len(), "all are predicted, members or not");
    let listed = rfc3339(START_MS + 20 * DAY_MS).unwrap();
    let (mut young, mut old) = (0, 0);
    for (one, other) in all.iter().zip(&members).skip(1) {
        assert_eq!(one[..5], other[..5]);
        if other[1] < listed {
            assert_eq!(other[5], "", "{other:?}");
            young += usize::from(!one[5].is_empty());
        } else {
            assert_eq!(one[5], other[5], "{other:?}");
            old += usize::from(!one[5].is_empty());
        }
    }
    assert!(young > 700 && old > 1200, "{young} {old}");
    let listed = sandbox.json(&["models", "list", "--json"]);
    assert_eq!(listed[1]["universe"], "top 2 by quote_volume(3d), listed 20d");
    let fitted = sandbox.json(&["models", "fit", "members", "--json"]);
    let of =
        |fitted: &serde_json::Value| fitted["fits"].as_array().unwrap().last().unwrap()["examples"].as_u64().unwrap();
    assert!(of(&fitted) < of(&sandbox.json(&["models", "fit", "lean", "--json"])), "{fitted}");
}
