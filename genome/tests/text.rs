//! The text form: what is read, how it is printed, and what errors say.

use genome::{ParseProblem, Rule, Strategy};

fn rule(text: &str) -> Rule {
    text.parse().unwrap_or_else(|e| panic!("{text}\n{e}"))
}

fn strategy(text: &str) -> Strategy {
    text.parse().unwrap_or_else(|e| panic!("{text}\n{e}"))
}

#[test]
fn rules_print_as_they_were_written() {
    for text in [
        "rsi(14) < 30 and close crosses above ema(200)@4h",
        "close > open",
        "(rsi(14) < 30 and close > open) or volume_zscore(48) > 2.5",
        "not (close > open or rsi(14) crosses below 70)",
        "not close crosses above sma(20)",
        "close >= bollinger_upper(20, 2)",
        "macd_histogram(12, 26, 9) crosses above 0 and (adx(14) > 25 or regime(14) > 0)",
        "close crosses below parabolic_sar(0.02, 0.2)@1d",
        "obv < -1000.5 and hour_of_day >= 7",
    ] {
        assert_eq!(rule(text).to_string(), text);
    }
}

#[test]
fn peoples_ways_of_writing_are_read() {
    for (written, printed) in [
        ("RSI < 30", "rsi(14) < 30"),
        ("30 > rsi(14)", "rsi(14) < 30"),
        ("0 crosses above MACD_histogram", "macd_histogram(12, 26, 9) crosses below 0"),
        ("close crosses over Resistance", "close crosses above swing_resistance(5)"),
        ("price crosses_above bb_upper( 20 )", "close crosses above bollinger_upper(20, 2)"),
        ("hlc3 <= support(3) @ 4h", "typical <= swing_support(3)@4h"),
        ("a_b < 1 or close>1", ""),
        ("close>open AND NOT close<.5", "close > open and close >= 0.5"),
        ("((close > 1e3))", "close > 1000"),
        ("close > open or close > 1 and rsi < 2", "close > open or (close > 1 and rsi(14) < 2)"),
        ("cci > -100 and\n  rsi < 50\nand obv > 0", "cci(20) > -100 and rsi(14) < 50 and obv > 0"),
    ] {
        match written.parse::<Rule>() {
            Ok(rule) => assert_eq!(rule.to_string(), printed),
            Err(error) => assert!(printed.is_empty(), "{error}"),
        }
    }
}

const WHOLE: &str = "15m; long when rsi(14) < 30 and ema(48) crosses above ema(133) exit when rsi(14) > 70; \
    short when close < ema(200)@4h; stop 1.51%; target 3 atr(14); trail 2%; break-even 1%; time-exit 96; \
    partial 50% at 2%; recovery 1.5x up to 3; risk 1%; leverage 3; regime trending; confidence 0.6";

#[test]
fn a_whole_strategy_round_trips_on_one_line() {
    assert_eq!(strategy(WHOLE).to_string(), WHOLE);
}

#[test]
fn lines_and_semicolons_are_the_same() {
    let lines = "
        # crosses, and a filter
        timeframe 15m
        leverage 3x          # clauses come in any order
        long when (
            rsi < 30
            and ema(48) crosses above ema(133)
        )
        exit when rsi > 70
        short when close < ema(200)@4h
        stop-loss 1.51%
        take-profit 3 atr; trailing-stop 2%; break-even 1%
        time-exit 96 candles
        partial 0.5 at 2%
        recovery 1.5 up to 3
        risk 1%
        regime Trending
        confidence 60%
    ";
    assert_eq!(strategy(lines), strategy(WHOLE));
    assert_eq!(strategy(lines).hash(), strategy(WHOLE).hash());
}

#[test]
fn percentages_are_exact() {
    for fraction in ["0.07", "0.29", "0.57", "0.001", "0.3333333333333333", "0.000000000001"] {
        let value: f64 = fraction.parse().unwrap();
        let json =
            format!(r#"{{"timeframe":"1h","long":{{"entry":"close > open"}},"risk":{{"size_fraction":{fraction}}}}}"#);
        let read = genome::StrategyFile::parse(&json).unwrap().strategy;
        let again = strategy(&read.to_string());
        assert_eq!(again.risk.size, genome::Size::Fraction(genome::Number::new(value).unwrap()), "{read}");
    }
    assert!(strategy("1h; long when close > open; size 7%").to_string().ends_with("; size 7%"));
}

/// What the error says in one line.
fn rule_error(text: &str) -> String {
    text.parse::<Rule>().expect_err(text).headline()
}

fn strategy_error(text: &str) -> String {
    text.parse::<Strategy>().expect_err(text).headline()
}

#[test]
fn errors_point_at_the_column_and_say_what_was_expected() {
    let error = "rsi(14) < 30 and close crosses abov ema(200)".parse::<Rule>().unwrap_err();
    assert_eq!((error.line, error.column), (1, 32));
    let ParseProblem::Unexpected { found, expected, .. } = &error.problem else { panic!("{error}") };
    assert_eq!(found, "`abov`");
    assert_eq!(expected, &["`above`", "`below`"]);
    assert_eq!(
        error.to_string(),
        "column 32: found `abov`, expected `above` or `below`\n  \
           rsi(14) < 30 and close crosses abov ema(200)\n                                 ^^^^"
    );
}

#[test]
fn error_texts() {
    let series = "a series, a number, `not` or `(`";
    let comparisons = "`<`, `>`, `<=`, `>=`, `crosses above` or `crosses below`";
    for (text, said) in [
        ("", format!("column 1: found the end, expected {series}")),
        ("ris(14) < 30", format!("column 1: found `ris`, expected {series}; did you mean `rsi`?")),
        (
            "close > bolinger_uper(20)",
            "column 9: found `bolinger_uper`, expected a series or a number; did you mean `bollinger_upper`?".into(),
        ),
        ("close = 3", format!("column 7: found `=`, expected {comparisons}")),
        ("close crosses", "column 14: found the end, expected `above` or `below`".into()),
        ("(close > open", "column 14: found the end, expected `and`, `or` or `)`".into()),
        ("close > open)", "column 13: found `)`, expected `and`, `or` or the end".into()),
        ("close > open && obv > 0", "column 14: found `&&`, expected `and`, `or` or the end".into()),
        ("rsi(14 < 30", "column 8: found `<`, expected `,` or `)`".into()),
        ("rsi(1) < 30", "column 1: period of rsi must be 2 to 200, not 1".into()),
        ("rsi(14.5) < 30", "column 1: period of rsi must be a multiple of 1, not 14.5".into()),
        ("macd(26, 12) > 0", "column 1: fast of macd must be below slow (26 is not below 12)".into()),
        ("rsi(14, 3) < 1", "column 1: rsi takes 1 parameters, not 2".into()),
        ("close > close", "column 1: a series is compared with itself".into()),
        ("1 < 2", "column 1: two numbers are compared; one side must be a series".into()),
        ("close > 1e13", "column 9: a number must be 0 or between 1e-12 and 1e12 in magnitude".into()),
        ("äöü > 3", format!("column 1: found `äöü`, expected {series}")),
    ] {
        assert_eq!(rule_error(text), said, "{text}");
    }
    for (text, said) in [
        (
            "15m; long when close > ema(20)@5m",
            "column 6: long.entry: ema(20)@5m is on a lower timeframe than the strategy's 15m; only higher ones can be used",
        ),
        (
            "8h; long when close > ema(20)@12h",
            "column 5: long.entry: ema(20)@12h: 12h candles are not made of whole 8h candles",
        ),
        (
            "15m; long when close > ema(20)@4H",
            "column 32: found `4H`, expected 1m, 3m, 5m, 15m, 30m, 1h, 2h, 4h, 6h, 8h, 12h, 1d, 3d, 1w or 1M; did you mean `4h`?",
        ),
        ("long when close > open", "column 23: found the end, expected a timeframe such as `15m`"),
        ("15m; stop 1%", "column 13: found the end, expected `long when ...` or `short when ...`"),
        (
            "15m; long when close > open; stop 95%",
            "column 30: risk.stop_loss: must be above 0% and at most 90%, not 95%",
        ),
        ("15m; long when close > open; stop 2", "column 36: found the end, expected `%` or `atr`"),
        ("15m; long when close > open; stop 2%; stop 3%", "column 39: risk.stop_loss is given twice"),
        ("15m; long when close > open; risk 1%", "column 30: risk.size_risk: sizing by risk needs a stop-loss"),
        ("15m; long when close > open; leverage 200", "column 30: risk.leverage: must be 1 to 125, not 200"),
        (
            "15m; long when close > open; size 150%",
            "column 30: risk.size_fraction: must be above 0 and at most the leverage (1), not 1.5",
        ),
        ("15m; exit when close > open", "column 6: `exit when` belongs after `long when` or `short when`"),
        (
            "15m; long when rsi < 30 and rsi > 70",
            "column 6: long.entry: `rsi(14) < 30` and `rsi(14) > 70` can never hold together",
        ),
        (
            "15m; long when close > open; regime trendin",
            "column 37: found `trendin`, expected any, trending, ranging or choppy; did you mean `trending`?",
        ),
        (
            "15m; long when close > open stop 1%",
            "column 29: found `stop`, expected `and`, `or`, `exit when`, `;` or the end",
        ),
    ] {
        assert_eq!(strategy_error(text), said, "{text}");
    }
    assert!(strategy_error("15m\nlong when close > open\nstpo 1%").starts_with("line 3, column 1: found `stpo`"));
    assert!(strategy_error("15m\nlong when close > open\nstpo 1%").ends_with("did you mean `stop`?"));
}

#[test]
fn rules_are_bounded() {
    let many = vec!["close > open"; 17].join(" and ");
    assert!(rule_error(&many).ends_with("a rule has at most 16 conditions"));
    let deep = format!("{}close > open{}", "(".repeat(5000), ")".repeat(5000));
    assert!(rule_error(&deep).contains("nest more than 32 deep"));
    assert!(rule_error(&"not ".repeat(20_000)).contains("at most 65536 are read"));
    assert!(rule_error(&"not ".repeat(16_000)).contains("nest more than 32 deep"));
    let layers = (1..=7).fold("close > 1".to_owned(), |inner, i| {
        format!("close > {} {} ({inner})", i + 1, if i % 2 == 0 { "and" } else { "or" })
    });
    assert!(strategy_error(&format!("1h; long when {layers}")).contains("levels deep; at most 6 are allowed"));
}
