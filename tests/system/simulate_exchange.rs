//! `sg-ai simulate-exchange` as people start it.

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
};

fn command(dir: &tempfile::TempDir) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sg-ai"));
    command.current_dir(dir.path()).env_clear().env("HOME", dir.path()).arg("simulate-exchange").stderr(Stdio::piped());
    command
}

#[tokio::test]
async fn it_says_where_it_listens_serves_and_ends_with_0_on_sigterm() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = command(&dir)
        .args(["--json", "--symbols", "BTC/USDT,ETHUSDT", "--start", "2024-05-01", "--history-days", "30"])
        .args(["--edge", "momentum:ETHUSDT:7:2024-04-10", "--fault", "html:0:endpoint=klines", "--speed", "0"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let said: Value = serde_json::from_str(&line).unwrap();
    let _ = rustls::crypto::ring::default_provider().install_default();
    let get = async |path: &str| {
        let url = format!("{}{path}", said["url"].as_str().unwrap());
        reqwest::get(url).await.unwrap().json::<Value>().await.unwrap()
    };
    assert_eq!(get("/api/v3/time").await["serverTime"].as_i64(), Some(1_714_521_600_000));
    let rows = get("/api/v3/klines?symbol=ETHUSDT&interval=1d").await;
    assert_eq!(rows.as_array().map(Vec::len), Some(30));
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGTERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[tokio::test]
async fn many_coins_with_an_edge_among_them_are_listed_and_delisted() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = command(&dir)
        .args(["--json", "--coins", "12", "--start", "2024-05-01", "--history-days", "200", "--seed", "3"])
        .args(["--edge", "rank_reversal:all:4", "--speed", "0"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let said: Value = serde_json::from_str(&line).unwrap();
    assert_eq!((said["base"].as_str(), said["symbols"].as_array().map(Vec::len)), (Some("1h"), Some(12)), "{said}");
    let _ = rustls::crypto::ring::default_provider().install_default();
    let get = async |path: &str| {
        let url = format!("{}{path}", said["url"].as_str().unwrap());
        reqwest::get(url).await.unwrap().json::<Value>().await.unwrap()
    };
    let status = get("/sim/status").await;
    assert_eq!(status["edges"][0]["kind"], serde_json::json!({ "kind": "rank_reversal", "days": 1 }));
    let now_ms = 1_714_521_600_000;
    let lives = status["lives"].as_array().unwrap();
    let to_come = lives.iter().filter(|l| l["listed_ms"].as_i64().is_some_and(|at| at > now_ms)).count();
    let gone = lives.iter().filter(|l| l["delisted_ms"].as_i64().is_some_and(|at| at <= now_ms)).count();
    let info = get("/api/v3/exchangeInfo").await;
    let of = |status: &str| info["symbols"].as_array().unwrap().iter().filter(|s| s["status"] == status).count();
    assert!(to_come > 0 && gone > 0, "{status}");
    assert_eq!((of("TRADING"), of("BREAK")), (12 - to_come - gone, gone), "{info}");
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGTERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn wrong_requests_end_with_2_and_the_reason() {
    let dir = tempfile::tempdir().unwrap();
    for (args, reason) in [
        (["--edge", "momentum:XRPUSDT:7"], "XRPUSDT"),
        (["--edge", "magic:BTCUSDT:7"], "unknown kind"),
        (["--fault", "earthquake"], "unknown fault"),
        (["--base", "4h"], "base interval"),
        (["--coins", "1"], "a market of made-up coins has 2 to 500 of them"),
        (["--edge", "rank_volume:BTCUSDT:3"], "at least two"),
        (["--speed", "inf"], "speed"),
    ] {
        let output = command(&dir).args(args).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), said.contains(reason)), (Some(2), true), "{args:?}: {said}");
    }
}
