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
        let (mut risked, mut count, mut full_losses) = (0.0, 0_u32, 0);
        let time_ms = |trades: &[ClosedTrade], k: usize| trades.get(k).map_or(i64::MAX, |trade| trade.entry_time_ms);
        // The next trade of each symbol: when, and its number.
        let mut next: Vec<(i64, usize)> = trades.iter().map(|trades| (time_ms(trades, 0), 0)).collect();
        // Added up in order of entry, at one time in order of the symbols: the ledger's order gives the same bits.
        for _ in 0..trades.iter().map(|trades| trades.len()).sum() {
            let earlier = |first: usize, s: usize| if next[s].0 < next[first].0 { s } else { first };
            let s = (1..next.len()).fold(0, earlier);
            let trade = &trades[s][next[s].1];
            next[s] = (time_ms(trades[s], next[s].1 + 1), next[s].1 + 1);
            let risk = trade.risk.unwrap_or(trade.quantity * trade.entry_price);
            risked += risk;
            count += 1;
            full_losses += u32::from(trade.profit <= -FULL_LOSS_SHARE * risk);
        }
        let fraction = risked / f64::from(count) / first_equity;
        (fraction.is_finite() && fraction > 0.0).then_some(Self { fraction, full_losses })
    }
}
