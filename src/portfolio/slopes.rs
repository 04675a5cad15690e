//! Exposure of members to the members' mean return (definitions, section 7.4: `beta neutral`).

use crate::{Panel, Seat, across, columns::changes};
use std::collections::BTreeMap;

/// Slope of each member's last `n` returns between neighbouring own closes on the equal-weight mean return of the
/// members in the same slots; NaN for a member with fewer, or where the mean does not vary.
pub(crate) fn betas(panel: &Panel, seats: &[Seat], n: usize) -> Vec<f64> {
    let own = |seat: &Seat| &panel.instruments()[seat.instrument as usize];
    let first = |seat: &Seat| (seat.candle as usize + 1).checked_sub(n).filter(|&first| first > 0);
    let earliest = seats.iter().filter_map(|seat| Some(own(seat).slots()[first(seat)?])).min();
    let Some(earliest) = earliest else { return vec![f64::NAN; seats.len()] };
    // Returns of each member from the earliest slot on that any member looks back to.
    let mut by_slot: BTreeMap<u32, (f64, usize)> = BTreeMap::new();
    let returns: Vec<(usize, Vec<f64>)> = seats
        .iter()
        .map(|seat| {
            let slots = own(seat).slots();
            let from = slots.partition_point(|&s| s < earliest).max(1).min(seat.candle as usize + 1);
            let closes = &own(seat).candles().closes()[from - 1..=seat.candle as usize];
            let values = changes(closes, true)[1..].to_vec();
            for (slot, value) in slots[from..].iter().zip(&values) {
                let entry = by_slot.entry(*slot).or_default();
                *entry = (entry.0 + value, entry.1 + 1);
            }
            (from, values)
        })
        .collect();
    let slope = |(seat, (from, values)): (&Seat, &(usize, Vec<f64>))| {
        let Some(first) = first(seat) else { return f64::NAN };
        let y = &values[first - from..];
        let x: Vec<f64> = own(seat).slots()[first..=seat.candle as usize]
            .iter()
            .map(|slot| by_slot.get(slot).map_or(f64::NAN, |(sum, count)| sum / *count as f64))
            .collect();
        across::slope(&x, y).unwrap_or(f64::NAN)
    };
    seats.iter().zip(&returns).map(slope).collect()
}
