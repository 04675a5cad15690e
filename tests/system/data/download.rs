//! `sg-ai data download` from a simulated exchange: killed, refused and updated.

use super::support::symbol;
use candles::MarketKind;
use candles::time::DAY_MS;
use genome::random::Seed;
use market::simulator::{ExchangeConfig, FaultKind, FaultSpec, LimitSpec, SimulatedExchange};
use simulated::MarketSpec;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

const SPOT: MarketKind = MarketKind::Spot;
/// 2024-11-20: the archives of November and December have ms, those of January us.
const START_MS: i64 = 1_732_060_800_000;
/// 2025-02-10 and some minutes.
const NOW_MS: i64 = START_MS + 82 * DAY_MS + 450_000;

fn exchange_config() -> ExchangeConfig {
    let mut market = MarketSpec::noise(Seed(11), START_MS, &[symbol("BTCUSDT"), symbol("ETHUSDT")]);
    market.steps_per_candle = 1;
    ExchangeConfig { speed: 0.0, ..ExchangeConfig::new(market, NOW_MS) }
}

/// Every stored month by its path.
fn months(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(next) = dirs.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                dirs.push(path);
            } else if path.extension().is_some_and(|e| e == "parquet") {
                found.insert(path.strip_prefix(dir).unwrap().display().to_string(), std::fs::read(&path).unwrap());
            }
        }
    }
    found
}

fn sg_ai(dir: &Path, url: &str, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sg-ai"));
    command.env_clear().env("SG_DATA_DIR", dir).env("SG__MARKET__SOURCE", url).env("SG__MARKET__RETRY_DELAY_MS", "1");
    command.env("SG__MARKET__RETRIES", "12").env("SG__MARKET__BREAKER_FAILURES", "500").env("SG_LOG_LEVEL", "error");
    command.current_dir(dir).args(["data", "download"]).args(args);
    command
}

const ALL: [&str; 5] = ["--symbols", "BTCUSDT,ETHUSDT", "--intervals", "15m,1h,4h", "--from"];

async fn output(mut command: Command) -> Output {
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

/// A small version of the year that is downloaded with faulty answers and kills.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_download_killed_again_and_again_ends_as_an_undisturbed_one() {
    let mut config = exchange_config();
    config.limits = LimitSpec { spot_weight_per_minute: 600, ..LimitSpec::default() };
    for kind in [FaultKind::Html, FaultKind::Truncated, FaultKind::Status502, FaultKind::Checksum] {
        config.faults.push(FaultSpec::sometimes(kind, 0.0125));
    }
    let exchange = SimulatedExchange::start(config).await.unwrap();
    let (calm, killed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let args: Vec<&str> = ALL.iter().copied().chain(["2024-11-20", "--json"]).collect();
    let done = output(sg_ai(calm.path(), &exchange.base_url(), &args)).await;
    assert_eq!(done.status.code(), Some(0), "{}", String::from_utf8_lossy(&done.stderr));
    for pause_ms in [120, 260, 400] {
        let mut command = sg_ai(killed.path(), &exchange.base_url(), &args);
        let mut child: Child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(pause_ms)).await;
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let done = output(sg_ai(killed.path(), &exchange.base_url(), &args)).await;
    assert_eq!(done.status.code(), Some(0), "{}", String::from_utf8_lossy(&done.stderr));
    let (a, b) = (months(&calm.path().join("candles")), months(&killed.path().join("candles")));
    assert_eq!(a.len(), 2 * 3 * 4);
    assert!(a == b, "byte for byte");
    let weight = exchange.weight(SPOT);
    assert!(weight.peak <= weight.limit && weight.refusals == 0, "{weight:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_plans_updates_and_picks_the_largest() {
    let exchange = SimulatedExchange::start(exchange_config()).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let json = |output: &Output| serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap();
    let run = |args: &'static [&'static str]| output(sg_ai(dir.path(), &exchange.base_url(), args));
    let dry = run(&["--symbols", "BTCUSDT", "--intervals", "1h", "--from", "2024-12-01", "--dry-run", "--json"]).await;
    assert_eq!(dry.status.code(), Some(0), "{}", String::from_utf8_lossy(&dry.stderr));
    let dry = json(&dry);
    assert_eq!((dry["files"].as_u64(), dry["candles"].as_u64()), (Some(10), Some(71 * 24)), "{dry}");
    assert!(dry["bytes"].as_u64() > Some(0) && dry["requests"].as_u64() > dry["files"].as_u64());
    assert!(months(dir.path()).is_empty(), "nothing is fetched");

    let top = run(&["--top", "1", "--intervals", "1h", "--max-available", "--json"]).await;
    assert_eq!(top.status.code(), Some(0), "{}", String::from_utf8_lossy(&top.stderr));
    let top = json(&top);
    assert_eq!((top["candles"].as_array().map(Vec::len), top["candles"][0]["missing"].as_u64()), (Some(1), Some(0)));
    assert_eq!(top["candles"][0]["added"], 82 * 24, "from the first candle on");

    exchange.clock().advance(5 * 3_600_000);
    let update = json(&run(&["--update-only", "--json"]).await);
    assert_eq!((update["candles"].as_array().map(Vec::len), &update["candles"][0]["added"]), (Some(1), &5.into()));
    let unknown = run(&["--symbols", "NOUSDT", "--intervals", "1h", "--from", "2024-12-01"]).await;
    assert_eq!(unknown.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&unknown.stdout).contains("NOUSDT is not known on spot"));
    assert_eq!(run(&["--symbols", "BTCUSDT", "--intervals", "1h"]).await.status.code(), Some(2), "from when?");
}

/// A disk that is full, and a directory that cannot be written: an error, and what is stored stays.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cache_that_cannot_be_written_is_an_error_and_harms_nothing() {
    let exchange = SimulatedExchange::start(exchange_config()).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let args = ["--symbols", "BTCUSDT", "--intervals", "15m", "--from", "2025-01-01", "--to", "2025-02-01"];
    let first = output(sg_ai(dir.path(), &exchange.base_url(), &args)).await;
    assert_eq!(first.status.code(), Some(0));
    let stored = months(dir.path());
    // No file may grow beyond 2 blocks: what a full disk says, without one.
    let program = env!("CARGO_BIN_EXE_sg-ai");
    let script = format!(
        "trap '' XFSZ; ulimit -f 2; exec {program} data download --symbols BTCUSDT --intervals 15m --from 2024-11-20"
    );
    let mut full = sg_ai(dir.path(), &exchange.base_url(), &args);
    let env: Vec<_> = full.get_envs().filter_map(|(k, v)| Some((k.to_owned(), v?.to_owned()))).collect();
    full = Command::new("/bin/sh");
    full.env_clear().envs(env).current_dir(dir.path()).args(["-c", &script]);
    let full = output(full).await;
    assert_eq!(full.status.code(), Some(1));
    let said = String::from_utf8_lossy(&full.stdout).into_owned();
    assert!(said.to_lowercase().contains("too large"), "{said}");
    assert_eq!(months(dir.path()), stored, "what was there is as it was");

    std::fs::write(dir.path().join("candles/um"), "in the way").unwrap();
    let blocked = output(sg_ai(
        dir.path(),
        &exchange.base_url(),
        &["--market", "um", "--symbols", "BTCUSDT", "--intervals", "1h", "--from", "2025-01-01"],
    ))
    .await;
    assert_eq!(blocked.status.code(), Some(1), "{}", String::from_utf8_lossy(&blocked.stdout));
    assert_eq!(months(dir.path()), stored);
}
