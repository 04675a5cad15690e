//! Answers that many ask for at once, computed once and handed out for a moment: readers must not slow the search.

use axum::{
    body::{Body, Bytes, to_bytes},
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use sha2::{Digest, Sha256};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// How long an answer is handed out at least.
const SHARED_FOR: Duration = Duration::from_secs(1);
/// It is handed out for so many times as long as it took to make: no answer, however many ask for it, takes more than
/// this share of the time.
const TIMES: u32 = 20;
/// But no longer than this.
const SHARED_AT_MOST: Duration = Duration::from_secs(10);
/// The same of what is computed from candles.
const COMPUTED_FOR: Duration = Duration::from_secs(30);
/// Answers kept at most; all are dropped when there are more.
const MOST: usize = 256;
/// Answers above this are not kept, bytes.
const LARGEST: usize = 32 << 20;

/// An answer, and until when it is handed out.
struct Kept {
    until: Instant,
    headers: HeaderMap,
    bytes: Bytes,
}

impl Kept {
    /// The answer; without its body for who has it already.
    fn answer(&self, known: Option<&HeaderValue>) -> Response {
        if known.is_some_and(|known| self.headers.get(header::ETAG) == Some(known)) {
            let mut headers = self.headers.clone();
            headers.remove(header::CONTENT_LENGTH);
            return (StatusCode::NOT_MODIFIED, headers).into_response();
        }
        (self.headers.clone(), Body::from(self.bytes.clone())).into_response()
    }
}

type Slot = Arc<tokio::sync::Mutex<Option<Kept>>>;

/// The answers, by whether they are compressed and by path and query.
#[derive(Default)]
pub(super) struct ResponseCache(Mutex<HashMap<(bool, String), Slot>>);

impl ResponseCache {
    fn slot(&self, key: (bool, String)) -> Slot {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if slots.len() >= MOST && !slots.contains_key(&key) {
            slots.clear();
        }
        Arc::clone(slots.entry(key).or_default())
    }
}

/// Whoever changed something sees it at once: nothing that was put there before is handed out any more.
pub(super) async fn invalidating(
    State(response_cache): State<Arc<ResponseCache>>,
    request: Request,
    next: Next,
) -> Response {
    let changes = request.method() != Method::GET;
    let response = next.run(request).await;
    if changes && response.status().is_success() {
        response_cache.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
    response
}

/// Serves a GET from the response cache, or puts its answer there; others that ask for the same wait for it.
pub(super) async fn shared(State(response_cache): State<Arc<ResponseCache>>, request: Request, next: Next) -> Response {
    if request.method() != Method::GET {
        return next.run(request).await;
    }
    let accepts = request.headers().get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok());
    let path = request.uri().path();
    let computed = ["/curves", "/candles", "/dossier"].iter().any(|end| path.ends_with(end));
    let key = (accepts.is_some_and(|encodings| encodings.contains("gzip")), request.uri().to_string());
    let known = request.headers().get(header::IF_NONE_MATCH).cloned();
    let slot = response_cache.slot(key);
    let mut kept = slot.lock().await;
    if let Some(kept) = &*kept
        && Instant::now() < kept.until
    {
        return kept.answer(known.as_ref());
    }
    let began = Instant::now();
    let (parts, body) = next.run(request).await.into_parts();
    if parts.status != StatusCode::OK {
        return Response::from_parts(parts, body);
    }
    match to_bytes(body, LARGEST).await {
        Ok(bytes) => {
            let mut headers = parts.headers;
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
            let tag = format!("\"{}\"", hex::encode(&Sha256::digest(&bytes)[..12]));
            headers.extend(HeaderValue::from_str(&tag).map(|tag| (header::ETAG, tag)));
            let fresh = if computed { COMPUTED_FOR } else { fresh_for(began.elapsed()) };
            let answer = Kept { until: Instant::now() + fresh, headers, bytes };
            let response = answer.answer(known.as_ref());
            *kept = Some(answer);
            response
        }
        Err(_) => {
            super::problem::Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the answer is too large").into_response()
        }
    }
}

/// How long an answer is handed out that took so long to make.
fn fresh_for(took: Duration) -> Duration {
    (took * TIMES).clamp(SHARED_FOR, SHARED_AT_MOST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::{Router, middleware::from_fn_with_state, routing};
    use std::sync::atomic::{AtomicU32, Ordering};

    #[test]
    fn what_is_dear_is_handed_out_for_longer() {
        let of = |ms| fresh_for(Duration::from_millis(ms)).as_millis();
        assert_eq!([of(1), of(50), of(200), of(5_000)], [1_000, 1_000, 4_000, 10_000]);
    }

    #[tokio::test]
    async fn one_answer_is_made_for_many_until_something_is_changed() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let response_cache = Arc::new(ResponseCache::default());
        let made = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&made);
        let read = Router::new()
            .route("/read", routing::get(async move || count.fetch_add(1, Ordering::SeqCst).to_string()))
            .layer(from_fn_with_state(Arc::clone(&response_cache), shared));
        let act = Router::new()
            .route("/act", routing::post(async || "done"))
            .layer(from_fn_with_state(response_cache, invalidating));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async { axum::serve(listener, read.merge(act)).await });
        let client = reqwest::Client::new();
        let ask = async |method: Method, path: &str, known: Option<&HeaderValue>| {
            let request = client.request(method, format!("{base}{path}"));
            let request = known.into_iter().fold(request, |r, known| r.header(header::IF_NONE_MATCH, known));
            request.send().await.unwrap()
        };
        let first = ask(Method::GET, "/read", None).await;
        let tag = first.headers()[header::ETAG].clone();
        let again = ask(Method::GET, "/read", Some(&tag)).await;
        assert_eq!((first.status(), again.status()), (StatusCode::OK, StatusCode::NOT_MODIFIED));
        assert_eq!(ask(Method::GET, "/read?other", None).await.status(), StatusCode::OK);
        assert_eq!(made.load(Ordering::SeqCst), 2, "another question is another answer");
        assert_eq!(ask(Method::POST, "/act", None).await.status(), StatusCode::OK);
        let new = ask(Method::GET, "/read", Some(&tag)).await;
        assert_eq!((new.status(), made.load(Ordering::SeqCst)), (StatusCode::OK, 3), "it was changed");
    }
}
