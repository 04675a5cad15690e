//! How much of the capital each live strategy gets: (deployments, evidence, limits, time) -> a plan with reasons.
//!
//! Decides about paper money only, and about none of the states: a strategy stays live however small its share.
//! Never writes; whoever carries the plan out makes no choices.

use super::drift::named;
use super::{Check, DriftAction, EdgeDecayLevel};
use candles::time::HOUR_MS;
use evidence::track::correlation;
use evidence::volatility_regime::VolatilityRegime;
use serde::{Deserialize, Serialize};
use std::fmt;
use uuid::Uuid;

/// How far a deployment has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Phase {
    Initial,
    Growth,
    Full,
}
named!(Phase, "phase", Initial = "initial", Growth = "growth", Full = "full");

impl Phase {
    /// The one after it; phases are gone through in order.
    #[must_use]
    pub const fn next(self) -> Option<Self> {
        match self {
            Self::Initial => Some(Self::Growth),
            Self::Growth => Some(Self::Full),
            Self::Full => None,
        }
    }
}

/// Whether a deployment trades.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum DeploymentStatus {
    Active,
    Paused,
    Deactivated,
}
named!(DeploymentStatus, "status", Active = "active", Paused = "paused", Deactivated = "deactivated");

/// Limits of the deployment manager.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AllocationPolicy {
    /// All active deployments together, at most (percent of capital).
    pub max_total_pct: f64,
    /// Least and most in phase `initial` (percent of capital).
    pub initial_pct: [f64; 2],
    /// The same in phase `growth`.
    pub growth_pct: [f64; 2],
    /// The same in phase `full`.
    pub full_pct: [f64; 2],
    /// Live days from which a deployment may grow (count).
    pub growth_min_days: u32,
    /// Live trades from which it may (count).
    pub growth_min_trades: u32,
    /// Live days from which it may have its full share (count).
    pub full_min_days: u32,
    /// Live trades from which it may (count).
    pub full_min_trades: u32,
    /// Live profit factor below which it gets the least of its phase and does not grow (ratio).
    pub min_profit_factor: f64,
    /// Daily returns correlated above this share one allocation (correlation, 0 to 1).
    pub correlation_limit: f64,
    /// Common days below which a correlation is not known (count).
    pub correlation_min_days: u32,
    /// Share of the allocation that is left on a warning of drift (fraction).
    pub warning_fraction: f64,
    /// Share that is left while a symbol's volatility is high (fraction).
    pub high_volatility_fraction: f64,
    /// For how long drift or an extreme regime pauses a deployment before it is looked at again (hours).
    pub pause_hours: u32,
    /// Share of what growth asks for that a live book gets: fractional Kelly (fraction).
    pub book_kelly_fraction: f64,
    /// How surely a book's growth is at least what that rests on (probability).
    pub book_confidence: f64,
    /// Largest fall of the capital within a year by a book alone, with 95 % (percent of the peak).
    pub book_max_drawdown_pct: f64,
}

impl AllocationPolicy {
    /// Whether every limit makes sense, by itself and beside the others.
    ///
    /// # Errors
    /// The first key at fault and what is wrong with it.
    pub fn validate(&self) -> Result<(), (&'static str, String)> {
        let ranges = [
            ("initial_pct", self.initial_pct, 0.01, self.growth_pct[0]),
            ("growth_pct", self.growth_pct, self.initial_pct[1], self.full_pct[0]),
            ("full_pct", self.full_pct, self.growth_pct[1], 100.0),
        ];
        for (key, [least, most], min, max) in ranges {
            if !((min..=max).contains(&least) && (least..=max).contains(&most)) {
                return Err((key, format!("must rise from phase to phase, 0.01 to 100, not {least} to {most}")));
            }
        }
        for (key, value, min, max) in [
            ("max_total_pct", self.max_total_pct, 0.01, 100.0),
            ("min_profit_factor", self.min_profit_factor, 0.0, 1e3),
            ("correlation_limit", self.correlation_limit, 0.0, 1.0),
            ("warning_fraction", self.warning_fraction, 0.0, 1.0),
            ("high_volatility_fraction", self.high_volatility_fraction, 0.0, 1.0),
            ("correlation_min_days", f64::from(self.correlation_min_days), 2.0, 1e4),
            ("growth_min_days", f64::from(self.growth_min_days), 1.0, 1e4),
            ("full_min_days", f64::from(self.full_min_days), f64::from(self.growth_min_days) + 1.0, 1e4),
            ("full_min_trades", f64::from(self.full_min_trades), f64::from(self.growth_min_trades) + 1.0, 1e6),
            ("growth_min_trades", f64::from(self.growth_min_trades), 1.0, 1e6),
            ("pause_hours", f64::from(self.pause_hours), 1.0, 1e4),
            ("book_kelly_fraction", self.book_kelly_fraction, 0.0, 1.0),
            ("book_confidence", self.book_confidence, 0.5, 0.999),
            ("book_max_drawdown_pct", self.book_max_drawdown_pct, 0.1, 100.0),
        ] {
            // Written so that NaN is refused too.
            if !(min..=max).contains(&value) {
                return Err((key, format!("must be {min} to {max}, not {value}")));
            }
        }
        Ok(())
    }

    /// Least and most of a phase, percent of capital.
    #[must_use]
    pub const fn range(&self, phase: Phase) -> [f64; 2] {
        match phase {
            Phase::Initial => self.initial_pct,
            Phase::Growth => self.growth_pct,
            Phase::Full => self.full_pct,
        }
    }

    /// Days and trades at which a phase begins, and those at which it has its most.
    fn span(&self, phase: Phase) -> [(u32, u32); 2] {
        let (growth, full) =
            ((self.growth_min_days, self.growth_min_trades), (self.full_min_days, self.full_min_trades));
        match phase {
            Phase::Initial => [(0, 0), growth],
            Phase::Growth => [growth, full],
            Phase::Full => [full, (2 * full.0, 2 * full.1)],
        }
    }
}

/// Limits of one deployment, in the form in which they are stored with it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct RiskLimits {
    /// Largest position, percent of the deployment's capital.
    pub max_position_pct: f64,
    /// A day's loss from which it pauses (percent of its equity).
    pub max_daily_loss_pct: f64,
    /// A fall from its peak from which it pauses (percent of the peak).
    pub max_drawdown_pct: f64,
    /// Leverage beyond which it does not trade (ratio).
    pub max_leverage: f64,
}

impl Default for RiskLimits {
    /// As the schema has them.
    fn default() -> Self {
        Self { max_position_pct: 100.0, max_daily_loss_pct: 10.0, max_drawdown_pct: 25.0, max_leverage: 10.0 }
    }
}

impl RiskLimits {
    /// Which limit a day's return or a fall from the peak has broken (fractions, losses below 0), for people.
    #[must_use]
    pub fn broken_by(&self, last_return: Option<f64>, drawdown: Option<f64>) -> Option<String> {
        let lost = |name: &str, had: Option<f64>, limit: f64| {
            let percent = had.map(|fraction| -100.0 * fraction).filter(|percent| *percent > limit)?;
            Some(format!("stopped: {name} is {percent:.2} %, its limit {limit} %"))
        };
        lost("the loss of the last day", last_return, self.max_daily_loss_pct)
            .or_else(|| lost("the fall from its peak", drawdown, self.max_drawdown_pct))
    }
}

/// A deployment as it is, with what is known of it.
#[derive(Clone, Debug, PartialEq)]
pub struct DeploymentFacts {
    /// Which.
    pub deployment_id: Uuid,
    /// Whose, for people.
    pub strategy: String,
    /// How far it has come.
    pub phase: Phase,
    /// Market time at which that phase began, UTC ms.
    pub phase_from_ms: i64,
    /// Active or paused; one that is deactivated is nothing to plan for.
    pub status: DeploymentStatus,
    /// What it has (percent of capital).
    pub allocation_pct: f64,
    /// Market time at which a pause ends, UTC ms; `None` while paused: until an operator resumes it.
    pub paused_until_ms: Option<i64>,
    /// Finished live days.
    pub days: u32,
    /// Closed live trades.
    pub trades: u32,
    /// Of them; `None` when nothing was lost.
    pub profit_factor: Option<f64>,
    /// What the detectors say; `None` when they were not asked.
    pub staying: Option<EdgeDecayLevel>,
    /// The gravest action that an open drift alert recommends.
    pub drift: Option<DriftAction>,
    /// The roughest regime of its symbols; `None` when none is known.
    pub regime: Option<VolatilityRegime>,
    /// Its own limits.
    pub limits: RiskLimits,
    /// Leverage that the strategy trades with (ratio).
    pub leverage: f64,
    /// Return of the newest finished live day (fraction).
    pub last_return: Option<f64>,
    /// Equity / peak - 1 at the end of that day, 0 or negative (fraction).
    pub drawdown: Option<f64>,
    /// (Day, return) of live and shadow days, in order of days.
    pub daily_returns: Vec<(i64, f64)>,
}

/// What a deployment is to be from now on.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PlannedDeployment {
    /// Which.
    pub deployment_id: Uuid,
    /// Whose.
    pub strategy: String,
    /// How far it has come.
    pub phase: Phase,
    /// Whether it trades.
    pub status: DeploymentStatus,
    /// What it gets (percent of capital, two decimals); while paused what it had.
    pub allocation_pct: f64,
    /// Market time at which a pause ends, UTC ms.
    pub paused_until_ms: Option<i64>,
    /// Whether anything of that is new.
    pub changed: bool,
    /// What growing needed, and what there was; empty in the last phase.
    pub checks: Vec<Check>,
    /// Everything that made the share what it is, in order.
    pub reasons: Vec<String>,
}

/// What all deployments are to be. Immutable: whoever carries it out makes no choices.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AllocationPlan {
    /// Market time of what it rests on, UTC ms.
    pub at_ms: i64,
    /// All active ones together (percent of capital).
    pub total_pct: f64,
    /// In order of ids.
    pub deployments: Vec<PlannedDeployment>,
}

impl fmt::Display for AllocationPlan {
    /// One line a deployment, its reasons indented below.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "at {}: {} % of capital", self.at_ms, self.total_pct)?;
        for d in &self.deployments {
            let mark = if d.changed { "* " } else { "  " };
            write!(f, "{mark}{} {} {} {} %", d.strategy, d.phase.name(), d.status.name(), d.allocation_pct)?;
            match d.paused_until_ms {
                Some(until_ms) => writeln!(f, " until {until_ms}")?,
                None => writeln!(f)?,
            }
            for reason in &d.reasons {
                writeln!(f, "      {reason}")?;
            }
        }
        Ok(())
    }
}

/// What a deployment would get by itself.
struct Wish {
    phase: Phase,
    /// `Err` is a pause until that market time, or until an operator ends it.
    share: Result<f64, Option<i64>>,
    checks: Vec<Check>,
    reasons: Vec<String>,
}

/// Plans all deployments at once.
#[must_use]
pub fn plan(facts: &[DeploymentFacts], policy: &AllocationPolicy, at_ms: i64) -> AllocationPlan {
    let mut facts: Vec<&DeploymentFacts> = facts.iter().collect();
    facts.sort_by_key(|f| f.deployment_id);
    let mut wishes: Vec<Wish> = facts.iter().map(|f| wish(f, policy, at_ms)).collect();
    share_among_correlated(&facts, &mut wishes, policy);
    let wanted: f64 = wishes.iter().filter_map(|w| w.share.as_ref().ok()).sum();
    let scale = if wanted > policy.max_total_pct { policy.max_total_pct / wanted } else { 1.0 };
    let mut total_cents = 0_u64;
    let deployments = facts
        .iter()
        .zip(wishes)
        .map(|(was, mut wish)| {
            if scale < 1.0 && wish.share.is_ok() {
                wish.reasons
                    .push(format!("all want {wanted:.2} %, {} % is the limit: scaled down", policy.max_total_pct));
            }
            // Hundredths of a percent, rounded down so that the sum keeps the limit.
            let cents = wish.share.map(|share| (share * scale * 100.0 + 1e-9).floor() as u64);
            let (status, allocation_pct, until) = match cents {
                Ok(cents @ 1..) => {
                    total_cents += cents;
                    (DeploymentStatus::Active, cents as f64 / 100.0, None)
                }
                Ok(0) => {
                    wish.reasons.push("less than 0.01 % is left for it: paused".to_owned());
                    (DeploymentStatus::Paused, was.allocation_pct, Some(at_ms + pause_ms(policy)))
                }
                Err(until) => (DeploymentStatus::Paused, was.allocation_pct, until),
            };
            let changed = wish.phase != was.phase
                || status != was.status
                || (allocation_pct - was.allocation_pct).abs() > 0.005
                || (status == DeploymentStatus::Paused && until != was.paused_until_ms);
            PlannedDeployment {
                deployment_id: was.deployment_id,
                strategy: was.strategy.clone(),
                phase: wish.phase,
                status,
                allocation_pct,
                paused_until_ms: until,
                changed,
                checks: wish.checks,
                reasons: wish.reasons,
            }
        })
        .collect();
    AllocationPlan { at_ms, total_pct: total_cents as f64 / 100.0, deployments }
}

fn pause_ms(policy: &AllocationPolicy) -> i64 {
    i64::from(policy.pause_hours) * HOUR_MS
}

fn wish(facts: &DeploymentFacts, policy: &AllocationPolicy, at_ms: i64) -> Wish {
    let held = |reason: &str| Wish {
        phase: facts.phase,
        share: Err(facts.paused_until_ms),
        checks: Vec::new(),
        reasons: vec![reason.to_owned()],
    };
    if facts.status == DeploymentStatus::Paused {
        match facts.paused_until_ms {
            None => return held("paused until an operator resumes it"),
            Some(until_ms) if until_ms > at_ms => return held("its pause is not over"),
            Some(_) => {}
        }
    }
    let pauses = |reason: String| Wish {
        phase: facts.phase,
        share: Err(Some(at_ms + pause_ms(policy))),
        checks: Vec::new(),
        reasons: vec![reason],
    };
    if facts.staying == Some(EdgeDecayLevel::Alarm) || facts.drift == Some(DriftAction::Deactivate) {
        return pauses("stopped: live results are far below what was expected".to_owned());
    }
    if facts.regime == Some(VolatilityRegime::Extreme) {
        return pauses("stopped: the volatility of a symbol is extreme".to_owned());
    }
    if let Some(reason) = broken_limit(facts) {
        return pauses(reason);
    }
    let warned = facts.staying == Some(EdgeDecayLevel::Warning) || facts.drift == Some(DriftAction::ReduceAllocation);
    let (checks, may_grow) = growth(facts, policy, warned);
    let mut reasons = Vec::new();
    let phase = match facts.phase.next() {
        // One phase at a point: a point that is looked at again, by a process that was restarted, is not a new one.
        Some(next) if may_grow && facts.phase_from_ms < at_ms => {
            reasons.push(format!("grows from {} to {}", facts.phase.name(), next.name()));
            next
        }
        _ => facts.phase,
    };
    let [least, most] = policy.range(phase);
    let progress = progress(facts, policy, phase);
    // Tenths of a percent: a share that creeps up at each look would be a change at each look.
    let mut share = (((least + (most - least) * progress) * 10.0) + 1e-9).floor() / 10.0;
    share = share.max(least);
    reasons.push(format!("{share} % of {least} to {most} in phase {}", phase.name()));
    if warned {
        share *= policy.warning_fraction;
        reasons.push(format!("drift: {} of it is left", policy.warning_fraction));
    }
    if facts.regime == Some(VolatilityRegime::HighVolatility) && policy.high_volatility_fraction < 1.0 {
        share *= policy.high_volatility_fraction;
        reasons.push(format!("high volatility: {} of it is left", policy.high_volatility_fraction));
    }
    Wish { phase, share: Ok(share), checks, reasons }
}

/// Which of its own limits a deployment has broken.
fn broken_limit(facts: &DeploymentFacts) -> Option<String> {
    let limits = &facts.limits;
    limits.broken_by(facts.last_return, facts.drawdown).or_else(|| {
        let over = facts.leverage > limits.max_leverage;
        over.then(|| format!("stopped: its leverage is {}, its limit {}", facts.leverage, limits.max_leverage))
    })
}

/// What the next phase needs, what there is, and whether it begins.
fn growth(facts: &DeploymentFacts, policy: &AllocationPolicy, warned: bool) -> (Vec<Check>, bool) {
    let Some(next) = facts.phase.next() else { return (Vec::new(), false) };
    let [(days, trades), _] = policy.span(next);
    let at_least = |name: &str, least: u32, had: u32| Check {
        name: format!("{}.{name}", next.name()),
        needed: format!(">= {least}"),
        had: Some(f64::from(had)),
        passed: had >= least,
    };
    let checks = vec![
        at_least("days", days, facts.days),
        at_least("trades", trades, facts.trades),
        Check {
            name: format!("{}.profit_factor", next.name()),
            needed: format!(">= {}, or no loss", policy.min_profit_factor),
            had: facts.profit_factor,
            passed: earns(facts, policy),
        },
        Check {
            name: format!("{}.calm", next.name()),
            needed: "no sign of drift".to_owned(),
            had: Some(f64::from(u8::from(warned))),
            passed: !warned,
        },
    ];
    let may = checks.iter().all(|c| c.passed);
    (checks, may)
}

fn earns(facts: &DeploymentFacts, policy: &AllocationPolicy) -> bool {
    facts.profit_factor.map_or(facts.trades > 0, |factor| factor >= policy.min_profit_factor)
}

/// How much of the way through a phase there is evidence for, 0 to 1: by days and by trades, the lesser.
fn progress(facts: &DeploymentFacts, policy: &AllocationPolicy, phase: Phase) -> f64 {
    if !earns(facts, policy) {
        return 0.0;
    }
    let [from, to] = policy.span(phase);
    let part = |had: u32, from: u32, to: u32| {
        (f64::from(had.saturating_sub(from)) / f64::from(to.saturating_sub(from).max(1))).min(1.0)
    };
    part(facts.days, from.0, to.0).min(part(facts.trades, from.1, to.1))
}

/// Those whose returns go together, directly or through others, get together what the largest of them would get.
fn share_among_correlated(facts: &[&DeploymentFacts], wishes: &mut [Wish], policy: &AllocationPolicy) {
    let active: Vec<usize> = (0..wishes.len()).filter(|&i| wishes[i].share.is_ok()).collect();
    let mut group: Vec<usize> = (0..wishes.len()).collect();
    for (at, &i) in active.iter().enumerate() {
        for &j in &active[at + 1..] {
            let common =
                correlation(&facts[i].daily_returns, &facts[j].daily_returns, policy.correlation_min_days as usize);
            if common.is_some_and(|c| c > policy.correlation_limit) {
                let (keep, drop) = (group[i].min(group[j]), group[i].max(group[j]));
                group.iter_mut().filter(|g| **g == drop).for_each(|g| *g = keep);
            }
        }
    }
    for &first in &active {
        let members: Vec<usize> = active.iter().copied().filter(|&i| group[i] == group[first]).collect();
        if members[0] != first || members.len() < 2 {
            continue;
        }
        let shares: Vec<f64> = members.iter().filter_map(|&i| wishes[i].share.ok()).collect();
        let (sum, largest) = (shares.iter().sum::<f64>(), shares.iter().copied().fold(0.0, f64::max));
        for (&i, share) in members.iter().zip(shares) {
            let others: Vec<&str> = members.iter().filter(|&&j| j != i).map(|&j| facts[j].strategy.as_str()).collect();
            wishes[i].share = Ok(if sum > 0.0 { share * largest / sum } else { 0.0 });
            wishes[i]
                .reasons
                .push(format!("shares one allocation with {}: their returns go together", others.join(", ")));
        }
    }
}
