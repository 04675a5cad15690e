//! A simulated Binance: a seeded market with planted edges, in process or behind real HTTP.
//!
//! `spec`, `edge`, `path` and `generator` are pure: the same seed gives the same candles to the bit, whatever was
//! asked before. The market is for trying things out and for measuring how honest the gates are; nothing here
//! claims that real markets behave so.

mod edge;
mod generator;
mod in_process;
mod path;
mod spec;

pub use edge::{EdgeKind, EdgeSpec};
pub use generator::{MarketError, SimulatedMarket};
pub use in_process::InProcessExchange;
pub use spec::{MarketSpec, SpecError, SymbolSpec, VolatilitySpec};
