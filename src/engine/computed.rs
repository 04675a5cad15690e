//! Columns that are computed, and which of them a test looks at. Computes none.

use super::{
    EvaluationError,
    cache::Weighed,
    indicator::Column,
    plan::{self, Key},
};
use genome::Series;
use std::{collections::BTreeMap, sync::Arc};

/// A column or a test's outcome, or why it could not be computed.
pub(super) type Computed<T> = Result<T, EvaluationError>;

/// A column with what comparisons want to know of it.
#[derive(Debug)]
pub(super) struct Held {
    pub column: Column,
    /// From here on every value is defined.
    pub defined_from: usize,
}

impl Held {
    pub(super) fn new(column: Column) -> Arc<Self> {
        let first = column.first_defined();
        let holes = column.values()[first..].iter().fold(false, |any, v| any | v.is_nan());
        let defined_from = if holes { column.len() } else { first };
        Arc::new(Self { column, defined_from })
    }
}

impl Weighed for Arc<Held> {
    fn bytes(&self) -> usize {
        self.column.heap_bytes()
    }
}

/// Columns by series.
pub(super) type Columns = BTreeMap<Series, Computed<Arc<Held>>>;

/// The series a test looks at, by number.
pub(super) fn series_of(key: Key) -> impl Iterator<Item = usize> {
    let right = match key.right {
        plan::Right::Series(series) => Some(series as usize),
        plan::Right::Constant(_) => None,
    };
    std::iter::once(key.left as usize).chain(right)
}
