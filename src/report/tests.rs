//! The report as a reader has it: figures are there, nothing is fetched, nothing breaks out, nothing is too big.

use super::*;
use candles::time::DAY_MS;
use engine::{ExitReason, MonthlyReturn, Side};

/// 2024-01-01.
const T0: i64 = 1_704_067_200_000;

fn performance() -> Performance {
    Performance {
        total_return: Some(0.123_45),
        sharpe_ratio: Some(1.754),
        max_drawdown: Some(-0.0876),
        profit_factor: None,
        win_rate: Some(0.575),
        total_trades: 1_234,
        monthly_returns: vec![
            MonthlyReturn { month: "2024-01".parse().unwrap(), return_fraction: 0.1 },
            MonthlyReturn { month: "2024-02".parse().unwrap(), return_fraction: -0.05 },
        ],
        ..Performance::default()
    }
}

fn trade(i: i64) -> Trade {
    let price = 40_000.0 + (i % 977) as f64 * 13.37;
    Trade {
        symbol: "BTCUSDT".parse().unwrap(),
        side: if i % 2 == 0 { Side::Long } else { Side::Short },
        entry_time_ms: T0 + i * 3_600_000,
        entry_price: price,
        exit_time_ms: T0 + i * 3_600_000 + 2_700_000,
        exit_price: price * 1.01,
        quantity: 0.123_456,
        profit: (i % 11) as f64 * 7.77 - 30.0,
        return_fraction: (i % 11) as f64 * 0.001 - 0.004,
        fees: 1.0,
        slippage: 0.5,
        funding: 0.0,
        risk: None,
        exit_reason: ExitReason::TrailingStop,
        bars: 3,
    }
}

pub(crate) fn period(part: Part, from_day: i64, days: i64, trades: i64) -> Period {
    let equity =
        |day: i64| DailyEquity { time_ms: T0 + (from_day + day) * DAY_MS, equity: 10_000.0 + 25.0 * day as f64 };
    Period {
        part,
        from_ms: T0 + from_day * DAY_MS,
        to_ms: T0 + (from_day + days) * DAY_MS,
        performance: Some(performance()),
        daily_equity: (0..=days).map(equity).collect(),
        benchmark: (0..=days).map(|day| 10_000.0 * (1.0 + day as f64 / 100.0)).collect(),
        trades: (0..trades).map(trade).collect(),
        setup: Some(Setup {
            market: MarketKind::Spot,
            symbols: vec!["BTCUSDT".parse().unwrap()],
            interval: Interval::M15,
            costs: Costs::default(),
            initial_capital: 10_000.0,
            warmup_from_ms: T0 - 60 * DAY_MS,
            data_version: Some("feedface".to_owned()),
            code_version: "0.1.0".to_owned(),
        }),
        coverage: Vec::new(),
        note: None,
    }
}

fn report() -> StrategyReport {
    StrategyReport {
        evidence: None,
        simulated: false,
        name: "reversion-1a2b3c4d".to_owned(),
        id: Some("0190-id".to_owned()),
        genome_hash: "ab".repeat(32),
        state: Some(State::Live),
        disable_reason: None,
        rules: "long entry rsi(14) < 30".to_owned(),
        words: "Decides at the close of every 15m candle.\nBuys when RSI is low.".to_owned(),
        market: MarketKind::Spot,
        symbols: vec!["BTCUSDT".parse().unwrap(), "ETHUSDT".parse().unwrap()],
        timeframe: Interval::M15,
        created_by: "search".to_owned(),
        created_at_ms: T0,
        generation: 5,
        island: Some("main".to_owned()),
        session: None,
        ancestors: vec![Ancestor {
            depth: 1,
            name: "parent-77".to_owned(),
            genome_hash: "cd".repeat(32),
            generation: 4,
            state: State::Disabled,
        }],
        periods: vec![
            period(Part::Backtest, 0, 60, 40),
            period(Part::Holdout, 60, 30, 20),
            period(Part::Shadow, 90, 20, 9),
        ],
        moves: vec![Move {
            at_ms: T0 + 90 * DAY_MS,
            from: State::Candidate,
            to: State::Shadow,
            actor: "candidate gate".to_owned(),
            policy: Some("threshold/1".to_owned()),
            summary: "passed every requirement".to_owned(),
            checks: vec![Check {
                name: "holdout.profit_factor".to_owned(),
                needed: ">= 1.3".to_owned(),
                had: Some(1.4567),
                passed: true,
            }],
        }],
        quality: Vec::new(),
        proven: None,
        made_at_ms: T0 + 111 * DAY_MS,
        made_by: "0.1.0".to_owned(),
    }
}

#[test]
fn what_went_in_comes_out() {
    let html = render(&report(), TradeRows::All);
    for wanted in [
        "reversion-1a2b3c4d",
        "long entry rsi(14) &lt; 30",
        "Buys when RSI is low.",
        "12.35 %",
        "1.75",
        "-8.76 %",
        "57.50 %",
        "1,234",
        "–",
        "Hold-out profit factor",
        "&gt;= 1.3",
        "1.457",
        "passed every requirement",
        "parent-77",
        "feedface",
        "sg-ai reproduce 0190-id",
        "trailing stop",
        "All 69 trades",
        "2024-01-01",
        "prefers-color-scheme: dark",
    ] {
        assert!(html.contains(wanted), "{wanted} is missing");
    }
    // January of three periods: 1.1^3 - 1.
    assert!(html.contains(">33.1<"));
    // Each part is drawn as itself.
    // Equity and drawdown; three rolling figures where there are days enough for a line.
    for (part, lines) in [("line backtest", 5), ("line holdout", 2), ("line shadow", 2)] {
        assert_eq!(html.matches(&format!("class=\"{part}\"")).count(), lines, "{part}");
    }
    assert!(!html.contains("line live"));
}

#[test]
fn the_curve_goes_on_where_the_part_before_ended() {
    let chained = curve::chain(&report().periods);
    let ends: Vec<f64> = chained.iter().map(|s| s.gain.last().unwrap().1).collect();
    let expected = [1.15, 1.15 * 1.075, 1.15 * 1.075 * 1.05];
    for (end, expected) in ends.iter().zip(expected) {
        assert!((end - (expected - 1.0)).abs() < 1e-12, "{ends:?}");
    }
}

#[test]
fn nothing_is_fetched() {
    let html = render(&report(), TradeRows::All);
    for forbidden in ["http://", "https://", "src=", "href=", "@import", "url("] {
        assert!(!html.contains(forbidden), "{forbidden}");
    }
}

#[test]
fn hostile_names_stay_text() {
    let hostile = "</title><script>alert(1)</script>\"'&";
    let mut report = report();
    report.name = hostile.to_owned();
    report.rules = hostile.to_owned();
    report.words = hostile.to_owned();
    report.created_by = hostile.to_owned();
    report.ancestors[0].name = hostile.to_owned();
    report.moves[0].summary = hostile.to_owned();
    report.moves[0].checks[0].name = hostile.to_owned();
    report.periods[0].note = Some(hostile.to_owned());
    let html = render(&report, TradeRows::All);
    assert!(!html.contains("alert(1)</script>") && !html.contains("<script>alert"));
    assert_eq!(html.matches("</script>").count(), 1);
    assert!(!html.contains("</title><script>"));
}

#[test]
fn ten_thousand_trades_stay_below_two_megabytes() {
    let mut report = report();
    report.periods = vec![period(Part::Backtest, 0, 4_000, 9_000), period(Part::Live, 4_000, 1_000, 1_000)];
    let html = render(&report, TradeRows::All);
    assert!(html.len() < 2_000_000, "{} bytes", html.len());
    assert!(html.matches("<tr class=").count() == 10_000);
}

#[test]
fn a_strategy_without_a_past_has_a_page() {
    let mut report = report();
    report.periods.clear();
    report.moves.clear();
    report.ancestors.clear();
    let html = render(&report, TradeRows::All);
    assert!(html.contains("Nothing has been measured yet") && html.contains("Nothing has been decided yet"));
    assert!(!html.contains("<svg") && !html.contains("<script"));
}

#[test]
fn what_is_known_beyond_the_backtest_is_told_the_same_in_every_form() {
    let report = report();
    let proven: serde_json::Value =
        serde_json::from_str::<serde_json::Value>(&json(&report).unwrap()).unwrap()["proven"].take();
    let (html, markdown) = (render(&report, TradeRows::All), markdown(&report));
    // Hold-out and shadow, 50 days: the search chose by the backtest alone.
    assert_eq!((&proven["days"], &proven["unseen"], &proven["backtested"]), (&50.into(), &true.into(), &false.into()));
    let findings = proven["findings"].as_array().unwrap();
    assert_eq!(findings.len(), 12);
    for finding in findings {
        let sentence = finding["sentence"].as_str().unwrap();
        assert!(html.contains(sentence) && markdown.contains(sentence), "{sentence}");
    }
    assert!(html.contains("none of which the search saw") && html.contains("What days like these may lead to"));
    assert_eq!(proven["fan"]["gains"].as_array().unwrap().len(), 5);

    let mut in_sample = report;
    in_sample.periods.truncate(1);
    assert!(render(&in_sample, TradeRows::All).contains("where a search chose by them"));
}

#[test]
fn a_page_lists_the_trades_that_were_asked_for_and_has_the_market_beside_the_strategy() {
    let rows = |rows| {
        let html = render(&report(), rows);
        (html.matches("<tr class=g>").count() + html.matches("<tr class=l>").count(), html)
    };
    let (all, html) = rows(TradeRows::All);
    assert_eq!(all, 69);
    assert_eq!(html.matches("line benchmark").count(), 3, "each period has buy and hold");
    assert!(html.contains("buy and hold of its symbols"));
    let (some, html) = rows(TradeRows::Newest(10));
    assert!(some == 10 && html.contains("The newest 10 of 69 trades"), "{some}");
    let (none, html) = rows(TradeRows::None);
    assert!(none == 0 && html.contains("Distribution of trades"), "figures are of all of them");
    for (text, read) in [("all", Ok(TradeRows::All)), ("none", Ok(TradeRows::None)), ("25", Ok(TradeRows::Newest(25)))]
    {
        assert_eq!(text.parse::<TradeRows>(), read);
    }
    assert!("some".parse::<TradeRows>().is_err());
    // What nobody stored has neither an id nor a state, and no command that would look for it.
    let html = render(&StrategyReport { id: None, state: None, moves: Vec::new(), ..report() }, TradeRows::None);
    assert!(!html.contains("sg-ai reproduce") && !html.contains("Nothing has been decided"));
}
