//! Holdings of several sleeves to one curve of equity: its drawdown on candle closes and its value day by day.
//!
//! The curve itself is never written down. Between events holdings are constant, so whole stretches of closes are
//! looked at with vectors; the results are those of going close by close, to the bit. Never judges anything.

use super::{
    execution::Holding,
    frame::Frame,
    ledger::{DAY_MS, DailyEquity},
    simd::{Wide, widest},
};
use chrono::{DateTime, Datelike};
use std::borrow::Cow;

/// The closes of all symbols on one timeline, and the days in it.
///
/// A step of the timeline is a time at which a candle of any symbol closes. A symbol without a candle there keeps
/// its last close.
#[derive(Debug)]
pub(super) struct Timeline<'a> {
    steps: usize,
    symbols: Vec<Closes<'a>>,
    /// The window's start, each 00:00 UTC after it, and its end; and how many steps have closed by then.
    pub days: Vec<(i64, usize)>,
    /// Calendar months: name, and the numbers of the days at which each begins and ends.
    pub months: Vec<(String, usize, usize)>,
    /// Candles in the window, by symbol.
    pub candles: Vec<usize>,
}

#[derive(Debug)]
struct Closes<'a> {
    closes: Cow<'a, [f64]>,
    /// Lowest and highest close of each [`CHUNK`] of steps.
    extremes: Vec<(f64, f64)>,
    /// Index of the first candle in the window.
    first: usize,
    /// Step of each candle in the window; `None` where they are the same.
    step_of: Option<Vec<usize>>,
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
        let closes = |f: &'a Frame<'_>| {
            let own = &f.candles.closes()[f.first..];
            if aligned {
                let extremes = extremes(own);
                return Closes { closes: Cow::Borrowed(own), extremes, first: f.first, step_of: None };
            }
            // Before its first candle a sleeve holds nothing, and no close is looked at.
            let (mut carried, mut step_of) = (Vec::with_capacity(times.len()), Vec::with_capacity(own.len()));
            let mut candles = opens(f).iter().zip(own).peekable();
            let mut last = 0.0;
            for (step, &time) in times.iter().enumerate() {
                if let Some((_, &close)) = candles.next_if(|(t, _)| **t == time) {
                    last = close;
                    step_of.push(step);
                }
                carried.push(last);
            }
            let extremes = extremes(&carried);
            Closes { closes: Cow::Owned(carried), extremes, first: f.first, step_of: Some(step_of) }
        };
        let symbols = frames.iter().map(closes).collect();
        // A step has closed by a time if the next candle may open then.
        let interval = frames.first().map(|f| f.candles.interval());
        let closed_by = |time_ms: i64| {
            times.partition_point(|&open_ms| {
                interval.is_some_and(|i| crate::market::interval::next_open_time_ms(i, open_ms) <= time_ms)
            })
        };
        let mut days = vec![(from_ms, 0)];
        let mut time_ms = from_ms;
        while time_ms < to_ms {
            time_ms = (time_ms.div_euclid(DAY_MS) * DAY_MS + DAY_MS).min(to_ms);
            days.push((time_ms, closed_by(time_ms)));
        }
        let months = months(&days);
        let candles = frames.iter().map(|f| f.candles.len() - f.first).collect();
        Self { steps: times.len(), symbols, days, months, candles }
    }
}

fn extremes(closes: &[f64]) -> Vec<(f64, f64)> {
    let of = |closes: &[f64]| closes.iter().fold((f64::INFINITY, 0.0), |(low, high), c| (c.min(low), c.max(high)));
    closes.chunks(CHUNK).map(of).collect()
}

/// Months by name with the numbers of their first and last day; the parts of months at the ends included.
fn months(days: &[(i64, usize)]) -> Vec<(String, usize, usize)> {
    let month = |day: usize| DateTime::from_timestamp_millis(days[day].0).map(|t| (t.year(), t.month()));
    let (mut months, mut start) = (Vec::new(), 0);
    for day in 1..days.len() {
        // A month ends at the 00:00 that begins another, or with the window.
        if day + 1 == days.len() || month(day) != month(start) {
            if let Some((year, number)) = month(start) {
                months.push((format!("{year:04}-{number:02}"), start, day));
            }
            start = day;
        }
    }
    months
}

/// A sleeve: which symbol of the timeline it trades, and what it held when.
#[derive(Clone, Copy)]
pub(super) struct Sleeve<'a> {
    pub symbol: usize,
    pub holdings: &'a [Holding],
    pub capital: f64,
}

/// A sleeve's holdings on a timeline, read in time order.
struct Reader<'a> {
    closes: &'a Closes<'a>,
    holdings: &'a [Holding],
    /// What is held, and the number of the holding that comes next.
    now: Holding,
    next: usize,
    /// The same, before the last chunk was passed.
    mark: (Holding, usize),
}

impl<'a> Reader<'a> {
    fn new(sleeve: &Sleeve<'a>, timeline: &'a Timeline<'_>) -> Self {
        let now = Holding { candle: 0, cash: sleeve.capital, units: 0.0 };
        Self { closes: &timeline.symbols[sleeve.symbol], holdings: sleeve.holdings, now, next: 0, mark: (now, 0) }
    }

    /// Step at which the next holding begins.
    #[inline(always)]
    fn next_step(&self) -> Option<usize> {
        let candle = self.holdings.get(self.next)?.candle - self.closes.first;
        Some(self.closes.step_of.as_ref().map_or(candle, |steps| steps[candle]))
    }

    /// Moves past the steps from `start`, where a chunk begins, to `end`; returns the least and the most that the
    /// sleeve can be worth at them: what it holds at any of them at the lowest and highest close of the chunk. Every
    /// operation keeps the order of what it is given, rounding included, so no step's equity lies outside.
    #[inline(always)]
    fn pass(&mut self, start: usize, end: usize) -> (f64, f64) {
        self.mark = (self.now, self.next);
        let (lowest, highest) = self.closes.extremes[start / CHUNK];
        let worth = |held: &Holding| {
            let (at_low, at_high) = (held.equity(lowest), held.equity(highest));
            (at_low.min(at_high), at_low.max(at_high))
        };
        let (mut least, mut most) = worth(&self.now);
        while self.next_step().is_some_and(|next| next < end) {
            self.now = self.holdings[self.next];
            self.next += 1;
            let (low, high) = worth(&self.now);
            (least, most) = (least.min(low), most.max(high));
        }
        (least, most)
    }

    /// Moves back to where the last chunk began.
    #[inline(always)]
    fn back(&mut self) {
        (self.now, self.next) = self.mark;
    }

    /// Moves to what is held at `step`.
    #[inline(always)]
    fn advance(&mut self, step: usize) {
        while self.next_step().is_some_and(|next| next <= step) {
            self.now = self.holdings[self.next];
            self.next += 1;
        }
    }
}

/// Equity of all sleeves at the days of the timeline.
pub(super) fn daily(sleeves: &[Sleeve<'_>], timeline: &Timeline<'_>) -> Vec<DailyEquity> {
    let mut days: Vec<DailyEquity> =
        timeline.days.iter().map(|&(time_ms, _)| DailyEquity { time_ms, equity: 0.0 }).collect();
    for sleeve in sleeves {
        let mut reader = Reader::new(sleeve, timeline);
        for (day, &(_, closed)) in days.iter_mut().zip(&timeline.days) {
            day.equity += match closed.checked_sub(1) {
                Some(step) => {
                    reader.advance(step);
                    reader.now.equity(reader.closes.closes[step])
                }
                None => reader.now.cash,
            };
        }
    }
    days
}

/// Most negative equity / running peak - 1 of all sleeves together, on candle closes; what they begin with is a peak.
pub(super) fn max_drawdown(sleeves: &[Sleeve<'_>], timeline: &Timeline<'_>) -> f64 {
    let mut readers: Vec<Reader<'_>> = sleeves.iter().map(|sleeve| Reader::new(sleeve, timeline)).collect();
    let mut drawdown = Drawdown { peak: sleeves.iter().map(|s| s.capital).sum(), worst: 0.0 };
    widest(Walk { readers: &mut readers, steps: timeline.steps, drawdown: &mut drawdown });
    drawdown.worst
}

/// All sleeves' way through the timeline.
struct Walk<'a, 'b> {
    readers: &'a mut [Reader<'b>],
    steps: usize,
    drawdown: &'a mut Drawdown,
}

impl Wide for Walk<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        for start in (0..self.steps).step_by(CHUNK) {
            let end = self.steps.min(start + CHUNK);
            let (mut least, mut most) = (0.0, 0.0);
            for reader in &mut *self.readers {
                let (low, high) = reader.pass(start, end);
                (least, most) = (least + low, most + high);
            }
            if !self.drawdown.knows(least, most) {
                closely(self.readers, start, end, self.drawdown);
            }
        }
    }
}

/// Sees the equity at each step of a chunk that the readers have passed.
#[inline(always)]
fn closely(readers: &mut [Reader<'_>], start: usize, end: usize, drawdown: &mut Drawdown) {
    let mut equity = [0.0_f64; CHUNK];
    for reader in readers {
        reader.back();
        let mut step = start;
        while step < end {
            reader.advance(step);
            let until = reader.next_step().map_or(end, |next| next.min(end));
            let (cash, units) = (reader.now.cash, reader.now.units);
            let part = &mut equity[step - start..until - start];
            if units == 0.0 {
                for e in part {
                    *e += cash;
                }
            } else {
                for (e, close) in part.iter_mut().zip(&reader.closes.closes[step..until]) {
                    let value = cash + units * close;
                    *e += if value > 0.0 { value } else { 0.0 };
                }
            }
            step = until;
        }
    }
    // Steps that a last chunk lacks change nothing.
    let last = equity[end - start - 1];
    equity[end - start..].fill(last);
    let (mut low, mut high) = ([f64::INFINITY; LANES], [0.0_f64; LANES]);
    for part in equity.as_chunks::<LANES>().0 {
        for k in 0..LANES {
            low[k] = if part[k] < low[k] { part[k] } else { low[k] };
            high[k] = if part[k] > high[k] { part[k] } else { high[k] };
        }
    }
    if high.iter().all(|&high| high <= drawdown.peak) {
        // No new peak: the lowest equity falls deepest, since division and rounding keep the order.
        drawdown.see(low.iter().copied().fold(f64::INFINITY, f64::min));
    } else {
        for &e in &equity {
            drawdown.see(e);
        }
    }
}

struct Drawdown {
    peak: f64,
    worst: f64,
}

impl Drawdown {
    #[inline(always)]
    fn see(&mut self, equity: f64) {
        self.peak = self.peak.max(equity);
        self.worst = self.worst.min(equity / self.peak - 1.0);
    }

    /// Whether equities from `low` to `high` change nothing.
    #[inline(always)]
    fn knows(&self, low: f64, high: f64) -> bool {
        high <= self.peak && low / self.peak - 1.0 >= self.worst
    }
}

/// Lanes of a vector that comparisons go through.
const LANES: usize = 8;
/// Closes looked at together.
const CHUNK: usize = 64;
