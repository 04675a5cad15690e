//! What `sg-ai` says to slips of the hand: a symbol twice, `~`, an empty directory, another program's text file.

use super::support::{APRIL_MS, csv_of, put, run, zip_of};
use candles::Interval;
use std::path::Path;
use std::process::{Command, Output};

fn sg_ai(dir: &Path, data_dir: &str, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sg-ai"));
    command.env_clear().env("SG_DATA_DIR", data_dir).env("HOME", dir.join("home")).current_dir(dir).args(args);
    command.output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned()
}

const WINDOW: [&str; 6] = ["--interval", "15m", "--from", "2024-04-01", "--to", "2024-05-01"];

#[test]
fn a_symbol_named_twice_is_a_wrong_request() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("s.txt"), "15m; long when rsi(14) < 30 exit when rsi(14) > 60").unwrap();
    let twice = ["--symbols", "BTCUSDT,ETHUSDT,BTCUSDT"];
    let backtest = [&["backtest", "--strategy", "s.txt"], &twice[..], &WINDOW].concat();
    let download = [&["data", "download", "--from", "2024-04-01"], &twice[..]].concat();
    for args in [backtest, download] {
        let output = sg_ai(dir.path(), "data", &args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(said(&output).contains("--symbols names BTCUSDT twice"), "{}", said(&output));
    }
}

#[test]
fn what_only_reads_the_cache_makes_none_and_home_is_where_it_is() {
    let dir = tempfile::tempdir().unwrap();
    for args in [&["data", "list"][..], &["data", "list", "--snapshots"], &["data", "verify"]] {
        let output = sg_ai(dir.path(), "~/x", args);
        assert_eq!(output.status.code(), Some(0), "{args:?}: {}", said(&output));
    }
    assert!(std::fs::read_dir(dir.path()).unwrap().next().is_none(), "nothing is made");
    put(
        &dir.path().join("dumps"),
        "spot",
        "BTCUSDT-15m-2024-04.zip",
        &zip_of(csv_of(&run(Interval::M15, APRIL_MS, 96, 1), 1).as_bytes()),
    );
    assert_eq!(sg_ai(dir.path(), "~/x", &["data", "import", "dumps"]).status.code(), Some(0));
    assert!(dir.path().join("home/x/candles/spot/BTCUSDT").is_dir() && !dir.path().join("~").exists());
    assert!(said(&sg_ai(dir.path(), "~/x", &["data", "list"])).contains("BTCUSDT"));
    let other = sg_ai(dir.path(), "~somebody/x", &["data", "list"]);
    assert_eq!(other.status.code(), Some(2));
    assert!(said(&other).contains("begins with ~somebody, which only a shell knows"), "{}", said(&other));
}

#[test]
fn an_import_that_took_nothing_ends_with_code_1_and_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let empty = sg_ai(dir.path(), "data", &["data", "import", "."]);
    assert_eq!(empty.status.code(), Some(1));
    assert!(said(&empty).contains("holds no file named like SYMBOL-INTERVAL-YYYY-MM.zip"), "{}", said(&empty));
    std::fs::create_dir(dir.path().join("bot")).unwrap();
    std::fs::write(dir.path().join("bot/BTC_USDT_USDT-1h-mark.feather"), "").unwrap();
    let marks = sg_ai(dir.path(), "data", &["data", "import", "bot", "--mapping", "freqtrade_feather"]);
    assert_eq!(marks.status.code(), Some(1));
    assert!(said(&marks).contains("its name says mark"), "{}", said(&marks));
    let path = "dumps/futures/cm/monthly/klines/BTCUSD_PERP/1h";
    put(
        dir.path(),
        path,
        "BTCUSD_PERP-1h-2024-04.zip",
        &zip_of(csv_of(&run(Interval::H1, APRIL_MS, 24, 1), 1).as_bytes()),
    );
    for market in [&[][..], &["--market", "um"]] {
        let coin = sg_ai(dir.path(), "data", &[&["data", "import", "dumps"], market].concat());
        assert_eq!(coin.status.code(), Some(1));
        assert!(said(&coin).contains("coin-margined futures"), "{}", said(&coin));
    }
}

/// PowerShell writes UTF-16, and some editors a mark before UTF-8.
#[test]
fn strategies_and_settings_with_byte_order_marks_are_read() {
    let dir = tempfile::tempdir().unwrap();
    put(
        &dir.path().join("dumps"),
        "spot",
        "BTCUSDT-15m-2024-04.zip",
        &zip_of(csv_of(&run(Interval::M15, APRIL_MS, 2_880, 1), 1).as_bytes()),
    );
    assert_eq!(sg_ai(dir.path(), "data", &["data", "import", "dumps"]).status.code(), Some(0));
    let json = r#"{"timeframe": "15m", "long": {"entry": "rsi(14) < 40", "exit": "rsi(14) > 60"}}"#;
    let utf16: Vec<u8> = format!("\u{feff}{json}\r\n").encode_utf16().flat_map(u16::to_le_bytes).collect();
    std::fs::write(dir.path().join("utf16.json"), &utf16).unwrap();
    std::fs::write(dir.path().join("marked.json"), format!("\u{feff}{json}")).unwrap();
    std::fs::write(dir.path().join("bare.json"), &utf16[2..]).unwrap();
    let backtest = |file: &str| {
        sg_ai(dir.path(), "data", &[&["backtest", "--symbols", "BTCUSDT", "--strategy", file], &WINDOW[..]].concat())
    };
    for file in ["utf16.json", "marked.json"] {
        let output = backtest(file);
        assert_eq!(output.status.code(), Some(0), "{file}: {}", said(&output));
    }
    let bare = backtest("bare.json");
    assert_ne!(bare.status.code(), Some(0));
    assert!(said(&bare).contains("looks like UTF-16 without a byte order mark; save it as UTF-8"), "{}", said(&bare));
    std::fs::write(dir.path().join("lines.jsonl"), format!("\u{feff}{json}\n{json}\n")).unwrap();
    let batch = |file: &str| {
        sg_ai(dir.path(), "data", &[&["backtest", "--symbols", "BTCUSDT", "--batch", file], &WINDOW[..]].concat())
    };
    assert_eq!(batch("lines.jsonl").status.code(), Some(0), "{}", said(&batch("lines.jsonl")));
    assert!(said(&batch("utf16.json")).contains("it is UTF-16; save it as UTF-8"));
    std::fs::write(dir.path().join("set.toml"), "\u{feff}[http]\nport = 3\n").unwrap();
    let shown = sg_ai(dir.path(), "data", &["--config", "set.toml", "config", "show"]);
    assert_eq!(shown.status.code(), Some(0), "{}", said(&shown));
}
