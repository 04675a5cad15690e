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

/// The members at the close of each of some slots, in byte order of their names.
#[derive(Clone, Debug)]
pub struct Members {
    /// Ascending.
    slots: Vec<usize>,
    /// Where each slot's seats begin, and the end.
    starts: Vec<usize>,
    seats: Vec<Seat>,
}

/// By instrument and candle: the quote volume of its candles that close in the last days.
pub(crate) type Volumes = Vec<Vec<f64>>;

/// The volumes by which a universe is chosen that looks back over so many days.
pub(crate) fn volumes(panel: &Panel, days: u32) -> Volumes {
    panel.instruments().iter().map(|i| volume_sums(panel, i, days)).collect()
}

impl Members {
    /// Of each slot in `slots`.
    #[must_use]
    pub fn of(panel: &Panel, universe: Universe, slots: Range<usize>) -> Self {
        Self::of_slots(panel, universe, slots.collect())
    }

    /// Of some slots, ascending.
    #[must_use]
    pub fn of_slots(panel: &Panel, universe: Universe, slots: Vec<usize>) -> Self {
        Self::at_slots(panel, universe, slots, &volumes(panel, universe.volume_days))
    }

    /// Of some slots, ascending, by the volumes of the universe's days.
    pub(crate) fn at_slots(panel: &Panel, universe: Universe, slots: Vec<usize>, volumes: &Volumes) -> Self {
        let (mut starts, mut seats) = (vec![0], Vec::new());
        let mut eligible: Vec<(f64, Seat)> = Vec::new();
        for &slot in &slots {
            eligible.clear();
            let close_ms = panel.close_ms(slot);
            for (number, instrument) in (0..).zip(panel.instruments()) {
                let Some(candle) = panel.grid().last(slot, number) else { continue };
                let closes_now = instrument.slots()[candle] as usize == slot;
                if closes_now && instrument.excluded().is_none() && is_listed(instrument, universe, close_ms) {
                    let seat = Seat { instrument: number, candle: candle as u32 };
                    eligible.push((volumes[number as usize][candle], seat));
                }
            }
            let top = universe.top as usize;
            if eligible.len() > top {
                // Ties go to the first in the order of names, which is that of numbers.
                let by_volume =
                    |(a, x): &(f64, Seat), (b, y): &(f64, Seat)| b.total_cmp(a).then(x.instrument.cmp(&y.instrument));
                eligible.select_nth_unstable_by(top, by_volume);
                eligible.truncate(top);
                eligible.sort_unstable_by_key(|(_, seat)| seat.instrument);
            }
            seats.extend(eligible.iter().map(|(_, seat)| *seat));
            starts.push(seats.len());
        }
        Self { slots, starts, seats }
    }

    /// The members at the close of one of the slots; none at others.
    #[must_use]
    pub fn at(&self, slot: usize) -> &[Seat] {
        &self.seats[self.places(slot)]
    }

    /// Where the seats of a slot are among all.
    pub(crate) fn places(&self, slot: usize) -> Range<usize> {
        // Most are one slot after another.
        let guess = slot.wrapping_sub(self.slots.first().copied().unwrap_or(0));
        let found = if self.slots.get(guess) == Some(&slot) { Ok(guess) } else { self.slots.binary_search(&slot) };
        found.map_or(0..0, |i| self.starts[i]..self.starts[i + 1])
    }

    /// Where the seats of each slot are, slot by slot.
    pub(crate) fn each(&self) -> impl Iterator<Item = Range<usize>> {
        self.starts.windows(2).map(|pair| pair[0]..pair[1])
    }

    /// All seats, slot by slot.
    pub(crate) fn seats(&self) -> &[Seat] {
        &self.seats
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
