//! Single requirements on what the evidence protocol, the placebo island and the detectors say.
//!
//! Never decides; as the other [`checks`](super::checks).

use super::{
    Check, DetectorReading, EValues, EdgeDecayLevel, PaperEvidence, ProtocolEvidence, ShadowEvidence, Thresholds,
    checks,
};
use evidence::placebo::PlaceboComparison;

/// Share of a strategy's level for its first way from shadow to live, and for every one after a demotion.
const FIRST_SHARE: f64 = 0.8;
const AGAIN_SHARE: f64 = 0.2;
/// Largest logarithm whose exponential is shown: beyond it e-values differ in nothing that matters.
const MAX_LOG: f64 = 700.0;

/// That the search beat those of null markets, or the hold-out alone says enough.
pub(super) fn search_p_value(t: &Thresholds, protocol: &ProtocolEvidence) -> Check {
    let lone = e_value(protocol.holdout.as_ref()).is_some_and(|e| e >= t.lone_holdout_e_value);
    let beats_nulls = protocol.p_value.is_some_and(|p| p <= t.max_p_value);
    Check {
        name: "search.p_value".into(),
        needed: format!("<= {}, or a hold-out e-value >= {}", t.max_p_value, t.lone_holdout_e_value),
        had: protocol.p_value,
        passed: beats_nulls || lone,
    }
}

pub(super) fn holdout_e_value(t: &Thresholds, protocol: &ProtocolEvidence) -> Check {
    checks::at_least("holdout.e_value", t.holdout_min_e_value, e_value(protocol.holdout.as_ref()))
}

/// E of hold-out and shadow against 1 / level; after a demotion, of the trades since alone.
pub(super) fn promotion_threshold(evidence: &ShadowEvidence) -> Check {
    let (protocol, first) = (evidence.protocol.as_ref(), evidence.demotions == 0);
    let share = if first { FIRST_SHARE } else { AGAIN_SHARE };
    let level = protocol.and_then(|e| e.level).map(|level| level * share);
    let values = protocol.and_then(|e| if first { e.total.as_ref() } else { e.shadow.as_ref() });
    let log = values.and_then(|v| v.log_excess);
    Check {
        name: "protocol.e_value".into(),
        needed: level.map_or_else(
            || "a level of the online procedure".to_owned(),
            |level| format!(">= {:.1}, the promotion threshold of the online procedure", 1.0 / level),
        ),
        had: e_value(values),
        passed: level.zip(log).is_some_and(|(level, log)| level > 0.0 && log >= -level.ln()),
    }
}

/// What shadow has to show by itself. Whose hold-out promises much has to show much: an edge that died at promotion is
/// told from one that lives by what it no longer earns.
pub(super) fn shadow_e_value(t: &Thresholds, evidence: &ShadowEvidence) -> Check {
    let proved = evidence.protocol.as_ref().and_then(|p| p.holdout).and_then(|values| values.log_excess);
    let days = evidence.tested.holdout.as_ref().map(|p| f64::from(p.days)).filter(|days| *days > 0.0);
    let promised = proved.zip(days).map_or(0.0, |(log, days)| log / days * t.shadow_max_days);
    let needed = t.shadow_min_e_value.max((t.shadow_promise_fraction * promised).min(MAX_LOG).exp());
    checks::at_least("shadow.e_value", needed, alone(evidence.protocol.as_ref()))
}

/// As [`checks::shadow_profit_factor`], but waived by evidence. A profit factor has no scale of its own: many small
/// gains prove more than few large ones.
pub(super) fn shadow_profit_factor(t: &Thresholds, run: &PaperEvidence, known: Option<&ProtocolEvidence>) -> Check {
    let plain = checks::shadow_profit_factor(t, run);
    let gained = run.performance.profit_factor.is_some_and(|f| f > 1.0);
    let proven = alone(known).is_some_and(|e| e >= t.shadow_waiver_e_value);
    Check {
        needed: format!("{}, or > 1 with a shadow e-value >= {}", plain.needed, t.shadow_waiver_e_value),
        passed: plain.passed || gained && proven,
        ..plain
    }
}

pub(super) fn told_apart(comparison: &PlaceboComparison) -> Check {
    Check {
        name: "placebo.p_value".into(),
        needed: format!(
            "<= {} once null markets got through {} times",
            PlaceboComparison::MAX_P,
            PlaceboComparison::LEAST_PASSES
        ),
        had: comparison.p_value,
        passed: !comparison.frozen,
    }
}

pub(super) fn alarm(reading: &DetectorReading) -> Check {
    Check {
        name: format!("staying.{}", reading.detector),
        needed: format!("no alarm, which is above {:.2}", reading.control_limit),
        had: Some(reading.statistic),
        passed: reading.level != EdgeDecayLevel::Alarm,
    }
}

/// The e-value over the shadow run alone.
fn alone(protocol: Option<&ProtocolEvidence>) -> Option<f64> {
    protocol.and_then(|e| e_value(e.shadow.as_ref()))
}

/// The e-value on results in excess of exposure; `None` where nothing is known.
fn e_value(values: Option<&EValues>) -> Option<f64> {
    // Every bet lost everything: an e-value of 0.
    values.map(|v| v.log_excess.map_or(0.0, |log| log.min(MAX_LOG).exp()))
}
