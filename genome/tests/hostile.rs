//! Whatever the bytes: an error or a value, soon, and never a panic.

use genome::{Rule, Strategy, StrategyFile};
use proptest::prelude::*;

const WORDS: [&str; 60] = [
    "15m",
    "4h",
    "1M",
    "long",
    "short",
    "when",
    "exit",
    "stop",
    "target",
    "trail",
    "break-even",
    "time-exit",
    "partial",
    "recovery",
    "size",
    "risk",
    "leverage",
    "regime",
    "confidence",
    "and",
    "or",
    "not",
    "(",
    ")",
    ",",
    "@",
    "%",
    "<",
    ">",
    "<=",
    ">=",
    "=",
    ";",
    "\n",
    "#",
    "crosses",
    "above",
    "below",
    "rsi",
    "ema",
    "macd",
    "close",
    "volume",
    "atr",
    "x",
    "up",
    "to",
    "at",
    "-",
    "1",
    "30",
    "0.5",
    "1e400",
    "-1e-400",
    "1.5x",
    "any",
    "é",
    "\u{202e}",
    "\0",
    "99999999999999999999",
];

fn read_all(text: &str) {
    if let Ok(rule) = text.parse::<Rule>() {
        assert_eq!(rule.to_string().parse::<Rule>().as_ref(), Ok(&rule), "{text:?}");
    }
    match text.parse::<Strategy>() {
        Ok(strategy) => assert_eq!(strategy.to_string().parse::<Strategy>(), Ok(strategy)),
        Err(error) => {
            assert!(error.line >= 1 && error.column >= 1);
            assert!(error.to_string().chars().count() < 1000, "{error}");
        }
    }
    let _ = StrategyFile::parse(text);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        read_all(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn any_words(words in proptest::collection::vec(proptest::sample::select(&WORDS[..]), 0..60), space in any::<bool>()) {
        read_all(&words.join(if space { " " } else { "" }));
    }

    #[test]
    fn a_strategy_with_one_change(at in 0_usize..200, with in proptest::sample::select(&WORDS[..]), drop in 0_usize..12) {
        let text = "15m; long when rsi(14) < 30 and (close crosses above ema(200)@4h or not obv > 0) exit when macd < 0; \
            short when close < bb_lower; stop 1.51%; target 3 atr(14); partial 50% at 2%; recovery 1.5x up to 3";
        let at = at.min(text.len());
        let end = (at + drop).min(text.len());
        read_all(&format!("{}{with}{}", &text[..at], &text[end..]));
    }

    #[test]
    fn a_file_with_raw_bytes_in_it(
        json: bool, edits in proptest::collection::vec((any::<usize>(), 0_usize..6, any::<Vec<u8>>()), 1..6),
    ) {
        const JSON: &str = r#"{"version": 1, "name": "x", "timeframe": "15m",
            "long": {"entry": "ema(48) crosses above ema(133) and rsi(22) < 71", "exit": "not close > sma(20)@4h"},
            "short": {"entry": "close < bollinger_lower(20, 2)@1h"},
            "risk": {"size_fraction": 0.5, "stop_loss": "1.51%", "take_profit": "3 atr(14)", "time_exit_bars": 48}}"#;
        const TOML: &str = "timeframe = \"1h\"\n[long]\nentry = \"rsi(14) < 30\"\n[risk]\nleverage = 2\n";
        let mut bytes = if json { JSON } else { TOML }.as_bytes().to_vec();
        for (at, drop, insert) in edits {
            let at = at % (bytes.len() + 1);
            let end = (at + drop).min(bytes.len());
            bytes.splice(at..end, insert.into_iter().take(8));
        }
        read_all(&String::from_utf8_lossy(&bytes));
    }
}

#[test]
fn large_and_deep_texts_end_soon() {
    for part in [
        "(",
        "not ",
        "close > 1 and ",
        "[",
        "{",
        "[[",
        "a=[",
        "{\"a\":",
        "\n",
        ";",
        "#",
        "-",
        "1",
        ",",
        "@",
        "é",
        "a.",
        "\"",
        "x = {y = ",
    ] {
        for text in [part.repeat(60_000 / part.len()), part.repeat(10_000_000 / part.len())] {
            assert!(text.parse::<Rule>().is_err());
            assert!(text.parse::<Strategy>().is_err());
            assert!(StrategyFile::parse(&text).is_err());
            assert!(StrategyFile::parse(&format!("15m; long when {text}")).is_err());
        }
    }
}
