//! A receiver of notifications that knows what it took, and that can hold still while a daemon is killed.

use axum::{Router, body::Bytes, extract::State, http::StatusCode, routing::post};
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio::sync::{RwLock, RwLockWriteGuard};

/// Key of an event and the channel it came through.
pub(crate) type Delivery = (String, &'static str);

#[derive(Default)]
struct Received {
    /// Held for reading while a delivery is taken, for writing while none may be.
    gate: RwLock<()>,
    /// Counts kills: what was asked before one and not taken by then was never taken.
    epoch: AtomicU64,
    taken: Mutex<BTreeMap<Delivery, u32>>,
}

/// Listens for Discord and Slack alike.
pub(crate) struct Webhooks {
    address: std::net::SocketAddr,
    received: Arc<Received>,
}

impl Webhooks {
    pub(crate) async fn start() -> Self {
        let received = Arc::new(Received::default());
        let route = |channel: &'static str| {
            post(async move |State(received): State<Arc<Received>>, body: Bytes| received.take(channel, &body).await)
        };
        let app = Router::new()
            .route("/discord", route("discord"))
            .route("/slack", route("slack"))
            .with_state(Arc::clone(&received));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { address, received }
    }

    pub(crate) fn url(&self, channel: &str) -> String {
        format!("http://{}/{channel}", self.address)
    }

    /// How often each event was taken.
    pub(crate) fn taken(&self) -> BTreeMap<Delivery, u32> {
        self.received.taken.lock().unwrap().clone()
    }

    /// Takes nothing until what is returned is dropped.
    pub(crate) async fn hold_still(&self) -> RwLockWriteGuard<'_, ()> {
        self.received.gate.write().await
    }

    /// Says that whoever asked until now is dead.
    pub(crate) fn forget_askers(&self) {
        self.received.epoch.fetch_add(1, Ordering::SeqCst);
    }
}

impl Received {
    async fn take(&self, channel: &'static str, body: &[u8]) -> StatusCode {
        let epoch = self.epoch.load(Ordering::SeqCst);
        let _open = self.gate.read().await;
        if self.epoch.load(Ordering::SeqCst) != epoch {
            return StatusCode::SERVICE_UNAVAILABLE;
        }
        let text = String::from_utf8_lossy(body);
        // Both bodies end the visible text with the event's key.
        let key = text.rsplit("event ").next().unwrap().split('"').next().unwrap().to_owned();
        *self.taken.lock().unwrap().entry((key, channel)).or_default() += 1;
        StatusCode::NO_CONTENT
    }
}
