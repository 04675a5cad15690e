//! One strategy's trading over a panel, from slot to slot, as the definitions order it (section 7.5).
//!
//! In each slot: orders fill at its open; at its close funding is paid, instruments end, equity is taken, and where the
//! clock says so targets are set, whose orders fill at the open after. Nothing later than that close is looked at. Where
//! fills are at the close ([`FillOn::Close`]), orders fill at the very close at which targets are set, after equity was
//! taken, and those that found no candle are tried at further closes; what that trades counts as the next slot's.

use crate::{
    Execution, Slot, Track,
    account::Account,
    state::{Orders, State, Targets, Trader},
};
use candles::{MarketKind, interval, time::DAY_MS};
use engine::FillOn;

/// An instrument ends once so much of its candles in a row is missing.
const MISSING_MS: i64 = 7 * DAY_MS;
const YEAR_MS: f64 = 365.0 * DAY_MS as f64;

impl Trader<'_> {
    /// Slots that open in `[from_ms, to_ms)`; rebalances are kept where somebody wants to know.
    pub(crate) fn run(&self, from_ms: i64, to_ms: i64, keeps: bool) -> Track {
        let timeframe = self.panel.interval();
        let mut state = State {
            account: Account::new(self.terms.initial_capital, self.panel.instruments().len()),
            grid: self.panel.grid(),
            seen: self.panel.opens_ms().partition_point(|&open| open < from_ms).checked_sub(1),
            orders: Orders::default(),
            targets: Targets::default(),
            lapsed: 0,
            liquidated_ms: None,
        };
        let opens = self.panel.opens_ms();
        let count = opens.partition_point(|&open| open < to_ms) - opens.partition_point(|&open| open < from_ms);
        let (mut slots, mut rebalances) = (Vec::with_capacity(count), Vec::new());
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
                let (members, ranked) = self.rebalance(&mut state, slots.len(), (slot, close_ms), worth.equity);
                if keeps {
                    rebalances.push(state.targets.told(close_ms, members, ranked));
                }
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
                state.orders.forget(number);
                at -= 1;
            }
        }
        state.account.held().len() < before
    }
}
