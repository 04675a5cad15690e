//! What an expression is worth at each candle of each instrument.
//!
//! Operators across the market see, at each candle, the members of then whose own value is defined. Columns are kept
//! for the expressions in which others are written, so that what two of them share is computed once.

use crate::{Members, Panel, across, rolling};
use engine::columns::compute_column_beside;
use engine::indicator::realized_volatility;
use genome::{Across, Binary, Expression, Unary, Unit, Universe};
use rayon::prelude::*;
use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
};

/// One column for each instrument of the panel, NaN where undefined.
pub(crate) type Sheet = Arc<Vec<Vec<f64>>>;

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

/// Computes sheets over one panel and universe.
pub(crate) struct Columns<'a> {
    panel: &'a Panel,
    universe: Universe,
    /// Members at every slot, if any operator asked for them.
    everywhere: OnceLock<Members>,
    /// Sheets whose undefined or zero values keep a member from being seen across the market.
    needed: Option<Sheet>,
    known: HashMap<Expression, Sheet>,
}

impl<'a> Columns<'a> {
    pub(crate) fn new(panel: &'a Panel, universe: Universe) -> Self {
        Self { panel, universe, everywhere: OnceLock::new(), needed: None, known: HashMap::new() }
    }

    /// Members without a positive value of this sheet are not seen.
    pub(crate) fn need(&mut self, sheet: Sheet) {
        self.needed = Some(sheet);
    }

    /// The sheet of an expression.
    pub(crate) fn sheet(&mut self, expression: &Expression) -> Result<Sheet, ColumnError> {
        if let Some(known) = self.known.get(expression) {
            return Ok(known.clone());
        }
        let sheet = match expression {
            Expression::Constant(value) => self.each(|i| Ok(vec![value.get(); self.len(i)]))?,
            Expression::Series(series) => self.each(|i| {
                let (candles, readings) =
                    (self.panel.instruments()[i].candles(), self.panel.instruments()[i].readings());
                let column = compute_column_beside(series, candles, candles, readings)
                    .map_err(|e| ColumnError(e.to_string()))?;
                Ok(column.values().to_vec())
            })?,
            Expression::Volatility { returns } => {
                let n = *returns as usize;
                self.each(|i| {
                    Ok(realized_volatility(self.panel.instruments()[i].candles().closes(), n).values().to_vec())
                })?
            }
            Expression::Unary(operator, x) => {
                let x = self.sheet(x)?;
                self.each(|i| Ok(x[i].iter().map(|x| unary(*operator, *x)).collect()))?
            }
            Expression::Binary(operator, x, y) => {
                let (x, y) = (self.sheet(x)?, self.sheet(y)?);
                self.each(|i| Ok(x[i].iter().zip(&y[i]).map(|(x, y)| binary(*operator, *x, *y)).collect()))?
            }
            Expression::Rolling(operator, x, n) => {
                let x = self.sheet(x)?;
                self.each(|i| Ok(rolling::apply(*operator, &x[i], *n as usize)))?
            }
            Expression::Correlation(x, y, n) => {
                let (x, y) = (self.sheet(x)?, self.sheet(y)?);
                self.each(|i| Ok(rolling::correlation(&x[i], &y[i], *n as usize)))?
            }
            Expression::Across(operator, x) => {
                let x = self.sheet(x)?;
                self.across(*operator, &x)
            }
            Expression::Beta(x, n) => {
                let has_unit = has_unit(x);
                let x = self.sheet(x)?;
                let changes = self.each(|i| Ok(changes(&x[i], has_unit)))?;
                let means = self.market_changes(&changes, &x, has_unit);
                self.each(|i| {
                    let slots = self.panel.instruments()[i].slots();
                    let market: Vec<f64> = slots.iter().map(|&slot| means[slot as usize]).collect();
                    Ok(rolling::slope(&market, &changes[i], *n as usize))
                })?
            }
        };
        self.known.insert(expression.clone(), sheet.clone());
        Ok(sheet)
    }

    fn len(&self, instrument: usize) -> usize {
        self.panel.instruments()[instrument].candles().len()
    }

    /// One column for each instrument.
    fn each(
        &self,
        column: impl Fn(usize) -> Result<Vec<f64>, ColumnError> + Send + Sync,
    ) -> Result<Sheet, ColumnError> {
        let columns: Result<Vec<_>, _> = (0..self.panel.instruments().len()).into_par_iter().map(column).collect();
        columns.map(Arc::new)
    }

    fn everywhere(&self) -> &Members {
        self.everywhere.get_or_init(|| Members::of(self.panel, self.universe, 0..self.panel.opens_ms().len()))
    }

    /// The operator at each slot, over the members of then.
    fn across(&self, operator: Across, x: &Sheet) -> Sheet {
        let mut out: Vec<Vec<f64>> = x.iter().map(|column| vec![f64::NAN; column.len()]).collect();
        for slot in 0..self.panel.opens_ms().len() {
            let seats = self.everywhere().at(slot);
            let values: Vec<f64> = seats.iter().map(|seat| self.seen(x, seat.instrument, seat.candle)).collect();
            for (seat, value) in seats.iter().zip(across::apply(operator, &values)) {
                out[seat.instrument as usize][seat.candle as usize] = value;
            }
        }
        Arc::new(out)
    }

    /// A member's value, if it is seen across the market.
    fn seen(&self, x: &Sheet, instrument: u32, candle: u32) -> f64 {
        let (instrument, candle) = (instrument as usize, candle as usize);
        let is_needed = |sheet: &Sheet| sheet[instrument][candle] > 0.0;
        if self.needed.as_ref().is_none_or(is_needed) { x[instrument][candle] } else { f64::NAN }
    }

    /// Mean change over the members of each slot that have one there. Changes that cancel, as those of `relative` do, have
    /// the mean 0 and not what rounding leaves of it: a change is known as well as the values that it is between.
    fn market_changes(&self, changes: &Sheet, values: &Sheet, has_unit: bool) -> Vec<f64> {
        let mean = |slot| {
            let seats = self.everywhere().at(slot);
            let (mut all, mut greatest) = (Vec::new(), 0.0_f64);
            for seat in seats {
                let change = self.seen(changes, seat.instrument, seat.candle);
                if !change.is_nan() {
                    let value = values[seat.instrument as usize][seat.candle as usize];
                    greatest = greatest.max(change.abs() + if has_unit { 1.0 } else { value.abs() });
                    all.push(change);
                }
            }
            if all.is_empty() {
                return f64::NAN;
            }
            let mean = across::mean(&all);
            if mean.abs() <= ROUNDING * greatest { 0.0 } else { mean }
        };
        (0..self.panel.opens_ms().len()).map(mean).collect()
    }
}

/// Whether changes of the expression are relative: those of a price or an amount.
fn has_unit(x: &Expression) -> bool {
    x.unit().is_ok_and(|unit| matches!(unit, Unit::Of { .. }) && unit != Unit::PLAIN)
}

/// x / x before - 1 of what has a unit, else x - x before.
pub(crate) fn changes(x: &[f64], has_unit: bool) -> Vec<f64> {
    let change = |pair: &[f64]| rolling::finite(if has_unit { pair[1] / pair[0] - 1.0 } else { pair[1] - pair[0] });
    std::iter::once(f64::NAN).chain(x.windows(2).map(change)).take(x.len()).collect()
}

/// An operator on one value; NaN is undefined.
pub(crate) fn unary(operator: Unary, x: f64) -> f64 {
    rolling::finite(match operator {
        Unary::Negate => -x,
        Unary::Abs => x.abs(),
        Unary::Log => x.ln(),
        // The sign of 0 is 0, of either.
        Unary::Sign if x == 0.0 => 0.0,
        Unary::Sign if x.is_nan() => x,
        Unary::Sign => x.signum(),
    })
}

/// An operator on two values; NaN is undefined.
pub(crate) fn binary(operator: Binary, x: f64, y: f64) -> f64 {
    if x.is_nan() || y.is_nan() {
        return f64::NAN;
    }
    rolling::finite(match operator {
        Binary::Add => x + y,
        Binary::Subtract => x - y,
        Binary::Multiply => x * y,
        Binary::Divide => x / y,
        Binary::Min => x.min(y),
        Binary::Max => x.max(y),
    })
}
