//! The server against clients that are silent, slow, greedy, from elsewhere, or no clients at all.

use super::*;
use crate::{extract::Body, quotas};
use axum::{body::Bytes, routing::post};
use std::{
    io,
    sync::atomic::{AtomicUsize, Ordering},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::mpsc,
};

/// Longer than anything here takes on a busy machine.
const AT_LAST: Duration = Duration::from_secs(60);

async fn serve(config: &HttpConfig, more: Router) -> Running {
    let limits = Limits { generation_interval_s: 3600, shadow_interval_s: 900, work_lease_s: Some(30) };
    let app = router(Arc::new(Fake::Good), None, config, limits, Arc::new(ManualClock::at(NOW)));
    let stop = CancellationToken::new();
    let server = Server::start(config, 0, more.merge(app), stop.clone()).await.unwrap();
    Running { base: format!("http://{}", server.address()), stop, server }
}

impl Running {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.server.address()).await.unwrap()
    }

    /// What a connection is sent until it is ended, after these bytes.
    async fn told(&self, bytes: &[u8]) -> Vec<u8> {
        let mut stream = self.connect().await;
        stream.write_all(bytes).await.unwrap();
        to_the_end(&mut stream).await
    }
}

/// Everything until the other side ends the connection, one way or another.
async fn to_the_end(stream: &mut TcpStream) -> Vec<u8> {
    let mut got = Vec::new();
    let _ = tokio::time::timeout(AT_LAST, stream.read_to_end(&mut got)).await.expect("it is ended");
    got
}

fn impatient() -> HttpConfig {
    HttpConfig { client_timeout_ms: 100, ..config() }
}

#[tokio::test]
async fn health_answers_whoever_sits_silently_on_the_connections() {
    let running = serve(&config(), Router::new()).await;
    let mut silent = Vec::new();
    for _ in 0..300 {
        silent.push(running.connect().await);
    }
    for route in ["/sg-ai/health/live", "/sg-ai/health", "/metrics", "/sg-ai/stats"] {
        assert_eq!(running.get(route).await.0, 200, "{route}");
    }
    // Half a head is silence, too.
    for stream in silent.iter_mut().rev().take(4) {
        stream.write_all(b"GET / HTTP/1.1\r\nHost: loc").await.unwrap();
    }
    assert_eq!(running.get("/sg-ai/health/live").await.0, 200);
    assert!(to_the_end(&mut silent[0]).await.is_empty(), "the oldest made room");
}

#[tokio::test]
async fn health_answers_while_every_connection_is_busy() {
    let busy = Arc::new(AtomicUsize::new(0));
    let (begun, count) = (Arc::clone(&busy), config().max_connections as usize);
    let wait = async move || {
        begun.fetch_add(1, Ordering::SeqCst);
        std::future::pending::<()>().await
    };
    let running = serve(&config(), Router::new().route("/wait", get(wait))).await;
    let mut streams = Vec::new();
    for _ in 0..count {
        let mut stream = running.connect().await;
        stream.write_all(b"GET /wait HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
        streams.push(stream);
    }
    let all = async {
        while busy.load(Ordering::SeqCst) < count {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(AT_LAST, all).await.unwrap();
    for _ in 0..3 {
        assert_eq!(running.get("/sg-ai/health/live").await.0, 200);
        assert_eq!(running.get("/metrics").await.0, 200);
    }
    let other = client().get(format!("{}/sg-ai/stats", running.base)).send().await.unwrap();
    assert_eq!((other.status().as_u16(), &other.headers()["connection"]), (503, &"close".parse().unwrap()));
    assert_eq!(other.headers()["x-content-type-options"], "nosniff");
    assert!(other.text().await.unwrap().contains("http.max_connections"));
    // And nobody who was busy was ended for it.
    for stream in &streams {
        let mut byte = [0];
        assert_eq!(stream.try_read(&mut byte).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }
}

#[tokio::test]
async fn a_slow_head_a_silent_connection_and_an_idle_one_are_ended() {
    let running = serve(&impatient(), Router::new()).await;
    for begun in ["", "G", "GET /health HTTP/1.1\r\nHost: localhost\r\nX: "] {
        let told = running.told(begun.as_bytes()).await;
        assert!(!told.starts_with(b"HTTP/1.1 200"), "{begun}");
    }
    let told = running.told(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    assert!(told.starts_with(b"HTTP/1.1 200"), "answered, kept for a moment, and then ended");
}

#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let read = post(async |Body(map): Body<serde_json::Map<String, serde_json::Value>>| map.len().to_string());
    let running = serve(&impatient(), Router::new().route("/read", read)).await;
    let head = "POST /read HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{";
    let told = String::from_utf8(running.told(head.as_bytes()).await).unwrap();
    assert!(told.starts_with("HTTP/1.1 408") && told.contains("http.client_timeout_ms"), "{told}");
}

#[tokio::test]
async fn an_answer_that_is_not_taken_is_dropped() {
    let (sender, mut dropped) = mpsc::channel::<()>(1);
    let endless = async move || {
        let parts = futures::stream::repeat_with(move || {
            // Held for as long as the answer is.
            let _held = &sender;
            Ok::<_, io::Error>(Bytes::from(vec![0; 1 << 16]))
        });
        axum::body::Body::from_stream(parts)
    };
    let running = serve(&impatient(), Router::new().route("/endless", get(endless))).await;
    let mut stream = running.connect().await;
    stream.write_all(b"GET /endless HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    running.stop.cancel();
    running.server.drain(AT_LAST).await;
    assert_eq!(tokio::time::timeout(AT_LAST, dropped.recv()).await.unwrap(), None);
}

#[tokio::test]
async fn http_1_is_all_that_is_spoken() {
    let running = serve(&impatient(), Router::new()).await;
    let told = running.told(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await;
    assert!(told.is_empty() || told.starts_with(b"HTTP/1.1 4"), "{}", String::from_utf8_lossy(&told));
    let upgrade = "GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\
                   HTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n";
    assert!(running.told(upgrade.as_bytes()).await.starts_with(b"HTTP/1.1 200"));
}

#[tokio::test]
async fn other_names_and_other_pages_are_refused() {
    let running = start(Fake::Good).await;
    let ask = async |method: Method, headers: &[(&str, &str)]| {
        let request = client().request(method, format!("{}/sg-ai/stats", running.base));
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    };
    let (status, why) = ask(Method::GET, &[("host", "rebound.example")]).await;
    assert!(status == 421 && why.contains("rebound.example") && why.contains("http.public_names"), "{status} {why}");
    assert_eq!(ask(Method::GET, &[("host", "sg-ai.example")]).await.0, 200);
    let (status, why) = ask(Method::POST, &[("origin", "http://evil.example")]).await;
    assert!(status == 403 && why.contains("evil.example"), "{status} {why}");
    let own = running.base.clone();
    assert_eq!(ask(Method::GET, &[("origin", &own)]).await.0, 200);
}

#[tokio::test]
async fn it_is_reached_below_a_path_and_believes_only_its_proxy() {
    let running = start(Fake::Good).await;
    for path in ["/trade/sg-ai/health/live", "/sg-ai/health/live"] {
        assert_eq!(running.get(path).await.0, 200, "{path}");
    }
    assert_eq!(running.get("/trade/nothing").await.0, 404);
    let straight = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let bare = straight.get(format!("{}/trade", running.base)).send().await.unwrap();
    assert_eq!((bare.status().as_u16(), &bare.headers()["location"]), (308, &"/trade/".parse().unwrap()));
    // From 127.0.0.2 calls the proxy of these settings, from 127.0.0.1 somebody else.
    for (from, said, status) in [
        ([127, 0, 0, 1], "rebound.example", 200),
        ([127, 0, 0, 2], "rebound.example", 421),
        ([127, 0, 0, 2], "sg-ai.example", 200),
    ] {
        let client = reqwest::Client::builder().local_address(std::net::IpAddr::from(from)).build().unwrap();
        let asked = client.get(format!("{}/sg-ai/stats", running.base)).header("x-forwarded-host", said);
        assert_eq!(asked.send().await.unwrap().status().as_u16(), status, "{said} from {from:?}");
    }
}

#[tokio::test]
async fn every_answer_has_the_headers_that_keep_it_harmless() {
    let running = start(Fake::Good).await;
    let large = vec![b'x'; 2048];
    for (method, path, host, body) in [
        (Method::GET, "/health", "localhost", &[][..]),
        (Method::GET, "/metrics", "localhost", &[]),
        (Method::GET, "/nothing", "localhost", &[]),
        (Method::POST, "/sg-ai/stats", "localhost", &[]),
        (Method::POST, "/sg-ai/stats", "localhost", &large),
        (Method::GET, "/health", "rebound.example", &[]),
    ] {
        let request = client().request(method.clone(), format!("{}{path}", running.base)).header("host", host);
        let response = request.body(body.to_vec()).send().await.unwrap();
        let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
        assert_eq!(header("x-content-type-options"), "nosniff", "{method} {path} {host}");
        let policy = header("content-security-policy");
        assert!(policy.contains("frame-ancestors 'none'") && policy.contains("sandbox"), "{method} {path}: {policy}");
        assert_eq!((header("x-frame-options"), header("referrer-policy")), ("DENY".into(), "no-referrer".into()));
    }
}

#[tokio::test]
async fn posts_need_the_token_and_are_counted() {
    let limited =
        HttpConfig { client_token: Some("0123456789abcdef".to_owned().into()), client_posts_per_minute: 3, ..config() };
    let posts = Router::new()
        .route("/strategies", post(async || "stored").get(async || "read"))
        .layer(from_fn_with_state(Arc::new(quotas::Clients::new(&limited)), quotas::admitted))
        .layer(from_fn(measure));
    let running = serve(&limited, posts).await;
    let ask = async |method: Method, token: &str| {
        let request = client().request(method, format!("{}/strategies", running.base)).header("authorization", token);
        request.send().await.unwrap()
    };
    let stranger = ask(Method::POST, "Bearer wrong").await;
    assert_eq!(
        (stranger.status().as_u16(), &stranger.headers()["www-authenticate"]),
        (401, &"Bearer realm=\"sg-ai\"".parse().unwrap())
    );
    for scheme in ["Bearer", "bearer", "BEARER"] {
        assert_eq!(ask(Method::POST, &format!("{scheme} 0123456789abcdef")).await.status(), 200, "{scheme}");
    }
    let more = ask(Method::POST, "Bearer 0123456789abcdef").await;
    assert_eq!((more.status().as_u16(), more.headers().contains_key("retry-after")), (429, true));
    assert_eq!(ask(Method::GET, "").await.status(), 200, "reading is not counted");
}
