//! The account of tests: what may still be spent of the false promotions that a market year allows.
//!
//! A strategy can go live only after a test of it was bought, before anything of what it is tested on was looked at.
//! Every test has the same price,
//!
//! ```text
//! price = b / N,    b = protocol.false_promotions_per_year,    N = protocol.tests_per_year
//! ```
//!
//! and a tested strategy is promoted only once its e-value reaches 1 / price: the same in the first hour and in the
//! tenth year. The account begins with a quarter of a year's tests, never holds more, and earns the other three quarters
//! evenly over each year of market time.
//!
//! **Theorem.** Of the tests bought in any 365 days of market time, at most b promote a strategy without an edge, in
//! expectation. *Assumption*: without an edge, no step of a strategy has a mean above 0 given the past (after its
//! exposure is taken away). *Proof*: given all that was known when the test was bought, E is a non-negative
//! supermartingale from 1, so it ever reaches 1 / price with a chance of at most price (Ville). What an account held
//! before such a stretch is at most N / 4 tests and what it earned in it 3 N / 4, so at most N were bought, at b / N each.
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
/// Share of a year's tests that can be saved; the rest is what a year earns.
const SAVED: f64 = 0.25;
/// What rounding may take from a whole test.
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

    /// Tests that it pays for now.
    #[must_use]
    pub fn tests(self, config: &ProtocolConfig) -> u32 {
        (self.balance / config.test_price() + ROUNDING).floor().max(0.0) as u32
    }

    /// Whether what it earns next is lost.
    #[must_use]
    pub fn is_full(self, config: &ProtocolConfig) -> bool {
        self.balance >= most(config) * (1.0 - ROUNDING)
    }

    /// Buys a test; `None` when it cannot pay for it.
    #[must_use]
    pub fn buy(self, config: &ProtocolConfig) -> Option<Self> {
        let balance = (self.balance - config.test_price()).max(0.0);
        (self.tests(config) > 0).then_some(Self { balance, ..self })
    }

    /// When it pays for `tests`, UTC ms of the market; `None` for more than it can ever hold.
    #[must_use]
    pub fn pays_for_ms(self, config: &ProtocolConfig, tests: u32) -> Option<i64> {
        let cost = f64::from(tests) * config.test_price();
        if cost > most(config) * (1.0 + ROUNDING) {
            return None;
        }
        let missing = (cost - self.balance).max(0.0);
        let years = missing / ((1.0 - SAVED) * config.false_promotions_per_year);
        Some(self.at_ms + (years * YEAR_MS as f64).ceil() as i64)
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

    fn config(tests_per_year: u32) -> ProtocolConfig {
        ProtocolConfig { false_promotions_per_year: 0.05, tests_per_year, ..ProtocolConfig::default() }
    }

    #[test]
    fn by_hand() {
        let c = config(24);
        let full = Account::open(&c, 0);
        assert_eq!((full.tests(&c), full.is_full(&c)), (6, true));
        let mut account = full;
        for left in (0..6).rev() {
            account = account.buy(&c).unwrap();
            assert_eq!(account.tests(&c), left);
        }
        assert!(account.buy(&c).is_none());
        // 18 a year: one every 20 days and 6 hours 40 minutes.
        let next_ms = account.pays_for_ms(&c, 1).unwrap();
        assert_eq!(next_ms, YEAR_MS / 18 + i64::from(YEAR_MS % 18 != 0));
        assert_eq!(account.at(&c, next_ms - 2).tests(&c), 0);
        assert_eq!(account.at(&c, next_ms).tests(&c), 1);
        assert!(account.at(&c, YEAR_MS / 3).is_full(&c) && account.at(&c, 50 * YEAR_MS).tests(&c) == 6);
        assert_eq!(account.at(&c, -5), account, "time does not go back");
        assert_eq!((account.pays_for_ms(&c, 7), full.pays_for_ms(&c, 6)), (None, Some(0)));
        // A smaller budget from now on: what is there is cut, what was spent stays spent.
        let smaller = ProtocolConfig { false_promotions_per_year: 0.02, ..c.clone() };
        assert_eq!(full.at(&smaller, 0).balance, 0.005);
        assert_eq!(account.at(&smaller, 0).balance, account.balance);
    }

    /// Whoever buys whenever it can, at whatever times, gets no more than a year's tests in any year.
    #[test]
    fn no_year_has_more_tests_than_were_allowed() {
        for (life, tests_per_year) in [(0, 4), (1, 7), (2, 24), (3, 100)] {
            let c = config(tests_per_year);
            let mut rng = Seed(20_261_129).stream("times", life);
            let (mut account, mut bought, mut now_ms) = (Account::open(&c, 0), Vec::new(), 0_i64);
            while now_ms < 5 * YEAR_MS {
                now_ms += rng.random_range(0..40 * DAY_MS);
                account = account.at(&c, now_ms);
                while let Some(after) = account.buy(&c).filter(|_| rng.random_bool(0.8)) {
                    account = after;
                    bought.push(now_ms);
                }
            }
            let most = bought.iter().map(|from| bought.iter().filter(|t| (*from..from + YEAR_MS).contains(t)).count());
            let most = most.max().unwrap();
            assert!(most <= tests_per_year as usize, "{most} in a year that allows {tests_per_year}");
            assert!(bought.len() >= 3 * tests_per_year as usize, "{} of {tests_per_year} a year", bought.len());
        }
    }
}
