//! The gate that compares evidence with fixed limits. Never looks at a clock: days are candle time.
//!
//! What an undefined value means, in one place:
//! - A requirement on an undefined value is not met. One exception: a profit factor that is undefined because
//!   nothing was lost counts as met with at least `lossless_min_winning_trades` winners and a positive total.
//! - A limit whose break demotes or disables is broken by a value that was measured, never by a missing one.
//! - Evidence that is not there yet (no backtest, no hold-out, no shadow candle) holds the strategy where it is.

use super::{
    Check, Decision, DisableReason, Gate, GateEvidence, ShadowEvidence, State, ThresholdError, Thresholds, Transition,
    Verdict,
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

    /// The limits.
    #[must_use]
    pub fn thresholds(&self) -> &Thresholds {
        &self.thresholds
    }

    fn candidate(&self, evidence: &GateEvidence) -> Decision {
        let (Some(backtest), Some(holdout)) = (&evidence.backtest, &evidence.holdout) else {
            let there = [("backtest", evidence.backtest.is_some()), ("holdout", evidence.holdout.is_some())];
            let checks = there.into_iter().filter(|(_, is_there)| !is_there).map(|(name, _)| missing(name)).collect();
            return hold("waits for its backtest and its hold-out", checks);
        };
        let t = &self.thresholds;
        let mut checks = self.window("backtest", backtest, t.candidate_min_profit_factor, t.candidate_min_trades);
        checks.extend(self.window("holdout", holdout, t.holdout_min_profit_factor, t.holdout_min_trades));
        let failed = checks.iter().filter(|c| !c.passed).count();
        if failed == 0 {
            return go(Transition::EnterShadow, "meets every requirement of backtest and hold-out", checks);
        }
        let transition = Transition::Disable { from: State::Candidate, reason: DisableReason::Rejected };
        go(transition, &format!("misses {failed} of {} requirements", checks.len()), checks)
    }

    /// The requirements on one stretch of history.
    fn window(&self, name: &str, p: &Performance, min_profit_factor: f64, min_trades: u32) -> Vec<Check> {
        let t = &self.thresholds;
        vec![
            at_least(format!("{name}.total_trades"), f64::from(min_trades), Some(f64::from(p.total_trades))),
            self.profit_factor(format!("{name}.profit_factor"), p, min_profit_factor),
            at_least(format!("{name}.sharpe_ratio"), t.min_sharpe_ratio, p.sharpe_ratio),
            self.win_rate(format!("{name}.win_rate_percent"), p),
            drawdown(format!("{name}.max_drawdown_percent"), t.max_drawdown_percent, p),
        ]
    }

    pub(super) fn profit_factor(&self, name: String, p: &Performance, least: f64) -> Check {
        let needed = format!(">= {least}, or no loss in {} wins", self.thresholds.lossless_min_winning_trades);
        Check { name, needed, had: p.profit_factor, passed: self.profit_factor_reaches(p, least) }
    }

    fn profit_factor_reaches(&self, p: &Performance, least: f64) -> bool {
        match p.profit_factor {
            Some(value) => value >= least,
            None => {
                let wins = (p.win_rate.unwrap_or(0.0) * f64::from(p.total_trades)).round();
                wins >= f64::from(self.thresholds.lossless_min_winning_trades)
                    && p.total_return.is_some_and(|r| r > 0.0)
            }
        }
    }

    fn win_rate(&self, name: String, p: &Performance) -> Check {
        let t = &self.thresholds;
        let had = p.win_rate.map(|rate| 100.0 * rate);
        let waived = self.profit_factor_reaches(p, t.win_rate_waiver_profit_factor);
        Check {
            name,
            needed: format!(">= {}, or profit factor >= {}", t.min_win_rate_percent, t.win_rate_waiver_profit_factor),
            had,
            passed: waived || had.is_some_and(|rate| rate >= t.min_win_rate_percent),
        }
    }

    /// Days, closed trades, profit factor and drawdown in shadow against their limits, in this order.
    pub(super) fn shadow_limits(&self, shadow: &ShadowEvidence) -> [Check; 4] {
        let (t, p) = (&self.thresholds, &shadow.performance);
        let trades = f64::from(shadow.closed_trades);
        [
            at_least("shadow.days", t.shadow_min_days, Some(shadow.days())),
            at_least("shadow.closed_trades", f64::from(t.shadow_min_closed_trades), Some(trades)),
            self.profit_factor("shadow.profit_factor".into(), p, t.shadow_min_profit_factor),
            drawdown("shadow.max_drawdown_percent", t.max_drawdown_percent, p),
        ]
    }

    /// Whether a shadow run lost more than any may.
    pub(super) fn is_broken(&self, shadow: &ShadowEvidence) -> bool {
        drawdown_percent(&shadow.performance).is_some_and(|d| d > self.thresholds.max_drawdown_percent)
    }

    pub(super) fn days_left(&self, days: f64, passed: bool) -> Check {
        let most = self.thresholds.shadow_max_days;
        Check {
            name: "shadow.days_left".into(),
            needed: format!("> 0 of {most} days, or all of the above"),
            had: Some(most - days),
            passed,
        }
    }

    fn shadow(&self, evidence: &GateEvidence) -> Decision {
        let Some(shadow) = &evidence.shadow else {
            return hold("waits for its first shadow candle", vec![missing("shadow")]);
        };
        let t = &self.thresholds;
        let (p, days) = (&shadow.performance, shadow.days());
        let mut checks = self.shadow_limits(shadow).to_vec();
        let passed = checks.iter().all(|c| c.passed);
        let broken = self.is_broken(shadow);
        let enough = shadow.closed_trades >= t.shadow_fail_min_closed_trades;
        let hopeless = enough && p.profit_factor.is_some_and(|f| f < t.shadow_fail_profit_factor);
        let expired = days >= t.shadow_max_days && !passed;
        checks.push(Check {
            name: "shadow.profit_factor_floor".into(),
            needed: format!(">= {} from {} trades", t.shadow_fail_profit_factor, t.shadow_fail_min_closed_trades),
            had: p.profit_factor,
            passed: !hopeless,
        });
        checks.push(self.days_left(days, !expired));
        let failed = |why: &str, checks| {
            go(Transition::Disable { from: State::Shadow, reason: DisableReason::Failed }, why, checks)
        };
        if broken {
            failed("lost more in shadow than the drawdown limit allows", checks)
        } else if hopeless {
            failed("loses in shadow on enough trades to be sure", checks)
        } else if passed {
            go(Transition::GoLive, "meets every requirement of shadow", checks)
        } else if expired {
            failed("has not passed in the time that shadow gives", checks)
        } else {
            hold("stays in shadow until the requirements are met", checks)
        }
    }

    fn live(&self, evidence: &GateEvidence) -> Decision {
        let Some(live) = &evidence.live else {
            return hold("waits for its first live candle", vec![missing("live")]);
        };
        let t = &self.thresholds;
        let p = &live.performance;
        let drawn = drawdown_percent(p);
        let recent = live.recent.as_ref().filter(|r| r.trades >= t.live_recent_trades);
        let rolling = recent.and_then(|r| r.profit_factor);
        let fatal = drawn.is_some_and(|d| d > t.live_max_drawdown_percent);
        let deep = drawn.is_some_and(|d| d > t.live_demote_drawdown_percent);
        let losing = rolling.is_some_and(|f| f < t.live_min_recent_profit_factor);
        let last_chance_gone = evidence.demotions >= t.max_demotions;
        let checks = vec![
            Check {
                name: "live.max_drawdown_percent".into(),
                needed: format!("<= {} to stay enabled", t.live_max_drawdown_percent),
                had: drawn,
                passed: !fatal,
            },
            Check {
                name: "live.drawdown_percent".into(),
                needed: format!("<= {} to stay live", t.live_demote_drawdown_percent),
                had: drawn,
                passed: !deep,
            },
            Check {
                name: "live.recent_profit_factor".into(),
                needed: format!(">= {} over {} trades", t.live_min_recent_profit_factor, t.live_recent_trades),
                had: rolling,
                passed: !losing,
            },
            Check {
                name: "live.demotions".into(),
                needed: format!("< {} to be demoted rather than disabled", t.max_demotions),
                had: Some(f64::from(evidence.demotions)),
                passed: !last_chance_gone,
            },
        ];
        let disable = Transition::Disable { from: State::Live, reason: DisableReason::Deactivated };
        if fatal {
            go(disable, "lost more while live than the drawdown limit allows", checks)
        } else if (deep || losing) && last_chance_gone {
            go(disable, "broke a live limit again after its last chance", checks)
        } else if deep {
            go(Transition::Demote, "fell into a drawdown that calls for probation", checks)
        } else if losing {
            go(Transition::Demote, "has lost its edge over its newest trades", checks)
        } else {
            hold("keeps within its live limits", checks)
        }
    }
}

impl Gate for ThresholdGate {
    fn name(&self) -> &'static str {
        "thresholds/1"
    }

    fn decide(&self, state: State, evidence: &GateEvidence) -> Decision {
        match state {
            State::Candidate => self.candidate(evidence),
            State::Shadow => self.shadow(evidence),
            State::Live => self.live(evidence),
            State::Disabled => hold("stays disabled until an operator revives it", Vec::new()),
        }
    }
}

pub(super) fn hold(summary: &str, checks: Vec<Check>) -> Decision {
    Decision { verdict: Verdict::Hold, summary: summary.into(), checks }
}

pub(super) fn go(transition: Transition, summary: &str, checks: Vec<Check>) -> Decision {
    Decision { verdict: Verdict::Move(transition), summary: summary.into(), checks }
}

pub(super) fn missing(name: &str) -> Check {
    Check { name: name.into(), needed: "measured".into(), had: None, passed: false }
}

pub(super) fn at_least(name: impl Into<String>, least: f64, had: Option<f64>) -> Check {
    let passed = had.is_some_and(|value| value >= least);
    Check { name: name.into(), needed: format!(">= {least}"), had, passed }
}

pub(super) fn drawdown(name: impl Into<String>, most_percent: f64, p: &Performance) -> Check {
    let had = drawdown_percent(p);
    let passed = had.is_some_and(|value| value <= most_percent);
    Check { name: name.into(), needed: format!("<= {most_percent}"), had, passed }
}

/// Drawdown as a positive percentage.
pub(super) fn drawdown_percent(p: &Performance) -> Option<f64> {
    p.max_drawdown.map(|d| -100.0 * d + 0.0)
}

impl ShadowEvidence {
    /// Candle time covered, in days.
    #[must_use]
    pub fn days(&self) -> f64 {
        const DAY_MS: f64 = 86_400_000.0;
        (self.to_ms - self.from_ms).max(0) as f64 / DAY_MS
    }
}
