//! How much of the capital each live strategy gets: (deployments, evidence, limits, time) -> a plan with reasons.
//!
//! Decides about paper money only, and about none of the states: a strategy stays live however small its share.
//! Never writes; whoever carries the plan out makes no choices.

use super::allocation_policy::{AllocationPolicy, DeploymentStatus, Phase, RiskLimits};
use super::{Check, DriftAction, EdgeDecayLevel};
use candles::time::HOUR_MS;
use evidence::track::correlation;
use evidence::volatility_regime::VolatilityRegime;
use serde::Serialize;
use std::collections::BTreeSet;
use std::fmt;
use uuid::Uuid;

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
    // What is too small to trade is paused, the smallest first, and the others share what is left: they would at the next look,
    // and a plan that is carried out is to change nothing more.
    let mut too_small = BTreeSet::new();
    let (wishes, wanted, scale) = loop {
        let (wishes, wanted) = wishes(&facts, &too_small, policy, at_ms);
        let scale = if wanted > policy.max_total_pct { policy.max_total_pct / wanted } else { 1.0 };
        let shares = wishes.iter().enumerate().filter_map(|(i, w)| Some((i, w.share.ok()?)));
        let smallest = shares.min_by(|a, b| a.1.total_cmp(&b.1)).filter(|(_, share)| cents(share * scale) == 0);
        match smallest {
            Some((i, _)) => too_small.insert(i),
            None => break (wishes, wanted, scale),
        };
    };
    let mut total_cents = 0_u64;
    let deployments = facts
        .iter()
        .zip(wishes)
        .map(|(was, mut wish)| {
            if scale < 1.0 && wish.share.is_ok() {
                wish.reasons
                    .push(format!("all want {wanted:.2} %, {} % is the limit: scaled down", policy.max_total_pct));
            }
            let (status, allocation_pct, until) = match wish.share.map(|share| cents(share * scale)) {
                Ok(cents) => {
                    total_cents += cents;
                    (DeploymentStatus::Active, cents as f64 / 100.0, None)
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

/// Hundredths of a percent, rounded down so that the sum keeps the limit.
fn cents(percent: f64) -> u64 {
    (percent * 100.0 + 1e-9).floor() as u64
}

/// What each would get before all are scaled, some of them paused because too little would be left for them; and the sum.
fn wishes(
    facts: &[&DeploymentFacts],
    too_small: &BTreeSet<usize>,
    policy: &AllocationPolicy,
    at_ms: i64,
) -> (Vec<Wish>, f64) {
    let of = |(i, facts): (usize, &&DeploymentFacts)| {
        let mut wish = wish(facts, policy, at_ms);
        if too_small.contains(&i) {
            wish.share = Err(Some(at_ms + pause_ms(policy)));
            wish.reasons.push("less than 0.01 % is left for it: paused".to_owned());
        }
        wish
    };
    let mut wishes: Vec<Wish> = facts.iter().enumerate().map(of).collect();
    share_among_correlated(facts, &mut wishes, policy);
    let wanted = wishes.iter().filter_map(|w| w.share.as_ref().ok()).sum();
    (wishes, wanted)
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
