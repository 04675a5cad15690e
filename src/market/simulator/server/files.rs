//! Dump archives and their checksum files over HTTP. They cost no weight: the real ones are on another host.

use super::{Answer, Shared, Used, lock, respond, strike};
use crate::simulator::dumps::{DumpPath, archive, checksum};
use crate::simulator::faults::FaultKind;
use axum::{
    body::Body,
    extract::{Path, State},
    http::{Response, StatusCode, header},
};
use candles::MarketKind;
use std::sync::{Arc, atomic::Ordering};

/// Answers with an archive, its checksum file, or 404.
pub(super) async fn serve(State(shared): State<Arc<Shared>>, Path(path): Path<String>) -> Answer {
    shared.requests.fetch_add(1, Ordering::Relaxed);
    let not_found = || respond(StatusCode::NOT_FOUND, "application/xml", [], "<Code>NoSuchKey</Code>".to_owned());
    let Some(asked) = DumpPath::parse(&path) else { return not_found() };
    let now_ms = shared.clock.now_ms();
    let endpoint = if asked.checksum { "checksum" } else { "dump" };
    let symbol = asked.name.symbol.clone();
    let fault = lock(&shared.faults).strike(endpoint, &path, Some(symbol.as_str()), now_ms);
    if let Some(fault) = &fault
        && let Some(answer) = strike(&shared, fault, &Used { kind: MarketKind::Spot, used: 0 }, 0).await
    {
        return answer;
    }
    let spec = shared.market.spec().symbols.iter().find(|s| s.symbol == symbol);
    let faults = spec.and_then(|spec| lock(&shared.faults).of_candles(spec));
    let (market, wanted) = (Arc::clone(&shared.market), asked.clone());
    let published = lock(&shared.published).get(path.strip_suffix(".CHECKSUM").unwrap_or(&path)).cloned();
    let made = match published {
        Some(bytes) => Ok(Some(bytes)),
        None => tokio::task::spawn_blocking(move || archive(&market, &wanted, faults.as_ref(), now_ms)).await,
    };
    let Ok(Some(mut bytes)) = made else { return not_found() };
    let kind = fault.map(|fault| fault.kind);
    if asked.checksum {
        if kind == Some(FaultKind::Checksum) {
            bytes.push(0);
        }
        let mut text = checksum(&bytes, &asked.name);
        if kind == Some(FaultKind::Truncated) {
            text.truncate(text.len() / 2);
        }
        return respond(StatusCode::OK, "text/plain", [], text);
    }
    if kind == Some(FaultKind::Truncated) {
        bytes.truncate(bytes.len() / 2);
    }
    let answer = Response::builder().header(header::CONTENT_TYPE, "application/zip").body(Body::from(bytes));
    answer.unwrap_or_default()
}
