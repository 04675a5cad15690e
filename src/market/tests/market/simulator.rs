//! The simulated exchange over real HTTP: Binance's bodies, headers, limits and errors, and faults on request.

use candles::time::{DAY_MS, MINUTE_MS};
use candles::{Interval, MarketKind, Symbol};
use clock::ManualClock;
use genome::random::Seed;
use market::simulator::{ExchangeConfig, FaultKind, FaultSpec, LimitSpec, SimulatedExchange, demo_market};
use reqwest::{Response, StatusCode};
use serde_json::{Value, json};
use simulated::{EdgeSpec, MarketSpec};
use std::{sync::Arc, time::Duration};

/// 2024-01-01; the clock of these tests starts 20 days and 7.5 minutes later.
const START_MS: i64 = 1_704_067_200_000;
const NOW_MS: i64 = START_MS + 20 * DAY_MS + 450_000;

fn symbol(name: &str) -> Symbol {
    name.parse().expect("a symbol")
}

fn config() -> ExchangeConfig {
    let market = MarketSpec::noise(Seed(7), START_MS, &[symbol("BTCUSDT"), symbol("ARBUSDT")]);
    ExchangeConfig { speed: 0.0, ..ExchangeConfig::new(market, NOW_MS) }
}

struct Exchange {
    exchange: SimulatedExchange,
    client: reqwest::Client,
    wall: Arc<ManualClock>,
}

impl Exchange {
    async fn start(config: ExchangeConfig) -> Self {
        // Fails only when a provider is installed already, by another test.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let wall = Arc::new(ManualClock::at(30 * MINUTE_MS));
        let exchange = SimulatedExchange::start_at(config, wall.clone()).await.expect("a free port");
        Self { exchange, client: reqwest::Client::new(), wall }
    }
    async fn get(&self, path: &str) -> Response {
        self.client.get(format!("{}{path}", self.exchange.base_url())).send().await.expect("an answer")
    }
    async fn text(&self, path: &str) -> String {
        self.get(path).await.text().await.expect("a body")
    }
    async fn json(&self, path: &str) -> Value {
        serde_json::from_str(&self.text(path).await).expect("JSON")
    }
    /// Open times of a kline answer, in minutes since the market's start.
    async fn opens(&self, path: &str) -> Vec<i64> {
        let rows = self.json(path).await;
        let open = |row: &Value| row[0].as_i64().map(|ms| (ms - START_MS) / MINUTE_MS);
        rows.as_array().expect("rows").iter().map(|row| open(row).expect("an open time")).collect()
    }
}

fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response.headers().get(name).map(|value| value.to_str().expect("text")).unwrap_or_default()
}

#[tokio::test]
async fn klines_are_rows_of_twelve_as_binance_writes_them() {
    let e = Exchange::start(config()).await;
    let spot = e.text(&format!("/api/v3/klines?symbol=ARBUSDT&interval=1h&startTime={START_MS}&limit=2")).await;
    let um = e.text(&format!("/fapi/v1/klines?symbol=ARBUSDT&interval=1h&startTime={START_MS}&limit=2")).await;
    insta::assert_snapshot!("spot_klines", spot);
    insta::assert_snapshot!("um_klines", um);
    // The same candles as in process, to the last bit.
    let market = e.exchange.market();
    let series = market.candles(&symbol("ARBUSDT"), Interval::H1, START_MS, START_MS + 7_200_000).unwrap();
    for (row, candle) in serde_json::from_str::<Value>(&spot).unwrap().as_array().unwrap().iter().zip(series.candles())
    {
        let number = |i: usize| row[i].as_str().unwrap().parse::<f64>().unwrap();
        assert_eq!((row[0].as_i64(), row[6].as_i64()), (Some(candle.open_time_ms), Some(candle.close_time_ms)));
        let prices = [candle.open, candle.high, candle.low, candle.close, candle.volume];
        assert_eq!([number(1), number(2), number(3), number(4), number(5)], prices);
        assert_eq!((number(7), row[8].as_u64()), (candle.quote_volume, Some(candle.trade_count)));
        assert_eq!((number(9), number(10)), (candle.taker_buy_volume, candle.taker_buy_quote_volume));
    }
}

#[tokio::test]
async fn ranges_limits_and_the_open_candle_follow_binance() {
    let e = Exchange::start(config()).await;
    let now = 20 * 1_440; // minutes; the clock shows 7.5 minutes more
    // Without times: the newest rows, the last of them still open.
    let newest = e.opens("/api/v3/klines?symbol=BTCUSDT&interval=15m").await;
    assert_eq!((newest.len(), newest[0], newest[499]), (500, now - 499 * 15, now));
    assert!(newest.windows(2).all(|w| w[1] - w[0] == 15));
    let row = &e.json("/api/v3/klines?symbol=BTCUSDT&interval=15m&limit=1").await[0];
    assert_eq!(row[6].as_i64(), Some(START_MS + (now + 15) * MINUTE_MS - 1));
    // Both ends included; a range wider than the limit gives its first rows.
    let ms = |minutes: i64| START_MS + minutes * MINUTE_MS;
    let range = |from: i64, to: i64, rest: &str| {
        format!("/api/v3/klines?symbol=BTCUSDT&interval=15m&startTime={}&endTime={}{rest}", ms(from), ms(to))
    };
    assert_eq!(e.opens(&range(15, 45, "")).await, [15, 30, 45]);
    assert_eq!(e.opens(&range(0, now, "")).await.len(), 500);
    assert_eq!(e.opens(&range(0, now, "&limit=5000")).await.len(), 1_000);
    assert_eq!(e.opens(&range(1, 29, "")).await, [15]);
    assert_eq!(e.opens(&range(45, 15, "")).await, [0; 0]);
    assert_eq!(e.opens(&range(-100_000, 20, "")).await, [0, 15]);
    assert_eq!(e.opens(&range(now + 15, now + 500, "")).await, [0; 0]);
    let until = format!("/api/v3/klines?symbol=BTCUSDT&interval=15m&endTime={}&limit=2", ms(31));
    assert_eq!(e.opens(&until).await, [15, 30]);
    // Seconds in place of milliseconds: an empty answer, as from Binance.
    let seconds = "/api/v3/klines?symbol=BTCUSDT&interval=15m&startTime=1704067200&endTime=1704070800";
    assert_eq!(e.opens(seconds).await, [0; 0]);
    // Weeks open on Monday, which 2024-01-01 was; months on their first.
    assert_eq!(e.opens("/fapi/v1/klines?symbol=BTCUSDT&interval=1w").await, [0, 10_080, 20_160]);
    assert_eq!(e.opens("/fapi/v1/klines?symbol=BTCUSDT&interval=1M").await, [0]);
}

#[tokio::test]
async fn errors_have_their_codes_cost_weight_and_say_so() {
    let e = Exchange::start(config()).await;
    let unknown = e.get("/api/v3/klines?symbol=NOSUCHUSDT&interval=1h").await;
    assert_eq!(unknown.status(), StatusCode::BAD_REQUEST);
    assert_eq!((header(&unknown, "x-mbx-used-weight-1m"), header(&unknown, "x-mbx-used-weight")), ("2", "2"));
    assert_eq!(unknown.text().await.unwrap(), r#"{"code":-1121,"msg":"Invalid symbol."}"#);
    let finer = e.get("/fapi/v1/klines?symbol=BTCUSDT&interval=1m").await;
    assert_eq!((finer.status(), header(&finer, "x-mbx-used-weight-1m")), (StatusCode::BAD_REQUEST, "5"));
    assert_eq!(header(&finer, "x-mbx-used-weight"), "", "USD-M sends the one with the interval only");
    assert_eq!(finer.text().await.unwrap(), r#"{"code":-1120,"msg":"Invalid interval."}"#);
    assert_eq!(e.get("/api/v9/klines").await.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn the_small_endpoints_answer() {
    let e = Exchange::start(config()).await;
    for base in ["/api/v3", "/fapi/v1"] {
        assert_eq!(e.text(&format!("{base}/ping")).await, "{}");
        assert_eq!(e.json(&format!("{base}/time")).await, json!({ "serverTime": NOW_MS }));
    }
    let spot = e.json("/api/v3/exchangeInfo").await;
    let limit = json!({ "rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 6000 });
    assert_eq!(spot["rateLimits"][0], limit);
    assert_eq!(spot["symbols"][0]["symbol"], "BTCUSDT");
    assert_eq!(spot["symbols"][0]["baseAsset"], "BTC");
    assert_eq!(spot["symbols"][0]["filters"][0]["tickSize"], "0.01000000");
    let one = e.json("/api/v3/exchangeInfo?symbol=ARBUSDT").await;
    assert_eq!(one["symbols"].as_array().map(Vec::len), Some(1));
    let um = e.json("/fapi/v1/exchangeInfo?symbol=ARBUSDT").await;
    assert_eq!((um["futuresType"].as_str(), um["symbols"].as_array().map(Vec::len)), (Some("U_MARGINED"), Some(2)));
    let funding = e.json("/fapi/v1/fundingRate?symbol=BTCUSDT&limit=3").await;
    let hours = |i: usize| (funding[i]["fundingTime"].as_i64().unwrap() - START_MS) / 3_600_000;
    assert_eq!([hours(0), hours(1), hours(2)], [464, 472, 480]);
    assert!(funding[0]["fundingRate"].as_str().unwrap().parse::<f64>().unwrap().abs() < 0.004);
}

#[tokio::test]
async fn the_clock_runs_at_its_speed_and_candles_with_it() {
    let e = Exchange::start(ExchangeConfig { speed: 43_200.0, ..config() }).await;
    let time = async || e.json("/api/v3/time").await["serverTime"].as_i64().unwrap();
    assert_eq!(time().await, NOW_MS);
    e.wall.advance(2_000);
    assert_eq!(time().await, NOW_MS + DAY_MS);
    let newest = e.opens("/api/v3/klines?symbol=BTCUSDT&interval=15m&limit=1").await;
    assert_eq!(newest, [21 * 1_440]);
    let url = format!("{}/sim/clock", e.exchange.base_url());
    let post = async |body: Value| e.client.post(&url).json(&body).send().await.unwrap().json::<Value>().await.unwrap();
    let changed = post(json!({ "day_seconds": 86_400.0, "advance_ms": 5 })).await;
    assert_eq!(changed, json!({ "now_ms": NOW_MS + DAY_MS + 5, "speed": 1.0 }));
    e.wall.advance(10);
    assert_eq!(time().await, NOW_MS + DAY_MS + 15);
    let status = e.json("/sim/status").await;
    assert_eq!((status["seed"].as_u64(), status["requests"].as_u64()), (Some(7), Some(4)));
}

#[tokio::test]
async fn beyond_the_limit_comes_429_and_for_going_on_418() {
    let limits =
        LimitSpec { spot_weight_per_minute: 10, refusals_before_ban: 1, ban_ms: 90_000, ..LimitSpec::default() };
    let e = Exchange::start(ExchangeConfig { limits, ..config() }).await;
    let klines = "/api/v3/klines?symbol=BTCUSDT&interval=1h&limit=1";
    for used in ["2", "4", "6", "8", "10"] {
        let answer = e.get(klines).await;
        assert_eq!((answer.status(), header(&answer, "x-mbx-used-weight-1m")), (StatusCode::OK, used));
    }
    e.wall.advance(20_000);
    let refused = e.get(klines).await;
    assert_eq!((refused.status().as_u16(), header(&refused, "retry-after")), (429, "40"));
    let body: Value = refused.json().await.unwrap();
    assert_eq!(body["code"], -1003);
    assert!(body["msg"].as_str().unwrap().contains("current limit is 10 request weight per 1 MINUTE"));
    let banned = e.get(klines).await;
    assert_eq!((banned.status().as_u16(), header(&banned, "retry-after")), (418, "90"));
    let until = 30 * MINUTE_MS + 20_000 + 90_000;
    assert!(banned.text().await.unwrap().contains(&format!("IP banned until {until}.")));
    // The other market counts for itself; the ban outlasts the minute and ends.
    assert_eq!(e.get("/fapi/v1/ping").await.status(), StatusCode::OK);
    e.wall.advance(89_999);
    assert_eq!(e.get("/api/v3/ping").await.status().as_u16(), 418);
    e.wall.advance(1);
    assert_eq!(e.get("/api/v3/ping").await.status(), StatusCode::OK);
}

#[tokio::test]
async fn answers_fail_as_told() {
    let e = Exchange::start(config()).await;
    let klines = "/api/v3/klines?symbol=BTCUSDT&interval=1h&limit=3";
    let whole = e.text(klines).await;
    let once = |kind| FaultSpec { times: Some(1), endpoint: Some("klines".to_owned()), ..FaultSpec::always(kind) };
    let struck = async |kind| {
        e.exchange.add_fault(once(kind));
        assert_eq!(e.get("/api/v3/ping").await.status(), StatusCode::OK, "another endpoint");
        let answer = e.get(klines).await;
        let retry = header(&answer, "retry-after").to_owned();
        (answer.status().as_u16(), retry, answer.text().await.unwrap())
    };
    let (status, retry, body) = struck(FaultKind::TooManyRequests).await;
    assert_eq!((status, retry.as_str(), body.contains("-1003")), (429, "1", true));
    let (status, retry, body) = struck(FaultKind::Banned).await;
    assert_eq!((status, retry.as_str(), body.contains("IP banned until")), (418, "2", true));
    let (status, _, body) = struck(FaultKind::Status500).await;
    assert_eq!((status, body.contains("-1000")), (500, true));
    let (status, _, body) = struck(FaultKind::Status502).await;
    assert_eq!((status, body.starts_with("<html>")), (502, true));
    assert_eq!(struck(FaultKind::Status503).await, (503, String::new(), String::new()));
    let (status, _, body) = struck(FaultKind::Html).await;
    assert_eq!((status, body.starts_with("<html>")), (200, true));
    assert_eq!(struck(FaultKind::Empty).await, (200, String::new(), String::new()));
    let (status, _, body) = struck(FaultKind::Truncated).await;
    assert_eq!((status, body.len()), (200, whole.len() / 2));
    assert!(whole.starts_with(&body));
    // All are used up.
    assert_eq!(e.text(klines).await, whole);
    let list = e.json("/sim/faults").await;
    assert!(list.as_array().unwrap().iter().all(|fault| fault["struck"] == 1), "{list}");
}

#[tokio::test]
async fn a_hanging_answer_neither_comes_nor_keeps_the_exchange_from_stopping() {
    let e = Exchange::start(config()).await;
    e.exchange.add_fault(FaultSpec { delay_ms: Some(3_600_000), ..FaultSpec::always(FaultKind::Hang) });
    let url = format!("{}/api/v3/time", e.exchange.base_url());
    let waited = e.client.get(&url).timeout(Duration::from_millis(200)).send().await;
    assert!(waited.is_err_and(|error| error.is_timeout()));
    let hanging = tokio::spawn(e.client.get(&url).send());
    while e.exchange.requests() < 2 {
        tokio::task::yield_now().await;
    }
    e.exchange.stop().await;
    let answer = hanging.await.unwrap().unwrap();
    assert_eq!(answer.status(), StatusCode::GATEWAY_TIMEOUT);
}

#[tokio::test]
async fn faults_come_from_the_seed_and_not_from_the_order_of_requests() {
    let faulty = || {
        let faults = vec![FaultSpec::sometimes(FaultKind::Status503, 0.4)];
        Exchange::start(ExchangeConfig { faults, ..config() })
    };
    let (a, b) = (faulty().await, faulty().await);
    let paths: Vec<String> = (1..=30).map(|n| format!("/api/v3/klines?symbol=BTCUSDT&interval=1h&limit={n}")).collect();
    let mut first = Vec::new();
    for path in &paths {
        first.push((a.get(path).await.status(), a.get(path).await.status()));
    }
    let mut second = vec![None; paths.len()];
    for (i, path) in paths.iter().enumerate().rev() {
        second[i] = Some(b.get(path).await.status());
    }
    let again: Vec<_> = {
        let mut out = Vec::new();
        for (path, before) in paths.iter().zip(&second) {
            out.push((before.unwrap(), b.get(path).await.status()));
        }
        out
    };
    assert_eq!(first, again);
    let failed = first.iter().filter(|(status, _)| *status != StatusCode::OK).count();
    assert!((5..=20).contains(&failed), "{failed} of 30");
}

#[tokio::test]
async fn candles_are_missing_late_or_revised_as_told() {
    let e = Exchange::start(config()).await;
    let ms = |minutes: i64| START_MS + minutes * MINUTE_MS;
    let day = |interval: &str| {
        format!("/api/v3/klines?symbol=BTCUSDT&interval={interval}&startTime={}&endTime={}", ms(0), ms(1_439))
    };
    let (fine, hours) = (e.text(&day("15m")).await, e.json(&day("1h")).await);
    // A gap is one in all intervals, and for ever; limits count rows, not time.
    let hour_two = |kind| FaultSpec { from_ms: Some(ms(120)), to_ms: Some(ms(180)), ..FaultSpec::always(kind) };
    e.exchange.add_fault(FaultSpec { symbol: Some(symbol("BTCUSDT")), ..hour_two(FaultKind::Gap) });
    let left = e.opens(&day("15m")).await;
    assert_eq!((left.len(), left[7], left[8]), (92, 105, 180));
    assert_eq!(e.opens(&day("1h")).await[..3], [0, 60, 180]);
    assert_eq!(e.opens(&format!("{}&limit=9", day("15m"))).await.last(), Some(&180));
    assert_eq!(e.opens(&day("15m").replace("BTC", "ARB")).await.len(), 96);
    e.exchange.clear_faults();
    assert_eq!(e.text(&day("15m")).await, fine);
    // Some of a coarser candle missing: made from the rest.
    e.exchange.add_fault(FaultSpec { to_ms: Some(ms(135)), ..hour_two(FaultKind::Gap) });
    let partly = e.json(&day("1h")).await;
    assert_eq!(partly.as_array().map(Vec::len), Some(24));
    assert_ne!(partly[2], hours[2]);
    assert_eq!((&partly[1], &partly[3], &partly[2][4]), (&hours[1], &hours[3], &hours[2][4]));
    e.exchange.clear_faults();
    // Late: not there yet, then there.
    let newest = "/api/v3/klines?symbol=BTCUSDT&interval=15m&limit=3";
    let now = 20 * 1_440;
    e.exchange.add_fault(FaultSpec {
        from_ms: Some(ms(now - 15)),
        to_ms: Some(ms(now)),
        delay_ms: Some(20 * MINUTE_MS),
        ..FaultSpec::always(FaultKind::Late)
    });
    assert_eq!(e.opens(newest).await, [now - 45, now - 30, now]);
    e.exchange.clock().advance(13 * MINUTE_MS);
    assert_eq!(e.opens(newest).await, [now - 15, now, now + 15]);
    e.exchange.clear_faults();
    // Revised: other values at first, the right ones later; possible candles both times.
    let at = format!("/api/v3/klines?symbol=BTCUSDT&interval=15m&startTime={}&limit=1", ms(now));
    e.exchange.clock().advance(10 * MINUTE_MS);
    let right = e.json(&at).await;
    e.exchange.add_fault(FaultSpec { from_ms: Some(ms(now)), ..FaultSpec::always(FaultKind::Revised) });
    let wrong = e.json(&at).await;
    assert_eq!((&wrong[0][0], &wrong[0][1]), (&right[0][0], &right[0][1]));
    assert_ne!(wrong[0][4], right[0][4]);
    let number = |i: usize| wrong[0][i].as_str().unwrap().parse::<f64>().unwrap();
    assert!(number(2) >= number(4) && number(3) <= number(4) && number(5) > 0.0);
    e.exchange.clock().advance(61 * MINUTE_MS);
    assert_eq!(e.json(&at).await, right);
}

#[tokio::test]
async fn faults_are_added_listed_and_ended_over_http() {
    let e = Exchange::start(config()).await;
    let url = format!("{}/sim/faults", e.exchange.base_url());
    let fault = json!({ "kind": "status_500", "probability": 1.0, "times": 2 });
    let added = e.client.post(&url).json(&fault).send().await.unwrap();
    assert_eq!(added.status(), StatusCode::CREATED);
    assert_eq!(e.get("/fapi/v1/time").await.status().as_u16(), 500);
    let list = e.json("/sim/faults").await;
    assert_eq!((list[0]["fault"]["kind"].as_str(), list[0]["struck"].as_u64()), (Some("status_500"), Some(1)));
    e.client.delete(&url).send().await.unwrap();
    assert_eq!(e.get("/fapi/v1/time").await.status(), StatusCode::OK);
    let unknown = e.client.post(&url).json(&json!({ "kind": "earthquake" })).send().await.unwrap();
    assert!(unknown.status().is_client_error());
}

#[test]
fn faults_and_edges_are_read_from_text() {
    let fault: FaultSpec = "late:0.25:symbol=BTCUSDT,delay_ms=5000,endpoint=klines".parse().unwrap();
    let expected = FaultSpec {
        symbol: Some(symbol("BTCUSDT")),
        delay_ms: Some(5_000),
        endpoint: Some("klines".to_owned()),
        ..FaultSpec::sometimes(FaultKind::Late, 0.25)
    };
    assert_eq!(fault, expected);
    assert_eq!("gap".parse(), Ok(FaultSpec::always(FaultKind::Gap)));
    for wrong in ["earthquake", "gap:2", "gap:0.5:when=now", "gap:0.5:times=x", "gap:0.5:times"] {
        assert!(wrong.parse::<FaultSpec>().is_err(), "{wrong}");
    }
    let edge: EdgeSpec = "momentum:BTCUSDT+ETHUSDT:7.5::2024-02-01:10:-0.5".parse().unwrap();
    assert_eq!((edge.symbols.len(), edge.sharpe, edge.start_ms), (2, 7.5, 0));
    assert_eq!((edge.end_ms, edge.decay_ms, edge.residual), (Some(START_MS + 31 * DAY_MS), 10 * DAY_MS, -0.5));
    for wrong in ["momentum", "magic:BTCUSDT:3", "momentum:BTCUSDT:x", "momentum:BTCUSDT:3:soon", "a:b:1:::1:1:1"] {
        let error = wrong.parse::<EdgeSpec>().unwrap_err().to_string();
        assert!(error.contains(wrong) && error.contains("expected KIND:SYMBOL"), "{error}");
    }
}

#[tokio::test]
async fn the_demos_market_starts() {
    let e = Exchange::start(demo_market(7)).await;
    let rows = e.json("/api/v3/klines?symbol=SOLUSDT&interval=15m&limit=1000").await;
    assert_eq!(rows.as_array().map(Vec::len), Some(1_000));
    assert_eq!(MarketKind::default(), MarketKind::Spot);
}
