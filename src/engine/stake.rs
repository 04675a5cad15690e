//! What trades put at stake, in two numbers: enough for whoever judges a strategy without seeing its trades.
//!
//! Describes, never judges.

use super::tally::Brief;
use serde::{Deserialize, Serialize};

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
    pub(super) fn of(trades: &[&[Brief]], full_losses: u32, first_equity: f64) -> Option<Self> {
        // Added up in order of entry, at one time in order of the symbols: the ledger's order gives the same bits.
        let mut risked = 0.0;
        match trades {
            [only] => only.iter().for_each(|trade| risked += trade.risk),
            [a, b] => few_in_order([a, b], |risk| risked += risk),
            [a, b, c] => few_in_order([a, b, c], |risk| risked += risk),
            [a, b, c, d] => few_in_order([a, b, c, d], |risk| risked += risk),
            _ => in_order(trades, |trade| risked += trade.risk),
        }
        let count: usize = trades.iter().map(|trades| trades.len()).sum();
        let fraction = risked / count as f64 / first_equity;
        (fraction.is_finite() && fraction > 0.0).then_some(Self { fraction, full_losses })
    }
}

/// As [`in_order`], of a number of symbols that is known, so that nothing of it passes through memory.
#[inline(always)]
fn few_in_order<const N: usize>(trades: [&[Brief]; N], mut see: impl FnMut(f64)) {
    let mut at = [0; N];
    let left: usize = trades.iter().map(|trades| trades.len()).sum();
    for _ in 0..left {
        let (mut first, mut first_ms, mut risk) = (N, i64::MAX, 0.0);
        for s in 0..N {
            let (time_ms, of) = trades[s].get(at[s]).map_or((i64::MAX, 0.0), |t| (t.entry_time_ms, t.risk));
            let earlier = time_ms < first_ms;
            first = if earlier { s } else { first };
            first_ms = if earlier { time_ms } else { first_ms };
            risk = if earlier { of } else { risk };
        }
        for (s, at) in at.iter_mut().enumerate() {
            *at += usize::from(s == first);
        }
        see(risk);
    }
}

/// Goes through the trades of several symbols in order of entry, at one time in order of the symbols.
fn in_order(trades: &[&[Brief]], mut see: impl FnMut(&Brief)) {
    let time_ms = |trades: &[Brief]| trades.first().map_or(i64::MAX, |trade| trade.entry_time_ms);
    // Of each symbol when the next trade begins, and those to come.
    let mut next: Vec<(i64, &[Brief])> = trades.iter().map(|trades| (time_ms(trades), *trades)).collect();
    loop {
        let (mut first, mut first_ms) = (0, i64::MAX);
        for (s, (time_ms, _)) in next.iter().enumerate() {
            let earlier = *time_ms < first_ms;
            first = if earlier { s } else { first };
            first_ms = if earlier { *time_ms } else { first_ms };
        }
        if first_ms == i64::MAX {
            return;
        }
        if let Some((trade, after)) = next[first].1.split_first() {
            see(trade);
            next[first] = (time_ms(after), after);
        }
    }
}
