//! A server that listens, serves until it is told to stop, and is drained. Knows no route.

use super::HttpConfig;
use axum::Router;
use std::{io, net::SocketAddr, time::Duration};
use telemetry::metrics;
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;

/// Between two foldings of measured times, which would pile up without a scrape.
const UPKEEP: Duration = Duration::from_secs(5);

/// A server that listens.
pub struct Server {
    address: SocketAddr,
    task: JoinHandle<()>,
    upkeep: JoinHandle<()>,
}

impl Server {
    /// Listens on the configured address and this port, and serves until `stop` is cancelled.
    ///
    /// # Errors
    /// When the address cannot be listened on; the text names it.
    pub async fn start(config: &HttpConfig, port: u16, app: Router, stop: CancellationToken) -> io::Result<Self> {
        let wanted = SocketAddr::new(config.listen_address, port);
        let listener = TcpListener::bind(wanted).await;
        let listener =
            listener.map_err(|error| io::Error::new(error.kind(), format!("cannot listen on {wanted}: {error}")))?;
        let address = listener.local_addr()?;
        let task = tokio::spawn(async move {
            let app = app.into_make_service_with_connect_info::<SocketAddr>();
            let served = axum::serve(listener, app).with_graceful_shutdown(stop.cancelled_owned()).await;
            if let Err(error) = served {
                tracing::error!(%error, "the HTTP server ended");
            }
        });
        let upkeep = tokio::spawn(async {
            loop {
                tokio::time::sleep(UPKEEP).await;
                metrics::measured().upkeep();
            }
        });
        tracing::info!(%address, "listening");
        Ok(Self { address, task, upkeep })
    }

    /// The address in use, with the port that was picked if 0 was asked for.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits up to `grace` for answers under way after `stop` was cancelled, then drops them.
    pub async fn drain(mut self, grace: Duration) {
        self.upkeep.abort();
        if tokio::time::timeout(grace, &mut self.task).await.is_err() {
            self.task.abort();
        }
    }
}
