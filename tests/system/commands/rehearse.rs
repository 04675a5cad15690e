//! `sg-ai rehearse`.

use super::support::{Sandbox, market};
use serde_json::Value;
use simulated::EdgeKind;

const ARGS: &[&str] = &[
    "rehearse",
    "--symbols",
    "BTCUSDT,ETHUSDT",
    "--from",
    "2024-01-10",
    "--to",
    "2024-03-20",
    "--warm-up-days",
    "9",
    "--search-days",
    "20",
    "--holdout-days",
    "15",
    "--every-days",
    "10",
    "--population",
    "30",
    "--generations",
    "3",
    "--seed",
    "5",
];

fn sessions(text: &str) -> Vec<Value> {
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines
        .map(|mut line| {
            line.as_object_mut().unwrap().remove("seconds");
            line
        })
        .collect()
}

#[test]
fn real_sessions_stand_beside_those_on_null_markets() {
    let edge = EdgeKind::MeanReversion { lookback: 20, deviations: 2.0, hold: 12 };
    let sandbox = Sandbox::with_candles(&market(2, Some((edge, 40.0))), 85);
    let run = |more: &[&str]| sessions(&sandbox.stdout(&[ARGS, more, &["--json"]].concat()));
    let found = run(&["--threads", "2"]);
    // Seventy days: the last search ends 15 + 14 days before the end, and others ten days apart before it.
    let splits: Vec<&str> = found.iter().map(|s| s["split"].as_str().unwrap()).collect();
    let expected = ["2024-01-31", "2024-02-10", "2024-02-20"];
    assert_eq!(splits, [expected, expected].concat());
    assert!(found.iter().enumerate().all(|(i, s)| s["placebo"] == (i >= 3)), "{found:?}");
    let numbers: Vec<_> = found.iter().map(|s| s["session"].as_u64().unwrap()).collect();
    assert_eq!(numbers, [1, 2, 3, 1, 2, 3]);
    let log_e = |s: &Value| s["trial"]["best_holdout_log_e"].as_f64().unwrap_or(f64::NEG_INFINITY);
    let best = |of: &[Value]| of.iter().map(log_e).fold(f64::NEG_INFINITY, f64::max);
    assert!(best(&found[..3]) > 2.0 && best(&found[..3]) > best(&found[3..]), "{found:?}");
    assert!(found[3..].iter().all(|s| s["trial"]["promoted"] == 0), "{found:?}");

    // Whatever the threads, and with fewer sessions the last ones.
    assert_eq!(run(&["--threads", "1"]), found);
    let last = run(&["--sessions", "1", "--no-placebo"]);
    assert_eq!((last.len(), last[0]["split"].as_str()), (1, Some("2024-02-20")));
    let text = sandbox.stdout(&[ARGS, &["--sessions", "1"]].concat());
    assert!(text.contains("real     2024-02-20") && text.contains("placebo  2024-02-20"), "{text}");
}

#[test]
fn too_few_candles_are_said() {
    let sandbox = Sandbox::with_candles(&market(2, None), 85);
    let longer: Vec<&str> = ARGS.iter().map(|arg| if *arg == "15" { "60" } else { arg }).collect();
    let output = sandbox.run(&longer);
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(2) && text.contains("70 days of candles are too few"), "{text}");
}
