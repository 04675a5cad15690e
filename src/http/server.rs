//! A server that listens, serves until it is told to stop, and is drained. Knows no route but those of its reserve.
//!
//! HTTP/1.1 alone: nothing else is spoken without TLS. Nobody keeps a connection by silence: a request's head and body
//! have to come, and its answer has to be taken, in time.

use super::{
    HttpConfig,
    connections::{Connections, Seat},
    problem::Problem,
    stream::{Answering, Prompt, Watched},
};
use axum::{
    Router,
    body::Body,
    extract::ConnectInfo,
    http::{HeaderValue, Request, Response, StatusCode, header},
    response::IntoResponse,
};
use hyper::{body::Incoming, server::conn::http1, service::Service};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use std::{convert::Infallible, io, net::SocketAddr, pin::pin, sync::Arc, time::Duration};
use telemetry::metrics;
use tokio::{
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
};
use tokio_util::sync::CancellationToken;

/// Between two foldings of measured times, which would pile up without a scrape.
const UPKEEP: Duration = Duration::from_secs(5);
/// What a reserved connection is waited for at most.
const RESERVED_PATIENCE: Duration = Duration::from_secs(2);
/// Largest head of a request, bytes.
const LARGEST_HEAD: usize = 64 << 10;
/// Before the next try when the process can have no more connections.
const REST: Duration = Duration::from_millis(100);

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
        let serving = Arc::new(Serving {
            app,
            connections: Connections::new(config.max_connections as usize),
            patience: Duration::from_millis(config.client_timeout_ms),
            stop,
        });
        let task = tokio::spawn(serve(listener, serving));
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

/// What all connections of a server share.
struct Serving {
    app: Router,
    connections: Arc<Connections>,
    patience: Duration,
    stop: CancellationToken,
}

async fn serve(listener: TcpListener, serving: Arc<Serving>) {
    // Dropped with this task, and all connections with it.
    let mut open = JoinSet::new();
    let mut full = false;
    loop {
        let accepted = tokio::select! {
            () = serving.stop.cancelled() => break,
            Some(_) = open.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                full = false;
                let seat = serving.connections.admit();
                open.spawn(Arc::clone(&serving).connection(stream, peer, seat));
            }
            Err(error) if of_one_connection(&error) => {}
            Err(error) => {
                if !full {
                    tracing::error!(%error, "no further connection can be accepted: one that is idle is ended");
                }
                full = true;
                serving.connections.make_room();
                tokio::time::sleep(REST).await;
            }
        }
    }
    drop(listener);
    while open.join_next().await.is_some() {}
}

/// Whether an error is of the connection that would have been accepted, and not of the process.
fn of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

impl Serving {
    async fn connection(self: Arc<Self>, stream: TcpStream, peer: SocketAddr, seat: Seat) {
        let connection = Arc::clone(seat.connection());
        let reserved = connection.is_reserved();
        let patience = if reserved { self.patience.min(RESERVED_PATIENCE) } else { self.patience };
        let app = TowerToHyperService::new(self.app.clone());
        let of_request = Arc::clone(&connection);
        let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
            let busy = of_request.busy();
            request.extensions_mut().insert(ConnectInfo(peer));
            let request = request.map(|body| Body::new(Prompt::new(Body::new(body), patience)));
            let answered = (!reserved || is_reserved_for(request.uri().path())).then(|| app.call(request));
            async move {
                let mut response = match answered {
                    Some(answer) => answer.await.unwrap_or_else(|never| match never {}),
                    None => crowded(),
                };
                if reserved {
                    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
                }
                Ok::<_, Infallible>(response.map(|body| Body::new(Answering::new(body, busy))))
            }
        });
        let io = TokioIo::new(Watched::new(stream, Arc::clone(&connection), patience));
        let mut builder = http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(patience).max_buf_size(LARGEST_HEAD);
        let mut served = pin!(builder.serve_connection(io, service));
        let mut stopping = false;
        loop {
            tokio::select! {
                ended = served.as_mut() => {
                    if let Err(error) = ended {
                        tracing::debug!(%peer, %error, "a connection ended early");
                    }
                    return;
                }
                () = connection.out().cancelled() => return,
                () = self.stop.cancelled(), if !stopping => {
                    stopping = true;
                    served.as_mut().graceful_shutdown();
                }
            }
        }
    }
}

/// What is answered when the budget of connections is spent.
fn is_reserved_for(path: &str) -> bool {
    path == "/metrics" || path == "/health" || path == "/sg-ai/health" || path.starts_with("/sg-ai/health/")
}

fn crowded() -> Response<Body> {
    let why = "as many connections are busy as http.max_connections allows; health and metrics are still answered";
    let mut response = Problem::new(StatusCode::SERVICE_UNAVAILABLE, why).into_response();
    super::hardened::harden(&mut response);
    response
}
