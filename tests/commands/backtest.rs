//! `sg-ai backtest`.

use crate::support::{Sandbox, market};

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
