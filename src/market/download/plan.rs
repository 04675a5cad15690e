//! What a download would fetch. Pure: what is stored and the exchange's time in, steps out.
//!
//! Whole months that have ended come as one archive each, the days of a month that goes on (or ended so lately that its
//! archive may not be out yet) as daily archives, and the rest from REST. What is stored already is in no step, and an
//! archive that was merged is not fetched again, whatever gaps it has: so an interrupted download goes on where it
//! stopped, and a finished one plans nothing.

use crate::cache::Manifest;
use crate::dumps::DumpName;
use candles::quality::count_between;
use candles::{Interval, Symbol, interval};
use chrono::{DateTime, Datelike, Days, Months, NaiveDate};
use serde::Serialize;

/// A month's archive appears within the first days of the next one; until then its days are fetched.
pub(super) const MONTH_SETTLES_MS: i64 = 5 * 86_400_000;
/// A day's archive appears on the next day.
pub(super) const DAY_SETTLES_MS: i64 = 86_400_000;
/// Size of one candle in an archive, bytes (measured on a month of minutes and on months of quarter hours).
const ARCHIVE_BYTES_A_ROW: f64 = 40.0;
/// Size of one candle in a REST answer, bytes.
const REST_BYTES_A_ROW: f64 = 170.0;

/// Which candles are wanted of one symbol and interval.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Wanted {
    /// Which symbol.
    pub symbol: Symbol,
    /// Which interval.
    pub interval: Interval,
    /// First open time, UTC ms.
    pub from_ms: i64,
    /// End, exclusive, UTC ms.
    pub to_ms: i64,
}

/// The steps for one symbol and interval.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SeriesPlan {
    /// What is wanted; never beyond the newest closed candle.
    #[serde(flatten)]
    pub wanted: Wanted,
    /// Archives to fetch, in time order.
    #[serde(serialize_with = "names")]
    pub archives: Vec<DumpName>,
    /// Archives that were merged before; fetched only if their checksum has changed.
    #[serde(serialize_with = "names")]
    pub known: Vec<DumpName>,
    /// Candles that are missing now.
    pub missing: u64,
    /// Of them, those that no archive in the plan covers: they come from REST.
    pub from_rest: u64,
}

fn names<S: serde::Serializer>(archives: &[DumpName], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(archives.iter().map(DumpName::file_name))
}

/// What a plan costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Cost {
    /// Archives.
    pub files: u64,
    /// Requests: two an archive (it and its checksum), those that a month is held against the exchange with, one a page of
    /// candles.
    pub requests: u64,
    /// Request weight: of REST alone.
    pub weight: u64,
    /// Bytes over the wire, estimated.
    pub bytes: u64,
    /// Candles.
    pub candles: u64,
    /// Time that the request weight alone takes at the allowed rate, seconds.
    pub weight_s: f64,
}

impl Cost {
    /// Sums up plans. `page` is the most candles that a request answers, `page_weight` what it costs, `budget` the
    /// weight allowed in a minute.
    #[must_use]
    pub fn of(plans: &[SeriesPlan], page: u32, page_weight: u32, budget: u32) -> Self {
        let mut cost = Self::default();
        for plan in plans {
            let monthly = plan.archives.iter().filter(|archive| !archive.daily).count() as u64;
            let pages =
                plan.from_rest.div_ceil(u64::from(page.max(1))) + monthly * comparison(plan.wanted.interval, page).1;
            let files = plan.archives.len() as u64;
            cost.files += files;
            cost.requests += 2 * files + pages;
            cost.weight += pages * u64::from(page_weight);
            cost.candles += plan.missing;
            let archived = plan.missing.saturating_sub(plan.from_rest) as f64;
            cost.bytes += (archived * ARCHIVE_BYTES_A_ROW + plan.from_rest as f64 * REST_BYTES_A_ROW) as u64;
        }
        cost.weight_s = 60.0 * cost.weight as f64 / f64::from(budget.max(1));
        cost
    }
}

/// Plans one symbol and interval. `stored` are its months in time order, `now_ms` the exchange's time.
#[must_use]
pub fn plan(wanted: &Wanted, stored: &[Manifest], now_ms: i64) -> SeriesPlan {
    let interval = wanted.interval;
    let newest_end_ms = interval::open_time_ms(interval, now_ms);
    let from_ms = first_open_ms(interval, wanted.from_ms.max(0));
    let to_ms = first_open_ms(interval, wanted.to_ms.min(newest_end_ms).max(from_ms));
    let wanted = Wanted { from_ms, to_ms, ..wanted.clone() };
    let missing = missing_in(interval, stored, from_ms, to_ms);
    let (mut archives, mut known) = (Vec::new(), Vec::new());
    let mut covered = 0;
    if !matches!(interval, Interval::W1 | Interval::D3) {
        for month in months(from_ms, to_ms) {
            let monthly = DumpName { symbol: wanted.symbol.clone(), interval, first_day: month, daily: false };
            let (month_from, month_to) = monthly.range_ms();
            let (a, b) = (month_from.max(from_ms), month_to.min(to_ms));
            if is_merged(&monthly, stored) {
                known.push(monthly);
                continue;
            }
            let lacking = missing_in(interval, stored, a, b);
            if lacking == 0 {
                continue;
            }
            if month_to + MONTH_SETTLES_MS <= now_ms {
                covered += lacking;
                archives.push(monthly);
            } else if interval < Interval::D1 {
                for day in daily(&monthly) {
                    let (day_from, day_to) = day.range_ms();
                    let (a, b) = (day_from.max(from_ms), day_to.min(to_ms));
                    let lacking = missing_in(interval, stored, a, b);
                    if lacking > 0 && day_to + DAY_SETTLES_MS <= now_ms && !is_merged(&day, stored) {
                        covered += lacking;
                        archives.push(day);
                    }
                }
            }
        }
    }
    SeriesPlan { wanted, archives, known, missing, from_rest: missing.saturating_sub(covered) }
}

/// A month is held against the exchange candle by candle where that takes so few requests, by the hour otherwise.
const COMPARED_PAGES: u64 = 3;

/// At which interval a month of candles is held against the exchange, and how many pages that takes.
#[must_use]
pub(super) fn comparison(interval: Interval, page: u32) -> (Interval, u64) {
    const MONTH_MS: i64 = 31 * 86_400_000;
    let pages = |interval: Interval| {
        let candles = interval.fixed_ms().map_or(1, |length| MONTH_MS / length).unsigned_abs();
        candles.div_ceil(u64::from(page.max(1))).max(1)
    };
    match pages(interval) {
        few if few <= COMPARED_PAGES => (interval, few),
        _ => (Interval::H1, pages(Interval::H1)),
    }
}

/// The daily archives of a month.
#[must_use]
pub(super) fn daily(monthly: &DumpName) -> Vec<DumpName> {
    let days = monthly.first_day.iter_days().take_while(|day| day.month() == monthly.first_day.month());
    days.map(|first_day| DumpName { first_day, daily: true, ..monthly.clone() }).collect()
}

/// The checksum with which an archive was merged, if it was.
#[must_use]
pub(super) fn merged_sha256<'a>(name: &DumpName, stored: &'a [Manifest]) -> Option<&'a str> {
    let file = name.file_name();
    let found = stored.iter().flat_map(|month| &month.archives).find(|archive| archive.name == file);
    found.map(|archive| archive.sha256.as_str())
}

fn is_merged(name: &DumpName, stored: &[Manifest]) -> bool {
    merged_sha256(name, stored).is_some()
}

/// Candles of `[from_ms, to_ms)` (on the grid) that no stored month has.
#[must_use]
pub(crate) fn missing_in(interval: Interval, stored: &[Manifest], from_ms: i64, to_ms: i64) -> u64 {
    let count = |from: i64, to: i64| if from < to { count_between(interval, from, to) } else { 0 };
    let from_ms = first_open_ms(interval, from_ms);
    let to_ms = first_open_ms(interval, to_ms);
    let mut present = 0;
    for Manifest { facts, .. } in stored {
        let end_ms = interval::next_open_time_ms(interval, facts.last_open_ms);
        present += count(facts.first_open_ms.max(from_ms), end_ms.min(to_ms));
        let holes = facts.gaps.iter().map(|gap| count(gap.from_ms.max(from_ms), gap.to_ms.min(to_ms)));
        present = present.saturating_sub(holes.sum());
    }
    count(from_ms, to_ms).saturating_sub(present)
}

/// First days of the months that hold something of `[from_ms, to_ms)`.
pub(super) fn months(from_ms: i64, to_ms: i64) -> Vec<NaiveDate> {
    let date = |ms: i64| DateTime::from_timestamp_millis(ms).map(|t| t.date_naive());
    let (Some(first), Some(last)) = (date(from_ms), date(to_ms.saturating_sub(1))) else { return Vec::new() };
    let mut found = Vec::new();
    let mut month = first.checked_sub_days(Days::new(u64::from(first.day0())));
    while let Some(day) = month.filter(|day| *day <= last && from_ms < to_ms) {
        found.push(day);
        month = day.checked_add_months(Months::new(1));
    }
    found
}

/// The first time on the grid that is not before `time_ms`.
fn first_open_ms(interval: Interval, time_ms: i64) -> i64 {
    let open_ms = interval::open_time_ms(interval, time_ms);
    if open_ms < time_ms { interval::next_open_time_ms(interval, open_ms) } else { open_ms }
}
