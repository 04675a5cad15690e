//! Declarations against what is exposed.

use super::*;
use std::collections::BTreeSet;

#[test]
fn names_are_unique_prefixed_and_explained() {
    let names: BTreeSet<_> = ALL.iter().map(|metric| metric.name).collect();
    assert_eq!(names.len(), ALL.len());
    for metric in ALL {
        assert!(metric.name.starts_with("sg_ai_"), "{}", metric.name);
        assert!(metric.help.trim().ends_with('.'), "{}", metric.name);
        let counts = matches!(metric.kind, Kind::Counter | Kind::Untyped);
        assert_eq!(metric.name.ends_with("_total"), counts, "{}", metric.name);
        assert!(metric.kind != Kind::Histogram || metric.name.ends_with("_seconds"), "{}", metric.name);
    }
}

#[test]
fn measured_metrics_start_at_zero_and_have_their_help() {
    let text = measured().render();
    for line in [
        "sg_ai_backtests_total{form=\"ranking\"} 0",
        "sg_ai_deliveries_total{outcome=\"given_up\"} 0",
        "sg_ai_shadow_pass_seconds_count 0",
        "# HELP sg_ai_deliveries_total Attempts at delivering a notification, by outcome: delivered, retried, given_up.",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
    assert!(!text.contains("sg_ai_promotions_total"));
}

#[test]
fn mirrored_metrics_are_written_once_with_labels_escaped_and_without_undefined_values() {
    let mut text = Exposition::default();
    text.write(&STRATEGIES_TOTAL, [(["live"], 2.0), (["shadow"], 0.0)]);
    text.write(&SHADOW_PF, [([], f64::NAN)]);
    text.write(&BUILD_INFO, [(["a\"b\\c"], 1.0)]);
    let expected = "# HELP sg_ai_strategies_total Strategies in each state.\n\
                    # TYPE sg_ai_strategies_total untyped\n\
                    sg_ai_strategies_total{status=\"live\"} 2\n\
                    sg_ai_strategies_total{status=\"shadow\"} 0\n\
                    # HELP sg_ai_build_info Version of the running program; always 1.\n\
                    # TYPE sg_ai_build_info gauge\n\
                    sg_ai_build_info{version=\"a\\\"b\\\\c\"} 1\n";
    assert_eq!(text.finish(), expected);
}
