//! sg-ai: an always-on search for trading strategies with honest gates between luck and live.
//!
//! Data walks one way: candles -> indicator columns -> signals -> trades -> performance -> evidence ->
//! decision -> transition -> store -> notify. `docs/ARCHITECTURE.md` is the map; `tests/tidy.rs` holds it.

pub mod cli;
pub mod config;
mod daemon;
pub mod usecases;

/// Version of the program and a hash of the sources that it was built from: what results are stored with.
pub const CODE_VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), "+", env!("SOURCES_HASH"));
