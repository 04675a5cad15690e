//! A simulated Binance over a [`simulated`] market: in process or behind real HTTP.
//!
//! `query`, `answer`, `dumps`, `limits` and `faults` are pure. Nothing here claims that real exchanges behave so.

mod answer;
mod clock;
mod demo;
mod dumps;
mod faults;
mod in_process;
mod limits;
mod lives;
mod query;
mod server;

pub use clock::SimulatedClock;
pub use demo::{demo_market, demo_symbols};
pub use faults::{FaultKind, FaultSpec};
pub use in_process::InProcessExchange;
pub use limits::{LimitSpec, WeightUse};
pub use server::{ExchangeConfig, SimulatedExchange, StartError};
