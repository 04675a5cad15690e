//! Whether models do what strategies ask of them: a pure judgement of a snapshot.
//!
//! Reads nothing itself. Drift is told and is no illness of the daemon: it does its work.

use super::health::{Check, Status, span};
use super::snapshot::{Snapshot, age_s};
use store::ModelState;
use telemetry::without_user_info;

/// A look at a model a day is late after this, seconds.
const LATE_S: f64 = 2.0 * 86_400.0;

/// Models that fail, and models that nobody looks at; `None` where there is none.
pub(super) fn models(snapshot: &Snapshot, now_ms: i64) -> Option<Check> {
    let age = |model: &super::snapshot::Model| age_s(now_ms, model.watched_ms);
    let oldest_s = snapshot.models.iter().map(age).max_by(f64::total_cmp)?;
    let in_state = |state| snapshot.models.iter().filter(move |model| model.state == state);
    let (failing, drifting) = (in_state(ModelState::Failing).count(), in_state(ModelState::Drifting).count());
    let (status, detail) = if let Some(first) = in_state(ModelState::Failing).next() {
        let why = without_user_info(first.reason.as_deref().unwrap_or("unknown error")).into_owned();
        let detail = format!("{failing} models fail, and whoever asks them stands still; {}: {why}", first.name);
        (Status::Degraded, detail)
    } else if oldest_s > LATE_S {
        (Status::Degraded, format!("a model was last looked at {} ago", span(oldest_s)))
    } else {
        (Status::Healthy, format!("{} predict, {drifting} of them drift", snapshot.models.len()))
    };
    Some(Check { status, detail, age_s: Some(oldest_s) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::Model;

    const NOW: i64 = 1_764_449_100_000;

    #[test]
    fn a_model_that_fails_or_is_not_looked_at_is_degraded_and_drift_is_told() {
        let told = |state, reason: Option<&str>, s_ago: i64| {
            let (name, watched_ms) = ("trend".to_owned(), NOW - s_ago * 1000);
            let reason = reason.map(ToOwned::to_owned);
            let model = Model {
                name,
                state,
                reason,
                watched_ms,
                predicted_ms: None,
                gain: None,
                calibration_error: None,
                drift: None,
                failed_fits: 0,
            };
            models(&Snapshot { models: vec![model], ..Snapshot::default() }, NOW).unwrap()
        };
        assert_eq!(models(&Snapshot::default(), NOW), None);
        let well = told(ModelState::Ok, None, 80_000);
        assert_eq!((well.status, well.detail.as_str()), (Status::Healthy, "1 predict, 0 of them drift"));
        let drifts = told(ModelState::Drifting, Some("too sure"), 80_000);
        assert_eq!((drifts.status, drifts.detail.as_str()), (Status::Healthy, "1 predict, 1 of them drift"));
        let fails = told(ModelState::Failing, Some("postgres://me:secret@host is away"), 10);
        assert_eq!(fails.status, Status::Degraded);
        assert!(fails.detail.starts_with("1 models fail, and whoever asks them stands still; trend: "), "{fails:?}");
        assert!(!fails.detail.contains("secret"));
        let late = told(ModelState::Ok, None, 172_801);
        assert_eq!((late.status, late.detail.as_str()), (Status::Degraded, "a model was last looked at 2.0 d ago"));
    }
}
