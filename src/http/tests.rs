//! The routes over a real socket, with readings that answer, fail, hang or panic.

use super::*;
use async_trait::async_trait;
use clock::ManualClock;
use genome::StrategyForm;
use std::{io::Write, process::Stdio};

#[path = "guards.rs"]
mod guards;
#[path = "../../tests/support/tools.rs"]
mod tools;

const NOW: i64 = 1_764_449_100_000;

enum Fake {
    Good,
    Refuses,
    Hangs,
    Panics,
}

#[async_trait]
impl Readings for Fake {
    async fn snapshot(&self) -> Result<Snapshot, String> {
        match self {
            Self::Good => {
                let mut snapshot = full();
                // Workers that failed for good are nothing healthy.
                snapshot.work.failed = 0;
                Ok(snapshot)
            }
            Self::Refuses => Err("the database is unreachable: connection refused".into()),
            Self::Hangs => std::future::pending().await,
            Self::Panics => panic!("a defect"),
        }
    }
}

fn full() -> Snapshot {
    let feed = |name: &str, interval: &str, interval_ms| Feed {
        name: name.into(),
        interval: interval.into(),
        interval_ms,
        newest_close_ms: Some(NOW - 61_000),
        exchange_time_ms: Some(NOW - 1_000),
        refreshed_ms: NOW - 1_000,
        gaps: 3,
        error: None,
    };
    let runner = |name: &str| Runner {
        name: name.into(),
        last_success_ms: Some(NOW - 2_000),
        last_error: None,
        consecutive_failures: 0,
        heartbeat_ms: NOW - 500,
    };
    let island = |name: &str, best_fitness| Island {
        name: name.into(),
        form: if name == "main" { StrategyForm::Rules } else { StrategyForm::Ranking },
        session: 4,
        generation: 9,
        best_fitness,
        mean_fitness: best_fitness.map(|best: f64| best - 40.0),
        stored_ms: NOW - 5_000,
    };
    Snapshot {
        simulated: false,
        lacks_room: None,
        cache_lacks_room: None,
        strategies: [(lifecycle::State::Shadow, 5), (lifecycle::State::Live, 2)].into(),
        by_form: [
            (StrategyForm::Rules, [(lifecycle::State::Shadow, 3), (lifecycle::State::Live, 2)].into()),
            (StrategyForm::Ranking, [(lifecycle::State::Shadow, 2)].into()),
        ]
        .into(),
        reached: [(lifecycle::State::Candidate, 40), (lifecycle::State::Live, 3)].into(),
        transitions: [("enter_shadow".to_owned(), 12), ("go_live".to_owned(), 3), ("demote".to_owned(), 1)].into(),
        disabled: [("failed".to_owned(), 7)].into(),
        islands: vec![island("main", Some(71.5)), island("other", None)],
        last_generation_ms: Some(NOW - 5_000),
        trials: Trials { sessions: 4, generations: 40, evaluations: 20_000, failures: 2 },
        shadow_profit_factor: Some(1.25),
        protocol: Protocol {
            real: Passed { sessions: 100, ranking_sessions: 40, selected: 9, entered: 4, promoted: 3 },
            placebo: Passed { sessions: 50, ranking_sessions: 20, selected: 2, entered: 1, promoted: 0 },
            null_searches: 500,
            null_evaluations: 100_000,
            p_value: Some(0.5),
            frozen: false,
            tests: Some(Tests {
                balance: 0.01,
                bought_last_year: 20,
                spent_last_year: 0.04,
                allowed_per_year: 0.05,
                promotion_threshold: Some(625.0),
                least_threshold: 500.0,
                sells_ms: None,
                full_ms: Some(NOW + 86_400_000),
            }),
        },
        open_dead_letters: 2,
        outbox_pending: 1,
        outbox_dead: 0,
        feeds: vec![feed("BTCUSDT", "1h", 3_600_000), feed("BTCUSDT", "15m", 900_000), feed("ETHUSDT", "15m", 900_000)],
        stream: Some(Stream {
            connected: true,
            last_candle_ms: Some(NOW - 61_000),
            reconnects: 2,
            error: None,
            last_connected_ms: Some(NOW - 3_000),
            heartbeat_ms: NOW - 3_000,
        }),
        runners: vec![runner(CONTINUOUS_RUNNER), runner(SHADOW_RUNNER)],
        drift_alerts: [2, 1],
        deployments: vec![
            Deployment { strategy: "breakout-1".into(), total_return: Some(0.031) },
            Deployment { strategy: "new".into(), total_return: None },
            Deployment { strategy: "breakout-1".into(), total_return: Some(0.5) },
        ],
        moves: vec![
            Move {
                strategy_id: "0195f7c2-3c0e-7000-8000-000000000001".into(),
                strategy: "breakout-1".into(),
                kind: "go_live".into(),
                at_ms: NOW - 60_000,
            },
            Move {
                strategy_id: "0195f7c2-3c0e-7000-8000-000000000002".into(),
                strategy: "a \"name\"".into(),
                kind: "demote".into(),
                at_ms: NOW - 120_000,
            },
        ],
        moved_lately: [3, 1],
        allocated: 0.045,
        shadow_win_rate: Some(0.58),
        shadow_evidence: Some(0.75),
        shadow_trades: 87,
        queues: [("backtests", 0), ("candidates", 4), ("notifications", 1)].into(),
        regimes: vec![("BTCUSDT".into(), 1), ("um:ETHUSDT".into(), 3)],
        last_review_ms: Some(NOW - 3_600_000),
        audit: Some(Audit { holds: true, verified_ms: NOW - 60_000 }),
        work: store::WorkStatus {
            waiting: 7,
            taken: 3,
            failed: 1,
            lost: 2,
            oldest_s: Some(12.5),
            done_per_second: 0.25,
            ..store::WorkStatus::default()
        },
        models: vec![
            Model {
                name: "trend".into(),
                state: store::ModelState::Drifting,
                reason: Some("what is said for or against holds less than it did".into()),
                watched_ms: NOW - 3_600_000,
                predicted_ms: Some(NOW - 7_200_000),
                gain: Some(-0.0125),
                calibration_error: Some(0.08),
                drift: Some(1.75),
                failed_fits: 0,
            },
            Model {
                name: "best".into(),
                state: store::ModelState::Young,
                reason: None,
                watched_ms: NOW - 3_600_000,
                predicted_ms: Some(NOW - 7_200_000),
                gain: Some(0.002),
                calibration_error: None,
                drift: Some(0.0),
                failed_fits: 1,
            },
        ],
        book: Some(Book {
            state: lifecycle::State::Shadow,
            log_e: [Some(2.5), Some(-0.4)],
            needed_log_e: Some(2.996),
            life_log_e: Some(0.3),
            hedged_sharpe: [Some(1.5), Some(-0.25)],
            max_drawdown: Some(-0.12),
            members: 7,
            block_end_ms: Some(NOW + 86_400_000),
            day_end_ms: Some(NOW - 3_600_000),
            stepped_ms: NOW - 1_800_000,
            allocated: 0.0,
        }),
    }
}

struct Running {
    base: String,
    stop: CancellationToken,
    server: Server,
}

fn config() -> HttpConfig {
    HttpConfig {
        listen_address: [127, 0, 0, 1].into(),
        port: 0,
        request_timeout_ms: 10_000,
        health_timeout_ms: 50,
        max_body_kb: 1,
        max_media_kb: 2,
        public_names: vec!["sg-ai.example".to_owned()],
        base_path: "/trade".to_owned(),
        trusted_proxies: vec!["127.0.0.2".to_owned()],
        max_connections: 8,
        client_timeout_ms: 10_000,
        service_port: 0,
        max_page_size: 1_000,
        max_backtests: 2,
        max_backtest_candles: 500_000,
        backtest_timeout_s: 120,
        client_token: None,
        client_posts_per_minute: 100,
        max_client_strategies: 100,
        targets: targets::Targets {
            live_strategies: 3,
            mean_fitness: 40.0,
            promotions_per_30_days: 1,
            demotions_per_30_days: 0,
            failed_backtests: 0.01,
        },
        action_token: None,
    }
}

async fn start(readings: Fake) -> Running {
    let config = config();
    let limits = Limits { generation_interval_s: 3600, shadow_interval_s: 900, work_lease_s: Some(30) };
    let app = router(Arc::new(readings), None, &config, limits, Arc::new(ManualClock::at(NOW)));
    let stop = CancellationToken::new();
    let server = Server::start(&config, 0, app, stop.clone()).await.unwrap();
    Running { base: format!("http://{}", server.address()), stop, server }
}

impl Running {
    async fn get(&self, path: &str) -> (u16, String) {
        let response = client().get(format!("{}{path}", self.base)).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    async fn json(&self, path: &str) -> (u16, serde_json::Value) {
        let (status, text) = self.get(path).await;
        (status, serde_json::from_str(&text).unwrap())
    }
}

fn client() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::new()
}

#[tokio::test]
async fn a_healthy_daemon_says_so_in_every_route() {
    let running = start(Fake::Good).await;
    let (status, health) = running.json("/sg-ai/health").await;
    assert_eq!((status, &health["status"]), (200, &"healthy".into()), "{health}");
    assert_eq!(health["last_generation"], "2025-11-29T20:44:55Z");
    for route in ROUTES.iter().filter(|route| route.starts_with("/sg-ai/") || ["/health", "/metrics"].contains(route)) {
        assert_eq!(running.get(route).await.0, 200, "{route}");
    }
    let (_, check) = running.json("/sg-ai/health/candles").await;
    assert_eq!((&check["status"], &check["age_s"]), (&"healthy".into(), &61.0.into()));
}

#[tokio::test]
async fn stats_have_their_own_form() {
    let running = start(Fake::Good).await;
    insta::assert_json_snapshot!(running.json("/sg-ai/stats").await.1);
}

#[tokio::test]
async fn without_a_database_health_is_503_while_the_process_lives() {
    for (readings, why) in [(Fake::Refuses, "connection refused"), (Fake::Hangs, "no answer within 50 ms")] {
        let running = start(readings).await;
        let (status, health) = running.json("/sg-ai/health").await;
        assert_eq!((status, &health["status"]), (503, &"unhealthy".into()));
        assert!(health["checks"]["database"]["detail"].as_str().unwrap().contains(why), "{health}");
        assert_eq!(running.get("/sg-ai/health/database").await.0, 503);
        assert_eq!(running.get("/sg-ai/health/shadow").await.0, 503);
        assert_eq!(running.get("/sg-ai/health/live").await.0, 200);
        assert_eq!(running.get("/sg-ai/stats").await.0, 503);
        let (status, metrics) = running.get("/metrics").await;
        assert_eq!(status, 200);
        assert!(metrics.contains("sg_ai_database_up 0\n"));
    }
}

#[tokio::test]
async fn wrong_requests_get_problems() {
    let running = start(Fake::Good).await;
    let (status, problem) = running.json("/nothing").await;
    assert_eq!((status, &problem["status"], &problem["title"]), (404, &404.into(), &"Not Found".into()));
    assert!(problem["detail"].as_str().unwrap().contains("/sg-ai/health"));

    let post = client().post(format!("{}/sg-ai/stats", running.base)).send().await.unwrap();
    assert_eq!(post.status(), 405);
    assert_eq!(post.headers()["content-type"], "application/problem+json");

    let large = client().post(format!("{}/sg-ai/stats", running.base)).body(vec![b'x'; 2048]).send().await.unwrap();
    assert_eq!(large.status(), 413);
}

#[tokio::test]
async fn a_defect_is_one_answer_and_not_the_end() {
    let running = start(Fake::Panics).await;
    let (status, problem) = running.json("/sg-ai/health").await;
    assert_eq!((status, &problem["title"]), (500, &"Internal Server Error".into()));
    assert_eq!(running.get("/health").await.0, 200);
}

#[tokio::test]
async fn it_stops_when_asked_and_names_an_address_it_cannot_have() {
    let running = start(Fake::Good).await;
    assert_eq!(running.get("/health").await.0, 200);
    let address = running.server.address();
    let taken = HttpConfig { listen_address: address.ip(), ..config() };
    let error = Server::start(&taken, address.port(), Router::new(), CancellationToken::new()).await.err().unwrap();
    assert!(error.to_string().starts_with(&format!("cannot listen on {address}")), "{error}");

    running.stop.cancel();
    running.server.drain(Duration::from_secs(10)).await;
    assert!(client().get(format!("{}/health", running.base)).send().await.is_err());
}

#[test]
fn mirrored_metrics_are_exactly_these() {
    let text = exposition::render(Some(&full()), NOW);
    insta::assert_snapshot!(text.replace(env!("CARGO_PKG_VERSION"), "VERSION"));
}

#[tokio::test]
async fn promtool_has_no_complaint() {
    let text = start(Fake::Good).await.get("/metrics").await.1;
    for metric in metrics::ALL.iter().filter(|metric| metric.mirrored) {
        assert!(text.contains(&format!("# TYPE {} ", metric.name)), "{} is not exposed", metric.name);
    }
    let spawned = std::process::Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut promtool) = spawned else {
        return tools::not_checked("promtool", "what Prometheus makes of the metrics");
    };
    promtool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.trim().is_empty(), "{said}\n{text}");
}
