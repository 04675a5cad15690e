//! `sg-ai search`.

use super::support::{Sandbox, market};
use serde_json::Value;
use simulated::EdgeKind;

const MOMENTUM: EdgeKind = EdgeKind::Momentum { lookback: 48, hold: 24 };

fn args<'a>(more: &[&'a str]) -> Vec<&'a str> {
    let fixed = [
        "search",
        "--symbols",
        "BTCUSDT,ETHUSDT",
        "--from",
        "2024-01-20",
        "--to",
        "2024-02-20",
        "--warm-up-days",
        "19",
    ];
    [&fixed, more].concat()
}

#[test]
fn prints_the_best_and_the_same_at_any_thread_count() {
    let sandbox = Sandbox::with_candles(&market(5, Some((MOMENTUM, 8.0))), 51);
    let small = ["--population", "40", "--generations", "3", "--seed", "7", "--json", "--threads"];
    let one = sandbox.stdout(&args(&[&small[..], &["1"]].concat()));
    let two = sandbox.stdout(&args(&[&small[..], &["2"]].concat()));
    assert_eq!(one, two);

    let report: Value = serde_json::from_str(&one).unwrap();
    let top = report["top"].as_array().unwrap();
    assert!(!top.is_empty() && top.len() <= 10, "{}", top.len());
    for row in top {
        let points: f64 = row["components"].as_array().unwrap().iter().map(|c| c["points"].as_f64().unwrap()).sum();
        assert_eq!(points, row["score"].as_f64().unwrap(), "components sum to the score");
        assert!(row["performance"]["total_trades"].as_u64().unwrap() >= 50);
        sandbox.write("again.txt", row["strategy"].as_str().unwrap());
    }
    assert!(top.is_sorted_by_key(|row| -row["fitness"].as_f64().unwrap()));
    assert_eq!(report["evaluations"].as_u64().unwrap() / 10, 12);

    let other = sandbox.stdout(&args(&["--population", "40", "--generations", "3", "--seed", "8", "--json"]));
    assert_ne!(one, other);

    // What the search saw is what a backtest of the printed text shows.
    let window = ["--symbols", "BTCUSDT,ETHUSDT", "--from", "2024-01-20", "--to", "2024-02-20", "--warm-up-days", "19"];
    let again = sandbox.json(&[&["backtest", "--strategy", "again.txt", "--json"], &window[..]].concat());
    assert_eq!(again["performance"], top[top.len() - 1]["performance"]);
}

#[test]
fn the_best_are_saved_and_reported_without_a_database() {
    let sandbox = Sandbox::with_candles(&market(5, Some((MOMENTUM, 8.0))), 51);
    let small = ["--population", "30", "--generations", "2", "--nulls", "1", "--json"];
    let told = sandbox.json(&args(&[&small[..], &["--save", "best.jsonl", "--report", "search.html"]].concat()));
    let top = told["top"].as_array().unwrap();
    let saved = sandbox.read("best.jsonl");
    assert!(!top.is_empty() && saved.lines().count() == top.len(), "{saved}");
    // They are read back as what was found.
    let window = ["--symbols", "BTCUSDT,ETHUSDT", "--from", "2024-01-20", "--to", "2024-02-20", "--warm-up-days", "19"];
    let lines = sandbox.stdout(&[&["backtest", "--batch", "best.jsonl"], &window[..]].concat());
    let again: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(again.len(), top.len() + 1, "a summary at the end");
    for (row, again) in top.iter().zip(&again) {
        assert_eq!(again["performance"], row["performance"]);
    }
    let page = sandbox.read("search.html");
    for part in ["BTCUSDT, ETHUSDT", "The same search on null markets", "null: signs flipped", "#1"] {
        assert!(page.contains(part), "{part}");
    }
    let strategy = top[0]["strategy"].as_str().unwrap().replace('<', "&lt;").replace('>', "&gt;");
    assert!(page.contains(strategy.trim_end()), "{strategy}");
}

#[test]
fn wrong_settings_are_named() {
    let sandbox = Sandbox::with_candles(&market(5, None), 51);
    let output = sandbox.run(&args(&["--population", "1"]));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(2) && text.contains("search.population_size must be 2 to"), "{text}");
}
