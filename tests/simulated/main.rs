//! The simulated Binance: its market, its HTTP, and what the demo's market offers.

mod command;
mod demo;
mod exchange;
mod market;
