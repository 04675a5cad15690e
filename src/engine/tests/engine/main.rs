//! The backtest, through its public entry: what fills when, at what price, and what comes of it; and indicators.
// Helpers outside test functions may fail a test, and say how much was tried.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod agreement;
mod at_close;
mod beside;
mod execution;
mod golden;
mod indicators;
mod look_ahead;
mod memory;
mod performance;
mod plain;
mod reference;
mod simulated_market;
mod support;
mod venues;
mod widths;
