//! Which symbols of a simulated market an exchange lists at a time, and what it calls their status.

use candles::MarketKind;
use simulated::{SimulatedMarket, SymbolSpec};

/// The symbols that were listed by `now_ms`, those that are delisted included.
pub(super) fn listed(market: &SimulatedMarket, now_ms: i64) -> impl Iterator<Item = &SymbolSpec> {
    let spec = market.spec();
    spec.symbols.iter().filter(move |s| s.listed_ms.unwrap_or(spec.start_ms) <= now_ms)
}

/// What a listed symbol's status is called.
pub(super) fn status(kind: MarketKind, spec: &SymbolSpec, now_ms: i64) -> &'static str {
    match (spec.delisted_ms.is_some_and(|end| end <= now_ms), kind) {
        (false, _) => "TRADING",
        (true, MarketKind::Spot) => "BREAK",
        (true, MarketKind::Um) => "SETTLING",
    }
}
