//! What a strategy did: closed trades and marked-to-market equity.

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
    /// Loss in quote units if the initial stop had filled at its level, costs included; `None` without a stop.
    pub risk: Option<f64>,
    /// Why it ended.
    pub exit_reason: ExitReason,
    /// Candles of the base timeframe from entry candle to exit candle.
    pub bars: u32,
}

/// Equity at a 00:00 UTC (or at the window's end).
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
