//! Orders: from targets to units, and from units to fills (definitions, section 7.5). Chooses no targets.

use crate::{
    Execution,
    account::Fill,
    prepared::Atr,
    state::{Order, State, Trader},
};
use engine::{FillOn, Slippage};
use genome::Number;

impl Trader<'_> {
    /// Orders that are due fill at the open of the candle that opens in this slot, or at the close of that which closed with
    /// it; without one they wait, or lapse. Gives what was traded over equity at the decision.
    pub(crate) fn fill_orders(&self, state: &mut State<'_>, number: usize, slot: Option<usize>, time_ms: i64) -> f64 {
        let mut turnover = 0.0;
        if state.orders.open.is_empty() || state.orders.due > number {
            return turnover;
        }
        let at_close = self.terms.fill_on == FillOn::Close;
        let mut orders = std::mem::take(&mut state.orders);
        let prices = slot.map(|slot| if at_close { state.grid.closes(slot) } else { state.grid.opens(slot) });
        let (costs, execution) = (&self.terms.costs, &self.terms.execution);
        // What is the same for every order is asked once.
        let fixed =
            matches!(costs.slippage, Slippage::Fixed { .. }).then(|| costs.slippage_fraction(1.0, 1.0, 0.0, 0.0));
        // Both orders and what is held are in ascending order of numbers.
        let mut at = 0;
        orders.open.retain_mut(|order| {
            let price = prices.map_or(f64::NAN, |prices| prices[order.instrument as usize]);
            if price.is_nan() {
                if order.tries == 0 {
                    state.lapsed += 1;
                    return false;
                }
                order.tries -= 1;
                return true;
            }
            let target = in_lots(order.units, price, execution.lot_notional);
            let held = state.account.held();
            while held.get(at).is_some_and(|&number| number < order.instrument) {
                at += 1;
            }
            let place = if held.get(at) == Some(&order.instrument) { Ok(at) } else { Err(at) };
            let units = target - state.account.units_at(place);
            let value = units.abs() * price;
            if target != 0.0 && value < execution.least_notional {
                return false;
            }
            let slippage_fraction = match fixed {
                Some(fraction) => fraction,
                None => {
                    let (atr, volume) = self.of_candle(state, slot, order.instrument);
                    if atr.is_nan() {
                        return false;
                    }
                    costs.slippage_fraction(price, units.abs(), atr, volume)
                }
            };
            let fill = Fill { time_ms, units, price, fee_fraction: costs.fee_fraction, slippage_fraction };
            state.account.fill_at(place, order.instrument, &fill);
            turnover += value / orders.equity;
            false
        });
        state.account.settle();
        state.orders = orders;
        turnover
    }

    /// What slippage asks about the candle of an instrument in which an order fills: the ATR that is known at the fill, and
    /// its volume.
    fn of_candle(&self, state: &State<'_>, slot: Option<usize>, instrument: u32) -> (f64, f64) {
        let Some(candle) = slot.and_then(|slot| state.grid.last(slot, instrument)) else { return (f64::NAN, 0.0) };
        let known = if self.terms.fill_on == FillOn::Close { Some(candle) } else { candle.checked_sub(1) };
        let atr_before = |atr: &Atr| known.map_or(f64::NAN, |known| atr.at(instrument, known));
        let volumes = self.panel.instruments()[instrument as usize].candles().volumes();
        (self.ready.atr.as_deref().map_or(0.0, atr_before), volumes[candle])
    }

    /// Leaves the orders that make of what is held the targets that were set, for the slot of this number and after.
    pub(crate) fn order(&self, state: &mut State<'_>, next: usize, equity: f64) {
        let band = self.strategy.weights.band.map_or(0.0, Number::get);
        let Execution { delay_candles, retry_candles: tries, .. } = self.terms.execution;
        let mut orders = std::mem::take(&mut state.orders);
        orders.open.clear();
        (orders.equity, orders.due) = (equity, next + delay_candles as usize);
        let targets = state.targets.newest();
        let (held, units, prices) = state.account.positions();
        let (mut wanted, mut place) = (0, 0);
        loop {
            // Both are in ascending order of numbers.
            let of_target = targets.get(wanted).map_or(u32::MAX, |(instrument, _)| *instrument);
            let of_held = held.get(place).copied().unwrap_or(u32::MAX);
            let instrument = of_target.min(of_held);
            if instrument == u32::MAX {
                break;
            }
            let mut target = 0.0;
            if of_target == instrument {
                (target, wanted) = (targets[wanted].1, wanted + 1);
            }
            let (units_held, price) = if of_held == instrument {
                place += 1;
                (units[place - 1], prices[place - 1])
            } else {
                match state.last_close(self.panel, instrument) {
                    Some(price) => (0.0, price),
                    None => continue,
                }
            };
            if target != 0.0 && band > 0.0 && (target - units_held * price / equity).abs() < band {
                continue;
            }
            let units = target * equity / price;
            if units != units_held {
                orders.open.push(Order { instrument, units, tries });
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
