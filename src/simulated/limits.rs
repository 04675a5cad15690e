//! Limits of the values of a spec, and what is wrong with one that breaks them. Knows no spec.

use candles::{Interval, Symbol};

/// Why a market cannot be made.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[allow(missing_docs)]
pub enum SpecError {
    #[error("a market needs at least one symbol")]
    NoSymbols,
    #[error("{0} appears twice")]
    Twice(Symbol),
    #[error("a market of made-up coins has 2 to {most} of them, not {asked}")]
    Coins { asked: u32, most: u32 },
    #[error("the market must start at a 00:00 UTC after 1970, not at {0} ms")]
    Start(i64),
    #[error("the base interval must be 1h or finer and divide the hour, not {0}")]
    Base(Interval),
    #[error("{what} must be {range}, not {value}")]
    OutOfRange { what: String, range: &'static str, value: f64 },
    #[error("an edge is planted on {0}, which the market does not have")]
    EdgeSymbol(Symbol),
    #[error("{symbol} is listed at {listed_ms} ms, before the market's start at {start_ms} ms")]
    ListedBefore { symbol: Symbol, listed_ms: i64, start_ms: i64 },
    #[error("{symbol} is delisted at {delisted_ms} ms, but not listed before {listed_ms} ms")]
    DelistedBefore { symbol: Symbol, delisted_ms: i64, listed_ms: i64 },
    #[error("a {0} edge ranks symbols, so it needs at least two")]
    EdgeAlone(&'static str),
    #[error("an edge acts on {edge} candles; expected one of {base} (the base) to 1d")]
    EdgeInterval { edge: Interval, base: Interval },
    #[error(
        "edge {text:?} is not understood: {why}; expected KIND:SYMBOL[+SYMBOL...]:SHARPE[:FROM[:TO[:DECAY_DAYS[:RESIDUAL]]]]"
    )]
    EdgeText { text: String, why: String },
}

pub(crate) fn within(what: &str, value: f64, min: f64, max: f64, range: &'static str) -> Result<(), SpecError> {
    if value >= min && value <= max {
        Ok(())
    } else {
        Err(SpecError::OutOfRange { what: what.to_owned(), range, value })
    }
}
