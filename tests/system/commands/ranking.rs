//! `sg-ai backtest` and `sg-ai prove` of strategies that look at the whole market.

use super::support::{Sandbox, market};

const RANKING: &str = "4h; universe top 2 by quote_volume(3d); score close / delay(close, 6) - 1; rebalance 1d; weights \
                       linear; gross 1";
const WINDOW: [&str; 4] = ["--from", "2024-01-10", "--to", "2024-01-30"];

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::with_candles(&market(1, None), 30);
    sandbox.write("ranking.txt", RANKING);
    sandbox
}

fn args<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&["backtest", "--strategy", "ranking.txt"], &WINDOW[..], more].concat()
}

/// Cells of a CSV file without its header, which must be this.
fn rows(text: &str, header: &str) -> Vec<Vec<String>> {
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some(header));
    lines.map(|line| line.split(',').map(str::to_owned).collect()).collect()
}

#[test]
fn a_ranking_strategy_is_told_with_its_equity_weights_and_report() {
    let sandbox = sandbox();
    let files = ["--equity", "equity.csv", "--weights", "weights.csv", "--report", "report.html"];
    let report = sandbox.json(&args(&[&files[..], &["--json"]].concat()));
    assert_eq!((&report["window"]["instruments"], &report["rebalances"]), (&2.into(), &19.into()));
    let total = report["performance"]["total_return"].as_f64().unwrap();

    let equity = rows(&sandbox.read("equity.csv"), "time_ms,equity");
    assert_eq!(equity.len(), 20 * 6, "a value for every slot");
    let last: f64 = equity[119][1].parse().unwrap();
    assert!((last - 1.0 - total).abs() < 1e-12);
    let weights = rows(&sandbox.read("weights.csv"), "time_ms,instrument,target");
    assert_eq!(weights.len(), 19 * 2);
    for pair in weights.chunks(2) {
        let sum: f64 = pair.iter().map(|row| row[2].parse::<f64>().unwrap()).sum();
        assert!(sum == 0.0 && pair[0][0] == pair[1][0], "{pair:?}");
    }
    let page = sandbox.read("report.html");
    for part in ["Weights over time", "Exposure and turnover", "Years", "BTCUSDT"] {
        assert!(page.contains(part), "{part}");
    }
    assert!(!page.contains("NaN") && !page.contains("http://") && !page.contains("https://"));

    let coarse = sandbox.json(&args(&["--interval", "4h", "--json"]));
    assert_eq!(coarse["performance"], report["performance"], "4h candles are those that 15m ones make");
    let realistic = sandbox.json(&args(&["--realistic", "--json"]));
    assert_ne!(realistic["performance"], report["performance"]);
    let at_close = sandbox.json(&args(&["--fill-on", "close", "--json"]));
    assert_eq!(at_close["window"]["terms"]["fill_on"], "close");
    // The simulated market opens where it closed: the same prices, by another way.
    assert_eq!(at_close["performance"], report["performance"]);
    assert!(report["window"]["terms"]["fill_on"].is_null());
}

#[test]
fn options_of_the_other_form_and_scores_without_sense_are_wrong_usage() {
    let sandbox = sandbox();
    sandbox.write("rules.txt", "4h; long when rsi(14) < 30");
    sandbox.write("price.txt", &RANKING.replace("close / delay(close, 6) - 1", "close"));
    let rules = ["backtest", "--strategy", "rules.txt", "--symbols", "BTCUSDT", "--equity", "e.csv"];
    for (args, says) in [
        (args(&["--symbols", "BTCUSDT"]), "leave --symbols out"),
        (args(&["--trades", "t.csv"]), "--weights writes targets"),
        (args(&["--realistic", "--fill-on", "close"]), "contradict each other"),
        ([&rules[..], &WINDOW[..]].concat(), "--equity is for strategies that rank the market"),
        ([&["backtest", "--strategy", "rules.txt"], &WINDOW[..]].concat(), "--symbols is required"),
        ([&["backtest", "--strategy", "price.txt"], &WINDOW[..]].concat(), "a price"),
        ([&["prove", "--strategy", "ranking.txt", "--symbols", "BTCUSDT"], &WINDOW[..]].concat(), "leave --symbols"),
    ] {
        let output = sandbox.run(&args);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(2) && said.contains(says), "{args:?}: {said}");
    }
}

#[test]
fn a_proof_of_a_ranking_strategy_has_a_sentence_for_each_question() {
    let sandbox = sandbox();
    let proof = [&["prove", "--strategy", "ranking.txt", "--paths", "200", "--json"], &WINDOW[..]].concat();
    let told = sandbox.json(&proof);
    let names: Vec<&str> = told["findings"].as_array().unwrap().iter().map(|f| f["name"].as_str().unwrap()).collect();
    let all = ["sharpe_ratio", "resampled_days", "years", "costs", "realistic_terms", "neighbours", "names"];
    assert_eq!(names, all);
    assert_eq!(sandbox.json(&proof), told, "the same seed tells the same");

    // Parameters of indicators in the score are moved as those in rules are: rsi(13), rsi(15).
    let neighbours = |told: &serde_json::Value, figure: &str| {
        let finding = &told["findings"].as_array().unwrap().iter().find(|f| f["name"] == "neighbours").unwrap();
        let figures = finding["figures"].as_array().unwrap().iter();
        figures.clone().find(|f| f["name"] == figure).unwrap()["value"].as_f64().unwrap()
    };
    assert_eq!((neighbours(&told, "runs"), neighbours(&told, "indicator_runs")), (6.0, 0.0));
    sandbox.write("ranking.txt", &RANKING.replace("close / delay(close, 6) - 1", "rsi(14)"));
    let told = sandbox.json(&proof);
    assert_eq!((neighbours(&told, "runs"), neighbours(&told, "indicator_runs")), (8.0, 2.0));
}

#[test]
fn rules_see_the_rank_of_their_symbol() {
    let sandbox = sandbox();
    let text =
        "4h; universe top 2 by quote_volume(3d); long when cs_rank(roc(6)) > 0.5 exit when cs_rank(roc(6)) < 0.5";
    sandbox.write("rank.txt", text);
    let window = ["--symbols", "BTCUSDT,ETHUSDT", "--trades", "trades.csv", "--json"];
    let told = sandbox.json(&[&["backtest", "--strategy", "rank.txt"], &WINDOW[..], &window].concat());
    assert!(told["performance"]["total_trades"].as_u64().unwrap() > 4, "{told}");
    let trades = sandbox.read("trades.csv");
    let mut held: Vec<(i64, i64, String)> = trades
        .lines()
        .skip(1)
        .map(|line| {
            let cells: Vec<&str> = line.split(',').collect();
            (cells[2].parse().unwrap(), cells[4].parse().unwrap(), cells[0].to_owned())
        })
        .collect();
    held.sort();
    // Of two only one is the better: each leaves when the other enters.
    for pair in held.windows(2) {
        assert!(pair[0].1 <= pair[1].0, "{pair:?}");
    }
}
