//! What a strategy was like lately, day after day: annual Sharpe ratio, volatility and exposure over a window that moves
//! on. A window never reaches from one period into another. Pure.

use super::{Part, Period, chart, chart::Line};
use candles::time::DAY_MS;
use engine::{DailyEquity, performance};
use maud::{Markup, html};
use serde::Serialize;

/// Length of the window, whole days.
const WINDOW_DAYS: usize = 30;

/// The window that ends at a day's end.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Lately {
    pub(super) part: Part,
    /// 00:00 UTC at which it ends, ms.
    pub(super) to_ms: i64,
    /// Annual; `None` without variance.
    pub(super) sharpe_ratio: Option<f64>,
    /// Annual standard deviation of daily returns, fraction.
    pub(super) volatility: Option<f64>,
    /// Share of the time with an open position, fraction; `None` where the period has no trades.
    pub(super) exposure: Option<f64>,
}

/// Of one period; empty where it has no 30 whole days in a row.
pub(super) fn of(period: &Period) -> Vec<Lately> {
    let points = &period.daily_equity;
    let returns: Vec<Option<f64>> = points.windows(2).map(|pair| whole_day(pair[0], pair[1])).collect();
    let held = held(period);
    let window = |(i, window): (usize, &[Option<f64>])| {
        let window: Vec<f64> = window.iter().copied().collect::<Option<_>>()?;
        let to_ms = points[i + WINDOW_DAYS].time_ms;
        let from_ms = to_ms - WINDOW_DAYS as i64 * DAY_MS;
        let open: i64 = held.iter().map(|(from, to)| ((*to).min(to_ms) - (*from).max(from_ms)).max(0)).sum();
        Some(Lately {
            part: period.part,
            to_ms,
            sharpe_ratio: performance::sharpe_ratio(&window),
            volatility: performance::volatility(&window),
            exposure: (!held.is_empty()).then(|| open as f64 / (to_ms - from_ms) as f64),
        })
    };
    returns.windows(WINDOW_DAYS).enumerate().filter_map(window).collect()
}

/// Return of a day between two points that are a day apart.
fn whole_day(before: DailyEquity, after: DailyEquity) -> Option<f64> {
    DailyEquity::day_return(before, after).filter(|_| after.time_ms - before.time_ms == DAY_MS)
}

/// Times in which at least one position was open, apart and in order, UTC ms.
fn held(period: &Period) -> Vec<(i64, i64)> {
    let mut all: Vec<(i64, i64)> = period.trades.iter().map(|t| (t.entry_time_ms, t.exit_time_ms)).collect();
    all.sort_unstable();
    let mut apart: Vec<(i64, i64)> = Vec::new();
    for (from, to) in all {
        match apart.last_mut() {
            Some(last) if from <= last.1 => last.1 = last.1.max(to),
            _ => apart.push((from, to)),
        }
    }
    apart
}

/// The charts; nothing where no period is long enough.
pub(super) fn section(periods: &[Period]) -> Markup {
    let all: Vec<Vec<Lately>> = periods.iter().map(of).filter(|windows| windows.len() > 1).collect();
    let drawn = |figure: fn(&Lately) -> Option<f64>| -> Vec<(Part, Vec<(f64, f64)>)> {
        let points = |of: &Vec<Lately>| of.iter().filter_map(|w| Some((w.to_ms as f64, figure(w)?))).collect();
        all.iter().map(|windows| (windows[0].part, points(windows))).collect()
    };
    let (sharpe, volatility, exposure) = (drawn(|w| w.sharpe_ratio), drawn(|w| w.volatility), drawn(|w| w.exposure));
    html! {
        @if !all.is_empty() {
            h2 { "Rolling figures" }
            h3 { "Sharpe ratio, annual" }
            figure { (chart::numbers_over_time(&lines(&sharpe), 180.0, "Rolling Sharpe ratio")) }
            h3 { "Volatility, annual" }
            figure { (chart::lines_over_time(&lines(&volatility), 160.0, "Rolling volatility")) }
            h3 { "Exposure" }
            figure {
                (chart::lines_over_time(&lines(&exposure), 160.0, "Rolling share of the time with an open position"))
                figcaption {
                    "Each point is of the " (WINDOW_DAYS) " days before it. No window reaches from one period into another. "
                    "Exposure is the share of the time with an open position."
                }
            }
        }
    }
}

/// A line a period; each part is named once.
fn lines(drawn: &[(Part, Vec<(f64, f64)>)]) -> Vec<Line<'_>> {
    let named = |i: usize, part: Part| if drawn[..i].iter().any(|(p, _)| *p == part) { "" } else { part.name() };
    drawn
        .iter()
        .enumerate()
        .filter(|(_, (_, points))| !points.is_empty())
        .map(|(i, (part, points))| Line { class: chart::class(*part), name: named(i, *part), points })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::period;

    /// Returns of +1 % and -0.5 % in turn, one trade over the second half of the last window.
    #[test]
    fn by_hand() {
        let mut period = period(Part::Shadow, 0, 31, 1);
        let start_ms = period.daily_equity[0].time_ms;
        let mut equity = 1000.0;
        for (i, point) in period.daily_equity.iter_mut().enumerate() {
            if i > 0 {
                equity *= if i % 2 == 1 { 1.01 } else { 0.995 };
            }
            point.equity = equity;
        }
        period.trades[0].entry_time_ms = start_ms + 16 * DAY_MS;
        period.trades[0].exit_time_ms = start_ms + 90 * DAY_MS;
        let found = of(&period);
        assert_eq!(found.len(), 2);
        // Mean 0.0025, deviation 0.0075 by as many of each, ddof 1.
        let deviation = 0.0075 * (30.0_f64 / 29.0).sqrt();
        let last = &found[1];
        assert!((last.volatility.unwrap() - deviation * 365.0_f64.sqrt()).abs() < 1e-12);
        assert!((last.sharpe_ratio.unwrap() - 0.0025 / deviation * 365.0_f64.sqrt()).abs() < 1e-9);
        assert_eq!((last.to_ms, last.exposure), (start_ms + 31 * DAY_MS, Some(0.5)));
        assert!(section(&[period]).into_string().contains("Rolling figures"));
    }

    #[test]
    fn a_missing_day_is_in_no_window_and_short_periods_have_none() {
        let mut period = period(Part::Live, 0, 130, 0);
        assert_eq!(of(&period).len(), 101);
        period.daily_equity.remove(65);
        // 65 points before the gap, 65 after it: 35 windows each.
        assert_eq!(of(&period).len(), 70);
        period.daily_equity.truncate(30);
        assert_eq!((of(&period), section(&[period]).into_string()), (Vec::new(), String::new()));
    }

    #[test]
    fn positions_that_overlap_count_once() {
        let mut period = period(Part::Live, 0, 60, 3);
        let start_ms = period.daily_equity[0].time_ms;
        for (trade, days) in period.trades.iter_mut().zip([(0, 12), (6, 18), (30, 36)]) {
            (trade.entry_time_ms, trade.exit_time_ms) = (start_ms + days.0 * DAY_MS, start_ms + days.1 * DAY_MS);
        }
        assert_eq!(of(&period)[0].exposure, Some(0.6));
    }
}
