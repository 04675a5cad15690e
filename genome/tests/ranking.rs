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

/// What the error says in one line.
fn error(text: &str) -> String {
    text.parse::<Ranking>().expect_err(text).headline()
}

/// What the error says where the reference strategy has another score.
fn score_error(score: &str) -> String {
    let text = error(&format!("4h; score {score}; universe top 30 by quote_volume(30d); weights linear"));
    text.replace("a series, a number, a function, `-` or `(`", "VALUE").replace("`+`, `-`, `*`, `/`", "OPERATORS")
}

#[test]
fn errors_of_a_score() {
    for (score, said) in [
        ("", "column 11: found `;`, expected VALUE"),
        (
            "close",
            "column 5: score: the score ranks coins by `close`, a price, which means something else for every coin; a ratio of two prices is needed, such as `close / delay(close, 42)`",
        ),
        (
            "cs_rank(volume)",
            "column 11: cs_rank compares coins by `volume`, an amount of coins, which means something else for every coin; a ratio, or an amount of money, is needed, such as `volume / mean(volume, 42)` or `quote_volume`",
        ),
        (
            "close + volume",
            "column 11: `close` is a price and `volume` is an amount of coins; `+` needs two of one kind, such as two prices or two ratios",
        ),
        (
            "roc(7) + close",
            "column 11: `roc(7)` is a plain number and `close` is a price; `+` needs two of one kind, such as two prices or two ratios",
        ),
        (
            "cs_rank(log(close))",
            "column 11: cs_rank compares coins by `log(close)`, the logarithm of a price, which means something else for every coin; a difference of two such logarithms is needed, such as `log(close) - log(delay(close, 42))`",
        ),
        (
            "relative(close)",
            "column 11: relative compares coins by `close`, a price, which means something else for every coin; a ratio of two prices is needed, such as `close / delay(close, 42)`",
        ),
        (
            "close - 1",
            "column 11: `close` is a price and `1` is a plain number; `-` needs two of one kind, such as two prices or two ratios",
        ),
        (
            "log(close) + log(open)",
            "column 11: `log(close)` and `log(open)` are each the logarithm of a price; they can be subtracted from each other but not added",
        ),
        (
            "roc(7) * log(close)",
            "column 11: a product of `log(close)`, the logarithm of a price, depends on the unit; take the difference of two such logarithms first, such as `log(close) - log(delay(close, 42))`",
        ),
        (
            "abs(log(close))",
            "column 11: abs of `log(close)`, the logarithm of a price, depends on the unit; take the difference of two such logarithms first, such as `log(close) - log(delay(close, 42))`",
        ),
        ("log(0)", "column 11: log of 0 is undefined; what is above 0 has a logarithm"),
        ("log(-3) + roc(7)", "column 11: log of `-3` is undefined; what is above 0 has a logarithm"),
        ("close / 0", "column 11: `close` is divided by 0"),
        ("roc(7) / (1 - 1)", "column 5: score: `roc(7)` is divided by 0"),
        ("3", "column 5: score: the score `3` is a fixed number; it needs a series"),
        ("cs_rank(3)", "column 11: cs_rank needs a series, not the fixed number `3`"),
        ("mean(3, 5)", "column 11: mean needs a series, not the fixed number `3`"),
        ("roc(7) +", "column 19: found `;`, expected VALUE"),
        ("roc(7) roc(8)", "column 18: found `roc`, expected OPERATORS, `;` or the end"),
        ("(roc(7)", "column 18: found `;`, expected OPERATORS or `)`"),
        ("roc(7))", "column 17: found `)`, expected OPERATORS, `;` or the end"),
        ("mean(roc(7))", "column 22: found `)`, expected OPERATORS or `,`"),
        ("mean(roc(7), roc(8))", "column 24: found `roc`, expected the candles of mean, a whole number"),
        ("mean(roc(7), 0)", "column 11: the candles of mean must be 1 to 5000, not 0"),
        ("mean(roc(7), 5001)", "column 11: the candles of mean must be 1 to 5000, not 5001"),
        ("ts_rank(roc(7), 1)", "column 11: the candles of ts_rank must be 2 to 5000, not 1"),
        ("delay(close, -1) / close", "column 24: found `-`, expected the candles of delay, a whole number"),
        ("delay(close, 1.5) / close", "column 24: a whole number of candles or steps is expected"),
        ("meen(close, 5)", "column 11: found `meen`, expected VALUE; did you mean `mean`?"),
        ("highest + 1", "column 19: found `+`, expected `(`"),
        ("max(close)", "column 20: found `)`, expected OPERATORS or `,`"),
        ("abs(close, open)", "column 20: found `,`, expected OPERATORS or `)`"),
        ("rsi(1)", "column 11: period of rsi must be 2 to 200, not 1"),
        (
            "close / ema(20)@1h",
            "column 5: score: ema(20)@1h is on a lower timeframe than the strategy's 4h; only higher ones can be used",
        ),
        ("realized_volatility(5001)", "column 11: the candles of realized_volatility must be 1 to 5000, not 5001"),
        (
            "realized_volatility(24)@1d",
            "column 11: realized_volatility of a score is of the strategy's own candles; leave out `@` and what follows",
        ),
        ("close > open", "column 17: found `>`, expected OPERATORS, `;` or the end"),
        ("ts-rank(close, 5)", "column 11: found `ts`, expected VALUE"),
        ("close ** 2", "column 18: found `*`, expected VALUE"),
        (
            "close / open + obv",
            "column 11: `close / open` is a plain number and `obv` is an amount of coins; `+` needs two of one kind, such as two prices or two ratios",
        ),
        (
            "volume / close + 1",
            "column 11: `volume / close` is a quantity in money^-1 x coins^2 and `1` is a plain number; `+` needs two of one kind, such as two prices or two ratios",
        ),
    ] {
        assert_eq!(score_error(score), said, "{score}");
    }
}

#[test]
fn errors_of_clauses() {
    let with = |from: &str, to: &str| {
        assert!(REFERENCE.contains(from), "{from}");
        error(&REFERENCE.replace(from, to))
    };
    for (from, to, said) in [
        ("4h; ", "", "column 157: found the end, expected a timeframe such as `4h`"),
        (
            "universe top 30 by quote_volume(30d), listed 60d; ",
            "",
            "column 111: found the end, expected `universe top N by quote_volume(30d)`",
        ),
        ("score close / highest(high, 540); ", "", "column 127: found the end, expected `score` and an expression"),
        (
            "weights linear, inverse volatility(180), smooth 5; ",
            "",
            "column 110: found the end, expected `weights linear` or `weights top 10%, bottom 10%`",
        ),
        ("linear, ", "", "column 153: found the end, expected `weights linear` or `weights top 10%, bottom 10%`"),
        ("top 30", "top 1", "column 18: universe.top: must be 2 to 1000, not 1"),
        ("top 30", "top 1001", "column 18: universe.top: must be 2 to 1000, not 1001"),
        ("top 30", "top 2.5", "column 18: a whole number of candles or steps is expected"),
        ("30d", "30", "column 39: found `)`, expected `d`, for days"),
        ("30d", "0d", "column 37: universe.volume_days: must be 1 to 3650, not 0"),
        ("quote_volume", "volume", "column 24: found `volume`, expected `quote_volume(30d)`"),
        ("listed 60d", "listed 4000d", "column 50: universe.listed_days: must be 0 to 3650, not 4000"),
        (
            "rebalance 1d",
            "rebalance 6h",
            "column 89: rebalance: 6h candles are not made of whole 4h candles, at whose closes scores are known",
        ),
        (
            "rebalance 1d",
            "rebalance 1h",
            "column 89: rebalance: 1h candles are not made of whole 4h candles, at whose closes scores are known",
        ),
        (
            "rebalance 1d",
            "rebalance daily",
            "column 99: found `daily`, expected 1m, 3m, 5m, 15m, 30m, 1h, 2h, 4h, 6h, 8h, 12h, 1d, 3d, 1w or 1M",
        ),
        (
            "linear",
            "top 10%",
            "column 111: weights.top: `top` without `bottom` leaves the short leg empty; give `bottom` or `long only`",
        ),
        ("linear", "bottom 10%", "column 111: `bottom` needs `top` beside it"),
        (
            "linear",
            "top 10%, bottom 101%",
            "column 120: weights.bottom: must be above 0% and at most 100% of the members, not 101%",
        ),
        (
            "linear",
            "top 10, bottom 10%",
            "column 111: weights.top: must be above 0% and at most 100% of the members, not 1000%",
        ),
        ("linear", "linear, top 10%", "column 119: weights are either `linear` or `top` and `bottom`, not both"),
        ("linear", "linear, linear", "column 119: weights.linear is given twice"),
        ("linear", "linear, equal", "column 126: weights are either `equal` or by `inverse volatility`, not both"),
        (
            "linear",
            "linaer",
            "column 111: found `linaer`, expected `linear`, `top`, `bottom`, `equal`, `inverse volatility(k)`, `long only`, `cap`, `beta neutral(k)`, `smooth` or `band`; did you mean `linear`?",
        ),
        ("volatility(180)", "volatility(1)", "column 119: weights.inverse_volatility: must be 2 to 5000, not 1"),
        ("volatility(180)", "volatility", "column 137: found `,`, expected `(`"),
        ("smooth 5", "smooth 0", "column 144: weights.smooth: must be 1 to 365, not 0"),
        ("smooth 5", "cap 0", "column 144: weights.cap: must be above 0 and at most 10 of equity, not 0"),
        ("smooth 5", "band 200%", "column 144: weights.band: must be above 0 and at most 1 of equity, not 2"),
        ("smooth 5", "beta neutral(6000)", "column 144: weights.beta_neutral: must be 2 to 5000, not 6000"),
        ("gross 1", "gross 0", "column 154: gross: must be above 0 and at most 10 times equity, not 0"),
        ("gross 1", "gross 11", "column 154: gross: must be above 0 and at most 10 times equity, not 11"),
        (
            "gross 1",
            "gros 1",
            "column 154: found `gros`, expected a timeframe, `universe`, `score`, `rebalance`, `weights` or `gross`; did you mean `gross`?",
        ),
        ("gross 1", "gross 1; gross 2", "column 163: gross is given twice"),
        ("gross 1", "leverage 3", "column 154: `leverage` belongs to a strategy of rules; one with a `score` has none"),
        (
            "gross 1",
            "long when close > open",
            "column 154: `long` belongs to a strategy of rules; one with a `score` has none",
        ),
        ("; gross 1", " gross 1", "column 153: found `gross`, expected `,`, `;` or the end"),
    ] {
        assert_eq!(with(from, to), said, "{from} {to}");
    }
}

#[test]
fn expressions_are_bounded() {
    let many = ["roc(7)"; 300].join(" + ");
    assert!(score_error(&many).ends_with("the expression has more than 64 parts"), "{}", score_error(&many));
    let sums = ["(roc(7) + roc(8) + roc(9) + roc(10))"; 12].join(" + ");
    assert!(
        score_error(&sums).ends_with("score: the expression has 95 parts; at most 64 are allowed"),
        "{}",
        score_error(&sums)
    );
    let chain = ["roc(7)"; 17].join(" + ");
    assert!(score_error(&chain).ends_with("score: the expression is 17 levels deep; at most 16 are allowed"));
    let deep = format!("{}roc(7){}", "(".repeat(5000), ")".repeat(5000));
    assert!(score_error(&deep).ends_with("parentheses, functions and signs nest more than 32 deep"));
    assert!(score_error(&"-".repeat(5000)).ends_with("parentheses, functions and signs nest more than 32 deep"));
}

#[test]
fn ranking_strategies_in_words() {
    let words = |text: &str| ranking(text).to_string().parse::<genome::AnyStrategy>().unwrap().describe();
    assert_eq!(
        words(REFERENCE),
        "Decides at the close of every 1d candle, on candles of 4h.\n\
         Looks at the 30 instruments with the greatest quote volume of the last 30 days among those listed for at least \
         60 days.\n\
         Ranks them by close / highest(high, 540), the greatest first.\n\
         Buys the better half and sells the worse half short, more of what is farther from the middle, each in inverse \
         proportion to its realised volatility over 180 returns. The weights add up to 1 times equity, half of it long \
         and half short.\n\
         Holds the mean of the weights of the last 5 decisions."
    );
    assert_eq!(
        words(
            "1d; universe top 10 by quote_volume(1d); score roc(7); weights top 30%, bottom 10%, long only, cap 10%, \
            band 0.5%, beta neutral(90); gross 0.5"
        ),
        "Decides at the close of every 1d candle.\n\
         Looks at the 10 instruments with the greatest quote volume of the last day.\n\
         Ranks them by roc(7), the greatest first.\n\
         Buys the best 30% that are not among the worst 10%, each with the same weight. The weights add up to 0.5 times \
         equity, all long. No weight is above 10% of equity. The exposure to the mean return of the members, over 90 \
         returns, is taken off.\n\
         Leaves alone what is nearer to its weight than 0.5% of equity."
    );
}

#[test]
fn series_beside_the_candles_have_units() {
    for (text, unit) in [
        ("quote_volume", "an amount of money"),
        ("quote_volume / volume", "a price"),
        ("amihud * quote_volume", "a plain number"),
        ("open_interest * close / open_interest_value", "a plain number"),
        ("funding_sum(30) + premium", "a plain number"),
        ("trades * taker_buy_ratio", "a plain number"),
        ("long_short_ratio / top_long_short_ratio - taker_long_short_ratio", "a plain number"),
    ] {
        assert_eq!(text.parse::<Expression>().unwrap().unit().unwrap().to_string(), unit, "{text}");
    }
    assert!(score_error("open_interest").contains("`open_interest`, an amount of coins, which means something else"));
    assert_eq!(score_error("funding_mean(0)"), "column 11: days of funding_mean must be 1 to 365, not 0");
    assert_eq!(printed("-funding_mean@4h"), "-funding_mean(7)@4h");
}
