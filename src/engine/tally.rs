//! What trades come to, added up one after another as they are closed.
//!
//! Never looks at a trade twice: what wants them all again keeps [`Brief`]s.

use super::ledger::{ClosedTrade, Digest};

/// What a sum of nothing is to the standard library: adding to it changes nothing, not even the sign of a zero.
pub(super) const NOTHING: f64 = -0.0;

/// A trade that loses this share of what it risked took its full loss; slippage and trailing make it less than all.
const FULL_LOSS_SHARE: f64 = 0.8;

/// What is kept of the trades of a sleeve, beside their count and digest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Keep {
    /// Nothing.
    #[default]
    Count,
    /// What performance is computed from: sums, briefs, holdings.
    Briefs,
    /// The trades, too.
    Trades,
}

/// Sums over trades, in their order.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub(super) struct Sums {
    pub profit: f64,
    /// Profits above and below zero.
    pub won: f64,
    pub lost: f64,
    pub hours: f64,
    pub return_fraction: f64,
    pub fees: f64,
    pub slippage: f64,
    pub funding: f64,
}

impl Default for Sums {
    fn default() -> Self {
        let nothing = NOTHING;
        Self {
            profit: nothing,
            won: nothing,
            lost: nothing,
            hours: nothing,
            return_fraction: nothing,
            fees: nothing,
            slippage: nothing,
            funding: nothing,
        }
    }
}

impl Sums {
    /// Adds a trade.
    #[inline(always)]
    pub(super) fn add(&mut self, trade: &ClosedTrade) {
        let profit = trade.profit;
        self.profit += profit;
        self.won += if profit > 0.0 { profit } else { NOTHING };
        self.lost += if profit < 0.0 { profit } else { NOTHING };
        self.hours += (trade.exit_time_ms - trade.entry_time_ms) as f64 / 3.6e6;
        self.return_fraction += trade.return_fraction;
        self.fees += trade.fees;
        self.slippage += trade.slippage;
        self.funding += trade.funding;
    }
}

/// What is looked at once more when all trades are known.
#[derive(Clone, Copy, Debug)]
pub(super) struct Brief {
    pub entry_time_ms: i64,
    pub profit: f64,
    /// What the initial stop would have lost; all of it without a stop.
    pub risk: f64,
}

/// What a sleeve's trades come to. But for digest and counts, only if briefs are kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tally {
    /// Of all trades so far, those of the symbols before included.
    pub digest: Digest,
    pub trades: u32,
    /// Of them, those closed by the window's end.
    pub end_of_window_trades: u32,
    /// Of them, those with a profit, and those that took their full loss.
    pub won: u32,
    pub full_losses: u32,
    /// Candles in which a position was held.
    pub bars: u64,
    pub sums: Sums,
    /// Those of the symbols before included.
    pub sums_so_far: Sums,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            digest: Digest::new(0),
            trades: 0,
            end_of_window_trades: 0,
            won: 0,
            full_losses: 0,
            bars: 0,
            sums: Sums::default(),
            sums_so_far: Sums::default(),
        }
    }
}

impl Tally {
    /// A tally that goes on from that of the symbol before.
    pub(super) fn after(before: &Self) -> Self {
        Self { digest: before.digest, sums_so_far: before.sums_so_far, ..Self::default() }
    }

    /// Adds a trade to what is not digest and counts; returns what is to be looked at once more.
    #[inline(always)]
    pub(super) fn add(&mut self, trade: &ClosedTrade) -> Brief {
        self.sums.add(trade);
        self.sums_so_far.add(trade);
        let risk = trade.risk.unwrap_or(trade.quantity * trade.entry_price);
        self.won += u32::from(trade.profit > 0.0);
        self.full_losses += u32::from(trade.profit <= -FULL_LOSS_SHARE * risk);
        self.bars += u64::from(trade.bars);
        Brief { entry_time_ms: trade.entry_time_ms, profit: trade.profit, risk }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_what_the_standard_library_makes_of_no_values() {
        assert_eq!(NOTHING.to_bits(), std::iter::empty::<f64>().sum::<f64>().to_bits());
    }
}
