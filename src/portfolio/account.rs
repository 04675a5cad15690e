//! Units and cash: what is held, what it is worth, and what each change of it costs.
//!
//! Knows prices and numbers of instruments; decides nothing. Every sum of quote units that enters or leaves is booked
//! with the instrument that it is of, so that the account's gain is the sum of what its instruments gave.

use serde::Serialize;
use std::collections::BTreeMap;

/// What an instrument gave, quote units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Gain {
    /// Gain of what was held long, after costs and funding.
    pub long: f64,
    /// Of what was held short.
    pub short: f64,
    /// Fees paid, what ends of instruments cost included.
    pub fees: f64,
    /// What slippage cost.
    pub slippage: f64,
    /// Funding paid, negative when received.
    pub funding: f64,
    /// Paid for what was borrowed.
    pub borrow: f64,
    /// Sum of the absolute values of what was traded.
    pub traded: f64,
}

/// A name's stay in one leg: from no units, or units of the other sign, to none or to the other sign.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Closed {
    /// Number of the instrument.
    pub instrument: u32,
    /// Whether it was long.
    pub long: bool,
    /// When it began, UTC ms.
    pub entry_ms: i64,
    /// When it ended, UTC ms.
    pub exit_ms: i64,
    /// Net gain, quote units.
    pub profit: f64,
    /// The greatest value that was held, quote units.
    pub greatest: f64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Holding {
    /// 0 where nothing is held.
    units: f64,
    /// The price at which the units are in the books.
    mark: f64,
    entry_ms: i64,
    profit: f64,
    greatest: f64,
}

/// What is held. One place an instrument, so that a look at it costs no search.
#[derive(Clone, Debug)]
pub struct Account {
    cash: f64,
    /// By number of the instrument.
    holdings: Vec<Holding>,
    gains: Vec<Gain>,
    /// Whether an instrument was ever held.
    traded: Vec<bool>,
    /// Numbers of what is held, ascending.
    held: Vec<u32>,
    closed: Vec<Closed>,
}

/// What all that is held is worth at the marks, quote units.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Worth {
    /// Cash and what is held.
    pub equity: f64,
    /// Sum of the absolute values held.
    pub gross: f64,
    /// Sum of the values held, short ones negative.
    pub net: f64,
}

/// A change of units and what it costs.
#[derive(Clone, Copy, Debug)]
pub struct Fill {
    /// When, UTC ms.
    pub time_ms: i64,
    /// Units bought (sold: negative).
    pub units: f64,
    /// Price before slippage.
    pub price: f64,
    /// Fee, a fraction of units x price.
    pub fee_fraction: f64,
    /// Slippage, likewise.
    pub slippage_fraction: f64,
}

impl Account {
    /// Cash alone, quote units, and room for `instruments` instruments.
    #[must_use]
    pub fn new(cash: f64, instruments: usize) -> Self {
        Self {
            cash,
            holdings: vec![Holding::default(); instruments],
            gains: vec![Gain::default(); instruments],
            traded: vec![false; instruments],
            held: Vec::new(),
            closed: Vec::new(),
        }
    }

    /// Cash and what is held, at the marks.
    #[must_use]
    pub fn worth(&self) -> Worth {
        let (mut net, mut gross) = (0.0, 0.0);
        for &i in &self.held {
            let Holding { units, mark, .. } = self.holdings[i as usize];
            net += units * mark;
            gross += (units * mark).abs();
        }
        Worth { equity: self.cash + net, gross, net }
    }

    /// Numbers of the instruments held, ascending.
    #[must_use]
    pub fn held(&self) -> &[u32] {
        &self.held
    }

    /// Units of an instrument; 0 if it is not held.
    #[must_use]
    pub fn units(&self, instrument: u32) -> f64 {
        self.holdings[instrument as usize].units
    }

    /// Stays that ended, in order.
    #[must_use]
    pub fn closed(&self) -> &[Closed] {
        &self.closed
    }

    /// The same, when nothing else is wanted any more.
    #[must_use]
    pub fn into_closed(self) -> Vec<Closed> {
        self.closed
    }

    /// What each instrument gave that was ever held.
    #[must_use]
    pub fn gains(&self) -> BTreeMap<u32, Gain> {
        let numbered = (0..).zip(self.gains.iter().zip(&self.traded));
        numbered.filter(|(_, (_, traded))| **traded).map(|(i, (gain, _))| (i, *gain)).collect()
    }

    /// Stays that are not over, as if they ended at `time_ms`.
    #[must_use]
    pub fn open(&self, time_ms: i64) -> Vec<Closed> {
        self.held.iter().map(|&i| self.holdings[i as usize].closed(i, time_ms)).collect()
    }

    /// Values what is held of an instrument at a price.
    #[inline]
    pub fn mark(&mut self, instrument: u32, price: f64) {
        let holding = &mut self.holdings[instrument as usize];
        if holding.units == 0.0 {
            return;
        }
        let change = holding.units * (price - holding.mark);
        holding.mark = price;
        holding.greatest = holding.greatest.max((holding.units * price).abs());
        holding.profit += change;
        let gain = &mut self.gains[instrument as usize];
        *(if holding.units > 0.0 { &mut gain.long } else { &mut gain.short }) += change;
    }

    /// Pays funding of what is held of an instrument: `price` is its last close.
    pub fn pay_funding(&mut self, instrument: u32, rate: f64, price: f64) {
        let paid = self.units(instrument) * rate * price;
        self.pay(instrument, paid, |gain| &mut gain.funding);
    }

    /// Pays for what is sold short of an instrument: `rate` of its value at the mark.
    pub fn pay_borrow(&mut self, instrument: u32, rate: f64) {
        let Holding { units, mark, .. } = self.holdings[instrument as usize];
        if units < 0.0 {
            self.pay(instrument, -units * mark * rate, |gain| &mut gain.borrow);
        }
    }

    fn pay(&mut self, instrument: u32, paid: f64, kind: impl Fn(&mut Gain) -> &mut f64) {
        let holding = &mut self.holdings[instrument as usize];
        if holding.units == 0.0 {
            return;
        }
        self.cash -= paid;
        holding.profit -= paid;
        let gain = &mut self.gains[instrument as usize];
        *kind(gain) += paid;
        *(if holding.units > 0.0 { &mut gain.long } else { &mut gain.short }) -= paid;
    }

    /// Buys or sells. What is held before is valued at the price first. Costs of a fill that changes the sign are those
    /// of both stays in proportion.
    pub fn fill(&mut self, instrument: u32, fill: &Fill) {
        let Fill { time_ms, units, price, .. } = *fill;
        if units == 0.0 {
            return;
        }
        self.mark(instrument, price);
        let i = instrument as usize;
        let before = self.holdings[i].units;
        let closes = if before * units < 0.0 { units.abs().min(before.abs()) } else { 0.0 };
        let after = if closes == units.abs() && closes == before.abs() { 0.0 } else { before + units };
        let value = units.abs() * price;
        let (fee, slippage) = (value * fill.fee_fraction, value * fill.slippage_fraction);
        let cost = fee + slippage;
        self.cash -= units * price + cost;
        self.traded[i] = true;
        let (gain, holding) = (&mut self.gains[i], &mut self.holdings[i]);
        gain.fees += fee;
        gain.slippage += slippage;
        gain.traded += value;
        let crosses = before * after < 0.0;
        if before != 0.0 {
            let share = if crosses { closes / units.abs() } else { 1.0 };
            *(if before > 0.0 { &mut gain.long } else { &mut gain.short }) -= cost * share;
            holding.profit -= cost * share;
            holding.greatest = holding.greatest.max((after * price).abs() * f64::from(u8::from(!crosses)));
            if after == 0.0 || crosses {
                self.closed.push(holding.closed(instrument, time_ms));
            } else {
                holding.units = after;
            }
        }
        if after != 0.0 && (before == 0.0 || crosses) {
            let share = if crosses { 1.0 - closes / units.abs() } else { 1.0 };
            *(if after > 0.0 { &mut gain.long } else { &mut gain.short }) -= cost * share;
            let greatest = (after * price).abs();
            *holding = Holding { units: after, mark: price, entry_ms: time_ms, profit: -cost * share, greatest };
        } else if after == 0.0 {
            *holding = Holding::default();
        }
        match self.held.binary_search(&instrument) {
            Ok(at) if after == 0.0 => drop(self.held.remove(at)),
            Err(at) if after != 0.0 => self.held.insert(at, instrument),
            _ => {}
        }
    }

    /// Closes what is held of an instrument at its mark, for a fraction of its value.
    pub fn end(&mut self, instrument: u32, time_ms: i64, cost_fraction: f64) {
        let Ok(at) = self.held.binary_search(&instrument) else { return };
        let Holding { units, mark, .. } = self.holdings[instrument as usize];
        self.pay(instrument, (units * mark).abs() * cost_fraction, |gain| &mut gain.fees);
        self.cash += units * mark;
        self.held.remove(at);
        let holding = std::mem::take(&mut self.holdings[instrument as usize]);
        self.closed.push(holding.closed(instrument, time_ms));
    }

    /// Closes everything at its mark, for a fraction of its value. What is owed beyond all cash is not paid.
    pub fn liquidate(&mut self, time_ms: i64, cost_fraction: f64) {
        for instrument in self.held.clone() {
            self.end(instrument, time_ms, cost_fraction);
        }
        self.cash = self.cash.max(0.0);
    }
}

impl Holding {
    fn closed(&self, instrument: u32, exit_ms: i64) -> Closed {
        Closed {
            instrument,
            long: self.units > 0.0,
            entry_ms: self.entry_ms,
            exit_ms,
            profit: self.profit,
            greatest: self.greatest,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(units: f64, price: f64) -> Fill {
        Fill { time_ms: 7, units, price, fee_fraction: 0.001, slippage_fraction: 0.0 }
    }

    fn near(a: f64, b: f64) {
        assert!((a - b).abs() < 1e-9, "{a} instead of {b}");
    }

    #[test]
    fn a_stay_by_hand() {
        let mut account = Account::new(1_000.0, 4);
        account.fill(3, &fill(2.0, 100.0));
        near(account.worth().equity, 1_000.0 - 0.2);
        account.mark(3, 110.0);
        near(account.worth().equity, 1_020.0 - 0.2);
        account.pay_funding(3, 0.001, 110.0);
        near(account.worth().equity, 1_020.0 - 0.2 - 0.22);
        account.fill(3, &fill(-2.0, 120.0));
        assert!(account.held().is_empty());
        let [stay] = account.closed() else { panic!("one stay: {:?}", account.closed()) };
        near(stay.profit, 40.0 - 0.2 - 0.22 - 0.24);
        near(account.worth().equity, 1_000.0 + stay.profit);
        near(stay.greatest, 240.0);
        let gain = account.gains()[&3];
        near(gain.long, stay.profit);
        near(gain.traded, 440.0);
        assert_eq!(gain.short, 0.0);
    }

    #[test]
    fn a_change_of_sign_is_two_stays() {
        let mut account = Account::new(1_000.0, 4);
        account.fill(1, &fill(1.0, 100.0));
        account.fill(1, &fill(-3.0, 100.0));
        near(account.units(1), -2.0);
        account.mark(1, 90.0);
        account.end(1, 9, 0.01);
        let [long, short] = account.closed() else { panic!("two stays") };
        assert!(long.long && !short.long);
        near(long.profit, -0.1 - 0.1);
        near(short.profit, -0.2 + 20.0 - 1.8);
        near(account.worth().equity, 1_000.0 + long.profit + short.profit);
        let gain = account.gains()[&1];
        near(gain.long + gain.short, long.profit + short.profit);
    }

    #[test]
    fn borrowed_units_cost_and_long_ones_do_not() {
        let mut account = Account::new(1_000.0, 4);
        account.fill(1, &fill(1.0, 100.0));
        account.fill(2, &fill(-1.0, 100.0));
        let before = account.worth().equity;
        account.pay_borrow(1, 0.01);
        account.pay_borrow(2, 0.01);
        near(account.worth().equity, before - 1.0);
    }
}
