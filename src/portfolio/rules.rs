//! What ordinary rules see of the market: series that compare a symbol with the members of a universe.
//!
//! Computes values alone; what a rule makes of them is the engine's affair.

use crate::{
    Panel,
    columns::{ColumnError, Columns},
};
use candles::{Readings, Symbol};
use genome::{Series, Universe};
use std::collections::BTreeMap;

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
    let mut columns = Columns::new(panel, universe);
    let mut out: BTreeMap<Symbol, BTreeMap<Series, Vec<(i64, f64)>>> = BTreeMap::new();
    for series in series {
        if series.across.is_none() {
            continue;
        }
        let sheet = columns.sheet(&series.expression())?;
        for (instrument, column) in panel.instruments().iter().zip(sheet.iter()) {
            let of_symbol = out.entry(instrument.id().symbol.clone()).or_default().entry(series).or_default();
            let defined = column.iter().zip(instrument.slots()).filter(|(value, _)| !value.is_nan());
            of_symbol.extend(defined.map(|(value, slot)| (panel.close_ms(*slot as usize), *value)));
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
