//! What share of the capital a live book has: a function of its days, so that whoever follows it and whoever looks it up later
//! come to the same.
//!
//! The least of three: a fraction of what growth asks for (Kelly), taken at a lower confidence bound of growth; the largest
//! share whose fall within a year stays within a limit in 95 of 100 resampled years; and the most of its phase. The first two
//! rest on net daily returns up to the newest freeze, resampled in blocks. Drift of live days from what the days before let
//! expect shrinks or pauses it, as for strategies.
//!
//! Decides about paper money only, and about no state.

use crate::DayFigures;
use engine::{Performance, performance};
use evidence::{
    bootstrap::{block_length, stationary_indices},
    monte_carlo::quantile,
};
use genome::random::Seed;
use lifecycle::{
    AllocationPolicy, DriftAction, DriftConfig, DriftReading, EdgeDecayLevel, Expectation, Observation, Phase,
    RiskLimits, drift_readings,
};
use serde::{Deserialize, Serialize};

/// Resampled paths.
const PATHS: u64 = 400;
/// Days of a year, for the fall within one.
const YEAR: usize = 365;
/// Shares that are tried: steps of a hundredth up to the whole.
const STEPS: u32 = 100;
/// Share of resampled years whose fall must stay within the limit.
const FALLS_WITHIN: f64 = 0.95;

/// By what a share is decided.
#[derive(Clone, Copy, Debug)]
pub struct ShareRules<'a> {
    /// Phases and limits.
    pub policy: &'a AllocationPolicy,
    /// When a figure counts as drifted.
    pub drift: &'a DriftConfig,
    /// Percent of capital that others leave.
    pub room_pct: f64,
    /// Of the resampled paths.
    pub seed: Seed,
}

/// What the days up to the newest freeze allow.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ShareEvidence {
    /// Days that it rests on.
    pub days: u32,
    /// Expected block length of the resampling, days.
    pub block_days: f64,
    /// Share of capital at which the lower bound of growth is greatest; 0 where it is nowhere above 0.
    pub kelly: f64,
    /// That bound, a year, at that share: ln of the growth.
    pub growth_lower: f64,
    /// Largest share whose fall within a year stays within the limit.
    pub by_drawdown: f64,
}

/// What a live book is to have.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Share {
    /// How far it has come.
    pub phase: Phase,
    /// When that phase began, UTC ms.
    pub phase_from_ms: i64,
    /// Percent of capital, two decimals; `None`: paused.
    pub pct: Option<f64>,
    /// Everything that made it so, in order.
    pub reasons: Vec<String>,
    /// What it rests on.
    pub evidence: ShareEvidence,
    /// Live days against those before.
    pub drift: Vec<DriftReading>,
}

impl ShareEvidence {
    /// Of net daily returns, in order.
    #[must_use]
    pub fn of(net: &[f64], policy: &AllocationPolicy, seed: Seed) -> Self {
        let block_days = block_length(net).map_or(1.0, |length| length.ceil().max(1.0));
        let mut found = Self { days: count(net.len()), block_days, kelly: 0.0, growth_lower: 0.0, by_drawdown: 0.0 };
        if net.len() < 2 {
            return found;
        }
        // As many days as there are tell growth, a year the fall.
        let draws = YEAR.div_ceil(net.len());
        let path = |number: u64| {
            let mut rng = seed.stream("resampled days of a book", number);
            let drawn = (0..draws).flat_map(|_| stationary_indices(net.len(), block_days, &mut rng));
            drawn.map(|day| net[day]).collect::<Vec<f64>>()
        };
        let paths: Vec<Vec<f64>> = (0..PATHS).map(path).collect();
        let growth = |share: f64| {
            let of = |path: &Vec<f64>| {
                let days = &path[..net.len().min(path.len())];
                // A day that takes all of what is at work ends it.
                let sum: f64 = days.iter().map(|r| (1.0 + share * r).max(1e-9).ln()).sum();
                sum / days.len() as f64 * YEAR as f64
            };
            quantile(&paths.iter().map(of).collect::<Vec<_>>(), 1.0 - policy.book_confidence).unwrap_or(f64::MIN)
        };
        let falls_within = |share: f64| {
            let of = |path: &Vec<f64>| {
                let equity = path.iter().take(YEAR).scan(1.0, |equity: &mut f64, r| {
                    *equity *= 1.0 + share * r;
                    Some(*equity)
                });
                -performance::max_drawdown(1.0, equity).unwrap_or(0.0)
            };
            let falls: Vec<f64> = paths.iter().map(of).collect();
            quantile(&falls, FALLS_WITHIN).is_some_and(|fall| 100.0 * fall <= policy.book_max_drawdown_pct)
        };
        // Both bounds have one turn: growth is concave in the share, and a greater one falls deeper.
        let share = |step: u32| f64::from(step) / f64::from(STEPS);
        for step in 1..=STEPS {
            let bound = growth(share(step));
            if bound <= found.growth_lower {
                break;
            }
            (found.kelly, found.growth_lower) = (share(step), bound);
        }
        found.by_drawdown = (1..=STEPS).map(share).take_while(|&share| falls_within(share)).last().unwrap_or(0.0);
        found
    }
}

/// What a book that went live at `live_ms` is to have after its newest day. `frozen_ms` is when its newest block began, and
/// `decay` what the detectors say.
#[must_use]
pub fn share(
    days: &[DayFigures],
    (live_ms, frozen_ms): (i64, i64),
    decay: Option<EdgeDecayLevel>,
    rules: ShareRules<'_>,
) -> Share {
    let ShareRules { policy, room_pct, .. } = rules;
    let net = |days: &[DayFigures]| days.iter().map(|day| day.net).collect::<Vec<f64>>();
    // It changes with a freeze, not each day.
    let as_of_ms = frozen_ms.max(live_ms);
    let known = net(&days[..days.partition_point(|day| day.day_ms < as_of_ms)]);
    let evidence = ShareEvidence::of(&known, policy, rules.seed.child("share", as_of_ms.cast_unsigned()));
    let (before, live) = days.split_at(days.partition_point(|day| day.day_ms < live_ms));
    let (phase, phase_from_ms) = phase(live, live_ms, policy);
    let drift = drift(&net(before), &net(live), rules.drift);
    let asked = policy.book_kelly_fraction * evidence.kelly;
    let mut reasons = vec![
        format!(
            "growth is surest at {:.0} % of capital, at least {:.1} % a year with {:.0} % confidence: {} of that share",
            100.0 * evidence.kelly,
            100.0 * evidence.growth_lower.exp_m1(),
            100.0 * policy.book_confidence,
            policy.book_kelly_fraction
        ),
        format!(
            "up to {:.0} % of capital it falls by at most {} % within a year, in 95 of 100 resampled ones",
            100.0 * evidence.by_drawdown,
            policy.book_max_drawdown_pct
        ),
    ];
    let most = policy.range(phase)[1];
    reasons.push(format!("at most {most} % in phase {}", phase.name()));
    let mut pct = (100.0 * asked.min(evidence.by_drawdown)).min(most);
    let gravest = drift.iter().filter_map(|r| Some(DriftReading::action(r.kind, r.severity?))).max();
    if decay == Some(EdgeDecayLevel::Warning) || gravest == Some(DriftAction::ReduceAllocation) {
        pct *= policy.warning_fraction;
        reasons.push(format!("drift: {} of it is left", policy.warning_fraction));
    }
    if pct > room_pct {
        pct = room_pct.max(0.0);
        reasons.push(format!("strategies leave {pct:.2} %"));
    }
    let stopped = if decay == Some(EdgeDecayLevel::Alarm) || gravest == Some(DriftAction::Deactivate) {
        Some("stopped: live days are far below what was expected".to_owned())
    } else {
        broken_limit(&net(live))
    };
    // Hundredths of a percent, rounded down.
    let cents = (pct * 100.0 + 1e-9).floor();
    let pct = match &stopped {
        Some(_) => None,
        None if cents < 1.0 => {
            reasons.push("less than 0.01 % is left for it: paused".to_owned());
            None
        }
        None => Some(cents / 100.0),
    };
    reasons.extend(stopped);
    Share { phase, phase_from_ms, pct, reasons, evidence, drift }
}

fn count(days: usize) -> u32 {
    u32::try_from(days).unwrap_or(u32::MAX)
}

/// How far a book has come by its live days: by their number, once they earn more than they lose by as much as a strategy must.
fn phase(live: &[DayFigures], live_ms: i64, policy: &AllocationPolicy) -> (Phase, i64) {
    let (mut phase, mut from_ms) = (Phase::Initial, live_ms);
    let (mut won, mut lost) = (0.0, 0.0);
    for (number, day) in (1..).zip(live) {
        won += day.net.max(0.0);
        lost -= day.net.min(0.0);
        let needed = match phase.next() {
            Some(Phase::Growth) => policy.growth_min_days,
            Some(_) => policy.full_min_days,
            None => break,
        };
        if number >= needed
            && won > 0.0
            && won >= policy.min_profit_factor * lost
            && let Some(next) = phase.next()
        {
            (phase, from_ms) = (next, day.day_ms + candles::time::DAY_MS);
        }
    }
    (phase, from_ms)
}

/// The limits that every deployment begins with.
fn broken_limit(live: &[f64]) -> Option<String> {
    let (mut equity, mut peak) = (1.0_f64, 1.0_f64);
    for r in live {
        equity *= 1.0 + r;
        peak = peak.max(equity);
    }
    RiskLimits::default().broken_by(live.last().copied(), Some(equity / peak - 1.0))
}

/// Live days against those before.
fn drift(before: &[f64], live: &[f64], config: &DriftConfig) -> Vec<DriftReading> {
    let grown = |returns: &[f64]| {
        returns
            .iter()
            .scan(1.0, |equity: &mut f64, r| {
                *equity *= 1.0 + r;
                Some(*equity)
            })
            .collect::<Vec<f64>>()
    };
    let curve = grown(before);
    let was = Performance {
        days: count(before.len()),
        total_return: curve.last().map(|last| last - 1.0),
        sharpe_ratio: performance::sharpe_ratio(before),
        max_drawdown: performance::max_drawdown(1.0, curve.iter().copied()),
        ..Performance::default()
    };
    let expected = Expectation { shadow: Some(was), shadow_returns: before.to_vec(), ..Expectation::default() };
    let observed = Observation {
        daily_returns: live.to_vec(),
        profits: Vec::new(),
        max_drawdown: performance::max_drawdown(1.0, grown(live)),
    };
    drift_readings(&expected, &observed, &[], config)
}

#[cfg(test)]
mod tests {
    use super::*;
    use candles::time::DAY_MS;
    use lifecycle::DriftSeverity;
    use rand::RngExt;

    fn policy() -> AllocationPolicy {
        AllocationPolicy {
            max_total_pct: 50.0,
            initial_pct: [1.0, 2.0],
            growth_pct: [3.0, 5.0],
            full_pct: [5.0, 10.0],
            growth_min_days: 14,
            growth_min_trades: 20,
            full_min_days: 45,
            full_min_trades: 60,
            min_profit_factor: 1.1,
            correlation_limit: 0.7,
            correlation_min_days: 14,
            warning_fraction: 0.5,
            high_volatility_fraction: 0.5,
            pause_hours: 24,
            book_kelly_fraction: 0.5,
            book_confidence: 0.9,
            book_max_drawdown_pct: 5.0,
        }
    }

    fn drift_config() -> DriftConfig {
        DriftConfig {
            min_days: 7,
            min_trades: 10,
            warning_errors: 2.0,
            critical_errors: 3.0,
            warning_ratio: 1.5,
            critical_ratio: 2.0,
            close_fraction: 0.75,
        }
    }

    /// Days of which `wins` in 16 earn 1 % and the others lose as much, without order.
    fn returns(days: u32, wins: u32) -> Vec<f64> {
        let mut rng = Seed(3).stream("days", u64::from(wins));
        (0..days).map(|_| if rng.random_range(0..16) < wins { 0.01 } else { -0.01 }).collect()
    }

    fn days(net: &[f64]) -> Vec<DayFigures> {
        DayFigures::of_hedged(net, &crate::bets(net))
    }

    fn of(net: &[f64], live: i64, frozen: i64, decay: Option<EdgeDecayLevel>, room_pct: f64) -> Share {
        let (policy, drift) = (policy(), drift_config());
        let rules = ShareRules { policy: &policy, drift: &drift, room_pct, seed: Seed(1) };
        share(&days(net), (live * DAY_MS, frozen * DAY_MS), decay, rules)
    }

    #[test]
    fn growth_is_taken_at_its_lower_bound_and_drawdown_has_a_limit() {
        let (strong, weak, none) = (returns(800, 11), returns(800, 9), returns(800, 7));
        let of = |net: &[f64]| ShareEvidence::of(net, &policy(), Seed(1));
        let (strong, weak, none) = (of(&strong), of(&weak), of(&none));
        assert!(strong.growth_lower > weak.growth_lower && strong.growth_lower > 0.0, "{strong:?} {weak:?}");
        assert_eq!((none.kelly, none.growth_lower), (0.0, 0.0));
        assert!(strong.by_drawdown > none.by_drawdown && none.by_drawdown > 0.0, "{strong:?} {none:?}");
        // With a share of the first bound's the plain formula agrees: growth of the mean path lies above its lower bound.
        let net = returns(800, 11);
        let mean = net.iter().map(|r| (1.0 + strong.kelly * r).ln()).sum::<f64>() / 800.0 * 365.0;
        assert!(strong.growth_lower < mean && strong.growth_lower > 0.3 * mean, "{strong:?} {mean}");
        // Days that came once are sure of less than the same that came again and again.
        let once = returns(60, 9);
        let few = ShareEvidence::of(&once, &policy(), Seed(1));
        let many = ShareEvidence::of(&once.repeat(13), &policy(), Seed(1));
        assert!(few.growth_lower < many.growth_lower, "{few:?} {many:?}");
        assert_eq!(ShareEvidence::of(&[], &policy(), Seed(1)).kelly, 0.0);
        // A limit that is twice as wide allows about twice as much.
        let wide = AllocationPolicy { book_max_drawdown_pct: 10.0, ..policy() };
        let wide = ShareEvidence::of(&returns(800, 9), &wide, Seed(1)).by_drawdown;
        assert!((1.6..2.4).contains(&(wide / weak.by_drawdown)), "{wide} {weak:?}");
    }

    #[test]
    fn it_grows_by_phases_and_is_the_least_of_what_limits_it() {
        let net = returns(900, 12);
        let early = of(&net[..605], 600, 580, None, 50.0);
        assert_eq!((early.phase, early.phase_from_ms, early.pct), (Phase::Initial, 600 * DAY_MS, Some(2.0)));
        let growth = of(&net[..620], 600, 610, None, 50.0);
        assert_eq!((growth.phase, growth.pct), (Phase::Growth, Some(5.0)));
        let full = of(&net[..660], 600, 640, None, 50.0);
        assert!(full.phase == Phase::Full && full.pct > Some(5.0), "{full:?}");
        // What strategies leave is the most, a warning halves, and an alarm stops.
        assert_eq!(of(&net[..605], 600, 580, None, 0.7).pct, Some(0.7));
        assert_eq!(of(&net[..605], 600, 580, None, 0.0).pct, None);
        assert_eq!(of(&net[..605], 600, 580, Some(EdgeDecayLevel::Warning), 50.0).pct, Some(1.0));
        assert_eq!(of(&net[..605], 600, 580, Some(EdgeDecayLevel::Alarm), 50.0).pct, None);
        // Between two freezes nothing but phase, drift and limits changes it.
        assert_eq!(of(&net[..606], 600, 580, None, 50.0).evidence, early.evidence);
        assert_ne!(of(&net[..606], 600, 606, None, 50.0).evidence, early.evidence);
    }

    #[test]
    fn a_book_that_loses_is_paused_by_drift_and_by_its_limits() {
        let mut net = returns(600, 12);
        net.extend([-0.012; 30]);
        let lost = of(&net, 600, 600, None, 50.0);
        assert_eq!((lost.pct, lost.phase), (None, Phase::Initial));
        assert!(lost.drift.iter().any(|r| r.severity == Some(DriftSeverity::Critical)), "{:?}", lost.drift);
        let mut net = returns(600, 12);
        net.push(-0.2);
        let fell = of(&net, 600, 600, None, 50.0);
        assert!(fell.pct.is_none() && fell.reasons.iter().any(|r| r.contains("the loss of the last day is 20.00 %")));
    }
}
