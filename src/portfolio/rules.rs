//! What ordinary rules see of the market: series that compare a symbol with the members of a universe.
//!
//! Computes values alone; what a rule makes of them is the engine's affair.

use crate::{
    Members, Panel,
    columns::{ColumnError, Source, compute},
    field::Field,
    formulas::Formulas,
    seating::Seating,
};
use candles::{Readings, Symbol};
use genome::{Series, Universe};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Values of each series at the closes of each symbol's candles, where the symbol is a member and has one. Series that
/// compare nothing are left out.
///
/// # Errors
/// When a series cannot be computed on the panel's timeframe.
pub fn across_readings(
    panel: &Panel,
    universe: Universe,
    series: impl IntoIterator<Item = Series>,
) -> Result<BTreeMap<Symbol, BTreeMap<Series, Readings>>, ColumnError> {
    let series: Vec<Series> = series.into_iter().filter(|series| series.across.is_some()).collect();
    let mut formulas = Formulas::default();
    let wanted: Vec<_> = series.iter().map(|series| formulas.add(&series.expression(), (universe, None))).collect();
    let everywhere = Members::of(panel, universe, 0..panel.opens_ms().len());
    let members: BTreeSet<u32> = everywhere.seats().iter().map(|seat| seat.instrument).collect();
    let field = Field::new(panel, |instrument| members.contains(&instrument));
    let everywhere = Arc::new(Seating::new(&everywhere, &field));
    let everywhere: Vec<_> = formulas.sights.iter().map(|_| Arc::clone(&everywhere)).collect();
    let source = Source { panel, field: &field, formulas: &formulas, everywhere: &everywhere };
    let columns = compute(source, &wanted, |_, _, column| column.clone());
    let mut out: BTreeMap<Symbol, BTreeMap<Series, Vec<(i64, f64)>>> = BTreeMap::new();
    for (at, series) in series.into_iter().enumerate() {
        for (number, instrument) in (0..).zip(panel.instruments()) {
            let of_symbol = out.entry(instrument.id().symbol.clone()).or_default().entry(series).or_default();
            let Some((group, lane)) = field.place(number) else { continue };
            let column = columns[group][at].as_ref().map_err(Clone::clone)?;
            let values = column.lane(lane, &field.groups[group]);
            let defined = values.into_iter().zip(instrument.slots()).filter(|(value, _)| !value.is_nan());
            of_symbol.extend(defined.map(|(value, slot)| (panel.close_ms(*slot as usize), value)));
        }
    }
    let readings = |(series, pairs): (Series, Vec<(i64, f64)>)| {
        Ok((series, Readings::new(pairs).map_err(|e| ColumnError::new(e.to_string()))?))
    };
    let of_symbol = |(symbol, all): (Symbol, BTreeMap<Series, Vec<(i64, f64)>>)| {
        Ok((symbol, all.into_iter().map(readings).collect::<Result<_, _>>()?))
    };
    out.into_iter().map(of_symbol).collect()
}
