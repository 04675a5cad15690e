//! Readings of one symbol as columns, in memory: what is there, what changes, and its digest. Knows no files.

use super::MergeReport;
use candles::stored::Part;
use candles::{Interval, interval};
use sha2::{Digest, Sha256};

/// Columns of the premium index: the close of its candle, a fraction of the index price.
pub const PREMIUM_COLUMNS: [&str; 1] = ["premium"];
/// Columns of metrics, in the order of the exchange's files: open interest in contracts of the base asset and in the
/// quote asset, then ratios of long to short, and of the volumes in which takers bought and sold.
pub const METRICS_COLUMNS: [&str; 6] = [
    "open_interest",
    "open_interest_value",
    "top_trader_account_ratio",
    "top_trader_position_ratio",
    "account_ratio",
    "taker_volume_ratio",
];

/// Half of the last decimal of ratios in the exchange's answers, and a little for what the two were computed from.
const ROUNDING: f64 = 5.001e-5;
/// Of large values: what is lost where a decimal number becomes a binary one.
const RELATIVE_ROUNDING: f64 = 1e-12;

/// Readings of one symbol as columns, by the time when they were known, ascending.
#[derive(Clone, Debug)]
pub struct ReadingTable {
    part: Part,
    times_ms: Vec<i64>,
    /// One a name of [`columns`], each as long as the times. What is empty is NaN: in here alone.
    columns: Vec<Vec<f64>>,
}

/// The names of a part's columns; none where it has no readings.
#[must_use]
pub fn columns(part: Part) -> &'static [&'static str] {
    match part {
        Part::Premium => &PREMIUM_COLUMNS,
        Part::Metrics => &METRICS_COLUMNS,
        Part::Candles(_) | Part::Funding => &[],
    }
}

/// One row of a table: the time when it was known, UTC ms, and a value a column, where there is one.
pub type ReadingRow = (i64, Vec<Option<f64>>);

impl ReadingTable {
    /// A table without rows.
    #[must_use]
    pub fn new(part: Part) -> Self {
        Self { part, times_ms: Vec::new(), columns: vec![Vec::new(); columns(part).len()] }
    }

    /// A table of rows in any order; of rows of one time the last one counts. Values that are not finite are empty.
    #[must_use]
    pub fn from_rows(part: Part, mut rows: Vec<ReadingRow>) -> Self {
        rows.sort_by_key(|(time_ms, _)| *time_ms);
        let mut table = Self::new(part);
        for (time_ms, values) in rows {
            if table.times_ms.last() == Some(&time_ms) {
                table.times_ms.pop();
                table.columns.iter_mut().for_each(|column| column.truncate(table.times_ms.len()));
            }
            table.times_ms.push(time_ms);
            for (i, column) in table.columns.iter_mut().enumerate() {
                column.push(values.get(i).copied().flatten().filter(|v| v.is_finite()).unwrap_or(f64::NAN));
            }
        }
        table
    }

    pub(super) fn from_columns(part: Part, times_ms: Vec<i64>, values: Vec<Vec<f64>>) -> Self {
        Self { part, times_ms, columns: values }
    }

    /// What it holds.
    #[must_use]
    pub fn part(&self) -> Part {
        self.part
    }

    /// When each row was known, UTC ms, ascending.
    #[must_use]
    pub fn times_ms(&self) -> &[i64] {
        &self.times_ms
    }

    /// How many rows there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.times_ms.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.times_ms.is_empty()
    }

    /// The values of a column with the times when they were known, UTC ms, ascending; what is empty is left out.
    /// Nothing where there is no such column.
    #[must_use]
    pub fn column(&self, name: &str) -> (Vec<i64>, Vec<f64>) {
        let Some(at) = columns(self.part).iter().position(|n| *n == name) else { return Default::default() };
        let values = self.times_ms.iter().zip(&self.columns[at]);
        values.filter(|(_, v)| v.is_finite()).map(|(t, v)| (*t, *v)).unzip()
    }

    /// Row `i`.
    #[must_use]
    pub fn row(&self, i: usize) -> ReadingRow {
        (self.times_ms[i], self.columns.iter().map(|c| Some(c[i]).filter(|v| v.is_finite())).collect())
    }

    /// The rows known in `[from_ms, to_ms)`.
    #[must_use]
    pub fn slice(&self, from_ms: i64, to_ms: i64) -> Self {
        let a = self.times_ms.partition_point(|&t| t < from_ms);
        let b = self.times_ms.partition_point(|&t| t < to_ms).max(a);
        let columns = self.columns.iter().map(|c| c[a..b].to_vec()).collect();
        Self { part: self.part, times_ms: self.times_ms[a..b].to_vec(), columns }
    }

    /// Of the rows that became known within a candle of `interval`, its end included, the newest; a column that is empty
    /// in it has the newest value of the candle.
    pub(super) fn newest_of_each(&self, interval: Interval) -> Self {
        let mut out = Self::new(self.part);
        let mut current = None;
        for (i, &time_ms) in self.times_ms.iter().enumerate() {
            // What is known at a close belongs to the candle that closes.
            let candle_ms = interval::open_time_ms(interval, time_ms - 1);
            if current == Some(candle_ms) {
                if let Some(last) = out.times_ms.last_mut() {
                    *last = time_ms;
                }
            } else {
                current = Some(candle_ms);
                out.times_ms.push(time_ms);
                out.columns.iter_mut().for_each(|column| column.push(f64::NAN));
            }
            for (to, from) in out.columns.iter_mut().zip(&self.columns) {
                if let Some(last) = to.last_mut().filter(|_| from[i].is_finite()) {
                    *last = from[i];
                }
            }
        }
        out
    }

    pub(super) fn values(&self) -> &[Vec<f64>] {
        &self.columns
    }

    /// Adds rows that come later than those that are there.
    pub(super) fn append(&mut self, later: &Self) {
        self.times_ms.extend_from_slice(&later.times_ms);
        self.columns.iter_mut().zip(&later.columns).for_each(|(to, from)| to.extend_from_slice(from));
    }

    pub(super) fn is_same_row(&self, i: usize, other: &Self, j: usize) -> bool {
        self.columns.iter().zip(&other.columns).all(|(a, b)| a[i].to_bits() == b[j].to_bits())
    }

    /// The value of a column where an old row `i` meets a new row `j` of the same time. Of metrics an empty cell says
    /// nothing, and what is no farther than rounding is the same: archives have more decimals than answers of the exchange.
    fn newer(&self, column: usize, i: usize, new: &Self, j: usize) -> f64 {
        let (old, new) = (self.columns[column][i], new.columns[column][j]);
        let near = (old - new).abs() <= ROUNDING.max(RELATIVE_ROUNDING * old.abs());
        if self.part == Part::Metrics && (new.is_nan() || near) { old } else { new }
    }

    /// Both as one; where both have a row of a time, the new one counts.
    pub(super) fn merged(&self, new: &Self, report: &mut MergeReport) -> Self {
        let mut out = Self::new(self.part);
        let (mut i, mut j) = (0, 0);
        while i < self.len() || j < new.len() {
            let (a, b) = (self.times_ms.get(i), new.times_ms.get(j));
            let takes_old = b.is_none_or(|b| a.is_some_and(|a| a < b));
            let (from, k) = if takes_old { (self, i) } else { (new, j) };
            out.times_ms.push(from.times_ms[k]);
            out.columns.iter_mut().zip(&from.columns).for_each(|(to, from)| to.push(from[k]));
            if takes_old {
                i += 1;
                continue;
            }
            if a == b {
                for (column, to) in out.columns.iter_mut().enumerate() {
                    to.pop();
                    to.push(self.newer(column, i, new, j));
                }
                let same = self.is_same_row(i, &out, out.len() - 1);
                report.unchanged += u64::from(same);
                report.replaced += u64::from(!same);
                i += 1;
            } else {
                report.added += 1;
            }
            j += 1;
        }
        out
    }
}

/// Equal to the bit, with what is empty equal to what is empty.
impl PartialEq for ReadingTable {
    fn eq(&self, other: &Self) -> bool {
        self.part == other.part
            && self.times_ms == other.times_ms
            && (0..self.len()).all(|i| self.is_same_row(i, other, i))
    }
}

/// SHA-256, as hex, of exactly these readings: the part's name, then each row's time and values as little-endian 64-bit
/// values.
#[must_use]
pub fn readings_sha256(table: &ReadingTable) -> String {
    let mut hash = Sha256::new();
    hash.update(table.part.to_string());
    for (i, time_ms) in table.times_ms.iter().enumerate() {
        hash.update(time_ms.to_le_bytes());
        table.columns.iter().for_each(|column| hash.update(column[i].to_le_bytes()));
    }
    hex::encode(hash.finalize())
}
