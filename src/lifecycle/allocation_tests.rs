//! Plans of the deployment manager: golden ones, and what must hold for any deployments.

use super::*;
use candles::time::DAY_MS;
use evidence::volatility_regime::VolatilityRegime;
use proptest::prelude::*;
use uuid::Uuid;

const AT_MS: i64 = 20_000 * DAY_MS;

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
        correlation_min_days: 10,
        warning_fraction: 0.5,
        high_volatility_fraction: 0.5,
        pause_hours: 24,
        book_kelly_fraction: 0.5,
        book_confidence: 0.9,
        book_max_drawdown_pct: 5.0,
    }
}

/// A deployment whose returns go with nobody else's.
fn facts(number: u8, phase: Phase, days: u32, trades: u32) -> DeploymentFacts {
    let wave = |day: i64| ((day * (2 * i64::from(number) + 3) * 7919) % 101 - 50) as f64 / 1e4;
    DeploymentFacts {
        deployment_id: Uuid::from_u128(u128::from(number)),
        strategy: format!("s{number}"),
        phase,
        phase_from_ms: AT_MS - DAY_MS,
        status: DeploymentStatus::Active,
        allocation_pct: 1.0,
        paused_until_ms: None,
        days,
        trades,
        profit_factor: Some(1.4),
        staying: Some(EdgeDecayLevel::Calm),
        drift: None,
        regime: Some(VolatilityRegime::Normal),
        limits: RiskLimits {
            max_position_pct: 100.0,
            max_daily_loss_pct: 10.0,
            max_drawdown_pct: 25.0,
            max_leverage: 10.0,
        },
        leverage: 1.0,
        last_return: Some(0.0),
        drawdown: Some(0.0),
        daily_returns: (0..30).map(|day| (day, wave(day))).collect(),
    }
}

#[test]
fn phases_are_gone_through_on_evidence() {
    let deployments = [
        facts(1, Phase::Initial, 0, 0),
        facts(2, Phase::Initial, 7, 15),
        facts(3, Phase::Initial, 14, 20),
        facts(4, Phase::Growth, 45, 60),
        facts(5, Phase::Full, 90, 200),
        DeploymentFacts { profit_factor: Some(1.0), ..facts(6, Phase::Growth, 45, 60) },
    ];
    assert_eq!(
        plan(&deployments, &policy(), AT_MS).to_string(),
        "at 1728000000000: 23.5 % of capital
  s1 initial active 1 %
      1 % of 1 to 2 in phase initial
* s2 initial active 1.5 %
      1.5 % of 1 to 2 in phase initial
* s3 growth active 3 %
      grows from initial to growth
      3 % of 3 to 5 in phase growth
* s4 full active 5 %
      grows from growth to full
      5 % of 5 to 10 in phase full
* s5 full active 10 %
      10 % of 5 to 10 in phase full
* s6 growth active 3 %
      3 % of 3 to 5 in phase growth
"
    );
}

#[test]
fn a_point_that_is_looked_at_again_brings_no_second_phase() {
    let ready = facts(1, Phase::Initial, 90, 200);
    let first = plan(std::slice::from_ref(&ready), &policy(), AT_MS).deployments.remove(0);
    assert_eq!(first.phase, Phase::Growth);
    // As a process that was restarted finds it.
    let grown =
        DeploymentFacts { phase: first.phase, phase_from_ms: AT_MS, allocation_pct: first.allocation_pct, ..ready };
    let again = plan(std::slice::from_ref(&grown), &policy(), AT_MS).deployments.remove(0);
    assert_eq!((again.phase, again.changed), (Phase::Growth, false), "{again:?}");
    let later = plan(&[grown], &policy(), AT_MS + 3_600_000).deployments.remove(0);
    assert_eq!(later.phase, Phase::Full);
}

#[test]
fn drift_regimes_and_limits_shrink_or_stop() {
    let base = |number| DeploymentFacts { allocation_pct: 10.0, ..facts(number, Phase::Full, 90, 200) };
    let deployments = [
        DeploymentFacts { staying: Some(EdgeDecayLevel::Warning), ..base(1) },
        DeploymentFacts {
            drift: Some(DriftAction::ReduceAllocation),
            regime: Some(VolatilityRegime::HighVolatility),
            ..base(2)
        },
        DeploymentFacts { drift: Some(DriftAction::Monitor), ..base(3) },
        DeploymentFacts { staying: Some(EdgeDecayLevel::Alarm), ..base(4) },
        DeploymentFacts { drift: Some(DriftAction::Deactivate), ..base(5) },
        DeploymentFacts { regime: Some(VolatilityRegime::Extreme), ..base(6) },
        DeploymentFacts { last_return: Some(-0.11), ..base(7) },
        DeploymentFacts { drawdown: Some(-0.26), ..base(8) },
        DeploymentFacts { leverage: 20.0, ..base(9) },
    ];
    assert_eq!(
        plan(&deployments, &policy(), AT_MS).to_string(),
        "at 1728000000000: 17.5 % of capital
* s1 full active 5 %
      10 % of 5 to 10 in phase full
      drift: 0.5 of it is left
* s2 full active 2.5 %
      10 % of 5 to 10 in phase full
      drift: 0.5 of it is left
      high volatility: 0.5 of it is left
  s3 full active 10 %
      10 % of 5 to 10 in phase full
* s4 full paused 10 % until 1728086400000
      stopped: live results are far below what was expected
* s5 full paused 10 % until 1728086400000
      stopped: live results are far below what was expected
* s6 full paused 10 % until 1728086400000
      stopped: the volatility of a symbol is extreme
* s7 full paused 10 % until 1728086400000
      stopped: the loss of the last day is 11.00 %, its limit 10 %
* s8 full paused 10 % until 1728086400000
      stopped: the fall from its peak is 26.00 %, its limit 25 %
* s9 full paused 10 % until 1728086400000
      stopped: its leverage is 20, its limit 10
"
    );
}

#[test]
fn what_drifts_does_not_grow() {
    let ready = facts(1, Phase::Initial, 30, 30);
    let of = |facts: DeploymentFacts| plan(&[facts], &policy(), AT_MS).deployments[0].clone();
    assert_eq!(of(ready.clone()).phase, Phase::Growth);
    let warned = of(DeploymentFacts { staying: Some(EdgeDecayLevel::Warning), ..ready.clone() });
    assert_eq!((warned.phase, warned.allocation_pct), (Phase::Initial, 1.0));
    let failed: Vec<_> = warned.checks.iter().filter(|c| !c.passed).map(|c| c.name.as_str()).collect();
    assert_eq!(failed, ["growth.calm"]);
    assert_eq!(of(DeploymentFacts { profit_factor: None, ..ready.clone() }).phase, Phase::Growth);
    assert_eq!(of(DeploymentFacts { profit_factor: None, trades: 0, ..ready }).phase, Phase::Initial);
}

#[test]
fn those_that_go_together_share_what_the_largest_would_get() {
    let mut deployments =
        vec![facts(1, Phase::Full, 90, 120), facts(2, Phase::Growth, 30, 40), facts(3, Phase::Full, 90, 120)];
    deployments[1].daily_returns = deployments[0].daily_returns.iter().map(|(d, r)| (*d, 3.0 * r + 0.001)).collect();
    let found = plan(&deployments, &policy(), AT_MS);
    let shares: Vec<f64> = found.deployments.iter().map(|d| d.allocation_pct).collect();
    // 10 and 4 become 10 x 10/14 and 10 x 4/14.
    assert_eq!(shares, [7.14, 2.85, 10.0]);
    assert_eq!(found.deployments[1].reasons[1], "shares one allocation with s1: their returns go together");
    // A paused one takes no part.
    deployments[0].regime = Some(VolatilityRegime::Extreme);
    assert_eq!(plan(&deployments, &policy(), AT_MS).deployments[1].allocation_pct, 4.0);
    // Nor do those that are not known long enough.
    deployments[0].regime = None;
    deployments[0].daily_returns.truncate(9);
    assert_eq!(plan(&deployments, &policy(), AT_MS).deployments[1].allocation_pct, 4.0);
}

#[test]
fn the_total_is_a_limit() {
    let deployments: Vec<_> = (1..=9).map(|n| facts(n, Phase::Full, 90, 120)).collect();
    let found = plan(&deployments, &policy(), AT_MS);
    assert_eq!((found.total_pct, found.deployments[0].allocation_pct), (49.95, 5.55));
    assert!(found.deployments[0].reasons[1].starts_with("all want 90.00 %, 50 % is the limit"), "{found}");
    let tight = AllocationPolicy { max_total_pct: 0.05, ..policy() };
    let found = plan(&deployments, &tight, AT_MS);
    // What would round to nothing is paused, and the others share what there is.
    let active = found.deployments.iter().filter(|d| d.status == DeploymentStatus::Active);
    assert_eq!((found.total_pct, active.clone().count()), (0.05, 5), "{found}");
    assert!(active.clone().all(|d| d.allocation_pct == 0.01), "{found}");
}

#[test]
fn pauses_end_when_they_said() {
    let paused = |until_ms| DeploymentFacts {
        status: DeploymentStatus::Paused,
        paused_until_ms: until_ms,
        ..facts(1, Phase::Initial, 0, 0)
    };
    let of = |facts: DeploymentFacts| plan(&[facts], &policy(), AT_MS).deployments[0].clone();
    let by_operator = of(paused(None));
    assert_eq!((by_operator.status, by_operator.changed), (DeploymentStatus::Paused, false));
    let running = of(paused(Some(AT_MS + 1)));
    assert_eq!((running.status, running.changed), (DeploymentStatus::Paused, false));
    let over = of(paused(Some(AT_MS)));
    assert_eq!((over.status, over.changed, over.paused_until_ms), (DeploymentStatus::Active, true, None));
    let still_rough = of(DeploymentFacts { regime: Some(VolatilityRegime::Extreme), ..paused(Some(AT_MS)) });
    assert_eq!((still_rough.status, still_rough.paused_until_ms), (DeploymentStatus::Paused, Some(AT_MS + DAY_MS)));
}

#[test]
fn limits_are_checked_by_name() {
    let problem = |change: fn(&mut AllocationPolicy)| {
        let mut policy = policy();
        change(&mut policy);
        policy.validate().unwrap_err()
    };
    assert!(policy().validate().is_ok());
    assert_eq!(problem(|p| p.initial_pct = [1.0, 4.0]).0, "initial_pct");
    assert_eq!(problem(|p| p.full_pct = [4.0, 10.0]).0, "growth_pct");
    assert_eq!(problem(|p| p.full_pct = [5.0, 101.0]).0, "full_pct");
    assert_eq!(problem(|p| p.warning_fraction = f64::NAN).1, "must be 0 to 1, not NaN");
    assert_eq!(problem(|p| p.full_min_days = 14).0, "full_min_days");
}

fn any_facts(number: u8) -> impl Strategy<Value = DeploymentFacts> {
    let phase = prop::sample::select(Phase::ALL);
    let staying = prop::option::of(prop::sample::select(vec![
        EdgeDecayLevel::Calm,
        EdgeDecayLevel::Warning,
        EdgeDecayLevel::Alarm,
    ]));
    let drift = prop::option::of(prop::sample::select(DriftAction::ALL));
    let regime = prop::option::of(prop::sample::select(VolatilityRegime::ALL.to_vec()));
    let pause = prop::option::weighted(0.2, prop::option::of(AT_MS - 10..AT_MS + 10));
    (phase, 0_u32..120, 0_u32..200, prop::option::of(0.5..2.0), staying, drift, regime, pause, 1_u8..4).prop_map(
        move |(phase, days, trades, profit_factor, staying, drift, regime, pause, twin)| DeploymentFacts {
            phase,
            days,
            trades,
            profit_factor,
            staying,
            drift,
            regime,
            status: if pause.is_some() { DeploymentStatus::Paused } else { DeploymentStatus::Active },
            paused_until_ms: pause.flatten(),
            daily_returns: facts(twin, phase, 0, 0).daily_returns,
            ..facts(number, phase, days, trades)
        },
    )
}

proptest! {
    #[test]
    fn no_plan_breaks_a_limit(all in (0..12_u8).map(any_facts).collect::<Vec<_>>(), total in 1.0..60.0) {
        let policy = AllocationPolicy { max_total_pct: total, ..policy() };
        let found = plan(&all, &policy, AT_MS);
        prop_assert_eq!(found.deployments.len(), all.len());
        let active = found.deployments.iter().filter(|d| d.status == DeploymentStatus::Active);
        let sum: f64 = active.map(|d| d.allocation_pct).sum();
        prop_assert!(sum <= total + 1e-9 && (sum - found.total_pct).abs() < 1e-9, "{}", found);
        for (was, is) in all.iter().zip(&found.deployments) {
            prop_assert_eq!(was.deployment_id, is.deployment_id);
            let next = is.phase == was.phase || was.phase.next() == Some(is.phase);
            prop_assert!(next && is.status != DeploymentStatus::Deactivated);
            prop_assert!((0.01..=10.0).contains(&is.allocation_pct), "{}", found);
            let stopped = was.staying == Some(EdgeDecayLevel::Alarm) || was.drift == Some(DriftAction::Deactivate)
                || was.regime == Some(VolatilityRegime::Extreme);
            prop_assert!(!stopped || is.status == DeploymentStatus::Paused);
            prop_assert!(is.status == DeploymentStatus::Active || is.allocation_pct == was.allocation_pct);
        }
        // Carried out, the same plan changes nothing more, unless somebody grows again.
        let after: Vec<DeploymentFacts> = all.iter().zip(&found.deployments).map(|(was, is)| DeploymentFacts {
            phase: is.phase, status: is.status, allocation_pct: is.allocation_pct,
            paused_until_ms: is.paused_until_ms, ..was.clone()
        }).collect();
        if all.iter().zip(&after).all(|(a, b)| a.phase == b.phase) {
            prop_assert!(plan(&after, &policy, AT_MS).deployments.iter().all(|d| !d.changed));
        }
        let mut backwards = all.clone();
        backwards.reverse();
        prop_assert_eq!(plan(&backwards, &policy, AT_MS), found);
    }
}
