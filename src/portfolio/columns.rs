//! What formulas are worth at each candle of each instrument.
//!
//! Groups of eight instruments are computed beside each other, each from the candles on, so that what one formula leaves
//! is still in the processor's cache when the next one reads it. Where a formula looks across the market at every slot,
//! all groups come together: such formulas are computed stage by stage.

use crate::{
    Panel, across,
    field::{Column, Field, Group, LANES, Room},
    formulas::{Formula, Formulas, Id},
    lanes::{self, Side},
    seating::Seating,
};
use engine::indicator::{rolling::Eight, squared_moves};
use engine::{EvaluationError, columns::compute_column_beside};
use genome::Series;
use rayon::prelude::*;
use std::{collections::HashMap, sync::Arc};

/// What a mean of changes that cancel may be away from 0, as a share of the values that they are between.
const ROUNDING: f64 = 1e-12;

/// Why an expression cannot be computed over a panel.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{0}")]
pub struct ColumnError(String);

impl ColumnError {
    pub(crate) const fn new(problem: String) -> Self {
        Self(problem)
    }
}

/// Values of a formula, a column a group.
pub(crate) type Sheet = Vec<Arc<Column>>;
type Known = Result<Arc<Column>, ColumnError>;

/// Columns that earlier computations left, for those that come after them.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    sheets: HashMap<Id, (Sheet, u64)>,
    bytes: usize,
    round: u64,
}

impl Kept {
    /// What is known already.
    pub(crate) fn of(known: &[(Id, Sheet)]) -> Self {
        Self { sheets: known.iter().map(|(id, sheet)| (*id, (sheet.clone(), 0))).collect(), ..Self::default() }
    }

    /// Takes sheets in and drops those that were of no use for longest, until `most` bytes are left.
    fn add(&mut self, sheets: Vec<(Id, Sheet)>, used: &[Id], most: usize) {
        self.round += 1;
        for (id, sheet) in sheets {
            self.bytes += bytes(&sheet);
            if let Some((old, _)) = self.sheets.insert(id, (sheet, self.round)) {
                self.bytes -= bytes(&old);
            }
        }
        for id in used {
            if let Some((_, round)) = self.sheets.get_mut(id) {
                *round = self.round;
            }
        }
        if self.bytes <= most {
            return;
        }
        let mut oldest: Vec<(u64, Id)> = self.sheets.iter().map(|(id, (_, round))| (*round, *id)).collect();
        oldest.sort_unstable();
        for (_, id) in oldest {
            if self.bytes <= most {
                break;
            }
            if let Some((sheet, _)) = self.sheets.remove(&id) {
                self.bytes -= bytes(&sheet);
            }
        }
    }
}

fn bytes(sheet: &Sheet) -> usize {
    sheet.iter().map(|column| size_of_val(&column.rows[..])).sum()
}

/// Panel, where its instruments are, and what is computed over it.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a> {
    pub(crate) panel: &'a Panel,
    pub(crate) field: &'a Field,
    pub(crate) formulas: &'a Formulas,
    /// By number of the sight: where the members of every slot stand.
    pub(crate) everywhere: &'a [Arc<Seating>],
}

/// Computes formulas and hands each group's column of each to `take` (number of the group, number in `wanted`, column);
/// gives what that gives, by group and number in `wanted`.
pub(crate) fn compute<T: Send>(
    source: Source<'_>,
    wanted: &[Id],
    take: impl Fn(usize, usize, &Column) -> T + Sync,
) -> Vec<Vec<Result<T, ColumnError>>> {
    compute_with(source, (&mut Kept::default(), 0), wanted, |group, at, column| take(group, at, column))
}

/// The same with what earlier computations over the same field left, of which at most so many bytes are kept.
pub(crate) fn compute_with<T: Send>(
    source: Source<'_>,
    (kept, most_bytes): (&mut Kept, usize),
    wanted: &[Id],
    take: impl Fn(usize, usize, &Arc<Column>) -> T + Sync,
) -> Vec<Vec<Result<T, ColumnError>>> {
    let formulas = source.formulas;
    let mut across: Vec<Id> = Vec::new();
    let mut open: Vec<Id> = wanted.to_vec();
    let mut seen = vec![false; formulas.len()];
    while let Some(id) = open.pop() {
        if std::mem::replace(&mut seen[id as usize], true) {
            continue;
        }
        if formulas.get(id).sight().is_some() {
            across.push(id);
            open.extend(formulas.needed(id));
        }
        open.extend(formulas.get(id).parts().into_iter().flatten());
    }
    across.sort_by_key(|&id| (formulas.stage(id), id));
    let used: Vec<Id> = (0..).zip(&seen).filter(|(_, seen)| **seen).map(|(id, _)| id).collect();
    let known = |id: &Id| Some((*id, Ok(kept.sheets.get(id)?.0.clone())));
    let mut given: HashMap<Id, Result<Sheet, ColumnError>> = used.iter().filter_map(known).collect();
    across.retain(|id| !given.contains_key(id));
    let mut left = Vec::new();
    for stage in across.chunk_by(|a, b| formulas.stage(*a) == formulas.stage(*b)) {
        let mut needed: Vec<Id> = stage.iter().flat_map(|&id| formulas.needed(id)).collect();
        needed.sort_unstable();
        needed.dedup();
        needed.retain(|id| !given.contains_key(id));
        let keep = |_: usize, _: usize, column: &Arc<Column>| column.clone();
        let (mut by_group, _) = groups(source, &given, &needed, 0, &keep);
        for (at, &id) in needed.iter().enumerate() {
            let columns =
                by_group.iter_mut().map(|group| std::mem::replace(&mut group[at], Err(ColumnError(String::new()))));
            given.insert(id, columns.collect());
        }
        let results: Vec<_> = stage.par_iter().map(|&id| (id, look_across(source, &given, id))).collect();
        left.extend(results.iter().filter_map(|(id, sheet)| Some((*id, sheet.as_ref().ok()?.clone()))));
        given.extend(results);
    }
    let (found, shared) = groups(source, &given, wanted, most_bytes, &|group, at, column| take(group, at, column));
    if most_bytes > 0 {
        left.extend(shared);
        kept.add(left, &used, most_bytes);
    }
    found
}

/// What `take` gives, by group and number in `wanted`.
type Taken<T> = Vec<Vec<Result<T, ColumnError>>>;
/// The same of one group, and its columns of the sheets that are left.
type OfGroup<T> = (Vec<Result<T, ColumnError>>, Vec<Option<Arc<Column>>>);

/// Every group's columns of the formulas; and of at most so many bytes the sheets that more than one asked for, which others
/// may ask for again.
fn groups<T: Send>(
    source: Source<'_>,
    given: &HashMap<Id, Result<Sheet, ColumnError>>,
    wanted: &[Id],
    most_bytes: usize,
    take: &(impl Fn(usize, usize, &Arc<Column>) -> T + Sync),
) -> (Taken<T>, Vec<(Id, Sheet)>) {
    let uses = uses(source.formulas, given, wanted);
    let cells: usize = source.field.groups.iter().map(Group::rows).sum();
    let room = most_bytes / (cells * size_of::<Eight>()).max(1);
    let shared =
        |(id, uses): &(Id, &u32)| **uses > 1 && !given.contains_key(id) && source.formulas.get(*id).is_costly();
    let mut keep: Vec<(Id, &u32)> = (0..).zip(&uses).filter(shared).collect();
    // Those that most ask for.
    keep.sort_by_key(|(id, uses)| (std::cmp::Reverse(**uses), *id));
    let keep: Vec<Id> = keep.into_iter().take(room).map(|(id, _)| id).collect();
    let by_group: Vec<OfGroup<T>> = (0..source.field.groups.len())
        .into_par_iter()
        .map(|group| {
            let mut uses = uses.clone();
            keep.iter().for_each(|&id| uses[id as usize] += 1);
            let group_rows = source.field.groups[group].rows();
            let mut work = Work { source, given, group, uses, known: HashMap::new(), room: Room::new(group_rows) };
            let of_wanted = |(at, &id): (usize, &Id)| {
                let column = work.take(id)?;
                let taken = take(group, at, &column);
                work.room.take_back(column);
                Ok(taken)
            };
            let found = wanted.iter().enumerate().map(of_wanted).collect();
            (found, keep.iter().map(|&id| work.take(id).ok()).collect())
        })
        .collect();
    let (found, mut columns): (Vec<_>, Vec<_>) = by_group.into_iter().unzip();
    let sheet = |(at, &id): (usize, &Id)| {
        let columns: Option<Sheet> = columns.iter_mut().map(|group| group[at].take()).collect();
        Some((id, columns?))
    };
    let sheets = keep.iter().enumerate().filter_map(sheet).collect();
    (found, sheets)
}

/// How often each formula is asked for, by those that are wanted and by each other.
fn uses(formulas: &Formulas, given: &HashMap<Id, Result<Sheet, ColumnError>>, wanted: &[Id]) -> Vec<u32> {
    let mut uses = vec![0; formulas.len()];
    let mut open = wanted.to_vec();
    while let Some(id) = open.pop() {
        uses[id as usize] += 1;
        if uses[id as usize] == 1 && !given.contains_key(&id) {
            open.extend(formulas.get(id).parts().into_iter().flatten());
        }
    }
    uses
}

/// One group's columns on their way. A column goes once nobody asks for it any more.
struct Work<'a> {
    source: Source<'a>,
    given: &'a HashMap<Id, Result<Sheet, ColumnError>>,
    group: usize,
    uses: Vec<u32>,
    known: HashMap<Id, Known>,
    room: Room,
}

impl Work<'_> {
    /// A formula's column, for one of those that ask for it.
    fn take(&mut self, id: Id) -> Known {
        let found = match self.given.get(&id) {
            Some(Ok(sheet)) => return Ok(sheet[self.group].clone()),
            Some(Err(error)) => return Err(error.clone()),
            None => match self.known.get(&id) {
                Some(known) => known.clone(),
                None => self.make(id).map(Arc::new),
            },
        };
        let left = &mut self.uses[id as usize];
        *left = left.saturating_sub(1);
        if *left == 0 {
            self.known.remove(&id);
        } else {
            self.known.entry(id).or_insert_with(|| found.clone());
        }
        found
    }

    fn make(&mut self, id: Id) -> Result<Column, ColumnError> {
        let source = self.source;
        let group = &source.field.groups[self.group];
        let formula = source.formulas.get(id);
        let fixed = |id| match source.formulas.get(id) {
            Formula::Constant(bits) => Some(f64::from_bits(bits)),
            _ => None,
        };
        // Numbers of a binary operator stand for columns.
        let [x, y] = match formula {
            Formula::Binary(_, x, y) => match (fixed(x), fixed(y)) {
                (None, Some(_)) => [Some(x), None],
                (Some(_), _) => [None, Some(y)],
                (None, None) => [Some(x), Some(y)],
            },
            formula => formula.parts(),
        };
        let x = x.map(|x| self.take(x)).transpose()?;
        let y = y.map(|y| self.take(y)).transpose()?;
        let room = &mut self.room;
        let made = match (formula, x.as_deref(), y.as_deref()) {
            (Formula::Constant(bits), ..) => {
                let mut rows = room.rows();
                rows.fill(Eight([f64::from_bits(bits); LANES]));
                Column::new(rows, group)
            }
            (Formula::Series(series), ..) => series_column(source.panel, group, &series, room.rows())?,
            (Formula::Squares, ..) => Column::of_lanes(
                by_lane(group, |instrument| {
                    let closes = source.panel.instruments()[instrument as usize].candles().closes();
                    Ok(std::iter::once(f64::NAN).chain(squared_moves(closes)).take(closes.len()).collect())
                })?,
                group,
            ),
            (Formula::Volatility(_, n), Some(squares), _) => lanes::volatility(squares, n as usize, group, room.rows()),
            (Formula::Unary(operator, _), Some(x), _) => lanes::unary(operator, x, group, room.rows()),
            (Formula::Binary(operator, a, b), x, y) => {
                let [a, b] = [a, b].map(|id| Side::Fixed(fixed(id).unwrap_or(f64::NAN)));
                let (x, y) = (x.map_or(a, Side::Column), y.map_or(b, Side::Column));
                lanes::binary(operator, x, y, group, room.rows())
            }
            (Formula::Rolling(operator, _, n), Some(x), _) => {
                lanes::window(operator, x, n as usize, group, room.rows())
            }
            (Formula::Correlation(_, _, n), Some(x), Some(y)) => {
                lanes::correlation(x, y, n as usize, group, room.rows())
            }
            (Formula::Changes(_, relative), Some(x), _) => lanes::changes(x, relative, group, room.rows()),
            (Formula::Slope(_, _, n), Some(x), Some(y)) => lanes::slope(x, y, n as usize, group, room.rows()),
            // Given before any group is computed that asks for it.
            _ => return Err(ColumnError("what looks across the market is not known yet; this is a bug".to_owned())),
        };
        x.into_iter().chain(y).for_each(|column| self.room.take_back(column));
        Ok(made)
    }
}

fn series_column(panel: &Panel, group: &Group, series: &Series, rows: Vec<Eight>) -> Result<Column, ColumnError> {
    let lanes = by_lane(group, |instrument| {
        let instrument = &panel.instruments()[instrument as usize];
        let (candles, readings) = (instrument.candles(), instrument.readings());
        if series.source.model().is_some_and(|model| !readings.models.contains_key(&model)) {
            return Err(ColumnError(EvaluationError::NoModel(*series).to_string()));
        }
        let column =
            compute_column_beside(series, candles, candles, readings).map_err(|e| ColumnError(e.to_string()))?;
        Ok(column.values().to_vec())
    })?;
    Ok(Column::of_lanes_in(rows, lanes, group))
}

/// A column a lane; those that repeat an instrument repeat its column.
fn by_lane(group: &Group, of: impl Fn(u32) -> Result<Vec<f64>, ColumnError>) -> Result<[Vec<f64>; LANES], ColumnError> {
    let mut lanes: [Vec<f64>; LANES] = std::array::from_fn(|_| Vec::new());
    for lane in 0..LANES {
        let repeats = lane > 0 && group.instruments[lane] == group.instruments[0];
        lanes[lane] = if repeats { lanes[0].clone() } else { of(group.instruments[lane])? };
    }
    Ok(lanes)
}

/// The columns of a formula that looks across the market at every slot, whose parts are given.
fn look_across(
    source: Source<'_>,
    given: &HashMap<Id, Result<Sheet, ColumnError>>,
    id: Id,
) -> Result<Sheet, ColumnError> {
    let needed: Result<Vec<&Sheet>, ColumnError> = source
        .formulas
        .needed(id)
        .iter()
        .map(|part| match given.get(part) {
            Some(Ok(sheet)) => Ok(sheet),
            Some(Err(error)) => Err(error.clone()),
            None => Err(ColumnError("a part of what looks across the market is missing; this is a bug".to_owned())),
        })
        .collect();
    let (needed, formula) = (needed?, source.formulas.get(id));
    let Some(sight) = formula.sight() else {
        return Err(ColumnError("nothing looks across the market here".to_owned()));
    };
    let volatility = source.formulas.sights[sight as usize].1.and(needed.last().copied());
    let seating = &source.everywhere[sight as usize];
    let (mut values, mut sieve) = (Vec::new(), Vec::new());
    // Values as they are seen across the market: those of members with a positive volatility, where it is needed.
    let mut see = |slot: usize, sheet: &Sheet, out: &mut Vec<f64>| {
        seating.read(slot, sheet, out);
        if let Some(volatility) = volatility {
            seating.read(slot, volatility, &mut sieve);
            out.iter_mut().zip(&sieve).for_each(|(x, v)| *x = if *v > 0.0 { *x } else { f64::NAN });
        }
    };
    let undefined = |group: &Group| vec![Eight::UNDEFINED; group.rows()];
    let mut out: Vec<Vec<Eight>> = source.field.groups.iter().map(undefined).collect();
    match formula {
        Formula::Across(operator, ..) => {
            for slot in 0..seating.slots() {
                see(slot, needed[0], &mut values);
                across::apply(operator, &mut values);
                seating.write(slot, &values, &mut out);
            }
            // Lanes that repeat an instrument repeat its values, so that eight are computed like one from here on, too.
            for (group, rows) in source.field.groups.iter().zip(&mut out) {
                for lane in (1..LANES).filter(|&lane| group.instruments[lane] == group.instruments[0]) {
                    rows.iter_mut().for_each(|row| row.0[lane] = row.0[0]);
                }
            }
        }
        Formula::Market(_, _, has_unit, _) => {
            let mut changes = Vec::new();
            let mean = |slot: usize| {
                see(slot, needed[0], &mut changes);
                if !has_unit {
                    seating.read(slot, needed[1], &mut values);
                }
                mean_change(&mut changes, (!has_unit).then_some(&values))
            };
            let means: Vec<f64> = (0..seating.slots()).map(mean).collect();
            for (group, rows) in source.field.groups.iter().zip(&mut out) {
                for (lane, &instrument) in group.instruments.iter().enumerate() {
                    let slots = source.panel.instruments()[instrument as usize].slots();
                    for (row, &slot) in rows.iter_mut().zip(slots) {
                        row.0[lane] = means[slot as usize];
                    }
                }
            }
        }
        _ => {}
    }
    let columns = out.into_iter().zip(&source.field.groups);
    Ok(columns.map(|(rows, group)| Arc::new(Column::new(rows, group))).collect())
}

/// Mean change over the members that have one. Changes that cancel, as those of `relative` do, have the mean 0 and not
/// what rounding leaves of it: a change is known as well as the values that it is between (1 where changes are relative).
fn mean_change(changes: &mut Vec<f64>, values: Option<&[f64]>) -> f64 {
    let mut greatest = 0.0_f64;
    for (at, change) in changes.iter().enumerate() {
        let least = values.map_or(1.0, |values| values[at].abs());
        greatest = if change.is_nan() { greatest } else { greatest.max(change.abs() + least) };
    }
    changes.retain(|change| !change.is_nan());
    if changes.is_empty() {
        return f64::NAN;
    }
    let mean = across::mean(changes);
    if mean.abs() <= ROUNDING * greatest { 0.0 } else { mean }
}
