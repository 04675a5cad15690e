//! The candle cache in a bucket, chosen by configuration alone, against a small S3 of our own.

use crate::support::{APRIL_MS, provenance, run, symbol};
use axum::body::{Body, Bytes};
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, Method, Response, StatusCode};
use axum::{Router, routing::any};
use sg_ai::market::cache::CandleCache;
use sg_ai::market::{Interval, MarketConfig, MarketKind, snapshot};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

type Objects = Arc<Mutex<BTreeMap<String, Bytes>>>;

/// Answers as S3 does to what the cache asks: get, ranges, put, copy, delete, list.
async fn serve(
    State(objects): State<Objects>,
    method: Method,
    path: Option<Path<String>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let path = path.map(|Path(path)| path).unwrap_or_default();
    let key = path.trim_start_matches("bucket").trim_start_matches('/').to_owned();
    let mut objects = objects.lock().unwrap();
    let answer = |status: StatusCode| {
        Response::builder()
            .status(status)
            .header("ETag", "\"e\"")
            .header("Last-Modified", "Sat, 21 Nov 2026 06:00:00 GMT")
    };
    let missing = || {
        let text = "<?xml version=\"1.0\"?><Error><Code>NoSuchKey</Code></Error>";
        answer(StatusCode::NOT_FOUND).body(Body::from(text)).unwrap()
    };
    match method {
        Method::GET if key.is_empty() => {
            let query = query.unwrap_or_default();
            let pairs: BTreeMap<String, String> = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
            let prefix = pairs.get("prefix").cloned().unwrap_or_default();
            let (mut contents, mut dirs) = (String::new(), std::collections::BTreeSet::new());
            for (key, bytes) in objects.iter().filter(|(key, _)| key.starts_with(&prefix)) {
                match key[prefix.len()..].split_once('/').filter(|_| pairs.contains_key("delimiter")) {
                    Some((dir, _)) => drop(dirs.insert(format!("{prefix}{dir}/"))),
                    None => contents.push_str(&format!(
                        "<Contents><Key>{key}</Key><LastModified>2026-11-21T06:00:00.000Z</LastModified><ETag>e</ETag>\
                         <Size>{}</Size></Contents>",
                        bytes.len()
                    )),
                }
            }
            let dirs: String =
                dirs.iter().map(|d| format!("<CommonPrefixes><Prefix>{d}</Prefix></CommonPrefixes>")).collect();
            let text = format!(
                "<?xml version=\"1.0\"?><ListBucketResult><Name>bucket</Name>{contents}{dirs}</ListBucketResult>"
            );
            answer(StatusCode::OK).body(Body::from(text)).unwrap()
        }
        Method::GET | Method::HEAD => {
            let Some(bytes) = objects.get(&key).cloned() else { return missing() };
            let range =
                headers.get("range").and_then(|r| r.to_str().ok()?.strip_prefix("bytes=-")?.parse::<usize>().ok());
            match range {
                None => answer(StatusCode::OK).header("Content-Length", bytes.len()).body(Body::from(bytes)).unwrap(),
                Some(n) => {
                    let from = bytes.len().saturating_sub(n);
                    let stated = format!("bytes {from}-{}/{}", bytes.len() - 1, bytes.len());
                    let part = bytes.slice(from..);
                    answer(StatusCode::PARTIAL_CONTENT).header("Content-Range", stated).body(Body::from(part)).unwrap()
                }
            }
        }
        Method::PUT => {
            let bytes = match headers.get("x-amz-copy-source") {
                Some(from) => {
                    objects[from.to_str().unwrap().trim_start_matches("/bucket/").trim_start_matches("bucket/")].clone()
                }
                None => body,
            };
            objects.insert(key, bytes);
            let text = "<CopyObjectResult><ETag>e</ETag></CopyObjectResult>";
            answer(StatusCode::OK).body(Body::from(text)).unwrap()
        }
        Method::DELETE => {
            objects.remove(&key);
            answer(StatusCode::NO_CONTENT).body(Body::empty()).unwrap()
        }
        _ => answer(StatusCode::BAD_REQUEST).body(Body::empty()).unwrap(),
    }
}

#[tokio::test]
async fn a_bucket_holds_what_a_directory_holds() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let objects = Objects::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let app = Router::new().route("/", any(serve)).route("/{*path}", any(serve)).with_state(Arc::clone(&objects));
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    let config = MarketConfig {
        cache_url: Some("s3://bucket/our/candles".to_owned()),
        s3_endpoint: Some(endpoint.parse().unwrap()),
        s3_access_key_id: Some("key".to_owned().into()),
        s3_secret_access_key: Some("secret".to_owned().into()),
        ..MarketConfig::default()
    };
    let (dir, locks) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let bucket = CandleCache::open_configured(locks.path(), &config).unwrap();
    let local = CandleCache::open_configured(dir.path(), &MarketConfig::default()).unwrap();
    let (btc, series) = (symbol("BTCUSDT"), run(Interval::M15, APRIL_MS - 900_000 * 40, 4_000, 1));
    for cache in [&bucket, &local] {
        let report = cache.merge(MarketKind::Spot, &btc, &series, &provenance("x")).await.unwrap();
        assert_eq!(report.added, 4_000);
        let again = cache.merge(MarketKind::Spot, &btc, &series, &provenance("x")).await.unwrap();
        assert_eq!(again.unchanged, 4_000);
        assert_eq!(cache.load(MarketKind::Spot, &btc, Interval::M15, 0, i64::MAX).await.unwrap(), series);
        let hours = cache.load(MarketKind::Spot, &btc, Interval::H1, 0, i64::MAX).await.unwrap();
        assert_eq!(hours.len(), 1_000);
        snapshot::take(cache, Some("first"), APRIL_MS).await.unwrap();
    }
    assert_eq!(bucket.coverage().await.unwrap(), local.coverage().await.unwrap());
    assert_eq!(
        snapshot::find(&bucket, "current").await.unwrap().version,
        snapshot::find(&local, "first").await.unwrap().version
    );
    let key = "our/candles/spot/BTCUSDT/15m/2024-04.parquet";
    let stored = std::fs::read(dir.path().join("spot/BTCUSDT/15m/2024-04.parquet")).unwrap();
    assert_eq!(objects.lock().unwrap()[key], stored, "the same bytes in both places");

    objects.lock().unwrap().insert(key.to_owned(), Bytes::from_static(b"PAR1 gone"));
    let healed = bucket.merge(MarketKind::Spot, &btc, &series, &provenance("y")).await.unwrap();
    assert_eq!((healed.damaged, healed.added), (1, 2_880));
    assert_eq!(objects.lock().unwrap()[key], stored);
}
