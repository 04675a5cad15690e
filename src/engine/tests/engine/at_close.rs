//! Fills at the close of the candle at which a rule held, by hand.

use crate::{
    execution::{FREE, flat, long_at_100},
    support::{START_MS, candles, close_is, percent, symbol_window, window},
};
use candles::time::HOUR_MS;
use engine::{Costs, Engine, ExitReason, FillOn, Outcome, Side, Slippage, Terms, Wanted};
use genome::{
    Comparison::{Above, Below},
    SideRules, Strategy, Timeframe,
};

fn outcome(strategy: &Strategy, prices: &[[f64; 4]], costs: &Costs, fill_on: FillOn) -> Outcome {
    let terms = Terms { initial_capital: 1000.0, costs: *costs, fill_on };
    let window = window(vec![symbol_window("BTCUSDT", candles(Timeframe::H1, prices))]);
    let wanted = Wanted { ledger: true, ..Wanted::default() };
    Engine::default().evaluate(std::slice::from_ref(strategy), &window, &terms, wanted).remove(0).unwrap()
}

/// Side, candles of entry and exit as hours, prices, reason, bars.
fn told(strategy: &Strategy, prices: &[[f64; 4]]) -> Vec<(Side, i64, f64, i64, f64, ExitReason, u32)> {
    let outcome = outcome(strategy, prices, &FREE, FillOn::Close);
    let hour = |ms: i64| (ms - START_MS).div_euclid(HOUR_MS);
    let told = |t: &engine::Trade| {
        (t.side, hour(t.entry_time_ms), t.entry_price, hour(t.exit_time_ms), t.exit_price, t.exit_reason, t.bars)
    };
    outcome.ledger.unwrap().trades.iter().map(told).collect()
}

/// Long at a close of 100, out at one below 90; short at one of 80, out at one of 100.
fn both_sides() -> Strategy {
    let mut strategy = long_at_100();
    strategy.long = strategy.long.map(|side| SideRules { exit: Some(close_is(Below, 90.0)), ..side });
    strategy.short = Some(SideRules { entry: close_is(Below, 85.0), exit: Some(close_is(Above, 99.0)) });
    strategy
}

#[test]
fn a_rule_fills_at_its_own_close() {
    let prices = [flat(120.0), [120.0, 120.0, 99.0, 100.0], [105.0, 112.0, 101.0, 110.0], [100.0, 101.0, 85.0, 88.0]];
    let trades = told(&both_sides(), &[&prices[..], &[flat(95.0)]].concat());
    assert_eq!(trades, [(Side::Long, 1, 100.0, 3, 88.0, ExitReason::Rule, 2)]);
    // At the next open the same rules come to something else.
    let next = outcome(&both_sides(), &prices, &FREE, FillOn::NextOpen);
    assert_eq!(next.ledger.unwrap().trades[0].entry_price, 105.0);
}

#[test]
fn the_first_candle_of_a_window_can_be_traded_and_the_last_one_not() {
    let trades = told(&both_sides(), &[flat(100.0), flat(110.0), flat(95.0), flat(100.0)]);
    // What holds at the last close finds no candle after it; it is no second trade.
    assert_eq!(trades, [(Side::Long, 0, 100.0, 3, 100.0, ExitReason::EndOfWindow, 3)]);
    assert!(told(&both_sides(), &[flat(110.0), flat(100.0)]).is_empty());
    let run = outcome(&both_sides(), &[flat(100.0), flat(110.0), flat(121.0)], &FREE, FillOn::Close);
    assert!((run.performance.total_return.unwrap() - 0.21).abs() < 1e-12);
}

#[test]
fn an_exit_makes_room_for_the_other_side_at_the_same_close() {
    let trades = told(&both_sides(), &[flat(100.0), flat(80.0), flat(70.0), flat(100.0), flat(100.0)]);
    let expected = [
        (Side::Long, 0, 100.0, 1, 80.0, ExitReason::Rule, 1),
        (Side::Short, 1, 80.0, 3, 100.0, ExitReason::Rule, 2),
        (Side::Long, 3, 100.0, 4, 100.0, ExitReason::EndOfWindow, 1),
    ];
    assert_eq!(trades, expected);
}

#[test]
fn the_candle_of_the_entry_tests_no_level_and_the_next_one_does() {
    let mut strategy = long_at_100();
    strategy.risk.stop_loss = percent(5.0);
    // The candle's low was seen before anything was held.
    let trades = told(&strategy, &[[110.0, 110.0, 50.0, 100.0], [98.0, 99.0, 94.0, 97.0], flat(97.0)]);
    assert_eq!(trades, [(Side::Long, 0, 100.0, 1, 95.0, ExitReason::StopLoss, 1)]);
    // One that opens past the level fills at its open, at once.
    let trades = told(&strategy, &[flat(100.0), flat(90.0), flat(91.0)]);
    assert_eq!(trades, [(Side::Long, 0, 100.0, 1, 90.0, ExitReason::StopLoss, 0)]);
    // After a stop inside a candle, its close may be entered at again.
    let trades = told(&strategy, &[flat(100.0), [100.0, 101.0, 94.0, 100.0], flat(101.0)]);
    let again = (Side::Long, 1, 100.0, 2, 101.0, ExitReason::EndOfWindow, 1);
    assert_eq!(trades, [(Side::Long, 0, 100.0, 1, 95.0, ExitReason::StopLoss, 1), again]);
}

#[test]
fn the_clock_still_ends_positions_at_an_open() {
    let mut strategy = long_at_100();
    strategy.risk.time_exit_bars = Some(2);
    let trades = told(&strategy, &[flat(100.0), flat(101.0), flat(102.0), [103.0, 105.0, 102.0, 104.0]]);
    assert_eq!(trades, [(Side::Long, 0, 100.0, 3, 103.0, ExitReason::TimeExit, 2)]);
}

#[test]
fn slippage_beyond_a_stop_ends_a_position_at_the_close_that_began_it() {
    let mut strategy = long_at_100();
    strategy.risk.stop_loss = percent(0.5);
    let costs = Costs { slippage: Slippage::Fixed { bps: 100.0 }, ..FREE };
    let run = outcome(&strategy, &[flat(100.0), flat(120.0)], &costs, FillOn::Close);
    let trades = run.ledger.unwrap().trades;
    assert_eq!((trades.len(), trades[0].exit_reason, trades[0].bars), (1, ExitReason::StopLoss, 0));
    assert_eq!((trades[0].entry_price, trades[0].exit_price), (101.0, 99.0));
    // A cap of 20 basis points leaves the stop where it is not passed.
    let costs = Costs { max_slippage_bps: Some(20.0), ..costs };
    let run = outcome(&strategy, &[flat(100.0), flat(120.0)], &costs, FillOn::Close);
    let trades = run.ledger.unwrap().trades;
    assert_eq!((trades[0].entry_price, trades[0].exit_reason), (100.0 * 1.002, ExitReason::EndOfWindow));
}
