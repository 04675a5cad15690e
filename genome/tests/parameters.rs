//! The numbers of a strategy by name: what they are called, what they may be, and what comes of changing them.

use genome::random::Seed;
use genome::variation::{Parameter, VariationConfig, parameters, random, with_parameters};
use genome::{Strategy, StrategyFile};
use std::collections::BTreeSet;

fn strategy(text: &str) -> Strategy {
    StrategyFile::parse(text).unwrap_or_else(|e| panic!("{e}")).strategy
}

fn full() -> Strategy {
    strategy(
        r#"{"timeframe": "15m",
            "long": {"entry": "rsi(14) < 30 and ema(10) crosses above ema(50)", "exit": "macd_histogram(12, 26, 9) < 0"},
            "risk": {"stop_loss": "2%", "take_profit": "3 atr(14)", "trailing_stop": "4%", "time_exit_bars": 48}}"#,
    )
}

fn named<'a>(all: &'a [Parameter], name: &str) -> &'a Parameter {
    let names: Vec<&str> = all.iter().map(|p| p.name.as_str()).collect();
    all.iter().find(|p| p.name == name).unwrap_or_else(|| panic!("{name} is none of {names:?}"))
}

#[test]
fn every_number_has_a_name_that_says_where_it_stands() {
    let all = parameters(&full());
    let names: Vec<&str> = all.iter().map(|p| p.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "entry.long.1.rsi.period",
            "entry.long.1.value",
            "entry.long.2.ema.period",
            "entry.long.2.right.ema.period",
            "exit.long.1.macd_histogram.fast",
            "exit.long.1.macd_histogram.slow",
            "exit.long.1.macd_histogram.signal",
            "exit.long.1.value",
            "risk.size_fraction",
            "risk.leverage",
            "risk.stop_loss",
            "risk.take_profit",
            "risk.take_profit.atr_period",
            "risk.trailing_stop",
            "risk.time_exit_bars",
        ]
    );
    let values: Vec<f64> = all.iter().map(|p| p.value).collect();
    assert_eq!(values, [14.0, 30.0, 10.0, 50.0, 12.0, 26.0, 9.0, 0.0, 1.0, 1.0, 2.0, 3.0, 14.0, 4.0, 48.0]);
}

#[test]
fn two_numbers_of_one_indicator_move_together() {
    let strategy = full();
    let all = parameters(&strategy);
    let (fast, slow) = (named(&all, "exit.long.1.macd_histogram.fast"), named(&all, "exit.long.1.macd_histogram.slow"));
    // One after the other would pass through fast 40 with slow 26, which is no indicator.
    let moved = with_parameters(&strategy, &[(fast, 40.0), (slow, 60.0)]).unwrap();
    assert!(moved.to_string().contains("macd_histogram(40, 60, 9)"), "{moved}");
    let error = with_parameters(&strategy, &[(fast, 40.0)]).unwrap_err().to_string();
    assert!(error.contains("fast") && error.contains("below slow"), "{error}");
}

#[test]
fn what_the_language_forbids_is_refused_with_its_bound() {
    let strategy = full();
    let all = parameters(&strategy);
    for (name, value, says) in [
        ("entry.long.1.rsi.period", 1.0, "at least 2"),
        ("entry.long.1.rsi.period", 14.5, "multiple of 1"),
        ("risk.stop_loss", 0.0, "above 0"),
        ("risk.stop_loss", 95.0, "at most 90"),
        ("risk.time_exit_bars", 0.0, "at least 1"),
        ("risk.leverage", f64::NAN, "finite"),
    ] {
        let error = with_parameters(&strategy, &[(named(&all, name), value)]).unwrap_err().to_string();
        assert!(error.contains(name) && error.contains(says), "{error}");
    }
}

#[test]
fn names_are_distinct_and_own_values_change_nothing() {
    let config = VariationConfig { recovery_probability: 0.2, max_leverage: 5.0, ..VariationConfig::default() };
    for i in 0..2000 {
        let strategy = random(&config, &mut Seed(3).stream("strategy", i));
        let all = parameters(&strategy);
        let names: BTreeSet<&str> = all.iter().map(|p| p.name.as_str()).collect();
        assert_eq!(names.len(), all.len(), "{strategy}");
        for p in &all {
            assert_eq!(p.check(p.value), Ok(()), "{strategy}");
        }
        let own: Vec<(&Parameter, f64)> = all.iter().map(|p| (p, p.value)).collect();
        assert_eq!(with_parameters(&strategy, &own).unwrap(), strategy);
    }
}

/// A value that was put in is read out again where it was put, as long as the order of the conditions stays.
#[test]
fn a_value_that_was_put_in_is_there() {
    let strategy = full();
    for parameter in parameters(&strategy) {
        let value = parameter.value + parameter.step;
        let moved = with_parameters(&strategy, &[(&parameter, value)]);
        // Twice the equity needs leverage.
        let Ok(moved) = moved else {
            assert_eq!(parameter.name, "risk.size_fraction");
            continue;
        };
        assert_eq!(named(&parameters(&moved), &parameter.name).value, value);
        assert_ne!(moved, strategy);
    }
}
