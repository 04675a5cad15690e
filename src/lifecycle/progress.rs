//! How close a strategy is to its next state: evidence beside its threshold, every requirement, and when it may be met.
//!
//! For people, of what a gate was asked. Decides nothing.

use super::{
    Check, Decision, GateEvidence, PaperEvidence, ShadowEvidence, State, Thresholds, needed_of_shadow, promotion_level,
};
use evidence::forecast::forecast;
use serde::{Deserialize, Serialize};

const DAY_MS: f64 = 86_400_000.0;

/// When what is missing may be there, in market time, UTC ms; `None` where nobody can tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Expected {
    /// By the mean growth of the evidence so far.
    pub at_ms: Option<i64>,
    /// Before it in about one case of ten.
    pub early_ms: Option<i64>,
    /// After it in about one case of ten; it may never be where this is `None`.
    pub late_ms: Option<i64>,
    /// Where shadow ends, whatever there is.
    pub until_ms: i64,
}

/// How close a strategy was when the gate was asked last.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// The state that it was in.
    pub state: State,
    /// Market time, UTC ms.
    pub at_ms: i64,
    /// What the gate said, in a sentence.
    pub summary: String,
    /// ln E that counts towards promotion; `None` where nothing is known or everything is lost.
    pub log_e: Option<f64>,
    /// ln of the promotion threshold.
    pub log_needed: Option<f64>,
    /// ln E of shadow alone.
    pub shadow_log_e: Option<f64>,
    /// ln of what shadow alone has to show.
    pub shadow_log_needed: Option<f64>,
    /// Every requirement, with what there was.
    pub checks: Vec<Check>,
    /// When a strategy in shadow may go live.
    pub expected: Option<Expected>,
    /// ln E at the end of each day since shadow began, UTC ms and value.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub days: Vec<(i64, Option<f64>)>,
}

impl Progress {
    /// Of what was decided on evidence as of `at_ms`.
    #[must_use]
    pub fn of(t: &Thresholds, evidence: &GateEvidence, decision: &Decision, at_ms: i64) -> Self {
        let plain = Self {
            state: evidence.state(),
            at_ms,
            summary: decision.summary.clone(),
            log_e: None,
            log_needed: None,
            shadow_log_e: None,
            shadow_log_needed: None,
            checks: decision.checks.clone(),
            expected: None,
            days: Vec::new(),
        };
        match evidence {
            GateEvidence::Shadow(evidence) => plain.in_shadow(t, evidence),
            _ => plain,
        }
    }

    fn in_shadow(self, t: &Thresholds, evidence: &ShadowEvidence) -> Self {
        let Some(protocol) = &evidence.protocol else { return self };
        let first = evidence.demotions == 0;
        let counts = if first { protocol.total } else { protocol.shadow };
        let holdout_days = evidence.tested.holdout.as_ref().map_or(0.0, |p| f64::from(p.days));
        let proved = protocol.holdout.and_then(|values| values.log_excess);
        let level = protocol.level.filter(|level| *level > 0.0);
        let told = Self {
            log_e: counts.and_then(|values| values.log_excess),
            log_needed: level.map(|level| -promotion_level(level, first).ln()),
            shadow_log_e: protocol.shadow.and_then(|values| values.log_excess),
            shadow_log_needed: Some(needed_of_shadow(t, protocol.shadow_level, proved, holdout_days)),
            ..self
        };
        let Some(run) = &evidence.run else { return told };
        let seen_days = run.days() + if first { holdout_days } else { 0.0 };
        let expected = told.expected(t, run, seen_days);
        Self { expected: Some(expected), ..told }
    }

    /// The last of what is missing decides: evidence of hold-out and shadow, of shadow alone, days, closed trades.
    fn expected(&self, t: &Thresholds, run: &PaperEvidence, seen_days: f64) -> Expected {
        let had = run.days();
        let evidence =
            [(self.log_e, self.log_needed, seen_days), (self.shadow_log_e, self.shadow_log_needed, seen_days)];
        // Growth is that of all there is: of a shadow that has just begun alone nothing could be told.
        let growth = self.log_e.unwrap_or(0.0);
        let forecasts = evidence.map(|(value, needed, days)| match (value, needed) {
            (Some(value), Some(needed)) => forecast(needed - value, growth, days),
            _ => forecast(f64::INFINITY, growth, days),
        });
        let missing_trades = f64::from(t.shadow_min_closed_trades) - f64::from(run.closed_trades);
        let trades = match missing_trades {
            missing if missing <= 0.0 => Some(0.0),
            missing => (run.closed_trades > 0 && had > 0.0).then(|| missing * had / f64::from(run.closed_trades)),
        };
        let least = trades.map(|days| days.max(t.shadow_min_days - had));
        let last = |days: [Option<f64>; 2]| {
            let days = days.into_iter().chain([least]).try_fold(0.0_f64, |last, days| Some(last.max(days?)))?;
            Some(run.to_ms.saturating_add((days * DAY_MS) as i64))
        };
        Expected {
            at_ms: last(forecasts.map(|f| f.expected_days)),
            early_ms: last(forecasts.map(|f| f.early_days)),
            late_ms: last(forecasts.map(|f| f.late_days)),
            until_ms: run.from_ms.saturating_add((t.shadow_max_days * DAY_MS) as i64),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{EValues, Gate, ProtocolEvidence, ProtocolGate, Tested};
    use engine::Performance;

    const START_MS: i64 = 1_700_000_000_000;

    /// Twenty days of shadow after sixty of a hold-out.
    fn evidence(holdout: f64, shadow: f64, closed_trades: u32) -> ShadowEvidence {
        let values = |log: f64| Some(EValues { log_excess: Some(log), log_plain: None });
        let held = Performance { days: 60, ..Performance::default() };
        ShadowEvidence {
            tested: Tested { backtest: None, holdout: Some(held) },
            run: Some(PaperEvidence {
                performance: Performance {
                    profit_factor: Some(2.0),
                    max_drawdown: Some(-0.1),
                    ..Performance::default()
                },
                from_ms: START_MS,
                to_ms: START_MS + 20 * DAY_MS as i64,
                closed_trades,
                recent: None,
            }),
            demotions: 0,
            protocol: Some(ProtocolEvidence {
                holdout: values(holdout),
                shadow: values(shadow),
                total: values(holdout + shadow),
                level: Some(0.01),
                shadow_level: Some(0.2),
                ..ProtocolEvidence::default()
            }),
            placebo: None,
        }
    }

    fn progress(evidence: ShadowEvidence) -> Progress {
        let t = Thresholds::default();
        let evidence = GateEvidence::Shadow(evidence);
        let decision = ProtocolGate::new(t.clone()).unwrap().decide(&evidence);
        Progress::of(&t, &evidence, &decision, START_MS)
    }

    #[test]
    fn what_is_missing_and_when_it_may_be_there() {
        let told = progress(evidence(2.0, 1.2, 30));
        assert_eq!(told.log_e, Some(3.2));
        assert!((told.log_needed.unwrap() - 125f64.ln()).abs() < 1e-12, "four fifths of a level of 0.01");
        let expected = told.expected.unwrap();
        // 3.2 in 80 days; of the two ln E that are needed the one that lacks more decides.
        let lacks = (125f64.ln() - 3.2).max(told.shadow_log_needed.unwrap() - 1.2);
        let days = (expected.at_ms.unwrap() - START_MS) as f64 / DAY_MS - 20.0;
        assert!((days - lacks / 3.2 * 80.0).abs() < 0.01, "{days}");
        assert!(expected.early_ms < expected.at_ms);
        assert!(expected.late_ms.is_none_or(|late| Some(late) > expected.at_ms));
        assert_eq!(told.checks.iter().filter(|c| !c.passed).count(), 2, "{:?}", told.checks);
    }

    #[test]
    fn trades_that_are_missing_are_waited_for_and_evidence_that_shrinks_is_told_nothing_of() {
        let waits = progress(evidence(20.0, 20.0, 5)).expected.unwrap();
        // 5 of 10 trades in 20 days.
        assert_eq!(waits.at_ms, Some(START_MS + 40 * DAY_MS as i64));
        let shrinks = progress(evidence(-1.0, -1.0, 30)).expected.unwrap();
        assert_eq!((shrinks.at_ms, shrinks.early_ms, shrinks.late_ms), (None, None, None));
        let none = progress(ShadowEvidence { protocol: None, ..evidence(1.0, 1.0, 30) });
        assert_eq!((none.log_e, none.expected), (None, None));
    }
}
