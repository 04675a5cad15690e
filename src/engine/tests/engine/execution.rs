//! Fills by hand: small candle sets on which every price can be worked out in the head.

use crate::support::{
    START_MS, candle, candles, close_is, indicator, long_only, number, percent, price, symbol_window, window,
};
use candles::CandleSeries;
use candles::time::HOUR_MS;
use engine::{
    Costs, Engine, EvaluationError, ExitReason, FundingRate, MAX_SLIPPAGE_FRACTION, Outcome, Side, Slippage,
    SymbolWindow, Terms, Trade, Wanted, Window,
};
use genome::{
    Comparison::{Above, Below},
    Distance, IndicatorKind, Number, Operand, PartialTakeProfit, PriceField, Recovery, Rule, SideRules, Size, Strategy,
    Timeframe,
};
use std::sync::Arc;

pub(crate) const FREE: Costs = Costs {
    fee_fraction: 0.0,
    slippage: Slippage::Fixed { bps: 0.0 },
    maintenance_margin_fraction: 0.005,
    delisting_fraction: 0.01,
    borrow_rate_per_year: 0.0,
    max_slippage_bps: None,
};

fn outcome(strategy: &Strategy, symbols: Vec<SymbolWindow>, costs: &Costs) -> Outcome {
    let terms = Terms { initial_capital: 1000.0, costs: *costs, ..Terms::default() };
    let wanted = Wanted { ledger: true, per_symbol: true, ..Wanted::default() };
    Engine::default().evaluate(std::slice::from_ref(strategy), &window(symbols), &terms, wanted).remove(0).unwrap()
}

pub(crate) fn trades_on(strategy: &Strategy, series: CandleSeries, costs: &Costs) -> Vec<Trade> {
    outcome(strategy, vec![symbol_window("BTCUSDT", series)], costs).ledger.unwrap().trades
}

fn trades(strategy: &Strategy, prices: &[[f64; 4]]) -> Vec<Trade> {
    trades_on(strategy, candles(Timeframe::H1, prices), &FREE)
}

/// Long on a close of exactly 100 to 101 (the signal), out on a close below 50.
pub(crate) fn long_at_100() -> Strategy {
    let entry = Rule::And(vec![close_is(Above, 99.5), close_is(Below, 100.5)]);
    long_only(Timeframe::H1, entry, Some(close_is(Below, 50.0)))
}

pub(crate) fn short_at_100() -> Strategy {
    let mut strategy = long_at_100();
    strategy.short = strategy.long.take().map(|s| SideRules { exit: Some(close_is(Above, 200.0)), ..s });
    strategy
}

/// Flat at the given price.
pub(crate) fn flat(p: f64) -> [f64; 4] {
    [p, p, p, p]
}

pub(crate) const SIGNAL: [f64; 4] = [100.0, 100.0, 100.0, 100.0];

#[test]
fn an_entry_fills_at_the_next_open_and_an_exit_rule_at_the_open_after_it() {
    let t = trades(&long_at_100(), &[SIGNAL, [102.0, 110.0, 101.0, 108.0], flat(49.0), flat(60.0), flat(61.0)]);
    assert_eq!(t.len(), 1);
    assert_eq!((t[0].entry_price, t[0].exit_price, t[0].exit_reason), (102.0, 60.0, ExitReason::Rule));
    assert_eq!((t[0].entry_time_ms, t[0].exit_time_ms), (START_MS + HOUR_MS, START_MS + 3 * HOUR_MS));
    assert_eq!((t[0].bars, t[0].side), (2, Side::Long));
    assert_eq!(t[0].quantity, 1000.0 / 102.0);
    assert_eq!(t[0].risk, None);
}

#[test]
fn a_signal_on_the_last_candle_does_not_fill_and_one_candle_is_a_window() {
    assert!(trades(&long_at_100(), &[flat(90.0), SIGNAL]).is_empty());
    let o = outcome(&long_at_100(), vec![symbol_window("BTCUSDT", candles(Timeframe::H1, &[SIGNAL]))], &FREE);
    assert_eq!((o.performance.total_trades, o.performance.total_return), (0, Some(0.0)));
    assert_eq!((o.performance.sharpe_ratio, o.performance.win_rate, o.performance.profit_factor), (None, None, None));
}

#[test]
fn an_open_position_ends_at_the_last_close() {
    let t = trades(&long_at_100(), &[SIGNAL, flat(100.0), [101.0, 120.0, 101.0, 110.0]]);
    assert_eq!((t[0].exit_price, t[0].exit_reason), (110.0, ExitReason::EndOfWindow));
    assert_eq!(t[0].exit_time_ms, START_MS + 3 * HOUR_MS - 1);
    assert_eq!(t[0].bars, 2);
}

#[test]
fn stop_and_target_are_tested_on_the_entry_candle_and_the_stop_fills_first() {
    let mut strategy = long_at_100();
    strategy.risk.stop_loss = percent(10.0);
    strategy.risk.take_profit = percent(20.0);
    let one = |second: [f64; 4]| {
        let t = trades(&strategy, &[SIGNAL, second, flat(100.9)]);
        (t[0].exit_price, t[0].exit_reason, t[0].bars)
    };
    assert_eq!(one([100.0, 130.0, 95.0, 105.0]), (120.0, ExitReason::TakeProfit, 1));
    assert_eq!(one([100.0, 101.0, 90.0, 99.0]), (90.0, ExitReason::StopLoss, 1));
    assert_eq!(one([100.0, 130.0, 80.0, 99.0]), (90.0, ExitReason::StopLoss, 1));
    let risk = trades(&strategy, &[SIGNAL, flat(100.0)])[0].risk.unwrap();
    assert!((risk - 100.0).abs() < 1e-9, "{risk}");
}

#[test]
fn shorts_mirror_longs() {
    let mut strategy = short_at_100();
    strategy.risk.stop_loss = percent(10.0);
    strategy.risk.take_profit = percent(20.0);
    let one = |second: [f64; 4]| {
        let t = trades(&strategy, &[SIGNAL, second, flat(100.9)]);
        assert_eq!(t[0].side, Side::Short);
        (t[0].exit_price, t[0].exit_reason, t[0].profit)
    };
    assert_eq!(one([100.0, 105.0, 70.0, 95.0]), (80.0, ExitReason::TakeProfit, 200.0));
    let (price, reason, profit) = one([100.0, 120.0, 70.0, 95.0]);
    assert_eq!((price, reason), (100.0 * 1.1, ExitReason::StopLoss));
    assert!((profit + 100.0).abs() < 1e-9);
}

#[test]
fn an_open_past_a_level_fills_at_the_open() {
    let mut strategy = long_at_100();
    strategy.risk.stop_loss = percent(10.0);
    strategy.risk.take_profit = percent(20.0);
    let one = |third: [f64; 4]| {
        let t = trades(&strategy, &[SIGNAL, flat(101.0), third, flat(101.0)]);
        (t[0].exit_price, t[0].exit_reason, t[0].exit_time_ms)
    };
    let open_ms = START_MS + 2 * HOUR_MS;
    assert_eq!(one([85.0, 130.0, 80.0, 101.0]), (85.0, ExitReason::StopLoss, open_ms));
    assert_eq!(one([125.0, 130.0, 80.0, 101.0]), (125.0, ExitReason::TakeProfit, open_ms));
}

#[test]
fn finer_candles_decide_the_order_where_there_are_any() {
    let mut strategy = long_at_100();
    strategy.risk.stop_loss = percent(10.0);
    strategy.risk.take_profit = percent(20.0);
    let hours = candles(Timeframe::H1, &[SIGNAL, [100.0, 130.0, 80.0, 99.0], flat(99.0)]);
    let reason = |finer: &[[f64; 4]]| {
        let mut series = CandleSeries::new(Timeframe::M15);
        for (k, &p) in finer.iter().enumerate() {
            let time_ms = START_MS + HOUR_MS + k as i64 * HOUR_MS / 4;
            series.push(&candle(Timeframe::M15, time_ms, p, 1.0)).unwrap();
        }
        let symbol = SymbolWindow { finer: vec![Arc::new(series)], ..symbol_window("BTCUSDT", hours.clone()) };
        let t = outcome(&strategy, vec![symbol], &FREE).ledger.unwrap().trades;
        (t[0].exit_reason, t[0].exit_price)
    };
    let target = (ExitReason::TakeProfit, 120.0);
    let stop = (ExitReason::StopLoss, 90.0);
    let (still, up, down) = (flat(100.0), [100.0, 130.0, 99.0, 99.0], [99.0, 99.0, 80.0, 85.0]);
    assert_eq!(reason(&[still, up, down, flat(99.0)]), target);
    assert_eq!(reason(&[still, [99.0, 99.0, 80.0, 85.0], [85.0, 130.0, 85.0, 99.0], flat(99.0)]), stop);
    assert_eq!(reason(&[still, [100.0, 130.0, 80.0, 99.0], still, still]), stop, "a finer candle touches both");
    assert_eq!(reason(&[still, up, down]), stop, "candles that do not cover the hour say nothing about it");
    // A data window finer than the strategy's timeframe decides by itself.
    let quarters = [
        [flat(100.0); 4].as_slice(),
        &[flat(100.0), [100.0, 130.0, 99.0, 99.0], [99.0, 99.0, 80.0, 85.0], flat(99.0)],
        &[flat(99.0); 4],
    ]
    .concat();
    let t = trades_on(&strategy, candles(Timeframe::M15, &quarters), &FREE);
    assert_eq!((t[0].exit_reason, t[0].exit_price), target);
}

#[test]
fn an_exit_and_an_entry_at_one_open_need_two_sides() {
    // Close 100 enters long; close 130 leaves it, and asks for a long (not allowed) or a short (allowed).
    let entry = Rule::Or(vec![long_at_100().long.unwrap().entry, close_is(Above, 125.0)]);
    let same = long_only(Timeframe::H1, entry, Some(close_is(Above, 125.0)));
    let prices = [SIGNAL, flat(101.0), flat(130.0), flat(110.0), flat(111.0)];
    let t = trades(&same, &prices);
    assert_eq!(t.len(), 1);
    assert_eq!((t[0].exit_price, t[0].exit_reason), (110.0, ExitReason::Rule));

    let mut both = long_at_100();
    both.long.as_mut().unwrap().exit = Some(close_is(Above, 125.0));
    both.short = Some(SideRules { entry: close_is(Above, 125.0), exit: None });
    let t = trades(&both, &prices);
    assert_eq!(t.len(), 2);
    assert_eq!((t[1].side, t[1].entry_price, t[1].entry_time_ms), (Side::Short, 110.0, t[0].exit_time_ms));
}

#[test]
fn when_both_sides_signal_neither_enters() {
    let mut strategy = long_at_100();
    strategy.short = Some(SideRules { entry: close_is(Above, 99.0), exit: None });
    assert!(trades(&strategy, &[SIGNAL, flat(98.0), flat(98.0)]).is_empty());
}

#[test]
fn a_trailing_stop_moves_on_closed_candles_only() {
    let mut strategy = long_at_100();
    strategy.risk.trailing_stop = percent(10.0);
    // The high of 150 does not count, the close of 120 does; 10 % of it less is 108.
    let t = trades(
        &strategy,
        &[SIGNAL, [100.0, 150.0, 95.0, 120.0], [120.0, 121.0, 111.0, 112.0], [112.0, 113.0, 105.0, 106.0]],
    );
    assert_eq!((t[0].exit_price, t[0].exit_reason, t[0].bars), (108.0, ExitReason::TrailingStop, 3));
    // It stands from the fill.
    let t = trades(&strategy, &[SIGNAL, [100.0, 100.0, 85.0, 90.0]]);
    assert_eq!((t[0].exit_price, t[0].exit_reason), (90.0, ExitReason::TrailingStop));
}

#[test]
fn a_trailing_percentage_is_a_share_of_the_best_close() {
    // Up to three times the fill: a low of 285 is within 10 % of 300, so that the position stays until the end.
    let mut strategy = long_at_100();
    strategy.risk.trailing_stop = percent(10.0);
    let t = trades(&strategy, &[SIGNAL, flat(100.0), flat(300.0), [300.0, 321.0, 285.0, 320.0]]);
    assert_eq!((t[0].exit_price, t[0].exit_reason), (320.0, ExitReason::EndOfWindow));
    // A short that fell to 20 leaves at 22, and not at 30.
    let mut strategy = short_at_100();
    strategy.risk.trailing_stop = percent(10.0);
    let t = trades(&strategy, &[SIGNAL, flat(100.0), flat(20.0), [20.0, 25.0, 20.0, 24.0]]);
    assert_eq!(t[0].exit_reason, ExitReason::TrailingStop);
    assert!((t[0].exit_price - 22.0).abs() < 1e-12, "{}", t[0].exit_price);
    // ATRs are as wide as they were at the fill, however far it goes.
    let mut strategy = long_at_100();
    strategy.risk.trailing_stop = Some(Distance::Atr { multiple: number(2.0), period: 2 });
    let wide = [100.0, 102.5, 97.5, 100.0];
    let t = trades(&strategy, &[wide, wide, wide, wide, flat(300.0), [300.0, 300.0, 285.0, 299.0]]);
    assert_eq!((t[0].exit_reason, t[0].exit_price), (ExitReason::TrailingStop, 290.0));
}

#[test]
fn a_risk_counts_fees_and_slippage() {
    // 1 % of 1000 is what the stop loses, with both fees and the slippage of both fills, for both sides.
    for slippage in [Slippage::Fixed { bps: 0.0 }, Slippage::Fixed { bps: 20.0 }] {
        let costs = Costs { fee_fraction: 0.001, slippage, ..FREE };
        for (mut strategy, reach) in
            [(long_at_100(), [100.0, 100.0, 99.0, 99.2]), (short_at_100(), [100.0, 101.0, 100.0, 100.8])]
        {
            strategy.risk.size = Size::Risk(number(0.01));
            strategy.risk.stop_loss = percent(0.5);
            strategy.risk.leverage = number(5.0);
            let t = trades_on(&strategy, candles(Timeframe::H1, &[SIGNAL, flat(100.0), reach]), &costs);
            assert_eq!(t[0].exit_reason, ExitReason::StopLoss);
            assert!((t[0].profit + 10.0).abs() < 1e-9, "{slippage:?}: {}", t[0].profit);
            assert!((t[0].risk.unwrap() - 10.0).abs() < 1e-9);
        }
    }
}

#[test]
fn what_is_stored_of_other_times_changes_nothing_and_the_finest_that_cover_decide() {
    let mut strategy = long_at_100();
    strategy.risk.stop_loss = percent(10.0);
    strategy.risk.take_profit = percent(20.0);
    let hours = candles(Timeframe::H1, &[SIGNAL, [100.0, 130.0, 80.0, 99.0], flat(99.0)]);
    let of = |interval: Timeframe, from_ms: i64, prices: &[[f64; 4]]| {
        let mut series = CandleSeries::new(interval);
        let length_ms = interval.fixed_ms().unwrap();
        for (k, &p) in prices.iter().enumerate() {
            series.push(&candle(interval, from_ms + k as i64 * length_ms, p, 1.0)).unwrap();
        }
        Arc::new(series)
    };
    let reason = |finer: Vec<Arc<CandleSeries>>| {
        let symbol = SymbolWindow { finer, ..symbol_window("BTCUSDT", hours.clone()) };
        outcome(&strategy, vec![symbol], &FREE).ledger.unwrap().trades[0].exit_reason
    };
    let quarters = of(
        Timeframe::M15,
        START_MS + HOUR_MS,
        &[flat(100.0), [100.0, 130.0, 99.0, 99.0], [99.0, 99.0, 80.0, 85.0], flat(99.0)],
    );
    assert_eq!(reason(vec![quarters.clone()]), ExitReason::TakeProfit);
    // Five minutes of another hour, and some of this one: they do not cover it.
    let elsewhere = of(Timeframe::M5, START_MS, &[flat(100.0); 13]);
    assert_eq!(reason(vec![elsewhere, quarters.clone()]), ExitReason::TakeProfit);
    // Those that cover it tell more than the quarters.
    let mut fives = [flat(100.0); 12];
    fives[3] = [100.0, 100.0, 80.0, 100.0];
    fives[4] = [100.0, 130.0, 100.0, 100.0];
    let finest = of(Timeframe::M5, START_MS + HOUR_MS, &fives);
    assert_eq!(reason(vec![finest, quarters]), ExitReason::StopLoss);
}

#[test]
fn parts_of_days_and_time_without_candles_are_no_days() {
    // From 05:00 of one day to 01:00 of the third after it: two whole days.
    let (from_ms, end_ms) = (START_MS + 5 * HOUR_MS, START_MS + 73 * HOUR_MS);
    let mut series = CandleSeries::new(Timeframe::H1);
    for k in 0..68 {
        let price = 100.0 + f64::from(k % 3);
        series.push(&candle(Timeframe::H1, from_ms + i64::from(k) * HOUR_MS, flat(price), 1.0)).unwrap();
    }
    let judged = |from_ms: i64, to_ms: i64| {
        let window = Window::new(from_ms, to_ms, vec![symbol_window("BTCUSDT", series.clone())]).unwrap();
        let terms = Terms { initial_capital: 1000.0, costs: FREE, ..Terms::default() };
        let wanted = Wanted { ledger: true, ..Wanted::default() };
        let done = Engine::default().evaluate(&[long_at_100()], &window, &terms, wanted).remove(0).unwrap();
        assert_eq!(done.daily_returns.len(), done.performance.days as usize);
        done
    };
    let plain = judged(from_ms, end_ms);
    assert_eq!(plain.performance.days, 2);
    assert!(plain.performance.total_trades > 0 && plain.performance.cagr.is_some());
    // Ten days without a candle before and after change nothing that is annualised.
    let wide = judged(from_ms - 240 * HOUR_MS, end_ms + 240 * HOUR_MS);
    assert_eq!(wide.performance, plain.performance);
}

#[test]
fn break_even_moves_the_stop_to_the_fill() {
    let mut strategy = long_at_100();
    strategy.risk.stop_loss = percent(20.0);
    strategy.risk.break_even = percent(10.0);
    let t = trades(&strategy, &[SIGNAL, [101.0, 115.0, 90.0, 112.0], [110.0, 110.0, 95.0, 99.0]]);
    assert_eq!((t[0].exit_price, t[0].exit_reason), (101.0, ExitReason::BreakEven));
}

#[test]
fn a_time_exit_fills_at_an_open() {
    let mut strategy = long_at_100();
    strategy.risk.time_exit_bars = Some(2);
    let t = trades(&strategy, &[SIGNAL, flat(101.0), flat(102.0), flat(103.0), flat(104.0)]);
    assert_eq!((t[0].exit_price, t[0].exit_reason, t[0].bars), (103.0, ExitReason::TimeExit, 2));
}

#[test]
fn a_partial_take_profit_is_one_trade_at_the_mean_price() {
    let mut strategy = long_at_100();
    strategy.risk.partial_take_profit = Some(PartialTakeProfit { at: percent(10.0).unwrap(), fraction: number(0.5) });
    strategy.risk.take_profit = percent(30.0);
    let t = trades(&strategy, &[SIGNAL, [100.0, 111.0, 99.0, 105.0], [105.0, 140.0, 105.0, 139.0], flat(139.0)]);
    assert_eq!(t.len(), 1);
    assert!((t[0].exit_price - 120.0).abs() < 1e-9);
    assert!((t[0].profit - 200.0).abs() < 1e-9);
    assert_eq!((t[0].quantity, t[0].exit_reason), (10.0, ExitReason::TakeProfit));
}

#[test]
fn sizes_follow_fraction_risk_leverage_and_recovery() {
    let costs = Costs { fee_fraction: 0.01, ..FREE };
    let prices = [SIGNAL, flat(100.0), flat(49.0), flat(50.0), SIGNAL, flat(100.0), flat(100.9)];
    let quantities = |strategy: &Strategy| -> Vec<f64> {
        trades_on(strategy, candles(Timeframe::H1, &prices), &costs).iter().map(|t| t.quantity).collect()
    };
    let mut strategy = long_at_100();
    strategy.risk.size = Size::Fraction(number(0.1));
    let plain = quantities(&strategy);
    assert_eq!(plain[0], 0.1 * (1000.0 / (100.0 * 1.01)));

    strategy.risk.recovery = Some(Recovery { multiplier: number(2.0), max_steps: 1 });
    let after_loss = quantities(&strategy);
    assert_eq!(after_loss[0], plain[0]);
    assert!((after_loss[1] - 2.0 * plain[1]).abs() < 1e-12, "doubled after the loss");

    // 1 % of 1000 at risk over a stop 5 away and fees of 1.95; of 10 % it would be 40 units nearer by, but the sleeve
    // buys 9.9.
    strategy.risk.recovery = None;
    strategy.risk.size = Size::Risk(number(0.01));
    strategy.risk.stop_loss = percent(5.0);
    assert!((quantities(&strategy)[0] - 10.0 / 6.95).abs() < 1e-12);
    strategy.risk.size = Size::Risk(number(0.1));
    strategy.risk.stop_loss = percent(0.5);
    assert_eq!(quantities(&strategy)[0], 1000.0 / (100.0 * 1.01));
    strategy.risk.leverage = number(2.0);
    assert_eq!(quantities(&strategy)[0], 2.0 * (1000.0 / (100.0 * 1.01)));
}

#[test]
fn a_leveraged_position_is_liquidated_and_equity_never_falls_below_zero() {
    let mut strategy = long_at_100();
    strategy.risk.size = Size::Fraction(number(5.0));
    strategy.risk.leverage = number(5.0);
    // 50 units, 4000 borrowed: equity is half a percent of notional at 4000 / (50 x 0.995).
    let t = trades(&strategy, &[SIGNAL, flat(100.0), [99.0, 99.0, 70.0, 72.0], SIGNAL, flat(100.0)]);
    assert_eq!(t[0].exit_reason, ExitReason::Liquidation);
    assert!((t[0].exit_price - 4000.0 / (50.0 * 0.995)).abs() < 1e-9, "{}", t[0].exit_price);
    assert_eq!(t.len(), 2, "something was left to trade with");
    // An open far below takes everything, and ends the trading.
    let t = trades(&strategy, &[SIGNAL, flat(100.0), flat(60.0), SIGNAL, flat(100.0)]);
    assert_eq!((t.len(), t[0].profit, t[0].exit_reason), (1, -1000.0, ExitReason::Liquidation));
    // A short can lose more than its collateral, too.
    let t = trades(&short_at_100(), &[SIGNAL, flat(100.0), [100.0, 250.0, 100.0, 240.0], flat(240.0)]);
    assert_eq!(t[0].exit_reason, ExitReason::Liquidation);
    assert!((t[0].exit_price - 2000.0 / (10.0 * 1.005)).abs() < 1e-9, "{}", t[0].exit_price);
}

#[test]
fn slippage_moves_market_fills_and_not_targets() {
    let costs = Costs { slippage: Slippage::Fixed { bps: 100.0 }, ..FREE };
    let mut strategy = long_at_100();
    strategy.risk.stop_loss = percent(10.0);
    strategy.risk.take_profit = percent(20.0);
    let one = |second: [f64; 4]| {
        trades_on(&strategy, candles(Timeframe::H1, &[SIGNAL, second, flat(100.9)]), &costs).remove(0)
    };
    let target = one([100.0, 130.0, 99.0, 105.0]);
    assert_eq!((target.entry_price, target.exit_price), (101.0, 101.0 * 1.2));
    assert!((target.slippage - target.quantity).abs() < 1e-9);
    let stop = one([100.0, 100.0, 80.0, 99.0]);
    assert_eq!(stop.exit_price, 101.0 * 0.9 * 0.99);
    // Square root of participation: no volume costs the cap.
    let costs = Costs { slippage: Slippage::SquareRoot { coefficient: 0.1 }, ..FREE };
    let mut series = candles(Timeframe::H1, &[SIGNAL]);
    series.push(&candle(Timeframe::H1, START_MS + HOUR_MS, flat(100.0), 0.0)).unwrap();
    assert_eq!(trades_on(&long_at_100(), series, &costs)[0].entry_price, 100.0 * (1.0 + MAX_SLIPPAGE_FRACTION));
}

#[test]
fn atr_distances_are_those_of_the_signal_candle_and_wait_until_defined() {
    let mut strategy = long_at_100();
    strategy.risk.stop_loss = Some(Distance::Atr { multiple: number(2.0), period: 2 });
    // ATR(2) is first defined at index 2: ranges of 4 give 4. The signals before it do not enter.
    let c = [100.0, 102.0, 98.0, 100.0];
    let t = trades(&strategy, &[c, c, c, [100.0, 100.0, 93.0, 95.0], [95.0, 95.0, 91.0, 94.0], flat(94.0)]);
    assert_eq!(t.len(), 1);
    assert_eq!(t[0].entry_time_ms, START_MS + 3 * HOUR_MS);
    assert_eq!((t[0].exit_price, t[0].exit_reason, t[0].bars), (92.0, ExitReason::StopLoss, 2));
}

#[test]
fn funding_is_due_to_positions_held_over_its_time() {
    let series = candles(Timeframe::H1, &[SIGNAL, flat(100.0), flat(110.0), flat(120.0), flat(49.0), flat(50.0)]);
    let due = |hours: i64| FundingRate { time_ms: START_MS + hours * HOUR_MS, rate: 0.01 };
    let paid = |strategy: &Strategy, hours: &[i64]| {
        let funding: Arc<[FundingRate]> = hours.iter().map(|&h| due(h)).collect();
        let symbol = SymbolWindow { funding, ..symbol_window("BTCUSDT", series.clone()) };
        outcome(strategy, vec![symbol], &FREE).ledger.unwrap().trades[0].clone()
    };
    // In from hour 1 to hour 5: at hour 1 it is not held yet, at hour 5 it still is. 10 units at 110 and 50.
    let t = paid(&long_at_100(), &[0, 1, 2, 5]);
    assert!((t.funding - 0.01 * 10.0 * (110.0 + 50.0)).abs() < 1e-9, "{}", t.funding);
    assert!((t.profit - (-500.0 - t.funding)).abs() < 1e-9);
    assert!(paid(&short_at_100(), &[2]).funding < 0.0, "a short receives");
}

#[test]
fn rules_on_undefined_values_are_false_under_not_too() {
    let sma = indicator(IndicatorKind::Sma, &[3.0]);
    let above = |rule: Rule| long_only(Timeframe::H1, rule, None);
    let condition = crate::support::compare(sma, Above, Operand::Constant(number(1000.0)));
    let prices = [flat(100.0); 5];
    assert!(trades(&above(condition.clone()), &prices).is_empty());
    // Not above 1000 holds where the average is defined: from index 2 on.
    let t = trades(&above(Rule::Not(Box::new(condition))), &prices);
    assert_eq!(t[0].entry_time_ms, START_MS + 3 * HOUR_MS);
}

#[test]
fn confidence_is_the_share_of_conditions_that_hold() {
    let low = crate::support::compare(price(PriceField::Low), Below, Operand::Constant(Number::int(99)));
    let mut strategy = long_only(Timeframe::H1, Rule::Or(vec![close_is(Above, 99.5), low]), None);
    let prices = [flat(100.0), [100.0, 100.0, 98.0, 100.0], flat(100.0), flat(100.0)];
    assert_eq!(trades(&strategy, &prices)[0].entry_time_ms, START_MS + HOUR_MS);
    strategy.filters.min_confidence = Some(number(0.75));
    assert_eq!(trades(&strategy, &prices)[0].entry_time_ms, START_MS + 2 * HOUR_MS);
}

#[test]
fn sleeves_are_summed_and_carried_over_gaps() {
    let mut eth = CandleSeries::new(Timeframe::H1);
    for (hour, p) in [(0, SIGNAL), (1, flat(100.0)), (30, flat(200.0)), (47, flat(150.0))] {
        eth.push(&candle(Timeframe::H1, START_MS + hour * HOUR_MS, p, 1.0)).unwrap();
    }
    let mut btc = CandleSeries::new(Timeframe::H1);
    for hour in 0..48 {
        btc.push(&candle(Timeframe::H1, START_MS + hour * HOUR_MS, flat(90.0), 1.0)).unwrap();
    }
    let o = outcome(&long_at_100(), vec![symbol_window("BTCUSDT", btc), symbol_window("ETHUSDT", eth)], &FREE);
    let equity: Vec<f64> = o.ledger.unwrap().daily_equity.iter().map(|d| d.equity).collect();
    assert_eq!(equity, [1000.0, 1000.0, 1250.0]);
    assert_eq!(o.daily_returns, [0.0, 0.25]);
    assert_eq!(o.performance.max_drawdown, Some(1250.0 / 1500.0 - 1.0));
    assert_eq!(o.performance.exposure, Some(3.0 / 52.0));
    assert_eq!((o.per_symbol[0].total_return, o.per_symbol[1].total_return), (Some(0.0), Some(0.5)));
}

#[test]
fn a_strategy_finer_than_the_window_is_an_error_of_its_own() {
    let engine = Engine::default();
    let mut fine = long_at_100();
    fine.timeframe = Timeframe::M15;
    let w = window(vec![symbol_window("BTCUSDT", candles(Timeframe::H1, &[SIGNAL]))]);
    let results =
        engine.evaluate(&[fine, long_at_100()], &w, &Terms { costs: FREE, ..Terms::default() }, Wanted::default());
    let (strategy, window) = (Timeframe::M15, Timeframe::H1);
    assert_eq!(results[0], Err(EvaluationError::TimeframeTooFine { strategy, window }));
    assert!(results[1].is_ok());
}
