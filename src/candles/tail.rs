//! Where the live tail of an exchange's candles stands, as one process tells another through the store.
//!
//! A value alone: follows nothing.

use serde::{Deserialize, Serialize};

/// Where a tail stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TailState {
    /// Whether the exchange is listened to now.
    pub connected: bool,
    /// Close time of the newest candle that was told and stored, UTC ms.
    pub last_candle_ms: Option<i64>,
    /// Closed candles that were told and stored.
    pub candles: u64,
    /// Connections after the first.
    pub reconnects: u64,
    /// Why the last connection ended, or could not be made; `None` while it stands.
    pub error: Option<String>,
}
