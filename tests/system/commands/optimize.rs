//! `sg-ai optimize`: what it prints, what it refuses, that it goes on from a checkpoint as if it had never stopped; and the
//! same of `sg-ai backtest --batch`.

use super::support::{Sandbox, market};
use serde_json::Value;
use std::fs;

const CROSS: &str = r#"{"name": "cross", "timeframe": "15m",
    "long": {"entry": "ema(5) crosses above ema(30)", "exit": "ema(5) crosses below ema(30)"},
    "risk": {"stop_loss": "2%"}}"#;

const FAST: &str = "entry.long.1.ema.period+exit.long.1.ema.period=3..12:1";
const SLOW: &str = "entry.long.1.right.ema.period+exit.long.1.right.ema.period=10..55:5";

const ARGS: [&str; 15] = [
    "optimize",
    "--strategy",
    "cross.json",
    "--symbols",
    "BTCUSDT,ETHUSDT",
    "--from",
    "2024-01-10",
    "--to",
    "2024-02-09",
    "--param",
    FAST,
    "--param",
    SLOW,
    "--min-in-sample-trades",
    "3",
];

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::with_candles(&market(1, None), 40);
    sandbox.write("cross.json", CROSS);
    sandbox
}

fn with<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&ARGS[..], more].concat()
}

#[test]
fn the_numbers_of_a_strategy_are_listed_without_candles() {
    let sandbox = Sandbox::with_candles(&market(1, None), 1);
    sandbox.write("cross.json", CROSS);
    let told = sandbox.json(&["optimize", "--strategy", "cross.json", "--list-params", "--json"]);
    let names: Vec<&str> = told["parameters"].as_array().unwrap().iter().map(|p| p["name"].as_str().unwrap()).collect();
    assert_eq!(names.iter().filter(|name| name.contains("ema.period")).count(), 4, "{names:?}");
    let text = sandbox.stdout(&["optimize", "--strategy", "cross.json", "--list-params"]);
    assert!(text.contains("risk.stop_loss") && text.contains("above 0"), "{text}");
}

#[test]
fn a_grid_is_evaluated_whole_and_says_how_much_of_the_best_is_luck() {
    let sandbox = sandbox();
    let told = sandbox.json(&with(&["--method", "grid", "--json", "--trials", "900", "--html", "report.html"]));
    let a = &told["analysis"];
    assert_eq!((told["budget"].as_u64(), a["days"].as_u64()), (Some(100), Some(30)));
    assert_eq!(
        (a["trials"].as_u64(), a["failures"].as_u64()),
        (Some(99), Some(1)),
        "ema(10) is not compared with itself"
    );
    assert_eq!(a["deflation"]["trials"].as_u64(), Some(999), "with those before");
    assert_eq!(a["overfitting"]["splits"].as_u64(), Some(252));
    assert_eq!(a["walk_forward"].as_array().unwrap().len(), 9);
    let best = &told["top"][0];
    assert_eq!(best["point"], a["best"]["point"]);
    assert_eq!(best["parameters"].as_array().unwrap().len(), 4, "linked numbers move together");
    assert_eq!(best["parameters"][0][1], best["parameters"][1][1]);
    assert_eq!((told["id"].clone(), told["added"].clone()), (Value::Null, Value::Null), "nothing to store it in");
    assert_eq!(told["told"].as_array().unwrap().len(), 7);
    assert!(told["told"].as_array().unwrap().iter().all(|t| t["sentence"].as_str().unwrap().ends_with('.')));
    assert_eq!(told["heat_maps"].as_array().unwrap().len(), 1);

    // A point is what a backtest of that strategy gives alone.
    let (fast, slow) = (best["parameters"][0][1].as_f64().unwrap(), best["parameters"][2][1].as_f64().unwrap());
    let text = CROSS.replace("ema(5)", &format!("ema({fast})")).replace("ema(30)", &format!("ema({slow})"));
    sandbox.write("best.json", &text);
    let window = ["--symbols", "BTCUSDT,ETHUSDT", "--from", "2024-01-10", "--to", "2024-02-09", "--json"];
    let alone = sandbox.json(&[&["backtest", "--strategy", "best.json"][..], &window].concat());
    for name in ["sharpe_ratio", "total_return", "max_drawdown", "total_trades"] {
        assert_eq!(best["figures"][name], alone["performance"][name], "{name}");
    }

    let html = sandbox.read("report.html");
    for part in
        ["Walk-forward matrix", "Importance", "Pairs of parameters", "parallel coordinates", "What may be believed"]
    {
        assert!(html.contains(part), "{part}");
    }
    assert!(!html.contains("http://") && !html.contains("https://"), "it opens offline");
    let lines = sandbox.stdout(&with(&["--method", "grid"]));
    assert!(lines.contains("not stored: nobody counts these trials") && lines.contains("as it is"), "{lines}");
}

#[test]
fn threads_and_checkpoints_change_no_bit() {
    let sandbox = sandbox();
    for (method, objective) in [("random", "sharpe"), ("genetic", "sharpe,drawdown")] {
        let own = [
            "--method",
            method,
            "--objective",
            objective,
            "--points",
            "60",
            "--population",
            "20",
            "--seed",
            "7",
            "--json",
        ];
        let whole = sandbox.json(&with(&[&own[..], &["--threads", "1"]].concat()));
        let file = format!("{method}.checkpoint");
        let kept = ["--checkpoint", &file, "--checkpoint-every", "20", "--keep-last", "3", "--threads", "2"];
        let args = with(&[&own[..], &kept].concat());
        assert_eq!(sandbox.json(&args), whole, "{method}");
        // As if it had been killed after 20 points.
        let path = |n: &str| sandbox.dir.path().join(format!("{file}{n}"));
        fs::remove_file(path(".1")).unwrap();
        fs::rename(path(".2"), path("")).unwrap();
        let output = sandbox.run(&args);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(stderr.contains("going on after 20 of 60 points"), "{stderr}");
        assert_eq!(serde_json::from_slice::<Value>(&output.stdout).unwrap(), whole, "{method}");
        // A damaged one is passed over for the one before it; with what is done nothing is computed.
        fs::write(path(".1"), fs::read(path("")).unwrap()).unwrap();
        fs::write(path(""), &fs::read(path("")).unwrap()[..5_000]).unwrap();
        let output = sandbox.run(&args);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(stderr.contains("damaged") && stderr.contains("0 points in"), "{stderr}");
        assert_eq!(serde_json::from_slice::<Value>(&output.stdout).unwrap(), whole, "{method}");
    }
}

#[test]
fn a_checkpoint_of_something_else_is_refused_and_says_of_what() {
    let sandbox = sandbox();
    let own = ["--points", "20", "--checkpoint", "run.checkpoint", "--json"];
    sandbox.json(&with(&own));
    let refused = |more: &[&str], says: &str| {
        let output = sandbox.run(&with(&[&own[..], more].concat()));
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(stderr.contains("run.checkpoint") && stderr.contains(says), "{says}: {stderr}");
    };
    refused(&["--seed", "2"], "another seed");
    refused(&["--fee", "0.002"], "another set of costs");
    refused(&["--objective", "calmar"], "another objectives");
    refused(&["--warm-up-days", "3"], "another dates");
    sandbox.write("cross.json", &CROSS.replace("2%", "3%"));
    refused(&[], "another strategy");
}

#[test]
fn what_cannot_be_is_refused_with_what_would_be_right() {
    let sandbox = sandbox();
    let refused = |args: &[&str], says: &str| {
        let output = sandbox.run(args);
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{args:?}: {stderr}");
        assert!(stderr.contains(says), "{says}: {stderr}");
    };
    let param = |param: &'static str| [&ARGS[..9], &["--param", param]].concat();
    refused(&param("risk.stop_los=1..3:1"), "did you mean risk.stop_loss?");
    refused(&param("risk.stop_loss=1..100:1"), "at most 90");
    refused(&param("risk.stop_loss=3..1:1"), "is empty");
    refused(&ARGS[..9], "no parameter to vary");
    refused(&with(&["--method", "grid", "--points", "99"]), "the grid has 100 points");
    refused(&with(&["--objective", "sharp"]), "\"sharp\" is no objective; there are sharpe");
    refused(
        &with(&["--in-sample-days", "28", "--out-of-sample-days", "7"]),
        "needs 35 days, and --from to --to has 30",
    );
    refused(&with(&["--overfitting-blocks", "7"]), "must be even");
    refused(&with(&["--confidence", "1.5"]), "above 0.5 and below 1");
    refused(&with(&["--checkpoint-every", "5"]), "--checkpoint");
    refused(&["optimize", "--strategy", "cross.json"], "--from");
    refused(&with(&["--add", "first"]), "expected the number of a point, best, or plateau");
    let prove =
        ["prove", "--strategy", "cross.json", "--symbols", "BTCUSDT", "--from", "2024-01-10", "--to", "2024-02-09"];
    refused(&[&prove[..], &["--in-sample-days", "40"]].concat(), "needs 100 days");
}

#[test]
fn prove_takes_lengths_thresholds_and_confidence() {
    let sandbox = sandbox();
    let prove =
        ["prove", "--strategy", "cross.json", "--symbols", "BTCUSDT", "--from", "2024-01-10", "--to", "2024-02-09"];
    let own = ["--in-sample-days", "10", "--out-of-sample-days", "4", "--min-in-sample-trades", "2", "--paths", "200"];
    let text = sandbox.stdout(&[&prove[..], &own, &["--efficiency-threshold", "0.7", "--confidence", "0.99"]].concat());
    assert!(text.contains("on each of 5 folds") || text.contains("In 5 folds"), "{text}");
    assert!(text.contains("98 % of the paths end between"), "{text}");
    assert!(text.contains("in one of 100 orders") && text.contains("one in 100 earns less"), "{text}");
}

#[test]
fn a_batch_goes_on_from_a_checkpoint() {
    let sandbox = sandbox();
    let lines: Vec<String> =
        (2..12).map(|n| CROSS.replace("ema(5)", &format!("ema({n})")).replace('\n', " ")).collect();
    sandbox.write("batch.jsonl", &format!("{}\nnonsense\n", lines.join("\n")));
    let window = ["--symbols", "BTCUSDT,ETHUSDT", "--from", "2024-01-10", "--to", "2024-02-09", "--per-symbol"];
    let args = [&["backtest", "--batch", "batch.jsonl"][..], &window].concat();
    let kept = ["--checkpoint", "batch.checkpoint", "--checkpoint-every", "4", "--keep-last", "3"];
    // Answers without the summary, which tells times.
    let answers = |args: &[&str]| -> (Vec<String>, Value) {
        let output = sandbox.run(args);
        let text = String::from_utf8(output.stdout).unwrap();
        let mut lines: Vec<String> = text.lines().map(ToOwned::to_owned).collect();
        let summary = serde_json::from_str(&lines.pop().unwrap()).unwrap();
        (lines, summary)
    };
    let (whole, _) = answers(&args);
    assert_eq!(whole.len(), 21);
    let with_checkpoint = [&args[..], &kept].concat();
    assert_eq!(answers(&with_checkpoint).0, whole);
    // As if it had been killed after 4 of 10.
    let path = |n: &str| sandbox.dir.path().join(format!("batch.checkpoint{n}"));
    fs::remove_file(path(".1")).unwrap();
    fs::rename(path(".2"), path("")).unwrap();
    let (again, summary) = answers(&with_checkpoint);
    assert_eq!(again, whole);
    assert_eq!(
        (summary["summary"]["from_checkpoint"].as_u64(), summary["summary"]["strategies"].as_u64()),
        (Some(4), Some(10))
    );
    sandbox.write("batch.jsonl", &lines[1..].join("\n"));
    let output = sandbox.run(&with_checkpoint);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr.contains("batch.checkpoint") && stderr.contains("another list of strategies"), "{stderr}");
    let output = sandbox.run(&[&["backtest", "--strategy", "cross.json"][..], &window[..6], &kept].concat());
    assert_eq!(output.status.code(), Some(2), "one strategy has nothing to go on from");
}
