//! Instruments side by side, eight to a group: a column then holds eight values a candle, one vector of the processor.
//!
//! Row k of a group holds candle k of each of its instruments, counted from the instrument's own first one. Says where
//! values are; computes none.

use crate::Panel;
use engine::{Wide, indicator::rolling::Eight, widest};
use std::sync::Arc;

/// Instruments in a group.
pub(crate) const LANES: usize = 8;

/// Eight instruments of nearly equal length.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    /// By lane: number of the instrument in the panel. A group of fewer repeats its first one.
    pub(crate) instruments: [u32; LANES],
    /// By lane: candles.
    pub(crate) lens: [usize; LANES],
}

impl Group {
    /// Rows: candles of the longest.
    pub(crate) fn rows(&self) -> usize {
        self.lens.iter().copied().max().unwrap_or(0)
    }

    /// Candles that all have.
    fn common(&self) -> usize {
        self.lens.iter().copied().min().unwrap_or(0)
    }
}

/// Where each instrument's values are.
#[derive(Clone, Debug)]
pub(crate) struct Field {
    pub(crate) groups: Vec<Group>,
    /// By number of the instrument: group and lane; none for those that nobody looks at.
    places: Vec<Option<(u32, u32)>>,
}

impl Field {
    /// Of those instruments of the panel for which `wanted` holds.
    pub(crate) fn new(panel: &Panel, wanted: impl Fn(u32) -> bool) -> Self {
        let len = |i: u32| panel.instruments()[i as usize].candles().len();
        let count = panel.instruments().len() as u32;
        let mut numbers: Vec<u32> = (0..count).filter(|i| wanted(*i)).collect();
        // Those of a length side by side, so that few rows are empty.
        numbers.sort_by_key(|&i| (std::cmp::Reverse(len(i)), i));
        let mut places = vec![None; count as usize];
        let mut groups = Vec::new();
        for (group, members) in numbers.chunks(LANES).enumerate() {
            let instruments = std::array::from_fn(|lane| members[if lane < members.len() { lane } else { 0 }]);
            for (lane, &instrument) in members.iter().enumerate() {
                places[instrument as usize] = Some((group as u32, lane as u32));
            }
            groups.push(Group { instruments, lens: instruments.map(len) });
        }
        Self { groups, places }
    }

    /// Group and lane of an instrument, if anybody looks at it.
    pub(crate) fn place(&self, instrument: u32) -> Option<(usize, usize)> {
        self.places[instrument as usize].map(|(group, lane)| (group as usize, lane as usize))
    }
}

/// A value for each candle of the instruments of a group; NaN where undefined.
#[derive(Clone, Debug)]
pub(crate) struct Column {
    pub(crate) rows: Vec<Eight>,
    /// Where all lanes are undefined before a row and defined from it on to their ends: that row. Then eight are computed
    /// like one.
    pub(crate) from: Option<usize>,
}

impl Column {
    /// Rows of a group; nothing is said of the rows past the end of a lane.
    pub(crate) fn new(mut rows: Vec<Eight>, group: &Group) -> Self {
        blank(&mut rows, group);
        let from = shape(&rows, group);
        Self { rows, from }
    }

    /// The same, where it is known from which row on all lanes are defined.
    pub(crate) fn defined_from(mut rows: Vec<Eight>, group: &Group, from: usize) -> Self {
        blank(&mut rows, group);
        Self { rows, from: Some(from) }
    }

    /// Of a column for each lane.
    pub(crate) fn of_lanes(lanes: [Vec<f64>; LANES], group: &Group) -> Self {
        Self::of_lanes_in(vec![Eight::UNDEFINED; group.rows()], lanes, group)
    }

    /// The same, into rows with anything in them.
    pub(crate) fn of_lanes_in(mut rows: Vec<Eight>, lanes: [Vec<f64>; LANES], group: &Group) -> Self {
        for (lane, values) in lanes.iter().enumerate() {
            for (row, value) in rows.iter_mut().zip(values) {
                row.0[lane] = *value;
            }
        }
        Self::new(rows, group)
    }

    /// The values of one lane.
    pub(crate) fn lane(&self, lane: usize, group: &Group) -> Vec<f64> {
        self.rows[..group.lens[lane]].iter().map(|row| row.0[lane]).collect()
    }

    /// One value.
    #[inline]
    pub(crate) fn at(&self, candle: usize, lane: usize) -> f64 {
        self.rows[candle].0[lane]
    }
}

/// What lies past the end of a lane is undefined.
fn blank(rows: &mut [Eight], group: &Group) {
    let common = group.common();
    for (i, row) in rows.iter_mut().enumerate().skip(common) {
        for (value, &len) in row.0.iter_mut().zip(&group.lens) {
            *value = if i < len { *value } else { f64::NAN };
        }
    }
}

/// The row from which on all lanes are defined, and before which none is.
fn shape(rows: &[Eight], group: &Group) -> Option<usize> {
    let defined = |row: &Eight| row.0.iter().filter(|x| !x.is_nan()).count();
    let common = group.common();
    let Some(from) = rows.iter().position(|row| defined(row) > 0) else { return Some(rows.len()) };
    if from >= common {
        return None;
    }
    let whole = rows[from..common].chunks(STRETCH).all(|stretch| !widest(Holes(stretch)));
    let ends = (common..rows.len()).all(|i| (0..LANES).all(|lane| i >= group.lens[lane] || !rows[i].0[lane].is_nan()));
    (whole && ends).then_some(from)
}

/// Rows that are looked through for holes at once.
const STRETCH: usize = 512;

/// Whether any value is undefined; without a branch a row.
struct Holes<'a>(&'a [Eight]);

impl Wide for Holes<'_> {
    type Output = bool;

    #[inline(always)]
    fn run(self) -> bool {
        let mut holes = [0_u64; LANES];
        for row in self.0 {
            for (hole, x) in holes.iter_mut().zip(row.0) {
                *hole |= u64::from(x.is_nan());
            }
        }
        holes.iter().any(|hole| *hole > 0)
    }
}

/// Rows for the columns of one group, used again once a column goes: memory that was never touched costs more than what
/// is computed into it.
#[derive(Debug)]
pub(crate) struct Room {
    rows: usize,
    spare: Vec<Vec<Eight>>,
}

impl Room {
    pub(crate) const fn new(group_rows: usize) -> Self {
        Self { rows: group_rows, spare: Vec::new() }
    }

    /// Rows with anything in them.
    pub(crate) fn rows(&mut self) -> Vec<Eight> {
        self.spare.pop().unwrap_or_else(|| vec![Eight::UNDEFINED; self.rows])
    }

    /// Takes back the rows of a column that nobody else holds.
    pub(crate) fn take_back(&mut self, column: Arc<Column>) {
        self.spare.extend(Arc::into_inner(column).map(|column| column.rows));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAN: f64 = f64::NAN;

    fn group(lens: [usize; LANES]) -> Group {
        Group { instruments: [0; LANES], lens }
    }

    fn column(lanes: [Vec<f64>; LANES]) -> Column {
        let lens = std::array::from_fn(|i| lanes[i].len());
        Column::of_lanes(lanes, &group(lens))
    }

    #[test]
    fn a_column_knows_from_where_on_all_of_it_is_defined() {
        let lanes = |first: Vec<f64>, other: Vec<f64>| {
            std::array::from_fn(|i| if i == 0 { first.clone() } else { other.clone() })
        };
        assert_eq!(column(lanes(vec![1.0, 2.0], vec![3.0, 4.0, 5.0])).from, Some(0));
        assert_eq!(column(lanes(vec![NAN, 2.0], vec![NAN, 4.0, 5.0])).from, Some(1));
        assert_eq!(column(lanes(vec![NAN, 2.0], vec![3.0, 4.0, 5.0])).from, None, "lanes begin at different rows");
        assert_eq!(column(lanes(vec![1.0, 2.0], vec![3.0, NAN, 5.0])).from, None, "a hole");
        assert_eq!(column(lanes(vec![1.0, 2.0], vec![3.0, 4.0, NAN])).from, None, "a hole past a shorter lane's end");
        assert_eq!(column(lanes(vec![NAN], vec![NAN, NAN])).from, Some(2), "nothing is defined");
        let one = column(lanes(vec![1.0, 2.0], vec![3.0, 4.0, 5.0]));
        assert_eq!((one.lane(0, &group([2; LANES])), one.at(2, 1)), (vec![1.0, 2.0], 5.0));
        assert!(one.at(2, 0).is_nan());
    }
}
