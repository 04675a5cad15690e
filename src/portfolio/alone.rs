//! One operator over a whole panel, for benches: what it reads is computed before.

use crate::{
    ColumnError, Members, Panel,
    columns::{Kept, Sheet, Source, compute, compute_with},
    field::Field,
    formulas::{Formulas, Id},
    seating::Seating,
    slopes::betas,
};
use genome::{Expression, Universe};
use std::sync::Arc;

/// The outermost operator of an expression over a panel, seen in a universe.
#[derive(Debug)]
pub struct Alone<'p> {
    panel: &'p Panel,
    field: Field,
    formulas: Formulas,
    everywhere: Vec<Arc<Seating>>,
    operator: Id,
    /// What it reads.
    parts: Vec<(Id, Sheet)>,
}

impl<'p> Alone<'p> {
    /// Computes what the operator reads.
    ///
    /// # Errors
    /// When a series cannot be computed on the panel's timeframe.
    pub fn new(panel: &'p Panel, universe: Universe, expression: &Expression) -> Result<Self, ColumnError> {
        let field = Field::new(panel, |_| true);
        let mut formulas = Formulas::default();
        let operator = formulas.add(expression, (universe, None));
        let members = Members::of(panel, universe, 0..panel.opens_ms().len());
        let seating = Arc::new(Seating::new(&members, &field));
        let everywhere = formulas.sights.iter().map(|_| seating.clone()).collect();
        let parts = Vec::new();
        let mut alone = Self { panel, field, formulas, everywhere, operator, parts };
        let mut wanted: Vec<Id> = alone.formulas.get(operator).parts().into_iter().flatten().collect();
        wanted.dedup();
        let mut sheets: Vec<(Id, Sheet)> = wanted.iter().map(|id| (*id, Vec::new())).collect();
        for group in compute(alone.source(), &wanted, |_, _, column| Arc::new(column.clone())) {
            for ((_, sheet), column) in sheets.iter_mut().zip(group) {
                sheet.push(column?);
            }
        }
        alone.parts = sheets;
        Ok(alone)
    }

    fn source(&self) -> Source<'_> {
        let Self { panel, field, formulas, everywhere, .. } = self;
        Source { panel, field, formulas, everywhere }
    }

    /// Computes the operator and gives how many of its values are defined at the last candles.
    ///
    /// # Errors
    /// As [`Alone::new`].
    pub fn run(&self) -> Result<usize, ColumnError> {
        let mut kept = Kept::of(&self.parts);
        let last = |_: usize, _: usize, column: &Arc<crate::field::Column>| {
            column.rows.last().map_or(0, |row| row.0.iter().filter(|x| !x.is_nan()).count())
        };
        compute_with(self.source(), (&mut kept, 0), &[self.operator], last).into_iter().flatten().sum()
    }
}

/// Slopes of all members on their mean return over so many returns, at each of these slots: how many are defined.
#[must_use]
pub fn slopes_alone(panel: &Panel, universe: Universe, returns: u32, slots: &[usize]) -> usize {
    let members = Members::of_slots(panel, universe, slots.to_vec());
    let defined =
        |slot: &usize| betas(panel, members.at(*slot), returns as usize).iter().filter(|b| !b.is_nan()).count();
    slots.iter().map(defined).sum()
}
