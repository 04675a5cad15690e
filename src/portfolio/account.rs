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

impl Closed {
    /// Net gain over the greatest value that was held.
    #[must_use]
    pub fn return_fraction(&self) -> f64 {
        if self.greatest > 0.0 { self.profit / self.greatest } else { 0.0 }
    }
}

/// What is held. Stays stand side by side in the order of their instruments, so that valuing them all is one walk; what
/// they gained is booked when their units change.
#[derive(Clone, Debug)]
pub struct Account {
    cash: f64,
    /// Numbers of what is held, ascending; the next six go with it.
    held: Vec<u32>,
    units: Vec<f64>,
    /// The newest price of each.
    prices: Vec<f64>,
    /// The greatest value of each so far.
    greatest: Vec<f64>,
    /// Paid for what is borrowed of each and not booked yet.
    borrowed: Vec<f64>,
    stays: Vec<Stay>,
    /// By number of the instrument.
    gains: Vec<Gain>,
    /// Whether an instrument was ever held.
    traded: Vec<bool>,
    closed: Vec<Closed>,
}

#[derive(Clone, Copy, Debug)]
struct Stay {
    entry_ms: i64,
    /// The price up to which the gain is booked.
    booked: f64,
    profit: f64,
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
            held: Vec::new(),
            units: Vec::new(),
            prices: Vec::new(),
            greatest: Vec::new(),
            borrowed: Vec::new(),
            stays: Vec::new(),
            gains: vec![Gain::default(); instruments],
            traded: vec![false; instruments],
            closed: Vec::new(),
        }
    }

    /// Values all that is held at new prices, by number of the instrument; NaN where there is none. Gives what all is worth
    /// and whether a price was missing.
    pub fn value(&mut self, prices: &[f64]) -> (Worth, bool) {
        let (mut net, mut gross, mut missing) = (0.0, 0.0, false);
        let stays = self.held.iter().zip(&self.units).zip(&mut self.prices).zip(&mut self.greatest);
        for (((&instrument, &units), price), greatest) in stays {
            let new = prices[instrument as usize];
            missing |= new.is_nan();
            *price = if new.is_nan() { *price } else { new };
            let value = units * *price;
            net += value;
            gross += value.abs();
            *greatest = if value.abs() > *greatest { value.abs() } else { *greatest };
        }
        (Worth { equity: self.cash + net, gross, net }, missing)
    }

    /// What all is worth at the newest prices.
    #[must_use]
    pub fn worth(&self) -> Worth {
        let (mut net, mut gross) = (0.0, 0.0);
        for (units, price) in self.units.iter().zip(&self.prices) {
            net += units * price;
            gross += (units * price).abs();
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
        self.units_at(self.find(instrument))
    }

    /// What is held and its newest price, in the order of numbers.
    pub fn positions(&self) -> impl Iterator<Item = (u32, f64, f64)> {
        self.held.iter().zip(&self.units).zip(&self.prices).map(|((i, units), price)| (*i, *units, *price))
    }

    /// Where an instrument stands among what is held, or would stand.
    pub(crate) fn find(&self, instrument: u32) -> Result<usize, usize> {
        self.held.binary_search(&instrument)
    }

    fn place(&self, instrument: u32) -> Option<usize> {
        self.find(instrument).ok()
    }

    /// Units of what stands at a place; 0 where nothing does.
    pub(crate) fn units_at(&self, place: Result<usize, usize>) -> f64 {
        place.map_or(0.0, |at| self.units[at])
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

    /// What each instrument gave that was ever held, up to the newest prices.
    #[must_use]
    pub fn gains(&mut self) -> BTreeMap<u32, Gain> {
        (0..self.held.len()).for_each(|at| self.book(at));
        let numbered = (0..).zip(self.gains.iter().zip(&self.traded));
        numbered.filter(|(_, (_, traded))| **traded).map(|(i, (gain, _))| (i, *gain)).collect()
    }

    /// Stays that are not over, as if they ended at `time_ms` at the newest prices.
    #[must_use]
    pub fn open(&mut self, time_ms: i64) -> Vec<Closed> {
        (0..self.held.len()).for_each(|at| self.book(at));
        (0..self.held.len()).map(|at| self.stay(at, time_ms)).collect()
    }

    fn stay(&self, at: usize, exit_ms: i64) -> Closed {
        let Stay { entry_ms, profit, .. } = self.stays[at];
        let long = self.units[at] > 0.0;
        Closed { instrument: self.held[at], long, entry_ms, exit_ms, profit, greatest: self.greatest[at] }
    }

    /// Books what a stay gained up to its newest price, and what was borrowed for it.
    fn book(&mut self, at: usize) {
        let (units, borrowed) = (self.units[at], std::mem::take(&mut self.borrowed[at]));
        let stay = &mut self.stays[at];
        let change = units * (self.prices[at] - stay.booked);
        stay.booked = self.prices[at];
        stay.profit += change - borrowed;
        let gain = &mut self.gains[self.held[at] as usize];
        gain.borrow += borrowed;
        *gain.leg(units) += change - borrowed;
    }

    /// Values what is held of an instrument at a price.
    #[cfg(test)]
    fn mark(&mut self, instrument: u32, price: f64) {
        if let Some(at) = self.place(instrument) {
            self.prices[at] = price;
            self.greatest[at] = self.greatest[at].max((self.units[at] * price).abs());
        }
    }

    /// Pays funding of what is held of an instrument: `price` is its last close.
    pub fn pay_funding(&mut self, instrument: u32, rate: f64, price: f64) {
        if let Some(at) = self.place(instrument) {
            let paid = self.units[at] * rate * price;
            self.pay(at, paid, |gain| &mut gain.funding);
        }
    }

    /// Pays for all that is sold short: `rate` of its value at the newest price.
    pub fn pay_borrow(&mut self, rate: f64) {
        for (borrowed, (units, price)) in self.borrowed.iter_mut().zip(self.units.iter().zip(&self.prices)) {
            let paid = if *units < 0.0 { -units * price * rate } else { 0.0 };
            self.cash -= paid;
            *borrowed += paid;
        }
    }

    fn pay(&mut self, at: usize, paid: f64, kind: impl Fn(&mut Gain) -> &mut f64) {
        self.cash -= paid;
        self.stays[at].profit -= paid;
        let gain = &mut self.gains[self.held[at] as usize];
        *kind(gain) += paid;
        *gain.leg(self.units[at]) -= paid;
    }

    /// Buys or sells. What is held before is valued at the price first. Costs of a fill that changes the sign are those
    /// of both stays in proportion.
    pub fn fill(&mut self, instrument: u32, fill: &Fill) {
        self.fill_at(self.find(instrument), instrument, fill);
    }

    /// The same, where it is known at which place the instrument stands.
    pub(crate) fn fill_at(&mut self, place: Result<usize, usize>, instrument: u32, fill: &Fill) {
        let Fill { time_ms, units, price, .. } = *fill;
        if units == 0.0 {
            return;
        }
        let before = self.units_at(place);
        if let Ok(at) = place {
            self.prices[at] = price;
            self.greatest[at] = self.greatest[at].max((before * price).abs());
        }
        let closes = if before * units < 0.0 { units.abs().min(before.abs()) } else { 0.0 };
        let after = if closes == units.abs() && closes == before.abs() { 0.0 } else { before + units };
        let value = units.abs() * price;
        let (fee, slippage) = (value * fill.fee_fraction, value * fill.slippage_fraction);
        let cost = fee + slippage;
        self.cash -= units * price + cost;
        self.traded[instrument as usize] = true;
        let gain = &mut self.gains[instrument as usize];
        gain.fees += fee;
        gain.slippage += slippage;
        gain.traded += value;
        let crosses = before * after < 0.0;
        let share_before = if crosses { closes / units.abs() } else { 1.0 };
        if let Ok(at) = place {
            self.book(at);
            *self.gains[instrument as usize].leg(before) -= cost * share_before;
            self.stays[at].profit -= cost * share_before;
            if after == 0.0 || crosses {
                self.closed.push(self.stay(at, time_ms));
            } else {
                self.units[at] = after;
                self.greatest[at] = self.greatest[at].max((after * price).abs());
            }
        }
        if after != 0.0 && (before == 0.0 || crosses) {
            let cost = if crosses { cost * (1.0 - share_before) } else { cost };
            *self.gains[instrument as usize].leg(after) -= cost;
            let stay = Stay { entry_ms: time_ms, booked: price, profit: -cost };
            let greatest = (after * price).abs();
            match place {
                Ok(at) => {
                    (self.units[at], self.greatest[at], self.stays[at]) = (after, greatest, stay);
                }
                Err(at) => {
                    self.held.insert(at, instrument);
                    self.units.insert(at, after);
                    self.prices.insert(at, price);
                    self.greatest.insert(at, greatest);
                    self.borrowed.insert(at, 0.0);
                    self.stays.insert(at, stay);
                }
            }
        } else if let (Ok(at), true) = (place, after == 0.0) {
            self.remove(at);
        }
    }

    fn remove(&mut self, at: usize) {
        self.held.remove(at);
        self.units.remove(at);
        self.prices.remove(at);
        self.greatest.remove(at);
        self.borrowed.remove(at);
        self.stays.remove(at);
    }

    /// Closes what is held of an instrument at its newest price, for a fraction of its value.
    pub fn end(&mut self, instrument: u32, time_ms: i64, cost_fraction: f64) {
        let Some(at) = self.place(instrument) else { return };
        self.book(at);
        let value = self.units[at] * self.prices[at];
        self.pay(at, value.abs() * cost_fraction, |gain| &mut gain.fees);
        self.cash += value;
        self.closed.push(self.stay(at, time_ms));
        self.remove(at);
    }

    /// Closes everything at its newest price, for a fraction of its value. What is owed beyond all cash is not paid.
    pub fn liquidate(&mut self, time_ms: i64, cost_fraction: f64) {
        for instrument in self.held.clone() {
            self.end(instrument, time_ms, cost_fraction);
        }
        self.cash = self.cash.max(0.0);
    }
}

impl Gain {
    /// The leg that these units belong to.
    const fn leg(&mut self, units: f64) -> &mut f64 {
        if units > 0.0 { &mut self.long } else { &mut self.short }
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
        let [stay] = account.closed().to_vec()[..] else { panic!("one stay: {:?}", account.closed()) };
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
        let [long, short] = account.closed().to_vec()[..] else { panic!("two stays") };
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
        account.pay_borrow(0.01);
        near(account.worth().equity, before - 1.0);
    }
}
