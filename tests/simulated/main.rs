//! The simulated Binance: its market, its HTTP, and what the demo's market offers.
// Helpers outside test functions may fail a test.
#![allow(clippy::unwrap_used)]

mod command;
mod demo;
mod exchange;
mod market;
