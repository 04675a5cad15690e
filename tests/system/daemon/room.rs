//! No room where candles are cached: whoever asks for candles hears that, health says so, and it passes with the trouble.

use super::service::{Client, dip};
use super::stage::Stage;
use serde_json::json;
use std::process::Command;

/// The daemon with no file of its own above 8 KiB, which a month of candles is: writing one ends as on a full disk.
fn cramped(stage: &Stage, what: &str) -> Command {
    let daemon = stage.command(&[what]);
    let mut command = Command::new("sh");
    command.args(["-c", r#"trap "" XFSZ; ulimit -S -f 16; exec "$0" "$@""#]);
    command.arg(daemon.get_program()).args(daemon.get_args()).current_dir(stage.dir.path()).env_clear();
    command.envs(daemon.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn without_room_for_candles_it_is_503_and_unhealthy_until_there_is_some() {
    let mut stage = Stage::new(3, 0.0).await;
    stage.set("SG_GENERATION_INTERVAL", "100000000");
    let mut daemon = super::process::Daemon::start(cramped(&stage, "shadow"));
    let client = Client { base: daemon.url().await, http: reqwest::Client::new() };
    let (status, stored) = client.post("/strategies", &dip(), None).await;
    assert_eq!(status, 201, "{stored}");
    let order = json!({
        "strategy_id": stored["strategy_id"], "symbol": "BTCUSDT", "start_date": "2024-12-01", "end_date": "2024-12-21"
    });
    let (status, refused) = client.post("/backtest", &order, None).await;
    let why = refused["detail"].as_str().unwrap();
    assert!(status == 503 && why.contains("there is no room for"), "{status} {refused}");
    assert!(!why.contains("the exchange does not give any"), "the exchange is not to blame: {why}");
    let (status, health) = client.get("/sg-ai/health/candles").await;
    assert_eq!((status, &health["status"]), (503, &json!("unhealthy")), "{health}");
    assert!(health["detail"].as_str().unwrap().contains("is full"), "{health}");
    let (status, whole) = client.get("/sg-ai/health").await;
    assert_eq!((status, &whole["checks"]["database"]["status"]), (503, &json!("healthy")), "{whole}");

    // Somebody makes room.
    let pid = daemon.pid().to_string();
    let given = Command::new("prlimit").args(["--pid", &pid, "--fsize=unlimited"]).status().unwrap();
    assert!(given.success());
    let (status, ran) = client.post("/backtest", &order, None).await;
    assert_eq!((status, &ran["missing_candles"]), (200, &json!(0)), "{ran}");
    let (status, health) = client.get("/sg-ai/health/candles").await;
    assert_eq!(status, 200, "{health}");
    daemon.stop().await;
}
