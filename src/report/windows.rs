//! Results in windows of 30 days, one after the other: whether they are of a piece. Pure.

use super::{Part, Period};
use serde::Serialize;

/// Length of a window, days.
const WINDOW_DAYS: usize = 30;

/// Some days in a row of one part.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Window {
    pub(super) part: Part,
    pub(super) from_ms: i64,
    /// Exclusive.
    pub(super) to_ms: i64,
    /// Fraction.
    pub(super) total_return: f64,
    /// Annual; `None` without variance.
    pub(super) sharpe_ratio: Option<f64>,
    /// Negative fraction of the window's own peak, on daily values.
    pub(super) max_drawdown: f64,
    /// That ended in it.
    pub(super) trades: usize,
}

/// Of all periods, in their order.
pub(super) fn of(periods: &[Period]) -> Vec<Window> {
    periods.iter().flat_map(windows).collect()
}

fn windows(period: &Period) -> Vec<Window> {
    let points = &period.daily_equity;
    let mut found = Vec::new();
    for from in (0..points.len().saturating_sub(1)).step_by(WINDOW_DAYS) {
        let days = &points[from..points.len().min(from + WINDOW_DAYS + 1)];
        let (first, last) = (&days[0], &days[days.len() - 1]);
        if first.equity <= 0.0 {
            break;
        }
        let steps: Vec<f64> =
            days.windows(2).filter_map(|pair| engine::DailyEquity::day_return(pair[0], pair[1])).collect();
        let mut peak = 0.0_f64;
        let fall = |deepest: f64, point: &engine::DailyEquity| {
            peak = peak.max(point.equity);
            deepest.min(point.equity / peak - 1.0)
        };
        found.push(Window {
            part: period.part,
            from_ms: first.time_ms,
            to_ms: last.time_ms,
            total_return: last.equity / first.equity - 1.0,
            sharpe_ratio: engine::performance::sharpe_ratio(&steps),
            max_drawdown: days.iter().fold(0.0, fall),
            trades: period.trades.iter().filter(|t| (first.time_ms..last.time_ms).contains(&t.exit_time_ms)).count(),
        });
    }
    found
}
