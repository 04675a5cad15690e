//! `sg-ai rehearse --book`.

use super::support::{DAY_MS, START_MS, Sandbox};
use candles::{Candle, CandleSeries, Interval};
use serde_json::Value;
use std::{
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
};

/// Two months of 270 days of coins.
const ARGS: &[&str] = &[
    "rehearse",
    "--book",
    "--market",
    "spot",
    "--interval",
    "4h",
    "--from",
    "2024-07-01",
    "--to",
    "2024-09-01",
    "--fee",
    "0.001",
    "--search-days",
    "120",
    "--population",
    "12",
    "--generations",
    "1",
    "--threads",
    "2",
    "--json",
];

fn with(more: &[&'static str]) -> Vec<&'static str> {
    [ARGS, more].concat()
}

/// The same arguments with another value after a name.
fn set(name: &str, value: &'static str) -> Vec<&'static str> {
    let mut args = ARGS.to_vec();
    let at = args.iter().position(|arg| *arg == name).unwrap();
    args[at + 1] = value;
    args
}

#[track_caller]
fn refused(sandbox: &Sandbox, args: &[&str], says: &str) {
    let output = sandbox.run(args);
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(2) && text.contains(says), "{args:?}: {text}");
    assert!(output.stdout.is_empty(), "{args:?}");
}

#[test]
fn a_book_is_walked_and_a_killed_walk_ends_in_the_same_bytes() {
    let sandbox = Sandbox::with_coins(12, 260);
    let whole = sandbox.stdout(&with(&["--returns", "whole.csv"]));
    let lines: Vec<Value> = whole.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let blocks: Vec<(&str, &str)> =
        lines[..4].iter().map(|l| (l["market"].as_str().unwrap(), l["block"].as_str().unwrap())).collect();
    assert_eq!(blocks, [("real", "2024-07"), ("real", "2024-08"), ("placebo", "2024-07"), ("placebo", "2024-08")]);
    let closing = lines[4].as_object().unwrap();
    let keys =
        "blocks cagr hedged_sharpe log_e max_drawdown max_log_e members_mean net_sharpe placebo turnover_per_day";
    assert_eq!(closing.keys().map(String::as_str).collect::<Vec<_>>().join(" "), keys);
    let placebo = closing["placebo"].as_object().unwrap();
    assert_eq!(placebo.len() + 1, closing.len(), "the same keys but for the placebo's own");
    assert_eq!((lines.len(), &closing["blocks"]), (5, &Value::from(2)));
    let returns = sandbox.read("whole.csv");
    assert!(returns.starts_with("date,net,benchmark,hedged,step,log_e\n2024-07-01,"), "{returns}");
    assert_eq!(returns.lines().count(), 63);

    // Killed after each block, and on one thread.
    let mut args = with(&["--returns", "killed.csv", "--checkpoint", "walk.checkpoint"]);
    let at = args.iter().position(|arg| *arg == "--threads").unwrap();
    args[at + 1] = "1";
    for blocks in 1..=4 {
        let mut child = Command::new(env!("CARGO_BIN_EXE_sg-ai"))
            .args(&args)
            .current_dir(sandbox.dir.path())
            .env_clear()
            .env("SG_DATA_DIR", sandbox.dir.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let seen = BufReader::new(child.stdout.take().unwrap()).lines().take(blocks).count();
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(seen, blocks);
    }
    assert_eq!(sandbox.stdout(&args), whole);
    assert_eq!(sandbox.read("killed.csv"), returns);

    // Its members in other weights: those it was walked with come to what it came to.
    let weighed = sandbox.stdout(&[&args[..], &["--compare-weights"]].concat());
    let weighed: Value = serde_json::from_str(weighed.lines().last().unwrap()).unwrap();
    let figures = |of: &Value| ["net_sharpe", "log_e", "turnover_per_day", "max_drawdown"].map(|key| of[key].clone());
    assert_eq!(figures(&weighed["weights"]["equal_risk"]), figures(&lines[4]));
    for other in ["hierarchical_risk_parity", "mean_variance"] {
        assert!(weighed["weights"][other]["blocks"] == lines[4]["blocks"], "{weighed}");
    }

    // Of another walk, or another market, nothing is gone on with.
    let more = ["--checkpoint", "walk.checkpoint"];
    refused(&sandbox, &[set("--fee", "0.002"), more.to_vec()].concat(), "another set of costs and terms");
    refused(&sandbox, &with(&["--checkpoint", "walk.checkpoint", "--seed", "9"]), "another seed");
    let mut other = CandleSeries::new(Interval::H4);
    let price = Candle {
        open_time_ms: START_MS,
        open: 1.0,
        high: 1.0,
        low: 1.0,
        close: 1.0,
        volume: 1.0,
        close_time_ms: START_MS + DAY_MS / 6 - 1,
        quote_volume: 1.0,
        trade_count: 1,
        taker_buy_volume: 0.0,
        taker_buy_quote_volume: 0.0,
    };
    other.push(&price).unwrap();
    sandbox.merge(&"NEWUSDT".parse().unwrap(), &other);
    refused(&sandbox, &args, "another version of candles");
    let stored = std::fs::read(sandbox.dir.path().join("walk.checkpoint")).unwrap();
    std::fs::write(sandbox.dir.path().join("walk.checkpoint"), &stored[..stored.len() - 9]).unwrap();
    std::fs::remove_file(sandbox.dir.path().join("walk.checkpoint.1")).unwrap();
    refused(&sandbox, &args, "it is cut short or damaged");
    // Neither is lost: the file that was refused is as it was.
    assert_eq!(std::fs::read(sandbox.dir.path().join("walk.checkpoint")).unwrap().len(), stored.len() - 9);
}

#[test]
fn what_a_book_cannot_do_is_said() {
    let sandbox = Sandbox::with_coins(3, 40);
    refused(&sandbox, &set("--to", "2024-07-31"), "holds no whole calendar month");
    refused(&sandbox, &set("--from", "2024-07-01T04:00:00Z"), "from 00:00 UTC to 00:00 UTC");
    refused(&sandbox, &set("--to", "2024-06-01"), "--from must be before --to");
    refused(&sandbox, &with(&["--symbols", "BTCUSDT"]), "leave --symbols out");
    refused(&sandbox, &with(&["--holdout-days", "90"]), "--holdout-days is for sessions");
    refused(&sandbox, &with(&["--every-days", "9"]), "cannot be used with");
    refused(&sandbox, &with(&["--returns", "nowhere/R.csv"]), "there is no folder nowhere");
    refused(&sandbox, &set("--search-days", "20"), "search_days must be 90");
    refused(&sandbox, ARGS, "candles end before the walk does");
    let without: Vec<&str> = ARGS.iter().copied().filter(|arg| *arg != "--book").collect();
    refused(&sandbox, &[without, vec!["--returns", "R.csv"]].concat(), "--book");

    // Where there is no history there is cash, and a reason.
    let mut args = with(&["--no-placebo"]);
    for (name, value) in [("--from", "2024-01-01"), ("--to", "2024-02-01")] {
        let at = args.iter().position(|arg| *arg == name).unwrap();
        args[at + 1] = value;
    }
    let lines: Vec<Value> = sandbox.stdout(&args).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines[0]["cash"].as_str().unwrap().contains("days of candles with members are before the block"));
    assert_eq!((&lines[1]["members_mean"], &lines[1]["placebo"]), (&Value::from(0.0), &Value::Null));
}
