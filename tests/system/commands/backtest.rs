//! `sg-ai backtest`.

use super::support::{Sandbox, market};

const CROSS: &str = r#"{"name": "cross", "timeframe": "15m",
    "long": {"entry": "ema(5) crosses above ema(30)", "exit": "ema(5) crosses below ema(30)"},
    "risk": {"stop_loss": "2%"}}"#;

const WINDOW: [&str; 6] = ["--symbols", "BTCUSDT,ETH/USDT", "--from", "2024-01-10", "--to", "2024-01-30"];

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::with_candles(&market(1, None), 30);
    sandbox.write("cross.json", CROSS);
    sandbox
}

fn args<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&["backtest", "--strategy", "cross.json"], &WINDOW[..], more].concat()
}

#[test]
fn prints_performance_and_writes_every_trade() {
    let sandbox = sandbox();
    let report = sandbox.json(&args(&["--json", "--trades", "trades.csv"]));
    assert_eq!(report["name"], "cross");
    assert_eq!(report["window"]["symbols"], serde_json::json!(["BTCUSDT", "ETHUSDT"]));
    assert_eq!(report["hash"].as_str().unwrap().len(), 64);
    let trades = report["performance"]["total_trades"].as_u64().unwrap();
    assert!(trades > 10, "{report}");
    let per_symbol: u64 =
        report["symbols"].as_array().unwrap().iter().map(|s| s["performance"]["total_trades"].as_u64().unwrap()).sum();
    assert_eq!(per_symbol, trades);

    let csv = sandbox.read("trades.csv");
    let mut rows = csv::Reader::from_reader(csv.as_bytes());
    let profit = rows.headers().unwrap().iter().position(|h| h == "profit").unwrap();
    let profits: Vec<f64> = rows.records().map(|r| r.unwrap()[profit].parse().unwrap()).collect();
    assert_eq!(profits.len() as u64, trades);
    let total = report["performance"]["total_return"].as_f64().unwrap();
    assert!((profits.iter().sum::<f64>() / 10_000.0 - total).abs() < 1e-9, "profits add up to the return");

    // What was printed is read back as the same strategy.
    sandbox.write("again.txt", report["strategy"].as_str().unwrap());
    let again = sandbox.json(&[&["backtest", "--strategy", "again.txt", "--json"], &WINDOW[..]].concat());
    assert_eq!((&again["hash"], &again["performance"]), (&report["hash"], &report["performance"]));
}

#[test]
fn a_report_needs_no_database() {
    let sandbox = sandbox();
    let told = sandbox.json(&args(&["--json", "--report", "report.html"]));
    let trades = told["performance"]["total_trades"].as_u64().unwrap() as usize;
    let page = sandbox.read("report.html");
    let rows = |page: &str| page.matches("<tr class=g>").count() + page.matches("<tr class=l>").count();
    assert_eq!(rows(&page), trades);
    for part in ["cross", "line benchmark", "Results by period", "ema(5) crosses above ema(30)", "Data version"] {
        assert!(page.contains(part), "{part}");
    }
    assert!(!page.contains("sg-ai reproduce"), "nothing is stored that could be reproduced by id");
    sandbox.json(&args(&["--json", "--report", "short.html", "--trade-rows", "5"]));
    assert_eq!(rows(&sandbox.read("short.html")), 5);
}

#[test]
fn costs_come_from_options_before_configuration() {
    let sandbox = sandbox();
    let total = |more: &[&str]| {
        let report = sandbox.json(&args(&[&["--json"], more].concat()));
        report["performance"]["total_return"].as_f64().unwrap()
    };
    let free = total(&["--fee", "0", "--slippage-bps", "0"]);
    assert!(free > total(&[]) && total(&[]) > total(&["--slippage-bps", "5"]));
}

#[test]
fn terms_of_its_own_are_told_beside_the_figures() {
    let sandbox = sandbox();
    let usual = sandbox.json(&args(&["--json"]));
    assert_eq!((&usual["fill_on"], &usual["max_slippage_bps"]), (&"next_open".into(), &serde_json::Value::Null));
    let at_close = sandbox.json(&args(&["--json", "--fill-on", "close"]));
    assert_eq!(at_close["fill_on"], "close");
    assert_ne!(at_close["performance"], usual["performance"]);
    // The cap cuts what is charged: 30 basis points at 5 are 5.
    let capped = sandbox.json(&args(&["--json", "--slippage-bps", "30", "--max-slippage-bps", "5"]));
    let charged = sandbox.json(&args(&["--json", "--slippage-bps", "5"]));
    assert_eq!((&capped["performance"], &capped["max_slippage_bps"]), (&charged["performance"], &5.0.into()));
    let lines = sandbox.run(&args(&["--fill-on", "close", "--max-slippage-bps", "5"]));
    let lines = String::from_utf8(lines.stdout).unwrap();
    assert!(
        lines.contains("not to be compared with other results") && lines.contains("cut at 5 basis points"),
        "{lines}"
    );
    for (wrong, says) in [
        (["--fill-on", "open"], "next_open and close are"),
        (["--max-slippage-bps", "0"], "must be above 0"),
        (["--max-slippage-bps", "5001"], "at most 5000"),
    ] {
        let output = sandbox.run(&args(&wrong));
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(2) && said.contains(says), "{wrong:?}: {said}");
    }
    // Nothing else has them.
    let prove = ["prove", "--strategy", "cross.json", "--fill-on", "close"];
    assert_eq!(sandbox.run(&[&prove, &WINDOW[..]].concat()).status.code(), Some(2));
}

#[test]
fn people_get_lines() {
    let text = sandbox().stdout(&args(&[]));
    assert!(text.contains("ema(5) crosses above ema(30)"), "{text}");
    assert!(text.contains("profit factor") && text.contains("ETHUSDT"), "{text}");
}

#[test]
fn mistakes_say_what_to_do() {
    let sandbox = sandbox();
    sandbox.write("bad.json", r#"{"timeframe": "15m", "long": {"entry": "rsi(14) << 30"}}"#);
    let failure = |args: &[&str]| {
        let output = sandbox.run(args);
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, text) = failure(&[&["backtest", "--strategy", "bad.json"], &WINDOW[..]].concat());
    assert!(code == Some(2) && text.contains("bad.json: long.entry"), "{text}");
    let (code, text) = failure(&[&["backtest", "--strategy", "none.json"], &WINDOW[..]].concat());
    assert!(code == Some(1) && text.contains("cannot read the strategy none.json"), "{text}");
    let (code, text) = failure(&args(&["--interval", "7m"]));
    assert!(code == Some(2) && text.contains("7m"), "{text}");
    let late =
        ["backtest", "--strategy", "cross.json", "--symbols", "BTCUSDT", "--from", "2025-01-01", "--to", "2025-02-01"];
    let (code, text) = failure(&late);
    assert!(code == Some(1) && text.contains("data import"), "{text}");
}

/// Answers of a batch run, line by line, the summary last.
fn answers(text: &str) -> Vec<serde_json::Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_batch_answers_each_line_with_what_the_strategy_gives_alone() {
    let sandbox = sandbox();
    let text = "15m; long when rsi(14) < 30 exit when rsi(14) > 60; stop 3%";
    let flat = CROSS.replace('\n', " ");
    sandbox.write("batch.jsonl", &format!("{flat}\n\n# a comment\n{text}\n"));
    let batch = |more: &[&str]| {
        answers(&sandbox.stdout(&[&["backtest", "--batch", "batch.jsonl"], &WINDOW[..], more].concat()))
    };
    let lines = batch(&[]);
    assert_eq!(lines.len(), 3);
    assert_eq!((&lines[0]["name"], &lines[1]["name"]), (&"cross".into(), &"line 4".into()));
    let alone = sandbox.json(&args(&["--json"]));
    assert_eq!(lines[0]["performance"], alone["performance"]);
    let summary = &lines[2]["summary"];
    let number = |key: &str| summary[key].as_f64().unwrap();
    let candles = 20.0 * 96.0;
    assert_eq!((number("strategies"), number("symbols"), number("candles")), (2.0, 2.0, candles));
    assert_eq!(number("bar_evaluations"), 2.0 * 2.0 * candles);
    let rate = number("bar_evaluations") / number("seconds");
    assert!((number("bar_evaluations_per_second") / rate - 1.0).abs() < 1e-6 && number("peak_memory_bytes") > 1e6);

    let per_symbol = batch(&["--per-symbol", "--threads", "1"]);
    assert_eq!(per_symbol.len(), 5);
    assert_eq!((&per_symbol[1]["name"], &per_symbol[1]["symbol"]), (&"cross".into(), &"ETHUSDT".into()));
    for (line, symbol) in per_symbol.iter().zip(alone["symbols"].as_array().unwrap()) {
        assert_eq!((&line["symbol"], &line["performance"]), (&symbol["symbol"], &symbol["performance"]));
    }
    let short = batch(&["--per-symbol", "--threads", "2", "--summary-only"]);
    for (short, whole) in short.iter().zip(&per_symbol[..4]) {
        for key in ["total_return", "total_trades", "end_of_window_trades"] {
            assert_eq!(short["performance"][key], whole["performance"][key]);
        }
    }
    let dear = batch(&["--fee", "0.002", "--slippage-bps", "5"]);
    let total = |lines: &[serde_json::Value]| lines[0]["performance"]["total_return"].as_f64().unwrap();
    assert!(total(&dear) < total(&lines));
}

#[test]
fn a_batch_names_the_lines_it_cannot_use_and_does_the_others() {
    let sandbox = sandbox();
    let flat = CROSS.replace('\n', " ");
    let fine = r#"{"name": "fine", "timeframe": "1m", "long": {"entry": "close > 0"}}"#;
    sandbox
        .write("batch.jsonl", &format!("{{\"timeframe\": 15}}\n{flat}\nnonsense\n{fine}\n{}\n", "x".repeat(200_000)));
    let output = sandbox.run(&[&["backtest", "--batch", "batch.jsonl"], &WINDOW[..]].concat());
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("batch.jsonl: 4 of 5 lines failed: 1, 3, 4, 5"), "{stderr}");
    let lines = answers(&String::from_utf8(output.stdout).unwrap());
    assert_eq!(lines.len(), 6);
    let error = |k: usize| (lines[k]["line"].as_u64().unwrap(), lines[k]["error"].as_str().unwrap());
    assert!(matches!(error(0), (1, text) if text.contains("timeframe")), "{:?}", lines[0]);
    assert!(lines[1]["performance"]["total_trades"].as_u64().unwrap() > 0);
    assert_eq!(error(2).0, 3);
    assert!(matches!(error(3), (4, text) if text.contains("15m")), "{:?}", lines[3]);
    assert!(matches!(error(4), (5, text) if text.contains("bytes")), "{:?}", lines[4]);
    assert_eq!((&lines[5]["summary"]["strategies"], &lines[5]["summary"]["errors"]), (&2.into(), &4.into()));

    sandbox.write("empty.jsonl", "\n# nothing\n");
    let output = sandbox.run(&[&["backtest", "--batch", "empty.jsonl"], &WINDOW[..]].concat());
    assert_eq!(output.status.code(), Some(2));
    let output = sandbox.run(&[&["backtest"], &WINDOW[..]].concat());
    assert_eq!(output.status.code(), Some(2), "a strategy or a batch");
}
