//! Daily net returns of every point, and the trades that it entered each day: what all that is said of a run rests on.
//!
//! Kept flat, 10 bytes a day and point: 10,000 points over a year take 37 MB. At most [`MAX_RETURNS`] days are kept.

/// Most daily returns that a run keeps: points x days. 671 MB at the most.
pub const MAX_RETURNS: usize = 1 << 26;

/// Rows of equal length, in the order of the points.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    pub(crate) days: usize,
    pub(crate) returns: Vec<f64>,
    pub(crate) trades: Vec<u16>,
}

impl Table {
    /// An empty table of so many days.
    #[must_use]
    pub fn new(days: usize) -> Self {
        Self { days, ..Self::default() }
    }

    /// A table of these rows of returns, without trades.
    #[must_use]
    pub fn of(rows: &[Vec<f64>]) -> Self {
        let mut table = Self::new(rows.first().map_or(0, Vec::len));
        rows.iter().for_each(|row| table.push(row, &[]));
        table
    }

    /// Days of each row.
    #[must_use]
    pub fn days(&self) -> usize {
        self.days
    }

    /// How many rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.returns.len().checked_div(self.days).unwrap_or(0)
    }

    /// Whether there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds a row. Days that it lacks earned nothing; what it has beyond the table's days is left out.
    pub fn push(&mut self, returns: &[f64], trades: &[u32]) {
        let day = |i: usize| returns.get(i).copied().filter(|r| r.is_finite()).unwrap_or(0.0);
        self.returns.extend((0..self.days).map(day));
        let entered = |i: usize| trades.get(i).map_or(0, |&n| u16::try_from(n).unwrap_or(u16::MAX));
        self.trades.extend((0..self.days).map(entered));
    }

    /// Daily returns of a row.
    #[must_use]
    pub fn row(&self, row: usize) -> &[f64] {
        &self.returns[row * self.days..(row + 1) * self.days]
    }

    /// Trades that a row entered each day.
    #[must_use]
    pub fn trades(&self, row: usize) -> &[u16] {
        &self.trades[row * self.days..(row + 1) * self.days]
    }
}
