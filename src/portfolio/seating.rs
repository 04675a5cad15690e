//! Where the values of members stand in a field: runs of lanes of one row, so that eight values are read like one.
//!
//! Reads and writes columns; knows no formula.

use crate::{
    Members,
    field::{Column, Field},
};
use engine::indicator::rolling::Eight;
use std::sync::Arc;

/// Neighbouring members whose values are neighbours in a row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    /// Place of the first among all seats.
    place: u32,
    candle: u32,
    group: u16,
    lane: u8,
    len: u8,
}

/// Members of some slots in a field.
#[derive(Clone, Debug)]
pub(crate) struct Seating {
    /// Slot by slot.
    runs: Vec<Run>,
    /// Where the runs of each slot begin, and the end.
    starts: Vec<usize>,
    /// By group: numbers of its runs, and how many seats they have.
    by_group: Vec<(Vec<u32>, usize)>,
    seats: usize,
}

impl Seating {
    pub(crate) fn new(members: &Members, field: &Field) -> Self {
        let mut seating = Self {
            runs: Vec::new(),
            starts: vec![0],
            by_group: vec![(Vec::new(), 0); field.groups.len()],
            seats: members.seats().len(),
        };
        for places in members.each() {
            for (place, seat) in (places.start as u32..).zip(&members.seats()[places]) {
                let Some((group, lane)) = field.place(seat.instrument) else { continue };
                let next = (place, seat.candle, group as u16, lane as u8);
                let of_slot = &mut seating.runs[seating.starts[seating.starts.len() - 1]..];
                seating.by_group[group].1 += 1;
                match of_slot.last_mut() {
                    Some(run) if run.next() == next => run.len += 1,
                    _ => {
                        seating.by_group[group].0.push(seating.runs.len() as u32);
                        let (place, candle, group, lane) = next;
                        seating.runs.push(Run { place, candle, group, lane, len: 1 });
                    }
                }
            }
            seating.starts.push(seating.runs.len());
        }
        seating
    }

    /// Values of the members of the slot with this number, in order; nothing of those that the field does not have.
    #[inline]
    pub(crate) fn read(&self, slot: usize, sheet: &[Arc<Column>], out: &mut Vec<f64>) {
        out.clear();
        for run in &self.runs[self.starts[slot]..self.starts[slot + 1]] {
            run.read(&sheet[run.group as usize].rows, out);
        }
    }

    /// Puts the values of the members of a slot into rows of the groups.
    #[inline]
    pub(crate) fn write(&self, slot: usize, values: &[f64], out: &mut [Vec<Eight>]) {
        let mut from = 0;
        for run in &self.runs[self.starts[slot]..self.starts[slot + 1]] {
            let (row, len) = (&mut out[run.group as usize][run.candle as usize].0, run.len as usize);
            let (lane, values) = (run.lane as usize, &values[from..from + len]);
            match values.first_chunk() {
                Some(values) => *row = *values,
                None => row[lane..lane + len].copy_from_slice(values),
            }
            from += len;
        }
    }

    /// The values of one group, in the order of its runs.
    pub(crate) fn of_group(&self, group: usize, column: &Column) -> Vec<f64> {
        let (runs, seats) = &self.by_group[group];
        let mut out = Vec::with_capacity(*seats);
        runs.iter().for_each(|run| self.runs[*run as usize].read(&column.rows, &mut out));
        out
    }

    /// All values by place, of those of each group; NaN for those that no group has.
    pub(crate) fn joined<'v>(&self, groups: impl Iterator<Item = &'v [f64]>) -> Vec<f64> {
        let mut out = vec![f64::NAN; self.seats];
        for ((runs, _), mut values) in self.by_group.iter().zip(groups) {
            for run in runs {
                let run = &self.runs[*run as usize];
                let (place, len) = (run.place as usize, run.len as usize);
                let own;
                (own, values) = values.split_at(len);
                match own.first_chunk::<8>() {
                    Some(own) => out[place..place + 8].copy_from_slice(own),
                    None => out[place..place + len].copy_from_slice(own),
                }
            }
        }
        out
    }

    /// How many slots there are.
    pub(crate) fn slots(&self) -> usize {
        self.starts.len() - 1
    }
}

impl Run {
    /// What would make it longer.
    const fn next(self) -> (u32, u32, u16, u8) {
        (self.place + self.len as u32, self.candle, self.group, self.lane + self.len)
    }

    #[inline(always)]
    fn read(&self, rows: &[Eight], out: &mut Vec<f64>) {
        let (row, lane, len) = (&rows[self.candle as usize].0, self.lane as usize, self.len as usize);
        // A whole row is one vector.
        if len == row.len() { out.extend_from_slice(row) } else { out.extend_from_slice(&row[lane..lane + len]) }
    }
}
