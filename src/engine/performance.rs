//! Performance of a ledger, as the definitions fix it.
//!
//! Never lets a number out that is not finite: what is undefined is `None`.
//!
//! **Days.** A day's return is equity at 00:00 UTC over equity 24 hours before. A window that begins within a day
//! counts the rest of that day as its first. A last day that is not complete gives no daily return (so that a window
//! that grows only adds days); it is in the total return, the drawdown and the last month nevertheless.

use super::ledger::{ClosedTrade, DAY_MS, DailyEquity};
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
    /// Equity at the window's start and at its end, everything closed.
    pub first_equity: f64,
    pub last_equity: f64,
    /// Equity at the window's start, at each 00:00 UTC after it, and at its end.
    pub daily: &'a [DailyEquity],
    /// Calendar months: name, and the numbers of the days at which each begins and ends.
    pub months: &'a [(String, usize, usize)],
    /// As [`max_drawdown`].
    pub max_drawdown: f64,
    /// Closed trades, symbol by symbol.
    pub trades: &'a [&'a [ClosedTrade]],
    /// Candles of the base timeframe in the window, of all symbols.
    pub candles: usize,
}

impl Performance {
    /// The performance, over its summary, and the daily returns.
    pub(super) fn of(account: &Account<'_>, summary: Self) -> (Self, Vec<f64>) {
        let trades = || account.trades.iter().copied().flatten();
        let returns = daily_returns(account.daily);
        let (first, last) = (account.first_equity, account.last_equity);
        let elapsed_ms = account.daily.last().map_or(0, |d| d.time_ms) - account.daily.first().map_or(0, |d| d.time_ms);
        let cagr = if returns.len() < 2 { None } else { cagr(first, last, elapsed_ms as f64 / DAY_MS as f64) };
        let max_drawdown = finite(account.max_drawdown);
        let n = trades().count();
        let mean_of = |sum: f64| if n == 0 { None } else { finite(sum / n as f64) };
        let profits: Vec<f64> = trades().map(|t| t.profit).collect();
        // One pass, in which no sum waits for another. Sums of nothing are what the standard library makes them.
        let nothing: f64 = std::iter::empty::<f64>().sum();
        let mut sums = [nothing; 5];
        let mut held = 0_u64;
        for t in trades() {
            let hours = (t.exit_time_ms - t.entry_time_ms) as f64 / 3.6e6;
            for (sum, value) in sums.iter_mut().zip([hours, t.return_fraction, t.fees, t.slippage, t.funding]) {
                *sum += value;
            }
            held += u64::from(t.bars);
        }
        let [hours, trade_returns, fees, slippage, funding] = sums;
        let daily = mean_and_deviation(&returns);
        let ratio = |scale: f64| daily.and_then(|(mean, deviation)| finite(mean / deviation * scale));
        let performance = Self {
            cagr,
            sharpe_ratio: ratio(DAYS_A_YEAR.sqrt()),
            sortino_ratio: sortino_ratio(&returns),
            max_drawdown,
            calmar_ratio: cagr.zip(max_drawdown).and_then(|(cagr, drawdown)| finite(cagr / drawdown.abs())),
            profit_factor: profit_factor(&profits),
            win_rate: win_rate(&profits),
            avg_trade_duration_hours: mean_of(hours),
            expectancy: mean_of(trade_returns),
            sqn: t_statistic(&profits),
            exposure: if account.candles == 0 { None } else { finite(held as f64 / account.candles as f64) },
            t_statistic: ratio((returns.len() as f64).sqrt()),
            days: count(returns.len()),
            fees,
            slippage,
            funding,
            monthly_returns: monthly_returns(account.daily, account.months),
            ..summary
        };
        (performance, returns)
    }

    /// Total return and trade counts alone.
    pub(super) fn summary(first_equity: f64, last_equity: f64, total_trades: u32, end_of_window_trades: u32) -> Self {
        let total_return = finite(last_equity / first_equity - 1.0);
        Self {
            total_return,
            total_return_pct: total_return.and_then(|r| finite(100.0 * r)),
            total_trades,
            end_of_window_trades,
            ..Self::default()
        }
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
fn monthly_returns(daily: &[DailyEquity], months: &[(String, usize, usize)]) -> Vec<MonthlyReturn> {
    let of = |(month, begin, end): &(String, usize, usize)| {
        let return_fraction = finite(daily[*end].equity / daily[*begin].equity - 1.0)?;
        Some(MonthlyReturn { month: month.clone(), return_fraction })
    };
    months.iter().filter_map(of).collect()
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
