//! A track record day by day, from marked-to-market equity and closed trades: what a deployment's daily figures are.
//!
//! A day is `[00:00, 24:00)` UTC. The first may be a part of one, and is in no rolling figure then; a last day that has
//! not ended is left out. As everywhere: standard deviations with ddof 1, 365 days a year, risk-free 0.

use candles::time::DAY_MS;
use engine::{DailyEquity, Trade, performance};
use serde::{Deserialize, Serialize};

/// Days that the rolling figures look at.
pub const ROLLING_DAYS: usize = 30;

/// One day of a track record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DayFigures {
    /// Start of the day, 00:00 UTC, ms.
    pub day_ms: i64,
    /// Equity at the day's end / equity at its start - 1 (fraction).
    pub daily_return: f64,
    /// Equity at the day's end / equity at the record's start - 1 (fraction): the daily returns compounded.
    pub cumulative_return: f64,
    /// mean / std x sqrt(365) of the last 30 daily returns; `None` before there are 30, or without variance.
    pub sharpe_30d: Option<f64>,
    /// Equity / highest equity at any day's end so far - 1: 0 or negative (fraction).
    pub drawdown: f64,
    /// Trades with a net profit / trades, of all closed so far (fraction); `None` without any.
    pub win_rate: Option<f64>,
    /// Trades closed so far.
    pub trades: u32,
    /// std x sqrt(365) of the last 30 daily returns, or of all while there are fewer; `None` below 2.
    pub volatility: Option<f64>,
}

/// The finished days of a record. Equity is in order of time, its first value that of the start.
#[must_use]
pub fn days(equity: &[DailyEquity], trades: &[Trade]) -> Vec<DayFigures> {
    let mut returns: Vec<f64> = Vec::new();
    let mut found = Vec::new();
    let Some(first) = equity.first().filter(|first| first.equity > 0.0) else { return found };
    let mut peak = first.equity;
    for pair in equity.windows(2) {
        let (before, now) = (pair[0], pair[1]);
        if now.time_ms.rem_euclid(DAY_MS) != 0 || before.equity <= 0.0 {
            break;
        }
        peak = peak.max(now.equity);
        let daily_return = now.equity / before.equity - 1.0;
        returns.extend(DailyEquity::day_return(before, now));
        let rolling = &returns[returns.len().saturating_sub(ROLLING_DAYS)..];
        let profits: Vec<f64> = trades.iter().filter(|t| t.exit_time_ms < now.time_ms).map(|t| t.profit).collect();
        found.push(DayFigures {
            day_ms: (now.time_ms - 1).div_euclid(DAY_MS) * DAY_MS,
            daily_return,
            cumulative_return: now.equity / first.equity - 1.0,
            sharpe_30d: (rolling.len() == ROLLING_DAYS).then(|| performance::sharpe_ratio(rolling)).flatten(),
            drawdown: now.equity / peak - 1.0,
            win_rate: performance::win_rate(&profits),
            trades: u32::try_from(profits.len()).unwrap_or(u32::MAX),
            volatility: deviation(rolling).map(|d| d * 365_f64.sqrt()),
        });
    }
    found
}

/// Standard deviation (ddof 1); `None` below 2 values.
#[must_use]
pub fn deviation(values: &[f64]) -> Option<f64> {
    let mean = performance::mean(values)?;
    (values.len() > 1).then(|| {
        let squares: f64 = values.iter().map(|v| (v - mean) * (v - mean)).sum();
        (squares / (values.len() - 1) as f64).sqrt()
    })
}

/// Pearson's correlation of two records over the days that both have, given as (day, return) in order of days.
/// `None` with fewer than `min_days` such days, or where one of them does not vary.
#[must_use]
pub fn correlation(a: &[(i64, f64)], b: &[(i64, f64)], min_days: usize) -> Option<f64> {
    let at = |day: i64| b.binary_search_by_key(&day, |(day, _)| *day).ok().map(|i| b[i].1);
    let pairs: Vec<(f64, f64)> = a.iter().filter_map(|&(day, x)| Some((x, at(day)?))).collect();
    if pairs.len() < min_days.max(2) {
        return None;
    }
    let n = pairs.len() as f64;
    let (mean_x, mean_y) = (pairs.iter().map(|p| p.0).sum::<f64>() / n, pairs.iter().map(|p| p.1).sum::<f64>() / n);
    let (mut xy, mut xx, mut yy) = (0.0, 0.0, 0.0);
    for (x, y) in pairs {
        let (x, y) = (x - mean_x, y - mean_y);
        (xy, xx, yy) = (xy + x * y, xx + x * x, yy + y * y);
    }
    (xx > 0.0 && yy > 0.0).then(|| (xy / (xx * yy).sqrt()).clamp(-1.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::{ExitReason, Side};

    fn trade(exit_time_ms: i64, profit: f64) -> Trade {
        Trade {
            symbol: "BTCUSDT".parse().unwrap(),
            side: Side::Long,
            entry_time_ms: 0,
            entry_price: 1.0,
            exit_time_ms,
            exit_price: 1.0,
            quantity: 1.0,
            profit,
            return_fraction: profit,
            fees: 0.0,
            slippage: 0.0,
            funding: 0.0,
            risk: None,
            exit_reason: ExitReason::Rule,
            bars: 1,
        }
    }

    fn curve(start_ms: i64, values: &[f64]) -> Vec<DailyEquity> {
        let time = |i: usize| if i == 0 { start_ms } else { (start_ms.div_euclid(DAY_MS) + i as i64) * DAY_MS };
        values.iter().enumerate().map(|(i, &equity)| DailyEquity { time_ms: time(i), equity }).collect()
    }

    #[test]
    fn days_compound_and_an_unfinished_one_is_left_out() {
        let start_ms = 10 * DAY_MS + 3_600_000;
        let mut equity = curve(start_ms, &[100.0, 110.0, 99.0]);
        equity.push(DailyEquity { time_ms: 12 * DAY_MS + 900_000, equity: 500.0 });
        let trades = [trade(10 * DAY_MS + 7_200_000, 10.0), trade(11 * DAY_MS, -11.0), trade(12 * DAY_MS, 400.0)];
        let found = days(&equity, &trades);
        assert_eq!(found.iter().map(|d| d.day_ms / DAY_MS).collect::<Vec<_>>(), [10, 11]);
        let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-12, "{a} {b}");
        near(found[0].daily_return, 0.1);
        near(found[1].daily_return, -0.1);
        near((1.0 + found[0].cumulative_return) * (1.0 + found[1].daily_return) - 1.0, found[1].cumulative_return);
        near(found[1].drawdown, -0.1);
        assert_eq!((found[0].trades, found[0].win_rate), (1, Some(1.0)));
        assert_eq!((found[1].trades, found[1].win_rate), (2, Some(0.5)));
        assert_eq!((found[0].volatility, found[1].sharpe_30d), (None, None));
        assert!(days(&[], &[]).is_empty());
    }

    #[test]
    fn the_rolling_sharpe_is_that_of_the_last_thirty_days() {
        let values: Vec<f64> = (0..46).map(|i| 100.0 + f64::from(i) + f64::from(i * 7 % 5)).collect();
        let found = days(&curve(0, &values), &[]);
        assert_eq!(found.iter().position(|d| d.sharpe_30d.is_some()), Some(29));
        let last: Vec<f64> = found[15..].iter().map(|d| d.daily_return).collect();
        assert_eq!((last.len(), found[44].sharpe_30d), (30, performance::sharpe_ratio(&last)));
    }

    #[test]
    fn correlation_is_over_common_days() {
        let a: Vec<(i64, f64)> = (0..20).map(|i| (i, (i * i % 7) as f64)).collect();
        let twice: Vec<(i64, f64)> = a.iter().skip(4).map(|&(i, x)| (i, 2.0 * x + 1.0)).collect();
        let against: Vec<(i64, f64)> = a.iter().map(|&(i, x)| (i, -x)).collect();
        assert!((correlation(&a, &twice, 10).unwrap() - 1.0).abs() < 1e-12);
        assert!((correlation(&a, &against, 10).unwrap() + 1.0).abs() < 1e-12);
        assert_eq!(correlation(&a, &twice, 17), None);
        assert_eq!(correlation(&a, &(0..20).map(|i| (i, 0.5)).collect::<Vec<_>>(), 10), None);
    }
}
