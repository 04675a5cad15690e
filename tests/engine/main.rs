//! The backtest, through its public entry: what fills when, at what price, and what comes of it.
// Helpers outside test functions may fail a test, and say when one is skipped.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod agreement;
mod execution;
mod golden;
mod look_ahead;
mod performance;
mod real;
mod reference;
mod support;

#[path = "../plain/mod.rs"]
mod plain;
