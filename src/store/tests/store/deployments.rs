//! Deployments, their days, regimes, drift alerts, and the views over all of it.

use crate::{made, support};
use candles::{MarketKind, Symbol};
use chrono::NaiveDate;
use evidence::volatility_regime::VolatilityRegime;
use lifecycle::{State, Transition};
use serde_json::json;
use store::{
    AlertOutcome, DeploymentChange, DeploymentStatus, DriftReading, DriftType, NewVolatilityRegime, Page,
    PerformanceDay, Phase, RecommendedAction, RiskLimits, Severity, Store, StoreError, total_pct,
};
use uuid::Uuid;

/// A live strategy and its deployment.
async fn live(store: &Store, n: u32) -> (Uuid, Uuid) {
    let id = made::in_shadow(store, n).await;
    store.record_score(id, &made::score(70.0), &[]).await.unwrap();
    store.apply_transition(&made::transition(id, Transition::GoLive, made::T1 + made::DAY_MS), None).await.unwrap();
    let deployments = store.open_deployments().await.unwrap();
    (id, deployments.iter().find(|d| d.strategy_id == id).unwrap().id)
}

fn change(phase: Phase, allocation_pct: f64) -> DeploymentChange {
    DeploymentChange {
        phase,
        allocation_pct,
        paused: None,
        risk_limits: RiskLimits::default(),
        reason: "because".to_owned(),
        actor: "deployment manager".to_owned(),
        at_market_ms: made::T1 + 3 * made::DAY_MS,
        max_total_pct: 50.0,
    }
}

fn day(n: u32, daily: f64, cumulative: f64) -> PerformanceDay {
    PerformanceDay {
        day: NaiveDate::from_ymd_opt(2024, 1, n).unwrap(),
        allocation_pct: 2.0,
        daily_return: daily,
        cumulative_return: cumulative,
        rolling_sharpe_30d: None,
        drawdown: -0.01,
        win_rate: Some(0.5),
        trades: n,
        volatility: None,
        benchmark_return: Some(0.001),
    }
}

#[tokio::test]
async fn a_deployment_grows_phase_by_phase_and_every_change_is_audited() {
    let (database, store) = support::database().await;
    let (strategy_id, id) = live(&store, 1).await;
    let begun = store.open_deployments().await.unwrap().remove(0);
    assert_eq!(
        (begun.phase, begun.status, begun.promotion_score),
        (Phase::Initial, DeploymentStatus::Paused, Some(70.0)),
        "nothing is at work before it was given a share"
    );
    assert_eq!(begun.paused_until.map(|t| t.timestamp_millis()), Some(begun.started_market_ms));
    assert_eq!((begun.total_capital, begun.risk_limits), (10_000.0, RiskLimits::default()));
    let change_to = async |change: &DeploymentChange| store.change_deployment(None, id, change).await;
    let skipped = change_to(&change(Phase::Full, 5.0)).await.unwrap_err();
    assert!(skipped.to_string().contains("deployments_phase_sequence"), "{skipped}");
    assert!(change_to(&change(Phase::Growth, 3.0)).await.unwrap());
    assert!(!change_to(&change(Phase::Growth, 3.0)).await.unwrap(), "nothing is different");
    assert!(change_to(&change(Phase::Initial, 1.0)).await.is_err(), "phases are not gone back");
    assert!(change_to(&change(Phase::Growth, 1.5)).await.unwrap(), "allocations may shrink");
    let mut pause = change(Phase::Growth, 1.5);
    pause.paused = Some(chrono::DateTime::from_timestamp_millis(made::T1));
    assert!(change_to(&pause).await.unwrap());
    let paused = store.open_deployments().await.unwrap().remove(0);
    assert_eq!((paused.status, paused.paused_until), (DeploymentStatus::Paused, pause.paused.unwrap()));
    for (allocation, leverage) in [(0.0, 10.0), (100.5, 10.0), (2.0, 0.5), (2.0, f64::NAN)] {
        let mut odd = change(Phase::Growth, allocation);
        odd.risk_limits.max_leverage = leverage;
        assert!(matches!(change_to(&odd).await, Err(StoreError::Constraint { .. })), "{allocation} {leverage}");
    }
    store
        .apply_transition(&made::transition(strategy_id, Transition::Demote, made::T1 + 2 * made::DAY_MS), None)
        .await
        .unwrap();
    assert!(matches!(change_to(&change(Phase::Full, 5.0)).await, Err(StoreError::Conflict(_))));
    assert_eq!(store.open_deployments().await.unwrap(), []);
    let client = database.client().await;
    let sql = "select after_state ->> 'phase' || ' ' || (after_state ->> 'allocation_pct') || ' ' || (after_state ->> 'status')
        from audit_logs where event_type = 'deployment_changed' order by id";
    let audited: Vec<String> = client.query(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect();
    assert_eq!(audited, ["growth 3.0 active", "growth 1.5 active", "growth 1.5 paused"]);
    assert_eq!(store.verify_audit_chain().await.unwrap().first_bad, None);
    for (sql, constraint) in [
        ("update deployments set reason = 'x'", "deployments_ended_fixed"),
        (
            "update deployments set status = 'active', ended_at = null, ended_market_ms = null",
            "deployments_ended_fixed",
        ),
        (
            "insert into deployments (id, strategy_id, promoted_by, started_market_ms, phase)
             select gen_random_uuid(), id, 'me', 0, 'full' from strategies",
            "deployments_phase_sequence",
        ),
        (
            "insert into deployments (id, strategy_id, promoted_by, started_market_ms, risk_limits)
             select gen_random_uuid(), id, 'me', 0, '{\"max_position_pct\": 1, \"max_leverage\": 1}' from strategies",
            "deployments_risk_limits",
        ),
        (
            "insert into deployments (id, strategy_id, promoted_by, started_market_ms, promotion_score)
             select gen_random_uuid(), id, 'me', 0, 101 from strategies",
            "deployments_promotion_score_check",
        ),
        (
            "insert into deployments (id, strategy_id, promoted_by, started_market_ms, paused_until)
             select gen_random_uuid(), id, 'me', 0, now() from strategies",
            "deployments_paused",
        ),
    ] {
        let error = client.execute(sql, &[]).await.expect_err(sql);
        assert_eq!(error.as_db_error().and_then(|db| db.constraint()), Some(constraint), "{sql}: {error:?}");
    }
}

#[tokio::test]
async fn active_deployments_never_have_more_than_the_total_together() {
    let (_database, store) = support::database().await;
    let (_, one) = live(&store, 1).await;
    let (_, two) = live(&store, 2).await;
    let give = async |id, pct, max_total_pct| {
        let change = DeploymentChange { max_total_pct, ..change(Phase::Initial, pct) };
        store.change_deployment(None, id, &change).await
    };
    assert!(give(one, 30.0, 50.0).await.unwrap());
    let error = give(two, 20.01, 50.0).await.unwrap_err();
    assert!(matches!(&error, StoreError::Conflict(why) if why.contains("50.01 %")), "{error}");
    assert!(give(two, 20.0, 50.0).await.unwrap());
    assert!(give(one, 25.0, 40.0).await.unwrap(), "less is welcome though the new limit is passed still");
    assert!(matches!(give(one, 25.01, 40.0).await, Err(StoreError::Conflict(_))));
    assert_eq!(total_pct(&store.open_deployments().await.unwrap()), 45.0);
    let both = tokio::join!(give(one, 27.0, 50.0), give(two, 25.0, 50.0));
    assert!(both.0.is_ok() != both.1.is_ok(), "{both:?}");
}

#[tokio::test]
async fn cumulative_returns_follow_from_daily_ones() {
    let (_database, store) = support::database().await;
    let (_, id) = live(&store, 1).await;
    let days = [day(1, 0.1, 0.1), day(2, -0.5, -0.45), day(4, 0.2, -0.34)];
    store.record_performance_days(None, id, &days).await.unwrap();
    store.record_performance_days(None, id, &days[1..]).await.unwrap();
    assert_eq!(store.performance_days(id).await.unwrap(), days);
    let (_, other) = live(&store, 2).await;
    store
        .record_performance_days(None, other, &[PerformanceDay { allocation_pct: 6.0, ..day(4, -0.2, -0.2) }])
        .await
        .unwrap();
    let all = store.live_days(2).await.unwrap();
    assert_eq!(all.iter().map(|d| (d.day, d.strategies)).collect::<Vec<_>>(), [(days[1].day, 1), (days[2].day, 2)]);
    assert!(
        (all[1].weighted_return.unwrap() + 0.1).abs() < 1e-12,
        "a quarter of it gained 20 %, the rest lost as much"
    );
    assert!(all[1].equal_return.abs() < 1e-12 && all[1].benchmark_return == Some(0.001), "{:?}", all[1]);
    for wrong in [
        &[day(5, 0.1, 0.1)][..],
        // In the middle: the row itself, or the one after it, would not follow any more.
        &[day(2, -0.5, -0.4)],
        &[day(2, -0.4, -0.34)],
        &[day(3, 0.5, 0.5)],
        &[day(1, 0.2, 0.2)],
    ] {
        let error = store.record_performance_days(None, id, wrong).await.unwrap_err();
        assert!(error.to_string().contains("performance_metrics_cumulative"), "{wrong:?}: {error}");
    }
    // Together they are right again.
    store.record_performance_days(None, id, &[day(1, 0.2, 0.2), day(2, 0.0, 0.2), day(4, 0.5, 0.8)]).await.unwrap();
    let mut odd = day(5, 0.0, 0.8);
    odd.drawdown = 0.1;
    assert!(matches!(store.record_performance_days(None, id, &[odd]).await, Err(StoreError::Constraint { .. })));
}

#[tokio::test]
async fn regimes_follow_each_other() {
    let (database, store) = support::database().await;
    let asset: Symbol = "BTCUSDT".parse().unwrap();
    let regime = |n: i64, percentile| NewVolatilityRegime {
        market: MarketKind::Spot,
        asset: asset.clone(),
        volatility_percentile: percentile,
        realised_volatility: 0.5,
        effective_from_ms: made::T1 + n * made::DAY_MS,
    };
    for (n, percentile, new) in
        [(0, 24.9, true), (1, 25.0, true), (1, 99.0, false), (0, 99.0, false), (2, 95.0, true), (3, 94.9, true)]
    {
        assert_eq!(store.record_regime(&regime(n, percentile)).await.unwrap(), new, "{n} {percentile}");
    }
    let found = store.regimes_of(MarketKind::Spot, &asset, 10).await.unwrap();
    let told: Vec<_> = found.iter().map(|r| (r.regime, r.previous_regime, r.effective_until_ms)).collect();
    let until = |n: i64| Some(made::T1 + n * made::DAY_MS);
    assert_eq!(
        told,
        [
            (VolatilityRegime::HighVolatility, Some(VolatilityRegime::Extreme), None),
            (VolatilityRegime::Extreme, Some(VolatilityRegime::Normal), until(3)),
            (VolatilityRegime::Normal, Some(VolatilityRegime::LowVolatility), until(2)),
            (VolatilityRegime::LowVolatility, None, until(1)),
        ]
    );
    assert_eq!(store.current_regimes().await.unwrap(), found[..1]);
    let client = database.client().await;
    for (sql, constraint) in [
        ("update market_regimes set regime = 'extreme' where regime = 'normal'", "market_regimes_by_percentile"),
        ("update market_regimes set effective_until_ms = effective_from_ms", "market_regimes_order"),
        ("update market_regimes set effective_until_ms = null", "market_regimes_one_current"),
        (
            "insert into market_regimes (market, asset, regime, volatility_percentile, realised_volatility, effective_from_ms)
             values ('spot', 'BTCUSDT', 'normal', 50, 1, 0)",
            "market_regimes_forward",
        ),
    ] {
        let error = client.execute(sql, &[]).await.expect_err(sql);
        assert_eq!(error.as_db_error().and_then(|db| db.constraint()), Some(constraint), "{sql}: {error:?}");
    }
}

#[tokio::test]
async fn drift_alerts_open_escalate_and_close() {
    let (database, store) = support::database().await;
    let (strategy_id, deployment_id) = live(&store, 1).await;
    let (lease, token) = made::lease(&store).await;
    let reading = |drift, expected, observed| DriftReading {
        deployment_id,
        strategy_id,
        drift,
        expected,
        observed,
        warning_at: 0.5,
        critical_at: 1.0,
        recommended_action: RecommendedAction::ReduceAllocation,
        detail: json!({ "windows": 30 }),
        at_market_ms: made::T1,
    };
    let record = async |drift, expected, observed| {
        store.record_drift(None, &[reading(drift, expected, observed)]).await.unwrap().remove(0)
    };
    use DriftType::{Drawdown, Sharpe, Volatility};
    assert_eq!(record(Sharpe, 1.5, 1.25).await, AlertOutcome::Calm);
    assert_eq!(record(Sharpe, 1.5, 3.0).await, AlertOutcome::Calm, "better than expected");
    let AlertOutcome::Opened(id) = record(Sharpe, 1.5, 1.0).await else { panic!("not opened") };
    assert_eq!(record(Sharpe, 1.5, 0.75).await, AlertOutcome::Updated(id));
    for _ in 0..2 {
        store.acknowledge_alert(id, "operator ann", Some("looked at it"), Some("ab")).await.unwrap();
    }
    assert!(matches!(store.acknowledge_alert(999, "operator ann", None, None).await, Err(StoreError::NotFound { .. })));
    let entries = store.audit_entries(None, Page::first(99)).await.unwrap();
    let seen: Vec<_> = entries.iter().filter(|entry| entry.entity_type == "drift_alert").collect();
    assert_eq!(seen.len(), 1, "said twice it is noted once, and not for an alert that is none");
    assert_eq!((seen[0].ip_hash.as_deref(), &seen[0].metadata["why"]), (Some("ab"), &json!("looked at it")));
    assert_eq!(record(Sharpe, 1.5, -0.5).await, AlertOutcome::Escalated(id));
    assert_eq!(record(Sharpe, 1.5, 0.9).await, AlertOutcome::Updated(id), "critical until it closes");
    let AlertOutcome::Opened(rough) = record(Volatility, 0.5, 1.5).await else { panic!("not opened") };
    assert_eq!(record(Drawdown, -0.1, -0.2).await, AlertOutcome::Calm);
    let open = store.drift_alerts(true, Page::first(9)).await.unwrap();
    assert_eq!(
        open.iter().map(|a| (a.id, a.severity, a.delta)).collect::<Vec<_>>(),
        [(rough, Severity::Critical, 1.0), (id, Severity::Critical, -2.0)]
    );
    let alert = &open[1];
    assert_eq!(
        (alert.acknowledged_by.as_deref(), alert.action_taken.as_deref()),
        (Some("operator ann"), Some("looked at it"))
    );
    assert!(alert.escalated_at.is_some() && open[0].escalated_at.is_none());
    store.note_alert_action(&token, rough, "allocation halved").await.unwrap();
    assert_eq!(record(Sharpe, 1.5, 1.5).await, AlertOutcome::Closed(id));
    assert!(matches!(store.acknowledge_alert(id, "operator ann", None, None).await, Err(StoreError::Conflict(_))));
    assert_eq!(store.close_alerts(&token, deployment_id, "demoted").await.unwrap(), 1);
    assert_eq!(store.drift_alerts(true, Page::first(9)).await.unwrap(), []);
    let all = store.drift_alerts_of(strategy_id).await.unwrap();
    assert_eq!(
        all.iter().map(|a| a.action_taken.as_deref()).collect::<Vec<_>>(),
        [Some("allocation halved"), Some("looked at it")]
    );
    let AlertOutcome::Opened(fresh) = record(Sharpe, 1.5, 1.0).await else { panic!("a new one opens") };
    lease.release().await;
    let (_lease, _) = made::lease(&store).await;
    let late = store.close_alerts(&token, deployment_id, "demoted").await;
    assert!(matches!(late, Err(StoreError::LeaseLost { .. })), "a former holder closes nothing: {late:?}");
    let late = store.note_alert_action(&token, fresh, "allocation halved").await;
    assert!(matches!(late, Err(StoreError::LeaseLost { .. })), "{late:?}");

    let client = database.client().await;
    for (sql, constraint) in [
        ("update drift_alerts set severity = 'critical' where closed_at is null", "drift_alerts_severity"),
        ("update drift_alerts set observed = 1.4 where closed_at is null", "drift_alerts_severity"),
        ("update drift_alerts set severity = 'critical', critical_at = 0.4 where closed_at is null", "drift_alerts_thresholds"),
        ("update drift_alerts set acknowledged_by = 'me' where closed_at is null", "drift_alerts_acknowledged"),
        ("update drift_alerts set escalated_at = now() where closed_at is null", "drift_alerts_escalated"),
        ("update drift_alerts set recommended_action = 'pray' where closed_at is null", "drift_alerts_recommended_action_check"),
        ("update drift_alerts set closed_at = null", "drift_alerts_closed_fixed"),
        (
            "insert into drift_alerts (deployment_id, strategy_id, type, severity, expected, observed, warning_at, critical_at,
                 recommended_action, at_market_ms)
             select deployment_id, strategy_id, type, severity, expected, observed, warning_at, critical_at,
                 recommended_action, at_market_ms from drift_alerts where closed_at is null",
            "drift_alerts_one_open",
        ),
        (
            "insert into drift_alerts (deployment_id, strategy_id, type, severity, expected, observed, warning_at, critical_at,
                 recommended_action, at_market_ms)
             select id, gen_random_uuid(), 'return', 'warning', 1, 0, 1, 2, 'monitor', 0 from deployments",
            "drift_alerts_same_strategy",
        ),
    ] {
        let error = client.execute(sql, &[]).await.expect_err(sql);
        assert_eq!(error.as_db_error().and_then(|db| db.constraint()), Some(constraint), "{sql}: {error:?}");
    }
    for column in ["delta", "delta_pct"] {
        let computed = client.execute(&format!("update drift_alerts set {column} = 0"), &[]).await;
        assert!(computed.is_err(), "{column} is computed");
    }
}

#[tokio::test]
async fn drift_is_told_in_percent_of_what_was_expected() {
    let (database, store) = support::database().await;
    let (strategy_id, _) = live(&store, 1).await;
    let client = database.client().await;
    let tiny = f64::MIN_POSITIVE;
    let by_hand = [
        (2.0, 1.0, Some(-50.0)),
        (-0.1, -0.2, Some(-100.0)),
        (-0.5, -1.5, Some(-200.0)),
        (1.0, 1.0, Some(0.0)),
        (0.5, -0.5, Some(-200.0)),
        (0.0, -1.0, None),
        (-0.0, -1.0, None),
        // Numbers that are nobody's figures: told without percent, and not refused.
        (tiny, -1.0, None),
        (1e-13, -1e300, None),
        (1e-12, -1e300, None),
        (1e150, 1e-150, None),
        (1e-12, -1e100, Some(-1e114)),
    ];
    let mut random = 14_u64;
    let mut draw = || {
        // xorshift64, over twenty orders of magnitude and both signs.
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let unit = (random >> 11) as f64 / (1_u64 << 53) as f64;
        (if random.is_multiple_of(2) { 1.0 } else { -1.0 }) * 10_f64.powf(20.0 * unit - 10.0)
    };
    let drawn = (0..200).map(|_| {
        let (a, b): (f64, f64) = (draw(), draw());
        // By parts in place of the difference.
        (a.max(b), a.min(b), Some(100.0 * (a.min(b) / a.max(b).abs()) - 100.0 * a.max(b).signum()))
    });
    for (expected, observed, pct) in by_hand.into_iter().chain(drawn) {
        let sql = "insert into drift_alerts (deployment_id, strategy_id, type, severity, expected, observed, warning_at, critical_at,
                recommended_action, at_market_ms, closed_at)
            select id, strategy_id, 'return', 'warning', $1::double precision, $2::double precision, 0, 1.7e308, 'monitor', 0, now()
            from deployments returning id";
        let id: i64 = client.query_one(sql, &[&expected, &observed]).await.unwrap().get(0);
        let alerts = store.drift_alerts_of(strategy_id).await.unwrap();
        let alert = alerts.iter().find(|a| a.id == id).unwrap();
        let close = match (alert.delta_pct, pct) {
            (Some(told), Some(pct)) => (told - pct).abs() <= 1e-12 * pct.abs().max(100.0),
            (told, pct) => told == pct,
        };
        assert!(close, "{observed} for {expected}: {:?}, expected {pct:?}", alert.delta_pct);
        client.execute("delete from drift_alerts where id = $1", &[&id]).await.unwrap();
    }
}

#[tokio::test]
async fn views_tell_of_what_was_promoted_and_how_the_portfolio_does() {
    let (_database, store) = support::database().await;
    let (one, deployment) = live(&store, 1).await;
    let (two, other) = live(&store, 2).await;
    let (three, _) = live(&store, 3).await;
    made::in_shadow(&store, 4).await;
    let at = made::T1 + 5 * made::DAY_MS;
    store.apply_transition(&made::transition(two, Transition::Demote, at), None).await.unwrap();
    let end = Transition::Disable { from: State::Live, reason: lifecycle::DisableReason::Deactivated };
    store.apply_transition(&made::transition(three, end, at), None).await.unwrap();
    assert!(store.change_deployment(None, deployment, &change(Phase::Initial, 1.0)).await.unwrap());
    let proven = store.proven_strategies(Page::first(9)).await.unwrap();
    let told: Vec<_> = proven.iter().map(|p| (p.strategy_id, p.status.as_str())).collect();
    assert_eq!(told, [(three, "retired"), (two, "promoted"), (one, "active")]);
    assert_eq!((proven[0].source.as_deref(), proven[0].num_trades), (None, None), "nothing was measured");

    store.record_performance_days(None, deployment, &[day(1, 0.1, 0.1), day(2, -0.5, -0.45)]).await.unwrap();
    let mut half = day(2, 0.25, 0.25);
    half.allocation_pct = 50.0;
    store.record_performance_days(None, other, &[half]).await.unwrap();
    assert_eq!(store.portfolio_days(Page::first(9)).await.unwrap(), [], "as of the last refresh");
    store.refresh_views().await.unwrap();
    store.refresh_views().await.unwrap();
    let days = store.portfolio_days(Page::first(9)).await.unwrap();
    let close = |a: f64, b: f64| (a - b).abs() < 1e-12;
    assert!(close(days[1].daily_return, 0.002) && close(days[0].daily_return, 0.115), "{days:?}");
    assert!(close(days[0].cumulative_return, 1.002 * 1.115 - 1.0), "{days:?}");
    assert_eq!((days[0].deployments, days[0].allocation_pct, days[0].trades), (2, 52.0, 4));
    let live_now = store.strategy_summaries(&[State::Live], Page::first(9)).await.unwrap();
    assert_eq!(live_now.iter().map(|s| (s.strategy_id, s.grade.as_deref())).collect::<Vec<_>>(), [(one, Some("B"))]);
    assert_eq!(store.strategy_summaries(&[], Page::first(9)).await.unwrap().len(), 4);
}
