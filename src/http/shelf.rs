//! Answers that many ask for at once, computed once and handed out for a moment: readers must not slow the search.

use axum::{
    body::{Body, Bytes, to_bytes},
    extract::{Request, State},
    http::{HeaderMap, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// How long an answer is handed out.
const SHARED_FOR: Duration = Duration::from_secs(1);
/// The same of what is computed from candles.
const COMPUTED_FOR: Duration = Duration::from_secs(30);
/// Answers kept at most; all are dropped when there are more.
const MOST: usize = 256;
/// Answers above this are not kept, bytes.
const LARGEST: usize = 32 << 20;

type Slot = Arc<tokio::sync::Mutex<Option<(Instant, HeaderMap, Bytes)>>>;

/// The answers, by whether they are compressed and by path and query.
#[derive(Default)]
pub(super) struct Shelf(Mutex<HashMap<(bool, String), Slot>>);

impl Shelf {
    fn slot(&self, key: (bool, String)) -> Slot {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if slots.len() >= MOST && !slots.contains_key(&key) {
            slots.clear();
        }
        Arc::clone(slots.entry(key).or_default())
    }
}

/// Whoever changed something sees it at once: nothing that was put there before is handed out any more.
pub(super) async fn forgetting(State(shelf): State<Arc<Shelf>>, request: Request, next: Next) -> Response {
    let changes = request.method() != Method::GET;
    let response = next.run(request).await;
    if changes && response.status().is_success() {
        shelf.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
    response
}

/// Serves a GET from the shelf, or puts its answer there; others that ask for the same wait for it.
pub(super) async fn shared(State(shelf): State<Arc<Shelf>>, request: Request, next: Next) -> Response {
    if request.method() != Method::GET {
        return next.run(request).await;
    }
    let accepts = request.headers().get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok());
    let path = request.uri().path();
    let fresh = if ["/curves", "/candles", "/dossier"].iter().any(|end| path.ends_with(end)) { COMPUTED_FOR } else { SHARED_FOR };
    let key = (accepts.is_some_and(|encodings| encodings.contains("gzip")), request.uri().to_string());
    let slot = shelf.slot(key);
    let mut kept = slot.lock().await;
    if let Some((at, headers, bytes)) = &*kept
        && at.elapsed() < fresh
    {
        return (headers.clone(), Body::from(bytes.clone())).into_response();
    }
    let (parts, body) = next.run(request).await.into_parts();
    if parts.status != StatusCode::OK {
        return Response::from_parts(parts, body);
    }
    match to_bytes(body, LARGEST).await {
        Ok(bytes) => {
            let mut headers = parts.headers;
            headers.insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-cache"));
            *kept = Some((Instant::now(), headers.clone(), bytes.clone()));
            (headers, Body::from(bytes)).into_response()
        }
        Err(_) => super::Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the answer is too large").into_response(),
    }
}
