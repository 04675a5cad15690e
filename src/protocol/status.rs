//! What tests cost now, and what was spent: for operators. Decides nothing.

use super::{Account, ProtocolConfig};
use serde::{Deserialize, Serialize};

/// The account of tests, as of the last session.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct TestStatus {
    /// End of the last session's candles, UTC ms of the market.
    pub at_ms: i64,
    /// E-value of hold-out and shadow together at which a candidate goes live whose test is bought now; `None` while too
    /// little is there for a test.
    pub promotion_threshold: Option<f64>,
    /// The same with a full account: the least that is ever asked.
    pub least_threshold: f64,
    /// Strategies without an edge that the tests of a market year may promote, in expectation.
    pub false_promotions_per_year: f64,
    /// What is there, of that.
    pub balance: f64,
    /// When tests are sold again, UTC ms of the market; `None` while they are.
    pub sells_ms: Option<i64>,
    /// When the account is full, if nothing is bought, UTC ms of the market; `None` while it is.
    pub full_ms: Option<i64>,
    /// Tests bought over the market year before `at_ms`.
    pub bought_last_year: u64,
    /// What they cost, in expected false promotions.
    pub spent_last_year: f64,
}

impl TestStatus {
    /// Of an account under settings; `bought` and `spent` over the market year before.
    #[must_use]
    pub fn of(account: Account, config: &ProtocolConfig, (bought, spent): (u64, f64)) -> Self {
        let threshold = |price: f64| 1.0 / lifecycle::promotion_level(price, true);
        let later = |ms: i64| (ms > account.at_ms).then_some(ms);
        Self {
            at_ms: account.at_ms,
            promotion_threshold: account.price(config).map(threshold),
            least_threshold: Account::open(config, 0).price(config).map_or(f64::INFINITY, threshold),
            false_promotions_per_year: config.false_promotions_per_year,
            balance: account.balance,
            sells_ms: later(account.sells_ms(config)),
            full_ms: later(account.full_ms(config)),
            bought_last_year: bought,
            spent_last_year: spent,
        }
    }
}
