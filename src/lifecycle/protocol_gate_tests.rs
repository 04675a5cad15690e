//! The evidence protocol as a gate: what it asks of candidates, shadow and live strategies.

use super::*;
use crate::{DetectorReading, EValues, EdgeDecayLevel, EdgeDecayVerdict, ProtocolEvidence, ProtocolGate};
use evidence::placebo::PlaceboComparison;

fn e(value: f64) -> Option<EValues> {
    Some(EValues { log_excess: Some(value.ln()), log_plain: Some(0.0) })
}

fn known(p: Option<f64>, holdout: f64, shadow: f64, level: f64) -> Option<ProtocolEvidence> {
    Some(ProtocolEvidence {
        p_value: p,
        null_searches: 19,
        holdout: e(holdout),
        shadow: e(shadow),
        total: e(holdout * shadow),
        level: Some(level),
        shadow_level: Some(0.2),
    })
}

fn gate() -> ProtocolGate {
    ProtocolGate::new(Thresholds::default()).unwrap()
}

/// The verdict and the names of the checks that failed.
fn seen(decision: &Decision) -> (Verdict, Vec<String>) {
    (decision.verdict, decision.checks.iter().filter(|c| !c.passed).map(|c| c.name.clone()).collect())
}

#[test]
fn a_candidate_needs_a_test_and_a_hold_out_that_does_not_speak_against_it() {
    let with = |protocol| CandidateEvidence { protocol, ..candidate() };
    let enter = Verdict::Move(Transition::EnterShadow);
    assert_eq!(seen(&of_candidate(&gate(), &with(known(Some(0.05), 1.5, 1.0, 0.1)))).0, enter);
    // Tested with what would have been lost, whatever its search said; nobody searched.
    assert_eq!(seen(&of_candidate(&gate(), &with(known(Some(0.5), 1.5, 1.0, 0.1)))).0, enter);
    assert_eq!(seen(&of_candidate(&gate(), &with(known(None, 1.5, 1.0, 0.1)))).0, enter);
    // Without a test no hold-out is good enough.
    let (verdict, failed) = seen(&of_candidate(&gate(), &with(known(Some(0.05), 1e9, 1.0, 0.0))));
    assert_eq!((verdict != enter, failed), (true, vec!["protocol.test".to_owned()]));
    let (_, failed) = seen(&of_candidate(&gate(), &with(known(Some(0.06), 1e9, 1.0, 0.0))));
    assert_eq!(failed, ["protocol.test", "search.p_value"]);
    let (_, failed) = seen(&of_candidate(&gate(), &with(known(Some(0.05), 0.9, 1.0, 0.1))));
    assert_eq!(failed, ["holdout.e_value"]);
    assert_eq!(seen(&of_candidate(&gate(), &with(None))).0, Verdict::Hold);
}

#[test]
fn shadow_goes_on_while_it_grows() {
    let after = |days, shadow| ShadowEvidence { protocol: known(None, 2.0, shadow, 0.01), ..in_shadow(days, 10, 1.4) };
    let failed = Verdict::Move(Transition::Disable { from: State::Shadow, reason: DisableReason::Failed });
    assert_eq!(seen(&of_shadow(&gate(), &after(119, 0.5))).0, Verdict::Hold);
    let (verdict, missed) = seen(&of_shadow(&gate(), &after(120, 0.99)));
    assert_eq!((verdict, missed.contains(&"shadow.growth".to_owned())), (failed, true));
    assert_eq!(seen(&of_shadow(&gate(), &after(179, 1.01))).0, Verdict::Hold);
    assert_eq!(seen(&of_shadow(&gate(), &after(180, 1.01))).0, failed);
}

#[test]
fn a_dead_edge_has_no_more_than_its_share_of_a_chance() {
    let with = |shadow_level, shadow| {
        let mut protocol = known(None, 1.0, shadow, 0.5).unwrap();
        protocol.shadow_level = shadow_level;
        ShadowEvidence { protocol: Some(protocol), ..in_shadow(20, 10, 1.4) }
    };
    let held = (Verdict::Hold, vec!["shadow.e_value".to_owned()]);
    assert_eq!(seen(&of_shadow(&gate(), &with(Some(0.05), 19.9))), held);
    assert_eq!(seen(&of_shadow(&gate(), &with(Some(0.05), 20.1))).0, Verdict::Move(Transition::GoLive));
    // What was stored before there were shares: five to one.
    assert_eq!(seen(&of_shadow(&gate(), &with(None, 5.1))).0, Verdict::Move(Transition::GoLive));
}

#[test]
fn live_needs_the_threshold_of_the_online_procedure_and_shadow_by_itself() {
    let with = |protocol| ShadowEvidence { protocol, ..in_shadow(14, 10, 1.4) };
    // The first way up has four fifths of the level: a threshold of 1 / (0.8 x 0.1) = 12.5.
    let live = Verdict::Move(Transition::GoLive);
    assert_eq!(seen(&of_shadow(&gate(), &with(known(None, 2.0, 6.3, 0.1)))).0, live);
    assert_eq!(
        seen(&of_shadow(&gate(), &with(known(None, 2.0, 6.2, 0.1)))),
        (Verdict::Hold, vec!["protocol.e_value".into()])
    );
    assert_eq!(
        seen(&of_shadow(&gate(), &with(known(None, 9.0, 4.9, 0.1)))),
        (Verdict::Hold, vec!["shadow.e_value".into()])
    );
    assert_eq!(seen(&of_shadow(&gate(), &with(known(None, 9.0, 9.0, 0.0)))).0, Verdict::Hold);
    let mut lost = known(None, 9.0, 9.0, 0.1).unwrap();
    lost.total = Some(EValues::default());
    assert_eq!(seen(&of_shadow(&gate(), &with(Some(lost)))).0, Verdict::Hold);
    let expired = ShadowEvidence { protocol: known(None, 9.0, 2.0, 0.1), ..in_shadow(180, 10, 1.4) };
    let failed = Transition::Disable { from: State::Shadow, reason: DisableReason::Failed };
    assert_eq!(seen(&of_shadow(&gate(), &expired)).0, Verdict::Move(failed));
    assert_eq!(seen(&of_shadow(&gate(), &with(None))).0, Verdict::Hold);
}

#[test]
fn a_profit_factor_is_waived_by_evidence_but_never_a_loss() {
    let with = |shadow, factor| ShadowEvidence { protocol: known(None, 9.0, shadow, 0.1), ..in_shadow(14, 10, factor) };
    assert_eq!(seen(&of_shadow(&gate(), &with(9.9, 1.2))), (Verdict::Hold, vec!["shadow.profit_factor".into()]));
    assert_eq!(seen(&of_shadow(&gate(), &with(10.0, 1.2))).0, Verdict::Move(Transition::GoLive));
    assert_eq!(seen(&of_shadow(&gate(), &with(1e6, 0.99))), (Verdict::Hold, vec!["shadow.profit_factor".into()]));
}

#[test]
fn after_a_demotion_only_what_came_since_counts() {
    let again =
        |shadow| ShadowEvidence { protocol: known(None, 1e6, shadow, 0.1), demotions: 1, ..in_shadow(14, 10, 1.4) };
    // A fifth of the level: a threshold of 50.
    assert_eq!(seen(&of_shadow(&gate(), &again(49.0))), (Verdict::Hold, vec!["protocol.e_value".into()]));
    assert_eq!(seen(&of_shadow(&gate(), &again(51.0))).0, Verdict::Move(Transition::GoLive));
}

#[test]
fn whose_hold_out_promises_much_has_to_show_much() {
    // E = 1e6 in 180 days of hold-out promises as much in 180 days of shadow: half of its logarithm is 6.9.
    let holdout = Performance { days: 180, ..at_the_limit(80, 1.4) };
    let with = |shadow| ShadowEvidence {
        tested: Tested { holdout: Some(holdout.clone()), ..tested() },
        protocol: known(None, 1e6, shadow, 0.1),
        ..in_shadow(20, 10, 1.4)
    };
    let needed = 1e6_f64.powf(0.5);
    assert_eq!(seen(&of_shadow(&gate(), &with(needed * 0.99))), (Verdict::Hold, vec!["shadow.e_value".into()]));
    assert_eq!(seen(&of_shadow(&gate(), &with(needed * 1.01))).0, Verdict::Move(Transition::GoLive));
}

#[test]
fn an_alarm_of_the_detectors_demotes_and_then_disables() {
    let reading = |level| DetectorReading {
        detector: "cusum".into(),
        statistic: 30.0,
        control_limit: 20.0,
        false_alarm_rate: Some(0.04),
        level,
    };
    let live = |level, demotions| LiveEvidence {
        staying: Some(EdgeDecayVerdict { level, readings: vec![reading(level)] }),
        ..while_live(-0.02, None, demotions)
    };
    let demoted = (Verdict::Move(Transition::Demote), vec!["staying.cusum".to_owned()]);
    assert_eq!(seen(&of_live(&gate(), &live(EdgeDecayLevel::Alarm, 0))), demoted);
    let disable = Transition::Disable { from: State::Live, reason: DisableReason::Deactivated };
    let last = Thresholds::default().max_demotions;
    assert_eq!(seen(&of_live(&gate(), &live(EdgeDecayLevel::Alarm, last))).0, Verdict::Move(disable));
    assert_eq!(seen(&of_live(&gate(), &live(EdgeDecayLevel::Warning, 0))), (Verdict::Hold, vec![]));
    // A broken limit decides as it would without them.
    let fallen = LiveEvidence { staying: live(EdgeDecayLevel::Alarm, 0).staying, ..while_live(-0.9, None, 0) };
    assert_eq!(seen(&of_live(&gate(), &fallen)).0, Verdict::Move(disable));
}

#[test]
fn promotions_freeze_while_real_and_placebo_cannot_be_told_apart() {
    let with = |placebo| ShadowEvidence {
        protocol: known(None, 1e3, 1e3, 0.1),
        placebo: Some(placebo),
        ..in_shadow(14, 10, 1.4)
    };
    let frozen = with(PlaceboComparison::of(100, 3, 100, 3));
    assert_eq!(seen(&of_shadow(&gate(), &frozen)), (Verdict::Hold, vec!["placebo.p_value".into()]));
    let apart = with(PlaceboComparison::of(100, 50, 100, 3));
    assert_eq!(seen(&of_shadow(&gate(), &apart)).0, Verdict::Move(Transition::GoLive));
}
