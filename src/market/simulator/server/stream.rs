//! Klines over WebSocket, as `/stream?streams=btcusdt@kline_15m/...` gives them: the open candle now and then, each
//! closed one once, marked `x: true`.
//!
//! Follows the simulated clock. Faults of candles show here, too; a fault of kind `hang` on the endpoint `stream` makes
//! a connection silent, any other one on it refuses the connection.

use super::{Answer, Shared, lock, respond};
use crate::simulator::faults::FaultKind;
use crate::simulator::{answer, query::KlinesRequest};
use axum::{
    extract::{
        RawQuery, State,
        ws::{Message, WebSocket, WebSocketUpgrade},
    },
    http::StatusCode,
    response::IntoResponse,
};
use candles::{Interval, MarketKind, Symbol, interval};
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};

/// Wall time between two looks at the simulated clock.
const LOOK: Duration = Duration::from_millis(50);
/// More streams than the real one takes.
const MAX_STREAMS: usize = 1_024;

/// One stream: which candles, and the open time of the next one to close.
struct Followed {
    symbol: Symbol,
    interval: Interval,
    next_open_ms: i64,
}

pub(super) async fn serve(
    State(shared): State<Arc<Shared>>,
    RawQuery(query): RawQuery,
    upgrade: WebSocketUpgrade,
) -> Answer {
    let query = query.unwrap_or_default();
    let now_ms = shared.clock.now_ms();
    let streams = query.strip_prefix("streams=").unwrap_or_default();
    let followed: Option<Vec<Followed>> = streams.split('/').map(|name| follow(&shared, name, now_ms)).collect();
    let Some(followed) = followed.filter(|all| all.len() <= MAX_STREAMS) else {
        return respond(
            StatusCode::BAD_REQUEST,
            "application/json",
            [],
            "{\"code\":2,\"msg\":\"Invalid request\"}".into(),
        );
    };
    let fault = lock(&shared.faults).strike("stream", &query, None, now_ms).map(|fault| fault.kind);
    match fault {
        None => upgrade.on_upgrade(move |socket| tell(shared, socket, followed)).into_response(),
        Some(FaultKind::Hang) => upgrade.on_upgrade(move |socket| keep_silent(shared, socket)).into_response(),
        Some(_) => respond(StatusCode::SERVICE_UNAVAILABLE, "text/html", [], String::new()),
    }
}

fn follow(shared: &Shared, name: &str, now_ms: i64) -> Option<Followed> {
    let (symbol, interval) = name.split_once("@kline_")?;
    // Names of streams are in lower case.
    let symbol: Symbol = symbol.parse().ok().filter(|s: &Symbol| s.as_str().to_ascii_lowercase() == symbol)?;
    let interval: Interval = interval.parse().ok()?;
    shared.market.spec().symbols.iter().find(|spec| spec.symbol == symbol)?;
    Some(Followed { symbol, interval, next_open_ms: interval::open_time_ms(interval, now_ms) })
}

/// Tells of candles until somebody ends it.
async fn tell(shared: Arc<Shared>, mut socket: WebSocket, mut followed: Vec<Followed>) {
    loop {
        tokio::select! {
            () = shared.stop.cancelled() => return,
            () = tokio::time::sleep(LOOK) => {}
            heard = socket.recv() => match heard {
                Some(Ok(_)) => continue,
                _ => return,
            },
        }
        let now_ms = shared.clock.now_ms();
        for stream in &mut followed {
            let rows = rows_since(&shared, stream, now_ms).await;
            for row in rows {
                let Some((open_ms, close_ms)) = row[0].as_i64().zip(row[6].as_i64()) else { continue };
                let is_closed = close_ms < now_ms;
                let text = event(stream, &row, is_closed, now_ms);
                if socket.send(Message::text(text)).await.is_err() {
                    return;
                }
                if is_closed {
                    stream.next_open_ms = interval::next_open_time_ms(stream.interval, open_ms);
                }
            }
        }
    }
}

async fn keep_silent(shared: Arc<Shared>, mut socket: WebSocket) {
    loop {
        tokio::select! {
            () = shared.stop.cancelled() => return,
            heard = socket.recv() => if !matches!(heard, Some(Ok(_))) { return },
        }
    }
}

/// Rows from the next candle to close on, as REST would give them now.
async fn rows_since(shared: &Arc<Shared>, stream: &Followed, now_ms: i64) -> Vec<Vec<Value>> {
    let request = KlinesRequest {
        symbol: stream.symbol.clone(),
        interval: stream.interval,
        start_ms: Some(stream.next_open_ms),
        end_ms: None,
        limit: 100,
    };
    let spec = shared.market.spec().symbols.iter().find(|s| s.symbol == stream.symbol);
    let faults = spec.and_then(|spec| lock(&shared.faults).of_candles(spec));
    let market = Arc::clone(&shared.market);
    let made = tokio::task::spawn_blocking(move || {
        answer::klines(&market, MarketKind::Spot, &request, faults.as_ref(), now_ms).ok()
    });
    let text = made.await.ok().flatten().unwrap_or_default();
    serde_json::from_str(&text).unwrap_or_default()
}

fn event(stream: &Followed, row: &[Value], is_closed: bool, now_ms: i64) -> String {
    let name = format!("{}@kline_{}", stream.symbol.as_str().to_ascii_lowercase(), stream.interval);
    json!({ "stream": name, "data": {
        "e": "kline", "E": now_ms, "s": stream.symbol.as_str(), "k": {
            "t": row[0], "T": row[6], "s": stream.symbol.as_str(), "i": stream.interval.name(), "f": 0, "L": 0,
            "o": row[1], "c": row[4], "h": row[2], "l": row[3], "v": row[5], "n": row[8], "x": is_closed,
            "q": row[7], "V": row[9], "Q": row[10], "B": "0",
        },
    } })
    .to_string()
}
