//! The account of tests: what may still be spent of the false promotions that a market year allows.
//!
//! A strategy can go live only after a test of it was bought, before anything of what it is tested on was looked at. The
//! account begins with a quarter of b = `protocol.false_promotions_per_year`, never holds more, and earns the other three
//! quarters evenly over each year of market time. A test costs a fifth of what is there, and its strategy goes live only once
//! its e-value reaches 1 / price: tests are dear while few are bought and none is refused where many are, and what was
//! spent comes back with the time.
//!
//! **Theorem.** Of the tests bought in any 365 days of market time, at most b promote a strategy without an edge, in
//! expectation. *Assumptions*: without an edge, no step of a strategy has a mean above 0 given the past (after what its
//! exposure earned); whether a test is bought, and its price, is known at the split where its hold-out begins (see
//! [`choose`](super::choose)). *Proof*: given all that is known at the split, E is a non-negative supermartingale from 1,
//! so it ever reaches 1 / price with a chance of at most price (Ville). What the account held before such a stretch is at
//! most b / 4 and what it earned in it 3 b / 4, so all prices paid in it come to at most b.
//!
//! It holds under any dependence between candidates, sessions and islands, for any number of sessions and for whatever
//! chose the candidates; nothing in it asks whether the null markets are like the real one. A p-value only decides
//! what is worth a test.
//!
//! Never reads a clock: time is that of the candles. Stores nothing.

use super::ProtocolConfig;
use candles::time::DAY_MS;
use serde::{Deserialize, Serialize};

/// A market year.
pub const YEAR_MS: i64 = 365 * DAY_MS;
/// Share of what a year allows that can be saved; the rest is what a year earns.
const SAVED: f64 = 0.25;
/// Share of what is there that a test costs.
const SPENT: f64 = 0.2;
/// Share of what can be saved below which no test is sold: its strategy would have to show too much.
const LEAST: f64 = 0.1;
/// What rounding may take from a full account.
const ROUNDING: f64 = 1e-9;

/// What may be spent, as of a market time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Account {
    /// Expected false promotions.
    pub balance: f64,
    /// UTC ms of the market.
    pub at_ms: i64,
}

impl Account {
    /// One that nothing was spent of.
    #[must_use]
    pub fn open(config: &ProtocolConfig, at_ms: i64) -> Self {
        Self { balance: most(config), at_ms }
    }

    /// With what it earned since; a time before its own changes nothing. With other settings than before, what was
    /// spent stays spent, and what is there is at most what the new ones can save.
    #[must_use]
    pub fn at(self, config: &ProtocolConfig, at_ms: i64) -> Self {
        let years = (at_ms - self.at_ms).max(0) as f64 / YEAR_MS as f64;
        let earned = years * (1.0 - SAVED) * config.false_promotions_per_year;
        Self { balance: (self.balance + earned).min(most(config)), at_ms: self.at_ms.max(at_ms) }
    }

    /// What a test costs now, fraction; `None` while too little is there.
    #[must_use]
    pub fn price(self, config: &ProtocolConfig) -> Option<f64> {
        (self.balance >= LEAST * most(config)).then_some(SPENT * self.balance)
    }

    /// Whether what it earns next is lost.
    #[must_use]
    pub fn is_full(self, config: &ProtocolConfig) -> bool {
        self.balance >= most(config) * (1.0 - ROUNDING)
    }

    /// What is left after a test, and what it cost; `None` while no test is sold.
    #[must_use]
    pub fn buy(self, config: &ProtocolConfig) -> Option<(Self, f64)> {
        let price = self.price(config)?;
        Some((Self { balance: self.balance - price, ..self }, price))
    }

    /// When `balance` is there, UTC ms of the market; `None` for more than it can ever hold.
    fn reaches_ms(self, config: &ProtocolConfig, balance: f64) -> Option<i64> {
        let years = (balance - self.balance).max(0.0) / ((1.0 - SAVED) * config.false_promotions_per_year);
        (balance <= most(config)).then(|| self.at_ms + (years * YEAR_MS as f64).ceil() as i64)
    }

    /// When tests are sold again, UTC ms of the market; its own time while they are.
    #[must_use]
    pub fn sells_ms(self, config: &ProtocolConfig) -> i64 {
        self.reaches_ms(config, LEAST * most(config)).unwrap_or(self.at_ms)
    }

    /// When it is full, UTC ms of the market, if nothing is bought.
    #[must_use]
    pub fn full_ms(self, config: &ProtocolConfig) -> i64 {
        self.reaches_ms(config, most(config)).unwrap_or(self.at_ms)
    }
}

/// The most that is ever there.
fn most(config: &ProtocolConfig) -> f64 {
    SAVED * config.false_promotions_per_year
}

#[cfg(test)]
mod tests {
    use super::*;
    use genome::random::Seed;
    use rand::RngExt;

    fn config() -> ProtocolConfig {
        ProtocolConfig { false_promotions_per_year: 0.05, ..ProtocolConfig::default() }
    }

    #[test]
    fn by_hand() {
        let c = config();
        let full = Account::open(&c, 0);
        // A fifth of 0.0125: a threshold of 400.
        assert!((full.price(&c).unwrap() - 0.0025).abs() < 1e-15 && full.is_full(&c));
        let (mut account, mut tests) = (full, 0);
        while let Some((after, price)) = account.buy(&c) {
            assert_eq!((price, after.balance), (0.2 * account.balance, account.balance - price));
            (account, tests) = (after, tests + 1);
        }
        // 0.8^11 is the first below a tenth.
        assert_eq!(tests, 11);
        let sells_ms = account.sells_ms(&c);
        assert!(sells_ms > 0 && account.at(&c, sells_ms - DAY_MS).price(&c).is_none());
        assert!(account.at(&c, sells_ms).price(&c).is_some());
        assert!(account.at(&c, account.full_ms(&c)).is_full(&c) && account.full_ms(&c) < YEAR_MS / 3);
        assert_eq!(account.at(&c, 50 * YEAR_MS).balance, 0.0125);
        assert_eq!(account.at(&c, -5), account, "time does not go back");
        // A smaller budget from now on: what is there is cut, what was spent stays spent.
        let smaller = ProtocolConfig { false_promotions_per_year: 0.02, ..c.clone() };
        assert_eq!(full.at(&smaller, 0).balance, 0.005);
        assert_eq!(account.at(&smaller, 0).balance, account.balance);
    }

    /// Whoever buys at whatever times spends no more than a year allows in any year.
    #[test]
    fn no_year_costs_more_than_it_allows() {
        for (life, apart) in [(0, 1), (1, 10), (2, 40), (3, 200)] {
            let c = config();
            let mut rng = Seed(20_261_129).stream("times", life);
            let (mut account, mut bought, mut now_ms) = (Account::open(&c, 0), Vec::new(), 0_i64);
            while now_ms < 5 * YEAR_MS {
                now_ms += rng.random_range(0..apart * DAY_MS);
                account = account.at(&c, now_ms);
                while let Some((after, price)) = account.buy(&c).filter(|_| rng.random_bool(0.8)) {
                    account = after;
                    bought.push((now_ms, price));
                }
            }
            let in_year = |from: i64| -> f64 {
                bought.iter().filter(|(t, _)| (from..from + YEAR_MS).contains(t)).map(|(_, price)| price).sum()
            };
            let most = bought.iter().map(|(from, _)| in_year(*from)).fold(0.0, f64::max);
            assert!(most <= 0.05 + 1e-12, "{most} in a year");
            assert!(in_year(YEAR_MS) > 0.02, "{}", in_year(YEAR_MS));
        }
    }
}
