//! Strategy files: JSON, TOML and text, and what their errors name.

use genome::{FileError, Strategy, StrategyFile};

const JSON: &str = r#"{"name": "cross", "timeframe": "15m",
 "long":  {"entry": "ema(48) crosses above ema(133) and rsi(22) < 71", "exit": "ema(48) crosses below ema(133)"},
 "short": {"entry": "close < bollinger_lower(20, 2)@1h", "exit": "rsi(14) > 50"},
 "risk":  {"size_fraction": 1.0, "stop_loss": "1.51%", "take_profit": "3 atr(14)"}}"#;

const TOML: &str = r#"
name = "cross"
timeframe = "15m"
[long]
entry = "EMA(48) crosses above ema(133) and RSI(22) < 71"
exit = "ema(48) crosses below ema(133)"
[short]
entry = "close < BB_lower@1h"
exit = "RSI > 50"
[risk]
size_fraction = 1
stop_loss = "1.51%"
take_profit = "3 atr"
"#;

const TEXT: &str = "15m; long when rsi(22) < 71 and ema(48) crosses above ema(133) exit when ema(48) crosses below ema(133); \
    short when close < bollinger_lower(20, 2)@1h exit when rsi(14) > 50; stop 1.51%; target 3 atr(14)";

#[test]
fn one_strategy_in_three_forms() {
    let json = StrategyFile::parse(JSON).unwrap();
    assert_eq!(json.name.as_deref(), Some("cross"));
    assert_eq!(json.strategy.to_string(), TEXT);
    assert_eq!(StrategyFile::parse(TOML).unwrap(), json);
    assert_eq!(StrategyFile::parse(TEXT).unwrap().strategy, json.strategy);
    assert_eq!(StrategyFile::parse(&format!("\u{feff}  \n{JSON}\n")).unwrap(), json);
}

#[test]
fn the_stored_form_has_its_version_and_every_field() {
    let text = "1h; long when close > open; stop 2%; target 4%; trail 1 atr(7); break-even 1%; time-exit 10; \
        partial 25% at 3%; recovery 1.5x up to 3; risk 1%; leverage 2; regime ranging; confidence 0.5";
    let strategy: Strategy = text.parse().unwrap();
    assert_eq!(
        serde_json::to_value(&strategy).unwrap(),
        serde_json::json!({
            "version": 1,
            "timeframe": "1h",
            "long": {"entry": "close > open"},
            "risk": {
                "size_risk": 0.01, "leverage": 2.0, "stop_loss": "2%", "take_profit": "4%",
                "trailing_stop": "1 atr(7)", "break_even": "1%", "time_exit_bars": 10,
                "partial_take_profit": {"at": "3%", "fraction": 0.25},
                "recovery": {"multiplier": 1.5, "max_steps": 3},
            },
            "filters": {"regime": "ranging", "min_confidence": 0.5},
        })
    );
    let file = StrategyFile { name: Some("x".into()), strategy };
    assert_eq!(StrategyFile::parse(&serde_json::to_string(&file).unwrap()).unwrap(), file);
}

/// The first line of the error.
fn error(text: &str) -> String {
    let error: FileError = StrategyFile::parse(text).expect_err(text);
    error.to_string().lines().next().unwrap_or_default().to_owned()
}

#[test]
fn errors_name_the_key() {
    let with = |rest: &str| error(&format!(r#"{{"timeframe": "15m", "long": {{"entry": "close > open"}}, {rest}}}"#));
    assert_eq!(
        with(r#""version": 2"#),
        "version: version 2 of the strategy form is not known; this program reads version 1 at line 1 column 69"
    );
    assert!(
        with(r#""risk": {"stop": "1%"}"#)
            .starts_with("risk.stop: unknown field `stop`, expected one of `size_fraction`")
    );
    assert!(
        with(r#""risk": {"stop_loss": "1.5"}"#)
            .starts_with("risk.stop_loss: column 4: found the end, expected `%` or `atr`")
    );
    assert_eq!(with(r#""risk": {"stop_loss": "95%"}"#), "risk.stop_loss: must be above 0% and at most 90%, not 95%");
    assert_eq!(with(r#""risk": {"size_risk": 0.01}"#), "risk.size_risk: sizing by risk needs a stop-loss");
    assert_eq!(
        with(r#""risk": {"size_risk": 0.01, "size_fraction": 1}"#),
        "risk.size_risk: give size_fraction or size_risk, not both"
    );
    assert_eq!(
        with(r#""risk": {"recovery": {"multiplier": 5, "max_steps": 3}}"#),
        "risk.recovery.multiplier: must be above 1 and at most 3, not 5"
    );
    assert_eq!(with(r#""filters": {"min_confidence": 2}"#), "filters.min_confidence: must be 0 to 1, not 2");
    assert!(with(r#""filters": {"regime": "wild"}"#).starts_with("filters.regime: unknown regime \"wild\""));
    assert!(
        error(r#"{"timeframe": "15m", "long": {"entry": "ris(14) < 30"}}"#)
            .starts_with("long.entry: column 1: found `ris`, expected")
    );
    assert!(
        error("timeframe = \"15m\"\n[long]\nentry = \"close > \"").starts_with("long.entry: column 9: found the end")
    );
    assert!(error("timeframe = \"15m\"\n[lnog]\nentry = \"close > 1\"").starts_with("lnog: unknown field `lnog`"));
    assert!(error(r#"{"timeframe": "15m"}"#).starts_with("long: a strategy needs a long or a short side"));
    assert!(error(r#"{"timeframe": "15m"} x"#).contains("trailing characters"));
    assert!(error("15m; long when ris < 3").starts_with("column 16: found `ris`"));
}
