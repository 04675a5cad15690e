//! The language's document is true: its examples are read, its table of series is the real one.

use genome::{IndicatorKind, Rule, Strategy, StrategyFile, describe};

const DOCUMENT: &str = include_str!("../../docs/LANGUAGE.md");

/// Contents of the code blocks of one kind.
fn blocks(kind: &str) -> Vec<&'static str> {
    let parts = DOCUMENT.split("\n```");
    let found: Vec<_> = parts.filter_map(|p| p.strip_prefix(kind)?.strip_prefix('\n')).collect();
    assert!(!found.is_empty(), "{kind}");
    found
}

#[test]
fn examples_are_read() {
    for text in blocks("strategy") {
        text.parse::<Strategy>().unwrap_or_else(|e| panic!("{text}\n{e}"));
    }
    for text in blocks("rule").into_iter().flat_map(str::lines) {
        text.parse::<Rule>().unwrap_or_else(|e| panic!("{text}\n{e}"));
    }
    for text in blocks("json").into_iter().chain(blocks("toml")) {
        StrategyFile::parse(text).unwrap_or_else(|e| panic!("{text}\n{e}"));
    }
}

#[test]
fn every_series_is_in_the_table() {
    for spec in IndicatorKind::all() {
        let params: Vec<String> =
            spec.params.iter().map(|p| format!("{} {} ({} to {})", p.name, p.default, p.min, p.max)).collect();
        let aliases: Vec<String> = spec.aliases.iter().map(|a| format!("`{a}`")).collect();
        let row = format!("| `{}` | {} | {} | {} |", spec.name, params.join(", "), aliases.join(", "), spec.doc);
        assert!(DOCUMENT.contains(&row), "docs/LANGUAGE.md lacks\n{row}");
        assert!(genome::Indicator::new(spec.kind, &[]).is_ok(), "{} has customary parameters out of bounds", spec.name);
        for name in std::iter::once(&spec.name).chain(spec.aliases) {
            assert_eq!(IndicatorKind::named(name), Some(spec.kind), "{name} is not unique");
        }
    }
}

#[test]
fn strategies_in_words() {
    let strategy: Strategy =
        "15m; long when rsi(14) <= 30 and close crosses above ema(200)@4h exit when rsi(14) > 70; \
        stop 1.51%; target 3 atr(14); time-exit 96; risk 1%; leverage 3; regime trending"
            .parse()
            .unwrap();
    assert_eq!(
        describe(&strategy),
        "Decides at the close of every 15m candle.\n\
         Buys at the next open when the RSI (14) is at or below 30, and the close crosses above the EMA (200) of the \
         last closed 4h candle. Leaves when the RSI (14) is above 70.\n\
         Risks 1% of its capital a trade, with leverage up to 3. Stops 1.51% away and takes profit at 3 ATR(14). \
         Leaves after 96 candles.\n\
         Enters only while the market is trending."
    );
}
