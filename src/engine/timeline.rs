//! The closes of all symbols on one timeline, and the days and months in it.
//!
//! Made once for all strategies of a timeframe. Knows no strategy and holds no money.

use super::{frame::Frame, performance::CalendarMonth};
use candles::{Interval, interval, time::DAY_MS};
use chrono::{DateTime, Datelike};
use std::{borrow::Cow, ops::Range};

/// Steps looked at together.
pub(super) const CHUNK: usize = 96;
/// Values of a vector: neighbours of one curve, or of several curves one each.
pub(super) const LANES: usize = 8;
/// A vector.
pub(super) type Lanes = [f64; LANES];

/// The closes of all symbols on one timeline, and the days in it.
///
/// A step of the timeline is a time at which a candle of any symbol closes. A symbol without a candle there keeps
/// its last close.
#[derive(Debug)]
pub(super) struct Timeline<'a> {
    pub steps: usize,
    pub symbols: Vec<Closes<'a>>,
    /// The start, each 00:00 UTC after it, and the end: of the window, as far as there are candles of any symbol.
    pub days: Vec<i64>,
    /// Which of them begin a whole day: what is left of a day at either end gives no daily return.
    pub complete_days: Range<usize>,
    /// By step: the first of the days by which it has closed; one past the last where none is.
    pub day_of: Vec<u32>,
    /// Calendar months, with the numbers of the days at which each begins and ends.
    pub months: Vec<(CalendarMonth, usize, usize)>,
    /// Candles in the window, by symbol.
    pub candles: Vec<usize>,
}

/// One symbol's closes, step by step.
#[derive(Debug)]
pub(super) struct Closes<'a> {
    pub closes: Cow<'a, [f64]>,
    /// Lowest and highest close of each [`CHUNK`] of steps, in whole vectors.
    pub lowest: Vec<Lanes>,
    pub highest: Vec<Lanes>,
    /// The last close by each day, in whole vectors and one more; zero where there is none.
    pub daily: Vec<Lanes>,
    /// Index of the first candle in the window.
    first: usize,
    /// Step of each candle in the window; `None` where they are the same.
    step_of: Option<Vec<usize>>,
}

impl Closes<'_> {
    /// Step at which a candle closes.
    #[inline(always)]
    pub(super) fn step(&self, candle: usize) -> usize {
        let candle = candle - self.first;
        self.step_of.as_ref().map_or(candle, |steps| steps[candle])
    }
}

impl<'a> Timeline<'a> {
    pub(super) fn new(frames: &'a [Frame<'_>], from_ms: i64, to_ms: i64) -> Self {
        let opens = |f: &'a Frame<'_>| &f.candles.open_times_ms()[f.first..];
        let aligned = frames.windows(2).all(|pair| opens(&pair[0]) == opens(&pair[1]));
        let mut times: Vec<i64> = frames.iter().take(1).flat_map(|f| opens(f).iter().copied()).collect();
        if !aligned {
            times = frames.iter().flat_map(|f| opens(f).iter().copied()).collect();
            times.sort_unstable();
            times.dedup();
        }
        // A step has closed by a time if the next candle may open then.
        let of = frames.first().map(|f| f.candles.interval());
        let closed_by = |time_ms: i64| {
            times.partition_point(|&open_ms| of.is_some_and(|of| interval::next_open_time_ms(of, open_ms) <= time_ms))
        };
        let (from_ms, to_ms) = with_candles(&times, of, from_ms, to_ms);
        let (mut days, mut closed) = (vec![from_ms], vec![0]);
        let mut time_ms = from_ms;
        while time_ms < to_ms {
            time_ms = (time_ms.div_euclid(DAY_MS) * DAY_MS + DAY_MS).min(to_ms);
            days.push(time_ms);
            closed.push(closed_by(time_ms));
        }
        let begins_at = usize::from(from_ms.rem_euclid(DAY_MS) != 0);
        let cut_short = usize::from(time_ms.rem_euclid(DAY_MS) != 0);
        let ends_at = (days.len() - 1).saturating_sub(cut_short);
        let complete_days = begins_at..ends_at.max(begins_at);
        let (mut day_of, mut day) = (Vec::with_capacity(times.len()), 0);
        for step in 0..times.len() {
            while closed.get(day as usize).is_some_and(|&closed| closed <= step) {
                day += 1;
            }
            day_of.push(day);
        }
        let months = months(&days);
        let candles = frames.iter().map(|f| f.candles.len() - f.first).collect();
        let symbols = frames.iter().map(|f| Closes::new(f, (!aligned).then_some(times.as_slice()), &closed)).collect();
        Self { steps: times.len(), symbols, days, complete_days, day_of, months, candles }
    }
}

/// The window without candles that are missing at its ends: time without any says nothing about a strategy.
fn with_candles(times: &[i64], of: Option<Interval>, from_ms: i64, to_ms: i64) -> (i64, i64) {
    let (Some(&first_ms), Some(&last_ms), Some(of)) = (times.first(), times.last(), of) else {
        return (from_ms, to_ms);
    };
    let next = |open_ms| interval::next_open_time_ms(of, open_ms);
    let from_ms = if first_ms > interval::first_open_time_ms(of, from_ms) { first_ms } else { from_ms };
    let end_ms = next(last_ms);
    // Where the window ends within a candle, none is missing.
    (from_ms, if next(end_ms) <= to_ms { end_ms } else { to_ms })
}

impl Timeline<'_> {
    /// From the start to the end.
    pub(super) fn elapsed_ms(&self) -> i64 {
        self.days.last().zip(self.days.first()).map_or(0, |(last, first)| last - first)
    }
}

impl<'a> Closes<'a> {
    /// Of a frame; on `times`, if they are not its own. `closed` steps have closed by each day.
    fn new(frame: &'a Frame<'_>, times: Option<&[i64]>, closed: &[usize]) -> Self {
        let own = &frame.candles.closes()[frame.first..];
        let (mut closes, mut step_of) = (Cow::Borrowed(own), None);
        if let Some(times) = times {
            // Before its first candle a sleeve holds nothing, and no close is looked at.
            let (mut carried, mut steps) = (Vec::with_capacity(times.len()), Vec::with_capacity(own.len()));
            let mut candles = frame.candles.open_times_ms()[frame.first..].iter().zip(own).peekable();
            let mut last = 0.0;
            for (step, &time) in times.iter().enumerate() {
                if let Some((_, &close)) = candles.next_if(|(t, _)| **t == time) {
                    last = close;
                    steps.push(step);
                }
                carried.push(last);
            }
            (closes, step_of) = (Cow::Owned(carried), Some(steps));
        }
        let lowest = |closes: &[f64]| closes.iter().copied().fold(f64::INFINITY, f64::min);
        let highest = |closes: &[f64]| closes.iter().copied().fold(0.0, f64::max);
        let daily = closed.iter().map(|&closed| closed.checked_sub(1).map_or(0.0, |step| closes[step]));
        let mut daily = in_lanes(daily);
        daily.push([0.0; LANES]);
        let lowest = in_lanes(closes.chunks(CHUNK).map(lowest));
        let highest = in_lanes(closes.chunks(CHUNK).map(highest));
        Self { closes, lowest, highest, daily, first: frame.first, step_of }
    }
}

/// Values in whole vectors, zeros after them.
fn in_lanes(values: impl ExactSizeIterator<Item = f64>) -> Vec<Lanes> {
    let mut lanes = vec![[0.0; LANES]; values.len().div_ceil(LANES)];
    lanes.as_flattened_mut().iter_mut().zip(values).for_each(|(lane, value)| *lane = value);
    lanes
}

/// Months with the numbers of their first and last day; the parts of months at the ends included.
fn months(days: &[i64]) -> Vec<(CalendarMonth, usize, usize)> {
    let month = |day: usize| {
        let time = DateTime::from_timestamp_millis(days[day])?;
        Some(CalendarMonth { year: time.year(), month: u8::try_from(time.month()).ok()? })
    };
    let (mut months, mut start) = (Vec::new(), 0);
    for day in 1..days.len() {
        // A month ends at the 00:00 that begins another, or with the window.
        if day + 1 == days.len() || month(day) != month(start) {
            if let Some(month) = month(start) {
                months.push((month, start, day));
            }
            start = day;
        }
    }
    months
}
