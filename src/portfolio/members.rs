//! Who is in a universe at a candle's close, and why the others are not.
//!
//! Looks at candles that have closed by then, and at nothing else.

use crate::{Panel, PanelInstrument, rolling};
use candles::{InstrumentId, time::DAY_MS};
use genome::Universe;
use serde::Serialize;
use std::ops::Range;

/// A member's place: which instrument of the panel, and which of its candles closes then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seat {
    /// Number of the instrument in the panel.
    pub instrument: u32,
    /// Number of its candle.
    pub candle: u32,
}

/// The members at the close of each slot of a range, in byte order of their names.
#[derive(Clone, Debug)]
pub struct Members {
    first: usize,
    /// Where each slot's seats begin, and the end.
    starts: Vec<usize>,
    seats: Vec<Seat>,
}

impl Members {
    /// Of each slot in `slots`.
    #[must_use]
    pub fn of(panel: &Panel, universe: Universe, slots: Range<usize>) -> Self {
        let volumes: Vec<Vec<f64>> =
            panel.instruments().iter().map(|i| volume_sums(panel, i, universe.volume_days)).collect();
        let mut next: Vec<usize> =
            panel.instruments().iter().map(|i| i.slots().partition_point(|&s| (s as usize) < slots.start)).collect();
        let (mut starts, mut seats) = (vec![0], Vec::new());
        let mut eligible: Vec<(f64, Seat)> = Vec::new();
        for slot in slots.clone() {
            eligible.clear();
            let close_ms = panel.close_ms(slot);
            for (number, instrument) in panel.instruments().iter().enumerate() {
                let candle = next[number];
                if instrument.slots().get(candle).is_none_or(|&s| s as usize != slot) {
                    continue;
                }
                next[number] += 1;
                if instrument.excluded().is_none() && is_listed(instrument, universe, close_ms) {
                    let seat = Seat { instrument: number as u32, candle: candle as u32 };
                    eligible.push((volumes[number][candle], seat));
                }
            }
            // Stable: ties stay in the order of names.
            eligible.sort_by(|(a, _), (b, _)| b.total_cmp(a));
            eligible.truncate(universe.top as usize);
            eligible.sort_by_key(|(_, seat)| seat.instrument);
            seats.extend(eligible.iter().map(|(_, seat)| *seat));
            starts.push(seats.len());
        }
        Self { first: slots.start, starts, seats }
    }

    /// The members at the close of a slot of the range.
    ///
    /// # Panics
    /// For a slot outside the range.
    #[must_use]
    pub fn at(&self, slot: usize) -> &[Seat] {
        let i = slot - self.first;
        &self.seats[self.starts[i]..self.starts[i + 1]]
    }
}

fn is_listed(instrument: &PanelInstrument, universe: Universe, close_ms: i64) -> bool {
    let first_ms = instrument.candles().open_times_ms()[0];
    first_ms <= close_ms - i64::from(universe.listed_days) * DAY_MS
}

/// At each candle of an instrument, the quote volume of those of its candles that close in the last `days` days.
fn volume_sums(panel: &Panel, instrument: &PanelInstrument, days: u32) -> Vec<f64> {
    let (slots, volumes) = (instrument.slots(), instrument.quote_volumes());
    let span_ms = i64::from(days) * DAY_MS;
    let whole = panel.interval().fixed_ms().filter(|length| span_ms % length == 0).map(|length| span_ms / length);
    let (Some(n), Some(&first)) = (whole, slots.first()) else {
        return (0..slots.len())
            .map(|i| {
                let after_ms = panel.close_ms(slots[i] as usize) - span_ms;
                let from = slots[..=i].partition_point(|&s| panel.close_ms(s as usize) <= after_ms);
                volumes[from..=i].iter().sum()
            })
            .collect();
    };
    // A window that begins before the first candle, or has a hole, holds zeros there.
    let n = n as usize;
    let length = (slots[slots.len() - 1] - first) as usize + 1;
    let mut by_slot = vec![0.0; n - 1 + length];
    for (slot, volume) in slots.iter().zip(volumes) {
        by_slot[n - 1 + (slot - first) as usize] = *volume;
    }
    let mut sums = vec![0.0; length];
    rolling::sum(&by_slot, n, |i, sum| sums[i + 1 - n] = sum);
    slots.iter().map(|slot| sums[(slot - first) as usize]).collect()
}

/// Why an instrument is no member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "why")]
pub enum Refusal {
    /// The table says so.
    Excluded {
        /// What the table gives as the reason.
        reason: String,
    },
    /// It has no candle that closes then.
    NoCandle {
        /// Open time of its last candle before, if any, UTC ms.
        last_open_ms: Option<i64>,
    },
    /// Its first candle opened later than asked for.
    Young {
        /// Open time of its first candle, UTC ms.
        first_open_ms: i64,
    },
    /// Others have more quote volume.
    Rank,
}

/// How an instrument stands in a universe at a time.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Standing {
    /// Which.
    pub instrument: InstrumentId,
    /// Place by quote volume among those that could be members, from 1.
    pub rank: Option<usize>,
    /// Quote volume of the days that the universe looks at; `None` without a candle that closes then.
    pub quote_volume: Option<f64>,
    /// Open time of its first candle, UTC ms.
    pub first_open_ms: i64,
    /// Why it is no member; `None` for a member.
    pub refusal: Option<Refusal>,
}

/// How each instrument that had opened by then stands at `time_ms`: members first, by rank, then the others by rank and
/// name.
#[must_use]
pub fn standings(panel: &Panel, universe: Universe, time_ms: i64) -> Vec<Standing> {
    let slot = panel.slot_closing_at(time_ms);
    let mut all = Vec::new();
    for instrument in panel.instruments() {
        let opens = instrument.candles().open_times_ms();
        let known =
            opens.partition_point(|&open| candles::interval::next_open_time_ms(panel.interval(), open) <= time_ms);
        if known == 0 {
            continue;
        }
        let closing = slot.and_then(|slot| instrument.candle_in(slot));
        let refusal = if let Some(reason) = instrument.excluded() {
            Some(Refusal::Excluded { reason: reason.to_owned() })
        } else if closing.is_none() {
            Some(Refusal::NoCandle { last_open_ms: opens[..known].last().copied() })
        } else if !is_listed(instrument, universe, time_ms) {
            Some(Refusal::Young { first_open_ms: opens[0] })
        } else {
            None
        };
        let quote_volume = closing.map(|i| volume_sums(panel, instrument, universe.volume_days)[i]);
        let first_open_ms = opens[0];
        all.push(Standing { instrument: instrument.id().clone(), rank: None, quote_volume, first_open_ms, refusal });
    }
    let volume = |s: &Standing| s.quote_volume.unwrap_or(0.0);
    all.sort_by(|a, b| {
        let refused = a.refusal.is_some().cmp(&b.refusal.is_some());
        refused.then(volume(b).total_cmp(&volume(a)))
    });
    for (i, standing) in all.iter_mut().filter(|s| s.refusal.is_none()).enumerate() {
        standing.rank = Some(i + 1);
        if i >= universe.top as usize {
            standing.refusal = Some(Refusal::Rank);
        }
    }
    all
}
