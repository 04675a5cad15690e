//! Simulated markets: what they are made of as JSON, and their candles.
//!
//! Two equal specifications give the same candles to the bit, whatever is asked of them in which order.

use crate::{read, series::Candles, written, wrong};
use candles::{Interval, MarketKind, Symbol};
use genome::random::Seed;
use pyo3::prelude::*;
use simulated::{MarketSpec, SimulatedMarket};

/// A market of these symbols without an edge.
#[pyfunction]
pub(crate) fn noise_market(seed: u64, symbols: Vec<String>, start_ms: i64) -> PyResult<String> {
    let symbols: Vec<Symbol> =
        symbols.iter().map(|name| name.parse()).collect::<Result<_, _>>().map_err(|error| wrong("symbols", error))?;
    written("market", &MarketSpec::noise(Seed(seed), start_ms, &symbols))
}

/// A market of so many made-up coins, some listed later, some delisted, within so many days.
#[pyfunction]
pub(crate) fn coin_market(seed: u64, coins: u32, start_ms: i64, days: u32) -> PyResult<String> {
    let spec = MarketSpec::coins(Seed(seed), start_ms, coins, days).map_err(|error| wrong("market", error))?;
    written("market", &spec)
}

/// Candles of all its symbols that open in `[from_ms, to_ms)`; those that have none then are left out.
#[pyfunction]
pub(crate) fn simulate(
    py: Python<'_>,
    market: &str,
    interval: &str,
    from_ms: i64,
    to_ms: i64,
) -> PyResult<Vec<Candles>> {
    let spec: MarketSpec = read("market", market)?;
    let interval: Interval = interval.parse().map_err(|error| wrong("interval", error))?;
    py.detach(|| {
        let market = SimulatedMarket::new(spec).map_err(|error| wrong("market", error))?;
        let mut all = Vec::new();
        for symbol in market.spec().symbols.iter().map(|spec| spec.symbol.clone()) {
            let series = market.candles(&symbol, interval, from_ms, to_ms).map_err(|error| wrong("candles", error))?;
            if !series.is_empty() {
                all.push(Candles::new(MarketKind::Spot, symbol, series));
            }
        }
        Ok(all)
    })
}
