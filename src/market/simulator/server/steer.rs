//! Routes under `/sim/`: what a simulation is told from outside. They cost no weight and are never faulty.

use super::{Shared, lock};
use crate::simulator::faults::FaultSpec;
use axum::{Json, extract::State, http::StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::{Arc, atomic::Ordering};

const DAY_MS: f64 = 86_400_000.0;

pub(super) async fn status(State(shared): State<Arc<Shared>>) -> Json<Value> {
    let spec = shared.market.spec();
    let symbols: Vec<&str> = spec.symbols.iter().map(|s| s.symbol.as_str()).collect();
    let lives = spec
        .symbols
        .iter()
        .filter(|s| s.listed_ms.is_some() || s.delisted_ms.is_some())
        .map(|s| json!({ "symbol": s.symbol.as_str(), "listed_ms": s.listed_ms, "delisted_ms": s.delisted_ms }));
    let lives: Vec<Value> = lives.collect();
    Json(json!({
        "lives": lives, "seed": spec.seed.0, "start_ms": spec.start_ms, "base": spec.base.name(), "symbols": symbols,
        "edges": spec.edges, "now_ms": shared.clock.now_ms(), "speed": shared.clock.speed(),
        "requests": shared.requests.load(Ordering::Relaxed),
        "spot_weight": lock(&shared.spot).total(), "um_weight": lock(&shared.um).total(),
        "metrics_requests": lock(&shared.metrics).total(),
    }))
}

/// What `/sim/clock` takes; whatever is left out stays.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ClockChange {
    /// Simulated seconds in a wall second.
    speed: Option<f64>,
    /// Wall seconds in a simulated day: another way to say the speed.
    day_seconds: Option<f64>,
    /// Jump ahead.
    advance_ms: Option<i64>,
}

pub(super) async fn set_clock(State(shared): State<Arc<Shared>>, Json(change): Json<ClockChange>) -> Json<Value> {
    let by_day = change.day_seconds.filter(|s| *s > 0.0).map(|seconds| DAY_MS / 1_000.0 / seconds);
    if let Some(speed) = change.speed.or(by_day) {
        shared.clock.set_speed(speed);
    }
    if let Some(by_ms) = change.advance_ms {
        shared.clock.advance(by_ms);
    }
    Json(json!({ "now_ms": shared.clock.now_ms(), "speed": shared.clock.speed() }))
}

pub(super) async fn list_faults(State(shared): State<Arc<Shared>>) -> Json<Value> {
    let faults = lock(&shared.faults);
    let list = faults.list().iter().map(|(fault, struck)| json!({ "fault": fault, "struck": struck }));
    Json(Value::Array(list.collect()))
}

pub(super) async fn add_fault(State(shared): State<Arc<Shared>>, Json(fault): Json<FaultSpec>) -> StatusCode {
    lock(&shared.faults).add(fault);
    StatusCode::CREATED
}

pub(super) async fn clear_faults(State(shared): State<Arc<Shared>>) -> StatusCode {
    lock(&shared.faults).clear();
    StatusCode::NO_CONTENT
}
