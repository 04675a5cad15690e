//! Decisions of the threshold gate: golden ones, boundaries, and what must hold for any evidence.

use super::*;
use candles::time::DAY_MS;
use engine::{ExitReason, Performance, Side, Trade};
use proptest::prelude::*;

fn gate() -> ThresholdGate {
    ThresholdGate::new(Thresholds::default()).unwrap()
}

/// Passes every candidate requirement, each at its limit.
fn at_the_limit(trades: u32, profit_factor: f64) -> Performance {
    Performance {
        total_return: Some(0.1),
        sharpe_ratio: Some(1.0),
        max_drawdown: Some(-0.25),
        profit_factor: Some(profit_factor),
        win_rate: Some(0.55),
        total_trades: trades,
        ..Performance::default()
    }
}

fn tested() -> Tested {
    Tested { backtest: Some(at_the_limit(50, 1.5)), holdout: Some(at_the_limit(10, 1.3)) }
}

fn candidate() -> CandidateEvidence {
    CandidateEvidence { tested: tested(), protocol: None }
}

fn paper(days: i64, closed_trades: u32, performance: Performance) -> PaperEvidence {
    PaperEvidence { performance, from_ms: 0, to_ms: days * DAY_MS, closed_trades, recent: None }
}

fn in_shadow(days: i64, closed: u32, profit_factor: f64) -> ShadowEvidence {
    let run = Some(paper(days, closed, at_the_limit(closed, profit_factor)));
    ShadowEvidence { tested: tested(), run, ..ShadowEvidence::default() }
}

fn while_live(drawdown: f64, recent: Option<RecentTrades>, demotions: u32) -> LiveEvidence {
    let performance = Performance { max_drawdown: Some(drawdown), ..at_the_limit(80, 1.4) };
    let run = Some(PaperEvidence { recent, ..paper(30, 80, performance) });
    LiveEvidence { tested: tested(), run, demotions, staying: None }
}

fn of_candidate(gate: &dyn Gate, evidence: &CandidateEvidence) -> Decision {
    gate.decide(&GateEvidence::Candidate(evidence.clone()))
}

fn of_shadow(gate: &dyn Gate, evidence: &ShadowEvidence) -> Decision {
    gate.decide(&GateEvidence::Shadow(evidence.clone()))
}

fn of_live(gate: &dyn Gate, evidence: &LiveEvidence) -> Decision {
    gate.decide(&GateEvidence::Live(evidence.clone()))
}

fn disabled(from: State, reason: DisableReason) -> Verdict {
    Verdict::Move(Transition::Disable { from, reason })
}

fn rendered(decision: &Decision) -> String {
    let checks: String = decision.checks.iter().map(|c| format!("{c}\n")).collect();
    format!("{:?}: {}\n{checks}", decision.verdict, decision.summary)
}

#[test]
fn a_candidate_at_every_limit_enters_shadow() {
    assert_eq!(
        rendered(&of_candidate(&gate(), &candidate())),
        "Move(EnterShadow): Entered shadow: meets every requirement of backtest and hold-out
ok  Backtest trades: 50, needed >= 50
ok  Backtest profit factor: 1.5, needed >= 1.5, or no loss in 10 wins
ok  Backtest Sharpe ratio: 1, needed >= 1
ok  Backtest win rate, %: 55, needed >= 55, or profit factor >= 2
ok  Backtest max drawdown, %: 25, needed <= 25
ok  Hold-out trades: 10, needed >= 10
ok  Hold-out profit factor: 1.3, needed >= 1.3, or no loss in 10 wins
ok  Hold-out Sharpe ratio: 1, needed >= 1
ok  Hold-out win rate, %: 55, needed >= 55, or profit factor >= 2
ok  Hold-out max drawdown, %: 25, needed <= 25
"
    );
}

#[test]
fn a_candidate_is_rejected_for_any_single_miss() {
    type Spoil = fn(&mut Performance);
    let spoils: [(&str, Spoil); 8] = [
        ("total_trades", |p| p.total_trades = 9),
        ("profit_factor", |p| p.profit_factor = Some(1.29)),
        ("profit_factor", |p| (p.profit_factor, p.win_rate, p.total_trades) = (None, Some(0.9), 10)),
        ("sharpe_ratio", |p| p.sharpe_ratio = Some(0.99)),
        ("sharpe_ratio", |p| p.sharpe_ratio = None),
        ("win_rate_percent", |p| p.win_rate = Some(0.54)),
        ("max_drawdown_percent", |p| p.max_drawdown = Some(-0.251)),
        ("max_drawdown_percent", |p| p.max_drawdown = None),
    ];
    for (name, spoil) in spoils {
        let mut evidence = candidate();
        spoil(evidence.tested.holdout.as_mut().unwrap());
        let decision = of_candidate(&gate(), &evidence);
        assert_eq!(decision.verdict, disabled(State::Candidate, DisableReason::Rejected), "{name}");
        let missed: Vec<_> = decision.checks.iter().filter(|c| !c.passed).map(|c| c.name.as_str()).collect();
        assert_eq!(missed, [format!("holdout.{name}")]);
    }
}

#[test]
fn a_candidate_that_was_not_measured_yet_waits() {
    let tested = Tested { holdout: None, ..tested() };
    let evidence = CandidateEvidence { tested, ..candidate() };
    let decision = of_candidate(&gate(), &evidence);
    let told = "Hold: Candidate: waits for backtest and hold-out\nno  Hold-out: undefined, needed measured\n";
    assert_eq!(rendered(&decision), told);
}

#[test]
fn nothing_lost_counts_as_a_profit_factor_from_enough_wins_on() {
    let lossless = |trades| Performance { profit_factor: None, win_rate: Some(1.0), ..at_the_limit(trades, 1.0) };
    let mut evidence = candidate();
    evidence.tested.holdout = Some(lossless(10));
    assert_eq!(of_candidate(&gate(), &evidence).verdict, Verdict::Move(Transition::EnterShadow));
    evidence.tested.holdout = Some(Performance { total_return: None, ..lossless(10) });
    assert_eq!(of_candidate(&gate(), &evidence).verdict, disabled(State::Candidate, DisableReason::Rejected));
}

#[test]
fn a_high_profit_factor_waives_the_win_rate() {
    let mut evidence = candidate();
    evidence.tested.backtest = Some(Performance { win_rate: Some(0.3), ..at_the_limit(50, 2.0) });
    assert_eq!(of_candidate(&gate(), &evidence).verdict, Verdict::Move(Transition::EnterShadow));
}

#[test]
fn shadow_golden_decisions() {
    let failed = disabled(State::Shadow, DisableReason::Failed);
    for (days, closed, profit_factor, expected) in [
        (14, 10, 1.3, Verdict::Move(Transition::GoLive)),
        (13, 10, 9.0, Verdict::Hold),
        (14, 9, 9.0, Verdict::Hold),
        (14, 10, 1.29, Verdict::Hold),
        (59, 10, 1.29, Verdict::Hold),
        (180, 10, 1.29, failed),
        (60, 10, 1.3, Verdict::Move(Transition::GoLive)),
        (3, 29, 0.1, Verdict::Hold),
        (3, 30, 0.79, failed),
        (3, 30, 0.8, Verdict::Hold),
    ] {
        let decision = of_shadow(&gate(), &in_shadow(days, closed, profit_factor));
        assert_eq!(decision.verdict, expected, "{days} days, {closed} trades, {profit_factor}");
    }
    let mut drawn = in_shadow(14, 10, 1.3);
    drawn.run.as_mut().unwrap().performance.max_drawdown = Some(-0.2501);
    assert_eq!(of_shadow(&gate(), &drawn).verdict, failed);
}

#[test]
fn live_golden_decisions() {
    let deactivated = disabled(State::Live, DisableReason::Deactivated);
    let recent = |trades, profit_factor| Some(RecentTrades { trades, profit_factor });
    for (drawdown, recent, demotions, expected) in [
        (-0.15, None, 0, Verdict::Hold),
        (-0.16, None, 0, Verdict::Move(Transition::Demote)),
        (-0.16, None, 1, deactivated),
        (-0.26, None, 0, deactivated),
        (-0.05, recent(40, Some(0.79)), 0, Verdict::Move(Transition::Demote)),
        (-0.05, recent(40, Some(0.79)), 1, deactivated),
        (-0.05, recent(39, Some(0.1)), 0, Verdict::Hold),
        (-0.05, recent(40, Some(0.8)), 1, Verdict::Hold),
        (-0.05, recent(40, None), 1, Verdict::Hold),
    ] {
        let decision = of_live(&gate(), &while_live(drawdown, recent.clone(), demotions));
        assert_eq!(decision.verdict, expected, "{drawdown} {recent:?} {demotions}");
    }
    let unmeasured = LiveEvidence { tested: tested(), ..LiveEvidence::default() };
    assert_eq!(of_live(&gate(), &unmeasured).verdict, Verdict::Hold);
}

#[test]
fn only_an_operator_leaves_disabled() {
    assert_eq!(gate().decide(&GateEvidence::Disabled).verdict, Verdict::Hold);
}

#[test]
fn newest_trades_are_counted_in_closing_order_without_the_open_one() {
    let trade = |exit_day: i64, profit: f64, exit_reason| Trade {
        symbol: "BTCUSDT".parse().unwrap(),
        side: Side::Long,
        entry_time_ms: 0,
        entry_price: 1.0,
        exit_time_ms: exit_day * DAY_MS,
        exit_price: 1.0,
        quantity: 1.0,
        profit,
        return_fraction: profit,
        fees: 0.0,
        slippage: 0.0,
        funding: 0.0,
        risk: None,
        exit_reason,
        bars: 1,
    };
    let trades = [
        trade(9, -2.0, ExitReason::Rule),
        trade(1, -50.0, ExitReason::StopLoss),
        trade(5, 3.0, ExitReason::TakeProfit),
        trade(10, 90.0, ExitReason::EndOfWindow),
    ];
    assert_eq!(RecentTrades::newest(&trades, 2), RecentTrades { trades: 2, profit_factor: Some(1.5) });
    assert_eq!(RecentTrades::newest(&trades[2..], 2), RecentTrades { trades: 1, profit_factor: None });
    assert_eq!(RecentTrades::newest(&[], 2), RecentTrades { trades: 0, profit_factor: None });
}

#[test]
fn limits_are_checked_by_name() {
    let problem = |change: fn(&mut Thresholds)| {
        let mut thresholds = Thresholds::default();
        change(&mut thresholds);
        ThresholdGate::new(thresholds).unwrap_err().to_string()
    };
    assert_eq!(problem(|t| t.min_win_rate_percent = 155.0), "min_win_rate_percent must be 0 to 100, not 155");
    assert_eq!(problem(|t| t.shadow_min_days = f64::NAN), "shadow_min_days must be 0 to 3650, not NaN");
    assert_eq!(problem(|t| t.holdout_min_trades = 0), "holdout_min_trades must be at least 1, not 0");
    assert_eq!(
        problem(|t| t.shadow_max_days = 7.0),
        "shadow_max_days is 7, but must not be below shadow_min_days, which is 14"
    );
    let unknown = serde_json::from_str::<Thresholds>(r#"{"shadow_min_pf": 1.3}"#).unwrap_err().to_string();
    assert!(unknown.contains("unknown field `shadow_min_pf`"), "{unknown}");
    assert_eq!(serde_json::from_str::<Thresholds>("{}").unwrap(), Thresholds::default());
}

fn performance() -> impl Strategy<Value = Performance> {
    let some = |range: std::ops::Range<f64>| proptest::option::weighted(0.9, range);
    (some(-0.5..1.0), some(-2.0..4.0), some(-0.4..0.0), some(0.0..4.0), some(0.0..1.0), 0_u32..120).prop_map(
        |(total_return, sharpe_ratio, max_drawdown, profit_factor, win_rate, total_trades)| Performance {
            total_return,
            sharpe_ratio,
            max_drawdown,
            profit_factor,
            win_rate,
            total_trades,
            ..Performance::default()
        },
    )
}

fn on_paper() -> impl Strategy<Value = PaperEvidence> {
    let recent = proptest::option::of((0_u32..80, proptest::option::of(0.0..3.0)));
    (performance(), 0_i64..90, 0_u32..80, recent).prop_map(|(performance, days, closed, recent)| PaperEvidence {
        recent: recent.map(|(trades, profit_factor)| RecentTrades { trades, profit_factor }),
        ..paper(days, closed, performance)
    })
}

/// Evidence of each state.
fn evidence() -> impl Strategy<Value = [GateEvidence; 4]> {
    let some = proptest::option::weighted::<BoxedStrategy<Performance>>;
    let paper = || proptest::option::weighted(0.9, on_paper());
    (some(0.9, performance().boxed()), some(0.9, performance().boxed()), paper(), paper(), 0_u32..4).prop_map(
        |(backtest, holdout, shadow, live, demotions)| {
            let tested = Tested { backtest, holdout };
            [
                GateEvidence::Candidate(CandidateEvidence { tested: tested.clone(), protocol: None }),
                GateEvidence::Shadow(ShadowEvidence {
                    tested: tested.clone(),
                    run: shadow,
                    demotions,
                    ..ShadowEvidence::default()
                }),
                GateEvidence::Live(LiveEvidence { tested, run: live, demotions, staying: None }),
                GateEvidence::Disabled,
            ]
        },
    )
}

/// What was measured before shadow, and since.
fn parts(evidence: &mut GateEvidence) -> (Option<&mut Tested>, Option<&mut PaperEvidence>) {
    match evidence {
        GateEvidence::Candidate(e) => (Some(&mut e.tested), None),
        GateEvidence::Shadow(e) => (Some(&mut e.tested), e.run.as_mut()),
        GateEvidence::Live(e) => (Some(&mut e.tested), e.run.as_mut()),
        GateEvidence::Disabled => (None, None),
    }
}

/// How good a verdict is for the strategy.
fn rank(verdict: Verdict) -> i32 {
    match verdict {
        Verdict::Move(Transition::EnterShadow | Transition::GoLive) => 2,
        Verdict::Hold => 1,
        Verdict::Move(Transition::Demote) => 0,
        Verdict::Move(_) => -1,
    }
}

/// Raises whatever is defined; leaves the rest.
fn better(p: &mut Performance, by: f64) {
    for (value, most) in [
        (&mut p.total_return, 9.0),
        (&mut p.sharpe_ratio, 9.0),
        (&mut p.max_drawdown, 0.0),
        (&mut p.profit_factor, 9.0),
        (&mut p.win_rate, 1.0),
    ] {
        *value = value.map(|v: f64| (v + by).min(most));
    }
}

proptest! {
    #[test]
    fn no_move_is_illegal(evidence in evidence()) {
        for (state, evidence) in State::ALL.into_iter().zip(evidence) {
            prop_assert_eq!(evidence.state(), state);
            if let Verdict::Move(transition) = gate().decide(&evidence).verdict {
                prop_assert_eq!(transition.from(), state);
                let (to, any) = (transition.to(), DisableReason::Operator);
                prop_assert!(Transition::between(state, to, any).is_ok());
                prop_assert!(!matches!(transition, Transition::Revive));
            }
        }
    }

    #[test]
    fn better_evidence_never_gets_a_worse_verdict(before in evidence(), by in 0.0..2.0) {
        for before in before {
            let mut after = before.clone();
            let (tested, run) = parts(&mut after);
            for p in tested.into_iter().flat_map(|t| [&mut t.backtest, &mut t.holdout]).flatten() {
                better(p, by);
                p.total_trades += 7;
            }
            if let Some(paper) = run {
                better(&mut paper.performance, by);
                if let Some(recent) = &mut paper.recent {
                    recent.profit_factor = recent.profit_factor.map(|f| f + by);
                }
            }
            let (was, is) = (gate().decide(&before), gate().decide(&after));
            prop_assert!(rank(is.verdict) >= rank(was.verdict), "{}{}", rendered(&was), rendered(&is));
        }
    }

    #[test]
    fn what_is_undefined_is_never_promoted(evidence in evidence(), which in 0..3_usize) {
        let [mut candidate, ..] = evidence;
        let (tested, _) = parts(&mut candidate);
        for p in tested.into_iter().flat_map(|t| [&mut t.backtest, &mut t.holdout]).flatten() {
            match which {
                0 => p.sharpe_ratio = None,
                1 => p.max_drawdown = None,
                _ => p.total_trades = 0,
            }
        }
        prop_assert!(rank(gate().decide(&candidate).verdict) <= 1);
    }
}

#[path = "protocol_gate_tests.rs"]
mod protocol_gate;
