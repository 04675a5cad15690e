//! Performance of a ledger, as the definitions fix it.
//!
//! Never lets a number out that is not finite: what is undefined is `None`.
//!
//! **Days.** A day's return is equity at 00:00 UTC over equity 24 hours before. A window that begins within a day
//! counts the rest of that day as its first. A last day that is not complete gives no daily return (so that a window
//! that grows only adds days); it is in the total return, the drawdown and the last month nevertheless.

use super::{
    ExitReason, Trade,
    ledger::{Curve, DAY_MS, DailyEquity},
};
use chrono::{DateTime, Datelike};
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
    /// sqrt(n) x mean / std of trade net profit. (Van Tharp caps n at 100; here every trade counts.)
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

/// Days of a year: crypto markets do not close.
const DAYS_A_YEAR: f64 = 365.0;

/// What performance is computed from.
pub(super) struct Account<'a> {
    /// Equity over the window.
    pub curve: &'a Curve,
    /// End of the window, exclusive, UTC ms.
    pub to_ms: i64,
    /// Closed trades.
    pub trades: &'a [&'a Trade],
    /// Candles of the base timeframe in the window, of all symbols.
    pub candles: usize,
}

impl Performance {
    /// The performance, the daily returns and the daily equity it comes from.
    pub(super) fn of(account: &Account<'_>) -> (Self, Vec<f64>, Vec<DailyEquity>) {
        let Account { curve, to_ms, trades, candles } = *account;
        let daily = curve.daily(to_ms);
        let returns = daily_returns(&daily);
        let (first, last) = (curve.start.1, curve.last());
        let total_return = finite(last / first - 1.0);
        let elapsed_days = (to_ms - curve.start.0) as f64 / DAY_MS as f64;
        let cagr = if returns.len() < 2 { None } else { cagr(first, last, elapsed_days) };
        let max_drawdown = max_drawdown(first, curve.steps.iter().map(|step| step.1));
        let profits: Vec<f64> = trades.iter().map(|t| t.profit).collect();
        let hours: Vec<f64> = trades.iter().map(|t| (t.exit_time_ms - t.entry_time_ms) as f64 / 3.6e6).collect();
        let trade_returns: Vec<f64> = trades.iter().map(|t| t.return_fraction).collect();
        let held: u64 = trades.iter().map(|t| u64::from(t.bars)).sum();
        let by_window_end = trades.iter().filter(|t| t.exit_reason == ExitReason::EndOfWindow).count();
        let performance = Self {
            total_return,
            total_return_pct: total_return.and_then(|r| finite(100.0 * r)),
            cagr,
            sharpe_ratio: sharpe_ratio(&returns),
            sortino_ratio: sortino_ratio(&returns),
            max_drawdown,
            calmar_ratio: cagr.zip(max_drawdown).and_then(|(cagr, drawdown)| finite(cagr / drawdown.abs())),
            profit_factor: profit_factor(&profits),
            win_rate: win_rate(&profits),
            total_trades: count(trades.len()),
            end_of_window_trades: count(by_window_end),
            avg_trade_duration_hours: mean(&hours),
            expectancy: mean(&trade_returns),
            sqn: t_statistic(&profits),
            exposure: if candles == 0 { None } else { finite(held as f64 / candles as f64) },
            t_statistic: t_statistic(&returns),
            days: count(returns.len()),
            fees: trades.iter().map(|t| t.fees).sum(),
            slippage: trades.iter().map(|t| t.slippage).sum(),
            funding: trades.iter().map(|t| t.funding).sum(),
            monthly_returns: monthly_returns(&daily),
        };
        (performance, returns, daily)
    }
}

/// The value, if it is a number that can be stored and compared.
fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// Returns of complete days: from each point to the next one that is a 00:00 UTC. A day that begins with nothing
/// returns nothing.
fn daily_returns(daily: &[DailyEquity]) -> Vec<f64> {
    daily
        .windows(2)
        .filter(|pair| pair[1].time_ms % DAY_MS == 0)
        .map(|pair| if pair[0].equity > 0.0 { pair[1].equity / pair[0].equity - 1.0 } else { 0.0 })
        .collect()
}

/// Returns of calendar months, the parts of months at the window's ends included.
fn monthly_returns(daily: &[DailyEquity]) -> Vec<MonthlyReturn> {
    let month = |time_ms: i64| DateTime::from_timestamp_millis(time_ms).map(|t| (t.year(), t.month()));
    let mut months = Vec::new();
    let mut start = 0;
    for i in 1..daily.len() {
        // A month ends at the 00:00 that begins another, or with the last point.
        let last = i + 1 == daily.len();
        if last || month(daily[i].time_ms) != month(daily[start].time_ms) {
            let (a, b) = (daily[start], daily[i]);
            if let (Some((year, number)), Some(r)) = (month(a.time_ms), finite(b.equity / a.equity - 1.0)) {
                months.push(MonthlyReturn { month: format!("{year:04}-{number:02}"), return_fraction: r });
            }
            start = i;
        }
    }
    months
}

/// Mean; `None` of nothing.
#[must_use]
pub fn mean(values: &[f64]) -> Option<f64> {
    if values.is_empty() { None } else { finite(values.iter().sum::<f64>() / values.len() as f64) }
}

/// Mean and standard deviation with ddof 1; `None` below two values or where the deviation is zero but for rounding.
fn mean_and_deviation(values: &[f64]) -> Option<(f64, f64)> {
    let mean = mean(values)?;
    if values.len() < 2 {
        return None;
    }
    let squares: f64 = values.iter().map(|v| (v - mean) * (v - mean)).sum();
    let deviation = (squares / (values.len() - 1) as f64).sqrt();
    let largest = values.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
    (deviation.is_finite() && deviation > 1e-12 * largest).then_some((mean, deviation))
}

/// mean / std x sqrt(365) of daily returns; std with ddof 1.
#[must_use]
pub fn sharpe_ratio(daily_returns: &[f64]) -> Option<f64> {
    let (mean, deviation) = mean_and_deviation(daily_returns)?;
    finite(mean / deviation * DAYS_A_YEAR.sqrt())
}

/// mean / sqrt(sum(min(r, 0)^2) / N) x sqrt(365) of daily returns; `None` without a losing day.
#[must_use]
pub fn sortino_ratio(daily_returns: &[f64]) -> Option<f64> {
    if daily_returns.len() < 2 {
        return None;
    }
    let squares: f64 = daily_returns.iter().map(|r| r.min(0.0) * r.min(0.0)).sum();
    finite(mean(daily_returns)? / (squares / daily_returns.len() as f64).sqrt() * DAYS_A_YEAR.sqrt())
}

/// mean / std x sqrt(n): Student's t of the mean against zero; std with ddof 1.
#[must_use]
pub fn t_statistic(values: &[f64]) -> Option<f64> {
    let (mean, deviation) = mean_and_deviation(values)?;
    finite(mean / deviation * (values.len() as f64).sqrt())
}

/// (last / first)^(365 / days) - 1.
#[must_use]
pub fn cagr(first: f64, last: f64, days: f64) -> Option<f64> {
    finite((last / first).powf(DAYS_A_YEAR / days) - 1.0)
}

/// Most negative equity / running peak - 1; the first equity is a peak.
#[must_use]
pub fn max_drawdown(first: f64, equity: impl IntoIterator<Item = f64>) -> Option<f64> {
    let (mut peak, mut worst) = (first, 0.0_f64);
    for equity in equity {
        peak = peak.max(equity);
        worst = worst.min(equity / peak - 1.0);
    }
    finite(worst)
}

/// Sum of profits / sum of losses, as a positive number; `None` without a loss.
#[must_use]
pub fn profit_factor(profits: &[f64]) -> Option<f64> {
    let won: f64 = profits.iter().filter(|p| **p > 0.0).sum();
    let lost: f64 = profits.iter().filter(|p| **p < 0.0).sum();
    if lost < 0.0 { finite(won / -lost) } else { None }
}

/// Share of profits above zero; `None` without trades.
#[must_use]
pub fn win_rate(profits: &[f64]) -> Option<f64> {
    let won = profits.iter().filter(|p| **p > 0.0).count();
    if profits.is_empty() { None } else { Some(won as f64 / profits.len() as f64) }
}
