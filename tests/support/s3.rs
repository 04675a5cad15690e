//! A small S3 of our own: one bucket, called `bucket`.

use axum::body::{Body, Bytes};
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, Method, Response, StatusCode};
use axum::{Router, routing::any};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// What lies in the bucket.
pub(crate) type Objects = Arc<Mutex<BTreeMap<String, Bytes>>>;

/// Starts it; its address, and what lies in the bucket.
pub(crate) async fn start() -> (String, Objects) {
    let objects = Objects::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let app = Router::new().route("/", any(serve)).route("/{*path}", any(serve)).with_state(Arc::clone(&objects));
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    (endpoint, objects)
}

/// Answers as S3 does to what is asked of it here: get, ranges, put, copy, delete, list.
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
