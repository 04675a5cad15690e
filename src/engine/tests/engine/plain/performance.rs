//! Performance as the definitions say it, from a list of trades and a curve of equity: each number by itself, each sum
//! the standard library's.

use candles::time::DAY_MS;
use engine::{CalendarMonth, DailyEquity, MonthlyReturn, Performance, Trade};

fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}

fn mean(values: &[f64]) -> Option<f64> {
    if values.is_empty() { None } else { finite(values.iter().sum::<f64>() / values.len() as f64) }
}

/// With ddof 1; `None` where it is zero but for rounding.
fn deviation(values: &[f64]) -> Option<f64> {
    let mean = mean(values)?;
    if values.len() < 2 {
        return None;
    }
    let squares: f64 = values.iter().map(|v| (v - mean) * (v - mean)).sum();
    let deviation = (squares / (values.len() - 1) as f64).sqrt();
    let largest = values.iter().fold(0.0_f64, |largest, v| largest.max(v.abs()));
    (deviation.is_finite() && deviation > 1e-12 * largest).then_some(deviation)
}

fn ratio(values: &[f64], scale: f64) -> Option<f64> {
    finite(mean(values)? / deviation(values)? * scale)
}

fn sortino_ratio(returns: &[f64]) -> Option<f64> {
    let squares: f64 = returns.iter().map(|r| r.min(0.0) * r.min(0.0)).sum();
    if returns.len() < 2 {
        return None;
    }
    finite(mean(returns)? / (squares / returns.len() as f64).sqrt() * 365.0_f64.sqrt())
}

fn monthly_returns(daily: &[DailyEquity]) -> Vec<MonthlyReturn> {
    let month = |d: &DailyEquity| -> CalendarMonth {
        let time = chrono::DateTime::from_timestamp_millis(d.time_ms).unwrap();
        time.format("%Y-%m").to_string().parse().unwrap()
    };
    // A day belongs to the month in which it begins.
    let days: Vec<_> = daily.windows(2).collect();
    let months = days.chunk_by(|a, b| month(&a[0]) == month(&b[0]));
    let returned = months.filter_map(|days| {
        let (begin, end) = (&days[0][0], &days[days.len() - 1][1]);
        Some(MonthlyReturn { month: month(begin), return_fraction: finite(end.equity / begin.equity - 1.0)? })
    });
    returned.collect()
}

/// Daily returns of complete days.
pub(crate) fn daily_returns(daily: &[DailyEquity]) -> Vec<f64> {
    let complete = daily.windows(2).filter(|days| days.iter().all(|day| day.time_ms % DAY_MS == 0));
    complete.map(|d| if d[0].equity > 0.0 { d[1].equity / d[0].equity - 1.0 } else { 0.0 }).collect()
}

/// Of trades symbol by symbol; of equity at the window's start, at each midnight and at its end; and of equity at each
/// close of the `candles` there are.
pub(crate) fn performance(
    trades: &[Trade],
    daily: &[DailyEquity],
    curve: &[DailyEquity],
    candles: usize,
) -> Performance {
    let (begin, end) = (&daily[0], &daily[daily.len() - 1]);
    let returns = daily_returns(daily);
    let total_return = finite(end.equity / begin.equity - 1.0);
    let days = (end.time_ms - begin.time_ms) as f64 / DAY_MS as f64;
    let cagr = if returns.len() < 2 { None } else { finite((end.equity / begin.equity).powf(365.0 / days) - 1.0) };
    let (mut peak, mut drawdown) = (begin.equity, 0.0_f64);
    for close in curve {
        peak = peak.max(close.equity);
        drawdown = drawdown.min(close.equity / peak - 1.0);
    }
    let of = |value: fn(&Trade) -> f64| -> Vec<f64> { trades.iter().map(value).collect() };
    let profits = of(|t| t.profit);
    let won: f64 = profits.iter().filter(|p| **p > 0.0).sum();
    let lost: f64 = profits.iter().filter(|p| **p < 0.0).sum();
    let winners = profits.iter().filter(|p| **p > 0.0).count();
    let at_end = trades.iter().filter(|t| t.exit_reason == engine::ExitReason::EndOfWindow).count();
    let held: u32 = trades.iter().map(|t| t.bars).sum();
    Performance {
        total_return,
        total_return_pct: total_return.and_then(|r| finite(100.0 * r)),
        cagr,
        sharpe_ratio: ratio(&returns, 365.0_f64.sqrt()),
        sortino_ratio: sortino_ratio(&returns),
        max_drawdown: finite(drawdown),
        calmar_ratio: cagr.and_then(|cagr| finite(cagr / drawdown.abs())),
        profit_factor: if lost < 0.0 { finite(won / -lost) } else { None },
        win_rate: if trades.is_empty() { None } else { Some(winners as f64 / trades.len() as f64) },
        total_trades: trades.len() as u32,
        end_of_window_trades: at_end as u32,
        avg_trade_duration_hours: mean(&of(|t| (t.exit_time_ms - t.entry_time_ms) as f64 / 3.6e6)),
        expectancy: mean(&of(|t| t.return_fraction)),
        sqn: ratio(&profits, (profits.len() as f64).sqrt()),
        exposure: finite(f64::from(held) / candles as f64),
        t_statistic: ratio(&returns, (returns.len() as f64).sqrt()),
        days: returns.len() as u32,
        fees: of(|t| t.fees).iter().sum(),
        slippage: of(|t| t.slippage).iter().sum(),
        funding: of(|t| t.funding).iter().sum(),
        monthly_returns: monthly_returns(daily),
    }
}
