//! `sg-ai calibrate`.

use super::support::{Sandbox, market};
use serde_json::Value;

const SMALL: &[&str] = &[
    "calibrate",
    "--market",
    "noise",
    "--population",
    "12",
    "--generations",
    "2",
    "--search-days",
    "15",
    "--holdout-days",
    "5",
    "--seed",
    "3",
    "--json",
];

#[test]
fn counts_goes_on_where_it_was_broken_off_and_does_not_depend_on_threads() {
    let sandbox = Sandbox::with_candles(&market(5, None), 1);
    let run = |more: &[&str]| sandbox.stdout(&[SMALL, more].concat());
    let whole = run(&["--markets", "3", "--threads", "2", "--resume", "whole.jsonl"]);
    let rows: Value = serde_json::from_str(&whole).unwrap();
    let row = &rows[0];
    assert_eq!((&row["kind"], &row["markets"], &row["promoted"]), (&"noise".into(), &3.into(), &0.into()), "{row}");
    assert_eq!(row["ci95"][0], 0.0);
    assert!((row["ci95"][1].as_f64().unwrap() - 0.707_6).abs() < 1e-4, "1 - 0.025^(1/3): {row}");
    assert!(row["median_days_to_live"].is_null() && row["sharpe"].is_null());

    // Broken off after the first market, in the middle of writing the second.
    let lines = sandbox.read("whole.jsonl");
    let first = lines.lines().find(|line| line.contains("\"number\":0")).unwrap();
    sandbox.write("part.jsonl", &format!("{first}\n{}", &first[..40]));
    assert_eq!(run(&["--markets", "3", "--threads", "1", "--resume", "part.jsonl"]), whole);
    // Results of other settings are not counted.
    let other = run(&["--markets", "1", "--review-hours", "12", "--resume", "whole.jsonl"]);
    assert!(serde_json::from_str::<Value>(&other).unwrap()[0]["markets"] == 1);
    assert_eq!(sandbox.read("whole.jsonl").lines().filter(|line| !line.is_empty()).count(), 4);
}

#[test]
fn wrong_options_are_named() {
    let sandbox = Sandbox::with_candles(&market(5, None), 1);
    let output = sandbox.run(&["calibrate", "--sharpe", "-1"]);
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(2) && text.contains("--sharpe"), "{text}");
}

#[test]
fn books_are_calibrated_by_days_and_by_walks() {
    let sandbox = Sandbox::with_candles(&market(5, None), 1);
    let run = |more: &[&str]| sandbox.stdout(&[&["calibrate", "--book", "--json"], more].concat());
    let lives = run(&["--lives", "12", "--sharpe", "4", "--threads", "2"]);
    assert_eq!(lives, run(&["--lives", "12", "--sharpe", "4", "--threads", "1"]));
    let rows: Value = serde_json::from_str(&lives).unwrap();
    let of = |world: &str| rows.as_array().unwrap().iter().find(|row| row["world"] == world).unwrap().clone();
    assert!(of("noise")["live"].as_u64().unwrap() <= 1 && of("Sharpe 4")["live"].as_u64().unwrap() >= 11, "{rows}");
    assert!(of("Sharpe 4, dies after a year of life")["left"].as_f64().unwrap() > 0.5, "{rows}");

    let size = ["--population", "12", "--generations", "1", "--search-days", "200", "--coins", "12"];
    let walk = ["--market", "changing", "--markets", "1", "--history-years", "1", "--edges", "3"];
    let rows: Value = serde_json::from_str(&run(&[&size[..], &walk].concat())).unwrap();
    assert_eq!((&rows[0]["world"], &rows[0]["books"]), (&"changing".into(), &1.into()), "{rows}");
    assert!(rows[0]["hedged_sharpe"].is_number() && rows[0]["promised"].is_number(), "{rows}");

    // Edges planted into cached candles that are shuffled.
    let cached = Sandbox::with_coins(12, 1_010);
    let size = &size[..size.len() - 2];
    let args = [&["calibrate", "--book", "--json", "--candles", "spot"], &walk[..], size].concat();
    let rows: Value = serde_json::from_str(&cached.stdout(&args)).unwrap();
    assert!(rows[0]["books"] == 1 && rows[0]["hedged_sharpe"].is_number(), "{rows}");
    let output = cached.run(&["calibrate", "--book", "--candles", "spot"]);
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(2) && text.contains("end after 1010 days"), "{text}");

    for wrong in [&["--market", "momentum", "--book"][..], &["--market", "lasting"]] {
        let output = sandbox.run(&[&["calibrate"], wrong].concat());
        assert_eq!(output.status.code(), Some(2), "{wrong:?}");
    }
}
