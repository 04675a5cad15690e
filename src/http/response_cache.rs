//! Answers that many ask for at once, computed once and handed out for a moment: readers must not slow the search.
//!
//! Whatever is asked, and however often it is written otherwise, the answers that are kept and those that are being sent
//! stay within a budget of bytes.

use super::problem::Problem;
use axum::{
    body::{Body, Bytes, to_bytes},
    extract::{MatchedPath, Query, Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use sha2::{Digest, Sha256};
use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use telemetry::metrics;
use tokio::sync::Semaphore;

/// How long an answer is handed out at least.
const SHARED_FOR: Duration = Duration::from_secs(1);
/// It is handed out for so many times as long as it took to make: no answer, however many ask for it, takes more than
/// this share of the time.
const TIMES: u32 = 20;
/// But no longer than this.
const SHARED_AT_MOST: Duration = Duration::from_secs(10);
/// The same of what is computed from candles.
const COMPUTED_FOR: Duration = Duration::from_secs(30);
/// Between two looks for answers that have expired.
const SWEEP: Duration = Duration::from_secs(1);
/// Answers kept at most.
const MOST: usize = 256;
/// Bytes kept at most.
const BUDGET: usize = 64 << 20;
/// Bytes of answers that are kept or on their way at most: who reads slowly holds an answer that is kept no more.
const MOST_HELD: usize = 192 << 20;
/// Answers above this are not given, bytes.
const LARGEST: usize = 32 << 20;
/// Answers that are made at once, and of them those that may be large.
const TURNS: (usize, usize) = (16, 2);

/// The bytes of an answer, counted for as long as anybody has them.
struct Held {
    bytes: Bytes,
    all: Arc<AtomicUsize>,
}

impl Held {
    fn count(bytes: Bytes, all: &Arc<AtomicUsize>) -> Bytes {
        let before = all.fetch_add(bytes.len(), Ordering::SeqCst);
        metrics::ANSWER_CACHE_BYTES.set(None, (before + bytes.len()) as f64);
        Bytes::from_owner(Self { bytes, all: Arc::clone(all) })
    }
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let before = self.all.fetch_sub(self.bytes.len(), Ordering::SeqCst);
        metrics::ANSWER_CACHE_BYTES.set(None, before.saturating_sub(self.bytes.len()) as f64);
    }
}

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

/// What is asked: whether compressed, the path, and the parameters that it has, in their order and one way to write each.
type Key = (bool, String, BTreeMap<String, String>);

/// A place for an answer; without a time while it is made.
#[derive(Default)]
struct Entry {
    slot: Slot,
    until: Option<Instant>,
    bytes: usize,
}

/// The answers.
pub(super) struct ResponseCache {
    kept: Mutex<HashMap<Key, Entry>>,
    held: Arc<AtomicUsize>,
    /// Names of the parameters of each route; others are not part of what is asked.
    parameters: OnceLock<HashMap<String, Vec<String>>>,
    turns: Semaphore,
    large_turns: Semaphore,
}

impl Default for ResponseCache {
    fn default() -> Self {
        Self {
            kept: Mutex::default(),
            held: Arc::default(),
            parameters: OnceLock::new(),
            turns: Semaphore::new(TURNS.0),
            large_turns: Semaphore::new(TURNS.1),
        }
    }
}

impl ResponseCache {
    /// Drops what has expired, for as long as anybody uses this.
    pub(super) fn sweep(self: &Arc<Self>) {
        let this = Arc::downgrade(self);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(SWEEP).await;
                let Some(this) = this.upgrade() else { return };
                this.expire(Instant::now());
            }
        });
    }

    /// What the routes take, known once all of them are.
    pub(super) fn know(&self, parameters: HashMap<String, Vec<String>>) {
        // Set once, by whoever made the routes.
        let _ = self.parameters.set(parameters);
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<Key, Entry>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn key(&self, request: &Request) -> Option<Key> {
        let accepts = request.headers().get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok());
        let gzip = accepts.is_some_and(|encodings| encodings.contains("gzip"));
        let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(request.uri()).ok()?;
        let route = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
        let names = self.parameters.get().and_then(|known| known.get(route?));
        let mut asked = BTreeMap::new();
        for (name, value) in pairs {
            let is_known = names.is_none_or(|names| names.contains(&name));
            let plain = value.parse::<u64>().map_or(value, |number| number.to_string());
            if is_known && asked.insert(name, plain).is_some() {
                // A route refuses what is said twice.
                return None;
            }
        }
        Some((gzip, request.uri().path().to_owned(), asked))
    }

    /// The place of an answer; one that nobody else finds where there is no room.
    fn slot(&self, key: &Key) -> Slot {
        let mut entries = self.entries();
        if let Some(entry) = entries.get(key) {
            return Arc::clone(&entry.slot);
        }
        if entries.len() >= MOST && !drop_soonest(&mut entries) {
            return Slot::default();
        }
        Arc::clone(&entries.entry(key.clone()).or_default().slot)
    }

    /// Keeps an answer in its place, if it still is, at the cost of those that expire first.
    fn keep(&self, key: &Key, slot: &Slot, answer: Option<(Instant, usize)>) {
        let mut entries = self.entries();
        let Some(entry) = entries.get_mut(key).filter(|entry| Arc::ptr_eq(&entry.slot, slot)) else { return };
        match answer {
            Some((until, bytes)) => (entry.until, entry.bytes) = (Some(until), bytes),
            None => drop(entries.remove(key)),
        }
        while entries.values().map(|entry| entry.bytes).sum::<usize>() > BUDGET && drop_soonest(&mut entries) {}
    }

    fn expire(&self, now: Instant) {
        // Without a time and with nobody who makes it: whoever did was not waited for.
        let is_left = |entry: &Entry| entry.until.is_none() && Arc::strong_count(&entry.slot) == 1;
        self.entries().retain(|_, entry| !is_left(entry) && entry.until.is_none_or(|until| now < until));
    }

    /// Whether so much is on its way to clients that no further answer is made.
    fn is_full(&self) -> bool {
        let full = || self.held.load(Ordering::SeqCst) >= MOST_HELD;
        if full() {
            self.entries().clear();
        }
        full()
    }
}

/// Whether there was one to drop.
fn drop_soonest(entries: &mut HashMap<Key, Entry>) -> bool {
    let made = entries.iter().filter_map(|(key, entry)| Some((entry.until?, key)));
    let Some(key) = made.min_by_key(|(until, _)| *until).map(|(_, key)| key.clone()) else { return false };
    entries.remove(&key);
    metrics::ANSWER_CACHE_EVICTIONS_TOTAL.increment();
    true
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
        response_cache.entries().clear();
    }
    response
}

/// Serves a GET from the response cache, or puts its answer there; others that ask for the same wait for it.
pub(super) async fn shared(State(response_cache): State<Arc<ResponseCache>>, request: Request, next: Next) -> Response {
    let key = Some(&request).filter(|request| request.method() == Method::GET).and_then(|r| response_cache.key(r));
    let Some(key) = key else { return next.run(request).await };
    let large = ["/curves", "/candles"].iter().any(|end| key.1.ends_with(end));
    // It takes minutes, and has turns of its own.
    let long = key.1.ends_with("/dossier");
    let known = request.headers().get(header::IF_NONE_MATCH).cloned();
    let slot = response_cache.slot(&key);
    let mut kept = slot.lock().await;
    if let Some(kept) = &*kept
        && Instant::now() < kept.until
    {
        return kept.answer(known.as_ref());
    }
    *kept = None;
    let turns = if large { &response_cache.large_turns } else { &response_cache.turns };
    // Nobody closes them.
    let _turn = if long { None } else { turns.acquire().await.ok() };
    if response_cache.is_full() {
        let why = "large answers are on their way to slow readers; ask again later";
        return Problem::new(StatusCode::SERVICE_UNAVAILABLE, why).into_response();
    }
    let began = Instant::now();
    let (parts, body) = next.run(request).await.into_parts();
    if parts.status != StatusCode::OK {
        response_cache.keep(&key, &slot, None);
        return Response::from_parts(parts, body);
    }
    match to_bytes(body, LARGEST).await {
        Ok(bytes) => {
            let mut headers = parts.headers;
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
            let tag = format!("\"{}\"", hex::encode(&Sha256::digest(&bytes)[..12]));
            headers.extend(HeaderValue::from_str(&tag).map(|tag| (header::ETAG, tag)));
            let fresh = if large || long { COMPUTED_FOR } else { fresh_for(began.elapsed()) };
            let (until, size) = (Instant::now() + fresh, bytes.len());
            let answer = Kept { until, headers, bytes: Held::count(bytes, &response_cache.held) };
            let response = answer.answer(known.as_ref());
            *kept = Some(answer);
            response_cache.keep(&key, &slot, Some((until, size)));
            response
        }
        Err(_) => {
            response_cache.keep(&key, &slot, None);
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the answer is too large").into_response()
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
    use std::sync::atomic::AtomicU32;

    #[test]
    fn what_is_dear_is_handed_out_for_longer() {
        let of = |ms| fresh_for(Duration::from_millis(ms)).as_millis();
        assert_eq!([of(1), of(50), of(200), of(5_000)], [1_000, 1_000, 4_000, 10_000]);
    }

    fn asked(uri: &str) -> Key {
        (false, uri.to_owned(), BTreeMap::new())
    }

    /// Puts an answer of so many bytes there, as a request would.
    async fn put(cache: &ResponseCache, uri: &str, size: usize, until: Instant) -> Bytes {
        let (key, bytes) = (asked(uri), Held::count(Bytes::from(vec![0; size]), &cache.held));
        let slot = cache.slot(&key);
        *slot.lock().await = Some(Kept { until, headers: HeaderMap::new(), bytes: bytes.clone() });
        cache.keep(&key, &slot, Some((until, size)));
        bytes
    }

    #[tokio::test]
    async fn answers_stay_within_their_budget_and_go_when_they_expire() {
        let (cache, start) = (ResponseCache::default(), Instant::now());
        let held = |cache: &ResponseCache| cache.held.load(Ordering::SeqCst);
        for i in 0..60_u64 {
            drop(put(&cache, &format!("/candles/{i}"), 16 << 20, start + Duration::from_secs(i)).await);
            assert!(held(&cache) <= BUDGET, "{} bytes after {i}", held(&cache));
        }
        assert_eq!((held(&cache), cache.entries().len()), (BUDGET, 4));
        assert!(cache.entries().contains_key(&asked("/candles/59")), "those that expire first are dropped");
        cache.expire(start + Duration::from_secs(58));
        assert_eq!((held(&cache), cache.entries().len()), (16 << 20, 1));
        cache.expire(start + Duration::from_secs(60));
        assert_eq!((held(&cache), cache.entries().len()), (0, 0));
        for i in 0..2 * MOST {
            drop(put(&cache, &format!("/small/{i}"), 1, start).await);
        }
        assert_eq!(cache.entries().len(), MOST);
    }

    #[tokio::test]
    async fn what_slow_readers_hold_counts_until_they_have_it() {
        let (cache, start) = (ResponseCache::default(), Instant::now());
        let mut readers = Vec::new();
        for i in 0..MOST_HELD / LARGEST {
            assert!(!cache.is_full());
            readers.push(put(&cache, &format!("/{i}"), LARGEST, start + COMPUTED_FOR).await);
        }
        assert!(cache.is_full() && cache.entries().is_empty());
        readers.pop();
        assert!(!cache.is_full());
    }

    #[tokio::test]
    async fn one_answer_is_made_for_many_until_something_is_changed() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let response_cache = Arc::new(ResponseCache::default());
        response_cache.know([("/read".to_owned(), vec!["limit".to_owned(), "other".to_owned()])].into());
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
        for same in [
            "/read?other=&limit=7",
            "/read?limit=07&other=",
            "/read?other=&limit=7&nonsense=1",
            "/read?nonsense&limit=7&other",
        ] {
            assert_eq!(ask(Method::GET, same, None).await.status(), StatusCode::OK);
            assert_eq!(made.load(Ordering::SeqCst), 3, "{same} is written otherwise");
        }
        assert_eq!(ask(Method::POST, "/act", None).await.status(), StatusCode::OK);
        let new = ask(Method::GET, "/read", Some(&tag)).await;
        assert_eq!((new.status(), made.load(Ordering::SeqCst)), (StatusCode::OK, 4), "it was changed");
    }
}
