//! A sleeve traded candle by candle, written down from the definitions, in true prices for both sides.
//!
//! Each candle is a list of moments, in the order in which they can matter: funding due before the open, the open,
//! funding due inside, what lies between low and high (of finer candles first, where the order of two levels is in
//! question), the close, what rules ask for where they are obeyed at the close, and after the last close the end of the window. At each moment the levels that stand are
//! computed anew from what the position is. Nothing is remembered that could be computed, nothing is skipped.

use super::signal::{Atrs, Signals};
use candles::{CandleSeries, Symbol};
use engine::{Costs, ExitReason, FillOn, FundingRate, Side, Terms, Trade};
use genome::{Distance, RiskPlan, Size};

/// One symbol's market as a sleeve trades in it.
#[derive(Clone, Copy)]
pub(crate) struct Market<'a> {
    pub symbol: &'a Symbol,
    /// Candles of the base timeframe, warm-up included.
    pub candles: &'a CandleSeries,
    /// Index of the first candle in the window.
    pub first: usize,
    /// Candles finer than the base timeframe, the finest first.
    pub finer: &'a [&'a CandleSeries],
    pub funding: &'a [FundingRate],
}

/// Closed trades in order, and equity at the close of each candle in the window; at the last after what was open has
/// been closed.
pub(crate) struct SleeveRun {
    pub trades: Vec<Trade>,
    pub equity: Vec<f64>,
}

/// What can happen in a candle, in order.
enum Moment {
    FundingUntil(i64),
    Open,
    Between {
        low: f64,
        high: f64,
    },
    Close,
    /// What rules ask for, where it is done at the close.
    Orders,
    End,
}

/// A position as it was entered, and what has become of it.
struct Holding {
    side: Side,
    index: usize,
    time_ms: i64,
    price: f64,
    quantity: f64,
    equity_before: f64,
    stop_loss: Option<f64>,
    target: Option<f64>,
    part: Option<f64>,
    even_trigger: Option<f64>,
    even_reached: bool,
    trail: Option<Distance>,
    /// At the fill.
    trail_atr: f64,
    best_close: f64,
    left: f64,
    parts_notional: f64,
    fees: f64,
    slippage: f64,
    funding: f64,
    risk: Option<f64>,
}

/// Whether `price` is at `level` or farther against a position of this side.
fn against(side: Side, price: f64, level: f64) -> bool {
    match side {
        Side::Long => price <= level,
        Side::Short => price >= level,
    }
}

/// Whether `price` is at `level` or farther in favour of a position of this side.
fn in_favour(side: Side, price: f64, level: f64) -> bool {
    against(side.opposite(), price, level)
}

/// 1 where prices that rise are meant, -1 where prices that fall.
fn up(side: Side) -> f64 {
    if side == Side::Long { 1.0 } else { -1.0 }
}

/// The price a distance above (1) or below (-1) another.
fn away(price: f64, direction: f64, distance: Distance, atr: f64) -> f64 {
    match distance {
        Distance::Percent(percent) => price * (1.0 + direction * (percent.get() / 100.0)),
        Distance::Atr { multiple, .. } => price + direction * (multiple.get() * atr),
    }
}

impl Holding {
    /// Every level against the position that stands, in the order in which they are named on a tie.
    fn stops(&self, cash: f64, margin: f64) -> Vec<(f64, ExitReason)> {
        let side = self.side;
        // A percentage is of the best close; ATRs are as wide as they were at the fill.
        let trailing = self.trail.map(|distance| match distance {
            Distance::Percent(percent) => self.best_close * (1.0 - up(side) * (percent.get() / 100.0)),
            fixed @ Distance::Atr { .. } => {
                let width = (self.price - away(self.price, -up(side), fixed, self.trail_atr)).abs();
                self.best_close - up(side) * width
            }
        });
        // Where equity is the margin of what is held: cash + up x left x price = margin x left x price.
        let liquidation = match side {
            Side::Long => -cash / (self.left * (1.0 - margin)),
            Side::Short => cash / (self.left * (1.0 + margin)),
        };
        [
            (self.stop_loss, ExitReason::StopLoss),
            (self.even_reached.then_some(self.price), ExitReason::BreakEven),
            (trailing, ExitReason::TrailingStop),
            (Some(liquidation), ExitReason::Liquidation),
        ]
        .into_iter()
        .filter_map(|(level, reason)| Some((level?, reason)))
        .collect()
    }

    /// The nearest of them.
    fn stop(&self, cash: f64, margin: f64) -> (f64, ExitReason) {
        let stops = self.stops(cash, margin);
        let nearer = |a: f64, b: f64| if self.side == Side::Long { a > b } else { a < b };
        stops.into_iter().reduce(|best, next| if nearer(next.0, best.0) { next } else { best }).unwrap()
    }
}

struct Trader<'a> {
    plan: &'a RiskPlan,
    costs: &'a Costs,
    fill_on: FillOn,
    /// The candle that has just closed, while what rules ask for is done at its close.
    closing: Option<usize>,
    market: Market<'a>,
    signals: &'a Signals,
    atrs: &'a Atrs,
    cash: f64,
    losing_streak: u32,
    holding: Option<Holding>,
    trades: Vec<Trade>,
    unpaid: &'a [FundingRate],
}

/// Trades `signals` on one market with a sleeve of `capital`.
pub(crate) fn trade(
    plan: &RiskPlan,
    Terms { costs, fill_on, .. }: &Terms,
    market: Market<'_>,
    signals: &Signals,
    atrs: &Atrs,
    capital: f64,
) -> SleeveRun {
    let (trades, unpaid) = (Vec::new(), market.funding);
    let (cash, losing_streak, holding) = (capital, 0, None);
    let (fill_on, closing) = (*fill_on, None);
    let mut trader =
        Trader { plan, costs, fill_on, closing, market, signals, atrs, cash, losing_streak, holding, trades, unpaid };
    let candles = market.candles;
    let mut equity = Vec::new();
    for i in market.first..candles.len() {
        for moment in trader.moments_before_the_range(i) {
            trader.live(i, moment);
        }
        for moment in trader.moments_from_the_range_on(i) {
            trader.live(i, moment);
        }
        let held = trader.holding.as_ref().map(|h| trader.cash + up(h.side) * h.left * candles.closes()[i]);
        equity.push(held.map_or(trader.cash, |value| value.max(0.0)));
    }
    SleeveRun { trades: trader.trades, equity }
}

impl Trader<'_> {
    fn moments_before_the_range(&self, i: usize) -> Vec<Moment> {
        let candles = self.market.candles;
        let (open_ms, close_ms) = (candles.open_times_ms()[i], candles.close_time_ms(i));
        vec![Moment::FundingUntil(open_ms), Moment::Open, Moment::FundingUntil(close_ms)]
    }

    /// Finer candles come first where the candle touches a stop and a target both; the candle itself follows, since
    /// finer ones with gaps may not show the touch.
    fn moments_from_the_range_on(&self, i: usize) -> Vec<Moment> {
        let candles = self.market.candles;
        let (low, high) = (candles.lows()[i], candles.highs()[i]);
        let mut moments = Vec::new();
        if let Some(h) = &self.holding {
            let (worst, best) = if h.side == Side::Long { (low, high) } else { (high, low) };
            let stop = h.stop(self.cash, self.costs.maintenance_margin_fraction).0;
            let gains = [h.target, h.part].into_iter().flatten().any(|level| in_favour(h.side, best, level));
            if against(h.side, worst, stop) && gains {
                let (from, to) = (candles.open_times_ms()[i], candles.close_time_ms(i));
                // Those decide that have a candle at each moment of this one, the finest of them.
                for finer in self.market.finer {
                    let inside: Vec<usize> =
                        (0..finer.len()).filter(|&k| (from..=to).contains(&finer.open_times_ms()[k])).collect();
                    let covered: i64 =
                        inside.iter().map(|&k| finer.close_time_ms(k) + 1 - finer.open_times_ms()[k]).sum();
                    if covered == to + 1 - from {
                        let between = |&k: &usize| Moment::Between { low: finer.lows()[k], high: finer.highs()[k] };
                        moments.extend(inside.iter().map(between));
                        break;
                    }
                }
            }
        }
        moments.extend([Moment::Between { low, high }, Moment::Close]);
        if self.fill_on == FillOn::Close {
            moments.push(Moment::Orders);
        }
        if i + 1 == candles.len() {
            moments.push(Moment::End);
        }
        moments
    }

    fn live(&mut self, i: usize, moment: Moment) {
        let candles = self.market.candles;
        let open = candles.opens()[i];
        match moment {
            Moment::FundingUntil(time_ms) => {
                while self.unpaid.first().is_some_and(|due| due.time_ms <= time_ms) {
                    let rate = self.unpaid[0].rate;
                    self.unpaid = &self.unpaid[1..];
                    if let Some(h) = &mut self.holding {
                        let payment = up(h.side) * rate * h.left * open;
                        h.funding += payment;
                        self.cash -= payment;
                    }
                }
            }
            Moment::Open if self.fill_on == FillOn::Close => {
                self.at_a_price(i, open, candles.open_times_ms()[i], false);
            }
            Moment::Open => {
                // A signal is the one of the candle before, if that is in the window.
                let Some(signal) = i.checked_sub(1).filter(|&s| s >= self.market.first) else { return };
                let time_ms = candles.open_times_ms()[i];
                let (side_before, asked_to_leave) = self.asked_to_leave(signal);
                self.at_a_price(i, open, time_ms, asked_to_leave);
                self.enter_if_asked(i, open, time_ms, signal, side_before);
            }
            Moment::Orders => {
                let (close, time_ms) = (candles.closes()[i], candles.close_time_ms(i));
                self.closing = Some(i);
                let (side_before, asked_to_leave) = self.asked_to_leave(i);
                if asked_to_leave {
                    let bars = i + 1 - self.holding.as_ref().unwrap().index;
                    self.leave(i, close, ExitReason::Rule, time_ms, bars);
                }
                // After the last candle there is none to hold anything in.
                if i + 1 < candles.len() {
                    self.enter_if_asked(i + 1, close, time_ms, i, side_before);
                }
                self.closing = None;
            }
            Moment::Between { low, high } => {
                let Some(h) = &self.holding else { return };
                let (side, bars) = (h.side, i + 1 - h.index);
                let (worst, best) = if side == Side::Long { (low, high) } else { (high, low) };
                let (target, part) = (h.target, h.part);
                let (stop, reason) = h.stop(self.cash, self.costs.maintenance_margin_fraction);
                if against(side, worst, stop) {
                    return self.leave(i, stop, reason, candles.close_time_ms(i), bars);
                }
                // A part beyond the target is never taken.
                let first = |part: f64| target.is_none_or(|target| in_favour(side, target, part));
                if let Some(part) = part.filter(|&part| in_favour(side, best, part) && first(part)) {
                    self.take_part(part, candles.close_time_ms(i));
                }
                if let Some(target) = target.filter(|&target| in_favour(side, best, target)) {
                    self.leave(i, target, ExitReason::TakeProfit, candles.close_time_ms(i), bars);
                }
            }
            Moment::Close => {
                let Some(h) = &mut self.holding else { return };
                let close = candles.closes()[i];
                h.even_reached |= h.even_trigger.is_some_and(|level| in_favour(h.side, close, level));
                if in_favour(h.side, close, h.best_close) {
                    h.best_close = close;
                }
            }
            Moment::End => {
                if let Some(h) = &self.holding {
                    let bars = i + 1 - h.index;
                    self.leave(i, candles.closes()[i], ExitReason::EndOfWindow, candles.close_time_ms(i), bars);
                }
            }
        }
    }

    /// The side that is held at the close of candle `signal`, and whether its rule asks to leave it.
    fn asked_to_leave(&self, signal: usize) -> (Option<Side>, bool) {
        let side = self.holding.as_ref().map(|h| h.side);
        let asked = match side {
            Some(Side::Long) => self.signals.exit_long[signal],
            Some(Side::Short) => self.signals.exit_short[signal],
            None => false,
        };
        (side, asked)
    }

    /// Enters at a price what the rules asked for at the close of candle `signal`; candle `i` is the first it is held in.
    fn enter_if_asked(&mut self, i: usize, price: f64, time_ms: i64, signal: usize, side_before: Option<Side>) {
        let wanted = [(self.signals.enter_long[signal], Side::Long), (self.signals.enter_short[signal], Side::Short)];
        for (signalled, side) in wanted {
            // Whoever just left a side does not enter it at the same moment; whoever is ruined enters nothing.
            let free = self.holding.is_none() && self.cash > 0.0 && side_before != Some(side);
            if signalled && free {
                self.enter(i, (price, time_ms), signal, side);
                self.at_a_price(i, price, time_ms, false);
            }
        }
    }

    /// What ends (or reduces) the position at a price, before candle `i` takes its course.
    fn at_a_price(&mut self, i: usize, open: f64, time_ms: i64, asked_to_leave: bool) {
        let Some(h) = &self.holding else { return };
        let (side, bars) = (h.side, i - h.index);
        let (stop, reason) = h.stop(self.cash, self.costs.maintenance_margin_fraction);
        let passed = |level: Option<f64>| level.is_some_and(|level| in_favour(side, open, level));
        let reasons = [
            (asked_to_leave, ExitReason::Rule),
            (self.plan.time_exit_bars.is_some_and(|most| bars >= most as usize), ExitReason::TimeExit),
            (against(side, open, stop), reason),
            (passed(h.target), ExitReason::TakeProfit),
        ];
        match reasons.iter().find(|(holds, _)| *holds) {
            Some(&(_, reason)) => self.leave(i, open, reason, time_ms, bars),
            None if passed(h.part) => self.take_part(open, time_ms),
            None => {}
        }
    }

    /// How far an order of `units` at `price` in candle `i` is moved against the trader.
    fn slip(&self, i: usize, price: f64, units: f64) -> f64 {
        // At a close its candle is over: its volume counts, and its ATR is known.
        let (candle, known) = self.closing.map_or((i, i), |closed| (closed, closed + 1));
        let (atr, volume) = (self.atrs.before(known), self.market.candles.volumes()[candle]);
        let charged = self.costs.slippage.fraction(price, units, atr, volume);
        self.costs.max_slippage_bps.map_or(charged, |most| if charged > most / 1e4 { most / 1e4 } else { charged })
    }

    /// Units that the plan asks for at a price, to leave at `exit` if it goes wrong.
    fn size(&self, price: f64, exit: Option<f64>) -> f64 {
        let fee = self.costs.fee_fraction;
        let whole = self.cash / (price * (1.0 + fee));
        let asked = match self.plan.size {
            Size::Fraction(fraction) => fraction.get() * whole,
            // What one unit loses, both fees included; all of the price where nothing stops it.
            Size::Risk(risk) => {
                let lost = match exit.map(|exit| exit.max(0.0)) {
                    Some(exit) => (price - exit).abs() + fee * (price + exit),
                    None => price + fee * price,
                };
                self.cash * risk.get() / lost
            }
        };
        let scale = self.plan.recovery.map_or(1.0, |recovery| {
            (0..self.losing_streak.min(recovery.max_steps)).fold(1.0, |scale, _| scale * recovery.multiplier.get())
        });
        (asked * scale).min(self.plan.leverage.get() * whole)
    }

    fn enter(&mut self, i: usize, (open, time_ms): (f64, i64), signal: usize, side: Side) {
        let (plan, atrs, direction) = (self.plan, self.atrs.at(signal), up(side));
        let stop_at = |price: f64| plan.stop_loss.map(|d| away(price, -direction, d, atrs.stop_loss));
        let estimate = self.size(open, stop_at(open));
        let slip = self.slip(i, open, estimate);
        let price = open * (1.0 + direction * slip);
        let stop_loss = stop_at(price);
        let exit = |stop: f64| if slip == 0.0 { stop } else { stop * (1.0 - direction * self.slip(i, stop, estimate)) };
        let quantity = self.size(price, stop_loss.map(exit));
        if !(quantity > 0.0 && quantity.is_finite()) {
            return;
        }
        let fee = self.costs.fee_fraction * quantity * price;
        let equity_before = self.cash;
        self.cash -= direction * quantity * price + fee;
        let gain = |d: Option<Distance>, atr: f64| d.map(|d| away(price, direction, d, atr));
        let trailing = plan.trailing_stop.map(|d| match d {
            Distance::Percent(percent) => price * (1.0 - direction * (percent.get() / 100.0)),
            Distance::Atr { .. } => price - direction * (price - away(price, -direction, d, atrs.trailing_stop)).abs(),
        });
        // What the nearer of stop-loss and trailing stop would lose, filled at its level.
        let nearest = match (stop_loss, trailing) {
            (Some(a), Some(b)) => Some(if side == Side::Long { a.max(b) } else { a.min(b) }),
            (a, b) => a.or(b),
        };
        let risk = nearest.map(|level| level.max(0.0)).and_then(|level| {
            let exit = level * (1.0 - direction * self.slip(i, level, quantity));
            let loss = direction * quantity * (price - exit) + fee + self.costs.fee_fraction * quantity * exit;
            (loss > 0.0 && loss.is_finite()).then_some(loss)
        });
        self.holding = Some(Holding {
            side,
            index: i,
            time_ms,
            price,
            quantity,
            equity_before,
            stop_loss,
            target: gain(plan.take_profit, atrs.take_profit),
            part: gain(plan.partial_take_profit.map(|p| p.at), atrs.partial_take_profit),
            even_trigger: gain(plan.break_even, atrs.break_even),
            even_reached: false,
            trail: plan.trailing_stop,
            trail_atr: atrs.trailing_stop,
            best_close: price,
            left: quantity,
            parts_notional: 0.0,
            fees: fee,
            slippage: (price - open).abs() * quantity,
            funding: 0.0,
            risk,
        });
    }

    /// Books a fill of `units` out of the position.
    fn fill_out(&mut self, price: f64, fill: f64, units: f64, time_ms: i64) {
        let h = self.holding.as_mut().unwrap();
        let fee = self.costs.fee_fraction * units * fill;
        self.cash += up(h.side) * units * fill - fee;
        h.fees += fee;
        h.slippage += (fill - price).abs() * units;
        h.left -= units;
        if h.side == Side::Short {
            // The loan of what is bought back.
            let years = (time_ms - h.time_ms) as f64 / (365.0 * 86_400_000.0);
            let loan = self.costs.borrow_rate_per_year * years * (units * fill);
            h.funding += loan;
            self.cash -= loan;
        }
    }

    /// Takes the planned part off, once, as a resting order: no slippage.
    fn take_part(&mut self, price: f64, time_ms: i64) {
        let h = self.holding.as_mut().unwrap();
        let units = self.plan.partial_take_profit.unwrap().fraction.get() * h.left;
        (h.part, h.parts_notional) = (None, h.parts_notional + units * price);
        self.fill_out(price, price, units, time_ms);
    }

    /// Ends the position. Only a take-profit gets its own price.
    fn leave(&mut self, i: usize, price: f64, reason: ExitReason, time_ms: i64, bars: usize) {
        let h = self.holding.as_ref().unwrap();
        let (units, price) = (h.left, price.max(0.0));
        let fill = match reason {
            ExitReason::TakeProfit => price,
            _ => price * (1.0 - up(h.side) * self.slip(i, price, units)),
        };
        self.fill_out(price, fill, units, time_ms);
        let h = self.holding.take().unwrap();
        self.cash = self.cash.max(0.0);
        let profit = self.cash - h.equity_before;
        self.losing_streak = match profit {
            p if p < 0.0 => self.losing_streak + 1,
            p if p > 0.0 => 0,
            _ => self.losing_streak,
        };
        let exit_price = if h.parts_notional > 0.0 { (h.parts_notional + units * fill) / h.quantity } else { fill };
        self.trades.push(Trade {
            symbol: self.market.symbol.clone(),
            side: h.side,
            entry_time_ms: h.time_ms,
            entry_price: h.price,
            exit_time_ms: time_ms,
            exit_price,
            quantity: h.quantity,
            profit,
            return_fraction: profit / (h.quantity * h.price),
            fees: h.fees,
            slippage: h.slippage,
            funding: h.funding,
            risk: h.risk,
            exit_reason: reason,
            bars: u32::try_from(bars).unwrap(),
        });
    }
}
