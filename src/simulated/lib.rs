//! A simulated market: candles and funding of a seed, with planted edges.
//!
//! Pure: the same seed gives the same candles to the bit, whatever was asked before. For trying things out and for
//! measuring how honest the gates are; nothing here claims that real markets behave so. Serves nothing: the simulated
//! exchange is in `market::simulator`.

mod base_candle;
mod coins;
mod edge;
mod generator;
mod limits;
mod path;
mod planting;
mod published;
pub mod ranks;
mod spec;

pub use base_candle::BaseCandle;
pub use coins::MAX_COINS;
pub use edge::{EdgeKind, EdgeSpec};
pub use generator::{MarketError, SimulatedMarket};
pub use limits::SpecError;
pub use published::{METRICS_EVERY_MS, Metrics, PremiumCandle};
pub use spec::{FADING_MS, MarketSpec, SymbolSpec, VolatilitySpec};
