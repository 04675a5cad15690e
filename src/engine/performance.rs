//! Performance of a ledger, as the definitions fix it.

use serde::{Deserialize, Serialize};

/// Return of one calendar month.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MonthlyReturn {
    /// `2024-04`.
    pub month: String,
    /// Equity at its end / equity at its start - 1.
    #[serde(rename = "return")]
    pub return_fraction: f64,
}

/// Performance over a window. Undefined values are `None`: never NaN, infinity or a sentinel.
///
/// Ratios are annualised by sqrt(365) from daily net returns of marked-to-market equity, standard
/// deviations have ddof 1, the risk-free rate is 0. Net is after fees, slippage and funding.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Performance {
    /// Last equity / first - 1.
    pub total_return: Option<f64>,
    /// 100 x `total_return`.
    pub total_return_pct: Option<f64>,
    /// (last / first)^(365 / days) - 1.
    pub cagr: Option<f64>,
    /// mean(r) / std(r) x sqrt(365).
    pub sharpe_ratio: Option<f64>,
    /// mean(r) / sqrt(sum(min(r, 0)^2) / N) x sqrt(365).
    pub sortino_ratio: Option<f64>,
    /// Most negative equity / running peak - 1 on candle closes: a negative fraction, 0 without one.
    pub max_drawdown: Option<f64>,
    /// cagr / abs(max_drawdown).
    pub calmar_ratio: Option<f64>,
    /// Sum of winning net profits / abs(sum of losing ones); `None` without a losing trade.
    pub profit_factor: Option<f64>,
    /// Trades with net profit > 0 / trades.
    pub win_rate: Option<f64>,
    /// Closed trades, those closed by the window's end included.
    pub total_trades: u32,
    /// Of them, those closed by the window's end.
    pub end_of_window_trades: u32,
    /// Mean of exit time - entry time, hours.
    pub avg_trade_duration_hours: Option<f64>,
    /// Mean net trade return (profit / entry notional).
    pub expectancy: Option<f64>,
    /// sqrt(n) x mean / std of trade net profit.
    pub sqn: Option<f64>,
    /// Share of candles in a position, 0 to 1.
    pub exposure: Option<f64>,
    /// Student's t of daily net returns against zero: mean / std x sqrt(N).
    pub t_statistic: Option<f64>,
    /// Days in the window (daily returns counted).
    pub days: u32,
    /// Fees in quote units.
    pub fees: f64,
    /// Slippage in quote units.
    pub slippage: f64,
    /// Funding in quote units, positive when paid.
    pub funding: f64,
    /// By calendar month.
    pub monthly_returns: Vec<MonthlyReturn>,
}
