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
//! Candles at which none of this can change anything are not visited: after each visited candle the next one is
//! where a signal, a time or funding is due, or where a low or high reaches a price at which something may happen.
//!
//! Never lets a candle after the one at hand change what happens at it.

use super::{
    Costs, ExitReason, Side,
    frame::{Frame, Row},
    ledger::{self, ClosedTrade},
    plan::AtrNumbers,
    position::{Account, FillCandle, PlanAtrs},
    signal::{Signals, is_set, next_set, set_bits},
};
use genome::RiskPlan;

/// ATR columns of a plan: values where it looks at them.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Atrs<'a> {
    columns: [Option<&'a [f64]>; 5],
    /// Whether any of them is there.
    any: bool,
    slippage: Option<&'a [f64]>,
}

impl<'a> Atrs<'a> {
    pub(super) fn new(numbers: &AtrNumbers, column: impl Fn(u32) -> &'a [f64]) -> Self {
        let AtrNumbers { stop_loss, take_profit, trailing_stop, break_even, partial_take_profit, slippage } = *numbers;
        let columns = [stop_loss, take_profit, trailing_stop, break_even, partial_take_profit];
        let any = columns.iter().any(Option::is_some);
        Self { columns: columns.map(|number| number.map(&column)), any, slippage: slippage.map(&column) }
    }

    fn at(&self, i: usize) -> PlanAtrs {
        if !self.any {
            return PlanAtrs::NONE;
        }
        let [stop_loss, take_profit, trailing_stop, break_even, partial_take_profit] =
            self.columns.map(|column| column.map_or(f64::NAN, |values| values[i]));
        PlanAtrs { stop_loss, take_profit, trailing_stop, break_even, partial_take_profit }
    }

    /// ATR for slippage of a fill in candle `i`, which is not the first: that of the close before.
    fn before(&self, i: usize) -> f64 {
        self.slippage.map_or(f64::NAN, |values| values[i - 1])
    }
}

/// From the close of candle `candle` on, until the next one: what a sleeve holds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Holding {
    pub candle: usize,
    pub cash: f64,
    /// Negative when short.
    pub units: f64,
}

impl Holding {
    /// Equity at a price.
    pub(super) fn equity(&self, price: f64) -> f64 {
        if self.units == 0.0 { self.cash } else { (self.cash + self.units * price).max(0.0) }
    }
}

/// Entries whose candles are fetched ahead.
const EXPECTED_FILLS: usize = 96;

/// What one sleeve did.
#[derive(Clone, Debug, Default)]
pub(super) struct SleeveRun {
    /// Closed trades in order.
    pub trades: Vec<ClosedTrade>,
    /// Ascending in candles, from the first candle of the window on; empty without candles.
    pub holdings: Vec<Holding>,
    /// What was there at the end, everything closed.
    pub last_equity: f64,
}

impl SleeveRun {
    /// The holdings as the world sees them.
    pub(super) fn told(&self, frame: &Frame<'_>) -> Vec<ledger::Holding> {
        let told = |h: &Holding| {
            let from_ms = frame.candles.close_time_ms(h.candle) + 1;
            ledger::Holding { from_ms, cash: h.cash, units: h.units }
        };
        self.holdings.iter().map(told).collect()
    }
}

/// Trades `signals` in one frame with a sleeve of `capital`. Reuses the memory of the run before.
pub(super) fn simulate(
    plan: &RiskPlan,
    costs: &Costs,
    frame: &Frame<'_>,
    signals: &Signals,
    atrs: Atrs<'_>,
    capital: f64,
    run: &mut SleeveRun,
) {
    let n = frame.candles.len();
    // Rules signal long before they are acted on: memory may fetch in the meantime.
    for signal in set_bits(signals.enter()).take(EXPECTED_FILLS) {
        frame.expect_fill(signal);
    }
    let mut trades = std::mem::take(&mut run.trades);
    trades.clear();
    let account = Account::new(plan, costs, capital, trades);
    let mut sleeve = Sleeve { frame, plan, signals, atrs, account, settled: 0 };
    let holdings = &mut run.holdings;
    holdings.clear();
    if frame.first < n {
        holdings.push(Holding { candle: frame.first, cash: capital, units: 0.0 });
    }
    // The first candle of the window has no candle before it whose signals could fill.
    let mut next = frame.first + 1;
    while let Some(i) = sleeve.next_event(next) {
        sleeve.visit(i);
        let (cash, units) = sleeve.account.holdings();
        let before = holdings.last().map(|h: &Holding| (h.cash, h.units));
        if before != Some((cash, units)) {
            holdings.push(Holding { candle: i, cash, units });
        }
        next = i + 1;
    }
    (run.last_equity, _) = sleeve.account.holdings();
    run.trades = sleeve.account.trades;
}

/// A sleeve on its way through the candles.
struct Sleeve<'a> {
    frame: &'a Frame<'a>,
    plan: &'a RiskPlan,
    signals: &'a Signals,
    atrs: Atrs<'a>,
    account: Account<'a>,
    /// Funding payments settled (or passed by) so far.
    settled: usize,
}

impl Sleeve<'_> {
    /// First candle at or after `next` at which something may happen.
    fn next_event(&self, next: usize) -> Option<usize> {
        let n = self.frame.candles.len();
        if next >= n {
            return None;
        }
        let Some(p) = self.account.position.as_ref() else {
            if self.account.bankrupt() {
                return None;
            }
            let signal = next_set(self.signals.enter(), next - 1)?;
            return (signal + 1 < n).then_some(signal + 1);
        };
        // What is open at the last candle is closed there.
        let mut bound = n - 1;
        if let Some(signal) = next_set(self.exits(p.side), next - 1) {
            bound = bound.min(signal + 1);
        }
        if let Some(limit) = self.plan.time_exit_bars {
            bound = bound.min((p.entry_index + limit as usize).max(next));
        }
        if let Some(due) = self.frame.funding.get(self.settled) {
            bound = bound.min(self.frame.candle_of_funding(due.time_ms).max(next));
        }
        let (floor, ceiling) = self.account.quiet_range();
        Some(self.frame.first_touch(next, bound, floor, ceiling))
    }

    fn exits(&self, side: Side) -> &[u64] {
        match side {
            Side::Long => &self.signals.exit_long,
            Side::Short => &self.signals.exit_short,
        }
    }

    /// Everything that happens at candle `i`, in order.
    fn visit(&mut self, i: usize) {
        let row = &self.frame.rows[i];
        let Row { open_time_ms, close_time_ms, open, close, volume, .. } = *row;
        let at_open = FillCandle { time_ms: open_time_ms, volume, atr: self.atrs.before(i) };
        let at_close = FillCandle { time_ms: close_time_ms, ..at_open };
        let signal = i - 1;

        self.settle_funding(open_time_ms, open);
        let held_side = self.account.position.as_ref().map(|p| p.side);
        if let Some(side) = held_side {
            self.leave_at_open(i, open, at_open, is_set(self.exits(side), signal));
        }
        if self.account.position.is_none() && !self.account.bankrupt() {
            let side = if is_set(&self.signals.enter_long, signal) {
                Some(Side::Long)
            } else if is_set(&self.signals.enter_short, signal) {
                Some(Side::Short)
            } else {
                None
            };
            if let Some(side) = side
                && held_side != Some(side)
            {
                self.account.enter(side, i, open, at_open, &self.atrs.at(signal));
                // Slippage can put a fill, and the levels that stand from it, beyond the open.
                self.leave_at_open(i, open, at_open, false);
            }
        }

        self.settle_funding(close_time_ms, open);
        self.test_levels(row, i, at_close);
        self.account.candle_closed(close);
        if i + 1 == self.frame.rows.len()
            && let Some(entry) = self.account.position.as_ref().map(|p| p.entry_index)
        {
            self.account.close(close, ExitReason::EndOfWindow, at_close, i + 1 - entry);
        }
    }

    fn settle_funding(&mut self, until_ms: i64, price: f64) {
        while let Some(due) = self.frame.funding.get(self.settled)
            && due.time_ms <= until_ms
        {
            self.account.pay_funding(due.rate, price);
            self.settled += 1;
        }
    }

    /// Ends the position at the open if a rule, the clock or a level past the open says so.
    fn leave_at_open(&mut self, i: usize, open: f64, at: FillCandle, by_rule: bool) {
        let account = &mut self.account;
        let Some(p) = account.position.as_ref() else { return };
        let bars = i - p.entry_index;
        let open_m = p.side.sign() * open;
        if by_rule {
            account.close(open, ExitReason::Rule, at, bars);
        } else if self.plan.time_exit_bars.is_some_and(|limit| bars >= limit as usize) {
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
    fn test_levels(&mut self, row: &Row, i: usize, at: FillCandle) {
        let Some(p) = self.account.position.as_ref() else { return };
        let bars = i + 1 - p.entry_index;
        let (low_m, high_m) = mirrored(row.low, row.high, p.side);
        if low_m <= p.stop_m
            && high_m >= p.target_m.min(p.partial_m)
            && let Some(finer) = self.frame.finer
        {
            let times = finer.open_times_ms();
            let from = times.partition_point(|&t| t < row.open_time_ms);
            let to = times.partition_point(|&t| t <= row.close_time_ms);
            for k in from..to {
                let Some(p) = self.account.position.as_ref() else { return };
                let (low_m, high_m) = mirrored(finer.lows()[k], finer.highs()[k], p.side);
                touch(&mut self.account, low_m, high_m, at, bars);
            }
            // Finer candles with gaps may not show the touch that the candle saw.
        }
        touch(&mut self.account, low_m, high_m, at, bars);
    }
}

fn mirrored(low: f64, high: f64, side: Side) -> (f64, f64) {
    match side {
        Side::Long => (low, high),
        Side::Short => (-high, -low),
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
