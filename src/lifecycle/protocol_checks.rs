//! Single requirements on what the evidence protocol, the placebo island and the detectors say.
//!
//! Never decides; as the other [`checks`](super::checks).

use super::{
    Check, DetectorReading, EValues, EdgeDecayLevel, PaperEvidence, ProtocolEvidence, ShadowEvidence, Thresholds,
    checks,
};
use engine::Performance;
use evidence::placebo::PlaceboComparison;

/// Share of a strategy's level for its first way from shadow to live, and for every one after a demotion.
const FIRST_SHARE: f64 = 0.8;
const AGAIN_SHARE: f64 = 0.2;
/// Largest logarithm whose exponential is shown: beyond it e-values differ in nothing that matters.
const MAX_LOG: f64 = 700.0;

/// That a test of it was bought: without one nothing of it may count as evidence.
pub(super) fn test(protocol: &ProtocolEvidence) -> Check {
    let level = protocol.level.filter(|level| *level > 0.0);
    Check {
        name: "protocol.test".into(),
        needed: "a test, bought before its hold-out was looked at".to_owned(),
        had: level,
        passed: level.is_some(),
    }
}

/// What a candidate's backtest misses of what the gate will ask, for people; `None` where it misses nothing: a test of one
/// that is refused anyway would be wasted.
#[must_use]
pub fn backtest_misses(t: &Thresholds, backtest: &Performance) -> Option<String> {
    let missed: Vec<String> =
        of_backtest(t, backtest).iter().filter(|check| !check.passed).map(ToString::to_string).collect();
    (!missed.is_empty()).then(|| missed.join("; "))
}

/// What is asked of the search window.
pub(super) fn of_backtest(t: &Thresholds, backtest: &Performance) -> [Check; 2] {
    [checks::total_trades("backtest", t.candidate_min_trades, backtest), checks::drawdown(t, "backtest", backtest)]
}

/// That the search beat those of null markets. One whose test would have been lost otherwise needs no such p-value.
pub(super) fn search_p_value(t: &Thresholds, protocol: &ProtocolEvidence) -> Check {
    let beats_nulls = protocol.p_value.is_none_or(|p| p <= t.max_p_value);
    Check {
        name: "search.p_value".into(),
        needed: format!("<= {}, or a test that no other candidate needed", t.max_p_value),
        had: protocol.p_value,
        passed: beats_nulls || protocol.level.is_some_and(|level| level > 0.0),
    }
}

pub(super) fn holdout_e_value(t: &Thresholds, protocol: &ProtocolEvidence) -> Check {
    checks::at_least("holdout.e_value", t.holdout_min_e_value, e_value(protocol.holdout.as_ref()))
}

/// What a strategy may use up of its level on its way from shadow to live: most of it on the first, the rest after a
/// demotion, so that both together use no more than the whole. Fraction; the promotion threshold is 1 / this.
#[must_use]
pub fn promotion_level(level: f64, first: bool) -> f64 {
    level * if first { FIRST_SHARE } else { AGAIN_SHARE }
}

/// E of hold-out and shadow against 1 / level; after a demotion, of the trades since alone.
pub(super) fn promotion_threshold(evidence: &ShadowEvidence) -> Check {
    let (protocol, first) = (evidence.protocol.as_ref(), evidence.demotions == 0);
    let level = protocol.and_then(|e| e.level).map(|level| promotion_level(level, first));
    let values = protocol.and_then(|e| if first { e.total.as_ref() } else { e.shadow.as_ref() });
    let log = values.and_then(|v| v.log_excess);
    Check {
        name: "protocol.e_value".into(),
        needed: level
            .map_or_else(|| "a test".to_owned(), |level| format!(">= {:.1}, the promotion threshold", 1.0 / level)),
        had: e_value(values),
        passed: level.zip(log).is_some_and(|(level, log)| level > 0.0 && log >= -level.ln()),
    }
}

/// What shadow has to show by itself: see [`needed_of_shadow`].
pub(super) fn shadow_e_value(t: &Thresholds, evidence: &ShadowEvidence) -> Check {
    let protocol = evidence.protocol.as_ref();
    let proved = protocol.and_then(|p| p.holdout).and_then(|values| values.log_excess);
    let days = evidence.tested.holdout.as_ref().map_or(0.0, |p| f64::from(p.days));
    let level = protocol.and_then(|p| p.shadow_level);
    let needed = needed_of_shadow(t, level, proved, days).min(MAX_LOG).exp();
    checks::at_least("shadow.e_value", needed, alone(protocol))
}

/// ln of the e-value that shadow alone has to reach: what tells an edge that lives from one that has died, whatever it
/// had earned before. At least 1 / `level`, which a dead edge reaches with a chance of `level` at most, and half (say)
/// of what the hold-out promises for the whole shadow period: whose hold-out promises much has to show much. `proved` is
/// ln E over the hold-out of `days`. All is known when shadow begins, so the e-value stays one.
#[must_use]
pub fn needed_of_shadow(t: &Thresholds, level: Option<f64>, proved: Option<f64>, days: f64) -> f64 {
    let promised = proved.filter(|_| days > 0.0).map_or(0.0, |log| log / days * t.shadow_max_days);
    let alive = level.filter(|level| *level > 0.0).map_or(0.0, |level| -level.ln());
    t.shadow_min_e_value.max(f64::MIN_POSITIVE).ln().max(alive).max(t.shadow_promise_fraction * promised)
}

/// Not met by a shadow run that has had time to grow and is worth less than it began with.
pub(super) fn shadow_growth(t: &Thresholds, run: &PaperEvidence, known: Option<&ProtocolEvidence>) -> Check {
    let had = alone(known);
    Check {
        name: "shadow.growth".into(),
        needed: format!("a shadow e-value >= 1 from day {} on", t.shadow_growth_days),
        had,
        passed: run.days() < t.shadow_growth_days || had.is_none_or(|e| e >= 1.0),
    }
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
