//! Rules over what is known beside a symbol's candles: readings of the market, and how it compares with other symbols.

use super::support::{START_MS, candles, symbol_window, window};
use candles::{Interval, MarketReadings, Readings};
use engine::{Engine, EvaluationError, Outcome, SymbolWindow, Terms, Wanted};
use genome::Strategy;
use std::{collections::BTreeMap, sync::Arc};

const MINUTES_MS: i64 = 60_000;
const ACROSS: &str = "15m; universe top 2 by quote_volume(30d); long when cs_rank(roc(1)) > 0.8 exit when \
    cs_rank(roc(1)) < 0.2";
const FUNDING: &str = "15m; long when funding > 0 exit when funding < 0";

fn strategy(text: &str) -> Strategy {
    text.parse().unwrap_or_else(|e| panic!("{e}"))
}

/// Twelve candles at 15m that stand at 100.
fn symbol() -> SymbolWindow {
    symbol_window("BTCUSDT", candles(Interval::M15, &[[100.0; 4]; 12]))
}

/// Values from so many minutes after the first open on.
fn known(pairs: &[(i64, f64)]) -> Readings {
    Readings::new(pairs.iter().map(|(minutes, value)| (START_MS + minutes * MINUTES_MS, *value))).unwrap()
}

fn with_ranks(ranks: &[(i64, f64)]) -> SymbolWindow {
    let series = strategy(ACROSS).across_series();
    assert_eq!(series.len(), 1);
    let rank = *series.first().unwrap();
    let across = Arc::new(BTreeMap::from([(rank, known(ranks))]));
    SymbolWindow { across, ..symbol() }
}

fn with_funding(rates: &[(i64, f64)]) -> SymbolWindow {
    let readings = MarketReadings { funding: known(rates), ..MarketReadings::default() };
    SymbolWindow { readings: Arc::new(readings), ..symbol() }
}

fn run(engine: &Engine, text: &str, symbol: SymbolWindow) -> Result<Outcome, EvaluationError> {
    let wanted = Wanted { ledger: true, ..Wanted::default() };
    engine.evaluate(&[strategy(text)], &window(vec![symbol]), &Terms::default(), wanted).remove(0)
}

/// Entry and exit of each trade, in minutes after the first open.
fn trades(engine: &Engine, text: &str, symbol: SymbolWindow) -> Vec<(i64, i64)> {
    let minutes = |time_ms: i64| (time_ms - START_MS) / MINUTES_MS;
    let trades = run(engine, text, symbol).unwrap().ledger.unwrap().trades;
    trades.iter().map(|t| (minutes(t.entry_time_ms), minutes(t.exit_time_ms))).collect()
}

#[test]
fn a_rank_is_seen_at_its_very_close_and_traded_at_the_next_open() {
    let engine = Engine::default();
    // Closes at 15, 30, 45 ...: the best at 30 and 45, no member at 60, the worst at 75.
    let ranks = [(15, 0.5), (30, 1.0), (45, 1.0), (75, 0.0)];
    assert_eq!(trades(&engine, ACROSS, with_ranks(&ranks)), [(30, 75)]);
    // Other members, other ranks: the same candles on the same engine.
    assert_eq!(trades(&engine, ACROSS, with_ranks(&[(15, 0.9), (30, 0.1)])), [(15, 30)]);
    // A value that is no close's is none.
    assert_eq!(trades(&engine, ACROSS, with_ranks(&[(29, 1.0), (31, 1.0)])), []);
}

#[test]
fn without_the_market_there_is_an_error_and_the_others_are_not_harmed() {
    let population = [strategy(ACROSS), strategy("15m; long when close > 0")];
    let outcomes =
        Engine::default().evaluate(&population, &window(vec![symbol()]), &Terms::default(), Wanted::default());
    let error = outcomes[0].as_ref().unwrap_err();
    assert!(matches!(error, EvaluationError::NoMarket(_)));
    assert_eq!(
        error.to_string(),
        "cs_rank(roc(1)) compares the symbol with the others of a universe, and this window has no values of it"
    );
    assert_eq!(outcomes[1].as_ref().unwrap().performance.total_trades, 1);
}

#[test]
fn funding_in_a_rule_is_what_was_known() {
    let engine = Engine::default();
    // Known at 20 and 70: seen at the closes at 30 and 75.
    assert_eq!(trades(&engine, FUNDING, with_funding(&[(20, 0.0001), (70, -0.0001)])), [(30, 75)]);
    // The second one comes late.
    assert_eq!(trades(&engine, FUNDING, with_funding(&[(20, 0.0001), (106, -0.0001)])), [(30, 120)]);
    // No readings, no value, no trade.
    assert_eq!(trades(&engine, FUNDING, symbol()), []);
    // The newest is from three days ago: it has stopped.
    assert_eq!(trades(&engine, FUNDING, with_funding(&[(-3 * 1440, 0.0001)])), []);
}

#[test]
fn readings_are_part_of_the_data_version_and_none_are_no_part() {
    let version = |symbol| window(vec![symbol]).data_version();
    let plain = version(symbol());
    let (one, other) = (version(with_funding(&[(20, 1.0)])), version(with_funding(&[(20, 2.0)])));
    assert!(plain != one && one != other);
    assert_ne!(version(with_ranks(&[(15, 1.0)])), plain);
    assert_eq!(version(with_funding(&[])), plain);
    assert_eq!(
        plain, "fcdd931fa08a02325b1c01befc842c6e33d492180207e9fac43e1dc0ada03e5d",
        "what was stored before there were readings is found again"
    );
}
