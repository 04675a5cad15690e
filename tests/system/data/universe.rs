//! `sg-ai data` on a whole market: instruments, universe, proposed cuts, export.

use super::support::{put, zip_of};
use candles::time::DAY_MS;
use std::path::Path;
use std::process::{Command, Output};

const H4_MS: i64 = 14_400_000;
/// 2022-03-01.
const START_MS: i64 = 1_646_092_800_000;

fn sg_ai(dir: &Path, table: Option<&str>, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sg-ai"));
    command.env_clear().env("SG_DATA_DIR", dir.join("data")).current_dir(dir).args(["data"]).args(args);
    if let Some(table) = table {
        command.env("SG__MARKET__INSTRUMENTS_FILE", table);
    }
    command.output().unwrap()
}

fn json(output: &Output) -> serde_json::Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {output:?}"))
}

/// Candles of four hours at `price` in `[from_day, to_day)` of March 2022.
fn rows(from_day: i64, to_day: i64, price: f64, volume: f64) -> String {
    let row = |n: i64| {
        let open_ms = START_MS + n * H4_MS;
        format!("{open_ms},{price},{price},{price},{price},{volume},{},0,9,0,0,0\n", open_ms + H4_MS - 1)
    };
    (from_day * 6..to_day * 6).map(row).collect()
}

fn market(dir: &Path) {
    let month = |name: &str, csv: String| {
        put(&dir.join("dumps"), "spot/4h", &format!("{name}-4h-2022-03.zip"), &zip_of(csv.as_bytes()));
    };
    month("BTCUSDT", rows(0, 31, 40_000.0, 1.0));
    month("ETHUSDT", rows(0, 31, 3_000.0, 20.0));
    month("BUSDUSDT", rows(0, 31, 1.0, 1e9));
    month("NEWUSDT", rows(25, 31, 7.0, 1e6));
    // Another coin under the ticker from the eleventh day on.
    month("OLDUSDT", rows(0, 8, 0.002, 1e7) + &rows(10, 31, 9.0, 100.0));
    let done = sg_ai(dir, None, &["import", "dumps"]);
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    let said = String::from_utf8(done.stdout).unwrap();
    assert!(said.contains("5 files of candles (5 symbols of spot, 0 of um)"), "{said}");
}

#[test]
fn a_proposed_cut_is_added_and_makes_two_instruments() {
    let dir = tempfile::tempdir().unwrap();
    market(dir.path());
    let verified = sg_ai(dir.path(), None, &["verify"]);
    let said = String::from_utf8(verified.stdout).unwrap();
    let line = "OLDUSDT,cut,2022-03-11,opens at 4500.0 times the last close after 12 missing candles";
    assert!(said.contains(line) && said.matches(",cut,").count() == 1, "{said}");

    let built_in = json(&sg_ai(dir.path(), None, &["instruments", "--json"]));
    assert_eq!(built_in["source"], "built in");
    let csv = String::from_utf8(sg_ai(dir.path(), None, &["instruments", "--csv"]).stdout).unwrap();
    std::fs::write(dir.path().join("same.csv"), &csv).unwrap();
    let same = json(&sg_ai(dir.path(), Some("same.csv"), &["instruments", "--json"]));
    assert_eq!((&same["source"], &same["sha256"]), (&"same.csv".into(), &built_in["sha256"]));
    std::fs::write(dir.path().join("own.csv"), format!("{csv}{line}\nBTCUSDT,cut,2022-03-15,wrong\n")).unwrap();
    let own = json(&sg_ai(dir.path(), Some("own.csv"), &["instruments", "--json"]));
    assert_ne!(own["sha256"], built_in["sha256"]);

    let checks = json(&sg_ai(dir.path(), Some("own.csv"), &["verify", "--json"]));
    let of = |name: &str| checks.as_array().unwrap().iter().find(|c| c["symbol"] == name).unwrap().clone();
    assert_eq!(of("OLDUSDT").get("proposed_cuts"), None);
    let contradicted = of("BTCUSDT")["contradicted_cuts"][0]["detail"].as_str().unwrap().to_owned();
    assert!(contradicted.contains("cuts BTCUSDT on 2022-03-15, and its candles go on"), "{contradicted}");
    let nothing = sg_ai(dir.path(), Some("own.csv"), &["verify"]);
    assert!(String::from_utf8(nothing.stderr).unwrap().contains("cuts LUNAUSDT, of which no candle is cached"));
}

#[test]
fn a_universe_is_told_with_why_the_others_are_not_in_it() {
    let dir = tempfile::tempdir().unwrap();
    market(dir.path());
    let table =
        "ticker,kind,first_candle_of_the_new,reason\nBUSDUSDT,exclude,,stablecoin\nOLDUSDT,cut,2022-03-11,other\n";
    std::fs::write(dir.path().join("own.csv"), table).unwrap();
    let ask =
        |at: &str, rule: &str| json(&sg_ai(dir.path(), Some("own.csv"), &["universe", rule, "--at", at, "--json"]));
    let told = ask("2022-03-31", "top 2 by quote_volume(10d), listed 20d");
    let names = |list: &serde_json::Value| -> Vec<String> {
        list.as_array()
            .unwrap()
            .iter()
            .map(|s| format!("{} {}", s["instrument"].as_str().unwrap(), s["verdict"].as_str().unwrap()))
            .collect()
    };
    assert_eq!(names(&told["members"]), ["ETHUSDT member", "BTCUSDT member"]);
    assert_eq!(told["members"][0]["quote_volume"], 60.0 * 60_000.0);
    let others = ["OLDUSDT#2 outranked", "NEWUSDT listed_too_lately", "OLDUSDT#1 no_candle", "BUSDUSDT excluded"];
    assert_eq!(names(&told["others"]), others);
    assert_eq!(told["others"][3]["exclusion"], "stablecoin");
    assert_eq!(
        (&told["interval"], &told["universe"]),
        (&"4h".into(), &"top 2 by quote_volume(10d), listed 20d".into())
    );
    // As of then: what came later is not known, and the text says the same.
    let before = ask("2022-03-05", "top 3 by quote_volume(2d), listed 3d");
    assert_eq!(names(&before["members"]), ["ETHUSDT member", "BTCUSDT member", "OLDUSDT#1 member"]);
    let text =
        String::from_utf8(sg_ai(dir.path(), Some("own.csv"), &["universe", "--at", "2022-03-31"]).stdout).unwrap();
    assert!(text.contains("listed for 30 days") && text.contains("excluded: stablecoin"), "{text}");

    for (args, says) in [
        (&["universe", "--at", "2022-03-31T01:00:00Z"][..], "the last close before is 2022-03-31 00:00"),
        (&["universe", "top 3 by volume(2d)", "--at", "2022-03-31"], "quote_volume"),
        (&["universe", "--at", "2022-03-31", "--market", "um"], "no candle of um is cached"),
    ] {
        let refused = sg_ai(dir.path(), Some("own.csv"), args);
        assert_ne!(refused.status.code(), Some(0));
        let said = String::from_utf8(refused.stderr).unwrap();
        assert!(said.contains(says), "{args:?}: {said}");
    }
    std::fs::write(dir.path().join("bad.csv"), format!("{table}X,cut,soon,\n")).unwrap();
    let refused = sg_ai(dir.path(), Some("bad.csv"), &["list"]);
    let said = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(2));
    assert!(
        said.contains("market.instruments_file") && said.contains("line 4 of the instrument table: `soon`"),
        "{said}"
    );
}

#[test]
fn an_export_is_one_file_or_one_a_symbol() {
    let dir = tempfile::tempdir().unwrap();
    market(dir.path());
    let common = ["export", "--interval", "4h", "--from", "2022-03-02", "--to", "2022-03-04"];
    let one = sg_ai(
        dir.path(),
        None,
        &[&common[..], &["--format", "csv", "--out", "all.csv", "--json", "--symbols", "BTCUSDT,OLDUSDT"]].concat(),
    );
    assert_eq!(json(&one)[0]["symbols"], serde_json::json!([["BTCUSDT", 12], ["OLDUSDT", 12]]));
    let text = std::fs::read_to_string(dir.path().join("all.csv")).unwrap();
    let first =
        format!("BTCUSDT,{},40000,40000,40000,40000,1,{},0,9,0,0", START_MS + DAY_MS, START_MS + DAY_MS + H4_MS - 1);
    assert_eq!(text.lines().nth(1), Some(first.as_str()));
    let many = sg_ai(dir.path(), None, &["export", "--interval", "4h", "--out", "files/"]);
    assert_eq!(many.status.code(), Some(0), "{many:?}");
    assert_eq!(std::fs::read_dir(dir.path().join("files")).unwrap().count(), 5);
    let wrong = sg_ai(
        dir.path(),
        None,
        &[&common[..], &["--format", "csv", "--compression", "snappy", "--out", "x.csv"]].concat(),
    );
    assert_eq!(wrong.status.code(), Some(2));
}
