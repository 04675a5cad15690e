//! The gate that compares evidence with fixed limits. Never looks at a clock: days are market time.
//!
//! What an undefined value means, in one place:
//! - A requirement on an undefined value is not met. One exception: a profit factor that is undefined because
//!   nothing was lost counts as met with at least `lossless_min_winning_trades` winners and a positive total.
//! - A limit whose break demotes or disables is broken by a value that was measured, never by a missing one.
//! - Evidence that is not there yet (no backtest, no hold-out, no shadow candle) holds the strategy where it is.

use super::{
    CandidateEvidence, Check, Decision, DisableReason, Gate, GateEvidence, LiveEvidence, ShadowEvidence, State,
    ThresholdError, Thresholds, Transition, checks, summaries,
};
use engine::Performance;

/// Moves strategies by fixed thresholds.
#[derive(Clone, Debug)]
pub struct ThresholdGate {
    thresholds: Thresholds,
}

impl ThresholdGate {
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
        let (Some(backtest), Some(holdout)) = (&tested.backtest, &tested.holdout) else {
            let measured = [("backtest", tested.backtest.is_some()), ("holdout", tested.holdout.is_some())];
            return Decision::wait("Candidate: waits for backtest and hold-out", &measured);
        };
        let t = &self.thresholds;
        let before = self.window("backtest", backtest, t.candidate_min_profit_factor, t.candidate_min_trades);
        let after = self.window("holdout", holdout, t.holdout_min_profit_factor, t.holdout_min_trades);
        let checks = [before, after].concat();
        let told = "Entered shadow: meets every requirement of backtest and hold-out".to_owned();
        Decision::of_candidate((told, summaries::missed(&checks)), checks)
    }

    /// The requirements on one stretch of history.
    fn window(&self, name: &str, p: &Performance, min_profit_factor: f64, min_trades: u32) -> [Check; 5] {
        let t = &self.thresholds;
        [
            checks::total_trades(name, min_trades, p),
            checks::profit_factor(t, name, min_profit_factor, p),
            checks::sharpe_ratio(t, name, p),
            checks::win_rate(t, name, p),
            checks::drawdown(t, name, p),
        ]
    }

    fn shadow(&self, evidence: &ShadowEvidence) -> Decision {
        let Some(run) = &evidence.run else {
            return Decision::wait("In shadow: waits for the first candle", &[("shadow", false)]);
        };
        let t = &self.thresholds;
        let mut checks = vec![
            checks::shadow_days(t, run),
            checks::shadow_closed_trades(t, run),
            checks::shadow_profit_factor(t, run),
            checks::shadow_drawdown(t, run),
        ];
        let passed = checks.iter().all(|c| c.passed);
        let (floor, days_left) = (checks::shadow_profit_factor_floor(t, run), checks::shadow_days_left(t, run, passed));
        let (hopeless, expired) = (!floor.passed, !days_left.passed);
        checks.extend([floor, days_left]);
        let failed = Transition::Disable { from: State::Shadow, reason: DisableReason::Failed };
        if checks::is_broken(t, run) {
            let deep = checks.iter().find(|c| c.name == "shadow.max_drawdown_percent");
            Decision::go(failed, format!("Failed: {}", summaries::beyond(deep)), checks)
        } else if hopeless {
            let floor = checks.iter().find(|c| c.name == "shadow.profit_factor_floor");
            Decision::go(failed, format!("Failed: {}", summaries::beyond(floor)), checks)
        } else if passed {
            Decision::go(Transition::GoLive, "Promoted: meets every requirement of shadow", checks)
        } else if expired {
            Decision::go(failed, format!("Failed: shadow time is over: {}", summaries::missed(&checks)), checks)
        } else {
            Decision::hold(format!("In shadow: {}", summaries::missed(&checks)), checks)
        }
    }

    fn live(&self, evidence: &LiveEvidence) -> Decision {
        let Some(run) = &evidence.run else {
            return Decision::wait("Live: waits for the first candle", &[("live", false)]);
        };
        let t = &self.thresholds;
        let (fatal, deep) = (checks::live_max_drawdown(t, run), checks::live_drawdown(t, run));
        let losing = checks::live_recent_profit_factor(t, run);
        let last_chance = checks::live_demotions(t, evidence.demotions);
        let broken = broken_live_limit(&fatal, &deep, Some(&losing), !last_chance.passed);
        let checks = vec![fatal, deep, losing, last_chance];
        match broken {
            Some((transition, why)) => Decision::go(transition, why, checks),
            None => Decision::hold("Live: within its limits", checks),
        }
    }
}

impl Gate for ThresholdGate {
    fn name(&self) -> &'static str {
        "thresholds/1"
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

/// What follows for a live strategy from the limits that it broke, and why; `None` where it broke none. `fatal` and
/// `deep` are on its drawdown, `losing` on its newest trades.
pub(super) fn broken_live_limit(
    fatal: &Check,
    deep: &Check,
    losing: Option<&Check>,
    last_chance_gone: bool,
) -> Option<(Transition, String)> {
    let disable = Transition::Disable { from: State::Live, reason: DisableReason::Deactivated };
    if !fatal.passed {
        return Some((disable, format!("Disabled: {}", summaries::beyond(Some(fatal)))));
    }
    let broken = [Some(deep), losing].into_iter().flatten().find(|check| !check.passed)?;
    let why = summaries::beyond(Some(broken));
    Some(match last_chance_gone {
        true => (disable, format!("Disabled: {why}, after its last demotion")),
        false => (Transition::Demote, format!("Demoted: {why}")),
    })
}
