//! One sleeve's money and its open position: what a fill, a funding payment or a candle's close does to them.
//!
//! Never looks at candles by itself and never decides when something happens; `execution` does.
//!
//! A short is a long in a mirrored market: prices times -1, low and high exchanged. Negation is exact in
//! floating point, so one set of rules serves both sides. Names ending in `_m` hold mirrored prices.

use super::{
    Costs, ExitReason, Side, Slippage, costs,
    distance::{Away, Distances, PlanAtrs},
    ledger::ClosedTrade,
    tally::{Brief, Keep, Tally},
};
use genome::{RiskPlan, Size};

/// The candle a fill happens in, as far as fills look at it.
#[derive(Clone, Copy, Debug)]
pub(super) struct FillCandle {
    /// When the fill is booked, UTC ms.
    pub time_ms: i64,
    /// Base volume of the candle.
    pub volume: f64,
    /// ATR for slippage, at the close before the candle.
    pub atr: f64,
}

/// How far a trailing stop stays behind the best close.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Trail {
    /// There is none.
    Off,
    /// A share of the best close.
    Fraction(f64),
    /// Price units, fixed at the fill.
    Distance(f64),
}

impl Trail {
    /// Of a plan's distance at a fill; `sign` is the side's.
    #[inline(always)]
    fn new(distance: Option<Away>, fill: f64, sign: f64, atr: f64) -> Self {
        match distance {
            None => Self::Off,
            Some(Away::Fraction(fraction)) => Self::Fraction(fraction),
            Some(atrs @ Away::Atrs(_)) => Self::Distance((fill - atrs.level(fill, -sign, atr)).abs()),
        }
    }

    /// The mirrored level behind a best close that is mirrored, too.
    #[inline(always)]
    fn level_m(self, best_m: f64, sign: f64) -> f64 {
        match self {
            Self::Off => f64::NEG_INFINITY,
            // Below for a long, whose prices are as they are; above for a short.
            Self::Fraction(fraction) => best_m * (1.0 - sign * fraction),
            Self::Distance(distance) => best_m - distance,
        }
    }
}

/// An open position. Levels that are off stand at infinity, where no price reaches them.
#[derive(Clone, Debug)]
pub(super) struct Position {
    pub side: Side,
    sign: f64,
    pub entry_index: usize,
    entry_time_ms: i64,
    entry_price: f64,
    entry_units: f64,
    units: f64,
    equity_before: f64,
    fees: f64,
    slippage: f64,
    funding: f64,
    risk: Option<f64>,
    stop_loss_m: f64,
    break_even_m: f64,
    break_even_trigger_m: f64,
    trailing_m: f64,
    trail: Trail,
    best_close_m: f64,
    liquidation_m: f64,
    /// Take-profit, mirrored.
    pub target_m: f64,
    /// Partial take-profit, mirrored; infinite once it has filled.
    pub partial_m: f64,
    /// Sum of units x price over the parts already taken off.
    exit_notional: f64,
    /// The level that ends the position first, mirrored, and why it would.
    pub stop_m: f64,
    stop_reason: ExitReason,
}

impl Position {
    /// What stands where no position is.
    const NONE: Self = Self {
        side: Side::Long,
        sign: 1.0,
        entry_index: 0,
        entry_time_ms: 0,
        entry_price: 0.0,
        entry_units: 0.0,
        units: 0.0,
        equity_before: 0.0,
        fees: 0.0,
        slippage: 0.0,
        funding: 0.0,
        risk: None,
        stop_loss_m: f64::NEG_INFINITY,
        break_even_m: f64::NEG_INFINITY,
        break_even_trigger_m: f64::INFINITY,
        trailing_m: f64::NEG_INFINITY,
        trail: Trail::Off,
        best_close_m: f64::INFINITY,
        liquidation_m: f64::NEG_INFINITY,
        target_m: f64::INFINITY,
        partial_m: f64::INFINITY,
        exit_notional: 0.0,
        stop_m: f64::NEG_INFINITY,
        stop_reason: ExitReason::StopLoss,
    };
}

/// A sleeve of equity that one strategy trades on one symbol. Not `FULL`: nothing but a rule, a stop-loss and a
/// take-profit ends what the plan begins, without leverage, and fixed slippage and fees are all it pays; the code for
/// the rest is left out.
#[derive(Debug)]
pub(super) struct Account<'a, const FULL: bool> {
    plan: &'a RiskPlan,
    costs: &'a Costs,
    distances: Distances,
    /// Where fills move by the same fraction always.
    fixed_slippage: Option<f64>,
    /// Quote units; negative while a leveraged long has borrowed them, above equity while a short has sold.
    cash: f64,
    losses_in_a_row: u32,
    /// It stays in its place from trade to trade; `open` tells whether it counts.
    held: Position,
    open: bool,
    pub tally: Tally,
    records: &'a mut Records,
    keep: Keep,
}

/// What is kept of closed trades, in order.
#[derive(Clone, Debug, Default)]
pub(super) struct Records {
    pub briefs: Vec<Brief>,
    pub trades: Vec<ClosedTrade>,
}

impl Records {
    /// Forgets them, but not the memory they took.
    pub(super) fn clear(&mut self) {
        self.briefs.clear();
        self.trades.clear();
    }
}

impl<'a, const FULL: bool> Account<'a, FULL> {
    /// `records` are empty. `tally` has no trade of this sleeve.
    #[inline(always)]
    pub(super) fn new(
        plan: &'a RiskPlan,
        costs: &'a Costs,
        capital: f64,
        records: &'a mut Records,
        tally: Tally,
        keep: Keep,
    ) -> Self {
        let fixed_slippage =
            matches!(costs.slippage, Slippage::Fixed { .. }).then(|| costs.slippage_fraction(1.0, 1.0, 1.0, 1.0));
        Self {
            plan,
            costs,
            distances: Distances::new(plan),
            fixed_slippage,
            cash: capital,
            losses_in_a_row: 0,
            held: Position::NONE,
            open: false,
            tally,
            records,
            keep,
        }
    }

    /// The open position.
    #[inline(always)]
    pub(super) fn position(&self) -> Option<&Position> {
        self.open.then_some(&self.held)
    }

    #[inline(always)]
    fn position_mut(&mut self) -> Option<&mut Position> {
        self.open.then_some(&mut self.held)
    }

    /// The distances, those known to be off at once.
    #[inline(always)]
    fn distances(&self) -> Distances {
        if FULL { self.distances } else { self.distances.that_stand() }
    }

    /// Whether the plan moves stops at closes.
    #[inline(always)]
    pub(super) fn follows_closes(&self) -> bool {
        self.distances.trailing_stop.is_some() || self.distances.break_even.is_some()
    }

    /// How far a fill of `units` at `price` moves, as a fraction.
    #[inline(always)]
    fn slippage(&self, price: f64, units: f64, candle: FillCandle) -> f64 {
        match self.fixed_slippage {
            Some(fraction) => fraction,
            // Such a plan's is fixed.
            None if !FULL => 0.0,
            None => self.costs.slippage_fraction(price, units, candle.atr, candle.volume),
        }
    }

    /// Whether everything is lost: the sleeve trades no more.
    #[inline(always)]
    pub(super) fn bankrupt(&self) -> bool {
        !self.open && self.cash <= 0.0
    }

    /// Cash, and units held (negative when short): equity is their sum at a price, but never below zero.
    #[inline(always)]
    pub(super) fn holdings(&self) -> (f64, f64) {
        (self.cash, self.position().map_or(0.0, |p| p.sign * p.units))
    }

    /// Units to buy or sell at `price`, which leave again at `exit` if it goes wrong.
    #[inline(always)]
    fn units(&self, price: f64, exit: Option<f64>) -> f64 {
        let fee = self.costs.fee_fraction;
        let full = self.cash / (price * (1.0 + fee));
        let wanted = match self.plan.size {
            Size::Fraction(fraction) => fraction.get() * full,
            Size::Risk(risk) => {
                // Without a stop the whole price is at risk. A stop may lie below zero, where no price is.
                let exit = exit.map(|exit| exit.max(0.0));
                let loss = exit.map_or(price + fee * price, |exit| (price - exit).abs() + fee * (price + exit));
                self.cash * risk.get() / loss
            }
        };
        let mut scale = 1.0;
        if FULL && let Some(recovery) = self.plan.recovery {
            for _ in 0..self.losses_in_a_row.min(recovery.max_steps) {
                scale *= recovery.multiplier.get();
            }
        }
        (wanted * scale).min(self.plan.leverage.get() * full)
    }

    /// Enters at the open of candle `index`. Does nothing if no units can be had.
    #[inline(always)]
    pub(super) fn enter(&mut self, side: Side, index: usize, open: f64, candle: FillCandle, atrs: &PlanAtrs) {
        let sign = side.sign();
        let plan = self.distances();
        let stop_at = |fill: f64| plan.stop_loss.map(|d| d.level(fill, -sign, atrs.stop_loss));
        // The model's size of the fill is that at the open; the price it leads to then sets the true size.
        let stop_at_open = stop_at(open);
        let estimate = self.units(open, stop_at_open);
        let moved = self.slippage(open, estimate, candle);
        let (mut fill, mut stop, mut units) = (open, stop_at_open, estimate);
        if moved != 0.0 {
            fill = costs::slipped(open, moved, side);
            stop = stop_at(fill);
            // The stop, too, fills where slippage moves it.
            let exit = stop.map(|stop| costs::slipped(stop, self.slippage(stop, estimate, candle), side.opposite()));
            units = self.units(fill, exit);
        }
        if !(units > 0.0 && units.is_finite()) {
            return;
        }
        let fee = self.costs.fee_fraction * units * fill;
        let equity_before = self.cash;
        self.cash -= sign * units * fill + fee;

        let above = |d: Option<Away>, atr| d.map_or(f64::INFINITY, |d| sign * d.level(fill, sign, atr));
        let stop_loss_m = stop.map_or(f64::NEG_INFINITY, |stop| sign * stop);
        let trail = Trail::new(plan.trailing_stop, fill, sign, atrs.trailing_stop);
        self.open = true;
        self.held = Position {
            side,
            sign,
            entry_index: index,
            entry_time_ms: candle.time_ms,
            entry_price: fill,
            entry_units: units,
            units,
            equity_before,
            fees: fee,
            slippage: (fill - open).abs() * units,
            funding: 0.0,
            risk: None,
            stop_loss_m,
            break_even_m: f64::NEG_INFINITY,
            break_even_trigger_m: above(plan.break_even, atrs.break_even),
            trailing_m: trail.level_m(sign * fill, sign),
            trail,
            best_close_m: sign * fill,
            liquidation_m: f64::NEG_INFINITY,
            target_m: above(plan.take_profit, atrs.take_profit),
            partial_m: above(plan.partial_take_profit, atrs.partial_take_profit),
            exit_notional: 0.0,
            stop_m: f64::NEG_INFINITY,
            stop_reason: ExitReason::StopLoss,
        };
        if self.keep != Keep::Count {
            self.held.risk = self.risk(candle);
        }
        self.settle_stop();
    }

    /// What the stops that stand from the fill would lose.
    #[inline(always)]
    fn risk(&self, candle: FillCandle) -> Option<f64> {
        let p = &self.held;
        let initial_stop_m = p.stop_loss_m.max(p.trailing_m);
        if initial_stop_m == f64::NEG_INFINITY {
            return None;
        }
        let stop = (p.sign * initial_stop_m).max(0.0);
        let moved = self.slippage(stop, p.units, candle);
        let exit = costs::slipped(stop, moved, p.side.opposite());
        let loss = p.sign * p.units * (p.entry_price - exit) + p.fees + self.costs.fee_fraction * p.units * exit;
        (loss > 0.0 && loss.is_finite()).then_some(loss)
    }

    /// Recomputes which level ends the position first. On equal levels the earlier in this list gives the reason.
    #[inline(always)]
    fn settle_stop(&mut self) {
        let (cash, margin) = (self.cash, self.costs.maintenance_margin_fraction);
        let Some(p) = self.position_mut() else { return };
        // Equity = margin x notional: cash + sign x units x price = margin x units x price.
        // A long that owes nothing - without leverage none does - has nothing to be liquidated for: its level is not
        // above zero, where no price is.
        p.liquidation_m = if p.sign > 0.0 && (!FULL || cash >= 0.0) {
            f64::NEG_INFINITY
        } else {
            -cash / (p.units * (1.0 - p.sign * margin))
        };
        (p.stop_m, p.stop_reason) = (p.stop_loss_m, ExitReason::StopLoss);
        for (level_m, reason) in [
            (p.break_even_m, ExitReason::BreakEven),
            (p.trailing_m, ExitReason::TrailingStop),
            (p.liquidation_m, ExitReason::Liquidation),
        ] {
            if (FULL || reason == ExitReason::Liquidation) && level_m > p.stop_m {
                (p.stop_m, p.stop_reason) = (level_m, reason);
            }
        }
    }

    /// Books `units` of the position as sold (long) or bought back (short) at `price`.
    #[inline(always)]
    fn reduce(&mut self, units: f64, price: f64, time_ms: i64, market: Option<FillCandle>) -> f64 {
        let side = self.held.side.opposite();
        let fill = market.map_or(price, |candle| costs::slipped(price, self.slippage(price, units, candle), side));
        let p = &mut self.held;
        let fee = self.costs.fee_fraction * units * fill;
        self.cash += p.sign * units * fill - fee;
        p.fees += fee;
        p.slippage += (fill - price).abs() * units;
        p.units -= units;
        if FULL && p.sign < 0.0 {
            let borrow = self.costs.borrow(units * fill, time_ms - p.entry_time_ms);
            p.funding += borrow;
            self.cash -= borrow;
        }
        fill
    }

    /// Takes the planned part off at `price`, once.
    #[inline(always)]
    pub(super) fn take_partial(&mut self, price: f64, time_ms: i64) {
        let (Some(p), Some(partial)) = (self.position(), self.plan.partial_take_profit) else { return };
        let units = partial.fraction.get() * p.units;
        self.reduce(units, price, time_ms, None);
        if let Some(p) = self.position_mut() {
            p.exit_notional += units * price;
            p.partial_m = f64::INFINITY;
        }
        self.settle_stop();
    }

    /// Closes the position at its stop level, or at `price` where the candle opened past it.
    #[inline(always)]
    pub(super) fn stop_out(&mut self, price: Option<f64>, candle: FillCandle, bars: usize) {
        let Some(p) = self.position() else { return };
        self.close(price.unwrap_or(p.sign * p.stop_m), p.stop_reason, candle, bars);
    }

    /// Closes what is left of the position at `price`, which slippage moves unless it is a take-profit.
    #[inline(always)]
    pub(super) fn close(&mut self, price: f64, reason: ExitReason, candle: FillCandle, bars: usize) {
        let Some(units) = self.position().map(|p| p.units) else { return };
        // Liquidation of a position whose collateral covers its whole loss stands below zero, where no price is.
        let price = price.max(0.0);
        let market = (reason != ExitReason::TakeProfit).then_some(candle);
        let fill = self.reduce(units, price, candle.time_ms, market);
        self.open = false;
        // A sleeve loses what it holds and no more.
        self.cash = self.cash.max(0.0);
        let p = &self.held;
        let profit = self.cash - p.equity_before;
        // Only a recovery plan asks how many losses there were in a row.
        if FULL {
            if profit < 0.0 {
                self.losses_in_a_row += 1;
            } else if profit > 0.0 {
                self.losses_in_a_row = 0;
            }
        }
        let in_parts = FULL && p.exit_notional > 0.0;
        let exit_price = if in_parts { (p.exit_notional + units * fill) / p.entry_units } else { fill };
        self.tally.trades += 1;
        self.tally.end_of_window_trades += u32::from(reason == ExitReason::EndOfWindow);
        self.tally.digest.trade(p.side, [p.entry_time_ms, candle.time_ms], [p.entry_price, exit_price]);
        if self.keep == Keep::Count {
            return;
        }
        let trade = ClosedTrade {
            side: p.side,
            entry_time_ms: p.entry_time_ms,
            entry_price: p.entry_price,
            exit_time_ms: candle.time_ms,
            exit_price,
            quantity: p.entry_units,
            profit,
            return_fraction: profit / (p.entry_units * p.entry_price),
            fees: p.fees,
            slippage: p.slippage,
            funding: p.funding,
            risk: p.risk,
            exit_reason: reason,
            bars: u32::try_from(bars).unwrap_or(u32::MAX),
        };
        self.records.briefs.push(self.tally.add(&trade));
        if self.keep == Keep::Trades {
            self.records.trades.push(trade);
        }
    }

    /// Pays (or receives) funding at `rate` of the notional at `price`.
    #[inline(always)]
    pub(super) fn pay_funding(&mut self, rate: f64, price: f64) {
        let Some(p) = self.position_mut() else { return };
        let payment = p.sign * rate * p.units * price;
        p.funding += payment;
        self.cash -= payment;
        self.settle_stop();
    }

    /// Prices between which a whole candle leaves the position as it is: its low is above the first, its high below
    /// the second. Outside of them something may happen.
    #[inline(always)]
    pub(super) fn quiet_range(&self) -> (f64, f64) {
        let Some(p) = self.position() else { return (f64::NEG_INFINITY, f64::INFINITY) };
        let mut best_m = if FULL { p.target_m.min(p.partial_m) } else { p.target_m };
        if FULL && p.break_even_m == f64::NEG_INFINITY {
            best_m = best_m.min(p.break_even_trigger_m);
        }
        if FULL && p.trail != Trail::Off {
            best_m = best_m.min(p.best_close_m);
        }
        match p.side {
            Side::Long => (p.stop_m, best_m),
            Side::Short => (-best_m, -p.stop_m),
        }
    }

    /// Moves break-even and trailing stop after a candle has closed at `close`.
    #[inline(always)]
    pub(super) fn candle_closed(&mut self, close: f64) {
        let Some(p) = self.position_mut() else { return };
        let close_m = p.sign * close;
        let mut moved = false;
        if close_m >= p.break_even_trigger_m && p.break_even_m == f64::NEG_INFINITY {
            p.break_even_m = p.sign * p.entry_price;
            moved = true;
        }
        if close_m > p.best_close_m {
            p.best_close_m = close_m;
            if p.trail != Trail::Off {
                p.trailing_m = p.trail.level_m(close_m, p.sign);
                moved = true;
            }
        }
        if moved {
            self.settle_stop();
        }
    }
}
