//! Funding payments of perpetual futures as values. Never fetches them.

use serde::{Deserialize, Serialize};

/// A funding payment: at `time_ms`, longs pay `rate` x notional to shorts (negative: the other way).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct FundingRate {
    pub time_ms: i64,
    pub rate: f64,
}
