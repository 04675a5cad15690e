//! Performance of a ledger, as the definitions fix it.
//!
//! Never lets a number out that is not finite: what is undefined is `None`.
//!
//! **Days.** A day's return is equity at 00:00 UTC over equity 24 hours before. What a window has of a day at its begin
//! and its end gives no daily return; it is in the total return, the drawdown and its month nevertheless. A window
//! counts from its first candle to its last one: time before and after them is not annualised.

use super::tally::{NOTHING, Sums};
use candles::time::DAY_MS;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::{fmt, str::FromStr};

/// A month of the calendar, written `2024-04`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)]
pub struct CalendarMonth {
    pub year: i32,
    /// 1 to 12.
    pub month: u8,
}

impl fmt::Display for CalendarMonth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.year, self.month)
    }
}

impl FromStr for CalendarMonth {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let read = text.rsplit_once('-').and_then(|(year, month)| Some((year.parse().ok()?, month.parse().ok()?)));
        match read {
            Some((year, month @ 1..=12)) => Ok(Self { year, month }),
            _ => Err(format!("not a month such as 2024-04: {text}")),
        }
    }
}

impl Serialize for CalendarMonth {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for CalendarMonth {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// Return of one calendar month.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MonthlyReturn {
    /// Which.
    pub month: CalendarMonth,
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
    /// Whole days in the window (daily returns counted).
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
    /// From the first candle of the window to its last one.
    pub elapsed_ms: i64,
    /// Of the returns of complete days.
    pub returns: &'a Moments,
    /// As [`max_drawdown`].
    pub max_drawdown: f64,
    /// Closed trades: their sums, counts, and the moments of their profits.
    pub sums: &'a Sums,
    pub profits: Moments,
    pub won: u32,
    pub bars: u64,
    /// Candles of the base timeframe in the window, of all symbols.
    pub candles: usize,
    /// By calendar month.
    pub monthly_returns: Vec<MonthlyReturn>,
}

impl Performance {
    /// The performance, over its summary.
    pub(super) fn of(account: Account<'_>, summary: Self) -> Self {
        let Account { returns, profits, sums, candles, .. } = account;
        let (first, last) = (account.first_equity, account.last_equity);
        let cagr = if returns.count < 2 { None } else { cagr(first, last, account.elapsed_ms as f64 / DAY_MS as f64) };
        let max_drawdown = finite(account.max_drawdown);
        let n = profits.count;
        let mean_of = |sum: f64| if n == 0 { None } else { finite(sum / n as f64) };
        Self {
            cagr,
            sharpe_ratio: returns.ratio(DAYS_A_YEAR.sqrt()),
            sortino_ratio: returns.sortino_ratio(),
            max_drawdown,
            calmar_ratio: cagr.zip(max_drawdown).and_then(|(cagr, drawdown)| finite(cagr / drawdown.abs())),
            profit_factor: share_of_losses(sums.won, sums.lost),
            win_rate: if n == 0 { None } else { Some(f64::from(account.won) / n as f64) },
            avg_trade_duration_hours: mean_of(sums.hours),
            expectancy: mean_of(sums.return_fraction),
            sqn: profits.t_statistic(),
            exposure: if candles == 0 { None } else { finite(account.bars as f64 / candles as f64) },
            t_statistic: returns.t_statistic(),
            days: count(returns.count),
            fees: sums.fees,
            slippage: sums.slippage,
            funding: sums.funding,
            monthly_returns: account.monthly_returns,
            ..summary
        }
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

/// Sums of a column of values, by which they are judged.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Moments {
    count: usize,
    sum: f64,
    /// Sum of squares about the mean.
    squares: f64,
    /// Largest absolute value.
    largest: f64,
    /// Sum of squares of what is below zero.
    downside: f64,
}

impl Moments {
    /// Of several columns side by side: no sum waits for another's.
    #[inline(always)]
    pub(super) fn of<const N: usize>(rows: &[[f64; N]]) -> [Self; N] {
        let (mut sums, mut largest, mut downside) = ([NOTHING; N], [0.0_f64; N], [NOTHING; N]);
        for row in rows {
            for k in 0..N {
                let below = row[k].min(0.0);
                sums[k] += row[k];
                largest[k] = largest[k].max(row[k].abs());
                downside[k] += below * below;
            }
        }
        let means = sums.map(|sum| sum / rows.len() as f64);
        let mut squares = [NOTHING; N];
        for row in rows {
            for k in 0..N {
                squares[k] += (row[k] - means[k]) * (row[k] - means[k]);
            }
        }
        std::array::from_fn(|k| Self {
            count: rows.len(),
            sum: sums[k],
            squares: squares[k],
            largest: largest[k],
            downside: downside[k],
        })
    }

    /// Of profits whose sum is known.
    pub(super) fn of_profits(count: usize, sum: f64, profits: impl Iterator<Item = f64>) -> Self {
        let mean = sum / count as f64;
        let (mut squares, mut largest) = (NOTHING, 0.0_f64);
        for profit in profits {
            squares += (profit - mean) * (profit - mean);
            largest = largest.max(profit.abs());
        }
        Self { count, sum, squares, largest, ..Self::default() }
    }

    fn of_values(values: &[f64]) -> Self {
        let [moments] = Self::of(values.as_chunks::<1>().0);
        moments
    }

    fn mean(&self) -> Option<f64> {
        if self.count == 0 { None } else { finite(self.sum / self.count as f64) }
    }

    /// Standard deviation with ddof 1; `None` below two values or where it is zero but for rounding.
    fn deviation(&self) -> Option<f64> {
        if self.count < 2 {
            return None;
        }
        let deviation = (self.squares / (self.count - 1) as f64).sqrt();
        (deviation.is_finite() && deviation > 1e-12 * self.largest).then_some(deviation)
    }

    fn ratio(&self, scale: f64) -> Option<f64> {
        finite(self.mean()? / self.deviation()? * scale)
    }

    fn t_statistic(&self) -> Option<f64> {
        self.ratio((self.count as f64).sqrt())
    }

    fn sortino_ratio(&self) -> Option<f64> {
        if self.count < 2 {
            return None;
        }
        finite(self.mean()? / (self.downside / self.count as f64).sqrt() * DAYS_A_YEAR.sqrt())
    }
}

/// Mean; `None` of nothing.
#[must_use]
pub fn mean(values: &[f64]) -> Option<f64> {
    Moments::of_values(values).mean()
}

/// mean / std x sqrt(365) of daily returns; std with ddof 1.
#[must_use]
pub fn sharpe_ratio(daily_returns: &[f64]) -> Option<f64> {
    Moments::of_values(daily_returns).ratio(DAYS_A_YEAR.sqrt())
}

/// std x sqrt(365) of daily returns; std with ddof 1, `None` where they do not vary.
#[must_use]
pub fn volatility(daily_returns: &[f64]) -> Option<f64> {
    Moments::of_values(daily_returns).deviation().map(|deviation| deviation * DAYS_A_YEAR.sqrt())
}

/// mean / sqrt(sum(min(r, 0)^2) / N) x sqrt(365) of daily returns; `None` without a losing day.
#[must_use]
pub fn sortino_ratio(daily_returns: &[f64]) -> Option<f64> {
    Moments::of_values(daily_returns).sortino_ratio()
}

/// mean / std x sqrt(n): Student's t of the mean against zero; std with ddof 1.
#[must_use]
pub fn t_statistic(values: &[f64]) -> Option<f64> {
    Moments::of_values(values).t_statistic()
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
    share_of_losses(won, lost)
}

fn share_of_losses(won: f64, lost: f64) -> Option<f64> {
    if lost < 0.0 { finite(won / -lost) } else { None }
}

/// Share of profits above zero; `None` without trades.
#[must_use]
pub fn win_rate(profits: &[f64]) -> Option<f64> {
    let won = profits.iter().filter(|p| **p > 0.0).count();
    if profits.is_empty() { None } else { Some(won as f64 / profits.len() as f64) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_is_written_and_read() {
        let month = CalendarMonth { year: 2024, month: 4 };
        let written = serde_json::to_string(&MonthlyReturn { month, return_fraction: 0.5 }).unwrap();
        assert_eq!(written, r#"{"month":"2024-04","return":0.5}"#);
        assert_eq!(serde_json::from_str::<MonthlyReturn>(&written).unwrap().month, month);
        for text in ["2024", "2024-13", "2024-0", "-", "x-04"] {
            assert!(text.parse::<CalendarMonth>().is_err(), "{text}");
        }
    }
}
