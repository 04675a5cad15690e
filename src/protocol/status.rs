//! What tests cost now, and what was spent: for operators. Decides nothing.

use super::{Account, ProtocolConfig};
use serde::{Deserialize, Serialize};

/// The account of tests, as of the last session.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct TestStatus {
    /// End of the last session's candles, UTC ms of the market.
    pub at_ms: i64,
    /// E-value of hold-out and shadow together at which any candidate goes live, now and later.
    pub promotion_threshold: f64,
    /// Strategies without an edge that the tests of a market year may promote, in expectation.
    pub false_promotions_per_year: f64,
    /// Tests that a market year has at most.
    pub tests_per_year: u32,
    /// Tests that can be bought now.
    pub tests_free: u32,
    /// Tests that the account can hold.
    pub tests_saved_at_most: u32,
    /// When one more is free, UTC ms of the market; `None` while the account is full.
    pub next_test_ms: Option<i64>,
    /// Tests bought over the market year before `at_ms`.
    pub bought_last_year: u64,
    /// What they cost, in expected false promotions.
    pub spent_last_year: f64,
}

impl TestStatus {
    /// Of an account under settings; `bought` and `spent` over the market year before.
    #[must_use]
    pub fn of(account: Account, config: &ProtocolConfig, (bought, spent): (u64, f64)) -> Self {
        let free = account.tests(config);
        Self {
            at_ms: account.at_ms,
            promotion_threshold: 1.0 / lifecycle::promotion_level(config.test_price(), true),
            false_promotions_per_year: config.false_promotions_per_year,
            tests_per_year: config.tests_per_year,
            tests_free: free,
            tests_saved_at_most: Account::open(config, account.at_ms).tests(config),
            next_test_ms: account.pays_for_ms(config, free + 1),
            bought_last_year: bought,
            spent_last_year: spent,
        }
    }
}
