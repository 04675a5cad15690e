//! What a strategy did: closed trades and marked-to-market equity.
//!
//! Never judges what was done; `performance` computes ratios.

use candles::{Symbol, time::DAY_MS};
use serde::{Deserialize, Serialize};

/// Side of a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Side {
    Long,
    Short,
}

impl Side {
    /// The other side.
    #[must_use]
    pub const fn opposite(self) -> Self {
        match self {
            Self::Long => Self::Short,
            Self::Short => Self::Long,
        }
    }

    /// 1 for long, -1 for short. Multiplying prices by it mirrors a short into a long, exactly.
    #[must_use]
    pub const fn sign(self) -> f64 {
        match self {
            Self::Long => 1.0,
            Self::Short => -1.0,
        }
    }
}

/// Why a trade ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum ExitReason {
    Rule,
    StopLoss,
    TakeProfit,
    TrailingStop,
    BreakEven,
    TimeExit,
    Liquidation,
    EndOfWindow,
}

/// A closed trade. A position that was taken off in parts is one trade at its average exit price.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trade {
    /// Symbol.
    pub symbol: Symbol,
    /// Side.
    pub side: Side,
    /// When the entry filled (open time of the fill candle), UTC ms.
    pub entry_time_ms: i64,
    /// Fill price, slippage included.
    pub entry_price: f64,
    /// When the exit filled, UTC ms: the open time of its candle for fills at the open; the close time for the rest.
    /// Funding due at t was paid when entry time < t <= exit time: a fill at an open comes just after it.
    pub exit_time_ms: i64,
    /// Fill price, slippage included; the quantity-weighted mean where parts were taken off.
    pub exit_price: f64,
    /// Units at entry.
    pub quantity: f64,
    /// Net profit in quote units, after fees, slippage and funding.
    pub profit: f64,
    /// Net profit / entry notional.
    pub return_fraction: f64,
    /// Fees paid, both sides, in quote units.
    pub fees: f64,
    /// What slippage cost, both sides, in quote units.
    pub slippage: f64,
    /// Funding paid (positive) or received (negative), in quote units.
    pub funding: f64,
    /// Loss in quote units if the stop that stood from the fill (stop-loss or trailing stop, the nearer) had filled
    /// at its level, costs included; `None` without one.
    pub risk: Option<f64>,
    /// Why it ended.
    pub exit_reason: ExitReason,
    /// Candles of the base timeframe in which the position was held: an exit at an open does not count its candle.
    pub bars: u32,
}

/// A closed trade as the engine keeps it: without its symbol, which its sleeve knows.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub(super) struct ClosedTrade {
    pub side: Side,
    pub entry_time_ms: i64,
    pub entry_price: f64,
    pub exit_time_ms: i64,
    pub exit_price: f64,
    pub quantity: f64,
    pub profit: f64,
    pub return_fraction: f64,
    pub fees: f64,
    pub slippage: f64,
    pub funding: f64,
    pub risk: Option<f64>,
    pub exit_reason: ExitReason,
    pub bars: u32,
}

impl ClosedTrade {
    /// The trade as the world sees it.
    pub(super) fn with_symbol(&self, symbol: &Symbol) -> Trade {
        Trade {
            symbol: symbol.clone(),
            side: self.side,
            entry_time_ms: self.entry_time_ms,
            entry_price: self.entry_price,
            exit_time_ms: self.exit_time_ms,
            exit_price: self.exit_price,
            quantity: self.quantity,
            profit: self.profit,
            return_fraction: self.return_fraction,
            fees: self.fees,
            slippage: self.slippage,
            funding: self.funding,
            risk: self.risk,
            exit_reason: self.exit_reason,
            bars: self.bars,
        }
    }
}

/// Equity at a 00:00 UTC, before anything fills at that time; at the window's start; or at its end.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct DailyEquity {
    pub time_ms: i64,
    pub equity: f64,
}

impl DailyEquity {
    /// Return of the whole day between two neighbouring points: `None` where one of them is within a day (at the start
    /// or the end of a window), or the first is worth nothing.
    #[must_use]
    pub fn day_return(before: Self, after: Self) -> Option<f64> {
        let whole = [before, after].iter().all(|point| point.time_ms.rem_euclid(DAY_MS) == 0);
        (whole && before.equity > 0.0).then(|| after.equity / before.equity - 1.0)
    }
}

/// What a sleeve holds from `from_ms` on, until the next holding.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Holding {
    /// The close of the candle in which it came about, as the next candle's open time, UTC ms.
    pub from_ms: i64,
    /// Quote units; below what the sleeve began with while long.
    pub cash: f64,
    /// Units of the symbol, negative when short: equity at a price is cash + units x price, at least 0.
    pub units: f64,
}

/// Trades in order of entry (then symbol order), and daily equity from the window's start.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Ledger {
    pub trades: Vec<Trade>,
    pub daily_equity: Vec<DailyEquity>,
    /// By symbol, in the window's order: what was held from when on, the first from the window's start.
    #[serde(default)]
    pub holdings: Vec<Vec<Holding>>,
}

/// Digest of words in order. Not cryptographic.
#[derive(Clone, Copy, Debug)]
pub struct Digest(u64);

impl Digest {
    /// A digest of nothing; another for each seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(seed | 1).wrapping_add(seed))
    }

    /// Trades that follow are of this symbol.
    pub(super) fn symbol(&mut self, symbol: &Symbol) {
        for byte in symbol.as_str().bytes() {
            self.word(u64::from(byte));
        }
    }

    /// Adds a trade: its side, and when and at which prices it began and ended.
    #[inline(always)]
    pub(super) fn trade(&mut self, side: Side, times_ms: [i64; 2], prices: [f64; 2]) {
        let ([entry_ms, exit_ms], [entry, exit]) = (times_ms, prices);
        self.pair(entry_ms.cast_unsigned() << 1 | side as u64, exit_ms.cast_unsigned());
        self.pair(entry.to_bits(), exit.to_bits());
    }

    /// Folds two words in at once: the halves of the product of the two, each mixed with the digest or a constant.
    #[inline(always)]
    pub fn pair(&mut self, a: u64, b: u64) {
        let product = u128::from(self.0 ^ a ^ 0xD6E8_FEB8_6659_FD93) * u128::from(b ^ 0xA076_1D64_78BD_642F);
        self.0 = (product as u64) ^ ((product >> 64) as u64).wrapping_add(self.0.rotate_left(23));
    }

    /// Folds a word in: the two halves of a 128-bit product, so that every bit of the word moves every bit.
    pub fn word(&mut self, word: u64) {
        let product = u128::from(self.0 ^ word ^ 0xD6E8_FEB8_6659_FD93) * 0xA076_1D64_78BD_642F_u128;
        self.0 = (product as u64) ^ ((product >> 64) as u64).wrapping_add(self.0.rotate_left(23));
    }

    /// The digest.
    #[must_use]
    pub fn value(self) -> u64 {
        self.0
    }
}
