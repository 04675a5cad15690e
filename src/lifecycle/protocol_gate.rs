//! The evidence protocol as a gate: nothing goes live on what luck would show as well.
//!
//! | move | needs |
//! |---|---|
//! | candidate -> shadow | the search beat the searches of null markets (p), or the hold-out alone says enough; a hold-out e-value that does not speak against it; enough trades; drawdown |
//! | shadow -> live | e-value of hold-out and shadow together above the bar of the online procedure; shadow alone above its own, which is higher where the hold-out promises more; days, closed trades, profit factor, drawdown; real results told apart from placebo |
//! | live -> shadow, disabled | an alarm of the detectors calibrated for the strategy; the limits on drawdown |
//!
//! The bar is 1 / level: the level is what the online procedure lets this strategy use up of the error that the
//! daemon may make in its whole life. A demoted strategy has to earn its way back on new trades alone, at a fifth of
//! its level; the first way up has the other four fifths, so that both together spend no more than the whole.
//!
//! Evidence that is not there yet holds the strategy where it is.

use super::threshold_gate::{at_least, drawdown, go, hold, missing};
use super::{
    Check, Decision, DetectorReading, DisableReason, EValues, Gate, GateEvidence, ProtocolEvidence, ShadowEvidence,
    State, StayingLevel, ThresholdError, ThresholdGate, Thresholds, Transition, Verdict,
};
use evidence::placebo::PlaceboComparison;

/// Share of a strategy's level for its first way from shadow to live, and for every one after a demotion.
const FIRST_SHARE: f64 = 0.8;
const AGAIN_SHARE: f64 = 0.2;
/// Largest logarithm whose exponential is shown: beyond it e-values differ in nothing that matters.
const MAX_LOG: f64 = 700.0;

/// Moves strategies by evidence that luck cannot fake.
#[derive(Clone, Debug)]
pub struct ProtocolGate {
    limits: ThresholdGate,
}

impl ProtocolGate {
    /// A gate with these limits.
    ///
    /// # Errors
    /// The first limit that makes no sense.
    pub fn new(thresholds: Thresholds) -> Result<Self, ThresholdError> {
        Ok(Self { limits: ThresholdGate::new(thresholds)? })
    }

    fn thresholds(&self) -> &Thresholds {
        self.limits.thresholds()
    }

    fn candidate(&self, evidence: &GateEvidence) -> Decision {
        let (Some(backtest), Some(holdout), Some(protocol)) =
            (&evidence.backtest, &evidence.holdout, &evidence.protocol)
        else {
            let there = [
                ("backtest", evidence.backtest.is_some()),
                ("holdout", evidence.holdout.is_some()),
                ("protocol", evidence.protocol.is_some()),
            ];
            let checks = there.into_iter().filter(|(_, is_there)| !is_there).map(|(name, _)| missing(name)).collect();
            return hold("waits for its backtest, its hold-out and what they prove", checks);
        };
        let t = self.thresholds();
        let e_value = e_value(protocol.holdout.as_ref());
        let lone = e_value.is_some_and(|e| e >= t.lone_holdout_e_value);
        let beats_nulls = protocol.p_value.is_some_and(|p| p <= t.max_p_value);
        let needed = format!("<= {}, or a hold-out e-value >= {}", t.max_p_value, t.lone_holdout_e_value);
        let checks = vec![
            Check { name: "search.p_value".into(), needed, had: protocol.p_value, passed: beats_nulls || lone },
            at_least("holdout.e_value", t.holdout_min_e_value, e_value),
            at_least("backtest.total_trades", f64::from(t.candidate_min_trades), Some(backtest.total_trades.into())),
            at_least("holdout.total_trades", f64::from(t.holdout_min_trades), Some(holdout.total_trades.into())),
            drawdown("backtest.max_drawdown_percent", t.max_drawdown_percent, backtest),
            drawdown("holdout.max_drawdown_percent", t.max_drawdown_percent, holdout),
        ];
        let failed = checks.iter().filter(|c| !c.passed).count();
        if failed == 0 {
            return go(Transition::EnterShadow, "did what luck seldom does, in search and hold-out", checks);
        }
        let transition = Transition::Disable { from: State::Candidate, reason: DisableReason::Rejected };
        go(transition, &format!("misses {failed} of {} requirements", checks.len()), checks)
    }

    fn shadow(&self, evidence: &GateEvidence) -> Decision {
        let Some(shadow) = &evidence.shadow else {
            return hold("waits for its first shadow candle", vec![missing("shadow")]);
        };
        let t = self.thresholds();
        let [days, trades, mut profits, drawdown] = self.limits.shadow_limits(shadow);
        let alone = evidence.protocol.as_ref().and_then(|e| e_value(e.shadow.as_ref()));
        // A profit factor has no scale of its own: many small gains prove more than few large ones.
        let gained = shadow.performance.profit_factor.is_some_and(|f| f > 1.0);
        profits.needed = format!("{}, or > 1 with a shadow e-value >= {}", profits.needed, t.shadow_waiver_e_value);
        profits.passed |= gained && alone.is_some_and(|e| e >= t.shadow_waiver_e_value);
        let mut checks = vec![
            bar(evidence.protocol.as_ref(), evidence.demotions),
            at_least("shadow.e_value", self.needed_in_shadow(evidence), alone),
            days,
            trades,
            profits,
            drawdown,
        ];
        checks.extend(evidence.placebo.as_ref().map(told_apart));
        let passed = checks.iter().all(|c| c.passed);
        let broken = self.limits.is_broken(shadow);
        let expired = shadow.days() >= t.shadow_max_days && !passed;
        checks.push(self.limits.days_left(shadow.days(), !expired));
        let failed = |why: &str, checks| {
            go(Transition::Disable { from: State::Shadow, reason: DisableReason::Failed }, why, checks)
        };
        if broken {
            failed("lost more in shadow than the drawdown limit allows", checks)
        } else if passed {
            go(Transition::GoLive, "has proven an edge on what nobody had seen", checks)
        } else if expired {
            failed("has not proven an edge in the time that shadow gives", checks)
        } else {
            hold("stays in shadow until its edge is proven", checks)
        }
    }

    /// The e-value that shadow has to show by itself. Whose hold-out promises much has to show much: an edge that died
    /// at promotion is told from one that lives by what it no longer earns.
    fn needed_in_shadow(&self, evidence: &GateEvidence) -> f64 {
        let t = self.thresholds();
        let proved = evidence.protocol.as_ref().and_then(|p| p.holdout).and_then(|values| values.log_excess);
        let days = evidence.holdout.as_ref().map(|p| f64::from(p.days)).filter(|days| *days > 0.0);
        let promised = proved.zip(days).map_or(0.0, |(log, days)| log / days * t.shadow_max_days);
        t.shadow_min_e_value.max((t.shadow_promise_fraction * promised).min(MAX_LOG).exp())
    }

    /// The limits on drawdown first: what breaks one is no longer a question of detectors. A profit factor over few
    /// trades is left out: sooner or later every healthy strategy has 40 trades that look bad.
    fn live(&self, evidence: &GateEvidence) -> Decision {
        let live = evidence.live.clone().map(|live| ShadowEvidence { recent: None, ..live });
        let mut decision = self.limits.decide(State::Live, &GateEvidence { live, ..evidence.clone() });
        decision.checks.retain(|check| check.had.is_some());
        let Some(staying) = &evidence.staying else { return decision };
        decision.checks.extend(staying.readings.iter().map(alarm));
        if decision.verdict != Verdict::Hold || staying.level != StayingLevel::Alarm {
            return decision;
        }
        if evidence.demotions >= self.thresholds().max_demotions {
            let disable = Transition::Disable { from: State::Live, reason: DisableReason::Deactivated };
            return go(disable, "shows again after its last chance that its edge has gone", decision.checks);
        }
        go(Transition::Demote, "shows by its own trades that its edge has gone", decision.checks)
    }
}

impl Gate for ProtocolGate {
    fn name(&self) -> &'static str {
        "protocol/1"
    }

    fn decide(&self, state: State, evidence: &GateEvidence) -> Decision {
        match state {
            State::Candidate => self.candidate(evidence),
            State::Shadow => self.shadow(evidence),
            State::Live => self.live(evidence),
            State::Disabled => self.limits.decide(state, evidence),
        }
    }
}

fn alarm(reading: &DetectorReading) -> Check {
    Check {
        name: format!("staying.{}", reading.detector),
        needed: format!("no alarm, which is above {:.2}", reading.bar),
        had: Some(reading.statistic),
        passed: reading.level != StayingLevel::Alarm,
    }
}

/// E of hold-out and shadow against 1 / level; after a demotion, of the trades since alone.
fn bar(protocol: Option<&ProtocolEvidence>, demotions: u32) -> Check {
    let share = if demotions == 0 { FIRST_SHARE } else { AGAIN_SHARE };
    let level = protocol.and_then(|e| e.level).map(|level| level * share);
    let values = protocol.and_then(|e| if demotions == 0 { e.total.as_ref() } else { e.shadow.as_ref() });
    let had = e_value(values);
    let log = values.and_then(|v| v.log_excess);
    Check {
        name: "protocol.e_value".into(),
        needed: level.map_or_else(
            || "a level of the online procedure".to_owned(),
            |level| format!(">= {:.1}, the bar of the online procedure", 1.0 / level),
        ),
        had,
        passed: level.zip(log).is_some_and(|(level, log)| level > 0.0 && log >= -level.ln()),
    }
}

fn told_apart(comparison: &PlaceboComparison) -> Check {
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

/// The e-value on results in excess of exposure; `None` where nothing is known.
fn e_value(values: Option<&EValues>) -> Option<f64> {
    // Every bet lost everything: an e-value of 0.
    values.map(|v| v.log_excess.map_or(0.0, |log| log.min(MAX_LOG).exp()))
}
