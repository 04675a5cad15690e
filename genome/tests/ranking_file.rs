//! Ranking strategies in JSON and TOML, files of either kind, and what their errors name.

use genome::{AnyFile, AnyStrategy, Ranking, Strategy, StrategyFile};

const REFERENCE: &str = "4h; universe top 30 by quote_volume(30d), listed 60d; score close / highest(high, 540); \
    rebalance 1d; weights linear, inverse volatility(180), smooth 5; gross 1";
const JSON: &str = r#"{"version": 1, "name": "near the high", "timeframe": "4h",
    "universe": "top 30 by quote_volume(30d), listed 60d", "score": "close / highest(high, 540)",
    "rebalance": "1d", "weights": "linear, inverse volatility(180), smooth 5", "gross": 1.0}"#;
const TOML: &str = r#"
timeframe = "4h"
universe = "top 30 by quote_volume(30d), listed 60d"
score = "close/highest(high, 540)"
weights = "smooth 5, linear, inverse volatility(180)"
"#;

#[test]
fn one_ranking_strategy_in_three_forms() {
    let ranking: Ranking = REFERENCE.parse().unwrap();
    let file = AnyFile::parse(JSON).unwrap();
    assert_eq!(file.name.as_deref(), Some("near the high"));
    assert_eq!(file.strategy, AnyStrategy::Ranking(ranking.clone()));
    assert_eq!(AnyFile::parse(TOML).unwrap().strategy, file.strategy);
    assert_eq!(AnyFile::parse(REFERENCE).unwrap().strategy, file.strategy);
    assert_eq!(
        serde_json::to_value(&file).unwrap(),
        serde_json::from_str::<serde_json::Value>(JSON).unwrap(),
        "what is written is what was read"
    );
    let toml = toml::to_string(&file).unwrap();
    assert_eq!(AnyFile::parse(&toml).unwrap(), file, "{toml}");
    assert_eq!(toml::from_str::<AnyFile>(&toml).unwrap(), file);
    assert_eq!(serde_json::from_str::<AnyFile>(JSON).unwrap(), file);
    let bare = serde_json::to_string(&ranking).unwrap();
    assert_eq!(serde_json::from_str::<Ranking>(&bare).unwrap(), ranking);
    assert_eq!(serde_json::from_str::<AnyStrategy>(&bare).unwrap(), file.strategy);
    assert_eq!(serde_json::to_string(&file.strategy).unwrap(), bare);
}

#[test]
fn identity_is_the_digest_of_the_canonical_text() {
    // printf 'sg-ai strategy 1\n%s' "$REFERENCE" | sha256sum
    let ranking: Ranking = REFERENCE.parse().unwrap();
    assert_eq!(ranking.hash().to_string(), "88e0b2faac48a66a94657bc5c9c78ce8ebfacd0010232d1a9e4da16572cc4bd5");
    assert_eq!(AnyStrategy::Ranking(ranking.clone()).hash(), ranking.hash());
}

#[test]
fn files_of_rules_are_read_as_before() {
    let text = "15m; long when rsi(14) < 30; stop 2%";
    let strategy: Strategy = text.parse().unwrap();
    let file = AnyFile::parse(text).unwrap();
    assert_eq!(file.strategy, AnyStrategy::Rules(strategy.clone()));
    assert_eq!(file.strategy.hash(), strategy.hash());
    assert_eq!((file.strategy.to_string().as_str(), file.strategy.timeframe().name()), (text, "15m"));
    let json = serde_json::to_string(&StrategyFile { name: Some("x".into()), strategy: strategy.clone() }).unwrap();
    let read = AnyFile::parse(&json).unwrap();
    assert_eq!((read.name.as_deref(), &read.strategy), (Some("x"), &file.strategy));
    assert_eq!(serde_json::to_string(&read).unwrap(), json);
    assert_eq!(Strategy::try_from(read.strategy).unwrap(), strategy);
}

/// The first line of the error.
fn error(text: &str) -> String {
    let error = AnyFile::parse(text).expect_err(text).to_string();
    error.lines().next().unwrap_or_default().to_owned()
}

#[test]
fn errors_name_the_key_and_the_column() {
    let with = |from: &str, to: &str| error(&JSON.replace(from, to));
    assert!(with("close / highest", "close / higest").starts_with("score: column 9: found `higest`, expected"));
    assert_eq!(
        with("close / highest(high, 540)", "close - open"),
        "score: the score ranks coins by `close - open`, a price, which means something else for every coin; a ratio of \
         two prices is needed, such as `close / delay(close, 42)`"
    );
    assert!(with("top 30", "top 1").starts_with("universe: column 5: universe.top: must be 2 to 1000, not 1"));
    assert!(with("linear, ", "linaer, ").starts_with("weights: column 1: found `linaer`, expected `linear`"));
    assert_eq!(with("smooth 5", "smooth 500"), "weights.smooth: must be 1 to 365, not 500");
    assert_eq!(with("1.0}", "11}"), "gross: must be above 0 and at most 10 times equity, not 11");
    assert!(with("\"gross\"", "\"grass\"").starts_with("grass: unknown field `grass`, expected one of `version`"));
    assert!(with("\"version\": 1", "\"version\": 2").starts_with("version: version 2 of the strategy form"));
    assert_eq!(
        with("\"4h\"", "\"3d\""),
        "rebalance: 1d candles are not made of whole 3d candles, at whose closes scores are known"
    );
}

#[test]
fn each_kind_says_that_it_is_not_the_other() {
    let ranks = "a strategy with a score ranks the market; here one of rules is expected, with a long or a short side";
    assert_eq!(StrategyFile::parse(JSON).unwrap_err().to_string(), format!("score: {ranks}"));
    assert_eq!(StrategyFile::parse(TOML).unwrap_err().to_string(), format!("score: {ranks}"));
    let text = StrategyFile::parse(REFERENCE).unwrap_err().to_string();
    let place = REFERENCE.find("score").unwrap() + 1;
    assert!(text.starts_with(&format!("column {place}: a strategy with a `score` ranks the market; ")), "{text}");
    let other = Strategy::try_from(AnyFile::parse(JSON).unwrap().strategy).unwrap_err();
    assert_eq!(other.to_string(), format!("score: {ranks}"));
    let mixed = format!("{REFERENCE}; stop 1%");
    assert_eq!(
        error(&mixed),
        format!("column {}: `stop` belongs to a strategy of rules; one with a `score` has none", REFERENCE.len() + 3)
    );
    assert_eq!(
        error("4h; long when close > open; weights linear"),
        "column 29: `weights` belongs to a strategy that ranks the market by a `score`; one of rules has none"
    );
}
