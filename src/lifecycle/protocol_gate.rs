//! The evidence protocol as a gate: nothing goes live on what luck would show as well.
//!
//! | move | needs |
//! |---|---|
//! | candidate -> shadow | a test of it was bought; a hold-out e-value that does not speak against it; enough trades; drawdown |
//! | shadow -> live | e-value of hold-out and shadow together above the promotion threshold; shadow alone above its own, which is higher where the hold-out promises more; days, closed trades, profit factor, drawdown; real results told apart from placebo |
//! | live -> shadow, disabled | an alarm of the detectors calibrated for the strategy; the limits on drawdown |
//!
//! The threshold is 1 / level: the level is what its test cost of the false promotions that a market year allows, and
//! bounds its chance of going live without an edge. Shadow alone answers another question: whether the edge still
//! lives. A session whose edges have all died when shadow begins gets one live with a chance of at most
//! `protocol.dead_promotions`, which its tests share. A demoted strategy has to earn its way back on new trades alone, at a fifth of
//! its level; the first way up has the other four fifths, so that both together spend no more than the whole.
//!
//! Evidence that is not there yet holds the strategy where it is.

use super::{
    CandidateEvidence, Decision, DisableReason, EdgeDecayLevel, Gate, GateEvidence, LiveEvidence, ShadowEvidence,
    State, ThresholdError, Thresholds, Transition, checks, protocol_checks, summaries,
    threshold_gate::broken_live_limit,
};

/// Moves strategies by evidence that luck cannot fake.
#[derive(Clone, Debug)]
pub struct ProtocolGate {
    thresholds: Thresholds,
}

impl ProtocolGate {
    /// A gate with these limits.
    ///
    /// # Errors
    /// The first limit that makes no sense.
    pub fn new(thresholds: Thresholds) -> Result<Self, ThresholdError> {
        thresholds.validate()?;
        Ok(Self { thresholds })
    }

    fn candidate(&self, evidence: &CandidateEvidence) -> Decision {
        let tested = &evidence.tested;
        let (Some(backtest), Some(holdout), Some(protocol)) = (&tested.backtest, &tested.holdout, &evidence.protocol)
        else {
            let measured = [
                ("backtest", tested.backtest.is_some()),
                ("holdout", tested.holdout.is_some()),
                ("protocol", evidence.protocol.is_some()),
            ];
            return Decision::wait("Candidate: waits for backtest, hold-out and their evidence", &measured);
        };
        let t = &self.thresholds;
        let [trades, drawdown] = protocol_checks::of_backtest(t, backtest);
        let checks = vec![
            protocol_checks::test(protocol),
            protocol_checks::search_p_value(t, protocol),
            protocol_checks::holdout_e_value(t, protocol),
            trades,
            checks::total_trades("holdout", t.holdout_min_trades, holdout),
            drawdown,
            checks::drawdown(t, "holdout", holdout),
        ];
        let told = (summaries::entered_shadow(&checks), summaries::missed(&checks));
        Decision::of_candidate(told, checks)
    }

    fn shadow(&self, evidence: &ShadowEvidence) -> Decision {
        let Some(run) = &evidence.run else {
            return Decision::wait("In shadow: waits for the first candle", &[("shadow", false)]);
        };
        let t = &self.thresholds;
        let mut checks = vec![
            protocol_checks::promotion_threshold(evidence),
            protocol_checks::shadow_e_value(t, evidence),
            checks::shadow_days(t, run),
            checks::shadow_closed_trades(t, run),
            protocol_checks::shadow_profit_factor(t, run, evidence.protocol.as_ref()),
            checks::shadow_drawdown(t, run),
        ];
        checks.extend(evidence.placebo.as_ref().map(protocol_checks::told_apart));
        let passed = checks.iter().all(|c| c.passed);
        let days_left = checks::shadow_days_left(t, run, passed);
        let expired = !days_left.passed;
        let growth = protocol_checks::shadow_growth(t, run, evidence.protocol.as_ref());
        let withered = !growth.passed;
        checks.extend([growth, days_left]);
        let failed = Transition::Disable { from: State::Shadow, reason: DisableReason::Failed };
        if checks::is_broken(t, run) {
            let deep = checks.iter().find(|c| c.name == "shadow.max_drawdown_percent");
            Decision::go(failed, format!("Failed: {}", summaries::beyond(deep)), checks)
        } else if passed {
            Decision::go(Transition::GoLive, summaries::promoted(&checks), checks)
        } else if withered {
            Decision::go(failed, summaries::withered(&checks), checks)
        } else if expired {
            Decision::go(failed, summaries::out_of_time(&checks), checks)
        } else {
            Decision::hold(summaries::waits_in_shadow(&checks), checks)
        }
    }

    /// The limits on drawdown first: what breaks one is no longer a question of detectors. A profit factor over few
    /// trades is left out: sooner or later every healthy strategy has 40 trades that look bad. So is a limit on what
    /// was not measured.
    fn live(&self, evidence: &LiveEvidence) -> Decision {
        let t = &self.thresholds;
        let last_chance = checks::live_demotions(t, evidence.demotions);
        let last_chance_gone = !last_chance.passed;
        let (mut checks, mut broken, mut otherwise) = (Vec::new(), None, "Live: waits for the first candle".to_owned());
        if let Some(run) = &evidence.run {
            let (fatal, deep) = (checks::live_max_drawdown(t, run), checks::live_drawdown(t, run));
            broken = broken_live_limit(&fatal, &deep, None, last_chance_gone);
            otherwise = "Live: within its limits".to_owned();
            checks.extend([fatal, deep].into_iter().filter(|check| check.had.is_some()));
            checks.push(last_chance);
        }
        let readings = evidence.staying.iter().flat_map(|staying| &staying.readings);
        checks.extend(readings.map(protocol_checks::alarm));
        let alarmed = evidence.staying.as_ref().is_some_and(|staying| staying.level == EdgeDecayLevel::Alarm);
        if let Some((transition, why)) = broken {
            Decision::go(transition, why, checks)
        } else if !alarmed {
            Decision::hold(otherwise, checks)
        } else if last_chance_gone {
            let disable = Transition::Disable { from: State::Live, reason: DisableReason::Deactivated };
            let why = format!("Disabled: {}, after its last demotion", summaries::alarm(evidence.staying.as_ref()));
            Decision::go(disable, why, checks)
        } else {
            let why = format!("Demoted: {}", summaries::alarm(evidence.staying.as_ref()));
            Decision::go(Transition::Demote, why, checks)
        }
    }
}

impl Gate for ProtocolGate {
    fn name(&self) -> &'static str {
        "protocol/2"
    }

    fn decide(&self, evidence: &GateEvidence) -> Decision {
        match evidence {
            GateEvidence::Candidate(evidence) => self.candidate(evidence),
            GateEvidence::Shadow(evidence) => self.shadow(evidence),
            GateEvidence::Live(evidence) => self.live(evidence),
            GateEvidence::Disabled => Decision::stays_disabled(),
        }
    }
}
