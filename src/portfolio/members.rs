//! Who is in a universe at the close of each slot; `candles::universe` tells it of one time, with reasons.
//!
//! Looks at candles that have closed by then, and at nothing else.

use crate::{Panel, PanelInstrument, rolling};
use candles::time::DAY_MS;
use genome::Universe;
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
