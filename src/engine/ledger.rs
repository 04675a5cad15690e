//! What a strategy did: closed trades and marked-to-market equity.
//!
//! Never judges what was done; `performance` computes ratios.

use crate::market::Symbol;
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

/// Equity at a 00:00 UTC, before anything fills at that time; at the window's start; or at its end.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct DailyEquity {
    pub time_ms: i64,
    pub equity: f64,
}

/// Trades in order of entry (then symbol order), and daily equity from the window's start.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Ledger {
    pub trades: Vec<Trade>,
    pub daily_equity: Vec<DailyEquity>,
}

/// Equity over time in steps: from each time on (UTC ms, when a candle has closed) it is the value beside it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Curve {
    /// When the window begins, and what there was then.
    pub start: (i64, f64),
    /// Ascending in time.
    pub steps: Vec<(i64, f64)>,
}

impl Curve {
    /// The sum of sleeves, each carried forward over candles that it lacks and others have.
    pub(super) fn sum(start_ms: i64, sleeves: &[&Self]) -> Self {
        let mut times: Vec<i64> = sleeves.iter().flat_map(|s| s.steps.iter().map(|step| step.0)).collect();
        times.sort_unstable();
        times.dedup();
        let mut latest: Vec<f64> = sleeves.iter().map(|s| s.start.1).collect();
        let mut next = vec![0; sleeves.len()];
        let start = (start_ms, latest.iter().sum());
        let steps = times.into_iter().map(|time_ms| {
            for (s, sleeve) in sleeves.iter().enumerate() {
                if let Some(&(t, equity)) = sleeve.steps.get(next[s])
                    && t == time_ms
                {
                    latest[s] = equity;
                    next[s] += 1;
                }
            }
            (time_ms, latest.iter().sum())
        });
        Self { start, steps: steps.collect() }
    }

    /// Equity at the window's start, at each 00:00 UTC after it, and at `to_ms`.
    pub(super) fn daily(&self, to_ms: i64) -> Vec<DailyEquity> {
        let (from_ms, mut equity) = self.start;
        let mut daily = vec![DailyEquity { time_ms: from_ms, equity }];
        let mut steps = self.steps.iter().peekable();
        let mut time_ms = from_ms;
        while time_ms < to_ms {
            time_ms = (time_ms.div_euclid(DAY_MS) * DAY_MS + DAY_MS).min(to_ms);
            while let Some(step) = steps.next_if(|step| step.0 <= time_ms) {
                equity = step.1;
            }
            daily.push(DailyEquity { time_ms, equity });
        }
        daily
    }

    /// Equity at the end.
    pub(super) fn last(&self) -> f64 {
        self.steps.last().map_or(self.start.1, |step| step.1)
    }
}

/// A day, in milliseconds.
pub(super) const DAY_MS: i64 = 86_400_000;

/// Digest of trades: equal for equal sides, times and prices in equal order. Not cryptographic.
#[derive(Clone, Copy, Debug)]
pub(super) struct Digest(u64);

impl Digest {
    /// A digest of nothing.
    pub(super) fn new() -> Self {
        Self(0x9E37_79B9_7F4A_7C15)
    }

    /// Trades that follow are of this symbol.
    pub(super) fn symbol(&mut self, symbol: &Symbol) {
        for byte in symbol.as_str().bytes() {
            self.word(u64::from(byte));
        }
    }

    /// Adds a trade.
    pub(super) fn trade(&mut self, side: Side, times_ms: [i64; 2], prices: [f64; 2]) {
        self.word(side as u64);
        for word in times_ms.map(i64::cast_unsigned).into_iter().chain(prices.map(f64::to_bits)) {
            self.word(word);
        }
    }

    /// Folds a word in: the two halves of a 128-bit product, so that every bit of the word moves every bit.
    fn word(&mut self, word: u64) {
        let product = u128::from(self.0 ^ word ^ 0xD6E8_FEB8_6659_FD93) * 0xA076_1D64_78BD_642F_u128;
        self.0 = (product as u64) ^ ((product >> 64) as u64).wrapping_add(self.0.rotate_left(23));
    }

    /// The digest.
    pub(super) fn value(self) -> u64 {
        self.0
    }
}
