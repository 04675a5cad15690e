//! Ranking strategies as text: what is read, how it is printed, what errors say.

use genome::{Expression, Ranking};

const REFERENCE: &str = "4h; universe top 30 by quote_volume(30d), listed 60d; score close / highest(high, 540); \
    rebalance 1d; weights linear, inverse volatility(180), smooth 5; gross 1";

fn ranking(text: &str) -> Ranking {
    text.parse().unwrap_or_else(|e| panic!("{text}\n{e}"))
}

#[test]
fn the_reference_strategy_is_its_own_canonical_text() {
    assert_eq!(ranking(REFERENCE).to_string(), REFERENCE);
    assert!(ranking(REFERENCE).is_canonical());
}

#[test]
fn clauses_come_in_any_order_and_parts_of_weights_as_clauses() {
    let lines = "
        # nearness to the high
        gross 100%
        smooth 5
        weights inverse-volatility(180), linear
        score close
            / highest(high,
                      540)
        universe top 30 by quote_volume(30d), listed 60d
        timeframe 4h
    ";
    assert_eq!(ranking(lines), ranking(REFERENCE));
    assert_eq!(ranking(lines).hash(), ranking(REFERENCE).hash());
    let whole = "1h; universe top 50 by quote_volume(7d); score -roc(24); rebalance 8h; \
        weights top 20%, bottom 12.5%, inverse volatility(48), cap 10%, beta neutral(720), smooth 3, band 0.5%; gross 2.5";
    assert_eq!(ranking(whole).to_string(), whole);
    let written = "weights top 0.2 bottom 12.5%; cap 0.1; rebalance every 8h; gross 2.5; band 0.005; 1h; \
        beta neutral(720); smooth 3; inverse volatility(48); score -rate_of_change(24)
        universe top 50 by quote_volume(7 days), listed 0d";
    assert_eq!(ranking(written).to_string(), whole);
    let long =
        "1d; universe top 10 by quote_volume(30d); score roc(7); rebalance 1w; weights top 30%, long only; gross 1";
    assert_eq!(ranking(long).to_string(), long);
    let long_clause = long.replace(", long only", ", equal; long-only");
    assert_eq!(ranking(&long_clause).to_string(), long);
}

/// The canonical text of an expression on 1h.
fn printed(text: &str) -> String {
    let expression: Expression = text.parse().unwrap_or_else(|e| panic!("{text}\n{e}"));
    expression.canonical(genome::Timeframe::H1).unwrap_or_else(|e| panic!("{text}: {e}")).to_string()
}

#[test]
fn expressions_are_read_and_printed() {
    for (written, canonical) in [
        ("close -5*atr", "close - atr(14) * 5"),
        ("rsi -5", "rsi(14) - 5"),
        ("rsi- -5", "rsi(14) + 5"),
        ("close-open", "close - open"),
        ("1 - 2", "-1"),
        ("-close", "-close"),
        ("2*-3", "-6"),
        ("--close", "close"),
        ("-(close-open)", "-(close - open)"),
        ("-close/open", "-(close / open)"),
        ("close/-open", "-(close / open)"),
        ("open + -close", "open - close"),
        ("-open + close", "close - open"),
        ("open + (high + low)", "high + low + open"),
        ("open - (high - low)", "open - (high - low)"),
        ("(open - high) - low", "open - high - low"),
        ("close / (open / high)", "close / (open / high)"),
        ("close / open / 2", "close / open / 2"),
        ("(close + open) * 2", "(close + open) * 2"),
        ("2 * 3 + close / open", "close / open + 6"),
        ("0.5 * (high + low)", "(high + low) * 0.5"),
        ("MAX(open, close)", "max(close, open)"),
        ("abs(-(close - open))", "abs(close - open)"),
        ("close - 0", "close - 0"),
        ("rank(close/lag(close,42)-1)", "cs_rank(close / delay(close, 42) - 1)"),
        ("ts_max(high, 10) - ts_min(low, 10)", "highest(high, 10) - lowest(low, 10)"),
        ("stddev(20) / close", "standard_deviation(20) / close"),
        ("stddev(volume * 2, 20)", "deviation(volume * 2, 20)"),
        ("ln(close) - log(delay(close, 1))", "log(close) - log(delay(close, 1))"),
        ("delta(log(close), 6)", "delta(log(close), 6)"),
        ("realized_volatility", "realized_volatility(24)"),
        ("realised_volatility(5000)", "realized_volatility(5000)"),
        ("beta(close, 180)", "beta(close, 180)"),
        ("correlation(close, volume, 48)", "correlation(close, volume, 48)"),
        ("zscore(decay_linear(close / open, 6))", "cs_zscore(decay(close / open, 6))"),
        ("close / ema(200)@4h-1", "close / ema(200)@4h - 1"),
        ("close / sma(20)@1h", "close / sma(20)"),
        ("relative(volume * close)", "relative(close * volume)"),
        ("1/3", "0.3333333333333333"),
        ("sign(close - open) * ts_rank(volume, 24)", "sign(close - open) * ts_rank(volume, 24)"),
    ] {
        assert_eq!(printed(written), canonical, "{written}");
        assert_eq!(printed(canonical), canonical, "{written}");
    }
}
