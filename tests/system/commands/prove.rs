//! `sg-ai prove`.

use super::support::{Sandbox, market};

const CROSS: &str = r#"{"name": "cross", "timeframe": "15m",
    "long": {"entry": "ema(5) crosses above ema(30)", "exit": "ema(5) crosses below ema(30)"},
    "risk": {"stop_loss": "2%"}}"#;

const ARGS: [&str; 15] = [
    "prove",
    "--strategy",
    "cross.json",
    "--symbols",
    "BTCUSDT",
    "--elsewhere",
    "ETHUSDT",
    "--from",
    "2024-01-10",
    "--to",
    "2024-01-30",
    "--paths",
    "200",
    "--noise-draws",
    "3",
];

#[test]
fn every_question_has_a_sentence_and_its_figures() {
    let sandbox = Sandbox::with_candles(&market(1, None), 30);
    sandbox.write("cross.json", CROSS);
    let told = sandbox.json(&[&ARGS[..], &["--trials", "5000", "--json"]].concat());
    let findings = told["findings"].as_array().unwrap();
    let of = |finding: &str, figure: &str| {
        let finding = findings.iter().find(|f| f["name"] == finding).unwrap();
        finding["figures"].as_array().unwrap().iter().find(|f| f["name"] == figure).unwrap()["value"].as_f64()
    };
    assert_eq!((findings.len(), told["days"].as_u64()), (12, Some(20)));
    assert!(findings.iter().all(|f| f["sentence"].as_str().unwrap().ends_with('.')));
    assert_eq!(of("walk_forward_rolling", "folds"), Some(0.0), "20 days are too few for a fold of 240");
    assert_eq!((of("noise_on_candles", "runs"), of("sharpe_ratio", "trials")), (Some(3.0), Some(5000.0)));
    assert!(of("parameter_neighbourhood", "runs").unwrap() >= 4.0);
    assert!(of("cost_stress", "fee_x3_return_fraction") < of("cost_stress", "fee_x2_return_fraction"));
    assert!(of("other_symbols", "ETHUSDT_return_fraction").is_some());
    assert!(of("monte_carlo_bootstrap", "ruin_probability").is_some_and(|p| (0.0..=1.0).contains(&p)));
    assert_eq!(told, sandbox.json(&[&ARGS[..], &["--trials", "5000", "--json"]].concat()), "the same each time");

    let text = sandbox.stdout(&ARGS);
    assert!(text.contains("walk forward rolling") && text.contains("how many were tried is not known"), "{text}");
}
