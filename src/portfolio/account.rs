//! Units and cash: what is held, what it is worth, and what each change of it costs.
//!
//! Knows prices and numbers of instruments; decides nothing. Every sum of quote units that enters or leaves is booked
//! with the instrument that it is of, so that the account's gain is the sum of what its instruments gave.

pub use crate::worth::Worth;
use crate::worth::{Totals, Valued};
use engine::widest;
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
/// they gained is booked when their units change. Fills come in batches, in the order of instruments: what they open and
/// close is put into its place once the batch is over.
#[derive(Clone, Debug)]
pub struct Account {
    cash: f64,
    /// Numbers of what is held, ascending; the next four go with it.
    held: Vec<u32>,
    units: Vec<f64>,
    /// The newest price of each.
    prices: Vec<f64>,
    /// The greatest value of each so far.
    greatest: Vec<f64>,
    stays: Vec<Stay>,
    /// What the fills of this batch opened, and whether they closed anything: that has no units left.
    opened: Vec<Opened>,
    closes: bool,
    /// By number of the instrument.
    gains: Vec<Gain>,
    /// Whether an instrument was ever held.
    traded: Vec<bool>,
    closed: Vec<Closed>,
}

/// What a fill opened, and the place before which it belongs.
#[derive(Clone, Copy, Debug)]
struct Opened {
    at: usize,
    instrument: u32,
    units: f64,
    price: f64,
    stay: Stay,
}

#[derive(Clone, Copy, Debug)]
struct Stay {
    entry_ms: i64,
    /// The price up to which the gain is booked.
    booked: f64,
    profit: f64,
    /// Paid for what is borrowed and not booked yet.
    borrowed: f64,
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
            stays: Vec::new(),
            opened: Vec::new(),
            closes: false,
            gains: vec![Gain::default(); instruments],
            traded: vec![false; instruments],
            closed: Vec::new(),
        }
    }

    /// Values all that is held at new prices, by number of the instrument; NaN where there is none. Gives what all is worth
    /// and whether a price was missing.
    pub fn value(&mut self, prices: &[f64]) -> (Worth, bool) {
        let Self { cash, held, units, prices: old, greatest, .. } = self;
        let (net, gross, missing) = widest(Valued { new: prices, held, units, prices: old, greatest });
        (Worth { equity: *cash + net, gross, net }, missing)
    }

    /// What all is worth at the newest prices.
    #[must_use]
    pub fn worth(&self) -> Worth {
        let (net, gross) = widest(Totals { units: &self.units, prices: &self.prices });
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

    /// Numbers of what is held, ascending, the units and the newest price of each.
    #[must_use]
    pub fn positions(&self) -> (&[u32], &[f64], &[f64]) {
        (&self.held, &self.units, &self.prices)
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
        let (units, stay) = (self.units[at], &mut self.stays[at]);
        let borrowed = std::mem::take(&mut stay.borrowed);
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
        for (stay, (units, price)) in self.stays.iter_mut().zip(self.units.iter().zip(&self.prices)) {
            let paid = if *units < 0.0 { -units * price * rate } else { 0.0 };
            self.cash -= paid;
            stay.borrowed += paid;
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
        self.settle();
    }

    /// One of a batch of fills in the order of instruments, where it is known at which place the instrument stands, or
    /// would stand. Until the batch is settled, places stay as they are.
    #[inline]
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
        // Of what is closed wholly nothing is left: a number and its negative add up to 0.
        let after = before + units;
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
        let share_before = if crosses { closed_share(before, units) } else { 1.0 };
        if let Ok(at) = place {
            self.book(at);
            *self.gains[instrument as usize].leg(before) -= cost * share_before;
            self.stays[at].profit -= cost * share_before;
            if after == 0.0 || crosses {
                self.closed.push(self.stay(at, time_ms));
                // Until the batch is settled; what crosses gets its units below.
                self.units[at] = 0.0;
                self.closes |= after == 0.0;
            } else {
                self.units[at] = after;
                self.greatest[at] = self.greatest[at].max((after * price).abs());
            }
        }
        if after != 0.0 && (before == 0.0 || crosses) {
            let cost = if crosses { cost * (1.0 - share_before) } else { cost };
            *self.gains[instrument as usize].leg(after) -= cost;
            let stay = Stay { entry_ms: time_ms, booked: price, profit: -cost, borrowed: 0.0 };
            match place {
                Ok(at) => {
                    (self.units[at], self.greatest[at], self.stays[at]) = (after, (after * price).abs(), stay);
                }
                Err(at) => self.opened.push(Opened { at, instrument, units: after, price, stay }),
            }
        }
    }

    /// Puts what the fills of a batch opened into its place, and takes out what they closed.
    pub(crate) fn settle(&mut self) {
        if !self.opened.is_empty() {
            let mut from = self.held.len();
            let nothing = Stay { entry_ms: 0, booked: 0.0, profit: 0.0, borrowed: 0.0 };
            let len = from + self.opened.len();
            self.held.resize(len, 0);
            self.units.resize(len, 0.0);
            self.prices.resize(len, 0.0);
            self.greatest.resize(len, 0.0);
            self.stays.resize(len, nothing);
            // From the back, so that nothing is written over that is still to be moved.
            let mut to = len;
            while let Some(Opened { at, instrument, units, price, stay }) = self.opened.pop() {
                while from > at {
                    (from, to) = (from - 1, to - 1);
                    self.shift(from, to);
                }
                to -= 1;
                (self.held[to], self.units[to], self.prices[to]) = (instrument, units, price);
                (self.greatest[to], self.stays[to]) = ((units * price).abs(), stay);
            }
        }
        if std::mem::take(&mut self.closes) {
            let mut left = 0;
            for at in 0..self.held.len() {
                self.shift(at, left);
                left += usize::from(self.units[at] != 0.0);
            }
            self.held.truncate(left);
            self.units.truncate(left);
            self.prices.truncate(left);
            self.greatest.truncate(left);
            self.stays.truncate(left);
        }
    }

    #[inline]
    fn shift(&mut self, from: usize, to: usize) {
        self.held[to] = self.held[from];
        self.units[to] = self.units[from];
        self.prices[to] = self.prices[from];
        self.greatest[to] = self.greatest[from];
        self.stays[to] = self.stays[from];
    }

    fn remove(&mut self, at: usize) {
        self.held.remove(at);
        self.units.remove(at);
        self.prices.remove(at);
        self.greatest.remove(at);
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

/// The share of a change of units that closes what is held before.
fn closed_share(before: f64, units: f64) -> f64 {
    let closes = if before * units < 0.0 { units.abs().min(before.abs()) } else { 0.0 };
    closes / units.abs()
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

    #[test]
    fn a_batch_of_fills_comes_to_what_they_come_to_one_by_one() {
        let mut state = 1_u64;
        let mut next = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        let (mut batch, mut single) = (Account::new(1_000.0, 40), Account::new(1_000.0, 40));
        for _ in 0..200 {
            let mut at = 0;
            for instrument in 0..40 {
                if next(3) > 0 {
                    continue;
                }
                let held = batch.units(instrument);
                let units = [-held, 1.0, -1.0, -2.0 * held][next(4) as usize];
                let fill = fill(units, 1.0 + next(50) as f64);
                while batch.held().get(at).is_some_and(|i| *i < instrument) {
                    at += 1;
                }
                let place = if batch.held().get(at) == Some(&instrument) { Ok(at) } else { Err(at) };
                batch.fill_at(place, instrument, &fill);
                single.fill(instrument, &fill);
            }
            batch.settle();
            assert_eq!((batch.positions(), batch.worth()), (single.positions(), single.worth()));
        }
        assert!(!batch.held().is_empty() && batch.closed().len() > 500);
        assert_eq!((batch.gains(), batch.open(9)), (single.gains(), single.open(9)));
        assert_eq!(batch.into_closed(), single.into_closed());
    }
}
