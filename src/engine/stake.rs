//! What trades put at stake, in two numbers: enough for whoever judges a strategy without seeing its trades.
//!
//! Describes, never judges.

use super::ledger::ClosedTrade;
use serde::{Deserialize, Serialize};

/// A trade that loses this share of what it risked took its full loss; slippage and trailing make it less than all.
const FULL_LOSS_SHARE: f64 = 0.8;

/// What a strategy's trades put at stake.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Stake {
    /// Mean over trades of what the initial stop would have lost (all of it without a stop), as a fraction of the
    /// equity at the start.
    pub fraction: f64,
    /// Trades that took their full loss.
    pub full_losses: u32,
}

impl Stake {
    /// Of trades symbol by symbol, each symbol's in order of entry; `None` without any.
    pub(super) fn of(trades: &[&[ClosedTrade]], first_equity: f64) -> Option<Self> {
        let mut rest: Vec<&[ClosedTrade]> = trades.to_vec();
        let (mut risked, mut count, mut full_losses) = (0.0, 0_u32, 0);
        // Added up in order of entry, at one time in order of the symbols: the ledger's order gives the same bits.
        while let Some(next) =
            (0..rest.len()).filter(|&s| !rest[s].is_empty()).min_by_key(|&s| rest[s][0].entry_time_ms)
        {
            let (trade, after) = (&rest[next][0], &rest[next][1..]);
            let risk = trade.risk.unwrap_or(trade.quantity * trade.entry_price);
            risked += risk;
            count += 1;
            full_losses += u32::from(trade.profit <= -FULL_LOSS_SHARE * risk);
            rest[next] = after;
        }
        let fraction = risked / f64::from(count) / first_equity;
        (fraction.is_finite() && fraction > 0.0).then_some(Self { fraction, full_losses })
    }
}
