//! A simulated Binance: a seeded market with planted edges, in process or behind real HTTP.
//!
//! `spec`, `edge`, `path`, `generator`, `query`, `answer`, `dumps`, `limits` and `faults` are pure: the same seed gives the same
//! candles to the bit, whatever was asked before. The market is for trying things out and for measuring how honest
//! the gates are; nothing here claims that real markets behave so.

mod answer;
mod clock;
mod demo;
mod dumps;
mod edge;
mod faults;
mod generator;
mod in_process;
mod limits;
mod path;
mod query;
mod server;
mod spec;

pub use clock::SimulatedClock;
pub use demo::demo_market;
pub use edge::{EdgeKind, EdgeSpec};
pub use faults::{FaultKind, FaultSpec};
pub use generator::{MarketError, SimulatedMarket};
pub use in_process::InProcessExchange;
pub use limits::{LimitSpec, WeightUse};
pub use server::{ExchangeConfig, SimulatedExchange, StartError};
pub use spec::{MarketSpec, SpecError, SymbolSpec, VolatilitySpec};
