//! Rules that compare an instrument with the other members of a universe.

use genome::variation::{VariationConfig, crossover, mutate, neighbours, random};
use genome::{AnyFile, AnyStrategy, Rule, Strategy, StrategyFile, describe, random::Seed};

const TEXT: &str = "4h; universe top 30 by quote_volume(30d), listed 60d; long when beta(close, 180) < 1 and \
    cs_rank(rsi(14)) > 0.8 exit when relative(natr(14)) < cs_zscore(roc(10)) or cs_demean(roc(42)) crosses below 0; stop 5%";

fn strategy(text: &str) -> Strategy {
    text.parse().unwrap_or_else(|e| panic!("{text}\n{e}"))
}

#[test]
fn a_strategy_with_a_universe_round_trips_in_every_form() {
    let strategy = strategy(TEXT);
    assert_eq!(strategy.to_string(), TEXT);
    assert!(strategy.is_canonical() && strategy.looks_across());
    let across: Vec<String> = strategy.across_series().iter().map(|s| s.expression().to_string()).collect();
    assert_eq!(
        across,
        ["beta(close, 180)", "cs_rank(rsi(14))", "relative(natr(14))", "cs_zscore(roc(10))", "cs_demean(roc(42))"]
    );
    let json = serde_json::to_value(&strategy).unwrap();
    assert_eq!(json["universe"], "top 30 by quote_volume(30d), listed 60d");
    assert_eq!(StrategyFile::parse(&json.to_string()).unwrap().strategy, strategy);
    assert_eq!(AnyFile::parse(&json.to_string()).unwrap().strategy, AnyStrategy::Rules(strategy.clone()));
    let toml = toml::to_string(&strategy).unwrap();
    assert_eq!(StrategyFile::parse(&toml).unwrap().strategy, strategy, "{toml}");
    assert_eq!(TEXT.parse::<AnyStrategy>().unwrap(), AnyStrategy::Rules(strategy));
}

#[test]
fn the_universe_is_part_of_the_identity() {
    let other = strategy(&TEXT.replace("top 30", "top 29"));
    assert_ne!(other.hash(), strategy(TEXT).hash());
    let written = "4h\nlong when beta( price ,180) < 1 and 0.8 < RANK(RSI)\nuniverse top 30 by quote_volume(30d)";
    let printed = "4h; universe top 30 by quote_volume(30d); long when beta(close, 180) < 1 and cs_rank(rsi(14)) > 0.8";
    assert_eq!(strategy(written).to_string(), printed);
}

#[test]
fn strategies_without_a_universe_are_what_they_were() {
    // printf 'sg-ai strategy 1\n%s' "$TEXT" | sha256sum
    let text =
        "15m; long when close > ema(200)@4h and rsi(14) < 30 exit when rsi(14) > 70; stop 1.51%; target 3 atr(14)";
    let strategy = strategy(text);
    assert_eq!(strategy.to_string(), text);
    assert_eq!(strategy.hash().to_string(), "fb8de961a8431450983c7ec6bd6a516738245e62855320054c229cb56d1a2b4e");
    assert!(!serde_json::to_string(&strategy).unwrap().contains("universe"));
}

/// What the error says in one line.
fn error(text: &str) -> String {
    text.parse::<Strategy>().expect_err(text).headline()
}

#[test]
fn errors_say_what_is_compared_with_what() {
    let rule = |rule: &str| error(&format!("4h; universe top 30 by quote_volume(30d); long when {rule}"));
    for (text, said) in [
        (
            "cs_rank(close) > 0.8",
            "column 53: cs_rank compares coins by `close`, a price, which means something else for every coin; a ratio of two \
             prices is needed, such as `close / delay(close, 42)`",
        ),
        (
            "cs_zscore(volume) > 2",
            "column 53: cs_zscore compares coins by `volume`, an amount of coins, which means something else for every coin; \
             a ratio, or an amount of money, is needed, such as `volume / mean(volume, 42)` or `quote_volume`",
        ),
        (
            "cs_rank(rsi(14)@1d) > 0.8",
            "column 53: cs_rank(rsi(14))@1d: what is compared across the market is of the strategy's own candles",
        ),
        (
            "cs_rank(rsi(14))@1d > 0.8",
            "column 69: cs_rank is of the strategy's own candles; leave out `@` and what follows",
        ),
        (
            "cs_rank(relative(roc(10))) > 0.8",
            "column 61: what is compared across the market is a series, not itself such a comparison",
        ),
        ("cs_rank(0.5) > 0.8", "column 61: found `0.5`, expected a series"),
        ("cs_rank(rsi(14) > 0.8", "column 69: found `>`, expected `)`"),
        ("beta(close) < 1", "column 63: found `)`, expected `,` and the candles of beta"),
        ("beta(close, 1) < 1", "column 53: the candles of beta must be 2 to 5000, not 1"),
        (
            "cs_rnk(rsi(14)) > 0.8",
            "column 53: found `cs_rnk`, expected a series, a number, `not` or `(`; did you mean `cs_rank`?",
        ),
        ("cs_rank(rsi(14)) > cs_rank(rsi(14))", "column 53: a series is compared with itself"),
        ("close > open", "column 5: universe: no condition looks at the universe; leave it out or use `cs_rank(...)`"),
    ] {
        assert_eq!(rule(text), said, "{text}");
    }
    assert_eq!(
        error("4h; long when cs_rank(rsi(14)) > 0.8"),
        "column 1: universe: cs_rank(rsi(14)) compares with other instruments; say which, such as `universe top 30 by \
         quote_volume(30d), listed 60d`"
    );
    assert!(error("4h; universe top 1 by quote_volume(30d)").starts_with("column 18: universe.top: must be 2 to 1000"));
    let json = r#"{"timeframe": "4h", "universe": "top 30", "long": {"entry": "cs_rank(rsi) > 0.5"}}"#;
    let said = StrategyFile::parse(json).unwrap_err().to_string();
    assert!(said.starts_with("universe: column 7: found the end, expected `by quote_volume(30d)`"), "{said}");
    assert!("cs_rank(".repeat(7000).parse::<Rule>().is_err(), "nested without end");
}

#[test]
fn in_words() {
    assert_eq!(
        describe(&strategy(
            "4h; universe top 30 by quote_volume(30d); long when cs_rank(rsi(14)) > 0.8 and beta(close, 180) < 1"
        )),
        "Decides at the close of every 4h candle.\n\
         The universe is the 30 instruments with the greatest quote volume of the last 30 days.\n\
         Buys at the next open when the beta of the close on the universe over 180 changes is below 1, and the rank among \
         the universe (0 to 1) of the RSI (14) is above 0.8.\n\
         Uses 100% of its capital a trade. Has no stop."
    );
}

#[test]
fn variation_keeps_such_strategies_valid_and_makes_none_of_its_own() {
    let config = VariationConfig::default();
    let mut rng = Seed(8).stream("across", 0);
    let own = strategy(TEXT);
    for _ in 0..500 {
        let other = random(&config, &mut rng);
        assert!(!other.looks_across() && other.universe.is_none());
        for varied in [
            mutate(&own, &config, &mut rng),
            crossover(&own, &other, &config, &mut rng),
            crossover(&other, &own, &config, &mut rng),
        ] {
            assert!(varied.is_canonical(), "{varied}");
            assert_eq!(varied.universe.is_some(), varied.looks_across(), "{varied}");
        }
    }
    for near in neighbours(&own, 0.1) {
        assert!(near.is_canonical() && near.universe == own.universe, "{near}");
    }
    let rule: Rule = "cs_rank(rsi(14)) > 0.8 and cs_demean(roc(10)) < 1 and relative(natr(14)) > 1".parse().unwrap();
    let mirrored = rule.mirrored();
    assert_eq!(
        mirrored.to_string(),
        "cs_rank(rsi(14)) < 0.19999999999999996 and cs_demean(roc(10)) > -1 and relative(natr(14)) > 1"
    );
}
