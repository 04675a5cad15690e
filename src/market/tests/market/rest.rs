//! Binance's REST service against servers that answer, refuse, stumble and lie.

use crate::support::{APRIL_MS, QUARTER_MS, candle, symbol};
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{Response, StatusCode};
use candles::{Candle, Interval, MarketKind, Ticker};
use genome::random::Seed;
use market::simulator::{ExchangeConfig, FaultKind, FaultSpec, LimitSpec, SimulatedExchange};
use market::{Binance, Exchange, ExchangeError, MarketConfig};
use rand::RngExt;
use simulated::MarketSpec;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

const SPOT: MarketKind = MarketKind::Spot;
const UM: MarketKind = MarketKind::Um;

/// A scripted answer: status, headers, body. `Slow` never answers, `Cut` ends in the middle of the body.
#[derive(Clone, Debug)]
enum Answer {
    Say(u16, Vec<(&'static str, String)>, String),
    Slow,
    Cut,
}

/// A server on loopback that answers as Binance does; scripted answers to everything but exchange information come
/// first.
#[derive(Clone, Default)]
struct Server {
    script: Arc<Mutex<VecDeque<Answer>>>,
    asked: Arc<Mutex<Vec<String>>>,
    weight_limit: u32,
    used_weight: Arc<Mutex<Option<u32>>>,
}

fn say(status: u16, body: &str) -> Answer {
    Answer::Say(status, vec![], body.to_owned())
}

fn row(c: &Candle) -> String {
    format!(
        r#"[{},"{}","{}","{}","{}","{}",{},"{}",{},"{}","{}","0"]"#,
        c.open_time_ms,
        c.open,
        c.high,
        c.low,
        c.close,
        c.volume,
        c.close_time_ms,
        c.quote_volume,
        c.trade_count,
        c.taker_buy_volume,
        c.taker_buy_quote_volume
    )
}

impl Server {
    async fn start(weight_limit: u32, script: Vec<Answer>) -> (Self, String) {
        let server = Self { weight_limit, script: Arc::new(Mutex::new(script.into())), ..Self::default() };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let app = Router::new().fallback(handle).with_state(server.clone());
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        (server, url)
    }

    /// Requests so far, without those for exchange information.
    fn hits(&self) -> usize {
        self.asked.lock().unwrap().iter().filter(|path| !path.contains("exchangeInfo")).count()
    }
}

async fn handle(State(server): State<Server>, request: Request) -> Response<Body> {
    let path = request.uri().to_string();
    assert!(!request.headers().contains_key("x-mbx-apikey"), "a key must not travel in the clear");
    server.asked.lock().unwrap().push(path.clone());
    if path.contains("exchangeInfo") {
        let limit = server.weight_limit;
        let body = format!(
            r#"{{"timezone":"UTC","serverTime":1,"rateLimits":[{{"rateLimitType":"REQUEST_WEIGHT",
            "interval":"MINUTE","intervalNum":1,"limit":{limit}}}],"symbols":[{{"symbol":"BTCUSDT","status":"TRADING"}}]}}"#
        );
        return Response::new(Body::from(body));
    }
    let scripted = server.script.lock().unwrap().pop_front();
    let (status, headers, body) = match scripted {
        Some(Answer::Slow) => std::future::pending().await,
        Some(Answer::Cut) => {
            let begun = futures::stream::iter([Ok("[[1711929600000,"), Err(std::io::Error::other("cut"))]);
            return Response::new(Body::from_stream(begun));
        }
        Some(Answer::Say(status, headers, body)) => (status, headers, body),
        None if path.contains("/time") => (200, vec![], r#"{"serverTime":1711929600000}"#.to_owned()),
        None => {
            let query: Vec<(String, String)> =
                url::Url::parse(&format!("http://x{path}")).unwrap().query_pairs().into_owned().collect();
            let of = |name: &str| -> i64 { query.iter().find(|(k, _)| k == name).unwrap().1.parse().unwrap() };
            let first = (of("startTime") + QUARTER_MS - 1) / QUARTER_MS * QUARTER_MS;
            let times = (first..=of("endTime")).step_by(QUARTER_MS as usize).take(of("limit") as usize);
            let rows: Vec<String> = times.map(|t| row(&candle(Interval::M15, t, 1))).collect();
            (200, vec![], format!("[{}]", rows.join(",")))
        }
    };
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    if let Some(used) = *server.used_weight.lock().unwrap() {
        response.headers_mut().insert("X-MBX-USED-WEIGHT-1M", used.to_string().parse().unwrap());
    }
    for (name, value) in headers {
        response.headers_mut().insert(name, value.parse().unwrap());
    }
    response
}

fn config(url: &str) -> MarketConfig {
    MarketConfig {
        source: url.to_owned().try_into().unwrap(),
        timeout_s: 0.5,
        retry_delay_ms: 1,
        max_wait_s: 2,
        api_key: Some("secret-key".into()),
        ..MarketConfig::default()
    }
}

async fn ask(binance: &Binance) -> Result<Vec<Candle>, ExchangeError> {
    binance
        .klines(&Ticker::of(SPOT, &symbol("BTCUSDT")), Interval::M15, APRIL_MS, APRIL_MS + 9 * QUARTER_MS, 1_000)
        .await
}

#[tokio::test]
async fn candles_come_as_asked_for() {
    let (server, url) = Server::start(6_000, vec![]).await;
    let binance = Binance::new(&config(&url)).unwrap();
    let rows = ask(&binance).await.unwrap();
    assert_eq!(rows.len(), 10, "both bounds are included");
    assert_eq!(rows[3], candle(Interval::M15, APRIL_MS + 3 * QUARTER_MS, 1));
    assert_eq!(binance.server_time_ms(UM).await, Ok(APRIL_MS));
    let reversed = binance.klines(&Ticker::of(UM, &symbol("BTCUSDT")), Interval::M15, 2, 1, 10).await;
    assert_eq!(reversed, Ok(vec![]), "nothing is asked for nothing");
    let asked = server.asked.lock().unwrap().clone();
    assert_eq!(asked[0], "/api/v3/exchangeInfo", "the limits are known first");
    assert!(asked[1].starts_with("/api/v3/klines?symbol=BTCUSDT&interval=15m&startTime=1711929600000&endTime="));
    assert_eq!(asked[2..], ["/fapi/v1/time"]);
    assert_eq!(binance.hosts()[0].weight_limit, 6_000);
}

#[tokio::test]
async fn what_may_pass_is_tried_again() {
    let again = ("retry-after", "0".to_owned());
    let script = vec![
        Answer::Say(429, vec![again], r#"{"code":-1003,"msg":"Too many requests queued."}"#.to_owned()),
        say(503, ""),
        say(200, "<html><body>Bad gateway</body></html>"),
        Answer::Cut,
    ];
    let (server, url) = Server::start(6_000, script).await;
    let binance = Binance::new(&config(&url)).unwrap();
    assert_eq!(ask(&binance).await.unwrap().len(), 10);
    assert_eq!(server.hits(), 5);
    assert_eq!(binance.hosts()[0].failures, 0, "a success ends a row of failures");
}

#[tokio::test]
async fn what_cannot_pass_is_not_tried_again() {
    let script = vec![
        say(400, r#"{"code":-1121,"msg":"Invalid symbol."}"#),
        say(400, r#"{"code":-1120,"msg":"Invalid interval."}"#),
        say(451, r#"{"code":0,"msg":"Service unavailable from a restricted location according to 'b. Eligibility'"}"#),
    ];
    let (server, url) = Server::start(6_000, script).await;
    let binance = Binance::new(&config(&url)).unwrap();
    let unknown = ask(&binance).await.unwrap_err();
    assert_eq!(unknown, ExchangeError::UnknownSymbol { market: SPOT, symbol: "BTCUSDT".to_owned() });
    assert!(matches!(ask(&binance).await, Err(ExchangeError::InvalidRequest { code: -1120, .. })));
    assert!(matches!(ask(&binance).await, Err(ExchangeError::RestrictedLocation { .. })));
    assert_eq!(server.hits(), 3);
}

#[tokio::test]
async fn a_limit_or_a_ban_stops_every_request_to_the_host() {
    for (status, seconds) in [(429, "1000"), (418, "120")] {
        let wait = ("Retry-After", seconds.to_owned());
        let body = r#"{"code":-1003,"msg":"Way too much request weight used; IP banned until 1660090423228."}"#;
        let (server, url) = Server::start(6_000, vec![Answer::Say(status, vec![wait], body.to_owned())]).await;
        let binance = Binance::new(&config(&url)).unwrap();
        let first = ask(&binance).await.unwrap_err();
        assert_eq!(first.retry_after().unwrap().as_secs().to_string(), seconds);
        assert_eq!(matches!(first, ExchangeError::Banned { .. }), status == 418);
        let other = binance.server_time_ms(UM).await.unwrap_err();
        assert!(other.retry_after().unwrap().as_secs() > 100, "{other}");
        assert!(binance.clone().exchange_info(SPOT).await.is_err());
        assert_eq!(server.hits(), 1, "nothing was sent after it");
        assert!(binance.hosts()[0].stopped_for.is_some());
    }
}

#[tokio::test]
async fn bodies_that_are_no_answer_are_told_apart_from_data() {
    let script = vec![
        say(200, ""),
        say(200, "<!DOCTYPE html>"),
        say(200, r#"[[1711929600000,"1.0","#),
        say(200, r#"{"symbols":[]}"#),
        say(200, r#"[[1711929600000,1.0,2.0]]"#),
    ];
    let n = script.len();
    let (server, url) = Server::start(6_000, script).await;
    let binance = Binance::new(&MarketConfig { retries: 0, ..config(&url) }).unwrap();
    for _ in 0..n {
        let error = ask(&binance).await.unwrap_err();
        assert!(matches!(error, ExchangeError::MalformedBody { .. }), "{error}");
    }
    assert_eq!(server.hits(), n);
}

#[tokio::test]
async fn a_host_that_keeps_failing_is_left_alone() {
    let (server, url) = Server::start(6_000, vec![say(500, "oops"); 50]).await;
    let config = MarketConfig { breaker_failures: 3, retries: 10, breaker_cool_off_s: 3_600, ..config(&url) };
    let binance = Binance::new(&config).unwrap();
    let error = ask(&binance).await.unwrap_err();
    assert!(matches!(error, ExchangeError::CircuitOpen { .. }), "{error}");
    assert!(matches!(binance.server_time_ms(SPOT).await, Err(ExchangeError::CircuitOpen { .. })));
    assert_eq!(server.hits(), 3);
    assert!(binance.hosts()[0].circuit_open_for.is_some());
}

#[tokio::test]
async fn silence_and_absence_are_errors_of_their_own() {
    let (_server, url) = Server::start(6_000, vec![Answer::Slow]).await;
    let binance = Binance::new(&MarketConfig { retries: 0, ..config(&url) }).unwrap();
    assert!(matches!(ask(&binance).await, Err(ExchangeError::Timeout { .. })));
    assert_eq!(ask(&binance).await.unwrap().len(), 10);

    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let gone = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let binance = Binance::new(&MarketConfig { retries: 1, ..config(&gone) }).unwrap();
    let error = binance.server_time_ms(SPOT).await.unwrap_err();
    assert!(matches!(&error, ExchangeError::Unavailable { what, .. } if what.contains("refused")), "{error}");
}

#[tokio::test]
async fn the_weight_that_others_use_counts() {
    let (server, url) = Server::start(1_000, vec![]).await;
    *server.used_weight.lock().unwrap() = Some(499);
    let binance = Binance::new(&MarketConfig { max_wait_s: 0, weight_share: 0.5, ..config(&url) }).unwrap();
    assert!(ask(&binance).await.is_ok());
    let status = &binance.hosts()[0];
    assert_eq!((status.weight_used, status.weight_budget), (499, 500));
    let refused = ask(&binance).await.unwrap_err();
    assert!(matches!(refused, ExchangeError::RateLimited { .. }), "{refused}");
    assert_eq!(server.hits(), 1);
    assert!(binance.server_time_ms(SPOT).await.is_ok(), "a lighter one still fits");
}

/// Under more load than the share allows, from many tasks at once and with others at the same address, the exchange
/// never counts more than the share.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_used_weight_never_passes_the_share() {
    let market = MarketSpec::noise(Seed(5), APRIL_MS, &[symbol("BTCUSDT")]);
    let mut simulated = ExchangeConfig::new(market, APRIL_MS + 96 * QUARTER_MS);
    simulated.limits = LimitSpec { spot_weight_per_minute: 800, ..LimitSpec::default() };
    for kind in [FaultKind::Html, FaultKind::Truncated, FaultKind::Status502] {
        simulated.faults.push(FaultSpec::sometimes(kind, 0.05));
    }
    let exchange = SimulatedExchange::start(simulated).await.unwrap();
    let url = exchange.base_url();
    let patient = MarketConfig { breaker_failures: 1_000, ..config(&url) };
    let others = Binance::new(&MarketConfig { weight_share: 1.0, ..patient.clone() }).unwrap();
    while exchange.weight(SPOT).peak < 150 {
        let _ = ask(&others).await;
    }
    // What would have to wait for the next minute fails instead, so that this takes no minute.
    let ours = Binance::new(&MarketConfig { weight_share: 0.25, max_wait_s: 0, ..patient }).unwrap();
    let _ = ask(&ours).await;
    let asking = (0..600).map(|_| {
        let ours = ours.clone();
        tokio::spawn(async move { ask(&ours).await })
    });
    let answers = futures::future::join_all(asking).await;
    let held_back = answers.iter().filter(|a| matches!(a, Ok(Err(ExchangeError::RateLimited { .. })))).count();
    let weight = exchange.weight(SPOT);
    // Six times the share was asked for. Should a minute end meanwhile, two shares are answered at most.
    assert!(held_back >= 400, "{held_back}");
    assert!(weight.peak <= 200 && weight.refusals == 0, "{weight:?}");
    let host = &ours.hosts()[0];
    assert!(host.weight_used <= host.weight_budget && host.weight_budget == 200, "{host:?}");
}

/// Whatever a body is, the answer is candles or an error, and never a candle that was not asked for.
#[tokio::test]
async fn any_bytes_are_candles_or_an_error() {
    let (server, url) = Server::start(6_000, vec![]).await;
    let binance = Binance::new(&MarketConfig { retries: 0, breaker_failures: 1_000, ..config(&url) }).unwrap();
    let rows: Vec<String> = (0..3).map(|i| row(&candle(Interval::M15, APRIL_MS + i * QUARTER_MS, 1))).collect();
    let sound = format!("[{}]", rows.join(","));
    let mut rng = Seed(29).stream("bodies", 0);
    for i in 0..300 {
        let mut body = sound.clone().into_bytes();
        for _ in 0..rng.random_range(1..6) {
            let at = rng.random_range(0..body.len());
            body[at] = rng.random();
        }
        match i % 3 {
            0 => body.truncate(rng.random_range(0..body.len())),
            1 => body = (0..rng.random_range(0..200)).map(|_| rng.random()).collect(),
            _ => {}
        }
        server.script.lock().unwrap().push_back(Answer::Say(200, vec![], String::from_utf8_lossy(&body).into_owned()));
        if let Ok(candles) = ask(&binance).await {
            assert!(candles.len() <= 3 && candles.iter().all(|c| c.open.is_finite()), "{candles:?}");
        }
    }
    assert!(ask(&binance).await.is_ok(), "and the next sound answer counts");
}

#[test]
fn settings_are_checked_and_secrets_stay_secret() {
    let config = MarketConfig { api_key: Some("secret-key".into()), ..MarketConfig::default() };
    assert!(!format!("{config:?}").contains("secret-key"));
    assert!(!serde_json::to_string(&config).unwrap().contains("secret-key"));
    let binance = Binance::new(&config);
    assert!(!format!("{binance:?}").contains("secret-key"));
    let wrong = MarketConfig { weight_share: 2.0, ..MarketConfig::default() };
    assert_eq!(wrong.validate().unwrap_err().0, "weight_share");
    let parsed: Result<MarketConfig, _> = serde_json::from_str(r#"{"source":"ftp://x"}"#);
    assert!(parsed.unwrap_err().to_string().contains("neither \"binance\" nor the address"));
    assert!(serde_json::from_str::<MarketConfig>(r#"{"sauce":"binance"}"#).is_err());
}
