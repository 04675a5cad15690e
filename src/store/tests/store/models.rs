//! What looks at models found: a row a model and day, told with its messages, and who asks models.

use crate::{made, support};
use genome::AnyStrategy;
use lifecycle::State;
use serde_json::json;
use store::{ModelState, NewEvent, NewModelWatch, NewStrategy, Page, StoreError};

const DAY_MS: i64 = 86_400_000;

fn found(model: &str, at_market_ms: i64, state: ModelState) -> NewModelWatch {
    let report = json!({
        "target": "direction", "timeframe": "4h", "market": "spot", "predicted_ms": at_market_ms, "failed_fits": 2,
        "lately": { "improvement": 0.01, "calibration_error": 0.05 }, "drift": { "evidence": 50.0, "needed": 100.0 },
    });
    let reason = state.is_trouble().then(|| "because\0 of this".to_owned());
    NewModelWatch { model: model.into(), at_market_ms, state, reason, digest: Some("0a".repeat(32)), report }
}

#[tokio::test]
async fn a_day_has_one_row_and_the_newest_is_told() {
    let (_database, store) = support::database().await;
    let lease = store.try_acquire_lease("models").await.unwrap().unwrap();
    let token = lease.token();
    let record = async |one: &NewModelWatch, events: &[NewEvent]| store.record_model_watch(&token, one, events).await;
    let event =
        |key: &str| NewEvent { key: key.into(), kind: "model".into(), channel: "slack".into(), payload: json!({}) };
    record(&found("trend", 3 * DAY_MS + 5, ModelState::Ok), &[]).await.unwrap();
    record(&found("trend", 3 * DAY_MS + 9, ModelState::Drifting), &[event("a")]).await.unwrap();
    record(&found("best", 3 * DAY_MS + 9, ModelState::Young), &[]).await.unwrap();
    record(&found("old", 3 * DAY_MS + 9, ModelState::Failing), &[event("b")]).await.unwrap();
    record(&found("old", 4 * DAY_MS + 9, ModelState::Gone), &[event("b")]).await.unwrap();
    let rows = store.model_watch().await.unwrap();
    let told: Vec<_> = rows.iter().map(|r| (r.model.as_str(), r.state, r.day_ms, r.at_market_ms)).collect();
    let expected = [("best", ModelState::Young), ("trend", ModelState::Drifting)];
    assert_eq!(told, expected.map(|(name, state)| (name, state, 3 * DAY_MS, 3 * DAY_MS + 9)));
    assert_eq!(rows[1].reason.as_deref(), Some("because\u{fffd} of this"), "what Postgres cannot store is replaced");
    assert_eq!(store.overview().await.unwrap().outbox.pending, 2, "each message once");

    let snapshot = store.monitoring_snapshot().await.unwrap().models;
    let lines: Vec<_> = snapshot.iter().map(|m| (m.model.as_str(), m.state, m.gain, m.drift, m.failed_fits)).collect();
    let line = |name, state| (name, state, Some(0.01), Some(0.5), 2);
    assert_eq!(lines, [line("trend", ModelState::Drifting), line("best", ModelState::Young)], "trouble first");
    assert_eq!((snapshot[0].predicted_ms, snapshot[0].calibration_error), (Some(3 * DAY_MS + 9), Some(0.05)));

    // A later day is a row of its own; what is more than 400 days older goes.
    record(&found("trend", 10 * DAY_MS, ModelState::Ok), &[]).await.unwrap();
    assert_eq!(store.model_days("trend", Page::first(9)).await.unwrap().len(), 2);
    record(&found("trend", 404 * DAY_MS, ModelState::Ok), &[]).await.unwrap();
    let days = store.model_days("trend", Page::first(9)).await.unwrap();
    assert_eq!(days.iter().map(|day| day.day_ms / DAY_MS).collect::<Vec<_>>(), [404, 10]);
    assert_eq!(store.model_days("unknown", Page::first(9)).await.unwrap(), []);

    let without_a_reason = NewModelWatch { reason: None, ..found("best", 405 * DAY_MS, ModelState::Failing) };
    assert!(matches!(record(&without_a_reason, &[]).await, Err(StoreError::Constraint { .. })));
    lease.release().await;
    let _next = store.try_acquire_lease("models").await.unwrap().unwrap();
    let fenced = record(&found("best", 405 * DAY_MS, ModelState::Ok), &[]).await;
    assert!(matches!(fenced, Err(StoreError::LeaseLost { .. })), "{fenced:?}");
}

#[tokio::test]
async fn who_asks_models_is_known() {
    let (_database, store) = support::database().await;
    let texts = [
        ("plain", "4h; long when rsi(14) < 30 exit when rsi(14) > 60"),
        ("asks", "15m; long when model(trend)@4h > 0.6 exit when rsi(14) > 60"),
        ("together", "4h; long when ensemble_direction > 0 exit when ensemble_direction < 0"),
    ];
    for (name, text) in texts {
        let genome: AnyStrategy = text.parse().unwrap();
        let (canonical, genome_hash, timeframe) = (genome.to_string(), genome.hash().to_string(), genome.timeframe());
        let (id, name) = (uuid::Uuid::now_v7(), name.to_owned());
        let new = NewStrategy { id, name, genome, canonical, genome_hash, timeframe, ..made::strategy(1) };
        assert!(store.add_strategy(&new).await.unwrap().is_some(), "{text}");
    }
    let asking = store.strategies_that_ask_models().await.unwrap();
    let told: Vec<_> = asking.iter().map(|s| (s.name.as_str(), s.state, s.series.len())).collect();
    assert_eq!(told, [("asks", State::Candidate, 1), ("together", State::Candidate, 1)]);
    let of = |target: &str, timeframe: &str| json!({ "target": target, "timeframe": timeframe, "market": "spot" });
    let asks = |s: usize, model: &str, report| asking[s].asks(model, &report);
    assert!(asks(0, "trend", of("rank", "4h")) && !asks(0, "other", of("direction", "4h")));
    assert!(asks(1, "trend", of("direction", "4h")) && !asks(1, "trend", of("rank", "4h")));
    assert!(
        !asks(1, "trend", of("direction", "1h")) && asks(1, "broken", json!({})),
        "a wrong file breaks the ensemble"
    );
}
