//! What every strategy is told by, of a run: performance and daily returns. No attribution, no names.

use crate::{
    Benchmark, Hedged, Panel, Slot, Track,
    account::{Closed, Gain},
    hedge::hedge,
};
use candles::time::DAY_MS;
use chrono::{DateTime, Datelike};
use engine::{CalendarMonth, MonthlyReturn, Performance, performance};
use std::collections::BTreeMap;

pub(crate) fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}

/// The slots of a run that the panel knows of.
pub(crate) fn known_slots<'t>(track: &'t Track, panel: &Panel, to_ms: i64) -> &'t [Slot] {
    let end_ms = to_ms.min(panel.end_ms());
    &track.slots[..track.slots.partition_point(|s| s.time_ms <= end_ms)]
}

/// Stays and whether the window ended them, by their begin.
pub(crate) fn ended(track: &Track) -> Vec<(Closed, bool)> {
    let closed = track.closed.iter().map(|c| (*c, false));
    let mut all: Vec<(Closed, bool)> = closed.chain(track.open.iter().map(|c| (*c, true))).collect();
    all.sort_by_key(|(c, _)| c.entry_ms);
    all
}

/// Performance and hedged days of a run over `[from_ms, to_ms)` that began with `capital`. The benchmark is that of the
/// window's days.
pub(crate) fn brief(
    track: &Track,
    panel: &Panel,
    (from_ms, to_ms): (i64, i64),
    capital: f64,
    benchmark: &Benchmark,
) -> (Performance, Vec<Hedged>) {
    let slots = known_slots(track, panel, to_ms);
    let (first_day_ms, net) = daily_returns(slots, from_ms, capital);
    let performance = performance_of(slots, &net, &ended(track), &track.gains, (from_ms, capital));
    (performance, hedge(first_day_ms, &net, benchmark))
}

/// The midnight at which the first daily return's day begins, and the returns. A window that begins within a day has
/// the rest of it as its first return.
#[must_use]
pub fn daily_returns(slots: &[Slot], from_ms: i64, first: f64) -> (i64, Vec<f64>) {
    let first_day_ms = from_ms.div_euclid(DAY_MS) * DAY_MS;
    let (mut before, mut midnight_ms, mut returns) = (first, first_day_ms + DAY_MS, Vec::new());
    let mut known = first;
    for slot in slots {
        while slot.time_ms >= midnight_ms {
            let equity = if slot.time_ms == midnight_ms { slot.equity } else { known };
            returns.push(if before == 0.0 { 0.0 } else { equity / before - 1.0 });
            (before, midnight_ms) = (equity, midnight_ms + DAY_MS);
        }
        known = slot.equity;
    }
    (first_day_ms, returns)
}

/// Figures as for every strategy, of a window that begins with this time and equity.
pub(crate) fn performance_of(
    slots: &[Slot],
    net: &[f64],
    ended: &[(Closed, bool)],
    gains: &BTreeMap<u32, Gain>,
    (from_ms, first): (i64, f64),
) -> Performance {
    let last = slots.last().map_or(first, |s| s.equity);
    let days = slots.last().map_or(0, |s| s.time_ms - from_ms) as f64 / DAY_MS as f64;
    let profits: Vec<f64> = ended.iter().map(|(c, _)| c.profit).collect();
    let returns: Vec<f64> = ended.iter().map(|(c, _)| c.return_fraction()).collect();
    let hours: Vec<f64> = ended.iter().map(|(c, _)| (c.exit_ms - c.entry_ms) as f64 / 3_600_000.0).collect();
    let cagr = if net.len() < 2 { None } else { performance::cagr(first, last, days) };
    let max_drawdown = performance::max_drawdown(first, slots.iter().map(|s| s.equity));
    let sum = |of: fn(&Gain) -> f64| gains.values().map(of).sum::<f64>();
    let held = slots.iter().filter(|s| s.names > 0).count();
    Performance {
        total_return: finite(last / first - 1.0),
        total_return_pct: finite(100.0 * (last / first - 1.0)),
        cagr,
        sharpe_ratio: performance::sharpe_ratio(net),
        sortino_ratio: performance::sortino_ratio(net),
        max_drawdown,
        calmar_ratio: cagr.zip(max_drawdown).and_then(|(c, d)| finite(c / d.abs())),
        profit_factor: performance::profit_factor(&profits),
        win_rate: performance::win_rate(&profits),
        total_trades: ended.len() as u32,
        end_of_window_trades: ended.iter().filter(|(_, open)| *open).count() as u32,
        avg_trade_duration_hours: performance::mean(&hours),
        expectancy: performance::mean(&returns),
        sqn: performance::t_statistic(&profits),
        exposure: if slots.is_empty() { None } else { finite(held as f64 / slots.len() as f64) },
        t_statistic: performance::t_statistic(net),
        days: net.len() as u32,
        fees: sum(|g| g.fees),
        slippage: sum(|g| g.slippage),
        funding: sum(|g| g.funding),
        monthly_returns: monthly(slots, from_ms, first),
    }
}

fn monthly(slots: &[Slot], from_ms: i64, first: f64) -> Vec<MonthlyReturn> {
    let month_of = |time_ms: i64| {
        let date = DateTime::from_timestamp_millis(time_ms).unwrap_or_default();
        CalendarMonth { year: date.year(), month: date.month() as u8 }
    };
    let mut out: Vec<(CalendarMonth, f64, f64)> = Vec::new();
    let (mut before, mut begin_ms) = (first, from_ms);
    for slot in slots {
        // A slot is of the month that it opens in.
        let month = month_of(begin_ms);
        match out.last_mut() {
            Some((last, _, end)) if *last == month => *end = slot.equity,
            _ => out.push((month, before, slot.equity)),
        }
        (before, begin_ms) = (slot.equity, slot.time_ms);
    }
    let of = |(month, begin, end): (CalendarMonth, f64, f64)| {
        finite(end / begin - 1.0).map(|return_fraction| MonthlyReturn { month, return_fraction })
    };
    out.into_iter().filter_map(of).collect()
}
