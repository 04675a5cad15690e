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
//!    the finest candles that cover it decide which came first; without any the stop did. Finer candles decide the
//!    order alone: the price is the level's.
//! 5. At the close, break-even and trailing stop move, for the next candle on.
//!
//! The stop that stands is the nearest of stop-loss, break-even, trailing stop and liquidation price. Liquidation is
//! simulated for every position, but stands at a price that exists only where the loss can exceed the collateral:
//! leverage above 1, and shorts. A trailing stop stands from the fill and follows the best close: a
//! percentage is of that close, ATRs are those of the fill. A sleeve without equity trades no more.
//!
//! Where fills are at the close ([`FillOn::Close`]), rules are obeyed in step 5 instead of step 2, at the close at which
//! they were evaluated: the exit, then an entry, unless a position is open or one of the same side ended at this very
//! close. What is entered so is tested from the next candle on, which is its first bar; at the last candle nothing is
//! entered. The clock's exit fills at an open all the same.
//!
//! Candles at which none of this can change anything are not visited: after each visited candle the next one is
//! where a signal, a time or funding is due, or where a low or high reaches a price at which something may happen.
//!
//! Never lets a candle after the one at hand change what happens at it.

use super::{
    Costs, ExitReason, FillOn, Side, Slippage, Terms,
    distance::PlanAtrs,
    events::Cursor,
    frame::Frame,
    ledger,
    plan::AtrNumbers,
    position::{Account, FillCandle, Records},
    signal::Signals,
    simd::Reach,
    tally::{Keep, Tally},
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

    #[inline(always)]
    fn at(&self, i: usize) -> PlanAtrs {
        if !self.any {
            return PlanAtrs::NONE;
        }
        let [stop_loss, take_profit, trailing_stop, break_even, partial_take_profit] =
            self.columns.map(|column| column.map_or(f64::NAN, |values| values[i]));
        PlanAtrs { stop_loss, take_profit, trailing_stop, break_even, partial_take_profit }
    }

    /// ATR for slippage as it was known at the close of candle `i`.
    #[inline(always)]
    fn known_at(&self, i: usize) -> f64 {
        self.slippage.map_or(f64::NAN, |values| values[i])
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
    #[inline(always)]
    pub(super) fn equity(&self, price: f64) -> f64 {
        if self.units == 0.0 { self.cash } else { (self.cash + self.units * price).max(0.0) }
    }
}

/// Entries whose candles are fetched ahead.
const EXPECTED_FILLS: usize = 96;

/// What one sleeve did.
#[derive(Clone, Debug, Default)]
pub(super) struct SleeveRun {
    pub records: Records,
    /// Ascending in candles, from the first candle of the window on; empty without candles, or if they are not kept.
    pub holdings: Vec<Holding>,
    pub tally: Tally,
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

/// What a sleeve begins with, and what is kept of what it does.
#[derive(Clone, Copy, Debug)]
pub(super) struct Beginning {
    pub capital: f64,
    /// To which its trades are added.
    pub tally: Tally,
    pub keep: Keep,
}

/// Trades `signals` in one frame with a sleeve. Reuses the memory of the run before.
pub(super) fn simulate(
    plan: &RiskPlan,
    Terms { costs, fill_on, .. }: &Terms,
    frame: &Frame<'_>,
    signals: Signals<'_>,
    atrs: Atrs<'_>,
    beginning: Beginning,
    run: &mut SleeveRun,
) {
    // Much that many strategies and backtests need nothing of: without it a trade takes two thirds of the time. What a
    // plan learns one day has to be named here.
    let RiskPlan {
        size: _,
        leverage,
        stop_loss: _,
        take_profit: _,
        trailing_stop,
        break_even,
        time_exit_bars,
        partial_take_profit,
        recovery,
    } = plan;
    let full = leverage.get() > 1.0
        || trailing_stop.is_some()
        || break_even.is_some()
        || time_exit_bars.is_some()
        || partial_take_profit.is_some()
        || recovery.is_some()
        || !matches!(costs.slippage, Slippage::Fixed { .. })
        || costs.borrow_rate_per_year > 0.0
        || !frame.funding.is_empty()
        || !frame.finer.is_empty();
    match fill_on {
        FillOn::NextOpen if full => trade::<true, false>(plan, costs, frame, signals, atrs, beginning, run),
        FillOn::NextOpen => trade::<false, false>(plan, costs, frame, signals, atrs, beginning, run),
        FillOn::Close => trade::<true, true>(plan, costs, frame, signals, atrs, beginning, run),
    }
}

/// As [`simulate`], knowing at once whether the plan is more than [`Account`] says of one that is not `FULL`, and whether
/// orders of rules fill at the close (`AT_CLOSE`).
fn trade<const FULL: bool, const AT_CLOSE: bool>(
    plan: &RiskPlan,
    costs: &Costs,
    frame: &Frame<'_>,
    signals: Signals<'_>,
    atrs: Atrs<'_>,
    beginning: Beginning,
    run: &mut SleeveRun,
) {
    let n = frame.candles.len();
    // Rules signal long before they are acted on: memory may fetch in the meantime.
    for entries in [signals.enter_long, signals.enter_short] {
        entries.first(frame.first, EXPECTED_FILLS, |signal| frame.expect_fill(signal));
    }
    let SleeveRun { records, holdings, .. } = run;
    records.clear();
    let Beginning { capital, tally, keep } = beginning;
    let account = Account::<FULL>::new(plan, costs, capital, records, tally, keep);
    let keep = keep != Keep::Count;
    let follows_closes = account.follows_closes();
    let needs_volume = FULL && matches!(costs.slippage, Slippage::SquareRoot { .. });
    let [enter_long, enter_short] = [signals.enter_long, signals.enter_short].map(Cursor::new);
    let [exit_long, exit_short] = [signals.exit_long, signals.exit_short].map(Cursor::new);
    let mut sleeve = Sleeve::<FULL, AT_CLOSE> {
        frame,
        opens: frame.candles.opens(),
        reach: frame.reach(),
        plan,
        enter_long,
        enter_short,
        exit_long,
        exit_short,
        atrs,
        account,
        settled: 0,
        follows_closes,
        needs_volume,
    };
    holdings.clear();
    if keep && frame.first < n {
        holdings.push(Holding { candle: frame.first, cash: capital, units: 0.0 });
    }
    // The first candle of the window has no candle before it whose signals could fill; its own may, at its close.
    let mut next = frame.first + usize::from(!AT_CLOSE);
    while let Some(i) = sleeve.next_event(next) {
        sleeve.visit(i);
        next = i + 1;
        if !keep {
            continue;
        }
        let (cash, units) = sleeve.account.holdings();
        if AT_CLOSE && i == frame.first {
            // What is held from its close on is not what the window begins with.
            holdings.clear();
        }
        let before = holdings.last().map(|h: &Holding| (h.cash, h.units));
        if before != Some((cash, units)) {
            holdings.push(Holding { candle: i, cash, units });
        }
    }
    (run.last_equity, _) = sleeve.account.holdings();
    run.tally = sleeve.account.tally;
}

/// A sleeve on its way through the candles.
struct Sleeve<'a, const FULL: bool, const AT_CLOSE: bool> {
    frame: &'a Frame<'a>,
    opens: &'a [f64],
    reach: Reach<'a>,
    plan: &'a RiskPlan,
    enter_long: Cursor<'a>,
    enter_short: Cursor<'a>,
    exit_long: Cursor<'a>,
    exit_short: Cursor<'a>,
    atrs: Atrs<'a>,
    account: Account<'a, FULL>,
    /// Funding payments settled (or passed by) so far.
    settled: usize,
    /// Whether closes move stops.
    follows_closes: bool,
    /// Whether slippage looks at volumes.
    needs_volume: bool,
}

impl<'a, const FULL: bool, const AT_CLOSE: bool> Sleeve<'a, FULL, AT_CLOSE> {
    /// The candle in which an order of candle `signal`'s close fills, less that candle.
    const WAIT: usize = if AT_CLOSE { 0 } else { 1 };

    /// First candle at or after `next` at which something may happen.
    #[inline(always)]
    fn next_event(&mut self, next: usize) -> Option<usize> {
        let n = self.opens.len();
        if next >= n {
            return None;
        }
        let Some(p) = self.account.position() else {
            if self.account.bankrupt() {
                return None;
            }
            let signal = self.next_entry(next - Self::WAIT)?;
            return (signal + 1 < n).then_some(signal + Self::WAIT);
        };
        let (side, entry_index) = (p.side, p.entry_index);
        // What is open at the last candle is closed there.
        let mut bound = n - 1;
        if let Some(signal) = self.exits(side).next(next - Self::WAIT) {
            bound = bound.min(signal + Self::WAIT);
        }
        if FULL && let Some(limit) = self.plan.time_exit_bars {
            bound = bound.min((entry_index + limit as usize).max(next));
        }
        if FULL && let Some(due) = self.frame.funding.get(self.settled) {
            bound = bound.min(self.frame.candle_of_funding(due.time_ms).max(next));
        }
        let (floor, ceiling) = self.account.quiet_range();
        Some(self.reach.first_touch(next, bound, floor, ceiling))
    }

    /// First candle at or after `from` at which one side signals an entry and the other does not.
    #[inline(always)]
    fn next_entry(&mut self, from: usize) -> Option<usize> {
        let mut from = from;
        loop {
            match (self.enter_long.next(from), self.enter_short.next(from)) {
                (Some(long), Some(short)) if long == short => from = long + 1,
                (Some(long), Some(short)) => return Some(long.min(short)),
                (long, short) => return long.or(short),
            }
        }
    }

    #[inline(always)]
    fn exits(&mut self, side: Side) -> &mut Cursor<'a> {
        match side {
            Side::Long => &mut self.exit_long,
            Side::Short => &mut self.exit_short,
        }
    }

    /// Everything that happens at candle `i`, in order.
    #[inline(always)]
    fn visit(&mut self, i: usize) {
        let open = self.opens[i];
        let (open_time_ms, close_time_ms) = (self.frame.open_time_ms(i), self.frame.close_time_ms(i));
        let volume = if self.needs_volume { self.frame.candles.volumes()[i] } else { f64::NAN };
        // Only where fills are at closes something happens in the first candle, and nothing that asks for it.
        let atr = if FULL && !(AT_CLOSE && i == 0) { self.atrs.known_at(i - 1) } else { f64::NAN };
        let at_open = FillCandle { time_ms: open_time_ms, volume, atr };
        let at_close = FillCandle { time_ms: close_time_ms, ..at_open };

        self.settle_funding(open_time_ms, open);
        if AT_CLOSE {
            self.leave_at_open(i, open, at_open, false);
        } else {
            self.obey(i - 1, i, open, at_open);
        }

        self.settle_funding(close_time_ms, open);
        self.test_levels(i, at_close);
        if FULL && self.follows_closes {
            self.account.candle_closed(self.frame.candles.closes()[i]);
        }
        if AT_CLOSE {
            let at_close = FillCandle { atr: self.atrs.known_at(i), ..at_close };
            self.obey(i, i + 1, self.frame.candles.closes()[i], at_close);
        }
        if i + 1 == self.opens.len()
            && let Some(entry) = self.account.position().map(|p| p.entry_index)
        {
            self.account.close(self.frame.candles.closes()[i], ExitReason::EndOfWindow, at_close, i + 1 - entry);
        }
    }

    /// Does at `price` what rules asked for at the close of candle `signal`: the exit, then an entry, whose first bar is
    /// candle `index`.
    #[inline(always)]
    fn obey(&mut self, signal: usize, index: usize, price: f64, at: FillCandle) {
        let held_side = self.account.position().map(|p| p.side);
        if let Some(side) = held_side {
            let by_rule = self.exits(side).holds(signal);
            // The clock and levels are of the open.
            if !AT_CLOSE || by_rule {
                self.leave_at_open(index, price, at, by_rule);
            }
        }
        if self.account.position().is_none() && !self.account.bankrupt() && !(AT_CLOSE && index == self.opens.len()) {
            let side = match (self.enter_long.holds(signal), self.enter_short.holds(signal)) {
                (true, false) => Some(Side::Long),
                (false, true) => Some(Side::Short),
                _ => None,
            };
            if let Some(side) = side
                && held_side != Some(side)
            {
                self.account.enter(side, index, price, at, &self.atrs.at(signal));
                // Slippage can put a fill, and the levels that stand from it, beyond the price.
                self.leave_at_open(index, price, at, false);
            }
        }
    }

    #[inline(always)]
    fn settle_funding(&mut self, until_ms: i64, price: f64) {
        while FULL
            && let Some(due) = self.frame.funding.get(self.settled)
            && due.time_ms <= until_ms
        {
            self.account.pay_funding(due.rate, price);
            self.settled += 1;
        }
    }

    /// Ends the position at the open if a rule, the clock or a level past the open says so.
    #[inline(always)]
    fn leave_at_open(&mut self, i: usize, open: f64, at: FillCandle, by_rule: bool) {
        let account = &mut self.account;
        let Some(p) = account.position() else { return };
        let bars = i - p.entry_index;
        let open_m = p.side.sign() * open;
        if by_rule {
            account.close(open, ExitReason::Rule, at, bars);
        } else if FULL && self.plan.time_exit_bars.is_some_and(|limit| bars >= limit as usize) {
            account.close(open, ExitReason::TimeExit, at, bars);
        } else if open_m <= p.stop_m {
            account.stop_out(Some(open), at, bars);
        } else if open_m >= p.target_m {
            account.close(open, ExitReason::TakeProfit, at, bars);
        } else if FULL && open_m >= p.partial_m {
            account.take_partial(open, at.time_ms);
        }
    }

    /// Tests the candle's low and high against the levels that its open did not pass.
    #[inline(always)]
    fn test_levels(&mut self, i: usize, at: FillCandle) {
        let Some(p) = self.account.position() else { return };
        let bars = i + 1 - p.entry_index;
        let (low_m, high_m) = mirrored(self.reach.lows[i], self.reach.highs[i], p.side);
        if FULL
            && low_m <= p.stop_m
            && high_m >= p.target_m.min(p.partial_m)
            && let Some((finer, inside)) = self.frame.inside(i)
        {
            for k in inside {
                let Some(p) = self.account.position() else { return };
                let (low_m, high_m) = mirrored(finer.lows()[k], finer.highs()[k], p.side);
                touch(&mut self.account, low_m, high_m, at, bars);
            }
            // Finer candles may not show the touch that the candle saw.
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
#[inline(always)]
fn touch<const FULL: bool>(account: &mut Account<'_, FULL>, low_m: f64, high_m: f64, at: FillCandle, bars: usize) {
    let Some(p) = account.position() else { return };
    let (sign, target_m, partial_m) = (p.side.sign(), p.target_m, p.partial_m);
    if low_m <= p.stop_m {
        account.stop_out(None, at, bars);
        return;
    }
    if FULL && high_m >= partial_m && partial_m <= target_m {
        account.take_partial(sign * partial_m, at.time_ms);
    }
    if high_m >= target_m {
        account.close(sign * target_m, ExitReason::TakeProfit, at, bars);
    }
}
