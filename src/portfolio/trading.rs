//! One strategy's trading over a panel, from slot to slot, as the definitions order it (section 7.5).
//!
//! In each slot: orders fill at its open; at its close funding is paid, instruments end, equity is taken, and where the
//! clock says so targets are set, whose orders fill at the open after. Nothing later than that close is looked at. Where
//! fills are at the close ([`FillOn::Close`]), orders fill at the very close at which targets are set, after equity was
//! taken, and those that found no candle are tried at further closes; what that trades counts as the next slot's.

use crate::{
    Execution, Panel, PortfolioTerms, Rebalance, Seat, Slot, Track,
    account::{Account, Fill},
    grid::Grid,
    prepared::{Atr, Ready},
    slopes::betas,
    weights::{self, Ranked},
};
use candles::{MarketKind, interval, time::DAY_MS};
use engine::{FillOn, Slippage};
use genome::{Number, Ranking};
use std::collections::VecDeque;

/// An instrument ends once so much of its candles in a row is missing.
const MISSING_MS: i64 = 7 * DAY_MS;
const YEAR_MS: f64 = 365.0 * DAY_MS as f64;

struct Order {
    instrument: u32,
    units: f64,
    /// Equity at the decision.
    equity: f64,
    /// Number of the window's slot at whose open it is tried first.
    due: usize,
    tries: u32,
}

pub(crate) struct Trader<'a> {
    pub(crate) strategy: &'a Ranking,
    pub(crate) panel: &'a Panel,
    pub(crate) terms: &'a PortfolioTerms,
    pub(crate) ready: &'a Ready,
    /// Targets by time, ascending, in place of those that the strategy would set.
    pub(crate) told: Option<&'a [Rebalance]>,
}

/// What changes from slot to slot.
struct State<'a> {
    account: Account,
    grid: &'a Grid,
    /// The last slot of the panel that has closed.
    seen: Option<usize>,
    /// By number of the instrument.
    orders: Vec<Order>,
    /// Unsmoothed weights of the last rebalances, the newest last, one place an instrument; and rows for the next.
    history: VecDeque<Vec<f64>>,
    spare: Vec<Vec<f64>>,
    lapsed: u32,
    liquidated_ms: Option<i64>,
}

impl State<'_> {
    /// The last close of an instrument.
    fn last_close(&self, panel: &Panel, instrument: u32) -> Option<f64> {
        let close = self.grid.closes(self.seen?)[instrument as usize];
        if !close.is_nan() {
            return Some(close);
        }
        Some(panel.instruments()[instrument as usize].candles().closes()[self.last(instrument)?])
    }

    /// The last candle of an instrument that has closed.
    fn last(&self, instrument: u32) -> Option<usize> {
        self.grid.last(self.seen?, instrument)
    }
}

impl Trader<'_> {
    pub(crate) fn run(&self, from_ms: i64, to_ms: i64) -> Track {
        let timeframe = self.panel.interval();
        let mut state = State {
            account: Account::new(self.terms.initial_capital, self.panel.instruments().len()),
            grid: self.panel.grid(),
            seen: self.panel.opens_ms().partition_point(|&open| open < from_ms).checked_sub(1),
            orders: Vec::new(),
            history: VecDeque::new(),
            spare: Vec::new(),
            lapsed: 0,
            liquidated_ms: None,
        };
        let (mut slots, mut rebalances) = (Vec::new(), Vec::new());
        let at_close = self.terms.fill_on == FillOn::Close;
        let mut traded_at_close = 0.0;
        let mut open_ms = interval::first_open_time_ms(timeframe, from_ms);
        while open_ms < to_ms {
            let close_ms = interval::next_open_time_ms(timeframe, open_ms);
            let slot = match state.seen.map_or(0, |seen| seen + 1) {
                next if self.panel.opens_ms().get(next) == Some(&open_ms) => Some(next),
                _ => None,
            };
            let turnover = if at_close {
                std::mem::take(&mut traded_at_close)
            } else {
                self.fill_orders(&mut state, slots.len(), slot, open_ms)
            };
            state.seen = slot.or(state.seen);
            let (mut worth, missing) = match slot {
                Some(slot) => state.account.value(state.grid.closes(slot)),
                None => (state.account.worth(), true),
            };
            let paid = self.pay(&mut state, slot, open_ms, close_ms);
            let ended = missing && self.end_instruments(&mut state, slot, close_ms);
            if paid || ended {
                worth = state.account.worth();
            }
            let least = self.terms.execution.maintenance_margin_fraction * worth.gross;
            if !state.account.held().is_empty() && worth.equity <= least {
                state.account.liquidate(close_ms, self.terms.costs.delisting_fraction);
                state.orders.clear();
                state.liquidated_ms = Some(close_ms);
                worth = state.account.worth();
            }
            let names = state.account.held().len() as u32;
            slots.push(Slot {
                time_ms: close_ms,
                equity: worth.equity,
                gross: worth.gross,
                net: worth.net,
                names,
                turnover,
            });
            let on_clock = match self.told {
                Some(told) => told.binary_search_by_key(&close_ms, |r| r.time_ms).is_ok(),
                None => interval::open_time_ms(self.strategy.rebalance, close_ms) == close_ms,
            };
            if on_clock && close_ms > from_ms && close_ms < to_ms && state.liquidated_ms.is_none() {
                rebalances.push(self.rebalance(&mut state, slots.len(), slot, close_ms, worth.equity));
            }
            if at_close && close_ms < to_ms {
                traded_at_close = self.fill_orders(&mut state, slots.len(), slot, close_ms);
            }
            open_ms = close_ms;
        }
        let slots_turnover = slots.iter().map(|s: &Slot| s.turnover).sum();
        let mut account = state.account;
        Track {
            open: account.open(open_ms),
            gains: account.gains(),
            closed: account.into_closed(),
            slots,
            rebalances,
            turnover: slots_turnover,
            lapsed: state.lapsed,
            liquidated_ms: state.liquidated_ms,
        }
    }

    /// Orders that are due fill at the open of the candle that opens in this slot, or at the close of that which closed with
    /// it; without one they wait, or lapse. Gives what was traded over equity at the decision.
    fn fill_orders(&self, state: &mut State<'_>, number: usize, slot: Option<usize>, time_ms: i64) -> f64 {
        let at_close = self.terms.fill_on == FillOn::Close;
        let mut turnover = 0.0;
        if state.orders.is_empty() {
            return turnover;
        }
        let mut orders = std::mem::take(&mut state.orders);
        orders.retain_mut(|order| {
            if order.due > number {
                return true;
            }
            let prices = slot.map(|slot| if at_close { state.grid.closes(slot) } else { state.grid.opens(slot) });
            let price = prices.map_or(f64::NAN, |prices| prices[order.instrument as usize]);
            if price.is_nan() {
                if order.tries == 0 {
                    state.lapsed += 1;
                    return false;
                }
                order.tries -= 1;
                return true;
            }
            let target = in_lots(order.units, price, self.terms.execution.lot_notional);
            let place = state.account.find(order.instrument);
            let units = target - state.account.units_at(place);
            let value = units.abs() * price;
            let costs = self.terms.costs;
            let (atr, volume) = self.of_candle(state, slot, order.instrument);
            if (target != 0.0 && value < self.terms.execution.least_notional) || atr.is_nan() {
                return false;
            }
            let slippage_fraction = costs.slippage_fraction(price, units.abs(), atr, volume);
            let fill = Fill { time_ms, units, price, fee_fraction: costs.fee_fraction, slippage_fraction };
            state.account.fill_at(place, order.instrument, &fill);
            turnover += value / order.equity;
            false
        });
        state.orders = orders;
        turnover
    }

    /// What slippage asks about the candle of an instrument in which an order fills: the ATR that is known at the fill, and
    /// its volume.
    fn of_candle(&self, state: &State<'_>, slot: Option<usize>, instrument: u32) -> (f64, f64) {
        if matches!(self.terms.costs.slippage, Slippage::Fixed { .. }) {
            return (0.0, 0.0);
        }
        let Some(candle) = slot.and_then(|slot| state.grid.last(slot, instrument)) else { return (f64::NAN, 0.0) };
        let known = if self.terms.fill_on == FillOn::Close { Some(candle) } else { candle.checked_sub(1) };
        let atr_before = |atr: &Atr| known.map_or(f64::NAN, |known| atr.at(instrument, known));
        let volumes = self.panel.instruments()[instrument as usize].candles().volumes();
        (self.ready.atr.as_deref().map_or(0.0, atr_before), volumes[candle])
    }

    /// Funding that fell due after the slot's open, up to its close; and what borrowed units cost in it. Gives whether
    /// anything was paid.
    fn pay(&self, state: &mut State<'_>, slot: Option<usize>, open_ms: i64, close_ms: i64) -> bool {
        let rate = self.terms.execution.borrow_rate_per_year;
        let borrows = self.panel.market() == MarketKind::Spot && rate != 0.0;
        let pays = slot.is_none_or(|slot| state.grid.pays(slot));
        if pays {
            for at in 0..state.account.held().len() {
                let number = state.account.held()[at];
                let instrument = &self.panel.instruments()[number as usize];
                let (funding, closes) = (instrument.funding(), instrument.candles().closes());
                let due = match slot {
                    Some(slot) => state.grid.due(slot, number),
                    None => {
                        let by = |ms| funding.partition_point(|f| f.time_ms <= ms);
                        by(open_ms)..by(close_ms)
                    }
                };
                let Some(last) = state.last(number) else { continue };
                let opened = slot.is_some_and(|slot| instrument.slots()[last] as usize == slot);
                for payment in &funding[due] {
                    // The candle of this slot has closed only by its end.
                    let known = if payment.time_ms < close_ms && opened && last > 0 { last - 1 } else { last };
                    state.account.pay_funding(number, payment.rate, closes[known]);
                }
            }
        }
        if borrows {
            state.account.pay_borrow(rate * ((close_ms - open_ms) as f64 / YEAR_MS));
        }
        pays || borrows
    }

    /// Closes what is held of instruments that end with this slot; gives whether any did.
    fn end_instruments(&self, state: &mut State<'_>, slot: Option<usize>, close_ms: i64) -> bool {
        let Execution { frozen_exit_fraction, .. } = self.terms.execution;
        let cost = self.terms.costs.delisting_fraction.max(frozen_exit_fraction);
        let before = state.account.held().len();
        let mut at = 0;
        while let Some(&number) = state.account.held().get(at) {
            at += 1;
            let instrument = &self.panel.instruments()[number as usize];
            let Some(last) = state.last(number) else { continue };
            if slot.is_some_and(|slot| instrument.slots()[last] as usize == slot) {
                continue;
            }
            let is_followed = instrument.next_opens_ms().is_some_and(|next| next < close_ms);
            let last_close_ms = self.panel.close_ms(instrument.slots()[last] as usize);
            let is_gone = close_ms - last_close_ms >= MISSING_MS && close_ms <= self.panel.end_ms();
            if is_followed || is_gone {
                state.account.end(number, close_ms, cost);
                state.orders.retain(|order| order.instrument != number);
                at -= 1;
            }
        }
        state.account.held().len() < before
    }

    /// Sets targets and leaves their orders.
    fn rebalance(
        &self,
        state: &mut State<'_>,
        next: usize,
        slot: Option<usize>,
        time_ms: i64,
        equity: f64,
    ) -> Rebalance {
        if let Some(told) = self.told {
            let at = told.binary_search_by_key(&time_ms, |r| r.time_ms);
            let mut rebalance = at.map_or_else(|_| Rebalance::nothing(time_ms), |at| told[at].clone());
            self.hold_to_limits(&mut rebalance.targets, slot);
            self.order(state, &rebalance.targets, next, equity);
            return rebalance;
        }
        let Ready { scores, members, .. } = self.ready;
        let places = slot.map_or(0..0, |slot| members.places(slot));
        let count = places.len() as u32;
        let (left, values) = scores.at(places);
        let volatilities: Option<Vec<f64>> =
            scores.volatility.as_ref().map(|v| left.iter().map(|place| v[*place]).collect());
        let left: Vec<Seat> = left.into_iter().map(|place| members.seats()[place]).collect();
        let betas = self.strategy.weights.beta_neutral.map(|returns| betas(self.panel, &left, returns as usize));
        let ranked = Ranked { scores: &values, volatilities: volatilities.as_deref(), betas: betas.as_deref() };
        let raw = weights::target(&self.strategy.weights, self.strategy.gross.get(), &ranked);
        let mut targets = self.smoothed(state, &left, &raw);
        self.hold_to_limits(&mut targets, slot);
        self.order(state, &targets, next, equity);
        Rebalance { time_ms, targets, members: count, ranked: left.len() as u32 }
    }

    /// The mean of these weights and those of the rebalances before, by number of the instrument; those that are not 0.
    fn smoothed(&self, state: &mut State<'_>, left: &[Seat], raw: &[f64]) -> Vec<(u32, f64)> {
        let instruments = self.panel.instruments().len();
        if state.history.len() >= self.strategy.weights.smooth as usize {
            state.spare.extend(state.history.pop_front());
        }
        let mut row = state.spare.pop().unwrap_or_default();
        row.clear();
        row.resize(instruments, 0.0);
        left.iter().zip(raw).for_each(|(seat, weight)| row[seat.instrument as usize] = *weight);
        state.history.push_back(row);
        let mut sums = state.spare.pop().unwrap_or_default();
        sums.clear();
        sums.resize(instruments, 0.0);
        for row in &state.history {
            sums.iter_mut().zip(row).for_each(|(sum, weight)| *sum += weight);
        }
        let count = state.history.len() as f64;
        sums.iter_mut().for_each(|sum| *sum /= count);
        // Weights of opposite signs that cancel leave nothing but rounding, which is no target.
        let least = weights::ROUNDING * sums.iter().fold(0.0_f64, |most, target| most.max(target.abs()));
        let targets = (0..).zip(&sums).filter(|(_, target)| target.abs() > least).map(|(i, target)| (i, *target));
        let targets = targets.collect();
        state.spare.push(sums);
        targets
    }

    /// What cannot be sold short is not, and no more is held than may be.
    fn hold_to_limits(&self, targets: &mut Vec<(u32, f64)>, slot: Option<usize>) {
        let Execution { greatest_gross, greatest_one_sided_gross, .. } = self.terms.execution;
        if let Some(lenders) = &self.ready.lenders {
            let seats = slot.map(|slot| lenders.at(slot)).unwrap_or_default();
            let is_lent = |instrument: &u32| seats.binary_search_by_key(instrument, |s| s.instrument).is_ok();
            targets.retain(|(instrument, target)| *target > 0.0 || is_lent(instrument));
        }
        let gross: f64 = targets.iter().map(|(_, t)| t.abs()).sum();
        let one_sided = targets.iter().all(|(_, t)| *t > 0.0) || targets.iter().all(|(_, t)| *t < 0.0);
        let limits = [(true, greatest_gross), (one_sided, greatest_one_sided_gross)];
        let most = limits.into_iter().filter(|(holds, most)| *holds && *most > 0.0).map(|(_, most)| most);
        let most = most.fold(f64::INFINITY, f64::min);
        if gross > most {
            targets.iter_mut().for_each(|(_, target)| *target *= most / gross);
        }
    }

    fn order(&self, state: &mut State<'_>, targets: &[(u32, f64)], next: usize, equity: f64) {
        let band = self.strategy.weights.band.map_or(0.0, Number::get);
        let Execution { delay_candles, retry_candles, .. } = self.terms.execution;
        let due = next + delay_candles as usize;
        let mut orders = std::mem::take(&mut state.orders);
        orders.clear();
        let (mut wanted, mut held) = (targets.iter().peekable(), state.account.positions().peekable());
        loop {
            // Both are in ascending order of numbers.
            let instrument = match (wanted.peek(), held.peek()) {
                (Some((a, _)), Some((b, ..))) => *a.min(b),
                (Some((a, _)), None) => *a,
                (None, Some((b, ..))) => *b,
                (None, None) => break,
            };
            let target = wanted.next_if(|(i, _)| *i == instrument).map_or(0.0, |(_, target)| *target);
            let (units_held, price) = match held.next_if(|(i, ..)| *i == instrument) {
                Some((_, units, price)) => (units, price),
                None => match state.last_close(self.panel, instrument) {
                    Some(price) => (0.0, price),
                    None => continue,
                },
            };
            if target != 0.0 && (target - units_held * price / equity).abs() < band {
                continue;
            }
            let units = target * equity / price;
            if units != units_held {
                orders.push(Order { instrument, units, equity, due, tries: retry_candles });
            }
        }
        state.orders = orders;
    }
}

/// Units rounded toward 0 to whole multiples of the greatest power of ten that is worth at most `lot_notional`.
fn in_lots(units: f64, price: f64, lot_notional: f64) -> f64 {
    if lot_notional == 0.0 {
        return units;
    }
    let exponent = (lot_notional / price).log10().floor() as i32;
    let per_unit = 10.0_f64.powi(-exponent);
    // 1e-9 of a lot: 3 lots that are 2.9999999999 after arithmetic are 3.
    let lots = units * per_unit;
    (lots + 1e-9 * lots.signum()).trunc() / per_unit
}
