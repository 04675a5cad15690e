//! Evidence in, a decision with its reasons out: the seam behind which gates are exchanged.

use super::{State, StayingVerdict, Transition};
use engine::{ExitReason, Outcome, Performance, Trade};
use evidence::placebo::PlaceboComparison;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The newest trades that a strategy closed, for limits that look at the present rather than at the whole past.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RecentTrades {
    /// How many there are: as many as were asked for, or all where there are fewer.
    pub trades: u32,
    /// Sum of winning net profits / abs(sum of losing ones); `None` without a losing trade.
    pub profit_factor: Option<f64>,
}

impl RecentTrades {
    /// The `count` trades of a ledger that were closed last; those that the window's end closed do not count.
    #[must_use]
    pub fn newest(trades: &[Trade], count: usize) -> Self {
        let mut closed: Vec<&Trade> = trades.iter().filter(|t| t.exit_reason != ExitReason::EndOfWindow).collect();
        // Stable: trades that close together stay in order of entry.
        closed.sort_by_key(|t| t.exit_time_ms);
        let newest = &closed[closed.len().saturating_sub(count)..];
        let won: f64 = newest.iter().map(|t| t.profit.max(0.0)).sum();
        let lost: f64 = newest.iter().map(|t| t.profit.min(0.0)).sum();
        Self {
            trades: u32::try_from(newest.len()).unwrap_or(u32::MAX),
            profit_factor: (lost < 0.0).then(|| won / -lost),
        }
    }
}

/// What a strategy did on paper since it entered shadow (or went live).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ShadowEvidence {
    /// Over the candles since `from_ms`, which no search has seen.
    pub performance: Performance,
    /// First candle counted, UTC ms.
    pub from_ms: i64,
    /// End of the last candle counted, UTC ms (exclusive).
    pub to_ms: i64,
    /// Trades closed by the strategy itself (not by the window's end).
    pub closed_trades: u32,
    /// The newest of them.
    pub recent: Option<RecentTrades>,
}

impl ShadowEvidence {
    /// Of a run that began at `from_ms` and is known up to `to_ms`; the ledger must be there. `recent_trades` is how
    /// many of the newest closed trades are looked at by themselves.
    #[must_use]
    pub fn of(outcome: &Outcome, from_ms: i64, to_ms: i64, recent_trades: usize) -> Self {
        let trades = outcome.ledger.as_ref().map_or(&[][..], |l| &l.trades);
        let closed = trades.iter().filter(|t| t.exit_reason != ExitReason::EndOfWindow).count();
        Self {
            performance: outcome.performance.clone(),
            from_ms,
            to_ms,
            closed_trades: u32::try_from(closed).unwrap_or(u32::MAX),
            recent: Some(RecentTrades::newest(trades, recent_trades)),
        }
    }
}

/// E-values of one stretch of time, as natural logarithms; `None` once every bet lost everything (E = 0).
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EValues {
    /// On results in excess of what the strategy's mean exposure would have earned: what counts.
    pub log_excess: Option<f64>,
    /// On plain results, for people.
    pub log_plain: Option<f64>,
}

/// What the evidence protocol knows of a strategy.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ProtocolEvidence {
    /// Of its search against searches of null markets, by maximum statistic; `None` where nobody searched.
    pub p_value: Option<f64>,
    /// Null searches that the p-value rests on.
    pub null_searches: u32,
    /// Over the hold-out.
    pub holdout: Option<EValues>,
    /// Over the shadow (or live) run alone.
    pub shadow: Option<EValues>,
    /// Over hold-out and shadow as one process.
    pub total: Option<EValues>,
    /// What the online procedure lets this strategy use up, fraction; the bar is 1 / level.
    pub level: Option<f64>,
}

/// Everything a gate may look at.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct GateEvidence {
    /// In sample: the window the search saw.
    pub backtest: Option<Performance>,
    /// The hold-out part that the search never saw.
    pub holdout: Option<Performance>,
    /// Since shadow began.
    pub shadow: Option<ShadowEvidence>,
    /// Since it went live.
    pub live: Option<ShadowEvidence>,
    /// How often it was demoted from live before.
    pub demotions: u32,
    /// What the evidence protocol knows; `None` where it was not asked.
    #[serde(default)]
    pub protocol: Option<ProtocolEvidence>,
    /// What the detectors of an edge that has gone say of a live strategy; `None` before its first live trade.
    #[serde(default)]
    pub staying: Option<StayingVerdict>,
    /// How real sessions compare with those on null markets; `None` without a placebo island.
    #[serde(default)]
    pub placebo: Option<PlaceboComparison>,
}

/// One requirement: what it needed, what there was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// Name, such as `holdout.profit_factor`.
    pub name: String,
    /// Requirement in words, such as `>= 1.5`.
    pub needed: String,
    /// What there was; `None` when undefined.
    pub had: Option<f64>,
    /// Whether it holds.
    pub passed: bool,
}

impl fmt::Display for Check {
    /// One line: `ok  holdout.profit_factor >= 1.3: 1.42`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = if self.passed { "ok " } else { "no " };
        write!(f, "{mark} {} {}: ", self.name, self.needed)?;
        match self.had {
            // Three decimals for people; the stored value keeps every bit.
            Some(value) => write!(f, "{}", (value * 1e3).round() / 1e3),
            None => f.write_str("undefined"),
        }
    }
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Stay in this state.
    Hold,
    /// Move.
    Move(Transition),
}

/// A verdict with its reasons as data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// What to do.
    pub verdict: Verdict,
    /// One sentence for people.
    pub summary: String,
    /// Every requirement looked at, in order.
    pub checks: Vec<Check>,
}

/// A policy: from state and evidence to a decision. Implementations are pure.
pub trait Gate: Send + Sync {
    /// Name and version of the policy, stored with each decision.
    fn name(&self) -> &str;
    /// Decides.
    fn decide(&self, state: State, evidence: &GateEvidence) -> Decision;
}
