//! Signals to trades: what fills when, on one symbol, candle by candle.
//!
//! The order of events at each candle of the base timeframe:
//!
//! 1. Funding due since the last candle's open, up to this open, is settled on the position held over.
//! 2. At the open, first what ends the position: the exit rule's signal from the candle before, the time exit, an
//!    open past the stop, past a target. Then an entry signalled at the candle before, unless a position is open or
//!    one of the same side ended at this very open.
//! 3. Funding due inside the candle is settled.
//! 4. The candle's low and high are tested against stop and targets, on the entry candle too. When it touches both,
//!    finer candles decide which came first where there are any; else the stop did. Finer candles decide the order
//!    alone: the price is the level's.
//! 5. At the close, break-even and trailing stop move, for the next candle on.
//!
//! The stop that stands is the nearest of stop-loss, break-even, trailing stop and liquidation price. Liquidation is
//! simulated for every position, but stands at a price that exists only where the loss can exceed the collateral:
//! leverage above 1, and shorts. A trailing stop stands from the fill, its distance is fixed there, and it follows
//! the best close. A sleeve without equity trades no more.
//!
//! Never looks at a candle after the one at hand.

use super::{
    position::{Account, FillCandle},
    signal::{Atrs, Signals},
};
use genome::RiskPlan;
use sg_ai::{
    engine::{Costs, ExitReason, FundingRate, Side, Trade},
    market::{CandleSeries, Symbol},
};

/// One symbol's market as a sleeve trades in it.
#[derive(Clone, Copy)]
pub(crate) struct Market<'a> {
    pub symbol: &'a Symbol,
    /// Candles of the base timeframe, warm-up included.
    pub candles: &'a CandleSeries,
    /// Index of the first candle in the window.
    pub first: usize,
    /// Candles finer than the base timeframe, where there are any.
    pub finer: Option<&'a CandleSeries>,
    pub funding: &'a [FundingRate],
}

/// What one sleeve did.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SleeveRun {
    /// Closed trades in order.
    pub trades: Vec<Trade>,
    /// Equity at the close of each candle in the window; the last one after the closing of what was open.
    pub equity: Vec<f64>,
}

/// Trades `signals` on one market with a sleeve of `capital`.
pub(crate) fn simulate(
    plan: &RiskPlan,
    costs: &Costs,
    market: Market<'_>,
    signals: &Signals,
    atrs: &Atrs,
    capital: f64,
) -> SleeveRun {
    let candles = market.candles;
    let mut account = Account::new(plan, costs, market.symbol, capital);
    let mut equity = Vec::with_capacity(candles.len().saturating_sub(market.first));
    let mut funding = market.funding;
    for i in market.first..candles.len() {
        let (open_time_ms, close_time_ms) = (candles.open_times_ms()[i], candles.close_time_ms(i));
        let (open, close) = (candles.opens()[i], candles.closes()[i]);
        let volume = candles.volumes()[i];
        let at_open = FillCandle { time_ms: open_time_ms, volume, atr: atrs.before(i) };
        let at_close = FillCandle { time_ms: close_time_ms, ..at_open };
        let mut settle = |until_ms: i64, account: &mut Account<'_>| {
            while let Some((due, rest)) = funding.split_first()
                && due.time_ms <= until_ms
            {
                account.pay_funding(due.rate, open);
                funding = rest;
            }
        };

        settle(open_time_ms, &mut account);
        // The first candle of the window has no candle before it whose signals could fill.
        let signalled = (i > market.first).then(|| i - 1);
        let held_side = account.position.as_ref().map(|p| p.side);
        if let (Some(side), Some(s)) = (held_side, signalled) {
            leave_at_open(&mut account, plan, i, open, at_open, exit_signal(signals, side, s));
        }
        let ended_side = if account.position.is_none() { held_side } else { None };
        if let Some(s) = signalled
            && account.position.is_none()
            && !account.bankrupt()
        {
            let side = match (signals.enter_long[s], signals.enter_short[s]) {
                (true, _) => Some(Side::Long),
                (_, true) => Some(Side::Short),
                _ => None,
            };
            if let Some(side) = side
                && ended_side != Some(side)
            {
                account.enter(side, i, open, at_open, &atrs.at(s));
                // Slippage can put a fill, and the levels that stand from it, beyond the open.
                leave_at_open(&mut account, plan, i, open, at_open, false);
            }
        }

        settle(close_time_ms, &mut account);
        test_levels(&mut account, &market, i, at_close);
        account.candle_closed(close);
        if i + 1 == candles.len()
            && let Some(entry) = account.position.as_ref().map(|p| p.entry_index)
        {
            account.close(close, ExitReason::EndOfWindow, at_close, i + 1 - entry);
        }
        equity.push(account.equity(close));
    }
    SleeveRun { trades: account.trades, equity }
}

fn exit_signal(signals: &Signals, side: Side, i: usize) -> bool {
    match side {
        Side::Long => signals.exit_long[i],
        Side::Short => signals.exit_short[i],
    }
}

/// Ends the position at the open if a rule, the clock or a level past the open says so.
fn leave_at_open(account: &mut Account<'_>, plan: &RiskPlan, i: usize, open: f64, at: FillCandle, by_rule: bool) {
    let Some(p) = account.position.as_ref() else { return };
    let bars = i - p.entry_index;
    let open_m = p.side.sign() * open;
    if by_rule {
        account.close(open, ExitReason::Rule, at, bars);
    } else if plan.time_exit_bars.is_some_and(|limit| bars >= limit as usize) {
        account.close(open, ExitReason::TimeExit, at, bars);
    } else if open_m <= p.stop_m {
        account.stop_out(Some(open), at, bars);
    } else if open_m >= p.target_m {
        account.close(open, ExitReason::TakeProfit, at, bars);
    } else if open_m >= p.partial_m {
        account.take_partial(open);
    }
}

/// Tests the candle's low and high against the levels that its open did not pass.
fn test_levels(account: &mut Account<'_>, market: &Market<'_>, i: usize, at: FillCandle) {
    let Some(p) = account.position.as_ref() else { return };
    let bars = i + 1 - p.entry_index;
    let (low_m, high_m) = mirrored(market.candles, i, p.side);
    let stop_touched = low_m <= p.stop_m;
    if stop_touched
        && high_m >= p.target_m.min(p.partial_m)
        && let Some(finer) = market.finer
    {
        let times = finer.open_times_ms();
        let from = times.partition_point(|&t| t < market.candles.open_times_ms()[i]);
        let to = times.partition_point(|&t| t <= market.candles.close_time_ms(i));
        for k in from..to {
            let Some(p) = account.position.as_ref() else { return };
            let (low_m, high_m) = mirrored(finer, k, p.side);
            touch(account, low_m, high_m, at, bars);
        }
        // Finer candles with gaps may not show the touch that the candle saw.
    }
    if account.position.is_some() {
        touch(account, low_m, high_m, at, bars);
    }
}

fn mirrored(candles: &CandleSeries, i: usize, side: Side) -> (f64, f64) {
    match side {
        Side::Long => (candles.lows()[i], candles.highs()[i]),
        Side::Short => (-candles.highs()[i], -candles.lows()[i]),
    }
}

/// What a candle from `low_m` to `high_m` does to the position: the stop first, then the nearer target, the farther.
fn touch(account: &mut Account<'_>, low_m: f64, high_m: f64, at: FillCandle, bars: usize) {
    let Some(p) = account.position.as_ref() else { return };
    let (sign, target_m, partial_m) = (p.side.sign(), p.target_m, p.partial_m);
    if low_m <= p.stop_m {
        account.stop_out(None, at, bars);
        return;
    }
    if high_m >= partial_m && partial_m <= target_m {
        account.take_partial(sign * partial_m);
    }
    if high_m >= target_m {
        account.close(sign * target_m, ExitReason::TakeProfit, at, bars);
    }
}
