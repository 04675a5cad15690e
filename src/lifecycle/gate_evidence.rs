//! What a gate looks at: a type for each state, so that nothing is filled in that means nothing there.
//!
//! Stored as one flat object that is the same for every state. Never decides.

use super::{EdgeDecayVerdict, State};
use engine::{ExitReason, Outcome, Performance, Trade};
use evidence::placebo::PlaceboComparison;
use serde::{Deserialize, Serialize};

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
pub struct PaperEvidence {
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

impl PaperEvidence {
    /// Of a run that began at `from_ms` and is known up to `to_ms`; the ledger must be there. `recent_trades` is how
    /// many of the newest closed trades are looked at by themselves.
    #[must_use]
    pub fn of(outcome: &Outcome, from_ms: i64, to_ms: i64, recent_trades: usize) -> Self {
        let trades = outcome.ledger.as_ref().map_or(&[][..], |l| &l.trades);
        Self::traded(&outcome.performance, trades, (from_ms, to_ms), recent_trades)
    }

    /// The same from performance and trades.
    #[must_use]
    pub fn traded(
        performance: &Performance,
        trades: &[Trade],
        (from_ms, to_ms): (i64, i64),
        recent_trades: usize,
    ) -> Self {
        let closed = trades.iter().filter(|t| t.exit_reason != ExitReason::EndOfWindow).count();
        Self {
            performance: performance.clone(),
            from_ms,
            to_ms,
            closed_trades: u32::try_from(closed).unwrap_or(u32::MAX),
            recent: Some(RecentTrades::newest(trades, recent_trades)),
        }
    }

    /// Of a strategy that ranks the market: a closed trade is a name's stay that has ended, and none is looked at by itself.
    #[must_use]
    pub fn held(performance: &Performance, (from_ms, to_ms): (i64, i64)) -> Self {
        let closed_trades = performance.total_trades.saturating_sub(performance.end_of_window_trades);
        Self { performance: performance.clone(), from_ms, to_ms, closed_trades, recent: None }
    }

    /// Candle time covered, in days.
    #[must_use]
    pub fn days(&self) -> f64 {
        const DAY_MS: f64 = 86_400_000.0;
        (self.to_ms - self.from_ms).max(0) as f64 / DAY_MS
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
    /// What its test cost: its chance of going live without an edge, fraction. The promotion threshold is 1 / level.
    pub level: Option<f64>,
    /// Its chance of going live on an edge that has died when shadow begins, fraction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shadow_level: Option<f64>,
}

/// What a strategy did before it was followed on paper.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tested {
    /// In sample: the window the search saw.
    pub backtest: Option<Performance>,
    /// The hold-out part that the search never saw.
    pub holdout: Option<Performance>,
}

/// What a candidate is judged by.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CandidateEvidence {
    /// On both sides of the split.
    pub tested: Tested,
    /// What the evidence protocol knows; `None` where it was not asked.
    pub protocol: Option<ProtocolEvidence>,
}

/// What a strategy in shadow is judged by.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ShadowEvidence {
    /// Before shadow.
    pub tested: Tested,
    /// Since shadow began; `None` before its first candle.
    pub run: Option<PaperEvidence>,
    /// How often it was demoted from live before.
    pub demotions: u32,
    /// What the evidence protocol knows; `None` where it was not asked.
    pub protocol: Option<ProtocolEvidence>,
    /// How real sessions compare with those on null markets; `None` without a placebo island.
    pub placebo: Option<PlaceboComparison>,
}

/// What a live strategy is judged by.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LiveEvidence {
    /// Before shadow.
    pub tested: Tested,
    /// Since it went live; `None` before its first candle.
    pub run: Option<PaperEvidence>,
    /// How often it was demoted from live before.
    pub demotions: u32,
    /// What the detectors of an edge that has gone say; `None` before its first live trade.
    pub staying: Option<EdgeDecayVerdict>,
}

/// Everything a gate may look at, by the state that the strategy is in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(into = "Stored", try_from = "Stored")]
#[allow(missing_docs)]
pub enum GateEvidence {
    Candidate(CandidateEvidence),
    Shadow(ShadowEvidence),
    Live(LiveEvidence),
    /// Nothing is measured any more.
    Disabled,
}

impl GateEvidence {
    /// The state whose evidence it is.
    #[must_use]
    pub const fn state(&self) -> State {
        match self {
            Self::Candidate(_) => State::Candidate,
            Self::Shadow(_) => State::Shadow,
            Self::Live(_) => State::Live,
            Self::Disabled => State::Disabled,
        }
    }
}

/// As it is stored with a transition: the keys of every state, in this order.
#[derive(Default, Serialize, Deserialize)]
struct Stored {
    backtest: Option<Performance>,
    holdout: Option<Performance>,
    shadow: Option<PaperEvidence>,
    live: Option<PaperEvidence>,
    demotions: u32,
    protocol: Option<ProtocolEvidence>,
    staying: Option<EdgeDecayVerdict>,
    placebo: Option<PlaceboComparison>,
}

impl From<GateEvidence> for Stored {
    fn from(evidence: GateEvidence) -> Self {
        let of = |Tested { backtest, holdout }| Self { backtest, holdout, ..Self::default() };
        match evidence {
            GateEvidence::Candidate(CandidateEvidence { tested, protocol }) => Self { protocol, ..of(tested) },
            GateEvidence::Shadow(ShadowEvidence { tested, run, demotions, protocol, placebo }) => {
                Self { shadow: run, demotions, protocol, placebo, ..of(tested) }
            }
            GateEvidence::Live(LiveEvidence { tested, run, demotions, staying }) => {
                Self { live: run, demotions, staying, ..of(tested) }
            }
            GateEvidence::Disabled => Self::default(),
        }
    }
}

impl TryFrom<Stored> for GateEvidence {
    type Error = &'static str;

    /// The state is told by what no other one has; without any such thing it is a candidate's.
    fn try_from(stored: Stored) -> Result<Self, &'static str> {
        let Stored { backtest, holdout, shadow, live, demotions, protocol, staying, placebo } = stored;
        let tested = Tested { backtest, holdout };
        let is_live = live.is_some() || staying.is_some();
        let is_shadow = shadow.is_some() || placebo.is_some() || demotions > 0 && !is_live;
        match (is_shadow, is_live) {
            (false, false) => Ok(Self::Candidate(CandidateEvidence { tested, protocol })),
            (true, false) => Ok(Self::Shadow(ShadowEvidence { tested, run: shadow, demotions, protocol, placebo })),
            (false, true) if protocol.is_none() => {
                Ok(Self::Live(LiveEvidence { tested, run: live, demotions, staying }))
            }
            _ => {
                Err("evidence of one state alone is expected: of a candidate, of a strategy in shadow or of a live one")
            }
        }
    }
}
