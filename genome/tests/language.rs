//! The language's document is true: its examples are read, its table of series is the real one.

use genome::{AnyFile, Expression, IndicatorKind, Ranking, Rule, Strategy, StrategyFile, Timeframe, describe};

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
    for text in blocks("ranking") {
        text.parse::<Ranking>().unwrap_or_else(|e| panic!("{text}\n{e}"));
    }
    for text in blocks("expression").into_iter().flat_map(str::lines) {
        let read = text.parse::<Expression>().unwrap_or_else(|e| panic!("{text}\n{e}"));
        read.canonical(Timeframe::H4).unwrap_or_else(|e| panic!("{text}\n{e}"));
    }
    for text in blocks("ranking-json").into_iter().chain(blocks("ranking-toml")) {
        AnyFile::parse(text).unwrap_or_else(|e| panic!("{text}\n{e}"));
    }
}

#[test]
fn the_first_ranking_example_is_its_own_canonical_text() {
    let text = blocks("ranking")[0];
    assert_eq!(text.parse::<Ranking>().unwrap().to_string(), text);
}

#[test]
fn every_function_and_every_other_name_of_the_table_is_read() {
    let table = DOCUMENT.split_once("| function | also | value | unit |").unwrap().1.split_once("\n\n").unwrap().0;
    let mut names = 0;
    for row in table.lines().skip(2) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let quoted = |cell: &'static str| cell.split('`').skip(1).step_by(2).collect::<Vec<_>>();
        let functions = quoted(cells[1]);
        for (i, call) in functions.iter().enumerate() {
            let (name, args) = call.split_once('(').unwrap();
            let args = args.replace('x', "rsi(14)").replace('y', "roc(7)").replace('n', "48");
            let canonical: Expression = format!("{name}({args}").parse().unwrap_or_else(|e| panic!("{row}\n{e}"));
            assert_eq!(canonical.to_string(), format!("{name}({args}"));
            let others = quoted(cells[2]);
            let own = if functions.len() > 1 && !others.is_empty() { &others[i..=i] } else { &others[..] };
            for other in own {
                assert_eq!(format!("{other}({args}").parse::<Expression>().as_ref(), Ok(&canonical), "{other}");
                names += 1;
            }
        }
    }
    assert_eq!(names, 26, "every name in the code is in the table");
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
