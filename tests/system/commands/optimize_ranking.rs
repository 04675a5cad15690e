//! `sg-ai optimize` of strategies that rank the market: over all that is cached, by hedged daily returns.

use super::support::{Sandbox, market};
use serde_json::Value;
use std::fs;

const RANKING: &str = "4h; universe top 2 by quote_volume(3d); score close / delay(close, 6) - 1; rebalance 1d; weights \
                       linear, inverse volatility(30), smooth 2; gross 1";
const ARGS: [&str; 14] = [
    "optimize",
    "--strategy",
    "ranking.txt",
    "--from",
    "2024-01-10",
    "--to",
    "2024-02-09",
    "--param",
    "score.1.delay.candles=3..30:3",
    "--param",
    "weights.smooth=1..4",
    "--min-in-sample-trades",
    "2",
    "--json",
];

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::with_candles(&market(1, None), 40);
    sandbox.write("ranking.txt", RANKING);
    sandbox
}

fn with<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&ARGS[..], more].concat()
}

#[test]
fn a_grid_over_a_ranking_is_that_of_its_backtests_and_hedged() {
    let sandbox = sandbox();
    let listed = sandbox.json(&["optimize", "--strategy", "ranking.txt", "--list-params", "--json"]);
    let names: Vec<&str> =
        listed["parameters"].as_array().unwrap().iter().map(|p| p["name"].as_str().unwrap()).collect();
    let expected = [
        "universe.top",
        "universe.volume_days",
        "universe.listed_days",
        "score.1.delay.candles",
        "score.2.value",
        "weights.inverse_volatility",
        "weights.smooth",
        "gross",
    ];
    assert_eq!(names, expected);

    let told = sandbox.json(&with(&["--method", "grid", "--html", "report.html"]));
    let a = &told["analysis"];
    assert_eq!((told["budget"].as_u64(), a["trials"].as_u64(), a["days"].as_u64()), (Some(40), Some(40), Some(30)));
    assert_eq!(a["walk_forward"].as_array().unwrap().len(), 9);
    assert!(a["walk_forward"].as_array().unwrap().iter().any(|cell| cell["folds"].as_u64() > Some(0)), "{a}");
    assert_eq!(a["overfitting"]["splits"].as_u64(), Some(252));
    assert!(a["deflation"]["deflated"].is_number() && a["expectation"]["expected"].is_number(), "{a}");
    assert_eq!((&told["window"]["instruments"], &told["window"]["daily_returns"]), (&2.into(), &"hedged".into()));

    // Every point that is told is what a backtest of that ranking gives alone: its hedged figures, and its stays.
    for point in told["top"].as_array().unwrap().iter().take(4) {
        let value = |place: usize| point["parameters"][place][1].as_f64().unwrap();
        let text = RANKING.replace("delay(close, 6)", &format!("delay(close, {})", value(0)));
        sandbox.write("point.txt", &text.replace("smooth 2", &format!("smooth {}", value(1))));
        let window = ["--strategy", "point.txt", "--from", "2024-01-10", "--to", "2024-02-09", "--json"];
        let alone = sandbox.json(&[&["backtest"][..], &window].concat());
        for name in ["sharpe_ratio", "total_return", "max_drawdown", "calmar_ratio", "t_statistic"] {
            assert_eq!(point["figures"][name], alone["hedged"][name], "{name}");
        }
        for name in ["total_trades", "win_rate", "profit_factor"] {
            assert_eq!(point["figures"][name], alone["performance"][name], "{name}");
        }
    }
    let html = sandbox.read("report.html");
    for part in ["Walk-forward matrix", "score.1.delay.candles", "Ranks them by", "hedged"] {
        assert!(html.contains(part), "{part}");
    }
    let mut lines = with(&["--method", "grid"]);
    lines.retain(|arg| *arg != "--json");
    let lines = sandbox.stdout(&lines);
    assert!(lines.contains("net of costs and of the hedge") && lines.contains("not stored"), "{lines}");
    let realistic = sandbox.json(&with(&["--method", "grid", "--realistic"]));
    assert_ne!(realistic["own"], told["own"]);
}

#[test]
fn threads_and_checkpoints_change_no_bit() {
    let sandbox = sandbox();
    for method in ["random", "genetic"] {
        let own = ["--method", method, "--points", "20", "--population", "8", "--seed", "7"];
        let whole = sandbox.json(&with(&[&own[..], &["--threads", "1"]].concat()));
        let file = format!("{method}.checkpoint");
        let kept = ["--checkpoint", &file, "--checkpoint-every", "8", "--keep-last", "3", "--threads", "2"];
        let args = with(&[&own[..], &kept].concat());
        assert_eq!(sandbox.json(&args), whole, "{method}");
        // As if it had been killed after 8 points.
        let path = |n: &str| sandbox.dir.path().join(format!("{file}{n}"));
        fs::remove_file(path(".1")).unwrap();
        fs::rename(path(".2"), path("")).unwrap();
        let output = sandbox.run(&args);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(stderr.contains("going on after 8 of 20 points"), "{stderr}");
        assert_eq!(serde_json::from_slice::<Value>(&output.stdout).unwrap(), whole, "{method}");
        // On other terms it is another run.
        let output = sandbox.run(&[&args[..], &["--realistic"]].concat());
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(2) && stderr.contains("another set of costs"), "{stderr}");
    }
}

#[test]
fn what_cannot_be_is_refused_with_what_would_be_right() {
    let sandbox = sandbox();
    sandbox.write("rules.txt", "4h; long when rsi(14) < 30; stop 2%");
    let across = "4h; universe top 2 by quote_volume(3d); long when cs_rank(roc(6)) > 0.5";
    sandbox.write("across.txt", across);
    let own = |file: &'static str| {
        ["optimize", "--strategy", file, "--from", "2024-01-10", "--to", "2024-02-09", "--param", "gross=1,2"]
    };
    let param = |param: &'static str| [&ARGS[..7], &["--param", param]].concat();
    let of_rules = ["--symbols", "BTCUSDT", "--realistic"];
    let rules = [&own("rules.txt")[..7], &["--param", "risk.stop_loss=1,2"], &of_rules].concat();
    let across = [&own("across.txt")[..7], &["--param", "entry.long.1.value=0.4,0.5"], &of_rules[..2]].concat();
    for (args, says) in [
        (with(&["--symbols", "BTCUSDT"]), "leave --symbols out"),
        (rules, "--realistic is for strategies that rank the market"),
        (across, "compares its symbol with a universe"),
        (param("delay.candles=3,6"), "did you mean score.1.delay.candles?"),
        (param("weights.top=10,20"), "the strategy has no number \"weights.top\""),
        (param("score.1.delay.candles=0..6:1"), "at least 1"),
        (param("weights.smooth=1.5,2"), "multiple of 1"),
        (with(&["--method", "grid", "--points", "39"]), "the grid has 40 points"),
        (with(&["--from", "2024-02-09"]), "cannot be used multiple times"),
        (
            [&["optimize", "--strategy", "ranking.txt", "--from", "2024-02-09", "--to", "2024-01-10"], &ARGS[7..]]
                .concat(),
            "--from must be before --to",
        ),
        (
            [&["optimize", "--strategy", "ranking.txt", "--from", "2024-03-09", "--to", "2024-04-10"], &ARGS[7..]]
                .concat(),
            "daily returns",
        ),
    ] {
        let output = sandbox.run(&args);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(2) && said.contains(says), "{args:?}: {said}");
    }
    // Rules and a ranking that the cached candles cannot give.
    sandbox.write("ranking.txt", &RANKING.replace("4h;", "1m;"));
    let output = sandbox.run(&ARGS);
    assert!(!output.status.success() && !output.stderr.is_empty(), "{output:?}");
}
