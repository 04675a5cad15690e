//! Dump archives and their checksum files over HTTP. They cost no weight: the real ones are on another host.

use super::{Answer, Shared, Used, lock, respond, strike};
use crate::dumps::ReadingName;
use crate::simulator::dumps::{DumpPath, archive, checksum, values_archive, values_path};
use crate::simulator::faults::FaultKind;
use axum::{
    body::Body,
    extract::{Path, State},
    http::{Response, StatusCode, header},
};
use candles::MarketKind;
use std::sync::{Arc, atomic::Ordering};

/// What archive was asked for.
enum Asked {
    Candles(DumpPath),
    Values(ReadingName),
}

/// Answers with an archive, its checksum file, or 404.
pub(super) async fn serve(State(shared): State<Arc<Shared>>, Path(path): Path<String>) -> Answer {
    shared.requests.fetch_add(1, Ordering::Relaxed);
    let not_found = || respond(StatusCode::NOT_FOUND, "application/xml", [], "<Code>NoSuchKey</Code>".to_owned());
    let now_ms = shared.clock.now_ms();
    let (file_name, symbol, is_checksum, asked) = match (DumpPath::parse(&path), values_path(&path)) {
        (Some(asked), _) => (asked.name.file_name(), asked.name.symbol.clone(), asked.checksum, Asked::Candles(asked)),
        (None, Some((name, is_checksum))) => (name.file_name(), name.symbol.clone(), is_checksum, Asked::Values(name)),
        (None, None) => return not_found(),
    };
    let endpoint = if is_checksum { "checksum" } else { "dump" };
    let fault = lock(&shared.faults).strike(endpoint, &path, Some(symbol.as_str()), now_ms);
    if let Some(fault) = &fault
        && let Some(answer) = strike(&shared, fault, &Used { kind: MarketKind::Spot, used: 0 }, 0).await
    {
        return answer;
    }
    let spec = shared.market.spec().symbols.iter().find(|s| s.symbol == symbol);
    let faults = spec.and_then(|spec| lock(&shared.faults).of_candles(spec));
    let market = Arc::clone(&shared.market);
    let published = lock(&shared.published).get(path.strip_suffix(".CHECKSUM").unwrap_or(&path)).cloned();
    let made = match published {
        Some(bytes) => Ok(Some(bytes)),
        None => {
            tokio::task::spawn_blocking(move || match asked {
                Asked::Candles(asked) => archive(&market, &asked, faults.as_ref(), now_ms),
                Asked::Values(name) => values_archive(&market, &name, now_ms),
            })
            .await
        }
    };
    let Ok(Some(mut bytes)) = made else { return not_found() };
    let kind = fault.map(|fault| fault.kind);
    if is_checksum {
        if kind == Some(FaultKind::Checksum) {
            bytes.push(0);
        }
        let mut text = checksum(&bytes, &file_name);
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
