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

/// Stays and whether the window ended them, by their begin; those that began together as they ended.
pub(crate) fn ended(track: &Track) -> Vec<(Closed, bool)> {
    let closed = track.closed.iter().map(|c| (*c, false));
    let mut all: Vec<(Closed, bool)> = closed.chain(track.open.iter().map(|c| (*c, true))).collect();
    if let Some(counted) = counted(&all, &track.slots) {
        return counted;
    }
    all.sort_by_key(|(c, _)| c.entry_ms);
    all
}

/// The same order where begins are ends of slots, or the first slot's open, and slots are evenly apart: stays are counted
/// into their places.
fn counted(all: &[(Closed, bool)], slots: &[Slot]) -> Option<Vec<(Closed, bool)>> {
    let (first, second) = (slots.first()?.time_ms, slots.get(1)?.time_ms);
    let (step, origin) = (second - first, first - (second - first));
    let slot = |(c, _): &(Closed, bool)| (c.entry_ms - origin) / step;
    let fits = |one: &(Closed, bool)| {
        one.0.entry_ms == origin + slot(one) * step && (0..=slots.len() as i64).contains(&slot(one))
    };
    if step <= 0 || !all.iter().all(fits) {
        return None;
    }
    let mut next = vec![0_u32; slots.len() + 2];
    all.iter().for_each(|one| next[slot(one) as usize + 1] += 1);
    for at in 1..next.len() {
        next[at] += next[at - 1];
    }
    let mut out = all.to_vec();
    for one in all {
        let place = &mut next[slot(one) as usize];
        out[*place as usize] = *one;
        *place += 1;
    }
    Some(out)
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
    // The last day that was looked up: a calendar is slow.
    let (mut day, mut month) = (i64::MIN, month_of(from_ms));
    for slot in slots {
        // A slot is of the month that it opens in.
        if begin_ms.div_euclid(DAY_MS) != day {
            (day, month) = (begin_ms.div_euclid(DAY_MS), month_of(begin_ms));
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn stays_are_counted_into_the_places_that_sorting_gives_them(
            begins in proptest::collection::vec(0..40_i64, 0..200), odd in proptest::option::of(-50..700_i64)
        ) {
            let slot = |k: i64| Slot { time_ms: 1_000 + 10 * k, equity: 1.0, gross: 0.0, net: 0.0, names: 0, turnover: 0.0 };
            let slots: Vec<Slot> = (1..=40).map(slot).collect();
            let closed = |(number, at): (usize, &i64)| Closed {
                instrument: number as u32, long: true, entry_ms: 1_000 + 10 * at, exit_ms: 0, profit: 0.0, greatest: 0.0,
            };
            let mut all: Vec<(Closed, bool)> = begins.iter().enumerate().map(|one| (closed(one), false)).collect();
            if let (Some(odd), Some(first)) = (odd, all.first_mut()) {
                first.0.entry_ms = 1_000 + odd;
            }
            let mut sorted = all.clone();
            sorted.sort_by_key(|(c, _)| c.entry_ms);
            match counted(&all, &slots) {
                Some(found) => prop_assert_eq!(found, sorted),
                None => prop_assert!(odd.is_some_and(|odd| odd % 10 != 0 || !(0..=400).contains(&odd))),
            }
        }
    }
}
